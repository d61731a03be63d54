//! Tracked scripts, files, processes and BFD sessions: what the state of each means for an instance that
//! tracks it (`track_script`, `track_file`, `track_process`, `track_bfd`). The router asks; interfaces are
//! in `router.rs`.

use std::collections::BTreeMap;

use kr_model::TrackerId;
use kr_model::track::{Offender, Tracked, Tracker, TrackerKind, TrackerState};

/// A number in a file times its weight is a fault from here down.
const FILE_FAULT: i64 = -254;
/// A number in a file times its weight counts no more than this.
const FILE_MOST: i64 = 253;

/// What one tracked object does to an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The instance cannot work.
    Fault,
    /// The instance waits for the first result before it starts.
    Wait,
    /// This much is added to the priority.
    Priority(i32),
}

/// All tracked objects of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Trackers(BTreeMap<TrackerId, Tracker>);

impl Trackers {
    /// Takes the objects of a new configuration. The state of a BFD session that goes on stays: nobody
    /// outside of this process knows it.
    pub(crate) fn replace(&mut self, new: BTreeMap<TrackerId, Tracker>) {
        let old = std::mem::replace(&mut self.0, new);
        for tracker in self.0.values_mut() {
            if tracker.kind == TrackerKind::Bfd
                && let Some(before) = old.get(&tracker.id)
            {
                tracker.state = before.state;
            }
        }
    }

    /// Takes a new state; returns the news in words when it is one.
    pub(crate) fn set(&mut self, id: TrackerId, state: TrackerState) -> Option<String> {
        let tracker = self.0.get_mut(&id)?;
        if std::mem::replace(&mut tracker.state, state) == state {
            return None;
        }
        let Tracker { kind, name, .. } = tracker;
        let offender = Offender {
            tracker: id,
            kind: *kind,
            state,
        };
        Some(offender.named(name).to_string())
    }

    /// The name of an object.
    pub(crate) fn name(&self, id: TrackerId) -> Option<&str> {
        self.0.get(&id).map(|tracker| tracker.name.as_str())
    }

    /// What all lines of an instance add to its priority.
    pub(crate) fn weight(&self, lines: &[Tracked]) -> i32 {
        let of_line = |line| match self.effect(line) {
            Effect::Priority(weight) => weight,
            Effect::Fault | Effect::Wait => 0,
        };
        lines
            .iter()
            .map(of_line)
            .fold(0, |sum, weight| sum.saturating_add(weight))
    }

    /// The first object that makes the instance fail.
    pub(crate) fn fault(&self, lines: &[Tracked]) -> Option<Offender> {
        self.first(lines, Effect::Fault)
    }

    /// The first object that the start of the instance waits for.
    pub(crate) fn wait(&self, lines: &[Tracked]) -> Option<Offender> {
        self.first(lines, Effect::Wait)
    }

    fn first(&self, lines: &[Tracked], effect: Effect) -> Option<Offender> {
        let line = lines.iter().find(|line| self.effect(line) == effect)?;
        let tracker = self.0.get(&line.tracker)?;
        Some(Offender {
            tracker: tracker.id,
            kind: tracker.kind,
            state: tracker.state,
        })
    }

    /// An object that is not configured does nothing: the parent never names one.
    fn effect(&self, line: &Tracked) -> Effect {
        let state = self.0.get(&line.tracker).map(|tracker| tracker.state);
        state.map_or(Effect::Priority(0), |state| effect(line, state))
    }
}

fn effect(line: &Tracked, state: TrackerState) -> Effect {
    match (state, line.weight) {
        (TrackerState::Pending, 0) => Effect::Wait,
        (TrackerState::Pending, _) => Effect::Priority(0),
        (TrackerState::Up | TrackerState::Down, weight) => {
            let good = (state == TrackerState::Up) != line.reverse;
            match weight {
                0 if good => Effect::Priority(0),
                0 => Effect::Fault,
                // A good object adds a positive weight, a bad one a negative weight.
                _ if good == (weight > 0) => Effect::Priority(i32::from(weight)),
                _ => Effect::Priority(0),
            }
        }
        (TrackerState::Value(value), 0) if (value != 0) == line.reverse => Effect::Priority(0),
        (TrackerState::Value(_), 0) => Effect::Fault,
        (TrackerState::Value(value), weight) => {
            let product = i64::from(value).saturating_mul(i64::from(weight));
            let counted = if line.reverse {
                product.saturating_neg()
            } else {
                product
            };
            if counted <= FILE_FAULT {
                return Effect::Fault;
            }
            // In the range of an i32, as it is above -254 and at most 253.
            Effect::Priority(i32::try_from(counted.min(FILE_MOST)).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: TrackerState = TrackerState::Up;
    const DOWN: TrackerState = TrackerState::Down;
    const PENDING: TrackerState = TrackerState::Pending;

    fn line(weight: i16, reverse: bool) -> Tracked {
        Tracked {
            tracker: TrackerId(1),
            weight,
            reverse,
        }
    }

    fn tracker(kind: TrackerKind, state: TrackerState) -> Tracker {
        Tracker {
            id: TrackerId(1),
            kind,
            name: "chk".to_owned(),
            state,
        }
    }

    #[test]
    fn a_script_process_or_session_counts_by_weight_and_direction() {
        use Effect::{Fault, Priority, Wait};
        for (weight, reverse, state, expected) in [
            (0, false, UP, Priority(0)),
            (0, false, DOWN, Fault),
            (0, true, UP, Fault),
            (0, true, DOWN, Priority(0)),
            (20, false, UP, Priority(20)),
            (20, false, DOWN, Priority(0)),
            (20, true, UP, Priority(0)),
            (20, true, DOWN, Priority(20)),
            (-20, false, UP, Priority(0)),
            (-20, false, DOWN, Priority(-20)),
            (-20, true, UP, Priority(-20)),
            (-20, true, DOWN, Priority(0)),
            (0, false, PENDING, Wait),
            (0, true, PENDING, Wait),
            (20, false, PENDING, Priority(0)),
            (-20, true, PENDING, Priority(0)),
        ] {
            let effect = effect(&line(weight, reverse), state);
            assert_eq!(effect, expected, "{weight} {reverse} {state:?}");
        }
    }

    #[test]
    fn the_number_of_a_file_is_multiplied_and_limited() {
        use Effect::{Fault, Priority};
        for (weight, reverse, value, expected) in [
            (0, false, 0, Priority(0)),
            (0, false, 1, Fault),
            (0, false, -1, Fault),
            (0, true, 0, Fault),
            (0, true, 7, Priority(0)),
            (1, false, 17, Priority(17)),
            (-2, false, 17, Priority(-34)),
            (2, true, 17, Priority(-34)),
            (1, false, -253, Priority(-253)),
            (1, false, -254, Fault),
            (-1, false, 254, Fault),
            (1, false, 254, Priority(253)),
            (254, false, i32::MAX, Priority(253)),
            (-254, false, i32::MAX, Fault),
            (-254, false, i32::MIN, Priority(253)),
            (-254, true, i32::MIN, Fault),
        ] {
            let effect = effect(&line(weight, reverse), TrackerState::Value(value));
            assert_eq!(effect, expected, "{weight} {reverse} {value}");
        }
    }

    #[test]
    fn an_object_that_is_not_configured_does_nothing() {
        let trackers = Trackers::default();
        let lines = [line(0, false), line(10, false)];
        assert_eq!(trackers.weight(&lines), 0);
        assert_eq!(trackers.fault(&lines), None);
        assert_eq!(trackers.wait(&lines), None);
    }

    #[test]
    fn a_new_configuration_brings_new_states_but_of_sessions() {
        for (kind, expected) in [
            (TrackerKind::Bfd, Effect::Priority(0)),
            (TrackerKind::Script, Effect::Wait),
        ] {
            let mut trackers = Trackers::default();
            trackers.replace([(TrackerId(1), tracker(kind, UP))].into());
            trackers.replace([(TrackerId(1), tracker(kind, PENDING))].into());
            assert_eq!(trackers.effect(&line(0, false)), expected, "{kind:?}");
        }
    }

    #[test]
    fn only_a_changed_state_is_news() {
        let mut trackers = Trackers::default();
        trackers.replace([(TrackerId(1), tracker(TrackerKind::Script, UP))].into());
        assert_eq!(trackers.set(TrackerId(1), UP), None);
        let news = trackers.set(TrackerId(1), DOWN);
        assert_eq!(news.as_deref(), Some("script chk failed"));
        assert_eq!(trackers.set(TrackerId(2), DOWN), None);
    }
}
