//! Forms of services and forwarding: groups, marks, tunnels, engines.

use std::num::NonZeroU16;

use kr_model::lvs::{Forwarding, GueChecksum, PersistenceEngine, Tunnel};

use super::{clean, loaded, messages, service, service_with};

/// A service on 10.0.0.1:80 whose server has this forwarding method.
fn server_by(method: &str) -> String {
    service_with(&format!(
        "real_server 10.0.0.2 80 {{\nlvs_method {method}\n}}"
    ))
}

#[test]
fn every_tunnel_is_read_with_its_options() {
    let gue = |checksum| Tunnel::Gue {
        port: NonZeroU16::new(6080).unwrap(),
        checksum,
    };
    for (method, tunnel) in [
        ("TUN", Tunnel::Ipip),
        ("TUN type ipip", Tunnel::Ipip),
        ("TUN type ipip nocsum", Tunnel::Ipip),
        ("TUN type gue port 6080", gue(GueChecksum::None)),
        ("TUN type gue port 6080 nocsum", gue(GueChecksum::None)),
        ("TUN csum type gue port 6080", gue(GueChecksum::Full)),
        ("TUN type gue port 6080 remcsum", gue(GueChecksum::Remote)),
        ("TUN type gre", Tunnel::Gre { checksum: false }),
        ("TUN type gre nocsum", Tunnel::Gre { checksum: false }),
        ("TUN type gre csum", Tunnel::Gre { checksum: true }),
    ] {
        let config = clean(&server_by(method));
        let server = config.real_servers.into_values().next().unwrap();
        let expected = Forwarding::Tunnel(tunnel);
        assert_eq!(server.real_server.forwarding, expected, "{method}");
    }
}

#[test]
fn options_that_contradict_a_tunnel_are_errors() {
    for (method, message) in [
        (
            "TUN type gue",
            "this tunnel lacks its UDP port; the line is ignored",
        ),
        ("TUN type gue port 0", "`0` is not valid here"),
        ("TUN type vxlan", "unknown type of tunnel `vxlan`"),
        ("TUN type", "`type` lacks its value"),
        ("TUN type gue port", "`port` lacks its number"),
        ("TUN fast", "unknown option `fast` of a tunnel"),
        (
            "TUN csum",
            "a tunnel of type ipip has no option `csum`; the line is ignored",
        ),
        (
            "TUN type ipip port 9",
            "a tunnel of type ipip has no option `port`; the line is ignored",
        ),
        (
            "TUN type gre remcsum",
            "a tunnel of type gre has no option `remcsum`; the line is ignored",
        ),
        (
            "TUN type gre port 9",
            "a tunnel of type gre has no option `port`; the line is ignored",
        ),
        (
            "NAT type gre",
            "`type` is for tunnels and has no effect with NAT",
        ),
    ] {
        assert_eq!(messages(&server_by(method)), [message], "{method}");
    }
}

#[test]
fn a_persistence_engine_needs_persistence_and_a_name_of_the_kernel() {
    let text = |lines: &str| service_with(&format!("{lines}\nreal_server 10.0.0.2 80 {{\n}}"));
    let sip = service(&text("persistence_timeout 60\npersistence_engine sip"));
    assert_eq!(
        sip.persistence.unwrap().engine,
        Some(PersistenceEngine::Sip)
    );
    assert_eq!(
        messages(&text("persistence_engine sip")),
        ["a persistence engine has no effect without persistence"]
    );
    assert_eq!(
        messages(&text("persistence_timeout 60\npersistence_engine rtp")),
        ["unknown persistence engine `rtp`"]
    );
}

#[test]
fn users_of_a_group_share_its_marks_but_not_its_addresses() {
    let user = |group: &str, protocol: &str| {
        format!(
            "virtual_server group {group} {{\n lb_algo rr\n lb_kind NAT\n protocol {protocol}\n real_server 10.0.2.2 80 {{\n}}\n}}\n"
        )
    };
    let groups = "virtual_server_group G {\n 10.0.0.1 80\n fwmark 9\n}\nvirtual_server_group H {\n fwmark 9\n}\n";
    let both = format!("{groups}{}{}", user("G", "TCP"), user("G", "UDP"));
    let labels: Vec<_> = clean(&both)
        .virtual_servers
        .into_values()
        .map(|entry| entry.virtual_server.label)
        .collect();
    assert_eq!(labels, ["[G]:0", "[G]:1"]);
    let twice = format!("{groups}{}{}", user("G", "TCP"), user("G", "TCP"));
    assert_eq!(
        messages(&twice),
        ["[10.0.0.1]:tcp:80 is given twice; this virtual server is left out"]
    );
    let other = user("H", "TCP").replace(" protocol TCP\n", "");
    assert_eq!(
        messages(&format!("{groups}{}{other}", user("G", "TCP"))),
        ["FWM 9 is given twice; this virtual server is left out"]
    );
}

#[test]
fn a_group_of_both_families_is_for_tunnels_only() {
    let text = |method: &str, lines: &str| {
        format!(
            "virtual_server_group G {{\n 10.0.0.1 80\n 2001:db8::1 80\n fwmark 9 inet6\n}}\nvirtual_server group G {{\n lb_algo rr\n lb_kind {method}\n protocol TCP\n{lines}\n real_server 10.0.2.2 80 {{\n}}\n real_server 2001:db8::2 80 {{\n}}\n}}\n"
        )
    };
    let config = clean(&text("TUN", ""));
    let entry = config.virtual_servers.into_values().next().unwrap();
    let keys: Vec<_> = entry
        .virtual_server
        .services
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(keys, ["[10.0.0.1]:tcp:80", "[2001:db8::1]:tcp:80", "FWM 9"]);
    assert_eq!(config.real_servers.len(), 2);
    let refused = "the members of this group are of both families; the virtual server is left out";
    assert!(messages(&text("NAT", "")).contains(&refused.to_owned()));
    assert_eq!(messages(&text("TUN", "persistence_timeout 60")), [refused]);
}

#[test]
fn a_range_of_ipv6_addresses_is_walked_over_all_its_bits() {
    let text = |range: &str| {
        format!(
            "virtual_server_group G {{\n {range} 80\n}}\nvirtual_server group G {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 2001:db8::9 80 {{\n}}\n}}\n"
        )
    };
    let keys = |range: &str| {
        let config = loaded(&text(range)).config.unwrap();
        let entry = config.virtual_servers.into_values().next();
        entry.map_or(Vec::new(), |entry| entry.virtual_server.services)
    };
    let over: Vec<_> = keys("2001:db8::fffe-2001:db8::1:1")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        over,
        [
            "[2001:db8::fffe]:tcp:80",
            "[2001:db8::ffff]:tcp:80",
            "[2001:db8::1:0]:tcp:80",
            "[2001:db8::1:1]:tcp:80",
        ]
    );
    assert_eq!(keys("2001:db8::/118").len(), 1_024);
    assert_eq!(keys("2001:db8::/64").len(), 0);
    let many = "`2001:db8::/64` brings the group above 1024 members and is left out";
    assert!(messages(&text("2001:db8::/64")).contains(&many.to_owned()));
}

#[test]
fn connection_timeouts_are_pairs() {
    let timeouts = |words: &str| {
        let text = format!("global_defs {{\n lvs_timeouts {words}\n}}\n");
        loaded(&text).config.unwrap().ipvs.timeouts
    };
    let all = timeouts("udp 200 tcp 1000 tcpfin 0");
    assert_eq!(
        (all.tcp, all.tcp_fin, all.udp),
        (Some(1_000), None, Some(200))
    );
    assert_eq!(timeouts("tcp 2678400").tcp, Some(2_678_400));
    assert_eq!(timeouts("tcp 2678401").tcp, None);
    let found = |words: &str| messages(&format!("global_defs {{\n lvs_timeouts {words}\n}}\n"));
    assert_eq!(found("icmp 5"), ["`icmp` is not a connection timeout"]);
    assert_eq!(found("tcp 5 udp"), ["`udp` lacks its seconds"]);
}

#[test]
fn the_time_to_drain_is_the_servers_own_or_its_services() {
    let text = service_with(
        "drain_timeout 30\nreal_server 10.0.0.2 80 {\n}\nreal_server 10.0.0.3 80 {\ndrain_timeout 0.5\n}",
    );
    let drains: Vec<_> = clean(&text)
        .real_servers
        .into_values()
        .map(|entry| entry.real_server.drain.as_millis())
        .collect();
    assert_eq!(drains, [30_000, 500]);
}
