//! Two masters at a time, and its end: neighbours and switches send to the winner again, and the winner's scripts
//! are told. No announcement is lost here, so what neighbours have learned last is what they use.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use kr_model::InstanceId;
use kr_model::vrrp::{Instance, Preemption};
use kr_test_sim::{Faults, Lan, Random, What, instance};
use kr_vrrp::LinkState;

const ID: InstanceId = InstanceId(1);
const SEEDS: u64 = 3_000;

/// What brings two masters about.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// The routers do not hear each other, their neighbours hear all.
    Split,
    /// Only the adverts of the best router are lost.
    DeafBackups,
    /// The process of the best router does not run, its host does not even receive.
    Freeze,
    /// The same, and its clock jumps over the time.
    Suspension,
    /// The process of the best router is dead for a while and then resumes.
    LateResume,
    /// The best router's cable is out, on a host that does not notice.
    UnseenCable,
}

const TROUBLES: [Trouble; 6] = [
    Trouble::Split,
    Trouble::DeafBackups,
    Trouble::Freeze,
    Trouble::Suspension,
    Trouble::LateResume,
    Trouble::UnseenCable,
];

/// Two to four routers on a network with some delay; host 0 is the best one, and master.
fn settled(random: &mut Random) -> (Lan, usize) {
    let faults = Faults {
        delay: random.below(100_000),
        ..Faults::default()
    };
    let mut lan = Lan::new(random.below(u64::MAX), faults);
    let others = usize::try_from(1 + random.below(3)).unwrap();
    lan.add(10, vec![instance(1, 150, Preemption::Immediate)]);
    for last in (11..).take(others) {
        let priority = u8::try_from(100 + random.below(3)).unwrap();
        lan.add(last, vec![instance(1, priority, Preemption::Immediate)]);
    }
    lan.run(Duration::from_secs(20));
    lan.run(Duration::from_micros(random.below(1_000_000)));
    assert_eq!(lan.masters(ID), [0]);
    assert_eq!(lan.learned(ID), Some(0));
    (lan, others)
}

fn strike(lan: &mut Lan, trouble: Trouble, others: usize, time: Duration) {
    let ways = |lan: &mut Lan, out: bool, back: bool, there: bool| {
        for other in 1..=others {
            lan.wall(0, other, out && there);
            lan.wall(other, 0, back && there);
        }
    };
    match trouble {
        Trouble::Split => {
            ways(lan, true, true, true);
            lan.run(time);
            ways(lan, true, true, false);
        }
        Trouble::DeafBackups => {
            ways(lan, true, false, true);
            lan.run(time);
            ways(lan, true, false, false);
        }
        Trouble::Freeze | Trouble::Suspension => {
            lan.pause(0);
            ways(lan, true, true, true);
            lan.run(time);
            ways(lan, true, true, false);
            if matches!(trouble, Trouble::Suspension) {
                lan.jump_clock(0, time);
            }
            lan.unpause(0);
        }
        Trouble::LateResume => {
            lan.kill(0);
            lan.run(time);
            lan.start(0);
        }
        Trouble::UnseenCable => {
            lan.pause(0);
            lan.link(0, LinkState::Down);
            lan.run(time);
            lan.link(0, LinkState::Up);
            lan.unpause(0);
        }
    }
}

/// KA#14, #20, #160, #166, #220, #277, #542: after a short time with two masters the one that stayed did not
/// announce again, and a site was down until its routers forgot the loser.
#[test]
fn after_two_masters_the_neighbours_send_to_the_one_that_stays() {
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let (mut lan, others) = settled(&mut random);
        let trouble = TROUBLES[usize::try_from(random.below(6)).unwrap()];
        let time = Duration::from_millis(3_000 + random.below(12_000));
        strike(&mut lan, trouble, others, time);
        lan.run(Duration::from_secs(30));
        assert_eq!(lan.masters(ID), [0], "seed {seed}, {trouble:?}");
        assert_eq!(lan.holders(ID), [0], "seed {seed}, {trouble:?}");
        assert_eq!(lan.learned(ID), Some(0), "seed {seed}, {trouble:?}");
    }
}

/// KA#1884: the winner's scripts must run after the loser's, or a record that both write names the loser.
#[test]
fn after_a_split_the_winner_is_told_after_the_loser_left() {
    for seed in 0..SEEDS / 3 {
        let mut random = Random::new(seed);
        let (mut lan, others) = settled(&mut random);
        lan.history.clear();
        strike(&mut lan, Trouble::Split, others, Duration::from_secs(10));
        lan.run(Duration::from_secs(30));
        let last_change = |(_, host, _, what): &&(_, usize, _, What)| {
            *host != 0 && matches!(what, What::Entered(_))
        };
        let left = lan.history.iter().rfind(last_change).unwrap().0;
        let told = lan.history.iter().rev();
        let mut told = told.filter(|(_, host, _, what)| *host == 0 && *what == What::LowerHeard);
        let (at, ..) = told.next().unwrap();
        assert!(*at > left, "seed {seed}");
    }
}

/// Without the last advert of the loser, only half of the splits are noticed by the winner: the other half ends
/// with an advert of the winner that silences the loser.
#[test]
fn the_last_advert_of_a_loser_is_what_makes_every_split_known() {
    let mut wrong = 0;
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut lan = Lan::new(seed, Faults::default());
        for (last, priority) in [(10, 150), (11, 100)] {
            let silent = Instance {
                advert_before_yielding: false,
                ..instance(1, priority, Preemption::Immediate)
            };
            lan.add(last, vec![silent]);
        }
        lan.run(Duration::from_secs(20));
        lan.run(Duration::from_micros(random.below(1_000_000)));
        let time = Duration::from_millis(8_000 + random.below(1_000));
        strike(&mut lan, Trouble::Split, 1, time);
        lan.run(Duration::from_secs(30));
        wrong += u32::from(lan.learned(ID) != Some(0));
    }
    assert!(wrong > 20, "{wrong} of 200");
}
