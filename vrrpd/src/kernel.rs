//! What the kernel last said of its links and addresses. Pure: the daemon feeds it from netlink.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kr_model::diff::diff;
use kr_model::net::{Cidr, Family};
use kr_model::units::{IfIndex, IfName};
use kr_netlink::fib::Names;
use kr_netlink::route::{Address, Change, Event, Link, PROTOCOL, Place};
use kr_vrrp::{Input, LinkState};

/// Links and addresses.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    links: BTreeMap<IfIndex, Link>,
    names: BTreeMap<IfName, IfIndex>,
    /// In the kernel's order: the first is the link's primary address.
    addresses: BTreeMap<IfIndex, Vec<Address>>,
    /// The same addresses, to be found quickly.
    held: BTreeSet<Place>,
}

impl Kernel {
    /// The state that two whole tables describe.
    pub(crate) fn new(links: Vec<Link>, addresses: Vec<Address>) -> Self {
        let mut kernel = Self::default();
        for link in links {
            kernel.apply(Event::Link(link));
        }
        for address in addresses {
            kernel.apply(Event::Address(address));
        }
        kernel
    }

    /// Follows a change.
    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Link(link) => {
                self.forget_name(link.index);
                self.names.insert(link.name.clone(), link.index);
                self.links.insert(link.index, link);
            }
            Event::LinkGone(index) => {
                self.forget_name(index);
                self.links.remove(&index);
                for address in self.addresses.remove(&index).unwrap_or_default() {
                    self.held.remove(&address.place);
                }
            }
            Event::Address(address) => {
                let list = self.addresses.entry(address.place.link).or_default();
                if self.held.insert(address.place) {
                    list.push(address);
                } else if let Some(known) =
                    list.iter_mut().find(|known| known.place == address.place)
                {
                    *known = address;
                }
            }
            Event::AddressGone(address) => self.forget(address.place),
            Event::Forwarding { link, router } => {
                if let Some(known) = self.links.get_mut(&link) {
                    known.router = router;
                }
            }
        }
    }

    /// True for the event of an address that this process set itself, and that is as it was set.
    pub(crate) fn knows(&self, event: &Event) -> bool {
        let Event::Address(new) = event else {
            return false;
        };
        let list = self.addresses.get(&new.place.link).into_iter().flatten();
        let mut same = list.filter(|known| known.place == new.place);
        let kind = |address: &Address| (address.is_ours(), address.is_doubtful());
        new.is_ours() && same.any(|known| kind(known) == kind(new))
    }

    /// Follows a change that this process made, before the kernel tells of it.
    pub(crate) fn made(&mut self, change: Change<'_>) {
        match change {
            Change::Add { link, address } | Change::Renew { link, address } => {
                self.apply(Event::Address(Address {
                    place: Place::of(link, address),
                    scope: address.scope,
                    protocol: Some(PROTOCOL),
                    flags: 0,
                }))
            }
            Change::Remove(place) => self.forget(place),
        }
    }

    fn forget(&mut self, place: Place) {
        if self.held.remove(&place)
            && let Some(list) = self.addresses.get_mut(&place.link)
        {
            list.retain(|known| known.place != place);
        }
    }

    /// Names may move from one link to another: the entry goes only when it is this link's.
    fn forget_name(&mut self, index: IfIndex) {
        if let Some(old) = self.links.get(&index)
            && self.names.get(&old.name) == Some(&index)
        {
            self.names.remove(&old.name);
        }
    }

    /// The link of that name.
    pub(crate) fn named(&self, name: &IfName) -> Option<&Link> {
        self.names.get(name).and_then(|index| self.links.get(index))
    }

    /// The link of that index.
    pub(crate) fn link(&self, index: IfIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    /// Every link.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The first link-local address of a link that is none of ours and known to be nobody else's.
    pub(crate) fn link_local(&self, name: &IfName) -> Option<Cidr> {
        let list = self.addresses.get(self.names.get(name)?)?;
        let usable = |address: &&Address| {
            let ip = address.place.local.address();
            let is_link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
            is_link_local && !address.is_ours() && !address.is_doubtful()
        };
        list.iter().find(usable).map(|address| address.place.local)
    }

    /// The name of the link, for logs.
    pub(crate) fn name(&self, index: IfIndex) -> &str {
        self.link(index).map_or("?", |link| link.name.as_str())
    }

    /// True when the address is set.
    pub(crate) fn holds(&self, place: Place) -> bool {
        self.held.contains(&place)
    }

    /// True when the link has that address, with whatever prefix.
    pub(crate) fn has_ip(&self, link: IfIndex, ip: IpAddr) -> bool {
        let Ok(local) = Cidr::new(ip, 0) else {
            return false;
        };
        let least = Place {
            link,
            local,
            peer: None,
        };
        let next = self.held.range(least..).next();
        next.is_some_and(|place| place.link == link && place.local.address() == ip)
    }

    /// Addresses that carry our mark.
    pub(crate) fn marked(&self) -> impl Iterator<Item = Place> {
        let all = self.addresses.values().flatten();
        all.filter(|address| address.is_ours())
            .map(|address| address.place)
    }

    /// The state of every link by name.
    fn states(&self) -> BTreeMap<IfName, LinkState> {
        let state = |link: &Link| {
            if link.up {
                LinkState::Up
            } else {
                LinkState::Down
            }
        };
        self.links
            .values()
            .map(|link| (link.name.clone(), state(link)))
            .collect()
    }

    /// What packets of each family would be sent from on each link: the first IPv4 address, the first
    /// link-local IPv6 address that is known to be nobody else's; none of ours, left over or not, but the static
    /// ones, and none that `is_virtual`.
    fn sources(
        &self,
        statics: &BTreeSet<Place>,
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> BTreeMap<(IfName, Family), IpAddr> {
        let mut sources = BTreeMap::new();
        for (index, list) in &self.addresses {
            let Some(link) = self.links.get(index) else {
                continue;
            };
            for address in list {
                let ip = address.place.local.address();
                let usable = match ip {
                    IpAddr::V4(_) => true,
                    IpAddr::V6(ip) => ip.is_unicast_link_local() && !address.is_doubtful(),
                };
                let ours = address.is_ours() && !statics.contains(&address.place);
                if usable && !ours && !is_virtual(ip) {
                    sources
                        .entry((link.name.clone(), Family::of(ip)))
                        .or_insert(ip);
                }
            }
        }
        sources
    }
}

impl Names for Kernel {
    fn index(&self, name: &IfName) -> Option<IfIndex> {
        self.named(name).map(|link| link.index)
    }

    fn vrf_table(&self, name: &IfName) -> Option<u32> {
        self.named(name)?.vrf_table
    }
}

/// What the router has been told of the kernel, so that it is told of differences only.
#[derive(Debug, Default)]
pub(crate) struct Told {
    states: BTreeMap<IfName, LinkState>,
    sources: BTreeMap<(IfName, Family), IpAddr>,
    /// Source addresses that are tracked, and there.
    present: BTreeSet<(IfName, IpAddr)>,
    /// Addresses of ours that may be sent from.
    statics: BTreeSet<Place>,
    /// Links that send from the addresses of another one, below them.
    bases: BTreeMap<IfName, IfName>,
}

impl Told {
    /// These addresses of ours may be sent from.
    pub(crate) fn set_statics(&mut self, statics: BTreeSet<Place>) {
        self.statics = statics;
    }

    /// Adverts on these links have the source address of the link below.
    pub(crate) fn set_bases(&mut self, bases: BTreeMap<IfName, IfName>) {
        self.bases = bases;
    }

    /// The inputs that bring the router up to date with `kernel`. A link that gets worse says so before
    /// its source address goes, so that the cause is named; one that gets better says so after its
    /// source address came, so that it is whole when it comes up.
    pub(crate) fn news(
        &mut self,
        kernel: &Kernel,
        tracked: &BTreeSet<(IfName, IpAddr)>,
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> Vec<Input<'static>> {
        let state_in = |states: &BTreeMap<IfName, LinkState>, name: &IfName| {
            states.get(name).copied().unwrap_or(LinkState::Missing)
        };
        let states = kernel.states();
        let changes = diff(&self.states, &states);
        let (mut news, mut better) = (Vec::new(), Vec::new());
        for interface in [changes.removed, changes.changed, changes.added].concat() {
            let state = state_in(&states, &interface);
            let list = if state > state_in(&self.states, &interface) {
                &mut news
            } else {
                &mut better
            };
            list.push(Input::Link { interface, state });
        }
        self.states = states;

        let mut sources = kernel.sources(&self.statics, is_virtual);
        for (above, base) in &self.bases {
            for family in [Family::Inet, Family::Inet6] {
                let of_base = sources.get(&(base.clone(), family)).copied();
                let key = (above.clone(), family);
                match of_base {
                    Some(address) => sources.insert(key, address),
                    None => sources.remove(&key),
                };
            }
        }
        let changes = diff(&self.sources, &sources);
        for key in [changes.removed, changes.changed, changes.added].concat() {
            let address = sources.get(&key).copied();
            let (interface, family) = key;
            news.push(Input::Source {
                interface,
                family,
                address,
            });
        }
        self.sources = sources;
        news.extend(self.tracked_sources(kernel, tracked));
        news.extend(better);
        news
    }

    fn tracked_sources(
        &mut self,
        kernel: &Kernel,
        tracked: &BTreeSet<(IfName, IpAddr)>,
    ) -> Vec<Input<'static>> {
        let is_there = |(interface, address): &&(IfName, IpAddr)| {
            let link = kernel.named(interface);
            link.is_some_and(|link| kernel.has_ip(link.index, *address))
        };
        let present: BTreeSet<_> = tracked.iter().filter(is_there).cloned().collect();
        let before = std::mem::replace(&mut self.present, present);
        let changed = before.symmetric_difference(&self.present);
        changed
            .map(|key| Input::SourcePresent {
                interface: key.0.clone(),
                address: key.1,
                present: self.present.contains(key),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, index, name, virtual_address};

    fn link(number: u64, text: &str, up: bool) -> Link {
        Link {
            up,
            ..samples::link(number, text)
        }
    }

    fn address(number: u64, text: &str, protocol: Option<u8>) -> Address {
        Address {
            place: Place::of(index(number), &virtual_address(text)),
            scope: 0,
            protocol,
            flags: 0,
        }
    }

    fn source(text: &str, address: Option<&str>) -> Input<'static> {
        Input::Source {
            interface: name(text),
            family: Family::Inet,
            address: address.map(|address| address.parse().unwrap()),
        }
    }

    fn state(text: &str, state: LinkState) -> Input<'static> {
        Input::Link {
            interface: name(text),
            state,
        }
    }

    #[test]
    fn the_source_is_the_first_address_that_is_not_virtual() {
        let mut kernel = Kernel::new(
            vec![link(2, "eth0", true)],
            vec![
                address(2, "10.0.0.9/24", None),
                address(2, "10.0.0.8/24", Some(PROTOCOL)),
                address(2, "10.0.0.1/24", None),
                address(2, "10.0.0.2/24", None),
            ],
        );
        let is_virtual = |ip: IpAddr| ip == IpAddr::from([10, 0, 0, 9]);
        let mut told = Told::default();
        assert_eq!(
            told.news(&kernel, &BTreeSet::new(), is_virtual),
            [
                source("eth0", Some("10.0.0.1")),
                state("eth0", LinkState::Up)
            ]
        );
        assert_eq!(told.news(&kernel, &BTreeSet::new(), is_virtual), []);
        kernel.apply(Event::AddressGone(address(2, "10.0.0.1/24", None)));
        assert_eq!(
            told.news(&kernel, &BTreeSet::new(), is_virtual),
            [source("eth0", Some("10.0.0.2"))]
        );
        kernel.apply(Event::AddressGone(address(2, "10.0.0.2/24", None)));
        assert_eq!(
            told.news(&kernel, &BTreeSet::new(), is_virtual),
            [source("eth0", None)]
        );
    }

    #[test]
    fn an_ipv6_source_is_link_local_and_known_to_be_nobody_elses() {
        let global = address(2, "2001:db8::1/64", None);
        let mut link_local = address(2, "fe80::1/64", None);
        link_local.flags = 0xc0;
        let mut kernel = Kernel::new(
            vec![link(2, "eth0", true)],
            vec![link_local.clone(), global],
        );
        let mut told = Told::default();
        let up = state("eth0", LinkState::Up);
        assert_eq!(told.news(&kernel, &BTreeSet::new(), |_| false), [up]);
        link_local.flags = 0x80;
        kernel.apply(Event::Address(link_local));
        let found = Input::Source {
            interface: name("eth0"),
            family: Family::Inet6,
            address: Some("fe80::1".parse().unwrap()),
        };
        assert_eq!(told.news(&kernel, &BTreeSet::new(), |_| false), [found]);
    }

    #[test]
    fn a_renamed_link_is_missing_under_its_old_name() {
        let mut kernel = Kernel::new(vec![link(2, "eth0", true), link(3, "eth1", false)], vec![]);
        let mut told = Told::default();
        told.news(&kernel, &BTreeSet::new(), |_| false);
        kernel.apply(Event::Link(link(2, "old", true)));
        kernel.apply(Event::Link(link(3, "eth0", false)));
        assert_eq!(
            told.news(&kernel, &BTreeSet::new(), |_| false),
            [
                state("eth1", LinkState::Missing),
                state("eth0", LinkState::Down),
                state("old", LinkState::Up),
            ]
        );
        assert_eq!(kernel.named(&name("eth0")).unwrap().index, index(3));
        assert_eq!(kernel.named(&name("eth1")), None);
    }

    #[test]
    fn a_link_says_that_it_fails_before_its_source_goes_and_that_it_is_back_after() {
        let whole = || {
            let source = address(2, "10.0.0.1/24", None);
            Kernel::new(vec![link(2, "eth0", true)], vec![source])
        };
        let mut told = Told::default();
        let come = [
            source("eth0", Some("10.0.0.1")),
            state("eth0", LinkState::Up),
        ];
        let gone = [state("eth0", LinkState::Missing), source("eth0", None)];
        assert_eq!(told.news(&whole(), &BTreeSet::new(), |_| false), come);
        assert_eq!(
            told.news(&Kernel::default(), &BTreeSet::new(), |_| false),
            gone
        );
        assert_eq!(told.news(&whole(), &BTreeSet::new(), |_| false), come);
    }

    #[test]
    fn a_link_that_goes_takes_its_addresses_along() {
        let held = address(2, "10.0.0.1/24", None);
        let mut kernel = Kernel::new(vec![link(2, "eth0", true)], vec![held.clone()]);
        assert!(kernel.holds(held.place));
        assert!(kernel.has_ip(index(2), [10, 0, 0, 1].into()));
        assert!(!kernel.has_ip(index(1), [10, 0, 0, 1].into()));
        assert!(!kernel.has_ip(index(2), [10, 0, 0, 0].into()));
        kernel.apply(Event::LinkGone(index(2)));
        assert!(!kernel.has_ip(index(2), [10, 0, 0, 1].into()));
        assert!(!kernel.holds(held.place));
        assert_eq!(kernel.link(index(2)), None);
    }

    #[test]
    fn a_tracked_source_address_is_told_when_it_comes_and_goes() {
        let tracked = [(name("eth0"), [10, 0, 0, 7].into())].into();
        let told_as = |present| Input::SourcePresent {
            interface: name("eth0"),
            address: [10, 0, 0, 7].into(),
            present,
        };
        let other = address(2, "10.0.0.1/24", None);
        let mut kernel = Kernel::new(vec![link(2, "eth0", true)], vec![other]);
        let mut told = Told::default();
        told.news(&kernel, &tracked, |_| false);
        let it = address(2, "10.0.0.7/24", None);
        kernel.apply(Event::Address(it.clone()));
        assert_eq!(told.news(&kernel, &tracked, |_| false), [told_as(true)]);
        assert_eq!(told.news(&kernel, &tracked, |_| false), []);
        kernel.apply(Event::AddressGone(it));
        assert_eq!(told.news(&kernel, &tracked, |_| false), [told_as(false)]);
    }
}
