//! Sync groups over two segments: the group is whole on one side, ours or the distribution's.

use std::fmt::Write;
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair};
use kr_testkit::keepalived::Keepalived;
use kr_testkit::keepalived::Parts;
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

const FAILOVER: Duration = Duration::from_secs(8);
const VIPS: [&str; 2] = ["192.168.77.100", "192.168.78.100"];

/// The pair with a second segment.
pub(crate) fn pair() -> Pair {
    let pair = Pair::new().unwrap();
    pair.network.segment("lan2").unwrap();
    let connect = |host, address| pair.network.connect(host, "eth1", "lan2", &[address]);
    connect(&pair.a, "192.168.78.1/24").unwrap();
    connect(&pair.b, "192.168.78.2/24").unwrap();
    pair
}

fn start(peer: Peer, host: &Host, priority: u8, more: &str) -> Keepalived {
    let mut text = format!("vrrp_sync_group G {{\ngroup {{\nVI_0\nVI_1\n}}\n{more}\n}}\n");
    for (number, vip) in VIPS.iter().enumerate() {
        writeln!(
            text,
            "vrrp_instance VI_{number} {{\nstate BACKUP\ninterface eth{number}\nvirtual_router_id {}\n\
             priority {priority}\nadvert_int 1\nvirtual_ipaddress {{\n{vip}/24\n}}\n}}",
            number + 60
        )
        .unwrap();
    }
    Keepalived::start(peer, host, Parts::Vrrp, &text).unwrap()
}

/// Which of the addresses a host has.
fn held(host: &Host) -> [bool; 2] {
    VIPS.map(|vip| host.has_address(vip))
}

fn whole_on(holder: &Host, other: &Host, limit: Duration) {
    eventually(limit, "the group whole on one side", || {
        held(holder) == [true; 2] && held(other) == [false; 2]
    })
    .unwrap();
}

fn follows(first: Peer, second: Peer) {
    let pair = pair();
    let _a = start(first, &pair.a, 150, "");
    let mut b = start(second, &pair.b, 100, "");
    whole_on(&pair.a, &pair.b, ELECTION);
    for interface in ["eth0", "eth1"] {
        pair.a.set_link(interface, false).unwrap();
        whole_on(&pair.b, &pair.a, FAILOVER);
        pair.a.set_link(interface, true).unwrap();
        whole_on(&pair.a, &pair.b, ELECTION);
    }
    b.stop(FAILOVER).unwrap();
    throughout(Duration::from_secs(4), "the group stays whole", || {
        held(&pair.a) == [true; 2]
    })
    .unwrap();
}

#[test]
fn a_group_of_ours_moves_to_stock_and_back_as_a_whole() {
    follows(Ours, Stock);
}

#[test]
fn a_group_of_stock_moves_to_ours_and_back_as_a_whole() {
    follows(Stock, Ours);
}

#[test]
fn the_scripts_of_a_group_run_once_for_each_of_its_states() {
    let pair = pair();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("states");
    std::fs::write(&file, "").unwrap();
    let more = format!(
        "notify \"/bin/sh -c 'echo $1 $2 $3 $4 >> {}' sh\" root",
        file.display()
    );
    let mut a = start(Ours, &pair.a, 150, &more);
    whole_on(&pair.a, &pair.b, ELECTION);
    pair.a.set_link("eth1", false).unwrap();
    let lines = || std::fs::read_to_string(&file).unwrap();
    eventually(FAILOVER, "a fault", || lines().contains("FAULT")).unwrap();
    a.stop(FAILOVER).unwrap();
    let expected = "GROUP G BACKUP 0\nGROUP G MASTER 0\nGROUP G FAULT 0\nGROUP G STOP 0\n";
    eventually(FAILOVER, "every state", || lines() == expected)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", lines(), a.log()));
}
