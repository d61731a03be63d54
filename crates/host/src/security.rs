//! Whether a script may be trusted: what runs as root must not be changeable by anybody else, in the
//! file itself and in every directory on the way to it.
//!
//! Links are resolved when the configuration is loaded, so that a link in the way (`/bin` on most systems) is
//! no fault, and changing one afterwards has no effect. The check is made again at every start of a script,
//! and the file that was checked is the one that runs.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use crate::runner;
use kr_sys::spawn::Identity;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

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
    /// Whether it tells of what this host lacks now, and nothing of the program.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        match self {
            Self::Missing(_, error) => error
                .raw_os_error()
                .is_some_and(|number| runner::is_shortage(Errno::from_raw(number))),
            Self::NotExecutable(_) | Self::Insecure { .. } => false,
        }
    }

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

/// A script's file that is open, so that what was looked at is what runs.
#[derive(Debug)]
pub struct Opened {
    file: OwnedFd,
    set_user_id_root: bool,
    weakness: Option<Trouble>,
}

impl Opened {
    /// Opens a file by its absolute path, one component after the other, each relative to the one before it;
    /// links are followed in the same way. So nobody can put another file there between a look and the next.
    ///
    /// # Errors
    /// When a component is missing, or is none.
    pub fn new(path: &Path) -> Result<Self, Trouble> {
        let missing = |errno: Errno| Trouble::Missing(path.to_owned(), errno.into());
        let mut walk = Walk::new().map_err(missing)?;
        let mut rest: VecDeque<OsString> = components(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if let Some(target) = walk.step(&name).map_err(missing)? {
                links += 1;
                if links > MOST_LINKS {
                    return Err(missing(Errno::ELOOP));
                }
                if target.is_absolute() {
                    walk.back_to_root();
                }
                let mut next = components(&target);
                next.append(&mut rest);
                rest = next;
            }
        }
        let weakness = walk.weakness.take();
        let (file, _) = walk.stack.pop().ok_or_else(|| missing(Errno::ENOENT))?;
        let status = fstat(&file).map_err(missing)?;
        Ok(Self {
            file,
            set_user_id_root: status.st_uid == 0 && status.st_mode & 0o4000 != 0,
            weakness,
        })
    }

    /// True when the file runs as root whoever starts it.
    pub const fn is_set_user_id_root(&self) -> bool {
        self.set_user_id_root
    }

    /// The first component that others than root can change.
    ///
    /// # Errors
    /// When there is one.
    pub fn check_secure(&mut self) -> Result<(), Trouble> {
        self.weakness.take().map_or(Ok(()), Err)
    }
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Checks that only root can change the file and the directories above it. For scripts that run as root.
///
/// # Errors
/// The first component that others can change.
pub fn check_secure(path: &Path) -> Result<(), Trouble> {
    Opened::new(path)?.check_secure()
}

/// Most links on the way to a file, as the kernel has it.
const MOST_LINKS: u32 = 40;

/// The names of a path, without the root and without `.`.
fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// The way from the root to where we are.
struct Walk {
    /// Every directory that was entered, and at last the file; with its path for messages.
    stack: Vec<(OwnedFd, PathBuf)>,
    weakness: Option<Trouble>,
}

impl Walk {
    fn new() -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open("/", flags, Mode::empty())?;
        let mut walk = Self {
            stack: Vec::new(),
            weakness: None,
        };
        walk.judge(&fstat(&root)?, Path::new("/"));
        walk.stack.push((root, PathBuf::from("/")));
        Ok(walk)
    }

    fn back_to_root(&mut self) {
        self.stack.truncate(1);
    }

    /// Goes to a name in the directory where we are. `Some`: it is a link to there.
    fn step(&mut self, name: &OsStr) -> Result<Option<PathBuf>, Errno> {
        if name == ".." {
            if self.stack.len() > 1 {
                self.stack.pop();
            }
            return Ok(None);
        }
        let (directory, path) = self.stack.last().ok_or(Errno::ENOENT)?;
        let path = path.join(name);
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let found = openat(directory, name, flags, Mode::empty())?;
        let status = fstat(&found)?;
        self.judge(&status, &path);
        if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFLNK {
            return readlinkat(&found, "").map(|target| Some(target.into()));
        }
        self.stack.push((found, path));
        Ok(None)
    }

    fn judge(&mut self, status: &FileStat, path: &Path) {
        if self.weakness.is_some() {
            return;
        }
        let kind = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT;
        let owners = Owners {
            user: status.st_uid,
            group: status.st_gid,
            // The mode of a link says nothing: everybody "may write" it.
            mode: if kind == SFlag::S_IFLNK {
                0
            } else {
                status.st_mode
            },
            directory: kind == SFlag::S_IFDIR,
        };
        self.weakness = owners.weakness().map(|(who, command)| Trouble::Insecure {
            component: path.to_owned(),
            who,
            mend: format!("{command} {}", path.display()),
        });
    }
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
    fn the_way_to_a_file_goes_through_links_and_names_the_one_that_a_stranger_owns() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("real/deep")).unwrap();
        fs::write(at("real/script"), "").unwrap();
        std::os::unix::fs::symlink("real/deep/..", at("link")).unwrap();
        let same = |path: &Path| {
            let opened = Opened::new(path).unwrap();
            let (found, wanted) = (
                fstat(&opened).unwrap(),
                fs::metadata(at("real/script")).unwrap(),
            );
            assert_eq!((found.st_dev, found.st_ino), (wanted.dev(), wanted.ino()));
            opened
        };
        same(&at("link/script"));
        std::os::unix::fs::symlink(at("link"), at("again")).unwrap();
        let mut opened = same(&at("again/script"));
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        assert!(matches!(
            Opened::new(&at("loop/script")),
            Err(Trouble::Missing(..))
        ));
        if nix::unistd::Uid::effective().is_root() {
            opened.check_secure().unwrap();
            std::os::unix::fs::lchown(at("link"), Some(65_534), None).unwrap();
            let Err(Trouble::Insecure { component, .. }) = check_secure(&at("again/script")) else {
                panic!("found nothing");
            };
            assert_eq!(component, at("link"));
        }
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
