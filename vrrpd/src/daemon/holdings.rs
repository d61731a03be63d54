//! What the host holds for the configuration besides the addresses of instances: static addresses, and routes
//! and rules, static and of instances.

use std::collections::{BTreeMap, BTreeSet};

use kr_model::InstanceId;
use kr_model::vrrp::Instance;

use super::{Daemon, present};
use crate::addresses::{Located, device, locate, locate_statics, reconcile, renewed};
use crate::fib::{Owner, Wishes};
use crate::intake::HostObjects;
use crate::kernel::Kernel;

impl HostObjects {
    /// Every address that shall be set now.
    pub(super) fn wanted<'a>(
        &'a self,
        instances: &'a BTreeMap<InstanceId, Instance>,
        ids: &'a BTreeSet<InstanceId>,
        kernel: &Kernel,
    ) -> Located<'a> {
        let mut wanted = locate(present(instances, ids), kernel);
        wanted.extend(locate_statics(&self.addresses, kernel));
        wanted
    }
}

impl Daemon {
    /// Sets the static addresses before the instances start, which may send from them. Those that go leave with
    /// the other addresses.
    pub(super) fn set_statics(&mut self, old: &HostObjects) {
        let kernel = self.table.kernel();
        let wanted = locate_statics(&self.host.addresses, kernel);
        self.told.set_statics(wanted.keys().copied().collect());
        let renewed = renewed(&locate_statics(&old.addresses, kernel), &wanted);
        let changes = reconcile(kernel, &BTreeSet::new(), &wanted, &renewed);
        self.table.make(&changes, self.clock.now());
    }

    /// Removes what is there whatever instances do.
    pub(super) fn remove_statics(&mut self) {
        let managed = locate_statics(&self.host.addresses, self.table.kernel());
        let managed = managed.into_keys().collect();
        self.host = HostObjects::default();
        self.settle_routing();
        let none = BTreeSet::new();
        let changes = reconcile(self.table.kernel(), &managed, &Located::new(), &none);
        self.table.make(&changes, self.clock.now());
    }

    /// Routes and rules that shall be set now.
    fn wishes(&self) -> Wishes {
        let objects = self.host.routing.iter();
        objects
            .filter_map(|(object, instance)| {
                let owner = match instance {
                    None => Owner::Static,
                    Some(id) if self.present.contains(id) => {
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
        let wishes = self.wishes();
        self.routing
            .want(wishes, self.table.kernel(), self.clock.now());
    }

    /// Finds routes and rules of a predecessor.
    pub(super) fn adopt_routing(&mut self) {
        let configured: Vec<_> = self.host.routing.iter().map(|(object, _)| object).collect();
        let kernel = self.table.kernel();
        let own = self.instances.values().flat_map(|instance| {
            let all = instance.addresses.iter().chain(&instance.excluded);
            all.map(|address| device(instance, address))
                .chain([&instance.interface])
        });
        let named = configured.iter().flat_map(|object| object.devices());
        let links: BTreeSet<u32> = own
            .chain(named)
            .filter_map(|name| kernel.named(name))
            .map(|link| link.index.get())
            .collect();
        let wishes = self.wishes();
        self.routing.adopt(
            wishes,
            &configured,
            |link| links.contains(&link),
            kernel,
            self.clock.now(),
        );
    }
}
