//! Real packets between two hosts: ours and the distribution's keepalived as peers.
//!
//! Every election test runs in both directions; the pair (stock, stock) shows that the test itself holds.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code"
)]

mod accept;
mod adverts;
mod bfd;
mod crash;
mod deadlines;
mod election;
mod floods;
mod frr;
mod groups;
mod hostile;
mod overlap;
mod preemption;
mod real_servers;
mod reload;
mod reload_scale;
mod routes;
mod signatures;
mod stage;
mod survival;
mod tracked;
mod tracking;
mod transports;
mod upgrade;
mod vmac;
