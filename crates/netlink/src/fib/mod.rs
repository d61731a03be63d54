//! Routes and policy rules: read what carries our mark ([`Requests::routes`], [`Requests::rules`]), change
//! them ([`Requests::apply`]), and hear when somebody else does ([`Events`]).
//!
//! Used by the VRRP process, whose wishes come as [`Route`] and [`Rule`]. What is tracked carries the protocol
//! number of keepalived ([`PROTOCOL_KEEPALIVED`](kr_model::route::PROTOCOL_KEEPALIVED)), by which the kernel
//! itself picks it out of a table of thousands. neli has no types for rules and none for the nested
//! attributes of routes, so the bytes are written and read here.

pub(crate) mod attribute;
mod events;
mod requests;
mod route;
mod rule;
#[cfg(test)]
mod tests;

use std::fmt;

use kr_model::route::Route;
use kr_model::rule::Rule;
use kr_model::units::{IfIndex, IfName};
use nix::errno::Errno;

use crate::socket::{Message, NetlinkError};

pub use events::{Event, Events};
pub use requests::Requests;
pub use route::{RouteEntry, RouteKey};
pub use rule::RuleEntry;

/// What names of links stand for now.
pub trait Names {
    /// The link of that name.
    fn index(&self, name: &IfName) -> Option<IfIndex>;
    /// The routing table of the VRF device of that name.
    fn vrf_table(&self, name: &IfName) -> Option<u32>;
}

/// Why a route cannot be put into a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    /// There is no such link, or no such VRF device.
    Missing(IfName),
    /// It does not fit a message.
    Unwritable,
}

impl From<NetlinkError> for Unready {
    fn from(_: NetlinkError) -> Self {
        Self::Unwritable
    }
}

/// A route or a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A route.
    Route(Route),
    /// A rule.
    Rule(Rule),
}

impl Object {
    /// False with `no_track`.
    #[must_use]
    pub const fn is_tracked(&self) -> bool {
        match self {
            Self::Route(route) => route.tracked,
            Self::Rule(rule) => rule.tracked,
        }
    }

    /// Every interface that it names.
    pub fn devices(&self) -> impl Iterator<Item = &IfName> {
        let (route, rule) = match self {
            Self::Route(route) => (Some(route), None),
            Self::Rule(rule) => (None, Some(rule)),
        };
        let of_route = route.into_iter().flat_map(Route::devices);
        of_route.chain(rule.into_iter().flat_map(Rule::devices))
    }

    /// What the kernel shows of it once it is set.
    ///
    /// # Errors
    /// When a link that it names is missing.
    pub fn entry(&self, names: &impl Names) -> Result<Entry, Unready> {
        let body = self.body(names)?;
        let entry = match self {
            Self::Route(_) => RouteEntry::read(&body).map(Entry::Route),
            Self::Rule(_) => RuleEntry::read(&body).map(Entry::Rule),
        };
        entry.ok_or(Unready::Unwritable)
    }

    fn body(&self, names: &impl Names) -> Result<Vec<u8>, Unready> {
        match self {
            Self::Route(route) => route::body(route, names),
            Self::Rule(rule) => Ok(rule::body(rule)?),
        }
    }

    const fn is_route(&self) -> bool {
        matches!(self, Self::Route(_))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(route) => write!(f, "route {route}"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
        }
    }
}

/// A route or a rule as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A route.
    Route(RouteEntry),
    /// A rule.
    Rule(RuleEntry),
}

impl Entry {
    /// True when the kernel's object `found` is what setting this one gives.
    #[must_use]
    pub fn is_held_by(&self, found: &Self) -> bool {
        match (self, found) {
            (Self::Route(wanted), Self::Route(found)) => wanted.is_held_by(found),
            (Self::Rule(wanted), Self::Rule(found)) => wanted == found,
            (Self::Route(_), Self::Rule(_)) | (Self::Rule(_), Self::Route(_)) => false,
        }
    }
}

/// An object of the kernel's tables, with what is needed to remove exactly it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub entry: Entry,
    body: Vec<u8>,
}

impl Found {
    /// What the kernel shows of an object once it is set.
    ///
    /// # Errors
    /// When a link that the object names is missing.
    pub fn of(object: &Object, names: &impl Names) -> Result<Self, Unready> {
        Ok(Self {
            entry: object.entry(names)?,
            body: object.body(names)?,
        })
    }
}

/// A change of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Set an object.
    Add(&'a Object),
    /// Remove an object that was set.
    Remove(&'a Object),
    /// Remove an object that was found.
    Discard(&'a Found),
}

/// Numbers of messages: `RTM_NEWROUTE` and those that follow, `RTM_NEWRULE` likewise.
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_RULE: u16 = 32;
const DEL_RULE: u16 = 33;
const GET_RULE: u16 = 34;

/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_EXCL`, `NLM_F_CREATE`, `NLM_F_ROOT | NLM_F_MATCH`.
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const EXCL: u16 = 0x200;
const CREATE: u16 = 0x400;
const DUMP: u16 = 0x300;

impl Change<'_> {
    /// The request for the change, which the kernel answers under `sequence`.
    ///
    /// # Errors
    /// When a link is missing, or the object does not fit a message.
    pub fn request(&self, sequence: u32, names: &impl Names) -> Result<Vec<u8>, Unready> {
        let (kind, flags, body) = match self {
            Self::Add(object @ Object::Route(route)) => {
                let flags = route::placement_flags(route.placement);
                (NEW_ROUTE, flags, object.body(names)?)
            }
            Self::Add(object @ Object::Rule(_)) => (NEW_RULE, CREATE | EXCL, object.body(names)?),
            Self::Remove(object) => {
                let kind = if object.is_route() {
                    DEL_ROUTE
                } else {
                    DEL_RULE
                };
                (kind, 0, object.body(names)?)
            }
            Self::Discard(found) => match &found.entry {
                Entry::Route(_) => (DEL_ROUTE, 0, found.body.clone()),
                Entry::Rule(_) => (DEL_RULE, 0, found.body.clone()),
            },
        };
        Ok(message(kind, REQUEST | ACK | flags, sequence, &body)?)
    }
}

/// Reads a message about a route or a rule; `None` for one that takes nothing of ours away, and for bytes that
/// are none.
#[must_use]
pub fn read(message: &Message<'_>) -> Option<Event> {
    events::read(message)
}

/// A whole message (RFC 3549 section 2.2), padded so that another one can follow.
fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Result<Vec<u8>, NetlinkError> {
    const HEADER: usize = 16;
    let length =
        u32::try_from(HEADER.saturating_add(body.len())).map_err(|_| NetlinkError::Unwritable)?;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(bytes)
}

/// The kernel's answer to one change.
pub type Outcome = Result<(), Refusal>;

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel says so.
    Kernel(Errno),
    /// It was not asked for.
    Unready(Unready),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(errno) => f.write_str(errno.desc()),
            Self::Unready(Unready::Missing(name)) => {
                write!(f, "interface {name} does not exist")
            }
            Self::Unready(Unready::Unwritable) => f.write_str("it does not fit a netlink message"),
        }
    }
}
