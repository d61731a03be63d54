//! Faults, and the end of the process.

use kr_model::units::Priority;
use kr_model::vrrp::TrackedInterface;

use super::*;

#[test]
fn a_master_that_loses_its_link_says_priority_0_and_frees_the_addresses() {
    let mut bench = Bench::master(instance(100));
    let enters = entering(State::Fault, Cause::InterfaceDown);
    let expected = [vec![Sent(0), Addresses(false)], enters.to_vec()].concat();
    assert_eq!(bench.give(link(LinkState::Down)), expected);
    assert_eq!(bench.router.poll_timeout(), None);
    assert_eq!(bench.hear(9, 50), [], "adverts are ignored in FAULT");
    assert_eq!(bench.counters().priority_zero_sent, 1);
}

#[test]
fn faults_end_only_with_the_last_of_them() {
    let mut bench = Bench::backup(instance(100));
    bench.give(link(LinkState::Missing));
    assert_eq!(bench.give(source(None)), []);
    assert_eq!(bench.give(link(LinkState::Up)), [Published(State::Fault)]);
    let did = bench.give(source(Some(10)));
    assert_eq!(did, entering(State::Backup, Cause::FaultCleared));
    assert_eq!(bench.timeout(), 3_609_375);
}

#[test]
fn dont_track_primary_minds_only_a_missing_interface() {
    let mut bench = Bench::master(Instance {
        track_primary: false,
        ..instance(100)
    });
    assert_eq!(bench.give(link(LinkState::Down)), []);
    let did = bench.give(link(LinkState::Missing));
    assert!(did.contains(&Entered(State::Fault, Cause::InterfaceMissing)));
}

#[test]
fn the_interface_of_a_virtual_address_is_a_fault_unless_it_is_not_tracked() {
    let elsewhere = IfName::try_from("eth1".to_owned()).unwrap();
    let mut config = instance(100);
    config.addresses[0].device = Some(elsewhere.clone());
    let mut bench = Bench::backup(config.clone());
    assert_eq!(bench.role().state(), State::Fault);
    let up = Input::Link {
        interface: elsewhere,
        state: LinkState::Up,
    };
    assert_eq!(
        bench.give(up)[0],
        Entered(State::Backup, Cause::FaultCleared)
    );
    config.addresses[0].tracked = false;
    assert_eq!(Bench::backup(config).role().state(), State::Backup);
}

#[test]
fn shutdown_of_a_master_resigns_before_the_addresses_go() {
    let mut bench = Bench::master(instance(100));
    let did = bench.give(Input::Shutdown);
    assert_eq!(
        did[..3],
        [
            Sent(0),
            Addresses(false),
            Entered(State::Stop, Cause::Shutdown)
        ]
    );
    assert_eq!(bench.router.poll_timeout(), None);
}

#[test]
fn shutdown_leaves_the_addresses_when_told_so() {
    let mut bench = Bench::master(instance(100));
    let global = VrrpGlobal {
        keep_addresses_at_exit: true,
        ..global()
    };
    let instances = [(ID, instance(100).into())].into();
    bench.give(Input::Configure {
        global,
        instances,
        resume: BTreeMap::new(),
    });
    assert_eq!(
        bench.give(Input::Shutdown)[..2],
        [Sent(0), Entered(State::Stop, Cause::Shutdown)]
    );
}

#[test]
fn shutdown_of_a_backup_sends_nothing() {
    let mut bench = Bench::backup(instance(100));
    assert_eq!(
        bench.give(Input::Shutdown)[0],
        Entered(State::Stop, Cause::Shutdown)
    );
}

/// Tracks eth1 with a weight.
fn tracking(weight: i16, reverse: bool) -> Instance {
    Instance {
        tracked_interfaces: vec![TrackedInterface {
            interface: IfName::try_from("eth1".to_owned()).unwrap(),
            weight,
            reverse,
        }],
        ..instance(100)
    }
}

fn eth1(state: LinkState) -> Input<'static> {
    Input::Link {
        interface: IfName::try_from("eth1".to_owned()).unwrap(),
        state,
    }
}

#[test]
fn the_weight_of_a_tracked_interface_changes_priority_and_timer() {
    // Weight, reverse, priority while eth1 is up and while it is down.
    for (weight, reverse, up, down) in [
        (20, false, 120, 100),
        (-20, false, 100, 80),
        (20, true, 100, 120),
        (-20, true, 80, 100),
        (253, false, 254, 100),
        (-253, false, 100, 1),
    ] {
        let mut bench = Bench::empty();
        bench.give(eth1(LinkState::Up));
        bench.give(configure(tracking(weight, reverse), None));
        let timer =
            |priority: u8| 3_000_000 + u128::from(256 - u16::from(priority)) * 1_000_000 / 256;
        // Rounded up to a whole microsecond at most.
        let close = |bench: &Bench, priority| bench.timeout().abs_diff(timer(priority)) <= 1;
        assert!(close(&bench, up), "weight {weight}");
        let said = format!(
            "(VI_1) Changing effective priority from {up} to {down}: interface eth1 is down"
        );
        assert_eq!(
            bench.give(eth1(LinkState::Down)),
            [Said(said), Published(State::Backup)]
        );
        assert!(close(&bench, down), "weight {weight}");
        assert_eq!(bench.wait()[1], Sent(down));
    }
}

#[test]
fn a_tracked_interface_without_weight_is_a_fault_when_down_or_in_reverse_when_up() {
    for (reverse, good, bad, cause) in [
        (false, LinkState::Up, LinkState::Down, Cause::InterfaceDown),
        (true, LinkState::Down, LinkState::Up, Cause::InterfaceUp),
    ] {
        let mut bench = Bench::empty();
        bench.give(eth1(good));
        bench.give(configure(tracking(0, reverse), None));
        assert_eq!(bench.role().state(), State::Backup);
        let did = bench.give(eth1(bad));
        assert_eq!(did, entering(State::Fault, cause));
    }
}

#[test]
fn an_owner_keeps_its_priority_whatever_it_tracks() {
    let mut bench = Bench::empty();
    let owner = Instance {
        priority: Priority::OWNER,
        ..tracking(-100, false)
    };
    bench.give(configure(owner, None));
    assert_eq!(bench.wait()[1], Sent(255));
}
