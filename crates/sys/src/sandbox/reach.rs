//! What a role can reach by name: files, TCP ports, abstract sockets, other processes (landlock(7)).
//!
//! Descriptors that are open already are not concerned, nor is the syslog server's socket, which is a path:
//! the log connects to it again at any time.

use std::fs::File;
use std::io::ErrorKind;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::privilege::{Duty, Role};

/// The newest kernel interface whose rules were tried out; of older ones as much as they have is used.
const KNOWN: ABI = ABI::V6;

/// A file that a role may read, and what would not work without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readable {
    /// Its path.
    pub path: &'static str,
    /// What it is for.
    pub reason: &'static str,
}

/// TCP connections that a role may make and take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tcp {
    /// None.
    Nothing,
    /// From any port, but another process makes them.
    Ports,
    /// From and to any port.
    Anything,
}

impl Role {
    /// Files that the role may open, for reading only.
    #[must_use]
    pub const fn readable(self) -> &'static [Readable] {
        match self {
            Self::Vrrpd | Self::Ipvsd => &[],
            Self::Checkerd => &[
                Readable {
                    path: "/etc/hosts",
                    reason: "finds the address of the mail server",
                },
                Readable {
                    path: "/etc/resolv.conf",
                    reason: "finds the name servers that know the address of the mail server",
                },
            ],
        }
    }

    /// What the role may do with TCP when it has this duty.
    #[must_use]
    pub const fn tcp(self, duty: Duty) -> Tcp {
        match (self, duty) {
            (Self::Ipvsd, Duty::Sockets | Duty::LowPorts) => Tcp::Ports,
            (Self::Vrrpd | Self::Ipvsd, _) => Tcp::Nothing,
            // Servers to be checked are anywhere, and `bind_port` is any port.
            (Self::Checkerd, _) => Tcp::Anything,
        }
    }
}

/// How much of it the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of it.
    Whole,
    /// What this kernel has; at least files, unless it lacks Landlock's first version.
    Part,
    /// Nothing: the kernel has no Landlock, or it is switched off.
    Nothing,
}

/// Restricts the calling process to what `role` with its `duty` may reach, for ever.
///
/// # Errors
/// When the kernel has Landlock and refuses a rule.
pub(super) fn restrict(role: Role, duty: Duty) -> Result<Reach, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?;
    rules = match role.tcp(duty) {
        Tcp::Nothing => rules.handle_access(AccessNet::from_all(KNOWN))?,
        Tcp::Ports => rules.handle_access(AccessNet::ConnectTcp)?,
        Tcp::Anything => rules,
    };
    let mut rules = rules.create()?;
    for file in role.readable() {
        // A file that is not there has nothing to be read.
        if let Ok(fd) = PathFd::new(file.path) {
            rules = rules.add_rule(PathBeneath::new(fd, AccessFs::ReadFile))?;
        }
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Reach::Whole,
        RulesetStatus::PartiallyEnforced => Reach::Part,
        RulesetStatus::NotEnforced => Reach::Nothing,
    })
}

/// Whether a file that everybody may read, and no role needs, is out of reach.
pub(super) fn is_restricted() -> bool {
    File::open("/proc/self/status").is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}
