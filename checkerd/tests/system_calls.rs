//! System calls of each kind of check, counted by strace(1) over all that the process does meanwhile: so much
//! and no more, for they are what a check costs. Needs strace and the right to use it.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests start programs and run in real time"
)]

#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "built/harness.rs"]
mod harness;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use harness::{Checkerd, http, https, tcp};
use kr_model::check::Checker;
use kr_testkit::servers::TcpServer;
use kr_testkit::servers::http::{Behaviour, HttpServer};

/// Checkers at a time.
const CHECKERS: u32 = 20;

/// Lets the checks of a server run for a while, none in step with another, and counts the calls by name.
fn count(checker: impl Fn(u32) -> Checker) -> BTreeMap<String, f64> {
    let spread = |id: u32| {
        let mut checker = checker(id);
        checker.timing.delay_loop = Duration::from_micros(u64::from(100_000 + 3_700 * id));
        checker
    };
    let checkers: Vec<Checker> = (1..=CHECKERS).map(spread).collect();
    let mut daemon = Checkerd::with(&checkers);
    for id in 1..=CHECKERS {
        daemon.until_verdict(id, true);
    }
    let output = Command::new("timeout")
        .args(["-s", "INT", "4", "strace", "-f", "-c", "-q", "-p"])
        .arg(daemon.pid().to_string())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    // % time, seconds, usecs/call, calls, errors if any, name.
    let counts: BTreeMap<String, f64> = text
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let calls = words.get(3)?.parse().ok()?;
            Some(((*words.last()?).to_owned(), calls))
        })
        .collect();
    assert!(
        counts.contains_key("socket"),
        "strace counts no checks: {text}"
    );
    daemon.read();
    assert!(daemon.verdicts.iter().all(|verdict| verdict.up));
    counts
}

/// Every call, for each socket that was made.
fn per_check(checker: impl Fn(u32) -> Checker) -> f64 {
    let counts = count(checker);
    let checks = counts["socket"];
    assert!(checks > 100.0, "{counts:?}");
    // Debug builds look at a descriptor before they close it, and that is all that this call is used for.
    let looks = counts.get("fcntl").copied().unwrap_or(0.0);
    let per_check = (counts["total"] - looks) / checks;
    println!("{per_check:.2} system calls per check: {counts:?}");
    per_check
}

fn web(start: impl Fn(Behaviour) -> std::io::Result<HttpServer>) -> (HttpServer, SocketAddr) {
    let server = start(Behaviour::ok("hello\n")).unwrap();
    let address = server.address();
    (server, address)
}

#[test]
fn a_tcp_check_makes_at_most_six() {
    let server = TcpServer::on_loopback(drop).unwrap();
    let calls = per_check(|id| tcp(id, server.address()));
    assert!(calls <= 6.0, "{calls:.2}");
}

#[test]
fn an_http_check_makes_at_most_nine() {
    let (_server, address) = web(HttpServer::start);
    let calls = per_check(|id| http(id, address, &["/"]));
    assert!(calls <= 9.0, "{calls:.2}");
}

#[test]
fn a_tls_check_makes_at_most_fourteen() {
    let (_server, address) = web(|behaviour| HttpServer::start_tls(behaviour, &["localhost"]));
    let calls = per_check(|id| https(id, address, None));
    assert!(calls <= 14.0, "{calls:.2}");
}
