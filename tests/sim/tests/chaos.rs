//! Three to five routers, a bad network, pauses, crashes and pulled cables; then everything heals, and
//! exactly the right router has to be master.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use kr_model::units::AdvertInterval;
use kr_model::vrrp::{Instance, Preemption, Version};
use kr_model::{GroupId, InstanceId};
use kr_test_sim::{Faults, Lan, Random, What, instance};
use kr_vrrp::LinkState;

const ID: InstanceId = InstanceId(1);
/// The other member of the sync group.
const SECOND: InstanceId = InstanceId(2);
const SEEDS: u64 = 2_000;

/// Priorities with ties, neighbours, the extremes and an owner.
const PRIORITIES: [u8; 7] = [1, 99, 100, 100, 101, 254, 255];

/// What runs on each host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Version 2.
    V2,
    /// Version 3, each router with an interval of its own.
    V3,
    /// Two virtual routers in a sync group.
    Group,
}

impl Kind {
    fn instances(self, priority: u8, preemption: Preemption, random: &mut Random) -> Vec<Instance> {
        let first = instance(1, priority, preemption);
        match self {
            Self::V2 => vec![first],
            Self::V3 => vec![Instance {
                version: Version::V3,
                advert_interval: AdvertInterval::try_from(20 + random.below(100)).unwrap(),
                ..first
            }],
            Self::Group => [first, instance(2, priority, preemption)]
                .map(|one| Instance {
                    group: Some(GroupId(1)),
                    ..one
                })
                .into(),
        }
    }
}

struct Scene {
    lan: Lan,
    random: Random,
    priorities: Vec<u8>,
}

fn scene(seed: u64, kind: Kind, preemption: Preemption) -> Scene {
    let mut random = Random::new(seed);
    let mut lan = Lan::new(
        seed ^ 0xdead,
        Faults {
            loss: random.below(300),
            duplication: random.below(200),
            delay: random.below(80_000),
        },
    );
    let count = 3 + random.below(3);
    let mut priorities = Vec::new();
    for number in 0..count {
        let mut priority = PRIORITIES[usize::try_from(random.below(7)).unwrap()];
        if priority == 255 && priorities.contains(&255) {
            priority = 254;
        }
        priorities.push(priority);
        let last = u8::try_from(10 + number).unwrap();
        lan.add(last, kind.instances(priority, preemption, &mut random));
        lan.run(Duration::from_micros(random.below(2_000_000)));
    }
    Scene {
        lan,
        random,
        priorities,
    }
}

fn chaos(scene: &mut Scene) {
    for _ in 0..40 {
        let host = usize::try_from(scene.random.below(scene.priorities.len() as u64)).unwrap();
        match scene.random.below(10) {
            0 => scene.lan.pause(host),
            1 | 2 => scene.lan.unpause(host),
            3 => scene.lan.kill(host),
            4 | 5 => scene.lan.start(host),
            6 => scene.lan.link(host, LinkState::Down),
            7 => scene.lan.link(host, LinkState::Up),
            // A reload that changes nothing must not matter, whatever the process does.
            8 => scene.lan.reload_same(host),
            _ => scene.lan.stop(host),
        }
        scene
            .lan
            .run(Duration::from_micros(scene.random.below(2_500_000)));
    }
}

fn heal(scene: &mut Scene) {
    scene.lan.faults = Faults::default();
    for host in 0..scene.priorities.len() {
        scene.lan.unpause(host);
        scene.lan.start(host);
        scene.lan.link(host, LinkState::Up);
    }
}

/// Runs a seed and gives the one master, after everything is quiet.
fn settled_master(seed: u64, kind: Kind, preemption: Preemption) -> (usize, Vec<u8>) {
    let mut scene = scene(seed, kind, preemption);
    chaos(&mut scene);
    heal(&mut scene);
    scene.lan.run(Duration::from_secs(15));
    let quiet_from = scene.lan.history.len();
    scene.lan.run(Duration::from_secs(20));
    let masters = scene.lan.masters(ID);
    assert_eq!(masters.len(), 1, "seed {seed}: masters {masters:?}");
    assert_eq!(scene.lan.holders(ID), masters, "seed {seed}: addresses");
    if kind == Kind::Group {
        assert_eq!(scene.lan.masters(SECOND), masters, "seed {seed}: group");
        assert_eq!(scene.lan.holders(SECOND), masters, "seed {seed}: group");
    }
    let restless: Vec<_> = scene.lan.history[quiet_from..]
        .iter()
        .filter(|(_, _, _, what)| matches!(what, What::Entered(_)))
        .collect();
    assert!(restless.is_empty(), "seed {seed}: {restless:?}");
    (masters[0], scene.priorities)
}

fn highest_is_master(seeds: u64, kind: Kind, preemption: Preemption) {
    for seed in 0..seeds {
        let (master, priorities) = settled_master(seed, kind, preemption);
        assert_eq!(
            priorities[master],
            *priorities.iter().max().unwrap(),
            "seed {seed}"
        );
    }
}

#[test]
fn after_chaos_a_router_of_the_highest_priority_is_the_only_master() {
    highest_is_master(SEEDS, Kind::V2, Preemption::Immediate);
}

#[test]
fn after_chaos_with_preempt_delay_the_highest_priority_wins_too() {
    let delay = Preemption::Delayed(Duration::from_secs(4));
    highest_is_master(SEEDS / 2, Kind::V2, delay);
}

#[test]
fn after_chaos_with_nopreempt_there_is_exactly_one_master() {
    for seed in 0..SEEDS / 2 {
        settled_master(seed, Kind::V2, Preemption::Never);
    }
}

#[test]
fn after_chaos_version_3_with_different_intervals_has_the_right_master() {
    highest_is_master(SEEDS / 2, Kind::V3, Preemption::Immediate);
    for seed in 0..SEEDS / 4 {
        settled_master(seed, Kind::V3, Preemption::Never);
    }
}

#[test]
fn after_chaos_a_sync_group_is_whole_on_the_right_router() {
    highest_is_master(SEEDS / 2, Kind::Group, Preemption::Immediate);
}

#[test]
fn after_chaos_a_sync_group_with_nopreempt_is_whole_on_one_router() {
    for seed in 0..SEEDS / 4 {
        settled_master(seed, Kind::Group, Preemption::Never);
    }
}
