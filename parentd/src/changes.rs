//! What a reload changes: compared once, for the log and for what the children are told.

use std::collections::BTreeSet;
use std::fmt;

use kr_config::typed::Config;
use kr_model::diff::{Diff, diff};
use kr_model::{CheckerId, InstanceId, RealServerId, TrackerId, VirtualServerId};

/// The difference of two configurations, by the ids of what both may have.
#[derive(Debug)]
pub(crate) struct Changes {
    instances: Diff<InstanceId>,
    bfd: Diff<TrackerId>,
    virtual_servers: Diff<VirtualServerId>,
    real_servers: Diff<RealServerId>,
    pub(crate) checkers: Diff<CheckerId>,
    /// Virtual servers that are in both and equal, with all of their real servers.
    pub(crate) equal_pools: BTreeSet<VirtualServerId>,
}

impl Changes {
    pub(crate) fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Self {
            instances: diff(&old.instances, &new.instances),
            bfd: diff(&old.bfd, &new.bfd),
            virtual_servers: diff(&old.virtual_servers, &new.virtual_servers),
            real_servers: diff(&old.real_servers, &new.real_servers),
            checkers: diff(&old.checkers, &new.checkers),
            equal_pools: BTreeSet::new(),
        };
        let servers = &changes.real_servers;
        let come = servers.added.iter().chain(&servers.changed);
        let come = come.filter_map(|id| new.real_servers.get(id));
        let gone = servers.removed.iter();
        let gone = gone.filter_map(|id| old.real_servers.get(id));
        let owners = come
            .chain(gone)
            .map(|entry| entry.real_server.virtual_server);
        let mut equal: BTreeSet<_> = changes.virtual_servers.kept.iter().copied().collect();
        for owner in owners {
            equal.remove(&owner);
        }
        changes.equal_pools = equal;
        changes
    }
}

/// One line.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            part("instances", &self.instances),
            part("BFD sessions", &self.bfd),
            part("virtual servers", &self.virtual_servers),
            part("real servers", &self.real_servers),
            part("checkers", &self.checkers),
        ];
        let changed: Vec<String> = parts.into_iter().flatten().collect();
        if changed.is_empty() {
            f.write_str("the new configuration changes no object")
        } else {
            write!(f, "the new configuration changes {}", changed.join("; "))
        }
    }
}

fn part<K>(name: &str, diff: &Diff<K>) -> Option<String> {
    let (added, changed, removed) = (diff.added.len(), diff.changed.len(), diff.removed.len());
    (added + changed + removed > 0)
        .then(|| format!("{name}: {added} added, {changed} changed, {removed} removed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{config, config_with};

    #[test]
    fn a_summary_counts_what_a_reload_changes() {
        let old = config();
        let summary = |new: &Config| Changes::between(&old, new).to_string();
        assert_eq!(
            summary(&config()),
            "the new configuration changes no object"
        );
        assert_eq!(
            summary(&config_with("weight 5", "weight 6")),
            "the new configuration changes real servers: 0 added, 1 changed, 0 removed"
        );
    }
}
