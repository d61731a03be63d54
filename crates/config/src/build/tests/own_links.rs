use std::time::Duration;

use kr_model::net::Family;
use kr_model::own_link::{IpvlanMode, LinkName, OwnLink, OwnLinkKind};
use kr_model::vrrp::{ExtraAnnounce, Transport};

use super::*;

fn link(line: &str) -> OwnLink {
    instance(&instance_with(line)).own_link.unwrap()
}

/// The MAC of a VMAC; virtual router 51.
fn hardware(link: &OwnLink) -> [u8; 6] {
    match link.kind {
        OwnLinkKind::Vmac { hardware } => hardware,
        OwnLinkKind::Ipvlan { .. } => panic!("an ipvlan"),
    }
}

#[test]
fn the_words_of_use_vmac_come_in_any_order() {
    let plain = link("use_vmac");
    let vrid = instance(&instance_with("")).vrid.get();
    assert_eq!(hardware(&plain), [0, 0, 0x5e, 0, 1, vrid]);
    let generated = LinkName::Generated {
        prefix: "vrrp".to_owned(),
    };
    assert_eq!((&plain.name, plain.group), (&generated, None));
    let full = link("use_vmac group 7 02:0:5e:10:ff netlink_notify_msg vip0");
    assert_eq!(hardware(&full), [2, 0, 0x5e, 0x10, 0xff, vrid]);
    assert_eq!(
        full.name,
        LinkName::Given("vip0".to_owned().try_into().unwrap())
    );
    assert_eq!((full.group, full.announces_base), (Some(7), true));
    let six = link("use_vmac name vip0 02:00:00:00:00:09");
    assert_eq!(hardware(&six), [2, 0, 0, 0, 0, 9]);
}

#[test]
fn a_mac_that_cannot_be_is_refused_and_the_virtual_one_used() {
    for mac in [
        "01:00:00:00:00:01",
        "00:00:5e:00:01:07",
        "00:00:5e:00:02",
        "02:00:00:00",
        "02:00:00:00:00:00:00",
        "02:00:00:00:00:1ff",
        "02:00:00:00:00:+1",
    ] {
        let loaded = loaded(&instance_with(&format!("use_vmac {mac}")));
        assert_eq!(exit_code(&loaded.diagnostics), 5, "{mac}");
        let config = loaded.config.unwrap();
        let own = &config.instances.values().next().unwrap().instance.own_link;
        assert_eq!(
            hardware(own.as_ref().unwrap())[..5],
            [0, 0, 0x5e, 0, 1],
            "{mac}"
        );
    }
}

#[test]
fn prefixes_begin_generated_names() {
    let i = instance(&format!(
        "global_defs {{\n vmac_prefix own\n}}\n{}",
        instance_with("use_vmac")
    ));
    let own = LinkName::Generated {
        prefix: "own".to_owned(),
    };
    assert_eq!(i.own_link.unwrap().name, own);
    assert_eq!(i.address_link_prefix, "own");
    for bad in ["a:b", "twelve-chars"] {
        let text = format!("global_defs {{\n vmac_prefix {bad}\n}}");
        assert_eq!(exit_code(&loaded(&text).diagnostics), 5, "{bad}");
    }
}

#[test]
fn routes_and_addresses_may_name_a_link_that_is_yet_to_be_made() {
    for (vmac, device) in [("use_vmac", "vrrp.7"), ("use_vmac vip0", "vip0")] {
        let lines = format!(
            "virtual_routes {{\n 10.9.0.0/16 dev {device}\n }}\n virtual_ipaddress_excluded {{\n \
             10.0.0.8/24 dev {device}\n }}\n {vmac}"
        );
        let config = clean(&instance_with(&lines));
        let entry = config.instances.values().next().unwrap();
        assert_eq!(entry.routes.len(), 1);
        let line = &entry.instance.excluded[0];
        assert_eq!(
            (&line.device, line.own_link),
            (&None, false),
            "that of the instance"
        );
        assert!(
            !loaded(&instance_with(&lines.replace(vmac, "")))
                .diagnostics
                .is_empty()
        );
    }
}

#[test]
fn a_name_is_given_once() {
    let two = format!(
        "{}{}",
        instance_with("use_vmac vip0"),
        instance_with("use_vmac vip0")
            .replace("virtual_router_id 7", "virtual_router_id 8")
            .replace("instance VI", "instance VI_2")
    );
    let found = messages(&two);
    assert!(
        found
            .iter()
            .any(|text| text.contains("another instance has a link `vip0`")),
        "{found:?}"
    );
    for bad in ["all", "default"] {
        let found = messages(&instance_with(&format!("use_vmac {bad}")));
        assert!(
            found[0].contains("cannot be the name of a link"),
            "{found:?}"
        );
    }
}

#[test]
fn unicast_leaves_by_the_interface_itself() {
    assert!(link("use_vmac\n vmac_xmit_base").adverts_on_base);
    assert!(!link("use_vmac").adverts_on_base);
    assert!(link("use_vmac\n unicast_peer {\n 10.0.0.9\n }").adverts_on_base);
    let alone = messages(&instance_with("vmac_xmit_base"));
    assert!(
        alone[0].contains("means nothing without `use_vmac`"),
        "{alone:?}"
    );
}

#[test]
fn strict_mode_has_neither_another_mac_nor_adverts_on_the_base() {
    let text = "strict_mode\n version 3\n use_vmac 02:00:00:00:00:09\n vmac_xmit_base\n virtual_ipaddress {\n 10.0.0.1\n }";
    let loaded = loaded(&instance_with(text));
    let config = loaded.config.unwrap();
    let own = &config.instances.values().next().unwrap().instance.own_link;
    let own = own.as_ref().unwrap();
    assert_eq!(hardware(own)[..5], [0, 0, 0x5e, 0, 1]);
    assert!(!own.adverts_on_base);
    assert_eq!(exit_code(&loaded.diagnostics), 5);
}

#[test]
fn an_ipvlan_has_a_mode_and_an_address_that_adverts_are_sent_from() {
    let i = instance(&instance_with("use_ipvlan ipv0 10.0.0.9/24 private"));
    let kind = i.own_link.unwrap().kind;
    let OwnLinkKind::Ipvlan { mode, address } = kind else {
        panic!("{kind:?}");
    };
    assert_eq!(mode, IpvlanMode::Private);
    assert_eq!(address.unwrap().to_string(), "10.0.0.9/24");
    let Transport::Multicast { source, .. } = i.transport else {
        panic!("{:?}", i.transport);
    };
    assert_eq!(source, Some([10, 0, 0, 9].into()));
    let i = instance(&instance_with(
        "mcast_src_ip 10.0.0.8\n use_ipvlan 10.0.0.9/24",
    ));
    let Transport::Multicast { source, .. } = i.transport else {
        panic!("{:?}", i.transport);
    };
    assert_eq!(source, Some([10, 0, 0, 8].into()), "the one that is set");
    let without = loaded(&instance_with("use_ipvlan"));
    assert!(without.config.unwrap().instances.is_empty());
}

#[test]
fn addresses_elsewhere_and_of_the_other_family_get_vmacs_of_their_own() {
    const DYNAMIC: &str = "global_defs {\n dynamic_interfaces\n}\n";
    let lines = |first: &str| {
        let instance = instance_with(&format!(
            "{first}\n virtual_ipaddress {{\n 10.0.0.1/24\n 10.0.0.2/24 dev eth0\n 10.1.0.1/24 dev eth1\n }}\n \
             virtual_ipaddress_excluded {{\n 2001:db8::1/64\n }}"
        ));
        format!("{DYNAMIC}{instance}")
    };
    let own = |text: &str| -> Vec<bool> {
        let i = instance(text);
        let all = i.addresses.iter().chain(&i.excluded);
        all.map(|line| line.own_link).collect()
    };
    assert_eq!(own(&lines("use_vmac")), [false; 5]);
    assert_eq!(
        own(&lines("use_vmac\n use_vmac_addr")),
        [false, false, false, true, true]
    );
    assert_eq!(
        own(&lines("use_vmac_addr")),
        [false, false, false, true, true]
    );
    let i = instance(&lines("use_vmac"));
    assert_eq!(
        i.addresses[2].device, None,
        "the interface of the instance is under its VMAC"
    );
    let single = instance_with("virtual_ipaddress {\n 10.0.0.1/24 use_vmac\n }");
    assert_eq!(own(&single), [false, true]);
    let needless = loaded(&instance_with(
        "use_vmac\n virtual_ipaddress {\n 10.0.0.1/24 use_vmac\n }",
    ));
    assert_eq!(exit_code(&needless.diagnostics), 5);
}

#[test]
fn instances_that_share_a_mac_are_in_one_sync_group() {
    let first = instance_with(
        "use_vmac\n use_vmac_addr\n virtual_ipaddress_excluded {\n 2001:db8::1/64\n }",
    );
    let second = instance_with("use_vmac")
        .replace("instance VI", "instance VI_2")
        .replace("10.0.0.9/24", "2001:db8::2/64");
    let alone = loaded(&format!("{first}{second}"));
    let config = alone.config.unwrap();
    let names: Vec<_> = config
        .instances
        .values()
        .map(|e| e.instance.name.as_str())
        .collect();
    assert_eq!(names, ["VI"]);
    let group = "vrrp_sync_group G {\n group {\n VI\n VI_2\n }\n}\n";
    let together = clean(&format!("{first}{second}{group}"));
    assert_eq!(together.instances.len(), 2);
}

#[test]
fn garp_extra_if_has_a_period_and_old_spellings() {
    let extra = |global: &str, line: &str| {
        let text = format!("global_defs {{\n {global}\n}}\n{}", instance_with(line));
        let config = loaded(&text).config.unwrap();
        config
            .instances
            .into_values()
            .next()
            .unwrap()
            .instance
            .announce
            .extra
    };
    let every = |seconds, all| {
        Some(ExtraAnnounce {
            period: Duration::from_secs(seconds),
            all,
        })
    };
    assert_eq!(extra("", ""), None);
    assert_eq!(extra("", "garp_extra_if 10"), every(10, false));
    assert_eq!(extra("", "vmac_garp_intvl all 10"), every(10, true));
    assert_eq!(extra("vrrp_garp_extra_if all 20", ""), every(20, true));
    assert_eq!(
        extra("vrrp_vmac_garp_intvl 20", "garp_extra_if 5"),
        every(5, false)
    );
    assert_eq!(extra("vrrp_garp_extra_if 20", "garp_extra_if 0"), None);
}

#[test]
fn a_vrf_is_the_interface_of_a_unicast_instance_without_one() {
    let text = "global_defs {\n dynamic_interfaces\n}\nvrrp_instance VI_1 {\n vrf red\n virtual_router_id 51\n unicast_src_ip 10.0.0.1\n \
                unicast_peer {\n 10.0.0.9\n }\n virtual_ipaddress {\n 10.0.0.3/24 dev eth0\n }\n}\n";
    let i = instance(text);
    assert_eq!((i.interface.as_str(), i.family), ("red", Family::Inet));
    let with_interface = messages(&instance_with("vrf eth1"));
    assert!(
        with_interface[0].contains("without `interface`"),
        "{with_interface:?}"
    );
}
