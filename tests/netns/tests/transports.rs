//! Both versions over both families, to a group and to peers: elected with the distribution's keepalived in
//! both directions, and sent byte for byte as it sends them.

use std::fmt::Write;
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair};
use kr_testkit::capture::Capture;
use kr_testkit::keepalived::Keepalived;
use kr_testkit::keepalived::Parts;
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

/// Adverts looked at per router.
const ADVERTS: usize = 4;
/// Ethernet header.
const ETHERNET: usize = 14;

/// How adverts travel.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Lines of the instance, other than its peer.
    lines: &'static str,
    /// The virtual addresses; the first one is watched.
    addresses: &'static [&'static str],
    /// Of the peers `a` and `b`, when the adverts go from one to the other.
    ends: Option<[&'static str; 2]>,
}

const V3: Way = Way {
    lines: "version 3\nadvert_int 0.25",
    addresses: &["192.168.77.100/24"],
    ends: None,
};

const V3_INET6: Way = Way {
    lines: "advert_int 0.3",
    addresses: &["fe80::100/64", "fd77::100/64"],
    ends: None,
};

/// Understood by keepalived only.
const V2_INET6: Way = Way {
    lines: "version 2\nadvert_int 1",
    addresses: &["fd77::100/64"],
    ends: None,
};

const UNICAST_V2: Way = Way {
    lines: "advert_int 1\nauthentication {\n auth_type PASS\n auth_pass 1111\n}",
    addresses: &["192.168.77.100/24"],
    ends: Some(["192.168.77.1", "192.168.77.2"]),
};

const UNICAST_V3: Way = Way {
    lines: "version 3\nadvert_int 0.25\nunicast_ttl 200",
    addresses: &["192.168.77.100/24"],
    ends: Some(["192.168.77.1", "192.168.77.2"]),
};

const UNICAST_INET6: Way = Way {
    lines: "advert_int 0.25",
    addresses: &["fd77::100/64"],
    ends: Some(["fd77::1", "fd77::2"]),
};

const AH: Way = Way {
    lines: "advert_int 1\nauthentication {\n auth_type AH\n auth_pass secret12\n}",
    addresses: &["192.168.77.100/24"],
    ends: None,
};

const UNICAST_AH: Way = Way {
    lines: "advert_int 1\nauthentication {\n auth_type AH\n auth_pass secret12\n}",
    addresses: &["192.168.77.100/24"],
    ends: Some(["192.168.77.1", "192.168.77.2"]),
};

impl Way {
    /// The configuration of host 0 or 1.
    fn configuration(&self, host: usize, priority: u8) -> String {
        let mut text = format!(
            "vrrp_instance VI_1 {{\nstate BACKUP\ninterface eth0\nvirtual_router_id 55\npriority {priority}\n{}\n",
            self.lines
        );
        if let Some(ends) = self.ends {
            let (own, other) = (ends[host], ends[1 - host]);
            write!(text, "unicast_src_ip {own}\nunicast_peer {{\n{other}\n}}\n").unwrap();
        }
        let addresses = self.addresses.join("\n");
        write!(text, "virtual_ipaddress {{\n{addresses}\n}}\n}}\n").unwrap();
        text
    }

    fn start(&self, peer: Peer, pair: &Pair, host: usize, priority: u8) -> Keepalived {
        let text = self.configuration(host, priority);
        Keepalived::start(peer, hosts(pair)[host], Parts::Vrrp, &text).unwrap()
    }

    fn holds(&self, host: &Host) -> bool {
        let (address, _) = self.addresses[0].split_once('/').unwrap();
        host.has_address(address)
    }

    fn wait_holder(&self, pair: &Pair, holder: usize, limit: Duration) -> Duration {
        let what = format!("the address on host {holder} alone");
        let alone = || {
            let held = hosts(pair).map(|host| self.holds(host));
            held[holder] && !held[1 - holder]
        };
        eventually(limit, &what, alone).unwrap()
    }
}

fn hosts(pair: &Pair) -> [&Host; 2] {
    [&pair.a, &pair.b]
}

/// A pair that has both families, with addresses that are the same in every run.
fn pair() -> Pair {
    let pair = Pair::new().unwrap();
    for (number, host) in (1..).zip(hosts(&pair)) {
        host.ip(&format!(
            "link set eth0 addrgenmode none\n\
             address flush dev eth0 scope link\n\
             address add fe80::{number}/64 dev eth0 nodad\n\
             address add fd77::{number}/64 dev eth0 nodad\n"
        ))
        .unwrap();
    }
    pair
}

/// Whether a frame holds an advert of host 0.
fn is_advert(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x00]) => {
            matches!(frame.get(23), Some(112 | 51)) && frame.get(26..30) == Some(&[192, 168, 77, 1])
        }
        Some([0x86, 0xdd]) => frame.get(20) == Some(&112) && frame.get(37) == Some(&1),
        _ => false,
    }
}

fn message(frame: &[u8]) -> &[u8] {
    let header = if frame[ETHERNET] >> 4 == 6 {
        40
    } else if frame[ETHERNET + 9] == 51 {
        44
    } else {
        20
    };
    &frame[ETHERNET + header..]
}

/// The packet without what two hosts or two packets may differ in: the identification of IPv4 and the header
/// checksum that follows from it, the flow label of IPv6, padding.
fn comparable(frame: &[u8]) -> Vec<u8> {
    let mut packet = frame[ETHERNET..].to_vec();
    if packet[0] >> 4 == 6 {
        packet[1] &= 0xf0;
        packet[2..4].fill(0);
    } else {
        packet.truncate(usize::from(u16::from_be_bytes([packet[2], packet[3]])));
        packet[4..6].fill(0);
        packet[10..12].fill(0);
    }
    packet
}

/// What one router sends as a master: its first adverts and its farewell.
fn sent_by(peer: Peer, way: &Way) -> Vec<Vec<u8>> {
    let pair = pair();
    let capture = Capture::start(&pair.b, is_advert).unwrap();
    let mut router = way.start(peer, &pair, 0, 150);
    eventually(ELECTION, "adverts", || capture.frames().len() >= ADVERTS).unwrap();
    router.stop(Duration::from_secs(8)).unwrap();
    let is_farewell = |bytes: &[u8]| message(bytes)[2] == 0;
    eventually(ELECTION, "a farewell", || {
        capture
            .frames()
            .last()
            .is_some_and(|frame| is_farewell(&frame.bytes))
    })
    .unwrap();
    let frames: Vec<Vec<u8>> = capture
        .frames()
        .iter()
        .map(|frame| comparable(&frame.bytes))
        .collect();
    let farewell = frames.last().unwrap().clone();
    frames.into_iter().take(ADVERTS).chain([farewell]).collect()
}

fn same(way: &Way) {
    assert_eq!(sent_by(Ours, way), sent_by(Stock, way));
}

/// The higher priority on `a` wins; its stop is heard; it preempts when it is back; its death is noticed.
fn elected(way: &Way, first: Peer, second: Peer) {
    let pair = pair();
    let mut a = way.start(first, &pair, 0, 150);
    let _b = way.start(second, &pair, 1, 100);
    way.wait_holder(&pair, 0, ELECTION);
    throughout(Duration::from_secs(2), "only a is master", || {
        way.holds(&pair.a) && !way.holds(&pair.b)
    })
    .unwrap();

    a.stop(Duration::from_secs(8)).unwrap();
    let taken = way.wait_holder(&pair, 1, Duration::from_secs(8));
    assert!(
        taken < Duration::from_secs(2),
        "priority 0 was not heard: {taken:?}"
    );

    let _a = way.start(first, &pair, 0, 150);
    way.wait_holder(&pair, 0, ELECTION);
    pair.a.set_link("eth0", false).unwrap();
    eventually(Duration::from_secs(8), "b takes over", || {
        way.holds(&pair.b)
    })
    .unwrap();
}

macro_rules! ways {
    ($($name:ident: $way:expr;)*) => {
        $(mod $name {
            use super::*;

            #[test]
            fn adverts_are_the_same_as_stocks() {
                same(&$way);
            }

            #[test]
            fn ours_and_stock_elect_and_fail_over() {
                elected(&$way, Ours, Stock);
            }

            #[test]
            fn stock_and_ours_elect_and_fail_over() {
                elected(&$way, Stock, Ours);
            }
        })*
    };
}

ways! {
    version_3: V3;
    version_3_over_ipv6: V3_INET6;
    version_2_over_ipv6: V2_INET6;
    version_2_unicast: UNICAST_V2;
    version_3_unicast: UNICAST_V3;
    version_3_over_ipv6_unicast: UNICAST_INET6;
    authentication_header: AH;
    authentication_header_unicast: UNICAST_AH;
}
