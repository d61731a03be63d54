//! Messages between the processes: one file per edge with an enum for each direction, a codec that
//! holds the only use of bincode, and a channel whose type says which enum goes which way.
//!
//! Every message is hostile until it was decoded within its bounds and checked against what the
//! receiver configured. A message that fails ends the channel ([`ChannelError::Malformed`]).

pub mod channel;
pub mod codec;
mod early;
pub mod edge;
mod words;

pub use channel::{Channel, ChannelError};
pub use codec::{CodecError, MAX_FRAME};
pub use early::{Early, Judgement};
pub use words::{Instances, Sessions, Subject, Unknown, Words};

/// Number of the language that the processes speak: programs with the same number understand each other. Made
/// from the sources of the messages by `build.rs`.
#[must_use]
pub fn protocol() -> u64 {
    // A number that cannot be read is that of no language.
    include_str!(concat!(env!("OUT_DIR"), "/protocol"))
        .parse()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_language_has_a_number() {
        assert_ne!(super::protocol(), 0);
    }
}
