//! What the children last said of their objects: given back to a successor, and shown in dumps.

use std::collections::BTreeMap;

use kr_config::typed::Config;
use kr_model::check::CheckerSnapshot;
use kr_model::lvs::PoolSnapshot;
use kr_model::vrrp::Snapshot;
use kr_model::{CheckerId, InstanceId, RealServerId, VirtualServerId};

/// The latest of everything. Bounded by the configuration: only its objects may be published.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Published {
    /// Instances, from the VRRP process.
    pub(crate) instances: BTreeMap<InstanceId, Snapshot>,
    /// Checkers, from the checker process.
    pub(crate) checkers: BTreeMap<CheckerId, CheckerSnapshot>,
    /// Pools, from the IPVS process.
    pub(crate) pools: BTreeMap<VirtualServerId, PoolSnapshot>,
    /// Real servers, as the IPVS process last announced them.
    pub(crate) servers_up: BTreeMap<RealServerId, bool>,
    /// Whether the kernel's IPVS can be programmed, once it was said.
    pub(crate) ipvs_usable: Option<bool>,
}

impl Published {
    /// Forgets the objects that `config` does not hold.
    pub(crate) fn retain(&mut self, config: &Config) {
        self.instances
            .retain(|id, _| config.instances.contains_key(id));
        self.checkers
            .retain(|id, _| config.checkers.contains_key(id));
        self.pools
            .retain(|id, _| config.virtual_servers.contains_key(id));
        self.servers_up
            .retain(|id, _| config.real_servers.contains_key(id));
    }
}
