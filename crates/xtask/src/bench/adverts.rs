//! Adverts of many virtual routers: what each costs to send as master and to hear as backup, and how even the
//! intervals are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use kr_testkit::capture::{Capture, Frame, is_vrrp, source};
use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::{Host, Network};
use kr_testkit::wait::eventually;

use super::usage::{Usage, anonymous_mib, system_calls};
use super::{Beside, Figure, Row, figure};

/// Length of a measurement; of one with few adverts, so that what happens every few seconds counts as often as it does.
const MEASURED: Duration = Duration::from_secs(10);
const MEASURED_OF_FEW: Duration = Duration::from_secs(30);

/// Length of the count of system calls, which slows the program down and so has a time of its own.
const TRACED: Duration = Duration::from_secs(3);

/// Virtual routers on one interface; there are 255 router ids.
const PER_LINK: u32 = 250;

const START: Duration = Duration::from_secs(90);

pub(super) const MASTER_1000_FAST: Row = Row {
    heading: "adverts sent by 1,000 masters every 0.1 s",
    beside: Beside::Here,
    measure: |peer| sent(peer, 1000, 10),
};

pub(super) const BACKUP_1000_FAST: Row = Row {
    heading: "adverts heard by 1,000 backups every 0.1 s",
    beside: Beside::Here,
    measure: |peer| heard(peer, 1000, 10),
};

pub(super) const MASTER_1000: Row = Row {
    heading: "adverts sent by 1,000 masters every second",
    beside: Beside::Here,
    measure: |peer| sent(peer, 1000, 100),
};

pub(super) const BACKUP_1000: Row = Row {
    heading: "adverts heard by 1,000 backups every second",
    beside: Beside::Here,
    measure: |peer| heard(peer, 1000, 100),
};

pub(super) const MASTER_250_FAST: Row = Row {
    heading: "adverts sent by 250 masters every 0.1 s",
    beside: Beside::Here,
    measure: |peer| sent(peer, 250, 10),
};

pub(super) const BACKUP_250_FAST: Row = Row {
    heading: "adverts heard by 250 backups every 0.1 s",
    beside: Beside::Here,
    measure: |peer| heard(peer, 250, 10),
};

pub(super) const MASTER_ONE: Row = Row {
    heading: "adverts sent by one master every second",
    beside: Beside::Here,
    measure: |peer| sent(peer, 1, 100),
};

pub(super) const BACKUP_ONE: Row = Row {
    heading: "adverts heard by one backup every second",
    beside: Beside::Here,
    measure: |peer| heard(peer, 1, 100),
};

/// Two hosts with as many links between them as the routers need.
pub(super) struct Pair {
    pub(super) a: Host,
    pub(super) b: Host,
    _network: Network,
}

impl Pair {
    pub(super) fn new(routers: u32) -> io::Result<Self> {
        let network = Network::new()?;
        let (a, b) = (network.host("a")?, network.host("b")?);
        for link in 0..links(routers) {
            let addresses = [format!("10.{link}.0.1/16"), format!("10.{link}.0.2/16")];
            let [first, second] = &addresses;
            network.cable([&a, &b], &format!("eth{link}"), [first, second])?;
        }
        Ok(Self {
            a,
            b,
            _network: network,
        })
    }
}

const fn links(routers: u32) -> u32 {
    routers.div_ceil(PER_LINK)
}

/// Virtual routers of one priority, with one address each.
fn configuration(routers: u32, centiseconds: u32, priority: u8) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    // keepalived takes an owner for one at the start only when it is told so.
    let state = if priority == u8::MAX {
        "MASTER"
    } else {
        "BACKUP"
    };
    for number in 0..routers {
        let (link, vrid) = (number / PER_LINK, number % PER_LINK + 1);
        write!(
            text,
            "vrrp_instance V{number} {{\n    version 3\n    state {state}\n    interface eth{link}\n    \
             virtual_router_id {vrid}\n    priority {priority}\n    advert_int {}.{:02}\n    \
             virtual_ipaddress {{\n        10.{link}.1.{vrid}/16\n    }}\n}}\n",
            centiseconds / 100,
            centiseconds % 100
        )?;
    }
    Ok(text)
}

/// Starts these on a host.
pub(super) fn start(
    peer: Peer,
    host: &Host,
    (routers, centiseconds): (u32, u32),
    priority: u8,
) -> io::Result<Keepalived> {
    let text = configuration(routers, centiseconds, priority).map_err(io::Error::other)?;
    Keepalived::start(peer, host, Parts::Vrrp, &text)
}

/// Waits until so many lines say this.
pub(super) fn wait_for(running: &Keepalived, what: &str, routers: u32) -> io::Result<()> {
    let wanted = usize::try_from(routers).map_err(io::Error::other)?;
    eventually(START, what, || running.logged(what) >= wanted).map(drop)
}

const fn measured(routers: u32) -> Duration {
    if routers > 1 {
        MEASURED
    } else {
        MEASURED_OF_FEW
    }
}

/// As master, with nobody else there.
fn sent(peer: Peer, routers: u32, centiseconds: u32) -> io::Result<Vec<Figure>> {
    let pair = Pair::new(routers)?;
    let running = start(peer, &pair.a, (routers, centiseconds), 200)?;
    wait_for(&running, "MASTER STATE", routers)?;
    sleep(Duration::from_secs(6));
    let capture = Capture::start(&pair.b, is_vrrp)?;
    let before = Usage::of(&running);
    sleep(measured(routers));
    let used = Usage::of(&running).since(before);
    let frames = capture.frames();
    let (median, worst) = jitter(&frames, centiseconds);
    drop(capture);
    let adverts = count(frames.len())?;
    let rate = adverts / measured(routers).as_secs_f64();
    let calls = system_calls(&running, TRACED)?;
    let mut figures = costs(&running, used, adverts, rate, calls);
    figures.push(figure("interval off by, median, ms", median));
    figures.push(figure("interval off by, 99 of 100, ms", worst));
    Ok(figures)
}

/// As backup of a master that is ours, so that both hear the same.
fn heard(peer: Peer, routers: u32, centiseconds: u32) -> io::Result<Vec<Figure>> {
    let pair = Pair::new(routers)?;
    let master = start(Peer::Ours, &pair.a, (routers, centiseconds), 200)?;
    wait_for(&master, "MASTER STATE", routers)?;
    let running = start(peer, &pair.b, (routers, centiseconds), 100)?;
    wait_for(&running, "BACKUP STATE", routers)?;
    sleep(Duration::from_secs(6));
    let capture = Capture::start(&pair.b, is_vrrp)?;
    let before = Usage::of(&running);
    sleep(measured(routers));
    let used = Usage::of(&running).since(before);
    let adverts = count(capture.frames().len())?;
    drop(capture);
    let rate = adverts / measured(routers).as_secs_f64();
    let calls = system_calls(&running, TRACED)?;
    if running.logged("MASTER STATE") > 0 {
        return Err(io::Error::other(
            "a backup became master while its master lived",
        ));
    }
    Ok(costs(&running, used, adverts, rate, calls))
}

fn costs(running: &Keepalived, used: Usage, adverts: f64, rate: f64, calls: u32) -> Vec<Figure> {
    vec![
        figure("adverts per second", rate),
        figure("CPU per advert, us", used.cpu.as_secs_f64() * 1e6 / adverts),
        figure(
            "system calls per advert",
            f64::from(calls) / (rate * TRACED.as_secs_f64()),
        ),
        figure("anonymous memory, MiB", anonymous_mib(running)),
    ]
}

fn count(frames: usize) -> io::Result<f64> {
    match u32::try_from(frames) {
        Ok(frames) if frames > 0 => Ok(f64::from(frames)),
        _ => Err(io::Error::other("no adverts were captured")),
    }
}

/// The virtual router of a frame with an advert: source address and router id of an IPv4 packet behind an Ethernet
/// header.
pub(super) fn router(frame: &Frame) -> Option<(Ipv4Addr, u8)> {
    Some((source(&frame.bytes)?, *frame.bytes.get(35)?))
}

/// How far the intervals of each router are from what they should be, in milliseconds: the median, and what 99 of
/// 100 stay below.
pub(super) fn jitter(frames: &[Frame], centiseconds: u32) -> (f64, f64) {
    let wanted = Duration::from_millis(u64::from(centiseconds) * 10);
    let mut last = BTreeMap::new();
    let off = frames.iter().filter_map(|frame| {
        let before = last.insert(router(frame)?, frame.at)?;
        Some(frame.at.duration_since(before).abs_diff(wanted))
    });
    median_and_99(off.collect())
}

/// In milliseconds: the median of some times, and what 99 of 100 stay below.
pub(super) fn median_and_99(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |percent: usize| {
        let place = times.len().saturating_sub(1) * percent / 100;
        times
            .get(place)
            .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    (at(50), at(99))
}
