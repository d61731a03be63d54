//! A body in chunks (RFC 9112 section 7.1): where it ends, and what of it is content.
//!
//! A server that keeps the connection open tells in this way that its body is complete. The digest is taken over
//! the bytes as they came, as keepalived does; only a pattern is searched in the content.

/// Follows a body from piece to piece.
#[derive(Debug)]
pub(super) struct Chunks(State);

#[derive(Debug, Clone, Copy)]
enum State {
    /// In the digits of a size.
    Size(Option<u64>),
    /// Behind them, up to the end of the line.
    Extension(u64),
    /// In the content of a chunk, with so many bytes to come.
    Content(u64),
    /// In the line end after it.
    ContentEnd,
    /// After the last chunk; whether the line is empty so far.
    Trailer(bool),
    /// After the empty line that ends it all.
    Over,
    /// These are no chunks: all that comes is content, up to the end of the connection.
    Broken,
}

impl Chunks {
    pub(super) const fn new() -> Self {
        Self(State::Size(None))
    }

    /// Hands the content in these bytes to `content`. `Some`: so many of them were left of the body.
    pub(super) fn take(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Option<usize> {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            match self.0 {
                State::Content(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX);
                    let (now, later) = rest.split_at(most.min(rest.len()));
                    content(now);
                    rest = later;
                    let left = left.saturating_sub(u64::try_from(now.len()).unwrap_or(u64::MAX));
                    self.0 = if left == 0 {
                        State::ContentEnd
                    } else {
                        State::Content(left)
                    };
                    continue;
                }
                State::Broken => {
                    content(rest);
                    return None;
                }
                State::Over => return Some(bytes.len().saturating_sub(rest.len())),
                State::Size(_) | State::Extension(_) | State::ContentEnd | State::Trailer(_) => {}
            }
            self.0 = self.frame(*byte);
            if !matches!(self.0, State::Broken) {
                rest = after;
            }
        }
        matches!(self.0, State::Over).then_some(bytes.len())
    }

    /// What a byte between contents leads to.
    fn frame(&self, byte: u8) -> State {
        match (self.0, byte) {
            (State::Size(Some(size)) | State::Extension(size), b'\n') => match size {
                0 => State::Trailer(true),
                size => State::Content(size),
            },
            (State::Size(Some(size)), b'\r' | b' ' | b'\t' | b';') => State::Extension(size),
            (State::Size(size), digit) => {
                let digit = char::from(digit).to_digit(16).map(u64::from);
                let more =
                    digit.and_then(|digit| size.unwrap_or(0).checked_mul(16)?.checked_add(digit));
                more.map_or(State::Broken, |size| State::Size(Some(size)))
            }
            (State::Extension(size), _) => State::Extension(size),
            (State::ContentEnd, b'\r') => State::ContentEnd,
            (State::ContentEnd, b'\n') => State::Size(None),
            (State::ContentEnd, _) => State::Broken,
            (State::Trailer(true), b'\n') => State::Over,
            (State::Trailer(false), b'\n') => State::Trailer(true),
            (State::Trailer(empty), b'\r') => State::Trailer(empty),
            (State::Trailer(_), _) => State::Trailer(false),
            (other @ (State::Content(_) | State::Over | State::Broken), _) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The content, and how many bytes the body has.
    fn taken(bytes: &[u8], size: usize) -> (Vec<u8>, Option<usize>) {
        let mut chunks = Chunks::new();
        let mut content = Vec::new();
        let mut before = 0;
        for piece in bytes.chunks(size) {
            let end = chunks.take(piece, |part| content.extend_from_slice(part));
            if let Some(end) = end {
                return (content, Some(before + end));
            }
            before += piece.len();
        }
        (content, None)
    }

    #[test]
    fn content_and_end_are_found() {
        for (body, content, end) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello", Some(15)),
            ("5\r\nhello\r\n0\r\n\r\nmore", "hello", Some(15)),
            (
                "3;x=y\r\nabc\r\n2 \nde\n00\r\nT: u\r\n\r\n",
                "abcde",
                Some(30),
            ),
            ("A\r\n0123456789\r\n", "0123456789", None),
            ("5\r\nhel", "hel", None),
            ("", "", None),
        ] {
            for size in 1..=body.len().max(1) {
                let expected = (content.as_bytes().to_vec(), end);
                assert_eq!(taken(body.as_bytes(), size), expected, "{body:?} by {size}");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_content_up_to_the_end_of_the_connection() {
        for (body, content) in [
            ("<html>", "<html>"),
            ("\r\n0\r\n\r\n", "\r\n0\r\n\r\n"),
            ("-1\r\nx", "-1\r\nx"),
            ("ffffffffffffffff0\r\nx", "0\r\nx"),
            ("1\r\nab\r\n0\r\n\r\n", "ab\r\n0\r\n\r\n"),
        ] {
            for size in 1..=body.len() {
                let expected = (content.as_bytes().to_vec(), None);
                assert_eq!(taken(body.as_bytes(), size), expected, "{body:?} by {size}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_what_is_taken(body in "[0-9a-f;\r\n]{0,60}", size in 1_usize..20) {
            prop_assert_eq!(taken(body.as_bytes(), size), taken(body.as_bytes(), 100));
        }
    }
}
