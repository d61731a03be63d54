//! A changed configuration of a running process.

use kr_model::units::AdvertInterval;

use super::*;
use crate::fixture::address;

#[test]
fn an_equal_configuration_changes_nothing_at_all() {
    for mut bench in [Bench::backup(instance(100)), Bench::master(instance(100))] {
        bench.later(400);
        let before = bench.router.poll_timeout();
        assert_eq!(bench.give(configure(instance(100), None)), []);
        assert_eq!(bench.router.poll_timeout(), before);
    }
}

#[test]
fn changed_addresses_are_set_and_only_new_ones_announced() {
    let mut bench = Bench::master(instance(100));
    bench.later(400);
    let mut new = instance(100);
    new.addresses[0] = address(102);
    let did = bench.give(configure(new, None));
    let expected = [
        Addresses(true),
        Announced(102),
        Announced(102),
        Published(State::Master),
    ];
    assert_eq!(did, expected);
    assert_eq!(bench.timeout(), 600_000);
}

#[test]
fn a_changed_priority_keeps_the_state_and_moves_the_timer() {
    let mut bench = Bench::backup(instance(100));
    bench.later(1_000);
    assert_eq!(
        bench.give(configure(instance(200), None)),
        [Published(State::Backup)]
    );
    assert_eq!(bench.timeout(), 2_000_000 + 218_750);
    let mut bench = Bench::master(instance(100));
    assert_eq!(
        bench.give(configure(instance(50), None)),
        [Published(State::Master)]
    );
    assert_eq!(bench.wait(), [Sent(50)]);
}

#[test]
fn a_shorter_interval_brings_the_next_advert_forward() {
    let slow = Instance {
        advert_interval: AdvertInterval::try_from(1000).unwrap(),
        ..instance(100)
    };
    let mut bench = Bench::master(slow);
    bench.wait();
    assert_eq!(
        bench.give(configure(instance(100), None)),
        [Published(State::Master)]
    );
    assert!(bench.timeout() <= 1_000_000);
}

#[test]
fn a_removed_instance_leaves_as_a_fault() {
    let mut bench = Bench::master(instance(100));
    let nothing = Input::Configure {
        global: global(),
        instances: BTreeMap::new(),
        resume: BTreeMap::new(),
    };
    let did = bench.give(nothing);
    assert_eq!(
        did[..3],
        [
            Sent(0),
            Addresses(false),
            Entered(State::Fault, Cause::Shutdown)
        ]
    );
    assert_eq!(bench.router.poll_timeout(), None);
    assert_eq!(bench.hear(9, 50), []);
}
