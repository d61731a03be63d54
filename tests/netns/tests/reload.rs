//! Reloads on the wire and in the kernel, beside the distribution's keepalived: what changes is there at once,
//! nobody else becomes master, and what does not change is not noticed. Each is a failure that operators met.

use std::time::Duration;

use kr_test_netns::{ELECTION, Pair};
use kr_testkit::capture::{self, Capture};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts, Role};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

const SOON: Duration = Duration::from_secs(10);

/// Longer than the master-down time at one advert a second.
const DOWN: Duration = Duration::from_secs(5);

/// An instance `V{name}` on `eth0` with one address.
fn router(name: u8, vrid: u8, priority: u8, address: u8) -> String {
    format!(
        "vrrp_instance V{name} {{
            state BACKUP
            interface eth0
            virtual_router_id {vrid}
            priority {priority}
            advert_int 1
            virtual_ipaddress {{
                192.168.77.{address}/24
            }}
        }}\n"
    )
}

fn start(peer: Peer, host: &Host, text: &str) -> Keepalived {
    Keepalived::start(peer, host, Parts::Vrrp, text).unwrap()
}

fn holds(host: &Host, addresses: &[u8]) -> bool {
    let has = |last| host.has_address(&format!("192.168.77.{last}"));
    addresses.iter().all(|last| has(*last))
}

fn holds_none(host: &Host, addresses: &[u8]) -> bool {
    addresses.iter().all(|last| !holds(host, &[*last]))
}

/// The addresses are on `a`, and stay there alone while `b` waits long enough to become master.
fn stay_on_a(pair: &Pair, addresses: &[u8]) {
    throughout(DOWN, "the addresses stay", || {
        holds(&pair.a, addresses) && holds_none(&pair.b, addresses)
    })
    .unwrap();
}

/// Each host as it is at first: `a` with the better priority holds everything.
fn both(pair: &Pair, addresses: &[u8], text: impl Fn(u8) -> String) -> [Keepalived; 2] {
    let a = start(Ours, &pair.a, &text(150));
    let b = start(Stock, &pair.b, &text(100));
    eventually(ELECTION, "the addresses on a", || {
        holds(&pair.a, addresses) && holds_none(&pair.b, addresses)
    })
    .unwrap();
    [a, b]
}

#[test]
fn swapped_router_ids_leave_both_addresses_where_they_are() {
    let pair = Pair::new().unwrap();
    let text = |priority, [one, two]: [u8; 2]| {
        router(1, one, priority, 101) + &router(2, two, priority, 102)
    };
    let [a, b] = both(&pair, &[101, 102], |priority| text(priority, [10, 20]));
    a.reload(&text(150, [20, 10])).unwrap();
    b.reload(&text(100, [20, 10])).unwrap();
    stay_on_a(&pair, &[101, 102]);
    assert_eq!(a.logged("Entering BACKUP"), 2, "{}", a.log());
}

#[test]
fn members_of_a_group_come_and_go_without_a_transition() {
    let pair = Pair::new().unwrap();
    let text = |priority, members: &str| {
        let routers: String = (1..=3)
            .map(|n| router(n, n * 10, priority, 100 + n))
            .collect();
        let group = match members {
            "" => String::new(),
            members => format!("vrrp_sync_group G {{\n group {{\n {members}\n }}\n}}\n"),
        };
        group + &routers
    };
    let all = [101, 102, 103];
    let [a, b] = both(&pair, &all, |priority| text(priority, "V1\nV2"));
    for members in ["V1\nV2\nV3", "V2\nV3", "", "V1\nV2"] {
        let before = a.logged("Entering");
        a.reload(&text(150, members)).unwrap();
        b.reload(&text(100, members)).unwrap();
        stay_on_a(&pair, &all);
        assert_eq!(a.logged("Entering"), before, "{members:?}: {}", a.log());
    }
}

#[test]
fn the_first_instance_comes_and_the_last_one_goes_by_a_reload() {
    let pair = Pair::new().unwrap();
    let service = "virtual_server 192.168.77.200 80 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
                   real_server 192.168.77.2 80 {\n }\n}\n";
    let with = |priority| service.to_owned() + &router(1, 10, priority, 101);
    let a = Keepalived::start(Ours, &pair.a, Parts::Both, service).unwrap();
    let _b = start(Stock, &pair.b, &router(1, 10, 100, 101));
    eventually(ELECTION, "the address on b", || holds(&pair.b, &[101])).unwrap();
    assert_eq!(a.child(Role::Vrrp), None);
    for _ in 0..2 {
        a.reload(&with(150)).unwrap();
        let on_a = || holds(&pair.a, &[101]) && holds_none(&pair.b, &[101]);
        eventually(ELECTION, "the address on a", on_a).unwrap();
        let capture = Capture::start(&pair.b, capture::is_vrrp).unwrap();
        a.reload(service).unwrap();
        let left = || holds_none(&pair.a, &[101]) && a.child(Role::Vrrp).is_none();
        eventually(SOON, "vrrpd to leave", left).unwrap();
        // It says that it leaves, so nobody waits for the master-down time.
        let resigned = || {
            let frames = capture.frames();
            frames.iter().any(|frame| frame.bytes[36] == 0)
        };
        eventually(SOON, "an advert of priority 0", resigned).unwrap();
        eventually(Duration::from_secs(3), "the address on b", || {
            holds(&pair.b, &[101])
        })
        .unwrap();
    }
}

#[test]
fn changed_addresses_are_there_at_once_and_announced_and_nobody_becomes_master() {
    let pair = Pair::new().unwrap();
    let [a, b] = both(&pair, &[101], |priority| router(1, 10, priority, 101));
    let announced =
        |last: u8| move |frame: &[u8]| capture::announces(frame, [192, 168, 77, last].into());
    // The announcements of the start are over.
    std::thread::sleep(Duration::from_secs(6));
    let news = Capture::start(&pair.b, announced(102)).unwrap();
    let both_now =
        |priority| router(1, 10, priority, 101).replace("101/24\n", "101/24\n192.168.77.102/24\n");
    let old = Capture::start(&pair.b, announced(101)).unwrap();
    a.reload(&both_now(150)).unwrap();
    b.reload(&both_now(100)).unwrap();
    eventually(SOON, "the new address", || holds(&pair.a, &[101, 102])).unwrap();
    eventually(SOON, "its announcement", || !news.frames().is_empty()).unwrap();
    stay_on_a(&pair, &[101, 102]);
    assert!(old.frames().is_empty(), "what stays is not announced again");
    let other = |priority| router(1, 10, priority, 102);
    a.reload(&other(150)).unwrap();
    b.reload(&other(100)).unwrap();
    eventually(SOON, "the old address to go", || {
        holds_none(&pair.a, &[101])
    })
    .unwrap();
    stay_on_a(&pair, &[102]);
    for daemon in [&a, &b] {
        assert_eq!(
            daemon.logged("Entering"),
            1 + usize::from(daemon.pid() == a.pid())
        );
    }
}

/// How long no advert of host `a` came, at most.
fn longest_silence(capture: &Capture) -> Duration {
    let frames = capture.frames();
    let ours = frames
        .iter()
        .filter(|frame| capture::source(&frame.bytes) == Some([192, 168, 77, 1].into()));
    let times: Vec<_> = ours.map(|frame| frame.at).collect();
    let gaps = times.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    gaps.max().unwrap()
}

#[test]
fn a_master_with_a_hundred_addresses_that_come_by_a_reload_stays_master() {
    let pair = Pair::new().unwrap();
    let many = |priority, count: u8| {
        let lines: String = (101..101 + count)
            .map(|last| format!("192.168.77.{last}/24\n"))
            .collect();
        router(1, 10, priority, 101).replace("192.168.77.101/24\n", &lines)
    };
    let [a, b] = both(&pair, &[101], |priority| many(priority, 1));
    let capture = Capture::start(&pair.b, capture::is_vrrp).unwrap();
    a.reload(&many(150, 100)).unwrap();
    b.reload(&many(100, 100)).unwrap();
    eventually(SOON, "the last address", || holds(&pair.a, &[200])).unwrap();
    stay_on_a(&pair, &[101, 200]);
    let silence = longest_silence(&capture);
    assert!(silence < Duration::from_millis(1500), "{silence:?}");
}
