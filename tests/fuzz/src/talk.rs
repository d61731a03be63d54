//! What must hold for every conversation.

use kr_check::{Conversation, Failure};

/// What a conversation that was given these pieces led to, and everything that it said.
pub(crate) struct Course<T> {
    pub(crate) result: Result<T, Failure>,
    pub(crate) said: Vec<u8>,
}

/// Leads a conversation to its end, at the latest that of the connection.
pub(crate) fn lead<'a, C: Conversation>(
    mut talk: C,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Course<C::Output> {
    let mut said = Vec::new();
    let mut end = talk.opened().break_value();
    for piece in pieces {
        if end.is_some() {
            break;
        }
        said.extend(talk.outgoing());
        talk.sent(talk.outgoing().len());
        assert!(!talk.waiting_for().is_empty());
        end = talk.received(piece).break_value();
    }
    said.extend(talk.outgoing());
    talk.sent(talk.outgoing().len());
    assert_eq!(talk.outgoing(), b"");
    let result = end.unwrap_or_else(|| talk.ended());
    if let Err(failure) = &result {
        one_short_line(failure);
    }
    Course { result, said }
}

/// A failure goes into a log line: nothing that the other side said may break it, or fill the disk.
fn one_short_line(failure: &Failure) {
    let text = failure.to_string();
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(text.len() < 1_000, "{} bytes: {text:?}", text.len());
}
