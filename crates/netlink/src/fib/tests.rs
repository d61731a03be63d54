use std::collections::BTreeMap;
use std::time::Duration;

use kr_model::net::{Cidr, Family};
use kr_model::route::{
    Encapsulation, Hop, Metric, MetricValue, Metrics, PROTOCOL_KEEPALIVED, Path, Placement, Route,
    RouteKind, Table, Tunnel,
};
use kr_model::rule::{Rule, RuleAction};
use kr_model::units::HopWeight;
use proptest::prelude::*;

use super::*;
use crate::socket::Message;

/// `eth0` is link 3; `vrf7` has table 7.
struct Links;

impl Names for Links {
    fn index(&self, name: &IfName) -> Option<IfIndex> {
        (name.as_str() == "eth0").then(|| IfIndex::try_from(3).unwrap())
    }

    fn vrf_table(&self, name: &IfName) -> Option<u32> {
        (name.as_str() == "vrf7").then_some(7)
    }
}

fn name(text: &str) -> IfName {
    IfName::try_from(text.to_owned()).unwrap()
}

fn prefix(text: &str) -> Cidr {
    let (address, length) = text.split_once('/').unwrap();
    Cidr::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

fn hop(gateway: &str, device: Option<&str>) -> Hop {
    Hop {
        gateway: Some(gateway.parse().unwrap()),
        device: device.map(name),
        ..Hop::default()
    }
}

fn route(destination: &str, hop: Hop) -> Route {
    Route {
        kind: RouteKind::Unicast,
        destination: prefix(destination),
        source: None,
        preferred_source: None,
        tos: 0,
        table: Table::Number(254),
        protocol: PROTOCOL_KEEPALIVED,
        scope: 0,
        metric: None,
        path: Path::Single(hop),
        metrics: Metrics::default(),
        expires: None,
        preference: None,
        ttl_propagate: None,
        placement: Placement::Prepend,
        tracked: true,
    }
}

fn rule() -> Rule {
    Rule {
        family: Family::Inet,
        preference: 500,
        inverted: true,
        from: Some(prefix("10.2.0.0/16")),
        to: None,
        tos: 4,
        mark: Some((0x10, 0xff)),
        input: Some(name("eth0")),
        output: None,
        tunnel: None,
        users: Some((5, 6)),
        ip_protocol: Some(17),
        source_ports: Some((10, 20)),
        destination_ports: None,
        action: RuleAction::Lookup {
            table: 77,
            suppress_prefix: None,
            suppress_group: None,
            realms: None,
        },
        protocol: PROTOCOL_KEEPALIVED,
        tracked: true,
    }
}

#[test]
#[cfg(target_endian = "little")]
fn a_route_has_these_bytes() {
    let mut wanted = route("10.1.0.0/16", hop("10.0.0.9", Some("eth0")));
    wanted.preferred_source = Some([10, 0, 0, 1].into());
    wanted.table = Table::Number(1000);
    wanted.metric = Some(5);
    wanted.metrics.values = BTreeMap::from([(
        Metric::Mtu,
        MetricValue {
            value: 1400,
            locked: true,
        },
    )]);
    let bytes = Change::Add(&Object::Route(wanted))
        .request(9, &Links)
        .unwrap();
    #[rustfmt::skip]
    assert_eq!(
        bytes,
        [
            96, 0, 0, 0, 24, 0, 5, 4, 9, 0, 0, 0, 0, 0, 0, 0, // RTM_NEWROUTE, create, ack
            2, 16, 0, 0, 0, 18, 0, 1, 0, 0, 0, 0,              // AF_INET /16, table below, keepalived, unicast
            8, 0, 1, 0, 10, 1, 0, 0,                           // RTA_DST
            8, 0, 15, 0, 0xe8, 3, 0, 0,                        // RTA_TABLE
            8, 0, 7, 0, 10, 0, 0, 1,                           // RTA_PREFSRC
            8, 0, 6, 0, 5, 0, 0, 0,                            // RTA_PRIORITY
            8, 0, 5, 0, 10, 0, 0, 9,                           // RTA_GATEWAY
            8, 0, 4, 0, 3, 0, 0, 0,                            // RTA_OIF
            20, 0, 8, 0x80,                                    // RTA_METRICS
            8, 0, 2, 0, 0x78, 5, 0, 0,                         //   RTAX_MTU
            8, 0, 1, 0, 4, 0, 0, 0,                            //   RTAX_LOCK
        ][..]
    );
}

#[test]
#[cfg(target_endian = "little")]
fn a_multipath_route_has_these_bytes() {
    let mut wanted = route("0.0.0.0/0", Hop::default());
    let mut second = hop("10.0.0.2", None);
    second.onlink = true;
    wanted.path = Path::Multiple(vec![
        (HopWeight::ONE, hop("10.0.0.1", Some("eth0"))),
        (HopWeight::try_from(5).unwrap(), second),
    ]);
    let bytes = Change::Remove(&Object::Route(wanted))
        .request(9, &Links)
        .unwrap();
    #[rustfmt::skip]
    assert_eq!(
        bytes,
        [
            72, 0, 0, 0, 25, 0, 5, 0, 9, 0, 0, 0, 0, 0, 0, 0, // RTM_DELROUTE, ack
            2, 0, 0, 0, 254, 18, 0, 1, 0, 0, 0, 0,            // AF_INET /0, main, keepalived, unicast
            8, 0, 15, 0, 254, 0, 0, 0,                        // RTA_TABLE
            36, 0, 9, 0,                                      // RTA_MULTIPATH
            16, 0, 0, 0, 3, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1, //   link 3, weight 1
            16, 0, 4, 4, 0, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 2, //   onlink, weight 5
        ][..]
    );
}

#[test]
#[cfg(target_endian = "little")]
fn a_rule_has_these_bytes() {
    let bytes = Change::Add(&Object::Rule(rule()))
        .request(9, &Links)
        .unwrap();
    #[rustfmt::skip]
    assert_eq!(
        bytes,
        [
            116, 0, 0, 0, 32, 0, 5, 6, 9, 0, 0, 0, 0, 0, 0, 0, // RTM_NEWRULE, create, excl, ack
            2, 0, 16, 4, 77, 0, 0, 1, 2, 0, 0, 0,              // AF_INET, from /16, tos 4, table 77, lookup, not
            8, 0, 6, 0, 0xf4, 1, 0, 0,                         // FRA_PRIORITY
            5, 0, 21, 0, 18, 0, 0, 0,                          // FRA_PROTOCOL
            8, 0, 2, 0, 10, 2, 0, 0,                           // FRA_SRC
            8, 0, 10, 0, 0x10, 0, 0, 0,                        // FRA_FWMARK
            8, 0, 16, 0, 0xff, 0, 0, 0,                        // FRA_FWMASK
            9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0,    // FRA_IIFNAME
            12, 0, 20, 0, 5, 0, 0, 0, 6, 0, 0, 0,              // FRA_UID_RANGE
            5, 0, 22, 0, 17, 0, 0, 0,                          // FRA_IP_PROTO
            8, 0, 23, 0, 10, 0, 20, 0,                         // FRA_SPORT_RANGE
            8, 0, 15, 0, 77, 0, 0, 0,                          // FRA_TABLE
        ][..]
    );
}

#[test]
fn an_object_of_a_missing_link_is_not_ready() {
    let missing = |object: Object| Change::Add(&object).request(1, &Links);
    let route_of = |hop| Object::Route(route("10.1.0.0/16", hop));
    assert_eq!(
        missing(route_of(hop("10.0.0.1", Some("eth9")))),
        Err(Unready::Missing(name("eth9")))
    );
    let mut in_vrf = route("10.1.0.0/16", hop("10.0.0.1", None));
    in_vrf.table = Table::Vrf(name("vrf7"));
    let entry = Object::Route(in_vrf.clone()).entry(&Links).unwrap();
    assert!(matches!(entry, Entry::Route(route) if route.table() == 7));
    in_vrf.table = Table::Vrf(name("vrf8"));
    assert_eq!(
        missing(Object::Route(in_vrf)),
        Err(Unready::Missing(name("vrf8")))
    );
}

/// What a kernel would show: the body of a message, as bytes.
fn shown(object: &Object) -> RouteEntry {
    match object.entry(&Links).unwrap() {
        Entry::Route(entry) => entry,
        Entry::Rule(_) => panic!("a rule"),
    }
}

#[test]
fn a_route_is_known_by_all_that_it_says_and_not_by_what_the_kernel_adds() {
    let wanted = Object::Route(route("10.1.0.0/16", hop("10.0.0.9", None)));
    let with_link = Object::Route(route("10.1.0.0/16", hop("10.0.0.9", Some("eth0"))));
    assert!(shown(&wanted).is_held_by(&shown(&with_link)));
    assert!(!shown(&with_link).is_held_by(&shown(&wanted)));

    let change = |change: &dyn Fn(&mut Route)| {
        let mut other = route("10.1.0.0/16", hop("10.0.0.9", None));
        change(&mut other);
        shown(&wanted).is_held_by(&shown(&Object::Route(other)))
    };
    assert!(change(&|_| {}));
    assert!(!change(&|route| route.metric = Some(1)));
    assert!(!change(&|route| route.tos = 4));
    assert!(!change(&|route| route.scope = 253));
    assert!(!change(&|route| route.protocol = 4));
    assert!(!change(&|route| route.table = Table::Number(7)));
    assert!(!change(&|route| route.kind = RouteKind::Local));
    assert!(!change(
        &|route| route.preferred_source = Some([10, 0, 0, 1].into())
    ));
    assert!(!change(&|route| route.destination = prefix("10.1.0.0/17")));
    assert!(!change(
        &|route| route.path = Path::Single(hop("10.0.0.8", None))
    ));
    assert!(!change(
        &|route| route.metrics.congestion = Some(("cubic".to_owned(), false))
    ));
    // How it was put there is not to be seen.
    assert!(change(&|route| route.placement = Placement::Append));
}

#[test]
fn an_ipv6_route_without_metric_has_the_kernel_s() {
    let wanted = route("2001:db8::/32", hop("fe80::1", Some("eth0")));
    let mut found = wanted.clone();
    found.metric = Some(1024);
    assert!(
        shown(&Object::Route(wanted.clone())).is_held_by(&shown(&Object::Route(found.clone())))
    );
    // The kernel joined it with another one.
    found.path = Path::Multiple(vec![
        (HopWeight::ONE, hop("fe80::1", Some("eth0"))),
        (HopWeight::ONE, hop("fe80::2", Some("eth0"))),
    ]);
    assert!(shown(&Object::Route(wanted)).is_held_by(&shown(&Object::Route(found))));
}

#[test]
fn encapsulations_are_read_back() {
    let wrapped = |encapsulation| {
        Object::Route(route(
            "10.1.0.0/16",
            Hop {
                device: Some(name("eth0")),
                encapsulation: Some(encapsulation),
                ..Hop::default()
            },
        ))
    };
    let ip = |id| {
        wrapped(Encapsulation::Ip(Tunnel {
            id: Some(id),
            ..Tunnel::default()
        }))
    };
    assert!(shown(&ip(5)).is_held_by(&shown(&ip(5))));
    assert!(!shown(&ip(5)).is_held_by(&shown(&ip(6))));
    let labels = wrapped(Encapsulation::Mpls(vec![16, 17]));
    let body = Change::Add(&labels).request(1, &Links).unwrap();
    // Two label entries, the second one marked as the bottom of the stack.
    let stack = [0, 1, 0, 0, 0, 1, 0x11, 0];
    assert!(body.windows(8).any(|window| window == stack));
    assert!(!shown(&labels).is_held_by(&shown(&ip(5))));
}

#[test]
fn what_a_kernel_shows_of_every_rule_tells_no_rule_from_another() {
    let object = Object::Rule(rule());
    let wanted = object.entry(&Links).unwrap();
    let request = Change::Add(&object).request(1, &Links).unwrap();
    let mut kernel = request[16..].to_vec();
    kernel.extend([8, 0, 14, 0, 0xff, 0xff, 0xff, 0xff]); // no suppress_prefixlength
    kernel.extend([4, 0, 18, 0]); // padding
    let found = RuleEntry::read(&kernel).map(Entry::Rule).unwrap();
    assert!(wanted.is_held_by(&found));
    let mut other = rule();
    other.users = None;
    assert!(
        !Object::Rule(other)
            .entry(&Links)
            .unwrap()
            .is_held_by(&found)
    );
}

#[test]
fn only_what_takes_something_of_ours_away_is_an_event() {
    let object = |protocol| {
        let mut one = route("10.1.0.0/16", hop("10.0.0.9", None));
        one.protocol = protocol;
        Object::Route(one)
    };
    let read = |kind, flags, object: &Object| {
        let request = Change::Add(object).request(1, &Links).unwrap();
        let message = Message {
            kind,
            flags,
            sequence: 0,
            port: 0,
            body: &request[16..],
        };
        events::read(&message)
    };
    let gone = Some(Event::Route(shown(&object(18)).key().clone()));
    assert_eq!(read(DEL_ROUTE, 0, &object(18)), gone);
    assert_eq!(read(DEL_ROUTE, 0, &object(4)), None);
    assert_eq!(read(NEW_ROUTE, 0x400, &object(4)), None);
    assert_eq!(read(NEW_ROUTE, 0x100, &object(4)), gone);
    assert!(read(DEL_RULE, 0, &Object::Rule(rule())).is_some());
    assert_eq!(read(NEW_RULE, 0, &Object::Rule(rule())), None);
}

#[test]
fn the_time_that_a_route_lasts_is_sent_in_seconds() {
    let mut wanted = route("2001:db8::/32", hop("fe80::1", Some("eth0")));
    wanted.expires = Some(Duration::from_secs(300));
    wanted.preference = Some(1);
    let bytes = Change::Add(&Object::Route(wanted))
        .request(1, &Links)
        .unwrap();
    let mut expected = [8_u16, 23].map(u16::to_ne_bytes).concat();
    expected.extend(300_u32.to_ne_bytes());
    assert!(bytes.windows(8).any(|window| window == expected));
}

proptest! {
    #[test]
    fn arbitrary_bodies_never_panic(body: Vec<u8>) {
        let _ = RouteEntry::read(&body);
        let _ = RuleEntry::read(&body);
    }

    #[test]
    fn arbitrary_attributes_never_panic(
        parts in prop::collection::vec((0_u16..30, any::<Vec<u8>>(), -4_i16..5), 0..6),
    ) {
        let mut body = vec![2, 16, 8, 0, 254, 18, 0, 1, 0, 0, 0, 0];
        for (kind, value, lie) in parts {
            let length = u16::try_from(value.len() + 4).unwrap();
            body.extend(length.wrapping_add_signed(lie).to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(&value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let _ = RouteEntry::read(&body);
        let _ = RuleEntry::read(&body);
    }
}
