//! `net_namespace_ipvs`: the table of one network namespace, checks from another.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use kr_test_vm::{Farm, SOON};
use kr_testkit::keepalived::{Keepalived, Parts, Peer, Role};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};
use nix::sys::signal::{Signal, kill};

with_both!(the_table_is_in_one_namespace_and_checks_go_out_from_another);

const BOTH: [&str; 3] = [
    "-A -t 10.20.0.100:80 -s rr",
    "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
    "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 1",
];

const FIRST_ONLY: [&str; 2] = [BOTH[0], BOTH[1]];

/// Two servers that only the director reaches; each check may have further lines.
fn service(more: &str) -> String {
    let check =
        format!("TCP_CHECK {{\nconnect_timeout 3\nretry 1\ndelay_before_retry 1\n{more}\n}}");
    format!(
        "virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 {{ {check}\n }}
            real_server 10.30.0.12 80 {{ {check}\n }}
        }}"
    )
}

/// The table of a host, sorted.
fn table(host: &Host) -> Vec<String> {
    let text = host.run("ipvsadm", &["-Sn"]).unwrap();
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.sort();
    lines
}

fn wait_table(host: &Host, balancer: &Keepalived, expected: &[&str]) {
    let found = eventually(SOON, "the table", || table(host) == expected);
    let log = balancer.log();
    assert!(
        found.is_ok(),
        "{:?} in {}:\n{log}",
        table(host),
        host.name()
    );
}

fn the_table_is_in_one_namespace_and_checks_go_out_from_another(peer: Peer) {
    let mut farm = Farm::routed(2).unwrap();
    let balanced = farm.network.host("balanced").unwrap();
    let configuration = format!("net_namespace_ipvs {}\n{}", balanced.name(), service(""));
    let mut balancer = farm.balance(peer, &configuration).unwrap();
    wait_table(&balanced, &balancer, &BOTH);
    farm.kill(2);
    wait_table(&balanced, &balancer, &FIRST_ONLY);
    farm.revive(2).unwrap();
    wait_table(&balanced, &balancer, &BOTH);
    assert!(farm.table().unwrap().is_empty());
    balancer.stop(SOON).unwrap();
    assert!(table(&balanced).is_empty());
}

#[test]
fn another_namespaces_table_outlives_a_crash_and_is_put_right() {
    let mut farm = Farm::routed(2).unwrap();
    let balanced = farm.network.host("balanced").unwrap();
    // The sockets of these checks come from the process that has the table.
    let configuration = format!(
        "net_namespace_ipvs {}\n{}",
        balanced.name(),
        service("fwmark 7")
    );
    let balancer = farm.balance(Peer::Ours, &configuration).unwrap();
    wait_table(&balanced, &balancer, &BOTH);
    for _ in 0..3 {
        let before = balancer.child(Role::Ipvs).unwrap();
        kill(before, Signal::SIGKILL).unwrap();
        let stays = || table(&balanced) == BOTH;
        throughout(Duration::from_secs(2), "the table", stays).unwrap();
        let next = || balancer.child(Role::Ipvs).is_some_and(|now| now != before);
        eventually(SOON, "a successor", next).unwrap();
    }
    balanced.run("ipvsadm", &["-C"]).unwrap();
    wait_table(&balanced, &balancer, &BOTH);
    farm.kill(2);
    wait_table(&balanced, &balancer, &FIRST_ONLY);
    let other = configuration.replace(balanced.name(), farm.client.name());
    balancer.reload(&other).unwrap();
    let refused = "`net_namespace_ipvs` cannot change while the daemon runs";
    eventually(SOON, refused, || balancer.log().contains(refused)).unwrap();
    assert!(farm.table().unwrap().is_empty());
}

#[test]
fn without_a_name_the_table_is_where_the_daemon_was_started() {
    let farm = Farm::routed(0).unwrap();
    let balanced = farm.network.host("balanced").unwrap();
    let any = SocketAddr::from((Ipv4Addr::new(10, 20, 0, 1), 80));
    let listener = farm.director.enter(|| TcpListener::bind(any)).unwrap();
    let listener = listener.unwrap();
    let configuration = format!(
        "net_namespace {}\nnet_namespace_ipvs\nvirtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            alpha
            real_server 10.20.0.1 80 {{
                TCP_CHECK {{
                    connect_timeout 3
                }}
            }}
        }}",
        farm.director.name()
    );
    let balancer =
        Keepalived::start(Peer::Ours, &balanced, Parts::Checkers, &configuration).unwrap();
    // The check arrives where only the daemon is.
    let (mut checked, _) = listener.accept().unwrap();
    let _ = checked.write_all(b"x");
    let _ = checked.read(&mut [0]);
    wait_table(
        &balanced,
        &balancer,
        &[BOTH[0], "-a -t 10.20.0.100:80 -r 10.20.0.1:80 -m -w 1"],
    );
    assert!(farm.table().unwrap().is_empty());
}
