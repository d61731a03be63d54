//! One packet of any bytes for two routers that share a key: without it nobody becomes or ends being master, not
//! even for a moment.

use std::time::Duration;

use kr_model::InstanceId;
use kr_model::signing::{ActiveKey, AntiReplay, Signing, SigningKey, SigningMode, Stamp};
use kr_model::vrrp::{Authentication, Instance, Preemption, Secret};
use kr_test_sim::{Faults, Lan, What, foreign_advert, instance};
use kr_wire::trailer::Trailer;
use kr_wire::{ah, ipv4};

/// What the routers know, and whoever sends the packet does not.
const KEY: u8 = 0x5a;
/// What the samples are made with.
const OTHER_KEY: u8 = 0xa5;

/// The first byte, odd or even, says how the routers know each other: by a signature (`auth_hmac`) or by a
/// header (`auth_type AH`).
pub fn forged_packet(data: &[u8]) {
    let Some((choice, packet)) = data.split_first() else {
        return;
    };
    let authentication = if choice & 1 == 1 {
        Authentication::Signed(Box::new(signing(KEY)))
    } else {
        Authentication::Header(Secret::new([KEY; 8]))
    };
    let router = |priority| Instance {
        authentication: authentication.clone(),
        ..instance(1, priority, Preemption::Immediate)
    };
    let mut lan = Lan::new(0, Faults::default());
    lan.add(10, vec![router(150)]);
    lan.add(11, vec![router(100)]);
    lan.run(Duration::from_secs(10));
    assert_eq!(lan.masters(InstanceId(1)), [0]);
    lan.history.clear();
    lan.inject(packet);
    lan.run(Duration::from_secs(15));
    let entered = |what: &What| matches!(what, What::Entered(_));
    let moved = lan.history.iter().find(|(.., what)| entered(what));
    assert_eq!(moved, None);
    assert_eq!(lan.masters(InstanceId(1)), [0]);
}

/// `auth_hmac` with one key.
fn signing(byte: u8) -> Signing {
    let key = key(byte);
    Signing {
        keys: [(1, key.clone())].into(),
        mode: SigningMode::Enforce(ActiveKey { id: 1, key }),
        replay: AntiReplay::Monotonic,
    }
}

/// A key of this byte only.
fn key(byte: u8) -> SigningKey {
    SigningKey::try_from(vec![byte; 32]).expect("a key of allowed length")
}

/// Adverts of a router that has another key: the master's resignation and a higher priority, each signed,
/// sealed, and with nothing.
pub(crate) fn samples() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("signed_higher", signed(200)),
        ("signed_resigning", signed(0)),
        ("sealed_higher", sealed(200)),
        ("sealed_resigning", sealed(0)),
        ("unsigned", with_choice(1, foreign_advert(1, 200, 12))),
        ("unsealed", with_choice(0, foreign_advert(1, 200, 12))),
    ]
}

/// Signed in the master's name.
fn signed(priority: u8) -> Vec<u8> {
    let (header, message) = advert_of_master(priority);
    let stamp = Stamp(u64::MAX >> 1);
    let trailer = Trailer::sign(1, &key(OTHER_KEY), stamp, header.source.into(), &message);
    packet(1, &header, &[message, trailer.emit()].concat())
}

/// Sealed in the master's name.
fn sealed(priority: u8) -> Vec<u8> {
    let (header, message) = advert_of_master(priority);
    let header = ipv4::Header {
        protocol: ipv4::PROTOCOL_AH,
        ..header
    };
    let payload = ah::seal(&[OTHER_KEY; 8], &header, 1_000, &message);
    packet(0, &header, &payload)
}

/// The header and the message that the router with address 192.0.2.10 would send.
fn advert_of_master(priority: u8) -> (ipv4::Header, Vec<u8>) {
    let packet = foreign_advert(1, priority, 10);
    let (header, message) = ipv4::parse(&packet).expect("an IPv4 packet");
    (header, message.to_vec())
}

fn packet(choice: u8, header: &ipv4::Header, payload: &[u8]) -> Vec<u8> {
    with_choice(choice, ipv4::emit(header, payload).expect("short"))
}

fn with_choice(choice: u8, packet: Vec<u8>) -> Vec<u8> {
    [vec![choice], packet].concat()
}
