//! What the children last said of their objects: given back to a successor, and shown in dumps.

use std::collections::{BTreeMap, BTreeSet};

use kr_config::typed::Config;
use kr_model::bfd;
use kr_model::check::CheckerSnapshot;
use kr_model::lvs::{ConnectionTimeouts, PoolSnapshot, ServiceKey, Verdict, VirtualServer};
use kr_model::units::IfName;
use kr_model::vrrp::Snapshot;
use kr_model::{CheckerId, InstanceId, RealServerId, TrackerId, VirtualServerId};
use serde::{Deserialize, Serialize};

/// The latest of everything. Bounded by the configuration: only its objects may be published.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Published {
    /// Instances, from the VRRP process.
    pub(crate) instances: BTreeMap<InstanceId, Box<Snapshot>>,
    /// Links that instances run on, from the VRRP process.
    pub(crate) links: BTreeMap<InstanceId, IfName>,
    /// BFD sessions, from the VRRP process.
    pub(crate) bfd: BTreeMap<TrackerId, bfd::Snapshot>,
    /// Checkers, from the checker process.
    pub(crate) checkers: BTreeMap<CheckerId, CheckerSnapshot>,
    /// Pools, from the IPVS process; their verdicts are kept apart.
    pub(crate) pools: BTreeMap<VirtualServerId, PoolSnapshot>,
    /// What the IPVS process last took for the state of each checker.
    pub(crate) verdicts: BTreeMap<CheckerId, Verdict>,
    /// Virtual servers that a reload took away, and of whose pools some servers may drain.
    pub(crate) departed: BTreeMap<VirtualServerId, VirtualServer>,
    /// Services that an IPVS process was told of and may have put into the kernel.
    pub(crate) services: BTreeSet<ServiceKey>,
    /// Some of them are in the kernel although no configuration has them any more: their servers drain.
    pub(crate) services_remain: bool,
    /// The kernel's own connection timeouts, while they are changed.
    pub(crate) timeouts: Option<ConnectionTimeouts>,
    /// An IPVS process was told of `lvs_sync_daemon` and may have started its threads.
    pub(crate) sync: bool,
    /// Real servers, as the IPVS process last announced them.
    pub(crate) servers_up: BTreeMap<RealServerId, bool>,
    /// Virtual servers: whether they have their quorum, as last announced.
    pub(crate) quorum: BTreeMap<VirtualServerId, bool>,
    /// Whether the kernel's IPVS can be programmed, once it was said.
    pub(crate) ipvs_usable: Option<bool>,
}

impl Published {
    /// Keeps what the IPVS process said of a pool: its verdicts come one by one.
    pub(crate) fn keep_pool(&mut self, mut pool: PoolSnapshot) {
        let verdicts = std::mem::take(&mut pool.verdicts);
        let verdicts = verdicts
            .into_iter()
            .map(|verdict| (verdict.checker, verdict));
        self.verdicts.extend(verdicts);
        self.pools.insert(pool.id, pool);
    }

    /// A reload took virtual servers away; those with `drain_timeout` may go on for a while.
    pub(crate) fn depart(&mut self, before: &Config, after: &Config) {
        let servers = before.real_servers.values();
        let servers = servers.map(|entry| &entry.real_server);
        for server in servers.filter(|server| !server.drain.is_zero()) {
            let id = server.virtual_server;
            if let Some(entry) = before.virtual_servers.get(&id)
                && !after.virtual_servers.contains_key(&id)
            {
                let entry = entry.virtual_server.clone();
                self.departed.entry(id).or_insert(entry);
            }
        }
    }

    /// The IPVS process runs the configuration in force, so it has said of which of them nothing is left.
    pub(crate) fn forget_departed(&mut self) {
        let pools = &mut self.pools;
        self.departed.retain(|id, _| {
            let remains = pools.get(id).is_some_and(|pool| !pool.leaving.is_empty());
            if !remains {
                pools.remove(id);
            }
            remains
        });
    }

    /// The IPVS process was told of these services.
    pub(crate) fn add_services(&mut self, config: &Config) {
        self.services.extend(services(config));
        self.sync |= config.ipvs.sync.is_some();
    }

    /// The IPVS process has put this configuration into force, and removed everything else of ours.
    pub(crate) fn set_services(&mut self, config: &Config) {
        self.services = services(config).collect();
        self.sync = config.ipvs.sync.is_some();
    }

    /// Forgets the objects that `config` does not hold.
    pub(crate) fn retain(&mut self, config: &Config) {
        self.instances
            .retain(|id, _| config.instances.contains_key(id));
        self.links.retain(|id, _| config.instances.contains_key(id));
        self.bfd.retain(|id, _| config.bfd.contains_key(id));
        self.checkers
            .retain(|id, _| config.checkers.contains_key(id));
        let departed = &self.departed;
        self.pools
            .retain(|id, _| config.virtual_servers.contains_key(id) || departed.contains_key(id));
        self.verdicts
            .retain(|id, _| config.checkers.contains_key(id));
        self.servers_up
            .retain(|id, _| config.real_servers.contains_key(id));
        self.quorum
            .retain(|id, _| config.virtual_servers.contains_key(id));
    }
}

/// Every service of a configuration.
pub(crate) fn services(config: &Config) -> impl Iterator<Item = ServiceKey> {
    let servers = config.virtual_servers.values();
    servers.flat_map(|entry| entry.virtual_server.services.iter().copied())
}
