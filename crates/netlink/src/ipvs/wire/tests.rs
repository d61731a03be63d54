//! Bytes computed by hand from the kernel's header, and round trips.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn web() -> ServiceKey {
    ServiceKey::Address {
        address: at("192.0.2.10:80"),
        protocol: Protocol::Tcp,
    }
}

fn written(operation: &Operation) -> Vec<u8> {
    let mut writer = Writer::default();
    write_operation(&mut writer, operation);
    writer.bytes().to_vec()
}

/// The expected bytes are those of a little-endian host.
#[cfg(target_endian = "little")]
#[test]
fn operations_have_the_kernels_layout() {
    let persistent = Service {
        scheduler: Scheduler::SourceHash,
        flags: ServiceFlags::SCHED_2,
        persistence: Some(Persistence {
            timeout_seconds: 300,
            granularity: 24,
            engine: Some(PersistenceEngine::Sip),
        }),
    };
    let direct = Destination {
        forwarding: Forwarding::Direct,
        weight: Weight::try_from(256).unwrap(),
        upper_threshold: 9,
        lower_threshold: 5,
    };
    let tunnel = Destination {
        forwarding: Forwarding::Tunnel(Tunnel::Gue {
            port: NonZeroU16::new(6080).unwrap(),
            checksum: GueChecksum::Remote,
        }),
        weight: Weight::MIN,
        ..direct
    };
    let mark = ServiceKey::Fwmark {
        family: Family::Inet6,
        mark: NonZeroU32::new(0x0102).unwrap(),
    };
    #[rustfmt::skip]
    let table: &[(Operation, &[u8])] = &[
        (Operation::Flush, &[]),
        (Operation::SetTimeouts(ConnectionTimeouts { tcp: 900, tcp_fin: 120, udp: 300 }), &[
            8, 0, 4, 0,  0x84, 0x03, 0, 0,
            8, 0, 5, 0,  0x78, 0, 0, 0,
            8, 0, 6, 0,  0x2c, 0x01, 0, 0,
        ]),
        (Operation::RemoveService { key: web() }, &[
            48, 0, 1, 0x80,
                6, 0, 1, 0,  2, 0, 0, 0,
                6, 0, 2, 0,  6, 0, 0, 0,
                20, 0, 3, 0,  192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                6, 0, 4, 0,  0, 80, 0, 0,
        ]),
        (Operation::AddService { key: web(), service: persistent }, &[
            92, 0, 1, 0x80,
                6, 0, 1, 0,  2, 0, 0, 0,
                6, 0, 2, 0,  6, 0, 0, 0,
                20, 0, 3, 0,  192, 0, 2, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                6, 0, 4, 0,  0, 80, 0, 0,
                7, 0, 6, 0,  b's', b'h', 0, 0,
                12, 0, 7, 0,  0x11, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
                8, 0, 8, 0,  0x2c, 0x01, 0, 0,
                8, 0, 9, 0,  255, 255, 255, 0,
                8, 0, 11, 0,  b's', b'i', b'p', 0,
        ]),
        (Operation::SetService {
            key: mark,
            service: Service {
                scheduler: Scheduler::WeightedLeastConnection,
                flags: ServiceFlags::empty(),
                persistence: None,
            },
        }, &[
            56, 0, 1, 0x80,
                6, 0, 1, 0,  10, 0, 0, 0,
                8, 0, 5, 0,  0x02, 0x01, 0, 0,
                8, 0, 6, 0,  b'w', b'l', b'c', 0,
                12, 0, 7, 0,  0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
                8, 0, 8, 0,  0, 0, 0, 0,
                8, 0, 9, 0,  128, 0, 0, 0,
        ]),
        (Operation::AddDestination { key: mark, address: at("[2001:db8::7]:0"), destination: direct }, &[
            20, 0, 1, 0x80,
                6, 0, 1, 0,  10, 0, 0, 0,
                8, 0, 5, 0,  0x02, 0x01, 0, 0,
            72, 0, 2, 0x80,
                6, 0, 11, 0,  10, 0, 0, 0,
                20, 0, 1, 0,  0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
                6, 0, 2, 0,  0, 0, 0, 0,
                8, 0, 3, 0,  3, 0, 0, 0,
                8, 0, 4, 0,  0, 1, 0, 0,
                8, 0, 5, 0,  9, 0, 0, 0,
                8, 0, 6, 0,  5, 0, 0, 0,
        ]),
        (Operation::SetDestination { key: mark, address: at("10.0.0.7:8080"), destination: tunnel }, &[
            20, 0, 1, 0x80,
                6, 0, 1, 0,  10, 0, 0, 0,
                8, 0, 5, 0,  0x02, 0x01, 0, 0,
            96, 0, 2, 0x80,
                6, 0, 11, 0,  2, 0, 0, 0,
                20, 0, 1, 0,  10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                6, 0, 2, 0,  0x1f, 0x90, 0, 0,
                8, 0, 3, 0,  2, 0, 0, 0,
                8, 0, 4, 0,  0, 0, 0, 0,
                5, 0, 13, 0,  1, 0, 0, 0,
                6, 0, 14, 0,  0x17, 0xc0, 0, 0,
                6, 0, 15, 0,  2, 0, 0, 0,
                8, 0, 5, 0,  9, 0, 0, 0,
                8, 0, 6, 0,  5, 0, 0, 0,
        ]),
        (Operation::RemoveDestination { key: mark, address: at("10.0.0.7:80") }, &[
            20, 0, 1, 0x80,
                6, 0, 1, 0,  10, 0, 0, 0,
                8, 0, 5, 0,  0x02, 0x01, 0, 0,
            40, 0, 2, 0x80,
                6, 0, 11, 0,  2, 0, 0, 0,
                20, 0, 1, 0,  10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                6, 0, 2, 0,  0, 80, 0, 0,
        ]),
    ];
    for (operation, bytes) in table {
        assert_eq!(written(operation), *bytes, "{operation}");
    }
}

#[test]
fn timeouts_are_read_as_they_were_written() {
    let timeouts = ConnectionTimeouts {
        tcp: 900,
        tcp_fin: 120,
        udp: u32::MAX,
    };
    let bytes = written(&Operation::SetTimeouts(timeouts));
    assert_eq!(read_timeouts(&bytes), Some(timeouts));
    assert_eq!(read_timeouts(&bytes[..16]), None);
}

#[test]
fn the_version_is_three_bytes() {
    let mut writer = Writer::default();
    writer.attribute(INFO_VERSION, &0x0001_0201_u32.to_ne_bytes());
    assert_eq!(read_version(writer.bytes()), Some((1, 2, 1)));
}

#[test]
fn what_no_configuration_can_ask_for_has_a_key_but_no_settings() {
    let service = |write: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::default();
        writer.nest(SERVICE, |w| {
            write_key(w, web());
            write(w);
        });
        read_service(writer.bytes())
    };
    // A foreign scheduler, an engine without persistence or of a foreign name, a mask with a hole, and
    // attributes of a wrong length.
    let flags: Vec<u8> = [FLAG_PERSISTENT.to_ne_bytes(), [0; 4]].concat();
    let cases: [&dyn Fn(&mut Writer); 5] = [
        &|w| w.text(SVC_SCHED_NAME, "custom"),
        &|w| {
            w.text(SVC_SCHED_NAME, "rr");
            w.text(SVC_PE_NAME, "sip");
            w.attribute(SVC_FLAGS, &[0; 8]);
        },
        &|w| {
            w.text(SVC_SCHED_NAME, "rr");
            w.text(SVC_PE_NAME, "custom");
            w.attribute(SVC_FLAGS, &flags);
            w.attribute(SVC_TIMEOUT, &300_u32.to_ne_bytes());
            w.attribute(SVC_NETMASK, &[255, 255, 255, 0]);
        },
        &|w| {
            w.text(SVC_SCHED_NAME, "rr");
            w.attribute(SVC_FLAGS, &flags);
            w.attribute(SVC_TIMEOUT, &300_u32.to_ne_bytes());
            w.attribute(SVC_NETMASK, &[255, 0, 255, 0]);
        },
        &|w| {
            w.text(SVC_SCHED_NAME, "rr");
            w.attribute(SVC_FLAGS, &[0; 3]);
        },
    ];
    for write in cases {
        assert_eq!(service(write), Some((web(), None)));
    }
}

fn any_address() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn any_key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop_oneof![
        Just(Protocol::Tcp),
        Just(Protocol::Udp),
        Just(Protocol::Sctp)
    ];
    let family = prop_oneof![Just(Family::Inet), Just(Family::Inet6)];
    prop_oneof![
        (any_address(), protocol)
            .prop_map(|(address, protocol)| ServiceKey::Address { address, protocol }),
        (family, 1_u32..).prop_map(|(family, mark)| ServiceKey::Fwmark {
            family,
            mark: NonZeroU32::new(mark).unwrap()
        }),
    ]
}

fn any_service() -> impl Strategy<Value = Service> {
    let scheduler = (0..Scheduler::ALL.len()).prop_map(|n| Scheduler::ALL[n].0);
    let persistence = proptest::option::of((1_u32..=2_678_400, 0_u8..=32, any::<bool>()));
    (scheduler, any::<u32>(), persistence).prop_map(|(scheduler, flags, persistence)| Service {
        scheduler,
        flags: ServiceFlags::from_bits_truncate(flags),
        persistence: persistence.map(|(timeout_seconds, granularity, sip)| Persistence {
            timeout_seconds,
            granularity,
            engine: sip.then_some(PersistenceEngine::Sip),
        }),
    })
}

fn any_destination() -> impl Strategy<Value = Destination> {
    let checksum = prop_oneof![
        Just(GueChecksum::None),
        Just(GueChecksum::Full),
        Just(GueChecksum::Remote)
    ];
    let gue = (1_u16.., checksum).prop_map(|(port, checksum)| Tunnel::Gue {
        port: NonZeroU16::new(port).unwrap(),
        checksum,
    });
    let gre = any::<bool>().prop_map(|checksum| Tunnel::Gre { checksum });
    let forwarding = prop_oneof![
        Just(Forwarding::Nat),
        Just(Forwarding::Direct),
        prop_oneof![Just(Tunnel::Ipip), gue, gre].prop_map(Forwarding::Tunnel),
    ];
    (
        forwarding,
        0_u64..=2_147_483_647,
        any::<u32>(),
        any::<u32>(),
    )
        .prop_map(
            |(forwarding, weight, upper_threshold, lower_threshold)| Destination {
                forwarding,
                weight: Weight::try_from(weight).unwrap(),
                upper_threshold,
                lower_threshold,
            },
        )
}

proptest! {
    #[test]
    fn a_service_is_read_as_it_was_written(key in any_key(), service in any_service()) {
        let bytes = written(&Operation::AddService { key, service });
        prop_assert_eq!(read_service(&bytes), Some((key, Some(service))));
    }

    #[test]
    fn a_destination_is_read_as_it_was_written(
        key in any_key(), address in any_address(), destination in any_destination(),
    ) {
        let bytes = written(&Operation::SetDestination { key, address, destination });
        prop_assert_eq!(
            read_destination(&bytes, Family::Inet),
            Some((address, Some(destination)))
        );
    }

    #[test]
    fn damaged_bytes_are_read_without_a_panic(
        key in any_key(), service in any_service(), at in any::<prop::sample::Index>(), byte: u8, keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = written(&Operation::AddService { key, service });
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(keep.index(bytes.len()) + 1);
        let _ = (read_service(&bytes), read_destination(&bytes, Family::Inet6), read_version(&bytes));
    }
}
