//! `drain_timeout`: what a reload takes away ends in its own time.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use kr_test_vm::{Farm, SOON, VIP};
use kr_testkit::keepalived::{Peer, Role};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{setsockopt, sockopt};

/// How long a byte may be on its way in an emulated machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// For a successor to come and to look at the table.
const CRASH: Duration = Duration::from_secs(8);

/// The server that stays has no weight at first, so that the connection goes to the other one.
const BEFORE: &str = "
    virtual_server 10.20.0.100 90 {
        lb_algo rr
        lb_kind NAT
        protocol TCP
        drain_timeout 20
        real_server 10.30.0.11 90 { }
        real_server 10.30.0.12 90 {
            weight 0
        }
    }
";

const AFTER: &str = "
    virtual_server 10.20.0.100 90 {
        lb_algo rr
        lb_kind NAT
        protocol TCP
        drain_timeout 20
        real_server 10.30.0.12 90 { }
    }
";

const SERVICE: &str = "-A -t 10.20.0.100:90 -s rr";
const STAYS: &str = "-a -t 10.20.0.100:90 -r 10.30.0.12:90 -m -w 1";

/// One byte to the server and back.
fn round_trip(client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    client.write_all(b"?")?;
    server.read_exact(&mut byte)?;
    server.write_all(b"!")?;
    client.read_exact(&mut byte)
}

#[test]
fn connection_to_a_server_that_a_reload_takes_away_goes_on_for_its_time() {
    let farm = Farm::routed(2).unwrap();
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 90));
    let listener = farm.servers[0].enter(|| TcpListener::bind(any)).unwrap();
    let listener = listener.unwrap();
    let mut balancer = farm.balance(Peer::Ours, BEFORE).unwrap();
    let leaves = |weight: u8| format!("-a -t 10.20.0.100:90 -r 10.30.0.11:90 -m -w {weight}");
    let waits = STAYS.replace("-w 1", "-w 0");
    farm.wait_table(&balancer, &[SERVICE, &leaves(1), &waits])
        .unwrap();
    let vip = SocketAddr::from((VIP, 90));
    let client = farm
        .client
        .enter(|| TcpStream::connect_timeout(&vip, PATIENCE));
    let mut client = client.unwrap().unwrap();
    let (mut server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    round_trip(&mut client, &mut server).unwrap();

    balancer.reload(AFTER).unwrap();
    farm.wait_table(&balancer, &[SERVICE, &leaves(0), STAYS])
        .unwrap();
    kill(balancer.child(Role::Ipvs).unwrap(), Signal::SIGKILL).unwrap();
    round_trip(&mut client, &mut server).unwrap();

    farm.wait_table(&balancer, &[SERVICE, STAYS]).unwrap();
    round_trip(&mut client, &mut server).unwrap_err();
    balancer.stop(SOON).unwrap();
}

const LONG: &str = "
    virtual_server 10.20.0.100 90 {
        lb_algo rr
        lb_kind NAT
        protocol TCP
        drain_timeout 3600
        real_server 10.30.0.11 90 { }
        real_server 10.30.0.12 90 {
            weight 0
        }
    }
";

const OTHER: &str = "
    virtual_server 10.20.0.100 91 {
        lb_algo rr
        lb_kind NAT
        protocol TCP
        real_server 10.30.0.12 91 { }
    }
";

#[test]
fn virtual_server_that_a_reload_takes_away_is_there_until_its_last_connection_ends() {
    let farm = Farm::routed(2).unwrap();
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 90));
    let listener = farm.servers[0].enter(|| TcpListener::bind(any)).unwrap();
    let listener = listener.unwrap();
    let mut balancer = farm.balance(Peer::Ours, &format!("{LONG}{OTHER}")).unwrap();
    let (one, two) = (
        "-a -t 10.20.0.100:90 -r 10.30.0.11:90 -m -w",
        "-a -t 10.20.0.100:90 -r 10.30.0.12:90 -m -w 0",
    );
    let other = [
        "-A -t 10.20.0.100:91 -s rr",
        "-a -t 10.20.0.100:91 -r 10.30.0.12:91 -m -w 1",
    ];
    let with_other = |lines: &[&str]| -> Vec<String> {
        let all = lines.iter().chain(&other);
        all.map(|line| (*line).to_owned()).collect()
    };
    let wait = |lines: &[&str]| {
        let lines = with_other(lines);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        farm.wait_table(&balancer, &lines).unwrap();
    };
    wait(&[SERVICE, &format!("{one} 1"), two]);
    let vip = SocketAddr::from((VIP, 90));
    let client = farm
        .client
        .enter(|| TcpStream::connect_timeout(&vip, PATIENCE));
    let mut client = client.unwrap().unwrap();
    let (mut server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    round_trip(&mut client, &mut server).unwrap();

    balancer.reload(OTHER).unwrap();
    // The server that nobody uses goes first.
    wait(&[SERVICE, &format!("{one} 0")]);
    round_trip(&mut client, &mut server).unwrap();
    let before = balancer.child(Role::Ipvs).unwrap();
    kill(before, Signal::SIGKILL).unwrap();
    let lines = with_other(&[SERVICE, &format!("{one} 0")]);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    farm.table_stays(&balancer, CRASH, &lines).unwrap();
    let next = balancer.child(Role::Ipvs);
    assert!(next.is_some_and(|now| now != before), "{}", balancer.log());
    round_trip(&mut client, &mut server).unwrap();
    // A reset, so that the kernel forgets the connection in seconds.
    let at_once = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&client, sockopt::Linger, &at_once).unwrap();
    drop(client);
    wait(&[]);
    balancer.stop(SOON).unwrap();
}
