use std::net::SocketAddr;
use std::time::Duration;

use kr_lvs::Kept;
use kr_model::check::SocketKind;
use kr_model::lvs::{
    CheckerBinding, Forwarding, Persistence, Protocol, Removal, Scheduler, ServiceFlags,
    ServiceKey, TimeoutSettings, Verdict,
};
use kr_model::net::Family;
use kr_model::units::Weight;

use super::*;

fn virtual_server(id: u32) -> VirtualServer {
    VirtualServer {
        id: VirtualServerId(id),
        services: vec![ServiceKey::Address {
            address: SocketAddr::from(([192, 0, 2, 1], 80)),
            protocol: Protocol::Tcp,
        }],
        label: "web".to_owned(),
        scheduler: Scheduler::RoundRobin,
        flags: ServiceFlags::empty(),
        persistence: None,
        quorum: 1,
        hysteresis: 0,
        sorry_server: None,
        omega: false,
    }
}

fn real_server(id: u32, virtual_server: u32, checker: u32) -> RealServer {
    RealServer {
        id: RealServerId(id),
        virtual_server: VirtualServerId(virtual_server),
        address: SocketAddr::from(([10, 0, 0, 1], 80)),
        label: "one".to_owned(),
        weight: Weight::ONE,
        forwarding: Forwarding::Nat,
        inhibit_on_failure: false,
        upper_threshold: 0,
        lower_threshold: 0,
        drain: Duration::ZERO,
        checkers: vec![CheckerBinding {
            id: CheckerId(checker),
            alpha: false,
        }],
    }
}

fn global() -> ToIpvsd {
    ToIpvsd::Global(IpvsGlobal {
        flush_at_start: false,
        keep_at_exit: false,
        removal: Removal::OneByOne,
        announce_at_start: false,
        timeouts: TimeoutSettings::NONE,
        sync: None,
    })
}

fn snapshot(id: u32) -> PoolSnapshot {
    PoolSnapshot {
        id: VirtualServerId(id),
        quorum: Some(true),
        weight: 1,
        verdicts: vec![Verdict {
            checker: CheckerId(1),
            up: true,
            weight: None,
        }],
        leaving: Vec::new(),
    }
}

fn vs(server: VirtualServer) -> ToIpvsd {
    ToIpvsd::VirtualServer(Box::new(server))
}

fn rs(id: u32, virtual_server: u32, checker: u32) -> ToIpvsd {
    ToIpvsd::RealServer(Box::new(real_server(id, virtual_server, checker)))
}

const fn instance(id: u32) -> ToIpvsd {
    ToIpvsd::Instance(InstanceId(id))
}

fn check_socket(checker: u32, mark: u32) -> ToIpvsd {
    ToIpvsd::CheckSocket(Box::new(SocketRule {
        checker: CheckerId(checker),
        host: 0,
        family: Family::Inet,
        kind: SocketKind::Stream,
        source: None,
        interface: None,
        mark,
    }))
}

fn begin(generation: u64) -> ToIpvsd {
    ToIpvsd::Begin(Generation(generation))
}

fn commit(generation: u64) -> ToIpvsd {
    ToIpvsd::Commit(Generation(generation))
}

/// Outcome of the last of the messages; those before it must be taken.
fn last(messages: Vec<ToIpvsd>) -> Result<Taken, Fault> {
    let mut intake = Intake::default();
    let mut outcome = Ok(Taken::Part);
    for message in messages {
        outcome.unwrap();
        outcome = intake.take(message, &Table::new());
    }
    outcome
}

#[test]
fn a_virtual_server_that_stays_brings_its_real_servers() {
    let mut table = Table::new();
    let mut intake = Intake::default();
    let mut take = |message, table: &Table| intake.take(message, table);
    for message in [
        begin(1),
        global(),
        ToIpvsd::VirtualServer(Box::new(virtual_server(1))),
        ToIpvsd::RealServer(Box::new(real_server(1, 1, 1))),
    ] {
        take(message, &table).unwrap();
    }
    let Taken::Configuration { table: first, .. } = take(commit(1), &table).unwrap() else {
        panic!("a configuration was committed");
    };
    let now = kr_model::Instant::from_micros(0);
    table.handle(kr_lvs::Input::Configure(first.clone()), now);
    take(begin(2), &table).unwrap();
    take(global(), &table).unwrap();
    take(ToIpvsd::Kept(vec![VirtualServerId(1)]), &table).unwrap();
    let Taken::Configuration { table: second, .. } = take(commit(2), &table).unwrap() else {
        panic!("a configuration was committed");
    };
    assert_eq!(
        *second,
        Configuration {
            generation: Generation(2),
            virtual_servers: Vec::new(),
            real_servers: Vec::new(),
            kept: vec![Kept {
                id: VirtualServerId(1),
                place: 0
            }],
            ..*first
        }
    );
    table.handle(kr_lvs::Input::Configure(second), now);
    let stay: Vec<_> = table.real_servers(VirtualServerId(1)).unwrap().collect();
    assert_eq!(stay, [&real_server(1, 1, 1)]);
    take(begin(3), &table).unwrap();
    let unknown = take(ToIpvsd::Kept(vec![VirtualServerId(9)]), &table);
    assert!(matches!(unknown, Err(Fault::Unknown(_))), "{unknown:?}");
}

#[test]
fn a_whole_configuration_is_handed_over_at_its_commit() {
    let resume = ToIpvsd::Resume(Box::new(snapshot(1)));
    let taken = last(vec![
        begin(1),
        global(),
        ToIpvsd::Instance(InstanceId(3)),
        vs(virtual_server(1)),
        rs(1, 1, 1),
        check_socket(1, 7),
        resume,
        commit(1),
    ]);
    let Ok(Taken::Configuration {
        table: configuration,
        instances,
        sockets,
    }) = taken
    else {
        panic!("{taken:?}")
    };
    assert_eq!(instances, [InstanceId(3)].into());
    assert_eq!(configuration.generation, Generation(1));
    assert_eq!(configuration.virtual_servers, [virtual_server(1)]);
    assert_eq!(configuration.real_servers, [real_server(1, 1, 1)]);
    assert_eq!(configuration.resume.pools, [snapshot(1)]);
    assert_eq!(sockets.len(), 1);
    assert_eq!((sockets[0].checker, sockets[0].mark), (CheckerId(1), 7));
}

#[test]
fn a_socket_of_nobody_without_need_or_twice_is_refused() {
    let before = || vec![begin(1), global(), vs(virtual_server(1)), rs(1, 1, 1)];
    for (sockets, fault) in [
        (
            vec![check_socket(2, 7)],
            Fault::Unknown("a socket of checker 2".to_owned()),
        ),
        (
            vec![check_socket(1, 0)],
            Fault::Unsound("a socket of checker 1".to_owned()),
        ),
        (
            vec![check_socket(1, 7), check_socket(1, 8)],
            Fault::Twice("a socket of checker 1".to_owned()),
        ),
    ] {
        let messages = before().into_iter().chain(sockets).collect();
        assert_eq!(last(messages), Err(fault));
    }
}

#[test]
fn what_a_predecessor_left_is_handed_over_whole() {
    let key = virtual_server(1).services[0];
    let values = ConnectionTimeouts {
        tcp: 900,
        tcp_fin: 120,
        udp: 300,
    };
    let mut second = snapshot(1);
    second.verdicts[0].checker = CheckerId(2);
    let taken = last(vec![
        begin(1),
        global(),
        vs(virtual_server(1)),
        ToIpvsd::Resume(Box::new(snapshot(1))),
        ToIpvsd::Resume(Box::new(second)),
        ToIpvsd::Former(key),
        ToIpvsd::OriginalTimeouts(values),
        commit(1),
    ]);
    let Ok(Taken::Configuration {
        table: configuration,
        sockets,
        ..
    }) = taken
    else {
        panic!("{taken:?}")
    };
    assert_eq!(sockets, []);
    let resume = configuration.resume;
    let verdicts = resume.pools[0].verdicts.iter();
    let checkers: Vec<_> = verdicts.map(|verdict| verdict.checker.0).collect();
    assert_eq!(checkers, [1, 2]);
    assert_eq!((resume.former, resume.timeouts), (vec![key], Some(values)));
    let twice = vec![
        begin(1),
        ToIpvsd::OriginalTimeouts(values),
        ToIpvsd::OriginalTimeouts(values),
    ];
    assert!(last(twice).is_err());
}

#[test]
fn parts_out_of_turn_are_refused() {
    let cases = [
        (vec![global()], Fault::NotBegun),
        (vec![commit(1)], Fault::NotBegun),
        (vec![begin(1), begin(2)], Fault::Nested),
        (vec![begin(0)], Fault::Generation(Generation(0))),
        (vec![begin(1), global(), global()], Fault::Global),
        (
            vec![begin(1), instance(3), instance(3)],
            Fault::Twice("instance 3".to_owned()),
        ),
        (vec![begin(1), commit(1)], Fault::Global),
        (
            vec![begin(1), global(), commit(2)],
            Fault::Generation(Generation(2)),
        ),
        (
            vec![begin(2), global(), commit(2), begin(2)],
            Fault::Generation(Generation(2)),
        ),
    ];
    for (messages, fault) in cases {
        assert_eq!(last(messages), Err(fault));
    }
}

#[test]
fn objects_that_do_not_fit_together_are_refused() {
    let with = |mut messages: Vec<ToIpvsd>| {
        messages.insert(0, begin(1));
        messages.insert(1, global());
        messages.insert(2, vs(virtual_server(1)));
        last(messages).unwrap_err().to_string()
    };
    assert_eq!(
        with(vec![vs(virtual_server(1))]),
        "virtual server 1 was configured twice"
    );
    assert_eq!(
        with(vec![rs(1, 2, 1)]),
        "real server 1 belongs to nothing that was configured"
    );
    assert_eq!(
        with(vec![rs(1, 1, 1), rs(1, 1, 2)]),
        "real server 1 was configured twice"
    );
    assert_eq!(
        with(vec![rs(1, 1, 1), rs(2, 1, 1)]),
        "checker 1 was configured twice"
    );
    assert_eq!(
        with(vec![ToIpvsd::Resume(Box::new(snapshot(9)))]),
        "the state of virtual server 9 belongs to nothing that was configured"
    );
}

#[test]
fn impossible_settings_are_refused() {
    let refused = |change: &dyn Fn(&mut VirtualServer)| {
        let mut server = virtual_server(1);
        change(&mut server);
        last(vec![begin(1), vs(server)]).is_err()
    };
    let persistence = |timeout_seconds, granularity| {
        move |server: &mut VirtualServer| {
            server.persistence = Some(Persistence {
                timeout_seconds,
                granularity,
                engine: None,
            });
        }
    };
    assert!(!refused(&persistence(LONGEST_PERSISTENCE, 32)));
    assert!(refused(&persistence(0, 32)));
    assert!(refused(&persistence(LONGEST_PERSISTENCE + 1, 32)));
    assert!(refused(&persistence(1, 33)));
    assert!(refused(&persistence(1, 0)));
    assert!(refused(&|server| server.services.clear()));
    assert!(refused(&|server| server.services.push(server.services[0])));
    assert!(refused(&|server| server.quorum = 0));
    assert!(refused(&|server| server.hysteresis = 1));
}
