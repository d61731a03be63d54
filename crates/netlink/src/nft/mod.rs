//! Packet filter tables (nf_tables) that drop traffic of virtual addresses in no-accept mode, and that keep what
//! the kernel says of itself on VMACs from the network. Called by `vrrpd`.
//!
//! [`Transaction`] is the pure part: changes as messages. [`Tables`] commits one: the kernel makes all of its
//! changes or none, at one moment, so a table can be made anew without a packet that slips through.

mod layout;
mod rule;
mod transaction;

use std::os::fd::{AsFd, BorrowedFd};

use kr_model::firewall::TableName;
use kr_model::net::Family;
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use crate::attributes::{Attribute, Writer, attributes};
use crate::exchange;
use crate::socket::{Message, NetlinkError, Socket, messages};

pub use layout::{LinkKey, Skeleton, VmacRules};
pub use transaction::{Entry, Link, Transaction};

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN`.
const BATCH_BEGIN: u16 = 16;
/// `NFNL_MSG_BATCH_END`.
const BATCH_END: u16 = 17;
/// The name of the table in every message (`NFTA_TABLE_NAME`, `NFTA_CHAIN_TABLE` and so on).
const TABLE_NAME: u16 = 1;
/// `NFNLGRP_NFTABLES`, group 7, as a bit.
const CHANGES: u32 = 1 << 6;

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
const ACK: u16 = 4;

/// Largest transaction in bytes: more than all addresses that a configuration may have need.
const LARGEST: usize = 8 << 20;

/// Changes of others that are read before the caller goes on with other work.
const BUDGET: usize = 256;

/// The way to the tables.
#[derive(Debug)]
pub struct Tables {
    requests: Socket,
    changes: Socket,
}

/// What others did to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Another program changed the table, or may have: what it did was lost.
    pub touched: bool,
    /// More waits to be read.
    pub more: bool,
}

impl Tables {
    /// Opens the sockets, one for changes and one that follows those of others.
    ///
    /// # Errors
    /// When the kernel gives none: it has no packet filter, or `CAP_NET_ADMIN` is missing.
    pub fn open() -> Result<Self, Errno> {
        let requests = Socket::open(SockProtocol::NetlinkNetFilter, 0)?;
        requests.allow_large_requests(LARGEST)?;
        Ok(Self {
            requests,
            changes: Socket::open(SockProtocol::NetlinkNetFilter, CHANGES)?,
        })
    }

    /// Makes the changes of a transaction.
    ///
    /// # Errors
    /// When the kernel refuses any of them; then it made none.
    pub fn commit(&mut self, transaction: &Transaction) -> Result<(), NetlinkError> {
        if transaction.is_empty() {
            return Ok(());
        }
        let mut writer = Writer::default();
        let begin = self.edge(&mut writer, BATCH_BEGIN);
        let mut sequences = Vec::new();
        for message in transaction.messages() {
            let sequence = self.requests.next_sequence();
            sequences.push(sequence);
            let kind = (SUBSYSTEM << 8) | u16::from(message.command);
            let flags = message.flags | REQUEST | ACK;
            let header = [message.family, 0, 0, 0];
            writer.message(kind, flags, sequence, header, |w| {
                w.append(&message.attributes);
            });
        }
        self.edge(&mut writer, BATCH_END);
        self.requests.send(writer.bytes())?;
        // A refusal of the whole batch comes as the only answer, to its begin.
        let expected = sequences.len().saturating_add(1);
        let answers = exchange::answers(&mut self.requests, expected)?;
        for sequence in std::iter::once(&begin).chain(&sequences) {
            if let Some(Err(errno)) = answers.get(sequence) {
                return Err((*errno).into());
            }
        }
        let all = sequences
            .iter()
            .all(|sequence| answers.contains_key(sequence));
        if all {
            Ok(())
        } else {
            Err(NetlinkError::Unanswered)
        }
    }

    /// Writes the begin or the end of a batch, and returns its number.
    fn edge(&mut self, writer: &mut Writer, kind: u16) -> u32 {
        let sequence = self.requests.next_sequence();
        let [high, low] = SUBSYSTEM.to_be_bytes();
        writer.message(kind, REQUEST, sequence, [0, 0, high, low], |_| {});
        sequence
    }

    /// Reads what others did, up to a budget.
    pub fn hear(&mut self, table: &TableName) -> Heard {
        let own = self.requests.port();
        let mut touched = false;
        for _ in 0..BUDGET {
            match self.changes.receive() {
                Ok(None) => {
                    return Heard {
                        touched,
                        more: false,
                    };
                }
                Ok(Some(datagram)) => {
                    let mut messages = messages(datagram);
                    touched |= messages.any(|message| {
                        message.is_ok_and(|message| message.port != own && is_of(&message, table))
                    });
                }
                Err(_) => touched = true,
            }
        }
        Heard {
            touched,
            more: true,
        }
    }
}

impl AsFd for Tables {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

/// True for a change of one of the two tables of that name, or of something in it.
fn is_of(message: &Message<'_>, table: &TableName) -> bool {
    let [subsystem, _] = message.kind.to_be_bytes();
    let Some((header, rest)) = message.body.split_first_chunk::<4>() else {
        return false;
    };
    let families = [Family::Inet, Family::Inet6].map(transaction::number);
    let [family, ..] = header;
    let named = |attribute: Attribute<'_>| {
        attribute.kind == TABLE_NAME && attribute.text() == Some(table.as_str())
    };
    u16::from(subsystem) == SUBSYSTEM && families.contains(family) && attributes(rest).any(named)
}

/// A refusal in words that say what to do.
#[must_use]
pub fn explain(error: NetlinkError) -> String {
    match error {
        NetlinkError::Os(Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT | Errno::EINVAL) => {
            "this kernel has no nf_tables, or not all that is needed of it; try `modprobe nf_tables`"
                .to_owned()
        }
        NetlinkError::Os(Errno::ENOENT) => {
            "this kernel lacks a part of nf_tables (set, lookup or counter expressions)".to_owned()
        }
        NetlinkError::Os(Errno::EPERM) => "CAP_NET_ADMIN is missing".to_owned(),
        NetlinkError::Os(Errno::EBUSY) => {
            "the table is in use by rules of another program".to_owned()
        }
        NetlinkError::Os(errno) => errno.desc().to_owned(),
        other @ (NetlinkError::Overrun
        | NetlinkError::Malformed
        | NetlinkError::Unsteady
        | NetlinkError::Unwritable
        | NetlinkError::Unanswered) => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
