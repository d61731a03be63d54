//! VRRP without sockets and clocks: the election of every virtual router of one process.
//!
//! The VRRP process turns what the kernel says into [`Input`]s, gives each to [`Router::handle`] with the
//! time, carries out every [`Action`] that [`Router::poll_action`] has, and sleeps until
//! [`Router::poll_timeout`]. Version 2 follows RFC 3768, with the passwords and the
//! authentication header of RFC 2338 and the extensions of keepalived.conf; version 3 follows RFC 9568. Both
//! run over IPv4 and IPv6, to a multicast group or to unicast peers. Instances of a sync group change their
//! states together (`router/groups.rs`), and tracked interfaces, scripts, files, processes and BFD sessions
//! change priorities or are faults (`tracking.rs`).
//!
//! What a driver has to keep:
//! * [`Input::Link`] and [`Input::Source`] of every interface come before the first
//!   [`Input::Configure`]; an interface never mentioned is taken as missing.
//! * [`Input::Trackers`] with every tracked object comes before the [`Input::Configure`] whose instances name
//!   them.
//! * All packets that wait on the sockets come before [`Input::Timer`]: a process that was stopped for a
//!   while then hears the master before it decides that the master is gone.
//! * All actions are carried out, in their order, before the next input.

mod action;
mod announce;
mod event;
#[cfg(test)]
mod fixture;
mod input;
mod instance;
mod phase;
mod receive;
mod router;
mod signing;
mod timing;
mod tracking;

pub use action::Action;
pub use event::{Event, EventKind, Severity};
pub use input::{Input, LinkState, PacketHeader};
pub use receive::Complaint;
pub use router::Router;
pub use signing::Refused as SignatureRefused;
