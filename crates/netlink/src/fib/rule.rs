//! Policy rules as rtnetlink has them (`RTM_NEWRULE`).

use std::collections::BTreeMap;

use kr_model::net::Cidr;
use kr_model::rule::{Rule, RuleAction};

use super::attribute::{Attributes, attributes, number};
use super::route::{family_number, put_prefix};
use crate::socket::NetlinkError;

const DST: u16 = 1;
const SRC: u16 = 2;
const IIFNAME: u16 = 3;
const GOTO: u16 = 4;
const PRIORITY: u16 = 6;
const FWMARK: u16 = 10;
const FLOW: u16 = 11;
const TUN_ID: u16 = 12;
const SUPPRESS_IFGROUP: u16 = 13;
const SUPPRESS_PREFIXLEN: u16 = 14;
const TABLE: u16 = 15;
const FWMASK: u16 = 16;
const OIFNAME: u16 = 17;
const L3MDEV: u16 = 19;
const UID_RANGE: u16 = 20;
const PROTOCOL: u16 = 21;
const IP_PROTO: u16 = 22;
const SPORT_RANGE: u16 = 23;
const DPORT_RANGE: u16 = 24;

/// `FIB_RULE_INVERT`; other flags tell of the state of a rule.
const INVERTED: u8 = 2;
/// Length of `struct fib_rule_hdr`.
const HEADER: usize = 12;

/// The body of the message that sets the rule, or removes exactly it.
pub(super) fn body(rule: &Rule) -> Result<Vec<u8>, NetlinkError> {
    let (action, table) = match &rule.action {
        RuleAction::Lookup { table, .. } => (1, *table),
        RuleAction::L3mdev => (1, 0),
        RuleAction::Goto(_) => (2, 0),
        RuleAction::Nop => (3, 0),
        RuleAction::Blackhole => (6, 0),
        RuleAction::Unreachable => (7, 0),
        RuleAction::Prohibit => (8, 0),
    };
    let mut bytes = vec![
        family_number(rule.family),
        rule.to.map_or(0, Cidr::prefix),
        rule.from.map_or(0, Cidr::prefix),
        rule.tos,
        // The old field holds small numbers only; the attribute holds all.
        u8::try_from(table).unwrap_or(0),
        0,
        0,
        action,
    ];
    bytes.extend(u32::from(if rule.inverted { INVERTED } else { 0 }).to_ne_bytes());
    let mut all = Attributes::default();
    all.put(PRIORITY, &rule.preference.to_ne_bytes())?;
    all.put(PROTOCOL, &[rule.protocol])?;
    put_selectors(&mut all, rule)?;
    put_action(&mut all, &rule.action)?;
    bytes.extend(all.into_bytes());
    Ok(bytes)
}

fn put_selectors(all: &mut Attributes, rule: &Rule) -> Result<(), NetlinkError> {
    put_prefix(all, SRC, rule.from)?;
    put_prefix(all, DST, rule.to)?;
    if let Some((mark, mask)) = rule.mark {
        all.put(FWMARK, &mark.to_ne_bytes())?;
        all.put(FWMASK, &mask.to_ne_bytes())?;
    }
    if let Some(name) = &rule.input {
        all.put_text(IIFNAME, name.as_str())?;
    }
    if let Some(name) = &rule.output {
        all.put_text(OIFNAME, name.as_str())?;
    }
    all.put_some(TUN_ID, rule.tunnel.map(u64::to_be_bytes))?;
    if let Some((first, last)) = rule.users {
        all.put(UID_RANGE, &[first, last].map(u32::to_ne_bytes).concat())?;
    }
    all.put_some(IP_PROTO, rule.ip_protocol.map(|number| [number]))?;
    for (kind, range) in [
        (SPORT_RANGE, rule.source_ports),
        (DPORT_RANGE, rule.destination_ports),
    ] {
        if let Some((first, last)) = range {
            all.put(kind, &[first, last].map(u16::to_ne_bytes).concat())?;
        }
    }
    Ok(())
}

fn put_action(all: &mut Attributes, action: &RuleAction) -> Result<(), NetlinkError> {
    match action {
        RuleAction::Lookup {
            table,
            suppress_prefix,
            suppress_group,
            realms,
        } => {
            all.put(TABLE, &table.to_ne_bytes())?;
            all.put_some(SUPPRESS_PREFIXLEN, suppress_prefix.map(u32::to_ne_bytes))?;
            all.put_some(SUPPRESS_IFGROUP, suppress_group.map(u32::to_ne_bytes))?;
            all.put_some(FLOW, realms.map(u32::to_ne_bytes))
        }
        RuleAction::L3mdev => all.put(L3MDEV, &[1]),
        RuleAction::Goto(preference) => all.put(GOTO, &preference.to_ne_bytes()),
        RuleAction::Nop
        | RuleAction::Blackhole
        | RuleAction::Unreachable
        | RuleAction::Prohibit => Ok(()),
    }
}

/// A rule as a message of ours or of the kernel has it, without what says nothing: two that are equal are one
/// rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleEntry {
    family: u8,
    prefixes: (u8, u8),
    tos: u8,
    action: u8,
    inverted: bool,
    attributes: BTreeMap<u16, Vec<u8>>,
}

impl RuleEntry {
    /// Reads the body of a message; `None` when it is none of a rule.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let (header, rest) = body.split_first_chunk::<HEADER>()?;
        let [family, to, from, tos, table, _, _, action, flags, _, _, _] = *header;
        let mut all: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        if table != 0 {
            all.insert(TABLE, u32::from(table).to_ne_bytes().to_vec());
        }
        for (kind, value) in attributes(rest) {
            if says_something(kind, value, (to, from)) {
                all.insert(kind, value.to_vec());
            }
        }
        Some(Self {
            family,
            prefixes: (to, from),
            tos,
            action,
            inverted: flags & INVERTED != 0,
            attributes: all,
        })
    }

    /// The protocol number; kernels before 4.17 have none.
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        self.attributes
            .get(&PROTOCOL)
            .and_then(|value| value.first())
            .copied()
    }

    /// The table that is looked up, if one is.
    #[must_use]
    pub fn table(&self) -> Option<u32> {
        number(self.attributes.get(&TABLE)?)
    }
}

/// False for attributes that the kernel shows for every rule although they limit nothing.
fn says_something(kind: u16, value: &[u8], (to, from): (u8, u8)) -> bool {
    match kind {
        DST => to > 0,
        SRC => from > 0,
        TABLE | PRIORITY | FLOW => number(value) != Some(0),
        SUPPRESS_PREFIXLEN | SUPPRESS_IFGROUP => number(value) != Some(u32::MAX),
        IIFNAME | GOTO | FWMARK | TUN_ID | FWMASK | OIFNAME | L3MDEV | UID_RANGE | PROTOCOL
        | IP_PROTO | SPORT_RANGE | DPORT_RANGE => true,
        // Padding, and what kernels may add for selectors that are not used here.
        _ => false,
    }
}
