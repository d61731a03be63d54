//! Log points: what happened and why, as values. The daemon writes them with their `Display` text.

use std::fmt;

use kr_model::vrrp::{Cause, State};

/// Something worth a log line about one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Name of the instance.
    pub name: String,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// The state changed.
    Entered {
        /// The new state.
        state: State,
        /// Why.
        cause: Cause,
    },
}

/// Who has to look at a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Ordinary life.
    Info,
    /// A peer or the configuration is wrong.
    Warning,
}

impl Event {
    /// Who has to look at it.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self.kind {
            EventKind::Entered { .. } => Severity::Info,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            EventKind::Entered { state, .. } => {
                write!(f, "({}) entering {} state", self.name, state.word())
            }
        }
    }
}
