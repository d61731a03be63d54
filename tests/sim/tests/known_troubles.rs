//! What users of keepalived have reported about elections, each as a story that has to end well. The numbers are
//! those of the reports at acassen/keepalived.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use kr_model::net::Cidr;
use kr_model::units::AdvertInterval;
use kr_model::vrrp::{Instance, Preemption, State, Version, VirtualAddress};
use kr_model::{GroupId, InstanceId, Instant};
use kr_test_sim::{Faults, Lan, What, instance};
use kr_vrrp::LinkState;

const ID: InstanceId = InstanceId(1);
const SECOND: InstanceId = InstanceId(2);
const THIRD: InstanceId = InstanceId(3);

fn preempting(id: u8, priority: u8) -> Instance {
    instance(id, priority, Preemption::Immediate)
}

/// Two hosts that run the instances of `make` with priorities 150 and 100; host 0 is master of all.
fn pair(make: impl Fn(u8) -> Vec<Instance>) -> Lan {
    let mut lan = Lan::new(1, Faults::default());
    lan.add(10, make(150));
    lan.add(11, make(100));
    lan.run(Duration::from_secs(20));
    assert_eq!(lan.masters(ID), [0]);
    lan.history.clear();
    lan
}

fn transitions(lan: &Lan, host: usize, id: InstanceId) -> Vec<State> {
    let here = lan
        .history
        .iter()
        .filter(|(_, who, what, _)| (*who, *what) == (host, id));
    here.filter_map(|(_, _, _, what)| match what {
        What::Entered(state) => Some(*state),
        What::Advert(_) | What::Announced(_) | What::LowerHeard => None,
    })
    .collect()
}

fn adverts(lan: &Lan, host: usize, id: InstanceId) -> Vec<Instant> {
    let here = lan
        .history
        .iter()
        .filter(|(_, who, what, _)| (*who, *what) == (host, id));
    here.filter(|(_, _, _, what)| matches!(what, What::Advert(_)))
        .map(|(at, ..)| *at)
        .collect()
}

fn longest_gap(times: &[Instant]) -> Duration {
    let gaps = times.windows(2).map(|pair| pair[1].since(pair[0]));
    gaps.max().unwrap()
}

/// In a sync group.
fn grouped(instances: impl IntoIterator<Item = Instance>) -> Vec<Instance> {
    let in_group = |one| Instance {
        group: Some(GroupId(1)),
        ..one
    };
    instances.into_iter().map(in_group).collect()
}

// Reload.

/// #2159: a reload that removed one instance moved the addresses of all.
#[test]
fn removing_an_instance_moves_no_other_one() {
    let mut lan = pair(|priority| (1..=3).map(|id| preempting(id, priority)).collect());
    for (host, priority) in [(0, 150), (1, 100)] {
        lan.reload(host, vec![preempting(1, priority), preempting(3, priority)]);
        lan.run(Duration::from_secs(10));
    }
    for id in [ID, THIRD] {
        assert_eq!(transitions(&lan, 0, id), []);
        assert_eq!(transitions(&lan, 1, id), []);
        assert_eq!(longest_gap(&adverts(&lan, 0, id)), Duration::from_secs(1));
    }
}

/// #349: a reload each second, each with one more address, sent the node to BACKUP every time.
#[test]
fn a_reload_each_second_that_adds_an_address_changes_no_state() {
    let mut lan = pair(|priority| vec![preempting(1, priority)]);
    let mut config = preempting(1, 150);
    for number in 0..30 {
        let extra = preempting(100 + number, 150).addresses.remove(0);
        config.excluded.push(extra);
        lan.reload(0, vec![config.clone()]);
        lan.run(Duration::from_secs(1));
    }
    assert_eq!(transitions(&lan, 0, ID), []);
    assert_eq!(transitions(&lan, 1, ID), []);
    assert_eq!(longest_gap(&adverts(&lan, 0, ID)), Duration::from_secs(1));
}

/// #2364: after two instances of one interface swapped their router ids the addresses were gone.
#[test]
fn swapped_router_ids_leave_both_instances_master_with_their_addresses() {
    let mut lan = pair(|priority| vec![preempting(1, priority), preempting(2, priority)]);
    for (host, priority) in [(0, 150), (1, 100)] {
        let [mut one, mut two] = [preempting(1, priority), preempting(2, priority)];
        // An instance is known by its router id, so what moves are names and addresses.
        std::mem::swap(&mut one.name, &mut two.name);
        std::mem::swap(&mut one.addresses, &mut two.addresses);
        lan.reload(host, vec![one, two]);
    }
    lan.run(Duration::from_secs(20));
    for id in [ID, SECOND] {
        assert_eq!(lan.masters(id), [0]);
        assert_eq!(lan.holders(id), [0]);
        assert_eq!(transitions(&lan, 0, id), []);
        assert_eq!(lan.learned(id), Some(0));
    }
}

/// #2357: an instance stayed in FAULT after a reload although the link was up.
#[test]
fn a_fault_that_is_gone_does_not_outlive_a_reload() {
    let mut lan = pair(|priority| vec![preempting(1, priority)]);
    lan.link(0, LinkState::Down);
    lan.run(Duration::from_secs(5));
    lan.pause(0);
    lan.link(0, LinkState::Up);
    lan.unpause(0);
    let mut changed = preempting(1, 150);
    changed.name = "VI_new".to_owned();
    lan.reload(0, vec![changed]);
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.masters(ID), [0]);
    assert_eq!(lan.holders(ID), [0]);
}

/// #2715, #285: a member that a reload added demoted its whole group, and the addresses were gone.
#[test]
fn a_member_that_a_reload_adds_demotes_nobody() {
    let two = |priority| grouped([preempting(1, priority), preempting(2, priority)]);
    let three = |priority| grouped((1..=3).map(|id| preempting(id, priority)));
    for order in [[0, 1], [1, 0]] {
        let mut lan = pair(two);
        for host in order {
            lan.reload(host, three([150, 100][host]));
            lan.run(Duration::from_secs(8));
        }
        for id in [ID, SECOND] {
            assert_eq!(transitions(&lan, 0, id), [], "{order:?}");
            assert_eq!(transitions(&lan, 1, id), [], "{order:?}");
        }
        assert_eq!(lan.masters(THIRD), [0], "{order:?}");
        assert_eq!(lan.holders(THIRD), [0], "{order:?}");
    }
}

/// #1425: a reload went through BACKUP back to MASTER.
#[test]
fn a_reload_that_changes_nothing_is_not_noticed() {
    let mut lan = pair(|priority| vec![preempting(1, priority)]);
    for _ in 0..50 {
        lan.reload_same(0);
        lan.reload_same(1);
        lan.run(Duration::from_millis(333));
    }
    assert_eq!(transitions(&lan, 0, ID), []);
    assert_eq!(transitions(&lan, 1, ID), []);
    assert_eq!(longest_gap(&adverts(&lan, 0, ID)), Duration::from_secs(1));
}

/// #1653, #368: a master with many addresses lost its mastership again while it set them.
#[test]
fn two_hundred_addresses_fit_an_advert_and_move_like_one() {
    let mut lan = pair(|priority| {
        let mut many = preempting(1, priority);
        let line = many.addresses.remove(0);
        many.addresses = (0..200)
            .map(|last| VirtualAddress {
                address: Cidr::host([10, 0, 0, last].into()),
                ..line.clone()
            })
            .collect();
        vec![many]
    });
    lan.stop(0);
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan, 1, ID), [State::Master]);
    lan.start(0);
    lan.run(Duration::from_secs(20));
    assert_eq!(lan.masters(ID), [0]);
    let counters = lan.snapshot(1, ID).unwrap().counters;
    assert_eq!(
        counters.packet_length_errors + counters.address_list_errors,
        0
    );
}

// Split brain.

/// #2649: both were master after both had been started anew.
#[test]
fn two_hosts_that_start_together_after_a_power_cut_have_one_master() {
    for apart in [0, 1, 500, 999, 1_000, 3_600] {
        for preemption in [Preemption::Immediate, Preemption::Never] {
            let mut lan = Lan::new(1, Faults::default());
            lan.add(10, vec![instance(1, 150, preemption)]);
            lan.add(11, vec![instance(1, 100, preemption)]);
            lan.run(Duration::from_secs(10));
            lan.power_off(0);
            lan.power_off(1);
            lan.run(Duration::from_secs(1));
            lan.start(1);
            lan.run(Duration::from_millis(apart));
            lan.start(0);
            lan.run(Duration::from_secs(10));
            assert_eq!(lan.masters(ID).len(), 1, "{apart} ms");
            assert_eq!(lan.holders(ID), lan.masters(ID), "{apart} ms");
        }
    }
}

/// #2190: both stayed backup for ever after the interface had been made anew.
#[test]
fn an_interface_that_is_made_anew_ends_with_one_master() {
    let mut lan = pair(|priority| vec![preempting(1, priority)]);
    for host in [0, 1] {
        lan.link(host, LinkState::Missing);
    }
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.masters(ID), Vec::<usize>::new());
    for host in [0, 1] {
        lan.link(host, LinkState::Down);
        lan.link(host, LinkState::Up);
    }
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.masters(ID), [0]);
    assert_eq!(lan.holders(ID), [0]);
}

/// #220, #2066: a host that stands still for a second, again and again, costs no mastership: three adverts have
/// to be missed.
#[test]
fn pauses_shorter_than_the_master_down_time_move_nothing() {
    let mut lan = pair(|priority| vec![preempting(1, priority)]);
    for round in 0..40 {
        let victim = round % 2;
        lan.pause(victim);
        lan.run(Duration::from_millis(1_900));
        lan.unpause(victim);
        lan.run(Duration::from_millis(1_300));
    }
    assert_eq!(transitions(&lan, 0, ID), []);
    assert_eq!(transitions(&lan, 1, ID), []);
}

/// A live migration that lasts longer than the master-down time: with more `down_timer_adverts` nothing moves.
#[test]
fn more_down_timer_adverts_ride_out_a_long_pause() {
    let mut lan = pair(|priority| {
        vec![Instance {
            down_timer_adverts: 8,
            ..preempting(1, priority)
        }]
    });
    lan.pause(0);
    lan.run(Duration::from_secs(7));
    lan.unpause(0);
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan, 0, ID), []);
    assert_eq!(transitions(&lan, 1, ID), []);
}

/// The winner of a split runs its scripts again (#1884), and is told nothing in an ordinary take-over.
#[test]
fn an_ordinary_take_over_tells_nobody_of_a_lower_master() {
    let mut lan = pair(|priority| vec![preempting(1, priority)]);
    for _ in 0..5 {
        lan.power_off(0);
        lan.run(Duration::from_secs(10));
        lan.start(0);
        lan.run(Duration::from_secs(10));
        assert_eq!(lan.masters(ID), [0]);
    }
    let told = |what: &What| *what == What::LowerHeard;
    assert!(!lan.history.iter().any(|(_, _, _, what)| told(what)));
}

// Versions and intervals.

/// #1615: routers of different versions do not hear each other, and neither is moved by the other's packets.
#[test]
fn routers_of_different_versions_ignore_each_other() {
    let mut lan = Lan::new(1, Faults::default());
    lan.add(10, vec![preempting(1, 150)]);
    let other = Instance {
        version: Version::V3,
        ..preempting(1, 100)
    };
    lan.add(11, vec![other]);
    lan.run(Duration::from_secs(20));
    assert_eq!(lan.masters(ID), [0, 1]);
    for host in [0, 1] {
        let snapshot = lan.snapshot(host, ID).unwrap();
        assert!(snapshot.counters.version_errors > 0, "host {host}");
    }
}

/// Version 2 refuses another interval, so a wrong `advert_int` shows; the counter says why.
#[test]
fn different_intervals_in_version_2_are_refused_and_counted() {
    let mut lan = Lan::new(1, Faults::default());
    lan.add(10, vec![preempting(1, 150)]);
    let other = Instance {
        advert_interval: AdvertInterval::try_from(200).unwrap(),
        ..preempting(1, 100)
    };
    lan.add(11, vec![other]);
    lan.run(Duration::from_secs(30));
    assert_eq!(lan.masters(ID), [0, 1]);
    let snapshot = lan.snapshot(1, ID).unwrap();
    assert!(snapshot.counters.advert_interval_errors > 0);
}

/// Version 3 learns it, and goes back to its own when it becomes master.
#[test]
fn different_intervals_in_version_3_are_learned_and_unlearned() {
    let with = |interval, priority| Instance {
        version: Version::V3,
        advert_interval: AdvertInterval::try_from(interval).unwrap(),
        ..preempting(1, priority)
    };
    let mut lan = Lan::new(1, Faults::default());
    lan.add(10, vec![with(400, 150)]);
    lan.add(11, vec![with(20, 100)]);
    lan.run(Duration::from_secs(60));
    assert_eq!(lan.masters(ID), [0]);
    lan.history.clear();
    let died = lan.now;
    lan.power_off(0);
    lan.run(Duration::from_secs(30));
    let sent = adverts(&lan, 1, ID);
    // Of the slow master three adverts and a skew have to be missed; at most one was just sent.
    assert!(sent[0].since(died) > Duration::from_secs(8 + 2));
    assert_eq!(longest_gap(&sent), Duration::from_millis(200));
}
