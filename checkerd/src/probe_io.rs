//! The network attempts that run: their sockets, their tokens, their deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};

use kr_check::checks::StreamAttempt;
use kr_check::http::Patterns;
use kr_check::outcome::{LocalFault, LocalStep};
use kr_check::talk::Talk;
use kr_check::tls::{TlsConfigError, TlsContext};
use kr_check::{Attempt, Outcome, Rng, Timed};
use kr_event::EventLoop;
use kr_model::{CheckerId, Instant};
use mio::Token;

use crate::datagram::DatagramLink;
use crate::link::{BLOCK, Link, Served};

/// The longest reply that a `UDP_CHECK` may ask for has one byte less.
const LARGEST_DATAGRAM: usize = 1 << 16;

/// An attempt that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) checker: CheckerId,
    pub(crate) run: u64,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
struct Probe {
    checker: CheckerId,
    run: u64,
    line: Line,
    deadline: Instant,
}

/// The socket of an attempt.
#[derive(Debug)]
enum Line {
    Stream(Box<Link<Talk>>),
    Datagram(DatagramLink),
}

impl Line {
    fn serve(&mut self, now: Instant, block: &mut [u8]) -> Served<()> {
        match self {
            Self::Stream(link) => link.serve(now, block.get_mut(..BLOCK).unwrap_or_default()),
            Self::Datagram(link) => link.serve(block),
        }
    }

    fn expire(&mut self, now: Instant) -> Served<()> {
        match self {
            Self::Stream(link) => link.expire(now),
            Self::Datagram(link) => link.expire(now),
        }
    }

    fn poll_timeout(&self) -> Instant {
        match self {
            Self::Stream(link) => link.poll_timeout(),
            Self::Datagram(link) => link.poll_timeout(),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(link) => link.as_fd(),
            Self::Datagram(link) => link.as_fd(),
        }
    }
}

/// Every attempt that runs. Tokens count up and are not used again, so an event of a closed connection
/// meets nobody.
#[derive(Debug)]
pub(crate) struct Probes {
    running: BTreeMap<usize, Probe>,
    deadlines: BTreeSet<(Instant, usize)>,
    /// Connections with something left to read.
    backlog: BTreeSet<usize>,
    first_token: usize,
    next_token: usize,
    tls: Result<TlsContext, TlsConfigError>,
    patterns: Patterns,
    /// Numbers what is asked in datagrams.
    rng: Rng,
    block: Vec<u8>,
}

impl Probes {
    /// No attempts; their tokens will be `first_token` and above.
    pub(crate) fn new(
        first_token: usize,
        tls: Result<TlsContext, TlsConfigError>,
        rng: Rng,
    ) -> Self {
        Self {
            running: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            backlog: BTreeSet::new(),
            first_token,
            next_token: first_token,
            tls,
            patterns: Patterns::default(),
            rng,
            block: vec![0; LARGEST_DATAGRAM],
        }
    }

    /// From now on attempts use this.
    pub(crate) fn set_tls(&mut self, tls: Result<TlsContext, TlsConfigError>) {
        self.tls = tls;
    }

    /// From now on attempts search these.
    pub(crate) fn set_patterns(&mut self, patterns: Patterns) {
        self.patterns = patterns;
    }

    /// Starts an attempt. `Some`: it is over already.
    pub(crate) fn start(
        &mut self,
        events: &EventLoop,
        (checker, run): (CheckerId, u64),
        attempt: &Attempt<'_>,
        now: Instant,
    ) -> Option<Outcome> {
        let line = match attempt {
            Attempt::Stream(attempt) => self.connect(attempt, now),
            Attempt::Datagram(attempt) => {
                DatagramLink::open(attempt, self.rng.next(), now).map(Line::Datagram)
            }
        };
        let line = match line {
            Ok(line) => line,
            Err(outcome) => return Some(outcome),
        };
        let token = self.next_token;
        self.next_token = token.checked_add(1).unwrap_or(self.first_token);
        if let Err(error) = events.register(line.as_fd(), Token(token)) {
            return Some(Outcome::Unable(LocalFault {
                step: LocalStep::Watch,
                error: error.to_string(),
            }));
        }
        let deadline = line.poll_timeout();
        self.deadlines.insert((deadline, token));
        self.running.insert(
            token,
            Probe {
                checker,
                run,
                line,
                deadline,
            },
        );
        None
    }

    fn connect(&self, attempt: &StreamAttempt<'_>, now: Instant) -> Result<Line, Outcome> {
        let context = self.tls.as_ref().map_err(|error| {
            Outcome::Unable(LocalFault {
                step: LocalStep::Tls,
                error: error.to_string(),
            })
        })?;
        let talk = Talk::new(attempt, context, &self.patterns).map_err(Outcome::Failed)?;
        let connection = attempt.connection();
        let link = Link::open(connection, Timed::new(talk, connection.timeout, now))?;
        Ok(Line::Stream(Box::new(link)))
    }

    /// Drops an attempt; its connection closes.
    pub(crate) fn cancel(&mut self, run: u64) {
        let token = self
            .running
            .iter()
            .find_map(|(token, probe)| (probe.run == run).then_some(*token));
        if let Some(token) = token {
            self.remove(token);
        }
    }

    /// Drops all attempts.
    pub(crate) fn clear(&mut self) {
        self.running.clear();
        self.deadlines.clear();
        self.backlog.clear();
    }

    /// Serves the connection of an event.
    pub(crate) fn ready(&mut self, token: usize, now: Instant) -> Option<Ended> {
        let probe = self.running.get_mut(&token)?;
        let served = probe.line.serve(now, &mut self.block);
        if matches!(served, Served::Again) {
            self.backlog.insert(token);
        } else {
            self.backlog.remove(&token);
        }
        self.after(token, served)
    }

    /// Serves every connection with something left to read once.
    pub(crate) fn serve_backlog(&mut self, now: Instant) -> Vec<Ended> {
        let tokens: Vec<usize> = self.backlog.iter().copied().collect();
        tokens
            .into_iter()
            .filter_map(|token| self.ready(token, now))
            .collect()
    }

    /// Something is left to read.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Ends attempts whose deadline has passed; to be repeated until `None`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Ended> {
        while let Some(&(deadline, token)) = self.deadlines.first() {
            if deadline > now {
                return None;
            }
            self.deadlines.pop_first();
            let Some(probe) = self.running.get_mut(&token) else {
                continue;
            };
            let served = probe.line.expire(now);
            let ended = self.after(token, served);
            if ended.is_some() {
                return ended;
            }
        }
        None
    }

    /// When [`expire`](Self::expire) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Keeps the deadline that a connection has after it was served, or takes the attempt out.
    fn after(&mut self, token: usize, served: Served<()>) -> Option<Ended> {
        match served {
            Served::Wait | Served::Again => {
                let probe = self.running.get_mut(&token)?;
                let deadline = probe.line.poll_timeout();
                if deadline != probe.deadline {
                    self.deadlines.remove(&(probe.deadline, token));
                    probe.deadline = deadline;
                }
                self.deadlines.insert((deadline, token));
                None
            }
            Served::Done(result) => {
                let probe = self.remove(token)?;
                Some(Ended {
                    checker: probe.checker,
                    run: probe.run,
                    outcome: match result {
                        Ok(()) => Outcome::Passed,
                        Err(failure) => Outcome::Failed(failure),
                    },
                })
            }
        }
    }

    fn remove(&mut self, token: usize) -> Option<Probe> {
        let probe = self.running.remove(&token)?;
        self.deadlines.remove(&(probe.deadline, token));
        self.backlog.remove(&token);
        Some(probe)
    }
}
