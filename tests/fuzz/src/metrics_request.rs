//! The request of a client of `metrics_listen`, after a byte that says in which pieces it comes.

use std::collections::BTreeSet;
use std::time::Duration;

use kr_check::Checks;
use kr_check::Rng;
use kr_check::checks::{Configuration, Input};
use kr_check::exporter::{Directory, Exchange, MAX_REQUEST, Shown};
use kr_model::check::{Checker, Connection, Probe, Timing};
use kr_model::lateness::LoopTimes;
use kr_model::{CheckerId, Generation, Instant};

use crate::pieces::choice_and_size;

/// The answer does not depend on the pieces; there is one, well formed, as soon as the request is complete or
/// longer than allowed; only `GET` and `HEAD` of the three pages succeed; a page has an end.
pub fn metrics_request(data: &[u8]) {
    let Some((_, size, bytes)) = choice_and_size(data) else {
        return;
    };
    let (directory, checks) = two_servers();
    let whole = answer([bytes], &directory, &checks);
    assert_eq!(answer(bytes.chunks(size), &directory, &checks), whole);
    let Some(whole) = whole else {
        assert!(bytes.len() < MAX_REQUEST);
        return;
    };
    let text = String::from_utf8(whole).expect("pages are text");
    let (header, _) = text.split_once("\r\n\r\n").expect("a header has an end");
    assert!(
        header
            .split("\r\n")
            .all(|line| !line.contains(['\r', '\n']))
    );
    let status = header.lines().next().expect("a status line");
    if status == "HTTP/1.1 200 OK" {
        let start = bytes.iter().position(|byte| !b"\r\n".contains(byte));
        let request = &bytes[start.expect("more than line ends")..];
        assert!(request.starts_with(b"GET /") || request.starts_with(b"HEAD /"));
    } else {
        let refused = ["400", "404", "405", "431"].map(|code| format!("HTTP/1.1 {code} "));
        assert!(refused.iter().any(|start| status.starts_with(start)));
    }
}

/// Everything that is sent, once the request is complete.
fn answer<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    directory: &Directory,
    checks: &Checks,
) -> Option<Vec<u8>> {
    let mut exchange = Exchange::default();
    for piece in pieces {
        assert!(!exchange.is_over());
        exchange.received(piece);
    }
    if !exchange.is_answering() {
        assert!(exchange.outgoing().is_empty());
        return None;
    }
    let mut sent = Vec::new();
    for _ in 0..16 {
        if exchange.is_over() {
            return Some(sent);
        }
        exchange.fill(Shown {
            directory,
            checks,
            times: &LoopTimes::default(),
        });
        sent.extend_from_slice(exchange.outgoing());
        exchange.sent(exchange.outgoing().len());
    }
    panic!("a page without end");
}

/// Two real servers with a check each.
fn two_servers() -> (Directory, Checks) {
    let checkers = vec![checker(1), checker(2)];
    let directory = Directory::new(checkers.iter());
    let mut checks = Checks::new(usize::MAX, Rng::new(1));
    let configuration = Configuration {
        share: false,
        generation: Generation(1),
        checkers,
        kept: BTreeSet::new(),
        resume: Vec::new(),
    };
    checks.handle(Input::Configure(configuration), Instant::ZERO);
    (directory, checks)
}

fn checker(id: u32) -> Checker {
    Checker {
        id: CheckerId(id),
        server: format!("server {id}"),
        service: "service".to_owned(),
        probe: Probe::Tcp(Connection {
            target: ([192, 0, 2, 1], 80).into(),
            source: None,
            source_port: None,
            interface: None,
            mark: 0,
            timeout: Duration::from_secs(1),
        }),
        timing: Timing {
            delay_loop: Duration::from_secs(1),
            retry: 0,
            delay_before_retry: Duration::from_secs(1),
            warmup: Duration::ZERO,
        },
        alpha: false,
        log_all_failures: false,
    }
}
