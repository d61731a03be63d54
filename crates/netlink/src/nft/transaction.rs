//! Changes of the tables as messages. They travel between the begin and the end of a batch, which the kernel
//! carries out as a whole or not at all (`linux/netfilter/nfnetlink.h`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use kr_model::firewall::{FirewallSettings, TableName};
use kr_model::net::Family;
use kr_model::units::{IfIndex, IfName};

use super::layout::{Chain, Hook, Kind, LinkKey, Order, Set, Skeleton};
use super::rule::{DATA_VALUE, Expression, LIST_ELEMENT};
use crate::attributes::Writer;

/// Elements of one message: it, and the copy of it in a refusal, stay well below the bounds of an attribute and
/// of a datagram.
const ELEMENTS: usize = 256;

/// `NLM_F_CREATE`.
const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
const APPEND: u16 = 0x800;

/// `NFT_SET_CONSTANT`.
const SET_CONSTANT: u32 = 2;
/// `NFT_SET_MAP`.
const SET_MAP: u32 = 8;

/// `NF_ACCEPT` as the policy of a base chain.
const POLICY_ACCEPT: u32 = 1;

/// What a message does (`NFT_MSG_...`).
pub(super) mod command {
    pub(crate) const NEW_TABLE: u8 = 0;
    pub(crate) const DELETE_TABLE: u8 = 2;
    pub(crate) const NEW_CHAIN: u8 = 3;
    pub(crate) const NEW_RULE: u8 = 6;
    pub(crate) const NEW_SET: u8 = 9;
    pub(crate) const NEW_ELEMENT: u8 = 12;
    pub(crate) const DELETE_ELEMENT: u8 = 14;
}

/// An interface in an element of a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// By its index.
    Index(IfIndex),
    /// By its name.
    Name(IfName),
}

impl Link {
    const fn key(&self) -> LinkKey {
        match self {
            Self::Index(_) => LinkKey::Index,
            Self::Name(_) => LinkKey::Name,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Index(index) => index.get().to_ne_bytes().to_vec(),
            Self::Name(name) => {
                let mut bytes = name.as_str().as_bytes().to_vec();
                bytes.resize(16, 0);
                bytes
            }
        }
    }
}

/// What the sets of the tables hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// Traffic to and from the address is dropped.
    Address(IpAddr),
    /// Traffic to and from a link-local address is dropped on its interface.
    LinkLocal {
        /// The address.
        address: Ipv6Addr,
        /// Its interface.
        link: Link,
    },
    /// Multicast reports of a VMAC leave through its parent link.
    Vmac {
        /// Whose reports.
        family: Family,
        /// The VMAC.
        link: Link,
        /// Its parent.
        parent: IfIndex,
    },
    /// A VMAC does not answer for this address of its parent, which it has too.
    ParentLinkLocal {
        /// The address.
        address: Ipv6Addr,
        /// The VMAC.
        link: Link,
    },
}

/// An element of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Element {
    key: Vec<u8>,
    /// What a map leads to.
    data: Option<Vec<u8>>,
}

impl Entry {
    /// The table that holds it.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address(address) => Family::of(*address),
            Self::LinkLocal { .. } | Self::ParentLinkLocal { .. } => Family::Inet6,
            Self::Vmac { family, .. } => *family,
        }
    }

    /// Its element in each set where it may be.
    fn elements(&self) -> Vec<(Set, Element)> {
        let element = |key| Element { key, data: None };
        match self {
            Self::Address(IpAddr::V4(address)) => {
                let set = Set::Addresses(Family::Inet);
                vec![(set, element(address.octets().to_vec()))]
            }
            Self::Address(IpAddr::V6(address)) => {
                let set = Set::Addresses(Family::Inet6);
                vec![(set, element(address.octets().to_vec()))]
            }
            Self::LinkLocal { address, link } => {
                let key = [address.octets().as_slice(), &link.bytes()].concat();
                vec![(Set::LinkLocal(link.key()), element(key))]
            }
            Self::ParentLinkLocal { address, link } => {
                let key = [address.octets().as_slice(), &link.bytes()].concat();
                vec![(Set::ParentLinkLocal(link.key()), element(key))]
            }
            Self::Vmac { link, parent, .. } => {
                let data = parent.get().to_ne_bytes().to_vec();
                let mapped = Element {
                    key: link.bytes(),
                    data: Some(data),
                };
                vec![
                    (Set::Parents(link.key()), mapped),
                    (Set::Vmacs(link.key()), element(link.bytes())),
                ]
            }
        }
    }
}

/// A message without what is known only when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) command: u8,
    pub(super) flags: u16,
    /// `AF_INET` or `AF_INET6`.
    pub(super) family: u8,
    pub(super) attributes: Vec<u8>,
}

/// The number of a family (`AF_INET`, `AF_INET6`).
pub(super) const fn number(family: Family) -> u8 {
    match family {
        Family::Inet => 2,
        Family::Inet6 => 10,
    }
}

/// Which table.
type At<'a> = (&'a TableName, Family);

/// Changes that the kernel makes all at once, or none of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    messages: Vec<Message>,
}

impl Transaction {
    /// True when it changes nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Removes a table, whether it is there or not.
    pub fn remove(&mut self, table: &TableName, family: Family) {
        self.table((table, family), command::NEW_TABLE, CREATE);
        self.table((table, family), command::DELETE_TABLE, 0);
    }

    /// Makes a table that is not there.
    pub fn create(&mut self, settings: &FirewallSettings, family: Family, skeleton: Skeleton) {
        let at = (&settings.table, family);
        self.table(at, command::NEW_TABLE, CREATE);
        for set in skeleton.sets(family) {
            self.set(at, set);
        }
        let chains = skeleton.chains(family, settings.counters);
        for chain in &chains {
            self.chain(at, chain, settings.priority);
        }
        for chain in &chains {
            for rule in &chain.rules {
                self.rule(at, chain.name, rule);
            }
        }
    }

    /// Puts entries into the sets of tables with these rules.
    pub fn put_in<'e>(
        &mut self,
        table: &TableName,
        skeleton: impl Fn(Family) -> Option<Skeleton>,
        entries: impl Iterator<Item = &'e Entry>,
    ) {
        self.elements(table, command::NEW_ELEMENT, skeleton, entries);
    }

    /// Takes entries out, which must be there.
    pub fn take_out<'e>(
        &mut self,
        table: &TableName,
        skeleton: impl Fn(Family) -> Option<Skeleton>,
        entries: impl Iterator<Item = &'e Entry>,
    ) {
        self.elements(table, command::DELETE_ELEMENT, skeleton, entries);
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    fn elements<'e>(
        &mut self,
        table: &TableName,
        command: u8,
        skeleton: impl Fn(Family) -> Option<Skeleton>,
        entries: impl Iterator<Item = &'e Entry>,
    ) {
        let mut sets: BTreeMap<(Family, Set), Vec<Element>> = BTreeMap::new();
        for entry in entries {
            let family = entry.family();
            let known = skeleton(family).map(|skeleton| skeleton.sets(family));
            for (set, element) in entry.elements() {
                if known.as_ref().is_some_and(|known| known.contains(&set)) {
                    sets.entry((family, set)).or_default().push(element);
                }
            }
        }
        for ((family, set), elements) in sets {
            for part in elements.chunks(ELEMENTS) {
                self.change_set((table, family), set, command, part);
            }
        }
    }

    fn message(
        &mut self,
        family: Family,
        command: u8,
        flags: u16,
        write: impl FnOnce(&mut Writer),
    ) {
        let mut writer = Writer::default();
        write(&mut writer);
        self.messages.push(Message {
            command,
            flags,
            family: number(family),
            attributes: writer.bytes().to_vec(),
        });
    }

    fn table(&mut self, (table, family): At<'_>, command: u8, flags: u16) {
        self.message(family, command, flags, |w| w.text(1, table.as_str()));
    }

    fn chain(&mut self, (table, family): At<'_>, chain: &Chain, priority: i32) {
        self.message(family, command::NEW_CHAIN, CREATE, |w| {
            w.text(1, table.as_str());
            w.text(3, chain.name);
            if let Some(hook) = chain.hook {
                let hook = match hook {
                    Hook::Input => 1,
                    Hook::Output => 3,
                };
                w.nest(4, |w| {
                    w.be32(1, hook);
                    w.attribute(2, &priority.to_be_bytes());
                });
                w.be32(5, POLICY_ACCEPT);
                w.text(7, "filter");
            }
        });
    }

    fn rule(&mut self, (table, family): At<'_>, chain: &str, rule: &[Expression]) {
        self.message(family, command::NEW_RULE, CREATE | APPEND, |w| {
            w.text(1, table.as_str());
            w.text(2, chain);
            w.nest(4, |w| {
                for expression in rule {
                    expression.write(w);
                }
            });
        });
    }

    fn set(&mut self, at: At<'_>, set: Set) {
        let (table, family) = at;
        let constants = set.constants();
        let map = if set.data().is_some() { SET_MAP } else { 0 };
        let constant = if constants.is_empty() {
            0
        } else {
            SET_CONSTANT
        };
        self.message(family, command::NEW_SET, CREATE, |w| {
            w.text(1, table.as_str());
            w.text(2, set.name());
            if map | constant != 0 {
                w.be32(3, map | constant);
            }
            let key = set.key();
            w.be32(4, key.number);
            w.be32(5, key.length);
            if let Some(data) = set.data() {
                w.be32(6, data.number);
                w.be32(7, data.length);
            }
            w.be32(10, set.id());
            w.attribute(13, &byte_orders(key, set.data()));
        });
        let elements = constants.iter().map(|byte| Element {
            key: vec![*byte],
            data: None,
        });
        let elements: Vec<Element> = elements.collect();
        if !elements.is_empty() {
            self.change_set(at, set, command::NEW_ELEMENT, &elements);
        }
    }

    fn change_set(&mut self, (table, family): At<'_>, set: Set, command: u8, elements: &[Element]) {
        let flags = if command == command::NEW_ELEMENT {
            CREATE
        } else {
            0
        };
        self.message(family, command, flags, |w| {
            w.text(2, set.name());
            w.text(1, table.as_str());
            w.nest(3, |w| {
                for element in elements {
                    w.nest(LIST_ELEMENT, |w| {
                        w.nest(1, |w| w.attribute(DATA_VALUE, &element.key));
                        if let Some(data) = &element.data {
                            w.nest(2, |w| w.attribute(DATA_VALUE, data));
                        }
                    });
                }
            });
        });
    }
}

/// What `nft` reads of the order of bytes in a set, so that it lists the set as it was meant: type, length and
/// value of each, the value as the host writes it.
fn byte_orders(key: Kind, data: Option<Kind>) -> Vec<u8> {
    let order = |kind: Kind| -> [u8; 4] {
        let number: u32 = match kind.order {
            Order::Host => 1,
            Order::Network => 2,
        };
        number.to_ne_bytes()
    };
    let mut bytes = [[0, 4].as_slice(), &order(key)].concat();
    if let Some(data) = data {
        bytes.extend([1, 4]);
        bytes.extend(order(data));
    }
    bytes
}
