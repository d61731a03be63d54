//! Pid files: `PID\n`, locked while their owner runs, removed at exit.
//!
//! The parent writes those of its children too, for they may write nowhere.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kr_model::global::{Global, ReloadMarker, ReloadSettings};
use kr_sys::handover::{Handed, Kept};
use kr_sys::privilege::Role;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::Pid;

use crate::cli::Options;
use crate::namespace;

/// Where pid files are unless the options name them.
const RUN_DIRECTORY: &str = "/run";

/// A pid file cannot be made.
#[derive(Debug)]
pub(crate) enum PidFileError {
    /// Another daemon holds it.
    Running {
        /// The file.
        path: PathBuf,
        /// The process id inside, as text.
        pid: String,
    },
    /// The file system refuses.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { path, pid } => write!(
                f,
                "the daemon is already running as process {pid}, which holds {}",
                path.display()
            ),
            Self::Io { path, error } => write!(f, "pid file {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for PidFileError {}

/// A pid file of this daemon. Removed when it is dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Opens and locks a pid file, and leaves its text as it is.
    ///
    /// # Errors
    /// When another daemon holds it, or the file system refuses.
    pub(crate) fn lock(path: &Path) -> Result<Self, PidFileError> {
        let io = |error| PidFileError::Io {
            path: path.to_owned(),
            error,
        };
        if let Some(directory) = path.parent() {
            namespace::make(directory).map_err(io)?;
        }
        // Never through a symbolic link: somebody may have put one into a directory open to all.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .map_err(io)?;
        // Others look for the daemon by it, whatever the umask is.
        file.set_permissions(Permissions::from_mode(0o644))
            .map_err(io)?;
        let whole = libc::flock {
            l_type: WRITE_LOCK,
            l_whence: START_OF_FILE,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)) {
            Ok(_) => Ok(Self {
                path: path.to_owned(),
                file,
            }),
            Err(Errno::EAGAIN | Errno::EACCES) => {
                let mut pid = String::new();
                // Only for the message.
                let _ = file.read_to_string(&mut pid);
                Err(PidFileError::Running {
                    path: path.to_owned(),
                    pid: pid.trim().to_owned(),
                })
            }
            Err(errno) => Err(io(errno.into())),
        }
    }

    /// Keeps the lock for the next program of this process.
    pub(crate) fn hand_over(&self, kept: &mut Kept) -> Handed {
        kept.keep(self.file.as_fd())
    }

    /// Takes the locked file of that path from the program before.
    ///
    /// # Errors
    /// When it is not open.
    pub(crate) fn take_over(path: &Path, handed: Handed) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: handed.take()?.into(),
        })
    }

    /// Writes the process id.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write(&mut self, pid: Pid) -> Result<(), PidFileError> {
        use std::io::Seek;
        let mut write = || {
            self.file.set_len(0)?;
            self.file.rewind()?;
            writeln!(self.file, "{pid}")
        };
        write().map_err(|error| PidFileError::Io {
            path: self.path.clone(),
            error,
        })
    }
}

/// `F_WRLCK` and `SEEK_SET` in the types of `struct flock`; both are zero or one.
const WRITE_LOCK: libc::c_short = 1;
const START_OF_FILE: libc::c_short = 0;

impl Drop for PidFile {
    fn drop(&mut self) {
        // Removed before the lock goes with the file, so nobody else's can be hit.
        let _ = fs::remove_file(&self.path);
    }
}

/// Names of all pid files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    /// Of the parent.
    pub(crate) parent: PathBuf,
    vrrpd: PathBuf,
    checkerd: PathBuf,
    ipvsd: PathBuf,
    /// The usual `reload_file`, which is where pid files are unless the options name them.
    pub(crate) marker: PathBuf,
}

impl Paths {
    /// Names from the options, else `/run/NAME.pid`, or `/run/keepalived/NAME[_INSTANCE].pid` with
    /// `use_pid_dir`, `instance` or a namespace.
    pub(crate) fn new(options: &Options, instance: Option<&str>, use_directory: bool) -> Self {
        let mut directory = PathBuf::from(RUN_DIRECTORY);
        if use_directory || instance.is_some() || options.namespace.is_some() {
            directory.push("keepalived");
        }
        let suffix = instance.map_or_else(String::new, |name| format!("_{name}"));
        let path = |given: &Option<PathBuf>, name: &str| {
            given
                .clone()
                .unwrap_or_else(|| directory.join(format!("{name}{suffix}.pid")))
        };
        Self {
            parent: path(&options.pid_file, "keepalived"),
            vrrpd: path(&options.vrrp_pid_file, "vrrp"),
            checkerd: path(&options.checkers_pid_file, "checkers"),
            ipvsd: path(&options.ipvs_pid_file, "ipvs"),
            marker: directory.join(format!("keepalived{suffix}.reload")),
        }
    }

    /// Of a running configuration.
    pub(crate) fn of(options: &Options, global: &Global) -> Self {
        let instance = global.instance_name.as_deref();
        Self::new(options, instance, global.use_pid_dir)
    }

    /// The `reload_file` of a configuration.
    pub(crate) fn reload_marker<'a>(&'a self, settings: &'a ReloadSettings) -> Option<&'a Path> {
        settings.marker.as_ref().map(|marker| match marker {
            ReloadMarker::BesidePidFiles => self.marker.as_path(),
            ReloadMarker::File(path) => path.as_path(),
        })
    }

    /// Of a child.
    pub(crate) fn child(&self, role: Role) -> &Path {
        match role {
            Role::Vrrpd => &self.vrrpd,
            Role::Checkerd => &self.checkerd,
            Role::Ipvsd => &self.ipvsd,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_who_holds_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/k.pid");
        let mut first = PidFile::lock(&path).unwrap();
        first.write(Pid::from_raw(4711)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "4711\n");
        let error = PidFile::lock(&path).unwrap_err().to_string();
        assert!(error.contains("already running as process 4711"), "{error}");
        drop(first);
        assert!(!path.exists());
        PidFile::lock(&path).unwrap();
    }

    #[test]
    fn directories_that_are_missing_are_made_and_the_file_is_for_all_to_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/k.pid");
        let _file = PidFile::lock(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o644);
        assert_eq!(mode(path.parent().unwrap()), 0o755);
        namespace::make(Path::new("k.pid").parent().unwrap()).unwrap();
    }

    #[test]
    fn a_shorter_pid_leaves_no_old_digits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.pid");
        let mut file = PidFile::lock(&path).unwrap();
        file.write(Pid::from_raw(123_456)).unwrap();
        file.write(Pid::from_raw(7)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "7\n");
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("precious");
        fs::write(&target, "text").unwrap();
        let path = directory.path().join("k.pid");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(PidFile::lock(&path).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "text");
    }

    #[test]
    fn names_follow_options_instance_and_directory() {
        let mut options = Options::default();
        let paths = Paths::new(&options, None, false);
        assert_eq!(paths.parent, Path::new("/run/keepalived.pid"));
        assert_eq!(paths.child(Role::Vrrpd), Path::new("/run/vrrp.pid"));
        let paths = Paths::new(&options, Some("blue"), false);
        assert_eq!(
            paths.child(Role::Ipvsd),
            Path::new("/run/keepalived/ipvs_blue.pid")
        );
        assert_eq!(
            paths.marker,
            Path::new("/run/keepalived/keepalived_blue.reload")
        );
        options.checkers_pid_file = Some("/x/c.pid".into());
        let paths = Paths::new(&options, None, true);
        assert_eq!(paths.child(Role::Checkerd), Path::new("/x/c.pid"));
        assert_eq!(paths.parent, Path::new("/run/keepalived/keepalived.pid"));
    }
}
