//! An upgrade in place, beside the distribution's keepalived: it notices nothing.

use std::fs;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use kr_test_netns::{ELECTION, Pair, VIP, instance, start};
use kr_testkit::binaries;
use kr_testkit::capture::{self, Capture, Frame};
use kr_testkit::keepalived::Peer::{Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Role};
use kr_testkit::wait::eventually;

/// How often it is upgraded.
const UPGRADES: usize = 3;

/// Upgrades a daemon to the version that it is, and waits until that runs.
fn upgrade(daemon: &Keepalived) -> io::Result<()> {
    let before = daemon.child(Role::Vrrp);
    let output = Command::new(binaries::path("keepalived-rs")?)
        .arg("--upgrade")
        .arg("--pid")
        .arg(daemon.directory().join("parent.pid"))
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{output:?}\n{}", daemon.log())));
    }
    let after = daemon.child(Role::Vrrp);
    if after.is_none() || after == before {
        return Err(io::Error::other("vrrpd was not replaced"));
    }
    Ok(())
}

/// The adverts that a router sent: its address ends so.
fn adverts(frames: &[Frame], last_byte: u8) -> Vec<&Frame> {
    let from = frames.iter().filter(|frame| frame.bytes[29] == last_byte);
    from.collect()
}

/// The priority of an advert of version 2 or 3, over IPv4 without options.
fn priority(frame: &Frame) -> u8 {
    frame.bytes[14 + 20 + 2]
}

fn longest_gap(frames: &[&Frame]) -> Duration {
    let pairs = frames.windows(2);
    let gaps = pairs.map(|pair| pair[1].at.duration_since(pair[0].at));
    gaps.max().unwrap()
}

#[test]
fn upgrade_of_a_master_costs_no_advert_and_the_stock_backup_sees_nothing() {
    let pair = Pair::new().unwrap();
    let ours = start(Ours, &pair.a, &instance("MASTER", 150)).unwrap();
    let stock = start(Stock, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(ELECTION, "up", || ours.logged("up: every process") > 0).unwrap();
    let transitions = stock.logged("Entering");
    let capture = Capture::start(&pair.b, capture::is_vrrp).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let pid = fs::read_to_string(ours.directory().join("parent.pid")).unwrap();
    for _ in 0..UPGRADES {
        upgrade(&ours).unwrap();
        assert!(pair.a.has_address(VIP));
        std::thread::sleep(Duration::from_millis(700));
    }
    std::thread::sleep(Duration::from_secs(1));
    let frames = capture.frames();
    assert_eq!(adverts(&frames, 2).len(), 0, "{}", stock.log());
    let ours_sent = adverts(&frames, 1);
    assert!(ours_sent.iter().all(|frame| priority(frame) == 150));
    let gap = longest_gap(&ours_sent);
    assert!(gap < Duration::from_millis(1_500), "no advert for {gap:?}");
    assert_eq!(stock.logged("Entering"), transitions, "{}", stock.log());
    assert_eq!(
        fs::read_to_string(ours.directory().join("parent.pid")).unwrap(),
        pid
    );
}

#[test]
fn upgrade_of_a_backup_leaves_the_stock_master_alone_and_takes_over_in_time_afterwards() {
    let pair = Pair::new().unwrap();
    let mut stock = start(Stock, &pair.a, &instance("MASTER", 150)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    let ours = start(Ours, &pair.b, &instance("BACKUP", 100)).unwrap();
    eventually(ELECTION, "up", || ours.logged("up: every process") > 0).unwrap();
    let capture = Capture::start(&pair.a, capture::is_vrrp).unwrap();
    for _ in 0..UPGRADES {
        upgrade(&ours).unwrap();
    }
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(adverts(&capture.frames(), 2).len(), 0, "{}", ours.log());
    assert_eq!(pair.holder(), Some('a'));
    // What it knows of the master it still knows.
    upgrade(&ours).unwrap();
    stock.crash();
    pair.a
        .ip(&format!("address del {VIP}/24 dev eth0\n"))
        .unwrap();
    let crashed = Instant::now();
    pair.wait_holder('b', ELECTION).unwrap();
    // 3 s and the skew of 0.6 s, from the last advert on.
    let took = crashed.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
