//! What the number of processes of each `vrrp_track_process` means: quorum, and the delays that keep a
//! restart of a program from being a failure.

use std::collections::{BTreeMap, VecDeque};

use kr_model::track::{ProcessTracker, TrackerState};
use kr_model::{Instant, TrackerId};
use serde::{Deserialize, Serialize};

/// All tracked processes.
#[derive(Debug, Default)]
pub struct Processes {
    entries: BTreeMap<TrackerId, Entry>,
    changes: VecDeque<(TrackerId, TrackerState)>,
}

/// What a successor of this program needs to go on with the objects where they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedProcesses(BTreeMap<TrackerId, (u32, TrackerState, Option<Turn>)>);

#[derive(Debug)]
struct Entry {
    config: ProcessTracker,
    count: u32,
    /// What was told last.
    state: TrackerState,
    /// When the opposite is told, unless the number changes back before.
    turn: Option<Turn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    at: Instant,
    delay: Delay,
}

/// A delay that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Delay {
    /// `fork_delay`.
    Fork,
    /// `terminate_delay`.
    Terminate,
}

impl Entry {
    fn meets_quorum(&self) -> bool {
        let most = self.config.quorum_max.unwrap_or(u32::MAX);
        (self.config.quorum..=most).contains(&self.count)
    }

    fn wanted(&self) -> TrackerState {
        if self.meets_quorum() {
            TrackerState::Up
        } else {
            TrackerState::Down
        }
    }
}

impl Processes {
    /// Takes a configuration. Objects that go on keep their state.
    pub fn configure(&mut self, new: BTreeMap<TrackerId, ProcessTracker>, now: Instant) {
        let mut old = std::mem::take(&mut self.entries);
        for (id, config) in new {
            let entry = match old.remove(&id) {
                Some(entry) => Entry { config, ..entry },
                None => Entry {
                    config,
                    count: 0,
                    state: TrackerState::Pending,
                    turn: None,
                },
            };
            self.entries.insert(id, entry);
            let known = self
                .entries
                .get(&id)
                .map(|entry| (entry.count, entry.state));
            if let Some((count, TrackerState::Up | TrackerState::Down)) = known {
                self.handle(id, count, now);
            }
        }
    }

    /// Number, state and running delay of each object. Actions must have been polled.
    #[must_use]
    pub fn hand_over(&self) -> HandedProcesses {
        let entries = self.entries.iter();
        HandedProcesses(
            entries
                .map(|(id, entry)| (*id, (entry.count, entry.state, entry.turn)))
                .collect(),
        )
    }

    /// Goes on where a predecessor was; to be followed by [`Self::configure`] with the same configuration.
    pub fn take_over(
        &mut self,
        handed: &HandedProcesses,
        configuration: &BTreeMap<TrackerId, ProcessTracker>,
    ) {
        for (id, (count, state, turn)) in &handed.0 {
            if let Some(config) = configuration.get(id) {
                let entry = Entry {
                    config: config.clone(),
                    count: *count,
                    state: *state,
                    turn: *turn,
                };
                self.entries.insert(*id, entry);
            }
        }
    }

    /// So many processes of an object run now. Poll actions and timeout afterwards.
    pub fn handle(&mut self, id: TrackerId, count: u32, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let (delay, length) = if count >= entry.count {
            (Delay::Fork, entry.config.fork_delay)
        } else {
            (Delay::Terminate, entry.config.terminate_delay)
        };
        entry.count = count;
        let wanted = entry.wanted();
        if entry.state == wanted {
            entry.turn = None;
        } else if entry.turn.is_some() {
            // The delay that runs goes on, also when the same number is told again.
        } else if entry.state == TrackerState::Pending || length.is_zero() {
            entry.state = wanted;
            self.changes.push_back((id, wanted));
        } else {
            entry.turn = Some(Turn {
                at: now.saturating_add(length),
                delay,
            });
        }
    }

    /// The next object with a new state, until `None`. Poll after each other call.
    pub fn poll_action(&mut self) -> Option<(TrackerId, TrackerState)> {
        self.changes.pop_front()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.entries
            .values()
            .filter_map(|entry| entry.turn.map(|turn| turn.at))
            .min()
    }

    /// Tells the states whose delay is over. Poll actions afterwards.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (id, entry) in &mut self.entries {
            if entry.turn.is_some_and(|turn| turn.at <= now) {
                entry.turn = None;
                entry.state = entry.wanted();
                self.changes.push_back((*id, entry.state));
            }
        }
    }

    /// What was told last of an object.
    #[must_use]
    pub fn state(&self, id: TrackerId) -> TrackerState {
        let entry = self.entries.get(&id);
        entry.map_or(TrackerState::Pending, |entry| entry.state)
    }

    /// The delay that runs for an object.
    #[must_use]
    pub fn delay(&self, id: TrackerId) -> Option<Delay> {
        let turn = self.entries.get(&id).and_then(|entry| entry.turn);
        turn.map(|turn| turn.delay)
    }

    /// How many processes of an object run.
    #[must_use]
    pub fn count(&self, id: TrackerId) -> u32 {
        self.entries.get(&id).map_or(0, |entry| entry.count)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kr_model::track::ProcessPattern;

    use super::*;

    const ID: TrackerId = TrackerId(1);
    const UP: TrackerState = TrackerState::Up;
    const DOWN: TrackerState = TrackerState::Down;

    fn tracker(quorum: u32, most: Option<u32>, fork: u64, terminate: u64) -> ProcessTracker {
        ProcessTracker {
            pattern: ProcessPattern::Name("p".to_owned()),
            quorum,
            quorum_max: most,
            fork_delay: Duration::from_millis(fork),
            terminate_delay: Duration::from_millis(terminate),
        }
    }

    fn at(milliseconds: u64) -> Instant {
        Instant::from_micros(milliseconds * 1000)
    }

    struct Bench(Processes);

    impl Bench {
        fn new(tracker: ProcessTracker) -> Self {
            let mut processes = Processes::default();
            processes.configure([(ID, tracker)].into(), at(0));
            Self(processes)
        }

        fn count(&mut self, count: u32, milliseconds: u64) -> Vec<TrackerState> {
            self.0.handle(ID, count, at(milliseconds));
            self.told()
        }

        fn wait(&mut self) -> (Option<Instant>, Vec<TrackerState>) {
            let until = self.0.poll_timeout();
            if let Some(until) = until {
                self.0.handle_timeout(until);
            }
            (until, self.told())
        }

        fn told(&mut self) -> Vec<TrackerState> {
            std::iter::from_fn(|| self.0.poll_action())
                .map(|(_, state)| state)
                .collect()
        }
    }

    #[test]
    fn the_number_must_lie_between_quorum_and_quorum_max() {
        for (quorum, most, count, expected) in [
            (1, None, 0, DOWN),
            (1, None, 1, UP),
            (1, None, 9, UP),
            (2, Some(3), 1, DOWN),
            (2, Some(3), 3, UP),
            (2, Some(3), 4, DOWN),
            (0, Some(0), 0, UP),
            (0, Some(0), 1, DOWN),
        ] {
            let mut bench = Bench::new(tracker(quorum, most, 0, 0));
            assert_eq!(bench.0.state(ID), TrackerState::Pending);
            assert_eq!(
                bench.count(count, 0),
                [expected],
                "{quorum} {most:?} {count}"
            );
        }
    }

    #[test]
    fn the_first_number_counts_at_once_and_later_ones_after_their_delay() {
        let mut bench = Bench::new(tracker(1, None, 300, 500));
        assert_eq!(bench.count(1, 0), [UP]);
        assert_eq!(bench.0.delay(ID), None);
        assert_eq!(bench.count(0, 1000), []);
        assert_eq!(bench.0.delay(ID), Some(Delay::Terminate));
        assert_eq!(bench.wait(), (Some(at(1500)), vec![DOWN]));
        assert_eq!(bench.count(1, 2000), []);
        assert_eq!(bench.0.delay(ID), Some(Delay::Fork));
        assert_eq!(bench.wait(), (Some(at(2300)), vec![UP]));
        assert_eq!(bench.wait(), (None, vec![]));
    }

    #[test]
    fn a_restart_within_the_delay_is_no_failure() {
        let mut bench = Bench::new(tracker(1, None, 0, 500));
        bench.count(1, 0);
        assert_eq!(bench.count(0, 1000), []);
        assert_eq!(bench.count(1, 1400), []);
        assert_eq!(bench.0.poll_timeout(), None);
    }

    #[test]
    fn a_change_that_goes_on_does_not_prolong_the_delay() {
        let mut bench = Bench::new(tracker(3, None, 0, 500));
        bench.count(3, 0);
        assert_eq!(bench.count(2, 1000), []);
        assert_eq!(bench.count(1, 1400), []);
        assert_eq!(bench.wait(), (Some(at(1500)), vec![DOWN]));
    }

    #[test]
    fn too_many_after_a_fork_wait_for_the_fork_delay() {
        let mut bench = Bench::new(tracker(1, Some(1), 200, 9000));
        bench.count(1, 0);
        assert_eq!(bench.count(2, 1000), []);
        assert_eq!(bench.wait(), (Some(at(1200)), vec![DOWN]));
    }

    #[test]
    fn a_successor_of_the_program_goes_on_with_state_and_delay() {
        let config: BTreeMap<_, _> = [(ID, tracker(1, None, 0, 500))].into();
        let mut before = Bench::new(tracker(1, None, 0, 500));
        before.count(1, 0);
        before.count(0, 1000);
        let mut after = Bench(Processes::default());
        after.0.take_over(&before.0.hand_over(), &config);
        after.0.configure(config, at(1100));
        assert_eq!(after.told(), []);
        assert_eq!(after.0.state(ID), UP);
        assert_eq!(after.wait(), (Some(at(1500)), vec![DOWN]));
    }

    #[test]
    fn a_reload_keeps_the_state_and_judges_the_number_anew() {
        let mut bench = Bench::new(tracker(1, None, 0, 0));
        bench.count(1, 0);
        let same = [(ID, tracker(1, None, 0, 0))].into();
        bench.0.configure(same, at(1));
        assert_eq!(bench.told(), []);
        let more = [(ID, tracker(2, None, 0, 0))].into();
        bench.0.configure(more, at(2));
        assert_eq!(bench.told(), [DOWN]);
        bench.0.configure(BTreeMap::new(), at(3));
        assert_eq!(bench.0.state(ID), TrackerState::Pending);
    }
}
