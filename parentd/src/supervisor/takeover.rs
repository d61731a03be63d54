//! In-place upgrade, the side of the new version: goes on with what the program before handed over, and puts
//! children of its own version in the place of those that it finds, one after the other. Each is started beside
//! its predecessor, and has to answer before that is ended.

use std::io;
use std::time::Duration;

use kr_model::{Generation, Instant};
use kr_sys::privilege::{Duty, Role};

use crate::handover::{HandedRole, State};
use crate::pidfile::PidFile;
use crate::supervisor::child::{Child, Edge, Standing, tuning};
use crate::supervisor::{Parts, Phase, Supervisor};
use crate::transfer;
use crate::upgrade;

/// The order in which children are replaced: nobody waits for a fail-over longer than needed.
const ORDER: [Role; 3] = [Role::Vrrpd, Role::Ipvsd, Role::Checkerd];

/// Until a successor that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Time for all children of a trial together.
const TRIAL: Duration = Duration::from_secs(15);

/// What is to be done for one child.
enum Next {
    /// It is replaced: look at the next one.
    Done,
    /// Something has to happen first.
    Wait,
    /// A successor is to be started.
    Prepare,
    /// The successor will not be ready.
    Failed(String),
}

impl Supervisor {
    /// Takes over from the program before. Does nothing of what only a start does.
    ///
    /// # Errors
    /// When a descriptor is missing or the kernel gives none.
    pub(crate) fn resume(parts: Parts, state: State) -> io::Result<Self> {
        let mut new = Self::made(parts)?;
        new.phase = Phase::TakingOver {
            next_try: Instant::ZERO,
        };
        new.generation = state.generation.next();
        new.published = state.published;
        new.told = state.told;
        new.zero = state.zero;
        new.mails = state.mails;
        new.scripts.take_over(state.scripts, &new.events)?;
        new.fifos.take_over(state.fifos);
        new.tracking
            .take_over(&state.tracking, &new.config.trackers);
        let understood = state.protocol == kr_ipc::protocol();
        for (role, handed) in [
            (Role::Vrrpd, state.vrrpd),
            (Role::Checkerd, state.checkerd),
            (Role::Ipvsd, state.ipvsd),
        ] {
            new.take_over_role(role, handed, understood)?;
        }
        new.look_up_accounts();
        new.open_fifos();
        new.follow_tracked();
        new.follow_reload_time();
        log::info!(
            "took over from version {}: {}",
            state.program,
            if understood {
                "its processes work on until theirs are here"
            } else {
                "its processes, which speak another language, work on until theirs are here"
            }
        );
        Ok(new)
    }

    fn take_over_role(
        &mut self,
        role: Role,
        handed: HandedRole,
        understood: bool,
    ) -> io::Result<()> {
        if let Some(file) = handed.pid_file {
            let file = PidFile::take_over(self.pid_paths.child(role), file)?;
            self.pid_files.insert(role, file);
        }
        let Some(child) = handed.child else {
            return Ok(());
        };
        let tuning = tuning(role, &self.config.global);
        match role {
            Role::Vrrpd => {
                let how = (transfer::duty_of_vrrpd(&self.config), tuning);
                self.vrrpd.take_over(child, how, understood, &self.events)
            }
            Role::Checkerd => {
                let how = (Duty::Usual, tuning);
                self.checkerd
                    .take_over(child, how, understood, &self.events)
            }
            Role::Ipvsd => {
                let how = (self.duty_of_ipvsd(), tuning);
                self.ipvsd.take_over(child, how, understood, &self.events)
            }
        }
    }

    /// Replaces the children of the version before, one after the other.
    pub(super) fn replace_outdated(&mut self) {
        let Phase::TakingOver { next_try } = self.phase else {
            return;
        };
        for role in ORDER {
            if !self.is_needed(role) {
                continue;
            }
            match self.next_for(role) {
                Next::Done => {}
                Next::Wait => return,
                Next::Prepare if self.now < next_try => return,
                Next::Prepare => {
                    if let Err(error) = self.prepare(role) {
                        self.try_again(role, &error.to_string());
                    }
                    return;
                }
                Next::Failed(reason) => {
                    self.try_again(role, &reason);
                    return;
                }
            }
        }
    }

    fn next_for(&mut self, role: Role) -> Next {
        let (now, generation) = (self.now, self.generation);
        match role {
            Role::Vrrpd => next(&mut self.vrrpd, generation, now),
            Role::Checkerd => next(&mut self.checkerd, generation, now),
            Role::Ipvsd => next(&mut self.ipvsd, generation, now),
        }
    }

    fn try_again(&mut self, role: Role, reason: &str) {
        let reason = format!(
            "{} of the new version: {reason}; the one before works on, trying again in {} s",
            role.program(),
            RETRY.as_secs()
        );
        log::error!("{reason}");
        upgrade::answer(&self.pid_paths.parent, Err(&reason));
        self.phase = Phase::TakingOver {
            next_try: self.now.saturating_add(RETRY),
        };
    }

    /// Starts a successor beside a child.
    fn prepare(&mut self, role: Role) -> io::Result<()> {
        let identity = self.identities.get(&role).cloned();
        let identity = identity.as_ref();
        let (launcher, events, now) = (&self.launcher, &self.events, self.now);
        let tuning = tuning(role, &self.config.global);
        match role {
            Role::Vrrpd => {
                let how = (identity, transfer::duty_of_vrrpd(&self.config));
                self.vrrpd.prepare(launcher, how, tuning, events, now)
            }
            Role::Checkerd => {
                let how = (identity, Duty::Usual);
                self.checkerd.prepare(launcher, how, tuning, events, now)
            }
            Role::Ipvsd => {
                let how = (identity, self.duty_of_ipvsd());
                self.ipvsd.prepare(launcher, how, tuning, events, now)
            }
        }
    }

    /// Tries to start every child that is needed, and ends them again.
    ///
    /// # Errors
    /// With the reason, when one does not start or the kernel gives no descriptors.
    pub(crate) fn try_children(parts: Parts, state: State) -> Result<(), String> {
        let mut trial = Self::made(parts).map_err(|error| error.to_string())?;
        trial.published = state.published;
        trial.look_up_accounts();
        let until = trial.now.saturating_add(TRIAL);
        for role in ORDER {
            if trial.is_needed(role) {
                trial
                    .try_child(role, until)
                    .map_err(|reason| format!("{}: {reason}", role.program()))?;
            }
        }
        Ok(())
    }

    fn try_child(&mut self, role: Role, until: Instant) -> Result<(), String> {
        self.prepare(role).map_err(|error| error.to_string())?;
        loop {
            let now = self.clock.now();
            let (standing, deadline) = match role {
                Role::Vrrpd => stand(&mut self.vrrpd, now),
                Role::Checkerd => stand(&mut self.checkerd, now),
                Role::Ipvsd => stand(&mut self.ipvsd, now),
            };
            match standing {
                Standing::Ready => break,
                Standing::Failed(reason) => return Err(reason),
                Standing::None | Standing::Starting if now >= until => {
                    return Err("it takes too long".to_owned());
                }
                Standing::None | Standing::Starting => {}
            }
            let deadline = deadline.map_or(until, |deadline| deadline.min(until));
            if let Err(error) = self.events.wait(Some(deadline)) {
                return Err(error.to_string());
            }
        }
        match role {
            Role::Vrrpd => self.vrrpd.dismiss(),
            Role::Checkerd => self.checkerd.dismiss(),
            Role::Ipvsd => self.ipvsd.dismiss(),
        }
        Ok(())
    }
}

fn next<E: Edge>(child: &mut Child<E>, generation: Generation, now: Instant) -> Next {
    if !child.is_outdated() {
        return if child.is_ready(generation) {
            Next::Done
        } else {
            Next::Wait
        };
    }
    match child.standing(now) {
        Standing::None => Next::Prepare,
        Standing::Starting => Next::Wait,
        Standing::Ready => {
            child.supersede();
            Next::Wait
        }
        Standing::Failed(reason) => Next::Failed(reason),
    }
}

fn stand<E: Edge>(child: &mut Child<E>, now: Instant) -> (Standing, Option<Instant>) {
    (child.standing(now), child.standby_timeout())
}
