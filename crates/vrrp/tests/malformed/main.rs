//! Malformed packets of every kind: no panic, no change of state, no timer that moves, nothing sent, and a good
//! packet after them counts as before.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

mod classes;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use classes::{Base, Class};
use kr_model::net::{Cidr, Family};
use kr_model::units::{AdvertInterval, IfName, Priority, Vrid};
use kr_model::vrrp::{
    AddressFlags, Announce, AnnouncePace, Authentication, ChecksumMode, Counters, Instance,
    MULTICAST_V4, Preemption, Secret, State, Transport, Version, VirtualAddress, VrrpGlobal,
    WantedState,
};
use kr_model::{InstanceId, Instant};
use kr_vrrp::{Action, Input, LinkState, PacketHeader, Router};

const SENDER: [u8; 4] = [10, 9, 0, 2];

fn interface() -> IfName {
    IfName::try_from("eth0".to_owned()).unwrap()
}

fn instance(base: Base) -> Instance {
    Instance {
        id: InstanceId(1),
        name: "VI_1".to_owned(),
        version: match base {
            Base::V2 | Base::Password => Version::V2,
            Base::V3 => Version::V3,
        },
        family: Family::Inet,
        interface: interface(),
        vrid: Vrid::try_from(51).unwrap(),
        priority: Priority::DEFAULT,
        wanted: WantedState::Backup,
        advert_interval: AdvertInterval::DEFAULT,
        transport: Transport::Multicast {
            group: MULTICAST_V4.into(),
            source: None,
        },
        checksum: ChecksumMode::Standard,
        authentication: match base {
            Base::V2 | Base::V3 => Authentication::None,
            Base::Password => Authentication::Password(Secret::new(*b"1111\0\0\0\0")),
        },
        group: None,
        preemption: Preemption::Immediate,
        down_timer_adverts: 3,
        addresses: vec![VirtualAddress {
            address: Cidr::host([10, 9, 0, 100].into()),
            device: None,
            scope: 0,
            broadcast: None,
            label: None,
            peer: None,
            flags: AddressFlags::default(),
            tracked: true,
            preferred_lifetime: None,
            own_link: false,
            lifetime: None,
        }],
        excluded: Vec::new(),
        announce: Announce {
            repeat: 1,
            delay: Duration::ZERO,
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_repeat: 1,
            lower_priority_delay: Duration::ZERO,
            extra: None,
        },
        tracked_interfaces: Vec::new(),
        trackers: Vec::new(),
        own_link: None,
        address_link_prefix: String::new(),
        track_primary: true,
        answer_lower_priority: true,
        advert_before_yielding: true,
        ignore_adverts: false,
        yields_when_late: None,
        track_source: false,
        check_addresses_once: false,
        accept: true,
        promote_secondaries: false,
    }
}

struct Bench {
    router: Router,
    now: Instant,
    state: State,
    counters: Counters,
}

impl Bench {
    fn backup(base: Base) -> Self {
        let mut bench = Self {
            router: Router::new(),
            now: Instant::from_micros(1_000_000_000),
            state: State::Init,
            counters: Counters::default(),
        };
        let (interface, state) = (interface(), LinkState::Up);
        bench.give(Input::Source {
            interface: interface.clone(),
            family: Family::Inet,
            address: Some([10, 9, 0, 1].into()),
        });
        bench.give(Input::Link { interface, state });
        let instance = instance(base);
        bench.give(Input::Configure {
            global: VrrpGlobal {
                startup_delay: Duration::ZERO,
                delay_after_boot: Duration::ZERO,
                log_unknown_vrids: true,
                pace: AnnouncePace::default(),
                keep_addresses_at_exit: false,
                label: String::new(),
                dynamic_interfaces: false,
                firewall: Default::default(),
                link_delays: Default::default(),
            },
            instances: [(instance.id, instance.into())].into(),
            resume: BTreeMap::new(),
        });
        assert_eq!(bench.state, State::Backup);
        bench
    }

    /// Between two adverts.
    fn master(base: Base) -> Self {
        let mut bench = Self::backup(base);
        for _ in 0..2 {
            bench.now = bench.router.poll_timeout().unwrap();
            bench.give(Input::Timer);
        }
        assert_eq!(bench.state, State::Master);
        bench.now = bench.now.saturating_add(Duration::from_millis(300));
        bench
    }

    /// What is done beyond log lines.
    fn give(&mut self, input: Input<'_>) -> Vec<Action> {
        self.router.handle(input, self.now);
        let mut done = Vec::new();
        while let Some(action) = self.router.poll_action() {
            if let Action::Transition { to, .. } = &action {
                self.state = *to;
            }
            if let Action::Publish(snapshot) = &action {
                self.counters = snapshot.counters;
            }
            if !matches!(action, Action::Event(_)) {
                done.push(action);
            }
        }
        done
    }

    fn hear(&mut self, ttl: u8, payload: &[u8]) -> Vec<Action> {
        let header = PacketHeader {
            source: IpAddr::from(SENDER),
            destination: MULTICAST_V4.into(),
            ttl,
            protocol: 112,
            id: 7,
        };
        self.give(Input::Packet {
            interface: &interface(),
            header,
            payload,
        })
    }
}

fn bases() -> [(Base, Vec<Class>); 3] {
    [Base::V2, Base::Password, Base::V3].map(|base| (base, base.classes()))
}

#[test]
fn there_are_more_than_a_hundred_classes_and_none_twice() {
    for (base, classes) in bases() {
        assert!(classes.len() > 100, "{base:?}: {}", classes.len());
        for (number, class) in classes.iter().enumerate() {
            let mut others = classes[number + 1..].iter();
            assert!(!others.any(|other| other.name == class.name), "{class:?}");
            let good = class.ttl == 255 && class.payload == base.good();
            assert!(!good, "{class:?}");
        }
    }
}

#[test]
fn each_class_alone_moves_nothing() {
    for (base, classes) in bases() {
        for start in [Bench::backup, Bench::master] {
            for class in &classes {
                let mut bench = start(base);
                let (state, timer) = (bench.state, bench.router.poll_timeout());
                let did = bench.hear(class.ttl, &class.payload);
                assert_eq!(did, [], "{base:?} as {state:?}: {}", class.name);
                assert_eq!(bench.state, state, "{base:?}: {}", class.name);
                assert_eq!(
                    bench.router.poll_timeout(),
                    timer,
                    "{base:?}: {}",
                    class.name
                );
            }
        }
    }
}

#[test]
fn a_good_advert_after_all_of_them_counts() {
    for (base, classes) in bases() {
        for start in [Bench::backup, Bench::master] {
            let mut bench = start(base);
            for class in &classes {
                bench.hear(class.ttl, &class.payload);
            }
            assert_eq!(bench.counters.advert_received, 0, "{base:?}");
            let did = bench.hear(255, &base.good());
            assert!(!did.is_empty(), "{base:?}");
            assert_eq!(bench.state, State::Backup, "{base:?}");
            assert_eq!(bench.counters.advert_received, 1, "{base:?}");
            let counters = format!("{:?}", bench.counters);
            assert!(bench.counters.packet_length_errors > 20, "{counters}");
            assert!(bench.counters.checksum_errors > 10, "{counters}");
            assert!(bench.counters.version_errors > 10, "{counters}");
            assert!(bench.counters.invalid_type_received > 10, "{counters}");
            assert!(bench.counters.ttl_errors >= 7, "{counters}");
        }
    }
}

/// A thousand a second for ten seconds: each own advert goes out at its time.
#[test]
fn a_flood_of_all_of_them_delays_no_advert() {
    for (base, classes) in bases() {
        let mut bench = Bench::master(base);
        let (mut sent, mut due) = (0, bench.router.poll_timeout().unwrap());
        let all = classes.iter().cycle();
        for class in all.take(10_000) {
            bench.now = bench.now.saturating_add(Duration::from_millis(1));
            if due <= bench.now {
                let late = bench.now.since(due);
                assert!(late < Duration::from_millis(1), "{late:?}");
                let adverts = bench.give(Input::Timer);
                let is_advert = |action: &Action| matches!(action, Action::SendAdvert { .. });
                sent += adverts.iter().filter(|action| is_advert(action)).count();
            }
            bench.hear(class.ttl, &class.payload);
            due = bench.router.poll_timeout().unwrap();
        }
        assert_eq!(sent, 10, "{base:?}");
        assert_eq!(bench.state, State::Master);
    }
}
