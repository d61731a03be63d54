//! `use_vmac`: links, settings and frames beside those of the distribution's keepalived, and what becomes of them
//! when processes are killed, files are read anew and others meddle.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair, VIP};
use kr_testkit::capture::{self, Capture};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts, Role};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};
use nix::sys::signal::{Signal, kill};

/// The virtual router's MAC over IPv4; its id is 55.
const VIRTUAL_MAC: &str = "00:00:5e:00:01:37";

/// What everything that should happen soon is given on a busy machine.
const SOON: Duration = Duration::from_secs(10);

fn instance(priority: u8, lines: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n version 3\n state BACKUP\n interface eth0\n virtual_router_id 55\n priority {priority}\n \
         advert_int 0.3\n {lines}\n virtual_ipaddress {{\n 192.168.77.100/24\n }}\n}}\n"
    )
}

fn inet6(priority: u8, lines: &str) -> String {
    instance(priority, lines).replace("192.168.77.100/24", "fe80::100/64\n fd77::100/64")
}

/// Links above `eth0`, as `ip -d link` shows them, without what the kernel counts.
fn links(host: &Host) -> BTreeMap<String, String> {
    let shown = host.run("ip", &["-d", "-o", "link"]).unwrap();
    let above = shown.lines().filter(|line| line.contains("@eth0:"));
    above
        .map(|line| {
            let name = line.split([' ', '@']).nth(1).unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |word: &str| {
                let at = words.iter().position(|one| *one == word);
                at.map_or("", |at| words[at + 1])
            };
            let flags = words[2];
            let facts = ["link/ether", "mode", "addrgenmode", "group", "mtu"];
            let facts: Vec<&str> = facts.into_iter().map(after).collect();
            let private = line.contains("macvlan mode private");
            (
                name.to_owned(),
                format!("{flags} {private} {}", facts[..].join(" ")),
            )
        })
        .collect()
}

/// The index of a link, which is new when the link is made anew.
fn index(host: &Host, link: &str) -> Option<String> {
    let shown = host.run("ip", &["-o", "link", "show", "dev", link]).ok()?;
    shown.split(':').next().map(str::to_owned)
}

fn sysctl(host: &Host, key: &str) -> String {
    let path = format!("/proc/sys/net/{key}");
    host.enter(|| fs::read_to_string(path).unwrap_or_default())
        .unwrap()
        .trim()
        .to_owned()
}

/// Settings of IPv4 of the interface and of the VMAC.
fn settings(host: &Host, vmac: &str) -> Vec<String> {
    let of = |link: &str, setting: &str| sysctl(host, &format!("ipv4/conf/{link}/{setting}"));
    let of_base = ["arp_ignore", "arp_filter", "rp_filter"];
    let of_vmac = [
        "arp_ignore",
        "accept_local",
        "rp_filter",
        "promote_secondaries",
    ];
    let base = of_base.map(|setting| format!("eth0 {setting} {}", of("eth0", setting)));
    let own = of_vmac.map(|setting| format!("VMAC {setting} {}", of(vmac, setting)));
    base.into_iter().chain(own).collect()
}

/// Addresses of a link, as `ip` shows them.
fn addresses(host: &Host, link: &str) -> Vec<String> {
    let shown = host.run("ip", &["-o", "address", "show", "dev", link]);
    let shown = shown.unwrap_or_default();
    let words = shown.lines().map(|line| {
        let shown = line.split('\\').next().unwrap();
        let words: Vec<&str> = shown.split_whitespace().skip(2).collect();
        words.join(" ")
    });
    let mut all: Vec<String> = words.collect();
    all.sort();
    all
}

/// The source MACs of the adverts that a host receives from another one.
fn sources(capture: &Capture, from: [u8; 6]) -> Vec<[u8; 6]> {
    let frames = capture.frames();
    let all = frames
        .iter()
        .map(|frame| <[u8; 6]>::try_from(&frame.bytes[6..12]).unwrap());
    all.filter(|source| *source == from || source[..4] == [0, 0, 0x5e, 0])
        .collect()
}

#[test]
fn links_settings_and_addresses_are_those_of_keepalived() {
    let text = format!(
        "{}{}{}",
        instance(100, "use_vmac"),
        inet6(100, "use_vmac")
            .replace("VI_1", "VI_2")
            .replace("router_id 55", "router_id 56"),
        instance(100, "use_vmac vip0\n vmac_xmit_base")
            .replace("VI_1", "VI_3")
            .replace("router_id 55", "router_id 57")
            .replace("77.100", "77.101"),
    );
    let names = ["vrrp.55", "vrrp.56", "vip0"];
    let look = |peer: Peer| {
        let pair = Pair::new().unwrap();
        let before = settings(&pair.a, "eth0");
        let mut router = Keepalived::start(peer, &pair.a, Parts::Vrrp, &text).unwrap();
        eventually(ELECTION, "three masters", || {
            [VIP, "192.168.77.101", "fd77::100"]
                .iter()
                .all(|ip| pair.a.has_address(ip))
        })
        .unwrap();
        let seen = (
            links(&pair.a),
            settings(&pair.a, "vrrp.55"),
            names.map(|name| addresses(&pair.a, name).len()),
            sysctl(&pair.a, "ipv6/conf/vrrp.55/disable_ipv6"),
            sysctl(&pair.a, "ipv6/conf/vrrp.56/disable_ipv6"),
        );
        router.stop(SOON).unwrap();
        assert_eq!(links(&pair.a), BTreeMap::new(), "{peer:?}");
        if peer == Ours {
            assert_eq!(settings(&pair.a, "eth0"), before, "put back");
        }
        seen
    };
    assert_eq!(look(Ours), look(Stock));
}

/// Two routers, of which `a` is the better one, and what they send.
fn elects(peers: [Peer; 2], text: impl Fn(u8) -> String, address: &str) {
    let pair = Pair::new().unwrap();
    let start = |peer, host, priority| Keepalived::start(peer, host, Parts::Vrrp, &text(priority));
    let b = start(peers[1], &pair.b, 100).unwrap();
    eventually(ELECTION, "b alone", || pair.b.has_address(address)).unwrap();
    let mut a = start(peers[0], &pair.a, 200).unwrap();
    let held = || (pair.a.has_address(address), pair.b.has_address(address));
    eventually(ELECTION, "a takes over", || held() == (true, false)).unwrap();
    let moves = b.logged("Entering");
    throughout(Duration::from_secs(2), "a stays", || {
        held() == (true, false)
    })
    .unwrap();
    assert_eq!(b.logged("Entering"), moves, "{}", b.log());
    a.stop(SOON).unwrap();
    eventually(ELECTION, "b follows", || held() == (false, true)).unwrap();
}

#[test]
fn a_vmac_is_elected_with_keepalived_in_both_directions() {
    for peers in [[Ours, Stock], [Stock, Ours]] {
        elects(peers, |priority| instance(priority, "use_vmac"), VIP);
    }
}

#[test]
fn a_vmac_of_ipv6_is_elected_with_keepalived_in_both_directions() {
    for peers in [[Ours, Stock], [Stock, Ours]] {
        elects(peers, |priority| inet6(priority, "use_vmac"), "fd77::100");
    }
}

#[test]
fn a_vmac_without_adverts_is_elected_with_keepalived_in_both_directions() {
    for peers in [[Ours, Stock], [Stock, Ours]] {
        elects(
            peers,
            |priority| instance(priority, "use_vmac\n vmac_xmit_base"),
            VIP,
        );
    }
}

#[test]
fn a_vmac_is_elected_with_a_router_without_one() {
    for vmac in [100, 200] {
        let text = |priority| instance(priority, if priority == vmac { "use_vmac" } else { "" });
        elects([Ours, Ours], text, VIP);
    }
}

#[test]
fn adverts_and_answers_come_from_the_virtual_mac() {
    let pair = Pair::new().unwrap();
    let capture = Capture::start(&pair.b, capture::is_vrrp).unwrap();
    let _ours = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &instance(200, "use_vmac")).unwrap();
    eventually(ELECTION, "a master", || pair.a.has_address(VIP)).unwrap();
    let mac = [0, 0, 0x5e, 0, 1, 55];
    eventually(SOON, "adverts", || sources(&capture, mac).len() > 3).unwrap();
    assert!(sources(&capture, mac).iter().all(|source| *source == mac));
    let first = capture.frames().remove(0).bytes;
    assert_eq!(
        first[26..30],
        [192, 168, 77, 1],
        "sent from the address of the interface below"
    );
    // To find the other host, this one would ask from the interface with the route, and name the virtual address.
    let other = ["-c", "1", "-W", "2", "192.168.77.2"];
    pair.a.run("ping", &other).unwrap();
    pair.b.run("ping", &["-c", "2", "-W", "2", VIP]).unwrap();
    let neighbour = pair.b.run("ip", &["neighbour", "show", VIP]).unwrap();
    assert!(neighbour.contains(VIRTUAL_MAC), "{neighbour}");
    // The interface below answers for its own address alone, from its own MAC.
    pair.b
        .run("ping", &["-c", "1", "-W", "2", "192.168.77.1"])
        .unwrap();
    let neighbour = pair
        .b
        .run("ip", &["neighbour", "show", "192.168.77.1"])
        .unwrap();
    assert!(!neighbour.contains(VIRTUAL_MAC), "{neighbour}");
}

#[test]
fn a_killed_process_or_daemon_leaves_the_vmac_to_its_successor() {
    let pair = Pair::new().unwrap();
    let text = instance(200, "use_vmac");
    let before = settings(&pair.a, "eth0");
    let mut ours = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &text).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    let (link, set) = (index(&pair.a, "vrrp.55"), settings(&pair.a, "vrrp.55"));
    let killed = ours.child(Role::Vrrp).unwrap();
    kill(killed, Signal::SIGKILL).unwrap();
    eventually(SOON, "a successor", || {
        ours.child(Role::Vrrp).is_some_and(|pid| pid != killed)
    })
    .unwrap();
    throughout(Duration::from_secs(2), "the address stays", || {
        pair.a.has_address(VIP)
    })
    .unwrap();
    assert_eq!(index(&pair.a, "vrrp.55"), link);
    ours.reload(&text.replace("priority 200", "priority 201"))
        .unwrap();
    eventually(SOON, "the reload", || ours.logged("configuration 2") > 0).unwrap();
    assert_eq!(index(&pair.a, "vrrp.55"), link);
    assert!(pair.a.has_address(VIP));
    ours.crash();
    let mut again = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &text).unwrap();
    eventually(ELECTION, "master again", || again.logged("MASTER") > 0).unwrap();
    assert_eq!(index(&pair.a, "vrrp.55"), link, "{}", again.log());
    assert_eq!(settings(&pair.a, "vrrp.55"), set);
    again.crash();
    // Nobody wants it any more, and what was changed for it is put back.
    let mut without = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &instance(200, "")).unwrap();
    eventually(ELECTION, "no link", || links(&pair.a).is_empty()).unwrap();
    eventually(ELECTION, "master without", || pair.a.has_address(VIP)).unwrap();
    eventually(SOON, "settings put back", || {
        settings(&pair.a, "eth0") == before
    })
    .unwrap();
    without.stop(SOON).unwrap();
}

#[test]
fn a_reload_puts_an_instance_on_a_vmac_and_back() {
    let pair = Pair::new().unwrap();
    let before = settings(&pair.a, "eth0");
    let ours = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &instance(200, "")).unwrap();
    eventually(ELECTION, "master", || pair.a.has_address(VIP)).unwrap();
    let on = |link: &str| {
        addresses(&pair.a, link)
            .iter()
            .any(|line| line.contains(VIP))
    };
    ours.reload(&instance(200, "use_vmac")).unwrap();
    eventually(ELECTION, "on the VMAC", || on("vrrp.55") && !on("eth0")).unwrap();
    ours.reload(&instance(200, "use_vmac vip0\n vmac_xmit_base"))
        .unwrap();
    eventually(ELECTION, "on the other VMAC", || {
        on("vip0") && index(&pair.a, "vrrp.55").is_none()
    })
    .unwrap();
    ours.reload(&instance(200, "")).unwrap();
    eventually(ELECTION, "on the interface", || {
        on("eth0") && index(&pair.a, "vip0").is_none()
    })
    .unwrap();
    eventually(SOON, "settings put back", || {
        settings(&pair.a, "eth0") == before
    })
    .unwrap();
}

#[test]
fn links_of_others_stay_and_what_others_remove_comes_back() {
    let pair = Pair::new().unwrap();
    pair.a
        .ip("link add vrrp.55 type veth peer name other\n")
        .unwrap();
    let theirs = index(&pair.a, "vrrp.55");
    let mut ours =
        Keepalived::start(Ours, &pair.a, Parts::Vrrp, &instance(200, "use_vmac")).unwrap();
    eventually(ELECTION, "master", || pair.a.has_address(VIP)).unwrap();
    assert!(
        ours.logged("others have a link `vrrp.55`") > 0,
        "{}",
        ours.log()
    );
    let made = index(&pair.a, "vrrp1.55").unwrap();
    pair.a.ip("link delete vrrp1.55\n").unwrap();
    eventually(ELECTION, "made again", || {
        index(&pair.a, "vrrp1.55").is_some_and(|new| new != made) && pair.a.has_address(VIP)
    })
    .unwrap();
    ours.stop(SOON).unwrap();
    assert_eq!(index(&pair.a, "vrrp.55"), theirs);
    assert_eq!(links(&pair.a), BTreeMap::new());
}

#[test]
fn an_interface_that_goes_takes_the_vmac_along_and_brings_it_back() {
    let pair = Pair::new().unwrap();
    let text = format!(
        "global_defs {{\n dynamic_interfaces\n}}\n{}",
        instance(200, "use_vmac")
    );
    let ours = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &text).unwrap();
    eventually(ELECTION, "master", || pair.a.has_address(VIP)).unwrap();
    pair.a.set_link("eth0", false).unwrap();
    eventually(SOON, "FAULT", || ours.logged("FAULT") > 0).unwrap();
    pair.a.set_link("eth0", true).unwrap();
    eventually(ELECTION, "master again", || pair.a.has_address(VIP)).unwrap();
    pair.a.ip("link delete eth0\n").unwrap();
    eventually(SOON, "gone", || index(&pair.a, "vrrp.55").is_none()).unwrap();
    pair.network
        .connect(&pair.a, "eth0", "lan", &["192.168.77.1/24"])
        .unwrap();
    eventually(ELECTION, "master on the new one", || {
        pair.a.has_address(VIP)
    })
    .unwrap();
    assert!(links(&pair.a).contains_key("vrrp.55"), "{}", ours.log());
}

#[test]
fn addresses_elsewhere_have_vmacs_that_are_announced_again_and_again() {
    let pair = Pair::new().unwrap();
    pair.network.segment("other").unwrap();
    pair.network
        .connect(&pair.a, "eth1", "other", &["192.168.78.1/24"])
        .unwrap();
    pair.network
        .connect(&pair.b, "eth1", "other", &["192.168.78.2/24"])
        .unwrap();
    let text = instance(
        200,
        "use_vmac\n use_vmac_addr\n garp_master_delay 0\n garp_extra_if 1",
    )
    .replace("100/24\n", "100/24\n 192.168.78.100/24 dev eth1\n");
    let _ours = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &text).unwrap();
    eventually(ELECTION, "master", || pair.a.has_address("192.168.78.100")).unwrap();
    assert_eq!(
        addresses(&pair.a, "vrrp1.55"),
        ["inet 192.168.78.100/24 scope global vrrp1.55"]
    );
    let other = ["-c", "1", "-W", "2", "192.168.78.2"];
    pair.a.run("ping", &other).unwrap();
    pair.b
        .run("ping", &["-c", "1", "-W", "2", "192.168.78.100"])
        .unwrap();
    let neighbour = pair
        .b
        .run("ip", &["neighbour", "show", "192.168.78.100"])
        .unwrap();
    assert!(neighbour.contains(VIRTUAL_MAC), "{neighbour}");
    let announced = |frame: &[u8]| capture::announces(frame, [192, 168, 78, 100].into());
    let capture = Capture::start(&pair.b, announced).unwrap();
    eventually(SOON, "three further announcements", || {
        capture.frames().len() >= 3
    })
    .unwrap();
}

#[test]
fn promote_secondaries_is_set_while_the_instance_runs() {
    let pair = Pair::new().unwrap();
    pair.a
        .sysctl("net/ipv4/conf/eth0/promote_secondaries", "0")
        .unwrap();
    let promoted = || sysctl(&pair.a, "ipv4/conf/eth0/promote_secondaries");
    let text = instance(150, "promote_secondaries");
    let mut router = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &text).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    assert_eq!(promoted(), "1");
    router.reload(&instance(150, "")).unwrap();
    eventually(SOON, "the old value", || promoted() == "0").unwrap();
    router.reload(&text).unwrap();
    eventually(SOON, "the new value", || promoted() == "1").unwrap();
    router.stop(SOON).unwrap();
    assert_eq!(promoted(), "0");
}
