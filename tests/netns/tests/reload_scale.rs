//! A thousand instances and a reload: those that stay the same send every advert in time, and nothing is written to
//! the kernel for them.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use kr_test_netns::monitor::Monitor;
use kr_testkit::capture::{self, Capture};
use kr_testkit::keepalived::{Keepalived, Parts, Peer, Role};
use kr_testkit::netns::Network;
use kr_testkit::process::Process;
use kr_testkit::wait::eventually;
use nix::sys::signal::Signal;

/// Interfaces, and instances on each.
const LINKS: u8 = 4;
const EACH: u8 = 250;
const ALL: usize = LINKS as usize * EACH as usize;

/// For a thousand instances to become master, on a busy machine.
const START: Duration = Duration::from_secs(60);

/// One interval and a half.
const LONGEST: Duration = Duration::from_millis(1500);

/// Instances of each interface, but those in `without` as (interface, router id).
fn configuration(vrids: std::ops::RangeInclusive<u8>, without: &[(u8, u8)]) -> String {
    let mut text = String::new();
    for link in 0..LINKS {
        for vrid in vrids
            .clone()
            .filter(|vrid| !without.contains(&(link, *vrid)))
        {
            text += &format!(
                "vrrp_instance V{link}_{vrid} {{
                    interface eth{link}
                    virtual_router_id {vrid}
                    priority 255
                    advert_int 1
                    virtual_ipaddress {{
                        10.{link}.7.{vrid}/32
                    }}
                }}\n"
            );
        }
    }
    text
}

/// The virtual addresses of events, with more of the same one after another once.
fn addresses(events: &[String]) -> Vec<String> {
    let words = events
        .iter()
        .flat_map(|line| line.split(|c: char| c.is_whitespace() || c == '/'));
    let mut found: Vec<String> = words
        .filter(|word| word.split('.').nth(2) == Some("7"))
        .map(str::to_owned)
        .collect();
    found.dedup();
    found
}

/// The longest time between two adverts of each instance, by source and router id; the end counts as one.
fn gaps(capture: &Capture) -> BTreeMap<(Ipv4Addr, u8), Duration> {
    let frames = capture.frames();
    let end = frames.last().unwrap().at;
    let mut last: BTreeMap<(Ipv4Addr, u8), Instant> = BTreeMap::new();
    let mut longest = BTreeMap::new();
    for frame in &frames {
        let key = (capture::source(&frame.bytes).unwrap(), frame.bytes[35]);
        let before = last.insert(key, frame.at).unwrap_or(frame.at);
        let slot: &mut Duration = longest.entry(key).or_default();
        *slot = frame.at.duration_since(before).max(*slot);
    }
    for (key, at) in last {
        let slot = longest.entry(key).or_default();
        *slot = end.duration_since(at).max(*slot);
    }
    longest
}

/// Netlink requests of a process during `work` that are no questions, as strace shows their headers.
fn writes(process: nix::unistd::Pid, work: impl FnOnce()) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("strace");
    let mut command = Command::new("strace");
    command.args(["-q", "-e", "trace=sendto,sendmsg"]);
    command.arg("-o").arg(&log);
    command.arg("-p").arg(process.to_string());
    let mut strace = Process::spawn(&mut command, &directory.path().join("log")).unwrap();
    let text = || fs::read_to_string(&log).unwrap_or_default();
    // It is at work when it shows answers to pings of the parent; it ends with the process.
    eventually(START, "strace", || {
        text().contains("sendmsg(") || strace.exited().is_some()
    })
    .unwrap();
    work();
    strace.signal(Signal::SIGINT).ok();
    eventually(START, "the end of strace", || strace.exited().is_some()).unwrap();
    let text = text();
    let requests = text.split("{nlmsg_len=").skip(1);
    let headers = requests.filter_map(|request| request.split('}').next());
    headers
        .filter(|header| !header.contains("NLM_F_DUMP"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_thousand_instances_that_stay_the_same_do_not_notice_a_reload() {
    let network = Network::new().unwrap();
    let (a, b) = (network.host("a").unwrap(), network.host("b").unwrap());
    for link in 0..LINKS {
        let (segment, interface) = (format!("lan{link}"), format!("eth{link}"));
        network.segment(&segment).unwrap();
        for (host, last) in [(&a, 1), (&b, 2)] {
            let address = format!("10.{link}.0.{last}/24");
            network
                .connect(host, &interface, &segment, &[&address])
                .unwrap();
        }
    }
    let same = configuration(1..=EACH, &[]);
    let daemon = Keepalived::start(Peer::Ours, &a, Parts::Vrrp, &same).unwrap();
    let masters = || daemon.logged("Entering MASTER STATE") == ALL;
    eventually(START, "all to be master", masters).unwrap();
    // With the second round of their announcements.
    std::thread::sleep(Duration::from_secs(8));

    let seen = |frame: &[u8]| capture::is_vrrp(frame);
    let adverts = Capture::start(&b, seen).unwrap();
    let announcements = Capture::start(&b, |frame| frame.get(12..14) == Some(&[8, 6])).unwrap();
    let monitor = Monitor::start(&a, &["address", "route", "rule", "link"]).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let mut generation = 1;
    let mut reload = |text: &str| {
        generation += 1;
        daemon.reload(text).unwrap();
        let done = format!("reloaded: configuration {generation} is in force");
        eventually(START, &done, || daemon.logged(&done) == 1).unwrap();
        std::thread::sleep(Duration::from_secs(2));
    };
    for _ in 0..3 {
        reload(&same);
    }
    assert_eq!(addresses(&monitor.lines()), [""; 0]);
    assert!(announcements.frames().is_empty());
    // One goes and comes back: it alone.
    let gone = (2, 77);
    reload(&configuration(1..=EACH, &[gone]));
    reload(&same);
    assert_eq!(addresses(&monitor.lines()), ["10.2.7.77"]);
    let gaps = gaps(&adverts);
    assert_eq!(gaps.len(), ALL);
    let late = gaps
        .iter()
        .filter(|(key, gap)| **key != (Ipv4Addr::new(10, 2, 0, 1), 77) && **gap > LONGEST);
    let late: Vec<_> = late.collect();
    assert!(late.is_empty(), "{late:?}");
    let frames = announcements.frames();
    let strange = frames
        .iter()
        .filter(|frame| !capture::announces(&frame.bytes, Ipv4Addr::new(10, 2, 7, 77)))
        .filter(|frame| frame.bytes.get(30) == Some(&7));
    assert_eq!(strange.count(), 0);
    drop((adverts, announcements));

    // Also what makes no event. On a busy machine the parent may take a process that is traced for hung and
    // replace it; then there is nothing to see.
    let mut seen = None;
    for _ in 0..4 {
        eventually(START, "vrrpd", || daemon.child(Role::Vrrp).is_some()).unwrap();
        let vrrpd = daemon.child(Role::Vrrp);
        let of_none = writes(vrrpd.unwrap(), || reload(&same));
        let of_one = writes(vrrpd.unwrap(), || reload(&configuration(1..=EACH, &[gone])));
        if daemon.child(Role::Vrrp) == vrrpd {
            seen = Some((of_none, of_one));
            break;
        }
        reload(&same);
    }
    let (of_none, of_one) = seen.unwrap();
    assert_eq!(of_none, [""; 0]);
    // The address of the one that goes is removed, and strace sees that.
    assert_eq!(of_one.len(), 1, "{of_one:?}");
}

/// Advert interval of the instance beside many real servers, and the longest time between two of its adverts: one is
/// late by no more than one interval.
const SHORT: Duration = Duration::from_millis(10);
const SHORT_AND_LATE: Duration = Duration::from_millis(20);

/// An instance with that interval, and 10,000 real servers, some of which have this weight.
fn beside_real_servers(weight: u8) -> String {
    let mut text = "vrrp_instance V {
        version 3
        interface eth0
        virtual_router_id 7
        priority 200
        advert_int 0.01
        virtual_ipaddress {
            10.0.7.7/32
        }
    }\n"
    .to_owned();
    for pool in 0..100 {
        text += &format!(
            "virtual_server 10.42.0.{pool} 80 {{\ndelay_loop 600\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n"
        );
        for server in 0..100 {
            let weight = if server == 0 { weight } else { 1 };
            text += &format!(
                "real_server 127.1.{pool}.{server} 80 {{\nweight {weight}\nTCP_CHECK {{\nconnect_timeout 3\n}}\n}}\n"
            );
        }
        text += "}\n";
    }
    text
}

/// Anything may hold up a process of a busy machine once; a reload that holds up the adverts does it every time.
#[test]
fn a_reload_of_10000_real_servers_does_not_hold_up_an_instance_that_sends_every_10_ms() {
    let network = Network::new().unwrap();
    let (a, b) = (network.host("a").unwrap(), network.host("b").unwrap());
    network.segment("lan").unwrap();
    for (host, address) in [(&a, "10.0.0.1/24"), (&b, "10.0.0.2/24")] {
        network.connect(host, "eth0", "lan", &[address]).unwrap();
    }
    let text = [beside_real_servers(1), beside_real_servers(9)];
    let daemon = Keepalived::start(Peer::Ours, &a, Parts::Both, &text[0]).unwrap();
    let master = || daemon.logged("Entering MASTER STATE") == 1;
    eventually(START, "a master", master).unwrap();
    let up = "up: every process runs";
    eventually(START, up, || daemon.logged(up) == 1).unwrap();
    std::thread::sleep(Duration::from_secs(2));

    let mut longest = Vec::new();
    for turn in 1..=5 {
        let capture = Capture::start(&b, capture::is_vrrp).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        daemon.reload(&text[turn % 2]).unwrap();
        let done = format!("reloaded: configuration {} is in force", turn + 1);
        eventually(START, &done, || daemon.logged(&done) == 1).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let count = capture.frames().len();
        assert!(count >= 30, "{count} adverts every {SHORT:?}");
        longest.extend(gaps(&capture).into_values());
    }
    assert_eq!(longest.len(), 5, "one instance");
    assert!(longest.iter().min() <= Some(&SHORT_AND_LATE), "{longest:?}");
}
