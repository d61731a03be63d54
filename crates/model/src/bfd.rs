//! BFD sessions (RFC 5880): the typed `bfd_instance`, and what the VRRP process publishes of each.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::TrackerId;
use crate::time::Instant;
use crate::units::{Discriminator, Multiplier};

/// Sessions of one configuration: each has a socket, of which the VRRP process may have 8192.
pub const MOST_SESSIONS: usize = 4_096;

/// One `bfd_instance`, complete and valid: defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Identity, kept over reloads while neighbour, source and path stay.
    pub id: TrackerId,
    /// Name of the block, for logs.
    pub name: String,
    /// `neighbor_ip`: the other end.
    pub neighbor: IpAddr,
    /// `source_ip`, of the neighbour's family; `None` is whatever the kernel takes.
    pub source: Option<IpAddr>,
    /// `multihop`.
    pub path: Path,
    /// `passive`: silent until the neighbour speaks.
    pub passive: bool,
    /// `min_rx`: least time between two packets that this end can receive.
    pub min_rx: Micros,
    /// `min_tx`: time between two packets that this end sends while the session is up.
    pub min_tx: Micros,
    /// `idle_tx`: the same while it is not up; at least a second.
    pub idle_tx: Micros,
    /// `multiplier`.
    pub multiplier: Multiplier,
    /// `ttl`, `hoplimit`: time to live of packets sent.
    pub ttl: u8,
    /// Least time to live of packets received; 0 takes every packet (`max_hops 255`).
    pub min_ttl: u8,
}

/// How far the neighbour is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Path {
    /// On the same network (RFC 5881).
    SingleHop,
    /// Behind routers (RFC 5883).
    MultiHop,
}

impl Path {
    /// The UDP port that packets are sent to.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::SingleHop => 3784,
            Self::MultiHop => 4784,
        }
    }
}

/// A time in microseconds as BFD packets carry it. 0 as a receive interval means: send nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Micros(pub u32);

impl Micros {
    /// The least transmit interval of a session that is not up (RFC 5880 section 6.8.3).
    pub const SECOND: Self = Self(1_000_000);

    /// The time as a duration.
    #[must_use]
    pub fn as_duration(self) -> Duration {
        Duration::from_micros(u64::from(self.0))
    }
}

/// State of this end (RFC 5880 section 6.2). It is never administratively down: a session that nobody wants
/// does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// The neighbour is not heard, or says that it does not hear us.
    Down,
    /// The neighbour is heard, and may not know it yet.
    Init,
    /// Both hear each other.
    Up,
}

/// State of the other end, as its packets say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PeerState {
    /// Held down by its operator.
    AdminDown,
    /// As [`State::Down`].
    Down,
    /// As [`State::Init`].
    Init,
    /// As [`State::Up`].
    Up,
}

impl PeerState {
    /// The word that logs and dumps use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        }
    }
}

impl From<State> for PeerState {
    fn from(state: State) -> Self {
        match state {
            State::Down => Self::Down,
            State::Init => Self::Init,
            State::Up => Self::Up,
        }
    }
}

/// Why an end changed its state for the last time (RFC 5880 section 4.1): 0 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Diagnostic(u8);

/// A diagnostic code has five bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadDiagnostic;

impl fmt::Display for BadDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a BFD diagnostic code is at most 31")
    }
}

impl std::error::Error for BadDiagnostic {}

impl Diagnostic {
    /// Nothing is wrong.
    pub const NONE: Self = Self(0);
    /// No packet came within the detection time.
    pub const EXPIRED: Self = Self(1);
    /// The neighbour said that its end is down.
    pub const NEIGHBOR_DOWN: Self = Self(3);
    /// An operator ended the session.
    pub const ADMIN_DOWN: Self = Self(7);

    /// The lowest five bits of a byte.
    #[must_use]
    pub const fn from_bits(byte: u8) -> Self {
        Self(byte & 0x1f)
    }

    /// The code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Diagnostic {
    type Error = BadDiagnostic;

    fn try_from(code: u8) -> Result<Self, BadDiagnostic> {
        if code < 32 {
            Ok(Self(code))
        } else {
            Err(BadDiagnostic)
        }
    }
}

impl From<Diagnostic> for u8 {
    fn from(diagnostic: Diagnostic) -> Self {
        diagnostic.0
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "no diagnostic",
            1 => "no packet within the detection time",
            2 => "echo failed",
            3 => "neighbour signalled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            code => return write!(f, "diagnostic {code}"),
        })
    }
}

/// What whoever follows a session has to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reach {
    /// It has not been up yet, and the neighbour had no time to answer.
    Untried,
    /// It is not up.
    Down,
    /// It is up.
    Up,
}

/// What the other end last said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remote {
    /// Its number for the session.
    pub discriminator: Discriminator,
    /// Its state.
    pub state: PeerState,
    /// Why it is in that state.
    pub diagnostic: Diagnostic,
    /// Its transmit interval.
    pub min_tx: Micros,
    /// Its least receive interval.
    pub min_rx: Micros,
    /// Its multiplier, which the detection time of this end is made of.
    pub multiplier: Multiplier,
    /// It wants no packets while both ends are up (RFC 5880 section 6.6).
    pub demand: bool,
}

/// Counters of a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets taken.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets of the neighbour that were no BFD packets, or broke a rule of RFC 5880 section 6.8.6.
    pub malformed: u64,
    /// Packets of the neighbour that had passed too many routers.
    pub far: u64,
    /// Packets of the neighbour for no session of this host.
    pub stray: u64,
    /// How often the session came up.
    pub came_up: u64,
    /// How often it went down after it was up.
    pub went_down: u64,
}

/// What the VRRP process publishes of a session when it changes, and gets back after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The session.
    pub id: TrackerId,
    /// State of this end.
    pub state: State,
    /// Why.
    pub diagnostic: Diagnostic,
    /// What followers know.
    pub reach: Reach,
    /// This end's number for the session.
    pub local: Discriminator,
    /// The other end, while it is heard.
    pub remote: Option<Remote>,
    /// Transmit interval that the other end was told.
    pub min_tx: Micros,
    /// Receive interval that the other end was told.
    pub min_rx: Micros,
    /// When the state was entered.
    pub since: Instant,
    /// Counters.
    pub counters: Counters,
}
