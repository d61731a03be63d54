//! One TCP connection that carries a [`Timed`] conversation: how it is made, and how ready events become
//! its inputs. Used by checks, mail and `genhash`.
//!
//! A connection costs few system calls: socket (non-blocking and close-on-exec from the start), connect,
//! one registration, then no write or read that is sure to find nothing, close. What an event says is taken
//! at its word: a connection that is writable and has no error stands; a read that does not fill its block
//! has taken all there was, and behind it is the end if the event said so (epoll(7)).

use std::io::{self, Read as _, Write as _};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use kr_check::conversation::{Conversation, Input, Timed};
use kr_check::outcome::{LocalFault, LocalStep};
use kr_check::{Failure, Outcome};
use kr_event::Ready;
use kr_model::Instant;
use kr_model::check::Connection;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// Bytes read at a time.
pub const BLOCK: usize = 16 * 1024;

/// Blocks read from one connection per wake-up: a server that sends without end delays the others by
/// less than a millisecond.
const READ_BUDGET: usize = 16;

/// Why the kernel refuses an ICMP socket, and what helps.
const PING_GROUPS: &str = "net.ipv4.ping_group_range does not hold the group of the checker process; \
                           `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"` allows it to every group";

/// What became of a connection that was served.
#[derive(Debug)]
pub enum Served<T> {
    /// The next event or deadline will tell.
    Wait,
    /// There is more to read; to be served again, with the same event, before the next wait.
    Again,
    /// Over.
    Done(Result<T, Failure>),
}

/// A connection and what is said over it.
#[derive(Debug)]
pub struct Link<C> {
    socket: Socket,
    talk: Timed<C>,
    open: bool,
}

impl<C: Conversation> Link<C> {
    /// Starts to connect.
    ///
    /// # Errors
    /// When it fails at once: a failed check, or one that this host cannot make.
    pub fn open(connection: &Connection, talk: Timed<C>) -> Result<Self, Outcome> {
        let socket = make(connection, Type::STREAM, Protocol::TCP)?;
        Self::over(socket, connection, talk)
    }

    /// Starts to connect over a socket that was made for `connection`.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn over(
        socket: Socket,
        connection: &Connection,
        talk: Timed<C>,
    ) -> Result<Self, Outcome> {
        if connection.source_port.is_some() {
            // With a source port of its own the next check has the same two ends as this one, which must
            // not be left in TIME-WAIT then: it ends with a reset.
            socket
                .set_linger(Some(Duration::ZERO))
                .map_err(fault(LocalStep::Source))?;
        }
        connect(&socket, connection)?;
        Ok(Self {
            socket,
            talk,
            open: false,
        })
    }

    /// Serves the connection after an event.
    pub fn serve(&mut self, ready: Ready, now: Instant, block: &mut [u8]) -> Served<C::Output> {
        match self.advance(ready, now, block) {
            Ok(true) => Served::Again,
            Ok(false) => Served::Wait,
            Err(result) => {
                // A farewell such as QUIT or close_notify is said only if that needs no waiting.
                self.send().ok();
                Served::Done(result)
            }
        }
    }

    /// Ends the conversation if its deadline has passed.
    pub fn expire(&mut self, now: Instant) -> Served<C::Output> {
        match self.talk.handle(Input::Tick, now) {
            ControlFlow::Continue(()) => Served::Wait,
            ControlFlow::Break(result) => Served::Done(result),
        }
    }

    /// When to call [`expire`](Self::expire).
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        self.talk.poll_timeout()
    }

    /// Does what can be done without waiting. True: there is more to read. `Err`: the conversation is
    /// over.
    fn advance(
        &mut self,
        ready: Ready,
        now: Instant,
        block: &mut [u8],
    ) -> Result<bool, Result<C::Output, Failure>> {
        if !self.open {
            if ready.failed {
                let error = match self.socket.take_error() {
                    Ok(Some(error)) | Err(error) => error,
                    Ok(None) => io::ErrorKind::ConnectionAborted.into(),
                };
                return Err(Err(connection_failure(&error)));
            }
            if !ready.writable {
                return Ok(false);
            }
            self.open = true;
            go_on(self.talk.handle(Input::Opened, now))?;
        }
        self.send()
            .map_err(|error| Err(connection_failure(&error)))?;
        if !ready.readable {
            return Ok(false);
        }
        for _ in 0..READ_BUDGET {
            match (&self.socket).read(block) {
                Ok(0) => return go_on(self.talk.handle(Input::Ended, now)).map(|()| false),
                Ok(count) => {
                    let bytes = block.get(..count).unwrap_or_default();
                    go_on(self.talk.handle(Input::Received(bytes), now))?;
                    self.send()
                        .map_err(|error| Err(connection_failure(&error)))?;
                    if count < block.len() {
                        if ready.ended {
                            go_on(self.talk.handle(Input::Ended, now))?;
                        }
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return go_on(self.talk.handle(Input::Ended, now)).map(|()| false),
            }
        }
        Ok(true)
    }

    /// Sends what waits, as far as the socket takes it.
    fn send(&mut self) -> io::Result<()> {
        while !self.talk.outgoing().is_empty() {
            match (&self.socket).write(self.talk.outgoing()) {
                Ok(count) => self.talk.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The server may have answered all it wanted and closed; what it said is still read.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<C> AsFd for Link<C> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn go_on<T>(progress: ControlFlow<Result<T, Failure>>) -> Result<(), Result<T, Failure>> {
    match progress {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(result) => Err(result),
    }
}

/// Makes the socket in the order that keepalived uses: mark, device, source.
pub(crate) fn make(
    connection: &Connection,
    kind: Type,
    protocol: Protocol,
) -> Result<Socket, Outcome> {
    let domain = Domain::for_address(connection.target);
    let kind = kind.nonblocking().cloexec();
    let socket = Socket::new_raw(domain, kind, Some(protocol)).map_err(|error| {
        let icmp = protocol == Protocol::ICMPV4 || protocol == Protocol::ICMPV6;
        if icmp && error.kind() == io::ErrorKind::PermissionDenied {
            unable(LocalStep::Ping, PING_GROUPS.to_owned())
        } else {
            unable(LocalStep::Socket, error.to_string())
        }
    })?;
    if connection.mark != 0 {
        socket
            .set_mark(connection.mark)
            .map_err(unprivileged(LocalStep::Mark, "CAP_NET_ADMIN"))?;
    }
    if let Some(interface) = &connection.interface {
        socket
            .bind_device(Some(interface.as_str().as_bytes()))
            .map_err(fault(LocalStep::Interface))?;
    }
    if let Some(source) = connection.source_address() {
        if source.port() != 0 {
            // Checks of several servers use the port at a time.
            socket
                .set_reuse_address(true)
                .map_err(fault(LocalStep::Source))?;
        }
        socket
            .bind(&source.into())
            .map_err(unprivileged(LocalStep::Source, "CAP_NET_BIND_SERVICE"))?;
    }
    Ok(socket)
}

/// Starts to connect.
pub(crate) fn connect(socket: &Socket, connection: &Connection) -> Result<(), Outcome> {
    match socket.connect(&connection.target.into()) {
        Ok(()) => Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}

pub(crate) fn unable(step: LocalStep, error: String) -> Outcome {
    Outcome::Unable(LocalFault { step, error })
}

/// Where a missing privilege is the reason, that is said.
fn unprivileged(step: LocalStep, capability: &str) -> impl FnOnce(io::Error) -> Outcome {
    move |error| {
        let text = if error.kind() == io::ErrorKind::PermissionDenied {
            format!(
                "this process does not hold {capability}; under keepalived-rs the IPVS process makes such sockets"
            )
        } else {
            error.to_string()
        };
        unable(step, text)
    }
}

fn fault(step: LocalStep) -> impl FnOnce(io::Error) -> Outcome {
    move |error| unable(step, error.to_string())
}

/// An error of connect() itself: some tell of the server or the way to it, the rest of this host.
fn refused(error: &io::Error) -> Outcome {
    let errno = error.raw_os_error().map(Errno::from_raw);
    match errno {
        Some(
            Errno::ENETUNREACH
            | Errno::EHOSTUNREACH
            | Errno::ECONNREFUSED
            | Errno::EHOSTDOWN
            | Errno::ENETDOWN
            | Errno::ECONNRESET
            | Errno::ECONNABORTED
            | Errno::ETIMEDOUT,
        ) => Outcome::Failed(connection_failure(error)),
        Some(_) | None => unable(LocalStep::Connect, error.to_string()),
    }
}

pub(crate) fn connection_failure(error: &io::Error) -> Failure {
    // The standard library has no word for this one.
    if error.raw_os_error() == Some(Errno::EHOSTDOWN as i32) {
        return Failure::Connection(io::ErrorKind::HostUnreachable);
    }
    Failure::Connection(error.kind())
}
