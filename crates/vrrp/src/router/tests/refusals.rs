//! Masters whose addresses the kernel does not take.

use super::*;

fn judged(set: bool) -> Input<'static> {
    Input::Addresses { instance: ID, set }
}

/// Refuses the addresses of a master; returns the seconds until its next try.
fn refuse(bench: &mut Bench) -> u128 {
    bench.give(judged(false));
    assert_eq!(bench.role().state(), State::Fault);
    let until = bench.router.poll_timeout().unwrap();
    until.since(bench.now).as_millis() / 1000
}

#[test]
fn a_master_whose_addresses_are_refused_says_priority_0_and_waits_in_fault() {
    let mut bench = Bench::master(instance(100));
    let did = bench.give(judged(false));
    assert!(
        matches!(&did[0], Said(text) if text.contains("takes none of the virtual addresses")
            && text.contains("in 10 s"))
    );
    let enters = entering(State::Fault, Cause::AddressRefused);
    assert_eq!(
        did[1..],
        [vec![Sent(0), Addresses(false)], enters.to_vec()].concat()
    );
    assert_eq!(bench.hear(9, 50), [], "adverts are ignored in FAULT");
}

#[test]
fn it_tries_again_after_pauses_that_double() {
    let mut bench = Bench::master(instance(100));
    for pause in [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
        assert_eq!(refuse(&mut bench), pause);
        let did = bench.wait();
        assert_eq!(did, entering(State::Backup, Cause::FaultCleared));
        bench.wait();
        assert_eq!(bench.role().state(), State::Master);
    }
}

#[test]
fn addresses_that_are_set_at_last_make_the_pauses_short_again() {
    let mut bench = Bench::master(instance(100));
    assert_eq!(refuse(&mut bench), 10);
    bench.wait();
    bench.wait();
    assert_eq!(bench.give(judged(true)), []);
    assert_eq!(bench.role().state(), State::Master);
    assert_eq!(refuse(&mut bench), 10);
}

#[test]
fn a_change_of_the_interface_or_of_the_configuration_ends_the_wait() {
    let mut bench = Bench::master(instance(100));
    refuse(&mut bench);
    bench.give(link(LinkState::Down));
    let did = bench.give(link(LinkState::Up));
    assert_eq!(did, entering(State::Backup, Cause::FaultCleared));
    bench.wait();

    refuse(&mut bench);
    assert_eq!(bench.give(configure(instance(100), None)), []);
    let mut other = instance(100);
    other.addresses.pop();
    let did = bench.give(configure(other, None));
    assert_eq!(did[0], Entered(State::Backup, Cause::FaultCleared));
}

#[test]
fn a_router_that_is_no_master_any_more_hears_nothing_of_refusals() {
    let mut bench = Bench::backup(instance(100));
    assert_eq!(bench.give(judged(false)), []);
    let nobody = Input::Addresses {
        instance: InstanceId(99),
        set: false,
    };
    assert_eq!(bench.give(nobody), []);
    assert_eq!(bench.role().state(), State::Backup);
}
