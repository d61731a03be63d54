//! Changes of links and addresses as they happen.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use kr_model::units::IfIndex;
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use socket2::{SockFilter, SockRef};

use super::{Event, decode};
use crate::socket::{NetlinkError, Socket, messages};

/// `RTNLGRP_LINK` (1), `RTNLGRP_IPV4_IFADDR` (5), `RTNLGRP_IPV6_IFADDR` (9) and `RTNLGRP_IPV6_NETCONF` (25)
/// as a mask.
const GROUPS: u32 = 1 | 1 << 4 | 1 << 8 | 1 << 24;

/// Datagrams thrown away at most: more than the socket's buffer holds.
const DISCARDED: usize = 65_536;

/// Most links that a filter names: the kernel takes 4096 instructions.
const MOST_LINKS: usize = 1000;

/// Follows the kernel's links and addresses.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
    pending: VecDeque<Event>,
}

impl Events {
    /// Starts to follow. Read the tables after this, not before: then no change falls between.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open() -> Result<Self, Errno> {
        Ok(Self {
            socket: Socket::open(SockProtocol::NetlinkRoute, GROUPS)?,
            pending: VecDeque::new(),
        })
    }

    /// Lets only changes of addresses of these links through from now on; of links, all changes. With `None`, or more
    /// than [`MOST_LINKS`], everything comes.
    ///
    /// # Errors
    /// When the kernel refuses the filter.
    pub fn limit_addresses(&self, links: Option<&BTreeSet<IfIndex>>) -> io::Result<()> {
        SockRef::from(&self.socket.as_fd()).attach_filter(&filter(links))
    }

    /// The next change, or `None` when there is none now.
    ///
    /// # Errors
    /// [`NetlinkError::Overrun`] when changes were lost: [`Events::discard`], read the tables anew and
    /// go on. Others are faults of the kernel or of this program.
    pub fn next_event(&mut self) -> Result<Option<Event>, NetlinkError> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
            let Some(datagram) = self.socket.receive()? else {
                return Ok(None);
            };
            for message in messages(datagram) {
                self.pending.extend(decode::event(&message?));
            }
        }
    }

    /// Throws away what waits: it is older than tables that are read after this.
    pub fn discard(&mut self) {
        self.pending.clear();
        for _ in 0..DISCARDED {
            if matches!(self.socket.receive(), Ok(None)) {
                break;
            }
        }
    }
}

/// The filter runs on a message from its header on, and reads numbers in network order, though the message has them in
/// the order of this machine.
fn filter(links: Option<&BTreeSet<IfIndex>>) -> Vec<SockFilter> {
    /// `ldh [4]`: the type of the message.
    const TYPE: SockFilter = SockFilter::new(0x28, 0, 0, 4);
    /// `ld [20]`: the link of an address, behind the header and four bytes.
    const LINK: SockFilter = SockFilter::new(0x20, 0, 0, 20);
    const TAKE: SockFilter = SockFilter::new(0x06, 0, 0, u32::MAX);
    const DROP: SockFilter = SockFilter::new(0x06, 0, 0, 0);
    /// `RTM_NEWADDR` and `RTM_DELADDR`.
    const ADDRESS_KINDS: [u16; 2] = [20, 21];
    const EQUAL: u16 = 0x15;

    let Some(links) = links.filter(|links| links.len() <= MOST_LINKS) else {
        return vec![TAKE];
    };
    let [new, gone] = ADDRESS_KINDS.map(|kind| u32::from(kind.to_be()));
    let mut program = vec![
        TYPE,
        // To the link, over the next two or the next one.
        SockFilter::new(EQUAL, 2, 0, new),
        SockFilter::new(EQUAL, 1, 0, gone),
        TAKE,
        LINK,
    ];
    for link in links {
        // Unless equal, the next instruction is skipped.
        program.push(SockFilter::new(EQUAL, 0, 1, link.get().to_be()));
        program.push(TAKE);
    }
    program.push(DROP);
    program
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn message(kind: u16, link: u32) -> Vec<u8> {
        let mut bytes = 24_u32.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend([2, 24, 0, 0]);
        bytes.extend(link.to_ne_bytes());
        bytes
    }

    /// Whether a socket with the filter takes the message.
    fn takes(links: Option<&[u64]>, message: &[u8]) -> bool {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        let links: Option<BTreeSet<IfIndex>> = links.map(|links| {
            let links = links.iter().map(|link| IfIndex::try_from(*link).unwrap());
            links.collect()
        });
        SockRef::from(&receiver)
            .attach_filter(&filter(links.as_ref()))
            .unwrap();
        receiver.set_nonblocking(true).unwrap();
        sender.send(message).unwrap();
        receiver.recv(&mut [0; 64]).is_ok()
    }

    #[test]
    fn addresses_of_other_links_stay_in_the_kernel_and_nothing_else_does() {
        const NEW_LINK: u16 = 16;
        for (links, message, taken) in [
            (Some(&[3, 70_000][..]), message(20, 3), true),
            (Some(&[3, 70_000]), message(21, 70_000), true),
            (Some(&[3, 70_000]), message(20, 4), false),
            (Some(&[3, 70_000]), message(21, 1 << 24), false),
            (Some(&[3]), message(NEW_LINK, 4), true),
            (Some(&[]), message(20, 4), false),
            (None, message(20, 4), true),
        ] {
            assert_eq!(takes(links, &message), taken, "{links:?} {message:?}");
        }
    }
}
