//! BFD with FRR's bfdd and with the distribution's keepalived: sessions come up, each end sees the other's
//! death within the detection time, and an instance and a checker follow.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use kr_test_netns::{Pair, VIP, instance};
use kr_testkit::frr::{Bfdd, Peer};
use kr_testkit::keepalived::Peer::{self as Whose, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts, Role};
use kr_testkit::wait::{eventually, throughout};

/// Time for sessions and the first election after them.
const START: Duration = Duration::from_secs(20);

/// The detection time of both ends is 150 ms; the rest is for a machine that does much else.
const NOTICED: Duration = Duration::from_millis(1500);

/// `bfd_instance` with 50 ms and a multiplier of 3.
fn session(name: &str, neighbor: &str, more: &str) -> String {
    format!(
        "bfd_instance {name} {{\nneighbor_ip {neighbor}\nmin_rx 50\nmin_tx 50\nmultiplier 3\n{more}\n}}\n"
    )
}

/// The instance of the tests, with further lines.
fn tracking(lines: &'static str) -> String {
    let mut tracking = instance("BACKUP", 150);
    tracking.more.push(lines);
    tracking.to_string()
}

/// The pair with IPv6 addresses too.
fn pair() -> Pair {
    let pair = Pair::new().unwrap();
    for (host, address) in [(&pair.a, "fd77::1/64"), (&pair.b, "fd77::2/64")] {
        host.ip(&format!("address add {address} dev eth0 nodad\n"))
            .unwrap();
    }
    pair
}

const FOUR: Peer = Peer {
    address: "192.168.77.1",
    local: "192.168.77.2",
    multihop: false,
};
const SIX: Peer = Peer {
    address: "fd77::1",
    local: "fd77::2",
    multihop: false,
};

fn up(frr: &Bfdd, peers: &[Peer]) {
    for peer in peers {
        let what = format!("the session of {} is up", peer.local);
        eventually(START, &what, || frr.is_up(peer.address)).unwrap();
    }
}

#[test]
fn frr_and_ours_see_each_others_end_and_the_instance_follows() {
    let pair = pair();
    let configuration = session("V4", "192.168.77.2", "source_ip 192.168.77.1")
        + &session("V6", "fd77::2", "")
        + &tracking("track_bfd {\nV4\nV6\n}");
    let mut ours = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &configuration).unwrap();
    let mut frr = Bfdd::start(&pair.b, &[FOUR, SIX]).unwrap();
    up(&frr, &[FOUR, SIX]);
    pair.wait_holder('a', START).unwrap();

    // A new process takes over without the neighbour's notice.
    let vrrpd = ours.child(Role::Vrrp).unwrap();
    kill(vrrpd, Signal::SIGKILL).unwrap();
    eventually(START, "a new vrrpd", || {
        ours.child(Role::Vrrp).is_some_and(|pid| pid != vrrpd)
    })
    .unwrap();
    throughout(Duration::from_secs(2), "the sessions stay up", || {
        frr.is_up(FOUR.address) && frr.is_up(SIX.address) && pair.a.has_address(VIP)
    })
    .unwrap();

    // A reload that changes intervals and leaves the other session alone.
    ours.reload(&configuration.replacen("min_tx 50", "min_tx 100", 1))
        .unwrap();
    eventually(START, "the reload", || {
        ours.logged("running configuration 2") == 1
    })
    .unwrap();
    throughout(Duration::from_secs(2), "the sessions stay up", || {
        frr.is_up(FOUR.address) && frr.is_up(SIX.address) && pair.a.has_address(VIP)
    })
    .unwrap();
    assert_eq!(
        (frr.downs(FOUR.address), frr.downs(SIX.address)),
        (Some(0), Some(0))
    );

    // Its death, seen by us.
    frr.kill();
    let killed = Instant::now();
    eventually(START, "the address leaves", || !pair.a.has_address(VIP)).unwrap();
    let seen = killed.elapsed();
    assert!(seen < NOTICED, "{seen:?}: {}", ours.log());
    assert!(
        ours.logged("is down: no packet came for") >= 1,
        "{}",
        ours.log()
    );

    // It comes back, and so does the instance.
    let frr = Bfdd::start(&pair.b, &[FOUR, SIX]).unwrap();
    up(&frr, &[FOUR, SIX]);
    pair.wait_holder('a', START).unwrap();

    // Our death, seen by it.
    ours.crash();
    eventually(NOTICED, "both sessions are down", || {
        !frr.is_up(FOUR.address) && !frr.is_up(SIX.address)
    })
    .unwrap();
    let expired = Some("control detection time expired".to_owned());
    assert_eq!(frr.diagnostic(FOUR.address), expired);
}

#[test]
fn frr_is_told_when_ours_stops_and_hears_a_passive_session_over_several_hops() {
    const FAR: Peer = Peer {
        multihop: true,
        ..FOUR
    };
    let pair = pair();
    let more = "source_ip 192.168.77.1\nmultihop\nmax_hops 255\npassive";
    let configuration = session("FAR", "192.168.77.2", more);
    let mut ours = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &configuration).unwrap();
    let frr = Bfdd::start(&pair.b, &[FAR]).unwrap();
    up(&frr, &[FAR]);
    ours.stop(START).unwrap();
    eventually(NOTICED, "the session is down", || !frr.is_up(FAR.address)).unwrap();
    let told = Some("administratively down".to_owned());
    assert_eq!(frr.remote_diagnostic(FAR.address), told);
}

/// Both ends are a keepalived with an instance that tracks the session; the end on `b` dies.
fn death_is_seen(survivor: Whose, victim: Whose) {
    let pair = pair();
    let start = |whose, host, neighbor: &str, own: &str| {
        let source = format!("source_ip {own}");
        let text = session("B", neighbor, &source) + &tracking("track_bfd {\nB\n}");
        Keepalived::start(whose, host, Parts::Vrrp, &text).unwrap()
    };
    let a = start(survivor, &pair.a, "192.168.77.2", "192.168.77.1");
    let mut b = start(victim, &pair.b, "192.168.77.1", "192.168.77.2");
    let entered = |one: &Keepalived, state: &str| one.logged(&format!("Entering {state} STATE"));
    // Without the session neither can become master.
    let masters = || entered(&a, "MASTER") + entered(&b, "MASTER");
    eventually(START, "a master", || masters() > 0).unwrap();
    let faults = entered(&a, "FAULT");
    b.crash();
    let killed = Instant::now();
    eventually(START, "the fault", || entered(&a, "FAULT") > faults).unwrap();
    let seen = killed.elapsed();
    assert!(seen < NOTICED, "{seen:?}: {}", a.log());
    assert!(!pair.a.has_address(VIP), "{}", a.log());
}

#[test]
fn ours_sees_the_death_of_stock() {
    death_is_seen(Ours, Stock);
}

#[test]
fn stock_sees_the_death_of_ours() {
    death_is_seen(Stock, Ours);
}

#[test]
fn a_bfd_check_follows_its_session_and_a_new_checker_process_is_told_again() {
    let pair = pair();
    let server = "virtual_server 192.168.77.100 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n\
                  real_server 192.168.77.2 80 {\nBFD_CHECK {\nname B\n}\n}\n}\n";
    let configuration = session("B", "192.168.77.2", "") + server;
    let ours = Keepalived::start(Ours, &pair.a, Parts::Checkers, &configuration).unwrap();
    let mut frr = Bfdd::start(&pair.b, &[FOUR]).unwrap();
    up(&frr, &[FOUR]);
    let check = "BFD_CHECK of [192.168.77.2]:tcp:80 in [192.168.77.100]:tcp:80";
    let succeeded = format!("{check} succeeded");
    let down = format!("{check} failed: BFD session B is not up; now down");
    eventually(START, "the check passes", || ours.logged(&succeeded) > 0).unwrap();
    let before = ours.logged(&down);

    let checkerd = ours.child(Role::Checker).unwrap();
    kill(checkerd, Signal::SIGKILL).unwrap();
    eventually(START, "a new checkerd", || {
        ours.child(Role::Checker).is_some_and(|pid| pid != checkerd)
    })
    .unwrap();
    frr.kill();
    let text = "the check fails";
    eventually(START, text, || ours.logged(&down) == before + 1).unwrap();
    let passed = ours.logged(&succeeded);
    let frr = Bfdd::start(&pair.b, &[FOUR]).unwrap();
    up(&frr, &[FOUR]);
    eventually(START, "the check passes again", || {
        ours.logged(&succeeded) > passed
    })
    .unwrap();
}
