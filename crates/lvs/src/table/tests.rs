//! The machine against a model of the kernel.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use kr_model::ipvs::{Operation, Reading};
use kr_model::lvs::{
    CheckerBinding, Forwarding, IpvsGlobal, PoolSnapshot, Protocol, RealServer, Removal, Scheduler,
    ServiceFlags, ServiceKey, SorryServer, Verdict, VirtualServer,
};
use kr_model::units::Weight;
use kr_model::{CheckerId, Generation, Instant, RealServerId, VirtualServerId};

use super::{Action, BATCH, Configuration, Input, Outcome, PATROL, RECONCILE, RETRY, Table};
use crate::diff::{Present, note};
use crate::event::{Event, Notice, Reason};

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
    }
}

fn configuration(vs: VirtualServer, servers: Vec<RealServer>) -> Configuration {
    Configuration {
        generation: Generation(1),
        global: global(),
        virtual_servers: vec![vs],
        real_servers: servers,
        resume: Vec::new(),
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
    notices: Vec<Notice>,
    events: Vec<Event>,
    snapshots: BTreeMap<VirtualServerId, PoolSnapshot>,
    installed: Vec<Generation>,
    finished: bool,
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
            notices: Vec::new(),
            events: Vec::new(),
            snapshots: BTreeMap::new(),
            installed: Vec::new(),
            finished: false,
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
        self.notices.clear();
        self.events.clear();
    }

    fn input(&mut self, input: Input) {
        self.table.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.table.poll_action() {
            match action {
                Action::Read { destinations_of } => {
                    let answer = match self.broken {
                        Some(reason) => Input::Unusable(reason.to_owned()),
                        None => Input::Read(self.reading(&destinations_of)),
                    };
                    self.table.handle(answer, self.now);
                }
                Action::Apply(operations) => {
                    let outcomes = operations.iter().map(|operation| self.apply(*operation));
                    let answer = Input::Applied(outcomes.collect());
                    self.table.handle(answer, self.now);
                    self.operations.extend(operations);
                }
                Action::Notify(notice) => self.notices.push(notice),
                Action::Log(event) => self.events.push(event),
                Action::Publish(snapshot) => {
                    self.snapshots.insert(snapshot.id, *snapshot);
                }
                Action::Installed(generation) => self.installed.push(generation),
                Action::Finished => self.finished = true,
            }
        }
    }

    fn reading(&self, keys: &[ServiceKey]) -> Reading {
        Reading {
            services: self
                .kernel
                .iter()
                .map(|(key, held)| (*key, held.service))
                .collect(),
            destinations: keys
                .iter()
                .filter_map(|key| Some((*key, self.kernel.get(key)?.destinations.clone())))
                .collect(),
        }
    }

    fn apply(&mut self, operation: Operation) -> Outcome {
        let refused = operation.service().is_some() && operation.service() == self.refuses;
        if !refused {
            note(&mut self.kernel, &operation);
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
        configuration.resume = self.snapshots.values().cloned().collect();
        let mut successor = Self::new();
        successor.kernel = self.kernel.clone();
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

#[test]
fn a_start_installs_every_server_and_says_quorum() {
    let mut lab = Lab::new();
    let config = configuration(virtual_server(), vec![real_server(1), real_server(2)]);
    lab.input(Input::Configure(Box::new(config)));
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1)]);
    assert_eq!(lab.operations.len(), 3);
    assert_eq!(
        lab.notices,
        [
            quorum_notice(true, 2, Reason::Start),
            Notice::Kernel { usable: true }
        ]
    );
    assert_eq!(lab.installed, [Generation(1)]);
}

#[test]
fn a_start_with_rs_init_notifies_says_each_server() {
    let mut config = configuration(virtual_server(), vec![real_server(1)]);
    config.global.announce_at_start = true;
    let mut lab = Lab::new();
    lab.input(Input::Configure(Box::new(config)));
    assert_eq!(
        lab.notices[..2],
        [
            server_notice(1, true, Reason::Start),
            quorum_notice(true, 1, Reason::Start)
        ]
    );
}

#[test]
fn a_failed_check_takes_its_server_out_and_says_server_then_checker() {
    let mut lab = Lab::started(configuration(
        virtual_server(),
        vec![real_server(1), real_server(2)],
    ));
    lab.tell(1, false);
    assert_eq!(
        lab.operations,
        [Operation::RemoveDestination {
            key: vip(80),
            address: at(1)
        }]
    );
    assert_eq!(
        lab.notices,
        [
            server_notice(1, false, Reason::Checks),
            checker_notice(1, false)
        ]
    );
    lab.tell(1, true);
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1)]);
}

#[test]
fn a_verdict_that_confirms_what_was_assumed_changes_nothing() {
    let mut lab = Lab::started(configuration(virtual_server(), vec![real_server(1)]));
    lab.tell(1, true);
    assert_eq!((lab.operations.len(), lab.notices.len()), (0, 0));
}

#[test]
fn a_server_is_alive_only_when_all_its_checkers_are() {
    let mut server = real_server(1);
    server.checkers.push(CheckerBinding {
        id: CheckerId(20),
        alpha: false,
    });
    let mut lab = Lab::started(configuration(
        virtual_server(),
        vec![server, real_server(2)],
    ));
    lab.tell(1, false);
    lab.forget();
    lab.tell(20, false);
    lab.tell(1, true);
    assert_eq!(lab.operations, []);
    assert_eq!(
        lab.notices,
        [
            Notice::CheckerChanged {
                checker: CheckerId(20),
                up: false,
                with_server: false
            },
            Notice::CheckerChanged {
                checker: CheckerId(1),
                up: true,
                with_server: false
            },
        ]
    );
    lab.tell(20, true);
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1)]);
}

#[test]
fn the_last_server_takes_the_quorum_with_it_and_the_sorry_server_stands_in() {
    let mut vs = virtual_server();
    vs.sorry_server = sorry(false);
    let mut lab = Lab::started(configuration(vs, vec![real_server(1), real_server(2)]));
    lab.tell(1, false);
    lab.forget();
    lab.tell(2, false);
    assert_eq!(lab.servers(vip(80)), [(99, 1)]);
    // In before the last one is out.
    assert!(matches!(
        lab.operations[..],
        [
            Operation::AddDestination { .. },
            Operation::RemoveDestination { .. }
        ]
    ));
    assert_eq!(
        lab.notices,
        [
            server_notice(2, false, Reason::Checks),
            quorum_notice(false, 0, Reason::Checks),
            checker_notice(2, false)
        ]
    );
    lab.forget();
    lab.tell(2, true);
    assert_eq!(lab.servers(vip(80)), [(2, 1)]);
    assert_eq!(lab.notices[1], quorum_notice(true, 1, Reason::Checks));
}

#[test]
fn living_servers_leave_when_the_quorum_is_lost_to_a_sorry_server() {
    let mut vs = virtual_server();
    (vs.quorum, vs.sorry_server) = (3, sorry(true));
    let mut inhibited = real_server(3);
    inhibited.inhibit_on_failure = true;
    let servers = vec![real_server(1), real_server(2), inhibited];
    let mut lab = Lab::started(configuration(vs, servers));
    // The idle sorry server waits with weight 0.
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1), (3, 1), (99, 0)]);
    lab.tell(1, false);
    assert_eq!(lab.servers(vip(80)), [(3, 0), (99, 1)]);
    lab.tell(1, true);
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1), (3, 1), (99, 0)]);
}

#[test]
fn without_a_sorry_server_the_living_stay_when_the_quorum_is_lost() {
    let mut vs = virtual_server();
    vs.quorum = 2;
    let mut lab = Lab::started(configuration(vs, vec![real_server(1), real_server(2)]));
    lab.tell(1, false);
    assert_eq!(lab.servers(vip(80)), [(2, 1)]);
    assert_eq!(lab.notices[1], quorum_notice(false, 1, Reason::Checks));
}

#[test]
fn hysteresis_keeps_the_quorum_between_its_bounds() {
    let mut vs = virtual_server();
    (vs.quorum, vs.hysteresis) = (3, 1);
    let servers = (1..=4).map(real_server).collect();
    let mut lab = Lab::started(configuration(vs, servers));
    lab.tell(1, false);
    lab.tell(2, false);
    let quorum = |lab: &Lab| {
        let is = |notice: &&Notice| matches!(notice, Notice::QuorumChanged { .. });
        lab.notices.iter().filter(is).copied().collect::<Vec<_>>()
    };
    // 2 is not below 3 - 1.
    assert_eq!(quorum(&lab), []);
    lab.tell(3, false);
    lab.tell(3, true);
    lab.tell(2, true);
    // Lost at 1; 3 does not reach 3 + 1.
    assert_eq!(quorum(&lab), [quorum_notice(false, 1, Reason::Checks)]);
    lab.tell(1, true);
    assert_eq!(quorum(&lab)[1], quorum_notice(true, 4, Reason::Checks));
}

#[test]
fn alpha_servers_wait_for_their_first_success() {
    let mut server = real_server(1);
    server.checkers[0].alpha = true;
    let mut lab = Lab::new();
    lab.input(Input::Configure(Box::new(configuration(
        virtual_server(),
        vec![server],
    ))));
    assert_eq!(lab.servers(vip(80)), []);
    // No quorum, but no sorry server either: not said.
    assert_eq!(lab.notices, [Notice::Kernel { usable: true }]);
    lab.forget();
    lab.tell(1, false);
    lab.tell(1, false);
    assert_eq!(lab.notices, [server_notice(1, false, Reason::Checks)]);
    lab.tell(1, true);
    assert_eq!(lab.servers(vip(80)), [(1, 1)]);
}

#[test]
fn an_inhibited_server_stays_with_weight_zero() {
    let mut server = real_server(1);
    server.inhibit_on_failure = true;
    let mut lab = Lab::started(configuration(
        virtual_server(),
        vec![server, real_server(2)],
    ));
    lab.tell(1, false);
    assert_eq!(lab.servers(vip(80)), [(1, 0), (2, 1)]);
    assert!(matches!(
        lab.operations[..],
        [Operation::SetDestination { .. }]
    ));
}

#[test]
fn a_dynamic_weight_replaces_the_configured_one_and_counts_for_the_quorum() {
    let mut lab = Lab::started(configuration(
        virtual_server(),
        vec![real_server(1), real_server(2)],
    ));
    lab.verdict(1, true, Some(40));
    assert_eq!(lab.servers(vip(80)), [(1, 40), (2, 1)]);
    assert!(matches!(
        lab.operations[..],
        [Operation::SetDestination { .. }]
    ));
    lab.verdict(1, true, Some(0));
    lab.tell(2, false);
    // Weight 0 is alive, but worth nothing.
    assert_eq!(lab.servers(vip(80)), [(1, 0)]);
    assert!(
        lab.notices
            .contains(&quorum_notice(false, 0, Reason::Checks))
    );
    lab.verdict(1, true, None);
    assert_eq!(lab.servers(vip(80)), [(1, 1)]);
}

#[test]
fn many_verdicts_before_the_actions_are_one_batch() {
    let mut lab = Lab::started(configuration(
        virtual_server(),
        (1..=9).map(real_server).collect(),
    ));
    for checker in 1..=8 {
        let verdict = Verdict {
            checker: CheckerId(checker),
            up: false,
            weight: None,
        };
        lab.table.handle(Input::Verdict(verdict), lab.now);
    }
    assert!(matches!(lab.table.poll_action(), Some(Action::Apply(list)) if list.len() == 8));
}

#[test]
fn an_equal_configuration_writes_nothing_and_says_nothing() {
    let mut config = configuration(virtual_server(), vec![real_server(1), real_server(2)]);
    let mut lab = Lab::started(config.clone());
    lab.tell(1, false);
    lab.forget();
    config.generation = Generation(2);
    lab.input(Input::Configure(Box::new(config)));
    assert_eq!((&lab.operations[..], &lab.notices[..]), (&[][..], &[][..]));
    assert_eq!(lab.installed, [Generation(1), Generation(2)]);
    assert_eq!(lab.servers(vip(80)), [(2, 1)]);
}

#[test]
fn a_reload_touches_only_what_differs() {
    let mut other = virtual_server();
    (other.id, other.services) = (VirtualServerId(2), vec![vip(81)]);
    let mut elsewhere = real_server(50);
    elsewhere.virtual_server = other.id;
    let mut config = configuration(virtual_server(), (1..=3).map(real_server).collect());
    config.virtual_servers.push(other);
    config.real_servers.push(elsewhere);
    let mut lab = Lab::started(config.clone());

    // Server 1 goes, 4 comes, 2 changes its threshold alone; virtual server 2 stays as it is.
    config
        .real_servers
        .retain(|server| server.id != RealServerId(1));
    config.real_servers.push(real_server(4));
    config.real_servers[0].upper_threshold = 7;
    lab.input(Input::Configure(Box::new(config.clone())));
    assert!(
        matches!(
            lab.operations[..],
            [
                Operation::AddDestination { .. },
                Operation::SetDestination { .. },
                Operation::RemoveDestination { .. },
            ]
        ),
        "{:?}",
        lab.operations
    );
    assert_eq!(lab.notices, [server_notice(1, false, Reason::Removed)]);

    lab.forget();
    config.virtual_servers.pop();
    config
        .real_servers
        .retain(|server| server.virtual_server == VS);
    lab.input(Input::Configure(Box::new(config)));
    assert_eq!(lab.operations, [Operation::RemoveService { key: vip(81) }]);
    assert_eq!(
        lab.notices,
        [
            server_notice(50, false, Reason::Removed),
            Notice::QuorumChanged {
                virtual_server: VirtualServerId(2),
                up: false,
                weight: 0,
                reason: Reason::Removed
            },
        ]
    );
}

#[test]
fn a_new_alpha_checker_takes_no_living_server_down() {
    let mut config = configuration(virtual_server(), vec![real_server(1)]);
    let mut lab = Lab::started(config.clone());
    config.real_servers[0].checkers = vec![CheckerBinding {
        id: CheckerId(77),
        alpha: true,
    }];
    lab.input(Input::Configure(Box::new(config.clone())));
    assert_eq!((lab.operations.len(), lab.notices.len()), (0, 0));
    // Nor does a crash before its first verdict.
    let successor = lab.restarted(config);
    assert_eq!(
        (successor.operations.len(), successor.servers(vip(80))),
        (0, vec![(1, 1)])
    );
}

#[test]
fn a_restarted_process_writes_nothing_and_says_nothing_twice() {
    let mut vs = virtual_server();
    vs.sorry_server = sorry(false);
    let config = configuration(vs, vec![real_server(1), real_server(2)]);
    let mut lab = Lab::started(config.clone());
    lab.verdict(1, true, Some(9));
    lab.tell(2, false);
    let mut successor = lab.restarted(config.clone());
    assert_eq!(successor.operations, []);
    assert_eq!(successor.notices, [Notice::Kernel { usable: true }]);
    // The checker process says everything again.
    successor.verdict(1, true, Some(9));
    successor.tell(2, false);
    assert_eq!(successor.operations, []);
    assert_eq!(successor.notices.len(), 1);

    successor.tell(1, false);
    assert_eq!(successor.servers(vip(80)), [(99, 1)]);
    let without_quorum = successor.restarted(config);
    assert_eq!(without_quorum.operations, []);
    assert_eq!(without_quorum.notices, [Notice::Kernel { usable: true }]);
}

#[test]
fn a_table_left_behind_is_corrected_without_removing_a_destination() {
    let config = configuration(virtual_server(), vec![real_server(1)]);
    let mut old = config.clone();
    old.virtual_servers[0].scheduler = Scheduler::RoundRobin;
    old.real_servers[0].weight = Weight::MIN;
    let left = Lab::started(old);
    let mut lab = Lab::new();
    lab.kernel = left.kernel;
    lab.input(Input::Configure(Box::new(config)));
    assert!(matches!(
        lab.operations[..],
        [
            Operation::SetService { .. },
            Operation::SetDestination { .. },
        ]
    ));
    assert_eq!(lab.servers(vip(80)), [(1, 1)]);
}

#[test]
fn lvs_flush_empties_the_table_at_the_first_start_only() {
    let mut foreign = Lab::started(configuration(virtual_server(), vec![real_server(1)]));
    let mut config = configuration(virtual_server(), vec![real_server(2)]);
    config.virtual_servers[0].services = vec![vip(443)];
    config.global.flush_at_start = true;
    foreign.table = Table::new();
    foreign.input(Input::Configure(Box::new(config.clone())));
    assert_eq!(foreign.operations.first(), Some(&Operation::Flush));
    assert_eq!(foreign.kernel.keys().collect::<Vec<_>>(), [&vip(443)]);
    let successor = foreign.restarted(config);
    assert_eq!(successor.operations, []);
}

#[test]
fn a_table_emptied_by_somebody_else_is_back_at_the_next_reading() {
    let mut lab = Lab::started(configuration(
        virtual_server(),
        vec![real_server(1), real_server(2)],
    ));
    let before = lab.kernel.clone();
    lab.tell(2, false);
    lab.tell(2, true);
    lab.kernel.clear();
    lab.forget();
    let then = lab.now;
    lab.tick();
    assert_eq!(lab.now, then.saturating_add(RECONCILE));
    assert_eq!(lab.kernel, before);
    assert_eq!(lab.events, [Event::Drifted { service: vip(80) }]);
    lab.forget();
    lab.tick();
    assert_eq!(lab.operations, []);
}

#[test]
fn a_changed_weight_is_put_back_also_with_many_services() {
    let mut config = configuration(virtual_server(), vec![]);
    config.virtual_servers[0].services = (1..=150).map(vip).collect();
    config.real_servers = vec![real_server(1)];
    let mut lab = Lab::started(config);
    let before = lab.kernel.clone();
    let last = lab.kernel.get_mut(&vip(150)).unwrap();
    last.destinations
        .get_mut(&at_port(1, 150))
        .unwrap()
        .as_mut()
        .unwrap()
        .weight = Weight::MIN;
    for _ in 0..150_usize.div_ceil(PATROL) {
        lab.tick();
    }
    assert_eq!(lab.kernel, before);
    assert_eq!(lab.operations.len(), 1);
}

fn at_port(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(at(last).ip(), port)
}

#[test]
fn foreign_services_are_left_alone() {
    let foreign = Lab::started(configuration(virtual_server(), vec![real_server(1)])).kernel;
    let mut config = configuration(virtual_server(), vec![real_server(2)]);
    config.virtual_servers[0].services = vec![vip(443)];
    let mut lab = Lab::new();
    lab.kernel = foreign.clone();
    lab.input(Input::Configure(Box::new(config)));
    lab.tick();
    lab.input(Input::Shutdown);
    assert_eq!(lab.kernel, foreign);
}

#[test]
fn a_kernel_without_ipvs_is_said_once_and_everything_else_goes_on() {
    let mut lab = Lab::new();
    lab.broken = Some("no IPVS here");
    let config = configuration(virtual_server(), vec![real_server(1)]);
    lab.input(Input::Configure(Box::new(config)));
    assert_eq!(lab.installed, [Generation(1)]);
    assert!(lab.notices.contains(&Notice::Kernel { usable: false }));
    lab.forget();
    let then = lab.now;
    lab.tick();
    assert_eq!(lab.now, then.saturating_add(RETRY));
    lab.tell(1, false);
    assert_eq!(lab.notices[0], server_notice(1, false, Reason::Checks));
    assert!(
        !lab.events
            .iter()
            .any(|event| matches!(event, Event::KernelUnusable { .. }))
    );
    lab.tell(1, true);
    lab.broken = None;
    lab.tick();
    assert_eq!(lab.servers(vip(80)), [(1, 1)]);
    assert!(lab.events.contains(&Event::KernelUsable));
}

#[test]
fn a_refusal_is_said_once_and_tried_again() {
    let mut lab = Lab::new();
    lab.refuses = Some(vip(80));
    let config = configuration(virtual_server(), vec![real_server(1), real_server(2)]);
    lab.input(Input::Configure(Box::new(config)));
    let refusals = |lab: &Lab| {
        lab.events
            .iter()
            .filter(|event| matches!(event, Event::Refused { .. }))
            .count()
    };
    // The service is mentioned, its destinations are not.
    assert_eq!(refusals(&lab), 1);
    lab.tick();
    assert_eq!((refusals(&lab), lab.operations.len()), (1, 6));
    lab.refuses = None;
    lab.tick();
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1)]);
    lab.forget();
    lab.tick();
    assert_eq!(lab.operations, []);
}

#[test]
fn a_stop_removes_what_is_ours_in_the_configured_way() {
    let cases: [(Removal, &[&str]); 3] = [
        (
            Removal::OneByOne,
            &[
                "remove 10.0.0.1:80 from [192.0.2.1]:tcp:80",
                "remove 10.0.0.2:80 from [192.0.2.1]:tcp:80",
                "remove service [192.0.2.1]:tcp:80",
            ],
        ),
        (Removal::Services, &["remove service [192.0.2.1]:tcp:80"]),
        (Removal::Everything, &["empty the table"]),
    ];
    for (removal, expected) in cases {
        let mut config = configuration(virtual_server(), vec![real_server(1), real_server(2)]);
        config.global.removal = removal;
        let mut lab = Lab::started(config);
        lab.input(Input::Shutdown);
        let said: Vec<_> = lab.operations.iter().map(ToString::to_string).collect();
        assert_eq!(said, expected);
        assert_eq!(lab.notices, []);
        assert!(lab.finished);
    }
}

#[test]
fn a_stop_with_omega_says_servers_and_quorum_down() {
    let mut vs = virtual_server();
    vs.omega = true;
    let mut lab = Lab::started(configuration(vs, vec![real_server(1), real_server(2)]));
    lab.tell(2, false);
    lab.forget();
    lab.input(Input::Shutdown);
    assert_eq!(
        lab.notices,
        [
            server_notice(1, false, Reason::Shutdown),
            quorum_notice(false, 1, Reason::Shutdown)
        ]
    );
}

#[test]
fn a_stop_that_keeps_the_table_touches_nothing() {
    let mut config = configuration(virtual_server(), vec![real_server(1)]);
    (config.global.keep_at_exit, config.virtual_servers[0].omega) = (true, true);
    let mut lab = Lab::started(config);
    lab.input(Input::Shutdown);
    assert_eq!(
        (lab.operations.len(), lab.notices.len(), lab.finished),
        (0, 0, true)
    );
    lab.tell(1, false);
    assert_eq!(lab.operations, []);
}

#[test]
fn pools_that_share_a_mark_share_its_service() {
    let mark = ServiceKey::Fwmark {
        family: kr_model::net::Family::Inet,
        mark: std::num::NonZeroU32::new(7).unwrap(),
    };
    let mut other = virtual_server();
    other.id = VirtualServerId(2);
    other.services = vec![mark];
    let mut theirs = real_server(2);
    theirs.virtual_server = other.id;
    let mut config = configuration(virtual_server(), vec![real_server(1), theirs]);
    config.virtual_servers[0].services = vec![mark];
    config.virtual_servers.push(other);
    let mut lab = Lab::started(config.clone());
    // Direct routing to a mark keeps the packet's port: 0.
    let addresses: Vec<_> = lab.kernel[&mark].destinations.keys().copied().collect();
    assert_eq!(addresses, [at_port(1, 0), at_port(2, 0)]);
    config.virtual_servers.pop();
    config.real_servers.pop();
    lab.input(Input::Configure(Box::new(config)));
    assert_eq!(lab.servers(mark), [(1, 1)]);
}

#[test]
fn a_large_table_is_written_in_bounded_batches() {
    let mut config = configuration(virtual_server(), vec![]);
    config.virtual_servers.clear();
    for n in 0..1_000_u16 {
        let mut vs = virtual_server();
        (vs.id, vs.services) = (VirtualServerId(n.into()), vec![vip(n)]);
        for k in 0..10_u8 {
            let mut server = real_server(k);
            server.id = RealServerId(u32::from(n) * 10 + u32::from(k));
            server.virtual_server = vs.id;
            server.checkers.clear();
            config.real_servers.push(server);
        }
        config.virtual_servers.push(vs);
    }
    let mut table = Table::new();
    table.handle(Input::Configure(Box::new(config)), Instant::ZERO);
    let Some(Action::Read { destinations_of }) = table.poll_action() else {
        panic!()
    };
    assert_eq!(destinations_of.len(), 1_000);
    table.handle(
        Input::Read(Reading::default()),
        Instant::ZERO.saturating_add(Duration::from_secs(1)),
    );
    let mut total = 0;
    while let Some(action) = table.poll_action() {
        if let Action::Apply(operations) = action {
            assert!(operations.len() < BATCH + 11);
            total += operations.len();
            let outcomes = operations.into_iter().map(|operation| Outcome {
                operation,
                refused: None,
            });
            table.handle(Input::Applied(outcomes.collect()), Instant::ZERO);
        }
    }
    assert_eq!(total, 11_000);
}
