//! Two to six routers, a bad network, one-way links, pauses, clocks that jump, crashes with resume, power cuts
//! and pulled cables; then everything heals, and exactly the right router has to be master and stay it.
//!
//! Each seed is one story; together they last years of virtual time. Times are in advert intervals, which
//! are from 10 ms to 255 s.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::ops::Range;
use std::time::Duration;

use kr_model::units::AdvertInterval;
use kr_model::vrrp::{Instance, Preemption, Version};
use kr_model::{GroupId, InstanceId};
use kr_test_sim::{Faults, Lan, Random, What, instance};
use kr_vrrp::LinkState;

const ID: InstanceId = InstanceId(1);
/// The other member of the sync group.
const SECOND: InstanceId = InstanceId(2);
/// Stories of each test.
const SEEDS: u64 = 3_000;
/// Things that happen in a story.
const EVENTS: u64 = 40;
/// The largest skew time of version 2, which does not depend on the interval.
const SKEW: Duration = Duration::from_secs(1);

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

/// When a better router takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preempts {
    Always,
    Later,
    Never,
}

/// One story.
struct Scene {
    lan: Lan,
    random: Random,
    kind: Kind,
    /// The longest advert interval of a router.
    unit: Duration,
    instances: Vec<Vec<Instance>>,
}

impl Scene {
    fn new(seed: u64, kind: Kind, preempts: Preempts) -> Self {
        let mut random = Random::new(seed);
        let base = match kind {
            Kind::V2 | Kind::Group => [100, 200, 1_000, 6_000, 25_500][pick(&mut random, 5)],
            Kind::V3 => [1, 3, 20, 100, 2_000][pick(&mut random, 5)],
        };
        let mut scene = Self {
            lan: Lan::new(seed ^ 0xdead, Faults::default()),
            kind,
            unit: Duration::from_millis(10 * base) * if kind == Kind::V3 { 2 } else { 1 },
            instances: Vec::new(),
            random,
        };
        let preemption = match preempts {
            Preempts::Always => Preemption::Immediate,
            Preempts::Later => Preemption::Delayed(scene.unit * 4),
            Preempts::Never => Preemption::Never,
        };
        scene.worsen();
        let count = 2 + scene.random.below(5);
        let mut owners = 0;
        for number in 0..count {
            let mut priority = PRIORITIES[pick(&mut scene.random, 7)];
            owners += u64::from(priority == 255);
            if priority == 255 && owners > 1 {
                priority = 254;
            }
            let instances = scene.router(base, priority, preemption);
            scene
                .lan
                .add(u8::try_from(10 + number).unwrap(), instances.clone());
            scene.instances.push(instances);
            scene.pass(2);
        }
        scene
    }

    /// A router with options of its own.
    fn router(&mut self, base: u64, priority: u8, preemption: Preemption) -> Vec<Instance> {
        let interval = match self.kind {
            Kind::V2 | Kind::Group => base,
            Kind::V3 => base + self.random.below(base + 1),
        };
        let first = Instance {
            advert_interval: AdvertInterval::try_from(interval).unwrap(),
            version: match self.kind {
                Kind::V3 => Version::V3,
                Kind::V2 | Kind::Group => Version::V2,
            },
            advert_before_yielding: self.random.chance(700),
            // Without an answer the loser of a tie hears the winner an interval later.
            answer_lower_priority: self.random.chance(700),
            ..instance(1, priority, preemption)
        };
        if self.kind != Kind::Group {
            return vec![first];
        }
        let second = instance(2, priority, preemption);
        let second = Instance {
            id: second.id,
            name: second.name,
            vrid: second.vrid,
            addresses: second.addresses,
            ..first.clone()
        };
        [first, second]
            .map(|one| Instance {
                group: Some(GroupId(1)),
                ..one
            })
            .into()
    }

    fn hosts(&self) -> Range<usize> {
        0..self.instances.len()
    }

    fn some_host(&mut self) -> usize {
        pick(&mut self.random, self.instances.len())
    }

    /// Lets up to so many intervals pass.
    fn pass(&mut self, intervals: u32) {
        let most = u64::try_from((self.unit * intervals).as_micros()).unwrap();
        let time = Duration::from_micros(self.random.below(most));
        self.lan.run(time);
    }

    fn worsen(&mut self) {
        let unit = u64::try_from(self.unit.as_micros()).unwrap();
        self.lan.faults = Faults {
            loss: self.random.below(300),
            duplication: self.random.below(200),
            delay: self.random.below(unit / 10),
        };
    }

    fn chaos(&mut self) {
        for _ in 0..EVENTS {
            let (host, other) = (self.some_host(), self.some_host());
            match self.random.below(16) {
                0 => self.lan.pause(host),
                1 | 2 => self.lan.unpause(host),
                3 => self.lan.kill(host),
                4 | 5 => self.lan.start(host),
                6 => self.lan.link(host, LinkState::Down),
                7 => self.lan.link(host, LinkState::Up),
                // A reload that changes nothing must not matter, whatever the process does.
                8 => self.lan.reload_same(host),
                9 => self.lan.stop(host),
                10 => self.lan.power_off(host),
                11 | 12 => self.lan.wall(host, other, true),
                13 => self.lan.open_walls(),
                14 => {
                    let by = self.unit * u32::try_from(self.random.below(20)).unwrap() / 2;
                    self.lan.jump_clock(host, by);
                }
                _ => self.worsen(),
            }
            self.pass(3);
        }
    }

    fn heal(&mut self) {
        self.lan.faults = Faults::default();
        self.lan.open_walls();
        for host in self.hosts() {
            self.lan.unpause(host);
            self.lan.start(host);
            self.lan.link(host, LinkState::Up);
        }
    }

    /// How often routers became master since an entry of the history.
    fn take_overs(&self, from: usize) -> usize {
        let later = self.lan.history[from..].iter();
        later
            .filter(|(_, _, _, what)| *what == What::Entered(kr_model::vrrp::State::Master))
            .count()
    }

    fn priority(&self, host: usize) -> u8 {
        self.instances[host][0].priority.get()
    }
}

fn pick(random: &mut Random, of: usize) -> usize {
    usize::try_from(random.below(u64::try_from(of).unwrap())).unwrap()
}

/// Runs a story and gives its one master and its length.
fn settled(seed: u64, kind: Kind, preempts: Preempts) -> (Scene, usize, Duration) {
    let mut scene = Scene::new(seed, kind, preempts);
    let start = scene.lan.now;
    scene.chaos();
    scene.heal();
    let healed_at = scene.lan.history.len();
    scene.lan.run(scene.unit * 14 + SKEW * 2);
    // Neighbours may have lost every announcement before; what comes now is heard.
    let quiet_from = scene.lan.history.len();
    scene.lan.run(scene.unit * 20 + SKEW);
    let masters = scene.lan.masters(ID);
    let of = format!("seed {seed}, {kind:?}, {preempts:?}");
    assert_eq!(masters.len(), 1, "{of}: masters {masters:?}");
    assert_eq!(scene.lan.holders(ID), masters, "{of}: addresses");
    let mut members = 1;
    if kind == Kind::Group {
        members = 2;
        assert_eq!(scene.lan.masters(SECOND), masters, "{of}: group");
        assert_eq!(scene.lan.holders(SECOND), masters, "{of}: group");
    }
    let restless: Vec<_> = scene.lan.history[quiet_from..]
        .iter()
        .filter(|(_, _, _, what)| matches!(what, What::Entered(_)))
        .collect();
    assert!(restless.is_empty(), "{of}: {restless:?}");
    // Nobody takes over more than twice on the way: as one that is lost, and as the best.
    let most = scene.instances.len() * members * 2;
    let take_overs = scene.take_overs(healed_at);
    assert!(take_overs <= most, "{of}: {take_overs} take-overs");
    let length = scene.lan.now.since(start);
    (scene, masters[0], length)
}

/// All stories of a kind; the master has to be a router of the highest priority, unless nobody preempts.
fn stories(kind: Kind, preempts: Preempts) {
    let mut length = Duration::ZERO;
    for seed in 0..SEEDS {
        let (scene, master, lasted) = settled(seed, kind, preempts);
        length += lasted;
        let best = scene.hosts().map(|host| scene.priority(host)).max();
        if preempts != Preempts::Never {
            assert_eq!(Some(scene.priority(master)), best, "seed {seed}");
        }
    }
    let weeks = length.as_secs() / (7 * 24 * 3600);
    let least = if kind == Kind::V3 { 3 } else { 27 };
    assert!(weeks >= least, "{weeks} weeks of virtual time");
}

#[test]
fn after_chaos_a_router_of_the_highest_priority_is_the_only_master() {
    stories(Kind::V2, Preempts::Always);
}

#[test]
fn after_chaos_with_preempt_delay_the_highest_priority_wins_too() {
    stories(Kind::V2, Preempts::Later);
}

#[test]
fn after_chaos_with_nopreempt_there_is_exactly_one_master() {
    stories(Kind::V2, Preempts::Never);
}

#[test]
fn after_chaos_version_3_with_different_intervals_has_the_right_master() {
    stories(Kind::V3, Preempts::Always);
}

#[test]
fn after_chaos_version_3_with_preempt_delay_has_the_right_master() {
    stories(Kind::V3, Preempts::Later);
}

#[test]
fn after_chaos_version_3_with_nopreempt_has_exactly_one_master() {
    stories(Kind::V3, Preempts::Never);
}

#[test]
fn after_chaos_a_sync_group_is_whole_on_the_right_router() {
    stories(Kind::Group, Preempts::Always);
}

#[test]
fn after_chaos_a_sync_group_with_preempt_delay_is_whole_on_the_right_router() {
    stories(Kind::Group, Preempts::Later);
}

#[test]
fn after_chaos_a_sync_group_with_nopreempt_is_whole_on_one_router() {
    stories(Kind::Group, Preempts::Never);
}
