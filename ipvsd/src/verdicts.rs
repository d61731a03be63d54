//! Verdicts against the configuration: the two processes learn of a reload at different times, so a
//! checker that is unknown here may be of the next configuration, of the last one, or a lie.

use std::collections::BTreeMap;

use kr_model::lvs::Verdict;
use kr_model::{CheckerId, Generation};

/// Verdicts of configurations to come that are held. More than a configuration can have checkers for
/// is misbehaviour.
const MOST_HELD: usize = 1 << 17;

/// What to do with a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Its checker is known: it counts, whatever configuration the sender runs.
    Counts,
    /// Nothing to do: it is held, or it is of a checker that a reload took away.
    Nothing,
    /// The sender names a checker that its own configuration does not have.
    Misbehaviour,
}

/// Verdicts that came before their configuration.
#[derive(Debug, Default)]
pub(crate) struct Early {
    held: BTreeMap<CheckerId, (Generation, Verdict)>,
}

impl Early {
    /// Judges a verdict that `theirs` sent, under the configuration `ours`.
    pub(crate) fn judge(
        &mut self,
        ours: Generation,
        known: bool,
        theirs: Generation,
        verdict: Verdict,
    ) -> Judgement {
        if known {
            return Judgement::Counts;
        }
        if theirs < ours {
            return Judgement::Nothing;
        }
        if theirs == ours || self.held.len() >= MOST_HELD {
            return Judgement::Misbehaviour;
        }
        self.held.insert(verdict.checker, (theirs, verdict));
        Judgement::Nothing
    }

    /// The held verdicts that are due once `ours` is in force. Those whose checker is still unknown then
    /// are of no more use.
    pub(crate) fn due(&mut self, ours: Generation) -> Vec<Verdict> {
        let held = std::mem::take(&mut self.held);
        let (due, later): (BTreeMap<_, _>, BTreeMap<_, _>) = held
            .into_iter()
            .partition(|(_, (theirs, _))| *theirs <= ours);
        self.held = later;
        due.into_values().map(|(_, verdict)| verdict).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(checker: u32, up: bool) -> Verdict {
        Verdict {
            checker: CheckerId(checker),
            up,
            weight: None,
        }
    }

    #[test]
    fn a_known_checker_counts_in_every_generation() {
        let mut early = Early::default();
        for theirs in [1, 2, 3] {
            let judgement = early.judge(Generation(2), true, Generation(theirs), verdict(1, true));
            assert_eq!(judgement, Judgement::Counts);
        }
    }

    #[test]
    fn an_unknown_checker_is_judged_by_its_generation() {
        let mut early = Early::default();
        let mut judge =
            |theirs| early.judge(Generation(2), false, Generation(theirs), verdict(1, true));
        assert_eq!(judge(1), Judgement::Nothing);
        assert_eq!(judge(2), Judgement::Misbehaviour);
        assert_eq!(judge(3), Judgement::Nothing);
    }

    #[test]
    fn the_last_verdict_for_a_configuration_to_come_is_kept_until_then() {
        let mut early = Early::default();
        for up in [false, true] {
            early.judge(Generation(1), false, Generation(2), verdict(7, up));
        }
        early.judge(Generation(1), false, Generation(3), verdict(8, true));
        assert_eq!(early.due(Generation(2)), [verdict(7, true)]);
        assert_eq!(early.due(Generation(2)), []);
        assert_eq!(early.due(Generation(3)), [verdict(8, true)]);
    }
}
