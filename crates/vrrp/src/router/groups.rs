//! `vrrp_sync_group`: members change their states together.
//!
//! * A member whose master-down timer fires is ready, and becomes master only when every member is ready or
//!   master already; then all do.
//! * When a member follows another master, no member is master.
//! * While a member cannot work, no member does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kr_model::vrrp::{Instance, Role, Snapshot, State};
use kr_model::{GroupId, InstanceId, Instant};

use super::{Router, Trouble};
use crate::action::Action;
use crate::instance::Standing;

/// A sync group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) members: BTreeSet<InstanceId>,
    /// The last state that all members shared.
    state: State,
}

impl Router {
    /// Takes the groups over from a configuration that comes into force.
    /// A group that a predecessor of this process left in a state has told that state already.
    pub(super) fn regroup(
        &mut self,
        instances: &BTreeMap<InstanceId, Arc<Instance>>,
        resume: &BTreeMap<InstanceId, Snapshot>,
    ) {
        let before = std::mem::take(&mut self.groups);
        for (id, instance) in instances {
            let Some(group) = instance.group else {
                continue;
            };
            let told = || {
                let known = before.get(&group).map(|group| group.state);
                let kept = || resume.get(id).map(|snapshot| snapshot.role.state());
                known.or_else(kept).unwrap_or(State::Init)
            };
            let entry = self.groups.entry(group).or_insert_with(|| Group {
                members: BTreeSet::new(),
                state: told(),
            });
            entry.members.insert(*id);
        }
        self.kernel.faulty = faulty(instances.values().map(|one| &**one), |config| {
            self.kernel.trouble(config)
        });
    }

    /// Finds out anew which groups have a member that cannot work, and returns those that changed.
    pub(super) fn find_faulty_groups(&mut self) -> BTreeSet<GroupId> {
        let configs = self.instances.values().map(|slot| &*slot.router.config);
        let now = faulty(configs, |config| self.kernel.trouble(config));
        let before = std::mem::replace(&mut self.kernel.faulty, now);
        let either = before.keys().chain(self.kernel.faulty.keys());
        let changed = either.filter(|group| before.get(group) != self.kernel.faulty.get(group));
        changed.copied().collect()
    }

    /// Every instance that is in a group, or tracks something.
    pub(super) fn dependents(&self) -> impl Iterator<Item = InstanceId> {
        let all = self.instances.iter();
        let dependents = all.filter(|(_, slot)| {
            let config = &slot.router.config;
            config.group.is_some() || !config.trackers.is_empty()
        });
        dependents.map(|(id, _)| *id)
    }

    pub(super) fn synchronise_all(&mut self, now: Instant) {
        let first_of_each = self
            .groups
            .values()
            .filter_map(|group| group.members.first());
        for id in first_of_each.copied().collect::<Vec<_>>() {
            self.synchronise(id, now);
        }
    }

    /// Brings the group of an instance that may have changed its state together again.
    pub(super) fn synchronise(&mut self, id: InstanceId, now: Instant) {
        if self.groups.is_empty() {
            return;
        }
        let group = self
            .instances
            .get(&id)
            .and_then(|slot| slot.router.config.group);
        let Some((group, known)) = group.and_then(|id| Some((id, self.groups.get(&id)?))) else {
            return;
        };
        let members: Vec<InstanceId> = known.members.iter().copied().collect();
        let standings = self.standings(&members);
        let goes_on = |standing: &Standing| matches!(standing, Standing::Ready | Standing::Master);
        if standings.iter().all(goes_on) {
            for id in &members {
                self.with(*id, now, |router, _, turn| {
                    router.become_master_with_group(turn);
                });
            }
        } else if standings.contains(&Standing::Follower) {
            for id in &members {
                self.with(*id, now, |router, _, turn| {
                    router.become_backup_with_group(turn);
                });
            }
        }
        self.tell_group_state(group, &members);
    }

    fn standings(&self, members: &[InstanceId]) -> Vec<Standing> {
        members
            .iter()
            .filter_map(|id| Some(self.instances.get(id)?.router.standing()))
            .collect()
    }

    /// Tells the state that all members share, when it is another one than before.
    fn tell_group_state(&mut self, id: GroupId, members: &[InstanceId]) {
        let standings = self.standings(members);
        let all = |wanted: &[Standing]| standings.iter().all(|one| wanted.contains(one));
        let to = if all(&[Standing::Master]) {
            State::Master
        } else if all(&[Standing::Follower, Standing::Waiting, Standing::Ready]) {
            State::Backup
        } else if all(&[Standing::Out]) {
            State::Fault
        } else {
            return;
        };
        if let Some(group) = self.groups.get_mut(&id)
            && group.state != to
        {
            group.state = to;
            let action = Action::GroupTransition { group: id, to };
            self.actions.push_back(action);
        }
    }

    /// The process ends, and every group with it.
    pub(super) fn stop_groups(&mut self) {
        let stop = |group: &GroupId| Action::GroupTransition {
            group: *group,
            to: State::Stop,
        };
        self.actions.extend(self.groups.keys().map(stop));
    }
}

/// What to resume from. A process that ended while a group changed its state has published that of some members
/// only: the others follow the newest one. Nobody knows how far the network and the kernel were, so what a change does
/// to them is done again.
pub(super) fn whole(
    instances: &BTreeMap<InstanceId, Arc<Instance>>,
    resume: &BTreeMap<InstanceId, Snapshot>,
) -> BTreeMap<InstanceId, Snapshot> {
    let mut whole = resume.clone();
    let mut newest: BTreeMap<GroupId, &Snapshot> = BTreeMap::new();
    let group_of = |id: &InstanceId| instances.get(id).and_then(|instance| instance.group);
    let moves =
        |snapshot: &Snapshot| matches!(snapshot.role.state(), State::Backup | State::Master);
    for (id, snapshot) in resume.iter().filter(|(_, one)| moves(one)) {
        if let Some(group) = group_of(id) {
            let known = newest.entry(group).or_insert(snapshot);
            if snapshot.since > known.since {
                *known = snapshot;
            }
        }
    }
    for (id, snapshot) in whole.iter_mut().filter(|(_, one)| moves(one)) {
        let leader = group_of(id).and_then(|group| newest.get(&group));
        let Some(leader) = leader.filter(|one| one.role.state() != snapshot.role.state()) else {
            continue;
        };
        snapshot.role = match leader.role {
            // An advert is due: it may not have sent one.
            Role::Master { .. } => Role::Master {
                advert_at: leader.since,
            },
            Role::Backup {
                master_down_at,
                interval,
                ..
            } => Role::Backup {
                master_down_at,
                master: None,
                interval,
                preempt_at: None,
            },
            other @ (Role::Init | Role::Fault) => other,
        };
        (snapshot.since, snapshot.cause) = (leader.since, leader.cause);
    }
    whole
}

fn faulty<'a>(
    configs: impl Iterator<Item = &'a Instance>,
    trouble: impl Fn(&Instance) -> Option<Trouble>,
) -> BTreeMap<GroupId, Trouble> {
    let mut worst: BTreeMap<GroupId, Trouble> = BTreeMap::new();
    for config in configs {
        if let (Some(group), Some(trouble)) = (config.group, trouble(config)) {
            let known = worst.entry(group).or_insert(trouble);
            *known = trouble.max(*known);
        }
    }
    worst
}
