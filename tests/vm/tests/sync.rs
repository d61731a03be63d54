//! `lvs_sync_daemon`: which threads of the kernel run, and what they are for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kr_test_vm::{Farm, SOON, VIP};
use kr_testkit::keepalived::{Keepalived, Parts, Peer, Role};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};
use nix::sys::signal::{Signal, kill};

with_both!(
    without_an_instance_both_ends_run_until_the_stop,
    an_established_connection_survives_a_failover,
);

/// Where the server of the long connection listens.
const PORT: u16 = 81;

/// What `ipvsadm` tells of the threads, a line for each.
fn daemons(host: &Host) -> Vec<String> {
    let text = host.run("ipvsadm", &["-l", "--daemon"]).unwrap();
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn wait_daemons(host: &Host, balancer: &Keepalived, expected: &[&str]) {
    let found = eventually(SOON, "the threads", || daemons(host) == expected);
    assert!(
        found.is_ok(),
        "wanted {expected:?}, found {:?}:\n{}",
        daemons(host),
        balancer.log()
    );
}

/// One test of threads at a time: they are listed for the whole machine.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel's threads of synchronisation, whatever their namespace.
fn threads(host: &Host) -> Vec<String> {
    let text = host.run("ps", &["-e", "-o", "pid=,comm="]).unwrap();
    let of_ipvs = text.lines().filter(|line| line.contains(" ipvs-"));
    of_ipvs.map(|line| line.trim().to_owned()).collect()
}

const SERVICE: &str = "
virtual_server 10.20.0.100 81 {
    lb_algo rr
    lb_kind DR
    protocol TCP
    real_server 10.20.0.11 81 { }
}
";

#[test]
fn the_interface_is_that_of_the_namespace_with_the_table() {
    let _alone = alone();
    let farm = Farm::direct(1).unwrap();
    let balanced = farm.network.host("balanced").unwrap();
    balanced
        .ip("link add name sync0 type dummy\nlink set sync0 up\n")
        .unwrap();
    let configuration = format!(
        "net_namespace_ipvs {}\nglobal_defs {{\n lvs_sync_daemon sync0 id 7\n}}\n{SERVICE}",
        balanced.name()
    );
    let mut balancer = farm.balance(Peer::Ours, &configuration).unwrap();
    let settings = "(mcast=sync0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
    let both = [
        &*format!("master sync daemon {settings}"),
        &*format!("backup sync daemon {settings}"),
    ];
    wait_daemons(&balanced, &balancer, &both);
    balancer.stop(SOON).unwrap();
    assert_eq!(daemons(&balanced), [""; 0]);
}

fn without_an_instance_both_ends_run_until_the_stop(peer: Peer) {
    let _alone = alone();
    let farm = Farm::direct(1).unwrap();
    // Of a namespace that is still going away.
    let strange = threads(&farm.director);
    let options = "eth0 id 7 maxlen 1400 port 8900 ttl 3 group 224.0.0.82";
    let configuration = format!("global_defs {{\n lvs_sync_daemon {options}\n}}\n{SERVICE}");
    let mut balancer = farm.balance(peer, &configuration).unwrap();
    let settings = "(mcast=eth0, syncid=7, maxlen=1400, group=224.0.0.82, port=8900, ttl=3)";
    let both = [
        &*format!("master sync daemon {settings}"),
        &*format!("backup sync daemon {settings}"),
    ];
    wait_daemons(&farm.director, &balancer, &both);
    if peer == Peer::Ours {
        correction(&farm, &balancer, &both, &strange);
        let plain = configuration.replace(options, "eth0");
        balancer.reload(&plain).unwrap();
        let settings = "(mcast=eth0, syncid=0, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
        let both = [
            &*format!("master sync daemon {settings}"),
            &*format!("backup sync daemon {settings}"),
        ];
        wait_daemons(&farm.director, &balancer, &both);
        balancer.reload(SERVICE).unwrap();
        wait_daemons(&farm.director, &balancer, &[]);
        balancer.reload(&configuration).unwrap();
        wait_daemons(&farm.director, &balancer, &both_of(options));
    }
    balancer.stop(SOON).unwrap();
    assert_eq!(daemons(&farm.director), [""; 0]);
}

/// A successor of the process restarts nothing, and what somebody else stops is started again.
fn correction(farm: &Farm, balancer: &Keepalived, both: &[&str], strange: &[String]) {
    let own = || {
        let mut found = threads(&farm.director);
        found.retain(|thread| !strange.contains(thread));
        found
    };
    let before = own();
    assert!(!before.is_empty());
    let ipvsd = balancer.child(Role::Ipvs).unwrap();
    kill(ipvsd, Signal::SIGKILL).unwrap();
    eventually(SOON, "a successor", || {
        balancer.child(Role::Ipvs).is_some_and(|pid| pid != ipvsd)
    })
    .unwrap();
    throughout(Duration::from_secs(3), "the same threads", || {
        own() == before
    })
    .unwrap();
    let stop = ["--stop-daemon", "backup"];
    farm.director.run("ipvsadm", &stop).unwrap();
    wait_daemons(&farm.director, balancer, both);
}

fn both_of(options: &str) -> [&'static str; 2] {
    assert!(options.contains("id 7"));
    [
        "master sync daemon (mcast=eth0, syncid=7, maxlen=1400, group=224.0.0.82, port=8900, ttl=3)",
        "backup sync daemon (mcast=eth0, syncid=7, maxlen=1400, group=224.0.0.82, port=8900, ttl=3)",
    ]
}

/// A director that balances while it is master.
fn director(peer: Peer, host: &Host, priority: u8) -> Keepalived {
    let configuration = format!(
        "global_defs {{
            lvs_sync_daemon eth0 VI_1
        }}
        vrrp_instance VI_1 {{
            interface eth0
            virtual_router_id 51
            priority {priority}
            advert_int 1
            virtual_ipaddress {{
                10.20.0.100/32
            }}
        }}
        {SERVICE}"
    );
    Keepalived::start(peer, host, Parts::Both, &configuration).unwrap()
}

/// One question and its answer over both ends of a connection.
fn exchange(client: &mut TcpStream, server: &mut TcpStream, text: &[u8]) {
    let mut heard = vec![0; text.len()];
    client.write_all(text).unwrap();
    server.read_exact(&mut heard).unwrap();
    assert_eq!(heard, text);
    server.write_all(text).unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(heard, text);
}

fn an_established_connection_survives_a_failover(peer: Peer) {
    let _alone = alone();
    let farm = Farm::direct(1).unwrap();
    let second = farm.network.host("second").unwrap();
    farm.network
        .connect(&second, "eth0", "front", &["10.20.0.2/24"])
        .unwrap();
    let settings = "(mcast=eth0, syncid=51, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)";
    let master = format!("master sync daemon {settings}");
    let backup = format!("backup sync daemon {settings}");
    let first_balancer = director(peer, &farm.director, 150);
    wait_daemons(&farm.director, &first_balancer, &[&master]);
    let second_balancer = director(peer, &second, 100);
    wait_daemons(&second, &second_balancer, &[&backup]);

    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
    let listener = farm.servers[0].enter(|| TcpListener::bind(any)).unwrap();
    let listener = listener.unwrap();
    let to = SocketAddr::from((VIP, PORT));
    let client = farm
        .client
        .enter(|| TcpStream::connect_timeout(&to, SOON))
        .unwrap();
    let mut client = client.unwrap();
    let (mut server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(2 * SOON)).unwrap();
    }
    for round in 0..5_u8 {
        exchange(&mut client, &mut server, &[round; 100]);
    }
    let known = || {
        let connections = second.run("ipvsadm", &["-lnc"]).unwrap();
        connections.contains("ESTABLISHED 10.20.0.9:")
    };
    eventually(SOON, "the connection at the backup", known).unwrap();

    farm.director.set_link("eth0", false).unwrap();
    wait_daemons(&second, &second_balancer, &[&master]);
    for round in 0..5_u8 {
        exchange(&mut client, &mut server, &[round; 100]);
    }
    assert!(!farm.director.has_address("10.20.0.100"));
}
