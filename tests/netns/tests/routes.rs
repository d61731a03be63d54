//! Routes, rules and static addresses: the kernel's tables are those of the distribution's keepalived, they move
//! with the master, and what others do to them is repaired.

use std::fmt::Write;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use kr_test_netns::monitor::Monitor;
use kr_test_netns::{ELECTION, Pair, VIP, instance};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts, Role};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

const FAILOVER: Duration = Duration::from_secs(8);
const SOON: Duration = Duration::from_secs(3);

/// Every word of route lines that both daemons know and this kernel takes.
const ROUTES: &[&str] = &[
    "10.20.0.0/16 via 192.168.77.2 dev eth0",
    "to 10.20.1.0/24 via 192.168.77.2 oif eth0",
    "blackhole 10.21.0.0/16",
    "unreachable 10.21.1.0/24 metric 3",
    "prohibit 10.21.2.0/24 priority 4",
    "throw 10.21.3.0/24 table 44",
    "multicast 239.1.0.0/16 dev eth0",
    "10.22.0.0/16 via 192.168.77.2 dev eth0 no_track",
    "10.22.1.0/24 via 192.168.77.2 dev eth0 no_track protocol 42",
    "10.22.2.0/24 dev eth0",
    "10.22.3.0/24 dev eth0 scope link",
    "10.22.4.0/24 via 192.168.77.2",
    "10.22.5.0/24 via 192.168.77.2 dev eth0 tos 8",
    "10.22.6.0/24 via 192.168.77.2 dev eth0 dsfield 0x10 preference 5",
    "10.22.7.0/24 via 10.9.9.9 dev eth0 onlink",
    "10.22.8.0/24 dev eth0 src 192.168.77.1",
    "10.23.0.0/16 via 192.168.77.2 dev eth0 rtt 300ms rttvar 5s rto_min 2s mtu lock 1400 features ecn quickack 1 \
     congctl cubic realms 2/3 metric 7 window 1000 cwnd lock 5 initcwnd 6 initrwnd 7 hoplimit 9 advmss 1300 \
     reordering 4 ssthresh 44 fastopen_no_cookie 1",
    "10.23.1.0/24 via 192.168.77.2 dev eth0 metric 5 append",
    "10.23.1.0/24 via 192.168.77.3 dev eth0 metric 5 prepend",
    "10.23.2.0/24 via 192.168.77.2 dev eth0 add",
    "10.24.0.0/16 nexthop via 192.168.77.2 dev eth0 weight 2 nexthop via 192.168.77.3 dev eth0 weight 5 onlink",
    "10.25.0.0/16 encap ip id 5 dst 192.168.77.7 src 192.168.77.8 tos 4 ttl 9 dev eth0",
    "10.25.1.0/24 via 192.168.77.2 dev eth0 encap ip6 id 8 dst 2001:db8::1 hoplimit 4 tc 3",
    "default via 192.168.77.2 dev eth0 table 77 src 192.168.77.1",
    "inet6 to 2001:db8:5::/64 via fe80::9 dev eth0 expires 300 pref high",
    "2001:db8:6::/64 dev eth0",
    "2001:db8:7::/64 dev eth0 metric 9 mtu 1400",
    "unreachable 2001:db8:8::/64",
    "2001:db8:9::/64 nexthop via fe80::1 dev eth0 weight 2 nexthop via fe80::2 dev eth0",
];

/// The same for rules. In version 2.2 a rule that is not tracked has no protocol number, so that stands here
/// with one of its own.
const RULES: &[&str] = &[
    "from 10.1.0.0/16 table 77 preference 499",
    "from 10.2.0.0/16 to 10.3.0.0/16 lookup 77 priority 500 fwmark 0x10/0xff tos 4 iif eth0 ipproto udp \
     sport 10-20 dport 30-40 uidrange 5-6",
    "to 10.4.0.0/16 blackhole order 600",
    "not from 10.4.0.0/16 type prohibit preference 601",
    "from 10.5.0.0/16 unreachable preference 602",
    "from 10.8.0.0/16 goto 800 preference 750",
    "from 10.8.0.0/16 table 9 preference 800 realms 4/5 tunnel-id 9",
    "from 10.8.1.0/24 nop preference 801",
    "from 10.8.3.0/24 table 5 no_track protocol 55 preference 803",
    "from 10.8.4.0/24 l3mdev preference 804",
    "from 10.8.5.0/24 table 5 sup_group 3 oif eth0 preference 805",
    "from 2001:db8::/32 table main suppress_prefixlength 0 preference 700",
    "to 2001:db8::/32 table main sup_pl 8 dsfield 8 preference 701",
];

fn block(name: &str, lines: &[&str]) -> String {
    format!("{name} {{\n{}\n}}\n", lines.join("\n"))
}

/// An instance that becomes master unless somebody better is there, with further lines.
fn router(priority: u8, more: &str) -> String {
    let state = if priority == 255 { "MASTER" } else { "BACKUP" };
    let plain = instance(state, priority).to_string();
    let end = plain.rfind('}').unwrap();
    format!("{}{more}\n}}\n", &plain[..end])
}

fn start(peer: Peer, host: &Host, text: &str) -> Keepalived {
    Keepalived::start(peer, host, Parts::Vrrp, text).unwrap()
}

/// Routes and rules of a host that the kernel did not make itself, as `ip` shows them.
fn tables(host: &Host) -> Vec<String> {
    let mut all = String::new();
    for arguments in [
        &["-d", "-N", "route", "show", "table", "all"][..],
        &["-d", "-N", "-6", "route", "show", "table", "all"],
        &["-d", "-N", "rule"],
        &["-d", "-N", "-6", "rule"],
    ] {
        let shown = host.run("ip", arguments).unwrap();
        // One line for each object, its nexthops included.
        all.push_str(&shown.replace("\n\t", " "));
    }
    let ours = |line: &&str| !line.contains(" proto 2") && !line.contains("lookup 255");
    let mut lines: Vec<String> = all
        .lines()
        .filter(ours)
        .map(|line| match line.split_once(" expires ") {
            // The seconds that are left.
            Some((before, after)) => {
                let after = after.split_once(' ').map_or("", |(_, after)| after);
                format!("{before} expires {after}")
            }
            None => line.to_owned(),
        })
        .collect();
    lines.dedup();
    lines
}

fn has_route(host: &Host, destination: &str) -> bool {
    let shown = host.run("ip", &["route", "show", "table", "all", destination]);
    shown.is_ok_and(|text| !text.is_empty())
}

fn has_rule(host: &Host, preference: &str) -> bool {
    let shown = host.run("ip", &["rule", "show", "priority", preference]);
    shown.is_ok_and(|text| !text.is_empty())
}

#[test]
fn the_tables_of_every_word_are_those_of_stock() {
    let pair = Pair::new().unwrap();
    let text = format!(
        "{}{}static_ipaddress {{\n10.99.0.1/24 dev eth0\n}}\n",
        block("static_routes", &["10.98.0.0/16 via 10.99.0.2 dev eth0"]),
        router(
            100,
            &format!(
                "{}{}",
                block("virtual_routes", ROUTES),
                block("virtual_rules", RULES)
            )
        )
    );
    let run = |peer| {
        let mut daemon = start(peer, &pair.a, &text);
        pair.wait_holder('a', ELECTION).unwrap();
        eventually(SOON, "the last rule", || has_rule(&pair.a, "805")).unwrap();
        assert!(pair.a.has_address("10.99.0.1"));
        let found = tables(&pair.a);
        daemon.stop(SOON).unwrap();
        assert!(!pair.a.has_address("10.99.0.1"));
        (found, tables(&pair.a))
    };
    let (stock, _) = run(Stock);
    let (ours, left) = run(Ours);
    assert_eq!(ours, stock);
    assert!(stock.len() > ROUTES.len() + RULES.len(), "{stock:#?}");
    assert!(
        !left.iter().any(|line| line.contains(" proto 18")),
        "{left:#?}"
    );
}

#[test]
fn routes_and_rules_follow_the_master() {
    let pair = Pair::new().unwrap();
    let objects = format!(
        "{}{}",
        block(
            "virtual_routes",
            &[
                "10.90.0.0/16 via 192.168.77.9 dev eth0",
                "10.91.0.0/16 dev eth0"
            ]
        ),
        block(
            "virtual_rules",
            &["from 10.90.0.0/16 table 90 preference 900"]
        )
    );
    let held = |host: &Host| {
        let routes = ["10.90.0.0/16", "10.91.0.0/16"].map(|route| has_route(host, route));
        (routes, has_rule(host, "900"))
    };
    let (all, none) = (([true; 2], true), ([false; 2], false));
    let mut a = start(Ours, &pair.a, &router(150, &objects));
    let _b = start(Ours, &pair.b, &router(100, &objects));
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(SOON, "all on a", || {
        held(&pair.a) == all && held(&pair.b) == none
    })
    .unwrap();
    a.stop(SOON).unwrap();
    eventually(FAILOVER, "all on b", || {
        held(&pair.a) == none && held(&pair.b) == all
    })
    .unwrap();
}

#[test]
fn what_somebody_removes_or_replaces_is_put_back_without_a_change_of_master() {
    let pair = Pair::new().unwrap();
    let text = format!(
        "static_ipaddress {{\n10.99.0.1/24 dev eth0\n}}\n{}{}",
        block("static_routes", &["10.98.0.0/16 dev eth0"]),
        router(
            100,
            &format!(
                "{}{}",
                block(
                    "virtual_routes",
                    &["10.90.0.0/16 dev eth0", "2001:db8:90::/64 dev eth0"]
                ),
                block(
                    "virtual_rules",
                    &["from 10.90.0.0/16 table 90 preference 900"]
                )
            )
        )
    );
    let daemon = start(Ours, &pair.a, &text);
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(SOON, "the rule", || has_rule(&pair.a, "900")).unwrap();
    let whole = tables(&pair.a);
    for damage in [
        "route del 10.90.0.0/16",
        "-6 route del 2001:db8:90::/64",
        "rule del priority 900",
        "route replace blackhole 10.98.0.0/16",
        "address del 10.99.0.1/24 dev eth0",
    ] {
        let arguments: Vec<&str> = damage.split(' ').collect();
        pair.a.run("ip", &arguments).unwrap();
        eventually(SOON, damage, || {
            let repaired = tables(&pair.a);
            pair.a.has_address("10.99.0.1") && whole.iter().all(|line| repaired.contains(line))
        })
        .unwrap();
    }
    assert!(pair.a.has_address(VIP));
    assert_eq!(daemon.logged("Entering"), 2, "{}", daemon.log());
    assert_eq!(
        daemon.logged("is gone: another program"),
        4,
        "{}",
        daemon.log()
    );
}

#[test]
fn a_route_that_goes_with_its_interface_comes_back_with_it() {
    let pair = crate::groups::pair();
    let text = format!(
        "{}{}",
        block("static_routes", &["10.98.0.0/16 via 192.168.78.9 dev eth1"]),
        router(
            100,
            &block("virtual_routes", &["10.90.0.0/16 dev eth1 no_track"])
        )
    );
    let daemon = start(Ours, &pair.a, &text);
    pair.wait_holder('a', ELECTION).unwrap();
    let route = || has_route(&pair.a, "10.98.0.0/16");
    eventually(SOON, "the route", route).unwrap();
    pair.a.set_link("eth1", false).unwrap();
    eventually(SOON, "no route", || !route()).unwrap();
    eventually(SOON, "a refusal", || {
        daemon.logged("static route 10.98.0.0/16 via 192.168.78.9 dev eth1 refused: ") == 1
    })
    .unwrap();
    pair.a.set_link("eth1", true).unwrap();
    eventually(SOON, "the route again", route).unwrap();
    assert!(pair.a.has_address(VIP));
}

#[test]
fn a_refused_route_says_why_stops_no_other_and_is_set_when_it_can_be() {
    let pair = Pair::new().unwrap();
    let routes = ["10.90.0.0/16 via 10.77.0.9", "10.91.0.0/16 dev eth0"];
    let daemon = start(
        Ours,
        &pair.a,
        &router(100, &block("virtual_routes", &routes)),
    );
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(SOON, "the good route", || {
        has_route(&pair.a, "10.91.0.0/16")
    })
    .unwrap();
    let refusal = "virtual route 10.90.0.0/16 via 10.77.0.9 of VI_1 refused: ";
    eventually(SOON, "a word about the other", || {
        daemon.logged(refusal) == 1
    })
    .unwrap();
    assert_eq!(daemon.logged("unreachable"), 1, "{}", daemon.log());
    pair.a.ip("address add 10.77.0.1/24 dev eth0").unwrap();
    eventually(SOON, "both", || has_route(&pair.a, "10.90.0.0/16")).unwrap();
    eventually(SOON, "a word", || {
        daemon.logged("is set now, which the kernel had refused") == 1
    })
    .unwrap();
}

#[test]
fn a_reload_writes_only_what_differs() {
    let pair = Pair::new().unwrap();
    let with = |routes: &[&str], rules: &[&str]| {
        let objects = format!(
            "{}{}",
            block("virtual_routes", routes),
            block("virtual_rules", rules)
        );
        router(100, &objects)
    };
    let many: Vec<String> = (0..200)
        .map(|n| format!("10.92.{n}.0/24 dev eth0"))
        .collect();
    let mut before: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut after = before.clone();
    before.push("10.93.0.0/16 dev eth0");
    after.push("10.94.0.0/16 dev eth0");
    let rule = "from 10.90.0.0/16 table 90 preference 900";
    let daemon = start(Ours, &pair.a, &with(&before, &[rule]));
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(SOON, "all", || has_route(&pair.a, "10.93.0.0/16")).unwrap();
    let monitor = Monitor::start(&pair.a, &["route", "rule"]).unwrap();
    daemon.reload(&with(&after, &[rule])).unwrap();
    eventually(SOON, "the new route", || has_route(&pair.a, "10.94.0.0/16")).unwrap();
    eventually(SOON, "the end of the reload", || {
        daemon.logged("running configuration 2") == 1
    })
    .unwrap();
    let lines = monitor.lines();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(
        lines[0].starts_with("Deleted 10.93.0.0/16 dev eth0"),
        "{lines:#?}"
    );
    assert!(lines[1].starts_with("10.94.0.0/16 dev eth0"), "{lines:#?}");
}

#[test]
fn a_killed_vrrpd_changes_no_route_and_a_killed_daemon_s_are_taken_over() {
    let pair = Pair::new().unwrap();
    let with = |route: &str, table: u32| {
        let mut objects = block("virtual_routes", &["10.90.0.0/16 dev eth0", route]);
        let rules = [
            "from 10.90.0.0/16 table 90 preference 900".to_owned(),
            format!("from 10.91.0.0/16 table 90 preference {table}"),
        ];
        write!(objects, "virtual_rules {{\n{}\n}}\n", rules.join("\n")).unwrap();
        let statics = block("static_routes", &["10.97.0.0/16 dev eth0"]);
        format!("{statics}{}", router(255, &objects))
    };
    let mut daemon = start(Ours, &pair.a, &with("10.91.0.0/16 dev eth0", 901));
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(SOON, "the last rule", || has_rule(&pair.a, "901")).unwrap();
    let monitor = Monitor::start(&pair.a, &["route", "rule"]).unwrap();
    let before = daemon.child(Role::Vrrp).unwrap();
    kill(before, Signal::SIGKILL).unwrap();
    eventually(SOON, "a new child", || {
        daemon.child(Role::Vrrp).is_some_and(|pid| pid != before)
    })
    .unwrap();
    throughout(Duration::from_millis(1500), "the route stays", || {
        has_route(&pair.a, "10.91.0.0/16")
    })
    .unwrap();
    assert_eq!(monitor.lines(), [""; 0], "{}", daemon.log());

    daemon.crash();
    let _successor = start(Ours, &pair.a, &with("10.92.0.0/16 dev eth0", 902));
    eventually(ELECTION, "the new rule", || has_rule(&pair.a, "902")).unwrap();
    eventually(SOON, "nothing old", || {
        !has_rule(&pair.a, "901") && !has_route(&pair.a, "10.91.0.0/16")
    })
    .unwrap();
    eventually(ELECTION, "all of the new one", || {
        has_rule(&pair.a, "900") && has_route(&pair.a, "10.92.0.0/16")
    })
    .unwrap();
    // What is static in both has never left.
    let lines = monitor.lines();
    let touched = |line: &String| line.contains("10.97.0.0/16");
    assert!(!lines.iter().any(touched), "{lines:#?}");
    assert!(has_route(&pair.a, "10.97.0.0/16"));
}

#[test]
fn addresses_with_a_lifetime_leave_a_host_whose_whole_daemon_was_killed() {
    let pair = Pair::new().unwrap();
    let text = format!("global_defs {{\nvip_lifetime 5\n}}\n{}", router(255, ""));
    let mut daemon = start(Ours, &pair.a, &text);
    pair.wait_holder('a', ELECTION).unwrap();
    throughout(Duration::from_secs(11), "the address stays", || {
        pair.a.has_address(VIP)
    })
    .unwrap();
    daemon.crash();
    eventually(Duration::from_secs(10), "it leaves by itself", || {
        !pair.a.has_address(VIP)
    })
    .unwrap();

    // A reload without the keyword lets them stay for good.
    let daemon = start(Ours, &pair.a, &text);
    pair.wait_holder('a', ELECTION).unwrap();
    daemon.reload(&router(255, "")).unwrap();
    eventually(SOON, "no end", || {
        let shown = pair.a.run("ip", &["address", "show", "to", VIP]).unwrap();
        shown.contains("valid_lft forever")
    })
    .unwrap();
}

/// Processor time of a process so far, in hundredths of a second.
fn ticks(pid: nix::unistd::Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
}

#[test]
fn routes_and_addresses_of_others_cost_little() {
    const ROUTES: usize = 20_000;
    const ADDRESSES: usize = 5_000;
    let pair = Pair::new().unwrap();
    let objects = block("virtual_routes", &["10.90.0.0/16 dev eth0"]);
    let daemon = start(Ours, &pair.a, &router(255, &objects));
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(SOON, "the route", || has_route(&pair.a, "10.90.0.0/16")).unwrap();
    pair.a
        .ip("link add other type veth peer name rehto\nlink set other up")
        .unwrap();
    let vrrpd = daemon.child(Role::Vrrp).unwrap();
    let batch = |count: usize, line: &dyn Fn(usize) -> String| {
        let lines: Vec<String> = (0..count).map(line).collect();
        lines.join("\n")
    };
    let cost = |count: usize, line: &dyn Fn(&str, usize) -> String| {
        let before = ticks(vrrpd);
        for verb in ["add", "del"] {
            pair.a.ip(&batch(count, &|n| line(verb, n))).unwrap();
        }
        ticks(vrrpd) - before
    };
    let routes = cost(ROUTES, &|verb, n| {
        format!(
            "route {verb} 10.{}.{}.{}/32 dev eth0 proto static",
            100 + n / 65_536,
            n / 256 % 256,
            n % 256
        )
    });
    let addresses = cost(ADDRESSES, &|verb, n| {
        format!("address {verb} 172.16.{}.{}/32 dev other", n / 256, n % 256)
    });
    // The kernel's filters let none of them through: this is the time of the adverts.
    assert!(routes <= 10, "{routes} hundredths of a second");
    assert!(addresses <= 10, "{addresses} hundredths of a second");
    assert!(pair.a.has_address(VIP) && has_route(&pair.a, "10.90.0.0/16"));
}
