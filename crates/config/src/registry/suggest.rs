//! What an unknown word was probably meant to be.

use super::{Block, Status, all, find};

/// A guess at an unknown keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A keyword and its argument without space between: both parts.
    Glued(&'static str, String),
    /// A keyword of the same block that is spelled almost like it.
    Spelling(&'static str),
    /// The keyword exists, in this other block.
    OtherBlock(Block),
}

/// Guesses what `word` means in a place that takes the keywords of `blocks`.
#[must_use]
pub fn hint(word: &str, blocks: &[Block]) -> Option<Hint> {
    let here =
        || all().filter(|k| blocks.contains(&k.block) && !k.name.starts_with(['(', '$', '~', '@']));
    if let Some((name, rest)) = here()
        .filter_map(|k| Some((k.name, word.strip_prefix(k.name)?)))
        .filter(|(_, rest)| glued(rest))
        .max_by_key(|(name, _)| name.len())
    {
        return Some(Hint::Glued(name, rest.to_owned()));
    }
    let elsewhere = Block::ALL
        .iter()
        .find(|block| is_container(**block) && find(**block, word).is_some());
    if let Some(block) = elsewhere {
        return Some(Hint::OtherBlock(*block));
    }
    let limit = (word.chars().count() / 3).clamp(1, 3);
    here()
        .filter(|k| !matches!(k.status, Status::Refused(_)))
        .map(|k| (distance(word, k.name), k.name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| Hint::Spelling(name))
}

/// True for what can follow a keyword without a space: a value, not more letters.
fn glued(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '/' | '"' | '<' | ':' | '='))
}

/// True for blocks of the file, as opposed to option words and values.
const fn is_container(block: Block) -> bool {
    !matches!(
        block,
        Block::ConfigFile
            | Block::SyncDaemon
            | Block::LvsTimeouts
            | Block::AddressLine
            | Block::RouteLine
            | Block::RuleLine
            | Block::UseVmac
            | Block::UseIpvlan
            | Block::UnicastPeer
            | Block::TrackLine
            | Block::SchedulerName
            | Block::ProtocolName
            | Block::ForwardingName
            | Block::RegexOption
            | Block::HttpProtocol
            | Block::DnsType
            | Block::Retired
    )
}

/// Number of letters to insert, remove, replace or swap with the neighbour to get from `a` to `b`;
/// letters that differ only in case count as equal unless nothing else differs.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().map(|c| c.to_ascii_lowercase()).collect();
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&row, j) + usize::from(from != to))
                .min(at(&row, j + 1) + 1)
                .min(at(&next, j) + 1);
            let swapped = j > 0 && i > 0 && b.get(j - 1) == Some(from) && a.get(i - 1) == Some(to);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glued_argument_is_split_off() {
        assert_eq!(
            hint("connect_ip192.168.155.11", &[Block::Connection]),
            Some(Hint::Glued("connect_ip", "192.168.155.11".to_owned()))
        );
    }

    #[test]
    fn a_misspelling_finds_the_nearest_keyword_of_the_block() {
        assert_eq!(
            hint("global_def", &[Block::Root]),
            Some(Hint::Spelling("global_defs"))
        );
        assert_eq!(
            hint("prioirty", &[Block::VrrpInstance]),
            Some(Hint::Spelling("priority"))
        );
        assert_eq!(
            hint("Interface", &[Block::VrrpInstance]),
            Some(Hint::Spelling("interface"))
        );
    }

    #[test]
    fn a_keyword_of_another_block_is_named_with_it() {
        assert_eq!(
            hint("smtp_server", &[Block::Root]),
            Some(Hint::OtherBlock(Block::GlobalDefs))
        );
        assert_eq!(
            hint("real_server", &[Block::Root]),
            Some(Hint::OtherBlock(Block::VirtualServer))
        );
    }

    #[test]
    fn nonsense_finds_nothing() {
        assert_eq!(hint("xyzzyplugh", &[Block::Root]), None);
    }

    #[test]
    fn distance_counts_single_edits_and_swaps() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
