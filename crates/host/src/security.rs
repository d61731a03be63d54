//! Whether a script may be trusted: what runs as root must not be changeable by anybody else, in the
//! file itself and in every directory on the way to it.
//!
//! Links are resolved first and the resolved path is what runs later, so that a link in the way
//! (`/bin` on most systems) is no fault, and changing one afterwards has no effect.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kr_sys::spawn::Identity;

/// Directories searched for a script that is a bare name, when `PATH` is not set.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is wrong with a script.
#[derive(Debug)]
pub enum Trouble {
    /// It is not there.
    Missing(PathBuf, io::Error),
    /// Its account cannot execute it.
    NotExecutable(PathBuf),
    /// A part of its path can be changed by others than root.
    Insecure {
        /// The file or directory at fault.
        component: PathBuf,
        /// Who can change it.
        who: String,
        /// A command that mends it.
        mend: String,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(_, error) if error.kind() == io::ErrorKind::NotFound => {
                f.write_str("there is no such file")
            }
            Self::Missing(_, error) => write!(f, "it cannot be found: {error}"),
            Self::NotExecutable(path) => write!(
                f,
                "{} is not executable by the account that it runs under",
                path.display()
            ),
            Self::Insecure { component, who, .. } => write!(
                f,
                "it runs as root, but {} can be changed by {who}",
                component.display()
            ),
        }
    }
}

impl Trouble {
    /// What the operator can do.
    pub fn mend(&self) -> String {
        match self {
            Self::Missing(path, _) => format!("install {} or correct the path", path.display()),
            Self::NotExecutable(path) => format!("`chmod a+rx {}`", path.display()),
            Self::Insecure { mend, .. } => {
                format!("`{mend}`, or let the script run as another user (`script_user`)")
            }
        }
    }
}

/// Finds the file of a program: a bare name in `search` (the value of `PATH`), links resolved.
///
/// # Errors
/// When there is no such file.
pub fn resolve(program: &Path, search: Option<&str>) -> Result<PathBuf, Trouble> {
    let missing = |error| Trouble::Missing(program.to_owned(), error);
    if program.components().count() > 1 || program.is_absolute() {
        return fs::canonicalize(program).map_err(missing);
    }
    search
        .unwrap_or(DEFAULT_PATH)
        .split(':')
        .filter(|directory| !directory.is_empty())
        .find_map(|directory| fs::canonicalize(Path::new(directory).join(program)).ok())
        .ok_or_else(|| missing(io::ErrorKind::NotFound.into()))
}

/// Checks that `identity` (`None`: root) can execute the file.
///
/// # Errors
/// When it cannot, or the file is none.
pub fn check_executable(path: &Path, identity: Option<&Identity>) -> Result<(), Trouble> {
    let metadata = fs::metadata(path).map_err(|error| Trouble::Missing(path.to_owned(), error))?;
    let mode = metadata.permissions().mode();
    let executable = match identity {
        None => mode & 0o111 != 0,
        Some(identity) if identity.uid.is_root() => mode & 0o111 != 0,
        Some(identity) if identity.uid.as_raw() == metadata.uid() => mode & 0o100 != 0,
        Some(identity)
            if identity.gid.as_raw() == metadata.gid()
                || identity
                    .groups
                    .iter()
                    .any(|group| group.as_raw() == metadata.gid()) =>
        {
            mode & 0o010 != 0
        }
        Some(_) => mode & 0o001 != 0,
    };
    if metadata.is_file() && executable {
        Ok(())
    } else {
        Err(Trouble::NotExecutable(path.to_owned()))
    }
}

/// Checks that only root can change the file and the directories above it. For scripts that run as root.
///
/// # Errors
/// The first component that others can change.
pub fn check_secure(path: &Path) -> Result<(), Trouble> {
    let mut components: Vec<&Path> = path.ancestors().collect();
    components.reverse();
    for component in components {
        let metadata = fs::symlink_metadata(component)
            .map_err(|error| Trouble::Missing(component.to_owned(), error))?;
        let owners = Owners {
            user: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.permissions().mode(),
            directory: metadata.is_dir(),
        };
        if let Some((who, command)) = owners.weakness() {
            return Err(Trouble::Insecure {
                component: component.to_owned(),
                who,
                mend: format!("{command} {}", component.display()),
            });
        }
    }
    Ok(())
}

/// Who may change a file or directory.
struct Owners {
    user: u32,
    group: u32,
    mode: u32,
    directory: bool,
}

impl Owners {
    /// Who besides root can change it, and the command that ends that.
    fn weakness(&self) -> Option<(String, &'static str)> {
        // In a sticky directory such as /tmp nobody can replace the files of others.
        let sticky = self.directory && self.mode & 0o1000 != 0;
        if self.user != 0 {
            Some((format!("its owner, uid {}", self.user), "chown root"))
        } else if self.mode & 0o020 != 0 && self.group != 0 && !sticky {
            Some((format!("its group, gid {}", self.group), "chmod g-w"))
        } else if self.mode & 0o002 != 0 && !sticky {
            Some(("everybody".to_owned(), "chmod o-w"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weakness(user: u32, group: u32, mode: u32, directory: bool) -> Option<String> {
        let owners = Owners {
            user,
            group,
            mode,
            directory,
        };
        owners.weakness().map(|(who, _)| who)
    }

    #[test]
    fn only_root_may_be_able_to_change_a_component() {
        assert_eq!(weakness(0, 0, 0o755, true), None);
        assert_eq!(weakness(0, 0, 0o775, true), None);
        assert_eq!(weakness(0, 5, 0o755, false), None);
        assert_eq!(weakness(0, 0, 0o1777, true), None);
        assert_eq!(weakness(7, 0, 0o755, true).unwrap(), "its owner, uid 7");
        assert_eq!(weakness(0, 5, 0o775, true).unwrap(), "its group, gid 5");
        assert_eq!(weakness(0, 0, 0o757, true).unwrap(), "everybody");
        // The sticky bit of a file means nothing.
        assert_eq!(weakness(0, 0, 0o1777, false).unwrap(), "everybody");
    }

    #[test]
    fn the_component_at_fault_and_its_cure_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let script = open.join("script");
        fs::write(&script, "").unwrap();
        let Err(Trouble::Insecure {
            component, mend, ..
        }) = check_secure(&script)
        else {
            panic!("found nothing");
        };
        // Unless the tests themselves run as another user, whose own directory comes first.
        if nix::unistd::Uid::effective().is_root() {
            assert_eq!(component, open);
            assert_eq!(mend, format!("chmod o-w {}", open.display()));
        }
    }

    #[test]
    fn links_on_the_way_are_resolved_and_no_fault() {
        let shell = resolve(Path::new("sh"), None).unwrap();
        assert!(shell.is_absolute());
        assert!(fs::symlink_metadata(&shell).unwrap().is_file());
        check_secure(&shell).unwrap();
        check_executable(&shell, None).unwrap();
    }

    #[test]
    fn a_missing_program_and_one_without_permission_are_told_apart() {
        assert!(matches!(
            resolve(Path::new("/no/such/program"), None),
            Err(Trouble::Missing(..))
        ));
        assert!(matches!(
            check_executable(Path::new("/etc/passwd"), None),
            Err(Trouble::NotExecutable(_))
        ));
    }
}
