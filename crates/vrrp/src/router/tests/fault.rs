//! Faults, and the end of the process.

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
    let instances = [(ID, instance(100))].into();
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
