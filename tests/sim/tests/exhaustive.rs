//! Every way in which a network can treat the first adverts of an election, for two and three routers: each
//! delivery arrives, comes late (behind the next advert of its sender) or is lost. Whatever the choices, once the
//! network is good again there is exactly one master, and the right one.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use kr_model::InstanceId;
use kr_model::vrrp::Preemption;
use kr_test_sim::{Fate, Faults, Lan, What, instance};

const ID: InstanceId = InstanceId(1);
const FATES: [Fate; 3] = [
    Fate::Arrives,
    Fate::Late(Duration::from_millis(1_200)),
    Fate::Lost,
];

/// The choices for `count` deliveries that `number` stands for.
fn choices(mut number: usize, count: usize) -> Vec<Fate> {
    let mut fates = Vec::new();
    for _ in 0..count {
        fates.push(FATES[number % FATES.len()]);
        number /= FATES.len();
    }
    fates
}

/// Every sequence of choices for so many deliveries.
fn all_choices(count: usize) -> impl Iterator<Item = Vec<Fate>> {
    let sequences = FATES.len().pow(u32::try_from(count).unwrap());
    (0..sequences).map(move |number| choices(number, count))
}

/// Routers .10, .11 and so on with these priorities, which start together.
fn routers(priorities: &[u8], preemption: Preemption) -> Lan {
    let mut lan = Lan::new(1, Faults::default());
    for (last, priority) in (10..).zip(priorities) {
        lan.add(last, vec![instance(1, *priority, preemption)]);
    }
    lan
}

/// The network is good from now on: who is master in the end?
fn only_master(lan: &mut Lan, of: &str) -> usize {
    lan.script([]);
    lan.run(Duration::from_secs(12));
    let quiet_from = lan.history.len();
    lan.run(Duration::from_secs(5));
    let masters = lan.masters(ID);
    assert_eq!(masters.len(), 1, "{of}: {masters:?}");
    assert_eq!(lan.holders(ID), masters, "{of}");
    let entered = |what: &What| matches!(what, What::Entered(_));
    let mut later = lan.history[quiet_from..].iter();
    assert!(!later.any(|(_, _, _, what)| entered(what)), "{of}");
    masters[0]
}

/// The host that wins a fair election: the highest priority, then the highest address.
fn best(priorities: &[u8]) -> usize {
    let ranks = priorities.iter().zip(0..);
    ranks.max().map(|(_, host)| host).unwrap()
}

fn elects(priorities: &[u8], deliveries: usize) {
    for preemption in [Preemption::Immediate, Preemption::Never] {
        for fates in all_choices(deliveries) {
            let mut lan = routers(priorities, preemption);
            lan.script(fates.clone());
            // Long enough for every choice to be used.
            lan.run(Duration::from_secs(8));
            let of = format!("{priorities:?}, {preemption:?}, {fates:?}");
            let master = only_master(&mut lan, &of);
            if preemption == Preemption::Immediate {
                let right = priorities[best(priorities)];
                assert_eq!(priorities[master], right, "{of}");
            }
        }
    }
}

#[test]
fn two_routers_elect_the_better_one_whatever_happens_to_the_first_adverts() {
    elects(&[150, 100], 8);
    elects(&[100, 150], 8);
}

#[test]
fn two_equal_routers_elect_one_whatever_happens_to_the_first_adverts() {
    elects(&[100, 100], 8);
}

#[test]
fn an_owner_is_elected_whatever_happens_to_the_first_adverts() {
    elects(&[100, 255], 8);
}

#[test]
fn three_routers_elect_the_best_whatever_happens_to_the_first_adverts() {
    elects(&[100, 150, 50], 8);
}

#[test]
fn three_equal_routers_elect_one_whatever_happens_to_the_first_adverts() {
    elects(&[100, 100, 100], 8);
}

/// What can happen to the process of a master.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// kill -9; its successor resumes after 50 ms.
    Crash,
    /// SIGTERM, and a new start after 50 ms.
    Restart,
    /// The host is gone for five seconds.
    PowerCut,
    /// It does not run for four seconds; packets wait.
    Pause,
}

/// Every moment of an interval, every blow, every choice for the adverts that follow.
#[test]
fn three_routers_survive_every_blow_to_the_master_at_every_moment() {
    let priorities = [100, 150, 120];
    for blow in [Blow::Crash, Blow::Restart, Blow::PowerCut, Blow::Pause] {
        for moment in (0..1_000).step_by(125) {
            for fates in all_choices(4) {
                let mut lan = routers(&priorities, Preemption::Immediate);
                lan.run(Duration::from_secs(8) + Duration::from_millis(moment));
                assert_eq!(lan.masters(ID), [1]);
                lan.script(fates.clone());
                strike(&mut lan, blow);
                lan.run(Duration::from_secs(6));
                let of = format!("{blow:?} at {moment} ms, {fates:?}");
                assert_eq!(only_master(&mut lan, &of), 1, "{of}");
            }
        }
    }
}

fn strike(lan: &mut Lan, blow: Blow) {
    match blow {
        Blow::Crash => {
            lan.kill(1);
            lan.run(Duration::from_millis(50));
            lan.start(1);
        }
        Blow::Restart => {
            lan.stop(1);
            lan.run(Duration::from_millis(50));
            lan.start(1);
        }
        Blow::PowerCut => {
            lan.power_off(1);
            lan.run(Duration::from_secs(5));
            lan.start(1);
        }
        Blow::Pause => {
            lan.pause(1);
            lan.run(Duration::from_secs(4));
            lan.unpause(1);
        }
    }
}
