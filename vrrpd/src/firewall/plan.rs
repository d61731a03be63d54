//! What the packet filter shall hold and what it holds, and the transaction that leads from one to the other.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kr_model::InstanceId;
use kr_model::firewall::{FirewallSettings, TableName};
use kr_model::net::Family;
use kr_model::units::IfName;
use kr_model::vrrp::{Instance, VirtualAddress};
use kr_netlink::nft::{Entry, Link, LinkKey, Skeleton, Transaction, VmacRules};

use crate::addresses::device;
use crate::kernel::Kernel;
use crate::own_links::Vmac;

/// The tables of a configuration: which families have one, and its rules.
pub(crate) type Tables = BTreeMap<Family, Skeleton>;

/// Who wants an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// All VMACs together. The first in the order.
    Links,
    /// An instance that holds its addresses.
    Instance(InstanceId),
}

/// Wishes and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    settings: FirewallSettings,
    tables: Tables,
    /// What each owner wants to be there.
    by_owner: BTreeMap<Owner, BTreeSet<Entry>>,
    /// The same the other way round: two owners may want the same.
    claims: BTreeSet<(Entry, Owner)>,
    /// Entries whose claims changed since the last transaction.
    changed: BTreeSet<Entry>,
    /// During a reload nothing is given up.
    held: bool,
    /// What the kernel holds; `None` when that is not known.
    made: Option<Made>,
    /// Tables of ours that may be there.
    left: BTreeSet<(TableName, Family)>,
    /// The kernel cannot duplicate packets.
    no_duplicates: bool,
}

/// What the last transaction made.
#[derive(Debug)]
struct Made {
    settings: FirewallSettings,
    tables: Tables,
    entries: BTreeSet<Entry>,
}

impl Plan {
    /// Nothing is there, and nothing shall be.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.left.is_empty()
    }

    /// True when some table shall be there.
    pub(crate) fn wants_tables(&self) -> bool {
        !self.tables.is_empty()
    }

    /// The name of the tables.
    pub(crate) const fn table(&self) -> &TableName {
        &self.settings.table
    }

    /// IPv4 VMACs need no rules.
    pub(crate) const fn leaves_igmp(&self) -> bool {
        self.settings.leaves_igmp
    }

    /// How the tables find interfaces.
    pub(crate) const fn by_index(&self) -> bool {
        self.settings.by_index
    }

    /// A configuration comes into force: until [`Self::release`], what is dropped now stays dropped as well.
    pub(crate) fn hold(&mut self, settings: FirewallSettings, tables: &Tables) {
        self.held = true;
        // Entries that name interfaces in another way belong to other sets.
        if settings.by_index != self.settings.by_index {
            self.drop_claims();
        }
        self.settings = settings;
        for (family, skeleton) in tables {
            let known = self.tables.get(family).copied();
            let drops = known.is_some_and(|known| known.drops) || skeleton.drops;
            self.tables.insert(*family, Skeleton { drops, ..*skeleton });
        }
        self.adapt();
    }

    /// The kernel refused rules that may need what it does not have. False: there were none.
    pub(crate) fn avoid_duplicates(&mut self) -> bool {
        let any = |skeleton: &Skeleton| skeleton.vmacs == VmacRules::Duplicate;
        let avoids = self.tables.values().any(any);
        self.no_duplicates |= avoids;
        self.adapt();
        avoids
    }

    fn adapt(&mut self) {
        for skeleton in self.tables.values_mut() {
            if self.no_duplicates && skeleton.vmacs == VmacRules::Duplicate {
                skeleton.vmacs = VmacRules::Drop;
            }
        }
    }

    /// The configuration is in force: what it does not want goes with the next claims.
    pub(crate) fn release(&mut self, tables: Tables) {
        self.held = false;
        self.tables = tables;
        self.adapt();
    }

    /// Gives everything up.
    pub(crate) fn clear(&mut self) {
        self.held = false;
        self.tables.clear();
        self.drop_claims();
    }

    fn drop_claims(&mut self) {
        for id in self.owners() {
            self.put_claims(id, BTreeSet::new());
        }
    }

    /// Who has claims.
    pub(crate) fn owners(&self) -> Vec<Owner> {
        self.by_owner.keys().copied().collect()
    }

    /// An owner wants these entries, and no others any more.
    pub(crate) fn claim(&mut self, id: Owner, mut entries: BTreeSet<Entry>) {
        if self.held {
            let before = self.by_owner.get(&id).into_iter().flatten();
            entries.extend(before.cloned());
        }
        self.put_claims(id, entries);
    }

    fn put_claims(&mut self, id: Owner, entries: BTreeSet<Entry>) {
        let before = self.by_owner.remove(&id).unwrap_or_default();
        for entry in before.difference(&entries) {
            self.claims.remove(&(entry.clone(), id));
            self.changed.insert(entry.clone());
        }
        for entry in entries.difference(&before) {
            self.claims.insert((entry.clone(), id));
            self.changed.insert(entry.clone());
        }
        if !entries.is_empty() {
            self.by_owner.insert(id, entries);
        }
    }

    fn is_claimed(&self, entry: &Entry) -> bool {
        let first = (entry.clone(), Owner::Links);
        let next = self.claims.range(first..).next();
        next.is_some_and(|(found, _)| found == entry)
    }

    /// What brings the kernel there: the difference, or everything anew when what it holds is not known or has
    /// other rules.
    pub(crate) fn transaction(&self) -> Transaction {
        let mut transaction = Transaction::default();
        let table = &self.settings.table;
        let skeleton = |family| self.tables.get(&family).copied();
        match &self.made {
            Some(made) if made.settings == self.settings && made.tables == self.tables => {
                let changed = || self.changed.iter();
                let gone = changed()
                    .filter(|entry| made.entries.contains(*entry) && !self.is_claimed(entry));
                transaction.take_out(table, skeleton, gone);
                let come = changed()
                    .filter(|entry| !made.entries.contains(*entry) && self.is_claimed(entry));
                transaction.put_in(table, skeleton, come);
            }
            made => {
                let mut left = self.left.clone();
                if made.is_none() && !self.tables.is_empty() {
                    left.extend(both(table));
                }
                for (table, family) in &left {
                    transaction.remove(table, *family);
                }
                for (family, skeleton) in &self.tables {
                    transaction.create(&self.settings, *family, *skeleton);
                }
                transaction.put_in(table, skeleton, self.entries().iter());
            }
        }
        transaction
    }

    fn entries(&self) -> BTreeSet<Entry> {
        let all = self.claims.iter();
        all.map(|(entry, _)| entry.clone()).collect()
    }

    /// The kernel made the last transaction.
    pub(crate) fn done(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        let entries = match self.made.take() {
            Some(made) => {
                let mut entries = made.entries;
                for entry in changed {
                    if self.is_claimed(&entry) {
                        entries.insert(entry);
                    } else {
                        entries.remove(&entry);
                    }
                }
                entries
            }
            None => self.entries(),
        };
        self.left = self
            .tables
            .keys()
            .map(|family| (self.settings.table.clone(), *family))
            .collect();
        self.made = Some(Made {
            settings: self.settings.clone(),
            tables: self.tables.clone(),
            entries,
        });
    }

    /// What the kernel holds is not known any more: others changed it, or a transaction failed.
    pub(crate) fn lost(&mut self) {
        self.made = None;
        if !self.tables.is_empty() {
            self.left.extend(both(&self.settings.table));
        }
    }
}

fn both(table: &TableName) -> [(TableName, Family); 2] {
    [Family::Inet, Family::Inet6].map(|family| (table.clone(), family))
}

/// The tables that are needed: one for each family in which an address is not accepted, whether it is set now or
/// not, so that a failure is known before the first take-over, and one for each family of VMACs.
pub(crate) fn tables<'a>(
    instances: impl Iterator<Item = &'a Instance>,
    vmacs: impl Iterator<Item = Vmac>,
    settings: &FirewallSettings,
) -> Tables {
    let links = if settings.by_index {
        LinkKey::Index
    } else {
        LinkKey::Name
    };
    let nothing = Skeleton {
        drops: false,
        vmacs: VmacRules::None,
        links,
    };
    let mut tables = Tables::new();
    let dropping = instances.filter(|instance| instance.drops_traffic());
    for address in dropping.flat_map(addresses) {
        let table = tables.entry(address.address.family()).or_insert(nothing);
        table.drops = true;
    }
    for vmac in vmacs.filter(|vmac| vmac.family == Family::Inet6 || !settings.leaves_igmp) {
        let table = tables.entry(vmac.family).or_insert(nothing);
        table.vmacs = VmacRules::Duplicate;
    }
    tables
}

/// What keeps the kernel's own multicast of VMACs from the network.
pub(crate) fn vmac_entries(
    vmacs: impl Iterator<Item = Vmac>,
    kernel: &Kernel,
    by_index: bool,
) -> BTreeSet<Entry> {
    let mut entries = BTreeSet::new();
    for vmac in vmacs {
        let parent = kernel.named(&vmac.base).map(|base| base.index);
        let Some((link, parent)) = link(&vmac.name, kernel, by_index).zip(parent) else {
            continue;
        };
        let own = kernel.link_local(&vmac.base).map(|cidr| cidr.address());
        if let (Family::Inet6, Some(IpAddr::V6(address))) = (vmac.family, own) {
            let link = link.clone();
            entries.insert(Entry::ParentLinkLocal { address, link });
        }
        entries.insert(Entry::Vmac {
            family: vmac.family,
            link,
            parent,
        });
    }
    entries
}

/// An interface in an entry; `None` while one that goes by its index does not exist: then it has no traffic.
fn link(name: &IfName, kernel: &Kernel, by_index: bool) -> Option<Link> {
    if by_index {
        kernel.named(name).map(|link| Link::Index(link.index))
    } else {
        Some(Link::Name(name.clone()))
    }
}

/// What drops the traffic of an instance that holds its addresses.
pub(crate) fn entries(instance: &Instance, kernel: &Kernel, by_index: bool) -> BTreeSet<Entry> {
    let mut entries = BTreeSet::new();
    if !instance.drops_traffic() {
        return entries;
    }
    for line in addresses(instance) {
        let entry = match line.address.address() {
            IpAddr::V6(address) if address.is_unicast_link_local() => {
                let link = link(device(instance, line), kernel, by_index);
                link.map(|link| Entry::LinkLocal { address, link })
            }
            address @ (IpAddr::V4(_) | IpAddr::V6(_)) => Some(Entry::Address(address)),
        };
        entries.extend(entry);
    }
    entries
}

fn addresses(instance: &Instance) -> impl Iterator<Item = &VirtualAddress> {
    instance.addresses.iter().chain(&instance.excluded)
}

#[cfg(test)]
mod tests;
