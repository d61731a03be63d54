//! The difference of two keyed sets: how a reload and a reconciliation find out what to touch.

use std::collections::BTreeMap;

/// What changed from an old to a new keyed set. Every vector is in key order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff<K> {
    /// Keys that only the new set has.
    pub added: Vec<K>,
    /// Keys of both whose values differ.
    pub changed: Vec<K>,
    /// Keys of both whose values are equal: nothing may be done to these.
    pub kept: Vec<K>,
    /// Keys that only the old set has.
    pub removed: Vec<K>,
}

/// Compares two keyed sets.
#[must_use]
pub fn diff<K: Ord + Clone, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Diff<K> {
    let mut out = Diff {
        added: Vec::new(),
        changed: Vec::new(),
        kept: Vec::new(),
        removed: Vec::new(),
    };
    // Both are in key order: one walk over the two.
    let mut before = old.iter().peekable();
    for (key, value) in new {
        while let Some((gone, _)) = before.next_if(|(known, _)| *known < key) {
            out.removed.push(gone.clone());
        }
        let list = match before.next_if(|(known, _)| *known == key) {
            None => &mut out.added,
            Some((_, known)) if known == value => &mut out.kept,
            Some(_) => &mut out.changed,
        };
        list.push(key.clone());
    }
    out.removed.extend(before.map(|(gone, _)| gone.clone()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_lands_in_exactly_one_list() {
        let old = BTreeMap::from([(1, 'a'), (2, 'b'), (3, 'c')]);
        let new = BTreeMap::from([(2, 'b'), (3, 'x'), (4, 'd')]);
        assert_eq!(
            diff(&old, &new),
            Diff {
                added: vec![4],
                changed: vec![3],
                kept: vec![2],
                removed: vec![1],
            }
        );
    }
}
