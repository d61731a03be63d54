//! The built checker process against servers on loopback: every kind of check goes up and down.

use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::thread::{self, sleep};
use std::time::Duration;

use crate::harness::{Checkerd, checker, connection, http, https, misc, nobody, smtp, tcp};
use kr_ipc::edge::parentd_checkerd::ToCheckerd;
use kr_model::CheckerId;
use kr_model::check::{CheckerGlobal, Probe, StatusRange};
use kr_model::script::ScriptOutcome;
use kr_testkit::servers::TcpServer;
use kr_testkit::servers::http::{Behaviour, HttpServer};
use kr_testkit::servers::smtp::SmtpServer;
use kr_testkit::wait::eventually;

#[test]
fn tcp_check_follows_the_listener() {
    let server = TcpServer::on_loopback(drop).unwrap();
    let address = server.address();
    let mut daemon = Checkerd::with(&[tcp(1, address), tcp(2, nobody())]);
    daemon.until_verdict(1, true);
    daemon.until_verdict(2, false);
    daemon.until_log("TCP_CHECK of 2 in test failed: connection refused; now down");
    drop(server);
    daemon.until_verdict(1, false);
    let _server = TcpServer::start(address, drop).unwrap();
    daemon.until_verdict(1, true);
    daemon.until_log("TCP_CHECK of 1 in test succeeded; now up");
}

#[test]
fn tcp_check_binds_to_the_source_address_and_port_again_and_again() {
    let sources = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut via = connection(server.local_addr().unwrap());
    thread::spawn({
        let sources = std::sync::Arc::clone(&sources);
        move || {
            // The check is over by now, and its end with a reset leaves no more than this address.
            while let Ok((_, source)) = server.accept() {
                sources.lock().unwrap().push(source);
            }
        }
    });
    via.source = Some(IpAddr::from([127, 0, 0, 77]));
    via.source_port = Some(u64::from(nobody().port()).try_into().unwrap());
    let expected = SocketAddr::new(via.source.unwrap(), via.source_port.unwrap().get());
    let mut daemon = Checkerd::with(&[checker(1, Probe::Tcp(via))]);
    daemon.until("three connections", |_| sources.lock().unwrap().len() >= 3);
    assert!(
        sources
            .lock()
            .unwrap()
            .iter()
            .all(|source| *source == expected)
    );
    assert_eq!(daemon.verdict(1), Some(true));
}

#[test]
fn an_ipv6_server_is_checked_over_the_configured_interface() {
    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let server = TcpServer::start(address, drop).unwrap();
    let via = |interface: &str| {
        let mut via = connection(server.address());
        via.interface = Some(interface.to_owned().try_into().unwrap());
        Probe::Tcp(via)
    };
    let mut daemon = Checkerd::with(&[checker(1, via("lo")), checker(2, via("absent0"))]);
    daemon.until_verdict(1, true);
    daemon
        .until_log("TCP_CHECK of 2 in test was not tried: bind_if cannot be used: No such device");
    assert_eq!(daemon.verdict(2), None);
}

#[test]
fn http_get_judges_the_status() {
    let server = HttpServer::start(Behaviour::ok("hello\n")).unwrap();
    let mut wants_503 = http(2, server.address(), &["/"]);
    if let Probe::Http(http) = &mut wants_503.probe {
        http.urls[0].status = vec![StatusRange {
            first: 503,
            last: 503,
        }];
    }
    let mut daemon = Checkerd::with(&[http(1, server.address(), &["/"]), wants_503]);
    daemon.until_verdict(1, true);
    daemon.until_verdict(2, false);
    daemon.until_log("HTTP_GET of 2 in test failed: status 200, expected 503");
    server.set(Behaviour::status(503));
    daemon.until_verdict(1, false);
    daemon.until_verdict(2, true);
    assert_eq!(
        server.requests()[0],
        format!(
            "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: {}\r\n\r\n",
            server.address()
        )
    );
}

#[test]
fn http_get_needs_every_url_and_takes_a_server_that_keeps_the_connection() {
    let page = |path: &str| (path.to_owned(), "x".to_owned());
    let server = HttpServer::start(Behaviour::Paths(vec![page("/a"), page("/b")])).unwrap();
    let mut daemon = Checkerd::with(&[http(1, server.address(), &["/a", "/b"])]);
    daemon.until_verdict(1, true);
    server.set(Behaviour::Paths(vec![page("/a")]));
    daemon.until_verdict(1, false);
    daemon
        .until_log("HTTP_GET of 1 in test failed: url /b: status 404, expected 200-299; now down");
    server.set(Behaviour::KeepOpen {
        body: "x".to_owned(),
    });
    daemon.until_verdict(1, true);
}

#[test]
fn the_digest_of_genhash_makes_http_get_and_ssl_get_pass() {
    let body = "<html>\n".repeat(3000);
    let plain = HttpServer::start(Behaviour::ok(&body)).unwrap();
    let tls = HttpServer::start_tls(Behaviour::ok(&body), &["localhost"]).unwrap();
    let digest_of = |address: SocketAddr, more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_genhash"))
            .args([
                "-s",
                &address.ip().to_string(),
                "-p",
                &address.port().to_string(),
            ])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let digest = text
            .strip_prefix("MD5SUM = ")
            .unwrap()
            .strip_suffix("\n\n")
            .unwrap();
        assert_eq!(digest.len(), 32);
        let pairs = (0..16).map(|at| u8::from_str_radix(&digest[at * 2..at * 2 + 2], 16));
        let bytes: Vec<u8> = pairs.collect::<Result<_, _>>().unwrap();
        <[u8; 16]>::try_from(bytes).unwrap()
    };
    let over_http = digest_of(plain.address(), &["-u", "http://10.7.11.40/"]);
    let over_tls = digest_of(tls.address(), &["-S", "-u", "/"]);
    assert_eq!(over_http, over_tls);
    let mut checkers = [
        http(1, plain.address(), &["/"]),
        https(2, tls.address(), None),
    ];
    for checker in &mut checkers {
        if let Probe::Http(http) = &mut checker.probe {
            http.urls[0].digest = Some(over_http);
        }
    }
    let mut daemon = Checkerd::with(&checkers);
    daemon.until_verdict(1, true);
    daemon.until_verdict(2, true);
    plain.set(Behaviour::ok("other"));
    daemon.until_verdict(1, false);
    daemon.until_log(
        "HTTP_GET of 1 in test failed: digest 795f3202b17cb6bc3d4b771d8c6c9eaf, expected",
    );
    assert_eq!(
        plain.requests()[0],
        plain.requests()[1],
        "genhash asks what the check asks"
    );
}

#[test]
fn ssl_get_accepts_any_certificate_says_so_and_verifies_on_request() {
    let server = HttpServer::start_tls(Behaviour::ok("x"), &["www.example"]).unwrap();
    let plain = TcpServer::on_loopback(|mut stream| {
        stream.write_all(b"220 mail.example ESMTP\r\n").ok();
    })
    .unwrap();
    let checkers = [
        https(1, server.address(), Some("www.example")),
        https(2, server.address(), Some("other.example")),
        https(3, plain.address(), None),
    ];
    let mut daemon = Checkerd::with(&checkers);
    daemon.until_verdict(1, true);
    daemon.until_verdict(2, true);
    daemon.until_verdict(3, false);
    daemon.until_log("SSL_GET of 3 in test failed: the server does not speak TLS on this port");
    assert_eq!(
        daemon
            .log()
            .matches("SSL_GET accepts any certificate")
            .count(),
        1
    );
    // A bundle as large as that of a distribution.
    let pem = server.certificate().unwrap().to_owned() + &"# comment\n".repeat(30_000);
    let global = CheckerGlobal {
        trusted_authorities: Some(pem.into_bytes()),
        ..CheckerGlobal::default()
    };
    daemon.configure(2, &global, &checkers, &[]);
    daemon.until_verdict(2, false);
    daemon.until_log("SSL_GET of 2 in test failed: certificate refused");
    assert_eq!(daemon.verdict(1), Some(true));
    let built_in = CheckerGlobal {
        verify: true,
        ..CheckerGlobal::default()
    };
    daemon.configure(3, &built_in, &checkers, &[]);
    daemon.until_verdict(1, false);
    daemon.until_log("SSL_GET of 1 in test failed: certificate refused");
}

#[test]
fn identical_checks_connect_once_and_everybody_hears_of_it() {
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&connections);
    let count = move || counted.load(std::sync::atomic::Ordering::Relaxed);
    let server = TcpServer::on_loopback(move |_| {
        connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    })
    .unwrap();
    let address = server.address();
    let checkers: Vec<_> = (1..=20).map(|id| tcp(id, address)).collect();
    let mut daemon = Checkerd::with(&[]);
    let global = CheckerGlobal {
        share: true,
        ..CheckerGlobal::default()
    };
    daemon.configure(2, &global, &checkers, &[]);
    for id in 1..=20 {
        daemon.until_verdict(id, true);
    }
    daemon.until_log("19 of them share the runs of an identical one");
    // The server may count late what it accepts.
    eventually(Duration::from_secs(10), "a connection", || count() > 0).unwrap();
    let seen = count();
    assert!(seen < 20, "{seen} connections");
    drop(server);
    for id in 1..=20 {
        daemon.until_verdict(id, false);
    }
}

#[test]
fn smtp_check_talks_to_every_host() {
    let first = SmtpServer::start(Vec::new()).unwrap();
    let second = SmtpServer::start(vec![("", "220-several\r\n220 lines")]).unwrap();
    let mut daemon = Checkerd::with(&[smtp(1, &[first.address(), second.address()])]);
    daemon.until_verdict(1, true);
    assert!(
        first
            .commands()
            .starts_with(&["HELO director".to_owned(), "QUIT".to_owned()])
    );
    second.set(vec![("HELO", "550 no")]);
    daemon.until_verdict(1, false);
    daemon.until_log(&format!(
        "SMTP_CHECK of 1 in test failed: host {}: answer to HELO: 550 no; now down",
        second.address()
    ));
    second.set(Vec::new());
    daemon.until_verdict(1, true);
}

#[test]
fn misc_check_asks_the_parent_and_follows_the_exit_code() {
    let mut daemon = Checkerd::with(&[misc(1, true)]);
    for (outcome, up, weight) in [
        (ScriptOutcome::Exit(0), true, None),
        (ScriptOutcome::Exit(22), true, Some(20)),
        (ScriptOutcome::TimedOut, false, None),
        (ScriptOutcome::Exit(2), true, Some(0)),
    ] {
        daemon.until("request for the script", |d| !d.scripts.is_empty());
        let (checker, run) = daemon.scripts.remove(0);
        daemon.send(&ToCheckerd::ScriptEnded {
            checker,
            run,
            outcome,
        });
        daemon.until("verdict", |d| {
            d.verdicts.last().is_some_and(|verdict| {
                verdict.checker == CheckerId(1)
                    && verdict.up == up
                    && verdict.weight.map(kr_model::units::Weight::get) == weight
            })
        });
    }
}

#[test]
fn a_check_that_this_host_cannot_make_is_no_failure_of_the_server() {
    let server = TcpServer::on_loopback(drop).unwrap();
    let mut via = connection(server.address());
    // Not an address of this host.
    via.source = Some(IpAddr::from([192, 0, 2, 77]));
    let mut daemon = Checkerd::with(&[checker(1, Probe::Tcp(via)), tcp(2, server.address())]);
    daemon.until("complaint", |d| {
        d.log()
            .contains("TCP_CHECK of 1 in test was not tried: bindto")
    });
    daemon.until_verdict(2, true);
    sleep(Duration::from_millis(500));
    daemon.read();
    assert_eq!(daemon.verdict(1), None);
    assert_eq!(
        daemon
            .log()
            .matches("TCP_CHECK of 1 in test was not tried")
            .count(),
        1
    );
}
