//! The loop of the child of keepalived-rs: ready connections, deadlines and messages become inputs of the
//! machines; what they ask for becomes system calls and messages.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use kr_check::Rng;
use kr_check::exporter::Directory;
use kr_child::{Heard, Link, Started};
use kr_event::{Clock, EventLoop, Signals};
use kr_ipc::edge::checkerd_ipvsd::ToIpvsd;
use kr_ipc::edge::parentd_checkerd::{FromCheckerd, ToCheckerd};
use kr_ipc::edge::{Sibling, vrrpd_checkerd};
use kr_ipc::{Channel, ChannelError, Instances, Sessions};
use kr_model::{CheckerId, Generation, Instant};
use mio::Token;
use nix::errno::Errno;

use crate::engine::{Engine, Request};
use crate::holder::{Holder, LocalAddresses};
use crate::intake::{Complete, Intake, IntakeError};
use crate::ipvsd::{Answer, Ipvsd};
use crate::listener::MOST_CLIENTS;
use crate::mailer::{self, Mailer};
use crate::metrics::{Metrics, Tokens};
use crate::probe_io::Sockets;
use crate::sandbox::NameFiles;

const PARENT: Token = Token(0);
const SIGNALS: Token = Token(1);
const IPVSD: Token = Token(2);
const MAIL: Token = Token(3);
const METRICS: Token = Token(4);
const VRRPD: Token = Token(5);
const ADDRESSES: Token = Token(6);
const FIRST_CLIENT_TOKEN: usize = 16;
/// Tokens from here on belong to checks.
const FIRST_PROBE_TOKEN: usize = FIRST_CLIENT_TOKEN + MOST_CLIENTS;

/// Messages of the parent taken per wake-up.
const MESSAGE_BUDGET: usize = 256;

/// Messages of the VRRP process taken per wake-up.
const VRRPD_BUDGET: usize = 256;

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
    ipvsd: Ipvsd,
    vrrpd: Link<vrrpd_checkerd::FromCheckerd, vrrpd_checkerd::ToCheckerd>,
    instances: Instances,
    sessions: Sessions,
    holder: Holder,
    intake: Intake,
    engine: Engine,
    mailer: Mailer,
    metrics: Metrics,
    phase: Phase,
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
        addresses: Option<LocalAddresses>,
    ) -> io::Result<Self> {
        events.register(started.channel.as_fd(), PARENT)?;
        events.register(started.signals.as_fd(), SIGNALS)?;
        let holder = Holder::new(addresses, &events, ADDRESSES)?;
        let clock = Clock::new();
        let mut rng = Rng::new(clock.now().as_micros() ^ u64::from(std::process::id()));
        let mail_rng = Rng::new(rng.next());
        Ok(Self {
            clock,
            events,
            parent: started.channel,
            parent_backlog: true,
            signals: started.signals,
            ipvsd: Ipvsd::new(IPVSD),
            vrrpd: Link::new(Sibling::Vrrpd, VRRPD),
            instances: Instances::default(),
            sessions: Sessions::default(),
            holder,
            intake: Intake::default(),
            engine: Engine::new(running, rng, FIRST_PROBE_TOKEN, Sockets::OfSibling),
            mailer: Mailer::new(MAIL, names, mail_rng),
            metrics: Metrics::new(Tokens {
                listener: METRICS.0,
                first_client: FIRST_CLIENT_TOKEN,
            }),
            phase: Phase::Working,
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
        let ready = self
            .events
            .wait_coarsely(deadline, self.clock.now())
            .map_err(DaemonError::Loop)?;
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
                IPVSD => self.serve_ipvsd(now)?,
                VRRPD => self.vrrpd.ready(),
                ADDRESSES => {
                    let suspended = self.holder.addresses_changed();
                    self.suspend(suspended, now);
                }
                MAIL => self.mailer.ready(ready, &self.events, now),
                Token(token) => {
                    if !self.metrics.ready(token) {
                        self.engine.ready(ready, now);
                    }
                }
            }
        }
        if self.parent_backlog {
            self.read_parent(now)?;
        }
        self.read_vrrpd(now)?;
        if self.phase == Phase::Working {
            self.engine.pass(now);
        }
        self.carry_out(now)?;
        self.mailer.drive(&self.events, now);
        self.metrics.pass(&self.events, self.engine.checks(), now);
        Ok(match self.phase {
            Phase::Working => true,
            Phase::Leaving(until) => !self.mailer.is_done() && now < until,
        })
    }

    fn deadline(&self) -> Option<Instant> {
        if self.parent_backlog || self.vrrpd.is_unread() {
            return Some(Instant::ZERO);
        }
        let checks = match self.phase {
            Phase::Working => self.engine.poll_timeout(),
            Phase::Leaving(until) => Some(until),
        };
        let metrics = self.metrics.poll_timeout();
        let all = [checks, self.mailer.poll_timeout(), metrics];
        all.into_iter().flatten().min()
    }

    /// Says what the checks ask for.
    fn carry_out(&mut self, now: Instant) -> Result<(), DaemonError> {
        while let Some(request) = self.engine.poll_request(&self.events, now) {
            match request {
                Request::RunScript { checker, run } => {
                    self.parent
                        .send(&FromCheckerd::RunScript { checker, run })?;
                }
                Request::Verdict {
                    generation,
                    verdict,
                } => self.ipvsd.tell(&ToIpvsd::Verdict {
                    generation,
                    verdict,
                }),
                Request::Snapshot(snapshot) => {
                    self.parent.send(&FromCheckerd::Snapshot(snapshot))?;
                }
            }
        }
        while self.ipvsd.has_room()
            && let Some(wanted) = self.engine.poll_socket_wanted()
        {
            self.ipvsd.ask(wanted);
        }
        Ok(())
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
            self.engine.clear();
            self.metrics.close();
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
                (ToCheckerd::Sibling(sibling), Some(end)) => self.meet(sibling, end, now)?,
                (ToCheckerd::LogFile, Some(file)) => kr_child::replace_log_file(file),
                (ToCheckerd::Sibling(_) | ToCheckerd::LogFile, None) | (_, Some(_)) => {
                    return Err(DaemonError::Descriptor);
                }
                (message, None) => self.message(message, now)?,
            }
        }
        Ok(())
    }

    fn message(&mut self, message: ToCheckerd, now: Instant) -> Result<(), DaemonError> {
        match message {
            ToCheckerd::Begin(generation) => self.intake.begin(generation)?,
            ToCheckerd::Global(global) => self.intake.global(*global)?,
            ToCheckerd::Authorities(piece) => self.intake.authorities(&piece)?,
            ToCheckerd::Checker(checker) => self.intake.checker(*checker)?,
            ToCheckerd::Kept(ids) => self.intake.kept(&ids, self.engine.checks())?,
            ToCheckerd::Resume(snapshot) => self.intake.resume(snapshot)?,
            ToCheckerd::Commit(generation) => {
                let complete = self.intake.commit(generation)?;
                self.configure(complete, generation, now)?;
            }
            // With their descriptors they never come here.
            ToCheckerd::Sibling(_) | ToCheckerd::LogFile => return Err(DaemonError::Descriptor),
            ToCheckerd::Instance(id) => self.intake.instance(id)?,
            ToCheckerd::Session(id) => self.intake.session(id)?,
            ToCheckerd::Suspension(suspension) => self.intake.suspension(*suspension)?,
            ToCheckerd::ScriptEnded {
                checker,
                run,
                outcome,
            } => {
                if self.phase == Phase::Working {
                    self.engine.script_ended(checker, run, outcome, now);
                }
            }
            ToCheckerd::Number { file, number } => {
                if self.phase == Phase::Working {
                    self.engine.number(file, number, now);
                }
            }
            ToCheckerd::Mail(mail) => self.mailer.push(*mail, now),
            ToCheckerd::Stop => self.leave(now),
            ToCheckerd::Ping { nonce } => {
                self.parent.send(&FromCheckerd::Pong { nonce })?;
                if let Some(times) = self.events.times_to_tell() {
                    self.parent.send(&FromCheckerd::Times(Box::new(times)))?;
                }
            }
        }
        Ok(())
    }

    fn configure(
        &mut self,
        complete: Complete,
        generation: Generation,
        now: Instant,
    ) -> Result<(), DaemonError> {
        let Complete {
            global,
            checks,
            instances,
            sessions,
            suspensions,
        } = complete;
        self.instances.configure(generation, instances);
        self.sessions.configure(generation, sessions);
        let suspended = self.holder.configure(suspensions, &self.instances);
        self.mailer.configure(global.mail.clone());
        self.metrics
            .listen(global.metrics_listen, &self.events, now);
        self.engine.configure(global, checks, now);
        let checks = self.engine.checks();
        self.metrics.describe(|| Directory::new(checks.all()));
        for (session, reach) in self.sessions.all() {
            self.engine.reach(session, reach, now);
        }
        self.suspend(Some(suspended), now);
        self.parent.send(&FromCheckerd::Ready(generation))?;
        Ok(())
    }

    /// Takes a new end of the channel to a sibling. The IPVS process is told every verdict over it, and
    /// asked for the sockets that checks wait for.
    fn meet(&mut self, sibling: Sibling, end: OwnedFd, now: Instant) -> Result<(), DaemonError> {
        let connected = match sibling {
            Sibling::Ipvsd => self.ipvsd.connect(end, &self.events),
            Sibling::Vrrpd => self.vrrpd.connect(end, &self.events),
            Sibling::Checkerd => return Err(DaemonError::Descriptor),
        };
        connected.map_err(DaemonError::Loop)?;
        if sibling == Sibling::Ipvsd {
            self.engine.announce(now);
            self.engine.ask_again();
        }
        Ok(())
    }

    /// Sends what waits and takes the sockets that came: no more than were asked for.
    fn serve_ipvsd(&mut self, now: Instant) -> Result<(), DaemonError> {
        loop {
            match self.ipvsd.receive() {
                Heard::Message(Answer { request, socket }) => {
                    self.engine
                        .socket_answered(&self.events, request, socket, now);
                }
                Heard::Nothing | Heard::Gone => return Ok(()),
                Heard::Misbehaved => return self.accuse(Sibling::Ipvsd),
            }
        }
    }

    /// Takes some of what the VRRP process says.
    fn read_vrrpd(&mut self, now: Instant) -> Result<(), DaemonError> {
        for _ in 0..VRRPD_BUDGET {
            if !self.vrrpd.is_unread() {
                return Ok(());
            }
            match self.vrrpd.receive() {
                Heard::Message(vrrpd_checkerd::ToCheckerd::Instance {
                    generation,
                    instance,
                    state,
                }) => {
                    if let Err(unknown) = self.instances.heard(generation, instance, state) {
                        self.vrrpd.cut(&unknown);
                        self.accuse(Sibling::Vrrpd)?;
                    }
                    let suspended = self.holder.instances_changed(&self.instances);
                    self.suspend(suspended, now);
                }
                Heard::Message(vrrpd_checkerd::ToCheckerd::Bfd {
                    generation,
                    session,
                    reach,
                }) => {
                    if let Err(unknown) = self.sessions.heard(generation, session, reach) {
                        self.vrrpd.cut(&unknown);
                        self.accuse(Sibling::Vrrpd)?;
                    } else if self.phase == Phase::Working {
                        self.engine.reach(session, reach, now);
                    }
                }
                Heard::Nothing => {}
                Heard::Gone => {
                    log::info!("the VRRP process is gone: its last words stay in force");
                }
                Heard::Misbehaved => self.accuse(Sibling::Vrrpd)?,
            }
        }
        Ok(())
    }

    /// Only these checkers do not run, when that is news.
    fn suspend(&mut self, suspended: Option<BTreeSet<CheckerId>>, now: Instant) {
        if let Some(suspended) = suspended.filter(|_| self.phase == Phase::Working) {
            self.engine.suspend(suspended, now);
        }
    }

    /// Tells the parent that a sibling was cut off.
    fn accuse(&mut self, sibling: Sibling) -> Result<(), DaemonError> {
        Ok(self.parent.send(&FromCheckerd::Misbehaved(sibling))?)
    }
}
