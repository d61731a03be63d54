//! A successor of a killed process goes on where that one was.

use std::time::Duration;

use kr_model::vrrp::State;
use kr_testkit::process::Process;
use kr_testkit::wait::eventually;

use crate::harness::{Lan, PATIENCE, Vrrpd, instance, ip, longest_gap, priorities, until_address};

#[test]
fn a_killed_master_is_succeeded_without_a_gap() {
    let lan = Lan::new();
    let adverts = lan.adverts();
    let vi = || instance(&["10.9.0.100/24"]);
    let mut vrrpd = Vrrpd::with(&lan.router, vi());
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.100", true);

    let directory = tempfile::tempdir().unwrap();
    let mut monitor = lan.router.command("ip");
    monitor.args(["monitor", "address"]);
    let monitor = Process::spawn(&mut monitor, &directory.path().join("log")).unwrap();
    for _ in 0..5 {
        let snapshot = vrrpd.snapshot();
        let seen = adverts.frames().len();
        vrrpd.kill();
        vrrpd = Vrrpd::start(&lan.router);
        vrrpd.configure(vec![vi()], vec![snapshot]);
        eventually(PATIENCE, "an advert of the successor", || {
            adverts.frames().len() > seen
        })
        .unwrap();
    }
    // The monitor itself is shown to work last.
    ip(
        &lan.router,
        &["address", "add", "10.9.0.55/32", "dev", "eth0"],
    );
    eventually(PATIENCE, "the monitor's line", || {
        monitor.log().contains("10.9.0.55")
    })
    .unwrap();
    assert!(!monitor.log().contains("10.9.0.100"), "{}", monitor.log());
    assert_eq!(vrrpd.transitions(), [], "a successor enters no state");
    let frames = adverts.frames();
    assert!(!priorities(&frames).contains(&0));
    // A backup with default settings waits more than three seconds.
    assert!(longest_gap(&frames) < Duration::from_millis(2500));
}

#[test]
fn a_killed_backup_is_succeeded_by_a_backup() {
    let lan = Lan::new();
    let mut vi = instance(&["10.9.0.100/24"]);
    vi.down_timer_adverts = 100;
    let mut vrrpd = Vrrpd::with(&lan.router, vi.clone());
    vrrpd.until(State::Backup);
    let snapshot = vrrpd.snapshot();
    vrrpd.kill();
    let mut vrrpd = Vrrpd::start(&lan.router);
    vrrpd.configure(vec![vi], vec![snapshot]);
    assert_eq!(vrrpd.transitions(), []);
    assert!(!lan.router.has_address("10.9.0.100"));
}
