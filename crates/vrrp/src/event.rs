//! Log points: what happened and why, as values. The daemon writes them with their `Display` text.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use kr_model::vrrp::{Cause, State};

use crate::receive::Complaint;

/// Something worth a log line about one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Name of the instance, or of the interface when it concerns none.
    pub name: String,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The state changed.
    Entered {
        /// The new state.
        state: State,
        /// Why.
        cause: Cause,
        /// Name of the tracked object that is the cause.
        object: Option<String>,
    },
    /// Tracked objects changed the effective priority.
    Priority {
        /// Before.
        from: u8,
        /// Now.
        to: u8,
        /// What changed; `None` when it is the configuration.
        why: Option<String>,
    },
    /// A received packet is wrong or strange; said once per kind, state and master.
    Complaint {
        /// Its sender.
        source: IpAddr,
        /// What is wrong.
        complaint: Complaint,
    },
    /// While MASTER, another router of lower rank acts as master; said once per state.
    LowerPriorityMaster {
        /// The other one.
        source: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// The other master of lower rank is not heard any more.
    OverlapEnded {
        /// The other one.
        source: IpAddr,
    },
    /// A peer computes the checksum of unicast adverts as keepalived up to 1.3.6 did, and so do we now.
    OldChecksum {
        /// The peer.
        source: IpAddr,
    },
    /// An advert of a virtual router that is not configured here; said once of each.
    UnknownRouter {
        /// Its sender.
        source: IpAddr,
        /// The virtual router id.
        vrid: u8,
    },
    /// Another router claims to own the addresses too.
    TwoOwners {
        /// The other one.
        source: IpAddr,
    },
    /// The other owner did not give way, so this one does.
    GaveWayToOwner {
        /// The other one.
        source: IpAddr,
    },
    /// The master-down timer was served so late that adverts may have been missed.
    TimerLate {
        /// How late.
        late: Duration,
    },
    /// The kernel takes no address of this master, which therefore leaves.
    AddressesRefused {
        /// When it is tried again, from now.
        again: Duration,
    },
    /// This master sent no advert for so long that a backup may have taken over.
    SilentTooLong {
        /// How late the advert was.
        late: Duration,
    },
}

/// Who has to look at a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Ordinary life.
    Info,
    /// A peer, this host or the configuration is wrong.
    Warning,
}

impl Event {
    /// Who has to look at it.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self.kind {
            EventKind::Entered { .. }
            | EventKind::OverlapEnded { .. }
            | EventKind::OldChecksum { .. }
            | EventKind::UnknownRouter { .. }
            | EventKind::Priority { .. } => Severity::Info,
            EventKind::Complaint { .. }
            | EventKind::LowerPriorityMaster { .. }
            | EventKind::TwoOwners { .. }
            | EventKind::GaveWayToOwner { .. }
            | EventKind::TimerLate { .. }
            | EventKind::AddressesRefused { .. }
            | EventKind::SilentTooLong { .. } => Severity::Warning,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) ", self.name)?;
        match &self.kind {
            EventKind::Entered {
                state,
                cause,
                object,
            } => {
                let cause = cause.naming(object.as_deref());
                write!(f, "Entering {} STATE: {cause}", state.word())
            }
            EventKind::Priority { from, to, why } => {
                let why = why.as_deref().unwrap_or("the configuration changed");
                write!(f, "Changing effective priority from {from} to {to}: {why}")
            }
            EventKind::Complaint { source, complaint } => {
                write!(f, "advert from {source}: {complaint}")
            }
            EventKind::LowerPriorityMaster { source, priority } => write!(
                f,
                "{source} acts as master with priority {priority}, below ours; answering and \
                 announcing our addresses again"
            ),
            EventKind::OverlapEnded { source } => write!(
                f,
                "{source} acts as master no more; announcing our addresses a last time"
            ),
            EventKind::OldChecksum { source } => write!(
                f,
                "{source} makes checksums of unicast adverts as keepalived before 1.3.7 did, and from now \
                 on so does this router; `old_unicast_checksum never` forbids that"
            ),
            EventKind::UnknownRouter { source, vrid } => write!(
                f,
                "{source} advertises virtual router {vrid}, which is not configured here"
            ),
            EventKind::TwoOwners { source } => write!(
                f,
                "{source} also has priority 255: only the owner of the addresses may have it"
            ),
            EventKind::GaveWayToOwner { source } => write!(
                f,
                "{source} goes on with priority 255, so this router goes down to 254; correct one \
                 of the two configurations"
            ),
            EventKind::TimerLate { late } => write!(
                f,
                "this process did not run for {} ms and may have missed adverts; waiting one more \
                 interval before taking over",
                late.as_millis()
            ),
            EventKind::AddressesRefused { again } => write!(
                f,
                "the kernel takes none of the virtual addresses, so another router shall be master; \
                 trying again in {} s, after a change of the interface, or after a reload",
                again.as_secs()
            ),
            EventKind::SilentTooLong { late } => write!(
                f,
                "own advert went out {} ms late, a backup may have taken over meanwhile; announcing \
                 the addresses again",
                late.as_millis()
            ),
        }
    }
}
