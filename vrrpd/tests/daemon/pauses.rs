//! A process that was not run for a while, as on a host that is short of time.

use std::fmt::Write;
use std::thread::sleep;
use std::time::Duration;

use kr_model::vrrp::State;
use kr_testkit::capture::VrrpSender;

use crate::adverts::BETTER;
use crate::harness::{Lan, OBSERVER, Vrrpd, instance, until_address};

#[test]
fn a_backup_hears_the_waiting_adverts_before_it_looks_at_its_timer() {
    let lan = Lan::new();
    let sender = VrrpSender::open(&lan.observer, OBSERVER, 255).unwrap();
    let advertise = |seconds: u32| {
        for _ in 0..seconds * 2 {
            sender.send(&BETTER).unwrap();
            sleep(Duration::from_millis(500));
        }
    };
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    advertise(1);
    vrrpd.pause(true);
    advertise(3);
    vrrpd.pause(false);
    advertise(3);
    assert_eq!(vrrpd.transitions(), [State::Backup]);
    // Its own timer works all the same.
    vrrpd.until(State::Master);
}

#[test]
fn lost_events_are_made_up_for_by_reading_the_tables() {
    let lan = Lan::new();
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.100", true);
    vrrpd.pause(true);
    // On this interface: the kernel keeps those of others to itself.
    let mut batch = String::new();
    for number in 0..5000 {
        let address = format!("10.50.{}.{}/32", number / 250, number % 250);
        writeln!(batch, "address add {address} dev eth0").unwrap();
        writeln!(batch, "address del {address} dev eth0").unwrap();
    }
    lan.router.ip(&batch).unwrap();
    lan.router
        .ip("address del 10.9.0.100/24 dev eth0\n")
        .unwrap();
    vrrpd.pause(false);
    until_address(&lan.router, "10.9.0.100", true);
    assert!(
        vrrpd.log().contains("messages of the kernel were lost"),
        "{}",
        vrrpd.log()
    );
    vrrpd.stayed_master();
    // Later events are followed as before.
    lan.router
        .ip("address del 10.9.0.100/24 dev eth0\n")
        .unwrap();
    until_address(&lan.router, "10.9.0.100", true);
}
