//! The built programs `checkerd` and `genhash`, with servers on loopback.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests start programs and run in real time"
)]

mod alone;
mod checks;
mod datagram;
mod genhash;
mod harness;
mod hostile;
mod lifecycle;
mod overload;
