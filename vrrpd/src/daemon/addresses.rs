//! The addresses of instances: set, removed, put back, tried again.

use std::collections::BTreeSet;
use std::net::IpAddr;

use kr_model::InstanceId;
use kr_model::units::IfName;
use kr_model::vrrp::Instance;
use kr_netlink::route::Place;

use super::{Daemon, each};
use crate::addresses::{self, device, locate, reconcile, renewed};
use crate::intake::Instances;

impl Daemon {
    /// Tries again to set what the kernel refused, and whatever else of the wanted addresses is missing.
    pub(super) fn set_refused(&mut self) {
        let wanted = self
            .host
            .wanted(&self.instances, &self.present, self.table.kernel());
        let none = BTreeSet::new();
        let changes = reconcile(self.table.kernel(), &none, &wanted, &none);
        self.table.make_again(&changes, self.clock.now());
        self.unjudged.extend(&self.present);
        self.act();
    }

    /// Puts back what somebody else removed, and sets what could not be set before a link was there.
    pub(super) fn repair(&mut self, taken: &BTreeSet<Place>, links_changed: bool) {
        let wanted = self
            .host
            .wanted(&self.instances, &self.present, self.table.kernel());
        let missing =
            |place: &&Place| wanted.contains_key(*place) && !self.table.kernel().holds(**place);
        let stolen: Vec<Place> = taken.iter().filter(missing).copied().collect();
        if stolen.is_empty() && !links_changed {
            return;
        }
        for place in &stolen {
            let mut owners = present(&self.instances, &self.present);
            let owner = owners.find(|one| locate([*one], self.table.kernel()).contains_key(place));
            let (local, link) = (place.local, self.table.kernel().name(place.link));
            match owner {
                Some(instance) => log::warn!(
                    "({}) {local} was removed from {link} by another program while this router is \
                     master; putting it back",
                    instance.name,
                ),
                None => log::warn!(
                    "the static address {local} was removed from {link} by another program; putting \
                     it back"
                ),
            }
        }
        let changes = reconcile(
            self.table.kernel(),
            &BTreeSet::new(),
            &wanted,
            &BTreeSet::new(),
        );
        self.table.make(&changes, self.clock.now());
        self.unjudged.extend(&self.present);
    }

    /// Addresses with our mark on interfaces of this configuration, which a killed predecessor may have
    /// left with an older configuration.
    pub(super) fn leftovers(&self) -> Vec<Place> {
        let devices: BTreeSet<&IfName> = self
            .instances
            .values()
            .flat_map(|instance| {
                let all = instance.addresses.iter().chain(&instance.excluded);
                all.map(|address| device(instance, address))
                    .chain([&instance.interface])
            })
            .collect();
        let links: BTreeSet<_> = devices
            .into_iter()
            .filter_map(|name| self.table.kernel().named(name).map(|link| link.index))
            .collect();
        self.table
            .kernel()
            .marked()
            .filter(|place| links.contains(&place.link))
            .collect()
    }

    /// Makes the kernel hold, of the managed places, those of present instances.
    pub(super) fn settle(&mut self, managed: &BTreeSet<Place>, old: &Instances) {
        let wanted = self
            .host
            .wanted(&self.instances, &self.present, self.table.kernel());
        let renewed = renewed(&locate(each(old), self.table.kernel()), &wanted);
        let changes = reconcile(self.table.kernel(), managed, &wanted, &renewed);
        self.table.make(&changes, self.clock.now());
        for place in managed {
            if !wanted.contains_key(place) {
                self.table.forget(*place);
            }
        }
        self.unjudged.extend(&self.present);
    }

    /// True when a tracked address of an instance is set, false when the kernel takes none; `None` when
    /// neither is known, or no matter.
    pub(super) fn judge(&self, id: InstanceId) -> Option<bool> {
        let instance = self.instances.get(&id)?;
        if !self.present.contains(&id) {
            return None;
        }
        let mut places = locate([&**instance], self.table.kernel());
        places.retain(|_, address| address.tracked);
        let kernel = self.table.kernel();
        if places.keys().any(|place| kernel.holds(*place)) {
            return Some(true);
        }
        let refusals = self.table.refusals();
        let refused = !places.is_empty() && places.keys().all(|place| refusals.is_lasting(*place));
        refused.then_some(false)
    }

    /// Sets or removes all addresses of instances that are present now or are not any more, in one request.
    pub(super) fn set_addresses(&mut self, moved: &BTreeSet<InstanceId>) {
        // One that a reload removed is in the difference that the reload settles.
        let known = |id: &InstanceId| self.instances.contains_key(id);
        let moved: BTreeSet<InstanceId> = moved.iter().copied().filter(known).collect();
        if moved.is_empty() {
            return;
        }
        self.routing_changed = true;
        let now_present: BTreeSet<InstanceId> =
            moved.intersection(&self.present).copied().collect();
        self.filter(&now_present);
        let kernel = self.table.kernel();
        let managed: BTreeSet<Place> = locate(present(&self.instances, &moved), kernel)
            .into_keys()
            .collect();
        let wanted = locate(present(&self.instances, &now_present), kernel);
        let changes = reconcile(kernel, &managed, &wanted, &BTreeSet::new());
        self.table.make(&changes, self.clock.now());
        for place in managed {
            if !wanted.contains_key(&place) {
                self.table.forget(place);
            }
        }
        for instance in present(&self.instances, &now_present) {
            for address in addresses::homeless(instance, self.table.kernel()) {
                log::warn!(
                    "({}) cannot set {}: interface {} does not exist",
                    instance.name,
                    address.address,
                    device(instance, address),
                );
            }
        }
        self.filter(moved.difference(&now_present));
        self.unjudged.extend(now_present);
    }
}

/// The instances whose addresses shall be set.
pub(super) fn present<'a>(
    instances: &'a Instances,
    ids: &'a BTreeSet<InstanceId>,
) -> impl Iterator<Item = &'a Instance> {
    ids.iter()
        .filter_map(|id| instances.get(id).map(|instance| &**instance))
}

/// Every address that an instance of the set may take, on whatever link.
pub(super) fn virtual_ips(instances: &Instances) -> BTreeSet<IpAddr> {
    let all = instances
        .values()
        .flat_map(|one| one.addresses.iter().chain(&one.excluded));
    all.map(|address| address.address.address()).collect()
}
