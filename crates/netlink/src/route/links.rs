//! Links of our own: what the kernel says of how a link is made and set, and the requests that make, change and
//! remove one. The VRRP process makes VMACs and ipvlans of it.

use std::collections::BTreeMap;

use kr_model::own_link::{Hardware, IpvlanMode};
use kr_model::units::{IfIndex, IfName};
use nix::errno::Errno;

use super::requests::Requests;
use super::{Event, Link, decode};
use crate::exchange;
use crate::fib::attribute::{Attributes, attributes, number};
use crate::socket::NetlinkError;

const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const EXCL: u16 = 0x200;
const CREATE: u16 = 0x400;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_LINK_NETNSID: u16 = 37;

const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const MACVLAN_MODE: u16 = 1;
/// `MACVLAN_MODE_PRIVATE`.
const PRIVATE: u32 = 1;
const IPVLAN_MODE: u16 = 1;
const IPVLAN_FLAGS: u16 = 2;

const INET: u16 = 2;
const INET_CONF: u16 = 1;
const INET6: u16 = 10;
const INET6_CONF: u16 = 2;
const INET6_ADDR_GEN_MODE: u16 = 8;
/// `IN6_ADDR_GEN_MODE_NONE`.
const GENERATE_NONE: u8 = 1;
/// Places in the table of IPv6 settings.
const INET6_ACCEPT_RA: usize = 3;
const INET6_DISABLE: usize = 26;

/// `IFF_UP`.
const UP: u32 = 1;

/// Marks an attribute that holds others.
const NESTED: u16 = 0x8000;

/// How a link is made and set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkDetail {
    /// The link of the same namespace that it is above of.
    pub below: Option<IfIndex>,
    /// The bridge, bond or VRF device that it is part of.
    pub master: Option<IfIndex>,
    /// Its group.
    pub group: u32,
    /// Its alias, which is free text.
    pub alias: Option<String>,
    /// What it is.
    pub kind: LinkKind,
    /// It is set up, with or without a carrier.
    pub enabled: bool,
    /// It makes no link-local address for itself (`addr_gen_mode` none).
    pub no_link_local: bool,
    /// Settings of IPv4 (`net.ipv4.conf.NAME`).
    pub inet: BTreeMap<InetSetting, i32>,
    /// IPv6 is switched off (`net.ipv6.conf.NAME.disable_ipv6`).
    pub inet6_off: bool,
    /// Addresses come from router advertisements (`net.ipv6.conf.NAME.accept_ra`).
    pub accepts_routers: bool,
}

/// Kinds of link that matter here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkKind {
    /// Any other one.
    #[default]
    Other,
    /// A macvlan.
    Macvlan {
        /// In private mode.
        private: bool,
    },
    /// An ipvlan.
    Ipvlan {
        /// Its mode on layer 2; `None` for layer 3.
        mode: Option<IpvlanMode>,
    },
}

/// A setting of IPv4, by its number (`IPV4_DEVCONF_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InetSetting {
    /// `rp_filter`.
    RpFilter,
    /// `arp_filter`.
    ArpFilter,
    /// `arp_ignore`.
    ArpIgnore,
    /// `promote_secondaries`.
    PromoteSecondaries,
    /// `accept_local`.
    AcceptLocal,
}

impl InetSetting {
    const ALL: [Self; 5] = [
        Self::RpFilter,
        Self::ArpFilter,
        Self::ArpIgnore,
        Self::PromoteSecondaries,
        Self::AcceptLocal,
    ];

    /// Its name under `net.ipv4.conf.NAME`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RpFilter => "rp_filter",
            Self::ArpFilter => "arp_filter",
            Self::ArpIgnore => "arp_ignore",
            Self::PromoteSecondaries => "promote_secondaries",
            Self::AcceptLocal => "accept_local",
        }
    }

    const fn number(self) -> u16 {
        match self {
            Self::RpFilter => 8,
            Self::ArpFilter => 13,
            Self::ArpIgnore => 19,
            Self::PromoteSecondaries => 20,
            Self::AcceptLocal => 23,
        }
    }
}

/// A link to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// Its name.
    pub name: IfName,
    /// The link below.
    pub below: IfIndex,
    /// What it is.
    pub kind: NewLinkKind,
    /// Its group.
    pub group: u32,
    /// The VRF device that it is part of.
    pub master: Option<IfIndex>,
}

/// What a new link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewLinkKind {
    /// A macvlan in private mode.
    Macvlan {
        /// Its MAC.
        hardware: Hardware,
    },
    /// An ipvlan on layer 2.
    Ipvlan {
        /// Its mode.
        mode: IpvlanMode,
    },
}

/// What to change of a link; what is not said stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Its group.
    pub group: Option<u32>,
    /// What it is part of; the inner `None` is nothing.
    pub master: Option<Option<IfIndex>>,
    /// Its alias.
    pub alias: Option<String>,
    /// A macvlan gets private mode.
    pub private: bool,
    /// It makes no link-local address.
    pub no_link_local: bool,
    /// Settings of IPv4.
    pub inet: BTreeMap<InetSetting, i32>,
}

impl LinkSettings {
    /// True when nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A change of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// Make one, which is down.
    Make(NewLink),
    /// Change one.
    Set(IfIndex, LinkSettings),
    /// Set one up.
    Enable(IfIndex),
    /// Remove one.
    Remove(IfIndex),
}

impl LinkChange {
    /// The request for the change, which the kernel answers under `sequence`.
    ///
    /// # Errors
    /// [`NetlinkError::Unwritable`] when it does not fit a message.
    pub fn request(&self, sequence: u32) -> Result<Vec<u8>, NetlinkError> {
        match self {
            Self::Make(new) => {
                let body = new.attributes()?;
                message(NEW_LINK, CREATE | EXCL, sequence, Target::default(), body)
            }
            Self::Set(link, settings) => {
                // Only this kind of request changes the mode of a macvlan, too.
                let body = settings.attributes()?;
                let kind = if settings.private { NEW_LINK } else { SET_LINK };
                message(kind, 0, sequence, Target::of(*link), body)
            }
            Self::Enable(link) => {
                let target = Target {
                    flags: UP,
                    ..Target::of(*link)
                };
                message(SET_LINK, 0, sequence, target, Attributes::default())
            }
            Self::Remove(link) => message(
                DEL_LINK,
                0,
                sequence,
                Target::of(*link),
                Attributes::default(),
            ),
        }
    }
}

impl NewLink {
    fn attributes(&self) -> Result<Attributes, NetlinkError> {
        let mut all = Attributes::default();
        all.put_text(IFLA_IFNAME, self.name.as_str())?;
        all.put(IFLA_LINK, &self.below.get().to_ne_bytes())?;
        if let NewLinkKind::Macvlan { hardware } = self.kind {
            all.put(IFLA_ADDRESS, &hardware)?;
        }
        all.put(IFLA_GROUP, &self.group.to_ne_bytes())?;
        all.put_some(
            IFLA_MASTER,
            self.master.map(|master| master.get().to_ne_bytes()),
        )?;
        let mut data = Attributes::default();
        let kind = match self.kind {
            NewLinkKind::Macvlan { .. } => {
                data.put(MACVLAN_MODE, &PRIVATE.to_ne_bytes())?;
                "macvlan"
            }
            NewLinkKind::Ipvlan { mode } => {
                // Layer 2 is mode 0.
                data.put(IPVLAN_MODE, &0_u16.to_ne_bytes())?;
                data.put(IPVLAN_FLAGS, &ipvlan_flags(mode).to_ne_bytes())?;
                "ipvlan"
            }
        };
        put_info(&mut all, kind, data)?;
        Ok(all)
    }
}

impl LinkSettings {
    fn attributes(&self) -> Result<Attributes, NetlinkError> {
        let mut all = Attributes::default();
        all.put_some(IFLA_GROUP, self.group.map(u32::to_ne_bytes))?;
        let master = self.master.map(|master| master.map_or(0, IfIndex::get));
        all.put_some(IFLA_MASTER, master.map(u32::to_ne_bytes))?;
        if let Some(alias) = &self.alias {
            all.put(IFLA_IFALIAS, alias.as_bytes())?;
        }
        if self.private {
            let mut data = Attributes::default();
            data.put(MACVLAN_MODE, &PRIVATE.to_ne_bytes())?;
            put_info(&mut all, "macvlan", data)?;
        }
        let mut families = Attributes::default();
        if !self.inet.is_empty() {
            let mut table = Attributes::default();
            for (setting, value) in &self.inet {
                table.put(setting.number(), &value.to_ne_bytes())?;
            }
            let mut inet = Attributes::default();
            inet.put(INET_CONF | NESTED, &table.into_bytes())?;
            families.put(INET | NESTED, &inet.into_bytes())?;
        }
        if self.no_link_local {
            let mut inet6 = Attributes::default();
            inet6.put(INET6_ADDR_GEN_MODE, &[GENERATE_NONE])?;
            families.put(INET6 | NESTED, &inet6.into_bytes())?;
        }
        let families = families.into_bytes();
        if !families.is_empty() {
            all.put(IFLA_AF_SPEC | NESTED, &families)?;
        }
        Ok(all)
    }
}

impl Requests {
    /// Makes a change of a link.
    ///
    /// # Errors
    /// What the kernel says; [`NetlinkError::Os`] holds the reason of a refusal.
    pub fn change_link(&mut self, change: &LinkChange) -> Result<(), NetlinkError> {
        let sequence = self.socket().next_sequence();
        let request = change.request(sequence)?;
        self.socket().send(&request)?;
        let mut answers = exchange::answers(self.socket(), 1)?;
        let answer = answers.remove(&sequence).ok_or(NetlinkError::Unanswered)?;
        match (change, answer) {
            // Somebody else removed it before us, or it went with the link below.
            (LinkChange::Remove(_), Err(Errno::ENODEV)) => Ok(()),
            (_, answer) => Ok(answer?),
        }
    }

    /// A link as it is now.
    ///
    /// # Errors
    /// What the kernel says, [`Errno::ENODEV`] when there is none of that name.
    pub fn link(&mut self, name: &IfName) -> Result<Link, NetlinkError> {
        let sequence = self.socket().next_sequence();
        let mut wanted = Attributes::default();
        wanted.put_text(IFLA_IFNAME, name.as_str())?;
        let request = message(GET_LINK, 0, sequence, Target::default(), wanted)?;
        self.socket().send(&request)?;
        exchange::object(self.socket(), sequence, |message| {
            match decode::event(message)? {
                Event::Link(link) => Some(link),
                Event::LinkGone(_)
                | Event::Address(_)
                | Event::AddressGone(_)
                | Event::Forwarding { .. } => None,
            }
        })
    }

    /// The setting of IPv4 that holds for all links at least (`net.ipv4.conf.all.rp_filter`).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn rp_filter_of_all(&mut self) -> Result<i32, NetlinkError> {
        const GET_NETCONF: u16 = 82;
        const NETCONFA_IFINDEX: u16 = 1;
        const NETCONFA_RP_FILTER: u16 = 3;
        /// `NETCONFA_IFINDEX_ALL`.
        const ALL: i32 = -1;
        let sequence = self.socket().next_sequence();
        let mut wanted = Attributes::default();
        wanted.put(NETCONFA_IFINDEX, &ALL.to_ne_bytes())?;
        // `struct netconfmsg` is the family alone, padded.
        let body = [vec![2, 0, 0, 0], wanted.into_bytes()].concat();
        let request = frame(GET_NETCONF, REQUEST | ACK, sequence, &body)?;
        self.socket().send(&request)?;
        exchange::object(self.socket(), sequence, |message| {
            let mut all = attributes(message.body.get(4..)?);
            let value = all.find_map(|(kind, value)| (kind == NETCONFA_RP_FILTER).then_some(value));
            i32::try_from(number(value?)?).ok()
        })
    }
}

/// Takes an attribute of a link message over; others are left.
pub(super) fn read(detail: &mut LinkDetail, kind: u16, value: &[u8]) {
    let index = |value| IfIndex::try_from(u64::from(number(value)?)).ok();
    match kind {
        IFLA_LINK => detail.below = index(value),
        IFLA_MASTER => detail.master = index(value),
        IFLA_GROUP => detail.group = number(value).unwrap_or_default(),
        IFLA_IFALIAS => detail.alias = decode::text(value),
        IFLA_LINKINFO => detail.kind = kind_of(value).unwrap_or_default(),
        IFLA_AF_SPEC => {
            for (family, value) in attributes(value) {
                match family {
                    INET => detail.inet = inet_settings(value),
                    INET6 => read_inet6(detail, value),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// After the last attribute: the link below of one whose other end is in another namespace has no meaning here.
pub(super) fn is_foreign(kind: u16) -> bool {
    kind == IFLA_LINK_NETNSID
}

fn kind_of(info: &[u8]) -> Option<LinkKind> {
    let find =
        |wanted| attributes(info).find_map(|(kind, value)| (kind == wanted).then_some(value));
    let data = find(INFO_DATA).unwrap_or_default();
    let datum =
        |wanted| attributes(data).find_map(|(kind, value)| (kind == wanted).then_some(value));
    let short = |value: &[u8]| value.try_into().ok().map(u16::from_ne_bytes);
    match decode::text(find(INFO_KIND)?)?.as_str() {
        "macvlan" => Some(LinkKind::Macvlan {
            private: datum(MACVLAN_MODE).and_then(number) == Some(PRIVATE),
        }),
        "ipvlan" => {
            let flags = datum(IPVLAN_FLAGS).and_then(short).unwrap_or_default();
            let layer2 = datum(IPVLAN_MODE).and_then(short) == Some(0);
            let modes = [IpvlanMode::Bridge, IpvlanMode::Private, IpvlanMode::Vepa];
            let mode = modes.into_iter().find(|mode| ipvlan_flags(*mode) == flags);
            Some(LinkKind::Ipvlan {
                mode: mode.filter(|_| layer2),
            })
        }
        _ => None,
    }
}

/// The settings are a table of numbers, counted from 1.
fn inet_settings(value: &[u8]) -> BTreeMap<InetSetting, i32> {
    let table = attributes(value).find_map(|(kind, value)| (kind == INET_CONF).then_some(value));
    let table = table.unwrap_or_default();
    InetSetting::ALL
        .into_iter()
        .filter_map(|setting| {
            let place = usize::from(setting.number()).checked_sub(1)?;
            Some((setting, entry(table, place)?))
        })
        .collect()
}

fn read_inet6(detail: &mut LinkDetail, value: &[u8]) {
    for (kind, value) in attributes(value) {
        match kind {
            INET6_ADDR_GEN_MODE => detail.no_link_local = value == [GENERATE_NONE],
            INET6_CONF => {
                detail.inet6_off = entry(value, INET6_DISABLE).is_some_and(|off| off != 0);
                detail.accepts_routers = entry(value, INET6_ACCEPT_RA).is_some_and(|on| on != 0);
            }
            _ => {}
        }
    }
}

fn entry(table: &[u8], place: usize) -> Option<i32> {
    let start = place.checked_mul(4)?;
    let bytes = table.get(start..start.checked_add(4)?)?;
    bytes.try_into().ok().map(i32::from_ne_bytes)
}

const fn ipvlan_flags(mode: IpvlanMode) -> u16 {
    match mode {
        IpvlanMode::Bridge => 0,
        IpvlanMode::Private => 1,
        IpvlanMode::Vepa => 2,
    }
}

fn put_info(all: &mut Attributes, kind: &str, data: Attributes) -> Result<(), NetlinkError> {
    let mut info = Attributes::default();
    info.put(INFO_KIND, kind.as_bytes())?;
    info.put(INFO_DATA | NESTED, &data.into_bytes())?;
    all.put(IFLA_LINKINFO | NESTED, &info.into_bytes())
}

/// Which link a request is about, and its flags.
#[derive(Debug, Clone, Copy, Default)]
struct Target {
    index: u32,
    /// Flags that are set.
    flags: u32,
}

impl Target {
    const fn of(link: IfIndex) -> Self {
        Self {
            index: link.get(),
            flags: 0,
        }
    }
}

fn message(
    kind: u16,
    flags: u16,
    sequence: u32,
    target: Target,
    attributes: Attributes,
) -> Result<Vec<u8>, NetlinkError> {
    // `struct ifinfomsg`: no family and no type, the index, flags and which of them to change.
    let mut body = vec![0; 4];
    for word in [target.index, target.flags, target.flags] {
        body.extend(word.to_ne_bytes());
    }
    body.extend(attributes.into_bytes());
    frame(kind, REQUEST | ACK | flags, sequence, &body)
}

fn frame(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Result<Vec<u8>, NetlinkError> {
    const HEADER: usize = 16;
    let length = u32::try_from(HEADER.saturating_add(body.len()));
    let mut bytes = length
        .map_err(|_| NetlinkError::Unwritable)?
        .to_ne_bytes()
        .to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
