//! Checks with a firewall mark or a low source port: the IPVS process makes their sockets.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use kr_sys::privilege::{Account, Duty, Holdings, Role};
use kr_testkit::netns::Host;
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::rig::{Rig, SOON, WHOLE, children, kill};

/// One service with these real servers, checked every 300 ms.
fn service(servers: &[(&str, &str)]) -> String {
    let mut text =
        "virtual_server 10.9.0.9 80 {\n delay_loop 0.3\n lb_algo rr\n lb_kind NAT\n protocol TCP\n"
            .to_owned();
    for (server, check) in servers {
        text += &format!(
            "real_server {server} {{\n TCP_CHECK {{\n connect_timeout 1\n warmup 0\n{check}}}\n}}\n"
        );
    }
    text + "}\n"
}

const LOW_PORT: &str = "bindto 10.9.0.1\nbind_port 514\n";

/// Another host on the segment.
fn neighbour(rig: &Rig) -> Host {
    let host = rig.network.host("s").unwrap();
    let addresses = ["10.9.0.2/24", "10.9.0.3/24"];
    rig.network
        .connect(&host, "eth0", "lan", &addresses)
        .unwrap();
    host
}

/// A server that tells from where each connection came. A check is over before it is accepted.
fn server(host: &Host, address: &str) -> Receiver<SocketAddr> {
    let address: SocketAddr = address.parse().unwrap();
    let listener = host.enter(|| TcpListener::bind(address)).unwrap().unwrap();
    let (heard, from) = channel();
    thread::spawn(move || {
        // Ends with the test, which no longer listens.
        while let Ok((_, peer)) = listener.accept() {
            if heard.send(peer).is_err() {
                return io::Result::Ok(());
            }
        }
        Ok(())
    });
    from
}

/// Where the next connections come from.
fn origins(from: &Receiver<SocketAddr>, count: usize) -> BTreeSet<SocketAddr> {
    (0..count)
        .map(|_| from.recv_timeout(SOON).unwrap())
        .collect()
}

fn holdings(pid: Pid) -> Holdings {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    Holdings::parse(&text).unwrap()
}

fn ipvsd(daemon: &Process) -> Option<Pid> {
    child_named(daemon.pid(), "ipvsd")
}

#[test]
fn servers_see_the_low_port_again_and_again_and_two_servers_at_a_time() {
    let rig = Rig::new(&service(&[
        ("10.9.0.2 80", LOW_PORT),
        ("10.9.0.2 81", LOW_PORT),
    ]));
    let host = neighbour(&rig);
    let servers = ["10.9.0.2:80", "10.9.0.2:81"].map(|address| server(&host, address));
    let daemon = rig.start_and_wait();
    let port = BTreeSet::from(["10.9.0.1:514".parse().unwrap()]);
    for from in &servers {
        // Far more often than once per time that a connection spends in TIME-WAIT.
        assert_eq!(origins(from, 8), port);
    }
    let log = daemon.log();
    assert_eq!(log.matches(" succeeded").count(), 2, "{log}");
    assert!(!log.contains("was not tried"), "{log}");
    assert!(!log.contains("failed"), "{log}");
    let pid = ipvsd(&daemon).unwrap();
    holdings(pid)
        .verify(Role::Ipvsd, Duty::LowPorts, Account::Own)
        .unwrap();
    // A successor makes them as well, and nothing is noticed of the change.
    kill(pid);
    eventually(SOON, "another ipvsd", || {
        ipvsd(&daemon).is_some_and(|other| other != pid)
    })
    .unwrap();
    while servers[0].try_recv().is_ok() {}
    assert_eq!(origins(&servers[0], 3), port);
    assert!(!daemon.log().contains("was not tried"), "{}", daemon.log());
}

#[test]
fn only_marked_checks_take_the_route_of_the_mark() {
    let rig = Rig::new(&service(&[
        ("10.9.0.3 80", "fwmark 77\n"),
        ("10.9.0.3 81", ""),
    ]));
    let host = neighbour(&rig);
    let _servers = ["10.9.0.3:80", "10.9.0.3:81"].map(|address| server(&host, address));
    let rule = "rule add not fwmark 77 to 10.9.0.3 unreachable pref 10";
    let rule: Vec<&str> = rule.split(' ').collect();
    rig.host.run("ip", &rule).unwrap();
    let daemon = rig.start_and_wait();
    rig.wait_for(
        &daemon,
        "TCP_CHECK of [10.9.0.3]:tcp:80 in [10.9.0.9]:tcp:80 succeeded",
    );
    rig.wait_for(
        &daemon,
        "TCP_CHECK of [10.9.0.3]:tcp:81 in [10.9.0.9]:tcp:80 failed: network unreachable",
    );
    let pid = ipvsd(&daemon).unwrap();
    // A mark needs nothing that the process does not have anyway.
    holdings(pid)
        .verify(Role::Ipvsd, Duty::Usual, Account::Own)
        .unwrap();
}

#[test]
fn a_reload_gives_the_privilege_for_low_ports_and_takes_it_away() {
    let rig = Rig::new(WHOLE);
    let host = neighbour(&rig);
    let from = server(&host, "10.9.0.2:80");
    let daemon = rig.start_and_wait();
    let [vrrpd, checkerd, first] = children(&daemon);
    holdings(first)
        .verify(Role::Ipvsd, Duty::Usual, Account::Own)
        .unwrap();
    for (generation, text, duty) in [
        (
            2,
            format!(
                "{WHOLE}{}",
                service(&[("10.9.0.2 80", LOW_PORT)]).replace("10.9.0.9 80", "10.9.0.9 81")
            ),
            Duty::LowPorts,
        ),
        (3, WHOLE.to_owned(), Duty::Usual),
    ] {
        let before = ipvsd(&daemon);
        rig.configure(&text);
        daemon.signal(Signal::SIGHUP).unwrap();
        rig.wait_for(
            &daemon,
            &format!("reloaded: configuration {generation} is in force"),
        );
        assert_ne!(ipvsd(&daemon), before);
        let held = holdings(ipvsd(&daemon).unwrap());
        held.verify(Role::Ipvsd, duty, Account::Own).unwrap();
        if duty == Duty::LowPorts {
            let port = BTreeSet::from(["10.9.0.1:514".parse().unwrap()]);
            assert_eq!(origins(&from, 2), port);
        }
    }
    let [same_vrrpd, same_checkerd, _] = children(&daemon);
    assert_eq!((vrrpd, checkerd), (same_vrrpd, same_checkerd));
    let log = daemon.log();
    assert!(
        !log.contains("WARN") && !log.contains("was ended by"),
        "{log}"
    );
}
