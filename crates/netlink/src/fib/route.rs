//! Routes as rtnetlink has them (rtnetlink(7), `RTM_NEWROUTE`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use kr_model::net::{Cidr, Family};
use kr_model::route::{
    CONGESTION_NUMBER, Encapsulation, Hop, Metrics, Path, Placement, Route, Table, Tunnel,
};
use kr_model::units::{HopWeight, IfIndex, IfName};

use super::attribute::{Attributes, attributes, number};
use super::{Names, Unready};
use crate::socket::NetlinkError;

const DST: u16 = 1;
const SRC: u16 = 2;
const OIF: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const PREFSRC: u16 = 7;
const METRICS: u16 = 8;
const MULTIPATH: u16 = 9;
const FLOW: u16 = 11;
const TABLE: u16 = 15;
const PREF: u16 = 20;
const ENCAP_TYPE: u16 = 21;
const ENCAP: u16 = 22;
const EXPIRES: u16 = 23;
const TTL_PROPAGATE: u16 = 26;

/// `RTAX_LOCK`: which of the metrics are locked, one bit each.
const METRIC_LOCK: u16 = 1;
/// `RTNH_F_ONLINK`.
const ONLINK: u8 = 4;
/// `LWTUNNEL_IP_FLAGS`.
const TUNNEL_FLAGS: u16 = 6;
/// Length of `struct rtmsg`.
const HEADER: usize = 12;
/// Length of `struct rtnexthop`.
const NEXT_HOP: usize = 8;
/// The metric of an IPv6 route that gives none (`IP6_RT_PRIO_USER`).
const IPV6_METRIC: u32 = 1024;
/// What a nested attribute is marked with (`NLA_F_NESTED`).
const NESTED: u16 = 0x8000;

/// `AF_INET` and `AF_INET6`.
pub(super) const fn family_number(family: Family) -> u8 {
    match family {
        Family::Inet => 2,
        Family::Inet6 => 10,
    }
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The prefix of an attribute, which is left out when it holds every address.
pub(super) fn put_prefix(
    into: &mut Attributes,
    kind: u16,
    prefix: Option<Cidr>,
) -> Result<(), NetlinkError> {
    match prefix.filter(|prefix| prefix.prefix() > 0) {
        Some(prefix) => into.put(kind, &octets(prefix.address())),
        None => Ok(()),
    }
}

/// The body of the message that sets the route, or removes exactly it.
pub(super) fn body(route: &Route, names: &impl Names) -> Result<Vec<u8>, Unready> {
    let table = match &route.table {
        Table::Number(number) => *number,
        Table::Vrf(name) => names
            .vrf_table(name)
            .ok_or_else(|| Unready::Missing(name.clone()))?,
    };
    let (onlink, single) = match &route.path {
        Path::Single(hop) => (if hop.onlink { ONLINK } else { 0 }, Some(hop)),
        Path::Multiple(_) => (0, None),
    };
    let mut bytes = vec![
        family_number(route.family()),
        route.destination.prefix(),
        route.source.map_or(0, Cidr::prefix),
        route.tos,
        // The old field holds small numbers only; the attribute holds all.
        u8::try_from(table).unwrap_or(0),
        route.protocol,
        route.scope,
        route.kind.number(),
    ];
    bytes.extend(u32::from(onlink).to_ne_bytes());
    let mut all = Attributes::default();
    put_prefix(&mut all, DST, Some(route.destination))?;
    put_prefix(&mut all, SRC, route.source)?;
    all.put(TABLE, &table.to_ne_bytes())?;
    if let Some(source) = route.preferred_source {
        all.put(PREFSRC, &octets(source))?;
    }
    all.put_some(PRIORITY, route.metric.map(u32::to_ne_bytes))?;
    if let Some(hop) = single {
        put_hop(&mut all, hop)?;
        if let Some(link) = index(hop, names)? {
            all.put(OIF, &link.get().to_ne_bytes())?;
        }
    }
    if let Path::Multiple(hops) = &route.path {
        all.put(MULTIPATH, &next_hops(hops, names)?)?;
    }
    put_metrics(&mut all, &route.metrics)?;
    let seconds = route
        .expires
        .map(|time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    all.put_some(EXPIRES, seconds.map(u32::to_ne_bytes))?;
    all.put_some(PREF, route.preference.map(|number| [number]))?;
    all.put_some(TTL_PROPAGATE, route.ttl_propagate.map(|on| [u8::from(on)]))?;
    bytes.extend(all.into_bytes());
    Ok(bytes)
}

/// Flags of the request: what happens when there is a route to the same destination.
pub(super) const fn placement_flags(placement: Placement) -> u16 {
    const EXCL: u16 = 0x200;
    const CREATE: u16 = 0x400;
    const APPEND: u16 = 0x800;
    match placement {
        Placement::Prepend => CREATE,
        Placement::Append => CREATE | APPEND,
        Placement::Alone => CREATE | EXCL,
    }
}

fn index(hop: &Hop, names: &impl Names) -> Result<Option<IfIndex>, Unready> {
    let Some(name) = &hop.device else {
        return Ok(None);
    };
    let found = names.index(name);
    found
        .map(Some)
        .ok_or_else(|| Unready::Missing(IfName::clone(name)))
}

/// Gateway, realms and encapsulation.
fn put_hop(into: &mut Attributes, hop: &Hop) -> Result<(), NetlinkError> {
    if let Some(gateway) = hop.gateway {
        into.put(GATEWAY, &octets(gateway))?;
    }
    into.put_some(FLOW, hop.realms.map(u32::to_ne_bytes))?;
    if let Some(encapsulation) = &hop.encapsulation {
        let (kind, value) = wrapped(encapsulation)?;
        into.put(ENCAP_TYPE, &kind.to_ne_bytes())?;
        into.put(NESTED | ENCAP, &value)?;
    }
    Ok(())
}

fn next_hops(hops: &[(HopWeight, Hop)], names: &impl Names) -> Result<Vec<u8>, Unready> {
    let mut bytes = Vec::new();
    for (weight, hop) in hops {
        let mut inner = Attributes::default();
        put_hop(&mut inner, hop)?;
        let inner = inner.into_bytes();
        let length = u16::try_from(NEXT_HOP.saturating_add(inner.len()))
            .map_err(|_| NetlinkError::Unwritable)?;
        let link = index(hop, names)?.map_or(0, IfIndex::get);
        // The kernel counts the weight from 0.
        let weight = u8::try_from(weight.get().saturating_sub(1)).unwrap_or(u8::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend([if hop.onlink { ONLINK } else { 0 }, weight]);
        bytes.extend(link.to_ne_bytes());
        bytes.extend(inner);
    }
    Ok(bytes)
}

fn put_metrics(into: &mut Attributes, metrics: &Metrics) -> Result<(), NetlinkError> {
    let mut inner = Attributes::default();
    let mut locks = 0_u32;
    let mut lock = |number: u16, locked: bool| {
        if locked {
            locks |= 1_u32.checked_shl(number.into()).unwrap_or(0);
        }
    };
    for (metric, value) in &metrics.values {
        lock(metric.number(), value.locked);
        inner.put(metric.number(), &value.value.to_ne_bytes())?;
    }
    if let Some((name, locked)) = &metrics.congestion {
        lock(CONGESTION_NUMBER, *locked);
        inner.put_text(CONGESTION_NUMBER, name)?;
    }
    if locks != 0 {
        inner.put(METRIC_LOCK, &locks.to_ne_bytes())?;
    }
    let inner = inner.into_bytes();
    if inner.is_empty() {
        return Ok(());
    }
    into.put(NESTED | METRICS, &inner)
}

/// `LWTUNNEL_ENCAP_*` and the attributes of the encapsulation.
fn wrapped(encapsulation: &Encapsulation) -> Result<(u16, Vec<u8>), NetlinkError> {
    let mut inner = Attributes::default();
    let kind = match encapsulation {
        Encapsulation::Mpls(labels) => {
            inner.put(1, &label_stack(labels))?;
            1
        }
        Encapsulation::Ip(tunnel) => {
            put_tunnel(&mut inner, tunnel)?;
            2
        }
        Encapsulation::Ila(locator) => {
            inner.put(1, &locator.to_be_bytes())?;
            3
        }
        Encapsulation::Ip6(tunnel) => {
            put_tunnel(&mut inner, tunnel)?;
            4
        }
    };
    Ok((kind, inner.into_bytes()))
}

/// `LWTUNNEL_IP_*` and `LWTUNNEL_IP6_*`, which have the same numbers.
fn put_tunnel<A: Copy + Into<IpAddr>>(
    into: &mut Attributes,
    tunnel: &Tunnel<A>,
) -> Result<(), NetlinkError> {
    into.put_some(1, tunnel.id.map(u64::to_be_bytes))?;
    if let Some(address) = tunnel.destination {
        into.put(2, &octets(address.into()))?;
    }
    if let Some(address) = tunnel.source {
        into.put(3, &octets(address.into()))?;
    }
    into.put_some(4, tunnel.hop_limit.map(|number| [number]))?;
    into.put_some(5, tunnel.traffic_class.map(|number| [number]))?;
    into.put_some(6, tunnel.flags.map(u16::to_be_bytes))
}

/// RFC 3032 section 2.1: label, traffic class, bottom of the stack, TTL.
fn label_stack(labels: &[u32]) -> Vec<u8> {
    let last = labels.len().saturating_sub(1);
    let entry = |(place, label): (usize, &u32)| {
        let bottom = if place == last { 0x100 } else { 0 };
        (label.checked_shl(12).unwrap_or(0) | bottom).to_be_bytes()
    };
    labels.iter().enumerate().flat_map(entry).collect()
}

/// What tells a route of the kernel from others, and what it is like: read from a message of ours or of the
/// kernel, without what the kernel adds by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEntry {
    key: RouteKey,
    tos: u8,
    kind: u8,
    protocol: u8,
    scope: u8,
    source: Option<(u8, Vec<u8>)>,
    priority: u32,
    preferred_source: Option<Vec<u8>>,
    metrics: BTreeMap<u16, Vec<u8>>,
    preference: u8,
    hops: Vec<HopEntry>,
}

/// Family, table and destination of a route: what an event is recognised by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    family: u8,
    table: u32,
    prefix: u8,
    destination: Vec<u8>,
}

/// One way of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct HopEntry {
    gateway: Option<Vec<u8>>,
    link: Option<u32>,
    onlink: bool,
    weight: u8,
    flow: Option<u32>,
    encapsulation: Option<(u16, BTreeMap<u16, Vec<u8>>)>,
}

impl RouteEntry {
    /// Reads the body of a message; `None` when it is none of a route.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let (header, rest) = body.split_first_chunk::<HEADER>()?;
        let [
            family,
            prefix,
            source_prefix,
            tos,
            table,
            protocol,
            scope,
            kind,
            flags,
            _,
            _,
            _,
        ] = *header;
        let mut entry = Self {
            key: RouteKey {
                family,
                table: table.into(),
                prefix,
                destination: Vec::new(),
            },
            tos,
            kind,
            protocol,
            scope,
            source: None,
            priority: 0,
            preferred_source: None,
            metrics: BTreeMap::new(),
            preference: 0,
            hops: Vec::new(),
        };
        let mut single = HopEntry {
            onlink: flags & ONLINK != 0,
            ..HopEntry::default()
        };
        for (attribute, value) in attributes(rest) {
            match attribute {
                DST if prefix > 0 => entry.key.destination = value.to_vec(),
                SRC if source_prefix > 0 => entry.source = Some((source_prefix, value.to_vec())),
                TABLE => entry.key.table = number(value)?,
                PRIORITY => entry.priority = number(value)?,
                PREFSRC => entry.preferred_source = Some(value.to_vec()),
                PREF => entry.preference = *value.first()?,
                METRICS => entry.metrics = read_metrics(value),
                MULTIPATH => entry.hops = read_hops(value)?,
                _ => single.read_attribute(attribute, value),
            }
        }
        if family == family_number(Family::Inet6) {
            entry.scope = 0;
            if entry.priority == 0 {
                entry.priority = IPV6_METRIC;
            }
        }
        if entry.hops.is_empty() {
            entry.hops.push(single);
        }
        Some(entry)
    }

    /// Family, table and destination.
    #[must_use]
    pub const fn key(&self) -> &RouteKey {
        &self.key
    }

    /// The protocol number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// The links that it leads out of, as far as it names them.
    pub fn links(&self) -> impl Iterator<Item = u32> {
        self.hops.iter().filter_map(|hop| hop.link)
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> u32 {
        self.key.table
    }

    /// True when the kernel's route `found` is what setting this one gives. What this one leaves open the
    /// kernel may have filled in. The kernel joins IPv6 routes to one destination into one with several ways,
    /// so of those `found` may have more.
    #[must_use]
    pub fn is_held_by(&self, found: &Self) -> bool {
        let all = |hops: &[HopEntry], others: &[HopEntry], several: bool| {
            hops.iter()
                .all(|hop| others.iter().any(|other| hop.fits(other, several)))
        };
        let several = self.hops.len() > 1;
        let same_count = self.hops.len() == found.hops.len();
        self.key == found.key
            && self.tos == found.tos
            && self.kind == found.kind
            && self.protocol == found.protocol
            && self.scope == found.scope
            && self.source == found.source
            && self.priority == found.priority
            && self.preferred_source == found.preferred_source
            && self.metrics == found.metrics
            && self.preference == found.preference
            && (same_count || self.key.family == family_number(Family::Inet6))
            && all(&self.hops, &found.hops, several)
    }
}

impl HopEntry {
    fn read_attribute(&mut self, attribute: u16, value: &[u8]) {
        match attribute {
            OIF => self.link = number(value),
            GATEWAY => self.gateway = Some(value.to_vec()),
            FLOW => self.flow = number(value),
            ENCAP_TYPE => {
                let kind = value.try_into().map(u16::from_ne_bytes).unwrap_or(0);
                self.encapsulation.get_or_insert_default().0 = kind;
            }
            ENCAP => {
                let inner = attributes(value).map(|(kind, value)| (kind, value.to_vec()));
                self.encapsulation.get_or_insert_default().1 = inner.collect();
            }
            _ => {}
        }
    }

    /// True when `found` is this way, with what the kernel fills in.
    fn fits(&self, found: &Self, several: bool) -> bool {
        let wrapped = match (&self.encapsulation, &found.encapsulation) {
            (None, None) => true,
            (Some((kind, wanted)), Some((found_kind, found))) => {
                // The kernel shows only the tunnel flags that it knows.
                let mut wanted = wanted.iter().filter(|(number, _)| **number != TUNNEL_FLAGS);
                kind == found_kind && wanted.all(|(number, value)| found.get(number) == Some(value))
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        wrapped
            && self.gateway == found.gateway
            && (self.link.is_none() || self.link == found.link)
            && self.onlink == found.onlink
            && (!several || self.weight == found.weight)
            && self.flow == found.flow
    }
}

fn read_metrics(value: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    attributes(value)
        .map(|(kind, value)| {
            let length = if kind == CONGESTION_NUMBER {
                value.iter().position(|byte| *byte == 0)
            } else {
                None
            };
            let value = value.get(..length.unwrap_or(value.len()));
            (kind, value.unwrap_or_default().to_vec())
        })
        .collect()
}

fn read_hops(mut bytes: &[u8]) -> Option<Vec<HopEntry>> {
    let mut hops = Vec::new();
    while let Some(header) = bytes.first_chunk::<NEXT_HOP>() {
        let [l0, l1, flags, weight, i0, i1, i2, i3] = *header;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let mut hop = HopEntry {
            link: Some(u32::from_ne_bytes([i0, i1, i2, i3])).filter(|index| *index != 0),
            onlink: flags & ONLINK != 0,
            weight,
            ..HopEntry::default()
        };
        for (attribute, value) in attributes(bytes.get(NEXT_HOP..length)?) {
            hop.read_attribute(attribute, value);
        }
        hops.push(hop);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(hops)
}
