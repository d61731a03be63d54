//! What a received advert does (RFC 3768 sections 6.4.2 and 6.4.3).

use std::net::IpAddr;
use std::time::Duration;

use kr_model::Instant;
use kr_model::units::{AdvertInterval, Priority};
use kr_model::vrrp::{Cause, Preemption, Transport, Version};

use super::{
    Backup, Master, Overlap, PUBLISH_EVERY, PUBLISH_MASTER_EVERY, Patience, Phase, Rival, Turn,
    VirtualRouter, send,
};
use crate::action::Action;
use crate::event::EventKind;
use crate::input::PacketHeader;
use crate::receive::{self, Complaint, Heard};

/// Own adverts that another owner gets to give way.
const RIVAL_ADVERTS: u8 = 2;

/// How well a packet fits a router, from bad to good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// Sent to where the router does not listen.
    None,
    /// Sent to where the router listens, by somebody who is no peer of it.
    Destination,
    /// From a sender that the router expects.
    Sender,
}

/// An advert as a backup sees it.
enum Regard {
    /// Priority 0.
    Resigning,
    /// Its sender is the master to wait for.
    Master,
    /// Its sender is worse than us, and may be preempted.
    Overtaken,
}

/// An advert as a master sees it.
enum Rank {
    /// Priority 0.
    Resigning,
    /// Wins the election against us.
    Better,
    /// Loses the election against us.
    Worse,
    /// An address owner, like us, of lower address: it should give way.
    WorseOwner,
    /// Our own address and priority.
    Ourselves,
}

impl Backup {
    /// Also keeps `preempt_delay`, which runs from the first advert of lower priority until one that is not.
    fn regard(&mut self, priority: u8, own: u8, preemption: Preemption, now: Instant) -> Regard {
        if priority == 0 {
            return Regard::Resigning;
        }
        if priority >= own {
            self.preempt_at = None;
            return Regard::Master;
        }
        match preemption {
            Preemption::Immediate => Regard::Overtaken,
            Preemption::Never => Regard::Master,
            Preemption::Delayed(delay) => {
                let end = *self
                    .preempt_at
                    .get_or_insert_with(|| now.saturating_add(delay));
                if now < end {
                    Regard::Master
                } else {
                    Regard::Overtaken
                }
            }
        }
    }
}

impl VirtualRouter {
    /// A packet with our virtual router id came in on our interface.
    pub(crate) fn packet(&mut self, header: PacketHeader, payload: &[u8], turn: &mut Turn<'_>) {
        match self.phase {
            Phase::Init | Phase::Waiting | Phase::Fault => return,
            Phase::Backup(_) | Phase::Master(_) => {}
        }
        let own = self.own_address();
        let signatures = &mut self.signatures;
        let checked = receive::check(&self.config, own, header, payload, signatures, turn.utc);
        let (advert, heard) = match checked {
            Ok(good) => good,
            Err(complaint) => return self.complain(header.source, complaint, turn),
        };
        if self.config.ignore_adverts && self.priority().is_owner() {
            return self.complain(header.source, Complaint::OwnerIgnores, turn);
        }
        if heard.old_checksum && !self.old_checksum {
            self.old_checksum = true;
            self.messages = None;
            let source = header.source;
            self.say(EventKind::OldChecksum { source }, turn);
            // A successor of this process must not send what such peers refuse.
            self.publish(turn);
        }
        if let Some(sequence) = heard.sequence {
            if !send::is_newer(sequence, self.sequence) {
                return self.complain(header.source, Complaint::Replayed(sequence), turn);
            }
            self.sequence = sequence;
        }
        self.counters.advert_received = self.counters.advert_received.saturating_add(1);
        if let Some(skew) = heard.clock_skew {
            self.complain(heard.source, Complaint::ClockSkew(skew), turn);
        }
        if heard.interval != self.config.advert_interval {
            let (theirs, ours) = (heard.interval.get(), self.config.advert_interval.get());
            self.complain(
                heard.source,
                Complaint::IntervalLearned { theirs, ours },
                turn,
            );
        }
        if (self.is_new_master(heard) || !self.config.check_addresses_once)
            && !receive::addresses_match(&self.config, &advert)
        {
            self.complain(heard.source, Complaint::AddressList, turn);
        }
        if heard.priority == 0 {
            self.counters.priority_zero_received =
                self.counters.priority_zero_received.saturating_add(1);
        }
        if self.config.priority.is_owner() && heard.priority < Priority::OWNER.get() {
            self.gave_way = false;
        }
        match self.phase {
            Phase::Init | Phase::Waiting | Phase::Fault => {}
            Phase::Backup(_) => self.backup_hears(heard, turn),
            Phase::Master(_) => self.master_hears(heard, turn),
        }
    }

    /// How well a packet fits this router among those that share its virtual router id and interface.
    pub(crate) fn claim(&self, header: PacketHeader) -> Claim {
        if !receive::listens(&self.config, self.own_address(), header.destination) {
            return Claim::None;
        }
        match &self.config.transport {
            Transport::Multicast { .. } => Claim::Sender,
            Transport::Unicast { peers, .. } => {
                if peers.iter().any(|peer| peer.address == header.source) {
                    Claim::Sender
                } else {
                    Claim::Destination
                }
            }
        }
    }

    fn complain(&mut self, source: IpAddr, complaint: Complaint, turn: &mut Turn<'_>) {
        complaint.count(&mut self.counters);
        if self.said.is_first_complaint(complaint) {
            self.say(EventKind::Complaint { source, complaint }, turn);
        }
    }

    fn is_new_master(&self, heard: Heard) -> bool {
        match &self.phase {
            Phase::Backup(backup) => backup.master.is_none_or(|(known, _)| known != heard.source),
            Phase::Init | Phase::Waiting | Phase::Master(_) | Phase::Fault => true,
        }
    }

    /// RFC 3768 section 6.4.2.
    fn backup_hears(&mut self, heard: Heard, turn: &mut Turn<'_>) {
        let own = self.priority().get();
        let preemption = self.config.preemption;
        let interval = self.learned_interval(heard);
        let skew_ends = turn.now.saturating_add(self.skew(interval));
        let down_ends = turn.now.saturating_add(self.master_down(interval));
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        let preempted = backup.preempt_at;
        match backup.regard(heard.priority, own, preemption, turn.now) {
            Regard::Resigning => {
                backup.master_down_at = skew_ends;
                backup.ready = None;
                if !std::mem::replace(&mut backup.resigned, true) {
                    self.publish_unless_within(PUBLISH_MASTER_EVERY, turn);
                }
            }
            // The down timer keeps running: this router takes over when it ends.
            Regard::Overtaken => {}
            Regard::Master => {
                let master = Some((heard.source, heard.priority));
                let before = backup.master;
                let known =
                    (before, backup.resigned, preempted) == (master, false, backup.preempt_at);
                *backup = Backup {
                    master_down_at: down_ends,
                    resigned: false,
                    master,
                    interval,
                    preempt_at: backup.preempt_at,
                    grace_given: false,
                    ready: None,
                };
                if before != master {
                    self.said.forget_for_master(turn.now);
                }
                let pause = match before {
                    Some(_) if known => PUBLISH_EVERY,
                    Some(_) => PUBLISH_MASTER_EVERY,
                    None => Duration::ZERO,
                };
                self.publish_unless_within(pause, turn);
            }
        }
    }

    /// RFC 3768 section 6.4.3.
    fn master_hears(&mut self, heard: Heard, turn: &mut Turn<'_>) {
        let source = heard.source;
        match self.rank(heard) {
            Rank::Resigning => self.send_advert(turn),
            Rank::Better => {
                if self.config.advert_before_yielding {
                    self.send_advert(turn);
                }
                self.yield_to(heard, turn);
            }
            Rank::WorseOwner if self.rival_outlasts_us(heard, turn) => {
                self.gave_way = true;
                self.say(EventKind::GaveWayToOwner { source }, turn);
                self.yield_to(heard, turn);
            }
            Rank::Worse | Rank::WorseOwner => {
                if self.config.answer_lower_priority {
                    self.send_advert(turn);
                }
                self.follow_overlap(heard, turn);
            }
            Rank::Ourselves => self.complain(source, Complaint::OwnAddress, turn),
        }
    }

    /// Two masters: neighbours may have learned either. The winner announces its addresses each interval as
    /// long as it hears the other one, and once more when that has gone quiet. The advert that a router
    /// sends as its last one before it yields comes right after the take-over, which announces anyway and
    /// is no trouble to tell anybody of.
    fn follow_overlap(&mut self, heard: Heard, turn: &mut Turn<'_>) {
        let (source, priority) = (heard.source, heard.priority);
        let own = self.config.advert_interval.as_duration();
        let fresh = turn.now.since(self.since) < own;
        let longer = own.max(heard.interval.as_duration());
        let ends_at = turn.now.saturating_add(longer * 3 / 2);
        let Phase::Master(Master { overlap, .. }) = &mut self.phase else {
            return;
        };
        let told = !fresh || overlap.as_ref().is_some_and(|known| known.told);
        *overlap = Some(Overlap {
            source,
            ends_at,
            told,
        });
        if fresh {
            return;
        }
        self.say_once(EventKind::LowerPriorityMaster { source, priority }, turn);
        if self.announcer.lower_priority_heard(&self.config, turn.now) {
            self.tell_overlap(turn);
        }
        self.send_announcements(turn);
    }

    /// The other master was not heard for a while: it has left, and may have announced the addresses before.
    pub(super) fn end_overlap(&mut self, turn: &mut Turn<'_>) {
        let Phase::Master(Master { overlap, .. }) = &mut self.phase else {
            return;
        };
        let Some(ended) = overlap.take_if(|overlap| overlap.ends_at <= turn.now) else {
            return;
        };
        self.announcer.overlap_ended(&self.config, turn.now);
        if ended.told {
            let source = ended.source;
            self.say(EventKind::OverlapEnded { source }, turn);
            self.said.forget_events();
            self.tell_overlap(turn);
        }
    }

    fn tell_overlap(&self, turn: &mut Turn<'_>) {
        let instance = self.config.id;
        turn.actions
            .push_back(Action::LowerPriorityHeard { instance });
    }

    fn rank(&self, heard: Heard) -> Rank {
        let own = self.priority();
        if heard.priority == 0 {
            Rank::Resigning
        } else if heard.priority != own.get() {
            if heard.priority > own.get() {
                Rank::Better
            } else {
                Rank::Worse
            }
        } else {
            match self.own_address() {
                Some(address) if address == heard.source => Rank::Ourselves,
                Some(address) if heard.source < address && own.is_owner() => Rank::WorseOwner,
                Some(address) if heard.source < address => Rank::Worse,
                Some(_) | None => Rank::Better,
            }
        }
    }

    /// A worse owner should give way to our adverts. One that goes on after two of them and 1.2 intervals
    /// never will (it follows the letter of the RFC, where an owner is always master); then we do.
    fn rival_outlasts_us(&mut self, heard: Heard, turn: &mut Turn<'_>) -> bool {
        let own = self.config.advert_interval;
        let Phase::Master(Master { rival, .. }) = &mut self.phase else {
            return false;
        };
        let longer = own.as_duration().max(heard.interval.as_duration());
        if let Some(known) = rival
            && turn.now.since(known.heard_at) <= longer * 3
        {
            known.heard_at = turn.now;
            known.interval = heard.interval;
            return matches!(known.patience, Patience::Until(end) if end <= turn.now);
        }
        *rival = Some(Rival {
            heard_at: turn.now,
            interval: heard.interval,
            patience: Patience::Adverts(RIVAL_ADVERTS),
        });
        self.say(
            EventKind::TwoOwners {
                source: heard.source,
            },
            turn,
        );
        false
    }

    /// MASTER ends because another router is the better one.
    fn yield_to(&mut self, heard: Heard, turn: &mut Turn<'_>) {
        let interval = self.learned_interval(heard);
        let backup = Backup {
            master_down_at: turn.now.saturating_add(self.master_down(interval)),
            resigned: false,
            master: Some((heard.source, heard.priority)),
            interval,
            preempt_at: None,
            grace_given: false,
            ready: None,
        };
        let cause = Cause::BetterMaster {
            source: heard.source,
            priority: heard.priority,
        };
        self.give_way(backup, cause, turn);
    }

    /// RFC 9568 section 6.4.2: version 3 takes the interval of the master; in version 2 they are equal.
    fn learned_interval(&self, heard: Heard) -> AdvertInterval {
        match self.config.version {
            Version::V2 => self.config.advert_interval,
            Version::V3 => heard.interval,
        }
    }
}
