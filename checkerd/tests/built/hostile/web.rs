//! Web servers: bodies, headers and lengths without end or sense.

use std::net::TcpStream;
use std::time::Duration;

use kr_testkit::servers::TcpServer;
use kr_testkit::servers::http::{Behaviour, HttpServer};
use kr_testkit::servers::smtp::SmtpServer;
use socket2::{Domain, Socket, Type};

use super::{Case, dripping, each, endless, ordeal, stuck};
use crate::harness::{Checkerd, http, https, nobody, smtp, tcp};

const STILL_SENDING: &str = "still sending after 5 s";

#[test]
fn answers_without_end_or_sense_go_down_and_cost_little() {
    let slow = Duration::from_millis(300);
    let servers = [
        (endless(b"HTTP/1.0 200 OK\r\n\r\n", b"x"), Err("")),
        (
            endless(b"HTTP/1.0 200 OK\r\nX: ", b"x"),
            Err("response header longer than 16384 bytes"),
        ),
        (
            endless(b"HTTP/1.0 200 OK\r\n", b"X-More: x\r\n"),
            Err("response header longer than 16384 bytes"),
        ),
        (
            endless(b"", b"\0"),
            Err("response header longer than 16384 bytes"),
        ),
        (dripping(b"", b"H", slow), Err(STILL_SENDING)),
        (
            dripping(b"HTTP/1.0 200 OK\r\n", b"X: x\r\n", slow),
            Err(STILL_SENDING),
        ),
        (
            dripping(b"HTTP/1.0 200 OK\r\n\r\n", b"x", slow),
            Err(STILL_SENDING),
        ),
        (
            dripping(b"HTTP/1.0 200 OK\r\nX: ", b"x", Duration::from_secs(1)),
            Err("no response header within 0.5 s"),
        ),
        (stuck(b""), Err("no response header within 0.5 s")),
        (
            stuck(b"HTTP/1.1 200 OK\r\n\r\n"),
            Err("no end of the response body within 0.5 s"),
        ),
    ];
    let cases = each(
        |id, at| http(id, at, &["/"]),
        servers.iter().map(|(s, e)| (s, *e)),
    );
    ordeal(cases);
}

/// Lengths are only a hint when a body ends: a connection that closes ends it too.
#[test]
fn lengths_that_make_no_sense_are_no_length() {
    const HEADS: [&str; 7] = [
        "Content-Length: -1",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 18446744073709551615",
        "Content-Length: 5, 6",
        "Content-Length: 0x10",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length:",
    ];
    let body = "ffffffffffffffffffffffff\r\n-7\r\nzz\r\n";
    let answer = |head: &str| format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").into_bytes();
    let closing: Vec<HttpServer> = HEADS
        .iter()
        .map(|head| HttpServer::start(Behaviour::Raw(answer(head))).unwrap())
        .collect();
    let mut cases: Vec<Case> = (100..)
        .zip(&closing)
        .map(|(id, server)| (http(id, server.address(), &["/"]), Ok(())))
        .collect();
    let open = [
        stuck(b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx"),
        stuck(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx"),
        stuck(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"),
    ];
    let still_open = Err("no end of the response body within 0.5 s");
    cases.extend(each(
        |id, at| http(id, at, &["/"]),
        open.iter().map(|server| (server, still_open)),
    ));
    ordeal(cases);
}

/// The kernel accepts a few connections for a listener that does not; what comes then is not answered.
#[test]
fn a_connection_that_is_not_answered_ends_in_time() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let fill = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let held: Vec<TcpStream> = (0..4).filter_map(fill).collect();
    assert!(held.len() < 4, "the queue does not fill");
    let refusal = Err("no connection within 0.5 s");
    ordeal(vec![
        (tcp(1, address), refusal),
        (http(2, address, &["/"]), refusal),
        (https(3, address, None), refusal),
        (smtp(4, &[address]), refusal),
    ]);
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
