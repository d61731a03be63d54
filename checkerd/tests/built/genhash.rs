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
