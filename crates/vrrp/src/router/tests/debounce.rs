//! `interface_up_down_delays`.

use kr_model::vrrp::{LinkDelays, TrackedInterface};

use super::*;

/// Master on an interface whose changes must last two seconds down and one second up.
fn bench() -> Bench {
    let mut bench = Bench::empty();
    bench.give(delayed(2, 1));
    bench.wait();
    assert_eq!(bench.role().state(), State::Master);
    bench
}

fn delayed(down: u64, up: u64) -> Input<'static> {
    let delays = LinkDelays {
        down: Duration::from_secs(down),
        up: Duration::from_secs(up),
    };
    Input::Configure {
        global: VrrpGlobal {
            link_delays: [(interface(), delays)].into(),
            ..global()
        },
        instances: [(ID, instance(100).into())].into(),
        resume: BTreeMap::new(),
    }
}

/// Serves every timer of some seconds, and returns the state after that.
fn after(bench: &mut Bench, seconds: u64) -> State {
    let end = bench.now.saturating_add(Duration::from_secs(seconds));
    while bench.router.poll_timeout().is_some_and(|at| at <= end) {
        bench.now = bench.router.poll_timeout().unwrap().max(bench.now);
        bench.give(Input::Timer);
    }
    bench.now = end;
    bench.role().state()
}

#[test]
fn a_link_that_is_down_for_a_moment_is_no_fault() {
    let mut bench = bench();
    assert_eq!(bench.give(link(LinkState::Down)), []);
    assert_eq!(bench.give(source(None)), []);
    assert_eq!(after(&mut bench, 1), State::Master);
    bench.give(source(Some(10)));
    bench.give(link(LinkState::Up));
    assert_eq!(after(&mut bench, 5), State::Master);
}

#[test]
fn a_link_that_stays_down_is_a_fault_when_its_time_is_over() {
    let mut bench = bench();
    bench.give(link(LinkState::Down));
    assert_eq!(after(&mut bench, 1), State::Master);
    assert_eq!(after(&mut bench, 1), State::Fault);
    bench.give(link(LinkState::Up));
    bench.later(999);
    bench.give(Input::Timer);
    assert_eq!(bench.role().state(), State::Fault);
    bench.later(1);
    bench.give(Input::Timer);
    assert_eq!(bench.role().state(), State::Backup);
}

#[test]
fn an_interface_that_is_removed_is_a_fault_at_once() {
    let mut bench = bench();
    bench.give(link(LinkState::Down));
    bench.give(link(LinkState::Missing));
    assert_eq!(bench.role().state(), State::Fault);
    bench.give(link(LinkState::Up));
    assert_eq!(bench.role().state(), State::Backup);
}

#[test]
fn a_reload_without_the_delay_lets_a_waiting_change_count() {
    let mut bench = bench();
    bench.give(link(LinkState::Down));
    bench.give(configure(instance(100), None));
    assert_eq!(bench.role().state(), State::Fault);
}

#[test]
fn a_tracked_interface_has_delays_too() {
    let mut bench = Bench::empty();
    let eth1 = IfName::try_from("eth1".to_owned()).unwrap();
    let delays = LinkDelays {
        down: Duration::from_secs(2),
        up: Duration::ZERO,
    };
    let tracking = Instance {
        tracked_interfaces: vec![TrackedInterface {
            interface: eth1.clone(),
            weight: -20,
            reverse: false,
        }],
        ..instance(100)
    };
    let state = |state| Input::Link {
        interface: eth1.clone(),
        state,
    };
    bench.give(state(LinkState::Up));
    bench.give(Input::Configure {
        global: VrrpGlobal {
            link_delays: [(eth1.clone(), delays)].into(),
            ..global()
        },
        instances: [(ID, tracking.into())].into(),
        resume: BTreeMap::new(),
    });
    let priority = |bench: &Bench| {
        let snapshot = bench.router.instances[&ID].router.snapshot();
        snapshot.priority.get()
    };
    bench.give(state(LinkState::Down));
    assert_eq!(priority(&bench), 100);
    after(&mut bench, 2);
    assert_eq!(priority(&bench), 80);
    bench.give(state(LinkState::Up));
    assert_eq!(priority(&bench), 100);
}
