//! One child of the parent: its process, its channel, and when it is started again.

mod edge;
mod handed;
mod launcher;
mod standby;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use kr_event::EventLoop;
use kr_ipc::channel::{self, Channel, ChannelError};
use kr_model::lateness::LoopTimes;
use kr_model::{Generation, Instant};
use kr_sys::privilege::Duty;
use kr_sys::spawn::{Ended, Identity, Process, Stderr, spawn_child};
use kr_sys::tuning::Tuning;
use mio::{Interest, Token};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

pub(crate) use crate::supervisor::child::edge::{Checkerd, Edge, Ipvsd, Vrrpd};
pub(crate) use crate::supervisor::child::handed::HandedChild;
pub(crate) use crate::supervisor::child::launcher::{
    Launcher, Programs, find_directory, tunes, tuning,
};
pub(crate) use crate::supervisor::child::standby::Standing;

use crate::supervisor::backoff::Backoff;
use crate::supervisor::child::standby::Standby;
use crate::supervisor::heartbeat::{Beat, Cadence, Heartbeat, StrayPong};

/// Messages taken from a child before others get their turn.
const MESSAGES_PER_TURN: usize = 256;

/// Patience with a child that puts a configuration into force, which may be a large one.
const PATIENCE_WITH_WORK: Duration = Duration::from_secs(30);

/// Time for a child that closed its channel to end.
const CUT_WAIT: Duration = Duration::from_secs(1);

/// How a child left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// How it ended.
    pub(crate) ended: Ended,
    /// It had put a configuration into force.
    pub(crate) was_ready: bool,
    /// It was asked to leave.
    pub(crate) was_asked: bool,
    /// It was ended for another in its place.
    pub(crate) was_replaced: bool,
}

#[derive(Debug)]
struct Running<E: Edge> {
    process: Process,
    tuning: Tuning,
    /// `None` once the channel has ended; then the process must end too, unless it is mute.
    channel: Option<Channel<E::To, E::From>>,
    /// Instead of a channel: this end's of a process of another version, which speaks another language. It
    /// stays open, for that process would leave at its end.
    mute: Option<OwnedFd>,
    /// When it was first noticed that the channel has ended.
    cut_at: Option<Instant>,
    since: Instant,
    ready: Option<Generation>,
    asked_at: Option<Instant>,
    heartbeat: Heartbeat,
    duty: Duty,
    /// It was ended for another in its place.
    replaced: bool,
    /// It was killed, and so never runs an instruction of its program again, even when it cannot end yet.
    killed: bool,
    /// The program before this one started it: one of today's version takes its place.
    outdated: bool,
    /// How late it is, as it last said.
    times: Option<Box<LoopTimes>>,
}

impl<E: Edge> Running<E> {
    /// Ends it. The signal comes before the end of the channel, at which it would begin to clean up.
    fn kill(&mut self) {
        self.process.signal(Signal::SIGKILL);
        self.killed = true;
        self.channel = None;
        self.mute = None;
    }
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each child, and nearly always in the largest state"
)]
enum State<E: Edge> {
    Absent,
    Waiting { until: Instant },
    Running(Running<E>),
}

/// One kind of child, running or not.
#[derive(Debug)]
pub(crate) struct Child<E: Edge> {
    state: State<E>,
    /// A successor that runs already and waits for its configuration.
    standby: Option<Standby<E>>,
    /// Those that were killed and have not ended yet.
    dismissed: Vec<Process>,
    backoff: Backoff,
    /// When one was last ended for its silence.
    silenced_at: Option<Instant>,
    tokens: Tokens,
}

/// Under what a child's descriptors are watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens {
    /// Channel and process.
    pub(crate) running: [Token; 2],
    /// Those of a successor that waits.
    pub(crate) standby: [Token; 2],
}

impl<E: Edge> Child<E> {
    /// Not running yet.
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self {
            state: State::Absent,
            standby: None,
            dismissed: Vec::new(),
            backoff: Backoff::default(),
            silenced_at: None,
            tokens,
        }
    }

    /// Starts the process with a new channel, to do its usual work and `duty`; or takes the successor that
    /// waits.
    ///
    /// # Errors
    /// When this process is out of descriptors, memory or processes.
    pub(crate) fn start(
        &mut self,
        launcher: &Launcher,
        how: (Option<&Identity>, Duty),
        tuning: Tuning,
        events: &EventLoop,
        now: Instant,
    ) -> io::Result<Pid> {
        let running = match self.standby.take() {
            Some(standby) => standby.promote(self.tokens.running, events)?,
            None => spawn(launcher, how, tuning, self.tokens.running, events, now)?,
        };
        let pid = running.process.pid();
        self.state = State::Running(running);
        Ok(pid)
    }

    /// Gives the process another priority and other CPUs, as a reload asks.
    pub(crate) fn tune(&mut self, wanted: &Tuning) {
        let State::Running(running) = &mut self.state else {
            return;
        };
        // What it has locked it keeps; its limit is raised for a successor.
        if running.tuning == *wanted {
            return;
        }
        match wanted.apply(&running.tuning, Some(running.process.pid())) {
            Ok(()) => log::info!(
                "{} has its new priority, CPUs and limits",
                E::ROLE.program()
            ),
            Err(errno) => log::error!(
                "{} keeps its old priority, CPUs or limits until it is started again: {errno}",
                E::ROLE.program()
            ),
        }
        running.tuning = wanted.clone();
    }

    /// A start failed: tries again later.
    pub(crate) fn put_off(&mut self, now: Instant) {
        let wait = self.backoff.ended(Duration::ZERO, false, now);
        self.state = State::Waiting {
            until: now.saturating_add(wait.max(Duration::from_secs(1))),
        };
    }

    /// True while it could take messages.
    pub(crate) const fn is_running(&self) -> bool {
        matches!(
            &self.state,
            State::Running(Running {
                channel: Some(_),
                asked_at: None,
                ..
            })
        )
    }

    /// True when there is no process, and none is to be started again.
    pub(crate) const fn is_absent(&self) -> bool {
        matches!(self.state, State::Absent)
    }

    /// True when it has put this configuration into force.
    pub(crate) fn is_ready(&self, generation: Generation) -> bool {
        matches!(&self.state, State::Running(running) if running.ready == Some(generation))
    }

    /// It said that it has put a configuration into force. To say it again means nothing, so that nobody fills the
    /// log or escapes its heartbeat by it.
    pub(crate) fn set_ready(&mut self, generation: Generation) {
        if let State::Running(running) = &mut self.state
            && running.ready.is_none_or(|known| known < generation)
        {
            log::debug!("{} runs configuration {generation}", E::ROLE.program());
            running.ready = Some(generation);
            running.heartbeat.spoke();
        }
    }

    /// True when it is time to start it, given that it is wanted.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        match &self.state {
            State::Absent => true,
            State::Waiting { until } => *until <= now,
            State::Running(_) => false,
        }
    }

    /// Its process id and when it was started, while it runs.
    pub(crate) const fn running_since(&self) -> Option<(Pid, Instant)> {
        match &self.state {
            State::Running(running) => Some((running.process.pid(), running.since)),
            State::Absent | State::Waiting { .. } => None,
        }
    }

    /// How late it is, once it has said so.
    pub(crate) fn times(&self) -> Option<&LoopTimes> {
        match &self.state {
            State::Running(running) => running.times.as_deref(),
            State::Absent | State::Waiting { .. } => None,
        }
    }

    /// It said how late it is; that concerns nothing but dumps.
    pub(crate) fn set_times(&mut self, times: Box<LoopTimes>) {
        if let State::Running(running) = &mut self.state {
            running.times = Some(times);
        }
    }

    /// The next moment at which something is due: a start, a question, or the end of its patience.
    pub(crate) fn poll_timeout(&self, child_wait: Duration) -> Option<Instant> {
        match &self.state {
            State::Absent => None,
            State::Waiting { until } => Some(*until),
            State::Running(running) => {
                let asked = running.asked_at.map(|at| at.saturating_add(child_wait));
                let cut = running.cut_at.map(|at| at.saturating_add(CUT_WAIT));
                let beats = running.channel.is_some() && running.asked_at.is_none();
                let beat = running.heartbeat.poll_timeout().filter(|_| beats);
                [asked, cut, beat].into_iter().flatten().min()
            }
        }
    }

    /// Sends a message; a channel that ends by it ends the process.
    pub(crate) fn send(&mut self, message: &E::To) {
        self.with_channel(|channel| channel.send(message));
    }

    /// Sends a message with a descriptor.
    pub(crate) fn send_with(&mut self, message: &E::To, descriptor: OwnedFd) {
        self.with_channel(|channel| channel.send_with(message, descriptor));
    }

    /// Hands it the log file that was opened anew.
    pub(crate) fn give_log_file(&mut self, file: &File) {
        if !self.is_running() {
            return;
        }
        match file.as_fd().try_clone_to_owned() {
            Ok(descriptor) => self.send_with(&E::LOG_FILE, descriptor),
            Err(error) => log::error!("{} keeps the old log file: {error}", E::ROLE.program()),
        }
    }

    /// Sends what waits, now that the channel takes more.
    pub(crate) fn flush(&mut self) {
        self.with_channel(Channel::flush);
    }

    fn with_channel(
        &mut self,
        act: impl FnOnce(&mut Channel<E::To, E::From>) -> Result<(), ChannelError>,
    ) {
        let State::Running(running) = &mut self.state else {
            return;
        };
        if let Some(channel) = &mut running.channel
            && let Err(error) = act(channel)
        {
            self.channel_failed(&error);
        }
    }

    /// What it said, and whether it may have said more than fits a turn.
    pub(crate) fn receive(&mut self) -> (Vec<E::From>, bool) {
        let mut messages = Vec::new();
        let State::Running(Running {
            channel: Some(channel),
            ..
        }) = &mut self.state
        else {
            return (messages, false);
        };
        while messages.len() < MESSAGES_PER_TURN {
            match channel.recv() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, false),
                Err(error) => {
                    self.channel_failed(&error);
                    return (messages, false);
                }
            }
        }
        (messages, true)
    }

    /// Ends it for what it said; it is started again.
    pub(crate) fn end(&mut self, reason: &impl fmt::Display) {
        if let State::Running(running) = &mut self.state
            && running.channel.is_some()
        {
            running.kill();
            log::warn!("killing {}: {reason}", E::ROLE.program());
        }
    }

    /// Ends it when it has another duty than this, as a crash would: the one in its place goes on where it
    /// was. False: nothing is to be done.
    pub(crate) fn replace_unless(&mut self, duty: Duty) -> bool {
        let State::Running(running) = &mut self.state else {
            return false;
        };
        if running.duty == duty || running.channel.is_none() || running.asked_at.is_some() {
            return false;
        }
        running.replaced = true;
        running.kill();
        log::info!(
            "starting {} again with other privileges: its duty was {}, now it is {duty}",
            E::ROLE.program(),
            running.duty
        );
        true
    }

    /// A channel that the child closed: it is leaving, and its exit code is worth waiting for.
    fn channel_failed(&mut self, error: &ChannelError) {
        if let (ChannelError::Closed, State::Running(running)) = (error, &mut self.state) {
            running.channel = None;
        } else {
            self.end(error);
        }
    }

    /// Lets time pass between pings: asks it whether it is alive when that is due, and kills it when it
    /// has been silent for too long.
    pub(crate) fn beat(&mut self, beat: Beat, cadence: Cadence, generation: Generation) {
        let patience = if self.is_ready(generation) {
            cadence.patience_after(beat, self.silenced_at)
        } else {
            PATIENCE_WITH_WORK
        };
        let State::Running(running) = &mut self.state else {
            return;
        };
        if running.channel.is_none() || running.asked_at.is_some() {
            return;
        }
        running.heartbeat.pass(beat.passed);
        let silence = running.heartbeat.silence();
        if silence >= patience {
            self.silenced_at = Some(beat.now);
            self.end(&format_args!(
                "it has not answered for {:.2} s (stopped, blocked or busy without end)",
                silence.as_secs_f32()
            ));
        } else if let Some(nonce) = running.heartbeat.ping_if_due(cadence.period, beat.now) {
            self.send(&E::ping(nonce));
        }
    }

    /// It answered a ping.
    ///
    /// # Errors
    /// When nobody asked.
    pub(crate) fn answered(&mut self, nonce: u64) -> Result<(), StrayPong> {
        match &mut self.state {
            State::Running(running) => running.heartbeat.answered(nonce),
            State::Absent | State::Waiting { .. } => Ok(()),
        }
    }

    /// True while it neither answers nor has ended: it was killed, and does not even notice that.
    pub(crate) const fn is_lost(&self) -> bool {
        matches!(
            &self.state,
            State::Running(Running {
                cut_at: Some(_),
                ..
            })
        )
    }

    /// Asks it to leave. What waits to be started again is forgotten.
    pub(crate) fn ask_to_leave(&mut self, now: Instant) {
        self.dismiss();
        match &mut self.state {
            State::Absent => {}
            State::Waiting { .. } => self.state = State::Absent,
            State::Running(running) if running.asked_at.is_none() => {
                running.asked_at = Some(now);
                if running.mute.is_some() {
                    running.process.signal(Signal::SIGTERM);
                } else {
                    self.send(&E::STOP);
                }
            }
            State::Running(_) => {}
        }
    }

    /// Kills it when it was asked to leave, or closed its channel, and is still there. To be called
    /// before each sleep.
    pub(crate) fn handle_timeout(&mut self, child_wait: Duration, now: Instant) {
        self.collect_dismissed();
        let State::Running(running) = &mut self.state else {
            return;
        };
        let is_cut = running.channel.is_none() && running.mute.is_none();
        if is_cut && running.cut_at.is_none() {
            running.cut_at = Some(now);
        }
        let asked = running
            .asked_at
            .is_some_and(|at| now.since(at) >= child_wait);
        let cut = running.cut_at.is_some_and(|at| now.since(at) >= CUT_WAIT);
        if asked || cut {
            log::warn!("killing {}: it does not leave", E::ROLE.program());
            if asked {
                // It may have said something that is to be read.
                running.process.signal(Signal::SIGKILL);
            } else {
                running.kill();
            }
            // Once is enough; the next deadline is as far away again.
            running.asked_at = running.asked_at.map(|_| now);
            running.cut_at = running.cut_at.map(|_| now);
        }
    }

    /// True when it was killed, and its end was not looked at yet.
    pub(crate) const fn is_killed(&self) -> bool {
        matches!(&self.state, State::Running(Running { killed: true, .. }))
    }

    /// Collects the process when it has ended. A child that was not asked to leave waits for its next
    /// start.
    ///
    /// One that was killed counts as ended: where it lacks processor time, or waits in the kernel, its successor
    /// does not wait with it. But only for one such process: when its successor cannot end either, the host is
    /// at fault, and more processes would not help.
    pub(crate) fn collect(&mut self, now: Instant) -> Option<Left> {
        let State::Running(running) = &mut self.state else {
            return None;
        };
        let mut is_dying = false;
        let ended = match running.process.try_wait() {
            Ok(None) => {
                let may_leave_it = running.killed && running.asked_at.is_none();
                if !may_leave_it || !self.dismissed.is_empty() {
                    return None;
                }
                is_dying = true;
                Ended::KILLED
            }
            Ok(Some(ended)) => ended,
            Err(errno) => {
                log::error!("{} is lost: {errno}", E::ROLE.program());
                Ended::Signal(0)
            }
        };
        let left = Left {
            ended,
            was_ready: running.ready.is_some(),
            was_asked: running.asked_at.is_some(),
            was_replaced: running.replaced,
        };
        if matches!(ended, Ended::Signal(number) if i32::from(number) == Signal::SIGSYS as i32) {
            log::error!(
                "{} made a system call outside its sandbox, by a fault or under attack; the kernel's log names \
                 the call, and --sandbox=log would let it pass",
                E::ROLE.program()
            );
        }
        let lived = now.since(running.since);
        let next = if left.was_asked {
            State::Absent
        } else if left.was_replaced {
            State::Waiting { until: now }
        } else {
            let wait = self.backoff.ended(lived, left.was_ready, now);
            log::warn!(
                "{} {ended} after {:.1} s, starting it again {}",
                E::ROLE.program(),
                lived.as_secs_f32(),
                if wait.is_zero() {
                    "now".to_owned()
                } else {
                    format!("in {} s", wait.as_secs())
                }
            );
            State::Waiting {
                until: now.saturating_add(wait),
            }
        };
        let before = std::mem::replace(&mut self.state, next);
        if let (true, State::Running(Running { process, .. })) = (is_dying, before) {
            self.dismissed.push(process);
        }
        Some(left)
    }
}

/// Starts a process with a new channel.
fn spawn<E: Edge>(
    launcher: &Launcher,
    (identity, duty): (Option<&Identity>, Duty),
    tuning: Tuning,
    [channel_token, process_token]: [Token; 2],
    events: &EventLoop,
    now: Instant,
) -> io::Result<Running<E>> {
    let (own, theirs) = channel::pair()?;
    let program = launcher.program((E::ROLE, duty), identity.is_none(), &tuning)?;
    let mut descriptors: Vec<BorrowedFd<'_>> = vec![theirs.as_fd()];
    descriptors.extend(launcher.log_file.as_ref().map(File::as_fd));
    let stderr = if launcher.log.console {
        Stderr::Inherited
    } else {
        Stderr::Null
    };
    launcher.tell_replaced(E::ROLE);
    let process = spawn_child(
        (E::ROLE, duty),
        (&program, launcher.file(E::ROLE)),
        identity,
        &tuning,
        &descriptors,
        stderr,
    )?;
    events.register_for(process.as_fd(), process_token, Interest::READABLE)?;
    events.register(own.as_fd(), channel_token)?;
    log::info!("started {} as process {}", E::ROLE.program(), process.pid());
    Ok(Running {
        process,
        tuning,
        channel: Some(Channel::new(own)),
        mute: None,
        cut_at: None,
        since: now,
        ready: None,
        asked_at: None,
        heartbeat: Heartbeat::default(),
        duty,
        replaced: false,
        killed: false,
        outdated: false,
        times: None,
    })
}
