//! A successor that is started beside a child: it has to show that it runs and understands this process,
//! before the child is ended for it. Until then it has no configuration and touches nothing.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use kr_event::EventLoop;
use kr_ipc::ChannelError;
use kr_model::Instant;
use kr_sys::privilege::Duty;
use kr_sys::spawn::Identity;
use kr_sys::tuning::Tuning;
use mio::{Interest, Token};
use nix::sys::signal::Signal;

use crate::supervisor::child::{Child, Edge, Launcher, Running, State, spawn};

/// Time to start and to answer, on a busy host.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a successor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    None,
    /// It has not answered yet.
    Starting,
    /// It waits for its configuration.
    Ready,
    /// It will never be ready, and is not there any more.
    Failed(String),
}

/// A successor that waits.
#[derive(Debug)]
pub(super) struct Standby<E: Edge> {
    running: Running<E>,
    until: Instant,
    /// It answered.
    ready: bool,
}

impl<E: Edge> Standby<E> {
    /// Watches it in the place of its predecessor.
    pub(super) fn promote(
        self,
        [channel_token, process_token]: [Token; 2],
        events: &EventLoop,
    ) -> io::Result<Running<E>> {
        let running = self.running;
        events.deregister(running.process.as_fd())?;
        events.register_for(running.process.as_fd(), process_token, Interest::READABLE)?;
        if let Some(channel) = &running.channel {
            events.deregister(channel.as_fd())?;
            events.register(channel.as_fd(), channel_token)?;
        }
        Ok(running)
    }

    /// `None` while nothing is decided.
    fn judge(&mut self, now: Instant) -> Option<Result<(), String>> {
        match self.running.process.try_wait() {
            Ok(None) => {}
            Ok(Some(ended)) => return Some(Err(format!("it {ended}"))),
            Err(errno) => return Some(Err(format!("it is lost: {errno}"))),
        }
        let listening = self.listen();
        if self.ready {
            return Some(Ok(()));
        }
        if now < self.until {
            // When its channel ends, so does the process in a moment, and that says more.
            return None;
        }
        Some(Err(match listening {
            Ok(()) => format!("it does not answer within {} s", PATIENCE.as_secs()),
            Err(error) => error.to_string(),
        }))
    }

    fn listen(&mut self) -> Result<(), ChannelError> {
        let Some(channel) = &mut self.running.channel else {
            return Err(ChannelError::Closed);
        };
        while !self.ready {
            let Some(message) = channel.recv()? else {
                break;
            };
            // It may speak of other things first, which it says again once it has a configuration.
            let nonce = E::pong(&message);
            self.ready = nonce.is_some_and(|nonce| self.running.heartbeat.answered(nonce).is_ok());
        }
        Ok(())
    }
}

impl<E: Edge> Child<E> {
    /// Starts a successor beside what runs.
    ///
    /// # Errors
    /// When this process is out of descriptors, memory or processes.
    pub(crate) fn prepare(
        &mut self,
        launcher: &Launcher,
        how: (Option<&Identity>, Duty),
        tuning: Tuning,
        events: &EventLoop,
        now: Instant,
    ) -> io::Result<()> {
        let mut running = spawn::<E>(launcher, how, tuning, self.tokens.standby, events, now)?;
        if let (Some(channel), Some(nonce)) = (&mut running.channel, running.heartbeat.ping()) {
            channel.send(&E::ping(nonce)).map_err(io::Error::other)?;
        }
        self.standby = Some(Standby {
            running,
            until: now.saturating_add(PATIENCE),
            ready: false,
        });
        Ok(())
    }

    /// How far the successor is. One that failed is ended.
    pub(crate) fn standing(&mut self, now: Instant) -> Standing {
        let Some(standby) = &mut self.standby else {
            return Standing::None;
        };
        match standby.judge(now) {
            None => Standing::Starting,
            Some(Ok(())) => Standing::Ready,
            Some(Err(reason)) => {
                self.dismiss();
                Standing::Failed(reason)
            }
        }
    }

    /// Ends the successor; its end is collected later.
    pub(crate) fn dismiss(&mut self) {
        if let Some(standby) = self.standby.take() {
            let mut process = standby.running.process;
            process.signal(Signal::SIGKILL);
            if matches!(process.try_wait(), Ok(None)) {
                self.dismissed.push(process);
            }
        }
    }

    /// Collects those that were killed.
    pub(super) fn collect_dismissed(&mut self) {
        self.dismissed
            .retain_mut(|process| matches!(process.try_wait(), Ok(None)));
    }

    /// Ends what runs for its successor, which takes its place when the end is noticed.
    pub(crate) fn supersede(&mut self) {
        if let State::Running(running) = &mut self.state {
            running.replaced = true;
            running.kill();
        }
    }

    /// When to ask for [`Self::standing`] at the latest.
    pub(crate) fn standby_timeout(&self) -> Option<Instant> {
        let standby = self.standby.as_ref().filter(|standby| !standby.ready);
        standby.map(|standby| standby.until)
    }
}
