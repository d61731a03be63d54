use std::sync::Arc;

use kr_model::own_link::{LinkName, OwnLink, OwnLinkKind, virtual_hardware};
use kr_netlink::route::{
    Address, Event, InetSetting, LinkChange, LinkDetail, LinkSettings, NewLink, NewLinkKind, Place,
};

use super::*;
use crate::samples::{index, instance, name, virtual_address};

/// A link with settings of IPv4 that are all 0.
fn link(number: u64, text: &str, detail: LinkDetail) -> Link {
    let zero = [
        InetSetting::RpFilter,
        InetSetting::ArpFilter,
        InetSetting::ArpIgnore,
        InetSetting::PromoteSecondaries,
        InetSetting::AcceptLocal,
    ];
    let mut inet: BTreeMap<_, _> = zero.into_iter().map(|setting| (setting, 0)).collect();
    inet.extend(detail.inet.clone());
    Link {
        index: index(number),
        name: name(text),
        up: true,
        arp: true,
        loopback: false,
        hardware: None,
        router: false,
        vrf_table: None,
        detail: LinkDetail {
            enabled: true,
            inet,
            ..detail
        },
    }
}

/// `eth0` is link 2.
fn kernel() -> Kernel {
    Kernel::new(vec![link(2, "eth0", LinkDetail::default())], vec![])
}

/// A macvlan of virtual router 51 on `eth0`.
fn macvlan(number: u64, text: &str, alias: Option<&str>) -> Link {
    Link {
        hardware: Some([0, 0, 0x5e, 0, 1, 51]),
        ..link(
            number,
            text,
            LinkDetail {
                below: Some(index(2)),
                alias: alias.map(str::to_owned),
                kind: LinkKind::Macvlan { private: true },
                ..LinkDetail::default()
            },
        )
    }
}

/// An instance of virtual router 51 on a VMAC of `eth0`.
fn on_vmac(id: u32, address: &str) -> Instance {
    let mut one = instance(51, "eth0", &[address]);
    one.id = InstanceId(id);
    one.name = format!("VI_{id}");
    one.family = one.addresses[0].address.family();
    one.address_link_prefix = "vrrp".to_owned();
    one.own_link = Some(OwnLink {
        kind: OwnLinkKind::Vmac {
            hardware: virtual_hardware(one.vrid, one.family),
        },
        name: LinkName::Generated {
            prefix: "vrrp".to_owned(),
        },
        group: None,
        adverts_on_base: false,
        announces_base: false,
    });
    one
}

fn wanting(instances: &[Instance], kernel: &Kernel) -> OwnLinks {
    let mut links = OwnLinks::default();
    links.want("", instances.iter(), kernel);
    links
}

fn resolve(links: &OwnLinks, instance: &Instance) -> Instance {
    Instance::clone(&links.resolve(&Arc::new(instance.clone())))
}

/// Carries steps out as the kernel would, until there are none, and gives all of them.
fn run(links: &mut OwnLinks, kernel: &mut Kernel) -> Vec<LinkChange> {
    let mut all = Vec::new();
    for _ in 0..6 {
        let steps = links.steps(kernel);
        if steps.is_empty() {
            return all;
        }
        for step in steps {
            carry_out(links, kernel, &step);
            all.push(step);
        }
    }
    panic!("no end: {all:?}");
}

fn carry_out(links: &mut OwnLinks, kernel: &mut Kernel, step: &LinkChange) {
    match step {
        LinkChange::Make(new) => {
            let number = kernel.links().map(|link| link.index.get()).max().unwrap() + 1;
            let detail = LinkDetail {
                below: Some(new.below),
                group: new.group,
                kind: match new.kind {
                    NewLinkKind::Macvlan { .. } => LinkKind::Macvlan { private: true },
                    NewLinkKind::Ipvlan { mode } => LinkKind::Ipvlan { mode: Some(mode) },
                },
                ..LinkDetail::default()
            };
            let mut made = link(number.into(), new.name.as_str(), detail);
            made.detail.enabled = false;
            if let NewLinkKind::Macvlan { hardware } = new.kind {
                made.hardware = Some(hardware);
            }
            kernel.apply(Event::Link(made.clone()));
            links.made(&made, kernel);
        }
        LinkChange::Set(index, settings) => {
            let mut link = kernel.link(*index).unwrap().clone();
            let detail = &mut link.detail;
            detail.group = settings.group.unwrap_or(detail.group);
            detail.alias = settings.alias.clone().or_else(|| detail.alias.take());
            detail.no_link_local |= settings.no_link_local;
            detail.inet.extend(settings.inet.clone());
            kernel.apply(Event::Link(link));
        }
        LinkChange::Enable(index) => {
            let mut link = kernel.link(*index).unwrap().clone();
            link.detail.enabled = true;
            kernel.apply(Event::Link(link));
        }
        LinkChange::Remove(index) => kernel.apply(Event::LinkGone(*index)),
    }
}

fn inet(pairs: &[(InetSetting, i32)]) -> LinkSettings {
    LinkSettings {
        inet: pairs.iter().copied().collect(),
        ..LinkSettings::default()
    }
}

#[test]
fn a_vmac_is_made_marked_and_set_up_before_the_interface_below_changes() {
    let mut kernel = kernel();
    let mut links = wanting(&[on_vmac(1, "10.0.0.1/24")], &kernel);
    let settings = LinkSettings {
        alias: Some("keepalived-rs arp_ignore arp_filter".to_owned()),
        no_link_local: true,
        inet: [
            (InetSetting::ArpIgnore, 1),
            (InetSetting::AcceptLocal, 1),
            (InetSetting::PromoteSecondaries, 1),
        ]
        .into(),
        ..LinkSettings::default()
    };
    assert_eq!(
        run(&mut links, &mut kernel),
        [
            LinkChange::Make(NewLink {
                name: name("vrrp.51"),
                below: index(2),
                kind: NewLinkKind::Macvlan {
                    hardware: [0, 0, 0x5e, 0, 1, 51]
                },
                group: 0,
                master: None,
            }),
            LinkChange::Set(index(3), settings),
            LinkChange::Enable(index(3)),
            LinkChange::Set(
                index(2),
                inet(&[(InetSetting::ArpIgnore, 1), (InetSetting::ArpFilter, 1)])
            ),
        ]
    );
}

#[test]
fn a_successor_takes_the_link_over_and_changes_nothing() {
    let mut kernel = kernel();
    let instances = [on_vmac(1, "10.0.0.1/24")];
    run(&mut wanting(&instances, &kernel), &mut kernel);
    let mut successor = wanting(&instances, &kernel);
    assert_eq!(successor.steps(&kernel), []);
    assert_eq!(successor.removals(&kernel), []);
    assert_eq!(
        resolve(&successor, &instances[0]).interface,
        name("vrrp.51")
    );
}

#[test]
fn the_last_vmac_that_goes_puts_back_what_was_changed_below() {
    let mut kernel = kernel();
    let instances = [on_vmac(1, "10.0.0.1/24"), on_vmac(2, "2001:db8::1/64")];
    run(&mut wanting(&instances, &kernel), &mut kernel);
    // A successor that nobody told anything.
    let mut links = wanting(&instances[..1], &kernel);
    assert_eq!(links.steps(&kernel), []);
    let [LinkChange::Remove(gone)] = links.removals(&kernel)[..] else {
        panic!("{:?}", links.removals(&kernel));
    };
    assert_eq!(kernel.name(gone), "vrrp6.51");
    kernel.apply(Event::LinkGone(gone));
    links.want_none();
    assert_eq!(
        links.removals(&kernel),
        [
            LinkChange::Remove(index(3)),
            LinkChange::Set(
                index(2),
                inet(&[(InetSetting::ArpIgnore, 0), (InetSetting::ArpFilter, 0)])
            ),
        ]
    );
}

#[test]
fn what_the_interface_below_had_before_is_left_to_it() {
    let mut kernel = Kernel::new(
        vec![link(
            2,
            "eth0",
            LinkDetail {
                inet: [(InetSetting::ArpIgnore, 1), (InetSetting::ArpFilter, 0)].into(),
                ..LinkDetail::default()
            },
        )],
        vec![],
    );
    let mut links = wanting(&[on_vmac(1, "10.0.0.1/24")], &kernel);
    run(&mut links, &mut kernel);
    let alias = kernel.named(&name("vrrp.51")).unwrap().detail.alias.clone();
    assert_eq!(alias.as_deref(), Some("keepalived-rs arp_filter"));
    links.want_none();
    assert_eq!(
        links.removals(&kernel)[1..],
        [LinkChange::Set(
            index(2),
            inet(&[(InetSetting::ArpFilter, 0)])
        )]
    );
}

#[test]
fn a_link_of_others_keeps_its_name_and_ours_gets_the_next_one() {
    let mut kernel = kernel();
    kernel.apply(Event::Link(link(7, "vrrp.51", LinkDetail::default())));
    let instances = [on_vmac(1, "10.0.0.1/24"), on_vmac(2, "2001:db8::1/64")];
    let mut links = wanting(&instances, &kernel);
    assert_eq!(resolve(&links, &instances[0]).interface, name("vrrp1.51"));
    assert_eq!(resolve(&links, &instances[1]).interface, name("vrrp6.51"));
    let complaints = links.complaints(&kernel);
    assert_eq!(
        complaints,
        [
            "the VMAC on eth0 is called vrrp1.51, because others have a link `vrrp.51`",
            "the VMAC on eth0 is called vrrp6.51, because others have a link `vrrp.51`",
        ]
    );
    assert_eq!(links.removals(&kernel), []);
}

#[test]
fn another_name_for_a_vmac_loses_nothing_of_what_is_to_be_put_back() {
    let mut kernel = kernel();
    let mut one = on_vmac(1, "10.0.0.1/24");
    let mut links = wanting(&[one.clone()], &kernel);
    run(&mut links, &mut kernel);
    one.own_link.as_mut().unwrap().name = LinkName::Given(name("vip0"));
    links.want("", [one].iter(), &kernel);
    let steps = run(&mut links, &mut kernel);
    assert_eq!(steps[0], LinkChange::Remove(index(3)));
    let alias = kernel.named(&name("vip0")).unwrap().detail.alias.clone();
    assert_eq!(
        alias.as_deref(),
        Some("keepalived-rs arp_ignore arp_filter")
    );
}

#[test]
fn a_given_name_that_others_have_leaves_the_instance_without_a_link() {
    let mut kernel = kernel();
    kernel.apply(Event::Link(link(7, "vip0", LinkDetail::default())));
    let mut one = on_vmac(1, "10.0.0.1/24");
    one.own_link.as_mut().unwrap().name = LinkName::Given(name("vip0"));
    let links = wanting(&[one.clone()], &kernel);
    assert_eq!(links.steps(&kernel), []);
    assert_eq!(resolve(&links, &one).interface, IfName::of_no_link());
    assert_eq!(
        links.complaints(&kernel),
        [
            "no VMAC can be made on eth0: others have a link `vip0`; rename or remove it, or give another \
          name in the configuration"
        ]
    );
}

#[test]
fn the_same_macvlan_of_others_is_used_and_left() {
    let mut kernel = kernel();
    kernel.apply(Event::Link(macvlan(7, "vrrp.51", Some("by hand"))));
    let instances = [on_vmac(1, "10.0.0.1/24")];
    let mut links = wanting(&instances, &kernel);
    let steps = run(&mut links, &mut kernel);
    assert!(
        steps
            .iter()
            .all(|step| matches!(step, LinkChange::Set(_, LinkSettings { alias: None, .. }))),
        "{steps:?}"
    );
    links.want_none();
    assert_eq!(links.removals(&kernel), []);
}

#[test]
fn a_link_of_another_daemon_is_nobody_of_ours() {
    for (alias, label, ours) in [
        ("keepalived-rs", "", true),
        ("keepalived-rs arp_ignore", "", true),
        ("keepalived-rs:a", "a", true),
        ("keepalived-rs:a", "", false),
        ("keepalived-rs", "a", false),
        ("keepalived-rs:", "", false),
        ("keepalived-rsa", "a", false),
        ("eth0", "", false),
    ] {
        assert_eq!(
            Mark::read(alias, label).is_some(),
            ours,
            "{alias:?} {label:?}"
        );
    }
    let mark = Mark {
        arp_filter: true,
        announces_base: true,
        ..Mark::default()
    };
    assert_eq!(Mark::read(&mark.write("a"), "a"), Some(mark));
}

#[test]
fn a_link_left_over_with_another_name_makes_way() {
    let mut kernel = kernel();
    kernel.apply(Event::Link(macvlan(7, "old0", Some("keepalived-rs"))));
    let mut links = wanting(&[on_vmac(1, "10.0.0.1/24")], &kernel);
    let steps = run(&mut links, &mut kernel);
    assert_eq!(steps[0], LinkChange::Remove(index(7)));
    assert!(matches!(&steps[1], LinkChange::Make(new) if new.name == name("vrrp.51")));
}

#[test]
fn a_vmac_that_somebody_removed_is_made_again_under_its_name() {
    let mut kernel = kernel();
    let mut links = wanting(&[on_vmac(1, "10.0.0.1/24")], &kernel);
    run(&mut links, &mut kernel);
    kernel.apply(Event::LinkGone(index(3)));
    assert!(!links.choose(&kernel));
    assert!(matches!(&links.steps(&kernel)[..], [LinkChange::Make(_)]));
    kernel.apply(Event::LinkGone(index(2)));
    assert_eq!(links.steps(&kernel), [], "nothing to make it on");
}

#[test]
fn strict_reverse_path_checks_for_all_links_are_weakened_to_loose_ones() {
    let mut kernel = kernel();
    let mut links = wanting(&[on_vmac(1, "10.0.0.1/24")], &kernel);
    links.set_strict_for_all(true);
    run(&mut links, &mut kernel);
    let vmac = kernel.named(&name("vrrp.51")).unwrap();
    assert_eq!(vmac.detail.inet.get(&InetSetting::RpFilter), Some(&2));
}

#[test]
fn instances_of_one_mac_share_a_link() {
    let kernel = kernel();
    let mut other = on_vmac(2, "10.0.0.2/24");
    other.version = kr_model::vrrp::Version::V3;
    let instances = [on_vmac(1, "10.0.0.1/24"), other];
    let links = wanting(&instances, &kernel);
    assert_eq!(links.steps(&kernel).len(), 1);
    assert_eq!(
        resolve(&links, &instances[0]).interface,
        resolve(&links, &instances[1]).interface
    );
}

#[test]
fn adverts_on_the_base_leave_the_instance_there_and_its_addresses_not() {
    let kernel = kernel();
    let mut one = on_vmac(1, "10.0.0.1/24");
    one.own_link.as_mut().unwrap().adverts_on_base = true;
    let resolved = resolve(&wanting(&[one.clone()], &kernel), &one);
    assert_eq!(resolved.interface, name("eth0"));
    assert_eq!(resolved.addresses[0].device, Some(name("vrrp.51")));
    assert!(resolved.addresses[0].own_link);
    assert_eq!(resolved.tracked_interfaces, []);
}

#[test]
fn the_interface_below_is_tracked_with_the_vmac() {
    let kernel = kernel();
    let mut one = on_vmac(1, "10.0.0.1/24");
    let links = wanting(&[one.clone()], &kernel);
    assert_eq!(
        resolve(&links, &one).tracked_interfaces[0].interface,
        name("eth0")
    );
    one.track_primary = false;
    assert_eq!(resolve(&links, &one).tracked_interfaces, []);
}

#[test]
fn addresses_of_other_interfaces_and_of_the_other_family_have_vmacs_of_their_own() {
    let mut kernel = kernel();
    kernel.apply(Event::Link(link(3, "eth1", LinkDetail::default())));
    let mut one = on_vmac(1, "10.0.0.1/24");
    let mut elsewhere = virtual_address("10.1.0.1/24");
    (elsewhere.device, elsewhere.own_link) = (Some(name("eth1")), true);
    let mut inet6 = virtual_address("2001:db8::1/64");
    inet6.own_link = true;
    one.excluded = vec![elsewhere, inet6];
    let links = wanting(&[one.clone()], &kernel);
    let resolved = resolve(&links, &one);
    assert_eq!(resolved.excluded[0].device, Some(name("vrrp1.51")));
    assert_eq!(resolved.excluded[1].device, Some(name("vrrp6.51")));
    let made: Vec<_> = links
        .steps(&kernel)
        .into_iter()
        .map(|step| {
            let LinkChange::Make(new) = step else {
                panic!("{step:?}");
            };
            (new.name.to_string(), new.below, new.kind)
        })
        .collect();
    let macvlan = |family| NewLinkKind::Macvlan {
        hardware: [0, 0, 0x5e, 0, family, 51],
    };
    assert_eq!(
        made,
        [
            ("vrrp.51".to_owned(), index(2), macvlan(1)),
            ("vrrp6.51".to_owned(), index(2), macvlan(2)),
            ("vrrp1.51".to_owned(), index(3), macvlan(1)),
        ]
    );
}

#[test]
fn a_vmac_of_ipv6_has_the_link_local_address_below_and_one_of_ipv4_no_ipv6() {
    let mut kernel = kernel();
    kernel.apply(Event::Address(Address {
        place: Place::of(index(2), &virtual_address("fe80::7/64")),
        scope: 253,
        protocol: None,
        flags: 0,
    }));
    let mut mixed = on_vmac(3, "10.0.0.3/24");
    mixed.vrid = kr_model::units::Vrid::try_from(52).unwrap();
    mixed.own_link.as_mut().unwrap().kind = OwnLinkKind::Vmac {
        hardware: virtual_hardware(mixed.vrid, mixed.family),
    };
    mixed.excluded.push(virtual_address("2001:db8::3/64"));
    let instances = [
        on_vmac(1, "10.0.0.1/24"),
        on_vmac(2, "2001:db8::1/64"),
        mixed,
    ];
    let mut links = wanting(&instances, &kernel);
    run(&mut links, &mut kernel);
    let copies: Vec<_> = links
        .addresses(&kernel)
        .into_iter()
        .map(|line| (line.device.unwrap(), line.address.to_string()))
        .collect();
    assert_eq!(copies, [(name("vrrp6.51"), "fe80::7/64".to_owned())]);
    let uses: Vec<_> = links
        .reports(&kernel)
        .map(|(_, report)| (report.instance, report.candidate, report.inet6))
        .collect();
    assert_eq!(
        uses,
        [
            (InstanceId(1), 0, Inet6Use::Off),
            (InstanceId(3), 0, Inet6Use::AddressesOnly),
            (InstanceId(2), 1, Inet6Use::AddressesOnly),
        ]
    );
}

#[test]
fn a_vmac_goes_along_into_the_vrf_and_the_group_of_its_interface() {
    let mut kernel = kernel();
    let red = Link {
        vrf_table: Some(10),
        ..link(9, "red", LinkDetail::default())
    };
    kernel.apply(Event::Link(red));
    let below = LinkDetail {
        master: Some(index(9)),
        group: 4,
        ..LinkDetail::default()
    };
    kernel.apply(Event::Link(link(2, "eth0", below)));
    kernel.apply(Event::Link(macvlan(3, "vrrp.51", Some("keepalived-rs"))));
    let links = wanting(&[on_vmac(1, "10.0.0.1/24")], &kernel);
    let LinkChange::Set(changed, settings) = &links.steps(&kernel)[0] else {
        panic!("nothing set");
    };
    assert_eq!(*changed, index(3));
    assert_eq!(settings.master, Some(Some(index(9))));
    assert_eq!(settings.group, Some(4));
}

#[test]
fn others_hear_of_the_interface_below_when_that_is_asked_for() {
    let mut kernel = kernel();
    let mut one = on_vmac(1, "10.0.0.1/24");
    one.own_link.as_mut().unwrap().announces_base = true;
    let mut links = wanting(&[one], &kernel);
    let announcement = LinkChange::Set(
        index(2),
        LinkSettings {
            group: Some(0),
            ..LinkSettings::default()
        },
    );
    kernel.apply(Event::Link(macvlan(3, "vrrp.51", None)));
    let made = kernel.link(index(3)).unwrap().clone();
    assert_eq!(links.made(&made, &kernel), Some(announcement.clone()));
    run(&mut links, &mut kernel);
    links.want_none();
    assert!(links.removals(&kernel).contains(&announcement));
}

#[test]
fn an_ipvlan_is_one_for_each_instance_and_has_its_address() {
    let mut kernel = kernel();
    let mut one = on_vmac(1, "10.0.0.1/24");
    one.own_link.as_mut().unwrap().kind = OwnLinkKind::Ipvlan {
        mode: IpvlanMode::Private,
        address: Some(virtual_address("10.0.0.9/24").address),
    };
    let mut links = wanting(&[one], &kernel);
    let steps = run(&mut links, &mut kernel);
    let kind = NewLinkKind::Ipvlan {
        mode: IpvlanMode::Private,
    };
    assert!(matches!(&steps[0], LinkChange::Make(new) if new.kind == kind));
    assert!(
        steps
            .iter()
            .all(|step| !matches!(step, LinkChange::Set(link, _) if *link == index(2))),
        "the interface below is left alone"
    );
    let own = &links.addresses(&kernel)[0];
    assert_eq!(own.address.to_string(), "10.0.0.9/24");
    assert_eq!(own.device, Some(name("vrrp.51")));
}
