//! A changed configuration of a running instance: everything is applied in place, the state stays.

use std::sync::Arc;
use std::time::Duration;

use kr_model::units::AdvertInterval;
use kr_model::vrrp::{ChecksumMode, Instance, Transport};

use super::{Phase, Surroundings, Turn, VirtualRouter};
use crate::timing;

impl VirtualRouter {
    /// True when a configuration can be applied in place: it is the same virtual router on the same link.
    pub(crate) fn is_same_router(&self, new: &Instance) -> bool {
        let old = &self.config;
        (old.version, old.family, old.vrid) == (new.version, new.family, new.vrid)
            && old.interface == new.interface
            && same_ends(&old.transport, &new.transport)
    }

    /// Applies a configuration that differs.
    pub(crate) fn reload(&mut self, new: Arc<Instance>, around: Surroundings, turn: &mut Turn<'_>) {
        let old = std::mem::replace(&mut self.config, new);
        self.messages = None;
        if old.priority != self.config.priority {
            self.gave_way = false;
        }
        if old.checksum != self.config.checksum {
            self.old_checksum = self.config.checksum == ChecksumMode::OldUnicast;
        }
        self.move_timers(&old, turn);
        if matches!(self.phase, Phase::Master(_)) {
            let same_lines =
                old.addresses == self.config.addresses && old.excluded == self.config.excluded;
            if !same_lines {
                self.set_addresses(true, turn);
                self.announcer.addresses_added(&self.config, &old);
                self.send_announcements(turn);
            }
        }
        self.surroundings_changed(around, turn);
        self.publish(turn);
    }

    /// The time since the last advert stays; what is counted from it follows the new settings.
    fn move_timers(&mut self, old: &Instance, turn: &Turn<'_>) {
        let new = &self.config;
        match &mut self.phase {
            Phase::Init | Phase::Waiting | Phase::Fault => {}
            Phase::Master(master) => {
                let next = turn.now.saturating_add(new.advert_interval.as_duration());
                master.advert_at = master.advert_at.min(next);
            }
            Phase::Backup(backup) => {
                if new.preemption != old.preemption {
                    backup.preempt_at = None;
                }
                let before = wait(old, backup.interval);
                if backup.interval == old.advert_interval {
                    backup.interval = new.advert_interval;
                }
                if new.priority.is_owner() && !old.priority.is_owner() {
                    backup.master_down_at = turn.now;
                } else if !backup.resigned {
                    backup.master_down_at = backup
                        .master_down_at
                        .saturating_add(wait(new, backup.interval))
                        .saturating_sub(before);
                }
            }
        }
    }
}

/// True when adverts come from and, to a group, go to the same address. Peers may come and go.
fn same_ends(old: &Transport, new: &Transport) -> bool {
    match (old, new) {
        (Transport::Unicast { source, .. }, Transport::Unicast { source: other, .. }) => {
            source == other
        }
        (Transport::Multicast { .. }, _) | (_, Transport::Multicast { .. }) => old == new,
    }
}

fn wait(config: &Instance, interval: AdvertInterval) -> Duration {
    let adverts = config.down_timer_adverts;
    timing::master_down(config.version, config.priority, interval, adverts)
}
