//! In-place upgrade, from outside: `--upgrade`, which asks the running daemon for it and waits for the answer,
//! and the trial that the daemon makes of the program that is installed now.

use std::env;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kr_config::ids::IdAllocator;
use kr_event::Clock;
use kr_event::clock::pause;
use kr_sys::handover::Handed;
use kr_sys::signals;
use nix::libc;
use nix::unistd::Pid;

use crate::cli::Options;
use crate::dump::Place;
use crate::handover::State;
use crate::load;
use crate::pidfile::Paths;
use crate::start;
use crate::supervisor::{EXIT_FATAL, EXIT_NO_PERMISSION, Supervisor};
use crate::{complain, fail, say};

/// The last line of a trial that found nothing against an upgrade.
pub(crate) const ACCEPTED: &str = "accepted";

/// How an answer begins when the upgrade is done; otherwise it is the reason.
const DONE: &str = "done: ";

/// Longer than the daemon needs in the worst case: the trial, and three children.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks for the answer.
const LOOK: Duration = Duration::from_millis(100);

/// This program and its arguments, as an upgrade executes them again: the path leads to the new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
}

impl Program {
    /// As it was started. To be asked before the file can have been replaced.
    ///
    /// # Errors
    /// Without `/proc`.
    pub(crate) fn own() -> io::Result<Self> {
        let own = env::current_exe()?;
        let mut words = env::args_os();
        let first = words.next().map(PathBuf::from).unwrap_or_default();
        // A symbolic link that was typed leads to the next version, where it leads to now does not.
        let same = |path: &Path| Some((fs::metadata(path).ok()?, fs::metadata(&own).ok()?));
        let typed = first.is_absolute()
            && same(&first)
                .is_some_and(|(typed, own)| (typed.dev(), typed.ino()) == (own.dev(), own.ino()));
        Ok(Self {
            path: if typed { first } else { own },
            arguments: words
                .map(|word| word.to_string_lossy().into_owned())
                .filter(|word| {
                    !word.starts_with("--take-over=") && !word.starts_with("--try-take-over=")
                })
                .collect(),
        })
    }
}

/// The file of the answer, beside the pid file. The daemon writes it only when somebody waits for it, who has
/// made it.
fn answer_file(pid_file: &Path) -> PathBuf {
    let mut name = pid_file.as_os_str().to_owned();
    name.push(".upgrade");
    name.into()
}

/// Tells whoever waits how the upgrade ended.
pub(crate) fn answer(pid_file: &Path, outcome: Result<&str, &str>) {
    let path = answer_file(pid_file);
    let waits = fs::symlink_metadata(&path).is_ok();
    let (Some(directory), Some(name), true) = (path.parent(), path.file_name(), waits) else {
        return;
    };
    let text = match outcome {
        Ok(text) => format!("{DONE}{text}\n"),
        Err(reason) => format!("{reason}\n"),
    };
    let written =
        Place::open(Some(directory)).and_then(|place| place.write(&name.to_string_lossy(), &text));
    if let Err(error) = written {
        log::error!("{} cannot be written: {error}", path.display());
    }
}

/// `--upgrade`.
pub(crate) fn ask(options: &Options) -> u8 {
    match ask_daemon(options) {
        Ok(text) => say(&format!("{text}\n")),
        Err((code, reason)) => fail(code, &reason),
    }
}

fn ask_daemon(options: &Options) -> Result<String, (u8, String)> {
    let fatal = |reason: String| (EXIT_FATAL, reason);
    let pid_file = pid_file(options).map_err(fatal)?;
    let text = fs::read_to_string(&pid_file)
        .map_err(|error| fatal(format!("no daemon: {}: {error}", pid_file.display())))?;
    let number: i32 = text.trim().parse().map_err(|_| {
        fatal(format!(
            "{} holds no process id: `{}`",
            pid_file.display(),
            text.trim()
        ))
    })?;
    let pid = Pid::from_raw(number);
    if !blocks_the_signal(pid) {
        return Err(fatal(format!(
            "process {pid} of {} does not run, or is no keepalived-rs that can upgrade itself: restart it",
            pid_file.display()
        )));
    }
    let answer = answer_file(&pid_file);
    // Of somebody who did not wait to the end.
    let _ = fs::remove_file(&answer);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&answer)
        .map_err(|error| {
            let code = if error.kind() == io::ErrorKind::PermissionDenied {
                EXIT_NO_PERMISSION
            } else {
                EXIT_FATAL
            };
            (code, format!("{}: {error}", answer.display()))
        })?;
    let outcome = signals::send(pid, signals::upgrade())
        .map_err(|errno| format!("process {pid} gets no signal: {errno}"))
        .and_then(|()| wait_for(&answer));
    let _ = fs::remove_file(&answer);
    outcome.map_err(fatal)
}

/// The pid file of the daemon that these options start.
fn pid_file(options: &Options) -> Result<PathBuf, String> {
    if let Some(file) = &options.pid_file {
        return Ok(file.clone());
    }
    let read = load::read(options, None, &mut IdAllocator::default());
    let namespace = options.namespace.clone().or_else(|| read.namespace());
    let use_directory = read.uses_pid_directory();
    let instance = read.instance_name();
    if read.into_settings().is_none() {
        return Err(
            "the configuration, which says where the pid file is, cannot run: try -t".to_owned(),
        );
    }
    let mut named = options.clone();
    named.namespace.clone_from(&namespace);
    let path = Paths::new(&named, instance.as_deref(), use_directory).parent;
    // The daemon in a namespace sees a directory of its own in the place of that of all.
    match (namespace, path.parent(), path.file_name()) {
        (Some(namespace), Some(directory), Some(name)) => Ok(directory.join(namespace).join(name)),
        (_, _, _) => Ok(path),
    }
}

/// A program that does not block the signal would be ended by it: another one, or an older version.
fn blocks_the_signal(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let blocked = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = signals::upgrade().saturating_sub(1);
    blocked.is_some_and(|mask| mask >> bit & 1 == 1)
}

fn wait_for(answer: &Path) -> Result<String, String> {
    let clock = Clock::new();
    let until = clock.now().saturating_add(PATIENCE);
    while clock.now() < until {
        pause(LOOK);
        let text = fs::read_to_string(answer).unwrap_or_default();
        if let Some(line) = text.strip_suffix('\n') {
            return match line.strip_prefix(DONE) {
                Some(done) => Ok(done.to_owned()),
                None => Err(format!("not upgraded: {line}")),
            };
        }
    }
    Err(format!(
        "the daemon has not answered within {} s: its log says more",
        PATIENCE.as_secs()
    ))
}

/// `--try-take-over`: what this program thinks of becoming the daemon that started it.
pub(crate) fn attempt(options: Options, state: i32) -> u8 {
    match try_to_take_over(options, state) {
        Ok(()) => {
            complain(&format!("{ACCEPTED}\n"));
            0
        }
        Err(reason) => {
            complain(&format!("{reason}\n"));
            EXIT_FATAL
        }
    }
}

fn try_to_take_over(mut options: Options, state: i32) -> Result<(), String> {
    let state = take_state(state)?;
    options.namespace = state.namespace.as_ref().map(|handed| handed.name.clone());
    let parts = start::trial_parts(options, &state)?;
    Supervisor::try_children(parts, state)
}

/// The state that was handed over at this descriptor.
///
/// # Errors
/// When it is refused.
pub(crate) fn take_state(number: i32) -> Result<State, String> {
    let state = Handed::of_number(number)
        .ok_or(libc::EBADF)
        .and_then(|handed| handed.take().map_err(|errno| errno as i32))
        .map_err(|_| {
            format!("descriptor {number} is no state: only the daemon itself says this")
        })?;
    State::read(state).map_err(|refused| refused.to_string())
}
