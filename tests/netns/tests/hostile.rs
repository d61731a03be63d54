//! Packets that must change nothing.

use std::net::Ipv4Addr;
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair, instance, start};
use kr_testkit::capture::{self, Capture, VrrpSender};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::wait::{eventually, throughout};

/// Longer than two master-down times: a router that listened to the sender would have left by then.
const LONG_ENOUGH: Duration = Duration::from_secs(8);

/// The 32 bytes of a whole advert of the tests' router: priority 255, password 1111, one address.
fn advert_of_priority_255() -> Vec<u8> {
    let mut bytes = vec![0x21, 55, 255, 1, 1, 1, 0, 0];
    bytes.extend([192, 168, 77, 100]);
    bytes.extend(*b"1111\0\0\0\0");
    let sum = checksum(&bytes);
    bytes.splice(6..8, sum.to_be_bytes());
    bytes
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}

/// The advert with one byte changed and, except for a change of the checksum itself, a right checksum.
fn changed(at: usize, value: u8) -> Vec<u8> {
    let mut bytes = advert_of_priority_255();
    bytes[at] = value;
    if at != 6 {
        bytes[6] = 0;
        bytes[7] = 0;
        let sum = checksum(&bytes);
        bytes.splice(6..8, sum.to_be_bytes());
    }
    bytes
}

/// Everything that is not an advert for this router.
fn bad_packets() -> Vec<Vec<u8>> {
    let good = advert_of_priority_255();
    let mut packets: Vec<Vec<u8>> = (0..good.len())
        .map(|length| good[..length].to_vec())
        .collect();
    packets.push(changed(0, 0x22)); // type 2
    packets.push(changed(0, 0x01)); // version 0
    packets.push(changed(0, 0xf1)); // version 15
    packets.push(changed(1, 56)); // another router
    packets.push(changed(3, 2)); // two addresses, one there
    packets.push(changed(3, 255)); // 255 addresses, one there
    packets.push(changed(4, 2)); // another authentication type
    packets.push(changed(4, 0)); // no authentication
    packets.push(changed(6, 0x55)); // a wrong checksum
    packets.push(changed(12, b'2')); // another password
    packets.push(vec![0xff; 20]);
    packets.push(vec![0x21; 1400]);
    packets
}

/// A sender with the right bytes would win; the same host with each bad packet must not.
fn ignores_bad_packets(peer: Peer) {
    let pair = Pair::new().unwrap();
    let _a = start(peer, &pair.a, &instance("MASTER", 150)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    let sender = VrrpSender::open(&pair.b, Ipv4Addr::new(192, 168, 77, 2), 255).unwrap();
    let low_ttl = VrrpSender::open(&pair.b, Ipv4Addr::new(192, 168, 77, 2), 254).unwrap();
    let good = advert_of_priority_255();
    throughout(LONG_ENOUGH, "the address stays", || {
        for packet in bad_packets() {
            sender.send(&packet).unwrap();
        }
        low_ttl.send(&good).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        pair.a.has_address("192.168.77.100")
    })
    .unwrap();
    eventually(ELECTION, "the good advert makes it leave", || {
        sender.send(&good).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        !pair.a.has_address("192.168.77.100")
    })
    .unwrap();
}

#[test]
fn stock_ignores_bad_packets() {
    ignores_bad_packets(Stock);
}

#[test]
fn ours_ignores_bad_packets() {
    ignores_bad_packets(Ours);
}

/// Two routers with different passwords do not hear each other: both are master.
fn wrong_password(first: Peer, second: Peer) {
    let pair = Pair::new().unwrap();
    let capture = Capture::start(&pair.a, capture::is_vrrp).unwrap();
    let mut other = instance("BACKUP", 100);
    other.password = Some("2222");
    let _a = start(first, &pair.a, &instance("MASTER", 150)).unwrap();
    let _b = start(second, &pair.b, &other).unwrap();
    let both = || pair.a.has_address("192.168.77.100") && pair.b.has_address("192.168.77.100");
    eventually(ELECTION, "both are master", both).unwrap();
    throughout(Duration::from_secs(5), "both stay master", both).unwrap();
    let frames = capture.frames();
    for address in [
        Ipv4Addr::new(192, 168, 77, 1),
        Ipv4Addr::new(192, 168, 77, 2),
    ] {
        assert!(
            frames
                .iter()
                .any(|frame| capture::source(&frame.bytes) == Some(address))
        );
    }
}

#[test]
fn stock_and_stock_with_different_passwords_do_not_hear_each_other() {
    wrong_password(Stock, Stock);
}

#[test]
fn ours_and_stock_with_different_passwords_do_not_hear_each_other() {
    wrong_password(Ours, Stock);
}

#[test]
fn stock_and_ours_with_different_passwords_do_not_hear_each_other() {
    wrong_password(Stock, Ours);
}
