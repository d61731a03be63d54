//! What others do must not concern a master: a busy host, and packets for its router id that are no adverts.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_testkit::capture::{Capture, VrrpSender, is_vrrp};
use kr_testkit::keepalived::Peer;
use kr_testkit::process::Process;
use kr_testkit::wait::eventually;

use super::adverts::{Pair, jitter, router, start, wait_for};
use super::usage::Usage;
use super::{Beside, Figure, Row, figure};

const MEASURED: Duration = Duration::from_secs(10);

/// Time for all of the company to come and go twice.
const LIMIT: Duration = Duration::from_secs(120);

/// Pairs of links of others, addresses on each, and routes.
const PAIRS: u32 = 250;
const ADDRESSES: u32 = 10;
const ROUTES: u32 = 20_000;

pub(super) const BUSY: Row = Row {
    heading: "20 masters every 0.1 s on a busy host",
    beside: Beside::Here,
    measure: busy,
};

pub(super) const FLOOD: Row = Row {
    heading: "a master every second and packets that are no adverts",
    beside: Beside::Here,
    measure: flood,
};

/// Links, addresses and routes of others come and go.
fn busy(peer: Peer) -> io::Result<Vec<Figure>> {
    const ROUTERS: u32 = 20;
    let pair = Pair::new(ROUTERS)?;
    let directory = tempfile::tempdir()?;
    let file = |name: &str| directory.path().join(name);
    let (come, go) = company().map_err(io::Error::other)?;
    fs::write(file("come"), come)?;
    fs::write(file("go"), go)?;
    let running = start(peer, &pair.a, (ROUTERS, 10), 200)?;
    wait_for(&running, "MASTER STATE", ROUTERS)?;
    sleep(Duration::from_secs(6));
    let mut command = pair.a.command("sh");
    let script = "for time in 1 2; do ip -batch $0/come && ip -batch $0/go || exit; done";
    command.args(["-c", script]).arg(directory.path());
    let capture = Capture::start(&pair.b, is_vrrp)?;
    let before = Usage::of(&running);
    let mut others = Process::spawn(&mut command, &file("log"))?;
    let mut ended = None;
    eventually(LIMIT, "the company's end", || {
        ended = others.exited();
        ended.is_some()
    })?;
    let used = Usage::of(&running).since(before);
    if !ended.is_some_and(|status| status.success()) {
        return Err(io::Error::other(others.log()));
    }
    let (median, worst) = jitter(&capture.frames(), 10);
    Ok(vec![
        figure("interval off by, median, ms", median),
        figure("interval off by, 99 of 100, ms", worst),
        figure(
            "CPU until all came and went twice, ms",
            used.cpu.as_secs_f64() * 1000.0,
        ),
    ])
}

/// Commands that make the links, addresses and routes of others, and that take them away again.
fn company() -> Result<(String, String), std::fmt::Error> {
    let (mut come, mut go, mut last) = (String::new(), String::new(), String::new());
    for one in 0..PAIRS {
        writeln!(come, "link add x{one} type veth peer name y{one}")?;
        writeln!(last, "link del x{one}")?;
        for (end, side) in [("x", 20), ("y", 21)] {
            writeln!(come, "link set {end}{one} up")?;
            for number in 1..=ADDRESSES {
                let line = format!("172.{side}.{one}.{number}/32 dev {end}{one}");
                writeln!(come, "address add {line}")?;
                writeln!(go, "address del {line}")?;
            }
        }
    }
    for one in 0..ROUTES {
        let line = format!("blackhole 172.30.{}.{} table 77", one / 250, one % 250);
        writeln!(come, "route add {line}")?;
        writeln!(go, "route del {line}")?;
    }
    Ok((come, go + &last))
}

/// Packets with our router id and a wrong checksum, at several rates.
fn flood(peer: Peer) -> io::Result<Vec<Figure>> {
    let pair = Pair::new(1)?;
    let running = start(peer, &pair.a, (1, 100), 200)?;
    wait_for(&running, "MASTER STATE", 1)?;
    let sender = VrrpSender::open(&pair.b, Ipv4Addr::new(10, 0, 0, 2), 255)?;
    let bad = [0x31, 1, 100, 1, 0, 100, 0x55, 0x55, 10, 0, 1, 1];
    let mut figures = Vec::new();
    for (what, rate) in [
        ("longest silence at 20 packets a second, ms", 20_u32),
        ("longest silence at 300 packets a second, ms", 300),
        ("longest silence at 3,000 packets a second, ms", 3000),
    ] {
        let capture = Capture::start(&pair.b, is_vrrp)?;
        let begun = Instant::now();
        let mut sent = 0;
        while begun.elapsed() < MEASURED {
            let wanted = begun.elapsed().as_secs_f64() * f64::from(rate);
            while f64::from(sent) < wanted {
                sender.send(&bad)?;
                sent += 1;
            }
            sleep(Duration::from_micros(500));
        }
        let ended = Instant::now();
        let frames = capture.frames();
        let own = frames.iter().filter(|frame| {
            router(frame).is_some_and(|(source, _)| source == Ipv4Addr::new(10, 0, 0, 1))
        });
        let mut moments: Vec<Instant> = own.map(|frame| frame.at).collect();
        moments.insert(0, begun);
        moments.push(ended);
        let silences = moments.windows(2).filter_map(|two| match two {
            [one, next] => Some(next.saturating_duration_since(*one)),
            _ => None,
        });
        let longest = silences.max().unwrap_or_default();
        figures.push(figure(what, longest.as_secs_f64() * 1000.0));
    }
    Ok(figures)
}
