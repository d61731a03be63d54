//! Who becomes master, and when that changes.

use std::time::Duration;

use kr_test_netns::{ELECTION, Pair, instance, start};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::wait::throughout;

/// Twice the master-down time of the tests (3 x 1 s and the skew), with room for a busy machine.
const FAILOVER: Duration = Duration::from_secs(8);

/// The higher priority on `a` wins, then each way of losing it, and each way of getting it back.
fn pair(first: Peer, second: Peer) {
    let pair = Pair::new().unwrap();
    let mut a = start(first, &pair.a, &instance("MASTER", 150)).unwrap();
    let mut b = start(second, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    throughout(Duration::from_secs(4), "only a is master", || {
        pair.holder() == Some('a')
    })
    .unwrap();

    a.stop(FAILOVER).unwrap();
    let taken = pair.wait_holder('b', FAILOVER).unwrap();
    assert!(
        taken < Duration::from_secs(2),
        "priority 0 was not heard: {taken:?}"
    );

    let mut a = start(first, &pair.a, &instance("MASTER", 150)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();

    a.crash();
    pair.a
        .ip("address flush dev eth0\naddress add 192.168.77.1/24 dev eth0\n")
        .unwrap();
    pair.wait_holder('b', FAILOVER).unwrap();

    let _a = start(first, &pair.a, &instance("BACKUP", 150)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();

    b.stop(FAILOVER).unwrap();
    throughout(Duration::from_secs(4), "a stays master alone", || {
        pair.holder() == Some('a')
    })
    .unwrap();
}

#[test]
fn stock_and_stock_elect_fail_over_and_preempt() {
    pair(Stock, Stock);
}

#[test]
fn ours_as_master_and_stock_as_backup_elect_fail_over_and_preempt() {
    pair(Ours, Stock);
}

#[test]
fn stock_as_master_and_ours_as_backup_elect_fail_over_and_preempt() {
    pair(Stock, Ours);
}

#[test]
fn ours_and_ours_elect_fail_over_and_preempt() {
    pair(Ours, Ours);
}

/// With `nopreempt` the higher priority that comes later stays backup.
fn nopreempt(first: Peer, second: Peer) {
    let pair = Pair::new().unwrap();
    let _b = start(second, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('b', ELECTION).unwrap();
    let mut late = instance("BACKUP", 150);
    late.more.push("nopreempt");
    let _a = start(first, &pair.a, &late).unwrap();
    throughout(FAILOVER, "b stays master", || pair.holder() == Some('b')).unwrap();
}

#[test]
fn stock_with_nopreempt_leaves_stock_master() {
    nopreempt(Stock, Stock);
}

#[test]
fn ours_with_nopreempt_leaves_stock_master() {
    nopreempt(Ours, Stock);
}

/// Losing the link is a fault: the other takes over, and gives back after the link is up again.
fn link(first: Peer, second: Peer) {
    let pair = Pair::new().unwrap();
    let _a = start(first, &pair.a, &instance("MASTER", 150)).unwrap();
    let _b = start(second, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    pair.a.set_link("eth0", false).unwrap();
    pair.wait_holder('b', FAILOVER).unwrap();
    pair.a.set_link("eth0", true).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
}

#[test]
fn stock_without_link_gives_the_address_to_stock_until_the_link_is_back() {
    link(Stock, Stock);
}

#[test]
fn ours_without_link_gives_the_address_to_stock_until_the_link_is_back() {
    link(Ours, Stock);
}

/// A master that cannot set its address would be a hole that packets fall into.
#[test]
fn ours_whose_address_is_refused_leaves_it_to_stock() {
    let pair = Pair::new().unwrap();
    let mut refused = instance("MASTER", 150);
    // Only multicast addresses can be joined: the kernel refuses this line.
    refused.addresses = vec!["192.168.77.100/24 autojoin"];
    let a = start(Ours, &pair.a, &refused).unwrap();
    let _b = start(Stock, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('b', ELECTION).unwrap();
    throughout(Duration::from_secs(4), "b stays master", || {
        pair.holder() == Some('b')
    })
    .unwrap();
    assert!(
        a.log()
            .contains("none of its virtual addresses could be set"),
        "{}",
        a.log()
    );
}
