use std::collections::BTreeMap;

use kr_model::signing::{ActiveKey, SigningKey};

use super::*;
use crate::fixture::{instance, v4};

/// A version 3 message, as far as a signature looks at it.
const MESSAGE: [u8; 8] = [0x31, 51, 100, 0, 0, 100, 0, 0];
const WINDOW: Duration = Duration::from_secs(10);
const NOW: Utc = Utc(1_700_000_000_000_000);

fn key(byte: u8) -> SigningKey {
    SigningKey::try_from(vec![byte; 32]).unwrap()
}

/// Keys 1 and 2, the first one active.
fn signing(replay: AntiReplay) -> Signing {
    Signing {
        keys: BTreeMap::from([(1, key(1)), (2, key(2))]),
        mode: SigningMode::Enforce(ActiveKey { id: 1, key: key(1) }),
        replay,
    }
}

fn seconds(more: i64) -> Utc {
    Utc(NOW.0.saturating_add_signed(more * 1_000_000))
}

struct Receiver {
    signatures: Signatures,
    instance: Instance,
    signing: Signing,
}

impl Receiver {
    fn new(replay: AntiReplay) -> Self {
        Self {
            signatures: Signatures::default(),
            instance: instance(100),
            signing: signing(replay),
        }
    }

    fn hear(
        &mut self,
        from: u8,
        key_id: u8,
        secret: u8,
        stamp: Stamp,
    ) -> Result<Option<Duration>, Refused> {
        let trailer = Trailer::sign(key_id, &key(secret), stamp, v4(from), &MESSAGE).emit();
        self.take(from, Some(&trailer))
    }

    fn take(&mut self, from: u8, trailer: Option<&[u8]>) -> Result<Option<Duration>, Refused> {
        let sealed = Sealed {
            source: v4(from),
            message: &MESSAGE,
            trailer,
        };
        self.signatures
            .accept(&self.instance, &self.signing, sealed, NOW)
    }
}

#[test]
fn stamps_follow_the_clock_and_never_repeat() {
    let mut signatures = Signatures::default();
    let mut at = |utc| signatures.stamp(AntiReplay::Time(WINDOW), utc);
    let first = at(NOW);
    assert_eq!(first, Stamp::at(NOW));
    assert_eq!(at(NOW), Stamp(first.0 + 1));
    assert_eq!(at(seconds(1)), Stamp::at(seconds(1)));
    // Set back by less than the window: it counts on. By more: nobody would hear us for that long.
    assert_eq!(at(seconds(-5)), Stamp(Stamp::at(seconds(1)).0 + 1));
    assert_eq!(at(seconds(-60)), Stamp::at(seconds(-60)));
}

#[test]
fn monotonic_stamps_only_grow() {
    let mut signatures = Signatures::default();
    let mut at = |utc| signatures.stamp(AntiReplay::Monotonic, utc);
    let first = at(NOW);
    assert_eq!(at(seconds(-60)), Stamp(first.0 + 1));
}

#[test]
fn each_fault_is_named_in_order() {
    let mut receiver = Receiver::new(AntiReplay::Time(WINDOW));
    let late = Stamp::at(seconds(-11));
    let stale = Refused::Stale {
        by: Duration::from_secs(11),
        window: WINDOW,
    };
    // An old stamp is told before a key that is not there, and that before a wrong signature.
    assert_eq!(receiver.hear(9, 3, 3, late), Err(stale));
    assert_eq!(
        receiver.hear(9, 3, 3, Stamp::at(NOW)),
        Err(Refused::UnknownKey(3))
    );
    assert_eq!(
        receiver.hear(9, 2, 1, Stamp::at(NOW)),
        Err(Refused::Invalid(2))
    );
    assert_eq!(receiver.take(9, None), Err(Refused::Missing));
    assert_eq!(receiver.take(9, Some(&[0; 28])), Err(Refused::Malformed));
    assert_eq!(receiver.hear(9, 2, 2, Stamp::at(NOW)), Ok(None));
    assert_eq!(
        receiver.hear(9, 1, 1, Stamp::at(NOW)),
        Err(Refused::Replayed)
    );
}

#[test]
fn wrong_signatures_move_no_mark() {
    let mut receiver = Receiver::new(AntiReplay::Monotonic);
    let far = Stamp::at(seconds(1_000_000));
    assert_eq!(receiver.hear(9, 1, 2, far), Err(Refused::Invalid(1)));
    assert_eq!(receiver.hear(9, 1, 1, Stamp::at(NOW)), Ok(None));
}

#[test]
fn clock_that_is_half_a_window_away_is_told() {
    let mut receiver = Receiver::new(AntiReplay::Time(WINDOW));
    assert_eq!(receiver.hear(9, 1, 1, Stamp::at(seconds(-5))), Ok(None));
    assert_eq!(
        receiver.hear(9, 1, 1, Stamp::at(seconds(6))),
        Ok(Some(Duration::from_secs(6)))
    );
}

#[test]
fn mark_outside_the_window_expires_in_time_mode_alone() {
    let future = Stamp::at(seconds(60));
    for (replay, expected) in [
        (AntiReplay::Time(WINDOW), Ok(None)),
        (AntiReplay::Monotonic, Err(Refused::Replayed)),
    ] {
        let mut receiver = Receiver::new(replay);
        receiver.signatures.heard = vec![(v4(9), future)];
        assert_eq!(
            receiver.hear(9, 1, 1, Stamp::at(NOW)),
            expected,
            "{replay:?}"
        );
    }
}

#[test]
fn four_senders_are_remembered_and_the_most_silent_is_forgotten() {
    let mut receiver = Receiver::new(AntiReplay::Time(WINDOW));
    for sender in 1..=4 {
        receiver.hear(sender, 1, 1, Stamp::at(NOW)).unwrap();
    }
    receiver.hear(1, 1, 1, Stamp::at(seconds(1))).unwrap();
    receiver.hear(5, 1, 1, Stamp::at(NOW)).unwrap();
    let known: Vec<_> = receiver
        .signatures
        .heard
        .iter()
        .map(|(sender, _)| *sender)
        .collect();
    assert_eq!(known, [v4(3), v4(4), v4(1), v4(5)]);
}

#[test]
fn unsigned_adverts_pass_where_the_mode_lets_them() {
    for (mode, expected) in [
        (SigningMode::ReceiveOnly, Ok(None)),
        (
            SigningMode::Permissive(ActiveKey { id: 1, key: key(1) }),
            Ok(None),
        ),
    ] {
        let mut receiver = Receiver::new(AntiReplay::Monotonic);
        receiver.signing.mode = mode;
        assert_eq!(receiver.take(9, None), expected);
        // What is signed must be right all the same.
        assert_eq!(receiver.hear(9, 1, 2, Stamp(1)), Err(Refused::Invalid(1)));
    }
}

#[test]
fn successor_refuses_what_its_predecessor_took_and_repeats_no_stamp() {
    let mut receiver = Receiver::new(AntiReplay::Monotonic);
    receiver.hear(9, 1, 1, Stamp::at(NOW)).unwrap();
    let sent = receiver.signatures.stamp(AntiReplay::Monotonic, NOW);
    receiver.signatures = Signatures::resume(&receiver.signatures.marks());
    assert_eq!(
        receiver.hear(9, 1, 1, Stamp::at(NOW)),
        Err(Refused::Replayed)
    );
    let next = receiver
        .signatures
        .stamp(AntiReplay::Monotonic, seconds(-1_000));
    assert!(next.is_after(sent));
}
