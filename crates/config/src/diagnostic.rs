//! What is wrong with a configuration, where, and how to mend it.

use crate::source::Span;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the meaning is not in doubt. Does not fail a config test.
    Note,
    /// The configuration runs, but a part of it has no effect or not the one it may be meant to have.
    Warning,
    /// A part cannot be understood or cannot work. A reload is refused.
    Error,
}

/// What kind of finding, for the exit code of a config test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing can run: no file, an unknown interface, two instances with one VRID.
    Fatal,
    /// The configuration is wrong somewhere.
    Configuration,
    /// A script may be changed by others than its user.
    ScriptSecurity,
    /// Deprecated or accepted without effect.
    Advice,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub class: Class,
    /// What is wrong, in lower case without full stop.
    pub message: String,
    /// Where; `None` when it is about no place (a missing file).
    pub span: Option<Span>,
    /// Text at the caret: what was expected here.
    pub label: Option<String>,
    /// How to mend it, for example a suggested keyword.
    pub help: Option<String>,
}
