//! Options for routers that differ, and for hosts that are short of time.

use kr_model::units::Priority;
use kr_model::vrrp::{ChecksumMode, MULTICAST_V4, PaceGroup, Peer};
use kr_wire::advert::{self, Ends};

use super::*;

const OWN: u8 = 10;

/// Version 3 to the peer 192.0.2.9.
fn unicast_v3(checksum: ChecksumMode) -> Instance {
    let peer = Peer {
        address: v4(9),
        min_ttl: 0,
        max_ttl: 255,
    };
    Instance {
        version: Version::V3,
        transport: Transport::Unicast {
            source: None,
            peers: vec![peer],
            ttl: None,
            check_source: false,
        },
        checksum,
        ..instance(100)
    }
}

/// Gives an advert of the peer whose checksum was made for `destination`.
fn hear_unicast(bench: &mut Bench, destination: IpAddr) -> Vec<Did> {
    let theirs = Advert {
        body: Body::V3 { interval: 100 },
        ..advert(200)
    };
    let ends = Ends {
        source: v4(9),
        destination,
    };
    let payload = advert::emit(&theirs, ends).unwrap();
    bench.give(Input::Packet {
        interface: &interface(),
        header: PacketHeader {
            destination: v4(OWN),
            ..header(9)
        },
        payload: &payload,
    })
}

/// The destination that the checksum of the next advert was made for.
fn checksum_is_for(bench: &mut Bench) -> IpAddr {
    bench.now = bench.router.poll_timeout().unwrap();
    bench.router.handle(Input::Timer, bench.now);
    let mut actions = bench.actions().into_iter();
    let advert = actions.find(|action| matches!(action, Action::SendAdvert { .. }));
    let Some(Action::SendAdvert { packet, .. }) = advert else {
        panic!("no advert");
    };
    [v4(9), IpAddr::V4(MULTICAST_V4)]
        .into_iter()
        .find(|destination| {
            let ends = Ends {
                source: v4(OWN),
                destination: *destination,
            };
            advert::parse(message(&packet), ends).unwrap().checksum_ok
        })
        .unwrap()
}

#[test]
fn the_checksum_of_old_unicast_peers_is_detected_and_then_used() {
    let mut bench = Bench::backup(unicast_v3(ChecksumMode::Detect));
    let did = hear_unicast(&mut bench, IpAddr::V4(MULTICAST_V4));
    assert!(
        matches!(&did[0], Said(text) if text.contains("as keepalived before 1.3.7 did")),
        "{did:?}"
    );
    assert_eq!(bench.counters().advert_received, 1);
    assert_eq!(hear_unicast(&mut bench, IpAddr::V4(MULTICAST_V4)), []);
    assert_eq!(checksum_is_for(&mut bench), IpAddr::V4(MULTICAST_V4));
}

#[test]
fn a_detected_old_checksum_outlives_the_process_unless_it_is_forbidden_now() {
    let mut bench = Bench::backup(unicast_v3(ChecksumMode::Detect));
    let did = hear_unicast(&mut bench, IpAddr::V4(MULTICAST_V4));
    assert_eq!(did[1], Published(State::Backup), "at once");
    let kept = bench.router.instances[&ID].router.snapshot();
    for (mode, destination) in [
        (ChecksumMode::Detect, IpAddr::V4(MULTICAST_V4)),
        (ChecksumMode::Standard, v4(9)),
    ] {
        let mut next = Bench::empty();
        next.give(configure(unicast_v3(mode), Some(kept.clone())));
        assert_eq!(checksum_is_for(&mut next), destination, "{mode:?}");
    }
}

#[test]
fn without_an_old_peer_the_checksum_is_that_of_the_rfc() {
    let mut bench = Bench::backup(unicast_v3(ChecksumMode::Detect));
    hear_unicast(&mut bench, v4(OWN));
    assert_eq!(checksum_is_for(&mut bench), v4(9));
}

#[test]
fn old_unicast_checksum_sends_the_old_one_from_the_start_and_takes_both() {
    let mut bench = Bench::backup(unicast_v3(ChecksumMode::OldUnicast));
    hear_unicast(&mut bench, v4(OWN));
    hear_unicast(&mut bench, IpAddr::V4(MULTICAST_V4));
    assert_eq!(bench.counters().advert_received, 2);
    assert_eq!(checksum_is_for(&mut bench), IpAddr::V4(MULTICAST_V4));
}

#[test]
fn old_unicast_checksum_never_refuses_the_old_one() {
    let mut bench = Bench::backup(unicast_v3(ChecksumMode::Standard));
    hear_unicast(&mut bench, IpAddr::V4(MULTICAST_V4));
    assert_eq!(bench.counters().checksum_errors, 1);
}

#[test]
fn an_owner_that_ignores_adverts_hears_nobody() {
    let mut bench = Bench::backup(Instance {
        ignore_adverts: true,
        ..instance(255)
    });
    bench.wait();
    assert_eq!(bench.role().state(), State::Master);
    let did = bench.hear(11, 255);
    assert!(matches!(&did[..], [Said(text)] if text.contains("owner_ignore_adverts")));
    assert_eq!(bench.hear(11, 0), []);
    assert_eq!(bench.role().state(), State::Master);
    assert_eq!(bench.counters().advert_received, 0);
}

/// 2 s and a skew of (256 - 254) / 256 s after an advert was due.
#[test]
fn a_master_held_up_for_long_leaves_with_timer_expired_backup() {
    for (late, leaves) in [(2_007, false), (2_008, true), (60_000, true)] {
        let mut bench = Bench::master(Instance {
            yields_when_late: Some(Priority::BELOW_OWNER),
            preemption: Preemption::Never,
            ..instance(100)
        });
        bench.later(1_000 + late);
        let did = bench.give(Input::Timer);
        let state = bench.role().state();
        if leaves {
            assert_eq!(state, State::Backup, "{late} ms");
            let expected = [Published(State::Backup), Addresses(false)];
            assert_eq!(did[..2], expected, "no advert");
            assert_eq!(bench.timeout(), 3_609_375);
        } else {
            assert_eq!(state, State::Master, "{late} ms");
        }
    }
}

#[test]
fn a_tracked_source_address_that_is_missing_is_a_fault() {
    let mut config = instance(100);
    config.track_source = true;
    config.transport = Transport::Multicast {
        group: IpAddr::V4(MULTICAST_V4),
        source: Some(v4(77)),
    };
    let present = |present| Input::SourcePresent {
        interface: interface(),
        address: v4(77),
        present,
    };
    let mut bench = Bench::backup(config);
    assert_eq!(bench.role().state(), State::Fault);
    assert_eq!(
        bench.give(present(true))[0],
        Entered(State::Backup, Cause::FaultCleared)
    );
    bench.wait();
    let did = bench.give(present(false));
    assert_eq!(did[..2], [Sent(0), Addresses(false)]);
    assert!(did.contains(&Entered(State::Fault, Cause::SourceAddressMissing)));
}

#[test]
fn the_delay_after_boot_counts_from_the_start_of_the_host() {
    let with = |after_boot, startup| {
        let mut bench = Bench::empty();
        bench.give(Input::Configure {
            global: VrrpGlobal {
                delay_after_boot: Duration::from_secs(after_boot),
                startup_delay: Duration::from_secs(startup),
                ..global()
            },
            instances: [(ID, instance(100).into())].into(),
            resume: BTreeMap::new(),
        });
        bench.timeout()
    };
    // The bench starts 1000 s after the start of its host; the master-down time is 3.609375 s.
    assert_eq!(with(900, 0), 3_609_375);
    assert_eq!(with(1_010, 0), 13_609_375);
    assert_eq!(with(1_010, 20), 23_609_375);
}

#[test]
fn adverts_of_unknown_virtual_routers_are_logged_once_where_that_is_asked_for() {
    let stranger = Advert {
        vrid: 77.try_into().unwrap(),
        ..advert(100)
    };
    for asked in [false, true] {
        let mut bench = Bench::empty();
        bench.give(Input::Configure {
            global: VrrpGlobal {
                log_unknown_vrids: asked,
                ..global()
            },
            instances: [(ID, instance(100).into())].into(),
            resume: BTreeMap::new(),
        });
        let text = "(eth0) 192.0.2.9 advertises virtual router 77, which is not configured here";
        let expected = asked.then(|| Said(text.to_owned()));
        assert_eq!(bench.hear_this(9, &stranger), Vec::from_iter(expected));
        assert_eq!(bench.hear_this(9, &stranger), []);
    }
}

#[test]
fn interfaces_of_a_garp_group_share_its_limit() {
    let eth1 = IfName::try_from("eth1".to_owned()).unwrap();
    let mut config = instance(100);
    config.addresses[1].device = Some(eth1.clone());
    config.announce.delay = Duration::ZERO;
    let mut bench = Bench::empty();
    bench.give(Input::Link {
        interface: eth1.clone(),
        state: LinkState::Up,
    });
    let mut settings = global();
    settings.pace.arp = Duration::from_secs(5);
    settings.pace.groups = vec![PaceGroup {
        interfaces: [interface(), eth1].into(),
        arp: Duration::from_millis(100),
        neighbour: Duration::ZERO,
    }];
    bench.give(Input::Configure {
        global: settings,
        instances: [(ID, config.into())].into(),
        resume: BTreeMap::new(),
    });
    let mut announced = Vec::new();
    let start = bench.router.poll_timeout().unwrap();
    while bench.router.poll_timeout().unwrap() < start.saturating_add(Duration::from_millis(500)) {
        let did = bench.wait();
        let at = bench.now.since(start).as_millis();
        let announcements = did.into_iter().filter(|one| matches!(one, Announced(_)));
        announced.extend(announcements.map(|one| (at, one)));
    }
    let expected = [
        (0, Announced(100)),
        (100, Announced(101)),
        (200, Announced(100)),
        (300, Announced(101)),
    ];
    assert_eq!(announced, expected);
}
