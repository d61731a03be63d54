//! The BFD sessions in the loop: packets and timers in; states out, to the parent and to the instances that
//! track them.

use std::collections::BTreeMap;

use kr_ipc::ChannelError;
use kr_ipc::edge::parentd_vrrpd::FromVrrpd;
use kr_model::TrackerId;
use kr_model::bfd::{Session, Snapshot};
use kr_model::track::Tracker;
use kr_vrrp::Input;

use crate::bfd::{News, tracked};

use super::{Daemon, PACKET_BUDGET};

impl Daemon {
    /// Gives waiting packets to the sessions.
    pub(super) fn serve_bfd(&mut self) -> Result<(), ChannelError> {
        for listener in std::mem::take(&mut self.backlog.bfd) {
            self.backlog.bfd.insert(listener);
            for _ in 0..PACKET_BUDGET {
                let Some(news) = self.bfd.receive(listener, self.clock.now()) else {
                    self.backlog.bfd.remove(&listener);
                    break;
                };
                self.pass_on(news)?;
            }
        }
        Ok(())
    }

    /// Does what is due.
    pub(super) fn serve_bfd_timer(&mut self) -> Result<(), ChannelError> {
        let now = self.clock.now();
        if self.bfd.poll_timeout().is_some_and(|at| at <= now) {
            let news = self.bfd.timer(&self.events, now);
            self.pass_on(news)?;
        }
        Ok(())
    }

    /// Puts the sessions of a configuration into force, and their states into its tracked objects. What it
    /// returns is to be passed on once these are in force too.
    pub(super) fn configure_bfd(
        &mut self,
        sessions: BTreeMap<TrackerId, Session>,
        resume: BTreeMap<TrackerId, Snapshot>,
        trackers: &mut BTreeMap<TrackerId, Tracker>,
    ) -> Vec<News> {
        let now = self.clock.now();
        let news = self.bfd.configure(sessions, resume, &self.events, now);
        for tracker in trackers.values_mut() {
            if let Some(reach) = self.bfd.reach(tracker.id) {
                tracker.state = tracked(reach);
            }
        }
        news
    }

    /// Passes on what the sessions say: to the parent, to the checker process and to the instances.
    pub(super) fn pass_on(&mut self, news: Vec<News>) -> Result<(), ChannelError> {
        for one in news {
            match one {
                News::Publish(snapshot) => self.channel.send(&FromVrrpd::Bfd(snapshot))?,
                News::Reach(tracker, reach) => {
                    self.siblings.say_reach(tracker, reach);
                    let state = tracked(reach);
                    let input = Input::Tracker { tracker, state };
                    self.router.handle(input, self.clock.now());
                    self.act();
                }
            }
        }
        Ok(())
    }
}
