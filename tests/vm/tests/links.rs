//! Links that this machine's kernel may lack and the lab's has: ipvlan and VRF devices.

use std::time::Duration;

use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts};
use kr_testkit::netns::{Host, Network};
use kr_testkit::wait::{eventually, throughout};

const VIP: &str = "192.168.77.100";

/// An election, in the emulated machine.
const ELECTION: Duration = Duration::from_secs(40);

/// Two hosts on one segment, whose interface has the last byte of their addresses.
fn pair(network: &Network) -> [Host; 2] {
    network.segment("lan").unwrap();
    [1, 2].map(|last: u8| {
        let host = network.host(&format!("h{last}")).unwrap();
        let address = format!("192.168.77.{last}/24");
        network.connect(&host, "eth0", "lan", &[&address]).unwrap();
        host
    })
}

/// The better one of two routers is master, and the other one when that stops.
fn elects(hosts: &[Host; 2], peers: [Peer; 2], text: impl Fn(u8) -> String) {
    let start = |at: usize| {
        let last = u8::try_from(at + 1).unwrap();
        Keepalived::start(peers[at], &hosts[at], Parts::Vrrp, &text(last)).unwrap()
    };
    let held = || [hosts[0].has_address(VIP), hosts[1].has_address(VIP)];
    let second = start(1);
    let alone = eventually(ELECTION, "the second one alone", || held() == [false, true]);
    assert!(alone.is_ok(), "{}", second.log());
    let mut first = start(0);
    let taken = eventually(ELECTION, "the better one", || held() == [true, false]);
    assert!(taken.is_ok(), "{}\n{}", first.log(), second.log());
    throughout(Duration::from_secs(3), "it stays", || {
        held() == [true, false]
    })
    .unwrap();
    first.stop(ELECTION).unwrap();
    eventually(ELECTION, "the other one", || held() == [false, true]).unwrap();
}

fn instance(last: u8, lines: &str) -> String {
    let priority = 200 - last;
    format!(
        "vrrp_instance VI {{\n version 3\n state BACKUP\n virtual_router_id 55\n priority {priority}\n \
         advert_int 0.5\n {lines}\n}}\n"
    )
}

/// On an ipvlan with an address of its own.
fn on_ipvlan(last: u8) -> String {
    let lines = format!(
        "interface eth0\n use_ipvlan ipv0 192.168.77.{}/24 bridge\n virtual_ipaddress {{\n {VIP}/24\n }}",
        last + 10
    );
    instance(last, &lines)
}

#[test]
fn an_ipvlan_is_made_with_its_address_and_goes() {
    let network = Network::new().unwrap();
    let hosts = pair(&network);
    elects(&hosts, [Ours, Ours], on_ipvlan);
    let mut again = Keepalived::start(Ours, &hosts[0], Parts::Vrrp, &on_ipvlan(1)).unwrap();
    eventually(ELECTION, "the address of the ipvlan", || {
        hosts[0].has_address("192.168.77.11")
    })
    .unwrap();
    let shown = hosts[0].run("ip", &["-d", "link", "show", "ipv0"]).unwrap();
    assert!(shown.contains("ipvlan"), "{shown}");
    assert!(shown.contains("mode l2 bridge"), "{shown}");
    assert!(shown.contains("alias keepalived-rs"), "{shown}");
    let link = shown.split(':').next().unwrap().to_owned();
    again.crash();
    let mut last = Keepalived::start(Ours, &hosts[0], Parts::Vrrp, &on_ipvlan(1)).unwrap();
    eventually(ELECTION, "master again", || {
        last.logged("Entering MASTER") > 0
    })
    .unwrap();
    let shown = hosts[0].run("ip", &["-d", "link", "show", "ipv0"]).unwrap();
    assert!(shown.starts_with(&link), "made anew: {shown}");
    last.stop(ELECTION).unwrap();
    assert!(hosts[0].run("ip", &["link", "show", "ipv0"]).is_err());
}

#[test]
fn an_ipvlan_is_elected_with_keepalived() {
    for peers in [[Ours, Stock], [Stock, Ours]] {
        let network = Network::new().unwrap();
        elects(&pair(&network), peers, on_ipvlan);
    }
}

/// Puts the interface of each into a VRF.
fn bind(hosts: &[Host; 2]) {
    for host in hosts {
        host.ip("link add red type vrf table 10\nlink set red up\nlink set eth0 master red\n")
            .unwrap();
    }
}

#[test]
fn unicast_instances_run_in_a_vrf() {
    let network = Network::new().unwrap();
    let hosts = pair(&network);
    bind(&hosts);
    elects(&hosts, [Ours, Ours], |last| {
        let lines = format!(
            "vrf red\n unicast_src_ip 192.168.77.{last}\n unicast_peer {{\n 192.168.77.{}\n }}\n \
             virtual_ipaddress {{\n {VIP}/24 dev eth0\n }}",
            3 - last
        );
        instance(last, &lines)
    });
}

#[test]
fn a_vmac_follows_its_interface_into_a_vrf() {
    let network = Network::new().unwrap();
    let hosts = pair(&network);
    bind(&hosts);
    let text = |last| {
        let lines = format!("interface eth0\n use_vmac\n virtual_ipaddress {{\n {VIP}/24\n }}");
        instance(last, &lines)
    };
    elects(&hosts, [Ours, Ours], text);
    let shown = hosts[1].run("ip", &["link", "show", "vrrp.55"]).unwrap();
    assert!(shown.contains("master red"), "{shown}");
}
