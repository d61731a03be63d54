//! The kernel's table: found at the start, changed by others, unusable, refusing, large.

use super::*;

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
    lab.drain();
    let published = lab.snapshots[&VS].verdicts.len();
    assert_eq!((lab.operations.len(), lab.batches, published), (8, 1, 8));
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
fn a_changed_weight_is_put_back_within_a_round_also_with_many_services() {
    let mut config = configuration(virtual_server(), vec![]);
    config.virtual_servers[0].services = (1..=1_500).map(vip).collect();
    config.real_servers = vec![real_server(1)];
    let mut lab = Lab::started(config);
    lab.tick();
    let before = lab.kernel.clone();
    lab.forget();
    let then = lab.now;
    for port in [1, 750, 1_500] {
        let service = lab.kernel.get_mut(&vip(port)).unwrap();
        let held = service.destinations.get_mut(&at_port(1, port)).unwrap();
        held.as_mut().unwrap().weight = Weight::MIN;
    }
    while lab.now < then.saturating_add(ROUND) {
        lab.tick();
    }
    assert_eq!(lab.kernel, before);
    assert_eq!(lab.operations.len(), 3);
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
fn a_large_table_is_read_and_written_in_bounded_batches() {
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
    let (mut total, mut read) = (0, 0);
    while let Some(action) = table.poll_action() {
        if let Action::Read { services } = &action {
            assert!(services.len() <= READ);
            read += services.len();
            let now = Instant::ZERO.saturating_add(Duration::from_secs(1));
            table.handle(Input::Read(Present::new()), now);
        }
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
    assert_eq!((read, total), (1_000, 11_000));
}

#[test]
fn an_unusable_kernel_is_not_asked_again_before_its_time() {
    let mut config = configuration(virtual_server(), vec![real_server(1)]);
    config.virtual_servers[0].services = (1..=1_000).map(vip).collect();
    let mut table = Table::new();
    table.handle(Input::Configure(Box::new(config)), Instant::ZERO);
    let mut readings = 0;
    while let Some(action) = table.poll_action() {
        if matches!(action, Action::Read { .. }) {
            readings += 1;
            assert!(readings < 2);
            table.handle(Input::Unusable("no IPVS here".to_owned()), Instant::ZERO);
        }
    }
    assert_eq!(
        table.poll_timeout(),
        Some(Instant::ZERO.saturating_add(RETRY))
    );
}
