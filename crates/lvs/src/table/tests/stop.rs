//! The end: `lvs_flush_on_stop`, `omega`, `-I`.

use super::*;

#[test]
fn a_stop_removes_what_is_ours_in_the_configured_way() {
    // The kernel drops the destinations of a service with it: one request for each of thousands of servers would
    // be lost time.
    let services = ["remove service [192.0.2.1]:tcp:80"];
    let cases: [(Removal, [&str; 1]); 3] = [
        (Removal::OneByOne, services),
        (Removal::Services, services),
        (Removal::Everything, ["empty the table"]),
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
fn a_stop_before_everything_was_read_removes_what_a_predecessor_may_have_left() {
    let config = configuration(virtual_server(), vec![real_server(1)]);
    let left = Lab::started(config.clone());
    let mut lab = Lab::new();
    lab.kernel = left.kernel;
    let mut many = config;
    many.virtual_servers[0].services = (1..=300).map(vip).collect();
    lab.table.handle(Input::Configure(Box::new(many)), lab.now);
    // The last of the services, 80 among the first, are not read when the stop comes.
    let mut actions = std::iter::from_fn(|| lab.table.poll_action());
    let read = actions.find(|action| matches!(action, Action::Read { .. }));
    let Some(Action::Read { services }) = read else {
        panic!("nothing is read")
    };
    let answer = lab.reading(&services);
    lab.table.handle(Input::Read(answer), lab.now);
    lab.kernel.insert(vip(300), lab.kernel[&vip(80)].clone());
    lab.input(Input::Shutdown);
    assert!(lab.kernel.is_empty());
    assert!(lab.finished);
}
