//! `auth_hmac`: signed adverts leave, and only rightly signed ones count.

use std::collections::BTreeMap;

use kr_model::signing::{ActiveKey, AntiReplay, Signing, SigningKey, SigningMode, Stamp, Utc};
use kr_wire::advert::{Coverage, Ends, append_trailer, emit, parse_covered, split_trailer};
use kr_wire::trailer::Trailer;

use super::*;

/// UTC at the start of a bench.
const DAY: Duration = Duration::from_secs(1_700_000_000);

fn key(byte: u8) -> SigningKey {
    SigningKey::try_from(vec![byte; 32]).unwrap()
}

fn config(priority: u8) -> Instance {
    let active = ActiveKey { id: 5, key: key(1) };
    Instance {
        authentication: Authentication::Signed(Box::new(Signing {
            keys: BTreeMap::from([(5, key(1))]),
            mode: SigningMode::Enforce(active),
            replay: AntiReplay::Time(Duration::from_secs(5)),
        })),
        ..instance(priority)
    }
}

fn started(priority: u8) -> Bench {
    let mut bench = Bench::empty();
    bench.give(Input::TimeOfDay(UtcOffset(DAY)));
    bench.give(configure(config(priority), None));
    bench
}

impl Bench {
    /// Hears an advert that was signed with `secret` at the time of this bench.
    fn hear_signed(&mut self, secret: u8, priority: u8) -> Vec<Did> {
        let header = header(9);
        let message = bytes(&advert(priority), header);
        let stamp = Stamp::at(UtcOffset(DAY).at(self.now));
        let trailer = Trailer::sign(5, &key(secret), stamp, header.source, &message).emit();
        let interface = interface();
        self.give(Input::Packet {
            interface: &interface,
            header,
            payload: &[message, trailer].concat(),
        })
    }
}

#[test]
fn master_signs_every_advert_anew() {
    let mut bench = started(100);
    let mut stamps = Vec::new();
    for _ in 0..3 {
        bench.now = bench.router.poll_timeout().unwrap();
        bench.router.handle(Input::Timer, bench.now);
        for action in bench.actions() {
            let Action::SendAdvert { packet, .. } = action else {
                continue;
            };
            let (ip, payload) = ipv4::parse(&packet).unwrap();
            let (message, trailer) = split_trailer(payload, Family::Inet);
            let trailer = Trailer::parse(trailer.unwrap()).unwrap();
            assert!(trailer.is_by(&key(1), IpAddr::V4(ip.source), message));
            stamps.push(trailer.stamp);
        }
    }
    assert_eq!(stamps.len(), 3);
    assert!(stamps.windows(2).all(|pair| pair[1].is_after(pair[0])));
    assert_eq!(
        stamps[2],
        Stamp::at(Utc(DAY.as_secs() * 1_000_000 + bench.now.as_micros()))
    );
}

#[test]
fn backup_believes_a_signed_master_and_nobody_else() {
    let mut bench = started(100);
    assert_eq!(bench.hear_signed(1, 200), [Published(State::Backup)]);
    let (down, taken) = (
        bench.router.poll_timeout(),
        bench.counters().advert_received,
    );
    bench.now = bench.now.saturating_add(Duration::from_millis(500));
    let said = bench.hear_signed(2, 255);
    assert_eq!(
        said,
        [Said(
            "(VI_1) advert from 192.0.2.9: its signature was not made with key 5 of auth_hmac here"
                .to_owned()
        )]
    );
    bench.hear(9, 255);
    assert_eq!(bench.router.poll_timeout(), down);
    let counters = bench.counters();
    assert_eq!(
        (
            counters.signature_invalid,
            counters.signature_missing,
            counters.advert_received
        ),
        (1, 1, taken)
    );
}

#[test]
fn clock_that_is_set_is_followed() {
    let mut bench = started(100);
    bench.hear_signed(1, 200);
    bench.now = bench.now.saturating_add(Duration::from_secs(1));
    bench.give(Input::TimeOfDay(UtcOffset(DAY + Duration::from_secs(60))));
    assert!(matches!(bench.hear_signed(1, 200).as_slice(), [Said(_)]));
    assert_eq!(bench.counters().signature_stale, 1);
    bench.give(Input::TimeOfDay(UtcOffset(DAY)));
    assert_eq!(bench.hear_signed(1, 200), []);
}

#[test]
fn reload_of_another_priority_keeps_the_marks() {
    let mut bench = started(100);
    bench.hear_signed(1, 200);
    bench.give(configure(config(90), None));
    assert!(matches!(bench.hear_signed(1, 200).as_slice(), [Said(_)]));
    assert_eq!(bench.counters().signature_replayed, 1);
}

/// Over IPv6 the checksum of the message covers the trailer; over IPv4 it does not.
#[test]
fn checksum_covers_the_trailer_over_ipv6_alone() {
    let v6 = |last| IpAddr::V6(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last));
    let of_v6 = Ends {
        source: v6(1),
        destination: v6(2),
    };
    let of_v4 = Ends {
        source: v4(1),
        destination: v4(2),
    };
    for (ends, address, covered) in [(of_v6, v6(100), true), (of_v4, v4(100), false)] {
        let theirs = Advert {
            addresses: vec![address],
            body: Body::V3 { interval: 100 },
            ..advert(100)
        };
        let message = emit(&theirs, ends).unwrap();
        let mut signed = append_trailer(&message, &[7; 28], ends);
        let right = |signed: &[u8]| {
            let (message, trailer) = split_trailer(signed, Family::of(address));
            parse_covered(message, trailer.unwrap(), ends, Coverage::Standard)
                .unwrap()
                .checksum_ok
        };
        assert!(right(&signed));
        *signed.last_mut().unwrap() ^= 1;
        assert_eq!(right(&signed), !covered);
    }
}
