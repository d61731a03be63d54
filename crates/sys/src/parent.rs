//! What the parent keeps: the capabilities that starting and ending other programs needs, and those that it
//! passes on. It runs as root, so files of root stay open to it; everything else that root may do is given
//! up before the first child is started.

use std::fmt;
use std::io;

use caps::Capability;
use nix::errno::Errno;
use nix::unistd::geteuid;

use crate::capability;
use crate::privilege::{Duty, Grant, Holdings, Role};

/// The parent's own capabilities; those of its children come on top, for it can only pass on what it has.
pub const GRANTS: [Grant; 6] = [
    Grant {
        capability: Capability::CAP_SETUID,
        reason: "starts each process and script under its own account",
    },
    Grant {
        capability: Capability::CAP_SETGID,
        reason: "the same, for groups",
    },
    Grant {
        capability: Capability::CAP_SETPCAP,
        reason: "takes everything outside of a child's role out of its bounding set",
    },
    Grant {
        capability: Capability::CAP_KILL,
        reason: "ends children and scripts, which run under other accounts",
    },
    Grant {
        capability: Capability::CAP_CHOWN,
        reason: "gives each FIFO of `notify_fifo` to its user",
    },
    Grant {
        capability: Capability::CAP_DAC_READ_SEARCH,
        reason: "reads configuration files, and looks at scripts, in directories of other accounts",
    },
];

/// What it keeps besides when the configuration gives a child another priority, CPUs or locked memory.
pub const TUNING_GRANTS: [Grant; 2] = [
    Grant {
        capability: Capability::CAP_SYS_NICE,
        reason: "gives a child the priority and the CPUs that are configured for it",
    },
    Grant {
        capability: Capability::CAP_SYS_RESOURCE,
        reason: "lets a child lock its memory, and limits its real-time use of the CPU",
    },
];

/// All of them as a bit mask, bit n for capability number n.
#[must_use]
pub fn mask(tuning: Tunes) -> u64 {
    let more: &[Grant] = match tuning {
        Tunes::Nothing => &[],
        Tunes::Children => &TUNING_GRANTS,
    };
    let own = GRANTS
        .iter()
        .chain(more)
        .fold(0, |mask, grant| mask | grant.capability.bitmask());
    let duties = Duty::ALL.iter().fold(own, |mask, duty| mask | duty.mask());
    Role::ALL
        .iter()
        .fold(duties, |mask, role| mask | role.mask())
}

/// Whether children run other than the parent was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunes {
    /// They do not.
    Nothing,
    /// They have another priority, CPUs or locked memory.
    Children,
}

/// Whether a script that runs as root finds all of root's capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootScripts {
    /// There are some: the bounding set stays as it is, for `exec` as root gives what it holds.
    Allowed,
    /// There are none: no program that this process starts can ever hold more than this process.
    None,
}

/// The parent does not hold what it should after giving up the rest.
#[derive(Debug)]
pub enum ParentError {
    /// The kernel refused.
    Os(Errno),
    /// `/proc` is not there.
    NoProc(io::Error),
    /// A set is not what it should be.
    Unexpected {
        /// Field of `/proc/self/status`.
        field: &'static str,
        /// What was asked for.
        expected: u64,
        /// What is there.
        found: u64,
    },
}

impl fmt::Display for ParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(errno) => write!(f, "capabilities cannot be given up: {errno}"),
            Self::NoProc(error) => write!(
                f,
                "own privileges cannot be verified, /proc must be mounted: {error}"
            ),
            Self::Unexpected {
                field,
                expected,
                found,
            } => write!(f, "{field} is {found:016x} instead of {expected:016x}"),
        }
    }
}

impl std::error::Error for ParentError {}

/// Gives up every capability outside of [`mask`], and verifies it. A container may have taken some of the
/// mask away before; those are not asked for. Returns what is held from now on.
///
/// # Errors
/// When the kernel refuses, or the outcome differs.
pub fn confine(scripts: RootScripts, tuning: Tunes) -> Result<u64, ParentError> {
    let before = Holdings::of_this_process().map_err(ParentError::NoProc)?;
    let mask = mask(tuning);
    let held = mask & before.permitted;
    let bounding = match scripts {
        RootScripts::Allowed => before.bounding,
        // Whoever is not root has no script of root either.
        RootScripts::None if before.permitted & Capability::CAP_SETPCAP.bitmask() == 0 => {
            before.bounding
        }
        RootScripts::None => before.bounding & mask,
    };
    if bounding != before.bounding {
        capability::limit_bounding(bounding).map_err(ParentError::Os)?;
    }
    capability::set(held, 0).map_err(ParentError::Os)?;
    let after = Holdings::of_this_process().map_err(ParentError::NoProc)?;
    for (field, found, expected) in [
        ("CapPrm", after.permitted, held),
        ("CapEff", after.effective, held),
        ("CapInh", after.inheritable, 0),
        ("CapAmb", after.ambient, 0),
        ("CapBnd", after.bounding, bounding),
    ] {
        if found != expected {
            return Err(ParentError::Unexpected {
                field,
                expected,
                found,
            });
        }
    }
    Ok(held)
}

/// Makes the next program of this process hold `held`, too. Root has it anyway.
///
/// # Errors
/// When this process does not hold it.
pub fn pass_on(held: u64) -> Result<(), ParentError> {
    if geteuid().is_root() {
        return Ok(());
    }
    capability::pass_on(held).map_err(ParentError::Os)
}

/// There was no next program: nothing that this one starts holds `held` by itself.
///
/// # Errors
/// When the kernel refuses.
pub fn keep_to_itself(held: u64) -> Result<(), ParentError> {
    capability::set(held, 0).map_err(ParentError::Os)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_holds_what_its_children_get_and_little_else() {
        // CAP_CHOWN 0, DAC_READ_SEARCH 2, KILL 5, SETGID 6, SETUID 7, SETPCAP 8; NET_BIND_SERVICE 10 to pass on.
        let own = 0b101_1110_0101;
        assert_eq!(mask(Tunes::Nothing) & 0xfff, own);
        for role in Role::ALL {
            assert_eq!(
                mask(Tunes::Nothing) & role.mask(),
                role.mask(),
                "{}",
                role.program()
            );
        }
        // CAP_SYS_NICE 23, SYS_RESOURCE 24.
        assert_eq!(mask(Tunes::Children) & !mask(Tunes::Nothing), 0b11 << 23);
        for never in [
            Capability::CAP_SYS_ADMIN,
            Capability::CAP_DAC_OVERRIDE,
            Capability::CAP_SYS_MODULE,
            Capability::CAP_SYS_PTRACE,
        ] {
            assert_eq!(mask(Tunes::Nothing) & never.bitmask(), 0, "{never}");
        }
    }
}
