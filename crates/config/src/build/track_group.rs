//! `track_group`: the instances that depend on the interfaces of static objects.

use std::collections::BTreeMap;

use kr_model::InstanceId;

use crate::registry::Block;
use crate::tree::{Statement, Word};
use crate::typed::Config;

use super::Build;
use super::finding::{error, warning};
use super::statics::{Dependence, track};
use super::walk::{Context, Seen};

const TRACK_GROUP: Context = Context {
    name: "track_group",
    blocks: &[Block::TrackGroup],
    also: &[],
    repeatable: &["group"],
};

/// Members by the name of the group.
type Groups = BTreeMap<String, Vec<InstanceId>>;

impl Build<'_> {
    /// Reads all groups, when the instances are known, and makes their members track what static objects
    /// depend on.
    pub(super) fn track_groups(
        &mut self,
        config: &mut Config,
        blocks: &[Statement],
        dependences: &[Dependence],
    ) {
        let mut groups = Groups::new();
        for statement in blocks {
            self.track_group(config, &mut groups, statement);
        }
        for (name, device) in dependences {
            let Some(members) = groups.get(&name.text) else {
                self.report(
                    error(
                        name.span,
                        format!("there is no track_group `{}`; it is ignored", name.text),
                    )
                    .help("add `track_group NAME { group { INSTANCE } }` outside of all blocks"),
                );
                continue;
            };
            for id in members {
                if let Some(entry) = config.instances.get_mut(id) {
                    track(&mut entry.instance, device);
                }
            }
        }
    }

    fn track_group(&mut self, config: &Config, groups: &mut Groups, statement: &Statement) {
        let (Some(name), Some(block)) = (statement.arguments.first(), &statement.block) else {
            return;
        };
        if groups.contains_key(&name.text) {
            self.report(
                error(
                    name.span,
                    format!("there is a track_group `{}` already", name.text),
                )
                .label("this block is skipped")
                .help("give each group a name of its own"),
            );
            return;
        }
        let mut members = Vec::new();
        let mut seen = Seen::default();
        for line in &block.statements {
            if self.accept(&TRACK_GROUP, &mut seen, line).is_none() {
                continue;
            }
            let lines = line.block.iter().flat_map(|block| &block.statements);
            for word in lines.flat_map(|line| [&line.keyword].into_iter().chain(&line.arguments)) {
                members.extend(self.tracking_member(config, word));
            }
        }
        if members.is_empty() {
            self.report(warning(
                name.span,
                format!("track_group `{}` has no instance", name.text),
            ));
        }
        groups.insert(name.text.clone(), members);
    }

    fn tracking_member(&mut self, config: &Config, word: &Word) -> Option<InstanceId> {
        let mut instances = config.instances.iter();
        let found = instances.find(|(_, entry)| entry.instance.name == word.text);
        if found.is_none() {
            self.report(error(
                word.span,
                format!("there is no vrrp_instance `{}`; it is left out", word.text),
            ));
        }
        found.map(|(id, _)| *id)
    }
}
