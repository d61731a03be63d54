//! A route of `virtual_routes` or `static_routes`: complete, with every name resolved to its number.
//!
//! Made by the configuration reader, put into the kernel by the VRRP process. Two routes that are equal
//! mean the same kernel object. [`fmt::Display`] gives a route in the words of `ip route`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::net::{Cidr, Family};
use crate::units::{HopWeight, IfName};

/// `RTPROT_KEEPALIVED`: the protocol number that marks routes and rules as set by keepalived and by us.
pub const PROTOCOL_KEEPALIVED: u8 = 18;

/// `RT_TABLE_MAIN`.
pub const TABLE_MAIN: u32 = 254;

/// One line of `virtual_routes` or `static_routes`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route {
    /// What happens to packets that take it.
    pub kind: RouteKind,
    /// Packets to where.
    pub destination: Cidr,
    /// `from`: packets from where, IPv6 only.
    pub source: Option<Cidr>,
    /// `src`: the source address of packets that begin here.
    pub preferred_source: Option<IpAddr>,
    /// `tos` or `dsfield`, IPv4 only.
    pub tos: u8,
    /// `table`, or the table of a `vrf`.
    pub table: Table,
    /// `protocol`: who says to have set it; [`PROTOCOL_KEEPALIVED`] while it is tracked.
    pub protocol: u8,
    /// `scope` as the kernel's number: 0 global, 200 site, 253 link, 254 host, 255 nowhere.
    pub scope: u8,
    /// `metric`; `None` is the kernel's default, 0 for IPv4 and 1024 for IPv6.
    pub metric: Option<u32>,
    /// Where packets go next.
    pub path: Path,
    /// Metrics of the connections that use it.
    pub metrics: Metrics,
    /// `expires`: how long the kernel keeps it, IPv6 only.
    pub expires: Option<Duration>,
    /// `pref` (RFC 4191) as the kernel's number: 0 medium, 1 high, 3 low; IPv6 only.
    pub preference: Option<u8>,
    /// `ttl-propagate`: the MPLS TTL follows that of the packet.
    pub ttl_propagate: Option<bool>,
    /// Where it stands among routes to the same destination.
    pub placement: Placement,
    /// False with `no_track`: nobody looks whether it is still there.
    pub tracked: bool,
}

impl Route {
    /// The family of its destination.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.destination.family()
    }

    /// Every interface that it names.
    pub fn devices(&self) -> impl Iterator<Item = &IfName> {
        self.path.hops().filter_map(|hop| hop.device.as_ref())
    }
}

/// What happens to packets that take a route (`rtm_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each name is the configuration's own word")]
pub enum RouteKind {
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
    Nat,
    Xresolve,
}

impl RouteKind {
    /// Every kind with its word and the kernel's number.
    pub const ALL: [(Self, &'static str, u8); 11] = [
        (Self::Unicast, "unicast", 1),
        (Self::Local, "local", 2),
        (Self::Broadcast, "broadcast", 3),
        (Self::Anycast, "anycast", 4),
        (Self::Multicast, "multicast", 5),
        (Self::Blackhole, "blackhole", 6),
        (Self::Unreachable, "unreachable", 7),
        (Self::Prohibit, "prohibit", 8),
        (Self::Throw, "throw", 9),
        (Self::Nat, "nat", 10),
        (Self::Xresolve, "xresolve", 11),
    ];

    /// The kind of a word; `brd` is `broadcast`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let word = if word == "brd" { "broadcast" } else { word };
        let mut all = Self::ALL.iter();
        all.find(|(_, known, _)| *known == word)
            .map(|(kind, ..)| *kind)
    }

    /// The kernel's number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.entry().2
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.entry().1
    }

    fn entry(self) -> (Self, &'static str, u8) {
        let mut all = Self::ALL.into_iter();
        all.find(|(kind, ..)| *kind == self)
            .unwrap_or((Self::Unicast, "unicast", 1))
    }
}

/// A routing table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Table {
    /// By its number.
    Number(u32),
    /// The table of this VRF device.
    Vrf(IfName),
}

/// Where the packets of a route go next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Path {
    /// One way, or none at all: a blackhole has neither gateway nor interface.
    Single(Hop),
    /// Several ways, taken as often as their weights say.
    Multiple(Vec<(HopWeight, Hop)>),
}

impl Path {
    /// Every way.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        let (single, multiple) = match self {
            Self::Single(hop) => (Some(hop), &[][..]),
            Self::Multiple(hops) => (None, hops.as_slice()),
        };
        single
            .into_iter()
            .chain(multiple.iter().map(|(_, hop)| hop))
    }
}

/// One way out.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hop {
    /// `via`.
    pub gateway: Option<IpAddr>,
    /// `dev`; `None` leaves it to the kernel to find the interface of the gateway.
    pub device: Option<IfName>,
    /// `onlink`: the gateway is reached although no route covers it.
    pub onlink: bool,
    /// `encap`.
    pub encapsulation: Option<Encapsulation>,
    /// `realms`: source realm in the upper half, destination realm in the lower one.
    pub realms: Option<u32>,
}

/// What packets are wrapped into on their way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Encapsulation {
    /// `encap ip`.
    Ip(Tunnel<Ipv4Addr>),
    /// `encap ip6`.
    Ip6(Tunnel<Ipv6Addr>),
    /// `encap mpls`: the labels, outermost first, each below 2^20.
    Mpls(Vec<u32>),
    /// `encap ila`: the locator.
    Ila(u64),
}

/// Settings of a tunnel; `None` is the kernel's default.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tunnel<A> {
    /// `id`.
    pub id: Option<u64>,
    /// `dst`.
    pub destination: Option<A>,
    /// `src`.
    pub source: Option<A>,
    /// `tos` (IPv4) or `tc` (IPv6).
    pub traffic_class: Option<u8>,
    /// `ttl` (IPv4) or `hoplimit` (IPv6).
    pub hop_limit: Option<u8>,
    /// `flags`.
    pub flags: Option<u16>,
}

impl<A> Default for Tunnel<A> {
    fn default() -> Self {
        Self {
            id: None,
            destination: None,
            source: None,
            traffic_class: None,
            hop_limit: None,
            flags: None,
        }
    }
}

/// Metrics of a route (`RTA_METRICS`).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Metrics {
    /// Those with a number, in the kernel's units.
    pub values: BTreeMap<Metric, MetricValue>,
    /// `congctl`: the congestion control algorithm, and whether it is locked.
    pub congestion: Option<(String, bool)>,
}

/// The value of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetricValue {
    /// In the kernel's unit.
    pub value: u32,
    /// `lock`: the kernel does not adapt it.
    pub locked: bool,
}

/// The kernel's number of the congestion control algorithm among the metrics (`RTAX_CC_ALGO`).
pub const CONGESTION_NUMBER: u16 = 16;

/// A metric with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each name is the configuration's own word")]
pub enum Metric {
    Mtu,
    Window,
    Rtt,
    Rttvar,
    Ssthresh,
    Cwnd,
    Advmss,
    Reordering,
    Hoplimit,
    Initcwnd,
    Features,
    RtoMin,
    Initrwnd,
    Quickack,
    FastopenNoCookie,
}

impl Metric {
    /// Every metric with its word and the kernel's number (`RTAX_*`).
    pub const ALL: [(Self, &'static str, u16); 15] = [
        (Self::Mtu, "mtu", 2),
        (Self::Window, "window", 3),
        (Self::Rtt, "rtt", 4),
        (Self::Rttvar, "rttvar", 5),
        (Self::Ssthresh, "ssthresh", 6),
        (Self::Cwnd, "cwnd", 7),
        (Self::Advmss, "advmss", 8),
        (Self::Reordering, "reordering", 9),
        (Self::Hoplimit, "hoplimit", 10),
        (Self::Initcwnd, "initcwnd", 11),
        (Self::Features, "features", 12),
        (Self::RtoMin, "rto_min", 13),
        (Self::Initrwnd, "initrwnd", 14),
        (Self::Quickack, "quickack", 15),
        (Self::FastopenNoCookie, "fastopen_no_cookie", 17),
    ];

    /// The metric of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, known, _)| *known == word)
            .map(|(metric, ..)| *metric)
    }

    /// The kernel's number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.entry().2
    }

    fn entry(self) -> (Self, &'static str, u16) {
        let mut all = Self::ALL.into_iter();
        all.find(|(metric, ..)| *metric == self)
            .unwrap_or((Self::Mtu, "mtu", 2))
    }
}

/// Where a route stands among those to the same destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Placement {
    /// Before them, the default.
    Prepend,
    /// Behind them.
    Append,
    /// Nowhere: it is refused while there is another one.
    Alone,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{} ", self.kind.word())?;
        }
        write_prefix(f, self.destination)?;
        if let Some(source) = self.source {
            f.write_str(" from ")?;
            write_prefix(f, source)?;
        }
        if self.tos != 0 {
            write!(f, " tos {:#04x}", self.tos)?;
        }
        if let Path::Single(hop) = &self.path {
            write!(f, "{hop}")?;
        }
        match &self.table {
            Table::Number(TABLE_MAIN) => {}
            Table::Number(number) => write!(f, " table {number}")?,
            Table::Vrf(name) => write!(f, " vrf {name}")?,
        }
        match self.scope {
            0 => {}
            253 => f.write_str(" scope link")?,
            254 => f.write_str(" scope host")?,
            other => write!(f, " scope {other}")?,
        }
        if let Some(source) = self.preferred_source {
            write!(f, " src {source}")?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        write!(f, "{}", self.metrics)?;
        if let Some(time) = self.expires {
            write!(f, " expires {}", time.as_secs())?;
        }
        match self.preference {
            None => {}
            Some(0) => f.write_str(" pref medium")?,
            Some(1) => f.write_str(" pref high")?,
            Some(3) => f.write_str(" pref low")?,
            Some(other) => write!(f, " pref {other}")?,
        }
        if let Some(on) = self.ttl_propagate {
            let word = if on { "enabled" } else { "disabled" };
            write!(f, " ttl-propagate {word}")?;
        }
        if let Path::Multiple(hops) = &self.path {
            for (weight, hop) in hops {
                write!(f, " nexthop{hop} weight {weight}")?;
            }
        }
        if self.tracked {
            Ok(())
        } else {
            f.write_str(" no_track")
        }
    }
}

/// A prefix as `ip` writes it: `default` for all addresses.
fn write_prefix(f: &mut fmt::Formatter<'_>, prefix: Cidr) -> fmt::Result {
    if prefix.prefix() == 0 {
        f.write_str(match prefix.family() {
            Family::Inet => "default",
            Family::Inet6 => "inet6 default",
        })
    } else {
        write!(f, "{prefix}")
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(encapsulation) = &self.encapsulation {
            write!(f, " encap {encapsulation}")?;
        }
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(device) = &self.device {
            write!(f, " dev {device}")?;
        }
        if self.onlink {
            f.write_str(" onlink")?;
        }
        match self.realms {
            Some(realms) => write!(f, " realms {}/{}", realms >> 16, realms & 0xffff),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(tunnel) => write_tunnel(f, "ip", "tos", "ttl", tunnel),
            Self::Ip6(tunnel) => write_tunnel(f, "ip6", "tc", "hoplimit", tunnel),
            Self::Mpls(labels) => {
                let labels: Vec<String> = labels.iter().map(u32::to_string).collect();
                write!(f, "mpls {}", labels.join("/"))
            }
            Self::Ila(locator) => {
                let [a, b, c, d, e, g, h, i] = locator.to_be_bytes();
                let groups = [[a, b], [c, d], [e, g], [h, i]].map(u16::from_be_bytes);
                let groups = groups.map(|group| format!("{group:x}"));
                write!(f, "ila {}", groups.join(":"))
            }
        }
    }
}

fn write_tunnel<A: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    class: &str,
    limit: &str,
    tunnel: &Tunnel<A>,
) -> fmt::Result {
    f.write_str(name)?;
    if let Some(id) = tunnel.id {
        write!(f, " id {id}")?;
    }
    if let Some(address) = &tunnel.source {
        write!(f, " src {address}")?;
    }
    if let Some(address) = &tunnel.destination {
        write!(f, " dst {address}")?;
    }
    if let Some(value) = tunnel.hop_limit {
        write!(f, " {limit} {value}")?;
    }
    if let Some(value) = tunnel.traffic_class {
        write!(f, " {class} {value}")?;
    }
    match tunnel.flags {
        Some(flags) => write!(f, " flags {flags:#x}"),
        None => Ok(()),
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (metric, MetricValue { value, locked }) in &self.values {
            let (_, word, _) = metric.entry();
            let lock = if *locked { "lock " } else { "" };
            if *metric == Metric::Features {
                f.write_str(" features ecn")?;
            } else {
                write!(f, " {word} {lock}{value}")?;
            }
        }
        match &self.congestion {
            Some((name, true)) => write!(f, " congctl lock {name}"),
            Some((name, false)) => write!(f, " congctl {name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route {
            kind: RouteKind::Unicast,
            destination: Cidr::new([10, 1, 0, 0].into(), 16).unwrap(),
            source: None,
            preferred_source: None,
            tos: 0,
            table: Table::Number(TABLE_MAIN),
            protocol: PROTOCOL_KEEPALIVED,
            scope: 0,
            metric: None,
            path: Path::Single(Hop {
                gateway: Some([10, 0, 0, 9].into()),
                device: Some(IfName::try_from("eth0".to_owned()).unwrap()),
                ..Hop::default()
            }),
            metrics: Metrics::default(),
            expires: None,
            preference: None,
            ttl_propagate: None,
            placement: Placement::Prepend,
            tracked: true,
        }
    }

    #[test]
    fn a_route_reads_like_a_line_of_ip_route() {
        assert_eq!(route().to_string(), "10.1.0.0/16 via 10.0.0.9 dev eth0");
        let mut many = route();
        let Path::Single(hop) = &route().path else {
            panic!("not single");
        };
        many.destination = Cidr::new([0; 16].into(), 0).unwrap();
        many.table = Table::Number(7);
        many.metric = Some(5);
        many.tracked = false;
        many.metrics.values.insert(
            Metric::Mtu,
            MetricValue {
                value: 1400,
                locked: true,
            },
        );
        many.path = Path::Multiple(vec![(HopWeight::try_from(2).unwrap(), hop.clone())]);
        assert_eq!(
            many.to_string(),
            "inet6 default table 7 metric 5 mtu lock 1400 nexthop via 10.0.0.9 dev eth0 weight 2 no_track"
        );
    }

    #[test]
    fn every_word_names_one_kind_and_one_metric() {
        for (kind, word, number) in RouteKind::ALL {
            assert_eq!(RouteKind::from_word(word), Some(kind));
            assert_eq!(kind.number(), number);
        }
        assert_eq!(RouteKind::from_word("brd"), Some(RouteKind::Broadcast));
        for (metric, word, number) in Metric::ALL {
            assert_eq!(Metric::from_word(word), Some(metric));
            assert_eq!(metric.number(), number);
        }
    }

    #[test]
    fn encapsulations_read_like_those_of_ip_route() {
        let tunnel = Tunnel {
            id: Some(5),
            destination: Some(Ipv4Addr::new(10, 0, 0, 7)),
            hop_limit: Some(9),
            flags: Some(0x10),
            ..Tunnel::default()
        };
        for (encapsulation, text) in [
            (
                Encapsulation::Ip(tunnel),
                "ip id 5 dst 10.0.0.7 ttl 9 flags 0x10",
            ),
            (Encapsulation::Mpls(vec![16, 17]), "mpls 16/17"),
            (
                Encapsulation::Ila(0x2001_0db8_0001_0000),
                "ila 2001:db8:1:0",
            ),
        ] {
            assert_eq!(encapsulation.to_string(), text);
        }
    }
}
