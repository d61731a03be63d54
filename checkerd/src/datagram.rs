//! The connected datagram socket of a `DNS_CHECK`, `UDP_CHECK` or `PING_CHECK`.

use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};

use kr_check::Outcome;
use kr_check::checks::DatagramAttempt;
use kr_check::datagram::DatagramCheck;
use kr_check::outcome::LocalStep;
use kr_model::Instant;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Protocol, Socket, Type};

use crate::link::{Served, connect, connection_failure, make, unable};

/// Datagrams read from one socket per wake-up.
const READ_BUDGET: usize = 16;

/// A socket with what is asked over it.
#[derive(Debug)]
pub(crate) struct DatagramLink {
    socket: Socket,
    check: DatagramCheck,
}

/// What is asked in an attempt. `number` is random.
pub(crate) fn question(
    attempt: &DatagramAttempt<'_>,
    number: u64,
    now: Instant,
) -> (DatagramCheck, Protocol) {
    let [first, second, ..] = number.to_be_bytes();
    let number = u16::from_be_bytes([first, second]);
    match attempt {
        DatagramAttempt::Dns {
            connection,
            name,
            record,
        } => (
            DatagramCheck::dns(connection, name, *record, number, now),
            Protocol::UDP,
        ),
        DatagramAttempt::Udp(probe) => (DatagramCheck::udp(probe, now), Protocol::UDP),
        DatagramAttempt::Ping(connection) => {
            let protocol = if connection.target.is_ipv4() {
                Protocol::ICMPV4
            } else {
                Protocol::ICMPV6
            };
            (DatagramCheck::ping(connection, number, now), protocol)
        }
    }
}

impl DatagramLink {
    /// Opens the socket and sends the datagram.
    ///
    /// # Errors
    /// When it fails at once: a failed check, or one that this host cannot make.
    pub(crate) fn open(check: DatagramCheck, protocol: Protocol) -> Result<Self, Outcome> {
        let socket = make(check.connection(), Type::DGRAM, protocol)?;
        Self::over(socket, check)
    }

    /// Sends the datagram over a socket that was made for it.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn over(socket: Socket, check: DatagramCheck) -> Result<Self, Outcome> {
        connect(&socket, check.connection())?;
        if check.wants_every_error() {
            let set = if check.connection().target.is_ipv4() {
                setsockopt(&socket, sockopt::Ipv4RecvErr, &true)
            } else {
                setsockopt(&socket, sockopt::Ipv6RecvErr, &true)
            };
            set.map_err(|errno| unable(LocalStep::Socket, errno.to_string()))?;
        }
        match socket.send(check.request()) {
            Ok(_) => Ok(Self { socket, check }),
            Err(error) => Err(not_sent(&error)),
        }
    }

    /// Reads what came. A datagram that is no answer is forgotten.
    pub(crate) fn serve(&mut self, block: &mut [u8]) -> Served<()> {
        for _ in 0..READ_BUDGET {
            match (&self.socket).read(block) {
                Ok(count) => {
                    let datagram = block.get(..count).unwrap_or_default();
                    if let ControlFlow::Break(result) = self.check.received(datagram) {
                        return Served::Done(result);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Served::Wait,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Served::Done(Err(connection_failure(&error))),
            }
        }
        Served::Again
    }

    /// Ends the attempt if its deadline has passed.
    pub(crate) fn expire(&self, now: Instant) -> Served<()> {
        if now < self.check.poll_timeout() {
            Served::Wait
        } else {
            Served::Done(self.check.late())
        }
    }

    /// When to call [`expire`](Self::expire).
    pub(crate) const fn poll_timeout(&self) -> Instant {
        self.check.poll_timeout()
    }
}

impl AsFd for DatagramLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// No room or a datagram too long for the way tells of this host; anything else of the server.
fn not_sent(error: &io::Error) -> Outcome {
    let local = matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENOBUFS | Errno::EAGAIN | Errno::EMSGSIZE | Errno::EPERM)
    );
    if local {
        unable(LocalStep::Send, error.to_string())
    } else {
        Outcome::Failed(connection_failure(error))
    }
}
