//! How long an election takes: never longer than the RFCs allow (RFC 3768 section 6.1, RFC 9568 section 6.1).

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use kr_model::units::AdvertInterval;
use kr_model::vrrp::{Instance, Preemption, State, Version};
use kr_model::{InstanceId, Instant};
use kr_test_sim::{Faults, Lan, Random, What, instance};

const ID: InstanceId = InstanceId(1);
const SEEDS: u64 = 3_000;
/// The network's delay, and the rounding of two timers to whole microseconds.
const ROUNDING: Duration = Duration::from_micros(4);

/// A settled network whose master is host 0.
struct Story {
    lan: Lan,
    version: Version,
    /// The interval of all routers.
    interval: Duration,
    /// In the order of the hosts.
    priorities: Vec<u8>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let version = if random.chance(500) {
            Version::V2
        } else {
            Version::V3
        };
        let hundredths = match version {
            Version::V2 => 100 * (1 + random.below(255)),
            Version::V3 => 1 + random.below(4_095),
        };
        let count = 2 + random.below(4);
        let mut priorities = vec![u8::try_from(200 + random.below(54)).unwrap()];
        for _ in 1..count {
            priorities.push(u8::try_from(1 + random.below(199)).unwrap());
        }
        let mut lan = Lan::new(seed, Faults::default());
        for (last, priority) in (10..).zip(&priorities) {
            let router = Instance {
                version,
                advert_interval: AdvertInterval::try_from(hundredths).unwrap(),
                ..instance(1, *priority, Preemption::Immediate)
            };
            lan.add(last, vec![router]);
        }
        let interval = Duration::from_millis(hundredths * 10);
        lan.run(interval * 8 + Duration::from_secs(2));
        assert_eq!(lan.masters(ID), [0], "seed {seed}");
        let within = u64::try_from(interval.as_micros()).unwrap();
        lan.run(Duration::from_micros(random.below(within)));
        Self {
            lan,
            version,
            interval,
            priorities,
        }
    }

    /// The highest priority of the routers that are left, and who of them has it.
    fn heirs(&self) -> (u8, Vec<usize>) {
        let best = *self.priorities[1..].iter().max().unwrap();
        let hosts = 1..self.priorities.len();
        let heirs = hosts.filter(|host| self.priorities[*host] == best);
        (best, heirs.collect())
    }

    fn skew(&self, priority: u8) -> Duration {
        let unit = match self.version {
            Version::V2 => Duration::from_secs(1),
            Version::V3 => self.interval,
        };
        unit * (256 - u32::from(priority)) / 256
    }

    fn last_advert(&self) -> Instant {
        let adverts = self.lan.history.iter().rev();
        let mut adverts = adverts.filter(|(_, _, _, what)| matches!(what, What::Advert(_)));
        adverts.next().unwrap().0
    }

    /// Who takes over first, and when, until the next settled state.
    fn take_over(&mut self) -> (usize, Instant) {
        let from = self.lan.history.len();
        self.lan.run(self.interval * 8 + Duration::from_secs(2));
        let master = What::Entered(State::Master);
        let mut later = self.lan.history[from..].iter();
        let (at, host, ..) = later.find(|(_, _, _, what)| *what == master).unwrap();
        (*host, *at)
    }
}

#[test]
fn a_dead_master_is_replaced_by_the_best_within_three_intervals_and_its_skew() {
    for seed in 0..SEEDS {
        let mut story = Story::new(seed);
        let last = story.last_advert();
        let (priority, heirs) = story.heirs();
        story.lan.power_off(0);
        let (host, at) = story.take_over();
        assert!(heirs.contains(&host), "seed {seed}");
        let waited = at.since(last);
        let bound = story.interval * 3 + story.skew(priority);
        assert!(
            waited <= bound + ROUNDING && waited + ROUNDING >= bound,
            "seed {seed}: {waited:?} instead of {bound:?}"
        );
        // Of equal ones the highest address stays.
        assert_eq!(
            story.lan.masters(ID),
            heirs[heirs.len() - 1..],
            "seed {seed}"
        );
    }
}

#[test]
fn a_master_that_stops_is_replaced_by_the_best_within_its_skew() {
    for seed in 0..SEEDS {
        let mut story = Story::new(seed);
        let stopped = story.lan.now;
        let (priority, heirs) = story.heirs();
        story.lan.stop(0);
        let (host, at) = story.take_over();
        assert!(heirs.contains(&host), "seed {seed}");
        let waited = at.since(stopped);
        assert!(
            waited <= story.skew(priority) + ROUNDING,
            "seed {seed}: {waited:?}"
        );
        assert_eq!(
            story.lan.masters(ID),
            heirs[heirs.len() - 1..],
            "seed {seed}"
        );
    }
}

/// It hears the worse master once at most in its master-down time, which therefore runs to its end.
#[test]
fn a_better_router_that_starts_takes_over_within_three_intervals_and_its_skew() {
    for seed in 0..SEEDS {
        let mut story = Story::new(seed);
        story.lan.power_off(0);
        story.take_over();
        let started = story.lan.now;
        story.lan.start(0);
        let (host, at) = story.take_over();
        assert_eq!(host, 0, "seed {seed}");
        let bound = story.interval * 3 + story.skew(story.priorities[0]);
        assert!(at.since(started) <= bound + ROUNDING, "seed {seed}");
        assert_eq!(story.lan.masters(ID), [0], "seed {seed}");
    }
}

/// Adverts that are lost, but never three in a row, move nothing.
#[test]
fn two_lost_adverts_in_a_row_are_no_reason_for_a_take_over() {
    for seed in 0..SEEDS / 10 {
        let mut story = Story::new(seed);
        let from = story.lan.history.len();
        for _ in 0..20 {
            story.lan.faults.loss = 1_000;
            story.lan.run(story.interval * 2);
            story.lan.faults.loss = 0;
            story.lan.run(story.interval);
        }
        let entered = |what: &What| matches!(what, What::Entered(_));
        let mut later = story.lan.history[from..].iter();
        assert!(!later.any(|(_, _, _, what)| entered(what)), "seed {seed}");
    }
}
