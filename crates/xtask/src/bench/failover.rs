//! Take-over after `kill -9` of the master: how long after the moment at which the backup's timer should fire its
//! address is on.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_testkit::capture::{Capture, Frame, is_vrrp};
use kr_testkit::keepalived::Peer;

use super::adverts::{Pair, median_and_99, router, start, wait_for};
use super::moments::Addresses;
use super::{Beside, Figure, Row, figure};

/// Priority of the backup; the master is an address owner, which needs no time to become one.
const BACKUP: u8 = 100;
const OWNER: u8 = 255;

pub(super) const SLOW: Row = Row {
    heading: "failover with advert_int 1",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1, 100, 20),
};

pub(super) const FAST: Row = Row {
    heading: "failover with advert_int 0.1",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1, 10, 20),
};

pub(super) const FASTER: Row = Row {
    heading: "failover with advert_int 0.03",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1, 3, 20),
};

pub(super) const FASTEST: Row = Row {
    heading: "failover with advert_int 0.01",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1, 1, 20),
};

pub(super) const MANY: Row = Row {
    heading: "failover of 250 at once",
    beside: Beside::Here,
    measure: |peer| measure(peer, 250, 100, 5),
};

/// Kills a master of ours so many times and lets the program take over.
fn measure(peer: Peer, routers: u32, centiseconds: u32, trials: u32) -> io::Result<Vec<Figure>> {
    let pair = Pair::new(routers)?;
    let interval = Duration::from_millis(u64::from(centiseconds) * 10);
    let backup = start(peer, &pair.b, (routers, centiseconds), BACKUP)?;
    wait_for(&backup, "MASTER STATE", routers)?;
    let addresses = Addresses::follow(&pair.b)?;
    let mut late = Vec::new();
    for trial in 1..=trials {
        // Into BACKUP at the start, and once for every master before.
        let capture = Capture::start(&pair.b, is_vrrp)?;
        let mut master = start(Peer::Ours, &pair.a, (routers, centiseconds), OWNER)?;
        wait_for(&backup, "BACKUP STATE", routers * (trial + 1))?;
        // While the adverts of many still leave at one moment.
        sleep(interval * (3 + trial % 5) / 10);
        addresses.clear();
        master.crash();
        let limit = interval * 4 + Duration::from_secs(10);
        let seen = addresses.wait(usize::try_from(routers).map_err(io::Error::other)?, limit)?;
        let due = due(&capture.frames(), interval);
        late.extend(seen.iter().filter_map(|(at, address)| {
            let due = due.get(&key(*address)?)?;
            Some(at.saturating_duration_since(*due))
        }));
    }
    let (median, worst) = median_and_99(late);
    Ok(vec![
        figure("address late by, median, ms", median),
        figure("address late by, 99 of 100, ms", worst),
    ])
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
