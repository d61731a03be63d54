//! `track_interface`: a link that carries no adverts decides who is master.

use std::time::Duration;

use kr_test_netns::{ELECTION, instance, start};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};

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
