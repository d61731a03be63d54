//! A large load balancer: what a reload writes, and how long it thinks.

use super::*;

const SERVICES: u16 = 2_300;

/// `SERVICES` virtual servers with 37,000 real servers between them, each with a checker.
fn large() -> Configuration {
    let mut config = configuration(virtual_server(), vec![]);
    config.virtual_servers.clear();
    for n in 0..SERVICES {
        let mut vs = virtual_server();
        (vs.id, vs.services) = (VirtualServerId(n.into()), vec![vip(n + 1)]);
        config.virtual_servers.push(vs);
        let servers = if n < 200 { 17 } else { 16 };
        config
            .real_servers
            .extend((0..servers).map(|k| member(n, k)));
    }
    assert_eq!(config.real_servers.len(), 37_000);
    config
}

/// Real server `k` of virtual server `n`, at 10.0.`k`.1.
fn member(n: u16, k: u8) -> RealServer {
    let mut server = real_server(k);
    server.id = RealServerId(u32::from(n) * 100 + u32::from(k));
    server.virtual_server = VirtualServerId(n.into());
    server.address = SocketAddr::from(([10, 0, k, 1], 80));
    server.checkers[0].id = CheckerId(server.id.0);
    server
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the time is printed, nothing depends on it"
)]
fn a_hundred_changes_of_37000_servers_are_a_hundred_operations() {
    let mut config = large();
    let mut lab = Lab::started(config.clone());
    // A check set a weight: the reload keeps it.
    let heavy = member(7, 7).id;
    lab.verdict(heavy.0, true, Some(50));
    lab.forget();

    // Of virtual servers 100, 200 … 2000: one server goes, one comes, three change their weight.
    let changed: Vec<u16> = (1..=20).map(|n| n * 100).collect();
    let in_changed = |server: &RealServer, k: u32| {
        let (n, own) = (server.id.0 / 100, server.id.0 % 100);
        changed.iter().any(|vs| u32::from(*vs) == n) && own == k
    };
    config.real_servers.retain(|server| !in_changed(server, 3));
    for server in &mut config.real_servers {
        if (4..7).any(|k| in_changed(server, k)) {
            server.weight = Weight::try_from(9).unwrap();
        }
    }
    config
        .real_servers
        .extend(changed.iter().map(|vs| member(*vs, 40)));
    config.generation = Generation(2);
    let began = std::time::Instant::now();
    lab.input(Input::Configure(Box::new(config)));
    println!("reload of 37,000 servers: {:?}", began.elapsed());

    let mut expected = Vec::new();
    for vs in changed {
        let key = vip(vs + 1);
        let at = |k: u8| SocketAddr::from(([10, 0, k, 1], vs + 1));
        let held = |weight: u64| kr_model::ipvs::Destination {
            forwarding: Forwarding::Direct,
            weight: Weight::try_from(weight).unwrap(),
            upper_threshold: 0,
            lower_threshold: 0,
        };
        expected.push(Operation::AddDestination {
            key,
            address: at(40),
            destination: held(1),
        });
        expected.extend((4..7).map(|k| Operation::SetDestination {
            key,
            address: at(k),
            destination: held(9),
        }));
        expected.push(Operation::RemoveDestination {
            key,
            address: at(3),
        });
    }
    assert_eq!(lab.operations.len(), 100);
    assert_eq!(lab.operations, expected);
    // Twenty living servers went; nothing else is said.
    assert_eq!(lab.notices.len(), 20);
    let heavy = SocketAddr::from(([10, 0, 7, 1], 8));
    let held = lab.kernel[&vip(8)].destinations[&heavy].unwrap();
    assert_eq!(held.weight.get(), 50);
}

/// A fake kernel of this size answers a round of readings without a difference, and no reading is large.
#[test]
fn a_round_over_37000_servers_takes_two_seconds_in_small_readings() {
    let mut lab = Lab::started(large());
    lab.tick();
    let then = lab.now;
    let mut largest = 0;
    let mut seen = std::collections::BTreeSet::new();
    while lab.now < then.saturating_add(ROUND) {
        lab.now = lab.table.poll_timeout().unwrap();
        lab.table.handle(Input::Timer, lab.now);
        let Some(Action::Read { services }) = lab.table.poll_action() else {
            panic!()
        };
        let answer = lab.reading(&services);
        largest = largest.max(answer.values().map(|held| held.destinations.len()).sum());
        seen.extend(services);
        lab.input(Input::Read(answer));
    }
    assert_eq!((seen.len(), largest <= SLICE), (2_300, true), "{largest}");
    assert_eq!(lab.operations, []);
}
