//! All sessions: which one a packet is for, and which one is due.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use kr_model::bfd::{Path, Session as Settings, Snapshot};
use kr_model::diff::diff;
use kr_model::rng::Rng;
use kr_model::units::Discriminator;
use kr_model::{Instant, TrackerId};

use crate::action::{Action, Header, Input};
use crate::event::Complaint;
use crate::packet::Packet;
use crate::session::{Session, Turn};

/// Every session of the process.
#[derive(Debug)]
pub struct Sessions {
    sessions: BTreeMap<TrackerId, Session>,
    deadlines: BTreeSet<(Instant, TrackerId)>,
    discriminators: BTreeMap<Discriminator, TrackerId>,
    neighbors: BTreeMap<(IpAddr, Path), BTreeSet<TrackerId>>,
    rng: Rng,
    actions: VecDeque<Action>,
}

impl Sessions {
    /// No session. Discriminators and jitter follow from the generator's seed, so whoever does not want
    /// packets guessed gives a seed that cannot be.
    #[must_use]
    pub const fn new(rng: Rng) -> Self {
        Self {
            sessions: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            discriminators: BTreeMap::new(),
            neighbors: BTreeMap::new(),
            rng,
            actions: VecDeque::new(),
        }
    }

    /// Takes one input. Afterwards [`Self::poll_action`] has what is to be done, and
    /// [`Self::poll_timeout`] may have changed.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Configure { sessions, resume } => self.configure(sessions, &resume, now),
            Input::Packet { header, payload } => self.packet(header, payload, now),
            Input::Timer => {
                while let Some(id) = self.due(now) {
                    self.with(id, now, Session::timer);
                }
            }
            Input::Shutdown => {
                for id in self.sessions.keys().copied().collect::<Vec<_>>() {
                    self.remove(id, now);
                }
            }
        }
    }

    /// The next thing to do; to be called until there is none.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Timer`] is due; `None` while nothing is.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn due(&self, now: Instant) -> Option<TrackerId> {
        let (at, id) = self.deadlines.first()?;
        (*at <= now).then_some(*id)
    }

    fn configure(
        &mut self,
        new: BTreeMap<TrackerId, Settings>,
        resume: &BTreeMap<TrackerId, Snapshot>,
        now: Instant,
    ) {
        let sessions = self.sessions.iter();
        let old: BTreeMap<TrackerId, Settings> = sessions
            .map(|(id, session)| (*id, session.settings().clone()))
            .collect();
        let diff = diff(&old, &new);
        for id in diff.removed {
            self.remove(id, now);
        }
        for (id, settings) in new {
            match old.get(&id) {
                Some(before) if *before == settings => {}
                Some(before) if is_same_path(before, &settings) => {
                    self.with(id, now, |session, turn| session.reconfigure(settings, turn));
                }
                Some(_) => {
                    self.remove(id, now);
                    self.add(settings, None, now);
                }
                None => self.add(settings, resume.get(&id), now),
            }
        }
    }

    fn add(&mut self, settings: Settings, resume: Option<&Snapshot>, now: Instant) {
        let id = settings.id;
        let neighbor = (settings.neighbor, settings.path);
        self.neighbors.entry(neighbor).or_default().insert(id);
        let free = |local| !self.discriminators.contains_key(&local);
        let session = match resume.filter(|snapshot| free(snapshot.local)) {
            Some(snapshot) => Session::resume(settings, snapshot, now),
            None => Session::new(settings, self.free_discriminator(), now),
        };
        self.discriminators.insert(session.local(), id);
        self.sessions.insert(id, session);
        self.with(id, now, Session::timer);
    }

    fn remove(&mut self, id: TrackerId, now: Instant) {
        self.with(id, now, Session::farewell);
        if let Some(session) = self.sessions.remove(&id) {
            self.discriminators.remove(&session.local());
            let neighbor = (session.settings().neighbor, session.settings().path);
            if let Some(ids) = self.neighbors.get_mut(&neighbor) {
                ids.remove(&id);
            }
            self.neighbors.retain(|_, ids| !ids.is_empty());
            if let Some(at) = session.deadline() {
                self.deadlines.remove(&(at, id));
            }
        }
    }

    /// A number that no session has and nobody can guess (RFC 5880 section 6.8.1).
    fn free_discriminator(&mut self) -> Discriminator {
        loop {
            let number = self.rng.next() >> 32;
            if let Ok(free) = Discriminator::try_from(number)
                && !self.discriminators.contains_key(&free)
            {
                return free;
            }
        }
    }

    /// Lets a session do something and follows its deadline.
    fn with(&mut self, id: TrackerId, now: Instant, act: impl FnOnce(&mut Session, &mut Turn<'_>)) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = session.deadline();
        act(
            session,
            &mut Turn {
                now,
                rng: &mut self.rng,
                actions: &mut self.actions,
            },
        );
        if let Some(at) = before {
            self.deadlines.remove(&(at, id));
        }
        if let Some(at) = session.deadline() {
            self.deadlines.insert((at, id));
        }
    }

    /// Finds the session of a packet (RFC 5880 section 6.8.6). The sender must be the neighbour of the
    /// session also when it knows our discriminator: nobody else is meant by `neighbor_ip`. Packets of
    /// strangers leave no trace.
    fn packet(&mut self, header: Header, payload: &[u8], now: Instant) {
        let ids = self.neighbors.get(&(header.source, header.path));
        let of_sender: Vec<(TrackerId, Discriminator)> = ids
            .into_iter()
            .flatten()
            .filter_map(|id| Some((*id, self.sessions.get(id)?)))
            .filter(|(_, session)| is_for(session.settings(), header.destination))
            .map(|(id, session)| (id, session.local()))
            .collect();
        let Some((first, _)) = of_sender.first().copied() else {
            return;
        };
        let packet = match Packet::parse(payload) {
            Ok(packet) => packet,
            Err(malformed) => {
                return self.complain(first, Complaint::Malformed(malformed), now);
            }
        };
        let named = |(_, local): &&(TrackerId, Discriminator)| {
            packet.yours.is_none_or(|yours| yours == *local)
        };
        match of_sender.iter().find(named) {
            Some((id, _)) => self.with(*id, now, |session, turn| {
                session.receive(&packet, header.ttl, turn);
            }),
            None => self.complain(first, Complaint::Stray, now),
        }
    }

    fn complain(&mut self, id: TrackerId, complaint: Complaint, now: Instant) {
        self.with(id, now, |session, turn| session.complain(complaint, turn));
    }
}

/// The ends are the same, so the same session can serve both.
fn is_same_path(before: &Settings, after: &Settings) -> bool {
    (before.neighbor, before.source, before.path) == (after.neighbor, after.source, after.path)
}

/// The packet is for this end of the session.
fn is_for(settings: &Settings, destination: IpAddr) -> bool {
    settings.source.is_none_or(|source| source == destination)
}

#[cfg(test)]
mod tests;
