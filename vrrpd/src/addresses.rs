//! Which virtual addresses shall be on which link, and the changes that get the kernel there. Pure.
//!
//! Start, reload, take-over, resignation, a crash before this process, and somebody else's `ip address
//! del` all end in [`reconcile`].

use std::collections::{BTreeMap, BTreeSet};

use kr_model::units::IfName;
use kr_model::vrrp::{Instance, VirtualAddress};
use kr_netlink::route::{Change, Place};

use crate::kernel::Kernel;

/// Virtual addresses where they belong.
pub(crate) type Located<'a> = BTreeMap<Place, &'a VirtualAddress>;

/// The interface of a virtual address of an instance.
pub(crate) fn device<'a>(instance: &'a Instance, address: &'a VirtualAddress) -> &'a IfName {
    address.device.as_ref().unwrap_or(&instance.interface)
}

/// Every virtual address of the instances whose link exists.
pub(crate) fn locate<'a>(
    instances: impl IntoIterator<Item = &'a Instance>,
    kernel: &Kernel,
) -> Located<'a> {
    let mut located = Located::new();
    for instance in instances {
        for address in instance.addresses.iter().chain(&instance.excluded) {
            if let Some(link) = kernel.named(device(instance, address)) {
                located.insert(Place::of(link.index, address), address);
            }
        }
    }
    located
}

/// The static addresses whose link exists. Each names its link.
pub(crate) fn locate_statics<'a>(
    statics: impl Iterator<Item = &'a VirtualAddress>,
    kernel: &Kernel,
) -> Located<'a> {
    let mut located = Located::new();
    for address in statics {
        let link = address.device.as_ref().and_then(|name| kernel.named(name));
        if let Some(link) = link {
            located.insert(Place::of(link.index, address), address);
        }
    }
    located
}

/// The virtual addresses of an instance whose link does not exist.
pub(crate) fn homeless<'a>(
    instance: &'a Instance,
    kernel: &Kernel,
) -> impl Iterator<Item = &'a VirtualAddress> {
    let all = instance.addresses.iter().chain(&instance.excluded);
    all.filter(|address| kernel.named(device(instance, address)).is_none())
}

/// Places of both sets whose address has other attributes in the new one: the kernel changes most of
/// these only by removing the address and setting it anew.
pub(crate) fn renewed(old: &Located<'_>, new: &Located<'_>) -> BTreeSet<Place> {
    let differs = |a: &VirtualAddress, b: &VirtualAddress| {
        (
            a.scope,
            a.broadcast,
            &a.label,
            a.flags,
            a.preferred_lifetime,
        ) != (
            b.scope,
            b.broadcast,
            &b.label,
            b.flags,
            b.preferred_lifetime,
        )
    };
    new.iter()
        .filter(|(place, address)| old.get(place).is_some_and(|old| differs(old, address)))
        .map(|(place, _)| *place)
        .collect()
}

/// The changes after which, of the places in `managed`, the kernel holds exactly those in `wanted`.
/// Removals come first: with IPv4, removing an address can take others of its network along.
pub(crate) fn reconcile<'a>(
    kernel: &Kernel,
    managed: &BTreeSet<Place>,
    wanted: &Located<'a>,
    renewed: &BTreeSet<Place>,
) -> Vec<Change<'a>> {
    let stays = |place: &Place| wanted.contains_key(place) && !renewed.contains(place);
    let held = |place: &Place| kernel.holds(*place);
    let removals = managed
        .iter()
        .filter(|place| held(place) && !stays(place))
        .map(|place| Change::Remove(*place));
    let additions = wanted
        .iter()
        .filter(|(place, _)| !held(place) || renewed.contains(place))
        .map(|(place, address)| Change::Add {
            link: place.link,
            address,
        });
    removals.chain(additions).collect()
}

#[cfg(test)]
mod tests {
    use kr_netlink::route::Event;

    use super::*;
    use crate::samples::{index, instance, link, name, virtual_address};

    /// `eth0` is link 2 and `eth1` link 3; `held` are set on `eth0`.
    fn kernel(held: &[&str]) -> Kernel {
        let mut kernel = Kernel::default();
        for (number, text) in [(2, "eth0"), (3, "eth1")] {
            kernel.apply(Event::Link(link(number, text)));
        }
        for text in held {
            kernel.made(Change::Add {
                link: index(2),
                address: &virtual_address(text),
            });
        }
        kernel
    }

    fn place(text: &str) -> Place {
        Place::of(index(2), &virtual_address(text))
    }

    #[test]
    fn an_address_goes_to_its_own_device_or_the_instance_s_and_nowhere_else() {
        let mut vi = instance(1, "eth0", &["10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24"]);
        vi.addresses[1].device = Some(name("eth1"));
        vi.addresses[2].device = Some(name("eth2"));
        vi.excluded.push(virtual_address("10.0.0.4/32"));
        let located = locate([&vi], &kernel(&[]));
        let links: Vec<_> = located
            .keys()
            .map(|place| (place.link, place.local.to_string()))
            .collect();
        assert_eq!(
            links,
            [
                (index(2), "10.0.0.1/24".to_owned()),
                (index(2), "10.0.0.4/32".to_owned()),
                (index(3), "10.0.0.2/24".to_owned()),
            ]
        );
    }

    #[test]
    fn only_the_difference_is_changed() {
        let kernel = kernel(&["10.0.0.1/24", "10.0.0.2/24", "10.0.0.99/24"]);
        let vi = instance(1, "eth0", &["10.0.0.2/24", "10.0.0.3/24"]);
        let wanted = locate([&vi], &kernel);
        let managed = ["10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24"]
            .map(place)
            .into();
        assert_eq!(
            reconcile(&kernel, &managed, &wanted, &BTreeSet::new()),
            [
                Change::Remove(place("10.0.0.1/24")),
                Change::Add {
                    link: index(2),
                    address: &vi.addresses[1]
                },
            ]
        );
    }

    #[test]
    fn nothing_wanted_removes_what_is_managed_and_no_more() {
        let kernel = kernel(&["10.0.0.1/24", "10.0.0.99/24"]);
        let managed = ["10.0.0.1/24", "10.0.0.2/24"].map(place).into();
        assert_eq!(
            reconcile(&kernel, &managed, &Located::new(), &BTreeSet::new()),
            [Change::Remove(place("10.0.0.1/24"))]
        );
    }

    #[test]
    fn another_prefix_length_is_another_address() {
        let kernel = kernel(&["10.0.0.1/24"]);
        let vi = instance(1, "eth0", &["10.0.0.1/32"]);
        let wanted = locate([&vi], &kernel);
        let managed = ["10.0.0.1/24", "10.0.0.1/32"].map(place).into();
        assert_eq!(
            reconcile(&kernel, &managed, &wanted, &BTreeSet::new()),
            [
                Change::Remove(place("10.0.0.1/24")),
                Change::Add {
                    link: index(2),
                    address: &vi.addresses[0]
                },
            ]
        );
    }

    #[test]
    fn changed_attributes_renew_an_address_and_tracking_does_not() {
        let kernel = kernel(&["10.0.0.1/24", "10.0.0.2/24"]);
        let before = instance(1, "eth0", &["10.0.0.1/24", "10.0.0.2/24"]);
        let mut after = before.clone();
        after.addresses[0].label = Some(name("eth0:vip"));
        after.addresses[1].tracked = false;
        let (old, new) = (locate([&before], &kernel), locate([&after], &kernel));
        let renewed = renewed(&old, &new);
        assert_eq!(renewed, [place("10.0.0.1/24")].into());
        let managed = new.keys().copied().collect();
        assert_eq!(
            reconcile(&kernel, &managed, &new, &renewed),
            [
                Change::Remove(place("10.0.0.1/24")),
                Change::Add {
                    link: index(2),
                    address: &after.addresses[0]
                },
            ]
        );
    }
}
