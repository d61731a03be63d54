//! A policy rule of `virtual_rules` or `static_rules`: complete, with every name resolved to its number.
//!
//! Made by the configuration reader, put into the kernel by the VRRP process. Two rules that are equal mean
//! the same kernel object. [`fmt::Display`] gives a rule in the words of `ip rule`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::net::{Cidr, Family};
use crate::units::IfName;

/// One line of `virtual_rules` or `static_rules`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    /// Whose packets.
    pub family: Family,
    /// `preference`: rules are asked in this order.
    pub preference: u32,
    /// `not`: the action is for packets that do not match.
    pub inverted: bool,
    /// `from`; `None` is every source.
    pub from: Option<Cidr>,
    /// `to`; `None` is every destination.
    pub to: Option<Cidr>,
    /// `tos` or `dsfield`.
    pub tos: u8,
    /// `fwmark`: value and mask.
    pub mark: Option<(u32, u32)>,
    /// `iif`.
    pub input: Option<IfName>,
    /// `oif`.
    pub output: Option<IfName>,
    /// `tunnel-id`.
    pub tunnel: Option<u64>,
    /// `uidrange`: first and last user.
    pub users: Option<(u32, u32)>,
    /// `ipproto`.
    pub ip_protocol: Option<u8>,
    /// `sport`: first and last port.
    pub source_ports: Option<(u16, u16)>,
    /// `dport`: first and last port.
    pub destination_ports: Option<(u16, u16)>,
    /// What is done with packets that match.
    pub action: RuleAction,
    /// `protocol`: who says to have set the rule; 18 while it is tracked.
    pub protocol: u8,
    /// False with `no_track`: nobody looks whether it is still there.
    pub tracked: bool,
}

impl Rule {
    /// Every interface that it names.
    pub fn devices(&self) -> impl Iterator<Item = &IfName> {
        self.input.iter().chain(&self.output)
    }
}

/// What is done with packets that match a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RuleAction {
    /// `table`: their route is looked up there.
    Lookup {
        /// The table.
        table: u32,
        /// `suppress_prefixlength`: routes with a prefix of at most this length do not count.
        suppress_prefix: Option<u32>,
        /// `suppress_ifgroup`: routes out of an interface of this group do not count.
        suppress_group: Option<u32>,
        /// `realms`: source realm in the upper half, destination realm in the lower one.
        realms: Option<u32>,
    },
    /// `l3mdev`: the table of the VRF that the packet belongs to.
    L3mdev,
    /// `goto`: the rule with this preference is asked next.
    Goto(u32),
    /// `nop`: nothing.
    Nop,
    /// `blackhole`: they are dropped.
    Blackhole,
    /// `unreachable`: they are refused as unreachable.
    Unreachable,
    /// `prohibit`: they are refused as prohibited.
    Prohibit,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.family == Family::Inet6 {
            f.write_str("inet6 ")?;
        }
        if self.inverted {
            f.write_str("not ")?;
        }
        match self.from {
            Some(prefix) => write!(f, "from {prefix}")?,
            None => f.write_str("from all")?,
        }
        if let Some(prefix) = self.to {
            write!(f, " to {prefix}")?;
        }
        write!(f, " preference {}", self.preference)?;
        if self.tos != 0 {
            write!(f, " tos {:#04x}", self.tos)?;
        }
        if let Some((value, mask)) = self.mark {
            write!(f, " fwmark {value:#x}")?;
            if mask != u32::MAX {
                write!(f, "/{mask:#x}")?;
            }
        }
        if let Some(name) = &self.input {
            write!(f, " iif {name}")?;
        }
        if let Some(name) = &self.output {
            write!(f, " oif {name}")?;
        }
        if let Some(id) = self.tunnel {
            write!(f, " tunnel-id {id}")?;
        }
        if let Some((first, last)) = self.users {
            write!(f, " uidrange {first}-{last}")?;
        }
        if let Some(number) = self.ip_protocol {
            write!(f, " ipproto {number}")?;
        }
        for (word, range) in [
            ("sport", self.source_ports),
            ("dport", self.destination_ports),
        ] {
            if let Some((first, last)) = range {
                write!(f, " {word} {first}-{last}")?;
            }
        }
        write!(f, " {}", self.action)?;
        if self.tracked {
            Ok(())
        } else {
            f.write_str(" no_track")
        }
    }
}

impl fmt::Display for RuleAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup {
                table,
                suppress_prefix,
                suppress_group,
                realms,
            } => {
                write!(f, "table {table}")?;
                if let Some(length) = suppress_prefix {
                    write!(f, " suppress_prefixlength {length}")?;
                }
                if let Some(group) = suppress_group {
                    write!(f, " suppress_ifgroup {group}")?;
                }
                match realms {
                    Some(realms) => write!(f, " realms {}/{}", realms >> 16, realms & 0xffff),
                    None => Ok(()),
                }
            }
            Self::L3mdev => f.write_str("l3mdev"),
            Self::Goto(preference) => write!(f, "goto {preference}"),
            Self::Nop => f.write_str("nop"),
            Self::Blackhole => f.write_str("blackhole"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Prohibit => f.write_str("prohibit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_like_a_line_of_ip_rule() {
        let rule = Rule {
            family: Family::Inet,
            preference: 500,
            inverted: true,
            from: Some(Cidr::new([10, 2, 0, 0].into(), 16).unwrap()),
            to: None,
            tos: 4,
            mark: Some((0x10, 0xff)),
            input: Some(IfName::try_from("eth0".to_owned()).unwrap()),
            output: None,
            tunnel: Some(9),
            users: Some((5, 6)),
            ip_protocol: Some(17),
            source_ports: Some((10, 20)),
            destination_ports: None,
            action: RuleAction::Lookup {
                table: 77,
                suppress_prefix: Some(0),
                suppress_group: None,
                realms: Some(0x0004_0005),
            },
            protocol: 18,
            tracked: false,
        };
        assert_eq!(
            rule.to_string(),
            "not from 10.2.0.0/16 preference 500 tos 0x04 fwmark 0x10/0xff iif eth0 tunnel-id 9 \
             uidrange 5-6 ipproto 17 sport 10-20 table 77 suppress_prefixlength 0 realms 4/5 no_track"
        );
    }
}
