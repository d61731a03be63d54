//! What the VRRP process says of its objects, instances and BFD sessions, as its listeners keep it: the last
//! word on each object of the configuration in force.

use std::collections::BTreeMap;
use std::fmt;

use kr_model::bfd::Reach;
use kr_model::vrrp::State;
use kr_model::{Generation, InstanceId, TrackerId};

use crate::early::{Early, Judgement};

/// A kind of object that the VRRP process speaks of.
pub trait Subject: Ord + Copy + fmt::Display {
    /// What is said of it.
    type Word: Copy;
    /// How messages call it.
    const KIND: &'static str;
    /// What holds before anything is said.
    const UNSAID: Self::Word;
}

impl Subject for InstanceId {
    type Word = State;
    const KIND: &'static str = "instance";
    const UNSAID: State = State::Init;
}

impl Subject for TrackerId {
    type Word = Reach;
    const KIND: &'static str = "BFD session";
    const UNSAID: Reach = Reach::Untried;
}

/// The VRRP process named an object that its own configuration does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown<K>(pub K);

impl<K: Subject> fmt::Display for Unknown<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it named {} {}, which is not configured",
            K::KIND,
            self.0
        )
    }
}

impl<K: Subject + fmt::Debug> std::error::Error for Unknown<K> {}

/// States of the instances.
pub type Instances = Words<InstanceId>;
/// Whether the neighbours of the BFD sessions are reached.
pub type Sessions = Words<TrackerId>;

/// The objects of the configuration in force, with the last word on each. An object that is in the next
/// configuration too keeps its word, and all keep theirs while the VRRP process is away.
#[derive(Debug)]
pub struct Words<K: Subject> {
    generation: Generation,
    words: BTreeMap<K, K::Word>,
    early: Early<K, K::Word>,
}

impl<K: Subject> Default for Words<K> {
    fn default() -> Self {
        Self {
            generation: Generation(0),
            words: BTreeMap::new(),
            early: Early::default(),
        }
    }
}

impl<K: Subject> Words<K> {
    /// These objects are configured from now on.
    pub fn configure(&mut self, generation: Generation, objects: impl IntoIterator<Item = K>) {
        self.generation = generation;
        let old = std::mem::take(&mut self.words);
        let kept = |id| (id, old.get(&id).copied().unwrap_or(K::UNSAID));
        self.words = objects.into_iter().map(kept).collect();
        for (id, word) in self.early.due(generation) {
            if let Some(known) = self.words.get_mut(&id) {
                *known = word;
            }
        }
    }

    /// Takes a word of a VRRP process that runs the configuration `theirs`.
    ///
    /// # Errors
    /// When the sender breaks the protocol; its channel is to be closed.
    pub fn heard(
        &mut self,
        theirs: Generation,
        object: K,
        word: K::Word,
    ) -> Result<(), Unknown<K>> {
        let known = self.words.get_mut(&object);
        let is_known = known.is_some();
        match self
            .early
            .judge(self.generation, is_known, theirs, object, word)
        {
            Judgement::Counts => {
                if let Some(known) = known {
                    *known = word;
                }
                Ok(())
            }
            Judgement::Nothing => Ok(()),
            Judgement::Misbehaviour => Err(Unknown(object)),
        }
    }

    /// The last word on an object of the configuration; [`Subject::UNSAID`] before any.
    #[must_use]
    pub fn state(&self, object: K) -> Option<K::Word> {
        self.words.get(&object).copied()
    }

    /// Every object of the configuration with the last word on it.
    pub fn all(&self) -> impl Iterator<Item = (K, K::Word)> + '_ {
        self.words.iter().map(|(object, word)| (*object, *word))
    }
}

impl Instances {
    /// The instances that are master.
    pub fn masters(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.all()
            .filter(|(_, state)| *state == State::Master)
            .map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: InstanceId = InstanceId(1);
    const TWO: InstanceId = InstanceId(2);

    #[test]
    fn an_instance_keeps_its_state_over_a_reload_that_keeps_it() {
        let mut instances = Instances::default();
        instances.configure(Generation(1), [ONE, TWO]);
        assert_eq!(instances.state(ONE), Some(State::Init));
        instances.heard(Generation(1), ONE, State::Master).unwrap();
        instances.configure(Generation(2), [ONE]);
        assert_eq!(instances.state(ONE), Some(State::Master));
        assert_eq!(instances.state(TWO), None);
        assert_eq!(instances.masters().collect::<Vec<_>>(), [ONE]);
    }

    #[test]
    fn a_state_that_overtakes_its_configuration_counts_once_that_is_there() {
        let mut instances = Instances::default();
        instances.configure(Generation(1), [ONE]);
        instances.heard(Generation(2), TWO, State::Master).unwrap();
        assert_eq!(instances.state(TWO), None);
        instances.configure(Generation(2), [ONE, TWO]);
        assert_eq!(instances.state(TWO), Some(State::Master));
    }

    #[test]
    fn an_instance_that_the_sender_cannot_have_is_misbehaviour() {
        let mut instances = Instances::default();
        instances.configure(Generation(2), [ONE]);
        let heard = |instances: &mut Instances, theirs| {
            instances.heard(Generation(theirs), TWO, State::Master)
        };
        assert_eq!(heard(&mut instances, 1), Ok(()));
        assert_eq!(heard(&mut instances, 2), Err(Unknown(TWO)));
        assert_eq!(instances.state(TWO), None);
    }

    #[test]
    fn a_session_is_untried_until_something_is_said_of_it() {
        let mut sessions = Sessions::default();
        sessions.configure(Generation(1), [TrackerId(1)]);
        assert_eq!(sessions.state(TrackerId(1)), Some(Reach::Untried));
        sessions
            .heard(Generation(1), TrackerId(1), Reach::Up)
            .unwrap();
        assert_eq!(
            sessions.all().collect::<Vec<_>>(),
            [(TrackerId(1), Reach::Up)]
        );
        let unknown = sessions.heard(Generation(1), TrackerId(2), Reach::Up);
        assert_eq!(
            unknown.unwrap_err().to_string(),
            "it named BFD session 2, which is not configured"
        );
    }
}
