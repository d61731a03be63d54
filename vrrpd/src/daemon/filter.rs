//! Which traffic the packet filter drops: that of addresses of present instances in no-accept mode, and what the
//! kernel says of itself on VMACs.

use std::collections::BTreeSet;

use kr_model::InstanceId;
use kr_model::firewall::FirewallSettings;
use kr_model::net::Family;

use super::{Daemon, each};
use crate::firewall::{Owner, entries, tables, vmac_entries};

impl Daemon {
    /// A configuration comes into force: its masters are guarded before the first of their addresses is set, and
    /// what an older one guards stays so until its addresses are gone.
    pub(super) fn hold_filter(&mut self, settings: FirewallSettings) {
        let vmacs = self.own_links.vmacs();
        let wanted = tables(each(&self.instances), vmacs, &settings);
        if wanted.is_empty() && self.firewall.is_idle() {
            return;
        }
        self.firewall.hold(settings, &wanted);
        self.claim_all();
    }

    /// The configuration is in force.
    pub(super) fn release_filter(&mut self, settings: &FirewallSettings) {
        if self.firewall.is_idle() {
            return;
        }
        let vmacs = self.own_links.vmacs();
        let wanted = tables(each(&self.instances), vmacs, settings);
        self.firewall.release(wanted);
        self.claim_all();
    }

    /// Brings the filter up to date with some instances.
    pub(super) fn filter<'a>(&mut self, ids: impl IntoIterator<Item = &'a InstanceId>) {
        if self.firewall.is_idle() {
            return;
        }
        for id in ids {
            self.claim(*id);
        }
        self.firewall.settle(self.clock.now());
    }

    /// An interface came, or has another index or another address.
    pub(super) fn filter_links(&mut self) {
        if !self.firewall.is_idle() {
            self.claim_all();
        }
    }

    fn claim(&mut self, id: InstanceId) {
        let by_index = self.firewall.by_index();
        let instance = self.instances.get(&id);
        let present = instance.filter(|_| self.present.contains(&id));
        let wanted = present.map(|one| entries(one, self.table.kernel(), by_index));
        self.firewall
            .claim(Owner::Instance(id), wanted.unwrap_or_default());
    }

    fn claim_links(&mut self) {
        let by_index = self.firewall.by_index();
        let silent = self.firewall.leaves_igmp();
        let vmacs = self.own_links.vmacs();
        let vmacs = vmacs.filter(|vmac| vmac.family == Family::Inet6 || !silent);
        let wanted = vmac_entries(vmacs, self.table.kernel(), by_index);
        self.firewall.claim(Owner::Links, wanted);
    }

    fn claim_all(&mut self) {
        let owners = self.firewall.owners().into_iter();
        let known = owners.filter_map(|owner| match owner {
            Owner::Instance(id) => Some(id),
            Owner::Links => None,
        });
        let mut all: BTreeSet<InstanceId> = known.collect();
        all.extend(&self.present);
        self.claim_links();
        for id in all {
            self.claim(id);
        }
        self.firewall.settle(self.clock.now());
    }
}
