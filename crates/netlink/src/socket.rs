//! A non-blocking netlink socket and the frame of its messages (RFC 3549 section 2.2).
//!
//! The kernel answers a request while it is being sent, so after [`Socket::send`] the answers are read
//! without waiting; only a dump is made piece by piece as it is read, still without waiting.

use std::fmt;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, getsockname,
    recvmsg, send, setsockopt, socket, sockopt,
};

/// Room for one datagram in bytes: the kernel fills at most 32 KiB in a dump.
const DATAGRAM: usize = 64 * 1024;

/// Kernel buffer for events and answers in bytes; when it overflows, [`NetlinkError::Overrun`].
const RECEIVE_BUFFER: usize = 1 << 20;

/// Length of the header of a message.
const HEADER: usize = 16;

/// `NLMSG_ERROR`: an acknowledgement, or a refusal.
const KIND_ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const KIND_DONE: u16 = 3;
/// `NLM_F_DUMP_INTR`: the table changed during the dump.
const FLAG_INTERRUPTED: u16 = 0x10;

/// Why a netlink exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetlinkError {
    /// The kernel refused a call or a request.
    Os(Errno),
    /// Messages were lost because they came faster than they were read: read everything anew.
    Overrun,
    /// The kernel sent something that is no message: a fault of one of the two programs.
    Malformed,
    /// The table kept changing while it was read.
    Unsteady,
    /// A request could not be written: a fault of this program.
    Unwritable,
    /// The kernel did not answer a request.
    Unanswered,
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(errno) => write!(f, "the kernel refused: {errno}"),
            Self::Overrun => f.write_str("messages of the kernel were lost"),
            Self::Malformed => f.write_str("the kernel sent bytes that are no netlink message"),
            Self::Unsteady => f.write_str("the kernel's table kept changing while it was read"),
            Self::Unwritable => f.write_str("a request does not fit a netlink message"),
            Self::Unanswered => f.write_str("the kernel did not answer a request"),
        }
    }
}

impl std::error::Error for NetlinkError {}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        if errno == Errno::ENOBUFS {
            Self::Overrun
        } else {
            Self::Os(errno)
        }
    }
}

/// A netlink socket bound to an address of the kernel's choice.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    /// Its address, which the kernel chose.
    port: u32,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Socket {
    /// Opens a socket for `protocol` that follows the groups of the mask (bit 0 is group 1).
    ///
    /// # Errors
    /// When the kernel gives no socket or refuses the groups.
    pub fn open(protocol: SockProtocol, groups: u32) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        Self::of(fd, groups)
    }

    /// Takes a non-blocking socket that somebody else opened, perhaps in another network namespace, and may have
    /// used. What still waits in it is thrown away, also the rest of a dump that nobody read to its end.
    ///
    /// Requests are numbered from `first` on. Whoever else uses the socket at the same time may take an answer away,
    /// but with numbers of its own never takes it for that of a request of its own.
    ///
    /// # Errors
    /// When it is no netlink socket, or the kernel refuses.
    pub fn adopt(fd: OwnedFd, first: u32) -> Result<Self, Errno> {
        let mut socket = Self::of(fd, 0)?;
        socket.sequence = first;
        loop {
            match socket.receive() {
                Ok(None) => return Ok(socket),
                Err(NetlinkError::Os(errno)) => return Err(errno),
                Ok(Some(_))
                | Err(
                    NetlinkError::Overrun
                    | NetlinkError::Malformed
                    | NetlinkError::Unsteady
                    | NetlinkError::Unwritable
                    | NetlinkError::Unanswered,
                ) => {}
            }
        }
    }

    fn of(fd: OwnedFd, groups: u32) -> Result<Self, Errno> {
        // A larger buffer than the system's bound needs CAP_NET_ADMIN; without it the bound is used.
        if setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        let port = |fd: &OwnedFd| -> Result<u32, Errno> {
            let own: NetlinkAddr = getsockname(fd.as_raw_fd())?;
            Ok(own.pid())
        };
        // One that was used has an address, and keeps it.
        bind(fd.as_raw_fd(), &NetlinkAddr::new(port(&fd)?, groups))?;
        Ok(Self {
            port: port(&fd)?,
            fd,
            buffer: vec![0; DATAGRAM],
            sequence: 0,
        })
    }

    /// Follows the groups of the mask (bit 0 is group 1), and no others of the first 32.
    ///
    /// # Errors
    /// When the kernel refuses the groups.
    pub fn join(&self, groups: u32) -> Result<(), Errno> {
        bind(self.fd.as_raw_fd(), &NetlinkAddr::new(self.port, groups))
    }

    /// The address that the kernel chose.
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// Lets datagrams to the kernel have up to so many bytes, as far as the process may set that.
    ///
    /// # Errors
    /// When the kernel refuses every limit.
    pub fn allow_large_requests(&self, bytes: usize) -> Result<(), Errno> {
        // More than the system's bound needs CAP_NET_ADMIN; without it the bound is used.
        setsockopt(&self.fd, sockopt::SndBufForce, &bytes)
            .or_else(|_| setsockopt(&self.fd, sockopt::SndBuf, &bytes))
    }

    /// A sequence number for the next request; never 0, which is that of events.
    pub const fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        if self.sequence == 0 {
            self.sequence = 1;
        }
        self.sequence
    }

    /// Sends requests to the kernel in one datagram.
    ///
    /// # Errors
    /// When the kernel does not take the datagram. Refusals of single requests come as answers.
    pub fn send(&self, requests: &[u8]) -> Result<(), Errno> {
        loop {
            match send(self.fd.as_raw_fd(), requests, MsgFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The next datagram of the kernel, or `None` when there is none now. Datagrams of other processes
    /// are thrown away.
    ///
    /// # Errors
    /// [`NetlinkError::Overrun`] when events were lost; otherwise a fault of the kernel.
    pub fn receive(&mut self) -> Result<Option<&[u8]>, NetlinkError> {
        let length = loop {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let fd = self.fd.as_raw_fd();
            match recvmsg::<NetlinkAddr>(fd, &mut slices, None, MsgFlags::empty()) {
                Ok(received) => {
                    if received.address.is_none_or(|from| from.pid() != 0) {
                        continue;
                    }
                    if received.flags.contains(MsgFlags::MSG_TRUNC) {
                        return Err(NetlinkError::Malformed);
                    }
                    break received.bytes;
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        };
        Ok(self.buffer.get(..length))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One message of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// Sequence number of the request that it answers; 0 in events that nobody asked for.
    pub sequence: u32,
    /// Address of the socket whose request it answers or, in some events, tells of.
    pub port: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// What a message means to whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The request was done, or refused.
    Answer(Result<(), Errno>),
    /// The dump ends; an error means that it is not complete.
    Done(Result<(), Errno>),
    /// It holds an object.
    Object,
}

impl Message<'_> {
    /// What the message means.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        match self.kind {
            KIND_ERROR => Meaning::Answer(self.outcome()),
            KIND_DONE => Meaning::Done(self.outcome()),
            _ => Meaning::Object,
        }
    }

    /// The table changed while it was dumped, so the dump may lack entries.
    #[must_use]
    pub const fn interrupted(&self) -> bool {
        self.flags & FLAG_INTERRUPTED != 0
    }

    /// The error number at the start of the body, negative in the kernel's manner. An old kernel's
    /// `NLMSG_DONE` has none.
    fn outcome(&self) -> Result<(), Errno> {
        match self
            .body
            .first_chunk::<4>()
            .map(|code| i32::from_ne_bytes(*code))
        {
            None | Some(0) => Ok(()),
            Some(code) => Err(Errno::from_raw(code.saturating_neg())),
        }
    }
}

/// Splits a datagram into its messages. A length that cannot be gives one error and ends the iteration.
#[must_use]
pub const fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// The messages of a datagram.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, NetlinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let Some((message, length)) = first_message(rest) else {
            return Some(Err(NetlinkError::Malformed));
        };
        // The last message may lack its padding.
        self.rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(message))
    }
}

/// The first message and its length without padding.
fn first_message(bytes: &[u8]) -> Option<(Message<'_>, usize)> {
    let header = bytes.first_chunk::<HEADER>()?;
    let [
        l0,
        l1,
        l2,
        l3,
        k0,
        k1,
        f0,
        f1,
        s0,
        s1,
        s2,
        s3,
        p0,
        p1,
        p2,
        p3,
    ] = *header;
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let message = Message {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        port: u32::from_ne_bytes([p0, p1, p2, p3]),
        body: bytes.get(HEADER..length)?,
    };
    Some((message, length))
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{recv, sendto};
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(0_u16.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_datagram_of_another_process_is_thrown_away() {
        // A protocol over which any process may write to any other.
        let open = || Socket::open(SockProtocol::NetlinkUserSock, 0).unwrap();
        let (mut ours, stranger) = (open(), open());
        let forged = frame(KIND_ERROR, 1, &0_i32.to_ne_bytes());
        let way = NetlinkAddr::new(ours.port, 0);
        let sent = sendto(stranger.fd.as_raw_fd(), &forged, &way, MsgFlags::empty());
        assert_eq!(sent, Ok(forged.len()));
        assert_eq!(ours.receive(), Ok(None));
        let unread = recv(ours.fd.as_raw_fd(), &mut [0; 64], MsgFlags::empty());
        assert_eq!(unread, Err(Errno::EAGAIN), "it came, and was read");
    }

    #[test]
    fn answers_keep_their_numbers_and_errors() {
        let mut datagram = frame(KIND_ERROR, 5, &0_i32.to_ne_bytes());
        datagram.extend(frame(KIND_ERROR, 6, &(-17_i32).to_ne_bytes()));
        let seen: Vec<_> = messages(&datagram)
            .map(|message| message.map(|m| (m.sequence, m.meaning())))
            .collect();
        assert_eq!(
            seen,
            [
                Ok((5, Meaning::Answer(Ok(())))),
                Ok((6, Meaning::Answer(Err(Errno::EEXIST)))),
            ]
        );
    }

    #[test]
    fn the_last_message_may_lack_padding() {
        let mut datagram = frame(20, 1, b"abcde");
        datagram.extend(frame(20, 1, b"xyz"));
        datagram.pop();
        let bodies: Vec<_> = messages(&datagram).map(|m| m.unwrap().body).collect();
        assert_eq!(bodies, [&b"abcde"[..], b"xyz"]);
    }

    #[test]
    fn a_length_that_lies_ends_the_datagram_with_an_error() {
        for length in [0_u32, 15, 21, u32::MAX] {
            let mut datagram = frame(20, 1, b"abcd");
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(
                messages(&datagram).collect::<Vec<_>>(),
                [Err(NetlinkError::Malformed)],
                "length {length}"
            );
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_without_a_panic(bytes: Vec<u8>) {
            for message in messages(&bytes).flatten() {
                let _ = message.meaning();
            }
        }
    }
}
