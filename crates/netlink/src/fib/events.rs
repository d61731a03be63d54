//! What others do to routes and rules with our mark.

use std::os::fd::{AsFd, BorrowedFd};

use kr_model::route::PROTOCOL_KEEPALIVED;
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use socket2::{SockFilter, SockRef};

use super::{DEL_ROUTE, DEL_RULE, NEW_ROUTE, RouteEntry, RouteKey, RuleEntry};
use crate::socket::{Message, NetlinkError, Socket, messages};

/// `RTNLGRP_IPV4_ROUTE` (7), `RTNLGRP_IPV4_RULE` (8), `RTNLGRP_IPV6_ROUTE` (11) and `RTNLGRP_IPV6_RULE` (19)
/// as a mask.
const GROUPS: u32 = 1 << 6 | 1 << 7 | 1 << 10 | 1 << 18;

/// Datagrams thrown away at most: more than the socket's buffer holds.
const DISCARDED: usize = 65_536;

/// `NLM_F_REPLACE`.
const REPLACE: u16 = 0x100;

/// Something that happened to a route or a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A route to there was removed, or replaced by another one.
    Route(RouteKey),
    /// A rule was removed.
    Rule(RuleEntry),
}

/// Follows routes and rules. A filter in the kernel drops the changes of routes of other protocols, as far as
/// they do not replace one of ours, so that a routing daemon beside us costs nothing here.
#[derive(Debug)]
pub struct Events {
    socket: Socket,
    pending: Vec<Event>,
    following: bool,
}

impl Events {
    /// Opens the socket, which follows nothing yet.
    ///
    /// # Errors
    /// When the kernel gives no socket or refuses the filter.
    pub fn open() -> Result<Self, Errno> {
        let socket = Socket::open(SockProtocol::NetlinkRoute, 0)?;
        SockRef::from(&socket)
            .attach_filter(&filter())
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
        Ok(Self {
            socket,
            pending: Vec::new(),
            following: false,
        })
    }

    /// Begins or ends to follow. Read the tables after it began, not before: then no change falls between.
    ///
    /// # Errors
    /// When the kernel refuses the groups.
    pub fn follow(&mut self, following: bool) -> Result<(), Errno> {
        if self.following != following {
            self.socket.join(if following { GROUPS } else { 0 })?;
            self.following = following;
        }
        Ok(())
    }

    /// The next event, or `None` when there is none now.
    ///
    /// # Errors
    /// [`NetlinkError::Overrun`] when events were lost: [`Events::discard`], read the tables anew and go on.
    /// Others are faults of the kernel or of this program.
    pub fn next_event(&mut self) -> Result<Option<Event>, NetlinkError> {
        loop {
            if let Some(event) = self.pending.pop() {
                return Ok(Some(event));
            }
            let Some(datagram) = self.socket.receive()? else {
                return Ok(None);
            };
            for message in messages(datagram) {
                self.pending.extend(read(&message?));
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

/// Reads a message; `None` for one that takes nothing of ours away.
pub(super) fn read(message: &Message<'_>) -> Option<Event> {
    let replaced = message.kind == NEW_ROUTE && message.flags & REPLACE != 0;
    match message.kind {
        DEL_RULE => RuleEntry::read(message.body)
            .filter(|rule| rule.protocol() == Some(PROTOCOL_KEEPALIVED))
            .map(Event::Rule),
        NEW_ROUTE | DEL_ROUTE => RouteEntry::read(message.body)
            .filter(|route| replaced || message.kind == DEL_ROUTE && ours(route))
            .map(|route| Event::Route(route.key().clone())),
        _ => None,
    }
}

const fn ours(route: &RouteEntry) -> bool {
    route.protocol() == PROTOCOL_KEEPALIVED
}

/// A filter (bpf(4)) that takes what [`read`] makes an event of. It reads numbers in network order, which the
/// messages are not in.
fn filter() -> [SockFilter; 10] {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let half = |number: u16| u32::from(u16::from_be_bytes(number.to_ne_bytes()));
    [
        SockFilter::new(LOAD_HALF, 0, 0, 4), // the kind of the message
        SockFilter::new(JUMP_EQUAL, 2, 0, half(NEW_ROUTE)),
        SockFilter::new(JUMP_EQUAL, 3, 0, half(DEL_ROUTE)),
        SockFilter::new(JUMP_EQUAL, 5, 4, half(DEL_RULE)),
        SockFilter::new(LOAD_HALF, 0, 0, 6), // its flags
        SockFilter::new(JUMP_SET, 3, 2, half(REPLACE)),
        SockFilter::new(LOAD_BYTE, 0, 0, 21), // `rtm_protocol`
        SockFilter::new(JUMP_EQUAL, 1, 0, PROTOCOL_KEEPALIVED.into()),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
}
