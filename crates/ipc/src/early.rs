//! What one child says of the objects of another, against the configuration of the listener: the two
//! learn of a reload at different times, so an object that is unknown here may be of the next configuration,
//! of the last one, or a lie.

use std::collections::BTreeMap;

use kr_model::Generation;

/// Words for configurations to come that are held. More than a configuration can have objects for is
/// misbehaviour.
const MOST_HELD: usize = 1 << 17;

/// What to do with a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Its object is known: it counts, whatever configuration the sender runs.
    Counts,
    /// Nothing to do: it is held, or it is of an object that a reload took away.
    Nothing,
    /// The sender names an object that its own configuration does not have.
    Misbehaviour,
}

/// The last word for each object that came before its configuration.
#[derive(Debug)]
pub struct Early<K, V> {
    held: BTreeMap<K, (Generation, V)>,
}

impl<K, V> Default for Early<K, V> {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
        }
    }
}

impl<K: Ord, V> Early<K, V> {
    /// Judges a word on the object `key` that a sender with the configuration `theirs` said, under the
    /// configuration `ours`, which does or does not know the object.
    pub fn judge(
        &mut self,
        ours: Generation,
        known: bool,
        theirs: Generation,
        key: K,
        word: V,
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
        self.held.insert(key, (theirs, word));
        Judgement::Nothing
    }

    /// The held words that are due once `ours` is in force. Those whose object is still unknown then are of
    /// no more use.
    pub fn due(&mut self, ours: Generation) -> Vec<(K, V)> {
        let held = std::mem::take(&mut self.held);
        let (due, later): (BTreeMap<_, _>, BTreeMap<_, _>) = held
            .into_iter()
            .partition(|(_, (theirs, _))| *theirs <= ours);
        self.held = later;
        due.into_iter()
            .map(|(key, (_, word))| (key, word))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_object_counts_in_every_generation() {
        let mut early = Early::default();
        for theirs in [1, 2, 3] {
            let judgement = early.judge(Generation(2), true, Generation(theirs), 1, "up");
            assert_eq!(judgement, Judgement::Counts);
        }
    }

    #[test]
    fn an_unknown_object_is_judged_by_its_generation() {
        let mut early = Early::default();
        let mut judge = |theirs| early.judge(Generation(2), false, Generation(theirs), 1, "up");
        assert_eq!(judge(1), Judgement::Nothing);
        assert_eq!(judge(2), Judgement::Misbehaviour);
        assert_eq!(judge(3), Judgement::Nothing);
    }

    #[test]
    fn the_last_word_for_a_configuration_to_come_is_kept_until_then() {
        let mut early = Early::default();
        for word in ["down", "up"] {
            early.judge(Generation(1), false, Generation(2), 7, word);
        }
        early.judge(Generation(1), false, Generation(3), 8, "up");
        assert_eq!(early.due(Generation(2)), [(7, "up")]);
        assert_eq!(early.due(Generation(2)), []);
        assert_eq!(early.due(Generation(3)), [(8, "up")]);
    }
}
