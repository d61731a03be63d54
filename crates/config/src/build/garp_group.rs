//! `garp_group`: interfaces that share a limit for announcements.

use std::collections::BTreeSet;
use std::time::Duration;

use kr_model::units::IfName;
use kr_model::vrrp::PaceGroup;

use crate::registry::Block;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, warning};
use super::global::Globals;
use super::value::{MAX_TIMEOUT, set};
use super::walk::{Context, Seen};

const GARP_GROUP: Context = Context {
    name: "garp_group",
    blocks: &[Block::GarpGroup],
    also: &[],
    repeatable: &["interface", "interfaces"],
};

/// Most interfaces in all groups: they travel in one message.
const MOST_INTERFACES: usize = 1000;

impl Build<'_> {
    /// Reads a group. An interval that is not given is that of `global_defs`, wherever that stands.
    pub(super) fn garp_group(&mut self, globals: &mut Globals, statement: &Statement) {
        let mut interfaces = BTreeSet::new();
        let (mut arp, mut neighbour) = (None, None);
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&GARP_GROUP, &mut seen, line) else {
                continue;
            };
            let least = Duration::from_micros(1);
            match keyword.name {
                "interface" => {
                    if let Some(word) = line.arguments.first() {
                        interfaces.extend(self.garp_interface(globals, &interfaces, word));
                    }
                }
                "interfaces" => {
                    let lines = line.block.iter().flat_map(|block| &block.statements);
                    for word in
                        lines.flat_map(|line| [&line.keyword].into_iter().chain(&line.arguments))
                    {
                        interfaces.extend(self.garp_interface(globals, &interfaces, word));
                    }
                }
                "garp_interval" => set(&mut arp, self.seconds(line, least, MAX_TIMEOUT)),
                "gna_interval" => set(&mut neighbour, self.seconds(line, least, MAX_TIMEOUT)),
                _ => self.unbuilt(keyword, line),
            }
        }
        let at = statement.keyword.span;
        if interfaces.is_empty() || arp.or(neighbour).is_none() {
            self.report(
                warning(at, "a garp_group without an interface or without an interval has no effect")
                    .help("give it `interface NAME` and `garp_interval SECONDS` or `gna_interval SECONDS`"),
            );
            return;
        }
        globals.vrrp.garp_groups.push((interfaces, arp, neighbour));
    }

    /// The interface of a word, unless another group has it.
    fn garp_interface(
        &mut self,
        globals: &Globals,
        own: &BTreeSet<IfName>,
        word: &Word,
    ) -> Option<IfName> {
        let interface = self.interface_of(word)?;
        let groups = &globals.vrrp.garp_groups;
        if groups
            .iter()
            .any(|(others, ..)| others.contains(&interface))
        {
            self.report(
                error(
                    word.span,
                    format!("`{interface}` is in another garp_group already"),
                )
                .label("left out here"),
            );
            return None;
        }
        let taken: usize = groups.iter().map(|(others, ..)| others.len()).sum();
        if taken + own.len() >= MOST_INTERFACES {
            self.report(error(
                word.span,
                format!("all garp_groups together have at most {MOST_INTERFACES} interfaces; this one is left out"),
            ));
            return None;
        }
        Some(interface)
    }
}

impl Globals {
    /// The groups, with the intervals of `global_defs` where they have none of their own.
    pub(super) fn pace_groups(&self) -> Vec<PaceGroup> {
        let groups = self.vrrp.garp_groups.iter();
        groups
            .map(|(interfaces, arp, neighbour)| PaceGroup {
                interfaces: interfaces.clone(),
                arp: arp.unwrap_or(self.vrrp.arp_interval),
                neighbour: neighbour.unwrap_or(self.vrrp.na_interval),
            })
            .collect()
    }
}
