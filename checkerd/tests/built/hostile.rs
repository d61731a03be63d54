//! The built checker process against servers that mean harm: bounded in time, memory and descriptors.

use std::time::{Duration, Instant};

use crate::harness::{Checkerd, http, https, nobody, smtp, tcp};
use kr_model::check::Probe;
use kr_testkit::servers::TcpServer;
use kr_testkit::servers::http::{Behaviour, HttpServer};
use kr_testkit::servers::smtp::SmtpServer;

#[test]
fn hostile_web_servers_go_down_and_cost_little() {
    let behaviours = [
        Behaviour::Silent,
        Behaviour::Endless,
        Behaviour::Drip(Duration::from_millis(300)),
        Behaviour::GiantHeader,
        Behaviour::Reset,
        Behaviour::Raw(b"SSH-2.0-x\r\n\r\n".to_vec()),
        Behaviour::Raw(Vec::new()),
        Behaviour::Raw(vec![0; 100_000]),
    ];
    let mut servers = Vec::new();
    let mut checkers = Vec::new();
    for behaviour in behaviours {
        let plain = HttpServer::start(behaviour.clone()).unwrap();
        let tls = HttpServer::start_tls(behaviour, &["x"]).unwrap();
        let id = u32::try_from(checkers.len()).unwrap();
        checkers.push(http(id, plain.address(), &["/"]));
        checkers.push(https(id + 1, tls.address(), None));
        servers.extend([plain, tls]);
    }
    for checker in &mut checkers {
        if let Probe::Http(http) = &mut checker.probe {
            http.connection.timeout = Duration::from_millis(500);
        }
    }
    let good = HttpServer::start(Behaviour::ok("x")).unwrap();
    checkers.push(http(100, good.address(), &["/"]));
    let start = Instant::now();
    let mut daemon = Checkerd::with(&checkers);
    daemon.until_verdict(100, true);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "the good server waits for nobody"
    );
    for id in 0..16 {
        daemon.until_verdict(id, false);
    }
    // Ten times the timeout of half a second, and some for this machine.
    assert!(
        start.elapsed() < Duration::from_secs(11),
        "{:?}",
        start.elapsed()
    );
    daemon.until_log("still sending after 5 s");
    assert!(
        daemon.peak_memory() < 48 * 1024,
        "{} KiB",
        daemon.peak_memory()
    );
}

#[test]
fn hostile_mail_servers_go_down() {
    let endless = TcpServer::on_loopback(|mut stream| {
        let block = "220-x\r\n".repeat(1000);
        while std::io::Write::write_all(&mut stream, block.as_bytes()).is_ok() {}
    })
    .unwrap();
    let silent = TcpServer::on_loopback(|stream| {
        std::io::copy(&mut &stream, &mut std::io::sink()).ok();
    })
    .unwrap();
    let mut daemon = Checkerd::with(&[smtp(1, &[endless.address()]), smtp(2, &[silent.address()])]);
    daemon.until_verdict(1, false);
    daemon.until_verdict(2, false);
    daemon.until_log("SMTP_CHECK of 2 in test failed: no greeting within 1 s");
}

#[test]
fn descriptors_do_not_leak() {
    let web = HttpServer::start(Behaviour::ok("x")).unwrap();
    let tls = HttpServer::start_tls(Behaviour::ok("x"), &["x"]).unwrap();
    let mail = SmtpServer::start(Vec::new()).unwrap();
    let broken = HttpServer::start(Behaviour::Reset).unwrap();
    let mut daemon = Checkerd::start();
    daemon.configure(1, &kr_model::check::CheckerGlobal::default(), &[], &[]);
    let before = daemon.descriptors();
    let checkers = [
        tcp(1, web.address()),
        tcp(2, nobody()),
        http(3, web.address(), &["/"]),
        https(4, tls.address(), None),
        https(5, web.address(), None),
        smtp(6, &[mail.address()]),
        http(7, broken.address(), &["/"]),
    ];
    daemon.configure(
        2,
        &kr_model::check::CheckerGlobal::default(),
        &checkers,
        &[],
    );
    daemon.until("thirty checks", |_| web.requests().len() >= 30);
    // A reload drops what runs.
    daemon.configure(3, &kr_model::check::CheckerGlobal::default(), &[], &[]);
    daemon.until("closed descriptors", |d| d.descriptors() == before);
}

#[test]
fn a_thousand_servers_are_checked_in_turn() {
    let server = TcpServer::on_loopback(drop).unwrap();
    let mut checkers: Vec<_> = (0..1000).map(|id| tcp(id, server.address())).collect();
    for checker in &mut checkers {
        // All at once would overrun the listener's queue.
        checker.timing.warmup = Duration::from_secs(2);
        checker.timing.delay_loop = Duration::from_secs(2);
    }
    let mut daemon = Checkerd::with(&checkers);
    daemon.until("all up", |d| d.verdicts.len() == 1000);
    assert!(daemon.verdicts.iter().all(|verdict| verdict.up));
}
