//! Reads the configuration with the reader that the parent uses, and prepares the programs of its checks.

use std::collections::BTreeMap;
use std::env;
use std::path::Path;

use kr_config::diagnostic::Severity;
use kr_config::ids::{IdAllocator, Known, adopt};
use kr_config::parse::ParseOptions;
use kr_config::render::one_line;
use kr_config::typed::Config;
use kr_host::disk::Disk;
use kr_host::runner::command_line;
use kr_host::security::{check_executable, check_secure, resolve};
use kr_model::CheckerId;
use kr_model::check::Probe;
use kr_model::script::Script;
use nix::unistd::geteuid;

use super::scripts::Runnable;

/// A configuration that can run.
pub(super) struct Loaded {
    /// With ids that stay.
    pub(super) config: Config,
    /// The programs of its checks.
    pub(super) runnable: BTreeMap<CheckerId, Runnable>,
}

/// What reading gave.
pub(super) struct Read {
    loaded: Option<Loaded>,
    errors: bool,
}

impl Read {
    /// The configuration: at start most errors only leave something out, as with keepalived.
    pub(super) fn into_startable(self) -> Option<Loaded> {
        self.loaded
    }

    /// The configuration, when it has no error at all: a reload must not lose what works.
    pub(super) fn into_reloadable(self) -> Option<Loaded> {
        self.loaded.filter(|_| !self.errors)
    }
}

/// Reads a file and logs every finding. Checks that `previous` has keep their ids.
pub(super) fn load(file: &Path, previous: Option<&Config>, allocator: &mut IdAllocator) -> Read {
    let loaded = kr_config::load(&Disk, file, &ParseOptions::default());
    for diagnostic in &loaded.diagnostics {
        let line = one_line(diagnostic, &loaded.sources);
        match diagnostic.severity {
            Severity::Note => log::info!("{line}"),
            Severity::Warning => log::warn!("{line}"),
            Severity::Error => log::error!("{line}"),
        }
    }
    let errors = loaded
        .diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    let loaded = loaded.config.map(|config| {
        let known = previous.map(Known::of);
        let config = adopt(known.as_ref(), allocator, config);
        let runnable = programs(&config);
        Loaded { config, runnable }
    });
    Read { loaded, errors }
}

/// The programs that can run. What is wrong with the others is logged; their checks fail.
fn programs(config: &Config) -> BTreeMap<CheckerId, Runnable> {
    let search = env::var("PATH").ok();
    let mut programs = BTreeMap::new();
    for (id, entry) in &config.checkers {
        let script = entry.script.and_then(|script| config.scripts.get(&script));
        let (Some(script), Probe::Misc { timeout, .. }) = (script, &entry.checker.probe) else {
            continue;
        };
        if let Some(path) = find(script, search.as_deref()) {
            let runnable = Runnable {
                path,
                arguments: script.arguments.clone(),
                limit: *timeout,
            };
            programs.insert(*id, runnable);
        }
    }
    programs
}

/// The file of a program. As root it must not be changeable by others.
fn find(script: &Script, search: Option<&str>) -> Option<String> {
    let found = resolve(&script.program, search).and_then(|path| {
        check_executable(&path, None)?;
        if geteuid().is_root() {
            check_secure(&path)?;
        }
        Ok(path)
    });
    match found {
        Ok(path) => Some(path.to_string_lossy().into_owned()),
        Err(trouble) => {
            let name = command_line(&script.program.to_string_lossy(), &script.arguments);
            log::error!(
                "script `{name}` does not run: {trouble}; {}",
                trouble.mend()
            );
            None
        }
    }
}
