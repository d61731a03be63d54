//! The words every process shares: identities, units, time, and the typed configuration of virtual
//! routers, BFD sessions, virtual servers and health checks.
//!
//! Plain data only. Values that have a range are newtypes whose constructor checks it, also when they
//! arrive from another process (`serde(try_from)`), so a value that exists is a value that is valid.

pub mod bfd;
pub mod check;
pub mod diff;
pub mod firewall;
pub mod global;
pub mod ids;
pub mod ipvs;
pub mod lateness;
pub mod lvs;
pub mod net;
pub mod own_link;
pub mod rng;
pub mod route;
pub mod rule;
pub mod script;
pub mod signing;
pub mod time;
pub mod track;
pub mod units;
pub mod vrrp;

pub use ids::{
    CheckerId, Generation, GroupId, InstanceId, RealServerId, ScriptId, TrackerId, VirtualServerId,
};
pub use time::Instant;
