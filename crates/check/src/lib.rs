//! Health checks without any socket or clock: when a check is due and what its result means
//! ([`Checks`]), what is said over one connection ([`conversation`], [`http`], [`tls`], [`smtp`]) or in one datagram ([`datagram`]), and
//! the delivery of mail ([`mail`], [`outbox`], [`resolve`]), and the pages that monitoring reads
//! ([`exporter`]).
//!
//! The checker process and `genhash` drive these machines with real sockets; tests drive them with
//! bytes and a made-up time.

pub mod checks;
pub mod conversation;
pub mod datagram;
pub mod exporter;
pub mod health;
pub mod http;
pub mod mail;
pub mod outbox;
pub mod outcome;
pub mod presence;
pub mod resolve;
pub mod smtp;
pub mod talk;
pub mod tls;

pub use checks::{Action, Attempt, Checks, Configuration, Event, Input};
pub use conversation::{Conversation, Timed};
pub use kr_model::rng::Rng;
pub use outcome::{Failure, LocalFault, Outcome};
