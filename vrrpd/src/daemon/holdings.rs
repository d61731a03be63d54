//! What the host holds for the configuration besides the addresses of instances: static addresses, and routes
//! and rules, static and of instances.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kr_model::InstanceId;
use kr_model::route::{Hop, Table};
use kr_model::units::{IfIndex, IfName};
use kr_model::vrrp::{Instance, VirtualAddress};
use kr_netlink::fib::Object;
use kr_netlink::route::{Change, Event, Place};

use super::{Daemon, each, present};
use crate::addresses::{Located, device, locate, locate_statics, reconcile, renewed};
use crate::fib::{Owner, Wishes};
use crate::intake::{HostObjects, Instances};
use crate::kernel::Kernel;

/// How often an address is renewed within its lifetime: two renewals may fail.
const RENEWALS: u32 = 3;

impl HostObjects {
    /// Every interface that the instances and these objects name; `None` when a route leaves it to the kernel to
    /// find its interface.
    pub(super) fn named<'a>(
        &self,
        instances: impl Iterator<Item = &'a Instance>,
    ) -> Option<BTreeSet<IfName>> {
        let mut named = BTreeSet::new();
        for instance in instances {
            let all = instance.addresses.iter().chain(&instance.excluded);
            named.extend(all.map(|address| device(instance, address).clone()));
            let tracked = instance.tracked_interfaces.iter();
            named.extend(tracked.map(|tracked| tracked.interface.clone()));
            named.insert(instance.interface.clone());
        }
        named.extend(
            self.addresses
                .iter()
                .filter_map(|address| address.device.clone()),
        );
        for (object, _) in &self.routing {
            if let Object::Route(route) = object {
                let open = |hop: &Hop| hop.gateway.is_some() && hop.device.is_none();
                if route.path.hops().any(open) {
                    return None;
                }
                if let Table::Vrf(name) = &route.table {
                    named.insert(name.clone());
                }
            }
            named.extend(object.devices().cloned());
        }
        Some(named)
    }

    /// The addresses that are set whatever the instances do.
    pub(super) fn statics(&self) -> impl Iterator<Item = &VirtualAddress> {
        self.addresses.iter().chain(&self.of_links)
    }

    /// Every address that shall be set now.
    pub(super) fn wanted<'a>(
        &'a self,
        instances: &'a Instances,
        ids: &'a BTreeSet<InstanceId>,
        kernel: &Kernel,
    ) -> Located<'a> {
        let mut wanted = locate(present(instances, ids), kernel);
        wanted.extend(locate_statics(self.statics(), kernel));
        wanted
    }
}

impl Daemon {
    /// Finds out which interfaces matter.
    pub(super) fn set_named(&mut self) {
        let named = self.host.named(each(&self.instances));
        self.named = named.map(|mut named| {
            named.extend(self.own_links.devices().cloned());
            named
        });
        let vmacs = self.own_links.vmacs();
        let bases = vmacs.map(|vmac| (vmac.name, vmac.base)).collect();
        self.told.set_bases(bases);
    }

    /// False for an event of a link that the configuration does not name: on a host with thousands of those, their
    /// coming and going costs no more than the reading.
    pub(super) fn concerns_us(&self, event: &Event) -> bool {
        let Some(named) = &self.named else {
            return true;
        };
        // Some other link may have been in the way.
        let is_link = matches!(event, Event::Link(_) | Event::LinkGone(_));
        if is_link && !self.refused_links.is_empty() {
            return true;
        }
        let kernel = self.table.kernel();
        let known = |link| {
            kernel
                .link(link)
                .is_some_and(|link| named.contains(&link.name))
        };
        match event {
            Event::Link(link) => named.contains(&link.name) || known(link.index),
            Event::LinkGone(link) | Event::Forwarding { link, .. } => known(*link),
            Event::Address(address) | Event::AddressGone(address) => known(address.place.link),
        }
    }

    /// Tells the kernel of which links it need not tell addresses. Those of a link that matters from now on are read.
    pub(super) fn limit_events(&mut self) {
        let kernel = self.table.kernel();
        let named: Option<BTreeSet<IfIndex>> = self.named.as_ref().map(|named| {
            let links = named.iter().filter_map(|name| kernel.named(name));
            links.map(|link| link.index).collect()
        });
        if named == self.heard {
            return;
        }
        if let Err(error) = self.kernel_events.limit_addresses(named.as_ref()) {
            log::warn!(
                "cannot filter the kernel's events, which costs time on a busy host: {error}"
            );
            return;
        }
        let was_heard = |link| self.heard.as_ref().is_none_or(|heard| heard.contains(link));
        let all_were = match &named {
            Some(named) => named.iter().all(was_heard),
            None => self.heard.is_none(),
        };
        self.heard = named;
        if !all_were {
            self.table.refresh();
        }
    }

    /// Begins the lifetimes of all addresses anew that have one, and of those of which it changed with a reload.
    pub(super) fn renew(&mut self, changed: &BTreeMap<Place, Option<Duration>>) {
        let kernel = self.table.kernel();
        let wanted = self.host.wanted(&self.instances, &self.present, kernel);
        let lapses = |place: &Place, address: &VirtualAddress| {
            let before = changed.get(place);
            address.lifetime.is_some() || before.is_some_and(|before| *before != address.lifetime)
        };
        let held = wanted.iter().filter(|(place, _)| kernel.holds(**place));
        let changes: Vec<Change<'_>> = held
            .filter(|(place, address)| lapses(place, address))
            .map(|(place, address)| Change::Renew {
                link: place.link,
                address,
            })
            .collect();
        self.table.make(&changes, self.clock.now());
        let all = each(&self.instances);
        let all = all.flat_map(|one| one.addresses.iter().chain(&one.excluded));
        let shortest = all.filter_map(|address| address.lifetime).min();
        self.renew_at = shortest.map(|time| self.clock.now().saturating_add(time / RENEWALS));
    }

    /// Lifetimes of the addresses of a configuration, to be compared after a reload.
    pub(super) fn lifetimes(
        instances: &Instances,
        kernel: &Kernel,
    ) -> BTreeMap<Place, Option<Duration>> {
        let located = locate(each(instances), kernel).into_iter();
        located
            .map(|(place, address)| (place, address.lifetime))
            .collect()
    }

    /// Sets the static addresses before the instances start, which may send from them. Those that go leave with
    /// the other addresses.
    pub(super) fn set_statics(&mut self, old: &HostObjects) {
        let kernel = self.table.kernel();
        let wanted = locate_statics(self.host.statics(), kernel);
        self.told.set_statics(wanted.keys().copied().collect());
        let renewed = renewed(&locate_statics(old.statics(), kernel), &wanted);
        let changes = reconcile(kernel, &BTreeSet::new(), &wanted, &renewed);
        self.table.make(&changes, self.clock.now());
    }

    /// Sets and removes addresses of the links of instances after those of the interfaces below changed.
    pub(super) fn follow_link_addresses(&mut self) {
        let old = self.host.of_links.clone();
        if !self.find_link_addresses() {
            return;
        }
        let kernel = self.table.kernel();
        let wanted = locate_statics(self.host.statics(), kernel);
        self.told.set_statics(wanted.keys().copied().collect());
        let managed = locate_statics(old.iter(), kernel).into_keys().collect();
        let changes = reconcile(kernel, &managed, &wanted, &BTreeSet::new());
        self.table.make(&changes, self.clock.now());
    }

    /// Removes what is there whatever instances do.
    pub(super) fn remove_statics(&mut self) {
        let managed = locate_statics(self.host.statics(), self.table.kernel());
        let managed = managed.into_keys().collect();
        self.host = HostObjects::default();
        self.settle_routing();
        let none = BTreeSet::new();
        let changes = reconcile(self.table.kernel(), &managed, &Located::new(), &none);
        self.table.make(&changes, self.clock.now());
    }

    /// Routes and rules that shall be set when these instances hold what is theirs.
    fn wishes(&self, is_present: impl Fn(InstanceId) -> bool) -> Wishes {
        let objects = self.host.routing.iter();
        objects
            .filter_map(|(object, instance)| {
                let owner = match instance {
                    None => Owner::Static,
                    Some(id) if is_present(*id) => {
                        Owner::Instance(self.instances.get(id)?.name.clone())
                    }
                    Some(_) => return None,
                };
                Some((object.clone(), owner))
            })
            .collect()
    }

    /// Makes the kernel hold the routes and rules of present instances.
    pub(super) fn settle_routing(&mut self) {
        let wishes = self.wishes(|id| self.present.contains(&id));
        self.routing
            .want(wishes, self.table.kernel(), self.clock.now());
    }

    /// Finds routes and rules of a predecessor.
    pub(super) fn adopt_routing(&mut self) {
        let configured = self.wishes(|_| true);
        let kernel = self.table.kernel();
        let own = self.instances.values().flat_map(|instance| {
            let all = instance.addresses.iter().chain(&instance.excluded);
            all.map(|address| device(instance, address))
                .chain([&instance.interface])
        });
        let named = configured.iter().flat_map(|(object, _)| object.devices());
        let links: BTreeSet<u32> = own
            .chain(named)
            .filter_map(|name| kernel.named(name))
            .map(|link| link.index.get())
            .collect();
        self.routing.adopt(
            configured,
            |link| links.contains(&link),
            kernel,
            self.clock.now(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{instance, name, route, virtual_address};

    fn named(host: &HostObjects) -> Option<Vec<String>> {
        let router = instance(1, "eth0", &["10.0.0.1/24"]);
        let named = host.named([&router].into_iter())?;
        Some(named.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_interfaces_that_matter_are_those_that_anything_names() {
        let mut host = HostObjects::default();
        assert_eq!(named(&host), Some(vec!["eth0".to_owned()]));
        let mut address = virtual_address("10.0.0.2/24");
        address.device = Some(name("eth1"));
        host.addresses.push(address);
        let mut in_vrf = route("10.1.0.0/16", "eth2");
        in_vrf.table = Table::Vrf(name("red"));
        host.routing.push((Object::Route(in_vrf), None));
        let all = ["eth0", "eth1", "eth2", "red"].map(str::to_owned);
        assert_eq!(named(&host), Some(all.to_vec()));
    }

    #[test]
    fn every_interface_matters_to_a_gateway_without_one() {
        let mut open = route("10.1.0.0/16", "eth0");
        open.path = kr_model::route::Path::Single(Hop {
            gateway: Some([10, 0, 0, 9].into()),
            ..Hop::default()
        });
        let mut host = HostObjects::default();
        host.routing.push((Object::Route(open), None));
        assert_eq!(named(&host), None);
    }
}
