//! What is sent, and what is believed.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use kr_model::vrrp::State;
use kr_testkit::capture::{Capture, VrrpSender, announces};
use kr_testkit::wait::throughout;

use crate::harness::{
    Lan, OBSERVER, ROUTER, Vrrpd, instance, longest_gap, until_address, until_frame,
};

/// Router id 51, priority 100, one address 10.9.0.100, no authentication, 1 s.
const ADVERT: [u8; 20] = [
    0x21, 51, 100, 1, 0, 1, 0x70, 0x5d, 10, 9, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// The same with priority 200.
pub(crate) const BETTER: [u8; 20] = [
    0x21, 51, 200, 1, 0, 1, 0x0c, 0x5d, 10, 9, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0,
];

const VIP: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 100);

#[test]
fn a_lonely_router_advertises_holds_the_address_and_announces_it() {
    let lan = Lan::new();
    let adverts = lan.adverts();
    let announcements = Capture::start(&lan.observer, |frame| announces(frame, VIP)).unwrap();
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    vrrpd.until(State::Master);
    vrrpd.stayed_master();
    until_address(&lan.router, "10.9.0.100", true);

    let frames = until_frame(&adverts, "advert", |_| true);
    let frame = &frames[0].bytes;
    let (ethernet, packet) = frame.split_at(14);
    assert_eq!(ethernet[..6], [0x01, 0x00, 0x5e, 0x00, 0x00, 0x12]);
    let (header, message) = packet.split_at(20);
    assert_eq!(
        header[..4],
        [0x45, 0xc0, 0, 40],
        "version, type of service, length"
    );
    assert_ne!(header[4..6], [0, 0], "identification");
    assert_eq!(
        header[6..10],
        [0, 0, 255, 112],
        "no fragment, TTL, protocol"
    );
    assert_eq!(header[12..16], ROUTER.octets());
    assert_eq!(header[16..20], [224, 0, 0, 18]);
    assert_eq!(message, ADVERT);

    let frames = until_frame(&announcements, "gratuitous ARP", |_| true);
    let frame = &frames[0].bytes;
    assert_eq!(frame[..6], [0xff; 6]);
    assert_eq!(frame[6..12], frame[22..28], "own hardware address, twice");
    assert_eq!(frame[20..22], [0, 1], "a request");
}

#[test]
fn worthless_packets_move_no_master_and_a_better_router_does() {
    let lan = Lan::new();
    let adverts = lan.adverts();
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    vrrpd.until(State::Master);

    let good = VrrpSender::open(&lan.observer, OBSERVER, 255).unwrap();
    let far = VrrpSender::open(&lan.observer, OBSERVER, 254).unwrap();
    let mut wrong_checksum = BETTER;
    wrong_checksum[6] ^= 1;
    let mut other_router = BETTER;
    other_router[1] = 52;
    for _ in 0..50 {
        far.send(&BETTER).unwrap();
        for worthless in [
            &[][..],
            &[0x21],
            &BETTER[..11],
            &wrong_checksum,
            &other_router,
            &[0xff; 1400],
        ] {
            good.send(worthless).unwrap();
        }
    }
    throughout(Duration::from_secs(3), "still master", || {
        lan.router.has_address("10.9.0.100")
    })
    .unwrap();
    vrrpd.stayed_master();
    let own: Vec<_> = adverts
        .frames()
        .into_iter()
        .filter(|frame| frame.bytes[26..30] == ROUTER.octets())
        .collect();
    assert!(longest_gap(&own) < Duration::from_millis(1500), "{own:?}");

    good.send(&BETTER).unwrap();
    vrrpd.until(State::Backup);
    until_address(&lan.router, "10.9.0.100", false);
}

#[test]
fn a_flood_of_adverts_delays_no_own_advert() {
    let lan = Lan::new();
    let adverts = Capture::start(&lan.observer, |frame| {
        frame.get(26..30) == Some(&ROUTER.octets()) && frame.get(23) == Some(&112)
    })
    .unwrap();
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    vrrpd.until(State::Master);
    let sender = VrrpSender::open(&lan.observer, OBSERVER, 255).unwrap();
    let mut wrong_checksum = ADVERT;
    wrong_checksum[6] ^= 1;
    for _ in 0..300 {
        for _ in 0..200 {
            // A full queue on the way is part of a flood.
            sender.send(&wrong_checksum).ok();
        }
        sleep(Duration::from_millis(10));
    }
    let own = adverts.frames();
    assert!(own.len() >= 3, "{own:?}");
    assert!(longest_gap(&own) < Duration::from_millis(1500), "{own:?}");
    vrrpd.stayed_master();
}
