//! Sockets that checks need and the checker process may not make: which of its requests are answered with
//! one. It gets no other socket than the configuration asks for, however it asks. No system calls here;
//! those are in `opener`.

use std::collections::BTreeMap;
use std::time::Duration;

use kr_ipc::edge::checkerd_ipvsd::{MOST_SOCKETS_WANTED, SocketRefusal, SocketWanted};
use kr_model::check::SocketRule;
use kr_model::{CheckerId, Generation, Instant};

/// Requests answered with a socket within [`WINDOW`]. As many checks as may run at a time: more is no need
/// but a flood.
const MOST_PER_WINDOW: u32 = 4096;

/// The time for which requests are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<'r> {
    /// Make this socket.
    Open(&'r SocketRule),
    /// Say no.
    Refuse(SocketRefusal),
    /// It is held until the configuration comes that the sender runs already.
    Later,
    /// The sender asks for what its own configuration does not have, or for too much at a time.
    Misbehaviour,
}

/// The rules in force, and requests that came before theirs.
#[derive(Debug)]
pub(crate) struct Sockets {
    generation: Generation,
    rules: BTreeMap<(CheckerId, u16), SocketRule>,
    held: Vec<SocketWanted>,
    window: Instant,
    asked: u32,
}

impl Sockets {
    /// No rules.
    pub(crate) const fn new() -> Self {
        Self {
            generation: Generation(0),
            rules: BTreeMap::new(),
            held: Vec::new(),
            window: Instant::ZERO,
            asked: 0,
        }
    }

    /// These rules from now on. Gives back the requests that were held, to be judged again.
    pub(crate) fn configure(
        &mut self,
        generation: Generation,
        rules: Vec<SocketRule>,
    ) -> Vec<SocketWanted> {
        self.generation = generation;
        let keyed = rules.into_iter();
        self.rules = keyed
            .map(|rule| ((rule.checker, rule.host), rule))
            .collect();
        std::mem::take(&mut self.held)
    }

    /// Another checker process asks from now on.
    pub(crate) fn forget_requests(&mut self) {
        self.held.clear();
        self.asked = 0;
    }

    /// Judges a request.
    pub(crate) fn judge(&mut self, wanted: SocketWanted, now: Instant) -> Answer<'_> {
        if now.since(self.window) >= WINDOW {
            self.window = now;
            self.asked = 0;
        }
        self.asked = self.asked.saturating_add(1);
        if self.asked > MOST_PER_WINDOW {
            return Answer::Refuse(SocketRefusal::TooMany);
        }
        if let Some(rule) = self.rules.get(&(wanted.checker, wanted.host)) {
            return Answer::Open(rule);
        }
        if wanted.generation < self.generation {
            return Answer::Refuse(SocketRefusal::Gone);
        }
        if wanted.generation == self.generation || self.held.len() >= MOST_SOCKETS_WANTED {
            return Answer::Misbehaviour;
        }
        self.held.push(wanted);
        Answer::Later
    }
}

#[cfg(test)]
mod tests {
    use kr_model::check::SocketKind;
    use kr_model::net::Family;

    use super::*;

    fn rule(checker: u32) -> SocketRule {
        SocketRule {
            checker: CheckerId(checker),
            host: 0,
            family: Family::Inet,
            kind: SocketKind::Stream,
            source: None,
            interface: None,
            mark: 7,
        }
    }

    const fn wanted(generation: u64, checker: u32) -> SocketWanted {
        SocketWanted {
            generation: Generation(generation),
            checker: CheckerId(checker),
            host: 0,
            request: 1,
        }
    }

    fn sockets() -> Sockets {
        let mut sockets = Sockets::new();
        assert!(sockets.configure(Generation(2), vec![rule(1)]).is_empty());
        sockets
    }

    #[test]
    fn only_what_is_configured_is_opened() {
        let mut sockets = sockets();
        let now = Instant::ZERO;
        for generation in [1, 2, 3] {
            let answer = sockets.judge(wanted(generation, 1), now);
            assert_eq!(answer, Answer::Open(&rule(1)));
        }
        let gone = Answer::Refuse(SocketRefusal::Gone);
        assert_eq!(sockets.judge(wanted(1, 9), now), gone);
        assert_eq!(sockets.judge(wanted(2, 9), now), Answer::Misbehaviour);
        let another_host = SocketWanted {
            host: 1,
            ..wanted(2, 1)
        };
        assert_eq!(sockets.judge(another_host, now), Answer::Misbehaviour);
    }

    #[test]
    fn a_request_that_overtakes_its_configuration_is_held_until_then() {
        let mut sockets = sockets();
        assert_eq!(sockets.judge(wanted(3, 5), Instant::ZERO), Answer::Later);
        let held = sockets.configure(Generation(3), vec![rule(5)]);
        assert_eq!(held, [wanted(3, 5)]);
        let answer = sockets.judge(wanted(3, 5), Instant::ZERO);
        assert_eq!(answer, Answer::Open(&rule(5)));
    }

    #[test]
    fn no_more_are_held_than_may_be_outstanding_and_none_for_a_successor() {
        let mut sockets = sockets();
        for _ in 0..MOST_SOCKETS_WANTED {
            assert_eq!(sockets.judge(wanted(3, 5), Instant::ZERO), Answer::Later);
        }
        let answer = sockets.judge(wanted(3, 5), Instant::ZERO);
        assert_eq!(answer, Answer::Misbehaviour);
        sockets.forget_requests();
        assert!(sockets.configure(Generation(3), vec![rule(5)]).is_empty());
    }

    #[test]
    fn a_flood_is_refused_until_the_next_second() {
        let mut sockets = sockets();
        let at = |millis: u64| Instant::from_micros(10_000_000 + millis * 1_000);
        for _ in 0..MOST_PER_WINDOW {
            let answer = sockets.judge(wanted(2, 1), at(0));
            assert!(matches!(answer, Answer::Open(_)));
        }
        let too_many = Answer::Refuse(SocketRefusal::TooMany);
        assert_eq!(sockets.judge(wanted(2, 1), at(999)), too_many);
        let answer = sockets.judge(wanted(2, 1), at(1_000));
        assert!(matches!(answer, Answer::Open(_)));
    }
}
