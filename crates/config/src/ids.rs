//! Ids that stay: what a new configuration has in common with the old one keeps its ids, so that the
//! children can tell a kept object from a new one. The parent calls [`adopt`] at start and at reload.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use kr_model::bfd;
use kr_model::check::Probe;
use kr_model::global::DaemonScript;
use kr_model::lvs::CheckerBinding;
use kr_model::net::Family;
use kr_model::script::ScriptUser;
use kr_model::track::TrackerSource;
use kr_model::units::{IfName, Vrid};
use kr_model::vrrp::{Instance, Transport};
use kr_model::{
    CheckerId, GroupId, InstanceId, RealServerId, ScriptId, TrackerId, VirtualServerId,
};

use crate::typed::{Config, Deletion, InstanceNotify, TrackerEntry};

/// Gives out ids; a number is never given out twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdAllocator {
    instances: u32,
    trackers: u32,
    virtual_servers: u32,
    real_servers: u32,
    checkers: u32,
    scripts: u32,
}

impl IdAllocator {
    fn take(counter: &mut u32) -> u32 {
        let id = *counter;
        *counter = counter.saturating_add(1);
        id
    }
}

/// What makes an instance the same one: its name and everything else may change.
type InstanceKey = (Vrid, Family, IfName, Option<IpAddr>);
/// What makes a BFD session the same one: its two ends.
type BfdKey = (IpAddr, Option<IpAddr>, bfd::Path);
/// What makes a virtual server the same one: its services, or group and number within the group.
type VirtualServerKey = (String, Family);
/// What makes a script the same one.
type ScriptKey = (PathBuf, Vec<String>, Option<ScriptUser>);

/// Renumbers a configuration that was just built: equal objects take over the ids of `previous`, others
/// get fresh ones.
///
/// An instance is equal by VRID, family, interface and unicast source; a BFD session by its two ends; a virtual server by its services
/// (or its group); a real server by address and port within its virtual server; a checker by what it does
/// within its real server, in whatever order; a script by command and account; a tracked script by its
/// script, a tracked file by its path, a tracked process by its pattern.
#[must_use]
pub fn adopt(previous: Option<&Config>, allocator: &mut IdAllocator, mut new: Config) -> Config {
    let scripts = script_ids(previous, allocator, &new);
    let script = |id: Option<ScriptId>| id.and_then(|id| scripts.get(&id).copied());
    let instances = instance_ids(previous, allocator, &new);
    let sessions = bfd_ids(previous, allocator, &new);
    let virtual_servers = virtual_server_ids(previous, allocator, &new);
    let real_servers = real_server_ids(previous, allocator, &new, &virtual_servers);
    let trackers = tracker_ids(previous, allocator, &new, &scripts);
    for entry in new.checkers.values_mut() {
        if let Probe::File(probe) = &mut entry.checker.probe
            && let Some(id) = trackers.get(&probe.file)
        {
            probe.file = *id;
        }
        if let Probe::Bfd { session, .. } = &mut entry.checker.probe
            && let Some(id) = sessions.get(session)
        {
            *session = *id;
        }
    }
    let checkers = checker_ids(previous, allocator, &new, &real_servers, &scripts);
    // A group has the number of its first member.
    let groups: BTreeMap<GroupId, GroupId> = instances
        .iter()
        .map(|(old, new)| (GroupId(old.0), GroupId(new.0)))
        .collect();
    let renamed = |notify: &InstanceNotify| InstanceNotify {
        master: script(notify.master),
        backup: script(notify.backup),
        fault: script(notify.fault),
        stop: script(notify.stop),
        any: script(notify.any),
        deleted: notify.deleted.map(|deletion| Deletion {
            script: script(deletion.script),
        }),
        lower_priority: script(notify.lower_priority),
        priority_changes: notify.priority_changes,
    };
    let mut global = new.global;
    for own in [&mut global.startup, &mut global.shutdown] {
        *own = own.and_then(|own| {
            let script = script(Some(own.script))?;
            Some(DaemonScript { script, ..own })
        });
    }
    for fifo in &mut global.fifos {
        fifo.reader = script(fifo.reader);
    }
    let mut ipvs = new.ipvs;
    if let Some(sync) = &mut ipvs.sync {
        sync.instance = sync.instance.and_then(|id| instances.get(&id).copied());
    }
    Config {
        global,
        vrrp: new.vrrp,
        checker: new.checker,
        ipvs,
        statics: new.statics,
        instances: renumber(new.instances, &instances, |id, entry| {
            entry.instance.id = id;
            let group = entry.instance.group;
            entry.instance.group = group.and_then(|group| groups.get(&group).copied());
            for line in &mut entry.instance.trackers {
                let new = sessions.get(&line.tracker);
                if let Some(tracker) = new.or_else(|| trackers.get(&line.tracker)) {
                    line.tracker = *tracker;
                }
            }
            entry.notify = renamed(&entry.notify);
        }),
        groups: renumber(new.groups, &groups, |_, entry| {
            entry.notify = renamed(&entry.notify);
        }),
        bfd: renumber(new.bfd, &sessions, |id, entry| entry.session.id = id),
        virtual_servers: renumber(new.virtual_servers, &virtual_servers, |id, entry| {
            entry.virtual_server.id = id;
            entry.quorum_up = script(entry.quorum_up);
            entry.quorum_down = script(entry.quorum_down);
        }),
        real_servers: renumber(new.real_servers, &real_servers, |id, entry| {
            let server = &mut entry.real_server;
            server.id = id;
            if let Some(owner) = virtual_servers.get(&server.virtual_server) {
                server.virtual_server = *owner;
            }
            let bound = server.checkers.iter().filter_map(|binding| {
                let id = checkers.get(&binding.id)?;
                Some(CheckerBinding {
                    id: *id,
                    alpha: binding.alpha,
                })
            });
            server.checkers = bound.collect();
            entry.notify_up = script(entry.notify_up);
            entry.notify_down = script(entry.notify_down);
        }),
        checkers: renumber(new.checkers, &checkers, |id, entry| {
            entry.checker.id = id;
            if let Some(owner) = real_servers.get(&entry.real_server) {
                entry.real_server = *owner;
            }
            entry.script = script(entry.script);
        }),
        trackers: renumber(new.trackers, &trackers, |_, entry| {
            if let TrackerSource::Script(tracker) = &mut entry.source
                && let Some(script) = scripts.get(&tracker.script)
            {
                tracker.script = *script;
            }
        }),
        scripts: renumber(new.scripts, &scripts, |id, entry| entry.id = id),
    }
}

/// Moves every entry to its new id.
fn renumber<Id: Ord + Copy, Entry>(
    entries: BTreeMap<Id, Entry>,
    ids: &BTreeMap<Id, Id>,
    mut change: impl FnMut(Id, &mut Entry),
) -> BTreeMap<Id, Entry> {
    let moved = entries.into_iter().filter_map(|(old, mut entry)| {
        let id = *ids.get(&old)?;
        change(id, &mut entry);
        Some((id, entry))
    });
    moved.collect()
}

/// Pairs new objects with old ones of the same key; several of one key pair up in order.
fn pair<Key: Ord, Id: Ord + Copy>(
    old: impl Iterator<Item = (Key, Id)>,
    new: impl Iterator<Item = (Key, Id)>,
    mut fresh: impl FnMut() -> Id,
) -> BTreeMap<Id, Id> {
    let mut known: BTreeMap<Key, VecDeque<Id>> = BTreeMap::new();
    for (key, id) in old {
        known.entry(key).or_default().push_back(id);
    }
    let mut taken = |key: &Key| known.get_mut(key).and_then(VecDeque::pop_front);
    new.map(|(key, id)| (id, taken(&key).unwrap_or_else(&mut fresh)))
        .collect()
}

fn script_ids(
    previous: Option<&Config>,
    allocator: &mut IdAllocator,
    new: &Config,
) -> BTreeMap<ScriptId, ScriptId> {
    fn keys(config: &Config) -> impl Iterator<Item = (ScriptKey, ScriptId)> {
        let scripts = config.scripts.iter();
        scripts.map(|(id, s)| {
            (
                (s.program.clone(), s.arguments.clone(), s.user.clone()),
                *id,
            )
        })
    }
    let fresh = || ScriptId(IdAllocator::take(&mut allocator.scripts));
    pair(previous.into_iter().flat_map(keys), keys(new), fresh)
}

/// What makes a tracked object the same one: names and numbers may change.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum TrackerKey {
    Script(Option<ScriptId>),
    File(PathBuf),
    Process(String),
}

fn tracker_ids(
    previous: Option<&Config>,
    allocator: &mut IdAllocator,
    new: &Config,
    scripts: &BTreeMap<ScriptId, ScriptId>,
) -> BTreeMap<TrackerId, TrackerId> {
    fn key(entry: &TrackerEntry, id: impl Fn(ScriptId) -> Option<ScriptId>) -> TrackerKey {
        match &entry.source {
            TrackerSource::Script(tracker) => TrackerKey::Script(id(tracker.script)),
            TrackerSource::File(tracker) => TrackerKey::File(tracker.path.clone()),
            // A pattern has no order, but its text has.
            TrackerSource::Process(tracker) => {
                TrackerKey::Process(format!("{:?}", tracker.pattern))
            }
        }
    }
    let old = previous.into_iter().flat_map(|config| &config.trackers);
    let old = old.map(|(id, entry)| (key(entry, Some), *id));
    let new = new.trackers.iter();
    let new = new.map(|(id, entry)| (key(entry, |script| scripts.get(&script).copied()), *id));
    pair(old, new, || {
        TrackerId(IdAllocator::take(&mut allocator.trackers))
    })
}

fn instance_ids(
    previous: Option<&Config>,
    allocator: &mut IdAllocator,
    new: &Config,
) -> BTreeMap<InstanceId, InstanceId> {
    fn key(instance: &Instance) -> InstanceKey {
        let source = match &instance.transport {
            Transport::Unicast { source, .. } => *source,
            Transport::Multicast { .. } => None,
        };
        (
            instance.vrid,
            instance.family,
            instance.interface.clone(),
            source,
        )
    }
    fn keys(config: &Config) -> impl Iterator<Item = (InstanceKey, InstanceId)> {
        config
            .instances
            .iter()
            .map(|(id, entry)| (key(&entry.instance), *id))
    }
    let fresh = || InstanceId(IdAllocator::take(&mut allocator.instances));
    pair(previous.into_iter().flat_map(keys), keys(new), fresh)
}

fn bfd_ids(
    previous: Option<&Config>,
    allocator: &mut IdAllocator,
    new: &Config,
) -> BTreeMap<TrackerId, TrackerId> {
    fn keys(config: &Config) -> impl Iterator<Item = (BfdKey, TrackerId)> {
        config.bfd.iter().map(|(id, entry)| {
            let session = &entry.session;
            ((session.neighbor, session.source, session.path), *id)
        })
    }
    let fresh = || TrackerId(IdAllocator::take(&mut allocator.trackers));
    pair(previous.into_iter().flat_map(keys), keys(new), fresh)
}

fn virtual_server_ids(
    previous: Option<&Config>,
    allocator: &mut IdAllocator,
    new: &Config,
) -> BTreeMap<VirtualServerId, VirtualServerId> {
    fn keys(config: &Config) -> impl Iterator<Item = (VirtualServerKey, VirtualServerId)> {
        config.virtual_servers.iter().map(|(id, entry)| {
            let server = &entry.virtual_server;
            let family = server
                .services
                .first()
                .map_or(Family::Inet, |service| service.family());
            ((server.label.clone(), family), *id)
        })
    }
    let fresh = || VirtualServerId(IdAllocator::take(&mut allocator.virtual_servers));
    pair(previous.into_iter().flat_map(keys), keys(new), fresh)
}

fn real_server_ids(
    previous: Option<&Config>,
    allocator: &mut IdAllocator,
    new: &Config,
    owners: &BTreeMap<VirtualServerId, VirtualServerId>,
) -> BTreeMap<RealServerId, RealServerId> {
    let key = |owner: VirtualServerId, address: SocketAddr| (owner, address);
    let old = previous.into_iter().flat_map(|config| &config.real_servers);
    let old = old.map(|(id, entry)| {
        (
            key(entry.real_server.virtual_server, entry.real_server.address),
            *id,
        )
    });
    let new = new.real_servers.iter().filter_map(|(id, entry)| {
        let owner = owners.get(&entry.real_server.virtual_server)?;
        Some((key(*owner, entry.real_server.address), *id))
    });
    pair(old, new, || {
        RealServerId(IdAllocator::take(&mut allocator.real_servers))
    })
}

fn checker_ids(
    previous: Option<&Config>,
    allocator: &mut IdAllocator,
    new: &Config,
    owners: &BTreeMap<RealServerId, RealServerId>,
    scripts: &BTreeMap<ScriptId, ScriptId>,
) -> BTreeMap<CheckerId, CheckerId> {
    // Checkers of one server are few, so comparing each with each is cheap.
    type Known<'a> = Vec<(&'a Probe, Option<ScriptId>, CheckerId)>;
    let mut known: BTreeMap<RealServerId, Known<'_>> = BTreeMap::new();
    for (id, entry) in previous.into_iter().flat_map(|config| &config.checkers) {
        let list = known.entry(entry.real_server).or_default();
        list.push((&entry.checker.probe, entry.script, *id));
    }
    let mut ids = BTreeMap::new();
    for (id, entry) in &new.checkers {
        let script = entry
            .script
            .and_then(|script| scripts.get(&script).copied());
        let list = owners
            .get(&entry.real_server)
            .and_then(|owner| known.get_mut(owner));
        let kept = list.and_then(|list| {
            let same = |(probe, other, _): &(&Probe, Option<ScriptId>, CheckerId)| {
                *other == script && same_check(probe, &entry.checker.probe)
            };
            let index = list.iter().position(same)?;
            Some(list.remove(index).2)
        });
        let fresh = || CheckerId(IdAllocator::take(&mut allocator.checkers));
        ids.insert(*id, kept.unwrap_or_else(fresh));
    }
    ids
}

/// Equal in what is checked; the time limit of a program may change, and what the number in a file means.
fn same_check(old: &Probe, new: &Probe) -> bool {
    match (old, new) {
        (Probe::Misc { dynamic: old, .. }, Probe::Misc { dynamic: new, .. }) => old == new,
        (Probe::File(old), Probe::File(new)) => old.file == new.file,
        (old, new) => old == new,
    }
}

#[cfg(test)]
mod tests;
