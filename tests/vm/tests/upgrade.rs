//! An upgrade in place: the kernel's table does not change, and connections go on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use kr_test_vm::{Farm, VIP};
use kr_testkit::binaries;
use kr_testkit::keepalived::{Peer, Role};

/// How long a byte may be on its way in an emulated machine.
const PATIENCE: Duration = Duration::from_secs(5);

const CONFIGURATION: &str = "
    virtual_server 10.20.0.100 80 {
        delay_loop 1
        lb_algo rr
        lb_kind NAT
        protocol TCP
        real_server 10.30.0.11 80 {
            TCP_CHECK {
                connect_timeout 3
            }
        }
    }
    virtual_server 10.20.0.100 90 {
        lb_algo rr
        lb_kind NAT
        protocol TCP
        real_server 10.30.0.11 90 { }
    }
";

const TABLE: [&str; 4] = [
    "-A -t 10.20.0.100:80 -s rr",
    "-A -t 10.20.0.100:90 -s rr",
    "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
    "-a -t 10.20.0.100:90 -r 10.30.0.11:90 -m -w 1",
];

#[test]
fn table_and_connections_stay_through_an_upgrade() {
    let farm = Farm::routed(1).unwrap();
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 90));
    let listener = farm.servers[0].enter(|| TcpListener::bind(any)).unwrap();
    let listener = listener.unwrap();
    let balancer = farm.balance(Peer::Ours, CONFIGURATION).unwrap();
    farm.wait_table(&balancer, &TABLE).unwrap();
    let vip = SocketAddr::from((VIP, 90));
    let client = farm
        .client
        .enter(|| TcpStream::connect_timeout(&vip, PATIENCE));
    let mut client = client.unwrap().unwrap();
    let (mut server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let before = [Role::Checker, Role::Ipvs].map(|role| balancer.child(role).unwrap());
    let mut upgrade = Command::new(binaries::path("keepalived-rs").unwrap())
        .arg("--upgrade")
        .arg("--pid")
        .arg(balancer.directory().join("parent.pid"))
        .spawn()
        .unwrap();
    let status = loop {
        assert_eq!(farm.table().unwrap(), TABLE, "{}", balancer.log());
        client.write_all(b"?").unwrap();
        server.read_exact(&mut [0]).unwrap();
        if let Some(status) = upgrade.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success(), "{}", balancer.log());
    for (role, before) in [Role::Checker, Role::Ipvs].into_iter().zip(before) {
        assert_ne!(balancer.child(role), Some(before));
    }
    farm.table_stays(&balancer, PATIENCE, &TABLE).unwrap();
    server.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
}
