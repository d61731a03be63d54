use kr_model::vrrp::Secret;

use super::*;
use crate::fixture::{advert, bytes, header, instance, v4};

fn check(
    ours: &Instance,
    own: Option<IpAddr>,
    header: PacketHeader,
    payload: &[u8],
) -> Result<(Advert, Heard), Complaint> {
    super::check(
        ours,
        own,
        header,
        payload,
        &mut Signatures::default(),
        Utc(0),
    )
}

fn password(text: &[u8; 8]) -> Instance {
    Instance {
        authentication: Authentication::Password(Secret::new(*text)),
        ..instance(100)
    }
}

fn with_body(auth_type: u8, interval: u8, auth_data: [u8; 8]) -> Advert {
    Advert {
        body: Body::V2 {
            auth_type,
            interval,
            auth_data,
        },
        ..advert(100)
    }
}

/// What `check` says of an advert, which counter moved, as (field name, value) of the debug output.
fn refused(ours: &Instance, theirs: &Advert, header: PacketHeader) -> (Complaint, String) {
    let complaint = check(ours, Some(v4(10)), header, &bytes(theirs, header)).unwrap_err();
    let mut counters = Counters::default();
    complaint.count(&mut counters);
    let text = format!("{counters:?}");
    let moved = text
        .split([' ', '{', '}', ','])
        .collect::<Vec<_>>()
        .windows(2)
        .find(|pair| pair[1] == "1")
        .map(|pair| pair[0].trim_end_matches(':').to_owned());
    (complaint, moved.unwrap_or_default())
}

#[test]
fn a_right_advert_passes_with_and_without_a_password() {
    let expected = Heard {
        source: v4(9),
        priority: 100,
        interval: AdvertInterval::DEFAULT,
        sequence: None,
        clock_skew: None,
        old_checksum: false,
    };
    let plain = bytes(&advert(100), header(9));
    assert_eq!(
        check(&instance(1), Some(v4(10)), header(9), &plain)
            .unwrap()
            .1,
        expected
    );
    let secret = bytes(&with_body(1, 1, *b"1111\0\0\0\0"), header(9));
    let ours = password(b"1111\0\0\0\0");
    assert_eq!(
        check(&ours, Some(v4(10)), header(9), &secret).unwrap().1,
        expected
    );
}

#[test]
fn each_error_has_its_counter() {
    let plain = instance(100);
    let secret = password(b"1111\0\0\0\0");
    let good = header(9);
    let routed = PacketHeader { ttl: 254, ..good };
    let ah = PacketHeader {
        protocol: 51,
        ..good
    };
    let unicast = PacketHeader {
        destination: v4(1),
        ..good
    };
    let v3 = Advert {
        body: Body::V3 { interval: 100 },
        ..advert(100)
    };
    let kind = Advert {
        kind: 2,
        ..advert(100)
    };
    let rows = [
        (
            &plain,
            advert(100),
            ah,
            Complaint::Protocol(51),
            "auth_type_mismatch",
        ),
        (
            &plain,
            advert(100),
            routed,
            Complaint::Ttl(254),
            "ttl_errors",
        ),
        (&plain, v3, good, Complaint::Version(3), "version_errors"),
        (
            &plain,
            with_body(3, 1, [0; 8]),
            good,
            Complaint::AuthTypeUnknown(3),
            "invalid_auth_type",
        ),
        (
            &plain,
            with_body(1, 1, [0; 8]),
            good,
            Complaint::AuthTypeDiffers(1),
            "auth_type_mismatch",
        ),
        (
            &secret,
            advert(100),
            good,
            Complaint::AuthTypeDiffers(0),
            "auth_type_mismatch",
        ),
        (
            &secret,
            with_body(1, 1, *b"1112\0\0\0\0"),
            good,
            Complaint::Password,
            "auth_failures",
        ),
        (
            &plain,
            with_body(0, 2, [0; 8]),
            good,
            Complaint::Interval {
                theirs: 200,
                ours: 100,
            },
            "advert_interval_errors",
        ),
        (
            &plain,
            kind,
            good,
            Complaint::Type(2),
            "invalid_type_received",
        ),
        (
            &plain,
            advert(100),
            unicast,
            Complaint::Destination(v4(1)),
            "",
        ),
    ];
    for (ours, theirs, header, complaint, counter) in rows {
        assert_eq!(
            refused(ours, &theirs, header),
            (complaint, counter.to_owned())
        );
    }
}

#[test]
fn a_wrong_length_is_found_before_a_wrong_ttl_and_a_wrong_checksum_last() {
    let good = bytes(&advert(100), header(9));
    let routed = PacketHeader {
        ttl: 1,
        ..header(9)
    };
    assert!(matches!(
        check(&instance(100), Some(v4(10)), routed, &good[..20]),
        Err(Complaint::Malformed(Malformed::Length { .. }))
    ));
    let mut flipped = good.clone();
    flipped[9] ^= 1;
    assert_eq!(
        check(&instance(100), Some(v4(10)), header(9), &flipped),
        Err(Complaint::Checksum)
    );
    flipped[4] = 1;
    assert_eq!(
        check(&instance(100), Some(v4(10)), header(9), &flipped),
        Err(Complaint::AuthTypeDiffers(1))
    );
}

/// RFC 9568 section 5.2.7: version 3 learns the interval.
#[test]
fn version_3_takes_another_interval_and_refuses_none() {
    let ours = Instance {
        version: Version::V3,
        ..instance(100)
    };
    let theirs = |interval| Advert {
        body: Body::V3 { interval },
        ..advert(100)
    };
    let heard = check(
        &ours,
        Some(v4(10)),
        header(9),
        &bytes(&theirs(50), header(9)),
    )
    .unwrap()
    .1;
    assert_eq!(heard.interval.get(), 50);
    assert_eq!(
        refused(&ours, &theirs(0), header(9)).0,
        Complaint::Interval {
            theirs: 0,
            ours: 100
        }
    );
}

#[test]
fn the_address_list_matches_in_any_order_and_only_complete() {
    let ours = instance(100);
    let with = |addresses: Vec<IpAddr>| Advert {
        addresses,
        ..advert(100)
    };
    assert!(addresses_match(&ours, &with(vec![v4(101), v4(100)])));
    assert!(!addresses_match(&ours, &with(vec![v4(100)])));
    assert!(!addresses_match(&ours, &with(vec![v4(100), v4(102)])));
    assert!(!addresses_match(
        &ours,
        &with(vec![v4(100), v4(101), v4(102)])
    ));
}
