//! Reading the tables and changing them.

use kr_model::net::Family;
use kr_model::route::PROTOCOL_KEEPALIVED;
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;
use std::os::fd::AsFd;

use super::route::family_number;
use super::{
    Change, DUMP, Entry, Found, GET_ROUTE, GET_RULE, NEW_ROUTE, NEW_RULE, Names, Outcome, REQUEST,
    Refusal, RouteEntry, RuleEntry, Unready, message,
};
use crate::exchange;
use crate::socket::{Message, NetlinkError, Socket};

/// Requests sent in one datagram. Their answers wait in the socket's buffer until they are read, which
/// holds several times as many.
const BATCH: usize = 128;

/// Asks the kernel for routes and rules with our mark, and changes routes and rules.
#[derive(Debug)]
pub struct Requests {
    socket: Socket,
}

impl Requests {
    /// Opens the socket.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub fn open() -> Result<Self, Errno> {
        let socket = Socket::open(SockProtocol::NetlinkRoute, 0)?;
        // An old kernel sends every route; those of others are dropped here then.
        let _ = kr_sys::netlink::check_strictly(socket.as_fd());
        Ok(Self { socket })
    }

    /// Every route of a family with our protocol number, in all tables.
    ///
    /// # Errors
    /// When the kernel refuses or the table does not hold still.
    pub fn routes(&mut self, family: Family) -> Result<Vec<Found>, NetlinkError> {
        let mut header = [0; 12];
        let [head, _, _, _, _, protocol, ..] = &mut header;
        (*head, *protocol) = (family_number(family), PROTOCOL_KEEPALIVED);
        let ask = |sequence| message(GET_ROUTE, REQUEST | DUMP, sequence, &header);
        exchange::dump(&mut self.socket, ask, found_route)
    }

    /// Every rule of a family with our protocol number.
    ///
    /// # Errors
    /// When the kernel refuses or the table does not hold still.
    pub fn rules(&mut self, family: Family) -> Result<Vec<Found>, NetlinkError> {
        let mut header = [0; 12];
        let [head, ..] = &mut header;
        *head = family_number(family);
        let ask = |sequence| message(GET_RULE, REQUEST | DUMP, sequence, &header);
        exchange::dump(&mut self.socket, ask, found_rule)
    }

    /// Makes the changes in order, many in one call to the kernel, and returns the kernel's answer to
    /// each. That an object to remove is not there is no error.
    ///
    /// # Errors
    /// When the exchange as a whole fails; how many changes were made is then unknown.
    pub fn apply(
        &mut self,
        changes: &[Change<'_>],
        names: &impl Names,
    ) -> Result<Vec<Outcome>, NetlinkError> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for batch in changes.chunks(BATCH) {
            self.apply_batch(batch, names, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn apply_batch(
        &mut self,
        batch: &[Change<'_>],
        names: &impl Names,
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), NetlinkError> {
        let mut bytes = Vec::new();
        let mut asked = Vec::with_capacity(batch.len());
        for change in batch {
            let sequence = self.socket.next_sequence();
            let request = change.request(sequence, names);
            asked.push(request.map(|request| {
                bytes.extend(request);
                sequence
            }));
        }
        let count = asked.iter().filter(|sequence| sequence.is_ok()).count();
        if count > 0 {
            self.socket.send(&bytes)?;
        }
        let mut answers = exchange::answers(&mut self.socket, count)?;
        for (change, sequence) in batch.iter().zip(asked) {
            outcomes.push(match sequence {
                Ok(sequence) => {
                    let answer = answers.remove(&sequence).ok_or(NetlinkError::Unanswered)?;
                    forgive(change, answer)
                }
                // What went with its link needs no removal.
                Err(Unready::Missing(_)) if !matches!(change, Change::Add(_)) => Ok(()),
                Err(unready) => Err(Refusal::Unready(unready)),
            });
        }
        Ok(())
    }
}

fn found_route(message: &Message<'_>) -> Option<Found> {
    let entry = RouteEntry::read(message.body).filter(|_| message.kind == NEW_ROUTE)?;
    (entry.protocol() == PROTOCOL_KEEPALIVED).then(|| Found {
        entry: Entry::Route(entry),
        body: message.body.to_vec(),
    })
}

fn found_rule(message: &Message<'_>) -> Option<Found> {
    let entry = RuleEntry::read(message.body).filter(|_| message.kind == NEW_RULE)?;
    (entry.protocol() == Some(PROTOCOL_KEEPALIVED)).then(|| Found {
        entry: Entry::Rule(entry),
        body: message.body.to_vec(),
    })
}

/// Takes a removal that somebody else made before us as made.
fn forgive(change: &Change<'_>, answer: Result<(), Errno>) -> Outcome {
    let gone = matches!(
        answer,
        Err(Errno::ESRCH | Errno::ENOENT | Errno::ENODEV | Errno::EADDRNOTAVAIL)
    );
    match change {
        Change::Remove(_) | Change::Discard(_) if gone => Ok(()),
        Change::Add(_) | Change::Remove(_) | Change::Discard(_) => answer.map_err(Refusal::Kernel),
    }
}
