//! TLS around a conversation (`SSL_GET`), versions 1.2 and 1.3.
//!
//! Health checks are no place for trust by default: keepalived verifies no certificate at all, and
//! servers behind a virtual address rarely have one for their own address. So everything is accepted
//! (`AcceptAnything`) unless the `SSL` block says otherwise: with `ca`, chain, dates and name are verified
//! against its authorities, and with `verify` alone against those that Mozilla trusts, which are built in.

mod random;

use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use kr_model::check::{CheckerGlobal, TlsOptions, Url};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct,
    InvalidMessage, PeerIncompatible, RootCertStore, SignatureScheme,
};

use crate::conversation::{Conversation, Outgoing, Progress};
use crate::outcome::{Failure, TlsFailure};

/// Plain text handled at a time.
const BLOCK: usize = 4096;

/// Why the `SSL` block of the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsConfigError {
    /// `ca` holds no usable certificate.
    Authorities(String),
    /// `certificate` and `key` cannot be used.
    Identity(String),
    /// The library refuses its own defaults.
    Library(String),
}

impl std::fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Authorities(reason) => write!(f, "SSL ca: {reason}"),
            Self::Identity(reason) => write!(f, "SSL certificate and key: {reason}"),
            Self::Library(reason) => write!(f, "TLS: {reason}"),
        }
    }
}

impl std::error::Error for TlsConfigError {}

/// What all TLS checks of a configuration share.
#[derive(Debug, Clone)]
pub struct TlsContext {
    config: Arc<ClientConfig>,
}

impl TlsContext {
    /// Builds the context. Sessions are not resumed: each check sees the server's whole handshake.
    ///
    /// # Errors
    /// When the PEM texts of the configuration cannot be used.
    pub fn new(global: &CheckerGlobal) -> Result<Self, TlsConfigError> {
        let provider = Arc::new(CryptoProvider {
            secure_random: &random::STOCKED,
            ..ring::default_provider()
        });
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsConfigError::Library(error.to_string()))?;
        let roots = match &global.trusted_authorities {
            Some(pem) => Some(authorities(pem)?),
            None if global.verify => Some(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()),
            None => None,
        };
        let builder = match roots {
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAnything)),
            Some(roots) => builder.with_webpki_verifier(verifier(roots, provider)?),
        };
        let mut config = match &global.client_identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let refuse = |error: String| TlsConfigError::Identity(error);
                let chain = certificates(&identity.certificates).map_err(refuse)?;
                let key = PrivateKeyDer::from_pem_slice(&identity.key)
                    .map_err(|error| refuse(error.to_string()))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| refuse(error.to_string()))?
            }
        };
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
        })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let list: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if list.is_empty() {
        return Err("no certificate in the file".to_owned());
    }
    Ok(list)
}

/// The authorities of a PEM text. Those of a big bundle that the library cannot use are left out, as long
/// as one is left.
fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsConfigError> {
    let list = certificates(pem).map_err(TlsConfigError::Authorities)?;
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(list);
    if added == 0 {
        return Err(TlsConfigError::Authorities(format!(
            "none of its {ignored} certificates is that of a usable authority"
        )));
    }
    Ok(roots)
}

fn verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsConfigError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsConfigError::Authorities(error.to_string()))
}

/// Accepts every certificate and every signature made with it: the one place where verification is
/// off, as it is in keepalived. A check proves that a server answers, not who it is.
#[derive(Debug)]
struct AcceptAnything;

impl ServerCertVerifier for AcceptAnything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::RSA_PKCS1_SHA1,
            SignatureScheme::ECDSA_SHA1_Legacy,
        ]
    }
}

/// The name sent for a url, if any: its own, else the checker's.
#[must_use]
pub fn server_name<'a>(options: &'a TlsOptions, url: &'a Url) -> Option<&'a str> {
    url.server_name
        .as_deref()
        .or(options.server_name.as_deref())
}

/// A conversation inside TLS.
#[derive(Debug)]
pub struct Tls<C> {
    inner: C,
    connection: ClientConnection,
    outgoing: Outgoing,
    close_notify: bool,
    open: bool,
}

impl<C: Conversation> Tls<C> {
    /// Puts TLS around `inner`. Without `name` none is sent, and verification uses `address`.
    ///
    /// # Errors
    /// [`TlsFailure::ServerName`], or what the library says.
    pub fn new(
        inner: C,
        context: &TlsContext,
        name: Option<&str>,
        address: IpAddr,
        close_notify: bool,
    ) -> Result<Self, TlsFailure> {
        let name = match name {
            None => ServerName::from(address),
            Some(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| TlsFailure::ServerName(name.to_owned()))?,
        };
        let connection = ClientConnection::new(Arc::clone(&context.config), name)
            .map_err(|error| TlsFailure::Other(error.to_string()))?;
        Ok(Self {
            inner,
            connection,
            outgoing: Outgoing::default(),
            close_notify,
            open: false,
        })
    }

    /// Moves what the inner side wants to say through TLS into the outgoing bytes.
    fn pump(&mut self) {
        if self.open {
            let text = self.inner.outgoing();
            // Writing into the library's buffer fails only after a fatal error, which ends us anyway.
            let count = self.connection.writer().write(text).unwrap_or(0);
            self.inner.sent(count);
        }
        let mut bytes = Vec::new();
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut bytes).is_err() {
                break;
            }
        }
        self.outgoing.push(&bytes);
    }

    fn finish(&mut self, progress: Progress<C::Output>) -> Progress<C::Output> {
        if progress.is_break() && self.close_notify {
            self.connection.send_close_notify();
        }
        self.pump();
        progress
    }

    fn take_records(&mut self, mut bytes: &[u8]) -> Progress<C::Output> {
        while !bytes.is_empty() {
            // Reading from a slice fails only when the library's buffer is full; it is emptied below.
            if self.connection.read_tls(&mut bytes).is_err() {
                return ControlFlow::Break(self.inner.ended());
            }
            let state = self.connection.process_new_packets();
            if !self.open && !self.connection.is_handshaking() {
                self.open = true;
                self.inner.opened()?;
            }
            self.take_text()?;
            match state {
                Err(error) if !self.open => {
                    return ControlFlow::Break(Err(Failure::Tls(describe(&error))));
                }
                // Like the end of the connection: a complete answer is still judged.
                Err(_) => return ControlFlow::Break(self.inner.ended()),
                Ok(state) if state.peer_has_closed() => {
                    return ControlFlow::Break(self.ended_by_peer());
                }
                Ok(_) => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn take_text(&mut self) -> Progress<C::Output> {
        let mut block = [0; BLOCK];
        while let Ok(count @ 1..) = self.connection.reader().read(&mut block) {
            self.inner
                .received(block.get(..count).unwrap_or_default())?;
        }
        ControlFlow::Continue(())
    }

    fn ended_by_peer(&mut self) -> Result<C::Output, Failure> {
        if self.open {
            self.inner.ended()
        } else {
            Err(Failure::ClosedBefore("end of the TLS handshake"))
        }
    }
}

impl<C: Conversation> Conversation for Tls<C> {
    type Output = C::Output;

    fn opened(&mut self) -> Progress<C::Output> {
        self.pump();
        ControlFlow::Continue(())
    }

    fn received(&mut self, bytes: &[u8]) -> Progress<C::Output> {
        let progress = self.take_records(bytes);
        self.finish(progress)
    }

    fn ended(&mut self) -> Result<C::Output, Failure> {
        self.ended_by_peer()
    }

    fn outgoing(&self) -> &[u8] {
        self.outgoing.rest()
    }

    fn sent(&mut self, count: usize) {
        self.outgoing.advance(count);
    }

    fn waiting_for(&self) -> &'static str {
        if self.open {
            self.inner.waiting_for()
        } else {
            "end of the TLS handshake"
        }
    }

    fn extends_deadline(&self) -> bool {
        self.open
    }
}

/// Puts the library's reasons into the words that help.
fn describe(error: &rustls::Error) -> TlsFailure {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's enum is open and has its own words for the rest"
    )]
    match error {
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => TlsFailure::OldVersion,
        rustls::Error::InvalidMessage(
            InvalidMessage::MessageTooLarge
            | InvalidMessage::HandshakePayloadTooLarge
            | InvalidMessage::CertificatePayloadTooLarge,
        ) => TlsFailure::TooLong,
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::InvalidEmptyPayload
            | InvalidMessage::UnknownProtocolVersion,
        ) => TlsFailure::NotTls,
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            TlsFailure::Certificate("its issuer is no trusted authority".to_owned())
        }
        rustls::Error::InvalidCertificate(reason) => TlsFailure::Certificate(reason.to_string()),
        other => TlsFailure::Other(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
