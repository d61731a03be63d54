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

use super::adverts::{Pair, jitter, router, start, wait_for};
use super::usage::Usage;
use super::{Beside, Figure, Row, figure};

const MEASURED: Duration = Duration::from_secs(10);

/// Links of others, addresses on each, and routes.
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

/// Five hundred links whose addresses and routes come and go all the time.
fn busy(peer: Peer) -> io::Result<Vec<Figure>> {
    const ROUTERS: u32 = 20;
    let pair = Pair::new(ROUTERS)?;
    let (mut links, mut come, mut go) = (String::new(), String::new(), String::new());
    let mut write = || -> std::fmt::Result {
        for one in 0..PAIRS {
            writeln!(links, "link add x{one} type veth peer name y{one}")?;
            for (end, side) in [("x", 20), ("y", 21)] {
                writeln!(links, "link set {end}{one} up")?;
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
        Ok(())
    };
    write().map_err(io::Error::other)?;
    pair.a.ip(&links)?;
    let running = start(peer, &pair.a, (ROUTERS, 10), 200)?;
    wait_for(&running, "MASTER STATE", ROUTERS)?;
    sleep(Duration::from_secs(6));
    let directory = tempfile::tempdir()?;
    let file = |name: &str| directory.path().join(name);
    fs::write(file("come"), come)?;
    fs::write(file("go"), go)?;
    let mut command = pair.a.command("sh");
    command
        .arg("-c")
        .arg("while ip -batch $0/come && ip -batch $0/go; do :; done");
    command.arg(directory.path());
    let mut others = Process::spawn(&mut command, &file("log"))?;
    let capture = Capture::start(&pair.b, is_vrrp)?;
    let before = Usage::of(&running);
    sleep(MEASURED);
    let used = Usage::of(&running).since(before);
    let (median, worst) = jitter(&capture.frames(), 10);
    if others.exited().is_some() {
        return Err(io::Error::other(others.log()));
    }
    Ok(vec![
        figure("interval off by, median, ms", median),
        figure("interval off by, 99 of 100, ms", worst),
        figure(
            "CPU, ms per second",
            used.cpu.as_secs_f64() * 1000.0 / MEASURED.as_secs_f64(),
        ),
    ])
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
