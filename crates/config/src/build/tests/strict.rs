//! `strict_mode`, and the options that go with single kinds of instances.

use std::time::Duration;

use kr_model::units::Priority;
use kr_model::vrrp::{Authentication, ChecksumMode, Preemption, Version, WantedState};

use super::{clean, instance, instance_with, loaded, messages};
use crate::build::exit_code;

#[test]
fn a_strict_instance_has_the_settings_of_the_rfc() {
    let text =
        "garp_lower_prio_repeat 7\ndown_timer_adverts 9\nhigher_prio_send_advert\nstrict_mode";
    let i = instance(&instance_with(text));
    assert_eq!(i.down_timer_adverts, 3);
    assert_eq!(i.announce.lower_priority_repeat, 0);
    assert_eq!(i.announce.lower_priority_delay, Duration::ZERO);
    assert!(!i.answer_lower_priority && !i.advert_before_yielding && !i.ignore_adverts);
    let owner = instance(&instance_with("priority 255\nstrict_mode"));
    assert!(owner.ignore_adverts);
}

#[test]
fn vrrp_strict_is_the_default_of_strict_mode() {
    let global = "global_defs {\n vrrp_strict\n}\n";
    let strict = |lines: &str| {
        let config = clean(&format!("{global}{}", instance_with(lines)));
        config.instances.into_values().next().unwrap().strict
    };
    assert!(strict(""));
    assert!(!strict("strict_mode off"));
}

#[test]
fn what_strict_mode_does_not_allow_is_reported_and_taken_away() {
    let text = instance_with(
        "strict_mode\nstate MASTER\npriority 100\npreempt_delay 5\nauthentication {\n auth_type PASS\n auth_pass 1\n}",
    );
    assert_eq!(
        messages(&text),
        [
            "in strict mode an instance of priority 100 has `state BACKUP`, which is used",
            "strict mode has no `preempt_delay`; it is off",
            "strict mode has no authentication; it is off",
        ]
    );
    let config = loaded(&text).config.unwrap();
    let i = &config.instances.values().next().unwrap().instance;
    assert_eq!(i.wanted, WantedState::Backup);
    assert_eq!(i.preemption, Preemption::Immediate);
    assert_eq!(i.authentication, Authentication::None);
}

#[test]
fn traffic_is_accepted_by_default_and_not_in_strict_mode() {
    for (lines, accept, drops) in [
        ("", true, false),
        ("no_accept", false, true),
        ("no_accept\naccept", true, false),
        ("no_accept\npriority 255", false, false),
        ("strict_mode\nversion 3", false, true),
        ("strict_mode\nversion 3\naccept", true, false),
        ("strict_mode\nversion 2", false, true),
        ("strict_mode\npriority 255", false, false),
    ] {
        let i = instance(&instance_with(lines));
        assert_eq!((i.accept, i.drops_traffic()), (accept, drops), "{lines}");
    }
    let text = instance_with("strict_mode\nversion 2\naccept");
    assert_eq!(
        messages(&text),
        ["in strict mode only the address owner accepts traffic in version 2; `accept` is off"]
    );
}

#[test]
fn a_virtual_server_on_an_address_that_accepts_nothing_is_pointed_out() {
    let server = |address: &str| {
        format!(
            "virtual_server {address} 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.0.1.1 80 {{\n }}\n}}\n"
        )
    };
    let i = instance_with("no_accept");
    let vip = instance(&i).addresses[0].address.address().to_string();
    let found = messages(&format!("{i}{}", server(&vip)));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("accepts no traffic"), "{found:?}");
    assert!(messages(&format!("{i}{}", server("10.0.0.250"))).is_empty());
    assert!(messages(&format!("{}{}", instance_with("accept"), server(&vip))).is_empty());
}

#[test]
fn the_tables_of_the_filter_have_their_settings() {
    let text = "global_defs {\n nftables vrrp\n nftables_priority -300\n nftables_ifindex\n nftables_counters\n}\n";
    let firewall = clean(&format!("{text}{}", instance_with(""))).vrrp.firewall;
    assert_eq!(firewall.table.as_str(), "vrrp");
    assert_eq!(firewall.priority, -300);
    assert!(firewall.by_index && firewall.counters);
    let wrong = "global_defs {\n nftables 1st\n nftables_priority 2147483648\n}\n";
    assert_eq!(
        messages(&format!("{wrong}{}", instance_with(""))),
        [
            "`1st` is no name of a table",
            "`2147483648` is not valid here"
        ]
    );
}

#[test]
fn strict_mode_takes_no_advert_without_a_signature() {
    let hmac =
        "auth_hmac {\n key 1 0123456789abcdef0123456789abcdef\n active_key 1\n mode permissive\n}";
    assert_eq!(
        messages(&instance_with(&format!("strict_mode\n{hmac}"))),
        ["in strict mode auth_hmac has `mode enforce`, which is used"]
    );
}

#[test]
fn strict_mode_allows_no_unicast_where_there_is_multicast() {
    let text = instance_with("strict_mode\nunicast_peer {\n 10.0.0.2\n}");
    assert_eq!(exit_code(&loaded(&text).diagnostics), 4);
}

#[test]
fn strict_mode_over_ipv6_has_version_3_and_a_link_local_address_first() {
    let with = |first: &str| {
        format!(
            "vrrp_instance VI {{\n interface eth0\n virtual_router_id 7\n version 2\n strict_mode\n virtual_ipaddress {{\n {first}/64\n }}\n}}\n"
        )
    };
    assert_eq!(
        messages(&with("2001:db8::1")),
        [
            "in strict mode VRRP over IPv6 has version 3, which is used",
            "in strict mode the first IPv6 address is link-local, and 2001:db8::1 is not",
        ]
    );
    let config = loaded(&with("fe80::1")).config.unwrap();
    let i = &config.instances.values().next().unwrap().instance;
    assert_eq!(i.version, Version::V3);
}

#[test]
fn a_strict_instance_without_addresses_does_not_run() {
    let text = "vrrp_instance VI {\n interface eth0\n virtual_router_id 7\n strict_mode\n no_virtual_ipaddress\n}\n";
    assert!(messages(text)[0].contains("no virtual address, which strict mode asks for"));
    assert!(loaded(text).config.unwrap().instances.is_empty());
}

#[test]
fn owner_ignore_adverts_is_for_owners() {
    assert!(instance(&instance_with("priority 255\nowner_ignore_adverts")).ignore_adverts);
    assert_eq!(
        messages(&instance_with("owner_ignore_adverts")),
        ["`owner_ignore_adverts` is for priority 255; it is ignored"]
    );
    let global = "global_defs {\n vrrp_owner_ignore_adverts\n}\n";
    let with = |lines| instance(&format!("{global}{}", instance_with(lines))).ignore_adverts;
    assert!(with("priority 255"));
    assert!(!with("priority 255\nowner_ignore_adverts off"));
    assert!(!with(""));
}

#[test]
fn timer_expired_backup_needs_nopreempt() {
    let with = |lines: &str| instance(&instance_with(lines)).yields_when_late;
    assert_eq!(
        with("nopreempt\ntimer_expired_backup"),
        Some(Priority::BELOW_OWNER)
    );
    assert_eq!(
        with("nopreempt\nthread_timer_expired 150").map(Priority::get),
        Some(150)
    );
    assert_eq!(
        messages(&instance_with("timer_expired_backup 150")),
        ["`timer_expired_backup` needs `nopreempt`; it is ignored"]
    );
}

#[test]
fn the_checksum_of_old_unicast_peers_is_detected_unless_told_otherwise() {
    let with = |lines: &str| {
        let unicast = "version 3\nunicast_peer {\n 10.0.0.2\n}\n";
        instance(&instance_with(&format!("{unicast}{lines}"))).checksum
    };
    assert_eq!(with(""), ChecksumMode::Detect);
    assert_eq!(with("old_unicast_checksum"), ChecksumMode::OldUnicast);
    assert_eq!(with("old_unicast_checksum never"), ChecksumMode::Standard);
    assert_eq!(with("v3_checksum_as_v2"), ChecksumMode::AsVersion2);
    assert_eq!(
        messages(&instance_with("old_unicast_checksum")),
        ["`old_unicast_checksum` is for unicast version 3 over IPv4; it is ignored"]
    );
}

#[test]
fn track_src_ip_needs_a_source_address() {
    assert!(instance(&instance_with("mcast_src_ip 10.0.0.1\ntrack_src_ip")).track_source);
    assert_eq!(
        messages(&instance_with("track_src_ip")),
        ["`track_src_ip` has no effect without a source address"]
    );
}

#[test]
fn garp_groups_have_their_intervals_or_those_of_global_defs() {
    let text = format!(
        "garp_group {{\n interfaces {{\n eth1 eth2\n }}\n interface eth0\n garp_interval 0.5\n}}\n\
         global_defs {{\n vrrp_gna_interval 0.25\n vrrp_garp_interval 2\n}}\n{}",
        instance_with("")
    );
    let pace = clean(&text).vrrp.pace;
    assert_eq!(pace.arp, Duration::from_secs(2));
    assert_eq!(pace.neighbour, Duration::from_millis(250));
    let [group] = &pace.groups[..] else {
        panic!("{pace:?}")
    };
    let names: Vec<&str> = group.interfaces.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["eth0", "eth1", "eth2"]);
    assert_eq!(group.arp, Duration::from_millis(500));
    assert_eq!(group.neighbour, Duration::from_millis(250));
}

#[test]
fn a_garp_group_without_an_interval_or_with_a_taken_interface_is_reported() {
    let text = format!(
        "garp_group {{\n interface eth0\n garp_interval 1\n}}\ngarp_group {{\n interface eth0\n interface eth1\n gna_interval 1\n}}\n\
         garp_group {{\n interface eth2\n}}\n{}",
        instance_with("")
    );
    assert_eq!(
        messages(&text),
        [
            "`eth0` is in another garp_group already",
            "a garp_group without an interface or without an interval has no effect",
        ]
    );
    assert_eq!(loaded(&text).config.unwrap().vrrp.pace.groups.len(), 2);
}

#[test]
fn the_delays_of_a_start_are_kept_apart() {
    let text = format!(
        "global_defs {{\n vrrp_startup_delay 2.5\n vrrp_delay_after_boot 30\n log_unknown_vrids\n}}\n{}",
        instance_with("")
    );
    let vrrp = clean(&text).vrrp;
    assert_eq!(vrrp.startup_delay, Duration::from_millis(2_500));
    assert_eq!(vrrp.delay_after_boot, Duration::from_secs(30));
    assert!(vrrp.log_unknown_vrids);
}
