//! A started program: its end, and how its start failed.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::handover::{Handed, Kept};

/// Bytes of a report through the failure pipe: step, error number.
const REPORT: usize = 5;

/// How a started program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Exit(u8),
    /// This signal ended it.
    Signal(u8),
    /// It never ran.
    NotStarted {
        /// Step that failed.
        step: Step,
        /// Why.
        errno: Errno,
    },
}

impl Ended {
    /// `SIGKILL` ended it.
    pub const KILLED: Self = Self::Signal(9);
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exited with code {code}"),
            Self::Signal(number) => match Signal::try_from(i32::from(*number)) {
                Ok(signal) => write!(f, "was ended by {signal}"),
                Err(_) => write!(f, "was ended by signal {number}"),
            },
            Self::NotStarted { step, errno } => {
                write!(f, "could not be started: {}: {errno}", step.text())
            }
        }
    }
}

/// A started program that was not waited for yet.
#[derive(Debug)]
pub struct Process {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) failure: File,
}

/// A program that the next program of this process takes over as its own child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedProcess {
    pid: i32,
    pidfd: Handed,
    failure: Handed,
}

impl HandedProcess {
    /// Takes it over. To be called once.
    ///
    /// # Errors
    /// When a descriptor is not open.
    pub fn take(self) -> Result<Process, Errno> {
        Ok(Process {
            pid: Pid::from_raw(self.pid),
            pidfd: self.pidfd.take()?,
            failure: self.failure.take()?.into(),
        })
    }
}

impl Process {
    /// Hands it over to the next program of this process.
    pub fn hand_over(&self, kept: &mut Kept) -> HandedProcess {
        HandedProcess {
            pid: self.pid.as_raw(),
            pidfd: kept.keep(self.pidfd.as_fd()),
            failure: kept.keep(self.failure.as_fd()),
        }
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Collects its end, without waiting. After `Some` the process id means nothing any more.
    ///
    /// # Errors
    /// When the kernel does not know the process, which is a fault of this program.
    pub fn try_wait(&mut self) -> Result<Option<Ended>, Errno> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        let ended = match waitid(Id::PIDFd(self.pidfd.as_fd()), flags)? {
            WaitStatus::Exited(_, code) => {
                Ended::Exit(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
            }
            WaitStatus::Signaled(_, signal, _) => {
                Ended::Signal(u8::try_from(signal as libc::c_int).unwrap_or(u8::MAX))
            }
            WaitStatus::Stopped(..)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_)
            | WaitStatus::Continued(_)
            | WaitStatus::StillAlive => return Ok(None),
        };
        Ok(Some(self.start_failure().unwrap_or(ended)))
    }

    /// What the pipe says: nothing when `exec` worked, for it closes the writing end.
    fn start_failure(&mut self) -> Option<Ended> {
        let mut report = [0; REPORT];
        self.failure.read_exact(&mut report).ok()?;
        let [step, errno @ ..] = report;
        Some(Ended::NotStarted {
            step: Step::ALL.into_iter().find(|known| known.code() == step)?,
            errno: Errno::from_raw(i32::from_le_bytes(errno)),
        })
    }

    /// Sends it a signal; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        // Not reaped yet, so the number is still its own; an error means that it has ended.
        let _ = kill(self.pid, signal);
    }

    /// Sends a signal to its process group. Only for scripts, which lead a group.
    pub fn signal_group(&self, signal: Signal) {
        let _ = killpg(self.pid, signal);
    }
}

impl AsFd for Process {
    /// Readable once the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// What happens between `fork` and `exec`, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Signal mask and dispositions.
    Signals,
    /// New session.
    Session,
    /// Standard and handed descriptors.
    Descriptors,
    /// Priority, CPUs, limits.
    Tuning,
    /// Capability bounding set.
    BoundingSet,
    /// Groups and user.
    Account,
    /// Capability sets.
    Capabilities,
    /// No new privileges.
    NoNewPrivileges,
    /// The rules of `script_read_only`.
    ReadOnly,
    /// Signal at the parent's death.
    ParentDeath,
    /// Working directory.
    Directory,
    /// Replacing the process image.
    Execute,
}

impl Step {
    const ALL: [Self; 12] = [
        Self::Signals,
        Self::Session,
        Self::Descriptors,
        Self::Tuning,
        Self::BoundingSet,
        Self::Account,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::ReadOnly,
        Self::ParentDeath,
        Self::Directory,
        Self::Execute,
    ];

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Signals => 0,
            Self::Session => 1,
            Self::Descriptors => 2,
            Self::BoundingSet => 3,
            Self::Account => 4,
            Self::Capabilities => 5,
            Self::NoNewPrivileges => 6,
            Self::ParentDeath => 7,
            Self::Directory => 8,
            Self::Execute => 9,
            Self::Tuning => 10,
            Self::ReadOnly => 11,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Signals => "signals cannot be reset",
            Self::Session => "no new session",
            Self::Descriptors => "descriptors cannot be arranged",
            Self::Tuning => {
                "its priority, CPUs or limits cannot be set (CAP_SYS_NICE and CAP_SYS_RESOURCE are needed)"
            }
            Self::BoundingSet => {
                "the capability bounding set cannot be reduced (CAP_SETPCAP is needed)"
            }
            Self::Account => "the account cannot be changed (CAP_SETUID and CAP_SETGID are needed)",
            Self::Capabilities => "the capabilities of its role are not to be had",
            Self::NoNewPrivileges => "no_new_privs cannot be set",
            Self::ReadOnly => "it cannot be kept from writing",
            Self::ParentDeath => "the parent is gone",
            Self::Directory => "no working directory",
            Self::Execute => "the program cannot be executed",
        }
    }
}
