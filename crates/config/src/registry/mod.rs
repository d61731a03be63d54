//! Every keyword there is: where it stands, its arguments, default, range, meaning and status.
//!
//! The one place that knows keywords. The builder asks it what a block may hold; the command line asks
//! it for lists and explanations; the manual page and the README's table are made of it.

mod block;
mod suggest;
mod tables;
mod text;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use block::Block;
pub use suggest::{Hint, hint};
pub use text::{explain, list_keywords, markdown_table};

/// One keyword in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keyword {
    /// Where it stands.
    pub block: Block,
    /// The word, or a description in parentheses for lines without a keyword of their own.
    pub name: &'static str,
    /// How it is written.
    pub syntax: &'static str,
    /// What holds without it; empty when that says nothing.
    pub default: &'static str,
    /// Values it takes; empty when the syntax says all.
    pub range: &'static str,
    /// What it means, in one line.
    pub doc: &'static str,
    /// Least and most arguments.
    pub arguments: (usize, usize),
    /// Whether it has an effect.
    pub status: Status,
}

/// Whether a keyword has an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Supported,
    /// It is read and has no effect on purpose; the text says why and what to do.
    Ignored(&'static str),
    /// It is an error; the text says why and what to do.
    Refused(&'static str),
}

impl Status {
    /// The word that lists use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Ignored(_) => "ignored",
            Self::Refused(_) => "refused",
        }
    }
}

/// Every keyword, in the order of the reference.
pub fn all() -> impl Iterator<Item = &'static Keyword> {
    tables::ALL.into_iter().flatten()
}

/// The entry of a keyword in a block.
#[must_use]
pub fn find(block: Block, name: &str) -> Option<&'static Keyword> {
    static INDEX: LazyLock<HashMap<(Block, &str), &Keyword>> = LazyLock::new(|| {
        let mut index = HashMap::new();
        for keyword in all() {
            index
                .entry((keyword.block, keyword.name))
                .or_insert(keyword);
        }
        index
    });
    INDEX.get(&(block, name)).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_listed_keyword_has_an_entry_and_every_entry_is_listed() {
        let listed: BTreeSet<(&str, &str)> = include_str!("keywords.txt")
            .lines()
            .map(|line| line.split_once('\t').unwrap())
            .collect();
        let known: BTreeSet<(&str, &str)> = all().map(|k| (k.block.label(), k.name)).collect();
        assert_eq!(listed, known);
        assert!(listed.len() > 600);
    }

    #[test]
    fn every_block_has_keywords_and_every_keyword_a_meaning() {
        for block in Block::ALL {
            assert!(all().any(|k| k.block == *block), "{block:?}");
        }
        for keyword in all() {
            assert!(keyword.doc.ends_with('.'), "{keyword:?}");
            assert!(!keyword.syntax.is_empty(), "{keyword:?}");
            assert!(keyword.arguments.0 <= keyword.arguments.1, "{keyword:?}");
        }
    }

    #[test]
    fn a_keyword_of_several_blocks_is_found_in_each() {
        assert_eq!(
            find(Block::RealServer, "weight").unwrap().block,
            Block::RealServer
        );
        assert_eq!(
            find(Block::VrrpScript, "weight").unwrap().block,
            Block::VrrpScript
        );
        assert_eq!(find(Block::VrrpInstance, "weight"), None);
    }
}
