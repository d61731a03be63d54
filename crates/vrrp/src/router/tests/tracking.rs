//! Tracked scripts, files, processes and BFD sessions.

use kr_model::TrackerId;
use kr_model::track::{Offender, Tracked, Tracker, TrackerKind, TrackerState};

use super::*;

const CHK: TrackerId = TrackerId(3);

/// An instance of priority 100 that tracks [`CHK`].
fn tracking(weight: i16, reverse: bool) -> Instance {
    Instance {
        trackers: vec![Tracked {
            tracker: CHK,
            weight,
            reverse,
        }],
        ..instance(100)
    }
}

fn trackers(kind: TrackerKind, state: TrackerState) -> Input<'static> {
    let tracker = Tracker {
        id: CHK,
        kind,
        name: "chk".to_owned(),
        state,
    };
    Input::Trackers([(CHK, tracker)].into())
}

fn is(state: TrackerState) -> Input<'static> {
    let tracker = CHK;
    Input::Tracker { tracker, state }
}

fn because(state: TrackerState) -> Cause {
    Cause::Tracked(Offender {
        tracker: CHK,
        kind: TrackerKind::Script,
        state,
    })
}

/// A router whose script `chk` is in a state.
fn bench(state: TrackerState, config: Instance) -> (Bench, Vec<Did>) {
    let mut bench = Bench::empty();
    assert_eq!(bench.give(trackers(TrackerKind::Script, state)), []);
    let did = bench.give(configure(config, None));
    (bench, did)
}

#[test]
fn a_script_without_weight_is_a_fault_that_names_it() {
    let (mut bench, _) = bench(TrackerState::Up, tracking(0, false));
    bench.wait();
    let cause = because(TrackerState::Down);
    assert_eq!(
        bench.give(is(TrackerState::Down)),
        [
            Sent(0),
            Addresses(false),
            Entered(State::Fault, cause),
            Said("(VI_1) Entering FAULT STATE: script chk failed".to_owned()),
            Published(State::Fault),
        ]
    );
    assert_eq!(bench.give(is(TrackerState::Down)), []);
    assert_eq!(
        bench.give(is(TrackerState::Up)),
        entering(State::Backup, Cause::FaultCleared)
    );
}

#[test]
fn the_start_waits_for_the_first_result_without_telling_a_fault() {
    for (first, expected) in [
        (TrackerState::Up, Entered(State::Backup, Cause::Start)),
        (
            TrackerState::Down,
            Entered(State::Fault, because(TrackerState::Down)),
        ),
    ] {
        let (mut bench, did) = bench(TrackerState::Pending, tracking(0, false));
        assert_eq!(did, [Addresses(false), Published(State::Init)]);
        assert_eq!(bench.router.poll_timeout(), None);
        assert_eq!(bench.hear(9, 50), [], "adverts are not heard yet");
        assert_eq!(bench.give(is(first))[0], expected);
    }
}

#[test]
fn a_fault_is_told_also_while_a_result_is_missing() {
    let (mut bench, _) = bench(TrackerState::Pending, tracking(0, false));
    let did = bench.give(link(LinkState::Down));
    assert_eq!(did, entering(State::Fault, Cause::InterfaceDown));
    assert_eq!(
        bench.give(link(LinkState::Up)),
        [Published(State::Fault)],
        "it waits where it is"
    );
    let did = bench.give(is(TrackerState::Up));
    assert_eq!(did, entering(State::Backup, Cause::FaultCleared));
}

#[test]
fn a_script_that_a_reload_brings_disturbs_no_master_until_it_fails() {
    let mut bench = Bench::master(instance(100));
    bench.give(trackers(TrackerKind::Script, TrackerState::Pending));
    let did = bench.give(configure(tracking(0, false), None));
    assert_eq!(did, [Published(State::Master)]);
    let did = bench.give(is(TrackerState::Down));
    assert_eq!(did[..2], [Sent(0), Addresses(false)]);
}

#[test]
fn a_weight_changes_the_priority_and_says_why() {
    let (mut bench, _) = bench(TrackerState::Pending, tracking(-30, false));
    bench.wait();
    let said = "(VI_1) Changing effective priority from 100 to 70: script chk failed".to_owned();
    assert_eq!(
        bench.give(is(TrackerState::Down)),
        [Said(said), Published(State::Master)]
    );
    assert_eq!(bench.wait()[0], Sent(70));
}

#[test]
fn a_number_in_a_file_is_added_up_to_the_limits() {
    for (value, priority) in [(20, 140), (-20, 60), (100, 254), (-60, 1)] {
        let mut bench = Bench::empty();
        let state = TrackerState::Value(value);
        bench.give(trackers(TrackerKind::File, state));
        bench.give(configure(tracking(2, false), None));
        assert_eq!(bench.wait()[1], Sent(priority), "{value}");
    }
}

#[test]
fn a_reload_that_changes_only_the_state_of_a_tracker_is_noticed() {
    let (mut bench, _) = bench(TrackerState::Up, tracking(0, false));
    bench.give(trackers(TrackerKind::Script, TrackerState::Down));
    let did = bench.give(configure(tracking(0, false), None));
    assert_eq!(did[0], Entered(State::Fault, because(TrackerState::Down)));
}

#[test]
fn a_group_waits_for_the_script_of_a_member_and_fails_with_it() {
    let group = Some(GroupId(ID.0));
    let first = Instance {
        group,
        ..tracking(0, false)
    };
    let second = Instance {
        id: InstanceId(8),
        name: "VI_2".to_owned(),
        vrid: 52.try_into().unwrap(),
        trackers: Vec::new(),
        ..first.clone()
    };
    let mut bench = Bench::empty();
    bench.give(trackers(TrackerKind::Script, TrackerState::Pending));
    let instances = [(ID, first.into()), (InstanceId(8), second.into())].into();
    let did = bench.give(Input::Configure {
        global: global(),
        instances,
        resume: BTreeMap::new(),
    });
    let nothing_told = |did: &[Did]| !did.iter().any(|one| matches!(one, Entered(..) | Group(_)));
    assert!(nothing_told(&did), "{did:?}");
    let did = bench.give(is(TrackerState::Down));
    let faults = [because(TrackerState::Down), Cause::GroupFault];
    for cause in faults {
        assert!(did.contains(&Entered(State::Fault, cause)), "{did:?}");
    }
    assert_eq!(did.last(), Some(&Group(State::Fault)));
    let did = bench.give(is(TrackerState::Up));
    let backups = did
        .iter()
        .filter(|one| **one == Entered(State::Backup, Cause::FaultCleared));
    assert_eq!(backups.count(), 2);
}
