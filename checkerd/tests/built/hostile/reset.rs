//! Servers that reset the connection, at every stage.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use kr_testkit::servers::TcpServer;

use super::{each, ordeal};
use crate::harness::{http, https, smtp};

/// Says the first, reads what the client says, says the next, and so on; then resets.
fn resetting(said: &'static [&'static [u8]]) -> TcpServer {
    TcpServer::on_loopback(move |mut stream| {
        let mut block = [0; 2048];
        for (index, bytes) in said.iter().enumerate() {
            if index > 0 && !matches!(stream.read(&mut block), Ok(1..)) {
                return;
            }
            if stream.write_all(bytes).is_err() {
                return;
            }
        }
        reset(&stream);
    })
    .unwrap()
}

/// A close that waits for nothing sends a reset.
fn reset(stream: &TcpStream) {
    // What was said shall arrive first.
    std::thread::sleep(Duration::from_millis(50));
    socket2::SockRef::from(stream)
        .set_linger(Some(Duration::ZERO))
        .ok();
}

#[test]
fn a_web_server_that_resets_is_judged_by_what_it_said() {
    let header = Err("connection closed before the end of the response header");
    let servers = [
        (resetting(&[b""]), header),
        (resetting(&[b"", b""]), header),
        (resetting(&[b"", b"HTTP/1.0 20"]), header),
        (resetting(&[b"", b"HTTP/1.0 200 OK\r\nX: y\r\n"]), header),
        (
            resetting(&[b"", b"HTTP/1.0 500 no\r\n\r\nx"]),
            Err("status 500"),
        ),
        // As with keepalived, a complete header is enough.
        (
            resetting(&[b"", b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nx"]),
            Ok(()),
        ),
    ];
    let cases = each(
        |id, at| http(id, at, &["/"]),
        servers.iter().map(|(s, e)| (s, *e)),
    );
    ordeal(cases);
}

#[test]
fn a_tls_server_that_resets_in_the_handshake_goes_down() {
    let handshake = Err("connection closed before the end of the TLS handshake");
    let servers = [
        (resetting(&[b""]), handshake),
        (resetting(&[b"", b""]), handshake),
        // The header of a record with a handshake message, and some of it.
        (
            resetting(&[b"", &[22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3]]),
            handshake,
        ),
    ];
    let cases = each(
        |id, at| https(id, at, None),
        servers.iter().map(|(s, e)| (s, *e)),
    );
    ordeal(cases);
}

#[test]
fn a_mail_server_that_resets_goes_down_at_the_step_it_was_at() {
    let servers = [
        (
            resetting(&[b""]),
            Err("connection closed before the greeting"),
        ),
        (
            resetting(&[b"220-a"]),
            Err("connection closed before the greeting"),
        ),
        (
            resetting(&[b"220 a\r\n"]),
            Err("connection closed before the reply to HELO"),
        ),
        (
            resetting(&[b"220 a\r\n", b"250-b\r\n"]),
            Err("connection closed before the reply to HELO"),
        ),
        (
            resetting(&[b"220 a\r\n", b"250 b\r\n"]),
            Err("connection closed before the reply to QUIT"),
        ),
    ];
    let cases = each(
        |id, at| smtp(id, &[at]),
        servers.iter().map(|(s, e)| (s, *e)),
    );
    ordeal(cases);
}
