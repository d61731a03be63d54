//! More checks than can be made: no more start than can end, every server waits equally long, and the log says so.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::harness::{Checkerd, http};

/// Descriptors of the process: 64 are for other things, so 32 checks may run.
const DESCRIPTORS: u32 = 96;
const MAY_RUN: usize = 32;

/// Each is checked 100 ms after its last check, which takes as long: 3,200 checks a second are asked for, and 320 can
/// be made.
const SERVERS: u32 = 640;
const ANSWER: Duration = Duration::from_millis(100);

/// About four rounds.
const WATCHED: Duration = Duration::from_secs(9);

fn server(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(
        Ipv4Addr::new(127, 77, 1, 0).to_bits() + number,
    ))
}

/// What the servers saw.
struct Seen {
    /// Checks of each server.
    checks: BTreeMap<IpAddr, u32>,
    /// Most connections that were open at a time.
    most: usize,
}

#[test]
fn overload_makes_every_check_later_by_the_same_and_starts_no_more_than_may_run() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = channel::<()>();
    let servers = spawn(move || serve(&listener, &stopped));
    let checkers: Vec<_> = (1..=SERVERS)
        .map(|number| http(number, SocketAddr::new(server(number), port), &["/"]))
        .collect();
    let mut daemon = Checkerd::with_descriptors(DESCRIPTORS, &checkers);
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        daemon.read();
        sleep(Duration::from_millis(20));
    }
    daemon.until_log("32 checks run, which is all that may; others start");
    let memory = daemon.peak_memory();
    drop(daemon);
    drop(stop);
    let seen = servers.join().unwrap();

    assert!(seen.most <= MAY_RUN, "{} at a time", seen.most);
    assert_eq!(seen.checks.len(), 640, "every server is checked");
    let (least, most) = (
        seen.checks.values().min().unwrap(),
        seen.checks.values().max().unwrap(),
    );
    assert!(*least >= 2 && most - least <= 1, "{least} to {most} checks");
    assert!(memory < 24 * 1024, "{memory} KiB");
}

/// Answers each connection a while after it came, until told to stop.
fn serve(listener: &TcpListener, stopped: &Receiver<()>) -> Seen {
    listener.set_nonblocking(true).unwrap();
    let mut open: VecDeque<(Instant, TcpStream)> = VecDeque::new();
    let mut seen = Seen {
        checks: BTreeMap::new(),
        most: 0,
    };
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        while open.front().is_some_and(|(at, _)| at.elapsed() >= ANSWER) {
            let (_, mut stream) = open.pop_front().unwrap();
            // It may be gone at the end of the test.
            stream
                .write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
                .ok();
        }
        match listener.accept() {
            Ok((stream, _)) => {
                *seen
                    .checks
                    .entry(stream.local_addr().unwrap().ip())
                    .or_default() += 1;
                open.push_back((Instant::now(), stream));
                seen.most = seen.most.max(open.len());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
    seen
}
