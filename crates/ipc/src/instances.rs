//! States of the instances, as the VRRP process says them to the checker process and to the IPVS process.

use std::collections::BTreeMap;
use std::fmt;

use kr_model::vrrp::State;
use kr_model::{Generation, InstanceId};

use crate::early::{Early, Judgement};

/// The VRRP process named an instance that its own configuration does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownInstance(pub InstanceId);

impl fmt::Display for UnknownInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it named instance {}, which is not configured", self.0)
    }
}

impl std::error::Error for UnknownInstance {}

/// The instances of the configuration in force, with the last word on each. An instance that is in the next
/// configuration too keeps its state, and all keep theirs while the VRRP process is away.
#[derive(Debug)]
pub struct Instances {
    generation: Generation,
    states: BTreeMap<InstanceId, State>,
    early: Early<InstanceId, State>,
}

impl Default for Instances {
    fn default() -> Self {
        Self {
            generation: Generation(0),
            states: BTreeMap::new(),
            early: Early::default(),
        }
    }
}

impl Instances {
    /// These instances are configured from now on.
    pub fn configure(
        &mut self,
        generation: Generation,
        instances: impl IntoIterator<Item = InstanceId>,
    ) {
        self.generation = generation;
        let old = std::mem::take(&mut self.states);
        let kept = |id| (id, old.get(&id).copied().unwrap_or(State::Init));
        self.states = instances.into_iter().map(kept).collect();
        for (id, state) in self.early.due(generation) {
            if let Some(known) = self.states.get_mut(&id) {
                *known = state;
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
        instance: InstanceId,
        state: State,
    ) -> Result<(), UnknownInstance> {
        let known = self.states.get_mut(&instance);
        let is_known = known.is_some();
        match self
            .early
            .judge(self.generation, is_known, theirs, instance, state)
        {
            Judgement::Counts => {
                if let Some(known) = known {
                    *known = state;
                }
                Ok(())
            }
            Judgement::Nothing => Ok(()),
            Judgement::Misbehaviour => Err(UnknownInstance(instance)),
        }
    }

    /// The instances that are master.
    pub fn masters(&self) -> impl Iterator<Item = InstanceId> + '_ {
        let masters = self.states.iter();
        masters
            .filter(|(_, state)| **state == State::Master)
            .map(|(id, _)| *id)
    }

    /// The last word on an instance of the configuration; [`State::Init`] before any.
    #[must_use]
    pub fn state(&self, instance: InstanceId) -> Option<State> {
        self.states.get(&instance).copied()
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
        assert_eq!(heard(&mut instances, 2), Err(UnknownInstance(TWO)));
        assert_eq!(instances.state(TWO), None);
    }
}
