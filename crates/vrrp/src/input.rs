//! What the VRRP process tells the router.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use kr_model::net::Family;
use kr_model::signing::UtcOffset;
use kr_model::track::{Tracker, TrackerState};
use kr_model::units::IfName;
use kr_model::vrrp::{Instance, Snapshot, VrrpGlobal};
use kr_model::{InstanceId, TrackerId};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// A configuration comes into force: at the start, and at every reload. The difference to the running
    /// set is worked out inside; instances that are equal in both notice nothing.
    Configure {
        /// Settings of the process.
        global: VrrpGlobal,
        /// All instances; the driver and the router share them.
        instances: BTreeMap<InstanceId, Arc<Instance>>,
        /// What a predecessor of this process last published; empty at a first start and at a reload.
        resume: BTreeMap<InstanceId, Snapshot>,
    },
    /// An IP packet with protocol 112 (or 51) arrived. `payload` is what follows the IP header, as far as
    /// the header's total length goes.
    Packet {
        /// Where it came in.
        interface: &'a IfName,
        /// What its IP header says.
        header: PacketHeader,
        /// The message.
        payload: &'a [u8],
    },
    /// State of a link: of every interface at the start, and at every change.
    Link {
        /// The interface.
        interface: IfName,
        /// Its state now.
        state: LinkState,
    },
    /// The address to send from on an interface: its first address that is not a virtual one of ours.
    Source {
        /// The interface.
        interface: IfName,
        /// Which family this is about.
        family: Family,
        /// The address; `None` when there is none (any more).
        address: Option<IpAddr>,
    },
    /// A source address that an instance tracks came to its interface, or is gone.
    SourcePresent {
        /// The interface.
        interface: IfName,
        /// The address.
        address: IpAddr,
        /// It is there.
        present: bool,
    },
    /// Every tracked object of the configuration that comes next. It takes effect with that.
    Trackers(BTreeMap<TrackerId, Tracker>),
    /// A tracked object has a new state.
    Tracker {
        /// The object.
        tracker: TrackerId,
        /// Its state now.
        state: TrackerState,
    },
    /// What became of an [`Action::SetAddresses`](crate::Action::SetAddresses) that sets them, then or later.
    Addresses {
        /// Whose addresses.
        instance: InstanceId,
        /// True: at least one of those that are tracked is set, and the driver sees to the others. False: none
        /// is, and the kernel will not take them as things are.
        set: bool,
    },
    /// How far the time of day is ahead of the clock of the inputs; needed before and whenever it changes, by
    /// instances with `auth_hmac` only.
    TimeOfDay(UtcOffset),
    /// The time of [`Router::poll_timeout`](crate::Router::poll_timeout) has come.
    Timer,
    /// Leave: a master says priority 0 and gives its addresses back, unless they are to stay.
    Shutdown,
}

/// The fields of an IP header that VRRP looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketHeader {
    /// Sender.
    pub source: IpAddr,
    /// Where it was sent to.
    pub destination: IpAddr,
    /// Time to live or hop limit as received.
    pub ttl: u8,
    /// 112 for VRRP, 51 for an authentication header.
    pub protocol: u8,
    /// Identification of an IPv4 packet, which an authentication header covers; 0 for IPv6.
    pub id: u16,
}

/// Whether a link can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// Up and running.
    Up,
    /// Exists, and is down or without carrier.
    Down,
    /// Does not exist.
    Missing,
}

impl LinkState {
    /// For log lines, after the name of the interface.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Up => "is up",
            Self::Down => "is down",
            Self::Missing => "does not exist",
        }
    }
}
