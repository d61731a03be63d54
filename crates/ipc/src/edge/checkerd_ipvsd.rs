//! Checker process and IPVS process.

use std::fmt;

use kr_model::lvs::Verdict;
use kr_model::{CheckerId, Generation};
use serde::{Deserialize, Serialize};

/// Sockets that the checker process has asked for and not yet got, at most. Each is a descriptor on its
/// way, of which the kernel allows an account as many as it may have open (64 for the IPVS process).
pub const MOST_SOCKETS_WANTED: usize = 32;

/// What the checker process says. On a new channel it first says every verdict that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToIpvsd {
    /// A checker's verdict is new or changed. A verdict for a checker that the receiver does not know is
    /// ignored while generations differ, for the two processes learn of a reload at different times.
    Verdict {
        /// Configuration that the sender runs.
        generation: Generation,
        /// The verdict.
        verdict: Verdict,
    },
    /// A check needs a socket that only a privileged process can make (`fwmark`, low `bind_port`).
    SocketWanted(SocketWanted),
}

/// A socket that a check needs. What it is like is in the receiver's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketWanted {
    /// Configuration that the sender runs.
    pub generation: Generation,
    /// The checker.
    pub checker: CheckerId,
    /// Which host of an `SMTP_CHECK`; 0 for every other check.
    pub host: u16,
    /// To be given back with the answer.
    pub request: u64,
}

/// What the IPVS process says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromIpvsd {
    /// The socket comes with this message: non-blocking, marked and bound, not connected.
    Socket {
        /// Number of the request.
        request: u64,
    },
    /// There is none.
    NoSocket {
        /// Number of the request.
        request: u64,
        /// Why.
        refusal: SocketRefusal,
    },
}

/// Why a socket is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketRefusal {
    /// The configuration of the IPVS process has no such socket any more.
    Gone,
    /// More were asked for within a second than checks can need.
    TooMany,
    /// The kernel refused.
    Kernel {
        /// What.
        step: SocketStep,
        /// With this error number.
        errno: i32,
    },
}

/// A step on the way to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketStep {
    /// Making it.
    Open,
    /// `fwmark`.
    Mark,
    /// `bind_if`.
    Interface,
    /// `bindto`, `bind_port`.
    Source,
}

impl fmt::Display for SocketRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the configuration has changed meanwhile"),
            Self::TooMany => f.write_str("too many sockets were asked for within a second"),
            Self::Kernel { errno, .. } => std::io::Error::from_raw_os_error(*errno).fmt(f),
        }
    }
}
