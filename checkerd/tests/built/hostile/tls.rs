//! TLS servers: garbage, handshakes that stand still, chains that are too long, versions that are too old.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use kr_testkit::servers::TcpServer;
use kr_testkit::servers::http::{Behaviour, HttpServer};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, Stream, SupportedProtocolVersion};

use super::{dripping, each, endless, ordeal, stuck};
use crate::harness::https;

/// A server with a chain of this many bytes at least, of one version.
pub(crate) fn configuration(
    chain_bytes: usize,
    version: &'static SupportedProtocolVersion,
) -> Arc<ServerConfig> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["x".repeat(60); 30]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let der = cert.der().clone();
    let chain = vec![der.clone(); 1 + chain_bytes / der.len()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    Arc::new(config)
}

/// Serves one page with such a chain.
fn server(chain_bytes: usize, version: &'static SupportedProtocolVersion) -> TcpServer {
    let config = configuration(chain_bytes, version);
    TcpServer::on_loopback(move |mut socket| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = Stream::new(&mut connection, &mut socket);
        let mut block = [0; 2048];
        if matches!(stream.read(&mut block), Ok(1..)) {
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nx").ok();
            connection.send_close_notify();
            connection.write_tls(&mut socket).ok();
        }
    })
    .unwrap()
}

#[test]
fn both_versions_pass_and_a_chain_of_any_sensible_length() {
    let too_long = Err("the server's certificate chain, or another message");
    let servers = [
        (server(0, &rustls::version::TLS12), Ok(())),
        (server(0, &rustls::version::TLS13), Ok(())),
        (server(30_000, &rustls::version::TLS12), Ok(())),
        (server(30_000, &rustls::version::TLS13), Ok(())),
        (server(100 * 1024, &rustls::version::TLS12), too_long),
        (server(100 * 1024, &rustls::version::TLS13), too_long),
    ];
    let cases = each(
        |id, at| https(id, at, None),
        servers.iter().map(|(s, e)| (s, *e)),
    );
    ordeal(cases);
}

#[test]
fn what_is_no_tls_and_what_stands_still_goes_down_in_time() {
    const OLD: &str = "the server speaks only TLS older than 1.2, which is not supported";
    const NOT_TLS: &str = "the server does not speak TLS on this port";
    let handshake = Err("no end of the TLS handshake within 0.5 s");
    // The header of a record with 16 KiB of a handshake message of 16 MiB.
    let huge: &'static [u8] = &[22, 3, 3, 0x40, 0, 11, 0xff, 0xff, 0xff];
    let servers = [
        (endless(b"", b"garbage"), Err(NOT_TLS)),
        (endless(b"", b"\0"), Err(NOT_TLS)),
        (endless(b"HTTP/1.0 400 Bad Request\r\n", b"x"), Err(NOT_TLS)),
        (endless(huge, b"x"), Err("")),
        // Records of one kind without end: empty handshakes, change of cipher, warnings.
        (endless(b"", &[22, 3, 3, 0, 0]), Err("")),
        (endless(b"", &[20, 3, 3, 0, 1, 1]), Err("")),
        (endless(b"", &[21, 3, 3, 0, 2, 1, 90]), Err("")),
        (stuck(b""), handshake),
        (stuck(&[22, 3, 3, 0, 90, 2, 0, 0, 86, 3, 3]), handshake),
        // No byte wins time before the session stands.
        (
            dripping(&[22, 3, 3, 0x40, 0], b"\x02", Duration::from_millis(100)),
            handshake,
        ),
        // A fatal alert: protocol_version.
        (stuck(&[21, 3, 1, 0, 2, 2, 70]), Err(OLD)),
    ];
    let cases = each(
        |id, at| https(id, at, None),
        servers.iter().map(|(s, e)| (s, *e)),
    );
    ordeal(cases);
}

#[test]
fn hostile_pages_inside_tls_cost_as_little_as_outside() {
    let behaviours = [
        (Behaviour::Endless, Err("")),
        (
            Behaviour::GiantHeader,
            Err("response header longer than 16384 bytes"),
        ),
        (
            Behaviour::Drip(Duration::from_millis(300)),
            Err("still sending after 5 s"),
        ),
        (Behaviour::Silent, Err("no response header within 0.5 s")),
        (
            Behaviour::Raw(b"SSH-2.0-x\r\n\r\n".to_vec()),
            Err("the answer has no HTTP status line"),
        ),
        (
            Behaviour::Raw(Vec::new()),
            Err("connection closed before the end of the response header"),
        ),
    ];
    let servers = behaviours
        .map(|(behaviour, expected)| (HttpServer::start_tls(behaviour, &["x"]).unwrap(), expected));
    let cases = (1..)
        .zip(&servers)
        .map(|(id, (server, expected))| (https(id, server.address(), None), *expected));
    ordeal(cases.collect());
}
