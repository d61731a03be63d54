//! Reloads and crashes: what stays, what is written, what is said.

use super::*;

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
fn a_weight_that_a_check_asked_for_survives_reloads_and_never_adds_up() {
    let mut config = configuration(virtual_server(), vec![real_server(1), real_server(2)]);
    config.real_servers[0].weight = Weight::try_from(5_u64).unwrap();
    let mut lab = Lab::started(config.clone());
    lab.verdict(1, true, Some(10));
    assert_eq!(lab.servers(vip(80)), [(1, 10), (2, 1)]);
    lab.forget();
    for generation in 2..5 {
        config.generation = Generation(generation);
        lab.input(Input::Configure(Box::new(config.clone())));
        lab.verdict(1, true, Some(10));
    }
    assert_eq!(lab.operations, [], "the same again is no change");
    // Another configured weight is that of a check that asks for none.
    config.real_servers[0].weight = Weight::try_from(7_u64).unwrap();
    lab.input(Input::Configure(Box::new(config)));
    assert_eq!(lab.servers(vip(80)), [(1, 10), (2, 1)]);
    lab.verdict(1, true, None);
    assert_eq!(lab.servers(vip(80)), [(1, 7), (2, 1)]);
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
fn a_service_that_a_reload_took_away_while_no_process_ran_is_removed_by_the_successor() {
    let mut config = configuration(virtual_server(), vec![real_server(1)]);
    let mut lab = Lab::started(config.clone());
    let (mut vs, mut server) = (virtual_server(), real_server(1));
    (vs.id, vs.services) = (VirtualServerId(2), vec![vip(81)]);
    server.virtual_server = vs.id;
    (config.virtual_servers, config.real_servers) = (vec![vs], vec![server]);
    lab.former = vec![vip(80), vip(7)];
    let successor = lab.restarted(config);
    assert_eq!(successor.kernel.keys().collect::<Vec<_>>(), [&vip(81)]);
    assert_eq!(
        successor.operations[0],
        Operation::RemoveService { key: vip(80) }
    );
}

#[test]
fn a_pool_with_many_checkers_is_published_in_parts_and_resumed_whole() {
    let server = |n: u32| {
        let mut server = real_server(1);
        server.id = RealServerId(n);
        server.address = SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + n), 80));
        server.checkers[0].id = CheckerId(n);
        server
    };
    let config = configuration(virtual_server(), (1..=5_000).map(server).collect());
    let mut lab = Lab::started(config.clone());
    for checker in 1..=5_000 {
        let (up, weight) = (checker != 77, None);
        let verdict = Verdict {
            checker: CheckerId(checker),
            up,
            weight,
        };
        lab.table.handle(Input::Verdict(verdict), lab.now);
    }
    lab.drain();
    assert_eq!(lab.snapshots[&VS].verdicts.len(), 5_000);
    let successor = lab.restarted(config);
    assert_eq!(successor.operations, []);
}

#[test]
fn only_new_verdicts_are_published() {
    let mut lab = Lab::started(configuration(
        virtual_server(),
        vec![real_server(1), real_server(2)],
    ));
    lab.tell(1, false);
    let verdict = Verdict {
        checker: CheckerId(2),
        up: false,
        weight: None,
    };
    lab.table.handle(Input::Verdict(verdict), lab.now);
    lab.snapshots.clear();
    lab.drain();
    assert_eq!(lab.snapshots[&VS].verdicts, [verdict]);
}

#[test]
fn timeouts_survive_a_crash_and_end_with_the_stop() {
    let mut config = configuration(virtual_server(), vec![real_server(1)]);
    config.global.timeouts.tcp = Some(1_000);
    let lab = Lab::started(config.clone());
    let ours = ConnectionTimeouts {
        tcp: 1_000,
        ..DEFAULT_TIMEOUTS
    };
    assert_eq!(lab.timeouts, ours);
    assert_eq!(lab.original_timeouts, Some(DEFAULT_TIMEOUTS));
    let mut successor = lab.restarted(config.clone());
    assert_eq!(successor.operations, []);
    // Others change them: they are back at the next reading.
    successor.timeouts = DEFAULT_TIMEOUTS;
    successor.tick();
    assert_eq!(successor.timeouts, ours);
    // A reload without the keyword gives them back, one with it takes them again.
    let mut without = config.clone();
    without.global.timeouts = TimeoutSettings::NONE;
    successor.input(Input::Configure(Box::new(without)));
    assert_eq!(
        (successor.timeouts, successor.original_timeouts),
        (DEFAULT_TIMEOUTS, None)
    );
    config.global.keep_at_exit = true;
    successor.input(Input::Configure(Box::new(config)));
    assert_eq!(successor.timeouts, ours);
    successor.forget();
    successor.input(Input::Shutdown);
    let back = Operation::SetTimeouts(DEFAULT_TIMEOUTS);
    assert_eq!(successor.operations, [back]);
}

/// Server 2 of 1 and 2 with 30 seconds to leave.
fn with_drain() -> Configuration {
    let mut config = configuration(virtual_server(), vec![real_server(1), real_server(2)]);
    config.real_servers[1].drain = Duration::from_secs(30);
    config
}

/// Lets the time pass by `seconds`, reading by reading.
fn pass(lab: &mut Lab, seconds: u64) {
    let until = lab.now.saturating_add(Duration::from_secs(seconds));
    while lab.table.poll_timeout().is_some_and(|at| at <= until) {
        lab.tick();
    }
    lab.now = until;
}

#[test]
fn a_server_that_a_reload_takes_away_keeps_its_connections_for_its_time() {
    let mut config = with_drain();
    let mut lab = Lab::started(config.clone());
    config.real_servers.pop();
    lab.input(Input::Configure(Box::new(config.clone())));
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 0)]);
    assert_eq!(lab.notices, [server_notice(2, false, Reason::Removed)]);
    // Neither a further reload nor a crash ends or lengthens it.
    pass(&mut lab, 20);
    lab.input(Input::Configure(Box::new(config.clone())));
    let now = lab.now;
    let mut successor = lab.restarted(config);
    assert_eq!((successor.operations.len(), lab.now), (0, now));
    for lab in [&mut lab, &mut successor] {
        lab.now = now;
        lab.input(Input::Timer);
        lab.forget();
        pass(lab, 9);
        assert_eq!(lab.operations, []);
        pass(lab, 1);
        assert_eq!(lab.servers(vip(80)), [(1, 1)]);
        assert_eq!(lab.operations.len(), 1);
        assert!(lab.snapshots[&VS].leaving.is_empty());
    }
}

/// Hands in that nobody uses these destinations of the service.
fn idle(lab: &mut Lab, hosts: &[u8]) {
    let idle = hosts.iter().map(|host| (vip(80), at(*host))).collect();
    let services = vec![vip(80)];
    lab.input(Input::Idle { services, idle });
}

#[test]
fn a_server_that_nobody_uses_any_more_leaves_before_its_time() {
    let mut config = with_drain();
    let mut lab = Lab::started(config.clone());
    config.real_servers.pop();
    // While it serves, an idle server stays.
    idle(&mut lab, &[2]);
    lab.input(Input::Configure(Box::new(config)));
    idle(&mut lab, &[1]);
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 0)]);
    idle(&mut lab, &[2]);
    assert_eq!(lab.servers(vip(80)), [(1, 1)]);
    assert!(lab.snapshots[&VS].leaving.is_empty());
}

#[test]
fn a_virtual_server_that_a_reload_takes_away_waits_for_its_connections() {
    let mut config = with_drain();
    let mut lab = Lab::started(config.clone());
    (config.virtual_servers, config.real_servers) = (Vec::new(), Vec::new());
    lab.forget();
    lab.input(Input::Configure(Box::new(config.clone())));
    // Server 1 has no time to leave.
    assert_eq!(lab.servers(vip(80)), [(2, 0)]);
    assert_eq!(lab.remains, [true]);
    assert_eq!(
        lab.notices,
        [
            server_notice(1, false, Reason::Removed),
            server_notice(2, false, Reason::Removed),
            quorum_notice(false, 0, Reason::Removed),
        ]
    );
    // A further reload says nothing again and does not lengthen it.
    pass(&mut lab, 20);
    lab.forget();
    lab.input(Input::Configure(Box::new(config.clone())));
    assert_eq!((lab.notices.len(), lab.operations.len()), (0, 0));
    pass(&mut lab, 9);
    assert_eq!(lab.servers(vip(80)), [(2, 0)]);
    pass(&mut lab, 1);
    assert!(lab.kernel.is_empty());
    assert_eq!(lab.remains.last(), Some(&false));
    lab.input(Input::Shutdown);
    assert!(lab.finished);
}

#[test]
fn a_virtual_server_that_a_reload_takes_away_waits_on_after_a_crash() {
    let mut config = with_drain();
    config.real_servers[0].drain = Duration::from_secs(15);
    let departed = config.virtual_servers.clone();
    let mut lab = Lab::started(config.clone());
    (config.virtual_servers, config.real_servers) = (Vec::new(), Vec::new());
    lab.input(Input::Configure(Box::new(config.clone())));
    assert_eq!(lab.snapshots[&VS].leaving.len(), 2);
    pass(&mut lab, 10);
    lab.departed = departed.clone();
    lab.former = vec![vip(80)];
    let mut successor = lab.restarted(config.clone());
    assert_eq!(successor.operations, []);
    assert_eq!(successor.notices, [Notice::Kernel { usable: true }]);
    assert_eq!(successor.remains, [true]);
    successor.now = lab.now;
    successor.input(Input::Timer);
    pass(&mut successor, 6);
    assert_eq!(successor.servers(vip(80)), [(2, 0)]);
    assert_eq!(successor.snapshots[&VS].leaving.len(), 1);
    pass(&mut successor, 15);
    assert!(successor.kernel.is_empty());
    assert!(successor.snapshots[&VS].leaving.is_empty());
    assert_eq!(successor.remains, [true, false]);

    // One that has the service again meanwhile.
    lab.departed = departed;
    let mut back = with_drain();
    back.virtual_servers[0].id = VirtualServerId(77);
    for server in &mut back.real_servers {
        server.virtual_server = VirtualServerId(77);
    }
    let successor = lab.restarted(back);
    assert_eq!(successor.servers(vip(80)), [(1, 1), (2, 1)]);
    assert!(successor.snapshots[&VS].leaving.is_empty());
}

#[test]
fn a_virtual_server_that_comes_back_takes_its_service_again() {
    let before = with_drain();
    let mut lab = Lab::started(before.clone());
    let mut without = before.clone();
    (without.virtual_servers, without.real_servers) = (Vec::new(), Vec::new());
    lab.input(Input::Configure(Box::new(without)));
    let mut back = before;
    back.virtual_servers[0].id = VirtualServerId(77);
    for server in &mut back.real_servers {
        server.virtual_server = VirtualServerId(77);
    }
    lab.input(Input::Configure(Box::new(back)));
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1)]);
    assert_eq!(lab.remains, [true, false]);
}

#[test]
fn a_server_that_comes_back_while_it_leaves_is_a_server_again() {
    let before = with_drain();
    let mut after = before.clone();
    after.real_servers.pop();
    let mut lab = Lab::started(before.clone());
    lab.input(Input::Configure(Box::new(after)));
    lab.input(Input::Configure(Box::new(before)));
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1)]);
    pass(&mut lab, 40);
    assert_eq!(lab.servers(vip(80)), [(1, 1), (2, 1)]);
}

#[test]
fn a_dead_server_and_one_without_time_leave_at_once() {
    let mut config = with_drain();
    let mut lab = Lab::started(config.clone());
    lab.tell(2, false);
    config.real_servers.pop();
    lab.input(Input::Configure(Box::new(config.clone())));
    assert_eq!(lab.servers(vip(80)), [(1, 1)]);
    config.real_servers = vec![real_server(3)];
    lab.input(Input::Configure(Box::new(config)));
    assert_eq!(lab.servers(vip(80)), [(3, 1)]);
}
