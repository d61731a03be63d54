//! Accept mode: traffic of virtual addresses is dropped by packet filter tables, or not.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use kr_test_netns::{ELECTION, Pair, VIP};
use kr_testkit::capture::Capture;
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts, Role};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

const LINK_LOCAL: &str = "fe80::77:100";
const VIP6: &str = "fd00:77::100";

/// One instance of each family, with these lines in both.
fn both(globals: &str, priority: u8, more: &str) -> String {
    let instance = |name: &str, vrid: u8, addresses: &str| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n version 3\n virtual_router_id {vrid}\n \
             priority {priority}\n {more}\n virtual_ipaddress {{\n {addresses}\n }}\n}}\n"
        )
    };
    let v4 = instance("V4", 55, &format!("{VIP}/24"));
    let v6 = instance("V6", 66, &format!("{LINK_LOCAL}/64\n {VIP6}/64"));
    format!("global_defs {{\n {globals}\n}}\n{v4}{v6}")
}

/// Host `a` is master with this configuration, and `b` a client of the same networks.
fn master(peer: Peer, configuration: &str) -> (Pair, Keepalived) {
    let pair = Pair::new().unwrap();
    pair.b.ip("address add fd00:77::2/64 dev eth0\n").unwrap();
    let router = Keepalived::start(peer, &pair.a, Parts::Vrrp, configuration).unwrap();
    let all = || {
        [VIP, LINK_LOCAL, VIP6]
            .iter()
            .all(|ip| pair.a.has_address(ip))
    };
    let on = eventually(ELECTION, "all addresses", all);
    assert!(on.is_ok(), "{on:?}: {}", router.log());
    (pair, router)
}

fn answers(host: &Host, address: &str) -> bool {
    let arguments = ["-c", "1", "-W", "1", "-n", "-I", "eth0", address];
    host.run("ping", &arguments).is_ok()
}

fn connects(from: &Host, address: &str) -> bool {
    let address: SocketAddr = format!("{address}:8080").parse().unwrap();
    from.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
        .unwrap()
}

fn tables(host: &Host) -> String {
    host.run("nft", &["list", "ruleset"]).unwrap()
}

#[test]
fn no_accept_drops_traffic_and_leaves_neighbour_discovery() {
    let (pair, router) = master(Ours, &both("", 150, "no_accept"));
    let _listener = pair
        .a
        .enter(|| TcpListener::bind(("0.0.0.0", 8080)).unwrap())
        .unwrap();
    assert!(connects(&pair.b, "192.168.77.1"), "the host itself");
    assert!(!connects(&pair.b, VIP));
    for address in [VIP, VIP6, LINK_LOCAL] {
        assert!(!answers(&pair.b, address), "{address}");
        // The address is resolved all the same.
        let neighbours = pair.b.run("ip", &["neighbour", "show", address]).unwrap();
        assert!(neighbours.contains("lladdr"), "{address}: {neighbours}");
    }
    // Nor does the master itself speak from there.
    let from = ["-c", "1", "-W", "1", "-n", "-I", VIP, "192.168.77.2"];
    assert!(pair.a.run("ping", &from).is_err());
    assert!(answers(&pair.b, "192.168.77.1"));
    assert_eq!(router.logged("packet filter"), 0, "{}", router.log());
}

#[test]
fn strict_mode_drops_traffic_unless_it_says_accept_or_owns_the_addresses() {
    let strict = "vrrp_strict";
    let (pair, _router) = master(Ours, &both(strict, 150, ""));
    assert!(!answers(&pair.b, VIP) && !answers(&pair.b, VIP6));
    drop((pair, _router));
    for (priority, more) in [(150, "accept"), (255, "state MASTER")] {
        let (pair, _router) = master(Ours, &both(strict, priority, more));
        assert!(answers(&pair.b, VIP) && answers(&pair.b, VIP6), "{more}");
        assert_eq!(tables(&pair.a), "", "{more}");
    }
}

#[test]
fn the_tables_are_those_of_the_distributions_keepalived() {
    for counters in ["", "nftables_counters"] {
        let globals =
            format!("nftables vrrp\n nftables_priority 7\n nftables_ifindex\n {counters}");
        let of = |peer| {
            let (pair, _router) = master(peer, &both(&globals, 150, "no_accept"));
            // What the counters count is chance.
            let text = tables(&pair.a);
            let words: Vec<&str> = text.split(' ').collect();
            let is_count = |at: usize| at > 0 && ["packets", "bytes"].contains(&words[at - 1]);
            let masked = words.iter().enumerate();
            let masked = masked.map(|(at, word)| if is_count(at) { "N" } else { word });
            masked.collect::<Vec<_>>().join(" ")
        };
        let (ours, theirs) = (of(Ours), of(Stock));
        assert!(ours.contains(VIP) && ours.contains(LINK_LOCAL), "{ours}");
        assert_eq!(ours, theirs, "ours:\n{ours}\ntheirs:\n{theirs}");
    }
}

/// The tables, VMACs in them, with the ip table alone: later versions of keepalived have more in the other one.
#[test]
fn the_rules_of_vmacs_are_those_of_the_distributions_keepalived() {
    let text = both("nftables_ifindex", 150, "use_vmac\n no_accept");
    let of = |peer| {
        let (pair, _router) = master(peer, &text);
        pair.a
            .run("nft", &["list", "table", "ip", "keepalived"])
            .unwrap()
    };
    let (ours, theirs) = (of(Ours), of(Stock));
    assert!(ours.contains("\"vrrp.55\" : \"eth0\""), "{ours}");
    assert_eq!(ours, theirs, "ours:\n{ours}\ntheirs:\n{theirs}");
}

/// Frames of IGMP and MLD, of router solicitations, and of advertisements for link-local addresses that are not
/// virtual.
fn is_own_multicast(frame: &[u8]) -> bool {
    let word = |at: usize| frame.get(at).copied().unwrap_or_default();
    let igmp = frame.get(12..14) == Some(&[0x08, 0x00]) && word(23) == 2;
    let inet6 = frame.get(12..14) == Some(&[0x86, 0xdd]);
    // MLD has a hop-by-hop header of 8 bytes in front.
    let mld = inet6 && word(20) == 0 && [131, 132, 143].contains(&word(62));
    let solicitation = inet6 && word(20) == 58 && word(54) == 133;
    let virtual_address = [0, 0, 0, 0, 0, 0x77, 0x01, 0x00];
    let advertisement = inet6
        && word(20) == 58
        && word(54) == 136
        && frame.get(62..64) == Some(&[0xfe, 0x80])
        && frame.get(70..78) != Some(&virtual_address);
    igmp || mld || solicitation || advertisement
}

#[test]
fn what_a_vmac_says_of_itself_leaves_with_the_address_of_its_parent() {
    let pair = Pair::new().unwrap();
    let capture = Capture::start(&pair.b, is_own_multicast).unwrap();
    let text = both("", 150, "use_vmac");
    let router = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &text).unwrap();
    eventually(ELECTION, "the address", || pair.a.has_address(VIP6)).unwrap();
    // Reports are repeated after a while.
    std::thread::sleep(Duration::from_secs(3));
    let frames = capture.frames();
    let of_vmac = |bytes: &[u8]| bytes.get(6..10) == Some(&[0, 0, 0x5e, 0]);
    let strays: Vec<_> = frames
        .iter()
        .filter(|frame| of_vmac(&frame.bytes))
        .collect();
    assert!(
        strays.is_empty(),
        "{strays:?}\n{}\n{}",
        tables(&pair.a),
        router.log()
    );
    // The group of VRRP, 224.0.0.18, is joined all the same.
    let group = [0xe0, 0, 0, 0x12];
    let reported = |bytes: &[u8]| bytes.windows(4).any(|part| part == group);
    assert!(
        frames.iter().any(|frame| reported(&frame.bytes)),
        "{frames:?}"
    );
    let rules = tables(&pair.a);
    assert!(rules.contains("\"vrrp.55\" : \"eth0\""), "{rules}");
    assert!(!rules.contains("vips"), "{rules}");
    drop(router);
}

#[test]
fn an_address_is_in_the_tables_while_this_router_is_master() {
    let text = both("", 150, "no_accept");
    let (pair, mut router) = master(Ours, &text);
    let by_name = format!("elements = {{ {LINK_LOCAL} . \"eth0\" }}");
    assert!(tables(&pair.a).contains(&by_name), "{}", tables(&pair.a));
    pair.b.set_link("eth0", false).unwrap();
    pair.a.set_link("eth0", false).unwrap();
    let empty = || {
        let text = tables(&pair.a);
        text.contains("table ip keepalived") && !text.contains("elements = { 192")
    };
    eventually(ELECTION, "empty sets", empty).unwrap();
    pair.a.set_link("eth0", true).unwrap();
    pair.b.set_link("eth0", true).unwrap();
    eventually(ELECTION, "the address", || tables(&pair.a).contains(VIP)).unwrap();
    router.stop(Duration::from_secs(10)).unwrap();
    assert_eq!(tables(&pair.a), "");
}

#[test]
fn a_crash_opens_no_gap_and_removed_tables_come_back() {
    let (pair, router) = master(Ours, &both("", 150, "no_accept"));
    let closed = || tables(&pair.a).contains(&format!("elements = {{ {VIP} }}"));
    for _ in 0..5 {
        let before = router.child(Role::Vrrp).unwrap();
        kill(before, Signal::SIGKILL).unwrap();
        throughout(Duration::from_millis(700), "the filter stays", closed).unwrap();
        let new = || router.child(Role::Vrrp).is_some_and(|pid| pid != before);
        eventually(ELECTION, "a new process", new).unwrap();
    }
    for command in [
        "flush ruleset",
        "delete table ip keepalived",
        "flush set ip keepalived vips",
        "flush chain ip keepalived in",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        pair.a.run("nft", &words).unwrap();
        let whole = || closed() && tables(&pair.a).matches("ip daddr @vips drop").count() == 1;
        let back = eventually(Duration::from_secs(5), command, whole);
        assert!(
            back.is_ok(),
            "{back:?}\n{}\n{}",
            tables(&pair.a),
            router.log()
        );
        assert!(!answers(&pair.b, VIP));
    }
    assert!(router.logged("another program changed the packet filter") > 0);
}

#[test]
fn a_reload_brings_the_filter_and_takes_it_away() {
    let (accept, refuse) = (both("", 150, ""), both("", 150, "no_accept"));
    let (pair, router) = master(Ours, &accept);
    assert!(answers(&pair.b, VIP));
    assert_eq!(tables(&pair.a), "");
    router.reload(&refuse).unwrap();
    let closed = || tables(&pair.a).contains(&format!("elements = {{ {VIP} }}"));
    eventually(ELECTION, "the filter", closed).unwrap();
    eventually(ELECTION, "no answer", || !answers(&pair.b, VIP)).unwrap();
    assert_eq!(router.logged("Entering BACKUP"), 2, "{}", router.log());
    // Now the process has its sockets, and is not replaced again.
    let process = router.child(Role::Vrrp);
    router.reload(&accept).unwrap();
    eventually(ELECTION, "no tables", || tables(&pair.a).is_empty()).unwrap();
    eventually(ELECTION, "an answer", || answers(&pair.b, VIP)).unwrap();
    let other = refuse.replace("global_defs {", "global_defs {\n nftables other");
    router.reload(&other).unwrap();
    let moved = || tables(&pair.a).contains("table ip other") && closed();
    eventually(ELECTION, "the other table", moved).unwrap();
    router.reload(&refuse).unwrap();
    let back = || !tables(&pair.a).contains("table ip other") && closed();
    eventually(ELECTION, "the first table", back).unwrap();
    assert_eq!(router.child(Role::Vrrp), process);
    assert!(pair.a.has_address(VIP));
    assert_eq!(router.logged("Entering BACKUP"), 2, "{}", router.log());
}

#[test]
fn without_need_there_is_no_socket_of_the_packet_filter() {
    let sockets = |router: &Keepalived| {
        let vrrpd = router.child(Role::Vrrp).unwrap();
        // Protocol 12 is NETLINK_NETFILTER; the row with address 0 is the kernel's own.
        let text = fs::read_to_string(format!("/proc/{vrrpd}/net/netlink")).unwrap();
        let rows = text.lines().filter(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[1] == "12" && words[2] != "0"
        });
        rows.count()
    };
    let (_pair, router) = master(Ours, &both("nftables", 150, "accept"));
    assert_eq!(sockets(&router), 0);
    drop((_pair, router));
    let (_pair, router) = master(Ours, &both("", 150, "no_accept"));
    assert_eq!(sockets(&router), 2);
}
