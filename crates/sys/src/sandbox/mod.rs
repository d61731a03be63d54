//! What a child can still do once it runs: its system calls, what it reaches by name, its resource limits.
//! Each is a table with a reason per row, beside the capabilities of [`crate::privilege`].
//!
//! `kr_child` calls [`enter`] as the last step of start-up, before the loop. [`page`] writes the tables as
//! the Markdown of `SECURITY.md`.

mod call;
mod calls;
mod filter;
mod limits;
pub mod page;
mod reach;

use std::fmt;
use std::str::FromStr;

use landlock::RulesetError;
use nix::errno::Errno;
use nix::libc;
use seccompiler::{BackendError, BpfProgram, apply_filter};

use crate::local_time::LocalTime;
use crate::privilege::{Duty, Role};

pub use call::{Case, Must, Row, Test, Verdict};
pub use limits::Limit;
pub use reach::{Reach, Readable, Tcp};

/// What happens at a system call that has no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// The process is killed.
    #[default]
    On,
    /// The same, and a kernel that cannot enforce all of the tables is refused.
    Strict,
    /// It is made, and the kernel's log names it: shows an operator which row is missing. Landlock,
    /// which cannot do this, is left out.
    Log,
}

/// A word that is no [`Mode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMode;

impl fmt::Display for NoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `on`, `strict` or `log`")
    }
}

impl std::error::Error for NoMode {}

impl FromStr for Mode {
    type Err = NoMode;

    /// Reads the value of `--sandbox`.
    fn from_str(text: &str) -> Result<Self, NoMode> {
        match text {
            "on" => Ok(Self::On),
            "strict" => Ok(Self::Strict),
            "log" => Ok(Self::Log),
            _ => Err(NoMode),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Strict => "strict",
            Self::Log => "log",
        })
    }
}

/// What is in force, as far as the kernel can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// The filter of system calls; false when the kernel or the architecture has none.
    pub filter: bool,
    /// Landlock; `None` when it was left out ([`Mode::Log`]).
    pub reach: Option<Reach>,
}

impl Entered {
    /// What the kernel could not enforce, the worst first.
    #[must_use]
    pub const fn lacking(self) -> Option<&'static str> {
        match self {
            Self { filter: false, .. } => Some("filters of system calls (seccomp)"),
            Self {
                reach: Some(Reach::Nothing),
                ..
            } => Some("Landlock, or it is switched off"),
            Self {
                reach: Some(Reach::Part),
                ..
            } => Some(
                "the newer rules of Landlock: TCP ports (Linux 6.7), abstract sockets and signals (6.12)",
            ),
            Self {
                reach: Some(Reach::Whole) | None,
                ..
            } => None,
        }
    }
}

/// Why the sandbox could not be entered. The process must not run on.
#[derive(Debug)]
pub enum SandboxError {
    /// A resource limit was refused.
    Limit(Errno),
    /// Landlock refused a rule.
    Landlock(RulesetError),
    /// The tables make no filter: a fault of this program.
    Tables(BackendError),
    /// The kernel refused the filter.
    Filter(seccompiler::Error),
    /// The kernel lacks this, and [`Mode::Strict`] wants all.
    Lacking(&'static str),
    /// The kernel said yes, but what should be impossible is possible.
    NotInForce(&'static str),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(errno) => write!(f, "resource limits: {errno}"),
            Self::Landlock(error) => write!(f, "Landlock: {error}"),
            Self::Tables(error) => write!(f, "system call filter cannot be made: {error}"),
            Self::Filter(error) => write!(f, "system call filter: {error}"),
            Self::Lacking(what) => write!(
                f,
                "this kernel lacks {what}; use a newer one, or do without `sandbox strict`"
            ),
            Self::NotInForce(what) => {
                write!(f, "{what} is not in force although the kernel took it")
            }
        }
    }
}

impl std::error::Error for SandboxError {}

/// Enters the sandbox of `role` with its `duty`, for ever, and verifies it. The process must have one thread, and holds
/// all that needs more than the tables allow.
///
/// # Errors
/// When a step fails for another reason than that the kernel lacks the feature; with [`Mode::Strict`] for that
/// reason too.
pub fn enter(role: Role, duty: Duty, mode: Mode) -> Result<Entered, SandboxError> {
    // The C library reads the time zone at its first use, later there are no files.
    let _ = LocalTime::of(0);
    limits::lower(role).map_err(SandboxError::Limit)?;
    let reach = match mode {
        Mode::On | Mode::Strict => Some(restrict(role, duty)?),
        Mode::Log => None,
    };
    let filter = filter_calls(role, duty, mode)?;
    let entered = Entered { filter, reach };
    match entered.lacking() {
        Some(what) if mode == Mode::Strict => Err(SandboxError::Lacking(what)),
        Some(_) | None => Ok(entered),
    }
}

fn restrict(role: Role, duty: Duty) -> Result<Reach, SandboxError> {
    let reach = reach::restrict(role, duty).map_err(SandboxError::Landlock)?;
    if reach != Reach::Nothing && !reach::is_restricted() {
        return Err(SandboxError::NotInForce("Landlock"));
    }
    Ok(reach)
}

/// Installs the filters. False: not possible here.
fn filter_calls(role: Role, duty: Duty, mode: Mode) -> Result<bool, SandboxError> {
    let programs = match filter::compile(role.calls().chain(duty.calls()), mode) {
        Ok(programs) => programs,
        Err(BackendError::InvalidTargetArch(_)) => return Ok(false),
        Err(error) => return Err(SandboxError::Tables(error)),
    };
    // The one that permits most comes first: it must still allow the installation of the other.
    for program in programs.refuse.iter().chain([&programs.confine]) {
        if !install(program)? {
            return Ok(false);
        }
    }
    if calls_are_filtered() {
        Ok(true)
    } else {
        Err(SandboxError::NotInForce("the system call filter"))
    }
}

/// False: the kernel has no filters.
fn install(program: &BpfProgram) -> Result<bool, SandboxError> {
    match apply_filter(program) {
        Ok(()) => Ok(true),
        Err(seccompiler::Error::Seccomp(error))
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
        {
            Ok(false)
        }
        Err(error) => Err(SandboxError::Filter(error)),
    }
}

/// Asks the kernel in the one way that needs no file.
fn calls_are_filtered() -> bool {
    // SAFETY: the option takes no further argument and touches no memory of this process.
    let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP) };
    // SECCOMP_MODE_FILTER.
    mode == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_spelled_as_they_are_read() {
        for mode in [Mode::On, Mode::Strict, Mode::Log] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!("off".parse::<Mode>(), Err(NoMode));
    }
}
