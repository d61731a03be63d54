//! The loop: ready connections, deadlines and messages become inputs of the machines; their actions
//! become system calls and messages.

use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use kr_check::checks::Input;
use kr_check::outcome::{LocalStep, Seconds};
use kr_check::tls::TlsContext;
use kr_check::{Action, Checks, Event, Rng};
use kr_child::Started;
use kr_event::{Clock, EventLoop, Signals};
use kr_ipc::edge::checkerd_ipvsd::{FromIpvsd, ToIpvsd};
use kr_ipc::edge::parentd_checkerd::{FromCheckerd, ToCheckerd};
use kr_ipc::{Channel, ChannelError};
use kr_model::check::{Checker, CheckerGlobal, Probe};
use kr_model::{CheckerId, Generation, Instant};
use mio::Token;
use nix::errno::Errno;

use crate::intake::{Complete, Intake, IntakeError};
use crate::mailer::{self, Mailer};
use crate::probe_io::{Ended, Probes};
use crate::sandbox::NameFiles;

const PARENT: Token = Token(0);
const SIGNALS: Token = Token(1);
const IPVSD: Token = Token(2);
const MAIL: Token = Token(3);
/// Tokens from here on belong to checks.
const FIRST_PROBE_TOKEN: usize = 16;

/// Messages of the parent taken per wake-up.
const MESSAGE_BUDGET: usize = 256;

/// Why the process ends, other than being told to.
#[derive(Debug)]
pub enum DaemonError {
    /// The channel to the parent failed.
    Channel(ChannelError),
    /// The parent's messages came in an impossible order.
    Intake(IntakeError),
    /// The parent's message and its descriptor do not fit each other.
    Descriptor,
    /// The event loop failed.
    Loop(io::Error),
    /// The signal descriptor failed.
    Signals(Errno),
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(error) => write!(f, "channel to the parent: {error}"),
            Self::Intake(error) => write!(f, "the parent sent {error}"),
            Self::Descriptor => {
                f.write_str("the parent sent a message with a descriptor it does not take, or without one it needs")
            }
            Self::Loop(error) => write!(f, "event loop: {error}"),
            Self::Signals(errno) => write!(f, "signals: {errno}"),
        }
    }
}

impl std::error::Error for DaemonError {}

impl From<ChannelError> for DaemonError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

impl From<IntakeError> for DaemonError {
    fn from(error: IntakeError) -> Self {
        Self::Intake(error)
    }
}

/// Whether the process works or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    /// Delivering the mail that waits, until then.
    Leaving(Instant),
}

/// The process.
#[derive(Debug)]
pub struct Daemon {
    clock: Clock,
    events: EventLoop,
    parent: Channel<FromCheckerd, ToCheckerd>,
    parent_backlog: bool,
    signals: Signals,
    ipvsd: Option<Channel<ToIpvsd, FromIpvsd>>,
    intake: Intake,
    global: CheckerGlobal,
    checks: Checks,
    probes: Probes,
    mailer: Mailer,
    phase: Phase,
    said_unverified: bool,
    said_mark: bool,
}

impl Daemon {
    /// A daemon that waits for its first configuration and runs at most `running` checks at a time.
    ///
    /// # Errors
    /// When the event loop refuses a descriptor.
    pub(crate) fn new(
        started: Started<FromCheckerd, ToCheckerd>,
        events: EventLoop,
        names: NameFiles,
        running: usize,
    ) -> io::Result<Self> {
        events.register(started.channel.as_fd(), PARENT)?;
        events.register(started.signals.as_fd(), SIGNALS)?;
        let clock = Clock::new();
        let mut rng = Rng::new(clock.now().as_micros() ^ u64::from(std::process::id()));
        let mail_rng = Rng::new(rng.next());
        let global = CheckerGlobal::default();
        Ok(Self {
            clock,
            events,
            parent: started.channel,
            parent_backlog: true,
            signals: started.signals,
            ipvsd: None,
            intake: Intake::default(),
            checks: Checks::new(running, rng),
            probes: Probes::new(FIRST_PROBE_TOKEN, TlsContext::new(&global)),
            global,
            mailer: Mailer::new(MAIL, names, mail_rng),
            phase: Phase::Working,
            said_unverified: false,
            said_mark: false,
        })
    }

    /// Runs until the parent says stop, or is gone.
    ///
    /// # Errors
    /// When the parent breaks the protocol or the loop fails.
    pub fn run(mut self) -> Result<(), DaemonError> {
        loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(DaemonError::Channel(ChannelError::Closed)) => {
                    log::warn!("the parent process is gone");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// One wake-up. False: the process is done.
    fn turn(&mut self) -> Result<bool, DaemonError> {
        let deadline = self.deadline();
        let ready = self.events.wait(deadline).map_err(DaemonError::Loop)?;
        let now = self.clock.now();
        for ready in ready {
            match ready.token {
                PARENT => {
                    self.parent_backlog |= ready.readable;
                    if ready.writable {
                        self.parent.flush()?;
                    }
                }
                SIGNALS => self.read_signals(now)?,
                IPVSD => self.serve_ipvsd()?,
                MAIL => self.mailer.ready(&self.events, now),
                Token(token) => {
                    let ended = self.probes.ready(token, now);
                    self.finish(ended, now);
                }
            }
        }
        if self.parent_backlog {
            self.read_parent(now)?;
        }
        let ended = self.probes.serve_backlog(now);
        self.finish(ended, now);
        while let Some(ended) = self.probes.expire(now) {
            self.finish(Some(ended), now);
        }
        if self.phase == Phase::Working {
            self.checks.handle(Input::Tick, now);
        }
        self.carry_out(now)?;
        self.mailer.drive(&self.events, now);
        Ok(match self.phase {
            Phase::Working => true,
            Phase::Leaving(until) => !self.mailer.is_done() && now < until,
        })
    }

    fn deadline(&self) -> Option<Instant> {
        if self.parent_backlog || self.probes.has_backlog() {
            return Some(Instant::ZERO);
        }
        let checks = match self.phase {
            Phase::Working => self.checks.poll_timeout(),
            Phase::Leaving(until) => Some(until),
        };
        [
            checks,
            self.probes.poll_timeout(),
            self.mailer.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn finish(&mut self, ended: impl IntoIterator<Item = Ended>, now: Instant) {
        for Ended {
            checker,
            run,
            outcome,
        } in ended
        {
            let finished = Input::Finished {
                checker,
                run,
                outcome,
            };
            self.checks.handle(finished, now);
        }
    }

    /// Does what the checks ask for.
    fn carry_out(&mut self, now: Instant) -> Result<(), DaemonError> {
        while let Some(action) = self.checks.poll_action() {
            match action {
                Action::Start { checker, run } => self.start(checker, run, now),
                Action::RunScript { checker, run } => {
                    self.parent
                        .send(&FromCheckerd::RunScript { checker, run })?;
                }
                Action::Cancel { run } => self.probes.cancel(run),
                Action::Verdict {
                    generation,
                    verdict,
                } => self.tell_ipvsd(&ToIpvsd::Verdict {
                    generation,
                    verdict,
                }),
                Action::Snapshot(snapshot) => {
                    self.parent.send(&FromCheckerd::Snapshot(snapshot))?
                }
                Action::Overloaded { running, late } => log::warn!(
                    "{running} checks run, which is all that may; others start {} late",
                    Seconds(late)
                ),
                Action::Log { checker, event } => self.log(checker, &event),
            }
        }
        Ok(())
    }

    fn start(&mut self, checker: CheckerId, run: u64, now: Instant) {
        let outcome = match self.checks.attempt(checker) {
            Some(attempt) => self
                .probes
                .start(&self.events, (checker, run), &attempt, now),
            // Cancelled since by the same wake-up.
            None => None,
        };
        if let Some(outcome) = outcome {
            let ended = Ended {
                checker,
                run,
                outcome,
            };
            self.finish(Some(ended), now);
        }
    }

    fn log(&mut self, checker: CheckerId, event: &Event) {
        let Some(checker) = self.checks.checker(checker) else {
            return;
        };
        let label = checker.label();
        match event {
            Event::Up { .. } | Event::Weight(_) => log::info!("{label} {event}"),
            Event::Down(_) | Event::Retrying { .. } | Event::StillDown(_) => {
                log::warn!("{label} {event}");
            }
            Event::Unable(fault) => {
                // Every check with a mark fails in the same way: one line tells it all.
                if fault.step == LocalStep::Mark && std::mem::replace(&mut self.said_mark, true) {
                    log::debug!("{label} {event}");
                } else {
                    log::error!("{label} {event}");
                }
            }
        }
    }

    fn read_signals(&mut self, now: Instant) -> Result<(), DaemonError> {
        while self.signals.read().map_err(DaemonError::Signals)?.is_some() {
            self.leave(now);
        }
        Ok(())
    }

    /// Checks end; mail that waits is delivered.
    fn leave(&mut self, now: Instant) {
        if self.phase == Phase::Working {
            self.phase = Phase::Leaving(now.saturating_add(mailer::FAREWELL));
            self.probes.clear();
            self.mailer.stop();
        }
    }

    fn read_parent(&mut self, now: Instant) -> Result<(), DaemonError> {
        for _ in 0..MESSAGE_BUDGET {
            let Some(received) = self.parent.recv_with()? else {
                self.parent_backlog = false;
                return Ok(());
            };
            match (received.message, received.descriptor) {
                (ToCheckerd::Ipvsd, Some(end)) => self.connect_ipvsd(end, now),
                (ToCheckerd::Ipvsd, None) | (_, Some(_)) => return Err(DaemonError::Descriptor),
                (message, None) => self.message(message, now)?,
            }
        }
        Ok(())
    }

    fn message(&mut self, message: ToCheckerd, now: Instant) -> Result<(), DaemonError> {
        match message {
            ToCheckerd::Begin(generation) => self.intake.begin(generation),
            ToCheckerd::Global(global) => self.intake.global(*global)?,
            ToCheckerd::Checker(checker) => self.intake.checker(*checker)?,
            ToCheckerd::Resume(snapshot) => self.intake.resume(snapshot)?,
            ToCheckerd::Commit(generation) => {
                let complete = self.intake.commit(generation)?;
                self.configure(complete, generation, now)?;
            }
            // With its descriptor it never comes here.
            ToCheckerd::Ipvsd => return Err(DaemonError::Descriptor),
            ToCheckerd::ScriptEnded {
                checker,
                run,
                outcome,
            } => {
                let ended = Input::ScriptEnded {
                    checker,
                    run,
                    outcome,
                };
                if self.phase == Phase::Working {
                    self.checks.handle(ended, now);
                }
            }
            ToCheckerd::Mail(mail) => self.mailer.push(*mail, now),
            ToCheckerd::Stop => self.leave(now),
        }
        Ok(())
    }

    fn configure(
        &mut self,
        complete: Complete,
        generation: Generation,
        now: Instant,
    ) -> Result<(), DaemonError> {
        let Complete { global, checks } = complete;
        if global != self.global {
            let tls = TlsContext::new(&global);
            if let Err(error) = &tls {
                log::error!("no SSL_GET can run: {error}");
            }
            self.probes.set_tls(tls);
            self.mailer.configure(global.mail.clone());
            self.global = global;
        }
        let unverified =
            self.global.trusted_authorities.is_none() && checks.checkers.iter().any(uses_tls);
        if unverified && !std::mem::replace(&mut self.said_unverified, true) {
            log::warn!(
                "SSL_GET accepts any certificate, as keepalived does; with `SSL {{ ca FILE }}` certificates are verified"
            );
        }
        log::info!(
            "configuration {generation}: {} checkers",
            checks.checkers.len()
        );
        self.checks.handle(Input::Configure(checks), now);
        self.parent.send(&FromCheckerd::Ready(generation))?;
        Ok(())
    }

    /// Takes a new end of the channel to the IPVS process and says every verdict over it.
    fn connect_ipvsd(&mut self, end: OwnedFd, now: Instant) {
        let channel = Channel::new(end);
        match self.events.register(channel.as_fd(), IPVSD) {
            Ok(()) => {
                self.ipvsd = Some(channel);
                self.checks.handle(Input::Announce, now);
            }
            Err(error) => log::error!("channel to the IPVS process cannot be watched: {error}"),
        }
    }

    /// Says something to the IPVS process. When it is away its successor will hear every verdict.
    fn tell_ipvsd(&mut self, message: &ToIpvsd) {
        if let Some(channel) = &mut self.ipvsd
            && let Err(error) = channel.send(message)
        {
            log::warn!("channel to the IPVS process: {error}");
            self.ipvsd = None;
        }
    }

    /// Sends what waits. The IPVS process has nothing to say: anything it sends breaks the protocol.
    fn serve_ipvsd(&mut self) -> Result<(), DaemonError> {
        let Some(channel) = &mut self.ipvsd else {
            return Ok(());
        };
        let result = channel.flush().and_then(|()| channel.recv());
        match result {
            Ok(None) => Ok(()),
            Ok(Some(message)) => match message {},
            Err(ChannelError::Closed) => {
                self.ipvsd = None;
                Ok(())
            }
            Err(error) => {
                log::error!("the IPVS process broke the protocol: {error}");
                self.ipvsd = None;
                self.parent.send(&FromCheckerd::IpvsdMisbehaved)?;
                Ok(())
            }
        }
    }
}

fn uses_tls(checker: &Checker) -> bool {
    match &checker.probe {
        Probe::Http(http) => http.tls.is_some(),
        Probe::Tcp(_) | Probe::Smtp { .. } | Probe::Misc { .. } => false,
    }
}
