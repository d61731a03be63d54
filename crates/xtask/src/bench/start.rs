//! From the start of the program to its first advert, and until every address is on.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, Instant};

use kr_testkit::capture::{Capture, is_vrrp};
use kr_testkit::keepalived::Peer;
use kr_testkit::wait::eventually;

use super::adverts::{Pair, median_and_99, start};
use super::moments::Addresses;
use super::{Beside, Figure, Row, figure};

/// An address owner waits for nobody.
const OWNER: u8 = 255;

const LIMIT: Duration = Duration::from_secs(30);

/// Times that the program is started.
const TRIALS: u32 = 7;

pub(super) const ONE: Row = Row {
    heading: "start of one router",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1, 0),
};

pub(super) const MANY: Row = Row {
    heading: "start of 1,000 routers",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1000, 0),
};

pub(super) const ONE_OF_MANY_LINKS: Row = Row {
    heading: "start of one router beside 1,000 other links",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1, 1000),
};

pub(super) const MANY_OF_MANY_LINKS: Row = Row {
    heading: "start of 1,000 routers beside 1,000 other links",
    beside: Beside::Here,
    measure: |peer| measure(peer, 1000, 1000),
};

fn measure(peer: Peer, routers: u32, others: u32) -> io::Result<Vec<Figure>> {
    let pair = Pair::new(routers)?;
    let mut links = String::new();
    for number in 0..others / 2 {
        writeln!(links, "link add x{number} type veth peer name y{number}")
            .map_err(io::Error::other)?;
    }
    pair.a.ip(&links)?;
    let addresses = Addresses::follow(&pair.a)?;
    let count = usize::try_from(routers).map_err(io::Error::other)?;
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for _ in 0..TRIALS {
        let capture = Capture::start(&pair.b, is_vrrp)?;
        addresses.clear();
        let begun = Instant::now();
        let mut running = start(peer, &pair.a, (routers, 100), OWNER)?;
        let seen = addresses.wait(count, LIMIT)?;
        eventually(LIMIT, "an advert", || !capture.frames().is_empty())?;
        first.extend(capture.frames().first().map(|frame| frame.at - begun));
        all.extend(seen.get(count - 1).map(|(at, _)| *at - begun));
        running.stop(LIMIT)?;
    }
    Ok(vec![
        figure("first advert after, median, ms", median_and_99(first).0),
        figure("all addresses after, median, ms", median_and_99(all).0),
    ])
}
