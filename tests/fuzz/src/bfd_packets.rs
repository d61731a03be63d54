//! Packets of any bytes that claim to be of a BFD neighbour, each followed by five milliseconds: what parses
//! is the same after writing it again, no packet is answered by more than three, every timer leads to a later
//! one, and half a minute later the session is up with the true neighbour.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use kr_bfd::{Action, Header, Input, Packet, Sessions};
use kr_model::bfd::{Micros, Path, Reach, Session};
use kr_model::rng::Rng;
use kr_model::units::Multiplier;
use kr_model::{Instant, TrackerId};

use crate::pieces::frames;

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

/// See above.
pub fn bfd_packets(data: &[u8]) {
    let mut now = Instant::from_micros(0);
    let mut ours = End::new(1, OURS, THEIRS, now);
    for frame in frames(data) {
        if let Ok(packet) = Packet::parse(frame) {
            assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
        }
        ours.turn(now);
        ours.inbox = vec![frame.to_vec()];
        let answers = ours.hear(now).len();
        assert!(answers <= 3, "{answers} packets for one");
        let until = now.saturating_add(Duration::from_millis(5));
        while let Some(at) = ours.sessions.poll_timeout().filter(|at| *at <= until) {
            now = now.max(at);
            ours.turn(now);
        }
        now = until;
    }
    let mut theirs = End::new(2, THEIRS, OURS, now);
    let until = now.saturating_add(Duration::from_secs(30));
    while now < until {
        theirs.inbox = ours.turn(now);
        ours.inbox = theirs.turn(now);
        let timers = [&ours, &theirs].map(|end| end.sessions.poll_timeout());
        let next = timers.into_iter().flatten().min().unwrap_or(until);
        let soon = now.saturating_add(Duration::from_micros(100));
        now = if ours.inbox.is_empty() {
            next.max(soon)
        } else {
            soon
        };
    }
    assert_eq!(ours.reach, Some(Reach::Up));
    assert_eq!(theirs.reach, Some(Reach::Up));
}

/// One end of the session.
struct End {
    sessions: Sessions,
    address: IpAddr,
    neighbor: IpAddr,
    reach: Option<Reach>,
    /// Packets on their way to it.
    inbox: Vec<Vec<u8>>,
}

impl End {
    fn new(seed: u64, address: IpAddr, neighbor: IpAddr, now: Instant) -> Self {
        let session = Session {
            id: TrackerId(1),
            name: "B".to_owned(),
            neighbor,
            source: Some(address),
            path: Path::SingleHop,
            passive: false,
            min_rx: Micros(50_000),
            min_tx: Micros(50_000),
            idle_tx: Micros::SECOND,
            multiplier: Multiplier::DEFAULT,
            ttl: 255,
            min_ttl: 255,
        };
        let mut sessions = Sessions::new(Rng::new(seed));
        let configure = Input::Configure {
            sessions: BTreeMap::from([(session.id, session)]),
            resume: BTreeMap::new(),
        };
        sessions.handle(configure, now);
        Self {
            sessions,
            address,
            neighbor,
            reach: None,
            inbox: Vec::new(),
        }
    }

    /// Hears what came, then does what is due; returns what it sends.
    fn turn(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut sent = self.hear(now);
        if self.sessions.poll_timeout().is_some_and(|at| at <= now) {
            self.sessions.handle(Input::Timer, now);
            let next = self.sessions.poll_timeout();
            assert!(next.is_none_or(|next| next > now), "a timer without end");
            sent.extend(self.actions());
        }
        sent
    }

    fn hear(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut sent = self.actions();
        for payload in std::mem::take(&mut self.inbox) {
            let header = Header {
                source: self.neighbor,
                destination: self.address,
                ttl: 255,
                path: Path::SingleHop,
            };
            let payload = &payload;
            self.sessions.handle(Input::Packet { header, payload }, now);
            sent.extend(self.actions());
        }
        sent
    }

    fn actions(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        while let Some(action) = self.sessions.poll_action() {
            match action {
                Action::Send { packet, .. } => sent.push(packet.to_vec()),
                Action::Reach { reach, .. } => self.reach = Some(reach),
                Action::Event(event) => assert!(!event.to_string().is_empty()),
                Action::Publish(_) => {}
            }
        }
        sent
    }
}
