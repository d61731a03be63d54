use super::*;

fn index(number: u64) -> IfIndex {
    IfIndex::try_from(number).unwrap()
}

#[test]
#[cfg(target_endian = "little")]
#[rustfmt::skip]
fn a_vmac_is_made_with_these_bytes() {
    let new = NewLink {
        name: IfName::try_from("vrrp.51".to_owned()).unwrap(),
        below: index(3),
        kind: NewLinkKind::Macvlan { hardware: [0, 0, 0x5e, 0, 1, 51] },
        group: 7,
        master: Some(index(9)),
    };
    assert_eq!(
        LinkChange::Make(new).request(5).unwrap(),
        [
            108, 0, 0, 0, 16, 0, 5, 6, 5, 0, 0, 0, 0, 0, 0, 0, // RTM_NEWLINK, create, excl, ack
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    // struct ifinfomsg
            12, 0, 3, 0, b'v', b'r', b'r', b'p', b'.', b'5', b'1', 0, // IFLA_IFNAME
            8, 0, 5, 0, 3, 0, 0, 0,                            // IFLA_LINK
            10, 0, 1, 0, 0, 0, 0x5e, 0, 1, 51, 0, 0,           // IFLA_ADDRESS
            8, 0, 27, 0, 7, 0, 0, 0,                           // IFLA_GROUP
            8, 0, 10, 0, 9, 0, 0, 0,                           // IFLA_MASTER
            28, 0, 18, 0x80,                                   // IFLA_LINKINFO
            11, 0, 1, 0, b'm', b'a', b'c', b'v', b'l', b'a', b'n', 0, // IFLA_INFO_KIND
            12, 0, 2, 0x80,                                    // IFLA_INFO_DATA
            8, 0, 1, 0, 1, 0, 0, 0,                            // IFLA_MACVLAN_MODE: private
        ][..]
    );
}

#[test]
#[cfg(target_endian = "little")]
#[rustfmt::skip]
fn settings_have_these_bytes() {
    let settings = LinkSettings {
        alias: Some("ours".to_owned()),
        no_link_local: true,
        inet: [(InetSetting::ArpIgnore, 1), (InetSetting::RpFilter, 0)].into(),
        ..LinkSettings::default()
    };
    assert_eq!(
        LinkChange::Set(index(4), settings).request(6).unwrap()[16..],
        [
            0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    // struct ifinfomsg
            8, 0, 20, 0, b'o', b'u', b'r', b's',               // IFLA_IFALIAS
            40, 0, 26, 0x80,                                   // IFLA_AF_SPEC
            24, 0, 2, 0x80,                                    // AF_INET
            20, 0, 1, 0x80,                                    // IFLA_INET_CONF
            8, 0, 8, 0, 0, 0, 0, 0,                            // rp_filter
            8, 0, 19, 0, 1, 0, 0, 0,                           // arp_ignore
            12, 0, 10, 0x80,                                   // AF_INET6
            5, 0, 8, 0, 1, 0, 0, 0,                            // IFLA_INET6_ADDR_GEN_MODE: none
        ][..]
    );
}

#[test]
fn what_is_made_is_read_back() {
    for (kind, expected) in [
        (
            NewLinkKind::Macvlan { hardware: [2; 6] },
            LinkKind::Macvlan { private: true },
        ),
        (
            NewLinkKind::Ipvlan {
                mode: IpvlanMode::Vepa,
            },
            LinkKind::Ipvlan {
                mode: Some(IpvlanMode::Vepa),
            },
        ),
    ] {
        let new = NewLink {
            name: IfName::try_from("own".to_owned()).unwrap(),
            below: index(3),
            kind,
            group: 2,
            master: None,
        };
        let bytes = new.attributes().unwrap().into_bytes();
        let mut detail = LinkDetail::default();
        for (kind, value) in attributes(&bytes) {
            read(&mut detail, kind, value);
        }
        assert_eq!(
            (detail.kind, detail.below, detail.group),
            (expected, Some(index(3)), 2)
        );
    }
}

#[test]
fn settings_are_read_by_their_places() {
    let mut inet = vec![0; 33 * 4];
    inet[(19 - 1) * 4] = 2;
    let mut inet6 = vec![0; 40 * 4];
    inet6[26 * 4] = 1;
    let nest = |kind, value: &[u8]| {
        let mut all = Attributes::default();
        all.put(kind, value).unwrap();
        all.into_bytes()
    };
    let families = [
        nest(INET, &nest(INET_CONF, &inet)),
        nest(
            INET6,
            &[nest(INET6_CONF, &inet6), nest(INET6_ADDR_GEN_MODE, &[1])].concat(),
        ),
    ]
    .concat();
    let mut detail = LinkDetail::default();
    read(&mut detail, IFLA_AF_SPEC, &families);
    assert_eq!(detail.inet.get(&InetSetting::ArpIgnore), Some(&2));
    assert_eq!(detail.inet.get(&InetSetting::RpFilter), Some(&0));
    assert!(detail.inet6_off && detail.no_link_local && !detail.accepts_routers);
}
