//! The programs of `MISC_CHECK`, run by this process as itself.

use std::collections::BTreeMap;
use std::time::Duration;

use kr_event::EventLoop;
use kr_host::runner::{Launch, Purpose, Runner, command_line, environment};
use kr_model::script::ScriptOutcome;
use kr_model::{CheckerId, Instant};
use kr_sys::spawn::Program;
use mio::Token;

/// A program that can run.
#[derive(Debug)]
pub(super) struct Runnable {
    pub(super) path: String,
    pub(super) arguments: Vec<String>,
    /// `misc_timeout`.
    pub(super) limit: Duration,
}

/// The programs of the configuration in force, and those that run.
#[derive(Debug)]
pub(super) struct Scripts {
    runnable: BTreeMap<CheckerId, Runnable>,
    runner: Runner,
}

impl Scripts {
    /// No programs; those that run later use tokens from `first_token` up.
    pub(super) const fn new(first_token: usize) -> Self {
        Self {
            runnable: BTreeMap::new(),
            runner: Runner::new(first_token),
        }
    }

    /// These programs from now on. What runs for a check that is gone is ended.
    pub(super) fn replace(&mut self, runnable: BTreeMap<CheckerId, Runnable>, now: Instant) {
        self.runnable = runnable;
        let wanted = &self.runnable;
        self.runner
            .abandon(|checker| wanted.contains_key(&checker), now);
    }

    /// Starts the program of a check; an older run of it is ended.
    ///
    /// # Errors
    /// As what it counts that it could not be started, after a log line.
    pub(super) fn start(
        &mut self,
        checker: CheckerId,
        run: u64,
        events: &EventLoop,
        now: Instant,
    ) -> Result<(), ScriptOutcome> {
        let Some(runnable) = self.runnable.get(&checker) else {
            // Said when the configuration was read.
            return Err(ScriptOutcome::NotStarted);
        };
        self.runner.abandon(|other| other != checker, now);
        let Runnable {
            path,
            arguments,
            limit,
        } = runnable;
        let name = format!("script `{}`", command_line(path, arguments));
        let program = Program::new(path, arguments, &environment()).map_err(|error| {
            log::error!("{name} cannot be started: {error}");
            ScriptOutcome::NotStarted
        })?;
        let launch = Launch {
            program: &program,
            file: None,
            no_new_privileges: false,
            read_only: None,
            identity: None,
            name: &name,
            purpose: Purpose::Check { checker, run },
            until: Some(now.saturating_add(*limit)),
        };
        self.runner.start(&launch, events).map_err(|error| {
            log::error!("{name} cannot be started now: {error}");
            ScriptOutcome::NotTried
        })
    }

    /// Collects a program whose token is ready, when its result is wanted.
    pub(super) fn collect(&mut self, token: Token) -> Option<(CheckerId, u64, ScriptOutcome)> {
        match self.runner.collect(token)? {
            (Purpose::Check { checker, run }, outcome) => Some((checker, run, outcome)),
            (
                Purpose::Abandoned
                | Purpose::Daemon
                | Purpose::Notify { .. }
                | Purpose::Reader { .. }
                | Purpose::Track { .. },
                _,
            ) => None,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.runner.poll_timeout()
    }

    /// Ends what runs too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.runner.handle_timeout(now);
    }

    /// Kills what runs, with everything it started.
    pub(super) fn kill_all(&mut self) {
        self.runner.kill_all();
    }
}
