//! The links that instances have for themselves: VMACs (macvlans with a virtual MAC) and ipvlans. What is wanted,
//! which names they get, which steps bring the kernel there, and what an instance looks like that runs on one.
//! Pure; the daemon carries the steps out (`daemon/links.rs`).
//!
//! A link made here carries [`MARK`] in its alias, with what was changed of the interface below for its sake. So a
//! later process knows which links are ours, and what to put back when the last one goes, though nobody told it.

mod resolve;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kr_model::InstanceId;
use kr_model::net::{Cidr, Family};
use kr_model::own_link::{
    Hardware, Inet6Use, IpvlanMode, LinkName, LinkReport, LinkRole, OwnLinkKind,
};
use kr_model::units::{IfIndex, IfName};
use kr_model::vrrp::{AddressFlags, Instance, VirtualAddress};
use kr_netlink::route::{Link, LinkKind};

use crate::kernel::Kernel;

/// How the alias of every link begins that was made here.
const MARK: &str = "keepalived-rs";

/// Longest label in an alias, in characters.
const LONGEST_LABEL: usize = 64;

/// What makes a link the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// The kernel has one link at most for a MAC above an interface, so instances share it.
    Vmac {
        /// The interface below.
        base: IfName,
        /// The MAC.
        hardware: Hardware,
    },
    /// That of an instance.
    Ipvlan(InstanceId),
}

/// A link that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    base: IfName,
    kind: Kind,
    /// Best first.
    names: Vec<IfName>,
    instance: InstanceId,
    role: LinkRole,
    group: Option<u32>,
    announces_base: bool,
    inet6: Inet6Use,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Vmac {
        hardware: Hardware,
        family: Family,
    },
    Ipvlan {
        mode: IpvlanMode,
        address: Option<Cidr>,
    },
}

/// A VMAC that exists.
///
/// What it sends of multicast groups, neighbour discovery and the like belongs to the interface below, so a packet
/// filter wants all of these; they change with [`OwnLinks::want`] and whenever links of the kernel change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vmac {
    /// Its name.
    pub(crate) name: IfName,
    /// The name of the interface below.
    pub(crate) base: IfName,
    /// The family that its MAC is of.
    pub(crate) family: Family,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct OwnLinks {
    /// Of which daemon the links are.
    label: String,
    wishes: BTreeMap<Key, Wish>,
    names: BTreeMap<Key, IfName>,
    /// Links that were made here and carry no mark yet.
    made: BTreeSet<IfIndex>,
    /// What was changed of interfaces below, also of those whose last link has just gone.
    changed: BTreeMap<IfIndex, Mark>,
    /// `net.ipv4.conf.all.rp_filter` is strict, which a link can only weaken to loose.
    strict_for_all: bool,
}

impl OwnLinks {
    /// Takes over what a configuration wants, and gives names to it.
    pub(crate) fn want<'a>(
        &mut self,
        label: &str,
        instances: impl Iterator<Item = &'a Instance> + Clone,
        kernel: &Kernel,
    ) {
        self.label = label
            .chars()
            .map(|c| if c.is_whitespace() { '_' } else { c })
            .take(LONGEST_LABEL)
            .collect();
        self.wishes = wishes(instances);
        self.choose(kernel);
    }

    /// Whether strict reverse-path checks hold for all links.
    pub(crate) const fn set_strict_for_all(&mut self, strict: bool) {
        self.strict_for_all = strict;
    }

    /// True when a link is wanted or known to be there.
    pub(crate) fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }

    /// Forgets what was wanted: all of it goes.
    pub(crate) fn want_none(&mut self) {
        self.wishes.clear();
        self.names.clear();
    }

    /// Gives every wanted link a name: that of the link that is there already, of whatever process; else that which
    /// it had; else the first that is free. True when one changed.
    pub(crate) fn choose(&mut self, kernel: &Kernel) -> bool {
        self.note_marks(kernel);
        let mut chosen: BTreeMap<Key, IfName> = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (key, wish) in &self.wishes {
            let found = self.find(wish, kernel);
            if let Some(name) = found.filter(|name| !taken.contains(name)) {
                taken.insert(name.clone());
                chosen.insert(key.clone(), name);
            }
        }
        // What the file names comes before what is generated.
        let mut open: Vec<(&Key, &Wish)> = self.wishes.iter().collect();
        open.sort_by_key(|(_, wish)| wish.names.len());
        for (key, wish) in open {
            if chosen.contains_key(key) {
                continue;
            }
            let before = self.names.get(key).filter(|name| wish.names.contains(name));
            let usable = |name: &&IfName| {
                let owned_by_others = kernel.named(name).is_some_and(|link| !self.is_ours(link));
                !taken.contains(*name) && !owned_by_others
            };
            let name = before.into_iter().chain(&wish.names).find(usable);
            if let Some(name) = name.cloned() {
                taken.insert(name.clone());
                chosen.insert(key.clone(), name);
            }
        }
        let changed = chosen != self.names;
        self.names = chosen;
        changed
    }

    /// What keeps links from being as they are wanted, in words: for the log.
    pub(crate) fn complaints(&self, kernel: &Kernel) -> Vec<String> {
        let mut complaints = Vec::new();
        for (key, wish) in &self.wishes {
            let (Some(first), base) = (wish.names.first(), &wish.base) else {
                continue;
            };
            let kind = wish.kind.word();
            match self.names.get(key) {
                None => complaints.push(format!(
                    "no {kind} can be made on {base}: others have a link `{first}`; rename or remove it, or \
                     give another name in the configuration"
                )),
                Some(name) if name != first && !self.names.values().any(|other| other == first) => {
                    if kernel.named(first).is_some() {
                        complaints.push(format!(
                            "the {kind} on {base} is called {name}, because others have a link `{first}`"
                        ));
                    }
                }
                Some(_) => {}
            }
        }
        complaints
    }

    /// The VMACs, existing or not, with their names.
    pub(crate) fn vmacs(&self) -> impl Iterator<Item = Vmac> {
        self.names.iter().filter_map(|(key, name)| {
            let wish = self.wishes.get(key)?;
            let Kind::Vmac { family, .. } = wish.kind else {
                return None;
            };
            Some(Vmac {
                name: name.clone(),
                base: wish.base.clone(),
                family,
            })
        })
    }

    /// Every interface that something here depends on.
    pub(crate) fn devices(&self) -> impl Iterator<Item = &IfName> {
        let bases = self.wishes.values().map(|wish| &wish.base);
        let candidates = self.wishes.values().flat_map(|wish| &wish.names);
        bases.chain(candidates)
    }

    /// Addresses that the links themselves have, whatever the instances do: that of an ipvlan, and on a VMAC of IPv6
    /// a copy of the link-local address of the interface below, which neighbour discovery sends from.
    pub(crate) fn addresses(&self, kernel: &Kernel) -> Vec<VirtualAddress> {
        let mut all = Vec::new();
        for (key, name) in &self.names {
            let Some(wish) = self.wishes.get(key) else {
                continue;
            };
            match wish.kind {
                Kind::Ipvlan { address, .. } => {
                    all.extend(address.map(|address| own_address(address, name, false)));
                }
                Kind::Vmac {
                    family: Family::Inet,
                    ..
                } => {}
                Kind::Vmac {
                    family: Family::Inet6,
                    ..
                } => {
                    let copied = kernel.link_local(&wish.base);
                    all.extend(copied.map(|address| own_address(address, name, true)));
                }
            }
        }
        all
    }

    /// What the parent is to know of the links that exist.
    pub(crate) fn reports<'a>(
        &'a self,
        kernel: &'a Kernel,
    ) -> impl Iterator<Item = (IfIndex, LinkReport)> + 'a {
        self.names.iter().filter_map(|(key, name)| {
            let wish = self.wishes.get(key)?;
            let link = kernel.named(name)?;
            let candidate = wish.names.iter().position(|one| one == name)?;
            let report = LinkReport {
                instance: wish.instance,
                role: wish.role,
                candidate: u8::try_from(candidate).ok()?,
                inet6: wish.inet6,
            };
            Some((link.index, report))
        })
    }

    /// The name that a link for a wish has that is there: one of ours, or one of others that is the same.
    fn find(&self, wish: &Wish, kernel: &Kernel) -> Option<IfName> {
        let fitting = kernel
            .links()
            .filter(|link| wish.names.contains(&link.name) && self.fits(wish, link, kernel));
        let best = fitting.min_by_key(|link| !self.is_ours(link))?;
        Some(best.name.clone())
    }

    /// True for a link that is what is wanted, or can be made so.
    fn fits(&self, wish: &Wish, link: &Link, kernel: &Kernel) -> bool {
        let base = kernel.named(&wish.base).map(|base| base.index);
        let same = match (wish.kind, link.detail.kind) {
            (Kind::Vmac { hardware, .. }, LinkKind::Macvlan { private }) => {
                link.hardware == Some(hardware) && (private || self.is_ours(link))
            }
            (Kind::Ipvlan { mode, .. }, LinkKind::Ipvlan { mode: held }) => held == Some(mode),
            (Kind::Vmac { .. } | Kind::Ipvlan { .. }, _) => false,
        };
        same && base.is_some() && link.detail.below == base
    }

    /// True for a link of this daemon or of one that it follows on.
    fn is_ours(&self, link: &Link) -> bool {
        let mark = || Mark::read(link.detail.alias.as_deref()?, &self.label);
        self.made.contains(&link.index) || mark().is_some()
    }
}

/// What the alias of a link says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Mark {
    /// `arp_ignore` of the interface below was 0 before.
    arp_ignore: bool,
    /// `arp_filter` of the interface below was 0 before.
    arp_filter: bool,
    /// `netlink_notify_msg`.
    announces_base: bool,
}

impl Mark {
    /// The mark of a link of the daemon with this label; `None` on links of others.
    fn read(alias: &str, label: &str) -> Option<Self> {
        let mut words = alias.split(' ');
        let owner = words.next()?.strip_prefix(MARK)?;
        let same = match owner.strip_prefix(':') {
            Some(other) => other == label && !label.is_empty(),
            None => owner.is_empty() && label.is_empty(),
        };
        if !same {
            return None;
        }
        let mut mark = Self::default();
        for word in words {
            match word {
                "arp_ignore" => mark.arp_ignore = true,
                "arp_filter" => mark.arp_filter = true,
                "notify" => mark.announces_base = true,
                _ => {}
            }
        }
        Some(mark)
    }

    fn write(self, label: &str) -> String {
        let mut alias = MARK.to_owned();
        if !label.is_empty() {
            alias.push(':');
            alias.push_str(label);
        }
        for (set, word) in [
            (self.arp_ignore, " arp_ignore"),
            (self.arp_filter, " arp_filter"),
            (self.announces_base, " notify"),
        ] {
            if set {
                alias.push_str(word);
            }
        }
        alias
    }
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Vmac { .. } => "VMAC",
            Self::Ipvlan { .. } => "ipvlan",
        }
    }
}

/// The links that instances want: those of the instances themselves first, which have the say about shared ones.
fn wishes<'a>(instances: impl Iterator<Item = &'a Instance> + Clone) -> BTreeMap<Key, Wish> {
    let mut all: BTreeMap<Key, Wish> = BTreeMap::new();
    for instance in instances.clone() {
        if let Some(wish) = of_instance(instance)
            && let Some(key) = key_of(instance)
        {
            let inet6 = wish.inet6;
            let known = all.entry(key).or_insert(wish);
            known.inet6 = known.inet6.max(inet6);
        }
    }
    for instance in instances {
        let lines = instance.addresses.iter().chain(&instance.excluded);
        for line in lines.filter(|line| line.own_link) {
            let family = line.address.family();
            let base = line.device.as_ref().unwrap_or(&instance.interface);
            let name = LinkName::Generated {
                prefix: instance.address_link_prefix.clone(),
            };
            all.entry(key_of_line(instance, line))
                .or_insert_with(|| Wish {
                    base: base.clone(),
                    kind: Kind::Vmac {
                        hardware: instance.hardware_of(family),
                        family,
                    },
                    names: name.candidates(instance.vrid, family),
                    instance: instance.id,
                    role: LinkRole::Addresses(family),
                    group: None,
                    announces_base: false,
                    inet6: inet6_of(family),
                });
        }
    }
    all
}

fn of_instance(instance: &Instance) -> Option<Wish> {
    let own = instance.own_link.as_ref()?;
    let lines = instance.addresses.iter().chain(&instance.excluded);
    let mut families = lines
        .filter(|line| line.device.is_none() && !line.own_link)
        .map(|line| line.address.family());
    let (kind, inet6) = match own.kind {
        OwnLinkKind::Vmac { hardware } => {
            let kind = Kind::Vmac {
                hardware,
                family: instance.family,
            };
            let any = families.any(|family| family == Family::Inet6);
            let used = if any { Family::Inet6 } else { instance.family };
            (kind, inet6_of(used))
        }
        OwnLinkKind::Ipvlan { mode, address } => (Kind::Ipvlan { mode, address }, Inet6Use::Kept),
    };
    Some(Wish {
        base: instance.interface.clone(),
        kind,
        names: own.name.candidates(instance.vrid, instance.family),
        instance: instance.id,
        role: LinkRole::Instance,
        group: own.group,
        announces_base: own.announces_base,
        inet6,
    })
}

const fn inet6_of(family: Family) -> Inet6Use {
    match family {
        Family::Inet => Inet6Use::Off,
        Family::Inet6 => Inet6Use::AddressesOnly,
    }
}

/// The link that an instance runs on.
fn key_of(instance: &Instance) -> Option<Key> {
    Some(match instance.own_link.as_ref()?.kind {
        OwnLinkKind::Vmac { hardware } => Key::Vmac {
            base: instance.interface.clone(),
            hardware,
        },
        OwnLinkKind::Ipvlan { .. } => Key::Ipvlan(instance.id),
    })
}

/// The link of an address that has one of its own.
fn key_of_line(instance: &Instance, line: &VirtualAddress) -> Key {
    Key::Vmac {
        base: line.device.as_ref().unwrap_or(&instance.interface).clone(),
        hardware: instance.hardware_of(line.address.family()),
    }
}

/// An address of a link itself; a `spare` one is never chosen as a source.
fn own_address(address: Cidr, device: &IfName, spare: bool) -> VirtualAddress {
    VirtualAddress {
        address,
        device: Some(device.clone()),
        scope: 0,
        broadcast: None,
        label: None,
        peer: None,
        flags: AddressFlags::default(),
        tracked: false,
        own_link: false,
        preferred_lifetime: spare.then_some(Duration::ZERO),
        lifetime: None,
    }
}
