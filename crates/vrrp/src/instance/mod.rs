//! One virtual router: its state, and everything that leads from one state to another.
//!
//! ```text
//!            start, fault cleared                    master-down timer
//!   INIT ───────────────────────▶ BACKUP ──────────────────────────────▶ MASTER
//!     │                          │   ▲  ◀──────────────────────────────   │
//!     └────────▶ FAULT ◀─────────┘   │        better advert heard         │
//!                 │ ▲  fault gone    │                                    │
//!                 └─┼────────────────┘                                    │
//!                   └─────────────────────────────────────────────────────┘
//! ```
//! What an advert does is in `hear`, what is sent in `send`, a changed configuration in `reload`.

mod hear;
mod reload;
mod said;
mod send;

pub(crate) use send::LONGEST_LEAD;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kr_model::Instant;
use kr_model::signing::Utc;
use kr_model::units::{AdvertInterval, Priority};
use kr_model::vrrp::{
    Authentication, Cause, ChecksumMode, Counters, Instance, Role, SignatureMarks, Snapshot, State,
};

use crate::action::Action;
use crate::announce::{Announcer, Pace};
use crate::event::{Event, EventKind};
use crate::phase::Phase as AdvertPhase;
use crate::signing::Signatures;
use crate::timing;
use crate::tracking::Trackers;
use said::Said;

/// A state that does not change is published again at most this often, for the counters of dumps. The
/// resume does not depend on it: see [`VirtualRouter::resume`].
const PUBLISH_EVERY: Duration = Duration::from_secs(5);

/// Another master is published at most this often: senders can be invented.
const PUBLISH_MASTER_EVERY: Duration = Duration::from_millis(100);

/// What one input may use.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    /// The time of day.
    pub(crate) utc: Utc,
    /// `now`, or the end of `vrrp_startup_delay`: timers of a start count from here.
    pub(crate) start_at: Instant,
    pub(crate) actions: &'a mut VecDeque<Action>,
    pub(crate) pace: &'a mut Pace,
    /// For the names of tracked objects.
    pub(crate) trackers: &'a Trackers,
    /// What changed around the instance, for log lines.
    pub(crate) news: Option<&'a str>,
}

/// The kernel's side of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// The address to send from, when there is one.
    pub(crate) source: Option<IpAddr>,
    /// Why the instance cannot work, or [waits](Cause::is_waiting).
    pub(crate) fault: Option<Cause>,
    /// What tracked objects add to the priority.
    pub(crate) weight: i32,
}

/// One virtual router.
#[derive(Debug)]
pub(crate) struct VirtualRouter {
    pub(super) config: Arc<Instance>,
    phase: Phase,
    /// Last known source address; kept in FAULT for the farewell.
    source: Option<IpAddr>,
    /// What tracked objects add to the priority.
    weight: i32,
    /// An owner that gave way to another owner counts as 254 until it is needed again.
    gave_way: bool,
    counters: Counters,
    since: Instant,
    cause: Cause,
    ip_id: u16,
    /// The largest sequence number of an authentication header that was sent or taken: all routers of a
    /// virtual router count together.
    sequence: u32,
    /// Up to where a successor of this process was told that sequence numbers are used.
    reserved: u32,
    signatures: Signatures,
    /// Unicast adverts of version 3 have the checksum of keepalived up to 1.3.6.
    old_checksum: bool,
    announcer: Announcer,
    said: Said,
    messages: Option<send::Messages>,
    published_at: Instant,
}

#[derive(Debug)]
enum Phase {
    /// Not started.
    Init,
    /// Would start, but for the first result of a tracked script.
    Waiting,
    Backup(Backup),
    Master(Master),
    Fault,
}

#[derive(Debug)]
struct Backup {
    master_down_at: Instant,
    /// The timer runs because the master said priority 0.
    resigned: bool,
    /// The last accepted sender and its priority.
    master: Option<(IpAddr, u8)>,
    /// The interval that the timers use; version 3 learns it.
    interval: AdvertInterval,
    preempt_at: Option<Instant>,
    /// The timer came late once, and was given one more interval.
    grace_given: bool,
    /// This router would be master, and waits for the other members of its sync group.
    ready: Option<Cause>,
}

impl Backup {
    /// Nobody is heard yet.
    const fn until(master_down_at: Instant, interval: AdvertInterval) -> Self {
        Self {
            master_down_at,
            resigned: false,
            master: None,
            interval,
            preempt_at: None,
            grace_given: false,
            ready: None,
        }
    }
}

/// How a router stands to the other members of its sync group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not started.
    Absent,
    /// In FAULT.
    Out,
    /// BACKUP of a master that is there.
    Follower,
    /// BACKUP, and its timer runs without a master.
    Waiting,
    /// BACKUP, and would be MASTER if the group were ready.
    Ready,
    /// MASTER.
    Master,
}

#[derive(Debug)]
struct Master {
    advert_at: Instant,
    /// Another address owner of lower address that does not give way.
    rival: Option<Rival>,
    /// Another router acts as master too, and loses against this one.
    overlap: Option<Overlap>,
}

impl Master {
    const fn until(advert_at: Instant) -> Self {
        Self {
            advert_at,
            rival: None,
            overlap: None,
        }
    }
}

/// Two masters at a time.
#[derive(Debug)]
struct Overlap {
    /// The other one.
    source: IpAddr,
    /// When it counts as over, unless another advert comes.
    ends_at: Instant,
    /// The parent was told.
    told: bool,
}

#[derive(Debug)]
struct Rival {
    heard_at: Instant,
    interval: AdvertInterval,
    patience: Patience,
}

/// How long this owner still expects the rival to give way.
#[derive(Debug)]
enum Patience {
    /// Until this many own adverts were sent.
    Adverts(u8),
    /// Until then.
    Until(Instant),
}

impl VirtualRouter {
    pub(crate) fn new(config: Arc<Instance>, now: Instant) -> Self {
        Self {
            old_checksum: config.checksum == ChecksumMode::OldUnicast,
            config,
            phase: Phase::Init,
            source: None,
            weight: 0,
            gave_way: false,
            counters: Counters::default(),
            since: now,
            cause: Cause::Start,
            ip_id: 0,
            sequence: 0,
            reserved: 0,
            signatures: Signatures::default(),
            announcer: Announcer::default(),
            said: Said::new(now),
            messages: None,
            published_at: now,
        }
    }

    /// First start (RFC 3768 section 6.4.1). Left-over addresses are removed; also an owner passes
    /// through BACKUP, for no time.
    pub(crate) fn start(&mut self, around: Surroundings, turn: &mut Turn<'_>) {
        self.source = around.source.or(self.source);
        self.weight = around.weight;
        self.set_addresses(false, turn);
        match around.fault {
            Some(cause) if cause.is_waiting() => self.wait(cause, turn),
            Some(cause) => self.enter_fault(cause, turn),
            None => self.enter_waiting(Cause::Start, turn),
        }
    }

    /// Goes on where a predecessor process ended.
    ///
    /// A master stays master: its next advert goes out when the stored one is due, at once when that time
    /// has passed. The stored time is never later than the true one, so no advert is skipped. When the
    /// gap was so long that a peer took over, the first advert settles it under the ordinary rules.
    ///
    /// A backup restarts its whole master-down time, like a router that just started: adverts may have
    /// come in the gap, and a backup must not take a living master for dead. It costs at most one
    /// master-down time, and only when the master dies together with this process. The stored deadline
    /// therefore need not be kept fresh. One that knew of no master, as at the start or after a priority 0, keeps
    /// it, but waits for as long as an advert of a new master may take.
    pub(crate) fn resume(&mut self, old: &Snapshot, around: Surroundings, turn: &mut Turn<'_>) {
        self.source = around.source.or(self.source);
        self.weight = around.weight;
        self.counters = old.counters;
        self.sequence = old.sequence;
        self.signatures = Signatures::resume(&old.signatures);
        self.old_checksum |= old.old_checksum && self.config.checksum == ChecksumMode::Detect;
        self.since = old.since;
        self.cause = old.cause;
        self.gave_way = self.config.priority.is_owner() && !old.priority.is_owner();
        match old.role {
            Role::Init => return self.start(around, turn),
            Role::Backup {
                master_down_at,
                master,
                interval,
                preempt_at,
            } => {
                self.set_addresses(false, turn);
                let whole = turn.start_at.saturating_add(self.master_down(interval));
                let least = turn.now.saturating_add(interval.as_duration());
                let least = least.saturating_add(self.skew(interval));
                self.phase = Phase::Backup(Backup {
                    master_down_at: match master {
                        Some(_) => whole,
                        None => master_down_at.max(least).min(whole),
                    },
                    resigned: false,
                    master,
                    interval,
                    preempt_at,
                    grace_given: false,
                    ready: None,
                });
            }
            Role::Master { advert_at } => {
                let next = turn
                    .now
                    .saturating_add(self.config.advert_interval.as_duration());
                self.phase = Phase::Master(Master::until(advert_at.min(next)));
                if around.fault.is_none() {
                    if advert_at <= turn.now {
                        self.send_advert(turn);
                    }
                    self.set_addresses(true, turn);
                    self.announcer.resume(&self.config, self.since, turn.now);
                    self.send_announcements(turn);
                }
            }
            Role::Fault => {
                self.set_addresses(false, turn);
                self.phase = Phase::Fault;
            }
        }
        self.surroundings_changed(around, turn);
        self.publish(turn);
    }

    /// A link, a source address or a tracked object changed. A script that a reload brought, and that has no
    /// result yet, disturbs nobody who runs.
    pub(crate) fn surroundings_changed(&mut self, around: Surroundings, turn: &mut Turn<'_>) {
        self.source = around.source.or(self.source);
        self.weigh(around.weight, turn);
        match (&self.phase, around.fault) {
            (Phase::Init, _) | (Phase::Backup(_) | Phase::Master(_), None) => {}
            (Phase::Backup(_) | Phase::Master(_), Some(cause)) if cause.is_waiting() => {}
            (Phase::Waiting, None) => self.enter_waiting(Cause::Start, turn),
            (Phase::Waiting, Some(cause)) if cause.is_waiting() => self.wait(cause, turn),
            (Phase::Fault, Some(cause)) if cause == self.cause => {}
            (Phase::Fault, Some(cause)) => {
                self.cause = cause;
                self.publish(turn);
            }
            (Phase::Fault, None) => {
                self.enter_waiting(Cause::FaultCleared, turn);
                self.announce_source(turn);
            }
            (Phase::Master(_), Some(cause)) => {
                self.resign(turn);
                self.set_addresses(false, turn);
                self.enter_fault(cause, turn);
            }
            (Phase::Waiting | Phase::Backup(_), Some(cause)) => self.enter_fault(cause, turn),
        }
    }

    /// Says why FAULT follows.
    pub(crate) fn addresses_refused(&self, again: Duration, turn: &mut Turn<'_>) {
        self.say(EventKind::AddressesRefused { again }, turn);
    }

    /// Serves what is due at `turn.now`; an advert that leaves is followed by one of that phase.
    pub(crate) fn timer(&mut self, advert_phase: AdvertPhase, turn: &mut Turn<'_>) {
        match &self.phase {
            Phase::Init | Phase::Waiting | Phase::Fault => {}
            Phase::Backup(backup) => {
                if backup.master_down_at <= turn.now && backup.ready.is_none() {
                    self.master_down_timer(turn);
                }
            }
            Phase::Master(_) => {
                self.send_due_advert(advert_phase, turn);
                self.end_overlap(turn);
                self.send_announcements(turn);
            }
        }
    }

    /// When [`Self::timer`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Init | Phase::Waiting | Phase::Fault => None,
            Phase::Backup(Backup { ready: Some(_), .. }) => None,
            Phase::Backup(backup) => Some(backup.master_down_at),
            Phase::Master(master) => {
                let overlap = master.overlap.as_ref().map(|overlap| overlap.ends_at);
                let others = overlap.into_iter().chain(self.announcer.deadline());
                others.chain([master.advert_at]).min()
            }
        }
    }

    /// Leaves for good. A removed instance ends in FAULT, one of an ending process in STOP.
    pub(crate) fn leave(&mut self, to: State, keep_addresses: bool, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Master(_)) {
            self.resign(turn);
            if !keep_addresses {
                self.set_addresses(false, turn);
            }
        }
        self.phase = Phase::Init;
        self.say_transition(to, Cause::Shutdown, turn);
    }

    /// Effective priority.
    fn priority(&self) -> Priority {
        if self.gave_way {
            Priority::BELOW_OWNER
        } else {
            self.weighed_priority()
        }
    }

    /// The priority with what tracked objects add, which never makes or unmakes an owner.
    fn weighed_priority(&self) -> Priority {
        let base = self.config.priority;
        if base.is_owner() {
            return base;
        }
        let sum = i32::from(base.get())
            .saturating_add(self.weight)
            .clamp(1, i32::from(Priority::BELOW_OWNER.get()));
        u64::try_from(sum)
            .ok()
            .and_then(|sum| Priority::try_from(sum).ok())
            .unwrap_or(base)
    }

    /// Takes over what tracked objects add to the priority: the master-down timer follows.
    fn weigh(&mut self, weight: i32, turn: &mut Turn<'_>) {
        let interval = match &self.phase {
            Phase::Backup(backup) => backup.interval,
            Phase::Init | Phase::Waiting | Phase::Master(_) | Phase::Fault => {
                self.config.advert_interval
            }
        };
        let (from, before) = (self.priority().get(), self.master_down(interval));
        self.weight = weight;
        let (to, after) = (self.priority().get(), self.master_down(interval));
        if from == to {
            return;
        }
        if let Phase::Backup(backup) = &mut self.phase {
            backup.master_down_at = backup
                .master_down_at
                .saturating_add(after)
                .saturating_sub(before);
        }
        let why = turn.news.map(str::to_owned);
        self.say(EventKind::Priority { from, to, why }, turn);
        self.publish(turn);
    }

    fn skew(&self, interval: AdvertInterval) -> Duration {
        timing::skew(self.config.version, self.weighed_priority(), interval)
    }

    fn master_down(&self, interval: AdvertInterval) -> Duration {
        timing::master_down(
            self.config.version,
            self.weighed_priority(),
            interval,
            self.config.down_timer_adverts,
        )
    }

    /// BACKUP with nobody heard yet: the whole master-down time, and no time at all for an owner.
    fn enter_waiting(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        let interval = self.config.advert_interval;
        let wait = if self.config.priority.is_owner() {
            Duration::ZERO
        } else {
            self.master_down(interval)
        };
        let down_at = turn.start_at.saturating_add(wait);
        self.enter(Phase::Backup(Backup::until(down_at, interval)), cause, turn);
    }

    /// Stays out until tracked scripts have their first results; nobody is told of that.
    fn wait(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        self.phase = Phase::Waiting;
        if std::mem::replace(&mut self.cause, cause) != cause {
            self.publish(turn);
        }
    }

    fn enter_fault(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        self.enter(Phase::Fault, cause, turn);
    }

    /// RFC 3768 section 6.4.2: the Master_Down_Timer fires. A timer that is served later than an advert
    /// interval means that this process did not run: whatever came meanwhile may be lost (a stopped
    /// virtual machine), so the master gets one more interval to be heard.
    fn master_down_timer(&mut self, turn: &mut Turn<'_>) {
        let own = self.weighed_priority();
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        let late = turn.now.since(backup.master_down_at);
        let interval = backup.interval;
        if late >= interval.as_duration() && !backup.grace_given {
            backup.grace_given = true;
            let skew = timing::skew(self.config.version, own, interval);
            backup.master_down_at = turn
                .now
                .saturating_add(interval.as_duration())
                .saturating_add(skew);
            self.say(EventKind::TimerLate { late }, turn);
            return;
        }
        let cause = if self.config.priority.is_owner() {
            Cause::Owner
        } else if backup.resigned {
            Cause::MasterResigned
        } else {
            Cause::MasterSilent { late }
        };
        if self.config.group.is_none() {
            self.become_master(cause, turn);
        } else {
            backup.ready = Some(cause);
        }
    }

    /// How this router stands to the other members of its sync group.
    pub(crate) const fn standing(&self) -> Standing {
        match &self.phase {
            Phase::Init | Phase::Waiting => Standing::Absent,
            Phase::Fault => Standing::Out,
            Phase::Master(_) => Standing::Master,
            Phase::Backup(Backup { ready: Some(_), .. }) => Standing::Ready,
            Phase::Backup(Backup {
                master: Some(_),
                resigned: false,
                ..
            }) => Standing::Follower,
            Phase::Backup(_) => Standing::Waiting,
        }
    }

    /// Every member of the sync group is ready: this one becomes master, if it is not yet.
    pub(crate) fn become_master_with_group(&mut self, turn: &mut Turn<'_>) {
        if let Phase::Backup(Backup {
            ready: Some(cause), ..
        }) = self.phase
        {
            self.become_master(cause, turn);
        }
    }

    /// Another member of the sync group follows another master, so this one is no master either. As when a
    /// better master is heard, there is no priority 0.
    pub(crate) fn become_backup_with_group(&mut self, turn: &mut Turn<'_>) {
        if matches!(self.phase, Phase::Master(_)) {
            if self.config.advert_before_yielding {
                self.send_advert(turn);
            }
            let interval = self.config.advert_interval;
            let down_at = turn.now.saturating_add(self.master_down(interval));
            let backup = Backup::until(down_at, interval);
            self.give_way(backup, Cause::GroupBackup, turn);
        }
    }

    /// The advert goes first, so that peers stop before there are two owners of an address; then the
    /// addresses, since the kernel announces nothing that it does not hold; then the announcements.
    fn become_master(&mut self, cause: Cause, turn: &mut Turn<'_>) {
        self.gave_way = false;
        self.counters.become_master = self.counters.become_master.saturating_add(1);
        // The first advert is due until it has left.
        self.begin(Phase::Master(Master::until(turn.now)), cause, turn);
        self.send_advert(turn);
        self.set_addresses(true, turn);
        self.announcer.become_master(&self.config, turn.now);
        self.send_announcements(turn);
        self.say_transition(State::Master, cause, turn);
    }

    /// MASTER ends because this router stops or cannot go on: priority 0 lets a backup take over after
    /// its skew time.
    fn resign(&mut self, turn: &mut Turn<'_>) {
        self.send_farewell(turn);
        self.release_master();
    }

    /// MASTER ends for another master, and without a priority 0, which would start a needless election. A
    /// successor of this process must not take the addresses again.
    fn give_way(&mut self, to: Backup, cause: Cause, turn: &mut Turn<'_>) {
        self.release_master();
        self.begin(Phase::Backup(to), cause, turn);
        self.set_addresses(false, turn);
        self.say_transition(State::Backup, cause, turn);
    }

    fn release_master(&mut self) {
        self.announcer.clear();
        self.counters.release_master = self.counters.release_master.saturating_add(1);
    }

    /// Enters a state that does nothing to the network or the kernel: a successor of a process that ends here enters
    /// it again, and says so again, which the parent notices.
    fn enter(&mut self, phase: Phase, cause: Cause, turn: &mut Turn<'_>) {
        self.change(phase, cause, turn);
        self.say_transition(self.role().state(), cause, turn);
        self.publish(turn);
    }

    /// Begins a state that does something to them, which follows, and last of all the transition is said. A
    /// successor of a process that ends in between does it all again, and the parent says what was not said.
    fn begin(&mut self, phase: Phase, cause: Cause, turn: &mut Turn<'_>) {
        self.change(phase, cause, turn);
        self.publish(turn);
    }

    fn change(&mut self, phase: Phase, cause: Cause, turn: &Turn<'_>) {
        self.phase = phase;
        self.since = turn.now;
        self.cause = cause;
        self.said.forget(turn.now);
    }

    fn say_transition(&mut self, to: State, cause: Cause, turn: &mut Turn<'_>) {
        turn.actions.push_back(Action::Transition {
            instance: self.config.id,
            to,
            priority: self.priority().get(),
            cause,
        });
        let name = cause.tracker().and_then(|id| turn.trackers.name(id));
        let entered = EventKind::Entered {
            state: to,
            cause,
            object: name.map(str::to_owned),
        };
        self.say(entered, turn);
    }

    fn role(&self) -> Role {
        match &self.phase {
            Phase::Init | Phase::Waiting => Role::Init,
            Phase::Backup(backup) => Role::Backup {
                master_down_at: backup.master_down_at,
                // One that said priority 0 is there no more.
                master: backup.master.filter(|_| !backup.resigned),
                interval: backup.interval,
                preempt_at: backup.preempt_at,
            },
            Phase::Master(master) => Role::Master {
                advert_at: master.advert_at,
            },
            Phase::Fault => Role::Fault,
        }
    }

    /// Everything that a successor process needs.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            id: self.config.id,
            role: self.role(),
            priority: self.priority(),
            counters: self.counters,
            sequence: self.reservation(),
            signatures: match &self.config.authentication {
                Authentication::Signed(_) => self.signatures.marks(),
                Authentication::None | Authentication::Password(_) | Authentication::Header(_) => {
                    SignatureMarks::default()
                }
            },
            old_checksum: self.old_checksum && self.config.checksum == ChecksumMode::Detect,
            since: self.since,
            cause: self.cause,
        }
    }

    fn publish(&mut self, turn: &mut Turn<'_>) {
        self.published_at = turn.now;
        self.reserved = self.reservation();
        let snapshot = Box::new(self.snapshot());
        turn.actions.push_back(Action::Publish(snapshot));
    }

    fn publish_unless_within(&mut self, pause: Duration, turn: &mut Turn<'_>) {
        if turn.now.since(self.published_at) >= pause {
            self.publish(turn);
        }
    }

    fn say(&self, kind: EventKind, turn: &mut Turn<'_>) {
        turn.actions.push_back(Action::Event(Event {
            name: self.config.name.clone(),
            kind,
        }));
    }

    /// Says a thing that can come with every packet once per state and master.
    fn say_once(&mut self, kind: EventKind, turn: &mut Turn<'_>) {
        if self.said.is_first(&kind) {
            self.say(kind, turn);
        }
    }
}
