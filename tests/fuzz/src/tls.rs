//! What a web server says inside and instead of TLS.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use kr_check::http::{Answer, Fetch, Keep};
use kr_check::tls::{Tls, TlsContext};
use kr_check::{Conversation, Failure};
use kr_model::check::CheckerGlobal;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion, version};

use crate::pieces::choice_and_size;
use crate::talk::lead;

/// More than a client says before it knows the server.
const MOST_SAID: usize = 16 * 1024;

/// The first byte chooses. Bytes instead of a handshake never make a check pass, whether certificates are
/// verified or not; after a handshake, in either version of TLS, the same bytes have the same result as
/// without TLS.
pub fn tls_server(data: &[u8]) {
    let Some((choice, size, bytes)) = choice_and_size(data) else {
        return;
    };
    match choice {
        0 => instead_of_a_handshake(&CheckerGlobal::default(), size, bytes),
        1 => instead_of_a_handshake(&verifying(), size, bytes),
        2 => after_a_handshake(&version::TLS12, size, bytes),
        _ => after_a_handshake(&version::TLS13, size, bytes),
    }
}

fn instead_of_a_handshake(global: &CheckerGlobal, size: usize, bytes: &[u8]) {
    let course = lead(client(global), bytes.chunks(size));
    assert!(course.result.is_err());
    assert!(course.said.len() < MOST_SAID);
}

fn after_a_handshake(version: &'static SupportedProtocolVersion, size: usize, bytes: &[u8]) {
    let mut server = ServerConnection::new(server(version)).expect("own settings are good");
    let through_tls = exchange(client(&CheckerGlobal::default()), &mut server, size, bytes);
    assert_eq!(through_tls, lead(fetch(), bytes.chunks(size)).result);
}

/// Carries bytes between both until the client is done. The server answers in pieces and closes.
fn exchange(
    mut client: Tls<Fetch>,
    server: &mut ServerConnection,
    size: usize,
    answer: &[u8],
) -> Result<Answer, Failure> {
    assert!(client.opened().is_continue());
    // A handshake takes two turns, the answer one more.
    for _ in 0..5 {
        let bytes = client.outgoing().to_vec();
        client.sent(bytes.len());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("from a slice");
            server.process_new_packets().expect("the client speaks TLS");
        }
        let mut request = [0; 100];
        if server.reader().read(&mut request).is_ok() {
            for piece in answer.chunks(size) {
                server.writer().write_all(piece).expect("into a buffer");
            }
            server.send_close_notify();
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).expect("into a vector");
        }
        if let Some(result) = client.received(&bytes).break_value() {
            return result;
        }
    }
    panic!("the exchange does not come to its end");
}

fn fetch() -> Fetch {
    Fetch::new("GET / HTTP/1.0\r\n\r\n", Keep::Body)
}

fn client(global: &CheckerGlobal) -> Tls<Fetch> {
    let context = TlsContext::new(global).expect("own settings are good");
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80));
    Tls::new(fetch(), &context, Some("www.example.org"), address, true).expect("a usable name")
}

/// The key of the server, made once.
fn identity() -> &'static CertifiedKey<rcgen::KeyPair> {
    static IDENTITY: OnceLock<CertifiedKey<rcgen::KeyPair>> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        generate_simple_self_signed(["www.example.org".to_owned()]).expect("a certificate")
    })
}

fn verifying() -> CheckerGlobal {
    CheckerGlobal {
        trusted_authorities: Some(identity().cert.pem().into_bytes()),
        ..CheckerGlobal::default()
    }
}

fn server(version: &'static SupportedProtocolVersion) -> Arc<ServerConfig> {
    let key = PrivatePkcs8KeyDer::from(identity().signing_key.serialize_der());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version of the library")
        .with_no_client_auth()
        .with_single_cert(vec![identity().cert.der().clone()], key.into())
        .expect("own certificate");
    // The whole answer waits here.
    config.max_fragment_size = None;
    Arc::new(config)
}
