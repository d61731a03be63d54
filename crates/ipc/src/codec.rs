//! Bytes of a message. The only place that knows bincode, so that another codec is a change of this
//! file: the crate is finished and no longer maintained (RUSTSEC-2025-0141).

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest frame in bytes. One message holds at most one configured object; the largest are
/// instances with a few hundred addresses, far below this.
pub const MAX_FRAME: usize = 64 * 1024;

/// Why bytes are not a message, or a message does not fit a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodecError {
    /// The message is longer than [`MAX_FRAME`].
    TooLong,
    /// The bytes end early, or hold an unknown variant or a value out of range.
    Invalid,
    /// Bytes are left after the message.
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "message longer than {MAX_FRAME} bytes"),
            Self::Invalid => f.write_str("bytes that are no message"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes after the message"),
        }
    }
}

impl std::error::Error for CodecError {}

const fn configuration() -> bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_FRAME>,
> {
    bincode::config::standard().with_limit::<MAX_FRAME>()
}

/// Writes a message as one frame.
///
/// # Errors
/// [`CodecError::TooLong`] when it does not fit.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let frame =
        bincode::serde::encode_to_vec(message, configuration()).map_err(|_| CodecError::TooLong)?;
    if frame.len() > MAX_FRAME {
        return Err(CodecError::TooLong);
    }
    Ok(frame)
}

/// Reads the message that a frame holds.
///
/// # Errors
/// When the frame is too long, is no message, or holds more than one.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, CodecError> {
    if frame.len() > MAX_FRAME {
        return Err(CodecError::TooLong);
    }
    let (message, used) = bincode::serde::decode_from_slice(frame, configuration())
        .map_err(|_| CodecError::Invalid)?;
    if used == frame.len() {
        Ok(message)
    } else {
        Err(CodecError::Trailing {
            bytes: frame.len().saturating_sub(used),
        })
    }
}

#[cfg(test)]
mod tests {
    use kr_model::units::Vrid;

    use super::*;

    #[test]
    fn values_out_of_range_are_refused_on_arrival() {
        let frame = encode(&300_u64).unwrap();
        assert_eq!(decode::<Vrid>(&frame), Err(CodecError::Invalid));
        let frame = encode(&30_u64).unwrap();
        assert_eq!(decode::<Vrid>(&frame).map(Vrid::get), Ok(30));
    }

    #[test]
    fn a_frame_holds_exactly_one_message() {
        let mut frame = encode(&"text").unwrap();
        assert_eq!(decode::<String>(&frame).unwrap(), "text");
        frame.push(0);
        assert_eq!(
            decode::<String>(&frame),
            Err(CodecError::Trailing { bytes: 1 })
        );
        frame.truncate(3);
        assert_eq!(decode::<String>(&frame), Err(CodecError::Invalid));
    }

    #[test]
    fn a_length_that_lies_allocates_nothing() {
        // A vector that claims 2^60 entries in a frame of nine bytes.
        let mut frame = vec![253];
        frame.extend_from_slice(&(1_u64 << 60).to_le_bytes());
        assert_eq!(decode::<Vec<u64>>(&frame), Err(CodecError::Invalid));
    }

    #[test]
    fn an_oversized_message_is_refused_on_both_sides() {
        let long = "x".repeat(MAX_FRAME + 1);
        assert_eq!(encode(&long), Err(CodecError::TooLong));
        assert_eq!(
            decode::<String>(&vec![0; MAX_FRAME + 1]),
            Err(CodecError::TooLong)
        );
    }
}
