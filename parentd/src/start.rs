//! From the command line to the running daemon: log, background, pid file, supervisor.

use std::fs::{File, OpenOptions};
use std::io;

use kr_config::ids::IdAllocator;
use kr_event::Signals;
use kr_log::Settings as LogSettings;
use kr_model::global::Global;
use kr_sys::parent;
use kr_sys::signals::ignore_unanswered;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, getpid};

use crate::cli::Options;
use crate::daemon::{Side, Starter, go_to_background};
use crate::load::{self, Read};
use crate::log_file;
use crate::marker::Marker;
use crate::namespace::{Namespace, table_socket};
use crate::pidfile::{Paths, PidFile};
use crate::supervisor::child::{Launcher, find_directory, tunes};
use crate::supervisor::{
    EXIT_CONFIGURATION, EXIT_FATAL, EXIT_NO_PERMISSION, Parts, Supervisor, answered_signals,
};
use crate::{complain, fail};

/// Exit code when the configuration asks for no process.
const EXIT_NOTHING_TO_RUN: u8 = 6;

/// A start that failed: exit code and reason.
type Failure = (u8, String);

/// Starts the daemon and returns its exit code; in the background, that of the starting command.
pub(crate) fn start(mut options: Options) -> u8 {
    if let Err(reason) = check_account(&options) {
        return fail(EXIT_NO_PERMISSION, reason);
    }
    // Whoever sends one while the configuration is read shall not end the daemon by it.
    let early = options.foreground.then(answered_signals);
    let (namespace, read, allocator) = match read(&mut options) {
        Ok(read) => read,
        Err((code, reason)) => return fail(code, &reason),
    };
    let report = early.is_none().then(|| read.report());
    let daemon = |starter, signals| {
        let source = Source {
            read,
            allocator,
            namespace: namespace.as_ref(),
        };
        let code = run(options, source, starter, signals);
        namespace.iter().for_each(Namespace::leave);
        code
    };
    if let Some(signals) = early {
        return daemon(Starter::nobody(), signals);
    }
    // Whoever types the command sees no log.
    complain(&report.unwrap_or_default());
    match go_to_background() {
        Ok(Side::Daemon(starter)) => daemon(starter, answered_signals()),
        Ok(Side::Starting { code: 0, .. }) => 0,
        Ok(Side::Starting { code, reason }) => fail(code, &reason),
        Err(error) => fail(EXIT_FATAL, &format!("cannot go to the background: {error}")),
    }
}

/// Root starts each process under an account of its own; whoever is not root can only share the own one.
fn check_account(options: &Options) -> Result<(), &'static str> {
    match (Uid::effective().is_root(), options.no_setuid) {
        (true, false) | (false, true) => Ok(()),
        (false, false) => Err(
            "must be started by root: it starts each process under an account of its own; with --no-setuid \
             all of them run as the account that starts it",
        ),
        (true, true) => Err("--no-setuid is for an account that is not root"),
    }
}

/// Reads the configuration in the namespace of `-s`, else of `net_namespace`; the options have its name
/// afterwards. What interfaces there are is known only inside, so a file that names one is read again there.
fn read(options: &mut Options) -> Result<(Option<Namespace>, Read, IdAllocator), Failure> {
    let enter = |name: &String| {
        Namespace::enter(name)
            .map_err(|error| (EXIT_FATAL, format!("network namespace `{name}`: {error}")))
    };
    let mut namespace = options.namespace.as_ref().map(enter).transpose()?;
    let mut allocator = IdAllocator::default();
    let mut read = load::read(options, None, &mut allocator);
    if options.namespace.is_none()
        && let Some(name) = read.namespace()
    {
        namespace = Some(enter(&name)?);
        options.namespace = Some(name);
        allocator = IdAllocator::default();
        read = load::read(options, None, &mut allocator);
    }
    // Only the file itself says that there is a `reload_file`; what counts is read while that is there.
    if let Some(path) = read.reload_marker(options) {
        let marker = Marker::set(&path);
        if let Err(error) = &marker {
            complain(&format!("reload_file {}: {error}\n", path.display()));
        }
        allocator = IdAllocator::default();
        read = load::read(options, None, &mut allocator);
    }
    Ok((namespace, read, allocator))
}

/// What was read, and where.
struct Source<'a> {
    read: Read,
    allocator: IdAllocator,
    namespace: Option<&'a Namespace>,
}

/// The daemon, from its first log line to its exit code.
fn run(
    options: Options,
    source: Source<'_>,
    mut starter: Starter,
    signals: io::Result<Signals>,
) -> u8 {
    let silent = options.foreground && !options.console;
    match prepare(options, source, &mut starter, signals) {
        Ok((parts, pid_file)) => {
            let code = match Supervisor::new(parts, starter) {
                Ok(supervisor) => supervisor.run(),
                Err(error) => {
                    log::error!("cannot start: {error}");
                    EXIT_FATAL
                }
            };
            drop(pid_file);
            code
        }
        Err((code, reason)) => {
            log::error!("cannot start: {reason}");
            starter.failed(code, &reason);
            if silent {
                fail(code, &reason);
            }
            code
        }
    }
}

/// Does everything that can fail before the first child is started. The pid file goes last of all.
fn prepare(
    options: Options,
    source: Source<'_>,
    starter: &mut Starter,
    signals: io::Result<Signals>,
) -> Result<(Parts, PidFile), Failure> {
    let fatal = |error: &dyn std::fmt::Display| (EXIT_FATAL, error.to_string());
    let Source {
        read,
        allocator,
        namespace,
    } = source;
    let label = label(&options, read.instance_name());
    let log_file = log_file::open(&options).map_err(|error| fatal(&error))?;
    let log = log_settings(&options, &label);
    let own_file = log_file.as_ref().map(File::try_clone).transpose();
    kr_log::start(log.clone(), own_file.map_err(|error| fatal(&error))?)
        .map_err(|error| fatal(&error))?;
    log::info!("starting keepalived-rs v{}", env!("CARGO_PKG_VERSION"));
    for option in &options.without_effect {
        log::warn!("option {option} has no effect: the feature is not built");
    }
    read.log();
    ignore_unanswered().map_err(|errno| fatal(&errno))?;
    if starter.is_waiting() {
        leave_terminal(options.console).map_err(|error| fatal(&error))?;
    }
    let settings = read.into_settings().ok_or_else(|| {
        let reason = "the configuration cannot run, its errors are above";
        (EXIT_CONFIGURATION, reason.to_owned())
    })?;
    let config = &settings.config;
    if load::asks_for_nothing(config) && !options.all_children {
        return Err((EXIT_NOTHING_TO_RUN, load::NOTHING_TO_RUN.to_owned()));
    }
    if options.dump_configuration {
        for line in format!("{config:#?}").lines() {
            log::info!("{line}");
        }
    }
    set_umask(&options, &config.global);
    let pid_paths = Paths::of(&options, &config.global);
    let mut pid_file = PidFile::lock(&pid_paths.parent).map_err(|error| fatal(&error))?;
    pid_file.write(getpid()).map_err(|error| fatal(&error))?;
    let directory =
        find_directory(options.libexec.as_deref()).map_err(|reason| (EXIT_FATAL, reason))?;
    // While this process may still go there.
    let table = table_socket(&config.global.ipvs_namespace, namespace)
        .map_err(|error| fatal(&format_args!("net_namespace_ipvs: {error}")))?;
    let root_scripts = settings.scripts.of_root();
    let tunes = tunes(&config.global);
    let held = parent::confine(root_scripts, tunes)
        .map_err(|error| (EXIT_NO_PERMISSION, error.to_string()))?;
    log::debug!("keeping capabilities {held:#x}, verified; root scripts: {root_scripts:?}");
    let launcher = Launcher {
        directory,
        log,
        log_file,
        label,
        sandbox: options.sandbox,
    };
    let parts = Parts {
        options,
        settings,
        allocator,
        launcher,
        pid_paths,
        root_scripts,
        held,
        tunes,
        table,
        signals: signals.map_err(|error| fatal(&error))?,
    };
    Ok((parts, pid_file))
}

/// What distinguishes this daemon from others of the host in names: `_NAMESPACE_INSTANCE`.
fn label(options: &Options, instance: Option<String>) -> String {
    let parts = [options.namespace.clone(), instance];
    let parts = parts.into_iter().flatten();
    parts.map(|part| format!("_{part}")).collect()
}

/// `-u` comes before `umask`.
pub(crate) fn set_umask(options: &Options, global: &Global) {
    umask(
        options
            .umask
            .unwrap_or_else(|| Mode::from_bits_truncate(global.umask)),
    );
}

fn log_settings(options: &Options, label: &str) -> LogSettings {
    LogSettings {
        ident: format!("Keepalived{label}"),
        detail: options.detail,
        syslog: options.syslog.then_some(options.facility),
        console: options.console,
    }
}

/// The daemon holds no directory busy, and no terminal or pipe of the starting command open.
fn leave_terminal(keep_stderr: bool) -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    if !keep_stderr {
        dup2_stderr(&null)?;
    }
    Ok(chdir("/")?)
}
