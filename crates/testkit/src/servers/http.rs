//! An HTTP server, plain or inside TLS, whose behaviour can be changed while it runs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::TcpServer;

/// What the server does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers with this status and body and closes.
    Answer {
        /// Status code.
        status: u16,
        /// Body.
        body: String,
    },
    /// Answers 200 with this body by path; other paths get 404.
    Paths(Vec<(String, String)>),
    /// Answers 200 with a `Content-Length` and then keeps the connection open.
    KeepOpen {
        /// Body.
        body: String,
    },
    /// Sends these bytes and closes.
    Raw(Vec<u8>),
    /// Reads and never answers.
    Silent,
    /// Sends a header and then a body without end, as fast as it can.
    Endless,
    /// Sends a header one byte at a time with this pause, without end.
    Drip(Duration),
    /// Sends a header line that does not end, as fast as it can.
    GiantHeader,
    /// Closes with a reset.
    Reset,
}

impl Behaviour {
    /// 200 with this body.
    #[must_use]
    pub fn ok(body: &str) -> Self {
        Self::Answer {
            status: 200,
            body: body.to_owned(),
        }
    }

    /// This status with a short body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer {
            status,
            body: "x\n".to_owned(),
        }
    }
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<String>>,
}

/// The server.
#[derive(Debug)]
pub struct HttpServer {
    server: TcpServer,
    shared: Arc<Shared>,
    certificate: Option<String>,
}

impl HttpServer {
    /// Serves plain HTTP on loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(behaviour: Behaviour) -> io::Result<Self> {
        let shared = Shared::new(behaviour);
        let server = TcpServer::on_loopback({
            let shared = Arc::clone(&shared);
            // A client that goes away in the middle is its own affair.
            move |stream| drop(serve_plain(stream, &shared))
        })?;
        Ok(Self {
            server,
            shared,
            certificate: None,
        })
    }

    /// Serves HTTP inside TLS on loopback, with a self-signed certificate for `names`.
    ///
    /// # Errors
    /// When no port is free or the certificate cannot be made.
    pub fn start_tls(behaviour: Behaviour, names: &[&str]) -> io::Result<Self> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .map_err(io::Error::other)?;
        let config = Arc::new(config);
        let shared = Shared::new(behaviour);
        let server = TcpServer::on_loopback({
            let shared = Arc::clone(&shared);
            move |stream| {
                if let Ok(connection) = ServerConnection::new(Arc::clone(&config)) {
                    serve(&mut StreamOwned::new(connection, stream), &shared).ok();
                }
            }
        })?;
        Ok(Self {
            server,
            shared,
            certificate: Some(cert.pem()),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Its certificate as PEM text, when it serves TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Behaves like this from the next request on.
    pub fn set(&self, behaviour: Behaviour) {
        *lock(&self.shared.behaviour) = behaviour;
    }

    /// The requests so far, as they came.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }
}

impl Shared {
    fn new(behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self {
            behaviour: Mutex::new(behaviour),
            requests: Mutex::new(Vec::new()),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve_plain(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    serve(&mut stream, shared)?;
    if *lock(&shared.behaviour) == Behaviour::Reset {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

fn serve(stream: &mut (impl Read + Write), shared: &Shared) -> io::Result<()> {
    let mut request = Vec::new();
    let mut block = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut block)?;
        if length == 0 {
            return Ok(());
        }
        request.extend(block.iter().take(length));
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    lock(&shared.requests).push(request.clone());
    let behaviour = lock(&shared.behaviour).clone();
    behave(stream, &behaviour, &request)
}

fn behave(
    stream: &mut (impl Read + Write),
    behaviour: &Behaviour,
    request: &str,
) -> io::Result<()> {
    match behaviour {
        Behaviour::Answer { status, body } => {
            write!(stream, "HTTP/1.0 {status} x\r\n\r\n{body}")?;
        }
        Behaviour::Paths(pages) => {
            let path = request.split(' ').nth(1).unwrap_or_default();
            match pages.iter().find(|(known, _)| known == path) {
                Some((_, body)) => write!(stream, "HTTP/1.0 200 x\r\n\r\n{body}")?,
                None => write!(stream, "HTTP/1.0 404 x\r\n\r\n")?,
            }
        }
        Behaviour::KeepOpen { body } => {
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
            stream.flush()?;
            wait_for_end(stream);
        }
        Behaviour::Raw(bytes) => stream.write_all(bytes)?,
        Behaviour::Silent => wait_for_end(stream),
        Behaviour::Endless => {
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n")?;
            let block = vec![b'x'; 64 * 1024];
            loop {
                stream.write_all(&block)?;
            }
        }
        Behaviour::Drip(pause) => {
            write!(stream, "HTTP/1.0 200 OK\r\nX: ")?;
            loop {
                stream.write_all(b"x")?;
                stream.flush()?;
                thread::sleep(*pause);
            }
        }
        Behaviour::GiantHeader => {
            write!(stream, "HTTP/1.0 200 OK\r\nX: ")?;
            let block = vec![b'x'; 64 * 1024];
            loop {
                stream.write_all(&block)?;
            }
        }
        Behaviour::Reset => {}
    }
    stream.flush()
}

/// Reads until the client closes or the server's patience ends.
fn wait_for_end(stream: &mut impl Read) {
    let mut block = [0; 64];
    while matches!(stream.read(&mut block), Ok(1..)) {}
}
