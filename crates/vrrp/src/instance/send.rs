//! What an instance sends: adverts, address changes, announcements.

use std::net::IpAddr;
use std::time::Duration;

use kr_model::Instant;
use kr_model::net::Family;
use kr_model::signing::Utc;
use kr_model::units::AdvertInterval;
use kr_model::vrrp::{Authentication, Cause, Instance, Transport, Version};
use kr_wire::advert::{
    self, ADVERTISEMENT, AUTH_HEADER, AUTH_NONE, AUTH_PASSWORD, Advert, Body, Ends,
};
use kr_wire::ah;
use kr_wire::ipv4::{self, PROTOCOL_AH, PROTOCOL_VRRP, TOS_INTERNETWORK_CONTROL};
use kr_wire::ipv6::{self, TRAFFIC_CLASS_INTERNETWORK_CONTROL};
use kr_wire::trailer::Trailer;

use super::{Backup, PUBLISH_EVERY, Patience, Phase, Turn, VirtualRouter};
use crate::action::Action;
use crate::event::EventKind;
use crate::phase::Phase as AdvertPhase;
use crate::receive;
use crate::timing;

/// RFC 9568 section 5.1.1.3: a receiver believes nothing that passed a router.
const LINK_TTL: u8 = 255;
const UNICAST_HOP_LIMIT: u8 = 64;

/// Sequence numbers that a published snapshot of a master is ahead: more than it sends until the next one.
const RESERVE: u32 = 1000;

/// The messages of the last advert, which are nearly always those of the next one too.
#[derive(Debug)]
pub(super) struct Messages {
    source: IpAddr,
    priority: u8,
    /// By destination: the group, or every peer.
    of: Vec<(IpAddr, Vec<u8>)>,
}

impl Messages {
    fn new(config: &Instance, source: IpAddr, priority: u8, old_checksum: bool) -> Self {
        let destinations = match &config.transport {
            Transport::Multicast { group, .. } => vec![*group],
            Transport::Unicast { peers, .. } => peers.iter().map(|peer| peer.address).collect(),
        };
        let message = |destination| {
            let ends = Ends {
                source,
                destination,
            };
            let covered = if old_checksum {
                receive::old_unicast_ends(ends)
            } else {
                ends
            };
            (destination, encode(config, priority, covered))
        };
        Self {
            source,
            priority,
            of: destinations.into_iter().map(message).collect(),
        }
    }
}

impl VirtualRouter {
    /// Sends the advert of a master and starts the next interval.
    pub(super) fn send_advert(&mut self, turn: &mut Turn<'_>) {
        self.send_with_priority(self.priority().get(), turn);
        let interval = self.config.advert_interval.as_duration();
        let Phase::Master(master) = &mut self.phase else {
            return;
        };
        master.advert_at = turn.now.saturating_add(interval);
        if let Some(rival) = &mut master.rival {
            rival.patience = match rival.patience {
                Patience::Adverts(left) if left > 1 => Patience::Adverts(left - 1),
                Patience::Adverts(_) => {
                    let longer = interval.max(rival.interval.as_duration());
                    Patience::Until(turn.now.saturating_add(longer * 6 / 5))
                }
                Patience::Until(end) => Patience::Until(end),
            };
        }
    }

    /// When the next advert may leave, if another one leaves then.
    pub(crate) fn sociable_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Master(master) => Some(
                master
                    .advert_at
                    .saturating_sub(lead(self.config.advert_interval)),
            ),
            Phase::Init | Phase::Waiting | Phase::Backup(_) | Phase::Fault => None,
        }
    }

    /// When the next advert is due.
    pub(crate) const fn advert_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Master(master) => Some(master.advert_at),
            Phase::Init | Phase::Waiting | Phase::Backup(_) | Phase::Fault => None,
        }
    }

    /// Sends the advert whose time has come (RFC 3768 section 6.4.3, Adver_Timer). The next one is due an
    /// interval after this one was, so that lateness does not add up.
    pub(super) fn send_due_advert(&mut self, phase: AdvertPhase, turn: &mut Turn<'_>) {
        let Phase::Master(master) = &self.phase else {
            return;
        };
        let due = master.advert_at;
        if due > turn.now.saturating_add(lead(self.config.advert_interval)) {
            return;
        }
        let late = turn.now.since(due);
        if self.is_overtaken(late) {
            self.give_up(late, turn);
            return;
        }
        self.send_advert(turn);
        let interval = self.config.advert_interval.as_duration();
        // From when it was due, or went out before: those that once left together stay together. A pause of whole
        // intervals moves no schedule either.
        let next = due.min(turn.now).saturating_add(interval);
        if let Phase::Master(master) = &mut self.phase {
            master.advert_at = if next > turn.now {
                next.saturating_sub(phase.ahead(interval))
            } else {
                next.saturating_add(timing::whole_periods(turn.now.since(next), interval))
                    .saturating_add(interval)
            };
        }
        self.announce_after_a_pause(late, turn);
        self.publish_unless_within(PUBLISH_EVERY, turn);
    }

    /// `timer_expired_backup`: the last advert is three intervals and a skew ago, so a backup of that priority
    /// is master by now, and with `nopreempt` it shall stay so.
    fn is_overtaken(&self, late: Duration) -> bool {
        let interval = self.config.advert_interval;
        self.config.yields_when_late.is_some_and(|priority| {
            let skew = timing::skew(self.config.version, priority, interval);
            late >= interval.as_duration() * 2 + skew
        })
    }

    fn give_up(&mut self, late: Duration, turn: &mut Turn<'_>) {
        let interval = self.config.advert_interval;
        let down_at = turn.now.saturating_add(self.master_down(interval));
        let backup = Backup::until(down_at, interval);
        self.give_way(backup, Cause::HeldUp { late }, turn);
    }

    /// A master that sent nothing for so long that a backup may have taken over announces again: the
    /// backup gives way to the advert without a word, and the link would keep its addresses. A backup of
    /// our own priority would wait for our own master-down time; the others have a longer skew.
    fn announce_after_a_pause(&mut self, late: Duration, turn: &mut Turn<'_>) {
        let interval = self.config.advert_interval;
        if late + interval.as_duration() >= self.master_down(interval) {
            self.say(EventKind::SilentTooLong { late }, turn);
            self.announcer.clear();
            self.announcer.become_master(&self.config, turn.now);
        }
    }

    /// Priority 0: a backup need not wait (RFC 3768 section 6.4.3, Shutdown).
    pub(super) fn send_farewell(&mut self, turn: &mut Turn<'_>) {
        if self.send_with_priority(0, turn) {
            self.counters.priority_zero_sent = self.counters.priority_zero_sent.saturating_add(1);
        }
    }

    pub(super) fn set_addresses(&self, present: bool, turn: &mut Turn<'_>) {
        turn.actions.push_back(Action::SetAddresses {
            instance: self.config.id,
            present,
        });
    }

    pub(super) fn send_announcements(&mut self, turn: &mut Turn<'_>) {
        for target in self.announcer.poll(&self.config, turn.now, turn.pace) {
            turn.actions.push_back(Action::Announce {
                instance: self.config.id,
                device: target.device,
                address: target.address,
            });
        }
    }

    /// A unicast router that can work again announces its own address: its peers, or the routers on the
    /// way, may have lost it.
    pub(super) fn announce_source(&self, turn: &mut Turn<'_>) {
        if let (Transport::Unicast { .. }, Some(address)) =
            (&self.config.transport, self.own_address())
        {
            turn.actions.push_back(Action::Announce {
                instance: self.config.id,
                device: self.config.interface.clone(),
                address,
            });
        }
    }

    /// Sends an advert to the group or to each peer. False when there is no address to send from.
    fn send_with_priority(&mut self, priority: u8, turn: &mut Turn<'_>) -> bool {
        let Some(source) = self.own_address() else {
            return false;
        };
        let messages = match self.messages.take() {
            Some(same) if same.source == source && same.priority == priority => same,
            Some(_) | None => Messages::new(&self.config, source, priority, self.old_checksum),
        };
        self.reserve_sequence(turn);
        let ttl = ttl(&self.config);
        let trailer = self.sign(&messages, turn.utc);
        for (destination, message) in &messages.of {
            self.ip_id = self.ip_id.checked_add(1).unwrap_or(1);
            let ends = Ends {
                source,
                destination: *destination,
            };
            let packet = match &self.config.authentication {
                Authentication::Header(key) => {
                    self.sequence = self.sequence.wrapping_add(1);
                    sealed_packet(
                        ends,
                        ttl,
                        self.ip_id,
                        key.as_bytes(),
                        self.sequence,
                        message,
                    )
                }
                Authentication::Signed(_) => {
                    let signed = advert::append_trailer(message, &trailer, ends);
                    packet(ends, ttl, self.ip_id, &signed)
                }
                Authentication::None | Authentication::Password(_) => {
                    packet(ends, ttl, self.ip_id, message)
                }
            };
            let Some(packet) = packet else {
                continue;
            };
            turn.actions.push_back(Action::SendAdvert {
                instance: self.config.id,
                interface: self.config.interface.clone(),
                destination: *destination,
                packet,
            });
        }
        self.messages = Some(messages);
        self.counters.advert_sent = self.counters.advert_sent.saturating_add(1);
        true
    }

    /// What a successor of this process may go on from: a master sends before it publishes again.
    pub(super) fn reservation(&self) -> u32 {
        match (&self.config.authentication, &self.phase) {
            (Authentication::Header(_), Phase::Master(_)) => self.sequence.wrapping_add(RESERVE),
            (
                Authentication::Header(_),
                Phase::Init | Phase::Waiting | Phase::Backup(_) | Phase::Fault,
            )
            | (Authentication::None | Authentication::Password(_) | Authentication::Signed(_), _) => {
                self.sequence
            }
        }
    }

    /// The trailer of the next advert, the same for all its copies; empty when own adverts are not signed.
    fn sign(&mut self, messages: &Messages, utc: Utc) -> Vec<u8> {
        let Authentication::Signed(signing) = &self.config.authentication else {
            return Vec::new();
        };
        let (Some(active), Some((_, message))) = (signing.mode.active(), messages.of.first())
        else {
            return Vec::new();
        };
        let stamp = self.signatures.stamp(signing.replay, utc);
        Trailer::sign(active.id, &active.key, stamp, messages.source, message).emit()
    }

    /// Publishes anew before the reserved sequence numbers are used up.
    fn reserve_sequence(&mut self, turn: &mut Turn<'_>) {
        let packets = match &self.config.transport {
            Transport::Multicast { .. } => 1,
            Transport::Unicast { peers, .. } => u32::try_from(peers.len()).unwrap_or(u32::MAX),
        };
        if matches!(self.config.authentication, Authentication::Header(_))
            && matches!(self.phase, Phase::Master(_))
            && is_newer(self.sequence.wrapping_add(packets), self.reserved)
        {
            self.publish(turn);
        }
    }

    /// The address that equal priorities are compared by.
    pub(super) fn own_address(&self) -> Option<IpAddr> {
        match self.config.transport {
            Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => {
                source.or(self.source)
            }
        }
    }
}

/// The most that an advert leaves before its time.
pub(crate) const LONGEST_LEAD: Duration = Duration::from_millis(4);

/// How much before its time an advert may leave together with another one: one system call for many costs less
/// than one for each, and a receiver waits for three intervals.
fn lead(interval: AdvertInterval) -> Duration {
    (interval.as_duration() / 64).min(LONGEST_LEAD)
}

fn encode(config: &Instance, priority: u8, ends: Ends) -> Vec<u8> {
    let centiseconds = config.advert_interval.get();
    let body = match config.version {
        Version::V2 => {
            let (auth_type, auth_data) = match &config.authentication {
                Authentication::None | Authentication::Signed(_) => (AUTH_NONE, [0; 8]),
                Authentication::Password(password) => (AUTH_PASSWORD, *password.as_bytes()),
                Authentication::Header(_) => (AUTH_HEADER, [0; 8]),
            };
            Body::V2 {
                auth_type,
                interval: u8::try_from(centiseconds / 100).unwrap_or(u8::MAX),
                auth_data,
            }
        }
        Version::V3 => Body::V3 {
            interval: centiseconds,
        },
    };
    let lines = config.addresses.iter().map(|line| line.address.address());
    let advert = Advert {
        kind: ADVERTISEMENT,
        vrid: config.vrid,
        priority,
        // The count field ends at 255; the rest is held, and announced, but not listed.
        addresses: lines
            .filter(|address| Family::of(*address) == config.family)
            .take(usize::from(u8::MAX))
            .collect(),
        body,
    };
    advert::emit_covered(&advert, ends, receive::coverage(config)).unwrap_or_default()
}

/// Time to live, or hop limit. keepalived leaves that of unicast adverts over IPv6 to the kernel, whose
/// default is 64.
const fn ttl(config: &Instance) -> u8 {
    match (&config.transport, config.family) {
        (Transport::Unicast { ttl: Some(ttl), .. }, _) => *ttl,
        (Transport::Multicast { .. }, _) | (Transport::Unicast { ttl: None, .. }, Family::Inet) => {
            LINK_TTL
        }
        (Transport::Unicast { ttl: None, .. }, Family::Inet6) => UNICAST_HOP_LIMIT,
    }
}

/// True when a sequence number comes after another one, also across the wrap (RFC 1982 section 3.2).
pub(super) const fn is_newer(sequence: u32, last: u32) -> bool {
    let ahead = sequence.wrapping_sub(last);
    ahead != 0 && ahead < 1 << 31
}

fn sealed_packet(
    ends: Ends,
    ttl: u8,
    id: u16,
    key: &[u8; 8],
    sequence: u32,
    message: &[u8],
) -> Option<Vec<u8>> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (ends.source, ends.destination) else {
        return None;
    };
    let header = ipv4::Header {
        tos: TOS_INTERNETWORK_CONTROL,
        id,
        ttl,
        protocol: PROTOCOL_AH,
        source,
        destination,
    };
    ipv4::emit(&header, &ah::seal(key, &header, sequence, message)).ok()
}

fn packet(ends: Ends, ttl: u8, id: u16, message: &[u8]) -> Option<Vec<u8>> {
    match (ends.source, ends.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = ipv4::Header {
                tos: TOS_INTERNETWORK_CONTROL,
                id,
                ttl,
                protocol: PROTOCOL_VRRP,
                source,
                destination,
            };
            ipv4::emit(&header, message).ok()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = ipv6::Header {
                traffic_class: TRAFFIC_CLASS_INTERNETWORK_CONTROL,
                hop_limit: ttl,
                next_header: PROTOCOL_VRRP,
                source,
                destination,
            };
            ipv6::emit(&header, message).ok()
        }
        // The configuration keeps the families apart.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}
