//! With what a child is started: its executable, arguments, priority.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use kr_log::Settings;
use kr_model::global::Global;
use kr_sys::parent::Tunes;
use kr_sys::privilege::{Duty, Role};
use kr_sys::sandbox::Mode as Sandbox;
use kr_sys::spawn::Program;
use kr_sys::tuning::Tuning;

/// What every child is started with.
#[derive(Debug)]
pub(crate) struct Launcher {
    /// Directory of the executables.
    pub(crate) directory: PathBuf,
    /// Log settings; the ident is that of the parent.
    pub(crate) log: Settings,
    /// The log file, shared by all.
    pub(crate) log_file: Option<File>,
    /// `_NAMESPACE_INSTANCE`, appended to idents.
    pub(crate) label: String,
    /// What happens at a system call that a child never makes.
    pub(crate) sandbox: Sandbox,
}

impl Launcher {
    /// The path of a child's executable.
    pub(crate) fn path(&self, role: Role) -> PathBuf {
        self.directory.join(role.program())
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
        let path = self.path(role);
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
