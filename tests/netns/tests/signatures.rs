//! `auth_hmac` between two of ours: over both versions and families, with wrong keys, and against a replay.

use std::net::Ipv4Addr;
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair};
use kr_testkit::capture::{self, Capture, VrrpSender};
use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

/// Longer than a master-down time at the intervals of these tests.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

const KEY: &str = "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER: &str = "hex:ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn signed(key: &str) -> String {
    format!("auth_hmac {{\nkey 7 {key}\nactive_key 7\n}}\n")
}

fn start(host: &Host, priority: u8, address: &str, lines: &str) -> Keepalived {
    let text = format!(
        "vrrp_instance VI_1 {{\nstate BACKUP\ninterface eth0\nvirtual_router_id 55\npriority {priority}\n\
         {lines}\nvirtual_ipaddress {{\n{address}\n}}\n}}\n"
    );
    Keepalived::start(Peer::Ours, host, Parts::Vrrp, &text).unwrap()
}

/// The better router is master and the other one believes it; when it dies, the other one takes over.
fn elects(address: &str, lines: &str, ends: Option<[&str; 2]>) {
    let pair = Pair::new().unwrap();
    for (number, host) in [(1, &pair.a), (2, &pair.b)] {
        host.ip(&format!("address add fd77::{number}/64 dev eth0 nodad\n"))
            .unwrap();
    }
    let lines_of = |own: usize| {
        let unicast = ends.map_or_else(String::new, |ends| {
            format!(
                "unicast_src_ip {}\nunicast_peer {{\n{}\n}}\n",
                ends[own],
                ends[1 - own]
            )
        });
        format!("{lines}\n{unicast}{}", signed(KEY))
    };
    let mut a = start(&pair.a, 150, address, &lines_of(0));
    let b = start(&pair.b, 100, address, &lines_of(1));
    let ip = address.split_once('/').unwrap().0;
    let on = |a: bool, b: bool| pair.a.has_address(ip) == a && pair.b.has_address(ip) == b;
    eventually(ELECTION, "the address on a alone", || on(true, false)).unwrap();
    throughout(LONG_ENOUGH, "the address on a alone", || on(true, false)).unwrap();
    assert_eq!(b.logged("advert from"), 0, "{}", b.log());
    a.crash();
    eventually(ELECTION, "the address on b", || pair.b.has_address(ip)).unwrap();
}

#[test]
fn signed_adverts_of_version_2_elect() {
    elects("192.168.77.100/24", "advert_int 1", None);
}

#[test]
fn signed_adverts_of_version_3_elect() {
    elects("192.168.77.100/24", "version 3\nadvert_int 0.25", None);
}

#[test]
fn signed_adverts_over_ipv6_elect() {
    elects("fd77::100/64", "advert_int 0.25", None);
}

#[test]
fn signed_unicast_adverts_elect() {
    let ends = Some(["192.168.77.1", "192.168.77.2"]);
    elects("192.168.77.100/24", "version 3\nadvert_int 0.25", ends);
    let ends = Some(["fd77::1", "fd77::2"]);
    elects("fd77::100/64", "advert_int 0.25", ends);
}

#[test]
fn routers_with_different_keys_do_not_hear_each_other_and_say_why() {
    let pair = Pair::new().unwrap();
    let a = start(&pair.a, 150, "192.168.77.100/24", &signed(KEY));
    let b = start(&pair.b, 100, "192.168.77.100/24", &signed(OTHER));
    let both = || pair.a.has_address("192.168.77.100") && pair.b.has_address("192.168.77.100");
    eventually(ELECTION, "the address on both", both).unwrap();
    throughout(LONG_ENOUGH, "the address on both", both).unwrap();
    for router in [a, b] {
        let said = router.logged("its signature was not made with key 7 of auth_hmac here");
        assert!((1..=3).contains(&said), "{said}: {}", router.log());
    }
}

/// First a new key is known everywhere, then it is used, then the old one goes: nobody moves meanwhile.
#[test]
fn keys_are_changed_without_a_transition() {
    let pair = Pair::new().unwrap();
    let lines = |keys: &str, active: u8| format!("auth_hmac {{\n{keys}\nactive_key {active}\n}}\n");
    let (old, new) = (format!("key 1 {KEY}"), format!("key 2 {OTHER}"));
    let both = format!("{old}\n{new}");
    let text = |priority: u8, lines: &str| {
        format!(
            "vrrp_instance VI_1 {{\nstate BACKUP\ninterface eth0\nvirtual_router_id 55\npriority {priority}\n\
             {lines}\nvirtual_ipaddress {{\n192.168.77.100/24\n}}\n}}\n"
        )
    };
    let a = start(&pair.a, 150, "192.168.77.100/24", &lines(&old, 1));
    let b = start(&pair.b, 100, "192.168.77.100/24", &lines(&old, 1));
    pair.wait_holder('a', ELECTION).unwrap();
    for (keys, active) in [(&both, 1), (&both, 2), (&new, 2)] {
        for (router, priority) in [(&a, 150), (&b, 100)] {
            let before = router.logged("running configuration");
            router
                .reload(&text(priority, &lines(keys, active)))
                .unwrap();
            eventually(ELECTION, "the reload", || {
                router.logged("running configuration") > before
            })
            .unwrap();
        }
        throughout(LONG_ENOUGH, "the address on a", || {
            pair.holder() == Some('a')
        })
        .unwrap();
    }
    assert_eq!(b.logged("Entering MASTER STATE"), 0, "{}", b.log());
}

/// An advert of a dead master with priority 255 would make everybody wait for it, for ever.
#[test]
fn replayed_adverts_of_a_dead_master_keep_nobody_from_taking_over() {
    let pair = Pair::new().unwrap();
    let capture = Capture::start(&pair.b, capture::is_vrrp).unwrap();
    let mut a = start(&pair.a, 150, "192.168.77.100/24", &signed(KEY));
    let b = start(&pair.b, 100, "192.168.77.100/24", &signed(KEY));
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(ELECTION, "some adverts", || capture.frames().len() >= 3).unwrap();
    a.crash();
    let frames = capture.frames();
    // Behind the headers of Ethernet and IP; a crashed director keeps its address.
    let payload = frames.last().unwrap().bytes[34..].to_vec();
    assert_eq!(payload.len(), 8 + 4 + 8 + 28);
    let sender = VrrpSender::open(&pair.a, Ipv4Addr::new(192, 168, 77, 1), 255).unwrap();
    eventually(ELECTION, "b is master", || {
        sender.send(&payload).unwrap();
        b.logged("Entering MASTER STATE") == 1
    })
    .unwrap();
    throughout(LONG_ENOUGH, "b stays master", || {
        sender.send(&payload).unwrap();
        pair.b.has_address("192.168.77.100")
    })
    .unwrap();
    assert!(b.logged("it was sent before: a replay") >= 1, "{}", b.log());
}
