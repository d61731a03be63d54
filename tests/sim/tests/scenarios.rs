//! Single stories on a network without faults, where every time can be stated: takeover bounds, crashes with
//! resume, split brain and its end, reloads.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use kr_model::vrrp::{Preemption, State};
use kr_model::{InstanceId, Instant};
use kr_test_sim::{Faults, Lan, What, foreign_advert, instance};
use kr_vrrp::LinkState;

const ID: InstanceId = InstanceId(1);
/// Master-down time of priority 100 at 1 s: 3 s and a skew of 156/256 s.
const DOWN_100: Duration = Duration::from_micros(3_609_375);
const SKEW_100: Duration = Duration::from_micros(609_375);

/// Settled routers with these priorities; the first is master.
fn settled(priorities: &[u8], preemption: Preemption) -> Lan {
    let mut lan = Lan::new(1, Faults::default());
    for (last, priority) in (10..).zip(priorities) {
        lan.add(last, vec![instance(1, *priority, preemption)]);
    }
    lan.run(Duration::from_secs(20));
    assert_eq!(lan.masters(ID), [0]);
    lan.history.clear();
    lan
}

fn transitions(lan: &Lan) -> Vec<(usize, State)> {
    lan.history
        .iter()
        .filter_map(|(_, host, _, what)| match what {
            What::Entered(state) => Some((*host, *state)),
            What::Advert(_) | What::Announced(_) | What::LowerHeard => None,
        })
        .collect()
}

fn times(lan: &Lan, host: usize, wanted: impl Fn(&What) -> bool) -> Vec<Instant> {
    let of_host = lan.history.iter().filter(|(_, who, _, _)| *who == host);
    of_host
        .filter(|(_, _, _, what)| wanted(what))
        .map(|(at, ..)| *at)
        .collect()
}

fn adverts(lan: &Lan, host: usize) -> Vec<Instant> {
    times(lan, host, |what| matches!(what, What::Advert(_)))
}

fn longest_gap(times: &[Instant]) -> Duration {
    times
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .max()
        .unwrap()
}

/// RFC 3768 section 6.1: Master_Down_Interval, and the skew keeps the third router quiet.
#[test]
fn a_dead_master_is_replaced_after_the_master_down_time_by_the_next_best() {
    let mut lan = settled(&[150, 100, 99], Preemption::Immediate);
    lan.run(Duration::from_millis(300));
    let last = *adverts(&lan, 0).last().unwrap_or(&lan.now);
    lan.power_off(0);
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan), [(1, State::Master)]);
    let took_over = times(&lan, 1, |what| *what == What::Entered(State::Master))[0];
    let waited = took_over.since(last);
    let network = Duration::from_micros(1);
    assert!(waited <= DOWN_100 + network, "{waited:?}");
    assert!(waited > Duration::from_secs(2), "{waited:?}");
}

/// RFC 3768 section 6.4.3, Shutdown: priority 0, and the best backup waits for its skew only.
#[test]
fn a_stopped_master_is_replaced_after_the_skew_time() {
    let mut lan = settled(&[150, 100, 99], Preemption::Immediate);
    let stopped = lan.now;
    lan.stop(0);
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan), [(0, State::Stop), (1, State::Master)]);
    let took_over = times(&lan, 1, |what| *what == What::Entered(State::Master))[0];
    let network = Duration::from_micros(1);
    assert_eq!(took_over.since(stopped), SKEW_100 + network);
    assert_eq!(lan.holders(ID), [1]);
}

#[test]
fn equal_priorities_that_start_together_leave_the_highest_address_as_master() {
    let mut lan = Lan::new(1, Faults::default());
    for last in [11, 13, 12] {
        lan.add(last, vec![instance(1, 100, Preemption::Immediate)]);
    }
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.masters(ID), [1]);
    assert_eq!(lan.holders(ID), [1]);
}

/// kill -9 and restart after 50 ms, at twenty moments of the interval, for each router.
#[test]
fn killed_processes_resume_without_any_transition() {
    for victim in [0, 1] {
        let mut lan = settled(&[150, 100], Preemption::Immediate);
        for _ in 0..20 {
            lan.run(Duration::from_millis(1_048));
            lan.kill(victim);
            lan.run(Duration::from_millis(50));
            lan.start(victim);
        }
        lan.run(Duration::from_secs(10));
        assert_eq!(transitions(&lan), [], "victim {victim}");
        assert_eq!(lan.holders(ID), [0]);
        let gap = longest_gap(&adverts(&lan, 0));
        assert!(gap <= Duration::from_millis(1_050), "{gap:?}");
    }
}

/// The price of the rule that a resumed backup waits the whole time again.
#[test]
fn a_backup_that_crashes_while_the_master_dies_takes_over_within_two_master_down_times() {
    for crash_after in [100, 1_000, 2_000, 2_600] {
        let mut lan = settled(&[150, 100], Preemption::Immediate);
        let died = lan.now;
        lan.power_off(0);
        lan.run(Duration::from_millis(crash_after));
        lan.kill(1);
        lan.run(Duration::from_millis(50));
        lan.start(1);
        lan.run(Duration::from_secs(10));
        let took_over = times(&lan, 1, |what| *what == What::Entered(State::Master))[0];
        assert!(took_over.since(died) <= DOWN_100 * 2);
    }
}

/// A gap so long that the peer took over: the ordinary rules settle it, and the winner announces.
#[test]
fn a_master_resumed_after_a_long_gap_wins_again_and_announces() {
    let mut lan = settled(&[150, 100], Preemption::Immediate);
    lan.kill(0);
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan), [(1, State::Master)]);
    let restarted = lan.now;
    lan.start(0);
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan), [(1, State::Master), (1, State::Backup)]);
    assert_eq!(lan.holders(ID), [0]);
    let announced = times(&lan, 0, |what| matches!(what, What::Announced(_)));
    assert!(announced.iter().any(|at| *at >= restarted));
}

#[test]
fn a_worse_master_resumed_after_a_long_gap_gives_way() {
    let mut lan = settled(&[100], Preemption::Immediate);
    lan.kill(0);
    lan.add(11, vec![instance(1, 150, Preemption::Immediate)]);
    lan.run(Duration::from_secs(10));
    lan.history.clear();
    lan.start(0);
    lan.run(Duration::from_millis(10));
    assert_eq!(transitions(&lan), [(0, State::Backup)]);
    assert_eq!(lan.holders(ID), [1]);
}

/// After a split the surviving master has to announce: switches and hosts may have learned the loser.
#[test]
fn the_winner_of_a_split_announces_again_after_the_loser_left() {
    let mut lan = settled(&[150, 100], Preemption::Immediate);
    lan.faults.loss = 1_000;
    lan.run(Duration::from_secs(8));
    assert_eq!(lan.masters(ID), [0, 1], "the split gives two masters");
    lan.faults.loss = 0;
    lan.history.clear();
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan), [(1, State::Backup)]);
    let left = times(&lan, 1, |what| *what == What::Entered(State::Backup))[0];
    let last_wrong = times(&lan, 1, |what| matches!(what, What::Announced(_)))
        .last()
        .copied()
        .unwrap_or(Instant::ZERO);
    assert!(last_wrong <= left, "the loser goes on announcing");
    let announced = times(&lan, 0, |what| matches!(what, What::Announced(_)));
    assert!(announced.iter().any(|at| *at > left));
}

/// A virtual machine that stands still longer than the master-down time, without even receiving.
#[test]
fn a_frozen_master_comes_back_as_the_only_master_and_announces() {
    let mut lan = settled(&[150, 100], Preemption::Immediate);
    lan.pause(0);
    lan.faults.loss = 1_000;
    lan.run(Duration::from_secs(6));
    lan.faults.loss = 0;
    lan.unpause(0);
    let thawed = lan.now;
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.masters(ID), [0]);
    assert_eq!(lan.holders(ID), [0]);
    let announced = times(&lan, 0, |what| matches!(what, What::Announced(_)));
    assert!(announced.iter().any(|at| *at >= thawed));
}

#[test]
fn a_frozen_backup_that_lost_all_packets_does_not_take_over() {
    let mut lan = settled(&[150, 100], Preemption::Immediate);
    lan.pause(1);
    lan.faults.loss = 1_000;
    lan.run(Duration::from_secs(6));
    lan.faults.loss = 0;
    lan.unpause(1);
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan), []);
}

#[test]
fn with_nopreempt_a_returning_better_router_stays_backup() {
    let mut lan = settled(&[150, 100], Preemption::Never);
    lan.power_off(0);
    lan.run(Duration::from_secs(10));
    lan.history.clear();
    lan.start(0);
    lan.run(Duration::from_secs(20));
    assert_eq!(transitions(&lan), [(0, State::Backup)]);
    assert_eq!(lan.masters(ID), [1]);
}

#[test]
fn with_preempt_delay_a_returning_better_router_waits_that_long() {
    let delay = Duration::from_secs(10);
    let mut lan = settled(&[150, 100], Preemption::Delayed(delay));
    lan.power_off(0);
    lan.run(Duration::from_secs(10));
    lan.history.clear();
    let started = lan.now;
    lan.start(0);
    lan.run(Duration::from_secs(20));
    let took_over = times(&lan, 0, |what| *what == What::Entered(State::Master))[0];
    let waited = took_over.since(started);
    assert!(waited > delay + Duration::from_secs(2), "{waited:?}");
    assert!(waited < delay + Duration::from_secs(5), "{waited:?}");
    assert_eq!(lan.masters(ID), [0]);
}

#[test]
fn of_two_owners_one_stays() {
    let mut lan = Lan::new(1, Faults::default());
    lan.add(10, vec![instance(1, 255, Preemption::Immediate)]);
    lan.add(11, vec![instance(1, 255, Preemption::Immediate)]);
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.masters(ID), [1]);
}

/// An owner that never gives way, as RFC 3768 allows it to be.
#[test]
fn an_owner_gives_way_to_an_owner_that_does_not_and_returns_when_it_is_gone() {
    let mut lan = Lan::new(1, Faults::default());
    lan.add(20, vec![instance(1, 255, Preemption::Immediate)]);
    for _ in 0..8 {
        lan.inject(&foreign_advert(1, 255, 5));
        lan.run(Duration::from_secs(1));
    }
    assert_eq!(lan.masters(ID), []);
    assert_eq!(
        lan.snapshot(0, ID).map(|kept| kept.priority.get()),
        Some(254)
    );
    lan.run(Duration::from_secs(5));
    assert_eq!(lan.masters(ID), [0]);
    assert_eq!(
        lan.snapshot(0, ID).map(|kept| kept.priority.get()),
        Some(255)
    );
}

#[test]
fn an_instance_added_by_reload_does_not_disturb_the_others() {
    let mut lan = settled(&[150, 100], Preemption::Immediate);
    lan.run(Duration::from_millis(400));
    for (host, priority) in [(0, 150), (1, 100)] {
        let both = vec![
            instance(1, priority, Preemption::Immediate),
            instance(2, priority, Preemption::Immediate),
        ];
        lan.reload(host, both);
    }
    lan.run(Duration::from_secs(20));
    let of_first = |what: &What| {
        lan.history
            .iter()
            .filter(|(_, _, id, kind)| *id == ID && kind == what)
            .map(|(at, ..)| *at)
            .collect::<Vec<_>>()
    };
    assert_eq!(of_first(&What::Entered(State::Master)), []);
    assert_eq!(of_first(&What::Entered(State::Backup)), []);
    let sent = of_first(&What::Advert(150));
    assert!(sent.len() >= 20);
    assert!(
        sent.windows(2)
            .all(|pair| pair[1].since(pair[0]) == Duration::from_secs(1)),
        "every advert exactly on time"
    );
    assert_eq!(lan.masters(InstanceId(2)), [0]);
}

#[test]
fn an_instance_removed_by_reload_leaves_the_others_alone_and_frees_its_address() {
    let mut lan = Lan::new(1, Faults::default());
    let both = vec![
        instance(1, 100, Preemption::Immediate),
        instance(2, 100, Preemption::Immediate),
    ];
    lan.add(10, both);
    lan.run(Duration::from_secs(5));
    lan.history.clear();
    lan.reload(0, vec![instance(1, 100, Preemption::Immediate)]);
    lan.run(Duration::from_secs(5));
    assert_eq!(transitions(&lan), [(0, State::Fault)]);
    assert_eq!(lan.holders(InstanceId(2)), Vec::<usize>::new());
    assert_eq!(lan.holders(ID), [0]);
}

/// Whatever arrives, only an own advert starts the advert interval anew.
#[test]
fn garbage_does_not_delay_adverts() {
    let mut lan = settled(&[150], Preemption::Immediate);
    let good = foreign_advert(1, 100, 9);
    for round in 0..100_usize {
        let mut bad = good.clone();
        let at = 20 + round % (good.len() - 20);
        // Byte 21 is the virtual router id; with another one the packet would be nobody's.
        if at != 21 {
            bad[at] ^= 0x5a;
            lan.inject(&bad);
        }
        lan.inject(&good[..good.len() - round % 20 - 1]);
        lan.run(Duration::from_millis(100));
    }
    assert_eq!(transitions(&lan), []);
    assert_eq!(longest_gap(&adverts(&lan, 0)), Duration::from_secs(1));
    assert_eq!(adverts(&lan, 0).len(), 10);
}

#[test]
fn a_pulled_cable_is_a_fault_and_ends_as_the_only_master() {
    let mut lan = settled(&[150, 100], Preemption::Immediate);
    lan.link(0, LinkState::Down);
    lan.run(Duration::from_secs(10));
    assert_eq!(transitions(&lan), [(0, State::Fault), (1, State::Master)]);
    assert_eq!(lan.holders(ID), [1]);
    lan.history.clear();
    lan.link(0, LinkState::Up);
    lan.run(Duration::from_secs(10));
    assert_eq!(
        transitions(&lan),
        [(0, State::Backup), (0, State::Master), (1, State::Backup)]
    );
    assert_eq!(lan.holders(ID), [0]);
}
