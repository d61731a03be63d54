//! What the tables hold: sets, chains and the rules in them.
//!
//! ```text
//! table ip keepalived {                          table ip6 keepalived {
//!     set vips { ... }                               set vips { ... }
//!     chain out {                                    set vips_link_local_name { ... }
//!         ip saddr @vips drop                        chain out {
//!     }                                                  neighbour discovery accept
//!     chain in {                                         ip6 saddr fe80::/10 goto out_link_local
//!         ip daddr @vips drop                            ip6 saddr @vips drop
//!     }                                              }
//! }                                                  (in, in_link_local and out_link_local likewise)
//!                                                }
//! ```
//! With VMACs, chain `out` begins with rules that keep what the kernel says of itself on a VMAC from the network:
//! multicast reports leave through the parent link, from its own address.

use kr_model::net::Family;

use super::rule::Expression::{self, Accept, Counter, Drop, Duplicate, Goto, Lookup, Map, Mask};
use super::rule::Register::{First, Second};
use super::rule::{Header, Meta};

/// Number of a type as `nft` knows it, with the bytes of a value and their order, for its listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) number: u32,
    pub(super) length: u32,
    pub(super) order: Order,
}

/// Order of the bytes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Host,
    Network,
}

const ADDRESS: Kind = Kind {
    number: 7,
    length: 4,
    order: Order::Network,
};
const ADDRESS6: Kind = Kind {
    number: 8,
    length: 16,
    order: Order::Network,
};
const LINK_INDEX: Kind = Kind {
    number: 20,
    length: 4,
    order: Order::Host,
};
const LINK_NAME: Kind = Kind {
    number: 41,
    length: 16,
    order: Order::Host,
};
const ICMPV6_TYPE: Kind = Kind {
    number: 29,
    length: 1,
    order: Order::Host,
};

impl Kind {
    /// Both, one behind the other.
    const fn and(self, other: Self) -> Self {
        Self {
            number: (self.number << 6) | other.number,
            length: self.length.saturating_add(other.length),
            order: Order::Network,
        }
    }
}

/// How an interface is found in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKey {
    /// By its index.
    Index,
    /// By its name.
    Name,
}

impl LinkKey {
    const fn kind(self) -> Kind {
        match self {
            Self::Index => LINK_INDEX,
            Self::Name => LINK_NAME,
        }
    }

    const fn input(self) -> Meta {
        match self {
            Self::Index => Meta::InputIndex,
            Self::Name => Meta::InputName,
        }
    }

    const fn output(self) -> Meta {
        match self {
            Self::Index => Meta::OutputIndex,
            Self::Name => Meta::OutputName,
        }
    }
}

/// A set of one of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Set {
    /// VMACs and their parent links.
    Parents(LinkKey),
    /// VMACs.
    Vmacs(LinkKey),
    /// Link-local addresses of parent links and the VMACs that have them too.
    ParentLinkLocal(LinkKey),
    /// What MLD says.
    MldReport,
    /// Virtual addresses.
    Addresses(Family),
    /// What neighbour discovery says.
    Discovery,
    /// Virtual link-local addresses with their interfaces.
    LinkLocal(LinkKey),
}

impl Set {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Parents(_) => "vmac_map",
            Self::Vmacs(_) => "vmac_set",
            Self::ParentLinkLocal(_) => "parent_link_local",
            Self::MldReport => "mld-report",
            Self::Addresses(_) => "vips",
            Self::Discovery => "neighbor-discovery",
            Self::LinkLocal(LinkKey::Index) => "vips_link_local",
            Self::LinkLocal(LinkKey::Name) => "vips_link_local_name",
        }
    }

    /// Tells it apart within a transaction.
    pub(super) const fn id(self) -> u32 {
        match self {
            Self::Parents(_) => 1,
            Self::Vmacs(_) => 2,
            Self::ParentLinkLocal(_) => 3,
            Self::MldReport => 4,
            Self::Addresses(_) => 5,
            Self::Discovery => 6,
            Self::LinkLocal(_) => 7,
        }
    }

    pub(super) const fn key(self) -> Kind {
        match self {
            Self::Parents(by) | Self::Vmacs(by) => by.kind(),
            Self::ParentLinkLocal(by) | Self::LinkLocal(by) => ADDRESS6.and(by.kind()),
            Self::MldReport | Self::Discovery => ICMPV6_TYPE,
            Self::Addresses(Family::Inet) => ADDRESS,
            Self::Addresses(Family::Inet6) => ADDRESS6,
        }
    }

    /// What a map leads to.
    pub(super) const fn data(self) -> Option<Kind> {
        match self {
            Self::Parents(_) => Some(LINK_INDEX),
            Self::Vmacs(_)
            | Self::ParentLinkLocal(_)
            | Self::MldReport
            | Self::Addresses(_)
            | Self::Discovery
            | Self::LinkLocal(_) => None,
        }
    }

    /// What a set holds for ever; such a one takes nothing else.
    pub(super) const fn constants(self) -> &'static [u8] {
        match self {
            // Listener query, report and done; the report of version 2.
            Self::MldReport => &[131, 132, 143],
            // Neighbour solicitation and advertisement.
            Self::Discovery => &[135, 136],
            Self::Parents(_)
            | Self::Vmacs(_)
            | Self::ParentLinkLocal(_)
            | Self::Addresses(_)
            | Self::LinkLocal(_) => &[],
        }
    }
}

/// Where a base chain hooks into the way of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// What is for this host.
    Input,
    /// What this host sends.
    Output,
}

/// A chain and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    /// `None`: other chains lead into it.
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Vec<Expression>>,
}

/// What is done about VMACs in a family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum VmacRules {
    /// Nothing.
    #[default]
    None,
    /// Multicast reports of a VMAC leave through its parent link.
    Duplicate,
    /// Multicast reports of a VMAC are dropped: the kernel cannot duplicate.
    Drop,
}

/// Which rules a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skeleton {
    /// Traffic to and from virtual addresses is dropped.
    pub drops: bool,
    /// What is done about VMACs.
    pub vmacs: VmacRules,
    /// How interfaces are found.
    pub links: LinkKey,
}

const OUT_LINK_LOCAL: &str = "out_link_local";
const IN_LINK_LOCAL: &str = "in_link_local";

const ICMPV6: &[u8] = &[58];
const IGMP: &[u8] = &[2];
const ROUTER_SOLICITATION: &[u8] = &[133];
const NEIGHBOUR_ADVERTISEMENT: &[u8] = &[136];
/// The driver of VMACs, in the room that a name has.
const MACVLAN: &[u8] = b"macvlan\0\0\0\0\0\0\0\0\0";
/// `fe80::/10`: the mask, and what is left under it.
const LINK_LOCAL_MASK: &[u8] = &[0xff, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const LINK_LOCAL: &[u8] = &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

impl Skeleton {
    /// Its sets, in the order in which they are made.
    pub(super) fn sets(self, family: Family) -> Vec<Set> {
        let mut sets = Vec::new();
        if self.vmacs == VmacRules::Duplicate {
            sets.push(Set::Parents(self.links));
        }
        if self.vmacs != VmacRules::None {
            if family == Family::Inet6 || self.vmacs == VmacRules::Drop {
                sets.push(Set::Vmacs(self.links));
            }
            if family == Family::Inet6 {
                sets.extend([Set::ParentLinkLocal(self.links), Set::MldReport]);
            }
        }
        if self.drops {
            sets.push(Set::Addresses(family));
            if family == Family::Inet6 {
                sets.extend([Set::Discovery, Set::LinkLocal(self.links)]);
            }
        }
        sets
    }

    /// Its chains. Those that others lead into come last, without rules of the others that name them: all chains
    /// are made before the first rule.
    pub(super) fn chains(self, family: Family, counters: bool) -> Vec<Chain> {
        let mut out = self.vmac_rules(family);
        let mut chains = Vec::new();
        if self.drops {
            let links = self.links;
            out.extend(drops(family, Side::Source));
            let chain = |name, hook, rules| Chain { name, hook, rules };
            chains.push(chain("out", Some(Hook::Output), out));
            let rules = drops(family, Side::Destination);
            chains.push(chain("in", Some(Hook::Input), rules));
            if family == Family::Inet6 {
                let into = link_local(Side::Destination, links.input(), links);
                chains.push(chain(IN_LINK_LOCAL, None, vec![into]));
                let out_of = link_local(Side::Source, links.output(), links);
                chains.push(chain(OUT_LINK_LOCAL, None, vec![out_of]));
            }
        } else {
            chains.push(Chain {
                name: "out",
                hook: Some(Hook::Output),
                rules: out,
            });
        }
        if counters {
            for rule in chains.iter_mut().flat_map(|chain| &mut chain.rules) {
                // Before the verdict, so that what the rule decides on is counted.
                let verdict = rule.len().saturating_sub(1);
                rule.insert(verdict, Counter);
            }
        }
        chains
    }

    fn vmac_rules(self, family: Family) -> Vec<Vec<Expression>> {
        let reports: Vec<Expression> = match family {
            Family::Inet => vec![payload(Header::Network, 9, 1), equal(IGMP)],
            Family::Inet6 => icmpv6_in(Set::MldReport),
        };
        let kind = [meta(Second, Meta::OutputKind), equal_second(MACVLAN)];
        let link = meta(Second, self.links.output());
        let in_vmacs = Lookup {
            set: Set::Vmacs(self.links),
            register: Second,
        };
        let report = match self.vmacs {
            VmacRules::None => return Vec::new(),
            VmacRules::Duplicate => {
                let map = Map {
                    set: Set::Parents(self.links),
                };
                let address = Side::Destination.load(family);
                let copy = [link, map, Duplicate, Drop];
                [reports, vec![address], kind.to_vec(), copy.to_vec()].concat()
            }
            VmacRules::Drop => [reports, kind.to_vec(), vec![link, in_vmacs, Drop]].concat(),
        };
        let mut rules = vec![report];
        if family == Family::Inet6 {
            let solicitation = icmpv6(ROUTER_SOLICITATION);
            let on_vmac = [link, in_vmacs, Drop];
            rules.push([solicitation, kind.to_vec(), on_vmac.to_vec()].concat());
            let own = [
                // The address that the advertisement is about.
                payload(Header::Transport, 8, 16),
                link,
                Lookup {
                    set: Set::ParentLinkLocal(self.links),
                    register: First,
                },
                Drop,
            ];
            rules.push([icmpv6(NEIGHBOUR_ADVERTISEMENT), own.to_vec()].concat());
        }
        rules
    }
}

/// An address of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

impl Side {
    const fn load(self, family: Family) -> Expression {
        let (offset, length) = match (family, self) {
            (Family::Inet, Self::Source) => (12, 4),
            (Family::Inet, Self::Destination) => (16, 4),
            (Family::Inet6, Self::Source) => (8, 16),
            (Family::Inet6, Self::Destination) => (24, 16),
        };
        payload(Header::Network, offset, length)
    }
}

const fn payload(header: Header, offset: u32, length: u32) -> Expression {
    Expression::Payload {
        into: First,
        header,
        offset,
        length,
    }
}

const fn meta(into: super::rule::Register, what: Meta) -> Expression {
    Expression::Meta { into, what }
}

const fn equal(value: &'static [u8]) -> Expression {
    Expression::Equal {
        register: First,
        value,
    }
}

const fn equal_second(value: &'static [u8]) -> Expression {
    Expression::Equal {
        register: Second,
        value,
    }
}

/// The packet is ICMPv6, and its type is in the first register.
const fn icmpv6_type() -> [Expression; 3] {
    let protocol = meta(First, Meta::Protocol);
    let kind = payload(Header::Transport, 0, 1);
    [protocol, equal(ICMPV6), kind]
}

fn icmpv6(kind: &'static [u8]) -> Vec<Expression> {
    [icmpv6_type().as_slice(), &[equal(kind)]].concat()
}

fn icmpv6_in(set: Set) -> Vec<Expression> {
    let register = First;
    [icmpv6_type().as_slice(), &[Lookup { set, register }]].concat()
}

/// The rules of a base chain that drop traffic of virtual addresses.
fn drops(family: Family, side: Side) -> Vec<Vec<Expression>> {
    let register = First;
    let set = Set::Addresses(family);
    let virtual_address = vec![side.load(family), Lookup { set, register }, Drop];
    if family == Family::Inet {
        return vec![virtual_address];
    }
    let discovery = [icmpv6_in(Set::Discovery), vec![Accept]].concat();
    let next = match side {
        Side::Source => OUT_LINK_LOCAL,
        Side::Destination => IN_LINK_LOCAL,
    };
    let mask = Mask {
        mask: LINK_LOCAL_MASK,
    };
    let local = vec![side.load(family), mask, equal(LINK_LOCAL), Goto(next)];
    vec![discovery, local, virtual_address]
}

/// The rule that drops traffic of link-local virtual addresses on their interface.
fn link_local(side: Side, link: Meta, key: LinkKey) -> Vec<Expression> {
    let lookup = Lookup {
        set: Set::LinkLocal(key),
        register: First,
    };
    vec![side.load(Family::Inet6), meta(Second, link), lookup, Drop]
}
