//! Messages between the processes, of a sender that was taken over: each is decoded, then handed to the code
//! of its receiver that judges it, then to the machine behind.
//!
//! Judges of the daemons are taken in as they are, file by file: a program has no library to link.

pub(crate) mod checkerd;
pub(crate) mod instances;
pub(crate) mod ipvsd;
mod table;
pub(crate) mod verdicts;
pub(crate) mod vrrpd;

use std::fmt;

use kr_ipc::codec::{MAX_FRAME, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Decodes a frame. What is a message is the same message after it was sent on.
fn message<T>(frame: &[u8]) -> Option<T>
where
    T: Serialize + DeserializeOwned + PartialEq + fmt::Debug,
{
    let message: T = decode(frame).ok()?;
    let again = encode(&message).expect("a message that came in one frame fits one");
    assert!(again.len() <= frame.len() && again.len() <= MAX_FRAME);
    assert_eq!(decode::<T>(&again).as_ref(), Ok(&message));
    Some(message)
}
