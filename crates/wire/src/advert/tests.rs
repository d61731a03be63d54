use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn ends_v4() -> Ends {
    Ends {
        source: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        destination: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
    }
}

fn ends_v6() -> Ends {
    Ends {
        source: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
        destination: IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
    }
}

fn vrid(id: u64) -> Vrid {
    Vrid::try_from(id).unwrap()
}

fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

/// As keepalived 2.2.7 sends it: two addresses, `auth_type PASS`, `auth_pass 1111`.
const V2_PASS: [u8; 24] = [
    0x21, 0x33, 0x64, 0x02, 0x01, 0x01, 0x92, 0x9c, 0xc0, 0x00, 0x02, 0x64, 0xc0, 0x00, 0x02, 0x65,
    0x31, 0x31, 0x31, 0x31, 0x00, 0x00, 0x00, 0x00,
];

fn v2_pass() -> Advert {
    Advert {
        kind: ADVERTISEMENT,
        vrid: vrid(51),
        priority: 100,
        addresses: vec![v4(100), v4(101)],
        body: Body::V2 {
            auth_type: AUTH_PASSWORD,
            interval: 1,
            auth_data: *b"1111\0\0\0\0",
        },
    }
}

/// As keepalived 2.2.7 sends it: version 3, priority 255, `advert_int 0.5`.
const V3: [u8; 12] = [
    0x31, 0x34, 0xff, 0x01, 0x00, 0x32, 0x6a, 0xa0, 0xc0, 0x00, 0x02, 0x66,
];

fn v3() -> Advert {
    Advert {
        kind: ADVERTISEMENT,
        vrid: vrid(52),
        priority: 255,
        addresses: vec![v4(102)],
        body: Body::V3 { interval: 50 },
    }
}

#[test]
fn adverts_of_both_versions_have_these_bytes_both_ways() {
    for (bytes, advert) in [(V2_PASS.as_slice(), v2_pass()), (&V3, v3())] {
        assert_eq!(emit(&advert, ends_v4()).unwrap(), bytes);
        let parsed = Parsed {
            advert,
            checksum_ok: true,
        };
        assert_eq!(parse(bytes, ends_v4()), Ok(parsed));
    }
}

/// As keepalived 2.2.7 sends them over IPv6: version 3 with `advert_int 0.5` and two addresses, and its
/// private version 2.
#[test]
fn adverts_over_ipv6_have_these_bytes_both_ways() {
    let v6 = |text: &str| IpAddr::V6(text.parse().unwrap());
    let ends = Ends {
        source: v6("fe80::6c25:89ff:fe28:d05d"),
        destination: v6("ff02::12"),
    };
    let third = Advert {
        vrid: vrid(2),
        priority: 200,
        addresses: vec![v6("2001:db8:7::100"), v6("fe80::100")],
        body: Body::V3 { interval: 50 },
        ..v3()
    };
    let second = Advert {
        vrid: vrid(9),
        addresses: vec![v6("2001:db8:7::109")],
        body: Body::V2 {
            auth_type: AUTH_NONE,
            interval: 1,
            auth_data: [0; 8],
        },
        ..third.clone()
    };
    let third_bytes = [
        0x31, 0x02, 0xc8, 0x02, 0x00, 0x32, 0x15, 0xae, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x07, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x80, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00,
    ];
    let second_bytes = [
        0x21, 0x09, 0xc8, 0x01, 0x00, 0x01, 0x25, 0x61, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x07, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x09,
    ];
    for (bytes, advert) in [(third_bytes.as_slice(), third), (&second_bytes, second)] {
        assert_eq!(emit(&advert, ends).unwrap(), bytes);
        let parsed = Parsed {
            advert,
            checksum_ok: true,
        };
        assert_eq!(parse(bytes, ends), Ok(parsed));
    }
}

#[test]
fn a_version_3_checksum_of_the_message_alone_is_right_only_where_it_is_asked_for() {
    let bytes = emit_covered(&v3(), ends_v4(), Coverage::MessageOnly).unwrap();
    assert_eq!(Checksum::new().cover(&bytes).finish(), 0);
    let ok = |coverage| {
        let parsed = parse_covered(&bytes, &[], ends_v4(), coverage).unwrap();
        parsed.checksum_ok
    };
    assert!(ok(Coverage::MessageOnly));
    assert!(!ok(Coverage::Standard));
}

#[test]
fn over_ipv6_version_2_has_no_authentication_bytes() {
    let advert = Advert {
        addresses: vec![IpAddr::V6(Ipv6Addr::LOCALHOST)],
        body: Body::V2 {
            auth_type: AUTH_NONE,
            interval: 1,
            auth_data: [0; 8],
        },
        ..v3()
    };
    let bytes = emit(&advert, ends_v6()).unwrap();
    assert_eq!(bytes.len(), 8 + 16);
    assert_eq!(
        parse(&bytes, ends_v6()).unwrap(),
        Parsed {
            advert,
            checksum_ok: true
        }
    );
}

#[test]
fn a_changed_byte_makes_the_checksum_wrong() {
    for at in 2..V2_PASS.len() {
        let mut bytes = V2_PASS;
        bytes[at] ^= 0x10;
        if let Ok(parsed) = parse(&bytes, ends_v4()) {
            assert!(!parsed.checksum_ok, "byte {at}");
        }
    }
}

#[test]
fn a_version_3_checksum_covers_the_addresses_of_the_packet() {
    let mut ends = ends_v4();
    ends.source = v4(9);
    assert!(!parse(&V3, ends).unwrap().checksum_ok);
}

#[test]
fn ethernet_padding_of_a_short_packet_is_ignored_and_other_lengths_are_refused() {
    let padded = [V3.as_slice(), &[0xee; 14]].concat();
    assert_eq!(padded.len() + 20, 46);
    assert!(parse(&padded, ends_v4()).unwrap().checksum_ok);
    for extra in [1_usize, 4, 13, 15, 18] {
        let bytes = [V3.as_slice(), &vec![0; extra]].concat();
        assert_eq!(
            parse(&bytes, ends_v4()),
            Err(Malformed::Length {
                expected: 12,
                received: 12 + extra
            })
        );
    }
}

#[test]
fn bytes_that_are_no_message_are_refused_with_the_reason() {
    let with = |at: usize, value: u8| {
        let mut bytes = V2_PASS;
        bytes[at] = value;
        parse(&bytes, ends_v4())
    };
    assert_eq!(parse(&V2_PASS[..7], ends_v4()), Err(Malformed::Truncated));
    assert_eq!(
        parse(&V2_PASS[..23], ends_v4()),
        Err(Malformed::Length {
            expected: 24,
            received: 23
        })
    );
    assert_eq!(with(0, 0x41), Err(Malformed::Version(4)));
    assert_eq!(with(1, 0), Err(Malformed::ZeroVrid));
    assert_eq!(
        with(3, 255),
        Err(Malformed::Length {
            expected: 8 + 4 * 255 + 8,
            received: 24
        })
    );
}

#[test]
fn more_addresses_than_the_count_field_can_say_are_refused() {
    let mut advert = v3();
    advert.addresses = vec![v4(1); 255];
    assert!(emit(&advert, ends_v4()).is_ok());
    advert.addresses.push(v4(2));
    assert_eq!(emit(&advert, ends_v4()), Err(TooManyAddresses));
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (any::<u8>(), any::<u8>(), any::<[u8; 8]>()).prop_map(
            |(auth_type, interval, auth_data)| {
                Body::V2 {
                    auth_type,
                    interval,
                    auth_data,
                }
            }
        ),
        (0_u16..=4095).prop_map(|interval| Body::V3 { interval }),
    ]
}

fn advert() -> impl Strategy<Value = Advert> {
    let addresses =
        proptest::collection::vec(any::<u32>().prop_map(|raw| IpAddr::V4(raw.into())), 0..=255);
    (0_u8..16, 1_u64..=255, any::<u8>(), addresses, body()).prop_map(
        |(kind, id, priority, addresses, body)| Advert {
            kind,
            vrid: vrid(id),
            priority,
            addresses,
            body,
        },
    )
}

proptest! {
    #[test]
    fn emitted_bytes_parse_to_the_same_advert(advert in advert()) {
        let bytes = emit(&advert, ends_v4()).unwrap();
        prop_assert_eq!(parse(&bytes, ends_v4()), Ok(Parsed { advert, checksum_ok: true }));
    }

    /// What can be read can be written again, and the written bytes mean the same.
    #[test]
    fn what_parses_is_the_same_after_writing_it_again(
        version in 2_u8..=3,
        count in 0_u8..4,
        tail in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let bytes = [[version << 4 | 1, 7, 100, count].as_slice(), &tail].concat();
        if let Ok(first) = parse(&bytes, ends_v4()) {
            let again = emit(&first.advert, ends_v4()).unwrap();
            let second = parse(&again, ends_v4()).unwrap();
            prop_assert_eq!(second.advert, first.advert);
            prop_assert!(second.checksum_ok);
        }
    }

    #[test]
    fn any_bytes_are_taken_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        six: bool,
    ) {
        let ends = if six { ends_v6() } else { ends_v4() };
        let _ = parse(&bytes, ends);
        prop_assert_eq!(peek_vrid(&bytes), bytes.get(1).copied());
    }
}
