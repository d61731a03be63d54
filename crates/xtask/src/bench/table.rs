//! The kernel's own table: how long it takes until everything is in it, and until a change is.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_model::ipvs::PresentService;
use kr_model::lvs::{Protocol, ServiceKey};
use kr_netlink::ipvs::{Ipvs, IpvsError};
use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::{Host, Network};
use kr_testkit::wait::eventually;
use kr_testkit::web::WebServer;

use super::reading::{Size, TEN_THOUSAND, configuration};
use super::usage::Usage;
use super::{Beside, Figure, Row, figure};

/// Time for a start or a reload, also in emulation.
const LIMIT: Duration = Duration::from_secs(120);

/// Between two looks at the table.
const LOOK: Duration = Duration::from_millis(10);

/// The installed keepalived needs time that grows with the square of this for a reload.
const FEW: Size = Size::of(2_000);

pub(super) const START: Row = Row {
    heading: "start with 10,000 real servers, until the kernel has them",
    beside: Beside::Ipvs,
    measure: start,
};

pub(super) const RELOAD: Row = Row {
    heading: "reload with 2,000 real servers, until the kernel has the one change",
    beside: Beside::Ipvs,
    measure: reload,
};

/// A host whose loopback answers every check, and its table.
struct Director {
    host: Host,
    table: Ipvs,
    _servers: WebServer,
    _network: Network,
}

impl Director {
    fn new() -> io::Result<Self> {
        let network = Network::new()?;
        let host = network.host("director")?;
        let all = SocketAddr::from(([0, 0, 0, 0], 80));
        Ok(Self {
            table: host.enter(Ipvs::open)?.map_err(io::Error::other)?,
            _servers: WebServer::start(&host, all, "bench")?,
            host,
            _network: network,
        })
    }

    fn read(&mut self, keys: &[ServiceKey]) -> io::Result<BTreeMap<ServiceKey, PresentService>> {
        self.table
            .read(keys)
            .map_err(|error: IpvsError| io::Error::other(error))
    }

    /// Destinations of these services.
    fn count(&mut self, keys: &[ServiceKey]) -> io::Result<usize> {
        let held = self.read(keys)?;
        Ok(held.values().map(|held| held.destinations.len()).sum())
    }

    /// Looks at one service until this holds of it, and says when.
    fn until(
        &mut self,
        key: ServiceKey,
        holds: impl Fn(&PresentService) -> bool,
    ) -> io::Result<Instant> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            let looked = Instant::now();
            if self.read(&[key])?.get(&key).is_some_and(&holds) {
                return Ok(looked);
            }
            sleep(LOOK);
        }
        Err(io::Error::other(format!(
            "{key} does not come to be as it should"
        )))
    }
}

/// The services of a configuration.
fn services(size: Size) -> Vec<ServiceKey> {
    let pools = 0..size.servers.div_ceil(size.pool);
    let key = |pool: u32| {
        let byte = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        let address = [10, 42, byte(pool / 250), byte(pool % 250 + 1)];
        ServiceKey::Address {
            address: SocketAddr::from((address, 80)),
            protocol: Protocol::Tcp,
        }
    };
    pools.map(key).collect()
}

fn started(peer: Peer, host: &Host, size: Size) -> io::Result<Keepalived> {
    let text = configuration(size, 1).map_err(io::Error::other)?;
    Keepalived::start(peer, host, Parts::Checkers, &text)
}

/// Waits until the table has everything, and says since when.
fn complete(director: &mut Director, size: Size) -> io::Result<Instant> {
    let keys = services(size);
    let last = *keys.last().ok_or_else(|| io::Error::other("no service"))?;
    let all = usize::try_from(size.servers).map_err(io::Error::other)?;
    let pool = usize::try_from(size.pool).map_err(io::Error::other)?;
    // The last one is looked at often, all only when it is there.
    let mut at = director.until(last, |held| held.destinations.len() == pool)?;
    let begun = Instant::now();
    while director.count(&keys)? != all {
        if begun.elapsed() > LIMIT {
            return Err(io::Error::other("the table does not come to be complete"));
        }
        at = Instant::now();
    }
    Ok(at)
}

fn start(peer: Peer) -> io::Result<Vec<Figure>> {
    let mut director = Director::new()?;
    let begun = Instant::now();
    let running = started(peer, &director.host, TEN_THOUSAND)?;
    let at = complete(&mut director, TEN_THOUSAND)?;
    let used = Usage::of(&running);
    Ok(vec![
        figure(
            "table complete after, ms",
            (at - begun).as_secs_f64() * 1000.0,
        ),
        figure(
            "CPU of all processes by then, ms",
            used.cpu.as_secs_f64() * 1000.0,
        ),
    ])
}

fn reload(peer: Peer) -> io::Result<Vec<Figure>> {
    let mut director = Director::new()?;
    let running = started(peer, &director.host, FEW)?;
    complete(&mut director, FEW)?;
    let over = match peer {
        Peer::Ours => "up: every process runs",
        Peer::Stock => "Startup complete",
    };
    eventually(LIMIT, over, || running.logged(over) > 0)?;
    sleep(Duration::from_secs(5));
    let first = *services(FEW)
        .first()
        .ok_or_else(|| io::Error::other("no service"))?;
    let changed = configuration(FEW, 7).map_err(io::Error::other)?;
    let begun = Instant::now();
    running.reload(&changed)?;
    let at = director.until(first, |held| {
        let mut held = held.destinations.values().flatten();
        held.any(|held| held.weight.get() == 7)
    })?;
    Ok(vec![figure(
        "in the kernel after, ms",
        (at - begun).as_secs_f64() * 1000.0,
    )])
}
