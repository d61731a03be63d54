//! A configuration that can run: what the parent keeps, and slices for its children.

use std::collections::BTreeMap;

use kr_model::bfd;
use kr_model::check::{Checker, CheckerGlobal};
use kr_model::global::Global;
use kr_model::lvs::{IpvsGlobal, RealServer, VirtualServer};
use kr_model::route::Route;
use kr_model::rule::Rule;
use kr_model::script::Script;
use kr_model::track::TrackerSource;
use kr_model::vrrp::{Cause, Instance, VirtualAddress, VrrpGlobal};
use kr_model::{
    CheckerId, GroupId, InstanceId, RealServerId, ScriptId, TrackerId, VirtualServerId,
};

/// A whole configuration. Two that are equal mean the same, object by object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// For the parent.
    pub global: Global,
    /// For the VRRP process.
    pub vrrp: VrrpGlobal,
    /// For the checker process.
    pub checker: CheckerGlobal,
    /// For the IPVS process.
    pub ipvs: IpvsGlobal,
    /// `static_ipaddress`, `static_routes`, `static_rules`.
    pub statics: Statics,
    /// `vrrp_instance` blocks.
    pub instances: BTreeMap<InstanceId, InstanceEntry>,
    /// `vrrp_sync_group` blocks with at least one member.
    pub groups: BTreeMap<GroupId, GroupEntry>,
    /// `bfd_instance` blocks.
    pub bfd: BTreeMap<TrackerId, BfdEntry>,
    /// `virtual_server` blocks.
    pub virtual_servers: BTreeMap<VirtualServerId, VirtualServerEntry>,
    /// `real_server` blocks.
    pub real_servers: BTreeMap<RealServerId, RealServerEntry>,
    /// Checker blocks.
    pub checkers: BTreeMap<CheckerId, CheckerEntry>,
    /// Tracked scripts, files and processes that an instance, a group or a `FILE_CHECK` names.
    pub trackers: BTreeMap<TrackerId, TrackerEntry>,
    /// Programs that any of them names; equal ones are one.
    pub scripts: BTreeMap<ScriptId, Script>,
}

impl Config {
    /// Name of the tracked object that a change of state is about.
    #[must_use]
    pub fn tracked_by(&self, cause: Cause) -> Option<&str> {
        let id = cause.tracker()?;
        let session = self.bfd.get(&id).map(|entry| &entry.session.name);
        let tracker = self.trackers.get(&id).map(|entry| &entry.name);
        session.or(tracker).map(String::as_str)
    }
}

/// An instance with what only the parent may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEntry {
    /// The slice of the VRRP process.
    pub instance: Instance,
    /// `strict_mode`, which is applied in the instance already.
    pub strict: bool,
    /// `notify_master`, `notify_backup`, `notify_fault`, `notify_stop`.
    pub notify: InstanceNotify,
    /// `smtp_alert`, with the defaults worked out.
    pub mail: bool,
    /// `virtual_routes`, for the VRRP process too, but each in a message of its own.
    pub routes: Vec<Route>,
    /// `virtual_rules`, likewise.
    pub rules: Vec<Rule>,
}

/// What is there whatever the instances do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statics {
    /// `static_ipaddress`; each names its interface.
    pub addresses: Vec<VirtualAddress>,
    /// `static_routes`.
    pub routes: Vec<Route>,
    /// `static_rules`.
    pub rules: Vec<Rule>,
}

impl Statics {
    /// Nothing is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }
}

/// A tracked object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerEntry {
    /// Name of the block.
    pub name: String,
    /// What is followed, and how.
    pub source: TrackerSource,
    /// What a line that tracks it means without a weight of its own, -254 to 254.
    pub weight: i16,
    /// `reverse` behind that weight.
    pub reverse: bool,
}

/// A sync group with what only the parent may know of it. Its members name it themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    /// Name of the block.
    pub name: String,
    /// Scripts; the generic one gets `GROUP NAME STATE 0`.
    pub notify: InstanceNotify,
    /// `smtp_alert`, with the defaults worked out.
    pub mail: bool,
}

/// A BFD session with what is worked out before the VRRP process gets its slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdEntry {
    /// The slice of the VRRP process.
    pub session: bfd::Session,
    /// `weight`: what a line of `track_bfd` without a weight means, -253 to 253.
    pub weight: i16,
    /// `reverse` behind that weight.
    pub reverse: bool,
    /// Instances may track it (no `checker` alone).
    pub for_vrrp: bool,
    /// Checkers may follow it (no `vrrp` alone).
    pub for_checkers: bool,
}

/// Scripts of an instance or of a sync group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceNotify {
    /// `notify_master`.
    pub master: Option<ScriptId>,
    /// `notify_backup`.
    pub backup: Option<ScriptId>,
    /// `notify_fault`.
    pub fault: Option<ScriptId>,
    /// `notify_stop`.
    pub stop: Option<ScriptId>,
    /// `notify`: after each of the others, with `INSTANCE NAME STATE PRIORITY` appended.
    pub any: Option<ScriptId>,
    /// `notify_deleted`; `None` reports a removed instance as one in fault.
    pub deleted: Option<Deletion>,
    /// `notify_master_rx_lower_pri`.
    pub lower_priority: Option<ScriptId>,
    /// `notify_priority_changes`; `None` leaves it to the group, then to `global_defs`.
    pub priority_changes: Option<bool>,
}

/// `notify_deleted`: a reload that removes an instance is reported as DELETED.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deletion {
    /// Runs then.
    pub script: Option<ScriptId>,
}

/// A virtual server with what only the parent may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServerEntry {
    /// The slice of the IPVS process.
    pub virtual_server: VirtualServer,
    /// `quorum_up`.
    pub quorum_up: Option<ScriptId>,
    /// `quorum_down`.
    pub quorum_down: Option<ScriptId>,
    /// `smtp_alert`, default off.
    pub mail: bool,
    /// `ha_suspend`: its checkers run only while this host holds one of its addresses.
    pub suspend: bool,
}

/// A real server with what only the parent may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServerEntry {
    /// The slice of the IPVS process.
    pub real_server: RealServer,
    /// `notify_up`.
    pub notify_up: Option<ScriptId>,
    /// `notify_down`.
    pub notify_down: Option<ScriptId>,
    /// `smtp_alert`, default on.
    pub mail: bool,
}

/// A checker with what only the parent may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckerEntry {
    /// The slice of the checker process.
    pub checker: Checker,
    /// Whose health it is.
    pub real_server: RealServerId,
    /// `misc_path` of a `MISC_CHECK`.
    pub script: Option<ScriptId>,
}
