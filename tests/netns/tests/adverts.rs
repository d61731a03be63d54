//! Our adverts beside the distribution's for the same configuration, byte by byte.

use std::net::Ipv4Addr;
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair, instance, start};
use kr_testkit::capture::{self, Capture};
use kr_testkit::keepalived::Instance;
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::wait::eventually;

/// Adverts looked at per router.
const ADVERTS: usize = 4;

/// What one router sends as a master: its first adverts and its farewell.
fn sent_by(peer: Peer, instance: &Instance) -> Vec<Vec<u8>> {
    let pair = Pair::new().unwrap();
    let capture = Capture::start(&pair.b, capture::is_vrrp).unwrap();
    let mut router = start(peer, &pair.a, instance).unwrap();
    eventually(ELECTION, "adverts", || capture.frames().len() >= ADVERTS).unwrap();
    router.stop(Duration::from_secs(8)).unwrap();
    eventually(ELECTION, "a farewell", || {
        capture
            .frames()
            .last()
            .is_some_and(|frame| frame.bytes[36] == 0)
    })
    .unwrap();
    let frames: Vec<Vec<u8>> = capture
        .frames()
        .into_iter()
        .map(|frame| frame.bytes)
        .collect();
    let farewell = frames.last().unwrap().clone();
    frames
        .into_iter()
        .take(ADVERTS)
        .chain([farewell])
        .map(comparable)
        .collect()
}

/// Blanks what two hosts or two packets may differ in: the sender's MAC address, the IP identification,
/// and the IP header's checksum that follows from it (after checking that it is right).
fn comparable(mut frame: Vec<u8>) -> Vec<u8> {
    let sum: u32 = frame[14..14 + usize::from(frame[14] & 0x0f) * 4]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "IP checksum");
    for range in [6..12, 18..20, 24..26] {
        frame[range].fill(0);
    }
    frame
}

fn same(instance: &Instance) {
    let ours = sent_by(Ours, instance);
    let stock = sent_by(Stock, instance);
    assert_eq!(ours, stock);
}

#[test]
fn stock_sends_what_the_protocol_says() {
    let sent = sent_by(Stock, &instance("MASTER", 150));
    let advert = &sent[0];
    assert_eq!(advert[0..6], [1, 0, 0x5e, 0, 0, 18]);
    assert_eq!(advert[22], 255, "TTL");
    assert_eq!(
        capture::source(advert),
        Some(Ipv4Addr::new(192, 168, 77, 1))
    );
    assert_eq!(advert[34..40], [0x21, 55, 150, 1, 1, 1]);
}

#[test]
fn adverts_with_password_are_the_same_as_stocks() {
    same(&instance("MASTER", 150));
}

#[test]
fn adverts_without_authentication_are_the_same_as_stocks() {
    let mut instance = instance("MASTER", 150);
    instance.password = None;
    same(&instance);
}

#[test]
fn adverts_with_several_addresses_are_the_same_as_stocks() {
    let mut instance = instance("BACKUP", 200);
    instance.addresses = vec![
        "192.168.77.102/24",
        "192.168.77.100/24",
        "192.168.77.101/32",
    ];
    same(&instance);
}

#[test]
fn adverts_of_a_long_password_are_the_same_as_stocks() {
    let mut instance = instance("MASTER", 1);
    instance.password = Some("longpassword");
    same(&instance);
}

/// How often the new master announces its address in the first seconds, and with which frames.
fn announcements(peer: Peer) -> Vec<Vec<u8>> {
    let pair = Pair::new().unwrap();
    let vip = Ipv4Addr::new(192, 168, 77, 100);
    let capture = Capture::start(&pair.b, move |frame| capture::announces(frame, vip)).unwrap();
    let _router = start(peer, &pair.a, &instance("MASTER", 150)).unwrap();
    eventually(ELECTION, "the address", || {
        pair.a.has_address("192.168.77.100")
    })
    .unwrap();
    std::thread::sleep(Duration::from_secs(7));
    let blank_mac = |mut frame: Vec<u8>| {
        frame[6..12].fill(0);
        frame[22..28].fill(0);
        frame.truncate(42);
        frame
    };
    capture
        .frames()
        .into_iter()
        .map(|frame| blank_mac(frame.bytes))
        .collect()
}

#[test]
fn address_is_announced_with_the_same_frames_as_stocks() {
    let stock = announcements(Stock);
    assert!(stock.len() >= 10, "{} announcements", stock.len());
    assert_eq!(announcements(Ours), stock);
}
