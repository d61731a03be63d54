//! What goes into the machine and what comes out of it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use kr_model::bfd::Reach;
use kr_model::check::{
    Checker, CheckerSnapshot, Connection, HttpVersion, TlsOptions, UdpProbe, Url,
};
use kr_model::lvs::Verdict;
use kr_model::script::ScriptOutcome;
use kr_model::units::Weight;
use kr_model::{CheckerId, Generation, TrackerId};

use crate::outcome::{Failure, LocalFault, Outcome};

/// What happens to the machine.
#[derive(Debug)]
pub enum Input {
    /// A configuration is complete.
    Configure(Configuration),
    /// A network attempt ended.
    Finished {
        /// The checker.
        checker: CheckerId,
        /// The run of [`Action::Start`].
        run: u64,
        /// How.
        outcome: Outcome,
    },
    /// A program ended.
    ScriptEnded {
        /// The checker.
        checker: CheckerId,
        /// The run of [`Action::RunScript`].
        run: u64,
        /// How.
        outcome: ScriptOutcome,
    },
    /// The neighbour of a BFD session is reached, or not.
    Reach {
        /// The session.
        session: TrackerId,
        /// Whether its neighbour is reached.
        reach: Reach,
    },
    /// The number in a file that is followed.
    Number {
        /// The `track_file`.
        file: TrackerId,
        /// The number.
        number: i32,
    },
    /// Say the verdict of every checker that has one: somebody new listens.
    Announce,
    /// Only these do not run (`ha_suspend`); they keep the state that they have.
    Suspend(BTreeSet<CheckerId>),
    /// Time has passed.
    Tick,
}

/// Every checker there is from now on. Checkers have at least one url or host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Its number.
    pub generation: Generation,
    /// Checkers that are new or changed.
    pub checkers: Vec<Checker>,
    /// Checkers of the configuration in force that stay as they are.
    pub kept: BTreeSet<CheckerId>,
    /// `checker_share`: identical ones are run once.
    pub share: bool,
    /// What a predecessor of this process knew of them.
    pub resume: Vec<CheckerSnapshot>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the attempt that [`attempt`](super::Checks::attempt) describes.
    Start {
        /// The checker.
        checker: CheckerId,
        /// To be given back with the outcome.
        run: u64,
    },
    /// Have the parent run the program of this checker.
    RunScript {
        /// The checker.
        checker: CheckerId,
        /// To be given back with the outcome.
        run: u64,
    },
    /// Drop this attempt; its outcome is of no interest.
    Cancel {
        /// The run.
        run: u64,
    },
    /// Tell the IPVS process.
    Verdict {
        /// Configuration in force.
        generation: Generation,
        /// The verdict.
        verdict: Verdict,
    },
    /// Tell the parent, for a successor.
    Snapshot(CheckerSnapshot),
    /// Tell the operator that checks start late because as many as may run already do.
    Overloaded {
        /// How many run.
        running: usize,
        /// How late the next one is.
        late: Duration,
    },
    /// Tell the operator.
    Log {
        /// The checker.
        checker: CheckerId,
        /// What happened.
        event: Event,
    },
}

/// What is known of a checker at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State<'a> {
    /// Its configuration.
    pub checker: &'a Checker,
    /// Healthy, or taken as healthy.
    pub up: bool,
    /// A result was reached since it was configured.
    pub has_run: bool,
    /// Weight that its program asks for.
    pub weight: Option<Weight>,
    /// Attempts started.
    pub attempts: u64,
    /// Attempts failed.
    pub failed_attempts: u64,
    /// How long the last attempt took that ended with a result.
    pub last_duration: Option<Duration>,
    /// It takes the results of an identical check of another virtual server (`checker_share`).
    pub shared: bool,
}

/// What an operator is told of a checker. The text follows the checker's label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It passed for the first time, or again.
    Up {
        /// It was down before.
        recovered: bool,
    },
    /// It went down.
    Down(Failure),
    /// It failed while up and is tried again (`log_all_failures`).
    Retrying {
        /// Why.
        failure: Failure,
        /// Further attempts before it goes down.
        left: u32,
    },
    /// It failed again while down (`log_all_failures`).
    StillDown(Failure),
    /// It takes over the state of an identical check (`checker_share`).
    Shares {
        /// That one is up.
        up: bool,
    },
    /// Its program asks for another weight; `None` is the configured one.
    Weight(Option<Weight>),
    /// This host cannot try it. Said once per reason.
    Unable(LocalFault),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { recovered: true } => f.write_str("succeeded; now up"),
            Self::Up { recovered: false } => f.write_str("succeeded"),
            Self::Down(failure) => write!(f, "failed: {failure}; now down"),
            Self::Retrying { failure, left } => {
                write!(f, "failed: {failure}; retries left: {left}")
            }
            Self::StillDown(failure) => write!(f, "failed: {failure}; still down"),
            Self::Shares { up } => {
                let state = if *up { "up" } else { "down" };
                write!(f, "shares the runs of an identical check, which is {state}")
            }
            Self::Weight(Some(weight)) => write!(f, "asks for weight {weight}"),
            Self::Weight(None) => f.write_str("asks for the configured weight"),
            Self::Unable(fault) => {
                write!(f, "was not tried: {fault}; the state of the server is kept")
            }
        }
    }
}

/// One network attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt<'a> {
    /// Over a connection.
    Stream(StreamAttempt<'a>),
    /// With a datagram.
    Datagram(DatagramAttempt<'a>),
}

/// An attempt over a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamAttempt<'a> {
    /// Connect only.
    Tcp(&'a Connection),
    /// Fetch a page.
    Http {
        /// Where.
        connection: &'a Connection,
        /// TLS, for `SSL_GET`.
        tls: Option<&'a TlsOptions>,
        /// `http_protocol`.
        version: HttpVersion,
        /// The page.
        url: &'a Url,
    },
    /// Talk to a mail server.
    Smtp {
        /// Where.
        connection: &'a Connection,
        /// `helo_name`.
        helo: &'a str,
    },
}

/// An attempt with one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramAttempt<'a> {
    /// Ask a name server.
    Dns {
        /// Where.
        connection: &'a Connection,
        /// `name`.
        name: &'a str,
        /// `type`.
        record: u16,
    },
    /// Send a datagram.
    Udp(&'a UdpProbe),
    /// Send an echo request.
    Ping(&'a Connection),
}

impl<'a> Attempt<'a> {
    /// How to reach the server.
    #[must_use]
    pub const fn connection(&self) -> &'a Connection {
        match self {
            Self::Stream(attempt) => attempt.connection(),
            Self::Datagram(attempt) => attempt.connection(),
        }
    }
}

impl<'a> DatagramAttempt<'a> {
    /// How to reach the server.
    #[must_use]
    pub const fn connection(&self) -> &'a Connection {
        match self {
            Self::Dns { connection, .. } | Self::Ping(connection) => connection,
            Self::Udp(probe) => &probe.connection,
        }
    }
}

impl<'a> StreamAttempt<'a> {
    /// How to reach the server.
    #[must_use]
    pub const fn connection(&self) -> &'a Connection {
        match self {
            Self::Tcp(connection)
            | Self::Http { connection, .. }
            | Self::Smtp { connection, .. } => connection,
        }
    }
}
