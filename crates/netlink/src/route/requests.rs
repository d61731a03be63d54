//! Reading the tables and changing addresses.

use std::io::Cursor;

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::encode::{self, Table};
use super::{Address, Change, Event, Link, decode};
use crate::exchange;
use crate::socket::{NetlinkError, Socket};

/// Requests sent in one datagram. Their answers wait in the socket's buffer until they are read, which
/// holds several times as many.
const BATCH: usize = 128;

/// Asks the kernel for links and addresses, and changes addresses.
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
        Ok(Self {
            socket: Socket::open(SockProtocol::NetlinkRoute, 0)?,
        })
    }

    pub(super) const fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Every link.
    ///
    /// # Errors
    /// When the kernel refuses or the table does not hold still.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        self.dump(Table::Links, |event| match event {
            Event::Link(link) => Some(link),
            Event::LinkGone(_)
            | Event::Address(_)
            | Event::AddressGone(_)
            | Event::Forwarding { .. } => None,
        })
    }

    /// Every address of both families, in the kernel's order: the first of a link is its primary one.
    ///
    /// # Errors
    /// When the kernel refuses or the table does not hold still.
    pub fn addresses(&mut self) -> Result<Vec<Address>, NetlinkError> {
        self.dump(Table::Addresses, |event| match event {
            Event::Address(address) => Some(address),
            Event::Link(_)
            | Event::LinkGone(_)
            | Event::AddressGone(_)
            | Event::Forwarding { .. } => None,
        })
    }

    /// Makes the changes in order, many in one call to the kernel, and returns the kernel's answer to
    /// each. That an address to add is there, or one to remove is not, is no error.
    ///
    /// # Errors
    /// When the exchange as a whole fails; how many changes were made is then unknown.
    pub fn apply(
        &mut self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Result<(), Errno>>, NetlinkError> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for batch in changes.chunks(BATCH) {
            self.apply_batch(batch, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn apply_batch(
        &mut self,
        batch: &[Change<'_>],
        outcomes: &mut Vec<Result<(), Errno>>,
    ) -> Result<(), NetlinkError> {
        let mut bytes = Cursor::new(Vec::new());
        let mut asked = Vec::with_capacity(batch.len());
        for (place, change) in (1..).zip(batch) {
            let sequence = self.socket.next_sequence();
            // They are made in order: an answer to the last one is one to all that were not refused.
            encode::change(&mut bytes, *change, sequence, place == batch.len())?;
            asked.push((sequence, change));
        }
        self.socket.send(bytes.get_ref())?;
        let last = asked.last().map(|(sequence, _)| *sequence);
        let mut answers = exchange::answers_until(&mut self.socket, last)?;
        for (sequence, change) in asked {
            let answer = answers.remove(&sequence).unwrap_or(Ok(()));
            outcomes.push(forgive(change, answer));
        }
        Ok(())
    }

    fn dump<T>(
        &mut self,
        table: Table,
        pick: impl Fn(Event) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        let ask = |sequence| encode::dump(table, sequence);
        exchange::dump(&mut self.socket, ask, |message| {
            pick(decode::event(message)?)
        })
    }
}

/// Takes a change that somebody else made before us as made.
const fn forgive(change: &Change<'_>, outcome: Result<(), Errno>) -> Result<(), Errno> {
    match (change, outcome) {
        (Change::Add { .. }, Err(Errno::EEXIST))
        | (Change::Remove(_), Err(Errno::EADDRNOTAVAIL | Errno::ENOENT | Errno::ENODEV)) => Ok(()),
        (Change::Add { .. } | Change::Renew { .. } | Change::Remove(_), outcome) => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_this_host_hold_a_loopback() {
        let mut requests = Requests::open().unwrap();
        let links = requests.links().unwrap();
        let loopback = links.iter().find(|link| link.loopback).unwrap();
        assert_eq!(loopback.name.as_str(), "lo");
        let addresses = requests.addresses().unwrap();
        assert!(addresses.iter().all(|address| !address.is_ours()
            || links.iter().any(|link| link.index == address.place.link)));
    }

    #[test]
    fn a_change_that_is_already_made_is_no_error() {
        let place = Change::Remove(super::super::Place {
            link: kr_model::units::IfIndex::try_from(1).unwrap(),
            local: kr_model::net::Cidr::host([192, 0, 2, 1].into()),
            peer: None,
        });
        assert_eq!(forgive(&place, Err(Errno::EADDRNOTAVAIL)), Ok(()));
        assert_eq!(forgive(&place, Err(Errno::EPERM)), Err(Errno::EPERM));
    }
}
