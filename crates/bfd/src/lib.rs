//! Bidirectional forwarding detection without sockets and clocks: every BFD session of one process
//! (RFC 5880 in asynchronous mode, over one hop by RFC 5881 and several by RFC 5883).
//!
//! The VRRP process turns what its UDP sockets give into [`Input`]s, gives each to [`Sessions::handle`] with
//! the time, carries out every [`Action`] that [`Sessions::poll_action`] has, and sleeps until
//! [`Sessions::poll_timeout`]. The sessions answer to `bfd_instance`; whoever follows them, instances with
//! `track_bfd` and checks with `BFD_CHECK`, gets [`Action::Reach`].
//!
//! What a driver has to keep:
//! * All packets that wait on the sockets come before [`Input::Timer`]: a process that was stopped for a
//!   while then hears its neighbours before it decides that they are gone.
//! * All actions are carried out before the next input.
//! * A reload takes a session's socket away after the actions of [`Input::Configure`], among which is the
//!   last packet of a session that goes.
//!
//! Left out, as `bfd_instance` has no words for them: authentication, echo packets, demand mode of our own.

mod action;
mod event;
mod packet;
mod session;
mod sessions;

pub use action::{Action, Header, Input};
pub use event::{Complaint, DownCause, Event, EventKind};
pub use packet::{LEN, Malformed, Packet};
pub use sessions::Sessions;
