//! A child that outlives the program that started it: the next program of the parent takes it over.

use std::io;
use std::os::fd::AsFd as _;

use kr_event::EventLoop;
use kr_ipc::Channel;
use kr_model::{Generation, Instant};
use kr_sys::handover::{Handed, Kept};
use kr_sys::privilege::Duty;
use kr_sys::spawn::HandedProcess;
use kr_sys::tuning::Tuning;
use mio::Interest;
use serde::{Deserialize, Serialize};

use crate::supervisor::child::{Child, Edge, Running, State};
use crate::supervisor::heartbeat::Heartbeat;

/// A running child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedChild {
    process: HandedProcess,
    channel: Handed,
    since: Instant,
    ready: Option<Generation>,
    heartbeat: Heartbeat,
}

impl<E: Edge> Child<E> {
    /// The child as it runs; `None` when it does not.
    pub(crate) fn hand_over(&self, kept: &mut Kept) -> Option<HandedChild> {
        let State::Running(running) = &self.state else {
            return None;
        };
        Some(HandedChild {
            process: running.process.hand_over(kept),
            channel: kept.keep(running.channel.as_ref()?.as_fd()),
            since: running.since,
            ready: running.ready,
            heartbeat: running.heartbeat.clone(),
        })
    }

    /// Takes over the child of the program before, which works on until its successor takes its place. With
    /// another language it is not heard any more.
    ///
    /// # Errors
    /// When a descriptor is missing or cannot be watched.
    pub(crate) fn take_over(
        &mut self,
        handed: HandedChild,
        (duty, tuning): (Duty, Tuning),
        understood: bool,
        events: &EventLoop,
    ) -> io::Result<()> {
        let process = handed.process.take()?;
        let own = handed.channel.take()?;
        let [channel_token, process_token] = self.tokens.running;
        events.register_for(process.as_fd(), process_token, Interest::READABLE)?;
        let (channel, mute) = if understood {
            events.register(own.as_fd(), channel_token)?;
            (Some(Channel::new(own)), None)
        } else {
            (None, Some(own))
        };
        self.state = State::Running(Running {
            process,
            tuning,
            channel,
            mute,
            cut_at: None,
            since: handed.since,
            ready: handed.ready,
            asked_at: None,
            heartbeat: handed.heartbeat,
            duty,
            replaced: false,
            killed: false,
            outdated: true,
            times: None,
        });
        Ok(())
    }

    /// True while a process that the program before started does the work.
    pub(crate) const fn is_outdated(&self) -> bool {
        matches!(&self.state, State::Running(Running { outdated: true, .. }))
    }

    /// True while everything that was said to it is on its way.
    pub(crate) fn has_heard_all(&self) -> bool {
        match &self.state {
            State::Running(Running {
                channel: Some(channel),
                ..
            }) => !channel.has_queued(),
            State::Running(_) | State::Absent | State::Waiting { .. } => true,
        }
    }
}
