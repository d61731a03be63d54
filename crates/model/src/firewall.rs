//! Settings of the packet filter that keeps traffic from virtual addresses in no-accept mode (`nftables` and
//! what belongs to it).

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the tables are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallSettings {
    /// `nftables`: the name of the tables, one in each family that needs one.
    pub table: TableName,
    /// `nftables_priority`: the place of their base chains among those of others.
    pub priority: i32,
    /// `nftables_ifindex`: interfaces are matched by index, not by name.
    pub by_index: bool,
    /// `nftables_counters`: every rule counts its packets.
    pub counters: bool,
    /// `disable_local_igmp`: the kernel sends no reports of IPv4 groups of the link, so those of VMACs need no rules.
    pub leaves_igmp: bool,
}

impl Default for FirewallSettings {
    fn default() -> Self {
        Self {
            table: TableName("keepalived".to_owned()),
            priority: -1,
            by_index: false,
            counters: false,
            leaves_igmp: false,
        }
    }
}

/// Name of an nftables table: 1 to 127 bytes that `nft` reads as one word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName(String);

impl TableName {
    /// Longest name.
    pub const MAX_LEN: usize = 127;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not a name that a table can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadTableName;

impl fmt::Display for BadTableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table name begins with a letter, and has up to 127 letters, digits, `/`, `\\`, `_`, `.` and `-`")
    }
}

impl std::error::Error for BadTableName {}

impl TryFrom<String> for TableName {
    type Error = BadTableName;

    fn try_from(name: String) -> Result<Self, BadTableName> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/\\_.-".contains(&byte);
        let begins_well = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic());
        if begins_well && name.len() <= Self::MAX_LEN && name.bytes().all(fits) {
            Ok(Self(name))
        } else {
            Err(BadTableName)
        }
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_name_that_nft_can_read() {
        let longest = "a".repeat(127);
        for good in ["keepalived", "vrrp_2", "a/b.c-d", &longest] {
            assert!(TableName::try_from(good.to_owned()).is_ok(), "{good}");
        }
        let too_long = "a".repeat(128);
        for bad in ["", "2nd", "a b", "a{", "ä", "a\0", &too_long] {
            assert_eq!(
                TableName::try_from(bad.to_owned()),
                Err(BadTableName),
                "{bad}"
            );
        }
    }
}
