use std::collections::BTreeSet;
use std::time::Duration;

use kr_model::check::{Connection, Probe, Timing};
use kr_model::rng::Rng;
use kr_model::{Generation, Instant};

use super::*;
use crate::checks::{Action, Configuration, Input};
use crate::outcome::{Failure, Outcome};

fn tcp(id: u32, server: &str) -> Checker {
    Checker {
        id: CheckerId(id),
        server: server.to_owned(),
        service: "vip \"quoted\"".to_owned(),
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

/// These checks after their first attempts, which took a quarter of a second; odd ids failed.
fn after_one_run(checkers: Vec<Checker>) -> (Directory, Checks) {
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
    checks.handle(Input::Tick, Instant::from_micros(1_000_000));
    let mut runs = Vec::new();
    while let Some(action) = checks.poll_action() {
        if let Action::Start { checker, run } = action {
            runs.push((checker, run));
        }
    }
    for (checker, run) in runs {
        let outcome = if checker.0 % 2 == 0 {
            Outcome::Passed
        } else {
            Outcome::Failed(Failure::NotHttp)
        };
        let finished = Input::Finished {
            checker,
            run,
            outcome,
        };
        checks.handle(finished, Instant::from_micros(1_250_000));
    }
    (directory, checks)
}

/// Everything that is sent for a request, and the most that ever waited.
fn answer(request: &str, directory: &Directory, checks: &Checks) -> (String, usize) {
    let mut exchange = Exchange::default();
    for byte in request.as_bytes() {
        exchange.received(&[*byte]);
    }
    let mut times = LoopTimes::default();
    for micros in [64, 1_000, 9_000_000] {
        times.lateness.record(Duration::from_micros(micros));
    }
    let shown = Shown {
        directory,
        checks,
        times: &times,
    };
    let mut sent = Vec::new();
    let mut most = 0;
    while !exchange.is_over() {
        exchange.fill(shown);
        most = most.max(exchange.outgoing().len());
        sent.extend_from_slice(exchange.outgoing());
        exchange.sent(exchange.outgoing().len());
    }
    (String::from_utf8(sent).unwrap(), most)
}

fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn metrics_tell_every_real_server_and_check() {
    let (directory, checks) = after_one_run(vec![tcp(0, "a"), tcp(1, "b"), tcp(2, "b")]);
    let request = "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n";
    let (text, _) = answer(request, &directory, &checks);
    assert!(text.contains("\r\nContent-Type: application/openmetrics-text; version=1.0.0"));
    let vip = r#"virtual_server="vip \"quoted\"""#;
    let expected = format!(
        r#"# HELP keepalived_real_server_up 1 when every check of the real server is up.
# TYPE keepalived_real_server_up gauge
keepalived_real_server_up{{{vip},real_server="a"}} 1
keepalived_real_server_up{{{vip},real_server="b"}} 0
# HELP keepalived_check_up 1 when the check is up, or taken as up before its first result.
# TYPE keepalived_check_up gauge
keepalived_check_up{{{vip},real_server="a",check="TCP_CHECK",number="1"}} 1
keepalived_check_up{{{vip},real_server="b",check="TCP_CHECK",number="1"}} 0
keepalived_check_up{{{vip},real_server="b",check="TCP_CHECK",number="2"}} 1
# HELP keepalived_check_attempts Attempts started.
# TYPE keepalived_check_attempts counter
keepalived_check_attempts_total{{{vip},real_server="a",check="TCP_CHECK",number="1"}} 1
keepalived_check_attempts_total{{{vip},real_server="b",check="TCP_CHECK",number="1"}} 1
keepalived_check_attempts_total{{{vip},real_server="b",check="TCP_CHECK",number="2"}} 1
# HELP keepalived_check_failures Attempts failed.
# TYPE keepalived_check_failures counter
keepalived_check_failures_total{{{vip},real_server="a",check="TCP_CHECK",number="1"}} 0
keepalived_check_failures_total{{{vip},real_server="b",check="TCP_CHECK",number="1"}} 1
keepalived_check_failures_total{{{vip},real_server="b",check="TCP_CHECK",number="2"}} 0
# HELP keepalived_check_last_duration_seconds How long the last attempt took that ended with a result.
# TYPE keepalived_check_last_duration_seconds gauge
# UNIT keepalived_check_last_duration_seconds seconds
keepalived_check_last_duration_seconds{{{vip},real_server="a",check="TCP_CHECK",number="1"}} 0.250000
keepalived_check_last_duration_seconds{{{vip},real_server="b",check="TCP_CHECK",number="1"}} 0.250000
keepalived_check_last_duration_seconds{{{vip},real_server="b",check="TCP_CHECK",number="2"}} 0.250000
# HELP keepalived_check_shared 1 when the check takes the results of an identical one (checker_share).
# TYPE keepalived_check_shared gauge
"#
    );
    let (of_checks, of_process) = body(&text).split_at(expected.len());
    assert_eq!(of_checks, expected);
    assert!(of_process.starts_with("# HELP keepalived_loop_lateness_seconds "));
    assert!(of_process.ends_with("\n# EOF\n"));
}

#[test]
fn metrics_tell_how_late_the_process_is() {
    let (directory, checks) = after_one_run(Vec::new());
    let (text, _) = answer("GET /metrics HTTP/1.1\r\n\r\n", &directory, &checks);
    let name = "keepalived_loop_lateness_seconds";
    let samples: Vec<&str> = body(&text)
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .collect();
    let buckets = [
        ("0.000064", 1),
        ("0.000128", 1),
        ("0.000256", 1),
        ("0.000512", 1),
        ("0.001024", 2),
        ("0.002048", 2),
        ("0.004096", 2),
        ("0.008192", 2),
        ("0.016384", 2),
        ("0.032768", 2),
        ("0.065536", 2),
        ("0.131072", 2),
        ("0.262144", 2),
        ("0.524288", 2),
        ("1.048576", 2),
        ("2.097152", 2),
        ("4.194304", 2),
        ("8.388608", 2),
        ("+Inf", 3),
    ];
    let mut expected = buckets
        .map(|(bound, count)| format!("_bucket{{le=\"{bound}\"}} {count}"))
        .to_vec();
    expected.extend(["_sum 9.001064".to_owned(), "_count 3".to_owned()]);
    assert_eq!(samples, expected);
    assert!(body(&text).contains("\n# TYPE keepalived_loop_turn_seconds histogram\n"));
    assert!(body(&text).ends_with("\nkeepalived_loop_turn_seconds_count 0\n"));
}

#[test]
fn the_older_format_names_counters_as_their_samples() {
    let (directory, checks) = after_one_run(vec![tcp(0, "a")]);
    let (text, _) = answer("GET /metrics HTTP/1.1\r\n\r\n", &directory, &checks);
    assert!(text.contains("\r\nContent-Type: text/plain; version=0.0.4"));
    assert!(text.contains("# TYPE keepalived_check_attempts_total counter\n"));
    assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
}

#[test]
fn status_is_json() {
    let (directory, checks) = after_one_run(vec![tcp(0, "a"), tcp(1, "b")]);
    let (text, _) = answer("GET /status HTTP/1.1\r\n\r\n", &directory, &checks);
    let status: serde_json::Value = serde_json::from_str(body(&text)).unwrap();
    let check = |up: bool, failures: u64| {
        serde_json::json!([{
            "check": "TCP_CHECK", "number": 1, "up": up, "has_run": true, "attempts": 1,
            "failures": failures, "last_duration_seconds": 0.25, "weight": null
        }])
    };
    let vip = "vip \"quoted\"";
    let process = serde_json::json!({
        "lateness": { "count": 3, "mean_seconds": 3.000_354, "longest_seconds": 9.0 },
        "turns": { "count": 0, "mean_seconds": 0.0, "longest_seconds": 0.0 },
    });
    let expected = serde_json::json!({ "loop": process, "real_servers": [
        { "virtual_server": vip, "real_server": "a", "up": true, "checks": check(true, 0) },
        { "virtual_server": vip, "real_server": "b", "up": false, "checks": check(false, 1) },
    ]});
    assert_eq!(status, expected);
    let nothing = Directory::default();
    let (text, _) = answer("GET /status HTTP/1.1\r\n\r\n", &nothing, &checks);
    assert!(body(&text).starts_with("{\"real_servers\":[],\"loop\":{"));
    assert!(body(&text).ends_with("}\n"));
}

#[test]
fn a_big_page_is_never_held_as_a_whole() {
    let checkers = (0..5_000).map(|id| tcp(id * 2, &format!("server {id}")));
    let (directory, checks) = after_one_run(checkers.collect());
    let (text, most) = answer("GET /metrics HTTP/1.1\r\n\r\n", &directory, &checks);
    assert_eq!(text.matches("keepalived_check_up{").count(), 5_000);
    assert!(text.len() > 1_000_000);
    assert!(most < PIECE + 1024, "{most}");
}

#[test]
fn refusals_and_head_have_no_page() {
    let (directory, checks) = after_one_run(vec![tcp(0, "a")]);
    let (text, _) = answer("HEAD /metrics HTTP/1.1\r\n\r\n", &directory, &checks);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"));
    let (text, _) = answer("PUT /metrics HTTP/1.1\r\n\r\n", &directory, &checks);
    assert!(text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"));
    assert!(text.contains("\r\nAllow: GET, HEAD\r\n"));
    assert_eq!(body(&text), "Only GET and HEAD are answered.\n");
}

#[test]
fn a_client_that_sends_without_end_is_answered_and_not_stored() {
    let (directory, checks) = after_one_run(Vec::new());
    let mut exchange = Exchange::default();
    for _ in 0..1_000 {
        exchange.received(&[b'a'; 1_000]);
    }
    exchange.fill(Shown {
        directory: &directory,
        checks: &checks,
        times: &LoopTimes::default(),
    });
    assert!(exchange.outgoing().starts_with(b"HTTP/1.1 431 "));
    assert_eq!(exchange.heard.capacity(), 0);
}
