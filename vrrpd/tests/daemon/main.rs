//! The built program in a network namespace, with the test as its parent: real sockets, real addresses,
//! frames captured on a second host of the segment. Needs root.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code: a failure shows the line, and time is the machine's"
)]

mod addresses;
mod adverts;
#[path = "../../../crates/vrrp/tests/malformed/classes.rs"]
mod classes;
mod endings;
mod harness;
mod malformed;
mod options;
mod pauses;
mod refusals;
mod resume;
mod siblings;
