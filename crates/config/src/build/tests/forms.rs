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

#[test]
fn the_sync_daemon_is_tied_to_an_instance_by_its_name() {
    let text = |words: &str| {
        format!(
            "global_defs {{\n lvs_sync_daemon {words}\n}}\n\
             vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n virtual_ipaddress {{\n 10.0.0.9\n}}\n}}\n"
        )
    };
    let sync = |words: &str| loaded(&text(words)).config.unwrap().ipvs.sync;
    let plain = sync("eth0").unwrap();
    assert_eq!(
        (plain.daemon.interface.as_str(), plain.daemon.id),
        ("eth0", 0)
    );
    assert_eq!((plain.instance, plain.daemon.group), (None, None));

    let full = sync("eth1 inst VI_1 maxlen 1400 port 8900 ttl 3 group 224.0.0.82").unwrap();
    assert_eq!(full.daemon.id, 51, "of the instance");
    let instance = loaded(&text("eth0")).config.unwrap().instances;
    assert_eq!(full.instance, instance.into_keys().next());
    let numbers = (
        full.daemon.max_length.map(u16::from),
        full.daemon.port.map(u16::from),
        full.daemon.ttl.map(u8::from),
    );
    assert_eq!(numbers, (Some(1_400), Some(8_900), Some(3)));
    assert_eq!(full.daemon.group, Some([224, 0, 0, 82].into()));

    // As it was once written.
    let old = sync("eth0 VI_1 7").unwrap();
    assert_eq!((old.instance, old.daemon.id), (full.instance, 7));
    assert_eq!(messages(&text("eth0 VI_1 7")), [""; 0]);
    for (words, message) in [
        ("eth0 inst VI_9", "there is no vrrp_instance `VI_9`"),
        ("eth0 id 256", "`256` is not valid here"),
        ("eth0 group 10.0.0.1", "`10.0.0.1` is not a multicast group"),
        ("eth0 id", "`id` lacks its value"),
        ("eth0 VI_1 7 x", "`x` is not an option here"),
    ] {
        assert_eq!(messages(&text(words)), [message], "{words}");
    }
    assert_eq!(sync("eth0 inst VI_9"), None);
}

#[test]
fn an_instance_can_ask_for_the_sync_daemon_in_the_old_way() {
    let text = "vrrp_instance VI_1 {\n interface eth0\n lvs_sync_daemon_interface eth1\n \
                virtual_router_id 51\n virtual_ipaddress {\n 10.0.0.9\n}\n}\n";
    let config = loaded(text).config.unwrap();
    let sync = config.ipvs.sync.unwrap();
    assert_eq!(
        (sync.daemon.interface.as_str(), sync.daemon.id),
        ("eth1", 0)
    );
    assert_eq!(sync.instance, config.instances.into_keys().next());
}
