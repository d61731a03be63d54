//! When a better router takes over, and how fast any does: `nopreempt`, `preempt_delay`, intervals below a second.

use std::time::{Duration, Instant};

use kr_test_netns::{ELECTION, Pair, instance, start};
use kr_testkit::keepalived::Instance;
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::wait::{eventually, throughout};

const FAILOVER: Duration = Duration::from_secs(8);

fn with(priority: u8, line: &'static str) -> Instance {
    let mut instance = instance("BACKUP", priority);
    instance.more.push(line);
    instance
}

/// The better router comes later and waits its `preempt_delay`, counted from the first advert it hears.
fn delayed(late: Peer, first: Peer) {
    let pair = Pair::new().unwrap();
    let _b = start(first, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('b', ELECTION).unwrap();
    let started = Instant::now();
    let _a = start(late, &pair.a, &with(150, "preempt_delay 6")).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    let waited = started.elapsed();
    // The delay, and then what is left of the master-down time.
    assert!(waited > Duration::from_secs(6), "{waited:?}");
    assert!(waited < Duration::from_secs(12), "{waited:?}");
}

#[test]
fn stock_with_preempt_delay_waits_before_it_takes_over_from_stock() {
    delayed(Stock, Stock);
}

#[test]
fn ours_with_preempt_delay_waits_before_it_takes_over_from_stock() {
    delayed(Ours, Stock);
}

#[test]
fn stock_with_preempt_delay_waits_before_it_takes_over_from_ours() {
    delayed(Stock, Ours);
}

/// With `nopreempt` the better one stays backup, and takes over when the master is gone all the same.
fn reluctant(late: Peer, first: Peer) {
    let pair = Pair::new().unwrap();
    let mut b = start(first, &pair.b, &with(100, "nopreempt")).unwrap();
    pair.wait_holder('b', ELECTION).unwrap();
    let _a = start(late, &pair.a, &with(150, "nopreempt")).unwrap();
    throughout(FAILOVER, "b stays master", || pair.holder() == Some('b')).unwrap();
    b.stop(FAILOVER).unwrap();
    pair.wait_holder('a', FAILOVER).unwrap();
    let _b = start(first, &pair.b, &with(100, "nopreempt")).unwrap();
    throughout(Duration::from_secs(5), "a stays master", || {
        pair.holder() == Some('a')
    })
    .unwrap();
}

#[test]
fn ours_with_nopreempt_waits_until_stock_is_gone() {
    reluctant(Ours, Stock);
}

#[test]
fn stock_with_nopreempt_waits_until_ours_is_gone() {
    reluctant(Stock, Ours);
}

/// Version 3 with short intervals: no take-over while the master lives, and a fast one when it dies.
fn fast(master: Peer, backup: Peer, interval: &str, limit: Duration) {
    let pair = Pair::new().unwrap();
    let quick = |priority| {
        let mut quick = instance("BACKUP", priority);
        quick.password = None;
        let text = quick.to_string();
        text.replace(
            "advert_int 1",
            &format!("version 3\n    advert_int {interval}"),
        )
    };
    let start = |peer, host, priority| {
        use kr_testkit::keepalived::{Keepalived, Parts};
        Keepalived::start(peer, host, Parts::Vrrp, &quick(priority)).unwrap()
    };
    let mut a = start(master, &pair.a, 150);
    pair.wait_holder('a', ELECTION).unwrap();
    let b = start(backup, &pair.b, 100);
    eventually(ELECTION, "a backup", || {
        b.logged("Entering BACKUP STATE") > 0
    })
    .unwrap();
    throughout(Duration::from_secs(5), "a stays master", || {
        pair.holder() == Some('a')
    })
    .unwrap();
    a.crash();
    let died = Instant::now();
    eventually(ELECTION, "b takes over", || {
        pair.b.has_address("192.168.77.100")
    })
    .unwrap();
    let took = died.elapsed();
    assert!(took < limit, "{took:?}");
}

/// Three intervals and a skew are 0.4 s; the rest is for a busy machine.
#[test]
fn ours_takes_over_from_stock_within_a_second_at_a_tenth_of_a_second() {
    fast(Stock, Ours, "0.1", Duration::from_secs(1));
}

#[test]
fn stock_takes_over_from_ours_within_a_second_at_a_tenth_of_a_second() {
    fast(Ours, Stock, "0.1", Duration::from_secs(1));
}

/// Three intervals and a skew are 0.2 s.
#[test]
fn ours_takes_over_from_ours_within_a_second_at_five_hundredths() {
    fast(Ours, Ours, "0.05", Duration::from_secs(1));
}

/// The routers do not hear each other for a while, and a neighbour hears both.
fn split(winner: Peer, loser: Peer) {
    let pair = Pair::new().unwrap();
    let neighbour = pair.network.host("c").unwrap();
    let address = ["192.168.77.3/24"];
    pair.network
        .connect(&neighbour, "eth0", "lan", &address)
        .unwrap();
    let _a = start(winner, &pair.a, &instance("BACKUP", 150)).unwrap();
    let _b = start(loser, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    let hardware = |host: &kr_testkit::netns::Host| {
        let text = host.run("cat", &["/sys/class/net/eth0/address"]).unwrap();
        text.trim().to_owned()
    };
    let (of_a, of_b) = (hardware(&pair.a), hardware(&pair.b));
    let known = || {
        neighbour
            .run("ip", &["neigh", "show", "192.168.77.100"])
            .unwrap()
    };
    // A neighbour that has used the address before takes announcements over.
    neighbour
        .ip(&format!(
            "neigh replace 192.168.77.100 lladdr {of_a} dev eth0 nud stale\n"
        ))
        .unwrap();
    pair.network.separate([0, 1], true).unwrap();
    eventually(ELECTION, "two masters", || {
        pair.a.has_address("192.168.77.100") && pair.b.has_address("192.168.77.100")
    })
    .unwrap();
    eventually(ELECTION, "the neighbour has learned the loser", || {
        known().contains(&of_b)
    })
    .unwrap();
    // Its second set of announcements is out too.
    std::thread::sleep(Duration::from_secs(6));
    pair.network.separate([0, 1], false).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(ELECTION, "the neighbour has learned the winner", || {
        known().contains(&of_a)
    })
    .unwrap_or_else(|error| panic!("{error}: {}", known()));
}

#[test]
fn after_a_split_of_ours_and_ours_the_neighbour_sends_to_the_winner() {
    split(Ours, Ours);
}

#[test]
fn after_a_split_of_stock_and_ours_the_neighbour_sends_to_the_winner() {
    split(Stock, Ours);
}
