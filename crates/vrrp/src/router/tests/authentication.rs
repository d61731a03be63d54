//! `auth_type AH`: what is sent, what is taken, and what a successor goes on from.

use kr_wire::ah;
use kr_wire::ipv4::PROTOCOL_AH;

use super::*;
use crate::receive::Complaint;

const KEY: [u8; 8] = *b"secret12";

fn config() -> Instance {
    Instance {
        authentication: Authentication::Header(Secret::new(KEY)),
        ..instance(100)
    }
}

/// An advert with a header made with `key`.
fn sealed(key: [u8; 8], sequence: u32, priority: u8) -> (PacketHeader, Vec<u8>) {
    let header = PacketHeader {
        protocol: PROTOCOL_AH,
        id: 7,
        ..header(9)
    };
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (header.source, header.destination) else {
        unreachable!()
    };
    let ip = ipv4::Header {
        tos: 0xc0,
        id: 7,
        ttl: 255,
        protocol: PROTOCOL_AH,
        source,
        destination,
    };
    let theirs = Advert {
        body: Body::V2 {
            auth_type: 2,
            interval: 1,
            auth_data: [0; 8],
        },
        ..advert(priority)
    };
    (
        header,
        ah::seal(&key, &ip, sequence, &bytes(&theirs, header)),
    )
}

impl Bench {
    fn hear_sealed(&mut self, key: [u8; 8], sequence: u32, priority: u8) -> Vec<Did> {
        let (header, payload) = sealed(key, sequence, priority);
        let interface = interface();
        self.give(Input::Packet {
            interface: &interface,
            header,
            payload: &payload,
        })
    }

    /// The sequence number of the advert that the next timer sends, and what it publishes.
    fn sequence(&mut self) -> (u32, Option<Snapshot>) {
        self.now = self.router.poll_timeout().unwrap();
        self.router.handle(Input::Timer, self.now);
        sent(self.actions())
    }
}

/// The sequence number of an advert among actions, and the snapshot.
fn sent(actions: Vec<Action>) -> (u32, Option<Snapshot>) {
    let (mut sequence, mut published) = (None, None);
    for action in actions {
        if let Action::SendAdvert { packet, .. } = action {
            let (header, payload) = ipv4::parse(&packet).unwrap();
            sequence = Some(ah::open(&KEY, &header, payload).unwrap().0);
        } else if let Action::Publish(snapshot) = action {
            published = Some(*snapshot);
        }
    }
    (sequence.unwrap(), published)
}

#[test]
fn routers_count_together() {
    let mut bench = Bench::backup(config());
    assert_eq!(bench.hear_sealed(KEY, 41, 200), [Published(State::Backup)]);
    assert_eq!(bench.sequence().0, 42);
    assert_eq!(bench.sequence().0, 43);
}

#[test]
fn what_is_not_authentic_or_not_new_is_refused_and_counted() {
    let mut bench = Bench::backup(config());
    bench.hear_sealed(KEY, 41, 200);
    let refused =
        |complaint: Complaint| [Said(format!("(VI_1) advert from 192.0.2.9: {complaint}"))];
    assert_eq!(
        bench.hear_sealed(*b"other\0\0\0", 42, 200),
        refused(Complaint::Header(ah::Refused::Forged))
    );
    assert_eq!(
        bench.hear_sealed(KEY, 41, 200),
        refused(Complaint::Replayed(41))
    );
    assert_eq!(bench.hear(9, 200), refused(Complaint::Protocol(112)));
    let counters = bench.counters();
    assert_eq!(
        (counters.auth_failures, counters.auth_type_mismatch),
        (2, 1)
    );
    assert_eq!(counters.advert_received, 1);
    assert_eq!(bench.hear_sealed(KEY, 42, 200), []);
}

/// Adverts of lower priority are answered at once, so a master can send many before its next snapshot is due.
#[test]
fn a_successor_of_a_master_repeats_no_sequence_number() {
    let mut bench = Bench::backup(config());
    let (mut last, mut kept) = bench.sequence();
    for _ in 0..2_500 {
        let (header, payload) = sealed(KEY, last + 1, 50);
        bench.router.handle(
            Input::Packet {
                interface: &interface(),
                header,
                payload: &payload,
            },
            bench.now,
        );
        let (sequence, published) = sent(bench.actions());
        last = sequence;
        kept = published.or(kept);
        assert!(last <= kept.as_ref().unwrap().sequence);
    }
    assert!(last > 5_000, "{last}");
    let mut successor = Bench::empty();
    successor.now = bench.now;
    successor.give(configure(config(), kept));
    assert!(successor.sequence().0 > last);
}
