//! Every kind of malformed packet, sent at the program.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_model::vrrp::State;
use kr_testkit::capture::{Capture, VrrpSender};

use crate::classes::{Base, Class};
use crate::harness::{Lan, OBSERVER, ROUTER, Vrrpd, instance, longest_gap, until_address};

/// One sender for each TTL.
struct Senders(BTreeMap<u8, VrrpSender>);

impl Senders {
    fn new(lan: &Lan, classes: &[Class]) -> Self {
        let open = |ttl: u8| VrrpSender::open(&lan.observer, OBSERVER, ttl.into()).unwrap();
        Self(
            classes
                .iter()
                .map(|class| (class.ttl, open(class.ttl)))
                .collect(),
        )
    }

    /// A full queue on the way is no matter.
    fn send(&self, class: &Class) {
        self.0[&class.ttl].send(&class.payload).ok();
    }
}

/// Own adverts, as the observer sees them.
fn own_adverts(lan: &Lan) -> Capture {
    Capture::start(&lan.observer, |frame| {
        frame.get(26..30) == Some(&ROUTER.octets()) && frame.get(23) == Some(&112)
    })
    .unwrap()
}

#[test]
fn a_backup_is_moved_by_none_of_them_and_takes_over_in_time() {
    let lan = Lan::new();
    let classes = Base::V2.classes();
    let senders = Senders::new(&lan, &classes);
    let mut vi = instance(&["10.9.0.100/24"]);
    vi.down_timer_adverts = 4;
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    let started = Instant::now();
    // Less than the master-down time of 4.6 s.
    while started.elapsed() < Duration::from_secs(4) {
        for class in &classes {
            senders.send(class);
        }
        sleep(Duration::from_millis(100));
    }
    assert_eq!(vrrpd.transitions(), [State::Backup]);
    vrrpd.until(State::Master);
    let waited = started.elapsed();
    assert!(waited < Duration::from_millis(5_600), "{waited:?}");
}

/// Stock keepalived falls silent for seconds under such a flood.
#[test]
fn three_thousand_a_second_move_no_master_and_delay_none_of_its_adverts() {
    let lan = Lan::new();
    let classes = Base::V2.classes();
    let senders = Senders::new(&lan, &classes);
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    vrrpd.until(State::Master);
    let adverts = own_adverts(&lan);
    let started = Instant::now();
    let mut all = classes.iter().cycle();
    for burst in 1..=1_000 {
        for class in all.by_ref().take(30) {
            senders.send(class);
        }
        let due = Duration::from_millis(10) * burst;
        sleep(due.saturating_sub(started.elapsed()));
    }
    let own = adverts.frames();
    assert!(own.len() >= 10, "{} adverts", own.len());
    let longest = longest_gap(&own);
    assert!(longest < Duration::from_millis(1_200), "{longest:?}");
    vrrpd.stayed_master();
    // Afterwards it hears as before.
    let good = Class {
        name: String::new(),
        ttl: 255,
        payload: Base::V2.good(),
    };
    senders.send(&good);
    vrrpd.until(State::Backup);
    until_address(&lan.router, "10.9.0.100", false);
}
