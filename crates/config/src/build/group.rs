//! `virtual_server_group`: addresses, ranges, prefixes and firewall marks behind one name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use kr_model::net::Family;

use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, warning};
use super::value::{MAX_TEXT, MAX_U32};

/// Most members of one group: a virtual server with all its services travels in one message.
const MOST_MEMBERS: usize = 1024;

/// Groups by name.
pub(super) type Groups = BTreeMap<String, Group>;

/// One group.
#[derive(Default)]
pub(super) struct Group {
    /// What it stands for.
    pub(super) members: Vec<Member>,
    /// Virtual servers that used it so far; they are told apart by this number.
    pub(super) users: u32,
}

/// What a group stands for, one by one.
#[derive(Clone, Copy)]
pub(super) enum Member {
    /// An address, port 0 for every port.
    Address(SocketAddr),
    /// A firewall mark, with a family when the line gives one.
    Fwmark(NonZeroU32, Option<Family>),
}

impl Build<'_> {
    /// Reads a group.
    pub(super) fn server_group(&mut self, groups: &mut Groups, statement: &Statement) {
        let (Some(name), Some(block)) = (statement.arguments.first(), &statement.block) else {
            return;
        };
        if groups.contains_key(&name.text) {
            self.report(
                error(
                    name.span,
                    format!("there is a virtual_server_group `{}` already", name.text),
                )
                .label("this block is skipped"),
            );
            return;
        }
        if name.text.len() > MAX_TEXT {
            self.report(error(
                name.span,
                format!("the name of a group has at most {MAX_TEXT} bytes; this block is skipped"),
            ));
            return;
        }
        let mut group = Group::default();
        for line in &block.statements {
            if line.keyword.text == "fwmark" {
                group.members.extend(self.group_mark(line));
            } else {
                self.group_addresses(&mut group, line);
            }
        }
        if group.members.is_empty() {
            self.report(warning(
                name.span,
                format!("virtual_server_group `{}` is empty", name.text),
            ));
        }
        groups.insert(name.text.clone(), group);
    }

    fn group_mark(&mut self, line: &Statement) -> Option<Member> {
        let mark = self.mark(line.arguments.first(), line)?;
        let family = line
            .arguments
            .get(1)
            .and_then(|word| self.family_word(word));
        Some(Member::Fwmark(mark, family))
    }

    /// The number of a firewall mark, which is not 0.
    pub(super) fn mark(&mut self, word: Option<&Word>, line: &Statement) -> Option<NonZeroU32> {
        let Some(word) = word else {
            self.report(error(line.keyword.span, "`fwmark` lacks its number"));
            return None;
        };
        let number = self.number_of(word, 1, MAX_U32)?;
        u32::try_from(number).ok().and_then(NonZeroU32::new)
    }

    /// `inet` or `inet6`.
    pub(super) fn family_word(&mut self, word: &Word) -> Option<Family> {
        match word.text.as_str() {
            "inet" => Some(Family::Inet),
            "inet6" => Some(Family::Inet6),
            other => {
                self.report(
                    error(word.span, format!("`{other}` is not a family"))
                        .label("expected `inet` or `inet6`"),
                );
                None
            }
        }
    }

    fn group_addresses(&mut self, group: &mut Group, line: &Statement) {
        let word = &line.keyword;
        let Some((family, first, last)) = parse_range(&word.text) else {
            self.report(
                error(
                    word.span,
                    format!("`{}` is neither an address nor a range", word.text),
                )
                .label(
                    "expected ADDRESS, ADDRESS-LAST, ADDRESS-ADDRESS, ADDRESS/LENGTH or `fwmark N`",
                ),
            );
            return;
        };
        let port = self.server_port(line.arguments.first());
        let room = MOST_MEMBERS.saturating_sub(group.members.len());
        let size = usize::try_from(last - first).unwrap_or(usize::MAX);
        if size >= room {
            self.report(
                error(
                    word.span,
                    format!(
                        "`{}` brings the group above {MOST_MEMBERS} members and is left out",
                        word.text
                    ),
                )
                .help("use a firewall mark for so many addresses"),
            );
            return;
        }
        let members = (first..=last).filter_map(|number| address(family, number));
        group
            .members
            .extend(members.map(|ip| Member::Address(SocketAddr::new(ip, port))));
    }
}

/// First and last address of a line of a group, as numbers.
fn parse_range(text: &str) -> Option<(Family, u128, u128)> {
    if let Some((first, last)) = text.split_once('-') {
        let first: IpAddr = first.parse().ok()?;
        let family = Family::of(first);
        let from = number(first);
        let to = match (last.parse::<IpAddr>(), family) {
            (Ok(last), _) if Family::of(last) == family => number(last),
            (Ok(_), _) => return None,
            (Err(_), Family::Inet) => (from & !0xff) | u128::from(last.parse::<u8>().ok()?),
            (Err(_), Family::Inet6) => {
                (from & !0xffff) | u128::from(u16::from_str_radix(last, 16).ok()?)
            }
        };
        return (from <= to).then_some((family, from, to));
    }
    if let Some((first, length)) = text.split_once('/') {
        let first: IpAddr = first.parse().ok()?;
        let family = Family::of(first);
        let length: u8 = length
            .parse()
            .ok()
            .filter(|n| (1..=family.max_prefix()).contains(n))?;
        let hosts = (1u128 << (family.max_prefix() - length)) - 1;
        let from = number(first);
        return (from & hosts == 0).then_some((family, from, from | hosts));
    }
    let one: IpAddr = text.parse().ok()?;
    Some((Family::of(one), number(one), number(one)))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn address(family: Family, number: u128) -> Option<IpAddr> {
    Some(match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).ok()?)),
        Family::Inet6 => IpAddr::V6(Ipv6Addr::from_bits(number)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> Option<(String, String)> {
        let (family, first, last) = parse_range(text)?;
        Some((
            address(family, first)?.to_string(),
            address(family, last)?.to_string(),
        ))
    }

    #[test]
    fn every_form_of_a_line_has_its_first_and_last_address() {
        for (text, first, last) in [
            ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
            ("10.0.0.1-9", "10.0.0.1", "10.0.0.9"),
            ("10.0.0.250-10.0.1.3", "10.0.0.250", "10.0.1.3"),
            ("10.0.0.4/30", "10.0.0.4", "10.0.0.7"),
            ("2001:db8::1-ff", "2001:db8::1", "2001:db8::ff"),
            ("2001:db8::/126", "2001:db8::", "2001:db8::3"),
        ] {
            assert_eq!(
                ends(text),
                Some((first.to_owned(), last.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn ranges_that_run_backwards_or_have_host_bits_are_none() {
        for text in [
            "10.0.0.9-1",
            "10.0.0.9-300",
            "10.0.0.5/30",
            "10.0.0.1-2001:db8::1",
            "10.0.0.0/33",
            "x",
            "::/0",
        ] {
            assert_eq!(ends(text), None, "{text}");
        }
    }
}
