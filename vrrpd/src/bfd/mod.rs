//! BFD in the VRRP process: the sessions of `kr-bfd` on their sockets. The daemon gives it the time and what
//! is ready, and passes on what it [says](News).

mod sockets;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use kr_bfd::{Action, Input, Sessions};
use kr_event::EventLoop;
use kr_model::bfd::{Reach, Session, Snapshot};
use kr_model::rng::Rng;
use kr_model::track::TrackerState;
use kr_model::{Instant, TrackerId};
use mio::{Interest, Token};

use self::sockets::{Listener, PACKET, Sender};

pub(crate) use self::sockets::ListenerId;

/// Pause before a port that was refused is asked for again: the program that has it may end. Short, for a
/// predecessor of this process that was killed may hold it for another moment.
const RETRY: Duration = Duration::from_millis(100);

/// What the daemon has to pass on.
#[derive(Debug)]
pub(crate) enum News {
    /// A session is new, or its neighbour is reached or not.
    Reach(TrackerId, Reach),
    /// The parent keeps this for a successor and for dumps.
    Publish(Box<Snapshot>),
}

/// What an instance that tracks a session is told.
pub(crate) const fn tracked(reach: Reach) -> TrackerState {
    match reach {
        Reach::Untried => TrackerState::Pending,
        Reach::Down => TrackerState::Down,
        Reach::Up => TrackerState::Up,
    }
}

/// All sessions with their sockets.
#[derive(Debug)]
pub(crate) struct Bfd {
    sessions: Sessions,
    /// The configuration in force.
    settings: BTreeMap<TrackerId, Session>,
    reach: BTreeMap<TrackerId, Reach>,
    listeners: BTreeMap<ListenerId, Listener>,
    senders: BTreeMap<TrackerId, Sender>,
    /// When ports that were refused are asked for again.
    retry_at: Option<Instant>,
    /// Sessions whose last packet could not be sent; that is said once.
    mute: BTreeSet<TrackerId>,
    first_token: usize,
    news: Vec<News>,
}

impl Bfd {
    /// No session. Tokens of the loop from `first_token` on, one for each [`ListenerId`], are for it.
    pub(crate) fn new(first_token: usize) -> Self {
        // The keys of a hash table are the standard library's random numbers.
        let seed = RandomState::new().hash_one(0);
        Self {
            sessions: Sessions::new(Rng::new(seed)),
            settings: BTreeMap::new(),
            reach: BTreeMap::new(),
            listeners: BTreeMap::new(),
            senders: BTreeMap::new(),
            retry_at: None,
            mute: BTreeSet::new(),
            first_token,
            news: Vec::new(),
        }
    }

    /// Puts a configuration into force.
    pub(crate) fn configure(
        &mut self,
        new: BTreeMap<TrackerId, Session>,
        resume: BTreeMap<TrackerId, Snapshot>,
        events: &EventLoop,
        now: Instant,
    ) -> Vec<News> {
        // Sessions that go say so through their sockets.
        let leaving = self.settings.iter();
        let leaving = leaving.filter(|(id, _)| !new.contains_key(id));
        let leaving: Vec<TrackerId> = leaving.map(|(id, _)| *id).collect();
        let old = self.settings.clone();
        self.settings.extend(new.clone());
        for (id, session) in &new {
            let same_socket = |before: &Session| {
                (before.source, before.neighbor, before.path, before.ttl)
                    == (session.source, session.neighbor, session.path, session.ttl)
            };
            if !old.get(id).is_some_and(same_socket) {
                self.senders.remove(id);
            }
        }
        self.open_listeners(events, now);
        let sessions = new.clone();
        self.sessions
            .handle(Input::Configure { sessions, resume }, now);
        self.act();
        self.settings = new;
        for id in leaving {
            self.senders.remove(&id);
            self.reach.remove(&id);
            self.mute.remove(&id);
        }
        let needed = self.needed();
        self.listeners.retain(|id, _| needed.contains(id));
        std::mem::take(&mut self.news)
    }

    /// Which port a token of the loop belongs to.
    pub(crate) fn listener(&self, token: Token) -> Option<ListenerId> {
        let index = token.0.checked_sub(self.first_token)?;
        ListenerId::ALL.get(index).copied()
    }

    /// Takes one packet that waits; `None` when there is none.
    pub(crate) fn receive(&mut self, id: ListenerId, now: Instant) -> Option<Vec<News>> {
        let mut buffer = [0; PACKET];
        let received = self.listeners.get(&id)?.receive(&mut buffer)?;
        if let Some((header, payload)) = received {
            let input = Input::Packet { header, payload };
            self.sessions.handle(input, now);
            self.act();
        }
        Some(std::mem::take(&mut self.news))
    }

    /// When [`Self::timer`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let session = self.sessions.poll_timeout();
        session.into_iter().chain(self.retry_at).min()
    }

    /// Does what is due.
    pub(crate) fn timer(&mut self, events: &EventLoop, now: Instant) -> Vec<News> {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.open_listeners(events, now);
        }
        if self.sessions.poll_timeout().is_some_and(|at| at <= now) {
            self.sessions.handle(Input::Timer, now);
            self.act();
        }
        std::mem::take(&mut self.news)
    }

    /// Whether the neighbour of a session is reached.
    pub(crate) fn reach(&self, id: TrackerId) -> Option<Reach> {
        self.reach.get(&id).copied()
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.settings.len()
    }

    /// Tells every neighbour that its session ends on purpose.
    pub(crate) fn shutdown(&mut self, now: Instant) {
        self.sessions.handle(Input::Shutdown, now);
        self.act();
    }

    fn needed(&self) -> BTreeSet<ListenerId> {
        let sessions = self.settings.values();
        sessions.map(ListenerId::for_session).collect()
    }

    /// Opens the ports that are missing; what fails is said once and tried again.
    fn open_listeners(&mut self, events: &EventLoop, now: Instant) {
        let again = self.retry_at.take().is_some();
        let missing = self.needed();
        let missing = missing
            .into_iter()
            .filter(|id| !self.listeners.contains_key(id));
        for id in missing.collect::<Vec<_>>() {
            match self.open_listener(id, events) {
                Ok(()) if again => log::info!("UDP port {} is free now", id.path.port()),
                Ok(()) => {}
                Err(error) => {
                    self.retry_at = Some(now.saturating_add(RETRY));
                    if !again {
                        log::error!(
                            "cannot receive BFD packets on UDP port {}: {error}; no session comes up until \
                             it is free: does another BFD daemon run?",
                            id.path.port()
                        );
                    }
                }
            }
        }
    }

    fn open_listener(&mut self, id: ListenerId, events: &EventLoop) -> io::Result<()> {
        let listener = Listener::open(id)?;
        let index = ListenerId::ALL.iter().position(|one| *one == id);
        let token = Token(self.first_token.saturating_add(index.unwrap_or_default()));
        events.register_for(listener.as_fd(), token, Interest::READABLE)?;
        self.listeners.insert(id, listener);
        Ok(())
    }

    fn act(&mut self) {
        while let Some(action) = self.sessions.poll_action() {
            match action {
                Action::Send { session, packet } => self.send(session, &packet),
                Action::Reach { session, reach } => {
                    self.reach.insert(session, reach);
                    self.news.push(News::Reach(session, reach));
                }
                Action::Publish(snapshot) => self.news.push(News::Publish(snapshot)),
                Action::Event(event) => match event.kind {
                    kr_bfd::EventKind::Up => log::info!("{event}"),
                    kr_bfd::EventKind::Down(_) | kr_bfd::EventKind::Complaint(_) => {
                        log::warn!("{event}");
                    }
                },
            }
        }
    }

    fn send(&mut self, id: TrackerId, packet: &[u8]) {
        let Some(settings) = self.settings.get(&id) else {
            return;
        };
        let sender = match self.senders.remove(&id) {
            Some(sender) => Ok(sender),
            None => Sender::open(id, settings),
        };
        let sent = sender.and_then(|sender| {
            let sent = sender.send(packet);
            self.senders.insert(id, sender);
            sent
        });
        let Session { name, neighbor, .. } = settings;
        match sent {
            Ok(()) if self.mute.remove(&id) => {
                log::info!("({name}) BFD packets to {neighbor} can be sent again");
            }
            Ok(()) => {}
            Err(error) if self.mute.insert(id) => {
                log::warn!("({name}) cannot send BFD packets to {neighbor}: {error}");
            }
            Err(_) => {}
        }
    }
}
