//! A file system that scripts cannot write to (`script_read_only`): Landlock rules made once, put on every
//! script before it runs.

use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError,
};
use nix::errno::Errno;
use nix::libc;

/// The newest rights that are taken away where the kernel knows them: Linux 6.2 has truncation.
const KNOWN: ABI = ABI::V3;

/// Devices that every shell writes to.
const DEVICES: [&str; 2] = ["/dev/null", "/dev/zero"];

/// Rules that forbid to write, make, remove and truncate files, except in some directories.
#[derive(Debug)]
pub struct ReadOnly(OwnedFd);

/// Why there are no such rules.
#[derive(Debug)]
pub enum ReadOnlyError {
    /// The kernel has no Landlock, or it is switched off.
    NotSupported,
    /// A directory cannot be opened.
    Directory(PathBuf),
    /// The kernel refused a rule.
    Rule(RulesetError),
}

impl fmt::Display for ReadOnlyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported => f.write_str("this kernel has no Landlock, or it is off"),
            Self::Directory(path) => write!(f, "{} cannot be opened", path.display()),
            Self::Rule(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadOnlyError {}

impl From<RulesetError> for ReadOnlyError {
    fn from(error: RulesetError) -> Self {
        Self::Rule(error)
    }
}

impl ReadOnly {
    /// Rules that leave writing alone below `directories` only.
    ///
    /// # Errors
    /// When the kernel has no Landlock, or a directory is not there.
    pub fn except(directories: &[PathBuf]) -> Result<Self, ReadOnlyError> {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_write(KNOWN))?
            .create()?;
        for device in DEVICES {
            rules = allow(rules, Path::new(device), AccessFs::WriteFile.into())?;
        }
        for directory in directories {
            rules = allow(rules, directory, AccessFs::from_write(KNOWN))?;
        }
        Option::<OwnedFd>::from(rules)
            .map(Self)
            .ok_or(ReadOnlyError::NotSupported)
    }

    /// Puts the rules on this process, for ever. It must have no way to new privileges. Neither allocates nor
    /// locks.
    pub(crate) fn apply(&self) -> Result<(), Errno> {
        // SAFETY: landlock_restrict_self takes two numbers and touches no memory.
        let result =
            unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0_u32) };
        Errno::result(result).map(drop)
    }
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, ReadOnlyError> {
    let opened = PathFd::new(path).map_err(|_| ReadOnlyError::Directory(path.to_owned()))?;
    Ok(rules.add_rule(PathBeneath::new(opened, access))?)
}
