//! What the checker process and the IPVS process are told: the state of every instance, and the former also
//! that of every BFD session.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use kr_child::{Heard, Link};
use kr_event::EventLoop;
use kr_ipc::edge::{Sibling, vrrpd_checkerd, vrrpd_ipvsd};
use kr_model::bfd::Reach;
use kr_model::vrrp::State;
use kr_model::{Generation, InstanceId, TrackerId};
use mio::Token;

/// The channels to both, and what is said over a new one.
#[derive(Debug)]
pub(crate) struct Siblings {
    checkerd: Link<vrrpd_checkerd::ToCheckerd, vrrpd_checkerd::FromCheckerd>,
    ipvsd: Link<vrrpd_ipvsd::ToIpvsd, vrrpd_ipvsd::FromIpvsd>,
    generation: Generation,
    states: BTreeMap<InstanceId, State>,
    reach: BTreeMap<TrackerId, Reach>,
}

impl Siblings {
    /// Both are away; their channels will be watched under these tokens.
    pub(crate) const fn new(checkerd: Token, ipvsd: Token) -> Self {
        Self {
            checkerd: Link::new(Sibling::Checkerd, checkerd),
            ipvsd: Link::new(Sibling::Ipvsd, ipvsd),
            generation: Generation(0),
            states: BTreeMap::new(),
            reach: BTreeMap::new(),
        }
    }

    /// Takes the end of a new channel to the checker process and says everything over it.
    ///
    /// # Errors
    /// When the kernel does not let it be watched.
    pub(crate) fn meet_checkerd(&mut self, end: OwnedFd, events: &EventLoop) -> io::Result<()> {
        self.checkerd.connect(end, events)?;
        for (&instance, &state) in &self.states {
            let word = to_checkerd(self.generation, instance, state);
            self.checkerd.send(&word);
        }
        for (&session, &reach) in &self.reach {
            let generation = self.generation;
            self.checkerd.send(&vrrpd_checkerd::ToCheckerd::Bfd {
                generation,
                session,
                reach,
            });
        }
        Ok(())
    }

    /// Takes the end of a new channel to the IPVS process and says everything over it.
    ///
    /// # Errors
    /// When the kernel does not let it be watched.
    pub(crate) fn meet_ipvsd(&mut self, end: OwnedFd, events: &EventLoop) -> io::Result<()> {
        self.ipvsd.connect(end, events)?;
        for (&instance, &state) in &self.states {
            let word = to_ipvsd(self.generation, instance, state);
            self.ipvsd.send(&word);
        }
        Ok(())
    }

    /// A configuration is put into force; what is said from now on is of it.
    pub(crate) const fn begin(&mut self, generation: Generation) {
        self.generation = generation;
    }

    /// The configuration is in force: instances for which `is_configured` is false are gone.
    pub(crate) fn retain(&mut self, is_configured: impl Fn(InstanceId) -> bool) {
        self.states.retain(|id, _| is_configured(*id));
    }

    /// An instance is in this state. Said when that is news.
    pub(crate) fn say(&mut self, instance: InstanceId, state: State) {
        if self.states.insert(instance, state) != Some(state) {
            let generation = self.generation;
            self.checkerd
                .send(&to_checkerd(generation, instance, state));
            self.ipvsd.send(&to_ipvsd(generation, instance, state));
        }
    }

    /// The neighbour of a session is reached, or not. Said when that is news.
    pub(crate) fn say_reach(&mut self, session: TrackerId, reach: Reach) {
        if self.reach.insert(session, reach) != Some(reach) {
            let generation = self.generation;
            self.checkerd.send(&vrrpd_checkerd::ToCheckerd::Bfd {
                generation,
                session,
                reach,
            });
        }
    }

    /// Sessions for which `is_configured` is false are gone.
    pub(crate) fn retain_sessions(&mut self, is_configured: impl Fn(TrackerId) -> bool) {
        self.reach.retain(|id, _| is_configured(*id));
    }

    /// Sends what waits to the checker process. It has nothing to say: true when it does, and is cut off.
    #[must_use]
    pub(crate) fn serve_checkerd(&mut self) -> bool {
        match self.checkerd.receive() {
            Heard::Message(message) => match message {},
            Heard::Nothing | Heard::Gone => false,
            Heard::Misbehaved => true,
        }
    }

    /// Sends what waits to the IPVS process. It has nothing to say: true when it does, and is cut off.
    #[must_use]
    pub(crate) fn serve_ipvsd(&mut self) -> bool {
        match self.ipvsd.receive() {
            Heard::Message(message) => match message {},
            Heard::Nothing | Heard::Gone => false,
            Heard::Misbehaved => true,
        }
    }
}

const fn to_checkerd(
    generation: Generation,
    instance: InstanceId,
    state: State,
) -> vrrpd_checkerd::ToCheckerd {
    vrrpd_checkerd::ToCheckerd::Instance {
        generation,
        instance,
        state,
    }
}

const fn to_ipvsd(
    generation: Generation,
    instance: InstanceId,
    state: State,
) -> vrrpd_ipvsd::ToIpvsd {
    vrrpd_ipvsd::ToIpvsd::Instance {
        generation,
        instance,
        state,
    }
}
