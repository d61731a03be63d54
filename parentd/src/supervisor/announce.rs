//! What others are told of a change: notify scripts, then the lines of the FIFOs, then mail.

use std::collections::btree_map::Entry;

use kr_config::typed::{Config, InstanceEntry, InstanceNotify};
use kr_ipc::edge::parentd_ipvsd::ServerReason;
use kr_model::vrrp::{Cause, Snapshot, State};
use kr_model::{GroupId, InstanceId, RealServerId, ScriptId, VirtualServerId};

use crate::alert;
use crate::fifos::{Subject, line};
use crate::scripts::queue::{Job, Object};
use crate::supervisor::Supervisor;
use crate::supervisor::handlers::Misbehaviour;
use crate::told::Untold;

/// The word for an instance that a reload removed, when it has `notify_deleted`.
const DELETED: &str = "DELETED";
/// The word for a master that hears adverts of lower priority.
const LOWER_PRIORITY_HEARD: &str = "MASTER_RX_LOWER_PRI";

impl Supervisor {
    /// An instance says that it changed its state.
    pub(super) fn instance_changed(
        &mut self,
        id: InstanceId,
        to: State,
        priority: u8,
        cause: &Cause,
    ) -> Result<(), Misbehaviour> {
        let (entry, _) = self
            .find_with(|config| config.instances.get(&id))
            .ok_or(Misbehaviour::Instance(id))?;
        let name = &entry.instance.name;
        log::debug!("{name} is {} with priority {priority}: {cause}", to.word());
        if self.told.is_news(id, to) {
            self.announce_instance(id, to, priority, Some(cause));
        }
        Ok(())
    }

    /// A master hears a router that loses the election against it: `notify_master_rx_lower_pri`.
    pub(super) fn lower_priority_heard(&mut self, id: InstanceId) -> Result<(), Misbehaviour> {
        let (entry, _) = self
            .find_with(|config| config.instances.get(&id))
            .ok_or(Misbehaviour::Instance(id))?;
        let published = self.published.instances.get(&id);
        let priority = published.map_or(entry.instance.priority, |snapshot| snapshot.priority);
        let name = &entry.instance.name;
        let line = line::instance(name, LOWER_PRIORITY_HEARD, priority.get());
        let script = entry.notify.lower_priority;
        self.fifos.write(Subject::Vrrp, &line);
        self.run_for(Object::Overlap(id), script);
        Ok(())
    }

    /// A sync group says that it changed its state.
    pub(super) fn group_changed(&mut self, id: GroupId, to: State) -> Result<(), Misbehaviour> {
        let (entry, _) = self
            .find_with(|config| config.groups.get(&id))
            .ok_or(Misbehaviour::Group(id))?;
        log::info!("sync group {} is {}", entry.name, to.word());
        if self.told.is_news_of_group(id, to) {
            self.announce_group(id, to);
        }
        Ok(())
    }

    /// The VRRP process runs a configuration: makes good what its predecessor may have left unsaid.
    pub(super) fn announce_untold(&mut self) {
        for untold in self.told.process_ready(&self.config, &self.published) {
            match untold {
                Untold::Instance(id, state, priority) => {
                    self.announce_instance(id, state, priority, None);
                }
                Untold::Group(id, state) => self.announce_group(id, state),
            }
        }
    }

    /// `fifo_write_vrrp_states_on_reload`: every state, also unchanged ones.
    pub(super) fn write_states(&mut self) {
        if !self.config.global.fifo_states_on_reload {
            return;
        }
        for state in self.told.all(&self.config, &self.published) {
            let line = match state {
                Untold::Instance(id, state, priority) => self
                    .config
                    .instances
                    .get(&id)
                    .map(|entry| line::instance(&entry.instance.name, state.word(), priority)),
                Untold::Group(id, state) => self
                    .config
                    .groups
                    .get(&id)
                    .map(|entry| line::group(&entry.name, state.word())),
            };
            line.iter()
                .for_each(|line| self.fifos.write(Subject::Vrrp, line));
        }
    }

    fn announce_instance(
        &mut self,
        id: InstanceId,
        to: State,
        priority: u8,
        cause: Option<&Cause>,
    ) {
        let removed = !self.config.instances.contains_key(&id) && cause == Some(&Cause::Shutdown);
        let Some((entry, config)) = self.find_with(|config| config.instances.get(&id)) else {
            return;
        };
        let name = &entry.instance.name;
        let deletion = entry.notify.deleted.as_ref().filter(|_| removed);
        let (own, word) = match deletion {
            Some(deletion) => (deletion.script, DELETED),
            None => (script_of(&entry.notify, to), to.word()),
        };
        let jobs = jobs(&entry.notify, own, ["INSTANCE", name, word], priority);
        let line = line::instance(name, word, priority);
        let mail = match deletion {
            Some(_) => alert::of_deletion(config, entry),
            None => alert::of_instance(config, entry, to),
        };
        self.scripts
            .notify(Object::Instance(id), jobs, &self.events, self.now);
        self.fifos.write(Subject::Vrrp, &line);
        self.mail(mail);
    }

    fn announce_group(&mut self, id: GroupId, to: State) {
        let Some((entry, config)) = self.find_with(|config| config.groups.get(&id)) else {
            return;
        };
        let own = script_of(&entry.notify, to);
        let jobs = jobs(&entry.notify, own, ["GROUP", &entry.name, to.word()], 0);
        let line = line::group(&entry.name, to.word());
        let mail = alert::of_group(config, entry, to);
        self.scripts
            .notify(Object::Group(id), jobs, &self.events, self.now);
        self.fifos.write(Subject::Vrrp, &line);
        self.mail(mail);
    }

    /// An instance published itself: with `notify_priority_changes` another priority in the same state is
    /// told to the FIFOs.
    pub(super) fn snapshot_came(&mut self, snapshot: Snapshot) -> Result<(), Misbehaviour> {
        let id = snapshot.id;
        let (entry, config) = self
            .find_with(|config| config.instances.get(&id))
            .ok_or(Misbehaviour::Instance(id))?;
        let before = self.published.instances.get(&id);
        let state = snapshot.role.state();
        let changed = before.is_some_and(|before| {
            before.role.state() == state && before.priority != snapshot.priority
        });
        let word = match state {
            State::Master => Some("MASTER_PRIORITY"),
            State::Backup => Some("BACKUP_PRIORITY"),
            State::Init | State::Fault | State::Stop => None,
        };
        let line = word
            .filter(|_| changed && tells_priority_changes(config, entry))
            .map(|word| line::instance(&entry.instance.name, word, snapshot.priority.get()));
        match self.published.instances.entry(id) {
            // In its place: very many come and go.
            Entry::Occupied(mut known) => **known.get_mut() = snapshot,
            Entry::Vacant(new) => drop(new.insert(Box::new(snapshot))),
        }
        line.iter()
            .for_each(|line| self.fifos.write(Subject::Vrrp, line));
        Ok(())
    }

    /// A real server went up or down.
    pub(super) fn server_changed(
        &mut self,
        id: RealServerId,
        up: bool,
        reason: ServerReason,
    ) -> Result<(), Misbehaviour> {
        let (entry, config) = self
            .find_with(|config| config.real_servers.get(&id))
            .ok_or(Misbehaviour::RealServer(id))?;
        let label = &entry.real_server.label;
        log::debug!("{label} is {} ({reason:?})", if up { "up" } else { "down" });
        let script = if up {
            entry.notify_up
        } else {
            entry.notify_down
        };
        let service = config
            .virtual_servers
            .get(&entry.real_server.virtual_server);
        let line =
            service.map(|service| line::real_server(label, &service.virtual_server.label, up));
        let known = self.published.servers_up.insert(id, up);
        // A successor of an IPVS process that died after it said this says it again.
        if known == Some(up) && reason == ServerReason::Checks {
            return Ok(());
        }
        self.run_for(Object::RealServer(id), script);
        line.iter()
            .for_each(|line| self.fifos.write(Subject::Lvs, line));
        Ok(())
    }

    /// A virtual server gained or lost its quorum.
    pub(super) fn quorum_changed(
        &mut self,
        id: VirtualServerId,
        up: bool,
        weight: u64,
        reason: ServerReason,
    ) -> Result<(), Misbehaviour> {
        let (entry, config) = self
            .find_with(|config| config.virtual_servers.get(&id))
            .ok_or(Misbehaviour::VirtualServer(id))?;
        let label = &entry.virtual_server.label;
        let gained = if up { "has" } else { "lacks" };
        log::debug!("{label} {gained} quorum with weight {weight} ({reason:?})");
        let script = if up {
            entry.quorum_up
        } else {
            entry.quorum_down
        };
        let mail = alert::of_quorum(config, entry, up, weight, reason);
        let line = line::virtual_server(label, up);
        let known = self.published.quorum.insert(id, up);
        if known == Some(up) && reason == ServerReason::Checks {
            return Ok(());
        }
        self.run_for(Object::VirtualServer(id), script);
        self.fifos.write(Subject::Lvs, &line);
        self.mail(mail);
        Ok(())
    }

    fn run_for(&mut self, object: Object, script: Option<ScriptId>) {
        let job = script.map(plain);
        self.scripts
            .notify(object, job.into_iter().collect(), &self.events, self.now);
    }
}

/// Whether changes of its priority are told: as the instance says, else its group, else `global_defs`.
fn tells_priority_changes(config: &Config, entry: &InstanceEntry) -> bool {
    let group = entry
        .instance
        .group
        .and_then(|group| config.groups.get(&group));
    entry
        .notify
        .priority_changes
        .or_else(|| group?.notify.priority_changes)
        .unwrap_or(config.global.tells_priority_changes)
}

const fn script_of(notify: &InstanceNotify, to: State) -> Option<ScriptId> {
    match to {
        State::Init => None,
        State::Master => notify.master,
        State::Backup => notify.backup,
        State::Fault => notify.fault,
        State::Stop => notify.stop,
    }
}

const fn plain(script: ScriptId) -> Job {
    Job {
        script,
        appended: Vec::new(),
    }
}

/// The scripts for a change of an instance or a group, in the order that keepalived runs them: that of the
/// state, then the generic one with these words and the priority.
fn jobs(
    notify: &InstanceNotify,
    own: Option<ScriptId>,
    words: [&str; 3],
    priority: u8,
) -> Vec<Job> {
    let words = words.map(str::to_owned).into_iter();
    let any = notify.any.map(|script| Job {
        script,
        appended: words.chain([priority.to_string()]).collect(),
    });
    own.map(plain).into_iter().chain(any).collect()
}
