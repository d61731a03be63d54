use kr_model::check::{ClientIdentity, HttpVersion};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::http::{Answer, Fetch, Keep, request};

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

struct Server {
    connection: ServerConnection,
    pem: String,
}

fn server(names: &[&str]) -> Server {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    Server {
        connection: ServerConnection::new(Arc::new(config)).unwrap(),
        pem: cert.pem(),
    }
}

fn client(global: &CheckerGlobal, name: Option<&str>) -> Tls<Fetch> {
    let context = TlsContext::new(global).unwrap();
    let fetch = Fetch::new(&request("/", "h", HttpVersion::V1_0), Keep::Body);
    Tls::new(fetch, &context, name, ADDRESS, true).unwrap()
}

fn trusting(pem: &str) -> CheckerGlobal {
    CheckerGlobal {
        trusted_authorities: Some(pem.as_bytes().to_vec()),
        ..CheckerGlobal::default()
    }
}

/// Carries bytes between both until the client is done; the server answers with `answer` and closes.
fn exchange(mut client: Tls<Fetch>, server: &mut Server, answer: &[u8]) -> Result<Answer, Failure> {
    assert!(client.opened().is_continue());
    let mut answered = false;
    for _ in 0..20 {
        let mut bytes = client.outgoing().to_vec();
        client.sent(bytes.len());
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.connection.read_tls(&mut rest).unwrap();
            let _ = server.connection.process_new_packets();
        }
        let mut text = [0; 1000];
        if !answered && server.connection.reader().read(&mut text).is_ok() {
            answered = true;
            server.connection.writer().write_all(answer).unwrap();
            server.connection.send_close_notify();
        }
        bytes.clear();
        while server.connection.wants_write() {
            server.connection.write_tls(&mut bytes).unwrap();
        }
        if let ControlFlow::Break(end) = client.received(&bytes) {
            return end;
        }
    }
    client.ended()
}

const OK: &[u8] = b"HTTP/1.0 200 OK\r\n\r\nhello";

#[test]
fn any_certificate_is_accepted_without_authorities() {
    let mut server = server(&["elsewhere.example"]);
    let answer = exchange(client(&CheckerGlobal::default(), None), &mut server, OK).unwrap();
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, b"hello".as_slice())
    );
}

#[test]
fn a_session_ends_with_a_close_notify_only_when_asked_for() {
    let context = TlsContext::new(&CheckerGlobal::default()).unwrap();
    for close_notify in [true, false] {
        let mut server = server(&["www.example"]);
        let fetch = Fetch::new(&request("/", "h", HttpVersion::V1_0), Keep::Nothing);
        let mut client = Tls::new(fetch, &context, None, ADDRESS, close_notify).unwrap();
        assert!(client.opened().is_continue());
        let answer = b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n";
        let mut answered = false;
        loop {
            let bytes = client.outgoing().to_vec();
            client.sent(bytes.len());
            server.connection.read_tls(&mut bytes.as_slice()).unwrap();
            server.connection.process_new_packets().unwrap();
            if !answered && server.connection.reader().read(&mut [0; 1000]).is_ok() {
                answered = true;
                server.connection.writer().write_all(answer).unwrap();
            }
            let mut bytes = Vec::new();
            while server.connection.wants_write() {
                server.connection.write_tls(&mut bytes).unwrap();
            }
            if client.received(&bytes).is_break() {
                break;
            }
        }
        let farewell = client.outgoing().to_vec();
        server
            .connection
            .read_tls(&mut farewell.as_slice())
            .unwrap();
        let state = server.connection.process_new_packets().unwrap();
        assert_eq!(state.peer_has_closed(), close_notify);
    }
}

#[test]
fn with_authorities_chain_and_name_are_verified() {
    let mut good = server(&["www.example"]);
    let global = trusting(&good.pem);
    assert!(exchange(client(&global, Some("www.example")), &mut good, OK).is_ok());

    let mut named_otherwise = server(&["www.example"]);
    let global = trusting(&named_otherwise.pem);
    let failure = exchange(
        client(&global, Some("other.example")),
        &mut named_otherwise,
        OK,
    );
    assert!(
        matches!(failure, Err(Failure::Tls(TlsFailure::Certificate(_)))),
        "{failure:?}"
    );

    let mut unknown = server(&["www.example"]);
    let failure = exchange(client(&global, Some("www.example")), &mut unknown, OK);
    assert!(
        matches!(failure, Err(Failure::Tls(TlsFailure::Certificate(_)))),
        "{failure:?}"
    );
}

#[test]
fn with_built_in_authorities_a_self_made_certificate_is_refused() {
    let global = CheckerGlobal {
        verify: true,
        ..CheckerGlobal::default()
    };
    let mut server = server(&["www.example"]);
    let failure = exchange(client(&global, Some("www.example")), &mut server, OK);
    assert_eq!(
        failure.unwrap_err().to_string(),
        "certificate refused: its issuer is no trusted authority"
    );
}

#[test]
fn a_bundle_with_a_certificate_that_cannot_be_used_still_serves() {
    let mut server = server(&["www.example"]);
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let global = trusting(&format!("{odd}{}", server.pem));
    assert!(exchange(client(&global, Some("www.example")), &mut server, OK).is_ok());
    let nothing = TlsContext::new(&trusting(odd)).unwrap_err();
    assert_eq!(
        nothing.to_string(),
        "SSL ca: none of its 1 certificates is that of a usable authority"
    );
}

#[test]
fn a_server_without_tls_or_with_an_old_one_is_told_apart() {
    let mut plain = client(&CheckerGlobal::default(), None);
    assert!(plain.opened().is_continue());
    assert_eq!(
        plain.received(b"HTTP/1.0 400 Bad Request\r\n\r\n"),
        ControlFlow::Break(Err(Failure::Tls(TlsFailure::NotTls)))
    );
    // A fatal alert, protocol_version(70), in a TLS 1.0 record.
    let mut old = client(&CheckerGlobal::default(), None);
    assert!(old.opened().is_continue());
    assert_eq!(
        old.received(&[21, 3, 1, 0, 2, 2, 70]),
        ControlFlow::Break(Err(Failure::Tls(TlsFailure::OldVersion)))
    );
    // A ServerHello that chooses TLS 1.0.
    let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0xc0, 0x13, 0]);
    let mut old = client(&CheckerGlobal::default(), None);
    assert!(old.opened().is_continue());
    assert_eq!(
        old.received(&hello),
        ControlFlow::Break(Err(Failure::Tls(TlsFailure::OldVersion)))
    );
}

#[test]
fn a_connection_that_closes_in_the_handshake_fails_and_wins_no_time() {
    let mut client = client(&CheckerGlobal::default(), None);
    assert!(client.opened().is_continue());
    assert!(!client.extends_deadline());
    assert_eq!(
        client.ended().unwrap_err().to_string(),
        "connection closed before the end of the TLS handshake"
    );
}

#[test]
fn unusable_pem_texts_are_refused_by_name() {
    let error = TlsContext::new(&trusting("no certificate")).unwrap_err();
    assert_eq!(error.to_string(), "SSL ca: no certificate in the file");
    let global = CheckerGlobal {
        client_identity: Some(ClientIdentity {
            certificates: b"x".to_vec(),
            key: Vec::new(),
        }),
        ..CheckerGlobal::default()
    };
    assert!(matches!(
        TlsContext::new(&global),
        Err(TlsConfigError::Identity(_))
    ));
}

#[test]
fn a_name_that_cannot_be_sent_is_a_failure_of_the_check() {
    let context = TlsContext::new(&CheckerGlobal::default()).unwrap();
    let fetch = Fetch::new("", Keep::Nothing);
    let refused = Tls::new(fetch, &context, Some("two words"), ADDRESS, false);
    assert!(matches!(refused, Err(TlsFailure::ServerName(_))));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Records of any kind and content end in a failure or in waiting, never in an answer.
    #[test]
    fn no_bytes_of_a_stranger_pass_for_an_answer(
        records in proptest::collection::vec((20_u8..25, proptest::collection::vec(0_u8.., 0..60)), 0..6),
    ) {
        let mut client = client(&CheckerGlobal::default(), None);
        proptest::prop_assert!(client.opened().is_continue());
        for (kind, content) in records {
            let mut record = vec![kind, 3, 3, 0, u8::try_from(content.len()).unwrap()];
            record.extend_from_slice(&content);
            if let ControlFlow::Break(end) = client.received(&record) {
                proptest::prop_assert!(end.is_err());
                return Ok(());
            }
        }
        proptest::prop_assert!(client.ended().is_err());
    }
}
