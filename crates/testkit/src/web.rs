//! The smallest web server and client that show where a request went: every answer is the server's name.
//!
//! For traffic through a virtual address; servers that misbehave on purpose are in `servers`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::netns::Host;

/// How long one connection may take on the server's side.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body: the server's name.
    pub body: String,
}

/// Asks for `/` on a connection of its own; `limit` holds for connecting and for each read.
///
/// # Errors
/// When no whole answer comes in time.
pub fn get(address: SocketAddr, limit: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    parse(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("answer {text:?}")))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        body: body.trim_end().to_owned(),
    })
}

/// Answers one connection with `status` and `name`.
///
/// # Errors
/// When the client goes away before its answer.
pub fn answer(mut stream: TcpStream, status: u16, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        request.extend(buffer.iter().take(length));
    }
    let length = name.len() + 1;
    write!(
        stream,
        "HTTP/1.0 {status} x\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{name}\n"
    )
}

/// A web server on a thread of the test, inside a host; it can be told to fail.
#[derive(Debug)]
pub struct WebServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    status: AtomicU16,
    answered: AtomicU64,
    ended: AtomicBool,
}

impl WebServer {
    /// Listens on `address` in `host` and answers 200 with `name`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(host: &Host, address: SocketAddr, name: &str) -> io::Result<Self> {
        let listener = host.enter(|| TcpListener::bind(address))??;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            status: AtomicU16::new(200),
            answered: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let thread = thread::spawn({
            let (shared, name) = (Arc::clone(&shared), name.to_owned());
            move || serve(&listener, &shared, &name)
        });
        Ok(Self {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with this status code from now on.
    pub fn set_status(&self, status: u16) {
        self.shared.status.store(status, Ordering::Relaxed);
    }

    /// Connections answered so far, health checks among them.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }
}

fn serve(listener: &TcpListener, shared: &Shared, name: &str) {
    while !shared.ended.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        if stream.set_nonblocking(false).is_ok()
            && answer(stream, shared.status.load(Ordering::Relaxed), name).is_ok()
        {
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for WebServer {
    /// Stops listening: later connections are refused.
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A client that asks again and again, from a thread in its host, until it is dropped.
#[derive(Debug)]
pub struct Client {
    asked: Arc<Asked>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Asked {
    answered: AtomicU64,
    failures: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl Client {
    /// Asks `address` with `pause` between two requests; each may take `limit` for connecting and for each read.
    ///
    /// # Errors
    /// When the host is gone.
    pub fn start(
        host: &Host,
        address: SocketAddr,
        pause: Duration,
        limit: Duration,
    ) -> io::Result<Self> {
        let asked = Arc::new(Asked::default());
        let thread = host.spawn({
            let asked = Arc::clone(&asked);
            move || {
                while !asked.ended.load(Ordering::Relaxed) {
                    match get(address, limit) {
                        Ok(_) => drop(asked.answered.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => asked.failures().push(error.to_string()),
                    }
                    thread::sleep(pause);
                }
            }
        })?;
        Ok(Self {
            asked,
            thread: Some(thread),
        })
    }

    /// Requests answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.asked.answered.load(Ordering::Relaxed)
    }

    /// Why requests failed since the last call.
    #[must_use]
    pub fn take_failures(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.failures())
    }
}

impl Asked {
    fn failures(&self) -> MutexGuard<'_, Vec<String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.asked.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
