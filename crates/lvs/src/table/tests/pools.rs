//! Verdicts, quorum, sorry servers, weights: from a checker's word to the table.

use super::*;

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
