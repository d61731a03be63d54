//! `vrrp_sync_group`: members change their states together.
//!
//! * A member whose master-down timer fires is ready, and becomes master only when every member is ready or
//!   master already; then all do.
//! * When a member follows another master, no member is master.
//! * While a member cannot work, no member does.

use std::collections::{BTreeMap, BTreeSet};

use kr_model::vrrp::Instance;
use kr_model::{GroupId, InstanceId, Instant};

use super::Router;
use crate::instance::Standing;

impl Router {
    /// Takes the groups over from a configuration that comes into force.
    pub(super) fn regroup(&mut self, instances: &BTreeMap<InstanceId, Instance>) {
        self.groups.clear();
        for (id, instance) in instances {
            if let Some(group) = instance.group {
                self.groups.entry(group).or_default().insert(*id);
            }
        }
        self.kernel.faulty = faulty(instances.values(), |config| {
            self.kernel.own_fault(config).is_some()
        });
    }

    /// Finds out anew which groups have a member that cannot work, and returns those that changed.
    pub(super) fn find_faulty_groups(&mut self) -> BTreeSet<GroupId> {
        let configs = self.instances.values().map(|slot| &slot.router.config);
        let now = faulty(configs, |config| self.kernel.own_fault(config).is_some());
        let before = std::mem::replace(&mut self.kernel.faulty, now);
        before
            .symmetric_difference(&self.kernel.faulty)
            .copied()
            .collect()
    }

    pub(super) fn synchronise_all(&mut self, now: Instant) {
        let first_of_each = self.groups.values().filter_map(|members| members.first());
        for id in first_of_each.copied().collect::<Vec<_>>() {
            self.synchronise(id, now);
        }
    }

    /// Brings the group of an instance that may have changed its state together again.
    pub(super) fn synchronise(&mut self, id: InstanceId, now: Instant) {
        let group = self
            .instances
            .get(&id)
            .and_then(|slot| slot.router.config.group);
        let Some(members) = group.and_then(|group| self.groups.get(&group)) else {
            return;
        };
        let members: Vec<InstanceId> = members.iter().copied().collect();
        let standings: Vec<Standing> = members
            .iter()
            .filter_map(|id| Some(self.instances.get(id)?.router.standing()))
            .collect();
        let goes_on = |standing: &Standing| matches!(standing, Standing::Ready | Standing::Master);
        if standings.iter().all(goes_on) {
            for id in members {
                self.with(id, now, |router, _, turn| {
                    router.become_master_with_group(turn);
                });
            }
        } else if standings.contains(&Standing::Follower) {
            for id in members {
                self.with(id, now, |router, _, turn| {
                    router.become_backup_with_group(turn);
                });
            }
        }
    }
}

fn faulty<'a>(
    configs: impl Iterator<Item = &'a Instance>,
    in_fault: impl Fn(&Instance) -> bool,
) -> BTreeSet<GroupId> {
    configs
        .filter(|config| in_fault(config))
        .filter_map(|config| config.group)
        .collect()
}
