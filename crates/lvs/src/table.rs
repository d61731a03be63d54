//! The machine of the IPVS process: pools, what the kernel is believed to hold, and when to read it.
//!
//! The driver hands in an [`Input`], then takes every action until [`Table::poll_action`] has none,
//! then sleeps until [`Table::poll_timeout`]. Several inputs may be handed in before the actions are
//! taken: their kernel changes then travel in one batch. [`Action::Read`] and [`Action::Apply`] are each
//! answered by one input; until then no further kernel action comes.

mod configure;
mod drain;
mod kernel;
mod patrol;
mod sync;
mod timeouts;

pub use patrol::{RECONCILE, ROUND, SHARE, SLICE, STRETCH};
pub use sync::SyncDaemons;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use kr_model::ipvs::{Operation, SyncChange};
use kr_model::lvs::{
    ConnectionTimeouts, IpvsGlobal, PoolSnapshot, RealServer, Removal, ServiceKey, TimeoutSettings,
    Verdict, VirtualServer,
};
use kr_model::vrrp::State;
use kr_model::{CheckerId, Generation, InstanceId, Instant, RealServerId, VirtualServerId};

use crate::diff::Present;
use crate::event::{Event, Notice, Reason};
use crate::pool::{Decision, Pool};
use patrol::Patrol;
use sync::Sync;
use timeouts::Timeouts;

/// Time between two attempts while the kernel's IPVS cannot be used.
pub const RETRY: Duration = Duration::from_secs(5);

/// Operations in one [`Action::Apply`], so that neither side holds a whole table twice. The bound is
/// looked at after each service, whose operations stay together.
pub const BATCH: usize = 1024;

/// Services in one [`Action::Read`] of those whose state is not known.
pub const READ: usize = 256;

/// A whole configuration, checked by its sender's receiver: ids and service keys of virtual servers are
/// unique where they must be, and every real server belongs to a virtual server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Its number.
    pub generation: Generation,
    /// Settings of no service.
    pub global: IpvsGlobal,
    /// Virtual servers that are new, or changed, or one of whose real servers is.
    pub virtual_servers: Vec<VirtualServer>,
    /// All real servers of these.
    pub real_servers: Vec<RealServer>,
    /// Virtual servers that stay as they are, in the order of the configuration.
    pub kept: Vec<Kept>,
    /// What a predecessor of this process left behind.
    pub resume: Resume,
}

/// A virtual server of the configuration in force that stays with all of its real servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub id: VirtualServerId,
    /// How many of [`Configuration::virtual_servers`] come before it: the order decides where several share a
    /// firewall mark.
    pub place: usize,
}

/// What a predecessor of this process published; empty when there was none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resume {
    /// Pools, with all verdicts of each.
    pub pools: Vec<PoolSnapshot>,
    /// Virtual servers that a reload had taken away; what `pools` has of them drains.
    pub departed: Vec<VirtualServer>,
    /// Services that it may have left in the kernel and the configuration does not have.
    pub former: Vec<ServiceKey>,
    /// The kernel's own connection timeouts, when it had changed them.
    pub timeouts: Option<ConnectionTimeouts>,
    /// It may have started threads of `lvs_sync_daemon`.
    pub sync: bool,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The operation.
    pub operation: Operation,
    /// Why the kernel refused it, if it did.
    pub refused: Option<String>,
}

/// What happens to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A configuration takes effect; the first one, or a reload.
    Configure(Box<Configuration>),
    /// A checker spoke. Unknown checkers are ignored; see [`Table::knows`].
    Verdict(Verdict),
    /// Answer to [`Action::Read`].
    Read(Present),
    /// Further to [`Input::Read`]: destinations of the services read that have weight 0 and that nobody uses.
    Idle {
        /// The services that were read.
        services: Vec<ServiceKey>,
        /// The destinations.
        idle: BTreeSet<(ServiceKey, SocketAddr)>,
    },
    /// Answer to [`Action::ReadTimeouts`].
    Timeouts(ConnectionTimeouts),
    /// The instance that `lvs_sync_daemon` follows ([`Table::followed`]) is in this state.
    Followed(State),
    /// Answer to [`Action::ReadSync`].
    Sync(SyncDaemons),
    /// Answer to [`Action::ChangeSync`]: why the kernel refused, if it did.
    SyncChanged(Option<String>),
    /// Answer to [`Action::Read`] or [`Action::Apply`]: IPVS cannot be used, for this reason.
    Unusable(String),
    /// Answer to [`Action::Apply`]: one outcome per operation.
    Applied(Vec<Outcome>),
    /// The time of [`Table::poll_timeout`] came.
    Timer,
    /// The daemon stops.
    Shutdown,
}

/// What the driver must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read these services with their destinations.
    Read {
        /// Which; those that do not exist are left out of the answer.
        services: Vec<ServiceKey>,
    },
    /// Read the connection timeouts.
    ReadTimeouts,
    /// Carry these out, in order.
    Apply(Vec<Operation>),
    /// Read the threads that synchronise connections.
    ReadSync,
    /// Start or stop one of them.
    ChangeSync(SyncChange),
    /// Tell the parent.
    Notify(Notice),
    /// Write to the log.
    Log(Event),
    /// Tell the parent what a successor will need.
    Publish(Box<PoolSnapshot>),
    /// Tell the parent what connection timeouts the kernel had, before anything else is done; `None` once
    /// they are in force again.
    PublishTimeouts(Option<ConnectionTimeouts>),
    /// Services of former configurations are in the kernel for the connections of their servers
    /// (`drain_timeout`), or are not any more.
    PublishRemains(bool),
    /// This configuration is in force, as far as the kernel took it.
    Installed(Generation),
    /// Everything is cleaned up; exit.
    Finished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No configuration yet.
    Waiting,
    Running,
    /// Cleaning up.
    Stopping,
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    Unknown,
    Usable,
    Unusable,
}

/// A kernel action that was given out and not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum InFlight {
    Nothing,
    Reading {
        /// What is read.
        services: Vec<ServiceKey>,
        /// When, if it is a look after services that are known: what differs is somebody else's doing.
        since: Option<Instant>,
    },
    ReadingTimeouts,
    ReadingSync,
    ChangingSync(SyncChange),
    Applying,
}

/// What an operation that was refused was about.
type Object = (Option<ServiceKey>, Option<SocketAddr>);

/// The machine.
#[derive(Debug)]
pub struct Table {
    phase: Phase,
    generation: Generation,
    global: IpvsGlobal,
    pools: BTreeMap<VirtualServerId, Pool>,
    /// Pools behind each service; more than one when they share a group's mark.
    owners: BTreeMap<ServiceKey, Vec<VirtualServerId>>,
    checkers: BTreeMap<CheckerId, (VirtualServerId, RealServerId)>,
    kernel: Kernel,
    /// What the kernel holds of our services, and of those a reload took away.
    present: Present,
    /// Services that may differ from what is wanted.
    dirty: BTreeSet<ServiceKey>,
    /// Services with a refused operation: read and tried again at the next reading.
    refused: BTreeMap<Object, String>,
    flush: bool,
    /// Services that may be in the kernel already, whose state is not known yet.
    unread: BTreeSet<ServiceKey>,
    next_read: Option<Instant>,
    /// When the time of the next server that leaves is over.
    next_leaver: Option<Instant>,
    /// Destinations with weight 0 that nobody used when they were last read.
    idle: BTreeSet<(ServiceKey, SocketAddr)>,
    patrol: Patrol,
    in_flight: InFlight,
    queue: VecDeque<Action>,
    /// Pools to be published, with the checkers whose verdicts are new.
    publish: BTreeMap<VirtualServerId, BTreeSet<CheckerId>>,
    timeouts: Timeouts,
    sync: Sync,
    /// Why the last change of synchronisation was refused.
    sync_refused: Option<String>,
    /// A configuration whose operations are not all answered, and how many there were.
    installing: Option<usize>,
    /// Operations of the stop.
    last: Vec<Operation>,
    last_sync: Vec<SyncChange>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// A machine without configuration, which does nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            phase: Phase::Waiting,
            generation: Generation(0),
            global: IpvsGlobal {
                flush_at_start: false,
                keep_at_exit: false,
                removal: Removal::OneByOne,
                announce_at_start: false,
                timeouts: TimeoutSettings::NONE,
                sync: None,
            },
            pools: BTreeMap::new(),
            owners: BTreeMap::new(),
            checkers: BTreeMap::new(),
            kernel: Kernel::Unknown,
            present: Present::new(),
            dirty: BTreeSet::new(),
            refused: BTreeMap::new(),
            flush: false,
            unread: BTreeSet::new(),
            next_read: None,
            next_leaver: None,
            idle: BTreeSet::new(),
            patrol: Patrol::new(),
            in_flight: InFlight::Nothing,
            queue: VecDeque::new(),
            publish: BTreeMap::new(),
            timeouts: Timeouts::new(),
            sync: Sync::new(),
            sync_refused: None,
            installing: None,
            last: Vec::new(),
            last_sync: Vec::new(),
        }
    }

    /// The configuration in force; zero before the first.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether a checker belongs to the configuration.
    #[must_use]
    pub fn knows(&self, checker: CheckerId) -> bool {
        self.checkers.contains_key(&checker)
    }

    /// The instance whose state is wanted as [`Input::Followed`].
    #[must_use]
    pub fn followed(&self) -> Option<InstanceId> {
        self.sync.instance()
    }

    /// Takes an input. Take every action afterwards, or before the sleep at the latest.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match (self.phase, input) {
            // A stop under way only waits for the answer to its last operations.
            (Phase::Stopping, Input::Applied(outcomes)) => self.applied(outcomes),
            (Phase::Stopping, Input::Unusable(_)) => {
                self.in_flight = InFlight::Nothing;
                self.last_sync.clear();
            }
            (Phase::Stopping, Input::SyncChanged(refused)) => self.sync_changed(refused),
            (
                Phase::Stopping,
                Input::Configure(_)
                | Input::Verdict(_)
                | Input::Read(_)
                | Input::Idle { .. }
                | Input::Timeouts(_)
                | Input::Followed(_)
                | Input::Sync(_)
                | Input::Timer
                | Input::Shutdown,
            )
            | (Phase::Stopped, _) => {}
            (Phase::Waiting | Phase::Running, input) => match input {
                Input::Configure(configuration) => self.configure(*configuration, now),
                Input::Verdict(verdict) => self.verdict(&verdict),
                Input::Read(reading) => self.read(reading, now),
                Input::Idle { services, idle } => self.idle(&services, idle),
                Input::Timeouts(values) => {
                    self.in_flight = InFlight::Nothing;
                    self.timeouts.found(values);
                }
                Input::Followed(state) => self.sync.follow(state),
                Input::Sync(found) => {
                    self.in_flight = InFlight::Nothing;
                    self.sync.found(found);
                }
                Input::SyncChanged(refused) => self.sync_changed(refused),
                Input::Unusable(reason) => self.unusable(reason, now),
                Input::Applied(outcomes) => self.applied(outcomes),
                Input::Timer => self.timer(now),
                Input::Shutdown => self.shutdown(),
            },
        }
    }

    /// The next thing to do. What is to be told comes first, then what a successor must know, then what the kernel
    /// shall do: a process that ends in between is told its last verdicts again, tells again what the parent knows
    /// already, and never takes a change of the kernel back. The last words of a stop follow what was done.
    pub fn poll_action(&mut self) -> Option<Action> {
        let stopping = self.phase == Phase::Stopping;
        if stopping && let Some(action) = self.free_kernel_action() {
            return Some(action);
        }
        if let Some(action) = self.queue.pop_front() {
            return Some(action);
        }
        if let Some((id, checkers)) = self.publish.pop_first() {
            let parts = self.pools.get(&id)?.publication(&checkers);
            let actions = parts
                .into_iter()
                .map(|part| Action::Publish(Box::new(part)));
            self.queue.extend(actions);
            return self.queue.pop_front();
        }
        if let Some(action) = self.free_kernel_action() {
            return Some(action);
        }
        if self.in_flight != InFlight::Nothing {
            return None;
        }
        if let Some(operations) = self.installing.take() {
            if self.kernel == Kernel::Usable {
                let services = self.owners.len();
                let event = Event::Reconciled {
                    services,
                    operations,
                };
                self.queue.push_back(Action::Log(event));
            }
            return Some(Action::Installed(self.generation));
        }
        if self.phase == Phase::Stopping {
            self.phase = Phase::Stopped;
            return Some(Action::Finished);
        }
        None
    }

    fn free_kernel_action(&mut self) -> Option<Action> {
        if self.in_flight != InFlight::Nothing {
            return None;
        }
        self.kernel_action()
    }

    /// The real servers of a virtual server of the configuration in force.
    pub fn real_servers(&self, id: VirtualServerId) -> Option<impl Iterator<Item = &RealServer>> {
        let pool = self.pools.get(&id).filter(|pool| !pool.is_departed())?;
        Some(pool.servers.values().map(|server| &server.config))
    }

    /// The virtual server that a checker of the configuration in force belongs to.
    #[must_use]
    pub fn virtual_server_of(&self, checker: CheckerId) -> Option<VirtualServerId> {
        self.checkers.get(&checker).map(|(id, _)| *id)
    }

    /// When to hand in [`Input::Timer`]; to be asked again after every input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running => self.next_read.into_iter().chain(self.next_leaver).min(),
            Phase::Waiting | Phase::Stopping | Phase::Stopped => None,
        }
    }

    fn verdict(&mut self, verdict: &Verdict) {
        let Some(&(id, server_id)) = self.checkers.get(&verdict.checker) else {
            return;
        };
        let Some(pool) = self.pools.get_mut(&id) else {
            return;
        };
        let Some(change) = pool.tell(server_id, verdict) else {
            return;
        };
        if change.publish {
            self.publish.entry(id).or_default().insert(verdict.checker);
        }
        if let Some(up) = change.server {
            self.announce_server(id, server_id, up, Reason::Checks);
        }
        if let Some((from, to)) = change.weight {
            self.log_weight(id, server_id, from, to);
        }
        if change.server.is_some() || change.weight.is_some() {
            self.touch(id);
            self.decide(id, Reason::Checks);
        }
        if let Some(up) = change.checker {
            self.queue.push_back(Action::Notify(Notice::CheckerChanged {
                checker: verdict.checker,
                up,
                with_server: change.server.is_some(),
            }));
        }
    }

    /// Marks the services of a virtual server for comparison.
    fn touch(&mut self, id: VirtualServerId) {
        if let Some(pool) = self.pools.get(&id) {
            self.dirty.extend(pool.config.services.iter().copied());
        }
    }

    /// Logs a server's change and tells the parent.
    fn announce_server(
        &mut self,
        id: VirtualServerId,
        server_id: RealServerId,
        up: bool,
        reason: Reason,
    ) {
        let Some(pool) = self.pools.get(&id) else {
            return;
        };
        if let Some(server) = pool.servers.get(&server_id) {
            self.queue.push_back(Action::Log(Event::RealServer {
                server: server.config.label.clone(),
                service: pool.config.label.clone(),
                up,
                inhibited: server.config.inhibit_on_failure,
            }));
        }
        self.notify_server(server_id, up, reason);
    }

    fn notify_server(&mut self, real_server: RealServerId, up: bool, reason: Reason) {
        self.queue
            .push_back(Action::Notify(Notice::RealServerChanged {
                real_server,
                up,
                reason,
            }));
    }

    fn log_weight(&mut self, id: VirtualServerId, server_id: RealServerId, from: u32, to: u32) {
        let Some(pool) = self.pools.get(&id) else {
            return;
        };
        if let Some(server) = pool.servers.get(&server_id) {
            self.queue.push_back(Action::Log(Event::Weight {
                server: server.config.label.clone(),
                service: pool.config.label.clone(),
                from,
                to,
            }));
        }
    }

    /// Decides about a quorum again, and tells when it changed.
    fn decide(&mut self, id: VirtualServerId, reason: Reason) {
        let Some(pool) = self.pools.get_mut(&id) else {
            return;
        };
        if let Some(decision) = pool.decide() {
            self.touch(id);
            self.publish.entry(id).or_default();
            self.announce_quorum(id, decision, Some(reason));
        }
    }

    /// Logs a quorum decision and tells the parent when there is a `reason` to.
    fn announce_quorum(&mut self, id: VirtualServerId, decision: Decision, reason: Option<Reason>) {
        let Some(pool) = self.pools.get(&id) else {
            return;
        };
        let Decision {
            up,
            weight,
            threshold,
        } = decision;
        self.queue.push_back(Action::Log(Event::Quorum {
            service: pool.config.label.clone(),
            up,
            weight,
            threshold,
            sorry: pool.config.sorry_server.is_some(),
        }));
        if let Some(reason) = reason {
            let notice = Notice::QuorumChanged {
                virtual_server: id,
                up,
                weight,
                reason,
            };
            self.queue.push_back(Action::Notify(notice));
        }
    }

    /// Stop: what is removed (`lvs_flush_on_stop`) and told (`omega`).
    fn shutdown(&mut self) {
        let running = self.phase == Phase::Running;
        self.phase = Phase::Stopping;
        self.in_flight = InFlight::Nothing;
        self.dirty.clear();
        self.publish.clear();
        self.installing = None;
        if !running {
            return;
        }
        // The timeouts are no part of the table that `-I` keeps.
        let timeouts = self.timeouts.last().map(Operation::SetTimeouts);
        if self.kernel == Kernel::Usable {
            self.last.extend(timeouts);
            self.last_sync = self.sync.last();
        }
        if self.global.keep_at_exit {
            return;
        }
        if self.kernel == Kernel::Usable {
            self.last.extend(self.farewell());
        }
        let ids: Vec<_> = self
            .pools
            .values()
            .filter(|pool| pool.config.omega)
            .map(|pool| pool.config.id)
            .collect();
        for id in ids {
            let Some(pool) = self.pools.get(&id) else {
                continue;
            };
            let weight = pool.living_weight();
            let alive: Vec<_> = pool
                .servers
                .values()
                .filter(|server| server.alive())
                .map(|server| server.config.id)
                .collect();
            if self.global.removal == Removal::OneByOne {
                for server in alive {
                    self.notify_server(server, false, Reason::Shutdown);
                }
            }
            self.queue.push_back(Action::Notify(Notice::QuorumChanged {
                virtual_server: id,
                up: false,
                weight,
                reason: Reason::Shutdown,
            }));
        }
    }
}

#[cfg(test)]
mod tests;
