//! What the router wants done is done: what other routers and the hosts of the segment wait for at once, everything
//! else bit by bit, behind it.
//!
//! When hundreds of routers become master at one moment, the address of the last one must not wait for the
//! announcements, log lines and messages of the others.

use std::collections::{BTreeSet, VecDeque};

use kr_ipc::ChannelError;
use kr_ipc::edge::parentd_vrrpd::FromVrrpd;
use kr_model::vrrp::Snapshot;
use kr_model::{InstanceId, Instant};
use kr_vrrp::{Action, Input, Severity};

use super::Daemon;
use crate::sockets::Outgoing;

/// Actions carried out per wake-up: a quarter of a millisecond of work.
const BUDGET: usize = 32;

/// After so many of them timers that are due come first.
const STEP: usize = 8;

/// So many may wait. Then timers wait for them: what a thousand routers want done would take much memory.
const MOST: usize = 4096;

/// Room for so many is kept.
const KEPT: usize = 256;

/// Snapshots in one message.
const TOGETHER: usize = 32;

/// What is to be done when nothing is more urgent, in this order.
#[derive(Debug, Default)]
pub(super) struct Later {
    actions: VecDeque<Action>,
    /// On the way to the parent.
    snapshots: Vec<Snapshot>,
    /// The parent was not told of something that had to be said first.
    failed: Option<ChannelError>,
}

impl Later {
    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.failed.is_none()
    }

    /// No more should be added before some are carried out.
    pub(super) fn is_full(&self) -> bool {
        self.actions.len() >= MOST
    }

    /// What was to be published of an instance is outdated.
    fn forget(&mut self, id: InstanceId) {
        let outdated =
            |action: &Action| matches!(action, Action::Publish(snapshot) if snapshot.id == id);
        if self.actions.iter().any(outdated) {
            self.actions.retain(|action| !outdated(action));
        }
    }

    fn take(&mut self) -> Option<Action> {
        let next = self.actions.pop_front();
        if next.is_none() && self.actions.capacity() > KEPT {
            // All instances changed at once; from now on they do so one by one.
            self.actions = VecDeque::new();
            kr_sys::memory::give_back();
        }
        next
    }
}

impl Daemon {
    /// Carries out what is urgent of everything that the router wants done, and tells it what became of addresses.
    pub(super) fn act(&mut self) {
        self.hurry();
        while let Some(id) = self.unjudged.pop_first() {
            if let Some(set) = self.judge(id) {
                let input = Input::Addresses { instance: id, set };
                self.router.handle(input, self.clock.now());
                self.hurry();
            }
        }
    }

    /// What a successor has to know before it happens is said first. Then the adverts of all leave, then the addresses
    /// of all change in one request.
    fn hurry(&mut self) {
        let mut next = self.router.poll_action();
        if next.is_none() {
            return;
        }
        let mut moved = BTreeSet::new();
        while let Some(action) = next {
            match action {
                Action::SendAdvert {
                    interface,
                    destination,
                    packet,
                    ..
                } => {
                    let advert = Outgoing {
                        destination,
                        packet,
                    };
                    self.queue_advert(&interface, advert);
                }
                Action::SetAddresses { instance, present } => {
                    if present {
                        self.present.insert(instance);
                    } else {
                        self.present.remove(&instance);
                    }
                    moved.insert(instance);
                }
                Action::Publish(snapshot) if !moved.contains(&snapshot.id) => {
                    self.later.forget(snapshot.id);
                    if let Err(error) = self.publish_soon(*snapshot) {
                        self.later.failed = Some(error);
                    }
                }
                later @ (Action::Publish(_)
                | Action::Announce { .. }
                | Action::Transition { .. }
                | Action::LowerPriorityHeard { .. }
                | Action::GroupTransition { .. }
                | Action::Event(_)) => self.later.actions.push_back(later),
            }
            next = self.router.poll_action();
        }
        // Also a process whose parent is gone does what its peers and the kernel expect.
        if let Err(error) = self.publish() {
            self.later.failed = Some(error);
        }
        self.send_adverts();
        self.set_addresses(&moved);
    }

    /// Carries out some of what is not urgent.
    pub(super) fn serve_later(&mut self) -> Result<(), ChannelError> {
        self.later.failed.take().map_or(Ok(()), Err)?;
        for served in 1..=BUDGET {
            let Some(action) = self.later.take() else {
                return self.finish();
            };
            self.carry_out(action)?;
            if served % STEP == 0 && !self.later.is_full() && self.is_due(self.clock.now()) {
                break;
            }
        }
        self.publish()
    }

    /// Carries out all of it.
    pub(super) fn finish(&mut self) -> Result<(), ChannelError> {
        self.later.failed.take().map_or(Ok(()), Err)?;
        while let Some(action) = self.later.take() {
            self.carry_out(action)?;
        }
        self.publish()?;
        if std::mem::take(&mut self.routing_changed) {
            self.settle_routing();
        }
        Ok(())
    }

    /// The router has a timer to serve.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.router.poll_timeout().is_some_and(|at| at <= now)
    }

    /// Those that are published at one moment go in one message.
    fn publish_soon(&mut self, snapshot: Snapshot) -> Result<(), ChannelError> {
        self.siblings.say(snapshot.id, snapshot.role.state());
        // With many senders in it one may fill a message.
        let is_large = !snapshot.signatures.heard.is_empty();
        if is_large {
            self.publish()?;
        }
        self.later.snapshots.push(snapshot);
        if is_large || self.later.snapshots.len() >= TOGETHER {
            self.publish()?;
        }
        Ok(())
    }

    fn publish(&mut self) -> Result<(), ChannelError> {
        if self.later.snapshots.is_empty() {
            return Ok(());
        }
        let snapshots = std::mem::take(&mut self.later.snapshots);
        self.channel.send(&FromVrrpd::Snapshots(snapshots))
    }

    fn tell(&mut self, news: &FromVrrpd) -> Result<(), ChannelError> {
        self.publish()?;
        self.channel.send(news)
    }

    fn carry_out(&mut self, action: Action) -> Result<(), ChannelError> {
        match action {
            Action::SendAdvert { .. } | Action::SetAddresses { .. } => {}
            Action::Announce {
                device, address, ..
            } => self.announce(&device, address),
            Action::Publish(snapshot) => self.publish_soon(*snapshot)?,
            Action::Transition {
                instance,
                to,
                priority,
                cause,
            } => {
                self.tell(&FromVrrpd::Transition {
                    instance,
                    to,
                    priority,
                    cause,
                })?;
            }
            Action::LowerPriorityHeard { instance } => {
                self.tell(&FromVrrpd::LowerPriorityHeard { instance })?;
            }
            Action::GroupTransition { group, to } => {
                self.tell(&FromVrrpd::GroupTransition { group, to })?;
            }
            Action::Event(event) => match event.severity() {
                Severity::Info => log::info!("{event}"),
                Severity::Warning => log::warn!("{event}"),
            },
        }
        Ok(())
    }
}
