//! Parent and VRRP process.

use kr_model::bfd;
use kr_model::lateness::LoopTimes;
use kr_model::own_link::LinkReport;
use kr_model::route::Route;
use kr_model::rule::Rule;
use kr_model::track::{Tracker, TrackerState};
use kr_model::vrrp::{Cause, Instance, Snapshot, State, VirtualAddress, VrrpGlobal};
use kr_model::{Generation, GroupId, InstanceId, TrackerId};
use serde::{Deserialize, Serialize};

use crate::edge::Sibling;

/// What the parent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToVrrpd {
    /// A configuration follows.
    Begin(Generation),
    /// Its global part, exactly once.
    Global(VrrpGlobal),
    /// A tracked object other than a BFD session, before the instances that track it.
    Tracker(Tracker),
    /// A BFD session, before the instances that track it.
    Bfd(Box<bfd::Session>),
    /// What a predecessor of this process last published of a session of this configuration.
    ResumeBfd(Box<bfd::Snapshot>),
    /// One instance.
    Instance(Box<Instance>),
    /// A static address, which names its interface.
    StaticAddress(Box<VirtualAddress>),
    /// A route: of an instance that was sent before, or a static one. Their order is that of the file.
    Route {
        /// Whose it is.
        instance: Option<InstanceId>,
        /// The route.
        route: Box<Route>,
    },
    /// A rule: of an instance that was sent before, or a static one.
    Rule {
        /// Whose it is.
        instance: Option<InstanceId>,
        /// The rule.
        rule: Box<Rule>,
    },
    /// What a predecessor of this process last published of an instance of this configuration.
    Resume(Box<Snapshot>),
    /// The configuration is complete.
    Commit(Generation),
    /// A tracked object of the last configuration that was committed has a new state.
    TrackerState {
        /// The object.
        tracker: TrackerId,
        /// Its state now.
        state: TrackerState,
    },
    /// Leave cleanly: priority 0, addresses removed as configured, exit.
    Stop,
    /// Answer with the same number, to show that the process still turns its loop.
    Ping {
        /// Number of the question.
        nonce: u64,
    },
    /// The log file was opened anew: its descriptor comes with this message and replaces the older one.
    LogFile,
    /// The end of the channel to this process comes with this message and replaces an older one.
    Sibling(Sibling),
}

/// What the VRRP process says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromVrrpd {
    /// The configuration is in force.
    Ready(Generation),
    /// Instances as they are now; the parent keeps the latest for a successor and for dumps.
    Snapshots(Vec<Snapshot>),
    /// A BFD session as it is now; the parent keeps the latest as well.
    Bfd(Box<bfd::Snapshot>),
    /// A sync group changed its state as a whole: its scripts and mail are due.
    GroupTransition {
        /// The group.
        group: GroupId,
        /// Its new state.
        to: State,
    },
    /// An instance changed its state: scripts and mail are due.
    Transition {
        /// The instance.
        instance: InstanceId,
        /// Its new state.
        to: State,
        /// Its effective priority.
        priority: u8,
        /// Why.
        cause: Cause,
    },
    /// A link that an instance has for itself exists; what netlink cannot set of it is the parent's to set.
    OwnLink(LinkReport),
    /// A master hears adverts of a router that loses the election against it.
    LowerPriorityHeard {
        /// The master.
        instance: InstanceId,
    },
    /// The answer to a ping.
    Pong {
        /// Number of the question.
        nonce: u64,
    },
    /// This process broke the protocol of its channel, which is closed.
    Misbehaved(Sibling),
    /// How late its loop is, now and then after a pong.
    Times(Box<LoopTimes>),
}
