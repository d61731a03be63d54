//! What differs between the children: messages, patience.

use std::fmt;
use std::time::Duration;

use kr_config::typed::Config;
use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_checkerd::{FromCheckerd, ToCheckerd};
use kr_ipc::edge::parentd_ipvsd::{FromIpvsd, ToIpvsd};
use kr_ipc::edge::parentd_vrrpd::{FromVrrpd, ToVrrpd};
use kr_sys::privilege::Role;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::supervisor::heartbeat::Cadence;

/// The edge between the parent and one kind of child.
pub(crate) trait Edge {
    /// What the parent says.
    type To: Serialize + fmt::Debug;
    /// What the child says.
    type From: DeserializeOwned + fmt::Debug;
    /// Which child.
    const ROLE: Role;
    /// Asks the child to leave.
    const STOP: Self::To;
    /// Hands over the log file.
    const LOG_FILE: Self::To;
    /// How often a child that runs this configuration is asked, and how long it may take to answer.
    fn cadence(config: &Config) -> Cadence;
    /// Asks the child whether it still turns its loop.
    fn ping(nonce: u64) -> Self::To;
    /// The number of an answer to a ping; `None` of other messages.
    fn pong(message: &Self::From) -> Option<u64>;
    /// Hands over the end of a channel to a sibling.
    fn sibling(sibling: Sibling) -> Self::To;
}

/// Edge to the VRRP process.
#[derive(Debug)]
pub(crate) struct Vrrpd;

impl Edge for Vrrpd {
    type To = ToVrrpd;
    type From = FromVrrpd;
    const ROLE: Role = Role::Vrrpd;
    const STOP: ToVrrpd = ToVrrpd::Stop;
    const LOG_FILE: ToVrrpd = ToVrrpd::LogFile;

    fn cadence(config: &Config) -> Cadence {
        Cadence::of_vrrpd(config)
    }

    fn ping(nonce: u64) -> ToVrrpd {
        ToVrrpd::Ping { nonce }
    }

    fn pong(message: &FromVrrpd) -> Option<u64> {
        if let FromVrrpd::Pong { nonce } = message {
            Some(*nonce)
        } else {
            None
        }
    }

    fn sibling(sibling: Sibling) -> ToVrrpd {
        ToVrrpd::Sibling(sibling)
    }
}

/// Edge to the checker process.
#[derive(Debug)]
pub(crate) struct Checkerd;

impl Edge for Checkerd {
    type To = ToCheckerd;
    type From = FromCheckerd;
    const ROLE: Role = Role::Checkerd;
    const STOP: ToCheckerd = ToCheckerd::Stop;
    const LOG_FILE: ToCheckerd = ToCheckerd::LogFile;

    fn cadence(_: &Config) -> Cadence {
        Cadence::usual(Duration::from_secs(3))
    }

    fn ping(nonce: u64) -> ToCheckerd {
        ToCheckerd::Ping { nonce }
    }

    fn pong(message: &FromCheckerd) -> Option<u64> {
        if let FromCheckerd::Pong { nonce } = message {
            Some(*nonce)
        } else {
            None
        }
    }

    fn sibling(sibling: Sibling) -> ToCheckerd {
        ToCheckerd::Sibling(sibling)
    }
}

/// Edge to the IPVS process.
#[derive(Debug)]
pub(crate) struct Ipvsd;

impl Edge for Ipvsd {
    type To = ToIpvsd;
    type From = FromIpvsd;
    const ROLE: Role = Role::Ipvsd;
    const STOP: ToIpvsd = ToIpvsd::Stop;
    const LOG_FILE: ToIpvsd = ToIpvsd::LogFile;

    fn cadence(_: &Config) -> Cadence {
        // A large table takes a while to be written, and nothing fails over meanwhile.
        Cadence::usual(Duration::from_secs(6))
    }

    fn ping(nonce: u64) -> ToIpvsd {
        ToIpvsd::Ping { nonce }
    }

    fn pong(message: &FromIpvsd) -> Option<u64> {
        if let FromIpvsd::Pong { nonce } = message {
            Some(*nonce)
        } else {
            None
        }
    }

    fn sibling(sibling: Sibling) -> ToIpvsd {
        ToIpvsd::Sibling(sibling)
    }
}
