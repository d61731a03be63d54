//! `metrics_listen`: where the full set-up answers monitoring, opened again until it succeeds.

use std::net::SocketAddr;
use std::time::Duration;

use kr_check::Checks;
use kr_check::exporter::Directory;
use kr_event::EventLoop;
use kr_model::Instant;

use crate::listener::Listener;

/// Between two attempts to open the port: a predecessor of this process that was killed may take a moment to let go
/// of it, and an address may come later.
const RETRY: Duration = Duration::from_secs(1);

/// The listener that is wanted, and whether it is there.
#[derive(Debug)]
pub(crate) struct Metrics {
    tokens: Tokens,
    address: Option<SocketAddr>,
    listener: Option<Listener>,
    /// It could not be opened: when that is tried again.
    retry_at: Option<Instant>,
    directory: Directory,
}

/// Under what its descriptors are watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens {
    /// The listening socket.
    pub(crate) listener: usize,
    /// The first of the connections.
    pub(crate) first_client: usize,
}

impl Metrics {
    /// Listens nowhere.
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self {
            tokens,
            address: None,
            listener: None,
            retry_at: None,
            directory: Directory::default(),
        }
    }

    /// Listens at this address from now on, and nowhere else.
    pub(crate) fn listen(&mut self, address: Option<SocketAddr>, events: &EventLoop, now: Instant) {
        if self.address != address {
            *self = Self::new(self.tokens);
            self.address = address;
        }
        if self.listener.is_none() {
            self.open(events, now);
        }
    }

    /// What it shows has changed. The names are only made when somebody may ask for them.
    pub(crate) fn describe(&mut self, directory: impl FnOnce() -> Directory) {
        if self.address.is_some() {
            self.directory = directory();
        }
    }

    /// Closes the port and every connection.
    pub(crate) fn close(&mut self) {
        *self = Self::new(self.tokens);
    }

    /// Takes an event; false when it is of none of its descriptors.
    pub(crate) fn ready(&mut self, token: usize) -> bool {
        let Some(listener) = &mut self.listener else {
            return false;
        };
        if token == self.tokens.listener {
            listener.knocked();
            return true;
        }
        listener.ready(token)
    }

    /// Opens the port when that is due; accepts, serves and ends connections.
    pub(crate) fn pass(&mut self, events: &EventLoop, checks: &Checks, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.open(events, now);
        }
        if let Some(listener) = &mut self.listener {
            listener.pass(events, &self.directory, checks, now);
        }
    }

    /// When [`Self::pass`] is due without an event.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let client = self.listener.as_ref().and_then(Listener::poll_timeout);
        client.into_iter().chain(self.retry_at).min()
    }

    fn open(&mut self, events: &EventLoop, now: Instant) {
        let Some(address) = self.address else {
            return;
        };
        let is_first = self.retry_at.take().is_none();
        let Tokens {
            listener,
            first_client,
        } = self.tokens;
        match Listener::open(address, listener, first_client, events) {
            Ok(listener) => {
                log::info!("listening on {address} for /metrics, /status and /healthz");
                self.listener = Some(listener);
            }
            Err(error) => {
                self.retry_at = Some(now.saturating_add(RETRY));
                if is_first {
                    log::error!(
                        "cannot listen on {address} (metrics_listen), trying again every second: {error}"
                    );
                }
            }
        }
    }
}
