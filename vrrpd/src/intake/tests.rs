use std::time::Duration;

use kr_model::Instant;
use kr_model::track::{Tracked, TrackerKind};
use kr_model::units::Priority;
use kr_model::vrrp::{AnnouncePace, Cause, Counters, Role, SignatureMarks};

use super::*;
use crate::samples::{instance, route, virtual_address};

fn global() -> VrrpGlobal {
    VrrpGlobal {
        startup_delay: Duration::ZERO,
        delay_after_boot: Duration::ZERO,
        log_unknown_vrids: false,
        pace: AnnouncePace::default(),
        keep_addresses_at_exit: false,
        label: String::new(),
        dynamic_interfaces: false,
        firewall: Default::default(),
        link_delays: Default::default(),
    }
}

fn one(id: u32) -> ToVrrpd {
    ToVrrpd::Instance(Box::new(instance(id, "eth0", &[])))
}

fn resume(id: u32) -> ToVrrpd {
    ToVrrpd::Resume(Box::new(Snapshot {
        id: InstanceId(id),
        role: Role::Fault,
        priority: Priority::DEFAULT,
        counters: Counters::default(),
        sequence: 0,
        old_checksum: false,
        signatures: SignatureMarks::default(),
        since: Instant::ZERO,
        cause: Cause::Start,
    }))
}

/// The answer to the last of the messages; all before must be accepted.
fn last(messages: Vec<ToVrrpd>) -> Result<Order, IntakeError> {
    let mut intake = Intake::default();
    let mut answer = Ok(Order::Wait);
    for message in messages {
        answer.unwrap();
        answer = intake.take(message);
    }
    answer
}

fn begin(generation: u64) -> ToVrrpd {
    ToVrrpd::Begin(Generation(generation))
}

fn commit(generation: u64) -> ToVrrpd {
    ToVrrpd::Commit(Generation(generation))
}

#[test]
fn a_whole_configuration_comes_out_at_the_commit() {
    let messages = vec![
        begin(1),
        ToVrrpd::Global(global()),
        one(7),
        one(8),
        resume(8),
        commit(1),
    ];
    let Ok(Order::Apply(configuration)) = last(messages) else {
        panic!("not applied");
    };
    assert_eq!(configuration.generation, Generation(1));
    assert!(
        configuration
            .instances
            .keys()
            .copied()
            .eq([InstanceId(7), InstanceId(8)])
    );
    assert!(configuration.resume.keys().copied().eq([InstanceId(8)]));
}

#[test]
fn stop_is_obeyed_also_inside_a_configuration() {
    assert_eq!(last(vec![ToVrrpd::Stop]), Ok(Order::Stop));
    assert_eq!(last(vec![begin(1), ToVrrpd::Stop]), Ok(Order::Stop));
}

#[test]
fn messages_out_of_order_are_refused() {
    let whole = || vec![begin(2), ToVrrpd::Global(global()), commit(2)];
    let after = |message| [whole(), vec![message]].concat();
    for (messages, error) in [
        (vec![one(1)], IntakeError::NotBegun),
        (vec![commit(1)], IntakeError::NotBegun),
        (vec![begin(1), begin(2)], IntakeError::BegunTwice),
        (after(begin(2)), IntakeError::OldGeneration(Generation(2))),
        (after(begin(1)), IntakeError::OldGeneration(Generation(1))),
        (after(one(1)), IntakeError::NotBegun),
        (
            vec![begin(1), commit(2)],
            IntakeError::OtherCommit(Generation(2)),
        ),
        (vec![begin(1), commit(1)], IntakeError::NoGlobal),
        (
            vec![
                begin(1),
                ToVrrpd::Global(global()),
                ToVrrpd::Global(global()),
            ],
            IntakeError::SecondGlobal,
        ),
        (
            vec![begin(1), one(3), one(3)],
            IntakeError::SecondInstance(InstanceId(3)),
        ),
        (
            vec![begin(1), resume(3)],
            IntakeError::StrayResume(InstanceId(3)),
        ),
        (
            vec![begin(1), one(3), resume(3), resume(3)],
            IntakeError::StrayResume(InstanceId(3)),
        ),
    ] {
        assert_eq!(last(messages), Err(error));
    }
}

fn tracker(id: u32) -> ToVrrpd {
    ToVrrpd::Tracker(Tracker {
        id: TrackerId(id),
        kind: TrackerKind::Script,
        name: "chk".to_owned(),
        state: TrackerState::Pending,
    })
}

fn tracking(id: u32, tracker: u32) -> ToVrrpd {
    let mut instance = instance(id, "eth0", &[]);
    instance.trackers.push(Tracked {
        tracker: TrackerId(tracker),
        weight: 0,
        reverse: false,
    });
    ToVrrpd::Instance(Box::new(instance))
}

fn state(tracker: u32) -> ToVrrpd {
    ToVrrpd::TrackerState {
        tracker: TrackerId(tracker),
        state: TrackerState::Up,
    }
}

#[test]
fn states_are_taken_of_tracked_objects_in_force_only() {
    let global = ToVrrpd::Global(global());
    let good = [begin(1), global, tracker(3), tracking(7, 3), commit(1)];
    let with = |more: ToVrrpd| good.iter().cloned().chain([more]).collect();
    assert_eq!(
        last(with(state(3))),
        Ok(Order::Track(TrackerId(3), TrackerState::Up))
    );
    assert_eq!(
        last(with(state(4))),
        Err(IntakeError::StrayTracker(TrackerId(4)))
    );
    assert_eq!(
        last(vec![begin(1), tracker(3), state(3)]),
        Err(IntakeError::StrayTracker(TrackerId(3)))
    );
}

#[test]
fn an_instance_tracks_what_came_before_it_and_nothing_comes_twice() {
    assert_eq!(
        last(vec![begin(1), tracker(3), tracking(7, 4)]),
        Err(IntakeError::StrayTracker(TrackerId(4)))
    );
    assert_eq!(
        last(vec![begin(1), tracker(3), tracker(3)]),
        Err(IntakeError::SecondTracker(TrackerId(3)))
    );
    assert_eq!(last(vec![tracker(3)]), Err(IntakeError::NotBegun));
}

fn route_of(instance: Option<u32>, destination: &str) -> ToVrrpd {
    ToVrrpd::Route {
        instance: instance.map(InstanceId),
        route: Box::new(route(destination, "eth0")),
    }
}

#[test]
fn routes_keep_their_order_and_their_instances() {
    let address = virtual_address("10.0.0.1/24");
    let messages = vec![
        begin(1),
        ToVrrpd::Global(global()),
        one(7),
        ToVrrpd::StaticAddress(Box::new(address.clone())),
        route_of(None, "10.2.0.0/16"),
        route_of(Some(7), "10.1.0.0/16"),
        commit(1),
    ];
    let Ok(Order::Apply(configuration)) = last(messages) else {
        panic!("not applied");
    };
    assert_eq!(configuration.host.addresses, [address]);
    let object = |destination| Object::Route(route(destination, "eth0"));
    assert_eq!(
        configuration.host.routing,
        [
            (object("10.2.0.0/16"), None),
            (object("10.1.0.0/16"), Some(InstanceId(7))),
        ]
    );
}

#[test]
fn a_route_needs_a_configuration_and_an_instance_of_it() {
    assert_eq!(
        last(vec![route_of(None, "10.1.0.0/16")]),
        Err(IntakeError::NotBegun)
    );
    assert_eq!(
        last(vec![begin(1), one(7), route_of(Some(8), "10.1.0.0/16")]),
        Err(IntakeError::StrayObject(InstanceId(8)))
    );
}
