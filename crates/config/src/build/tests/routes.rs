//! Every word of route and rule lines, and every reason for leaving a line out.

use kr_model::route::{Placement, Table};

use super::{clean, instance_with, loaded, messages};
use crate::build::{ParseOptions, load};
use crate::memory::MemoryHost;
use crate::registry::{self, Block};
use crate::typed::{Config, InstanceEntry};

fn with_routes(line: &str) -> String {
    instance_with(&format!("virtual_routes {{\n{line}\n}}"))
}

fn with_rules(line: &str) -> String {
    instance_with(&format!("virtual_rules {{\n{line}\n}}"))
}

fn entry(config: Config) -> InstanceEntry {
    config.instances.into_values().next().unwrap()
}

/// Lines without findings above a note, and the route in the words of `ip`.
const ROUTES: &[(&str, &str)] = &[
    ("10.1.0.0/16 via 10.0.0.1", "10.1.0.0/16 via 10.0.0.1"),
    ("to 10.1.0.0/16 gw 10.0.0.1", "10.1.0.0/16 via 10.0.0.1"),
    ("10.1.0.1 dev eth0", "10.1.0.1/32 dev eth0"),
    (
        "inet default via inet 10.0.0.1 oif eth0",
        "default via 10.0.0.1 dev eth0",
    ),
    (
        "inet6 default via inet6 2001:db8::1",
        "inet6 default via 2001:db8::1",
    ),
    ("default6 via 2001:db8::1", "inet6 default via 2001:db8::1"),
    ("any dev eth0", "default dev eth0"),
    ("all dev eth0", "default dev eth0"),
    ("blackhole 10.1.0.0/16", "blackhole 10.1.0.0/16"),
    ("unreachable 2001:db8::/32", "unreachable 2001:db8::/32"),
    (
        "brd 10.1.255.255 dev eth0",
        "broadcast 10.1.255.255/32 dev eth0 scope link",
    ),
    (
        "local 10.1.0.0/16 dev lo",
        "local 10.1.0.0/16 dev lo scope host",
    ),
    (
        "2001:db8:1::/48 from 2001:db8:2::/48 dev eth0",
        "2001:db8:1::/48 from 2001:db8:2::/48 dev eth0",
    ),
    (
        "10.1.0.0/16 src 10.0.0.9 dev eth0",
        "10.1.0.0/16 dev eth0 src 10.0.0.9",
    ),
    (
        "10.1.0.0/16 tos 0x10 dev eth0",
        "10.1.0.0/16 tos 0x10 dev eth0",
    ),
    (
        "10.1.0.0/16 dsfield gold dev eth0",
        "10.1.0.0/16 tos 0x28 dev eth0",
    ),
    (
        "10.1.0.0/16 dev eth0 table 100",
        "10.1.0.0/16 dev eth0 table 100",
    ),
    (
        "10.1.0.0/16 dev eth0 table lab",
        "10.1.0.0/16 dev eth0 table 77",
    ),
    (
        "10.1.0.0/16 dev eth0 scope link",
        "10.1.0.0/16 dev eth0 scope link",
    ),
    (
        "10.1.0.0/16 dev eth0 metric 5",
        "10.1.0.0/16 dev eth0 metric 5",
    ),
    (
        "10.1.0.0/16 dev eth0 priority 6",
        "10.1.0.0/16 dev eth0 metric 6",
    ),
    (
        "10.1.0.0/16 dev eth0 preference 7",
        "10.1.0.0/16 dev eth0 metric 7",
    ),
    (
        "10.1.0.0/16 via 10.9.9.9 dev eth0 onlink",
        "10.1.0.0/16 via 10.9.9.9 dev eth0 onlink",
    ),
    (
        "10.1.0.0/16 dev eth0 encap ip id 7 dst 10.2.0.1 src 10.2.0.2 tos 4 ttl 9 flags 16",
        "10.1.0.0/16 encap ip id 7 src 10.2.0.2 dst 10.2.0.1 ttl 9 tos 4 flags 0x10 dev eth0",
    ),
    (
        "10.1.0.0/16 encap ip6 dst 2001:db8::1 tc 3 hoplimit 4 dev eth0",
        "10.1.0.0/16 encap ip6 dst 2001:db8::1 hoplimit 4 tc 3 dev eth0",
    ),
    (
        "10.1.0.0/16 encap mpls 100/200 via 10.0.0.1",
        "10.1.0.0/16 encap mpls 100/200 via 10.0.0.1",
    ),
    (
        "2001:db8::/64 encap ila 1:2:3:4 dev eth0",
        "2001:db8::/64 encap ila 1:2:3:4 dev eth0",
    ),
    (
        "2001:db8::/64 dev eth0 expires 300",
        "2001:db8::/64 dev eth0 expires 300",
    ),
    (
        "10.1.0.0/16 dev eth0 mtu 1400",
        "10.1.0.0/16 dev eth0 mtu 1400",
    ),
    (
        "10.1.0.0/16 dev eth0 mtu lock 1400",
        "10.1.0.0/16 dev eth0 mtu lock 1400",
    ),
    (
        "10.1.0.0/16 dev eth0 hoplimit 9",
        "10.1.0.0/16 dev eth0 hoplimit 9",
    ),
    (
        "10.1.0.0/16 dev eth0 advmss lock 1300",
        "10.1.0.0/16 dev eth0 advmss lock 1300",
    ),
    (
        "10.1.0.0/16 dev eth0 rtt 300ms",
        "10.1.0.0/16 dev eth0 rtt 2400",
    ),
    (
        "10.1.0.0/16 dev eth0 rttvar lock 1.5s",
        "10.1.0.0/16 dev eth0 rttvar lock 6000",
    ),
    (
        "10.1.0.0/16 dev eth0 rto_min 2sec",
        "10.1.0.0/16 dev eth0 rto_min 2000",
    ),
    (
        "10.1.0.0/16 dev eth0 rto_min 500",
        "10.1.0.0/16 dev eth0 rto_min 500",
    ),
    (
        "10.1.0.0/16 dev eth0 reordering 4",
        "10.1.0.0/16 dev eth0 reordering 4",
    ),
    (
        "10.1.0.0/16 dev eth0 window 1000",
        "10.1.0.0/16 dev eth0 window 1000",
    ),
    (
        "10.1.0.0/16 dev eth0 cwnd lock 5",
        "10.1.0.0/16 dev eth0 cwnd lock 5",
    ),
    (
        "10.1.0.0/16 dev eth0 ssthresh 44",
        "10.1.0.0/16 dev eth0 ssthresh 44",
    ),
    (
        "10.1.0.0/16 dev eth0 realms 2/3",
        "10.1.0.0/16 dev eth0 realms 2/3",
    ),
    (
        "10.1.0.0/16 dev eth0 realms cosmos",
        "10.1.0.0/16 dev eth0 realms 0/0",
    ),
    (
        "10.1.0.0/16 dev eth0 initcwnd 6",
        "10.1.0.0/16 dev eth0 initcwnd 6",
    ),
    (
        "10.1.0.0/16 dev eth0 initrwnd 7",
        "10.1.0.0/16 dev eth0 initrwnd 7",
    ),
    (
        "10.1.0.0/16 dev eth0 features ecn",
        "10.1.0.0/16 dev eth0 features ecn",
    ),
    (
        "10.1.0.0/16 dev eth0 quickack 1",
        "10.1.0.0/16 dev eth0 quickack 1",
    ),
    (
        "10.1.0.0/16 dev eth0 congctl lock cubic",
        "10.1.0.0/16 dev eth0 congctl lock cubic",
    ),
    (
        "2001:db8::/64 dev eth0 pref high",
        "2001:db8::/64 dev eth0 pref high",
    ),
    (
        "10.1.0.0/16 dev eth0 ttl-propagate disabled",
        "10.1.0.0/16 dev eth0 ttl-propagate disabled",
    ),
    (
        "10.1.0.0/16 dev eth0 fastopen_no_cookie 1",
        "10.1.0.0/16 dev eth0 fastopen_no_cookie 1",
    ),
    (
        "10.1.0.0/16 nexthop via 10.0.0.1 dev eth0 weight 2 nexthop via 10.0.0.2 weight 256 onlink",
        "10.1.0.0/16 nexthop via 10.0.0.1 dev eth0 weight 2 nexthop via 10.0.0.2 onlink weight 256",
    ),
    (
        "10.1.0.0/16 via 10.0.0.1 dev eth0 or 10.0.0.2",
        "10.1.0.0/16 nexthop via 10.0.0.1 dev eth0 weight 1 nexthop via 10.0.0.2 dev eth0 weight 1",
    ),
    (
        "10.1.0.0/16 dev eth0 no_track",
        "10.1.0.0/16 dev eth0 no_track",
    ),
    (
        "10.1.0.0/16 dev eth0 vrf eth0",
        "10.1.0.0/16 dev eth0 vrf eth0",
    ),
];

const RULES: &[(&str, &str)] = &[
    (
        "from 10.1.0.0/16 table 100 preference 5",
        "from 10.1.0.0/16 preference 5 table 100",
    ),
    (
        "inet6 to 2001:db8::/32 lookup lab order 0x10",
        "inet6 from all to 2001:db8::/32 preference 16 table 77",
    ),
    (
        "inet from all to all table main priority 010",
        "from all preference 8 table 254",
    ),
    (
        "not from 10.1.0.0/16 type blackhole preference 5",
        "not from 10.1.0.0/16 preference 5 blackhole",
    ),
    (
        "to 10.1.0.0/16 unreachable preference 5",
        "from all to 10.1.0.0/16 preference 5 unreachable",
    ),
    (
        "to 10.1.0.0/16 prohibit preference 5",
        "from all to 10.1.0.0/16 preference 5 prohibit",
    ),
    (
        "tos 0x10 nop preference 5",
        "from all preference 5 tos 0x10 nop",
    ),
    (
        "dsfield gold nop preference 5",
        "from all preference 5 tos 0x28 nop",
    ),
    (
        "fwmark 0x10/0xff nop preference 5",
        "from all preference 5 fwmark 0x10/0xff nop",
    ),
    (
        "fwmark 7 nop preference 5",
        "from all preference 5 fwmark 0x7 nop",
    ),
    (
        "realms 4/5 table 9 preference 5",
        "from all preference 5 table 9 realms 4/5",
    ),
    (
        "table 9 suppress_prefixlength 0 preference 5",
        "from all preference 5 table 9 suppress_prefixlength 0",
    ),
    (
        "table 9 sup_pl 8 preference 5",
        "from all preference 5 table 9 suppress_prefixlength 8",
    ),
    (
        "table 9 suppress_ifgroup 3 preference 5",
        "from all preference 5 table 9 suppress_ifgroup 3",
    ),
    (
        "table 9 sup_group default preference 5",
        "from all preference 5 table 9 suppress_ifgroup 0",
    ),
    (
        "iif eth0 nop preference 5",
        "from all preference 5 iif eth0 nop",
    ),
    (
        "dev eth0 oif lo nop preference 5",
        "from all preference 5 iif eth0 oif lo nop",
    ),
    (
        "tunnel-id 9 nop preference 5",
        "from all preference 5 tunnel-id 9 nop",
    ),
    (
        "uidrange 5-6 nop preference 5",
        "from all preference 5 uidrange 5-6 nop",
    ),
    ("l3mdev preference 5", "from all preference 5 l3mdev"),
    (
        "ipproto udp nop preference 5",
        "from all preference 5 ipproto 17 nop",
    ),
    (
        "ipproto 6 sport 10-20 dport 30 nop preference 5",
        "from all preference 5 ipproto 6 sport 10-20 dport 30-30 nop",
    ),
    ("goto 6 preference 5", "from all preference 5 goto 6"),
    (
        "nop preference 5 no_track protocol 55",
        "from all preference 5 nop no_track",
    ),
];

/// The configuration of a text that gives no finding above a note, on a host with names of its own.
fn named(text: &str) -> Config {
    let host = MemoryHost::with_file("/k.conf", text)
        .and_file("/etc/iproute2/rt_tables", "254 main\n77 lab # ours\n")
        .and_file("/etc/iproute2/rt_dsfield", "0x28 gold\n");
    let loaded = load(
        &host,
        std::path::Path::new("/k.conf"),
        &ParseOptions::default(),
    );
    let worst = loaded.diagnostics.iter().map(|d| d.severity).max();
    assert!(
        worst <= Some(crate::diagnostic::Severity::Note),
        "{text}: {:#?}",
        loaded.diagnostics
    );
    loaded.config.unwrap()
}

#[test]
fn names_come_from_the_directories_that_are_configured() {
    let route = |lines: &str| {
        let text = format!("global_defs {{\n{lines}\n}}\n");
        let text = text + &with_routes("10.0.0.0/8 dev eth0 table lab");
        let host = MemoryHost::with_file("/k.conf", &text)
            .and_file("/etc/iproute2/rt_tables", "77 lab\n")
            .and_file("/opt/usr/rt_tables", "78 lab\n")
            .and_file("/opt/usr/rt_tables.d/more.conf", "79 lab\n")
            .and_file("/opt/etc/rt_tables", "80 lab\n")
            .and_file("/opt/bare/rt_protos", "9 lab\n");
        let path = std::path::Path::new("/k.conf");
        let loaded = load(&host, path, &ParseOptions::default());
        let routes = entry(loaded.config.unwrap()).routes;
        routes.iter().map(ToString::to_string).collect::<String>()
    };
    for (lines, table) in [
        ("", "77"),
        // The local file is there, so that of the distribution does not count, but its directory does.
        ("iproute_usr_dir /opt/usr", "79"),
        ("iproute_usr_dir /opt/usr\niproute_etc_dir /opt/bare", "79"),
        ("iproute_etc_dir /opt/etc/", "80"),
    ] {
        assert_eq!(
            route(lines),
            format!("10.0.0.0/8 dev eth0 table {table}"),
            "{lines}"
        );
    }
    assert_eq!(route("iproute_etc_dir /opt/bare"), "", "no such name");
}

#[test]
fn every_form_of_a_route_line_is_read() {
    for (line, expected) in ROUTES {
        let routes = entry(named(&with_routes(line))).routes;
        let shown: Vec<String> = routes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [*expected], "{line}");
    }
}

#[test]
fn every_form_of_a_rule_line_is_read() {
    for (line, expected) in RULES {
        let rules = entry(named(&with_rules(line))).rules;
        let shown: Vec<String> = rules.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [*expected], "{line}");
    }
}

#[test]
fn no_word_of_the_registry_is_without_a_line_here() {
    // These have tests of their own below.
    let elsewhere = ["protocol", "as", "add", "append", "prepend", "track_group"];
    for (block, lines) in [(Block::RouteLine, ROUTES), (Block::RuleLine, RULES)] {
        let all: Vec<&str> = lines.iter().flat_map(|(line, _)| line.split(' ')).collect();
        let names = registry::all().filter(|k| k.block == block && !k.name.starts_with('('));
        for name in names.flat_map(|keyword| keyword.name.split([' ', '|'])) {
            assert!(
                name.is_empty() || all.contains(&name) || elsewhere.contains(&name),
                "{block:?} {name}"
            );
        }
    }
}

#[test]
fn a_route_stands_before_its_likes_unless_told_otherwise() {
    for (word, placement) in [
        ("", Placement::Prepend),
        ("prepend", Placement::Prepend),
        ("append", Placement::Append),
        ("add", Placement::Alone),
    ] {
        let text = with_routes(&format!("10.1.0.0/16 dev eth0 {word}"));
        assert_eq!(entry(clean(&text)).routes[0].placement, placement);
    }
    let text = with_routes("10.1.0.0/16 dev eth0 vrf eth0");
    assert!(
        matches!(&entry(clean(&text)).routes[0].table, Table::Vrf(name) if name.as_str() == "eth0")
    );
}

#[test]
fn a_tracked_object_carries_our_protocol_number() {
    let protocol = |text: &str| {
        let found = loaded(&with_routes(text));
        entry(found.config.unwrap()).routes[0].protocol
    };
    assert_eq!(protocol("10.1.0.0/16 dev eth0"), 18);
    assert_eq!(protocol("10.1.0.0/16 dev eth0 no_track"), 18);
    assert_eq!(protocol("10.1.0.0/16 dev eth0 no_track protocol bird"), 12);
    assert_eq!(protocol("10.1.0.0/16 dev eth0 protocol 12"), 18);
    assert_eq!(
        messages(&with_routes("10.1.0.0/16 dev eth0 protocol 12")),
        ["`protocol` is ignored: 18 (keepalived) is used"]
    );
}

#[test]
fn a_route_that_cannot_be_meant_is_left_out_and_says_why() {
    for (line, message) in [
        ("via 10.0.0.1", "a route without destination is left out"),
        (
            "10.1.0.0/16 via 2001:db8::1",
            "IPv4 and IPv6 in one route; the route is left out",
        ),
        (
            "10.1.0.0/16 via inet6 2001:db8::1",
            "IPv4 and IPv6 in one route; the route is left out",
        ),
        (
            "10.1.0.0/16 dev eth9",
            "there is no interface `eth9`; the route is left out",
        ),
        (
            "10.1.0.0/16 dev",
            "`dev` lacks its value; the route is left out",
        ),
        (
            "10.1.0.0/33 dev eth0",
            "`10.1.0.0/33` is not valid here; the route is left out",
        ),
        (
            "10.1.0.0/16 devv eth0",
            "`devv` is no word of a route; the route is left out",
        ),
        ("10.1.0.0/16 table nowhere", "`nowhere` is no routing table"),
        (
            "10.1.0.0/16 mtu many",
            "`many` is not valid here; the route is left out",
        ),
        (
            "10.1.0.0/16 hoplimit 256",
            "`256` is not valid here; the route is left out",
        ),
        (
            "10.1.0.0/16 rtt 3x",
            "`3x` is not valid here; the route is left out",
        ),
        (
            "10.1.0.0/16 features all",
            "`all` is not valid here; the route is left out",
        ),
        (
            "10.1.0.0/16 from 10.0.0.0/8 dev eth0",
            "`from` of a route is for IPv6 only; the route is left out",
        ),
        (
            "10.1.0.0/16 nexthop weight 2",
            "a nexthop has neither `via` nor `dev`; the route is left out",
        ),
        (
            "10.1.0.0/16 nexthop via 10.0.0.1 no_track",
            "`no_track` behind `nexthop`; the route is left out",
        ),
        (
            "10.1.0.0/16 nexthop via 10.0.0.1 weight 257",
            "`257` is not valid here; the route is left out",
        ),
        (
            "10.1.0.0/16 via 10.0.0.1 nexthop via 10.0.0.2",
            "a route has either `via` or nexthops; the route is left out",
        ),
        (
            "10.1.0.0/16 encap ip ttl 3 dev eth0",
            "an encapsulation needs `id` or `dst`; the route is left out",
        ),
        (
            "10.1.0.0/16 encap gre id 3 dev eth0",
            "`gre` is not valid here; the route is left out",
        ),
        (
            "10.1.0.0/16 encap mpls 1048576 dev eth0",
            "`1048576` is not valid here; the route is left out",
        ),
    ] {
        let text = with_routes(line);
        assert_eq!(messages(&text), [message], "{line}");
        assert_eq!(entry(loaded(&text).config.unwrap()).routes, [], "{line}");
    }
}

#[test]
fn a_route_with_a_word_that_means_nothing_is_kept() {
    for (line, message) in [
        (
            "10.1.2.3/16 dev eth0",
            "`10.1.2.3/16` has bits behind its prefix",
        ),
        ("10.1.0.0/16 dev eth0 rtt 100ms", "`100ms` is out of range"),
        ("10.1.0.0/16 dev eth0 rtt 200s", "`200s` is out of range"),
        (
            "10.1.0.0/16 dev eth0 as to 10.0.0.1",
            "`as` is not supported by the kernel; it is ignored",
        ),
        (
            "10.1.0.0/16 dev eth0 pref high",
            "`pref` is for IPv6 routes only; it is ignored",
        ),
        (
            "10.1.0.0/16 dev eth0 expires 3",
            "`expires` is for IPv6 routes only; it is ignored",
        ),
        (
            "2001:db8::/32 dev eth0 scope link",
            "an IPv6 route has no `scope`; it is ignored",
        ),
        (
            "2001:db8::/32 via fe80::1 dev eth0 onlink",
            "`onlink` is for IPv4 routes only; it is ignored",
        ),
        (
            "10.1.0.0/16 dev eth0 track_group g",
            "`track_group` is for a static route; it is ignored",
        ),
    ] {
        let text = with_routes(line);
        assert_eq!(messages(&text), [message], "{line}");
        assert_eq!(
            entry(loaded(&text).config.unwrap()).routes.len(),
            1,
            "{line}"
        );
    }
}

#[test]
fn a_rule_that_cannot_be_meant_is_left_out_and_says_why() {
    for (line, message) in [
        (
            "from 10.1.0.0/16 preference 5",
            "a rule without action is left out",
        ),
        (
            "from 10.1.0.0/16 table 0 preference 5",
            "`0` is not valid here; the rule is left out",
        ),
        (
            "table 9 blackhole preference 5",
            "a second action in one rule; the rule is left out",
        ),
        (
            "table 9 l3mdev preference 5",
            "a second action in one rule; the rule is left out",
        ),
        (
            "from 10.1.0.0/16 to 2001:db8::/32 table 9",
            "IPv4 and IPv6 in one rule; the rule is left out",
        ),
        (
            "blackhole sup_pl 3 preference 5",
            "`sup_pl` needs a `table`; the rule is left out",
        ),
        (
            "goto 5 preference 5",
            "`goto 5` leads back: the preference of this rule is 5; the rule is left out",
        ),
        (
            "sport 20-10 nop preference 5",
            "`20-10` is not valid here; the rule is left out",
        ),
        (
            "dport 70000 nop preference 5",
            "`70000` is not valid here; the rule is left out",
        ),
        (
            "ip_proto udp nop preference 5",
            "`ip_proto` is no word of a rule; the rule is left out",
        ),
        (
            "fwmark x nop preference 5",
            "`x` is not valid here; the rule is left out",
        ),
        (
            "type local preference 5",
            "`local` is not valid here; the rule is left out",
        ),
    ] {
        let text = with_rules(line);
        assert_eq!(messages(&text), [message], "{line}");
        assert_eq!(entry(loaded(&text).config.unwrap()).rules, [], "{line}");
    }
}

#[test]
fn rules_without_preference_count_down_in_each_family() {
    let text = with_rules("from 10.1.0.0/16 nop\nfrom 10.2.0.0/16 nop\nfrom 2001:db8::/32 nop");
    let rules = entry(loaded(&text).config.unwrap()).rules;
    let given: Vec<u32> = rules.iter().map(|rule| rule.preference).collect();
    assert_eq!(given, [16_384, 16_383, 16_384]);
    assert_eq!(messages(&text).len(), 3);
}

#[test]
fn an_instance_depends_on_the_interfaces_of_what_it_tracks() {
    let devices = |text: &str| {
        let host = MemoryHost::with_file("/k.conf", text);
        let host = MemoryHost {
            interfaces: ["lo", "eth0", "eth1", "eth2"].map(str::to_owned).into(),
            ..host
        };
        let loaded = load(
            &host,
            std::path::Path::new("/k.conf"),
            &ParseOptions::default(),
        );
        let instance = entry(loaded.config.unwrap()).instance;
        let names = instance.tracked_interfaces.into_iter();
        names
            .map(|tracked| (tracked.interface.to_string(), tracked.weight))
            .collect::<Vec<_>>()
    };
    let routes = |line: &str| devices(&with_routes(line));
    assert_eq!(routes("10.1.0.0/16 dev eth1"), [("eth1".to_owned(), 0)]);
    assert_eq!(routes("10.1.0.0/16 dev eth1 no_track"), []);
    assert_eq!(routes("10.1.0.0/16 dev eth0\nlocal 10.2.0.0/16 dev lo"), []);
    let text = instance_with(
        "track_interface {\neth1 weight 5\n}\nvirtual_rules {\niif eth1 oif eth2 nop preference 5\n}",
    );
    assert_eq!(
        devices(&text),
        [("eth1".to_owned(), 5), ("eth2".to_owned(), 0)]
    );
    let group = "track_group g {\ngroup {\nVI\n}\n}\nstatic_routes {\n10.1.0.0/16 dev eth2 track_group g\n}\n";
    assert_eq!(
        devices(&format!("{group}{}", instance_with(""))),
        [("eth2".to_owned(), 0)]
    );
}

#[test]
fn static_objects_belong_to_no_instance() {
    let config = clean(
        "static_ipaddress {\n10.0.0.1/24\n10.0.1.1/24 dev lo\n}\nstatic_routes {\n10.1.0.0/16 via 10.0.0.2\n}\n\
         static_rules {\nfrom 10.2.0.0/16 table 9 preference 5\n}\n",
    );
    let devices: Vec<String> = config
        .statics
        .addresses
        .iter()
        .map(|address| format!("{} {}", address.address, address.device.as_ref().unwrap()))
        .collect();
    assert_eq!(devices, ["10.0.0.1/24 eth0", "10.0.1.1/24 lo"]);
    assert_eq!(config.statics.routes.len(), 1);
    assert_eq!(config.statics.rules.len(), 1);
    assert!(config.instances.is_empty());
}

#[test]
fn a_track_group_that_cannot_work_is_told() {
    let routes = |line: &str| format!("static_routes {{\n{line}\n}}\n");
    for (text, message) in [
        (
            routes("10.1.0.0/16 dev eth0 track_group none"),
            "there is no track_group `none`; it is ignored",
        ),
        (
            routes("blackhole 10.1.0.0/16 track_group g"),
            "`track_group` has no effect: the line names no interface",
        ),
        (
            routes("10.1.0.0/16 dev eth0 no_track track_group g"),
            "`track_group` has no effect: the line says `no_track`",
        ),
        (
            "track_group g {\ngroup {\nVI_9\n}\n}\n".to_owned(),
            "there is no vrrp_instance `VI_9`; it is left out",
        ),
    ] {
        assert!(messages(&text).contains(&message.to_owned()), "{text}");
    }
}
