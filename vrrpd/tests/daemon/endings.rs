//! However it ends, but for a kill: priority 0 is said, the addresses are gone.

use kr_ipc::edge::parentd_vrrpd::ToVrrpd;
use kr_model::Generation;
use kr_model::vrrp::State;

use crate::harness::{Lan, Vrrpd, instance, priorities, until_address, until_frame};

fn master(lan: &Lan) -> Vrrpd {
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.100", true);
    vrrpd
}

#[test]
fn stop_resigns_and_removes_the_address() {
    let lan = Lan::new();
    let adverts = lan.adverts();
    let mut vrrpd = master(&lan);
    vrrpd.send(&ToVrrpd::Stop);
    assert_eq!(vrrpd.ended().code(), Some(0), "{}", vrrpd.log());
    assert!(!lan.router.has_address("10.9.0.100"));
    assert_eq!(
        vrrpd.transitions(),
        [State::Backup, State::Master, State::Stop]
    );
    let frames = until_frame(&adverts, "priority 0", |frame| frame.bytes[36] == 0);
    let last = &frames.last().unwrap().bytes[34..];
    // As every second, but for the priority and so the checksum.
    assert_eq!(
        last,
        [
            0x21, 51, 0, 1, 0, 1, 0xd4, 0x5d, 10, 9, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0
        ]
    );
    assert_eq!(
        priorities(&frames)
            .iter()
            .filter(|priority| **priority == 0)
            .count(),
        1
    );
}

#[test]
fn the_death_of_the_parent_is_a_clean_leave() {
    let lan = Lan::new();
    let adverts = lan.adverts();
    let status = master(&lan).ended_by_parents_death();
    assert_eq!(status.code(), Some(0));
    assert!(!lan.router.has_address("10.9.0.100"));
    until_frame(&adverts, "priority 0", |frame| frame.bytes[36] == 0);
}

#[test]
fn a_parent_that_breaks_the_order_of_messages_finds_everything_as_it_was_for_a_successor() {
    let lan = Lan::new();
    let mut vrrpd = master(&lan);
    let adverts = lan.adverts();
    vrrpd.send(&ToVrrpd::Commit(Generation(9)));
    assert_eq!(vrrpd.ended().code(), Some(1));
    assert!(lan.router.has_address("10.9.0.100"));
    assert!(!priorities(&adverts.frames()).contains(&0));
    assert!(vrrpd.log().contains("the parent sent"), "{}", vrrpd.log());
}
