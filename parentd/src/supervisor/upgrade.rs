//! In-place upgrade, the side of the running version: the new program is tried first, with the state of this
//! one, the configuration and all children; only when it accepts, it takes the place of this one.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use kr_config::ids::Known;
use kr_host::runner::command_line;
use kr_model::Instant;
use kr_sys::handover::{Handed, Kept};
use kr_sys::parent;
use kr_sys::privilege::Role;
use kr_sys::spawn::{Ended, Process, Program, spawn_trial};
use mio::Interest;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::{geteuid, pipe2};
use sd_notify::NotifyState;

use crate::handover::{HandedRole, State};
use crate::local_igmp::Silence;
use crate::supervisor::child::{Child, Edge};
use crate::supervisor::{Phase, Supervisor, TRIAL, tell_systemd};
use crate::upgrade;

/// Time for the new program to accept or to refuse: it starts every child once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest text that is taken from it, in bytes.
const MOST_TEXT: u64 = 16 * 1024;

/// Descriptor at which a trial finds the state.
const TRIAL_STATE: i32 = 3;

/// How far an upgrade is.
#[derive(Debug)]
pub(super) enum Upgrade {
    /// None was asked for.
    None,
    /// The new program is tried.
    Trial(Trial),
    /// It accepted, and takes over as soon as nothing is on its way to a child.
    Accepted,
}

/// The new program while it is tried.
#[derive(Debug)]
pub(super) struct Trial {
    process: Process,
    said: File,
    until: Instant,
    hangs: bool,
}

impl Supervisor {
    /// The signal for it came.
    pub(super) fn upgrade(&mut self) {
        if !matches!(self.upgrade, Upgrade::None) {
            log::info!("an upgrade is on its way already");
            return;
        }
        let program = &self.program.path;
        log::info!("upgrading: trying {}", program.display());
        let tried = self.readiness_for_upgrade().and_then(|()| {
            self.start_trial()
                .map_err(|error| format!("{}: {error}", self.program.path.display()))
        });
        match tried {
            Ok(trial) => self.upgrade = Upgrade::Trial(trial),
            Err(reason) => self.refuse_upgrade(&reason),
        }
    }

    /// Whether the state of now can be handed over.
    fn readiness_for_upgrade(&self) -> Result<(), String> {
        if self.phase != Phase::Running {
            return Err("the daemon is starting, reloading or stopping: try again".to_owned());
        }
        let generation = self.generation;
        let away = |role: Role, ready: bool| {
            let name = role.program();
            (self.is_needed(role) && !ready).then(|| format!("{name} is not up: try again"))
        };
        let missing = [
            away(Role::Vrrpd, self.vrrpd.is_ready(generation)),
            away(Role::Checkerd, self.checkerd.is_ready(generation)),
            away(Role::Ipvsd, self.ipvsd.is_ready(generation)),
        ];
        if let Some(reason) = missing.into_iter().flatten().next() {
            return Err(reason);
        }
        Ok(())
    }

    /// Starts the new program with the state, to say what it thinks of it.
    fn start_trial(&self) -> io::Result<Trial> {
        // Numbers mean nothing to it, so nothing has to stay open.
        let state = self.hand_over(&mut Kept::default()).write()?;
        let mut arguments = self.program.arguments.clone();
        arguments.push(format!("--try-take-over={TRIAL_STATE}"));
        let environment: Vec<String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let path = self.program.path.to_string_lossy();
        let program = Program::new(&path, &arguments, &environment).map_err(io::Error::other)?;
        let (said, speaks) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let held = (!geteuid().is_root()).then_some(self.held);
        let process = spawn_trial(&program, held, &[state.as_fd()], speaks.as_fd())?;
        self.events
            .register_for(process.as_fd(), TRIAL, Interest::READABLE)?;
        log::debug!(
            "started {} as process {}",
            command_line(&path, &arguments),
            process.pid()
        );
        Ok(Trial {
            process,
            said: said.into(),
            until: self.now.saturating_add(PATIENCE),
            hangs: false,
        })
    }

    /// Goes on with an upgrade; before each sleep.
    pub(super) fn reconcile_upgrade(&mut self) {
        match &mut self.upgrade {
            Upgrade::None => {}
            Upgrade::Accepted => self.execute_when_possible(),
            Upgrade::Trial(trial) => match trial.process.try_wait() {
                Ok(None) => {
                    if self.now >= trial.until && !trial.hangs {
                        trial.hangs = true;
                        trial.process.signal(Signal::SIGKILL);
                    }
                }
                Ok(Some(ended)) => {
                    let verdict = trial.verdict(ended);
                    self.upgrade = Upgrade::None;
                    match verdict {
                        Ok(()) => {
                            self.upgrade = Upgrade::Accepted;
                            self.execute_when_possible();
                        }
                        Err(reason) => self.refuse_upgrade(&reason),
                    }
                }
                Err(errno) => {
                    self.upgrade = Upgrade::None;
                    self.refuse_upgrade(&format!("the new program is lost: {errno}"));
                }
            },
        }
    }

    /// When [`Self::reconcile_upgrade`] has something to do.
    pub(super) fn upgrade_timeout(&self) -> Option<Instant> {
        match &self.upgrade {
            Upgrade::Trial(trial) if !trial.hangs => Some(trial.until),
            Upgrade::Trial(_) | Upgrade::None | Upgrade::Accepted => None,
        }
    }

    fn execute_when_possible(&mut self) {
        let heard = self.vrrpd.has_heard_all()
            && self.checkerd.has_heard_all()
            && self.ipvsd.has_heard_all();
        if !heard {
            return;
        }
        self.upgrade = Upgrade::None;
        let executed = self.readiness_for_upgrade().and_then(|()| self.execute());
        if let Err(reason) = executed {
            self.refuse_upgrade(&reason);
        }
    }

    /// Becomes the new program. Returns only when that failed.
    fn execute(&mut self) -> Result<(), String> {
        let mut kept = Kept::default();
        let state = self.hand_over(&mut kept).write();
        let state = state.map_err(|error| format!("the state cannot be handed over: {error}"))?;
        let state = kept.keep(state.as_fd());
        let mut arguments = self.program.arguments.clone();
        arguments.push(format!("--take-over={}", state.number()));
        log::info!("the new version accepts: becoming it");
        if let Ok(moment) = NotifyState::monotonic_usec_now() {
            tell_systemd(&[NotifyState::Reloading, moment]);
        }
        let error = match parent::pass_on(self.held) {
            Ok(()) => kept
                .execute(&self.program.path.to_string_lossy(), &arguments)
                .to_string(),
            Err(error) => error.to_string(),
        };
        tell_systemd(&[NotifyState::Ready]);
        if let Err(error) = parent::keep_to_itself(self.held) {
            log::error!("{error}");
        }
        Err(format!("{}: {error}", self.program.path.display()))
    }

    fn refuse_upgrade(&self, reason: &str) {
        log::error!("the upgrade is refused, this version runs on: {reason}");
        upgrade::answer(&self.pid_paths.parent, Err(reason));
    }

    /// Everything that the next program needs.
    fn hand_over(&self, kept: &mut Kept) -> State {
        let mut role = |role: Role| self.pid_files.get(&role).map(|file| file.hand_over(kept));
        let [vrrpd, checkerd, ipvsd] = [Role::Vrrpd, Role::Checkerd, Role::Ipvsd].map(&mut role);
        State {
            version: State::VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: kr_ipc::protocol(),
            namespace: self
                .namespace
                .as_ref()
                .map(|namespace| namespace.hand_over(kept)),
            instance: self.config.global.instance_name.clone(),
            ipvs_namespace: self.config.global.ipvs_namespace.clone(),
            table: self.table.as_ref().map(|table| kept.keep(table.as_fd())),
            local_igmp: self.local_igmp.as_ref().map(Silence::before),
            pid_file: self.pid_file.as_ref().map(|file| file.hand_over(kept)),
            vrrpd: handed(&self.vrrpd, vrrpd, kept),
            checkerd: handed(&self.checkerd, checkerd, kept),
            ipvsd: handed(&self.ipvsd, ipvsd, kept),
            known: Known::of(&self.config),
            allocator: self.allocator.clone(),
            generation: self.generation,
            published: self.published.clone(),
            told: self.told.clone(),
            zero: self.zero.clone(),
            mails: self.mails.clone(),
            scripts: self.scripts.hand_over(kept),
            fifos: self.fifos.hand_over(kept),
            tracking: self.tracking.hand_over(),
        }
    }
}

fn handed<E: Edge>(child: &Child<E>, pid_file: Option<Handed>, kept: &mut Kept) -> HandedRole {
    HandedRole {
        child: child.hand_over(kept),
        pid_file,
    }
}

impl Trial {
    /// What it thinks, now that it has ended.
    fn verdict(&mut self, ended: Ended) -> Result<(), String> {
        let text = self.text();
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        for line in lines() {
            log::info!("the new version says: {line}");
        }
        if self.hangs {
            return Err(format!(
                "the new program neither accepts nor refuses within {} s: killed",
                PATIENCE.as_secs()
            ));
        }
        match (ended, lines().next_back()) {
            (Ended::Exit(0), Some(upgrade::ACCEPTED)) => Ok(()),
            (Ended::Exit(1), Some(reason)) => Err(reason.to_owned()),
            (Ended::Exit(_) | Ended::Signal(_) | Ended::NotStarted { .. }, last) => {
                let last = last.map(|line| format!(" after saying `{line}`"));
                Err(format!(
                    "the new program {ended}{}",
                    last.unwrap_or_default()
                ))
            }
        }
    }

    fn text(&mut self) -> String {
        let mut bytes = Vec::new();
        loop {
            match (&self.said).take(MOST_TEXT).read_to_end(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A process that it left behind may hold the other end.
                Ok(_) | Err(_) => return String::from_utf8_lossy(&bytes).into_owned(),
            }
        }
    }
}
