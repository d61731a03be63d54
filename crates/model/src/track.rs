//! What instances track besides interfaces: scripts, files, processes and BFD sessions.
//!
//! The parent finds out the state of scripts, files and processes and tells it to the VRRP process, which
//! runs BFD sessions itself. What a state means for an instance is worked out by `kr-vrrp`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{ScriptId, TrackerId};

/// A tracked object as the VRRP process knows it: the parent alone knows commands, paths and patterns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracker {
    /// Identity, kept over reloads while the object is the same one.
    pub id: TrackerId,
    /// What it is.
    pub kind: TrackerKind,
    /// Name of the block, for logs.
    pub name: String,
    /// What is known of it when the configuration comes into force. A BFD session starts as
    /// [`TrackerState::Pending`], and keeps the state that the VRRP process knows.
    pub state: TrackerState,
}

/// Kind of a tracked object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TrackerKind {
    /// `vrrp_script`.
    Script,
    /// `track_file`.
    File,
    /// `vrrp_track_process`.
    Process,
    /// `bfd_instance`.
    Bfd,
}

impl TrackerKind {
    /// The word for logs and dumps.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::File => "file",
            Self::Process => "process",
            Self::Bfd => "BFD session",
        }
    }
}

/// State of a tracked object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackerState {
    /// Nothing is known yet: a script did not end, a session did not start.
    Pending,
    /// A script passes, a process has its quorum, a session is up.
    Up,
    /// The opposite.
    Down,
    /// The number in a file; 0 without a file or without a number in it.
    Value(i32),
}

/// One line of `track_script`, `track_file`, `track_process` or `track_bfd`, with the defaults of the
/// tracked object filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// What is tracked.
    pub tracker: TrackerId,
    /// -254 to 254. 0: the object being down, or the file holding another number than 0, is a fault. Otherwise
    /// it is added to the priority: a positive one while the object is up, a negative one while it is down; of
    /// a file, number times weight is.
    pub weight: i16,
    /// Up counts as down and down as up; of a file, with weight 0, 0 is the fault, and else the sign of the
    /// number is turned round.
    pub reverse: bool,
}

/// A tracked object that makes an instance fail, or wait: what a log line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offender {
    /// The object; only whoever has the configuration knows its name.
    pub tracker: TrackerId,
    /// Its kind.
    pub kind: TrackerKind,
    /// Its state.
    pub state: TrackerState,
}

impl Offender {
    /// The object by name, and what is the matter with it.
    pub const fn named(self, name: &str) -> Matter<'_> {
        Matter {
            kind: self.kind,
            name: Some(name),
            state: self.state,
        }
    }
}

impl fmt::Display for Offender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unnamed = Matter {
            kind: self.kind,
            name: None,
            state: self.state,
        };
        unnamed.fmt(f)
    }
}

/// A tracked object and its state in words: `script chk_haproxy failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matter<'a> {
    /// What it is.
    pub kind: TrackerKind,
    /// Its name, where it is known.
    pub name: Option<&'a str>,
    /// Its state.
    pub state: TrackerState,
}

impl fmt::Display for Matter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.word();
        match self.name {
            Some(name) => write!(f, "{kind} {name} ")?,
            None => write!(f, "a tracked {kind} ")?,
        }
        match (self.state, self.kind) {
            (TrackerState::Pending, _) => f.write_str("has no result yet"),
            (TrackerState::Value(value), _) => write!(f, "holds {value}"),
            (TrackerState::Up, TrackerKind::Script) => f.write_str("succeeded"),
            (TrackerState::Down, TrackerKind::Script) => f.write_str("failed"),
            (TrackerState::Up, TrackerKind::Process) => f.write_str("has its quorum"),
            (TrackerState::Down, TrackerKind::Process) => f.write_str("lacks its quorum"),
            (TrackerState::Up, TrackerKind::Bfd | TrackerKind::File) => f.write_str("is up"),
            (TrackerState::Down, TrackerKind::Bfd | TrackerKind::File) => f.write_str("is down"),
        }
    }
}

/// Where the state of a tracked object comes from. The parent alone holds it, so it never travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackerSource {
    /// `vrrp_script`.
    Script(ScriptTracker),
    /// `track_file`.
    File(FileTracker),
    /// `vrrp_track_process`.
    Process(ProcessTracker),
}

impl TrackerSource {
    /// The kind of object.
    #[must_use]
    pub const fn kind(&self) -> TrackerKind {
        match self {
            Self::Script(_) => TrackerKind::Script,
            Self::File(_) => TrackerKind::File,
            Self::Process(_) => TrackerKind::Process,
        }
    }
}

/// A program that is run on a timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptTracker {
    /// The program.
    pub script: ScriptId,
    /// `interval`: from the start of a run to the start of the next, at least 1 ms. Default 1 s.
    pub interval: Duration,
    /// `timeout`: a longer run is a failure. Default the interval.
    pub timeout: Duration,
    /// `rise`: passes in a row that make a failed script good, at least 1. Default 1.
    pub rise: u32,
    /// `fall`: failures in a row that make a good script fail, at least 1. Default 1.
    pub fall: u32,
    /// `init_fail`: failed until it passes, instead of unknown until the first result.
    pub init_fail: bool,
}

/// A file with a number in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTracker {
    /// `file`.
    pub path: PathBuf,
    /// `init_file`: what is written at the start of the daemon.
    pub init: Option<InitFile>,
}

/// `init_file [VALUE] [overwrite]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitFile {
    /// The number. Default 0.
    pub value: i32,
    /// Also when the file exists.
    pub overwrite: bool,
}

/// Processes of other programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTracker {
    /// Which processes count.
    pub pattern: ProcessPattern,
    /// `quorum`: at least this many must run. Default 1.
    pub quorum: u32,
    /// `quorum_max`: at most this many may run, at least `quorum`. Default no limit.
    pub quorum_max: Option<u32>,
    /// `fork_delay`: how long the quorum must be met before it counts as met. Default zero.
    pub fork_delay: Duration,
    /// `terminate_delay`: how long it must be lacking before it counts as lacking. Default zero.
    pub terminate_delay: Duration,
}

/// Which processes a `vrrp_track_process` counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessPattern {
    /// Those with this name in `/proc/PID/comm`, which ends after 15 bytes.
    Name(String),
    /// Those with this first word, and these arguments, in `/proc/PID/cmdline`.
    Command {
        /// The first word.
        program: String,
        /// The others.
        arguments: ArgumentMatch,
    },
}

/// How the arguments of a process are compared (`param_match`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentMatch {
    /// Not at all.
    Any,
    /// They are these.
    Exact(Vec<String>),
    /// They begin with these (`partial`).
    Partial(Vec<String>),
    /// They begin with these, of which the last may be the beginning of an argument (`initial`).
    Initial(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offender_is_told_by_name_where_the_name_is_known() {
        let offender = Offender {
            tracker: TrackerId(3),
            kind: TrackerKind::Script,
            state: TrackerState::Down,
        };
        assert_eq!(
            offender.named("chk_haproxy").to_string(),
            "script chk_haproxy failed"
        );
        assert_eq!(offender.to_string(), "a tracked script failed");
        let file = Offender {
            kind: TrackerKind::File,
            state: TrackerState::Value(-3),
            ..offender
        };
        assert_eq!(file.named("load").to_string(), "file load holds -3");
    }
}
