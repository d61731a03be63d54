//! Small servers on loopback for tests of health checks and mail, well-behaved or hostile.
//!
//! Every server listens on a port of its own choice, serves each connection on a thread, and is gone when
//! it is dropped: later connections are refused.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};

pub mod http;
pub mod smtp;

/// How long a server waits for a client that says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Accepts connections and hands each to a function on a thread of its own.
#[derive(Debug)]
pub struct TcpServer {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    listener: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl TcpServer {
    /// Listens on `address` (port 0: any free port).
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(
        address: SocketAddr,
        serve: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = Arc::new(TcpListener::bind(address)?);
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let thread = thread::spawn({
            let (ended, accepted) = (Arc::clone(&ended), Arc::clone(&accepted));
            let listener = Arc::clone(&listener);
            let serve = Arc::new(serve);
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    accepted.fetch_add(1, Ordering::Relaxed);
                    stream.set_read_timeout(Some(PATIENCE)).ok();
                    stream.set_write_timeout(Some(PATIENCE)).ok();
                    let serve = Arc::clone(&serve);
                    thread::spawn(move || serve(stream));
                }
            }
        });
        Ok(Self {
            address,
            ended,
            accepted,
            listener,
            thread: Some(thread),
        })
    }

    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is none.
    pub fn on_loopback(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> io::Result<Self> {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), serve)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread from accept, also when the listener lives in another network namespace.
        shutdown(self.listener.as_raw_fd(), Shutdown::Both).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
