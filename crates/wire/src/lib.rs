//! The bytes of everything that the daemons send and receive on the wire: plain values, a `parse` that
//! takes any bytes without panic, and an `emit` whose bytes parse to the same value.

pub mod advert;
pub mod ah;
pub mod arp;
pub mod checksum;
pub mod ipv4;
pub mod ipv6;
pub mod ndisc;
mod reader;
pub mod trailer;

pub use reader::{Reader, Truncated};
