//! Log points: what happened and why, as values. The daemon writes them with their `Display` text.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use kr_model::bfd::Diagnostic;

use crate::packet::Malformed;

/// Something worth a log line about one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Name of the `bfd_instance`.
    pub name: String,
    /// Its neighbour.
    pub neighbor: IpAddr,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The session came up.
    Up,
    /// It was up, and is no more.
    Down(DownCause),
    /// A packet of the neighbour is wrong; said once per kind and state.
    Complaint(Complaint),
}

/// Why a session went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownCause {
    /// No packet came.
    Silent {
        /// The detection time.
        within: Duration,
        /// How late that was noticed.
        late: Duration,
    },
    /// The neighbour says that its end is down.
    NeighborDown(Diagnostic),
    /// The neighbour says that its end was taken down on purpose.
    NeighborStopped,
}

/// What is wrong with a packet of the neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// It breaks a rule.
    Malformed(Malformed),
    /// It passed too many routers, or does not come from where it says.
    Far {
        /// Its time to live.
        ttl: u8,
        /// The least that is accepted.
        least: u8,
    },
    /// It names a session that this host does not have.
    Stray,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, neighbor, .. } = self;
        match &self.kind {
            EventKind::Up => write!(f, "({name}) BFD session with {neighbor} is up"),
            EventKind::Down(cause) => {
                write!(f, "({name}) BFD session with {neighbor} is down: {cause}")
            }
            EventKind::Complaint(complaint) => {
                write!(
                    f,
                    "({name}) ignored a BFD packet from {neighbor}: {complaint}"
                )
            }
        }
    }
}

impl fmt::Display for DownCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { within, late } => {
                let within = within.as_micros();
                let (whole, part) = (within / 1_000, within % 1_000);
                write!(f, "no packet came for {whole}.{part:03} ms")?;
                if late.as_millis() > 0 {
                    write!(f, " (noticed {} ms late)", late.as_millis())?;
                }
                Ok(())
            }
            Self::NeighborDown(diagnostic) => {
                write!(f, "the neighbour says that its end is down ({diagnostic})")
            }
            Self::NeighborStopped => f.write_str("its operator took the neighbour's end down"),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Far { ttl, least } => write!(
                f,
                "its TTL is {ttl}, below {least}; if routers are in between, raise max_hops"
            ),
            Self::Stray => f.write_str("it is of a session that this host does not have"),
        }
    }
}
