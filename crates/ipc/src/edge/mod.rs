//! The edges. In each file: what the first named process sends to the second, and the reverse.
//!
//! Configuration travels as `Begin`, one message per object, `Commit`; a receiver acts on nothing
//! before the commit and keeps the old configuration when the channel ends in between.

pub mod checkerd_ipvsd;
pub mod parentd_checkerd;
pub mod parentd_ipvsd;
pub mod parentd_vrrpd;
