//! kill -9 of our children moves nothing.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use kr_test_netns::{ELECTION, Pair, VIP, instance, start};
use kr_testkit::capture::{self, Capture};
use kr_testkit::keepalived::Peer::{Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts, Role};
use kr_testkit::wait::{eventually, throughout};

/// How often each child is killed.
const KILLS: usize = 20;

/// Kills one child again and again and checks that the address stays and the peer sees no change.
fn kills(role: Role) {
    let pair = Pair::new().unwrap();
    let configuration = format!(
        "{}\nvirtual_server 192.168.77.100 80 {{\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    \
         real_server 192.168.77.2 80 {{\n        TCP_CHECK {{\n            connect_timeout 1\n        }}\n    }}\n}}\n",
        instance("MASTER", 150)
    );
    let ours = Keepalived::start(Ours, &pair.a, Parts::Both, &configuration).unwrap();
    let stock = start(Stock, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(ELECTION, "the child", || ours.child(role).is_some()).unwrap();
    let transitions = stock.logged("Entering");
    let capture = Capture::start(&pair.b, capture::is_vrrp).unwrap();
    for _ in 0..KILLS {
        let before = ours.child(role).unwrap();
        kill(before, Signal::SIGKILL).unwrap();
        let watched = Instant::now();
        eventually(Duration::from_secs(3), "a new child", || {
            assert!(pair.a.has_address(VIP), "the address left");
            ours.child(role).is_some_and(|pid| pid != before)
        })
        .unwrap();
        let rest = Duration::from_millis(1500).saturating_sub(watched.elapsed());
        throughout(rest, "the address stays", || pair.a.has_address(VIP)).unwrap();
    }
    assert_eq!(stock.logged("Entering"), transitions, "{}", stock.log());
    let frames = capture.frames();
    let from_peer = frames.iter().filter(|frame| frame.bytes[29] == 2).count();
    assert_eq!(from_peer, 0, "the peer sent adverts");
    let longest = frames
        .windows(2)
        .map(|pair| pair[1].at.duration_since(pair[0].at))
        .max()
        .unwrap();
    assert!(
        longest < Duration::from_secs(3),
        "no advert for {longest:?}"
    );
}

#[test]
fn killing_vrrpd_twenty_times_moves_nothing() {
    kills(Role::Vrrp);
}

#[test]
fn killing_checkerd_twenty_times_moves_nothing() {
    kills(Role::Checker);
}

#[test]
fn killing_ipvsd_twenty_times_moves_nothing() {
    kills(Role::Ipvs);
}
