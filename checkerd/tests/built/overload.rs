//! More checks than can be made: no more start than can end, every server waits equally long, and the log says so.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use kr_model::check::Checker;
use rustls::{ServerConnection, StreamOwned};

use crate::harness::{Checkerd, http, https};
use crate::hostile::tls;

/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(100);

/// Checks that are asked for and checks that can be made. Each server is checked 100 ms after its last check, which
/// takes as long.
struct Load {
    /// Of the process: 64 are for other things, each of the rest may be a check.
    descriptors: u32,
    may_run: usize,
    /// About ten times as many as can be checked in time.
    servers: u32,
    /// About four rounds.
    watched: Duration,
}

/// 320 checks a second can be made.
const PLAIN: Load = Load {
    descriptors: 96,
    may_run: 32,
    servers: 640,
    watched: Duration::from_secs(9),
};

/// 80 a second, for handshakes take their time on both sides.
const TLS: Load = Load {
    descriptors: 72,
    may_run: 8,
    servers: 160,
    watched: Duration::from_secs(10),
};

const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";

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
    overloaded(
        &PLAIN,
        |number, at| http(number, at, &["/"]),
        // It may be gone at the end of the test.
        |mut stream| drop(stream.write_all(PAGE)),
    );
}

#[test]
fn overload_with_tls_is_as_fair_and_as_bounded() {
    let config = tls::configuration(0, &rustls::version::TLS13);
    overloaded(
        &TLS,
        |number, at| https(number, at, None),
        move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            if matches!(stream.read(&mut [0; 1024]), Ok(1..)) {
                stream.write_all(PAGE).ok();
            }
            stream.conn.send_close_notify();
            stream.flush().ok();
        },
    );
}

fn overloaded(
    load: &Load,
    check: fn(u32, SocketAddr) -> Checker,
    answer: impl Fn(TcpStream) + Send + 'static,
) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = channel::<()>();
    let servers = spawn(move || serve(&listener, &stopped, answer));
    let checkers: Vec<_> = (1..=load.servers)
        .map(|number| check(number, SocketAddr::new(server(number), port)))
        .collect();
    let mut daemon = Checkerd::with_descriptors(load.descriptors, &checkers);
    let start = Instant::now();
    while start.elapsed() < load.watched {
        daemon.read();
        sleep(Duration::from_millis(20));
    }
    let may_run = load.may_run;
    daemon.until_log(&format!(
        "{may_run} checks run, which is all that may; others start"
    ));
    let memory = daemon.peak_memory();
    drop(daemon);
    drop(stop);
    let seen = servers.join().unwrap();

    assert!(seen.most <= may_run, "{} at a time", seen.most);
    let all = usize::try_from(load.servers).unwrap();
    assert_eq!(seen.checks.len(), all, "every server is checked");
    let (least, most) = (
        seen.checks.values().min().unwrap(),
        seen.checks.values().max().unwrap(),
    );
    assert!(*least >= 2 && most - least <= 1, "{least} to {most} checks");
    assert!(memory < 24 * 1024, "{memory} KiB");
}

/// Answers each connection a while after it came, until told to stop.
fn serve(listener: &TcpListener, stopped: &Receiver<()>, answer: impl Fn(TcpStream)) -> Seen {
    listener.set_nonblocking(true).unwrap();
    let mut open: VecDeque<(Instant, TcpStream)> = VecDeque::new();
    let mut seen = Seen {
        checks: BTreeMap::new(),
        most: 0,
    };
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        while open.front().is_some_and(|(at, _)| at.elapsed() >= ANSWER) {
            let (_, stream) = open.pop_front().unwrap();
            answer(stream);
        }
        match listener.accept() {
            Ok((stream, _)) => {
                *seen
                    .checks
                    .entry(stream.local_addr().unwrap().ip())
                    .or_default() += 1;
                stream.set_read_timeout(Some(ANSWER)).unwrap();
                open.push_back((Instant::now(), stream));
                seen.most = seen.most.max(open.len());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    }
    seen
}
