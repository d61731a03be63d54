//! `track_interface`: a link that carries no adverts decides who is master.

use std::time::Duration;

use kr_test_netns::{ELECTION, Pair, VIP, instance, start};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts};
use kr_testkit::wait::{eventually, throughout};

use crate::groups::pair;

const FAILOVER: Duration = Duration::from_secs(8);

fn decides(line: &'static str, first: Peer, second: Peer) {
    let pair = pair();
    let mut tracking = instance("BACKUP", 150);
    tracking.more.push(line);
    let _a = start(first, &pair.a, &tracking).unwrap();
    let _b = start(second, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    pair.a.set_link("eth1", false).unwrap();
    pair.wait_holder('b', FAILOVER).unwrap();
    pair.a.set_link("eth1", true).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
}

const WEIGHT: &str = "track_interface {\neth1 weight -100\n}";
const FAULT: &str = "track_interface {\neth1\n}";

#[test]
fn ours_with_less_priority_gives_way_to_stock_until_the_link_is_back() {
    decides(WEIGHT, Ours, Stock);
}

#[test]
fn stock_with_less_priority_gives_way_to_ours_until_the_link_is_back() {
    decides(WEIGHT, Stock, Ours);
}

#[test]
fn ours_with_a_fault_gives_way_to_stock_until_the_link_is_back() {
    decides(FAULT, Ours, Stock);
}

#[test]
fn stock_with_a_fault_gives_way_to_ours_until_the_link_is_back() {
    decides(FAULT, Stock, Ours);
}

#[test]
fn a_link_that_fails_for_a_moment_costs_nothing_with_delays() {
    let pair = Pair::new().unwrap();
    let delays = "interface_up_down_delays {\n    eth0 1.9 0.5\n}\n";
    let configuration = format!("{delays}{}", instance("BACKUP", 150));
    let router = Keepalived::start(Ours, &pair.a, Parts::Vrrp, &configuration).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    let before = router.logged("Entering");
    pair.a.set_link("eth0", false).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    pair.a.set_link("eth0", true).unwrap();
    let stays = || pair.a.has_address(VIP);
    throughout(Duration::from_secs(3), "the address stays", stays).unwrap();
    assert_eq!(router.logged("Entering"), before, "{}", router.log());
    // One that lasts is a fault, after its time.
    pair.a.set_link("eth0", false).unwrap();
    let fault = || router.logged("Entering FAULT") > 0;
    let passed = eventually(ELECTION, "a fault", fault).unwrap();
    assert!(passed > Duration::from_millis(1500), "{passed:?}");
}
