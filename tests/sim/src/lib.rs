//! A local network of VRRP routers under virtual time. The routers are the real machines of `kr-vrrp`; the
//! network, the kernel and the parent process are played. Everything follows from a seed, so a failure is
//! repeated by its seed.

#![expect(
    clippy::indexing_slicing,
    reason = "test code: a router that does not exist is a mistake in the test"
)]

mod lan;
mod random;

pub use lan::{Fate, Faults, History, Lan, What, foreign_advert, instance};
pub use random::Random;
