//! Take-over after `kill -9` of the master: how long after the moment at which the backup's timer should fire its
//! address is on.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_model::units::Vrid;
use kr_testkit::capture::{Capture, Frame, VRRP_GROUP, VrrpSender, is_vrrp};
use kr_testkit::keepalived::Peer;
use kr_wire::advert::{ADVERTISEMENT, Advert, Body, Ends, emit};

use super::adverts::{Pair, median_and_99, router, start, wait_for};
use super::moments::Addresses;
use super::{Beside, Figure, Row, figure};

/// Priority of the backup; the master is an address owner, which needs no time to become one.
const BACKUP: u8 = 100;
const OWNER: u8 = 255;

pub(super) const SLOW: Row = Row {
    heading: "failover with advert_int 1",
    beside: Beside::Here,
    measure: |peer| measure(peer, 100),
};

pub(super) const FAST: Row = Row {
    heading: "failover with advert_int 0.1",
    beside: Beside::Here,
    measure: |peer| measure(peer, 10),
};

pub(super) const FASTER: Row = Row {
    heading: "failover with advert_int 0.03",
    beside: Beside::Here,
    measure: |peer| measure(peer, 3),
};

pub(super) const FASTEST: Row = Row {
    heading: "failover with advert_int 0.01",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1),
};

pub(super) const MANY: Row = Row {
    heading: "failover of 250 at once",
    beside: Beside::Here,
    measure: at_once,
};

/// Kills a master of ours twenty times and lets the program take over.
fn measure(peer: Peer, centiseconds: u32) -> io::Result<Vec<Figure>> {
    let pair = Pair::new(1)?;
    let interval = Duration::from_millis(u64::from(centiseconds) * 10);
    let backup = start(peer, &pair.b, (1, centiseconds), BACKUP)?;
    wait_for(&backup, "MASTER STATE", 1)?;
    let addresses = Addresses::follow(&pair.b)?;
    let mut late = Vec::new();
    for trial in 1..=20 {
        // Into BACKUP at the start, and once for every master before.
        let capture = Capture::start(&pair.b, is_vrrp)?;
        let mut master = start(Peer::Ours, &pair.a, (1, centiseconds), OWNER)?;
        wait_for(&backup, "BACKUP STATE", trial + 1)?;
        sleep(interval * (3 + trial % 5) / 10);
        addresses.clear();
        master.crash();
        late.extend(lateness(&addresses, 1, interval, &capture)?);
    }
    Ok(figures(late))
}

/// Lets many backups hear adverts of a master that the measurement plays, which come together for each round, so that
/// all have to take over at one moment.
fn at_once(peer: Peer) -> io::Result<Vec<Figure>> {
    const ROUTERS: u32 = 250;
    const INTERVAL: Duration = Duration::from_secs(1);
    let pair = Pair::new(ROUTERS)?;
    let backup = start(peer, &pair.b, (ROUTERS, 100), BACKUP)?;
    wait_for(&backup, "MASTER STATE", ROUTERS)?;
    let source = Ipv4Addr::new(10, 0, 0, 1);
    let sender = VrrpSender::open(&pair.a, source, 255)?;
    let adverts = (1..=u8::MAX)
        .take(ROUTERS as usize)
        .map(|vrid| advert(source, vrid));
    let adverts = adverts.collect::<io::Result<Vec<_>>>()?;
    let addresses = Addresses::follow(&pair.b)?;
    let mut late = Vec::new();
    for trial in 1..=5 {
        let capture = Capture::start(&pair.b, is_vrrp)?;
        for _ in 0..4 {
            sleep(INTERVAL);
            adverts.iter().try_for_each(|advert| sender.send(advert))?;
        }
        wait_for(&backup, "BACKUP STATE", ROUTERS * (trial + 1))?;
        addresses.clear();
        late.extend(lateness(&addresses, ROUTERS as usize, INTERVAL, &capture)?);
    }
    Ok(figures(late))
}

/// The advert of an address owner every second.
fn advert(source: Ipv4Addr, vrid: u8) -> io::Result<Vec<u8>> {
    let advert = Advert {
        kind: ADVERTISEMENT,
        vrid: Vrid::try_from(u64::from(vrid)).map_err(io::Error::other)?,
        priority: OWNER,
        addresses: vec![IpAddr::from([10, 0, 1, vrid])],
        body: Body::V3 { interval: 100 },
    };
    let ends = Ends {
        source: source.into(),
        destination: VRRP_GROUP.into(),
    };
    emit(&advert, ends).map_err(io::Error::other)
}

/// How much later than they should so many addresses come.
fn lateness(
    addresses: &Addresses,
    count: usize,
    interval: Duration,
    capture: &Capture,
) -> io::Result<Vec<Duration>> {
    let seen = addresses.wait(count, interval * 4 + Duration::from_secs(10))?;
    let due = due(&capture.frames(), interval);
    let late = seen.iter().filter_map(|(at, address)| {
        let due = due.get(&key(*address)?)?;
        Some(at.saturating_duration_since(*due))
    });
    Ok(late.collect())
}

fn figures(late: Vec<Duration>) -> Vec<Figure> {
    let (median, worst) = median_and_99(late);
    vec![
        figure("address late by, median, ms", median),
        figure("address late by, 99 of 100, ms", worst),
    ]
}

/// Link and router id of a virtual address of the configuration.
const fn key(address: IpAddr) -> Option<(u8, u8)> {
    match address {
        IpAddr::V4(address) => {
            let [_, link, _, vrid] = address.octets();
            Some((link, vrid))
        }
        IpAddr::V6(_) => None,
    }
}

/// When the backup's timer of each virtual router is to fire (RFC 9568 section 6.1).
fn due(frames: &[Frame], interval: Duration) -> BTreeMap<(u8, u8), Instant> {
    let skew = interval * (256 - u32::from(BACKUP)) / 256;
    let of_master = frames.iter().filter_map(|frame| {
        let (source, vrid) = router(frame)?;
        let [_, link, _, host] = source.octets();
        (host == 1).then_some(((link, vrid), frame.at + interval * 3 + skew))
    });
    of_master.collect()
}
