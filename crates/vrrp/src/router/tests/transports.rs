//! IPv6, unicast, and who gets a packet that several instances could take.

use kr_model::net::Cidr;
use kr_model::vrrp::{ChecksumMode, MULTICAST_V6, Peer, VirtualAddress};

use super::*;
use crate::fixture::address;

const LINK_LOCAL: &str = "fe80::6c25:89ff:fe28:d05d";

fn peer(last: u8) -> Peer {
    Peer {
        address: v4(last),
        min_ttl: 0,
        max_ttl: 255,
    }
}

fn unicast(peers: Vec<Peer>) -> Instance {
    Instance {
        transport: Transport::Unicast {
            source: None,
            peers,
            ttl: None,
            check_source: false,
        },
        ..instance(100)
    }
}

/// A packet to this host from another one.
fn to(destination: u8, from: u8, ttl: u8) -> PacketHeader {
    PacketHeader {
        destination: v4(destination),
        ttl,
        ..header(from)
    }
}

fn packets(bench: &mut Bench) -> Vec<(IpAddr, Vec<u8>)> {
    let mut sent = Vec::new();
    for action in bench.actions() {
        if let Action::SendAdvert {
            destination,
            packet,
            ..
        } = action
        {
            sent.push((destination, packet));
        }
    }
    sent
}

impl Bench {
    fn hear_with(&mut self, header: PacketHeader, priority: u8) -> Vec<Did> {
        let payload = bytes(&advert(priority), header);
        let interface = interface();
        self.give(Input::Packet {
            interface: &interface,
            header,
            payload: &payload,
        })
    }
}

#[test]
fn version_3_over_ipv6_is_elected_like_any_other_and_sends_the_bytes_of_keepalived() {
    let line = |text: &str| VirtualAddress {
        address: Cidr::new(text.parse().unwrap(), 64).unwrap(),
        ..address(1)
    };
    let config = Instance {
        version: Version::V3,
        family: Family::Inet6,
        vrid: 2.try_into().unwrap(),
        priority: 200.try_into().unwrap(),
        advert_interval: 50.try_into().unwrap(),
        transport: Transport::Multicast {
            group: MULTICAST_V6.into(),
            source: None,
        },
        addresses: vec![line("2001:db8:7::100"), line("fe80::100")],
        ..instance(1)
    };
    let mut bench = Bench::backup(config);
    assert_eq!(bench.router.poll_timeout(), None, "no address to send from");
    bench.give(Input::Source {
        interface: interface(),
        family: Family::Inet6,
        address: Some(LINK_LOCAL.parse().unwrap()),
    });
    // Three intervals of 0.5 s and (256 - 200) / 256 of one.
    assert_eq!(bench.timeout(), 1_609_375);
    bench.now = bench.router.poll_timeout().unwrap();
    bench.router.handle(Input::Timer, bench.now);
    let sent = packets(&mut bench);
    #[rustfmt::skip]
    let expected = [
        0x6c, 0x00, 0x00, 0x00, 0x00, 0x28, 0x70, 0xff,
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x6c, 0x25, 0x89, 0xff, 0xfe, 0x28, 0xd0, 0x5d,
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12,
        0x31, 0x02, 0xc8, 0x02, 0x00, 0x32, 0x15, 0xae,
        0x20, 0x01, 0x0d, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
    ];
    assert_eq!(sent, [(MULTICAST_V6.into(), expected.to_vec())]);

    let better = PacketHeader {
        source: "fe80::1".parse().unwrap(),
        destination: MULTICAST_V6.into(),
        ttl: 255,
        protocol: 112,
        id: 0,
    };
    let theirs = Advert {
        vrid: 2.try_into().unwrap(),
        body: Body::V3 { interval: 50 },
        ..advert(201)
    };
    let did = bench.give(Input::Packet {
        interface: &interface(),
        header: better,
        payload: &bytes(&theirs, better),
    });
    assert!(did.contains(&Addresses(false)), "{did:?}");
    assert_eq!(
        bench
            .router
            .poll_timeout()
            .unwrap()
            .since(bench.now)
            .as_micros(),
        1_609_375
    );
}

#[test]
fn a_unicast_master_sends_to_every_peer_and_answers_what_is_sent_to_it() {
    let mut bench = Bench::backup(unicast(vec![peer(11), peer(12)]));
    bench.now = bench.router.poll_timeout().unwrap();
    bench.router.handle(Input::Timer, bench.now);
    let sent = packets(&mut bench);
    let ends: Vec<_> = sent.iter().map(|(to, _)| *to).collect();
    assert_eq!(ends, [v4(11), v4(12)]);
    for (to, packet) in sent {
        let (header, message) = ipv4::parse(&packet).unwrap();
        assert_eq!((IpAddr::V4(header.destination), header.ttl), (to, 255));
        assert_eq!(message[2], 100);
    }
    assert_eq!(bench.counters().advert_sent, 1);
    // A router on the way took from the TTL.
    assert!(
        bench
            .hear_with(to(10, 11, 61), 200)
            .contains(&Addresses(false))
    );
}

#[test]
fn a_unicast_router_takes_nothing_that_is_sent_elsewhere() {
    let mut bench = Bench::master(unicast(vec![peer(11)]));
    let text =
        "(VI_1) advert from 192.0.2.11: sent to 224.0.0.18, where this instance does not listen";
    let group = header(11);
    assert_eq!(bench.hear_with(group, 200), [Said(text.to_owned())]);
    assert_eq!(bench.hear_with(to(9, 11, 255), 200), []);
    assert_eq!(bench.counters().advert_received, 0);
}

#[test]
fn a_unicast_router_that_can_work_again_announces_its_own_address() {
    let mut bench = Bench::backup(unicast(vec![peer(11)]));
    bench.give(link(LinkState::Down));
    let did = bench.give(link(LinkState::Up));
    assert_eq!(did.last(), Some(&Announced(10)));
}

#[test]
fn instances_that_share_a_router_id_are_told_apart_by_destination_and_peer() {
    let second = InstanceId(8);
    let third = InstanceId(9);
    let instances = [
        unicast(vec![peer(11)]),
        Instance {
            id: second,
            ..unicast(vec![peer(12)])
        },
        Instance {
            id: third,
            ..instance(100)
        },
    ];
    let mut bench = Bench::empty();
    bench.give(Input::Configure {
        global: global(),
        instances: instances.map(|one| (one.id, one.into())).into(),
        resume: BTreeMap::new(),
    });
    let mut expected = [0, 0, 0];
    for (header, place) in [(to(10, 11, 255), 0), (to(10, 12, 255), 1), (header(11), 2)] {
        bench.hear_with(header, 100);
        expected[place] += 1;
        let received = [ID, second, third].map(|id| {
            let snapshot = bench.router.instances[&id].router.snapshot();
            snapshot.counters.advert_received
        });
        assert_eq!(received, expected);
    }
}

#[test]
fn peers_may_come_and_go_without_a_transition() {
    let mut bench = Bench::master(unicast(vec![peer(11)]));
    let did = bench.give(configure(unicast(vec![peer(12)]), None));
    assert_eq!(did, [Published(State::Master)]);
    bench.now = bench.router.poll_timeout().unwrap();
    bench.router.handle(Input::Timer, bench.now);
    assert_eq!(packets(&mut bench)[0].0, v4(12));
}

/// RFC 9568 section 5.2.7.
#[test]
fn another_interval_in_version_3_is_said_once_and_used() {
    let mut bench = Bench::backup(Instance {
        version: Version::V3,
        ..instance(100)
    });
    let fast = Advert {
        body: Body::V3 { interval: 1 },
        ..advert(200)
    };
    let text = "(VI_1) advert from 192.0.2.9: advert interval 0.01 s instead of the 1.00 s set here; it is \
                used while that router is master";
    let did = bench.hear_this(9, &fast);
    assert_eq!(did[0], Said(text.to_owned()));
    // Three intervals of 10 ms and (256 - 100) / 256 of one.
    assert_eq!(bench.timeout(), 36_094);
    bench.hear_this(9, &fast);
    assert_eq!(bench.hear_this(9, &fast), []);
}

#[test]
fn only_peers_within_their_limits_are_believed_where_that_is_asked_for() {
    let near = Peer {
        min_ttl: 250,
        max_ttl: 254,
        ..peer(11)
    };
    let config = Instance {
        transport: Transport::Unicast {
            source: None,
            peers: vec![near],
            ttl: Some(253),
            check_source: true,
        },
        ..instance(100)
    };
    let mut bench = Bench::backup(config);
    for (header, said) in [
        (
            to(10, 12, 255),
            "advert from 192.0.2.12: it is not in unicast_peer here",
        ),
        (
            to(10, 11, 255),
            "advert from 192.0.2.11: TTL 255 is outside of min_ttl and max_ttl of this peer",
        ),
    ] {
        assert_eq!(
            bench.hear_with(header, 200),
            [Said(format!("(VI_1) {said}"))]
        );
    }
    assert_eq!(bench.counters().ttl_errors, 1);
    assert_eq!(bench.counters().advert_received, 0);
    assert_eq!(
        bench.hear_with(to(10, 11, 250), 200),
        [Published(State::Backup)]
    );
    bench.now = bench.router.poll_timeout().unwrap();
    bench.router.handle(Input::Timer, bench.now);
    let (_, packet) = packets(&mut bench).remove(0);
    assert_eq!(ipv4::parse(&packet).unwrap().0.ttl, 253);
}

#[test]
fn a_unicast_router_without_peers_is_in_fault() {
    let mut bench = Bench::empty();
    let did = bench.give(configure(unicast(Vec::new()), None));
    assert!(
        did.contains(&Entered(State::Fault, Cause::NoPeer)),
        "{did:?}"
    );
}

#[test]
fn v3_checksum_as_v2_is_sent_and_expected() {
    let config = Instance {
        version: Version::V3,
        checksum: ChecksumMode::AsVersion2,
        ..instance(100)
    };
    let mut bench = Bench::backup(config);
    let theirs = Advert {
        body: Body::V3 { interval: 100 },
        ..advert(200)
    };
    bench.hear_this(9, &theirs);
    assert_eq!(bench.counters().checksum_errors, 1);
    bench.now = bench.router.poll_timeout().unwrap();
    bench.router.handle(Input::Timer, bench.now);
    let (_, packet) = packets(&mut bench).remove(0);
    let sum = kr_wire::checksum::Checksum::new().cover(message(&packet));
    assert_eq!(sum.finish(), 0);
    bench.give(Input::Packet {
        interface: &interface(),
        header: header(9),
        payload: message(&packet),
    });
    assert_eq!(bench.counters().advert_received, 1);
}
