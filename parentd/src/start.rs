//! From the command line to the running daemon: log, background, pid file, supervisor.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

use kr_config::ids::IdAllocator;
use kr_config::typed::Config;
use kr_event::{Clock, Signals, clock::pause};
use kr_log::{Detail, Settings as LogSettings};
use kr_model::global::Global;
use kr_sys::handover::Handed;
use kr_sys::parent;
use kr_sys::sandbox::Mode as Sandbox;
use kr_sys::signals::ignore_unanswered;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, getpid};

use crate::cli::Options;
use crate::daemon::{Side, Starter, go_to_background};
use crate::handover::State;
use crate::load::{self, Read, Settings};
use crate::local_igmp::{SETTING, Silence};
use crate::log_file;
use crate::marker::Marker;
use crate::namespace::{Namespace, table_socket};
use crate::pidfile::{Paths, PidFile};
use crate::supervisor::child::{Launcher, Programs, find_directory, tunes};
use crate::supervisor::{
    EXIT_CONFIGURATION, EXIT_FATAL, EXIT_NO_PERMISSION, Parts, Supervisor, answered_signals,
};
use crate::upgrade::{self, Program};
use crate::{complain, fail};

/// How long somebody may be writing the configuration while a program takes over.
const WRITING: Duration = Duration::from_secs(1);

/// Exit code when the configuration asks for no process.
const EXIT_NOTHING_TO_RUN: u8 = 6;

/// A start that failed: exit code and reason.
type Failure = (u8, String);

/// Starts the daemon and returns its exit code; in the background, that of the starting command.
pub(crate) fn start(mut options: Options) -> u8 {
    if let Err(reason) = check_account(&options) {
        return fail(EXIT_NO_PERMISSION, reason);
    }
    if let Some(state) = options.take_over {
        return take_over(options, state);
    }
    // Whoever sends one while the configuration is read shall not end the daemon by it.
    let early = options.foreground.then(answered_signals);
    let (namespace, read, allocator) = match read(&mut options) {
        Ok(read) => read,
        Err((code, reason)) => return fail(code, &reason),
    };
    let report = early.is_none().then(|| read.report());
    let daemon = |starter, signals| run(options, (read, allocator), namespace, starter, signals);
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

/// The daemon, from its first log line to its exit code.
fn run(
    options: Options,
    source: (Read, IdAllocator),
    namespace: Option<Namespace>,
    mut starter: Starter,
    signals: io::Result<Signals>,
) -> u8 {
    let silent = options.foreground && !options.console;
    match prepare(options, source, namespace.as_ref(), &mut starter, signals) {
        Ok(mut parts) => {
            parts.namespace = namespace;
            work(Supervisor::new(parts, starter))
        }
        Err((code, reason)) => {
            log::error!("cannot start: {reason}");
            starter.failed(code, &reason);
            if silent {
                fail(code, &reason);
            }
            namespace.iter().for_each(Namespace::leave);
            code
        }
    }
}

fn work(supervisor: io::Result<Supervisor>) -> u8 {
    match supervisor {
        Ok(supervisor) => supervisor.run(),
        Err(error) => {
            log::error!("cannot start: {error}");
            EXIT_FATAL
        }
    }
}

/// Does everything that can fail before the first child is started. The pid file goes last of all.
fn prepare(
    options: Options,
    (read, allocator): (Read, IdAllocator),
    namespace: Option<&Namespace>,
    starter: &mut Starter,
    signals: io::Result<Signals>,
) -> Result<Parts, Failure> {
    let log = open_log(&options, &label(&options, read.instance_name()))?;
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
    // While this process may still go there.
    let table = table_socket(&config.global.ipvs_namespace, namespace)
        .map_err(|error| fatal(&format_args!("net_namespace_ipvs: {error}")))?;
    let silent = settings.config.vrrp.firewall.leaves_igmp;
    let mut parts = parts(options, settings, allocator, log, signals)?;
    parts.pid_file = Some(pid_file);
    parts.table = table;
    if silent {
        let silence = Silence::begin(Path::new(SETTING))
            .map_err(|error| fatal(&format_args!("disable_local_igmp: {SETTING}: {error}")))?;
        parts.local_igmp = Some(silence);
    }
    Ok(parts)
}

fn fatal(error: &dyn std::fmt::Display) -> Failure {
    (EXIT_FATAL, error.to_string())
}

/// Where log lines go, of this process and of its children.
struct Log {
    settings: LogSettings,
    file: Option<File>,
    label: String,
}

fn open_log(options: &Options, label: &str) -> Result<Log, Failure> {
    let file = log_file::open(options).map_err(|error| fatal(&error))?;
    let settings = log_settings(options, label);
    let own_file = file.as_ref().map(File::try_clone).transpose();
    kr_log::start(settings.clone(), own_file.map_err(|error| fatal(&error))?)
        .map_err(|error| fatal(&error))?;
    Ok(Log {
        settings,
        file,
        label: label.to_owned(),
    })
}

/// Gives up what neither children nor scripts need, and puts together what a supervisor is made from.
fn parts(
    options: Options,
    settings: Settings,
    allocator: IdAllocator,
    log: Log,
    signals: io::Result<Signals>,
) -> Result<Parts, Failure> {
    let program = Program::own().map_err(|error| fatal(&error))?;
    let directory =
        find_directory(options.libexec.as_deref()).map_err(|reason| (EXIT_FATAL, reason))?;
    let root_scripts = settings.scripts.of_root();
    let tunes = tunes(&settings.config.global);
    let held = parent::confine(root_scripts, tunes)
        .map_err(|error| (EXIT_NO_PERMISSION, error.to_string()))?;
    log::debug!("keeping capabilities {held:#x}, verified; root scripts: {root_scripts:?}");
    let sandbox = sandbox(options.sandbox, &settings.config);
    Ok(Parts {
        pid_paths: Paths::of(&options, &settings.config.global),
        pid_file: None,
        namespace: None,
        program,
        settings,
        allocator,
        launcher: Launcher {
            programs: Programs::of(directory),
            log: log.settings,
            log_file: log.file,
            label: log.label,
            sandbox,
        },
        options,
        root_scripts,
        held,
        tunes,
        table: None,
        local_igmp: None,
        signals: signals.map_err(|error| fatal(&error))?,
    })
}

/// Goes on as the daemon, where the version before handed it over.
fn take_over(mut options: Options, number: i32) -> u8 {
    let signals = answered_signals();
    let prepared = upgrade::take_state(number)
        .map_err(|reason| (EXIT_FATAL, reason))
        .and_then(|mut state| {
            let namespace = state.namespace.take().map(Namespace::take_over);
            let namespace = namespace.transpose().map_err(|error| fatal(&error))?;
            options.namespace = namespace
                .as_ref()
                .map(|namespace| namespace.name().to_owned());
            let mut parts = prepare_again(options, &state, signals)?;
            parts.namespace = namespace;
            let file = state
                .pid_file
                .take()
                .map(|file| PidFile::take_over(&parts.pid_paths.parent, file));
            parts.pid_file = file.transpose().map_err(|error| fatal(&error))?;
            let before = state.local_igmp;
            parts.local_igmp = before.map(|before| Silence::of(Path::new(SETTING), before));
            let table = state.table.take().map(Handed::take);
            parts.table = table.transpose().map_err(|errno| fatal(&errno))?;
            Ok((parts, state))
        });
    match prepared {
        Ok((parts, state)) => work(Supervisor::resume(parts, state)),
        Err((code, reason)) => {
            log::error!("cannot take over: {reason}");
            fail(code, &reason)
        }
    }
}

fn prepare_again(
    options: Options,
    state: &State,
    signals: io::Result<Signals>,
) -> Result<Parts, Failure> {
    let log = open_log(&options, &label(&options, state.instance.clone()))?;
    log::info!(
        "taking over as keepalived-rs v{}",
        env!("CARGO_PKG_VERSION")
    );
    ignore_unanswered().map_err(|errno| fatal(&errno))?;
    let (read, allocator) = read_again(&options, state);
    read.log();
    let settings = usable(read, &options, state).map_err(|reason| (EXIT_CONFIGURATION, reason))?;
    set_umask(&options, &settings.config.global);
    parts(options, settings, allocator, log, signals)
}

/// The trial read the configuration a moment ago. Somebody may be writing it just now.
fn read_again(options: &Options, state: &State) -> (Read, IdAllocator) {
    let clock = Clock::new();
    let until = clock.now().saturating_add(WRITING);
    loop {
        let mut allocator = state.allocator.clone();
        let read = load::read(options, Some(&state.known), &mut allocator);
        if read.first_error().is_none() || clock.now() >= until {
            return (read, allocator);
        }
        pause(Duration::from_millis(20));
    }
}

/// The configuration, if a program that takes over can run it.
fn usable(read: Read, options: &Options, state: &State) -> Result<Settings, String> {
    if let Some(error) = read.first_error() {
        return Err(format!("the configuration has errors: {error}"));
    }
    if read.instance_name() != state.instance {
        return Err("`instance` cannot change while the daemon runs".to_owned());
    }
    if read.ipvs_namespace() != Some(&state.ipvs_namespace) {
        return Err("`net_namespace_ipvs` cannot change while the daemon runs".to_owned());
    }
    let namespace = read.namespace();
    if namespace.is_some() && namespace != options.namespace {
        return Err("`net_namespace` cannot change while the daemon runs".to_owned());
    }
    match read.into_settings() {
        Some(settings) if options.all_children || !load::asks_for_nothing(&settings.config) => {
            Ok(settings)
        }
        Some(_) => Err(load::NOTHING_TO_RUN.to_owned()),
        None => Err("the configuration cannot run".to_owned()),
    }
}

/// What a trial of taking over works with: all that the real thing has, but no log and no pid file.
///
/// # Errors
/// When the configuration cannot run, or the kernel refuses something.
pub(crate) fn trial_parts(options: Options, state: &State) -> Result<Parts, String> {
    let (read, allocator) = read_again(&options, state);
    let settings = usable(read, &options, state)?;
    let log = Log {
        // What children complain about at their start is of interest to whoever makes the trial.
        settings: LogSettings {
            ident: String::new(),
            detail: Detail::Normal,
            syslog: None,
            console: true,
        },
        file: None,
        label: String::new(),
    };
    parts(options, settings, allocator, log, answered_signals()).map_err(|(_, reason)| reason)
}

/// Whoever looks for a missing row with `--sandbox=log` wants to see it with `sandbox strict` too.
const fn sandbox(option: Sandbox, config: &Config) -> Sandbox {
    match option {
        Sandbox::On if config.global.strict_sandbox => Sandbox::Strict,
        mode @ (Sandbox::On | Sandbox::Strict | Sandbox::Log) => mode,
    }
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
