//! The loop: descriptors to inputs of [`Table`], its actions to the kernel, the parent and the log.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use kr_child::{Heard, Link};
use kr_event::{Clock, EventLoop, Signals};
use kr_ipc::edge::checkerd_ipvsd::SocketWanted;
use kr_ipc::edge::parentd_ipvsd::{FromIpvsd, ServerReason, ToIpvsd};
use kr_ipc::edge::{Sibling, checkerd_ipvsd, vrrpd_ipvsd};
use kr_ipc::{Channel, ChannelError, Early, Instances, Judgement};
use kr_lvs::{Action, Event, Input, Notice, Outcome, Reason, Table};
use kr_model::ipvs::Operation;
use kr_model::lvs::Verdict;
use kr_model::{CheckerId, Instant};
use kr_netlink::ipvs::{Ipvs, IpvsError, explain, explain_sync};
use mio::Token;

use crate::intake::{Fault, Intake, Taken};
use crate::opener;
use crate::sockets::{Answer, Sockets};

const PARENT: Token = Token(0);
const SIGNALS: Token = Token(1);
const CHECKERD: Token = Token(2);
const VRRPD: Token = Token(3);

/// Messages of each sibling taken in one turn, so that a flood of them cannot keep the parent from being
/// heard. The verdicts among them are written to the kernel in one batch.
const MESSAGES_PER_TURN: usize = 256;

/// Further attempts to use a socket that another process uses at the same time.
const TRIES: u32 = 20;

/// How long the end waits for the parent to take the last messages.
const LINGER: Duration = Duration::from_secs(1);

/// Why the process ends without cleaning up, so that a successor goes on where it was.
#[derive(Debug)]
pub(crate) enum End {
    /// The channel to the parent broke.
    Parent(ChannelError),
    /// The parent sent what makes no sense.
    Fault(Fault),
    /// The parent attached a descriptor where none belongs, or none where one does.
    Descriptor,
    /// Polling failed.
    Io(io::Error),
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parent(error) => write!(f, "channel to the parent: {error}"),
            Self::Fault(fault) => write!(f, "the parent sent nonsense: {fault}"),
            Self::Descriptor => f.write_str("the parent sent a message with a wrong descriptor"),
            Self::Io(error) => write!(f, "polling failed: {error}"),
        }
    }
}

impl std::error::Error for End {}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The IPVS process.
#[derive(Debug)]
pub(crate) struct Daemon {
    events: EventLoop,
    clock: Clock,
    signals: Signals,
    parent: Channel<FromIpvsd, ToIpvsd>,
    /// The parent is gone or does not listen; what it would be told is dropped.
    deaf: bool,
    intake: Intake,
    checkerd: Link<checkerd_ipvsd::FromIpvsd, checkerd_ipvsd::ToIpvsd>,
    early: Early<CheckerId, Verdict>,
    sockets: Sockets,
    vrrpd: Link<vrrpd_ipvsd::FromIpvsd, vrrpd_ipvsd::ToIpvsd>,
    instances: Instances,
    table: Table,
    kernel: Option<Ipvs>,
    /// What leads to the table of another namespace.
    way: Option<OwnedFd>,
    finished: bool,
}

impl Daemon {
    /// A daemon that waits for its configuration.
    ///
    /// # Errors
    /// When the kernel gives no descriptor.
    pub(crate) fn new(parent: Channel<FromIpvsd, ToIpvsd>, signals: Signals) -> io::Result<Self> {
        let events = EventLoop::new()?;
        events.register(parent.as_fd(), PARENT)?;
        events.register(signals.as_fd(), SIGNALS)?;
        Ok(Self {
            events,
            clock: Clock::new(),
            signals,
            parent,
            deaf: false,
            intake: Intake::default(),
            checkerd: Link::new(Sibling::Checkerd, CHECKERD),
            early: Early::default(),
            sockets: Sockets::new(),
            vrrpd: Link::new(Sibling::Vrrpd, VRRPD),
            instances: Instances::default(),
            table: Table::new(),
            kernel: None,
            way: None,
            finished: false,
        })
    }

    /// Runs until the table is cleaned up.
    ///
    /// # Errors
    /// When a successor has to go on.
    pub(crate) fn run(&mut self) -> Result<(), End> {
        loop {
            let busy = self.perform_actions()?;
            if self.finished {
                return self.linger();
            }
            let deadline = if busy || self.checkerd.is_unread() || self.vrrpd.is_unread() {
                Some(Instant::ZERO)
            } else {
                self.table.poll_timeout()
            };
            for ready in self.events.wait(deadline)? {
                match ready.token {
                    PARENT => {
                        if ready.writable {
                            let flushed = self.parent.flush();
                            self.heard(flushed)?;
                        }
                        if ready.readable {
                            self.read_parent()?;
                        }
                    }
                    SIGNALS => self.read_signals()?,
                    CHECKERD => self.checkerd.ready(),
                    VRRPD => self.vrrpd.ready(),
                    _ => {}
                }
            }
            self.read_vrrpd()?;
            self.read_checkerd()?;
            if self
                .table
                .poll_timeout()
                .is_some_and(|at| at <= self.clock.now())
            {
                self.input(Input::Timer);
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.table.handle(input, self.clock.now());
    }

    fn read_parent(&mut self) -> Result<(), End> {
        loop {
            let received = match self.parent.recv_with() {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(()),
                Err(error) => return self.heard(Err(error)),
            };
            match (
                self.intake.take(received.message, &self.table)?,
                received.descriptor,
            ) {
                (Taken::Meet(sibling), Some(end)) => self.meet(sibling, end)?,
                (Taken::LogFile, Some(file)) => kr_child::replace_log_file(file),
                (Taken::Table, Some(socket)) => self.way = Some(socket),
                (Taken::Meet(_) | Taken::LogFile | Taken::Table, None)
                | (
                    Taken::Part | Taken::Configuration { .. } | Taken::Stop | Taken::Ping { .. },
                    Some(_),
                ) => {
                    return Err(End::Descriptor);
                }
                (Taken::Part, None) => {}
                (Taken::Ping { nonce }, None) => {
                    self.say(&FromIpvsd::Pong { nonce })?;
                    if let Some(times) = self.events.times_to_tell() {
                        self.say(&FromIpvsd::Times(Box::new(times)))?;
                    }
                }
                (
                    Taken::Configuration {
                        table,
                        instances,
                        sockets,
                    },
                    None,
                ) => {
                    let generation = table.generation;
                    self.instances.configure(generation, instances);
                    self.input(Input::Configure(table));
                    self.follow();
                    for (_, verdict) in self.early.due(generation) {
                        self.input(Input::Verdict(verdict));
                    }
                    for wanted in self.sockets.configure(generation, sockets) {
                        self.give_socket(wanted)?;
                    }
                }
                (Taken::Stop, None) => self.input(Input::Shutdown),
            }
        }
    }

    /// The outcome of an exchange with the parent. A parent that is gone is a stop; anything else that
    /// breaks the channel ends this process as it is.
    fn heard(&mut self, result: Result<(), ChannelError>) -> Result<(), End> {
        match result {
            Ok(()) => Ok(()),
            Err(ChannelError::Closed) => {
                if !self.deaf {
                    self.deaf = true;
                    log::warn!("the parent is gone: leaving");
                    self.input(Input::Shutdown);
                }
                Ok(())
            }
            Err(
                error @ (ChannelError::Malformed(_)
                | ChannelError::UnexpectedDescriptor
                | ChannelError::Unsendable(_)
                | ChannelError::Full
                | ChannelError::Os(_)),
            ) => Err(End::Parent(error)),
        }
    }

    fn read_signals(&mut self) -> Result<(), End> {
        // Only SIGTERM is delivered here.
        while self.signals.read().map_err(io::Error::from)?.is_some() {
            log::info!("SIGTERM came, by hand or because the parent process died: leaving");
            self.input(Input::Shutdown);
        }
        Ok(())
    }

    /// Hears a sibling over a new channel from now on.
    fn meet(&mut self, sibling: Sibling, end: OwnedFd) -> Result<(), End> {
        match sibling {
            Sibling::Checkerd => {
                self.checkerd.connect(end, &self.events)?;
                self.sockets.forget_requests();
            }
            Sibling::Vrrpd => self.vrrpd.connect(end, &self.events)?,
            Sibling::Ipvsd => return Err(End::Descriptor),
        }
        Ok(())
    }

    /// Takes some verdicts and requests for sockets.
    fn read_checkerd(&mut self) -> Result<(), End> {
        for _ in 0..MESSAGES_PER_TURN {
            if !self.checkerd.is_unread() {
                return Ok(());
            }
            match self.checkerd.receive() {
                Heard::Message(checkerd_ipvsd::ToIpvsd::Verdict {
                    generation,
                    verdict,
                }) => {
                    let checker = verdict.checker;
                    let known = self.table.knows(checker);
                    let ours = self.table.generation();
                    match self.early.judge(ours, known, generation, checker, verdict) {
                        Judgement::Counts => self.input(Input::Verdict(verdict)),
                        Judgement::Nothing => {}
                        Judgement::Misbehaviour => {
                            self.checkerd.cut(&format_args!(
                                "it named checker {checker}, which is not configured"
                            ));
                            self.say(&FromIpvsd::Misbehaved(Sibling::Checkerd))?;
                        }
                    }
                }
                Heard::Message(checkerd_ipvsd::ToIpvsd::SocketWanted(wanted)) => {
                    self.give_socket(wanted)?;
                }
                Heard::Nothing => {}
                Heard::Gone => {
                    log::info!("the checker process is gone: its last verdicts stay in force");
                }
                Heard::Misbehaved => self.say(&FromIpvsd::Misbehaved(Sibling::Checkerd))?,
            }
        }
        Ok(())
    }

    /// Takes some states of instances.
    fn read_vrrpd(&mut self) -> Result<(), End> {
        for _ in 0..MESSAGES_PER_TURN {
            if !self.vrrpd.is_unread() {
                return Ok(());
            }
            match self.vrrpd.receive() {
                Heard::Message(vrrpd_ipvsd::ToIpvsd::Instance {
                    generation,
                    instance,
                    state,
                }) => {
                    if let Err(unknown) = self.instances.heard(generation, instance, state) {
                        self.vrrpd.cut(&unknown);
                        self.say(&FromIpvsd::Misbehaved(Sibling::Vrrpd))?;
                    } else if self.table.followed() == Some(instance) {
                        self.follow();
                    }
                }
                Heard::Nothing => {}
                Heard::Gone => {
                    log::info!("the VRRP process is gone: its last words stay in force");
                }
                Heard::Misbehaved => self.say(&FromIpvsd::Misbehaved(Sibling::Vrrpd))?,
            }
        }
        Ok(())
    }

    /// Answers a request for a socket, or ends the channel for it.
    fn give_socket(&mut self, wanted: SocketWanted) -> Result<(), End> {
        let request = wanted.request;
        let opened = match self.sockets.judge(wanted, self.clock.now()) {
            Answer::Open(rule) => opener::open(rule),
            Answer::Refuse(refusal) => Err(refusal),
            Answer::Later => return Ok(()),
            Answer::Misbehaviour => {
                self.checkerd.cut(&format_args!(
                    "it asked for a socket of checker {} that is not configured, or for too many",
                    wanted.checker
                ));
                return self.say(&FromIpvsd::Misbehaved(Sibling::Checkerd));
            }
        };
        match opened {
            Ok(socket) => self.checkerd.send_with(
                &checkerd_ipvsd::FromIpvsd::Socket { request },
                socket.into(),
            ),
            Err(refusal) => self
                .checkerd
                .send(&checkerd_ipvsd::FromIpvsd::NoSocket { request, refusal }),
        }
        // The few that may be on their way fit the channel.
        if self.checkerd.has_queued() {
            self.checkerd
                .cut(&"it asks for sockets that it does not take");
            return self.say(&FromIpvsd::Misbehaved(Sibling::Checkerd));
        }
        Ok(())
    }

    /// Hands on the state of the instance that the synchronisation of connections follows.
    fn follow(&mut self) {
        let followed = self.table.followed();
        if let Some(state) = followed.and_then(|id| self.instances.state(id)) {
            self.input(Input::Followed(state));
        }
    }

    /// Takes actions, up to and with one that the kernel may need some time for. True then: there may be more,
    /// but the parent is heard first.
    fn perform_actions(&mut self) -> Result<bool, End> {
        while let Some(action) = self.table.poll_action() {
            match action {
                Action::Read { services } => {
                    let answer = self.with_kernel(|kernel| kernel.read(&services).map(Input::Read));
                    self.input(answer);
                    if let Some(idle) = self.kernel.as_mut().map(Ipvs::take_idle) {
                        self.input(Input::Idle { services, idle });
                    }
                }
                Action::Apply(operations) => {
                    let answer = self.with_kernel(|kernel| apply(kernel, &operations));
                    self.input(answer);
                    return Ok(true);
                }
                Action::Notify(notice) => self.say(&message(notice))?,
                Action::Log(event) => write_log(&event),
                Action::Publish(snapshot) => self.say(&FromIpvsd::Snapshot(snapshot))?,
                Action::ReadTimeouts => {
                    let answer = self.with_kernel(|kernel| kernel.timeouts().map(Input::Timeouts));
                    self.input(answer);
                }
                Action::ReadSync => {
                    let answer = self.with_kernel(|kernel| kernel.sync_daemons().map(Input::Sync));
                    self.input(answer);
                }
                Action::ChangeSync(change) => {
                    let answer = self.with_kernel(|kernel| match kernel.change_sync(&change) {
                        Ok(()) => Ok(Input::SyncChanged(None)),
                        Err(error) => explain_sync(&change, &error)
                            .map(|reason| Input::SyncChanged(Some(reason)))
                            .ok_or(error),
                    });
                    self.input(answer);
                    return Ok(true);
                }
                Action::PublishTimeouts(values) => self.say(&FromIpvsd::Timeouts(values))?,
                Action::PublishRemains(remains) => self.say(&FromIpvsd::Remains(remains))?,
                Action::Installed(generation) => self.say(&FromIpvsd::Ready(generation))?,
                Action::Finished => self.finished = true,
            }
        }
        Ok(false)
    }

    /// Uses the kernel's table, which is opened when needed; an error closes it. What is asked for can be asked twice.
    fn with_kernel(
        &mut self,
        mut work: impl FnMut(&mut Ipvs) -> Result<Input, IpvsError>,
    ) -> Input {
        // A predecessor that is not gone yet, as in an upgrade, has the same way to the table of another namespace.
        let mut more = if self.way.is_some() { TRIES } else { 0 };
        loop {
            match self.try_with_kernel(&mut work) {
                Ok(input) => return input,
                Err(error) if error.is_shared() && more > 0 => more -= 1,
                Err(error) => return Input::Unusable(error.to_string()),
            }
        }
    }

    fn try_with_kernel(
        &mut self,
        work: &mut impl FnMut(&mut Ipvs) -> Result<Input, IpvsError>,
    ) -> Result<Input, IpvsError> {
        let opened = match self.kernel.take() {
            Some(kernel) => Ok(kernel),
            None => self.open_kernel().inspect(|kernel| {
                let (major, minor, patch) = kernel.version();
                log::info!("IPVS {major}.{minor}.{patch} of this kernel");
            }),
        };
        let mut kernel = opened?;
        let input = work(&mut kernel)?;
        self.kernel = Some(kernel);
        Ok(input)
    }

    fn open_kernel(&self) -> Result<Ipvs, IpvsError> {
        match &self.way {
            None => Ipvs::open(),
            Some(way) => {
                // Another process that has it began at another time.
                let [_, _, _, _, first @ ..] = self.clock.now().as_micros().to_be_bytes();
                Ipvs::over_another(way.as_fd(), u32::from_be_bytes(first))
            }
        }
    }

    fn say(&mut self, message: &FromIpvsd) -> Result<(), End> {
        if self.deaf {
            return Ok(());
        }
        let sent = self.parent.send(message);
        self.heard(sent)
    }

    /// Lets a slow parent take the last messages, which may ask for scripts and mail.
    fn linger(&mut self) -> Result<(), End> {
        let until = self.clock.now().saturating_add(LINGER);
        while !self.deaf && self.parent.has_queued() && self.clock.now() < until {
            self.events.wait(Some(until))?;
            if self.parent.flush().is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn apply(kernel: &mut Ipvs, operations: &[Operation]) -> Result<Input, IpvsError> {
    let results = kernel.apply(operations)?;
    let outcomes = operations.iter().zip(results).map(|(operation, result)| {
        log::debug!(
            "{operation}{}",
            if result.is_ok() { "" } else { ": refused" }
        );
        Outcome {
            operation: *operation,
            refused: result.err().map(|errno| explain(operation, errno)),
        }
    });
    Ok(Input::Applied(outcomes.collect()))
}

fn write_log(event: &Event) {
    if event.is_warning() {
        log::warn!("{event}");
    } else {
        log::info!("{event}");
    }
}

fn message(notice: Notice) -> FromIpvsd {
    match notice {
        Notice::RealServerChanged {
            real_server,
            up,
            reason,
        } => FromIpvsd::RealServerChanged {
            real_server,
            up,
            reason: server_reason(reason),
        },
        Notice::CheckerChanged {
            checker,
            up,
            with_server,
        } => FromIpvsd::CheckerChanged {
            checker,
            up,
            with_server,
        },
        Notice::QuorumChanged {
            virtual_server,
            up,
            weight,
            reason,
        } => FromIpvsd::QuorumChanged {
            virtual_server,
            up,
            weight,
            reason: server_reason(reason),
        },
        Notice::Kernel { usable } => FromIpvsd::Kernel { usable },
    }
}

const fn server_reason(reason: Reason) -> ServerReason {
    match reason {
        Reason::Checks => ServerReason::Checks,
        Reason::Start => ServerReason::Start,
        Reason::Shutdown => ServerReason::Shutdown,
        Reason::Removed => ServerReason::Removed,
    }
}
