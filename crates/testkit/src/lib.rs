//! What tests and `cargo xtask` need around the daemons: hosts, processes, packets. Never part of a daemon.

#![expect(
    clippy::disallowed_methods,
    reason = "tests run in real time, on threads, and start programs"
)]

pub mod binaries;
#[cfg(target_arch = "x86_64")]
pub mod captive;
pub mod capture;
pub mod frr;
pub mod harm;
pub mod keepalived;
pub mod netns;
pub mod process;
pub mod servers;
pub mod wait;
pub mod web;
