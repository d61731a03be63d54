//! Programs that the operator configured. Only the parent knows what they are; every other process
//! names the *event* or the id.

use std::path::PathBuf;

use crate::ids::ScriptId;

/// A program as configured: `"COMMAND ARG..." [USER [[:]GROUP]]`. The parent alone holds it, so it
/// never travels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Script {
    /// Its identity.
    pub id: ScriptId,
    /// The program, as written (a bare name is looked up in `PATH` when it is checked).
    pub program: PathBuf,
    /// Its arguments, after quoting and escapes were taken away.
    pub arguments: Vec<String>,
    /// Who runs it; `None` is `script_user`, then `keepalived_script`, then the parent's user.
    pub user: Option<ScriptUser>,
}

/// The account a script runs under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ScriptUser {
    /// User name.
    pub user: String,
    /// Group name; `None` is the user's own group.
    pub group: Option<String>,
    /// True when the group was written with a leading colon: the user's supplementary groups too.
    pub supplementary_groups: bool,
}

/// How a run of a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ScriptOutcome {
    /// It exited by itself with this code.
    Exit(u8),
    /// A signal that was not ours ended it.
    Signal(u8),
    /// It ran longer than it may and was ended.
    TimedOut,
    /// It could not be started; the parent's log says why.
    NotStarted,
    /// This host could not run it now, for want of descriptors, memory or processes. What it would have found
    /// nobody knows.
    NotTried,
}
