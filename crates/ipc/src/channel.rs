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

/// Descriptors that the kernel lets a message carry (`SCM_MAX_FD`). There is room for all, so that none that a
/// hostile end attaches is in this process and yet nobody's: those that nobody asked for are closed.
const MOST_DESCRIPTORS: usize = 253;

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
    control: Vec<u8>,
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
            control: nix::cmsg_space!([RawFd; MOST_DESCRIPTORS]),
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
        let (length, mut descriptors, cut) = loop {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut self.control),
                flags,
            ) {
                Ok(received) => {
                    let mut descriptors = Vec::new();
                    for message in received.cmsgs().map_err(ChannelError::Os)? {
                        if let ControlMessageOwned::ScmRights(fds) = message {
                            descriptors.extend(fds.into_iter().map(adopt));
                        }
                    }
                    let cut = received
                        .flags
                        .intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
                    break (received.bytes, descriptors, cut);
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
        let descriptor = descriptors.pop();
        if !descriptors.is_empty() {
            return Err(ChannelError::UnexpectedDescriptor);
        }
        let frame = self.buffer.get_mut(..length).unwrap_or_default();
        let message = codec::decode(frame);
        // It may have held passwords.
        frame.fill(0);
        let message = message.map_err(ChannelError::Malformed)?;
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::send;
    use proptest::prelude::*;

    use super::*;

    type End = Channel<String, u8>;
    type Other = Channel<u8, String>;

    fn ends() -> (End, Other) {
        let (a, b) = pair().unwrap();
        (Channel::new(a), Channel::new(b))
    }

    fn raw(fd: &impl AsRawFd, bytes: &[u8]) {
        send(fd.as_raw_fd(), bytes, MsgFlags::empty()).unwrap();
    }

    #[test]
    fn messages_arrive_in_order_also_when_the_reader_is_slow() {
        let (mut writer, mut reader) = ends();
        let text = "x".repeat(10_000);
        for number in 0..2_000 {
            writer.send(&format!("{number} {text}")).unwrap();
        }
        assert!(writer.has_queued(), "more than the kernel takes");
        for number in 0..2_000 {
            let message = loop {
                if let Some(message) = reader.recv().unwrap() {
                    break message;
                }
                writer.flush().unwrap();
            };
            assert!(message.starts_with(&format!("{number} ")), "{number}");
        }
        assert!(!writer.has_queued());
        assert!(reader.recv().unwrap().is_none());
    }

    #[test]
    fn a_descriptor_travels_with_its_message_and_only_where_it_is_asked_for() {
        let (mut writer, mut reader) = ends();
        let (kept, sent) = pair().unwrap();
        writer.send_with(&"take".to_owned(), sent).unwrap();
        let received = reader.recv_with().unwrap().unwrap();
        let descriptor = received.descriptor.unwrap();
        raw(&kept, b"through");
        let mut bytes = [0; 16];
        assert_eq!(nix::unistd::read(&descriptor, &mut bytes).unwrap(), 7);

        let (_, sent) = pair().unwrap();
        writer.send_with(&"surprise".to_owned(), sent).unwrap();
        assert!(matches!(
            reader.recv(),
            Err(ChannelError::UnexpectedDescriptor)
        ));
    }

    #[test]
    fn descriptors_that_nobody_asked_for_end_the_channel_and_stay_nowhere() {
        for count in [1, 2, 3, MOST_DESCRIPTORS] {
            let (a, b) = pair().unwrap();
            let mut end: Other = Channel::new(b);
            let (reader, writer) = nix::unistd::pipe().unwrap();
            let frame = codec::encode(&"a message").unwrap();
            let attached = vec![writer.as_raw_fd(); count];
            sendmsg::<()>(
                a.as_raw_fd(),
                &[IoSlice::new(&frame)],
                &[ControlMessage::ScmRights(&attached)],
                MsgFlags::empty(),
                None,
            )
            .unwrap();
            let refused = end.recv();
            assert!(
                matches!(refused, Err(ChannelError::UnexpectedDescriptor)),
                "{count}: {refused:?}"
            );
            // Nobody holds the writing end any more.
            drop(writer);
            assert_eq!(nix::unistd::read(&reader, &mut [0]), Ok(0), "{count}");
        }
    }

    #[test]
    fn an_end_that_is_gone_is_noticed_by_reader_and_writer() {
        let (mut writer, mut reader) = ends();
        writer.send(&"last words".to_owned()).unwrap();
        drop(writer);
        assert_eq!(reader.recv().unwrap().as_deref(), Some("last words"));
        assert!(matches!(reader.recv(), Err(ChannelError::Closed)));
        assert!(matches!(reader.send(&1), Err(ChannelError::Closed)));
    }

    #[test]
    fn a_frame_that_is_cut_or_too_long_ends_the_channel() {
        for bytes in [vec![200, 1], vec![0; MAX_FRAME + 1], vec![0; 3 * MAX_FRAME]] {
            let (writer, mut reader) = ends();
            raw(&writer, &bytes);
            assert!(
                matches!(reader.recv(), Err(ChannelError::Malformed(_))),
                "{} bytes",
                bytes.len()
            );
        }
    }

    #[test]
    fn an_own_message_that_does_not_fit_is_told_and_not_sent() {
        let (mut writer, mut reader) = ends();
        let long = "x".repeat(MAX_FRAME);
        assert!(matches!(
            writer.send(&long),
            Err(ChannelError::Unsendable(CodecError::TooLong))
        ));
        assert!(reader.recv().unwrap().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_the_end(bytes in prop::collection::vec(any::<u8>(), 1..64)) {
            let (writer, mut reader) = ends();
            raw(&writer, &bytes);
            match reader.recv() {
                Ok(message) => prop_assert!(message.is_some()),
                Err(error) => prop_assert!(matches!(error, ChannelError::Malformed(_))),
            }
        }
    }
}
