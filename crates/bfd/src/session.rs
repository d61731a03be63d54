//! One session: its state (RFC 5880 section 6.2), what it sends and when (6.8.2, 6.8.3, 6.8.7), and when the
//! neighbour counts as gone (6.8.4).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kr_model::Instant;
use kr_model::bfd::{
    Counters, Diagnostic, Micros, PeerState, Reach, Remote, Session as Settings, Snapshot, State,
};
use kr_model::rng::Rng;
use kr_model::units::Discriminator;

use crate::action::Action;
use crate::event::{Complaint, DownCause, Event, EventKind};
use crate::packet::Packet;

/// Counters that changed and nothing else are published this often.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// No interval is shorter, whatever is configured.
const FASTEST: Micros = Micros(1_000);

/// What a session needs while it handles something.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut Rng,
    pub(crate) actions: &'a mut VecDeque<Action>,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    settings: Settings,
    state: State,
    diagnostic: Diagnostic,
    since: Instant,
    local: Discriminator,
    heard: Option<Heard>,
    /// What packets to the neighbour say.
    told: Pace,
    /// What is kept to: what was told, once the neighbour is known to have read it (6.8.3).
    used: Pace,
    poll: Poll,
    sent_at: Option<Instant>,
    send_at: Option<Instant>,
    /// Until then the session counts as [`Reach::Untried`], unless it comes up.
    untried_until: Option<Instant>,
    counters: Counters,
    complained: BTreeSet<Kind>,
    told_reach: Option<Reach>,
    published: Option<(Snapshot, Instant)>,
}

/// The neighbour, while it is heard (`bfd.RemoteDiscr` is not 0).
#[derive(Debug, Clone, Copy)]
struct Heard {
    remote: Remote,
    expire_at: Instant,
}

/// Own intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace {
    /// `bfd.DesiredMinTxInterval`.
    tx: Micros,
    /// `bfd.RequiredMinRxInterval`.
    rx: Micros,
}

/// A Poll Sequence (6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Poll {
    Idle,
    /// Packets ask for an answer.
    Running,
    /// As before; and after the next answer another one is needed, for something changed meanwhile.
    Again,
}

/// Kinds of complaints; each is said once per state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Malformed,
    Far,
    Stray,
}

/// What a packet is sent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It is due, or the state changed.
    Periodic,
    /// The neighbour polls.
    Answer,
    /// The session ends.
    Farewell,
}

impl Session {
    /// A session that has heard nothing yet. Its first packet is due at once, unless it is passive.
    pub(crate) fn new(settings: Settings, local: Discriminator, now: Instant) -> Self {
        let pace = pace(&settings, State::Down);
        let untried_until = Some(now.saturating_add(grace(&settings)));
        let mut session = Self {
            settings,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            since: now,
            local,
            heard: None,
            told: pace,
            used: pace,
            poll: Poll::Idle,
            sent_at: None,
            send_at: None,
            untried_until,
            counters: Counters::default(),
            complained: BTreeSet::new(),
            told_reach: None,
            published: None,
        };
        session.send_at = session.may_send().then_some(now);
        session
    }

    /// Goes on where a predecessor was: the neighbour gets a packet at once and a whole detection time to say
    /// something, for nobody knows what came meanwhile.
    pub(crate) fn resume(settings: Settings, snapshot: &Snapshot, now: Instant) -> Self {
        let mut session = Self::new(settings, snapshot.local, now);
        session.counters = snapshot.counters;
        if snapshot.reach != Reach::Untried {
            session.untried_until = None;
        }
        let Some(remote) = snapshot.remote else {
            if snapshot.state == State::Down {
                session.since = snapshot.since;
                session.diagnostic = snapshot.diagnostic;
            }
            return session;
        };
        session.state = snapshot.state;
        session.diagnostic = snapshot.diagnostic;
        session.since = snapshot.since;
        session.told = Pace {
            tx: snapshot.min_tx,
            rx: snapshot.min_rx,
        };
        session.used = session.told;
        session.poll = Poll::Running;
        session.hear(remote, now);
        session.adopt_pace();
        session.send_at = session.may_send().then_some(now);
        session
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) const fn local(&self) -> Discriminator {
        self.local
    }

    /// When [`Self::timer`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let expire_at = self.heard.map(|heard| heard.expire_at);
        [self.send_at, expire_at, self.untried_until]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes new settings for the same neighbour.
    pub(crate) fn reconfigure(&mut self, settings: Settings, turn: &mut Turn<'_>) {
        let before = self.interval();
        self.settings = settings;
        self.adopt_pace();
        self.plan(before, turn);
        self.settle(turn);
    }

    /// Takes a packet that is for this session (6.8.6, from where the session is known).
    pub(crate) fn receive(&mut self, packet: &Packet, ttl: u8, turn: &mut Turn<'_>) {
        if ttl < self.settings.min_ttl {
            let least = self.settings.min_ttl;
            return self.complain(Complaint::Far { ttl, least }, turn);
        }
        self.counters.received = self.counters.received.saturating_add(1);
        let before = self.interval();
        let remote = Remote {
            discriminator: packet.mine,
            state: packet.state,
            diagnostic: packet.diagnostic,
            min_tx: packet.min_tx,
            min_rx: packet.min_rx,
            multiplier: packet.multiplier,
            demand: packet.demand,
        };
        self.hear(remote, turn.now);
        if packet.is_final {
            self.poll_answered();
        }
        let next = after(self.state, packet.state);
        let changed = next != self.state;
        match next {
            _ if !changed => {}
            State::Up => self.come_up(turn),
            State::Init => self.enter(State::Init, self.diagnostic, turn.now),
            State::Down => {
                let cause = match packet.state {
                    PeerState::AdminDown => DownCause::NeighborStopped,
                    PeerState::Down | PeerState::Init | PeerState::Up => {
                        DownCause::NeighborDown(packet.diagnostic)
                    }
                };
                self.go_down(Diagnostic::NEIGHBOR_DOWN, cause, turn);
            }
        }
        // What changed above may have changed the detection time.
        self.hear(remote, turn.now);
        if changed {
            self.send(Purpose::Periodic, turn);
        }
        if packet.poll {
            self.send(Purpose::Answer, turn);
        }
        self.plan(before, turn);
        self.settle(turn);
    }

    /// Counts a packet of the neighbour that is ignored, and says why, once per kind and state.
    pub(crate) fn complain(&mut self, complaint: Complaint, turn: &mut Turn<'_>) {
        let counters = &mut self.counters;
        let (kind, counter) = match complaint {
            Complaint::Malformed(_) => (Kind::Malformed, &mut counters.malformed),
            Complaint::Far { .. } => (Kind::Far, &mut counters.far),
            Complaint::Stray => (Kind::Stray, &mut counters.stray),
        };
        *counter = counter.saturating_add(1);
        if self.complained.insert(kind) {
            self.event(EventKind::Complaint(complaint), turn);
        }
        self.settle(turn);
    }

    /// Does what is due.
    pub(crate) fn timer(&mut self, turn: &mut Turn<'_>) {
        let expired = self.heard.filter(|heard| heard.expire_at <= turn.now);
        if let Some(Heard { remote, expire_at }) = expired {
            if self.state != State::Down {
                let cause = DownCause::Silent {
                    within: self.detection_time(&remote),
                    late: turn.now.since(expire_at),
                };
                self.go_down(Diagnostic::EXPIRED, cause, turn);
                // Still with the neighbour's discriminator: it may hear us though we do not hear it.
                self.send(Purpose::Periodic, turn);
            }
            let before = self.interval();
            self.heard = None;
            self.poll = Poll::Idle;
            self.used = self.told;
            self.plan(before, turn);
        }
        if self.send_at.is_some_and(|at| at <= turn.now) {
            self.send(Purpose::Periodic, turn);
        }
        if self.untried_until.is_some_and(|at| at <= turn.now) {
            self.untried_until = None;
        }
        self.settle(turn);
    }

    /// Tells the neighbour that the session ends on purpose (6.8.16).
    pub(crate) fn farewell(&mut self, turn: &mut Turn<'_>) {
        if self.heard.is_some() || !self.settings.passive {
            self.send(Purpose::Farewell, turn);
        }
    }

    fn come_up(&mut self, turn: &mut Turn<'_>) {
        self.untried_until = None;
        self.counters.came_up = self.counters.came_up.saturating_add(1);
        self.enter(State::Up, Diagnostic::NONE, turn.now);
        self.event(EventKind::Up, turn);
    }

    fn go_down(&mut self, diagnostic: Diagnostic, cause: DownCause, turn: &mut Turn<'_>) {
        let was_up = self.state == State::Up;
        self.enter(State::Down, diagnostic, turn.now);
        if was_up {
            self.counters.went_down = self.counters.went_down.saturating_add(1);
            self.event(EventKind::Down(cause), turn);
        }
    }

    fn enter(&mut self, state: State, diagnostic: Diagnostic, now: Instant) {
        self.state = state;
        self.diagnostic = diagnostic;
        self.since = now;
        self.complained.clear();
        self.adopt_pace();
    }

    /// Tells the neighbour other intervals when settings or state ask for it. A slower sending and a shorter
    /// detection time wait until the neighbour has answered, while the session is up.
    fn adopt_pace(&mut self) {
        let wanted = pace(&self.settings, self.state);
        if wanted == self.told {
            return;
        }
        self.told = wanted;
        if self.heard.is_none() {
            self.used = wanted;
            return;
        }
        self.used = match self.state {
            State::Up => Pace {
                tx: self.used.tx.min(wanted.tx),
                rx: self.used.rx.max(wanted.rx),
            },
            State::Down | State::Init => wanted,
        };
        self.poll = match self.poll {
            Poll::Idle => Poll::Running,
            Poll::Running | Poll::Again => Poll::Again,
        };
    }

    const fn poll_answered(&mut self) {
        self.poll = match self.poll {
            Poll::Idle => return,
            Poll::Again => Poll::Running,
            Poll::Running => {
                self.used = self.told;
                Poll::Idle
            }
        };
    }

    fn hear(&mut self, remote: Remote, now: Instant) {
        let expire_at = now.saturating_add(self.detection_time(&remote));
        self.heard = Some(Heard { remote, expire_at });
    }

    /// How long the neighbour may be silent (6.8.4).
    fn detection_time(&self, remote: &Remote) -> Duration {
        let interval = self.used.rx.max(remote.min_tx).as_duration();
        interval.saturating_mul(u32::from(remote.multiplier.get()))
    }

    /// Time between two packets, before the jitter (6.8.2).
    fn interval(&self) -> Micros {
        let theirs = self.heard.map_or(Micros(0), |heard| heard.remote.min_rx);
        self.used.tx.max(theirs).max(FASTEST)
    }

    /// Whether packets are sent without being asked for (6.8.7).
    fn may_send(&self) -> bool {
        match self.heard {
            None => !self.settings.passive,
            Some(Heard { remote, .. }) => {
                let quiet = remote.demand
                    && self.state == State::Up
                    && remote.state == PeerState::Up
                    && self.poll == Poll::Idle;
                remote.min_rx != Micros(0) && !quiet
            }
        }
    }

    fn send(&mut self, purpose: Purpose, turn: &mut Turn<'_>) {
        let (state, diagnostic) = match purpose {
            Purpose::Farewell => (PeerState::AdminDown, Diagnostic::ADMIN_DOWN),
            Purpose::Periodic | Purpose::Answer => (self.state.into(), self.diagnostic),
        };
        let packet = Packet {
            diagnostic,
            state,
            poll: purpose == Purpose::Periodic && self.poll != Poll::Idle,
            is_final: purpose == Purpose::Answer,
            independent: false,
            demand: false,
            multiplier: self.settings.multiplier,
            mine: self.local,
            yours: self.heard.map(|heard| heard.remote.discriminator),
            min_tx: self.told.tx,
            min_rx: self.told.rx,
            min_echo_rx: Micros(0),
        };
        turn.actions.push_back(Action::Send {
            session: self.settings.id,
            packet: packet.emit(),
        });
        self.counters.sent = self.counters.sent.saturating_add(1);
        self.sent_at = Some(turn.now);
        if purpose == Purpose::Periodic {
            self.send_at = self.may_send().then(|| self.next_send(turn));
        }
    }

    /// Brings the time of the next packet forward when the interval, before `before`, became shorter, and
    /// starts and ends the sending.
    fn plan(&mut self, before: Micros, turn: &mut Turn<'_>) {
        if !self.may_send() {
            self.send_at = None;
        } else if self.send_at.is_none() || self.interval() < before {
            let next = self.next_send(turn);
            self.send_at = Some(self.send_at.map_or(next, |at| at.min(next)));
        }
    }

    /// When the packet after the last one is due: three quarters to the whole of the interval later, and with
    /// multiplier 1 at most nine tenths, so that the neighbour's detection time always sees it (6.8.7).
    fn next_send(&self, turn: &mut Turn<'_>) -> Instant {
        let Some(sent_at) = self.sent_at else {
            return turn.now;
        };
        let most: u64 = if self.settings.multiplier.get() == 1 {
            900
        } else {
            1_000
        };
        let random = turn.rng.next() % (most - 749);
        let interval = u64::from(self.interval().0);
        let micros = interval.saturating_mul(750 + random) / 1_000;
        sent_at
            .saturating_add(Duration::from_micros(micros))
            .max(turn.now)
    }

    /// Tells followers and publishes, as far as something changed.
    pub(crate) fn settle(&mut self, turn: &mut Turn<'_>) {
        let reach = match self.state {
            State::Up => Reach::Up,
            State::Init | State::Down if self.untried_until.is_some() => Reach::Untried,
            State::Init | State::Down => Reach::Down,
        };
        if self.told_reach != Some(reach) {
            self.told_reach = Some(reach);
            turn.actions.push_back(Action::Reach {
                session: self.settings.id,
                reach,
            });
        }
        let snapshot = Snapshot {
            id: self.settings.id,
            state: self.state,
            diagnostic: self.diagnostic,
            reach,
            local: self.local,
            remote: self.heard.map(|heard| heard.remote),
            min_tx: self.told.tx,
            min_rx: self.told.rx,
            since: self.since,
            counters: self.counters,
        };
        let due = self.published.as_ref().is_none_or(|(last, at)| {
            let same = Snapshot {
                counters: snapshot.counters,
                ..last.clone()
            } == snapshot;
            !same || (last.counters != snapshot.counters && turn.now.since(*at) >= PUBLISH_EVERY)
        });
        if due {
            self.published = Some((snapshot.clone(), turn.now));
            turn.actions.push_back(Action::Publish(Box::new(snapshot)));
        }
    }

    fn event(&self, kind: EventKind, turn: &mut Turn<'_>) {
        turn.actions.push_back(Action::Event(Event {
            name: self.settings.name.clone(),
            neighbor: self.settings.neighbor,
            kind,
        }));
    }
}

/// The state after a packet (6.2 and 6.8.6).
const fn after(state: State, received: PeerState) -> State {
    match (state, received) {
        (State::Down, PeerState::Down) => State::Init,
        (State::Down | State::Init, PeerState::Init) | (State::Init, PeerState::Up) => State::Up,
        // A neighbour that thinks it is up has to learn first that this end is not.
        (State::Down, PeerState::Up | PeerState::AdminDown) => State::Down,
        (State::Init, PeerState::Down) => State::Init,
        (State::Up, PeerState::Init | PeerState::Up) => State::Up,
        (State::Init, PeerState::AdminDown)
        | (State::Up, PeerState::Down | PeerState::AdminDown) => State::Down,
    }
}

/// Own intervals in a state: no faster than one packet a second unless it is up (6.8.3).
fn pace(settings: &Settings, state: State) -> Pace {
    Pace {
        tx: match state {
            State::Up => settings.min_tx,
            State::Down | State::Init => settings.idle_tx.max(Micros::SECOND),
        },
        rx: settings.min_rx,
    }
}

/// How long a session may take to come up for the first time before it counts as down: what the neighbour
/// gives it too, if its settings are equal.
fn grace(settings: &Settings) -> Duration {
    let interval = settings.idle_tx.max(Micros::SECOND).as_duration();
    interval.saturating_mul(u32::from(settings.multiplier.get()))
}

#[cfg(test)]
mod tests;
