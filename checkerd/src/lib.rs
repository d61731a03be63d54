//! The checker process and `genhash`, which share how a connection is made and driven ([`link`]).
//!
//! What is decided, is decided in `kr_check`; here are sockets, the loop and the channels.

pub mod alone;
pub mod daemon;
mod datagram;
mod engine;
pub mod genhash;
mod holder;
mod intake;
mod ipvsd;
pub mod link;
mod listener;
mod mailer;
mod metrics;
mod probe_io;
pub mod sandbox;
