//! `regex`: a pattern of the operator and a body of a server. Two bytes of options, one for the pieces that the
//! body comes in, then a line with the pattern, then the body.

use kr_model::check::PatternOptions;
use kr_pattern::{MAX_PIECE, Pattern, Search};

use crate::pieces::choice_and_size;

/// A pattern is compiled or refused with a way out; what is found does not depend on the pieces.
pub fn body_pattern(data: &[u8]) {
    let Some(([low, high], rest)) = data.split_first_chunk() else {
        return;
    };
    let options = PatternOptions::from_bits_truncate(u16::from_le_bytes([*low, *high]));
    let Some((choice, size, rest)) = choice_and_size(rest) else {
        return;
    };
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(rest.len());
    let (text, body) = rest.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let pattern = match Pattern::new(&String::from_utf8_lossy(text), options) {
        Ok(pattern) => pattern,
        Err(error) => {
            assert!(!error.to_string().is_empty() && !error.help().is_empty());
            return;
        }
    };
    let (min, max) = match choice {
        0 => (0, None),
        1 => (0, Some(3)),
        2 => (2, None),
        _ => (2, Some(9)),
    };
    let found = |size: usize| {
        let mut search = Search::new(&pattern, min, max);
        for piece in body.chunks(size) {
            search.feed(piece);
        }
        search.finish()
    };
    let whole = found(MAX_PIECE);
    assert_eq!(whole, found(size));
    if max.is_none_or(|max| max >= min) && text.is_empty() && body.len() >= 2 {
        assert_eq!(whole, Ok(true), "the empty pattern matches everywhere");
    }
}
