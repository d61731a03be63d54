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
