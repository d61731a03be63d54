//! Names for numbers of the kernel, as `ip` has them: from the directories of `iproute_etc_dir` and
//! `iproute_usr_dir` (and `/etc/protocols`), and built in for what those files do not say or are missing for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::registry::Block;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::error;
use super::value::placeholder;

/// A set of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Names {
    /// Routing tables.
    Tables,
    /// Who set a route.
    Protocols,
    /// Scopes of routes and addresses.
    Scopes,
    /// Realms.
    Realms,
    /// Types of service.
    Services,
    /// Groups of interfaces.
    Groups,
    /// Protocols above IP.
    IpProtocols,
}

impl Names {
    /// Name of the table's file, where it is one of `ip`.
    const fn file(self) -> Option<&'static str> {
        match self {
            Self::Tables => Some("rt_tables"),
            Self::Protocols => Some("rt_protos"),
            Self::Scopes => Some("rt_scopes"),
            Self::Realms => Some("rt_realms"),
            Self::Services => Some("rt_dsfield"),
            Self::Groups => Some("group"),
            Self::IpProtocols => None,
        }
    }

    /// What one of them is called in messages.
    const fn what(self) -> &'static str {
        match self {
            Self::Tables => "routing table",
            Self::Protocols => "routing protocol",
            Self::Scopes => "scope",
            Self::Realms => "realm",
            Self::Services => "type of service",
            Self::Groups => "interface group",
            Self::IpProtocols => "IP protocol",
        }
    }

    /// Names that hold unless a file says otherwise.
    const fn built_in(self) -> &'static [(&'static str, u32)] {
        match self {
            Self::Tables => &[
                ("unspec", 0),
                ("default", 253),
                ("main", 254),
                ("local", 255),
            ],
            Self::Protocols => &[
                ("unspec", 0),
                ("redirect", 1),
                ("kernel", 2),
                ("boot", 3),
                ("static", 4),
                ("gated", 8),
                ("ra", 9),
                ("mrt", 10),
                ("zebra", 11),
                ("bird", 12),
                ("dnrouted", 13),
                ("xorp", 14),
                ("ntk", 15),
                ("dhcp", 16),
                ("keepalived", 18),
                ("babel", 42),
                ("openr", 99),
                ("bgp", 186),
                ("isis", 187),
                ("ospf", 188),
                ("rip", 189),
                ("eigrp", 192),
            ],
            Self::Scopes => &[
                ("global", 0),
                ("universe", 0),
                ("site", 200),
                ("link", 253),
                ("host", 254),
                ("nowhere", 255),
            ],
            Self::Realms => &[("cosmos", 0)],
            Self::Services => &[("default", 0)],
            Self::Groups => &[("default", 0)],
            Self::IpProtocols => &[
                ("icmp", 1),
                ("igmp", 2),
                ("ipip", 4),
                ("tcp", 6),
                ("udp", 17),
                ("ipv6", 41),
                ("gre", 47),
                ("esp", 50),
                ("ah", 51),
                ("ipv6-icmp", 58),
                ("ospf", 89),
                ("vrrp", 112),
                ("sctp", 132),
            ],
        }
    }
}

/// Where tables are, and those that were asked for so far.
#[derive(Debug)]
pub(super) struct NameTables {
    /// `iproute_etc_dir`: the administrator's, which come first.
    local: PathBuf,
    /// `iproute_usr_dir`: the distribution's.
    distributed: PathBuf,
    read: BTreeMap<Names, BTreeMap<String, u32>>,
}

impl Default for NameTables {
    fn default() -> Self {
        Self {
            local: "/etc/iproute2".into(),
            distributed: "/usr/share/iproute2".into(),
            read: BTreeMap::new(),
        }
    }
}

impl Build<'_> {
    /// Takes `iproute_etc_dir` or `iproute_usr_dir`, which come before every use of a name. False for others.
    pub(super) fn name_directory(&mut self, name: &str, statement: &Statement) -> bool {
        if !matches!(name, "iproute_etc_dir" | "iproute_usr_dir") {
            return false;
        }
        let word = statement.arguments.first();
        if let Some(path) = word.and_then(|word| self.absolute_path(word)) {
            match name {
                "iproute_etc_dir" => self.names.local = path,
                _ => self.names.distributed = path,
            }
        }
        true
    }

    /// A word as a number up to `max`, or as a name of a set. What is neither is reported.
    pub(super) fn named(&mut self, names: Names, word: &Word, max: u32) -> Option<u32> {
        let number = self.look_up(names, &word.text).filter(|n| *n <= max);
        if number.is_none() {
            let what = names.what();
            let known = match names.file() {
                Some(file) => format!("expected a number from 0 to {max}, or a name of {file}"),
                None => format!("expected a number from 0 to {max}, or a name of /etc/protocols"),
            };
            let finding = error(word.span, format!("`{}` is no {what}", word.text)).label(known);
            self.report(placeholder(finding, word));
        }
        number
    }

    /// A number, or the number of a name.
    pub(super) fn look_up(&mut self, names: Names, text: &str) -> Option<u32> {
        match whole_number(text) {
            Some(number) => u32::try_from(number).ok(),
            None => self.name_table(names).get(text).copied(),
        }
    }

    /// A word as a realm, `TO` or `FROM/TO`: source realm in the upper half, destination realm in the lower.
    pub(super) fn realms(&mut self, word: &Word) -> Option<u32> {
        let part = |text: &str| Word {
            text: text.to_owned(),
            ..word.clone()
        };
        let max = u32::from(u16::MAX);
        match word.text.split_once('/') {
            Some((from, to)) => {
                let from = self.named(Names::Realms, &part(from), max)?;
                let to = self.named(Names::Realms, &part(to), max)?;
                Some(from << 16 | to)
            }
            None => self.named(Names::Realms, word, max),
        }
    }

    fn name_table(&mut self, names: Names) -> &BTreeMap<String, u32> {
        let host = self.host;
        let directories = [self.names.local.clone(), self.names.distributed.clone()];
        self.names.read.entry(names).or_insert_with(|| {
            let built_in = names.built_in().iter();
            let mut table: BTreeMap<String, u32> = built_in
                .map(|(name, number)| ((*name).to_owned(), *number))
                .collect();
            let mut read = |path: &Path, swapped: bool| {
                let text = host.read(path);
                if let Ok(text) = &text {
                    table.extend(text.lines().filter_map(|line| entry(line, swapped)));
                }
                text.is_ok()
            };
            match names.file() {
                None => {
                    read(Path::new("/etc/protocols"), true);
                }
                Some(file) => {
                    let mut both = directories.iter();
                    both.any(|directory| read(&directory.join(file), false));
                    for directory in directories.iter().rev() {
                        let pattern = directory.join(format!("{file}.d/*.conf"));
                        let more = host.glob(&pattern.to_string_lossy());
                        for path in more.unwrap_or_default() {
                            read(&path, false);
                        }
                    }
                }
            }
            table
        })
    }
}

/// `NUMBER NAME`, or when swapped `NAME NUMBER`, before a comment.
fn entry(line: &str, swapped: bool) -> Option<(String, u32)> {
    let line = line.split('#').next()?;
    let mut words = line.split_whitespace();
    let (first, second) = (words.next()?, words.next()?);
    let (number, name) = if swapped {
        (second, first)
    } else {
        (first, second)
    };
    let number = u32::try_from(whole_number(number)?).ok()?;
    Some((name.to_owned(), number))
}

/// A whole number as the C library reads it: decimal, hexadecimal behind `0x`, octal behind `0`.
pub(super) fn whole_number(text: &str) -> Option<u64> {
    let digits = |text: &str, radix| {
        let good = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
        good.then(|| u64::from_str_radix(text, radix).ok())
            .flatten()
    };
    if let Some(text) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return digits(text, 16);
    }
    match text.strip_prefix('0') {
        Some(rest) if !rest.is_empty() => digits(rest, 8),
        Some(_) | None => digits(text, 10),
    }
}

impl Build<'_> {
    /// Reports a word that is no word of a line of this block.
    pub(super) fn unknown_word(&mut self, word: &Word, block: Block, what: &str) {
        let finding = error(
            word.span,
            format!(
                "`{}` is no word of a {what}; the {what} is left out",
                word.text
            ),
        );
        let finding = match crate::registry::hint(&word.text, &[block]) {
            Some(crate::registry::Hint::Spelling(name)) => {
                finding.help(format!("did you mean `{name}`?"))
            }
            Some(crate::registry::Hint::Glued(name, rest)) => {
                finding.help(format!("did you mean `{name} {rest}`?"))
            }
            Some(crate::registry::Hint::OtherBlock(_)) | None => {
                finding.help("put `#` before a comment")
            }
        };
        self.report(placeholder(finding, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_in_c() {
        for (text, number) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("0x1F", Some(31)),
            ("017", Some(15)),
            ("08", None),
            ("0x", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(whole_number(text), number, "{text:?}");
        }
    }

    #[test]
    fn a_line_of_a_table_has_a_number_and_a_name() {
        assert_eq!(
            entry("0x28\tAF11 # a", false),
            Some(("AF11".to_owned(), 40))
        );
        assert_eq!(entry("udp 17 UDP", true), Some(("udp".to_owned(), 17)));
        assert_eq!(entry("#7 seven", false), None);
        assert_eq!(entry("", false), None);
    }
}
