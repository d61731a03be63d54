//! Which states were announced, so that a crash of the VRRP process neither repeats nor swallows one. Pure.
//!
//! The process says a change and then publishes its state. When it dies between the two, its successor
//! starts from the older state and may say the same change again; when it dies before, nobody has said it.
//! So while a successor takes over, what it says is compared with what was announced, and once it has taken
//! over, what it published is.

use std::collections::BTreeMap;
use std::time::Duration;

use kr_config::typed::Config;
use kr_model::vrrp::State;
use kr_model::{GroupId, InstanceId, Instant};
use serde::{Deserialize, Serialize};

use crate::published::Published;

/// A state that nobody announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untold {
    /// Of an instance, with its effective priority.
    Instance(InstanceId, State, u8),
    /// Of a sync group.
    Group(GroupId, State),
}

/// The states that were announced last.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    instances: BTreeMap<InstanceId, State>,
    groups: BTreeMap<GroupId, State>,
    /// A successor has not taken over yet.
    resuming: bool,
    /// When the first of the processes was started that took over from one another.
    #[serde(default)]
    since: Option<Instant>,
}

impl Told {
    /// A VRRP process starts; if there was one before it takes over.
    pub(crate) fn process_started(&mut self, now: Instant) {
        self.resuming = !self.instances.is_empty();
        if !self.resuming {
            self.since = Some(now);
        }
    }

    /// How much is left of a delay that counts from the start of the first process.
    pub(crate) fn left_of(&self, delay: Duration, now: Instant) -> Duration {
        let passed = self.since.map_or(Duration::ZERO, |since| now.since(since));
        delay.saturating_sub(passed)
    }

    /// Whether a change that an instance said is to be announced.
    pub(crate) fn is_news(&mut self, instance: InstanceId, to: State) -> bool {
        let before = self.instances.insert(instance, to);
        !(self.resuming && before == Some(to))
    }

    /// The same of a sync group.
    pub(crate) fn is_news_of_group(&mut self, group: GroupId, to: State) -> bool {
        let before = self.groups.insert(group, to);
        !(self.resuming && before == Some(to))
    }

    /// The process has put a configuration into force: what remains to be announced after a crash.
    pub(crate) fn process_ready(&mut self, config: &Config, published: &Published) -> Vec<Untold> {
        if !std::mem::take(&mut self.resuming) {
            return Vec::new();
        }
        let mut untold = Vec::new();
        for (id, snapshot) in &published.instances {
            let (is, told) = (snapshot.role.state(), self.instances.get(id));
            if config.instances.contains_key(id) && is != State::Init && told != Some(&is) {
                self.instances.insert(*id, is);
                untold.push(Untold::Instance(*id, is, snapshot.priority.get()));
            }
        }
        for id in config.groups.keys() {
            if let Some(is) = self.state_of_members(config, *id)
                && self.groups.get(id) != Some(&is)
            {
                self.groups.insert(*id, is);
                untold.push(Untold::Group(*id, is));
            }
        }
        untold
    }

    /// What was announced last, of the objects of `config`: groups first.
    pub(crate) fn all(&self, config: &Config, published: &Published) -> Vec<Untold> {
        let groups = config.groups.keys();
        let groups = groups.filter_map(|id| Some(Untold::Group(*id, *self.groups.get(id)?)));
        let instances = config.instances.iter().filter_map(|(id, entry)| {
            let known = published.instances.get(id);
            let priority = known.map_or(entry.instance.priority, |snapshot| snapshot.priority);
            Some(Untold::Instance(
                *id,
                *self.instances.get(id)?,
                priority.get(),
            ))
        });
        groups.chain(instances).collect()
    }

    /// Forgets the objects that `config` does not hold.
    pub(crate) fn retain(&mut self, config: &Config) {
        self.instances
            .retain(|id, _| config.instances.contains_key(id));
        self.groups.retain(|id, _| config.groups.contains_key(id));
    }

    /// The state that all members of a group have.
    fn state_of_members(&self, config: &Config, group: GroupId) -> Option<State> {
        let members = config.instances.iter();
        let mut states = members
            .filter(|(_, entry)| entry.instance.group == Some(group))
            .map(|(id, _)| self.instances.get(id).copied());
        let first = states.next()??;
        states.all(|state| state == Some(first)).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const ID: InstanceId = InstanceId(0);

    /// A configuration whose only instance is published as master.
    fn sample() -> (Config, Published) {
        let config = sample::config();
        let published = sample::published(&config);
        (config, published)
    }

    #[test]
    fn a_change_that_a_successor_repeats_is_no_news() {
        let mut told = Told::default();
        told.process_started(Instant::ZERO);
        assert!(told.is_news(ID, State::Backup));
        assert!(told.is_news(ID, State::Master));
        told.process_started(Instant::ZERO);
        assert!(!told.is_news(ID, State::Master));
        let (config, published) = sample();
        assert_eq!(told.process_ready(&config, &published), []);
        // From now on the process has a reason when it says one again.
        assert!(told.is_news(ID, State::Master));
    }

    #[test]
    fn a_change_that_was_published_but_not_said_is_announced_by_the_successor() {
        let mut told = Told::default();
        told.process_started(Instant::ZERO);
        told.is_news(ID, State::Backup);
        told.process_started(Instant::ZERO);
        let (config, published) = sample();
        let priority = published.instances[&ID].priority.get();
        assert_eq!(
            told.process_ready(&config, &published),
            [Untold::Instance(ID, State::Master, priority)]
        );
        assert_eq!(told.process_ready(&config, &published), []);
    }

    #[test]
    fn a_successor_waits_for_what_is_left_of_a_delay_and_a_first_process_for_all_of_it() {
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        let (delay, mut told) = (Duration::from_secs(60), Told::default());
        told.process_started(at(100));
        assert_eq!(told.left_of(delay, at(100)), delay);
        told.is_news(ID, State::Backup);
        told.process_started(at(110));
        assert_eq!(told.left_of(delay, at(110)), Duration::from_secs(50));
        told.process_started(at(900));
        assert_eq!(told.left_of(delay, at(900)), Duration::ZERO);
    }

    #[test]
    fn the_first_process_announces_everything_itself() {
        let mut told = Told::default();
        told.process_started(Instant::ZERO);
        let (config, published) = sample();
        assert_eq!(told.process_ready(&config, &published), []);
    }
}
