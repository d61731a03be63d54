//! With what a child is started: its executable, arguments, priority.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use kr_log::Settings;
use kr_model::global::Global;
use kr_sys::parent::Tunes;
use kr_sys::privilege::{Duty, Role};
use kr_sys::sandbox::Mode as Sandbox;
use kr_sys::spawn::Program;
use kr_sys::tuning::Tuning;
use nix::libc;
use nix::sys::stat::{fstat, stat};

/// What every child is started with.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// The executables.
    pub(crate) programs: Programs,
    /// Log settings; the ident is that of the parent.
    pub(crate) log: Settings,
    /// The log file, shared by all.
    pub(crate) log_file: Option<File>,
    /// `_NAMESPACE_INSTANCE`, appended to idents.
    pub(crate) label: String,
    /// What happens at a system call that a child never makes.
    pub(crate) sandbox: Sandbox,
}

/// The executables of the children, as they were when this program started. A package manager puts new files in their
/// place before it asks for an upgrade: until then, a child that has to be started again is of this version.
#[derive(Debug)]
pub(crate) struct Programs {
    directory: PathBuf,
    files: BTreeMap<Role, OwnedFd>,
}

impl Programs {
    /// Keeps those of a directory open. One that cannot be opened is looked for when it is needed.
    pub(crate) fn of(directory: PathBuf) -> Self {
        let open = |role: Role| {
            let file = File::options()
                .read(true)
                .custom_flags(libc::O_PATH | libc::O_CLOEXEC)
                .open(directory.join(role.program()));
            Some((role, file.ok()?.into()))
        };
        let files = Role::ALL.iter().filter_map(|role| open(*role)).collect();
        Self { directory, files }
    }

    /// The path of an executable.
    pub(crate) fn path(&self, role: Role) -> PathBuf {
        self.directory.join(role.program())
    }

    /// Whether there is another file at the path now, or none.
    fn is_replaced(&self, role: Role) -> bool {
        let Some(file) = self.files.get(&role) else {
            return false;
        };
        let known = fstat(file).map(|kept| (kept.st_dev, kept.st_ino));
        let now = stat(&self.path(role)).map(|found| (found.st_dev, found.st_ino));
        known.is_ok() && known != now
    }
}

impl Launcher {
    /// The executable of a child.
    pub(super) fn file(&self, role: Role) -> Option<BorrowedFd<'_>> {
        self.programs.files.get(&role).map(OwnedFd::as_fd)
    }

    /// Says that what is started is not what is installed.
    pub(super) fn tell_replaced(&self, role: Role) {
        if self.programs.is_replaced(role) {
            log::warn!(
                "{} is another file now: {} of version {} is started from the old one; \
                 --upgrade changes to what is installed",
                self.programs.path(role).display(),
                role.program(),
                env!("CARGO_PKG_VERSION")
            );
        }
    }

    /// A child with its arguments and environment.
    pub(super) fn program(
        &self,
        (role, duty): (Role, Duty),
        shares_account: bool,
        tuning: &Tuning,
    ) -> io::Result<Program> {
        let settings = Settings {
            ident: format!("{}{}", role.ident(), self.label),
            ..self.log.clone()
        };
        let mut arguments = vec![
            format!("--log={settings}"),
            format!("--sandbox={}", self.sandbox),
            format!("--protocol={}", kr_ipc::protocol()),
        ];
        if duty != Duty::Usual {
            arguments.push(format!("--duty={duty}"));
        }
        if self.log_file.is_some() {
            arguments.push("--log-file".to_owned());
        }
        if shares_account {
            arguments.push("--shared-account".to_owned());
        }
        if tuning.locks_memory {
            arguments.push("--lock-memory".to_owned());
        }
        // The zone of log lines; a child needs nothing else of the environment.
        let zone = std::env::var("TZ").ok().map(|zone| format!("TZ={zone}"));
        let environment: Vec<String> = zone.into_iter().collect();
        let path = self.programs.path(role);
        Program::new(&path.to_string_lossy(), &arguments, &environment).map_err(io::Error::other)
    }
}

/// How a child runs.
pub(crate) fn tuning(role: Role, global: &Global) -> Tuning {
    let settings = match role {
        Role::Vrrpd => &global.vrrp_process,
        Role::Checkerd | Role::Ipvsd => &global.checker_process,
    };
    Tuning {
        nice: settings.nice,
        realtime: settings.realtime,
        realtime_limit: settings.realtime_limit,
        cpus: settings.cpus.clone(),
        locks_memory: settings.locks_memory,
    }
}

/// Whether any of them runs other than the parent was started.
pub(crate) fn tunes(global: &Global) -> Tunes {
    if Role::ALL.iter().any(|role| tuning(*role, global).is_any()) {
        Tunes::Children
    } else {
        Tunes::Nothing
    }
}

/// Finds the directory of the children: given, or beside this executable, or the usual places.
///
/// # Errors
/// When none holds them all; the text lists where they were looked for.
pub(crate) fn find_directory(given: Option<&Path>) -> Result<PathBuf, String> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent);
    let candidates: Vec<PathBuf> = match given {
        Some(directory) => vec![directory.to_owned()],
        None => beside
            .into_iter()
            .flat_map(|beside| [beside.to_owned(), beside.join("../libexec/keepalived-rs")])
            .chain([PathBuf::from("/usr/libexec/keepalived-rs")])
            .collect(),
    };
    let complete = |directory: &&PathBuf| {
        Role::ALL
            .iter()
            .all(|role| directory.join(role.program()).is_file())
    };
    candidates.iter().find(complete).cloned().ok_or_else(|| {
        let places: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        format!(
            "vrrpd, checkerd and ipvsd are not all in {}: install them, or say where with --libexec",
            places.join(" or ")
        )
    })
}
