//! One end of a socketpair between two processes.

use std::collections::VecDeque;
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, setsockopt, socketpair, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use kr_sys::fd::adopt;

use crate::codec::{self, CodecError, MAX_FRAME};

/// Frames that may wait for a slow reader. A whole configuration waits here while its receiver starts,
/// so the bound is above the largest one seen (40,000 objects); a reader that stays away longer than
/// that is lost and its channel is ended by its owner.
pub const MAX_QUEUED: usize = 1 << 18;

/// Kernel buffer of each direction in bytes.
const SOCKET_BUFFER: usize = 1 << 20;

/// Why a channel ended. After any of these the channel is of no more use.
#[derive(Debug)]
pub enum ChannelError {
    /// The other process closed its end, or is gone.
    Closed,
    /// The other process sent something that is no message of this edge.
    Malformed(CodecError),
    /// The other process attached descriptors to a message that takes none.
    UnexpectedDescriptor,
    /// An own message does not fit a frame.
    Unsendable(CodecError),
    /// More than [`MAX_QUEUED`] messages wait.
    Full,
    /// The kernel refused.
    Os(Errno),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other end is closed"),
            Self::Malformed(error) => write!(f, "the other end sent {error}"),
            Self::UnexpectedDescriptor => {
                f.write_str("the other end attached a descriptor that was not asked for")
            }
            Self::Unsendable(error) => write!(f, "own message cannot be sent: {error}"),
            Self::Full => write!(f, "{MAX_QUEUED} messages wait for the other end"),
            Self::Os(errno) => write!(f, "socket: {errno}"),
        }
    }
}

impl std::error::Error for ChannelError {}

/// A message as received, with the descriptor that came with it.
#[derive(Debug)]
pub struct Received<T> {
    /// The message.
    pub message: T,
    /// At most one descriptor; the receiver must refuse one that the message does not call for.
    pub descriptor: Option<OwnedFd>,
}

/// One end of an edge: sends `S`, receives `R`. Non-blocking; order is kept.
#[derive(Debug)]
pub struct Channel<S, R> {
    socket: OwnedFd,
    queue: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    buffer: Vec<u8>,
    direction: PhantomData<fn(S) -> R>,
}

/// Makes the two ends of an edge: `SOCK_SEQPACKET`, non-blocking, close-on-exec.
///
/// # Errors
/// When the kernel refuses (descriptor or memory limits).
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (a, b) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    )?;
    for end in [&a, &b] {
        setsockopt(end, sockopt::SndBuf, &SOCKET_BUFFER)?;
    }
    Ok((a, b))
}

impl<S: Serialize, R: DeserializeOwned> Channel<S, R> {
    /// A channel over one end of a [`pair`].
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            queue: VecDeque::new(),
            buffer: vec![0; MAX_FRAME + 1],
            direction: PhantomData,
        }
    }

    /// Sends a message, or queues it when the other end is slow.
    ///
    /// # Errors
    /// When the channel has ended or must end.
    pub fn send(&mut self, message: &S) -> Result<(), ChannelError> {
        self.enqueue(message, None)
    }

    /// Sends a message with a descriptor.
    ///
    /// # Errors
    /// When the channel has ended or must end.
    pub fn send_with(&mut self, message: &S, descriptor: OwnedFd) -> Result<(), ChannelError> {
        self.enqueue(message, Some(descriptor))
    }

    fn enqueue(&mut self, message: &S, fd: Option<OwnedFd>) -> Result<(), ChannelError> {
        let frame = codec::encode(message).map_err(ChannelError::Unsendable)?;
        if self.queue.len() >= MAX_QUEUED {
            return Err(ChannelError::Full);
        }
        self.queue.push_back((frame, fd));
        self.flush()
    }

    /// Sends what waits, as far as the other end takes it. To be called when the descriptor becomes
    /// writable.
    ///
    /// # Errors
    /// When the channel has ended.
    pub fn flush(&mut self) -> Result<(), ChannelError> {
        while let Some((frame, fd)) = self.queue.front() {
            let raw: [RawFd; 1];
            let control: &[ControlMessage<'_>] = match fd {
                Some(fd) => {
                    raw = [fd.as_raw_fd()];
                    &[ControlMessage::ScmRights(&raw)]
                }
                None => &[],
            };
            let flags = MsgFlags::MSG_NOSIGNAL;
            match sendmsg::<()>(
                self.socket.as_raw_fd(),
                &[IoSlice::new(frame)],
                control,
                flags,
                None,
            ) {
                Ok(_) => {
                    self.queue.pop_front();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return Ok(()),
                Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => {
                    return Err(ChannelError::Closed);
                }
                Err(errno) => return Err(ChannelError::Os(errno)),
            }
        }
        Ok(())
    }

    /// True while messages wait for the descriptor to become writable.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Receives the next message of a sender that never attaches descriptors.
    ///
    /// # Errors
    /// When the channel has ended or must end.
    pub fn recv(&mut self) -> Result<Option<R>, ChannelError> {
        match self.recv_with()? {
            None => Ok(None),
            Some(Received {
                message,
                descriptor: None,
            }) => Ok(Some(message)),
            Some(Received {
                descriptor: Some(_),
                ..
            }) => Err(ChannelError::UnexpectedDescriptor),
        }
    }

    /// Receives the next message with the descriptor that came with it. `None`: nothing is there now.
    ///
    /// # Errors
    /// When the channel has ended or must end.
    pub fn recv_with(&mut self) -> Result<Option<Received<R>>, ChannelError> {
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let (length, descriptor, cut) = loop {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut space),
                flags,
            ) {
                Ok(received) => {
                    let mut descriptor = None;
                    for message in received.cmsgs().map_err(ChannelError::Os)? {
                        if let ControlMessageOwned::ScmRights(fds) = message {
                            for fd in fds {
                                descriptor = Some(adopt(fd));
                            }
                        }
                    }
                    let cut = received
                        .flags
                        .intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
                    break (received.bytes, descriptor, cut);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::ECONNRESET | Errno::ENOTCONN) => return Err(ChannelError::Closed),
                Err(errno) => return Err(ChannelError::Os(errno)),
            }
        };
        if length == 0 {
            return Err(ChannelError::Closed);
        }
        if cut {
            return Err(ChannelError::Malformed(CodecError::TooLong));
        }
        let frame = self.buffer.get(..length).unwrap_or_default();
        let message = codec::decode(frame).map_err(ChannelError::Malformed)?;
        Ok(Some(Received {
            message,
            descriptor,
        }))
    }
}

impl<S, R> AsFd for Channel<S, R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<S, R> AsRawFd for Channel<S, R> {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
