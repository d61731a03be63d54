//! The built programs `checkerd` and `genhash`, with servers on loopback.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests start programs and run in real time"
)]

mod checks;
mod genhash;
mod harness;
mod hostile;
mod lifecycle;
