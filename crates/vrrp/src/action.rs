//! What the router wants done.

use std::net::IpAddr;

use kr_model::units::IfName;
use kr_model::vrrp::{Cause, Snapshot, State};
use kr_model::{GroupId, InstanceId};

use crate::event::Event;

/// One thing to do. Of a failure only that of a master's addresses is told back
/// ([`Input::Addresses`](crate::Input::Addresses)); for the rest the next input about the link says enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send an advert.
    SendAdvert {
        /// Whose advert.
        instance: InstanceId,
        /// Where out.
        interface: IfName,
        /// The group or the peer.
        destination: IpAddr,
        /// The whole packet with its IP header.
        packet: Vec<u8>,
    },
    /// Make the kernel hold all addresses of the instance (virtual and excluded), or none of them.
    SetAddresses {
        /// Whose addresses.
        instance: InstanceId,
        /// All or none.
        present: bool,
    },
    /// Send one gratuitous ARP or one unsolicited neighbour advertisement.
    Announce {
        /// Whose address.
        instance: InstanceId,
        /// Where out.
        device: IfName,
        /// What is announced.
        address: IpAddr,
    },
    /// Keep this for a successor process and for dumps.
    Publish(Box<Snapshot>),
    /// The state changed: scripts and mail are due.
    Transition {
        /// Whose state.
        instance: InstanceId,
        /// The new state.
        to: State,
        /// Effective priority.
        priority: u8,
        /// Why.
        cause: Cause,
    },
    /// While MASTER, this router hears adverts of one that loses the election against it: the script of
    /// `notify_master_rx_lower_pri` is due. At most once per advert interval, and once more when they ended.
    LowerPriorityHeard {
        /// Who hears them.
        instance: InstanceId,
    },
    /// A sync group changed its state as a whole: its scripts and mail are due.
    GroupTransition {
        /// The group.
        group: GroupId,
        /// The new state.
        to: State,
    },
    /// Something worth a log line.
    Event(Event),
}
