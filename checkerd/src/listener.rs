//! The listening socket of [`kr_check::exporter`]: connections of whoever asks for `/metrics`, `/status` or
//! `/healthz`.
//!
//! At most [`MOST_CLIENTS`] connections are open; one more takes the place of the oldest, so that clients
//! that say nothing keep nobody out for long. A request must be there within [`REQUEST_TIME`], the answer be
//! taken within [`ANSWER_TIME`], and one wake-up serves each connection only so much.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Duration;

use kr_check::Checks;
use kr_check::exporter::{Directory, Exchange, MAX_REQUEST, Shown};
use kr_event::EventLoop;
use kr_model::Instant;
use mio::{Interest, Token};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections at a time.
pub(crate) const MOST_CLIENTS: usize = 16;

/// From the connection to the end of the request.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// From the request to the end of the answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Pieces of an answer, or reads of a request, per connection and wake-up.
const BUDGET: usize = 8;

/// Connections that wait in the kernel to be taken.
const BACKLOG: i32 = 64;

/// Connections taken per wake-up.
const ACCEPT_BUDGET: usize = 64;

/// The socket and its connections.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    first_token: usize,
    clients: [Option<Client>; MOST_CLIENTS],
    /// Somebody may wait to be accepted.
    waiting: bool,
}

#[derive(Debug)]
struct Client {
    stream: TcpStream,
    exchange: Exchange,
    since: Instant,
    deadline: Instant,
    /// There is more to do without waiting.
    busy: bool,
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// The next event will tell.
    Wait,
    /// To be served again before the next wait.
    Again,
    /// Over.
    Done,
}

impl Listener {
    /// Listens under `token`; connections use the [`MOST_CLIENTS`] tokens from `first_token` up.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(crate) fn open(
        address: SocketAddr,
        token: usize,
        first_token: usize,
        events: &EventLoop,
    ) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let domain = Domain::for_address(address);
        let socket = Socket::new_raw(domain, kind, Some(Protocol::TCP))?;
        // A predecessor's connections may still be in TIME-WAIT.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from(socket);
        events.register_for(socket.as_fd(), Token(token), Interest::READABLE)?;
        Ok(Self {
            socket,
            first_token,
            clients: [const { None }; MOST_CLIENTS],
            waiting: false,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Somebody wants to connect.
    pub(crate) const fn knocked(&mut self) {
        self.waiting = true;
    }

    /// Something happened to the connection of a token; false when it is none of these.
    pub(crate) fn ready(&mut self, token: usize) -> bool {
        let Some(slot) = token
            .checked_sub(self.first_token)
            .and_then(|slot| self.clients.get_mut(slot))
        else {
            return false;
        };
        if let Some(client) = slot {
            client.busy = true;
        }
        true
    }

    /// Accepts, serves and ends connections.
    pub(crate) fn pass(
        &mut self,
        events: &EventLoop,
        directory: &Directory,
        checks: &Checks,
        now: Instant,
    ) {
        if self.waiting {
            self.accept(events, now);
        }
        let shown = Shown {
            directory,
            checks,
            times: events.times(),
        };
        for slot in &mut self.clients {
            let Some(client) = slot else {
                continue;
            };
            let served = if now >= client.deadline {
                Served::Done
            } else if client.busy {
                client.serve(shown, now).unwrap_or(Served::Done)
            } else {
                Served::Wait
            };
            client.busy = served == Served::Again;
            if served == Served::Done {
                *slot = None;
            }
        }
    }

    /// When [`pass`](Self::pass) is due without an event.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let clients = self.clients.iter().flatten();
        if self.waiting || clients.clone().any(|client| client.busy) {
            return Some(Instant::ZERO);
        }
        clients.map(|client| client.deadline).min()
    }

    fn accept(&mut self, events: &EventLoop, now: Instant) {
        for _ in 0..ACCEPT_BUDGET {
            match self.socket.accept() {
                Ok((stream, _)) => {
                    // A client that cannot be watched is dropped; it sees its connection closed.
                    self.admit(stream, events, now).ok();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Also when descriptors are short: the next client tries it again.
                Err(_) => {
                    self.waiting = false;
                    return;
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, events: &EventLoop, now: Instant) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        // A free place first, else that of the oldest client.
        let since = |client: &Option<Client>| client.as_ref().map(|client| client.since);
        let place = self
            .clients
            .iter_mut()
            .enumerate()
            .min_by_key(|(_, client)| since(client));
        let Some((index, slot)) = place else {
            return Ok(());
        };
        *slot = None;
        let token = Token(self.first_token.saturating_add(index));
        events.register(stream.as_fd(), token)?;
        *slot = Some(Client {
            stream,
            exchange: Exchange::default(),
            since: now,
            deadline: now.saturating_add(REQUEST_TIME),
            busy: true,
        });
        Ok(())
    }
}

impl Client {
    /// Does what can be done without waiting.
    fn serve(&mut self, shown: Shown<'_>, now: Instant) -> io::Result<Served> {
        let mut block = [0; MAX_REQUEST];
        for _ in 0..BUDGET {
            if !self.exchange.is_answering() {
                match self.stream.read(&mut block) {
                    Ok(0) => return Ok(Served::Done),
                    Ok(count) => {
                        self.exchange
                            .received(block.get(..count).unwrap_or_default());
                    }
                    Err(error) => return waits(error),
                }
                if self.exchange.is_answering() {
                    self.deadline = now.saturating_add(ANSWER_TIME);
                }
                continue;
            }
            self.exchange.fill(shown);
            if self.exchange.is_over() {
                // A request that was refused may not be read to its end; the answer must arrive anyway.
                self.stream.shutdown(Shutdown::Write)?;
                return Ok(Served::Done);
            }
            match self.stream.write(self.exchange.outgoing()) {
                Ok(count) => self.exchange.sent(count),
                Err(error) => return waits(error),
            }
        }
        Ok(Served::Again)
    }
}

fn waits(error: io::Error) -> io::Result<Served> {
    if error.kind() == io::ErrorKind::WouldBlock {
        Ok(Served::Wait)
    } else if error.kind() == io::ErrorKind::Interrupted {
        Ok(Served::Again)
    } else {
        Err(error)
    }
}
