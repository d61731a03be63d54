//! Scripts that run now: started, limited in time, and collected without ever waiting for one.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use kr_event::EventLoop;
use kr_model::script::ScriptOutcome;
use kr_model::{CheckerId, Instant, TrackerId};
use kr_sys::handover::Kept;
use kr_sys::read_only::ReadOnly;
use kr_sys::spawn::{Ended, HandedProcess, Identity, Process, Program, Script, spawn_script};
use mio::{Interest, Token};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

/// From `SIGTERM` to `SIGKILL`.
const GRACE: Duration = Duration::from_secs(2);

/// Between further `SIGKILL`s, for a process that is stuck in the kernel.
const AGAIN: Duration = Duration::from_secs(10);

/// Why a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// It announces a state; the queue counts it under this number.
    Notify {
        /// Number of the queue.
        run: u64,
    },
    /// It is a `MISC_CHECK`.
    Check {
        /// The checker that asked.
        checker: CheckerId,
        /// Number of the checker process.
        run: u64,
    },
    /// It is the `startup_script` or the `shutdown_script`.
    Daemon,
    /// It reads a FIFO, as long as that is open.
    Reader {
        /// Number of the reader.
        run: u64,
    },
    /// It is a `vrrp_script`.
    Track {
        /// The tracked object.
        tracker: TrackerId,
        /// Its number of the run.
        run: u64,
    },
    /// Nobody waits for its end any more.
    Abandoned,
}

/// A script and how to run it.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Program, arguments, environment.
    pub program: &'a Program,
    /// The file that was checked, which is what runs.
    pub file: Option<BorrowedFd<'a>>,
    /// Whether it may gain privileges by what it executes.
    pub no_new_privileges: bool,
    /// Where it may write, if not everywhere that its account may.
    pub read_only: Option<&'a ReadOnly>,
    /// Account; `None` is this process's own.
    pub identity: Option<&'a Identity>,
    /// Its name in log lines.
    pub name: &'a str,
    /// Why it runs.
    pub purpose: Purpose,
    /// When it is ended; `None` is never.
    pub until: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    name: String,
    purpose: Purpose,
    stage: Stage,
}

/// A script that runs, as the next program of this process takes it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedRun {
    process: HandedProcess,
    name: String,
    purpose: Purpose,
    stage: Stage,
}

/// How far the ending of a script has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Unlimited,
    Limited { until: Instant },
    Terminated { kill_at: Instant },
    Killed { again_at: Instant },
}

impl Stage {
    const fn due(self) -> Option<Instant> {
        match self {
            Self::Unlimited => None,
            Self::Limited { until } => Some(until),
            Self::Terminated { kill_at } => Some(kill_at),
            Self::Killed { again_at } => Some(again_at),
        }
    }

    const fn is_ending(self) -> bool {
        matches!(self, Self::Terminated { .. } | Self::Killed { .. })
    }
}

/// The scripts that run.
#[derive(Debug)]
pub struct Runner {
    running: BTreeMap<usize, Running>,
    next_token: usize,
}

impl Runner {
    /// A runner whose scripts use tokens from `first_token` on.
    pub const fn new(first_token: usize) -> Self {
        Self {
            running: BTreeMap::new(),
            next_token: first_token,
        }
    }

    /// Starts a script and watches for its end.
    ///
    /// # Errors
    /// When this process is out of descriptors, memory or processes.
    pub fn start(&mut self, launch: &Launch<'_>, events: &EventLoop) -> io::Result<()> {
        let process = spawn_script(&Script {
            program: launch.program,
            file: launch.file,
            identity: launch.identity,
            no_new_privileges: launch.no_new_privileges,
            read_only: launch.read_only,
        })?;
        log::debug!("started {} as process {}", launch.name, process.pid());
        let running = Running {
            process,
            name: launch.name.to_owned(),
            purpose: launch.purpose,
            stage: launch
                .until
                .map_or(Stage::Unlimited, |until| Stage::Limited { until }),
        };
        self.watch(running, events)
    }

    fn watch(&mut self, running: Running, events: &EventLoop) -> io::Result<()> {
        let token = self.next_token;
        self.next_token = self.next_token.saturating_add(1);
        events.register_for(running.process.as_fd(), Token(token), Interest::READABLE)?;
        self.running.insert(token, running);
        Ok(())
    }

    /// Every script that runs, for the next program of this process.
    pub fn hand_over(&self, kept: &mut Kept) -> Vec<HandedRun> {
        let running = self.running.values();
        let handed = running.map(|running| HandedRun {
            process: running.process.hand_over(kept),
            name: running.name.clone(),
            purpose: running.purpose,
            stage: running.stage,
        });
        handed.collect()
    }

    /// Goes on with the scripts of the program before.
    ///
    /// # Errors
    /// When a descriptor is missing or cannot be watched.
    pub fn take_over(&mut self, handed: Vec<HandedRun>, events: &EventLoop) -> io::Result<()> {
        for run in handed {
            let running = Running {
                process: run.process.take()?,
                name: run.name,
                purpose: run.purpose,
                stage: run.stage,
            };
            self.watch(running, events)?;
        }
        Ok(())
    }

    /// Collects a script whose token is ready.
    pub fn collect(&mut self, token: Token) -> Option<(Purpose, ScriptOutcome)> {
        let running = self.running.get_mut(&token.0)?;
        if running.stage.is_ending() {
            // What it left behind; the leader is not reaped yet, so the group is still its own.
            running.process.signal_group(Signal::SIGKILL);
        }
        let ended = match running.process.try_wait() {
            Ok(None) => return None,
            Ok(Some(ended)) => ended,
            Err(errno) => {
                log::error!("{} is lost: {errno}", running.name);
                Ended::Signal(0)
            }
        };
        let running = self.running.remove(&token.0)?;
        let outcome = match ended {
            Ended::Exit(code) => ScriptOutcome::Exit(code),
            Ended::Signal(_) if running.stage.is_ending() => ScriptOutcome::TimedOut,
            Ended::Signal(number) => ScriptOutcome::Signal(number),
            Ended::NotStarted { errno, .. } if is_shortage(errno) => ScriptOutcome::NotTried,
            Ended::NotStarted { .. } => ScriptOutcome::NotStarted,
        };
        running.log_end(ended, outcome);
        Some((running.purpose, outcome))
    }

    /// Ends the runs of a checker whose result nobody wants any more.
    pub fn abandon(&mut self, wanted: impl Fn(CheckerId) -> bool, now: Instant) {
        self.abandon_if(
            |purpose| matches!(purpose, Purpose::Check { checker, .. } if !wanted(checker)),
            now,
        );
    }

    /// Ends the runs of a tracked script whose result nobody wants any more.
    pub fn abandon_tracked(&mut self, wanted: impl Fn(TrackerId) -> bool, now: Instant) {
        self.abandon_if(
            |purpose| matches!(purpose, Purpose::Track { tracker, .. } if !wanted(tracker)),
            now,
        );
    }

    fn abandon_if(&mut self, unwanted: impl Fn(Purpose) -> bool, now: Instant) {
        for running in self.running.values_mut() {
            if unwanted(running.purpose) {
                running.purpose = Purpose::Abandoned;
                running.process.signal_group(Signal::SIGTERM);
                running.stage = Stage::Terminated {
                    kill_at: now.saturating_add(GRACE),
                };
            }
        }
    }

    /// Limits a reader whose FIFO is closed.
    pub fn limit_reader(&mut self, run: u64, until: Instant) {
        for running in self.running.values_mut() {
            if running.purpose == (Purpose::Reader { run }) && !running.stage.is_ending() {
                running.purpose = Purpose::Abandoned;
                running.stage = Stage::Limited { until };
            }
        }
    }

    /// Limits scripts that run, for the end of the daemon.
    pub fn limit(&mut self, until: Instant, which: impl Fn(Purpose) -> bool) {
        for running in self.running.values_mut() {
            if which(running.purpose) && !running.stage.is_ending() {
                running.stage = Stage::Limited { until };
            }
        }
    }

    /// Kills every script that runs, for the end of the daemon.
    pub fn kill_all(&mut self) {
        for running in self.running.values() {
            log::warn!("killing {}: the daemon ends", running.name);
            running.process.signal_group(Signal::SIGKILL);
        }
        self.running.clear();
    }

    /// This process, and the scripts that run, lacked the processor for so long: they have as much more time.
    pub fn stalled(&mut self, time: Duration) {
        for running in self.running.values_mut() {
            if let Stage::Limited { until } = &mut running.stage {
                *until = until.saturating_add(time);
            }
        }
    }

    /// True when no script runs.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.running
            .values()
            .filter_map(|running| running.stage.due())
            .min()
    }

    /// Goes a step further with every script whose time is up.
    pub fn handle_timeout(&mut self, now: Instant) {
        for running in self.running.values_mut() {
            if running.stage.due().is_none_or(|due| now < due) {
                continue;
            }
            running.stage = match running.stage {
                Stage::Unlimited => Stage::Unlimited,
                Stage::Limited { .. } => {
                    if !matches!(running.purpose, Purpose::Track { .. }) {
                        log::info!("{} takes too long: ending it", running.name);
                    }
                    running.process.signal_group(Signal::SIGTERM);
                    Stage::Terminated {
                        kill_at: now.saturating_add(GRACE),
                    }
                }
                Stage::Terminated { .. } | Stage::Killed { .. } => {
                    log::warn!("{} does not end: killing it", running.name);
                    running.process.signal_group(Signal::SIGKILL);
                    Stage::Killed {
                        again_at: now.saturating_add(AGAIN),
                    }
                }
            };
        }
    }
}

/// Whether an error tells of what this host lacks now, and nothing of the program.
#[must_use]
pub const fn is_shortage(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::EAGAIN | Errno::ENOBUFS
    )
}

/// A script with its arguments as it is shown to people.
#[must_use]
pub fn command_line(program: &str, arguments: &[String]) -> String {
    let arguments = arguments.iter().map(String::as_str);
    let words: Vec<&str> = [program].into_iter().chain(arguments).collect();
    words.join(" ")
}

/// The environment of scripts: that of the daemon without what would change how programs are loaded or
/// read their words, and without what systemd gave to the daemon alone.
#[must_use]
pub fn environment() -> Vec<String> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_for_scripts(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn is_for_scripts(name: &str) -> bool {
    const OF_THE_DAEMON: [&str; 3] = ["NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "LISTEN_FDS"];
    const OF_SHELLS: [&str; 8] = [
        "IFS",
        "ENV",
        "BASH_ENV",
        "BASHOPTS",
        "SHELLOPTS",
        "CDPATH",
        "GLOBIGNORE",
        "PS4",
    ];
    /// The loader, the C library, functions of bash, and where other interpreters find what they run first.
    const BEGINNINGS: [&str; 7] = [
        "LD_",
        "GCONV_",
        "BASH_FUNC_",
        "PERL",
        "PYTHON",
        "RUBY",
        "WATCHDOG_",
    ];
    let removed = OF_THE_DAEMON.contains(&name)
        || OF_SHELLS.contains(&name)
        || BEGINNINGS.iter().any(|start| name.starts_with(start));
    !removed
}

impl Running {
    fn log_end(&self, ended: Ended, outcome: ScriptOutcome) {
        let name = &self.name;
        match (self.purpose, outcome) {
            // Whoever asked judges the result; a tracked script runs every second, for ever.
            (Purpose::Track { .. }, _) => log::debug!("{name} {ended}"),
            (_, ScriptOutcome::NotStarted | ScriptOutcome::NotTried) => {
                log::error!("{name} {ended}")
            }
            (Purpose::Notify { .. }, ScriptOutcome::Exit(0)) | (Purpose::Abandoned, _) => {
                log::debug!("{name} {ended}");
            }
            (Purpose::Daemon, ScriptOutcome::Exit(0)) => log::info!("{name} {ended}"),
            (Purpose::Notify { .. } | Purpose::Daemon, _) => log::warn!("{name} {ended}"),
            (Purpose::Reader { .. }, _) if self.stage != Stage::Unlimited => {
                log::debug!("{name} {ended}");
            }
            (Purpose::Reader { .. }, _) => {
                log::warn!("{name}, which reads a FIFO, {ended}; the next reload starts it again")
            }
            // The checker process judges the result.
            (Purpose::Check { .. }, _) => log::debug!("{name} {ended}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_how_programs_run_is_not_for_scripts() {
        let kept = ["PATH", "HOME", "LANG", "KEEPALIVED_OPTIONS", "ENVIRONMENT"];
        let removed = [
            "LD_PRELOAD",
            "IFS",
            "BASH_ENV",
            "ENV",
            "BASH_FUNC_ls%%",
            "PERL5LIB",
            "PYTHONPATH",
            "GCONV_PATH",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
        ];
        assert!(kept.iter().all(|name| is_for_scripts(name)));
        assert!(!removed.iter().any(|name| is_for_scripts(name)));
    }
}
