//! The built `genhash`: historic output, verbose output, exit codes.

use std::net::SocketAddr;
use std::process::{Command, Output};

use kr_testkit::servers::http::{Behaviour, HttpServer};

fn genhash(address: SocketAddr, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_genhash"))
        .args(["-s", &address.ip().to_string()])
        .arg(format!("-p{}", address.port()))
        .args(more)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_output_is_the_historic_one() {
    let server = HttpServer::start(Behaviour::ok("hello\n")).unwrap();
    let output = genhash(server.address(), &[]);
    assert_eq!(
        text(&output.stdout),
        "MD5SUM = b1946ac92492d2347c6235b4d2611184\n\n"
    );
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    let output = genhash(
        server.address(),
        &["--url=http://www.example/a", "--use-virtualhost", "www"],
    );
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("asking"), "{output:?}");
    assert_eq!(
        server.requests()[1],
        "GET /a HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: www\r\n\r\n"
    );
}

#[test]
fn verbose_shows_header_and_body() {
    let server = HttpServer::start_tls(Behaviour::ok("hello\n"), &["x"]).unwrap();
    let output = genhash(server.address(), &["-Sv"]);
    let out = text(&output.stdout);
    for part in [
        "-----------------------[ HTTP Header hexa dump ]-----------------------\n0000  48 54 54 50",
        "HTTP/1.0 200 x\n",
        "0000  68 65 6c 6c 6f 0a",
        "MD5SUM = b1946ac92492d2347c6235b4d2611184\n\nGlobal response time for [/] = ",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
}

#[test]
fn failures_are_told_and_counted() {
    let server = HttpServer::start(Behaviour::Silent).unwrap();
    let output = genhash(server.address(), &["-t", "1"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert!(
        text(&output.stderr).ends_with(": no response header within 1 s\n"),
        "{output:?}"
    );
    let address = server.address();
    drop(server);
    let output = genhash(address, &["-S"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("connection refused"));
    let output = genhash(address, &["-x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("Usage: genhash"));
}

#[test]
fn other_digests_and_forms_are_printed_on_request() {
    let server = HttpServer::start(Behaviour::ok("hello\n")).unwrap();
    for (options, printed) in [
        (
            &["-H", "SHA1"][..],
            "SHA1SUM = f572d396fae9206628714fb2ce00f72e94f2258f\n\n",
        ),
        (
            &["--hash=md5"],
            "MD5SUM = b1946ac92492d2347c6235b4d2611184\n\n",
        ),
        (&["-b"], "b1946ac92492d2347c6235b4d2611184\n"),
    ] {
        let output = genhash(server.address(), options);
        assert_eq!(text(&output.stdout), printed, "{options:?}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn every_protocol_sends_its_request() {
    let body = "hello\n".to_owned();
    let server = HttpServer::start(Behaviour::KeepOpen { body }).unwrap();
    for (protocol, line, connection) in [
        ("1.0", "1.0", ""),
        ("1.0c", "1.0", "Connection: close\r\n"),
        ("1.0k", "1.0", "Connection: keep-alive\r\n"),
        ("1.1", "1.1", "Connection: close\r\n"),
        ("1.1k", "1.1", "Connection: keep-alive\r\n"),
    ] {
        let output = genhash(server.address(), &["-P", protocol, "-V", "h"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            server.requests().last().unwrap(),
            &format!(
                "GET / HTTP/{line}\r\nUser-Agent: KeepAliveClient\r\n{connection}Host: h\r\n\r\n"
            )
        );
    }
}

#[test]
fn a_body_that_is_cut_is_told_and_hashed() {
    let cut = b"HTTP/1.0 200 x\r\nContent-Length: 9\r\n\r\nhello\n".to_vec();
    let server = HttpServer::start(Behaviour::Raw(cut)).unwrap();
    let output = genhash(server.address(), &["-b"]);
    assert_eq!(text(&output.stdout), "b1946ac92492d2347c6235b4d2611184\n");
    assert_eq!(
        text(&output.stderr),
        "genhash: the body ends 3 bytes before its Content-Length\n"
    );
    let fails = HttpServer::start(Behaviour::Raw(b"HTTP/1.0 200".to_vec())).unwrap();
    let output = genhash(fails.address(), &[]);
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(1), "")
    );
}
