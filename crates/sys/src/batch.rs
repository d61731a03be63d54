//! Many datagrams with one system call: recvmmsg(2).

use std::mem::MaybeUninit;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;

/// Room for the control messages of one datagram in bytes; those that an IPv6 raw socket gives take 64.
const CONTROL: usize = 128;

/// Datagrams that were received together, each in a buffer of `SIZE` bytes.
#[derive(Debug)]
pub struct Inbox<const SIZE: usize> {
    slots: Box<[Slot<SIZE>]>,
    filled: usize,
}

impl<const SIZE: usize> Default for Inbox<SIZE> {
    /// Without room, to stand in for one that is in use.
    fn default() -> Self {
        Self::new(0)
    }
}

#[derive(Debug)]
struct Slot<const SIZE: usize> {
    bytes: [u8; SIZE],
    source: libc::sockaddr_in6,
    control: Control,
    length: usize,
    source_length: libc::socklen_t,
    control_length: usize,
}

/// Aligned as the kernel wants it.
#[derive(Debug)]
#[repr(align(8))]
struct Control([u8; CONTROL]);

/// One received datagram.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Its data, cut to the size of the buffer.
    pub bytes: &'a [u8],
    /// Its sender, on an IPv6 socket.
    pub source: Option<Ipv6Addr>,
    control: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// The data of the first control message of this kind (cmsg(3)).
    #[must_use]
    pub fn control(&self, level: i32, kind: i32) -> Option<&'a [u8]> {
        /// `struct cmsghdr`: the length with the header, level, kind.
        const HEADER: usize = 16;
        let mut rest = self.control;
        loop {
            let (length, after) = rest.split_first_chunk::<8>()?;
            let (its_level, after) = after.split_first_chunk::<4>()?;
            let (its_kind, _) = after.split_first_chunk::<4>()?;
            let length = usize::try_from(u64::from_ne_bytes(*length)).ok()?;
            let data = rest.get(HEADER..length)?;
            let found = (
                i32::from_ne_bytes(*its_level),
                i32::from_ne_bytes(*its_kind),
            );
            if found == (level, kind) {
                return Some(data);
            }
            rest = rest.get(length.next_multiple_of(align_of::<Control>())..)?;
        }
    }
}

impl<const SIZE: usize> Inbox<SIZE> {
    /// Room for `slots` datagrams.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let slot = || Slot {
            bytes: [0; SIZE],
            source: zeroed_address(),
            control: Control([0; CONTROL]),
            length: 0,
            source_length: 0,
            control_length: 0,
        };
        Self {
            slots: (0..slots).map(|_| slot()).collect(),
            filled: 0,
        }
    }

    /// Takes what waits on a socket, at most as much as there is room for; what an earlier call took is gone. Gives
    /// the number: one below [`room`](Self::room) means that nothing waits any more.
    ///
    /// # Errors
    /// As recvmmsg(2) says, also `EAGAIN` when nothing waits.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> Result<usize, Errno> {
        self.filled = 0;
        let mut parts: Vec<libc::iovec> = self.slots.iter_mut().map(Slot::part).collect();
        let mut headers: Vec<libc::mmsghdr> = self
            .slots
            .iter_mut()
            .zip(&mut parts)
            .map(|(slot, part)| slot.header(part))
            .collect();
        let count = libc::c_uint::try_from(headers.len()).unwrap_or(libc::c_uint::MAX);
        // SAFETY: `headers` has `count` entries, whose pointers and lengths are those of the slots and parts above.
        // None of these moves or is used before the call returns, and the kernel keeps no pointer.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let received = usize::try_from(Errno::result(received)?).unwrap_or(0);
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(received) {
            slot.length = usize::try_from(header.msg_len).unwrap_or(0);
            slot.source_length = header.msg_hdr.msg_namelen;
            slot.control_length = header.msg_hdr.msg_controllen;
        }
        self.filled = received;
        Ok(received)
    }

    /// How many datagrams there is room for.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.slots.len()
    }

    /// What the last call took, in the order of arrival.
    pub fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        self.slots.iter().take(self.filled).map(Slot::datagram)
    }
}

impl<const SIZE: usize> Slot<SIZE> {
    fn part(&mut self) -> libc::iovec {
        libc::iovec {
            iov_base: self.bytes.as_mut_ptr().cast(),
            iov_len: SIZE,
        }
    }

    fn header(&mut self, part: &mut libc::iovec) -> libc::mmsghdr {
        // SAFETY: a message header is plain numbers and pointers, and all of them may be zero.
        let mut header: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        header.msg_hdr.msg_name = std::ptr::from_mut(&mut self.source).cast();
        header.msg_hdr.msg_namelen = SOURCE;
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = self.control.0.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = CONTROL;
        header
    }

    fn datagram(&self) -> Datagram<'_> {
        let is_inet6 =
            self.source_length == SOURCE && i32::from(self.source.sin6_family) == libc::AF_INET6;
        Datagram {
            bytes: self.bytes.get(..self.length).unwrap_or(&self.bytes),
            source: is_inet6.then(|| Ipv6Addr::from(self.source.sin6_addr.s6_addr)),
            control: self
                .control
                .0
                .get(..self.control_length)
                .unwrap_or_default(),
        }
    }
}

/// Length of an IPv6 socket address.
#[expect(clippy::cast_possible_truncation, reason = "28 bytes")]
const SOURCE: libc::socklen_t = size_of::<libc::sockaddr_in6>() as libc::socklen_t;

const fn zeroed_address() -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: 0,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::os::fd::AsFd;

    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;

    #[test]
    fn waiting_datagrams_come_together_in_order_and_cut() {
        let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for text in ["one", "three", "four"] {
            sender
                .send_to(text.as_bytes(), receiver.local_addr().unwrap())
                .unwrap();
        }
        let mut inbox = Inbox::<4>::new(2);
        assert_eq!(inbox.receive(receiver.as_fd()), Ok(2));
        let texts: Vec<&[u8]> = inbox.datagrams().map(|one| one.bytes).collect();
        assert_eq!(texts, [&b"one"[..], b"thre"]);
        assert_eq!(inbox.receive(receiver.as_fd()), Ok(1));
        assert_eq!(inbox.datagrams().count(), 1);
        assert_eq!(inbox.receive(receiver.as_fd()), Err(Errno::EAGAIN));
        assert_eq!(inbox.datagrams().count(), 0);
    }

    #[test]
    fn sender_and_control_messages_of_ipv6_are_told() {
        let receiver = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        setsockopt(&receiver, sockopt::Ipv6RecvPacketInfo, &true).unwrap();
        socket2::SockRef::from(&receiver)
            .set_recv_hoplimit_v6(true)
            .unwrap();
        let sender = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        sender
            .send_to(b"x", receiver.local_addr().unwrap())
            .unwrap();
        let mut inbox = Inbox::<4>::new(2);
        assert_eq!(inbox.receive(receiver.as_fd()), Ok(1));
        let datagram = inbox.datagrams().next().unwrap();
        assert_eq!(datagram.source, Some(Ipv6Addr::LOCALHOST));
        let info = datagram
            .control(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
            .unwrap();
        assert_eq!(info[..16], Ipv6Addr::LOCALHOST.octets());
        let limit = datagram
            .control(libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
            .unwrap();
        assert_eq!(limit.len(), 4);
        assert_eq!(
            datagram.control(libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            None
        );
    }
}
