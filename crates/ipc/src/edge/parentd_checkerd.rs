//! Parent and checker process.

use kr_model::check::{Checker, CheckerGlobal, CheckerSnapshot, Mail, Suspension};
use kr_model::lateness::LoopTimes;
use kr_model::script::ScriptOutcome;
use kr_model::{CheckerId, Generation, InstanceId, TrackerId};
use serde::{Deserialize, Serialize};

use crate::edge::Sibling;

/// Longest piece of the authorities in one message, in bytes.
pub const AUTHORITIES_PIECE: usize = 32 * 1024;

/// Most ids in one [`ToCheckerd::Kept`].
pub const MOST_KEPT: usize = 8192;

/// What the parent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToCheckerd {
    /// A configuration follows.
    Begin(Generation),
    /// Its global part, exactly once. Its authorities are in the messages that follow.
    Global(Box<CheckerGlobal>),
    /// The next piece of `trusted_authorities`, of at most [`AUTHORITIES_PIECE`] bytes.
    Authorities(Vec<u8>),
    /// One checker.
    Checker(Box<Checker>),
    /// Checkers that are as in the configuration in force, at most [`MOST_KEPT`]: what a reload changes is little
    /// beside what it does not.
    Kept(Vec<CheckerId>),
    /// What a predecessor of this process last published of a checker of this configuration.
    Resume(CheckerSnapshot),
    /// The configuration is complete.
    Commit(Generation),
    /// The end of the channel to this process comes with this message and replaces an older one.
    Sibling(Sibling),
    /// The program of a `MISC_CHECK` ended.
    ScriptEnded {
        /// The checker that asked.
        checker: CheckerId,
        /// Number of the run, as it was asked for.
        run: u64,
        /// How it ended.
        outcome: ScriptOutcome,
    },
    /// The number in a file that a `FILE_CHECK` of the configuration in force follows: of each after the
    /// commit, and at every change. Of other files it means nothing.
    Number {
        /// The `track_file`.
        file: TrackerId,
        /// The number.
        number: i32,
    },
    /// Deliver this mail.
    Mail(Box<Mail>),
    /// Deliver the mail that waits, then exit.
    Stop,
    /// Answer with the same number, to show that the process still turns its loop.
    Ping {
        /// Number of the question.
        nonce: u64,
    },
    /// The log file was opened anew: its descriptor comes with this message and replaces the older one.
    LogFile,
    /// Part of a configuration: an instance, of which the VRRP process may speak.
    Instance(InstanceId),
    /// Part of a configuration: a BFD session of which the VRRP process will speak.
    Session(TrackerId),
    /// Part of a configuration, after its checkers and instances: when some of them do not run.
    Suspension(Box<Suspension>),
}

/// What the checker process says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromCheckerd {
    /// The configuration is in force.
    Ready(Generation),
    /// A checker as it is now; the parent keeps the latest for a successor and for dumps.
    Snapshot(CheckerSnapshot),
    /// Run the program of this `MISC_CHECK`.
    RunScript {
        /// The checker; the parent knows its program, user and time limit.
        checker: CheckerId,
        /// Number of the run, given back with the outcome.
        run: u64,
    },
    /// This process broke the protocol of its channel, which is closed.
    Misbehaved(Sibling),
    /// The answer to a ping.
    Pong {
        /// Number of the question.
        nonce: u64,
    },
    /// How late its loop is, now and then after a pong.
    Times(Box<LoopTimes>),
}
