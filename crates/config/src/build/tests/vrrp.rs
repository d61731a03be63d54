use std::net::IpAddr;
use std::time::Duration;

use kr_model::net::Family;
use kr_model::units::{IfName, Priority};
use kr_model::vrrp::{
    Authentication, ChecksumMode, LinkDelays, Preemption, Secret, Transport, Version, WantedState,
};

use super::{clean, instance, instance_with, loaded, messages};
use crate::build::exit_code;

#[test]
fn an_instance_has_the_defaults_of_keepalived() {
    let i = instance(&instance_with(""));
    assert_eq!(
        (i.version, i.priority, i.wanted),
        (Version::V2, Priority::DEFAULT, WantedState::Backup)
    );
    assert_eq!(i.advert_interval.as_duration(), Duration::from_secs(1));
    assert_eq!(i.preemption, Preemption::Immediate);
    assert_eq!(i.down_timer_adverts, 3);
    assert_eq!(i.authentication, Authentication::None);
    assert_eq!(
        i.transport,
        Transport::Multicast {
            group: "224.0.0.18".parse().unwrap(),
            source: None
        }
    );
    assert_eq!(
        (
            i.announce.repeat,
            i.announce.delay.as_secs(),
            i.announce.refresh.as_secs()
        ),
        (5, 5, 0)
    );
    assert_eq!(
        (i.announce.lower_priority_repeat, i.announce.refresh_repeat),
        (5, 1)
    );
    assert!(i.track_primary && i.answer_lower_priority);
    assert!(i.advert_before_yielding && !i.check_addresses_once);
}

#[test]
fn state_master_without_priority_is_the_owner() {
    assert_eq!(
        instance(&instance_with("state MASTER")).priority,
        Priority::OWNER
    );
    let owner = instance(&instance_with("priority 255"));
    assert_eq!(owner.wanted, WantedState::Master);
}

#[test]
fn settings_of_global_defs_are_defaults_that_an_instance_can_change() {
    let text = format!(
        "{}global_defs {{\n vrrp_garp_master_delay 2\n vrrp_garp_master_repeat 3\n vrrp_lower_prio_no_advert\n}}\n",
        instance_with("garp_master_repeat 9\nlower_prio_no_advert off")
    );
    let i = instance(&text);
    assert_eq!((i.announce.delay.as_secs(), i.announce.repeat), (2, 9));
    assert_eq!(
        (
            i.announce.lower_priority_delay.as_secs(),
            i.announce.lower_priority_repeat
        ),
        (2, 9)
    );
    assert!(i.answer_lower_priority);
}

#[test]
fn a_password_is_padded_to_eight_bytes_and_never_shown() {
    let i = instance(&instance_with(
        "authentication {\n auth_type PASS\n auth_pass 1111\n}",
    ));
    assert_eq!(
        i.authentication,
        Authentication::Password(Secret::new(*b"1111\0\0\0\0"))
    );
    assert!(!format!("{i:?}").contains("1111"));
    assert_eq!(
        messages(&instance_with(
            "authentication {\n auth_type PASS\n auth_pass 123456789\n}"
        )),
        ["only the first 8 bytes of the password are used"]
    );
}

#[test]
fn nopreempt_needs_state_backup() {
    assert_eq!(
        instance(&instance_with("nopreempt")).preemption,
        Preemption::Never
    );
    assert_eq!(
        instance(&instance_with("preempt_delay 30")).preemption,
        Preemption::Delayed(Duration::from_secs(30))
    );
    let text = instance_with("state MASTER\npriority 150\nnopreempt");
    assert_eq!(
        messages(&text),
        ["`nopreempt` has no effect with `state MASTER` or priority 255"]
    );
    let config = loaded(&text).config.unwrap();
    assert_eq!(
        config
            .instances
            .values()
            .next()
            .unwrap()
            .instance
            .preemption,
        Preemption::Immediate
    );
}

#[test]
fn version_2_counts_whole_seconds() {
    let found = loaded(&instance_with("advert_int 1.5"));
    assert_eq!(found.diagnostics.len(), 1);
    assert_eq!(found.diagnostics[0].message, "advert_int 1.5 becomes 2 s");
    let config = found.config.unwrap();
    assert_eq!(
        config
            .instances
            .values()
            .next()
            .unwrap()
            .instance
            .advert_interval
            .as_duration()
            .as_secs(),
        2
    );
}

#[test]
fn address_lines_take_every_option() {
    let lines = "virtual_ipaddress_excluded {\n 10.0.1.9/24 dev lo scope link brd + label eth0:1 no_track\n \
                 10.0.2.9/24 brd -\n 10.0.3.9 peer 10.0.3.1/24 home noprefixroute autojoin mngtmpaddr\n \
                 2001:db8::9 -nodad\n 2001:db8::8/64 preferred_lft 60\n}";
    let list = instance(&instance_with(lines)).excluded;
    assert_eq!(list[0].device.as_ref().unwrap().as_str(), "lo");
    assert_eq!(list[0].scope, 253);
    assert_eq!(list[0].broadcast, Some("10.0.1.255".parse().unwrap()));
    assert_eq!(list[0].label.as_ref().unwrap().as_str(), "eth0:1");
    assert!(!list[0].tracked);
    assert_eq!(list[1].broadcast, Some("10.0.2.0".parse().unwrap()));
    assert_eq!(
        (list[2].address.to_string().as_str(), list[2].peer),
        ("10.0.3.9/32", Some("10.0.3.1".parse().unwrap()))
    );
    assert!(
        list[2].flags.home
            && list[2].flags.no_prefix_route
            && list[2].flags.autojoin
            && list[2].flags.manage_temporary
    );
    assert!(list[3].flags.detect_duplicates);
    assert_eq!(list[3].preferred_lifetime, Some(Duration::ZERO));
    assert_eq!(list[4].preferred_lifetime, Some(Duration::from_secs(60)));
}

#[test]
fn a_wrong_address_option_is_named_and_the_address_stays() {
    let text = instance_with(
        "virtual_ipaddress_excluded {\n 10.0.1.9/33 skope link\n 10.0.2.9 dev nope\n 10.0.3.9 label\n}",
    );
    assert_eq!(
        messages(&text),
        [
            "`10.0.1.9/33` has a wrong prefix length; 32 is used",
            "unknown option `skope` of an address is ignored",
            "unknown option `link` of an address is ignored",
            "there is no interface `nope`; the address is left out",
            "`label` lacks its value; the address is left out",
        ]
    );
}

#[test]
fn a_second_address_in_a_line_is_told_apart_from_an_option() {
    let text = instance_with("virtual_ipaddress_excluded {\n 10.0.1.9/24 10.0.1.10/24\n}");
    let found = loaded(&text).diagnostics;
    assert_eq!(
        found[0].message,
        "a second address in one line, `10.0.1.10/24`, is ignored"
    );
    assert_eq!(
        found[0].help.as_deref(),
        Some("give each address a line of its own")
    );
}

#[test]
fn an_unknown_interface_is_fatal_unless_it_may_come_later() {
    let text = instance_with("").replace("eth0", "eth7");
    let found = loaded(&text);
    assert_eq!((exit_code(&found.diagnostics), found.config), (4, None));
    let config = clean(&format!("global_defs {{\ndynamic_interfaces\n}}\n{text}"));
    assert!(config.vrrp.dynamic_interfaces);
}

#[test]
fn two_instances_with_one_vrid_on_an_interface_are_fatal() {
    let text = format!(
        "{}{}",
        instance_with(""),
        instance_with("").replace("VI", "VJ")
    );
    let found = loaded(&text);
    assert_eq!(exit_code(&found.diagnostics), 4);
    assert!(
        found.diagnostics[0]
            .message
            .starts_with("instances `VI` and `VJ` share virtual_router_id 7")
    );
    let apart = format!(
        "{}{}",
        instance_with(""),
        instance_with("")
            .replace("VI", "VJ")
            .replace("eth0", "lan1")
    );
    let text = format!("global_defs {{\ndynamic_interfaces\n}}\n{apart}");
    assert_eq!(clean(&text).instances.len(), 2);
}

#[test]
fn a_second_instance_of_one_name_is_skipped() {
    let text = format!("{}{}", instance_with(""), instance_with("priority 3"));
    assert_eq!(messages(&text), ["there is a vrrp_instance `VI` already"]);
    assert_eq!(loaded(&text).config.unwrap().instances.len(), 1);
}

#[test]
fn scripts_with_equal_command_and_user_are_one() {
    let config = loaded(&instance_with(
        "notify_master \"/bin/say up 'a b'\" root\nnotify_backup \"/bin/say up 'a b'\" root\nnotify /bin/say",
    ))
    .config
    .unwrap();
    assert_eq!(config.scripts.len(), 2);
    let notify = &config.instances.values().next().unwrap().notify;
    assert_eq!(notify.master, notify.backup);
    let script = &config.scripts[&notify.master.unwrap()];
    assert_eq!(script.arguments, ["up", "a b"]);
    assert_eq!(script.user.as_ref().unwrap().user, "root");
}

#[test]
fn a_command_without_quotes_is_explained() {
    let found = loaded(&instance_with("notify_master /bin/say up"));
    assert_eq!(found.diagnostics[0].message, "there is no user `up`");
    assert!(
        found.diagnostics[0]
            .help
            .as_ref()
            .unwrap()
            .contains("quotes")
    );
}

#[test]
fn both_kinds_of_authentication_run() {
    let text = |kind| {
        instance_with(&format!(
            "authentication {{\n auth_type {kind}\n auth_pass a\n}}"
        ))
    };
    let secret = Secret::new(*b"a\0\0\0\0\0\0\0");
    assert_eq!(
        instance(&text("AH")).authentication,
        Authentication::Header(secret.clone())
    );
    assert_eq!(
        instance(&text("PASS")).authentication,
        Authentication::Password(secret)
    );
    assert_eq!(messages(&text("AH")), [""; 0]);
}

fn ipv6_with(lines: &str) -> String {
    instance_with(lines).replace("10.0.0.9/24", "2001:db8::9/64")
}

#[test]
fn the_family_is_that_of_the_addresses_and_decides_the_version_and_the_group() {
    let v6_group: IpAddr = "ff02::99".parse().unwrap();
    let standard: IpAddr = "ff02::12".parse().unwrap();
    let rows = [
        (instance_with("version 3"), Version::V3, Family::Inet, None),
        (ipv6_with(""), Version::V3, Family::Inet6, Some(standard)),
        (
            format!(
                "global_defs {{\n vrrp_mcast_group6 ff02::99\n vrrp_version 2\n}}\n{}",
                ipv6_with("native_ipv6")
            ),
            Version::V3,
            Family::Inet6,
            Some(v6_group),
        ),
    ];
    for (text, version, family, to) in rows {
        assert_eq!(messages(&text), [""; 0]);
        let config = loaded(&text).config.unwrap();
        let instance = &config.instances.values().next().unwrap().instance;
        assert_eq!((instance.version, instance.family), (version, family));
        if let (Transport::Multicast { group, .. }, Some(to)) = (&instance.transport, to) {
            assert_eq!(*group, to);
        }
    }
    assert_eq!(
        messages(&ipv6_with("version 2")),
        ["no RFC describes VRRP version 2 over IPv6"]
    );
}

#[test]
fn a_checksum_as_in_version_2_is_for_version_3_over_ipv4() {
    let global = "global_defs {\n v3_checksum_as_v2\n}\n";
    let set = |text: &str| {
        let config = loaded(text).config.unwrap();
        let instance = &config.instances.values().next().unwrap().instance;
        instance.checksum == ChecksumMode::AsVersion2
    };
    assert!(set(&instance_with("version 3\nv3_checksum_as_v2")));
    assert!(set(&format!("{global}{}", instance_with("version 3"))));
    assert!(!set(&format!(
        "{global}{}",
        instance_with("version 3\nv3_checksum_as_v2 off")
    )));
    assert!(!set(&format!("{global}{}", instance_with(""))));
    assert_eq!(
        messages(&instance_with("v3_checksum_as_v2")),
        ["`v3_checksum_as_v2` is for version 3 over IPv4; it is ignored"]
    );
}

#[test]
fn unicast_without_peers_falls_back_or_waits_as_the_file_says() {
    let transport = |lines: &str| {
        let config = loaded(&instance_with(lines)).config.unwrap();
        config
            .instances
            .into_values()
            .next()
            .unwrap()
            .instance
            .transport
    };
    let alone = "unicast_src_ip 10.0.0.2";
    assert!(matches!(transport(alone), Transport::Multicast { .. }));
    assert_eq!(
        messages(&instance_with(alone)),
        ["there is no `unicast_peer`: adverts go to the multicast group"]
    );
    let waiting = "unicast_src_ip 10.0.0.2\nunicast_fault_no_peer";
    let Transport::Unicast { peers, .. } = transport(waiting) else {
        panic!("it waits for a peer")
    };
    assert_eq!(peers, []);
}

#[test]
fn sources_are_checked_when_asked_for_and_when_a_peer_has_limits() {
    let checked = |global: &str, lines: &str| {
        let text = format!("global_defs {{\n{global}\n}}\n{}", instance_with(lines));
        let config = loaded(&text).config.unwrap();
        match config
            .instances
            .into_values()
            .next()
            .unwrap()
            .instance
            .transport
        {
            Transport::Unicast {
                ttl, check_source, ..
            } => (ttl, check_source),
            Transport::Multicast { .. } => panic!("unicast"),
        }
    };
    let peer = "unicast_peer {\n 10.0.0.3\n}";
    assert_eq!(checked("", peer), (None, false));
    assert_eq!(
        checked("", &format!("{peer}\nunicast_ttl 7")),
        (Some(7), false)
    );
    assert_eq!(
        checked("", &format!("{peer}\ncheck_unicast_src")),
        (None, true)
    );
    assert_eq!(checked("vrrp_check_unicast_src", peer), (None, true));
    let limited = "unicast_peer {\n 10.0.0.3 max_ttl 255\n}";
    assert_eq!(checked("", limited), (None, true));
}

#[test]
fn unicast_peers_are_kept_with_their_limits() {
    let text = instance_with(
        "unicast_src_ip 10.0.0.2\nunicast_peer {\n 10.0.0.3 min_ttl 254\n 10.0.0.4\n 2001:db8::1\n}",
    );
    let config = loaded(&text).config.unwrap();
    let Transport::Unicast { source, peers, .. } =
        &config.instances.values().next().unwrap().instance.transport
    else {
        panic!("peers make an instance unicast")
    };
    assert_eq!(*source, Some("10.0.0.2".parse().unwrap()));
    let limits: Vec<(String, u8, u8)> = peers
        .iter()
        .map(|p| (p.address.to_string(), p.min_ttl, p.max_ttl))
        .collect();
    assert_eq!(
        limits,
        [
            ("10.0.0.3".to_owned(), 254, 255),
            ("10.0.0.4".to_owned(), 0, 255)
        ]
    );
}

#[test]
fn an_instance_without_vrid_or_interface_is_left_out() {
    let text = "vrrp_instance X {\n virtual_ipaddress {\n 10.0.0.9\n}\n}\n";
    let found = loaded(text);
    let said: Vec<&str> = found
        .diagnostics
        .iter()
        .map(|d| d.message.as_str())
        .collect();
    assert_eq!(
        said,
        [
            "instance `X` has no valid virtual_router_id and does not run",
            "instance `X` has no interface and does not run"
        ]
    );
    assert_eq!(exit_code(&found.diagnostics), 5);
    assert!(found.config.unwrap().instances.is_empty());
}

#[test]
fn unicast_instances_share_a_vrid_unless_they_share_a_peer() {
    let pair = |first: &str, second: &str| {
        let peers = |peer: &str| format!("unicast_peer {{\n {peer}\n}}");
        let text = format!(
            "{}{}",
            instance_with(&peers(first)),
            instance_with(&peers(second)).replace("VI", "VJ")
        );
        exit_code(&loaded(&text).diagnostics)
    };
    assert_eq!(pair("10.0.0.3", "10.0.0.4"), 0);
    assert_eq!(pair("10.0.0.3", "10.0.0.3"), 4);
}

fn group_of_two(lines: &str) -> String {
    let second = instance_with("")
        .replace("VI", "VJ")
        .replace("virtual_router_id 7", "virtual_router_id 8");
    format!(
        "vrrp_sync_group G {{\n{lines}\n}}\n{}{second}",
        instance_with("")
    )
}

#[test]
fn members_of_a_sync_group_know_it_and_its_scripts_are_kept() {
    let text = group_of_two("group {\n VI\n VJ\n}\nnotify_master /bin/say\nsmtp_alert");
    let config = loaded(&text).config.unwrap();
    let groups: Vec<_> = config
        .instances
        .values()
        .map(|one| one.instance.group)
        .collect();
    assert_eq!(groups, [Some(kr_model::GroupId(0)); 2]);
    let group = &config.groups[&kr_model::GroupId(0)];
    assert_eq!((group.name.as_str(), group.mail), ("G", true));
    assert!(group.notify.master.is_some());
}

#[test]
fn a_sync_group_says_what_is_wrong_with_its_members() {
    assert_eq!(
        messages(&group_of_two("group {\n VI\n VK\n VI\n}")),
        [
            "vrrp_sync_group `G` has one member only",
            "there is no vrrp_instance `VK` that runs",
            "`VI` is a member of a group already",
        ]
    );
    assert_eq!(
        messages(&group_of_two("smtp_alert")),
        ["vrrp_sync_group `G` has no members"]
    );
}

#[test]
fn tracked_interfaces_have_weights_and_those_of_a_group_count_for_every_member() {
    let dynamic = "global_defs {\n dynamic_interfaces\n}\n";
    let tracked = |text: &str| {
        let config = loaded(&format!("{dynamic}{text}")).config.unwrap();
        let weights = |instance: &kr_model::vrrp::Instance| {
            let lines = instance.tracked_interfaces.iter();
            lines
                .map(|one| (one.weight, one.reverse))
                .collect::<Vec<_>>()
        };
        let instances = config.instances.values();
        instances
            .map(|entry| weights(&entry.instance))
            .collect::<Vec<_>>()
    };
    let lines = "track_interface {\n eth1 weight -254\n eth1 weight 10 reverse\n eth1\n}";
    let alone = tracked(&instance_with(lines));
    assert_eq!(alone, [[(-253, false), (10, true), (0, false)]]);
    let group = |more: &str| {
        let group = group_of_two(&format!("group {{\n VI\n VJ\n}}\n{more}"));
        group.replacen(
            "virtual_router_id 7",
            "track_interface {\n eth1 weight 5\n}\nvirtual_router_id 7",
            1,
        )
    };
    let plain = tracked(&group("track_interface {\n eth1 weight 9\n}"));
    assert_eq!(plain, [vec![(0, false), (9, false)], vec![(9, false)]]);
    let weighted = tracked(&group("sync_group_tracking_weight"));
    assert_eq!(weighted, [vec![(5, false)], vec![]]);
    assert_eq!(
        messages(&format!(
            "{dynamic}{}",
            instance_with("track_interface {\n eth1 weight 300\n eth0\n}")
        )),
        [
            "`eth0` is the interface of the instance, which is tracked anyway; it is left out of track_interface",
            "this weight is no number from -254 to 254; 0 is used",
        ]
    );
}

#[test]
fn delays_of_links_are_read_and_cut_to_what_backups_wait() {
    let text = |lines: &str, more: &str| {
        format!(
            "interface_up_down_delays {{\n {lines}\n}}\n{}",
            instance_with(more)
        )
    };
    let delays = |text: &str| {
        let delays = clean(text).vrrp.link_delays;
        let of = |(name, delays): (IfName, LinkDelays)| {
            (
                name.to_string(),
                delays.down.as_millis(),
                delays.up.as_millis(),
            )
        };
        delays.into_iter().map(of).collect::<Vec<_>>()
    };
    let read = delays(&text("eth0 1.5 3\n eth9 20", ""));
    let expected = [
        ("eth0".to_owned(), 1500, 3000),
        ("eth9".to_owned(), 20_000, 0),
    ];
    assert_eq!(read, expected);
    for (lines, more, message) in [
        (
            "eth0 3 1",
            "",
            "the down delay of `eth0` is cut to 1.996093 s",
        ),
        (
            "eth0 3 1",
            "down_timer_adverts 1",
            "leaves no time for delays of `eth0`",
        ),
        ("eth0", "", "one or two delays must follow"),
        ("eth0 1 2 3", "", "one or two delays must follow"),
        ("eth0 256", "", "`256` is out of range"),
        (
            "eth0 1\n eth0 2",
            "down_timer_adverts 9",
            "has delays already",
        ),
    ] {
        let found = messages(&text(lines, more));
        assert_eq!(found.len(), 1, "{lines}: {found:?}");
        assert!(found[0].contains(message), "{lines}: {found:?}");
    }
}
