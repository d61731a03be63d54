//! What the router wants done is done.

use std::collections::BTreeSet;

use kr_ipc::ChannelError;
use kr_ipc::edge::parentd_vrrpd::FromVrrpd;
use kr_model::vrrp::Snapshot;
use kr_vrrp::{Action, Input, Severity};

use super::Daemon;
use crate::sockets::Outgoing;

impl Daemon {
    /// Carries out everything that the router wants done, and tells it what became of addresses.
    pub(super) fn act(&mut self) -> Result<(), ChannelError> {
        self.carry_out()?;
        while let Some(id) = self.unjudged.pop_first() {
            if let Some(set) = self.judge(id) {
                let input = Input::Addresses { instance: id, set };
                self.router.handle(input, self.clock.now());
                self.carry_out()?;
            }
        }
        Ok(())
    }

    /// What a successor has to know before it happens is said first. Then the adverts of all go, then the addresses
    /// of all change in one request, then everything else follows.
    fn carry_out(&mut self) -> Result<(), ChannelError> {
        let mut rest = Vec::new();
        let mut moved = BTreeSet::new();
        let mut published = Ok(());
        while let Some(action) = self.router.poll_action() {
            if let Action::SendAdvert {
                interface,
                destination,
                packet,
                ..
            } = action
            {
                let advert = Outgoing {
                    destination,
                    packet,
                };
                self.queue_advert(&interface, advert);
            } else if let Action::SetAddresses { instance, present } = action {
                if present {
                    self.present.insert(instance);
                } else {
                    self.present.remove(&instance);
                }
                moved.insert(instance);
            } else if let Action::Publish(snapshot) = action {
                if moved.contains(&snapshot.id) {
                    rest.push(Action::Publish(snapshot));
                } else {
                    published = published.and_then(|()| self.publish(snapshot));
                }
            } else {
                rest.push(action);
            }
        }
        self.send_adverts();
        self.set_addresses(&moved);
        // Also a process whose parent is gone does what its peers and the kernel expect.
        published?;
        for action in rest {
            match action {
                Action::SendAdvert { .. } | Action::SetAddresses { .. } => {}
                Action::Announce {
                    device, address, ..
                } => self.announce(&device, address),
                Action::Publish(snapshot) => self.publish(snapshot)?,
                Action::Transition {
                    instance,
                    to,
                    priority,
                    cause,
                } => {
                    self.channel.send(&FromVrrpd::Transition {
                        instance,
                        to,
                        priority,
                        cause,
                    })?;
                }
                Action::LowerPriorityHeard { instance } => {
                    self.channel
                        .send(&FromVrrpd::LowerPriorityHeard { instance })?;
                }
                Action::GroupTransition { group, to } => {
                    self.channel
                        .send(&FromVrrpd::GroupTransition { group, to })?;
                }
                Action::Event(event) => match event.severity() {
                    Severity::Info => log::info!("{event}"),
                    Severity::Warning => log::warn!("{event}"),
                },
            }
        }
        if std::mem::take(&mut self.routing_changed) {
            self.settle_routing();
        }
        Ok(())
    }

    fn publish(&mut self, snapshot: Box<Snapshot>) -> Result<(), ChannelError> {
        self.siblings.say(snapshot.id, snapshot.role.state());
        self.channel.send(&FromVrrpd::Snapshot(snapshot))
    }
}
