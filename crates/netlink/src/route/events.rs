//! Changes of links and addresses as they happen.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::{Event, decode};
use crate::socket::{NetlinkError, Socket, messages};

/// `RTNLGRP_LINK` (1), `RTNLGRP_IPV4_IFADDR` (5), `RTNLGRP_IPV6_IFADDR` (9) and `RTNLGRP_IPV6_NETCONF` (25)
/// as a mask.
const GROUPS: u32 = 1 | 1 << 4 | 1 << 8 | 1 << 24;

/// Datagrams thrown away at most: more than the socket's buffer holds.
const DISCARDED: usize = 65_536;

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

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
