//! `vrrp_sync_group`: which instances change their states together, and what is run and mailed then.

use kr_model::track::Tracked;
use kr_model::vrrp::TrackedInterface;
use kr_model::{GroupId, InstanceId};

use crate::registry::Block;
use crate::tree::{Statement, Word};
use crate::typed::{Config, GroupEntry, InstanceNotify};

use super::Build;
use super::finding::{error, warning};
use super::global::Globals;
use super::track;
use super::value::set;
use super::walk::{Context, Seen};

const SYNC_GROUP: Context = Context {
    name: "vrrp_sync_group",
    blocks: &[Block::SyncGroup],
    also: &[],
    repeatable: &["group"],
};

impl Build<'_> {
    /// Reads a group, when all instances are known, and marks its members.
    pub(super) fn sync_group(
        &mut self,
        globals: &Globals,
        config: &mut Config,
        statement: &Statement,
    ) {
        let (Some(name), Some(block)) = (statement.arguments.first(), &statement.block) else {
            return;
        };
        if config.groups.values().any(|group| group.name == name.text) {
            self.report(
                error(
                    name.span,
                    format!("there is a vrrp_sync_group `{}` already", name.text),
                )
                .label("this block is skipped")
                .help("give each group a name of its own"),
            );
            return;
        }
        let mut group = GroupEntry {
            name: name.text.clone(),
            notify: InstanceNotify::default(),
            mail: globals.alert_of_instances(),
        };
        let mut members = Vec::new();
        let mut tracking = Tracking::default();
        let mut seen = Seen::default();
        for line in &block.statements {
            let Some(keyword) = self.accept(&SYNC_GROUP, &mut seen, line) else {
                continue;
            };
            match keyword.name {
                "group" => {
                    let lines = line.block.iter().flat_map(|block| &block.statements);
                    for word in lines.flat_map(words) {
                        members.extend(self.member(config, &members, word));
                    }
                }
                "track_interface" => {
                    let lines = self.tracked_interfaces(globals, line);
                    tracking.interfaces.extend(lines);
                }
                name @ ("track_script" | "track_file" | "track_process" | "track_bfd") => {
                    if let Some(kind) = track::kind_of(name) {
                        self.tracked(&mut tracking.trackers, kind, line);
                    }
                }
                "global_tracking" => {
                    self.renamed(line, "sync_group_tracking_weight");
                    tracking.keeps_weights = true;
                }
                "sync_group_tracking_weight" => tracking.keeps_weights = true,
                "notify_priority_changes" => {
                    set(&mut group.notify.priority_changes, self.switch(line));
                }
                "smtp_alert" => group.mail = self.switch(line).unwrap_or(group.mail),
                _ => {
                    if !self.group_notify(&mut group.notify, keyword.name, line) {
                        self.unbuilt(keyword, line);
                    }
                }
            }
        }
        tracking.apply(config, &members);
        self.track_with_group(&tracking, config, &members, name);
        self.add_group(config, group, &members, name);
    }

    /// The instance of that name, unless it is in a group already.
    fn member(
        &mut self,
        config: &Config,
        members: &[InstanceId],
        word: &Word,
    ) -> Option<InstanceId> {
        let mut instances = config.instances.iter();
        let found = instances.find(|(_, entry)| entry.instance.name == word.text);
        let Some((id, entry)) = found else {
            self.report(
                error(
                    word.span,
                    format!("there is no vrrp_instance `{}` that runs", word.text),
                )
                .label("left out of the group"),
            );
            return None;
        };
        if entry.instance.group.is_some() || members.contains(id) {
            self.report(
                error(
                    word.span,
                    format!("`{}` is a member of a group already", word.text),
                )
                .label("left out here"),
            );
            return None;
        }
        Some(*id)
    }

    /// The same of scripts, files and processes. What a member tracks itself counts as it says.
    fn track_with_group(
        &mut self,
        tracking: &Tracking,
        config: &mut Config,
        members: &[InstanceId],
        name: &Word,
    ) {
        let with_owner = has_owner(config, members);
        let of_group = tracking.trackers.iter().map(|line| Tracked {
            weight: if with_owner { 0 } else { line.weight },
            ..*line
        });
        for member in members {
            let Some(entry) = config.instances.get_mut(member) else {
                continue;
            };
            let instance = &mut entry.instance;
            let mut lines = std::mem::take(&mut instance.trackers);
            if !tracking.keeps_weights {
                let why = format!("`{}` is in a sync group", instance.name);
                lines = self.without_weights(lines, name.span, &why);
            }
            for line in of_group.clone() {
                if lines.iter().all(|one| one.tracker != line.tracker) {
                    lines.push(line);
                }
            }
            instance.trackers = lines;
        }
    }

    fn add_group(
        &mut self,
        config: &mut Config,
        group: GroupEntry,
        members: &[InstanceId],
        name: &Word,
    ) {
        let Some(first) = members.iter().min() else {
            self.report(
                error(
                    name.span,
                    format!("vrrp_sync_group `{}` has no members", name.text),
                )
                .label("it is left out")
                .help("add `group { INSTANCE ... }` with names of vrrp_instance blocks"),
            );
            return;
        };
        if members.len() == 1 {
            self.report(warning(
                name.span,
                format!("vrrp_sync_group `{}` has one member only", name.text),
            ));
        }
        let id = GroupId(first.0);
        for member in members {
            if let Some(entry) = config.instances.get_mut(member) {
                entry.instance.group = Some(id);
            }
        }
        config.groups.insert(id, group);
    }

    fn group_notify(&mut self, notify: &mut InstanceNotify, name: &str, line: &Statement) -> bool {
        let slot = match name {
            "notify_master" => &mut notify.master,
            "notify_backup" => &mut notify.backup,
            "notify_fault" => &mut notify.fault,
            "notify_stop" => &mut notify.stop,
            "notify" => &mut notify.any,
            _ => return false,
        };
        set(slot, self.script(line));
        true
    }
}

/// What the members track.
#[derive(Default)]
struct Tracking {
    /// `track_interface` of the group.
    interfaces: Vec<TrackedInterface>,
    /// `track_script`, `track_file` and `track_process` of the group.
    trackers: Vec<Tracked>,
    /// `sync_group_tracking_weight`.
    keeps_weights: bool,
}

impl Tracking {
    /// What the group tracks, every member does. Members of different priority would not be master on one
    /// side, so what they track themselves has no weight unless that is asked for; nor has anything in a
    /// group with an address owner.
    fn apply(&self, config: &mut Config, members: &[InstanceId]) {
        let with_owner = has_owner(config, members);
        for member in members {
            let Some(entry) = config.instances.get_mut(member) else {
                continue;
            };
            let own = &mut entry.instance.tracked_interfaces;
            if !self.keeps_weights {
                own.iter_mut().for_each(|tracked| tracked.weight = 0);
            }
            let of_group = self.interfaces.iter().cloned();
            own.extend(of_group.map(|mut tracked| {
                if with_owner {
                    tracked.weight = 0;
                }
                tracked
            }));
        }
    }
}

/// True when a member has priority 255.
fn has_owner(config: &Config, members: &[InstanceId]) -> bool {
    let is_owner = |id: &InstanceId| {
        let entry = config.instances.get(id);
        entry.is_some_and(|entry| entry.instance.priority.is_owner())
    };
    members.iter().any(is_owner)
}

/// All words of a line.
fn words(line: &Statement) -> impl Iterator<Item = &Word> {
    std::iter::once(&line.keyword).chain(&line.arguments)
}
