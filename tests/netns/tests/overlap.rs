//! Two masters at a time: the winner announces and tells, until the other one is gone.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair, instance};
use kr_testkit::capture::{self, Capture, VrrpSender};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts};
use kr_testkit::wait::eventually;

/// An advert of priority 50 for router 55 with one address, as `a` is configured below.
const LOWER: [u8; 20] = [
    0x21, 55, 50, 1, 0, 1, 0x9e, 0xb9, 192, 168, 77, 100, 0, 0, 0, 0, 0, 0, 0, 0,
];

fn told_of_a_lower_master(peer: Peer) {
    let pair = Pair::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (script, notes) = (
        directory.path().join("note.sh"),
        directory.path().join("notes"),
    );
    fs::write(
        &script,
        format!("#!/bin/sh\necho lower >> {}\n", notes.display()),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut plain = instance("BACKUP", 150);
    plain.password = None;
    let text = plain.to_string().replacen(
        '{',
        &format!(
            "{{\n    notify_master_rx_lower_pri \"{}\"\n    garp_lower_prio_delay 0\n",
            script.display()
        ),
        1,
    );
    let text = format!("global_defs {{\n    script_user root\n}}\n{text}");
    let _a = Keepalived::start(peer, &pair.a, Parts::Vrrp, &text).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    sleep(Duration::from_secs(6));
    let vip = Ipv4Addr::new(192, 168, 77, 100);
    let announced = Capture::start(&pair.b, move |frame| capture::announces(frame, vip)).unwrap();
    let sender = VrrpSender::open(&pair.b, Ipv4Addr::new(192, 168, 77, 2), 255).unwrap();
    sender.send(&LOWER).unwrap();
    let read = || fs::read_to_string(&notes).unwrap_or_default();
    eventually(ELECTION, "the script", || read().starts_with("lower")).unwrap();
    eventually(ELECTION, "announcements", || announced.frames().len() >= 5).unwrap();
    if peer == Ours {
        // The other one is gone: told, and announced, once more.
        eventually(ELECTION, "the script again", || read() == "lower\nlower\n").unwrap();
        eventually(ELECTION, "announcements again", || {
            announced.frames().len() == 10
        })
        .unwrap();
    }
}

#[test]
fn stock_announces_and_tells_when_a_lower_master_is_heard() {
    told_of_a_lower_master(Stock);
}

#[test]
fn ours_announces_and_tells_when_a_lower_master_is_heard_and_when_it_is_gone() {
    told_of_a_lower_master(Ours);
}
