//! The machine against a model of the kernel.

mod kept;
mod kernel;
mod killed;
mod pools;
mod random;
mod reload;
mod scale;
mod stop;
mod sync;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use kr_model::ipvs::{Operation, SyncChange};
use kr_model::lvs::{
    CheckerBinding, ConnectionTimeouts, Forwarding, IpvsGlobal, PoolSnapshot, Protocol, RealServer,
    Removal, Scheduler, ServiceFlags, ServiceKey, SorryServer, TimeoutSettings, Verdict,
    VirtualServer,
};
use kr_model::units::Weight;
use kr_model::{CheckerId, Generation, Instant, RealServerId, VirtualServerId};

use super::{
    Action, BATCH, Configuration, Input, Kept, Outcome, READ, RECONCILE, RETRY, ROUND, Resume,
    SLICE, SyncDaemons, Table,
};
use crate::diff::{Present, note};
use crate::event::{Event, Notice, Reason};

const DEFAULT_TIMEOUTS: ConnectionTimeouts = ConnectionTimeouts {
    tcp: 900,
    tcp_fin: 120,
    udp: 300,
};

const VS: VirtualServerId = VirtualServerId(1);

fn vip(port: u16) -> ServiceKey {
    ServiceKey::Address {
        address: SocketAddr::from(([192, 0, 2, 1], port)),
        protocol: Protocol::Tcp,
    }
}

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn virtual_server() -> VirtualServer {
    VirtualServer {
        id: VS,
        services: vec![vip(80)],
        label: "[192.0.2.1]:tcp:80".to_owned(),
        scheduler: Scheduler::WeightedRoundRobin,
        flags: ServiceFlags::empty(),
        persistence: None,
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        omega: false,
    }
}

fn sorry(inhibit: bool) -> Option<SorryServer> {
    Some(SorryServer {
        address: at(99),
        forwarding: Forwarding::Direct,
        inhibit,
    })
}

/// Real server `n` at 10.0.0.n with weight 1 and checker `n`.
fn real_server(n: u8) -> RealServer {
    RealServer {
        id: RealServerId(n.into()),
        virtual_server: VS,
        address: at(n),
        label: format!("[10.0.0.{n}]:tcp:80"),
        weight: Weight::ONE,
        forwarding: Forwarding::Direct,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        drain: Duration::ZERO,
        checkers: vec![CheckerBinding {
            id: CheckerId(n.into()),
            alpha: false,
        }],
    }
}

fn global() -> IpvsGlobal {
    IpvsGlobal {
        flush_at_start: false,
        keep_at_exit: false,
        removal: Removal::OneByOne,
        announce_at_start: false,
        timeouts: TimeoutSettings::NONE,
        sync: None,
    }
}

fn configuration(vs: VirtualServer, servers: Vec<RealServer>) -> Configuration {
    Configuration {
        generation: Generation(1),
        global: global(),
        virtual_servers: vec![vs],
        real_servers: servers,
        kept: Vec::new(),
        resume: Resume::default(),
    }
}

/// A machine with a kernel, and everything it did and said.
struct Lab {
    table: Table,
    now: Instant,
    kernel: Present,
    /// Reason why IPVS does not work.
    broken: Option<&'static str>,
    /// Service key whose additions the kernel refuses.
    refuses: Option<ServiceKey>,
    operations: Vec<Operation>,
    /// How many requests these were.
    batches: usize,
    notices: Vec<Notice>,
    events: Vec<Event>,
    snapshots: BTreeMap<VirtualServerId, PoolSnapshot>,
    /// The kernel's connection timeouts.
    timeouts: ConnectionTimeouts,
    /// What was published of them.
    original_timeouts: Option<ConnectionTimeouts>,
    /// Services of configurations that were not known to be in force.
    former: Vec<ServiceKey>,
    departed: Vec<VirtualServer>,
    /// Threads that synchronise connections.
    sync: SyncDaemons,
    sync_changes: Vec<SyncChange>,
    /// What was said of services of former configurations.
    remains: Vec<bool>,
    installed: Vec<Generation>,
    finished: bool,
    /// The process is killed after so many more actions.
    left: Option<usize>,
}

impl Lab {
    fn new() -> Self {
        Self {
            table: Table::new(),
            now: Instant::ZERO,
            kernel: Present::new(),
            broken: None,
            refuses: None,
            operations: Vec::new(),
            batches: 0,
            notices: Vec::new(),
            events: Vec::new(),
            snapshots: BTreeMap::new(),
            timeouts: DEFAULT_TIMEOUTS,
            original_timeouts: None,
            former: Vec::new(),
            departed: Vec::new(),
            sync: SyncDaemons::new(),
            sync_changes: Vec::new(),
            remains: Vec::new(),
            installed: Vec::new(),
            finished: false,
            left: None,
        }
    }

    fn started(configuration: Configuration) -> Self {
        let mut lab = Self::new();
        lab.input(Input::Configure(Box::new(configuration)));
        lab.forget();
        lab
    }

    /// Starts to count anew.
    fn forget(&mut self) {
        self.operations.clear();
        self.batches = 0;
        self.notices.clear();
        self.events.clear();
    }

    fn input(&mut self, input: Input) {
        self.table.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.table.poll_action() {
            match &mut self.left {
                Some(0) => return,
                Some(left) => *left -= 1,
                None => {}
            }
            match action {
                Action::Read { services } => {
                    let answer = match self.broken {
                        Some(reason) => Input::Unusable(reason.to_owned()),
                        None => Input::Read(self.reading(&services)),
                    };
                    self.table.handle(answer, self.now);
                }
                Action::Apply(operations) => {
                    let outcomes = operations.iter().map(|operation| self.apply(*operation));
                    let answer = Input::Applied(outcomes.collect());
                    self.table.handle(answer, self.now);
                    self.operations.extend(operations);
                    self.batches += 1;
                }
                Action::Notify(notice) => self.notices.push(notice),
                Action::Log(event) => self.events.push(event),
                Action::Publish(snapshot) => self.keep(*snapshot),
                Action::ReadTimeouts => {
                    let answer = Input::Timeouts(self.timeouts);
                    self.table.handle(answer, self.now);
                }
                Action::ReadSync => {
                    let answer = Input::Sync(self.sync.clone());
                    self.table.handle(answer, self.now);
                }
                Action::ChangeSync(change) => {
                    match change.clone() {
                        SyncChange::Start(role, daemon) => drop(self.sync.insert(role, daemon)),
                        SyncChange::Stop(role, _) => drop(self.sync.remove(&role)),
                    }
                    self.sync_changes.push(change);
                    self.table.handle(Input::SyncChanged(None), self.now);
                }
                Action::PublishRemains(remains) => self.remains.push(remains),
                Action::PublishTimeouts(values) => self.original_timeouts = values,
                Action::Installed(generation) => self.installed.push(generation),
                Action::Finished => self.finished = true,
            }
        }
    }

    /// Keeps what was published as the parent does.
    fn keep(&mut self, mut snapshot: PoolSnapshot) {
        assert!(snapshot.verdicts.len() <= PoolSnapshot::MOST_VERDICTS);
        if let Some(known) = self.snapshots.remove(&snapshot.id) {
            let is_new = |verdict: &Verdict| {
                let mut new = snapshot.verdicts.iter();
                new.all(|new| new.checker != verdict.checker)
            };
            let old: Vec<_> = known.verdicts.into_iter().filter(is_new).collect();
            snapshot.verdicts.extend(old);
        }
        self.snapshots.insert(snapshot.id, snapshot);
    }

    fn reading(&self, keys: &[ServiceKey]) -> Present {
        let held = |key: &ServiceKey| Some((*key, self.kernel.get(key)?.clone()));
        keys.iter().filter_map(held).collect()
    }

    fn apply(&mut self, operation: Operation) -> Outcome {
        let refused = operation.service().is_some() && operation.service() == self.refuses;
        if !refused {
            note(&mut self.kernel, &operation);
            if let Operation::SetTimeouts(values) = operation {
                self.timeouts = values;
            }
        }
        Outcome {
            operation,
            refused: refused.then(|| "not today".to_owned()),
        }
    }

    fn tell(&mut self, checker: u32, up: bool) {
        self.verdict(checker, up, None);
    }

    fn verdict(&mut self, checker: u32, up: bool, weight: Option<u64>) {
        let weight = weight.map(|weight| Weight::try_from(weight).unwrap());
        self.input(Input::Verdict(Verdict {
            checker: CheckerId(checker),
            up,
            weight,
        }));
    }

    /// Lets the time pass until the next reading.
    fn tick(&mut self) {
        self.now = self.table.poll_timeout().unwrap();
        self.input(Input::Timer);
    }

    /// Destinations of the service as (last byte, weight).
    fn servers(&self, key: ServiceKey) -> Vec<(u8, u32)> {
        let Some(service) = self.kernel.get(&key) else {
            return Vec::new();
        };
        let entry = |(address, held): (&SocketAddr, &Option<kr_model::ipvs::Destination>)| {
            let SocketAddr::V4(address) = address else {
                panic!("{address}")
            };
            (address.ip().octets()[3], held.unwrap().weight.get())
        };
        service.destinations.iter().map(entry).collect()
    }

    /// A successor of this machine, over the same kernel.
    fn restarted(&self, mut configuration: Configuration) -> Self {
        configuration.resume = Resume {
            departed: self.departed.clone(),
            pools: self.snapshots.values().cloned().collect(),
            former: self.former.clone(),
            timeouts: self.original_timeouts,
            sync: false,
        };
        let mut successor = Self::new();
        successor.kernel = self.kernel.clone();
        successor.snapshots = self.snapshots.clone();
        successor.sync = self.sync.clone();
        successor.timeouts = self.timeouts;
        successor.original_timeouts = self.original_timeouts;
        successor.input(Input::Configure(Box::new(configuration)));
        successor
    }
}

fn server_notice(n: u32, up: bool, reason: Reason) -> Notice {
    Notice::RealServerChanged {
        real_server: RealServerId(n),
        up,
        reason,
    }
}

fn checker_notice(n: u32, up: bool) -> Notice {
    Notice::CheckerChanged {
        checker: CheckerId(n),
        up,
        with_server: true,
    }
}

fn quorum_notice(up: bool, weight: u64, reason: Reason) -> Notice {
    Notice::QuorumChanged {
        virtual_server: VS,
        up,
        weight,
        reason,
    }
}

fn at_port(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(at(last).ip(), port)
}
