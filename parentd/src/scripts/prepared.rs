//! The scripts of a configuration: found, checked, ready to run. Files are checked again at every start.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use kr_config::diagnostic::{Class, Diagnostic, Severity};
use kr_config::source::Span;
use kr_config::typed::Config;
use kr_host::security::{self, Opened, Trouble};
use kr_model::ScriptId;
use kr_model::script::Script;
use kr_sys::parent::RootScripts;
use kr_sys::read_only::{ReadOnly, ReadOnlyError};
use kr_sys::spawn::Identity;
use nix::unistd::geteuid;

use crate::accounts;

/// A script that can run.
#[derive(Debug)]
pub(super) struct Runnable {
    path: String,
    arguments: Vec<String>,
    identity: Option<Identity>,
}

impl Runnable {
    /// The path that it is started by.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Its arguments with more behind them.
    pub(super) fn arguments(&self, appended: &[String]) -> Cow<'_, [String]> {
        if appended.is_empty() {
            return Cow::Borrowed(&self.arguments);
        }
        Cow::Owned([self.arguments.as_slice(), appended].concat())
    }

    /// The account; `None` is this process's own.
    pub(super) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    fn is_of_root(&self) -> bool {
        let own = geteuid;
        let uid = self
            .identity
            .as_ref()
            .map_or_else(own, |identity| identity.uid);
        uid.is_root()
    }

    /// Opens the file, and says who besides root can change it, if it runs as root.
    fn open(&self) -> Result<(Opened, Option<Trouble>), Trouble> {
        let mut file = Opened::new(Path::new(&self.path))?;
        let trouble = if self.is_of_root() || file.is_set_user_id_root() {
            file.check_secure().err()
        } else {
            None
        };
        Ok((file, trouble))
    }
}

/// The scripts of a configuration, ready to run.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    runnable: BTreeMap<ScriptId, Runnable>,
    /// `enable_script_security`.
    strict: bool,
    no_new_privileges: bool,
    read_only: Option<ReadOnly>,
}

impl Prepared {
    /// Looks up files and accounts, and checks who can change the files. A script that cannot run, or
    /// with `enable_script_security` must not, is left out.
    pub(crate) fn new(
        config: &Config,
        places: &BTreeMap<PathBuf, Span>,
    ) -> (Self, Vec<Diagnostic>) {
        let search = env::var("PATH").ok();
        let mut prepared = Self {
            runnable: BTreeMap::new(),
            strict: config.global.script_security,
            no_new_privileges: config.global.script_no_new_privileges,
            read_only: None,
        };
        // Scripts that differ in arguments only have the same faults.
        let mut findings: BTreeMap<_, Diagnostic> = BTreeMap::new();
        let mut add = |script: &Script, mut found: Diagnostic| {
            found.span = places.get(&script.program).copied();
            findings
                .entry((found.span, found.message.clone()))
                .or_insert(found);
        };
        for (id, script) in &config.scripts {
            match prepare(script, config, search.as_deref()) {
                Ok((runnable, None)) => {
                    prepared.runnable.insert(*id, runnable);
                }
                Ok((runnable, Some(trouble))) => {
                    let refused = prepared.strict;
                    add(script, finding(script, &trouble, refused));
                    if !refused {
                        prepared.runnable.insert(*id, runnable);
                    }
                }
                Err(found) => add(script, *found),
            }
        }
        let mut findings: Vec<_> = findings.into_values().collect();
        if let Some(directories) = &config.global.script_read_only {
            match ReadOnly::except(directories) {
                Ok(rules) => prepared.read_only = Some(rules),
                Err(error) => findings.push(cannot_keep(&error)),
            }
        }
        (prepared, findings)
    }

    /// A script that can run.
    pub(super) fn get(&self, script: ScriptId) -> Option<&Runnable> {
        self.runnable.get(&script)
    }

    /// `script_no_new_privileges`.
    pub(super) const fn no_new_privileges(&self) -> bool {
        self.no_new_privileges
    }

    /// `script_read_only`.
    pub(super) const fn read_only(&self) -> Option<&ReadOnly> {
        self.read_only.as_ref()
    }

    /// Opens the file of a script, after checking it once more: what others may do to it can have changed.
    pub(super) fn open(&self, runnable: &Runnable) -> Result<Opened, Trouble> {
        match runnable.open()? {
            (_, Some(trouble)) if self.strict => Err(trouble),
            (file, _) => Ok(file),
        }
    }

    /// Whether one of them runs as root.
    pub(crate) fn of_root(&self) -> RootScripts {
        if self.runnable.values().any(Runnable::is_of_root) {
            RootScripts::Allowed
        } else {
            RootScripts::None
        }
    }
}

/// The script, and what is insecure about it.
fn prepare(
    script: &Script,
    config: &Config,
    search: Option<&str>,
) -> Result<(Runnable, Option<Trouble>), Box<Diagnostic>> {
    let bad = |trouble: &Trouble| Box::new(finding(script, trouble, true));
    let identity = accounts::of_script(script.user.as_ref(), &config.global).map_err(|error| {
        let help = "create it or name another";
        Box::new(finding_of(script, &error.to_string(), help))
    })?;
    if identity.is_none() && config.global.script_security && geteuid().is_root() {
        return Err(Box::new(nobody_to_run(script)));
    }
    let found = security::resolve(&script.program, search).map_err(|trouble| bad(&trouble))?;
    security::check_executable(&found, identity.as_ref()).map_err(|trouble| bad(&trouble))?;
    // A bare name was looked up.
    let as_written = config.global.script_links && script.program.is_absolute();
    let path = if as_written { &script.program } else { &found };
    let runnable = Runnable {
        path: path.to_string_lossy().into_owned(),
        arguments: script.arguments.clone(),
        identity,
    };
    let (_, trouble) = runnable.open().map_err(|trouble| bad(&trouble))?;
    Ok((runnable, trouble))
}

/// With `enable_script_security` nothing runs as root only because nobody said otherwise.
fn nobody_to_run(script: &Script) -> Diagnostic {
    let mut finding = finding_of(
        script,
        "no account is given for it, and there is no user `keepalived_script` (it will not run)",
        "create that user, or name one with `script_user`",
    );
    finding.class = Class::ScriptSecurity;
    finding
}

/// No script runs with more rights than it should have.
fn cannot_keep(error: &ReadOnlyError) -> Diagnostic {
    let help = match error {
        ReadOnlyError::NotSupported => {
            "boot with `lsm=landlock,...`, or take `script_read_only` out of the configuration"
        }
        ReadOnlyError::Directory(_) => "make that directory, or take it out of the list",
        ReadOnlyError::Rule(_) => "take `script_read_only` out of the configuration",
    };
    Diagnostic {
        severity: Severity::Error,
        class: Class::Configuration,
        message: format!("script_read_only: {error}"),
        span: None,
        label: None,
        help: Some(help.to_owned()),
    }
}

fn finding(script: &Script, trouble: &Trouble, refused: bool) -> Diagnostic {
    let consequence = if refused { " (it will not run)" } else { "" };
    let mut finding = finding_of(script, &format!("{trouble}{consequence}"), &trouble.mend());
    if matches!(trouble, Trouble::Insecure { .. }) {
        finding.class = Class::ScriptSecurity;
    }
    finding
}

fn finding_of(script: &Script, text: &str, help: &str) -> Diagnostic {
    let name = script.program.display();
    Diagnostic {
        severity: Severity::Warning,
        class: Class::Configuration,
        message: format!("script `{name}`: {text}"),
        span: None,
        label: None,
        help: Some(help.to_owned()),
    }
}
