//! The built checker process against servers that mean harm: bounded in time, memory and descriptors, and
//! no check waits for another.

mod datagram;
mod mail;
mod reset;
pub(crate) mod tls;
mod web;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_model::check::{Checker, CheckerGlobal, Connection, Probe};
use kr_testkit::servers::TcpServer;

use crate::harness::{Checkerd, tcp};

/// `connect_timeout` of the checks of hostile servers.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Ten times the timeout, after which a check gives up whatever still comes, and some for this machine.
const ALL_OVER: Duration = Duration::from_secs(11);

/// Most memory in KiB: what the process holds anyway, and some 100 KiB for each hostile server.
const MEMORY: u64 = 48 * 1024;

/// Id of the check of a good server that runs beside the others every 100 ms.
const GOOD: u32 = 999;

/// Longest time that the good server waits for its next check; far less than [`TIMEOUT`] allows a hostile
/// server to last.
const PATIENT: Duration = Duration::from_millis(1_500);

/// A server that is tried, the verdict, and a part of the reason in the log when it goes down.
type Case = (Checker, Result<(), &'static str>);

/// Runs the checks beside one of a good server: each comes to its verdict in time, with little memory, while
/// the good server is checked as often as ever; afterwards nothing is left open.
fn ordeal(cases: Vec<Case>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let good = TcpServer::on_loopback({
        let seen = Arc::clone(&seen);
        move |_| seen.lock().unwrap().push(Instant::now())
    })
    .unwrap();
    let mut daemon = Checkerd::with(&[]);
    let before = daemon.descriptors();
    let mut checkers: Vec<Checker> = cases
        .iter()
        .map(|(checker, _)| impatient(checker))
        .collect();
    checkers.push(tcp(GOOD, good.address()));
    let start = Instant::now();
    daemon.configure(2, &CheckerGlobal::default(), &checkers, &[]);
    daemon.until_verdict(GOOD, true);
    for (checker, expected) in &cases {
        daemon.until_verdict(checker.id.0, expected.is_ok());
        if let Err(reason) = expected {
            daemon.until_log(&format!("of {} in test failed: {reason}", checker.server));
        }
    }
    assert!(start.elapsed() < ALL_OVER, "{:?}", start.elapsed());
    sleep(2 * TIMEOUT);
    let memory = daemon.peak_memory();
    assert!(memory < MEMORY, "{memory} KiB");
    let times = seen.lock().unwrap().clone();
    let pause = times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap();
    assert!(pause < PATIENT, "the good server waited {pause:?}");
    daemon.configure(3, &CheckerGlobal::default(), &[], &[]);
    daemon.until("closed descriptors", |d| d.descriptors() == before);
}

/// The same check with [`TIMEOUT`].
fn impatient(checker: &Checker) -> Checker {
    let mut checker = checker.clone();
    let set = |connection: &mut Connection| connection.timeout = TIMEOUT;
    let probe = &mut checker.probe;
    if let Probe::Tcp(connection) | Probe::Dns { connection, .. } = probe {
        set(connection);
    } else if let Probe::Http(http) = probe {
        set(&mut http.connection);
    } else if let Probe::Smtp { hosts, .. } = probe {
        hosts.iter_mut().for_each(set);
    } else if let Probe::Udp(udp) = probe {
        set(&mut udp.connection);
    }
    checker
}

/// Says these bytes again and again, as fast as it can.
fn endless(first: &'static [u8], again: &'static [u8]) -> TcpServer {
    TcpServer::on_loopback(move |mut stream| {
        let block = again.repeat(1 + 60_000 / again.len());
        let mut said = stream.write_all(first);
        while said.is_ok() {
            said = stream.write_all(&block);
        }
    })
    .unwrap()
}

/// Says these bytes, and then nothing while the client stays.
fn stuck(first: &'static [u8]) -> TcpServer {
    TcpServer::on_loopback(move |mut stream| {
        stream.write_all(first).ok();
        wait(&stream);
    })
    .unwrap()
}

/// Says these bytes again and again with pauses.
fn dripping(first: &'static [u8], again: &'static [u8], pause: Duration) -> TcpServer {
    TcpServer::on_loopback(move |mut stream| {
        let mut said = stream.write_all(first);
        while said.is_ok() {
            sleep(pause);
            said = stream.write_all(again);
        }
    })
    .unwrap()
}

/// Reads until the client closes.
fn wait(mut stream: &TcpStream) {
    std::io::copy(&mut stream, &mut std::io::sink()).ok();
}

/// Checkers of one kind with ids from 1, against these servers.
fn each<'a>(
    check: impl Fn(u32, SocketAddr) -> Checker,
    servers: impl IntoIterator<Item = (&'a TcpServer, Result<(), &'static str>)>,
) -> Vec<Case> {
    (1..)
        .zip(servers)
        .map(|(id, (server, expected))| (check(id, server.address()), expected))
        .collect()
}
