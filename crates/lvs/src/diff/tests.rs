//! The difference against a model of the kernel: it refuses what the real one refuses.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kr_model::ipvs::{Destination, Operation, PresentService, Service, WantedService};
use kr_model::lvs::{
    Forwarding, Persistence, Protocol, Scheduler, ServiceFlags, ServiceKey, Tunnel,
};
use kr_model::units::Weight;
use proptest::prelude::*;

use super::{Present, note, service};

fn key(last: u8) -> ServiceKey {
    ServiceKey::Address {
        address: SocketAddr::from(([192, 0, 2, last], 80)),
        protocol: Protocol::Tcp,
    }
}

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn settings(scheduler: Scheduler) -> Service {
    Service {
        scheduler,
        flags: ServiceFlags::empty(),
        persistence: None,
    }
}

fn weighing(weight: u64) -> Destination {
    Destination {
        forwarding: Forwarding::Direct,
        weight: Weight::try_from(weight).unwrap(),
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn wanted(destinations: &[(u8, u64)]) -> WantedService {
    WantedService {
        service: settings(Scheduler::RoundRobin),
        destinations: destinations
            .iter()
            .map(|(last, weight)| (at(*last), weighing(*weight)))
            .collect(),
    }
}

fn held(wanted: &WantedService) -> PresentService {
    PresentService {
        service: Some(wanted.service),
        destinations: wanted
            .destinations
            .iter()
            .map(|(at, held)| (*at, Some(*held)))
            .collect(),
    }
}

#[test]
fn a_new_service_comes_before_its_destinations() {
    assert_eq!(
        service(key(1), None, Some(&wanted(&[(1, 5)]))),
        [
            Operation::AddService {
                key: key(1),
                service: settings(Scheduler::RoundRobin)
            },
            Operation::AddDestination {
                key: key(1),
                address: at(1),
                destination: weighing(5)
            },
        ]
    );
}

#[test]
fn equal_services_need_nothing() {
    let same = wanted(&[(1, 5), (2, 0)]);
    assert_eq!(service(key(1), Some(&held(&same)), Some(&same)), []);
    assert_eq!(service(key(1), None, None), []);
}

#[test]
fn a_replacement_arrives_before_the_last_server_leaves() {
    let before = held(&wanted(&[(1, 5), (2, 5), (3, 0)]));
    let after = wanted(&[(2, 0), (3, 1), (9, 1)]);
    assert_eq!(
        service(key(1), Some(&before), Some(&after)),
        [
            Operation::AddDestination {
                key: key(1),
                address: at(9),
                destination: weighing(1)
            },
            Operation::SetDestination {
                key: key(1),
                address: at(3),
                destination: weighing(1)
            },
            Operation::SetDestination {
                key: key(1),
                address: at(2),
                destination: weighing(0)
            },
            Operation::RemoveDestination {
                key: key(1),
                address: at(1)
            },
        ]
    );
}

#[test]
fn an_unwanted_service_goes_in_one_operation() {
    let before = held(&wanted(&[(1, 5), (2, 5)]));
    assert_eq!(
        service(key(1), Some(&before), None),
        [Operation::RemoveService { key: key(1) }]
    );
}

#[test]
fn settings_of_other_software_are_replaced_without_removal() {
    let after = wanted(&[(1, 5)]);
    let mut before = held(&after);
    before.service = None;
    before.destinations.insert(at(1), None);
    assert_eq!(
        service(key(1), Some(&before), Some(&after)),
        [
            Operation::SetService {
                key: key(1),
                service: after.service
            },
            Operation::SetDestination {
                key: key(1),
                address: at(1),
                destination: weighing(5)
            },
        ]
    );
}

/// What the kernel would refuse.
fn refused(table: &Present, operation: &Operation) -> Option<&'static str> {
    let holds = |key: &ServiceKey, address: &SocketAddr| {
        table
            .get(key)
            .is_some_and(|service| service.destinations.contains_key(address))
    };
    let exists = operation
        .service()
        .is_none_or(|key| table.contains_key(&key));
    match operation {
        Operation::Flush | Operation::SetTimeouts(_) => None,
        Operation::AddService { .. } => exists.then_some("exists"),
        Operation::SetService { .. }
        | Operation::RemoveService { .. }
        | Operation::AddDestination { .. }
        | Operation::SetDestination { .. }
        | Operation::RemoveDestination { .. }
            if !exists =>
        {
            Some("no such service")
        }
        Operation::SetService { .. } | Operation::RemoveService { .. } => None,
        Operation::AddDestination { key, address, .. } => holds(key, address).then_some("exists"),
        Operation::SetDestination { key, address, .. }
        | Operation::RemoveDestination { key, address } => {
            (!holds(key, address)).then_some("no such destination")
        }
    }
}

fn any_destination() -> impl Strategy<Value = Destination> {
    let forwarding = prop_oneof![
        Just(Forwarding::Nat),
        Just(Forwarding::Direct),
        Just(Forwarding::Tunnel(Tunnel::Ipip)),
        Just(Forwarding::Tunnel(Tunnel::Gre { checksum: true }))
    ];
    (forwarding, 0_u64..3, 0_u32..2).prop_map(|(forwarding, weight, upper_threshold)| Destination {
        forwarding,
        upper_threshold,
        ..weighing(weight)
    })
}

fn any_service() -> impl Strategy<Value = Service> {
    let persistence = proptest::option::of((1_u32..3, 24_u8..=32)).prop_map(|some| {
        some.map(|(timeout_seconds, granularity)| Persistence {
            timeout_seconds,
            granularity,
            engine: None,
        })
    });
    let scheduler = prop_oneof![Just(Scheduler::RoundRobin), Just(Scheduler::SourceHash)];
    (scheduler, persistence, any::<bool>()).prop_map(|(scheduler, persistence, flag)| Service {
        scheduler,
        flags: if flag {
            ServiceFlags::SCHED_1
        } else {
            ServiceFlags::empty()
        },
        persistence,
    })
}

fn any_wanted() -> impl Strategy<Value = WantedService> {
    (
        any_service(),
        proptest::collection::btree_map((0_u8..6).prop_map(at), any_destination(), 0..6),
    )
        .prop_map(|(service, destinations)| WantedService {
            service,
            destinations,
        })
}

fn any_present() -> impl Strategy<Value = PresentService> {
    let destinations = proptest::collection::btree_map(
        (0_u8..6).prop_map(at),
        proptest::option::weighted(0.9, any_destination()),
        0..6,
    );
    (proptest::option::weighted(0.9, any_service()), destinations).prop_map(
        |(service, destinations)| PresentService {
            service,
            destinations,
        },
    )
}

proptest! {
    #[test]
    fn the_difference_leads_from_any_table_to_any_other(
        present in proptest::collection::btree_map((0_u8..4).prop_map(key), any_present(), 0..4),
        wanted in proptest::collection::btree_map((0_u8..4).prop_map(key), any_wanted(), 0..4),
    ) {
        let mut table: Present = present.clone();
        for key in (0..4).map(key) {
            let mut served = table.get(&key).is_some_and(takes_traffic);
            for operation in service(key, present.get(&key), wanted.get(&key)) {
                prop_assert_eq!(refused(&table, &operation), None, "{}", operation);
                note(&mut table, &operation);
                // While old and new both have a server for new connections, every step has one.
                let serves = table.get(&key).is_some_and(takes_traffic);
                let will = wanted.get(&key).is_some_and(|wanted| takes_traffic(&held(wanted)));
                prop_assert!(serves || !(served && will), "{} leaves a hole", operation);
                served = serves;
            }
        }
        let expected: BTreeMap<_, _> = wanted.iter().map(|(key, wanted)| (*key, held(wanted))).collect();
        prop_assert_eq!(&table, &expected);
        for (key, wanted) in &wanted {
            prop_assert_eq!(service(*key, table.get(key), Some(wanted)), vec![]);
        }
    }
}

fn takes_traffic(service: &PresentService) -> bool {
    service
        .destinations
        .values()
        .any(|held| held.is_none_or(|destination| destination.weight.get() > 0))
}
