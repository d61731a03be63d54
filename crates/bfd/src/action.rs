//! What the VRRP process tells the sessions, and what they want done.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kr_model::TrackerId;
use kr_model::bfd::{Path, Reach, Session, Snapshot};

use crate::event::Event;
use crate::packet::LEN;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// A configuration comes into force: at the start, and at every reload. Sessions that are equal in both
    /// notice nothing.
    Configure {
        /// All sessions.
        sessions: BTreeMap<TrackerId, Session>,
        /// What a predecessor of this process last published; empty at a first start and at a reload.
        resume: BTreeMap<TrackerId, Snapshot>,
    },
    /// A UDP packet arrived at the port of a path.
    Packet {
        /// What its headers say.
        header: Header,
        /// Its payload.
        payload: &'a [u8],
    },
    /// The time of [`Sessions::poll_timeout`](crate::Sessions::poll_timeout) has come.
    Timer,
    /// Leave: every neighbour is told that its session is administratively down.
    Shutdown,
}

/// What BFD looks at of the headers of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Sender.
    pub source: IpAddr,
    /// Address of this host that it was sent to.
    pub destination: IpAddr,
    /// Time to live or hop limit as received.
    pub ttl: u8,
    /// Which port it came to.
    pub path: Path,
}

/// One thing to do. A failure is not told back: what is not sent is not heard, and the neighbour says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a packet to the neighbour, from the session's own port.
    Send {
        /// The session.
        session: TrackerId,
        /// The payload.
        packet: [u8; LEN],
    },
    /// Whether the neighbour is reached: of every session when it comes, and at every change.
    Reach {
        /// The session.
        session: TrackerId,
        /// Whether its neighbour is reached.
        reach: Reach,
    },
    /// Keep this for a successor process and for dumps.
    Publish(Box<Snapshot>),
    /// Something worth a log line.
    Event(Event),
}
