//! Ids that stay: what a new configuration has in common with the old one keeps its ids, so that the
//! children can tell a kept object from a new one. The parent calls [`adopt`] at start and at reload.

use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use kr_model::bfd;
use kr_model::check::Probe;
use kr_model::global::DaemonScript;
use kr_model::net::Family;
use kr_model::script::ScriptUser;
use kr_model::track::TrackerSource;
use kr_model::units::{IfName, Vrid};
use kr_model::vrrp::Transport;
use kr_model::{
    CheckerId, GroupId, InstanceId, RealServerId, ScriptId, TrackerId, VirtualServerId,
};

use serde::{Deserialize, Serialize};

use crate::typed::{Config, Deletion, InstanceNotify};

/// Gives out ids; a number is never given out twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
/// What makes a real server the same one.
type RealServerKey = (VirtualServerId, SocketAddr);
/// What makes a checker the same one.
type CheckerKey = (RealServerId, Option<ScriptId>, Check);
/// What makes a script the same one.
type ScriptKey = (PathBuf, Vec<String>, Option<ScriptUser>);

/// What makes a tracked object the same one: names and numbers may change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum TrackerKey {
    Script(Option<ScriptId>),
    File(PathBuf),
    Process(String),
}

/// What a checker does; the time limit of a program may change, and what the number in a file means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Check {
    Program {
        dynamic: bool,
    },
    File(TrackerId),
    /// By fingerprint. Two that share one by accident are one checker that changed, no more.
    Other(u64),
}

impl Check {
    fn of(probe: &Probe) -> Self {
        if let Probe::Misc { dynamic, .. } = probe {
            Self::Program { dynamic: *dynamic }
        } else if let Probe::File(probe) = probe {
            Self::File(probe.file)
        } else {
            let mut fingerprint = Fingerprint::default();
            probe.hash(&mut fingerprint);
            Self::Other(fingerprint.finish())
        }
    }
}

/// FNV-1a. It is the same in another run of the program, which an upgrade needs and [`std`] does not promise.
struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The objects of a configuration, by what makes them the same ones: enough to give those of another one
/// their ids. An in-place upgrade hands it over instead of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    scripts: Vec<(ScriptKey, ScriptId)>,
    trackers: Vec<(TrackerKey, TrackerId)>,
    instances: Vec<(InstanceKey, InstanceId)>,
    bfd: Vec<(BfdKey, TrackerId)>,
    virtual_servers: Vec<(VirtualServerKey, VirtualServerId)>,
    real_servers: Vec<(RealServerKey, RealServerId)>,
    checkers: Vec<(CheckerKey, CheckerId)>,
}

impl Known {
    /// The objects of `config`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            scripts: script_keys(config).collect(),
            trackers: tracker_keys(config, Some).collect(),
            instances: instance_keys(config).collect(),
            bfd: bfd_keys(config).collect(),
            virtual_servers: virtual_server_keys(config).collect(),
            real_servers: real_server_keys(config, Some).collect(),
            checkers: checker_keys(config, Some, Some).collect(),
        }
    }
}

/// Renumbers a configuration that was just built: equal objects take over the ids of `previous`, others
/// get fresh ones.
///
/// An instance is equal by VRID, family, interface and unicast source; a BFD session by its two ends; a virtual server by its services
/// (or its group); a real server by address and port within its virtual server; a checker by what it does
/// within its real server, in whatever order; a script by command and account; a tracked script by its
/// script, a tracked file by its path, a tracked process by its pattern.
#[must_use]
pub fn adopt(previous: Option<&Known>, allocator: &mut IdAllocator, mut new: Config) -> Config {
    let none = Known::default();
    let old = previous.unwrap_or(&none);
    let take = IdAllocator::take;
    let scripts = pair(&old.scripts, script_keys(&new), || {
        ScriptId(take(&mut allocator.scripts))
    });
    let script_of = |id: ScriptId| scripts.get(id);
    let script = |id: Option<ScriptId>| id.and_then(script_of);
    let instances = pair(&old.instances, instance_keys(&new), || {
        InstanceId(take(&mut allocator.instances))
    });
    let sessions = pair(&old.bfd, bfd_keys(&new), || {
        TrackerId(take(&mut allocator.trackers))
    });
    let virtual_servers = pair(&old.virtual_servers, virtual_server_keys(&new), || {
        VirtualServerId(take(&mut allocator.virtual_servers))
    });
    let owner_of = |id: VirtualServerId| virtual_servers.get(id);
    let real_servers = pair(&old.real_servers, real_server_keys(&new, owner_of), || {
        RealServerId(take(&mut allocator.real_servers))
    });
    let trackers = pair(&old.trackers, tracker_keys(&new, script_of), || {
        TrackerId(take(&mut allocator.trackers))
    });
    for entry in new.checkers.values_mut() {
        if let Probe::File(probe) = &mut entry.checker.probe
            && let Some(id) = trackers.get(probe.file)
        {
            probe.file = id;
        }
        if let Probe::Bfd { session, .. } = &mut entry.checker.probe
            && let Some(id) = sessions.get(*session)
        {
            *session = id;
        }
    }
    let server_of = |id: RealServerId| real_servers.get(id);
    let keys = checker_keys(&new, server_of, script_of);
    let checkers = pair(&old.checkers, keys, || {
        CheckerId(take(&mut allocator.checkers))
    });
    // A group has the number of its first member.
    let groups = instances.map(|id| GroupId(id.0));
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
        sync.instance = sync.instance.and_then(|id| instances.get(id));
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
            entry.instance.group = group.and_then(|group| groups.get(group));
            for line in &mut entry.instance.trackers {
                let new = sessions.get(line.tracker);
                if let Some(tracker) = new.or_else(|| trackers.get(line.tracker)) {
                    line.tracker = tracker;
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
            if let Some(owner) = virtual_servers.get(server.virtual_server) {
                server.virtual_server = owner;
            }
            server.checkers.retain_mut(|binding| {
                let new = checkers.get(binding.id);
                binding.id = new.unwrap_or(binding.id);
                new.is_some()
            });
            entry.notify_up = script(entry.notify_up);
            entry.notify_down = script(entry.notify_down);
        }),
        checkers: renumber(new.checkers, &checkers, |id, entry| {
            entry.checker.id = id;
            if let Some(owner) = real_servers.get(entry.real_server) {
                entry.real_server = owner;
            }
            entry.script = script(entry.script);
        }),
        trackers: renumber(new.trackers, &trackers, |_, entry| {
            if let TrackerSource::Script(tracker) = &mut entry.source
                && let Some(script) = scripts.get(tracker.script)
            {
                tracker.script = script;
            }
        }),
        scripts: renumber(new.scripts, &scripts, |id, entry| entry.id = id),
    }
}

/// Ids of the objects of a kind before and after, in the order of those before.
struct Renamed<Id>(Vec<(Id, Id)>);

impl<Id: Ord + Copy> Renamed<Id> {
    fn get(&self, id: Id) -> Option<Id> {
        let at = self.0.binary_search_by_key(&id, |(before, _)| *before);
        self.0.get(at.ok()?).map(|(_, after)| *after)
    }

    /// The same for objects with the numbers of these.
    fn map<Other: Ord + Copy>(&self, to: impl Fn(Id) -> Other) -> Renamed<Other> {
        let pairs = self.0.iter();
        Renamed(pairs.map(|(a, b)| (to(*a), to(*b))).collect())
    }
}

/// Moves every entry to its new id, into a map whose nodes are full: those of one that grew are half empty, and the
/// parent keeps the configuration for as long as it is in force.
fn renumber<Id: Ord + Copy, Entry>(
    entries: BTreeMap<Id, Entry>,
    ids: &Renamed<Id>,
    mut change: impl FnMut(Id, &mut Entry),
) -> BTreeMap<Id, Entry> {
    let moved = entries.into_iter().filter_map(|(old, mut entry)| {
        let id = ids.get(old)?;
        change(id, &mut entry);
        Some((id, entry))
    });
    moved.collect()
}

/// Pairs new objects with old ones of the same key; several of one key pair up in order.
fn pair<Key: Ord, Id: Ord + Copy>(
    old: &[(Key, Id)],
    new: impl Iterator<Item = (Key, Id)>,
    mut fresh: impl FnMut() -> Id,
) -> Renamed<Id> {
    // Both are nearly in the order of their keys mostly, which sorting is quick with.
    let mut old: Vec<&(Key, Id)> = old.iter().collect();
    old.sort_by(|a, b| a.0.cmp(&b.0));
    let mut known = old.into_iter().peekable();
    let mut new: Vec<(Key, Id)> = new.collect();
    new.sort_by(|a, b| a.0.cmp(&b.0));
    let matched = new.into_iter().map(|(key, id)| {
        while known.next_if(|(old, _)| *old < key).is_some() {}
        (id, known.next_if(|(old, _)| *old == key).map(|(_, id)| *id))
    });
    let mut matched: Vec<(Id, Option<Id>)> = matched.collect();
    // Fresh ids in the order of the file.
    matched.sort_by_key(|(id, _)| *id);
    let pairs = matched.into_iter();
    Renamed(
        pairs
            .map(|(id, known)| (id, known.unwrap_or_else(&mut fresh)))
            .collect(),
    )
}

fn script_keys(config: &Config) -> impl Iterator<Item = (ScriptKey, ScriptId)> {
    config.scripts.iter().map(|(id, script)| {
        let key = (
            script.program.clone(),
            script.arguments.clone(),
            script.user.clone(),
        );
        (key, *id)
    })
}

fn tracker_keys(
    config: &Config,
    script: impl Fn(ScriptId) -> Option<ScriptId>,
) -> impl Iterator<Item = (TrackerKey, TrackerId)> {
    config.trackers.iter().map(move |(id, entry)| {
        let key = match &entry.source {
            TrackerSource::Script(tracker) => TrackerKey::Script(script(tracker.script)),
            TrackerSource::File(tracker) => TrackerKey::File(tracker.path.clone()),
            // A pattern has no order, but its text has.
            TrackerSource::Process(tracker) => {
                TrackerKey::Process(format!("{:?}", tracker.pattern))
            }
        };
        (key, *id)
    })
}

fn instance_keys(config: &Config) -> impl Iterator<Item = (InstanceKey, InstanceId)> {
    config.instances.iter().map(|(id, entry)| {
        let instance = &entry.instance;
        let source = match &instance.transport {
            Transport::Unicast { source, .. } => *source,
            Transport::Multicast { .. } => None,
        };
        let interface = instance.interface.clone();
        ((instance.vrid, instance.family, interface, source), *id)
    })
}

fn bfd_keys(config: &Config) -> impl Iterator<Item = (BfdKey, TrackerId)> {
    config.bfd.iter().map(|(id, entry)| {
        let session = &entry.session;
        ((session.neighbor, session.source, session.path), *id)
    })
}

fn virtual_server_keys(
    config: &Config,
) -> impl Iterator<Item = (VirtualServerKey, VirtualServerId)> {
    config.virtual_servers.iter().map(|(id, entry)| {
        let server = &entry.virtual_server;
        let first = server.services.first();
        let family = first.map_or(Family::Inet, |service| service.family());
        ((server.label.clone(), family), *id)
    })
}

fn real_server_keys(
    config: &Config,
    owner: impl Fn(VirtualServerId) -> Option<VirtualServerId>,
) -> impl Iterator<Item = (RealServerKey, RealServerId)> {
    config.real_servers.iter().filter_map(move |(id, entry)| {
        let owner = owner(entry.real_server.virtual_server)?;
        Some(((owner, entry.real_server.address), *id))
    })
}

fn checker_keys(
    config: &Config,
    owner: impl Fn(RealServerId) -> Option<RealServerId>,
    script: impl Fn(ScriptId) -> Option<ScriptId>,
) -> impl Iterator<Item = (CheckerKey, CheckerId)> {
    config.checkers.iter().filter_map(move |(id, entry)| {
        let owner = owner(entry.real_server)?;
        let script = entry.script.and_then(&script);
        Some(((owner, script, Check::of(&entry.checker.probe)), *id))
    })
}

#[cfg(test)]
mod tests;
