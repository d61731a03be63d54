//! The network attempts that run: their sockets, their tokens, their deadlines.
//!
//! An attempt whose socket needs a privilege first waits for the IPVS process to make it, within its own
//! deadline ([`Sockets::OfSibling`]).

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd as _;

use kr_check::checks::StreamAttempt;
use kr_check::datagram::DatagramCheck;
use kr_check::http::Patterns;
use kr_check::outcome::{LocalFault, LocalStep, Seconds};
use kr_check::talk::Talk;
use kr_check::tls::{TlsConfigError, TlsContext};
use kr_check::{Attempt, Failure, Outcome, Rng, Timed};
use kr_event::{EventLoop, Ready};
use kr_model::check::Connection;
use kr_model::{CheckerId, Instant};
use mio::Token;
use socket2::Socket;

use crate::datagram::{DatagramLink, question};
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

/// Who makes sockets that need a privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sockets {
    /// This process; it works if the process holds the privilege.
    Own,
    /// The IPVS process.
    OfSibling,
}

/// Which attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) checker: CheckerId,
    pub(crate) run: u64,
    /// Which host of an `SMTP_CHECK`.
    pub(crate) host: u16,
}

#[derive(Debug)]
struct Probe {
    of: Run,
    line: Line,
    deadline: Instant,
}

/// The socket of an attempt.
#[derive(Debug)]
enum Line {
    /// There is none yet.
    Asked(Box<Prepared>),
    Stream(Box<Link<Talk>>),
    Datagram(DatagramLink),
}

/// An attempt without a socket; its time runs.
#[derive(Debug)]
enum Prepared {
    Stream(Connection, Box<Timed<Talk>>),
    Datagram(DatagramCheck),
}

impl Prepared {
    fn connection(&self) -> &Connection {
        match self {
            Self::Stream(connection, _) => connection,
            Self::Datagram(check) => check.connection(),
        }
    }

    fn over(self, socket: Socket) -> Result<Line, Outcome> {
        Ok(match self {
            Self::Stream(connection, talk) => Line::stream(Link::over(socket, &connection, *talk)?),
            Self::Datagram(check) => Line::Datagram(DatagramLink::over(socket, check)?),
        })
    }

    const fn poll_timeout(&self) -> Instant {
        match self {
            Self::Stream(_, talk) => talk.poll_timeout(),
            Self::Datagram(check) => check.poll_timeout(),
        }
    }

    fn expire(&self, now: Instant) -> Served<()> {
        if now < self.poll_timeout() {
            return Served::Wait;
        }
        Served::Done(Err(Failure::Local(LocalFault {
            step: LocalStep::Handover,
            error: format!("it gave none within {}", Seconds(self.connection().timeout)),
        })))
    }
}

impl Line {
    fn stream(link: Link<Talk>) -> Self {
        Self::Stream(Box::new(link))
    }

    fn serve(&mut self, ready: Ready, now: Instant, block: &mut [u8]) -> Served<()> {
        match self {
            Self::Asked(_) => Served::Wait,
            Self::Stream(link) => {
                link.serve(ready, now, block.get_mut(..BLOCK).unwrap_or_default())
            }
            Self::Datagram(link) => link.serve(block),
        }
    }

    fn expire(&mut self, now: Instant) -> Served<()> {
        match self {
            Self::Asked(prepared) => prepared.expire(now),
            Self::Stream(link) => link.expire(now),
            Self::Datagram(link) => link.expire(now),
        }
    }

    fn poll_timeout(&self) -> Instant {
        match self {
            Self::Asked(prepared) => prepared.poll_timeout(),
            Self::Stream(link) => link.poll_timeout(),
            Self::Datagram(link) => link.poll_timeout(),
        }
    }
}

/// Every attempt that runs. Tokens count up and are not used again, so an event of a closed connection
/// meets nobody.
#[derive(Debug)]
pub(crate) struct Probes {
    running: BTreeMap<usize, Probe>,
    deadlines: BTreeSet<(Instant, usize)>,
    /// Connections with something left to read, with the event that told so.
    backlog: BTreeMap<usize, Ready>,
    sockets: Sockets,
    /// Attempts that wait for a socket, by their run.
    asked: BTreeMap<u64, usize>,
    /// Those of them for which nobody was asked yet.
    unasked: BTreeSet<u64>,
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
        sockets: Sockets,
    ) -> Self {
        Self {
            sockets,
            asked: BTreeMap::new(),
            unasked: BTreeSet::new(),
            running: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            backlog: BTreeMap::new(),
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
        of: Run,
        attempt: &Attempt<'_>,
        now: Instant,
    ) -> Option<Outcome> {
        let token = self.next_token;
        self.next_token = token.checked_add(1).unwrap_or(self.first_token);
        let privileged = attempt.connection().needs_privilege();
        let line = if privileged && self.sockets == Sockets::OfSibling {
            self.asked.insert(of.run, token);
            self.unasked.insert(of.run);
            self.prepare(attempt, now)
        } else {
            self.open(attempt, now)
                .and_then(|line| watch(events, line, token))
        };
        let line = match line {
            Ok(line) => line,
            Err(outcome) => {
                self.asked.remove(&of.run);
                return Some(outcome);
            }
        };
        let deadline = line.poll_timeout();
        self.deadlines.insert((deadline, token));
        self.running.insert(token, Probe { of, line, deadline });
        None
    }

    fn open(&mut self, attempt: &Attempt<'_>, now: Instant) -> Result<Line, Outcome> {
        Ok(match attempt {
            Attempt::Stream(attempt) => {
                Line::stream(Link::open(attempt.connection(), self.talk(attempt, now)?)?)
            }
            Attempt::Datagram(attempt) => {
                let (check, protocol) = question(attempt, self.rng.next(), now);
                Line::Datagram(DatagramLink::open(check, protocol)?)
            }
        })
    }

    fn prepare(&mut self, attempt: &Attempt<'_>, now: Instant) -> Result<Line, Outcome> {
        let prepared = match attempt {
            Attempt::Stream(attempt) => {
                let talk = Box::new(self.talk(attempt, now)?);
                Prepared::Stream(attempt.connection().clone(), talk)
            }
            Attempt::Datagram(attempt) => {
                Prepared::Datagram(question(attempt, self.rng.next(), now).0)
            }
        };
        Ok(Line::Asked(Box::new(prepared)))
    }

    /// What is said over a connection; its time runs from now on.
    fn talk(&self, attempt: &StreamAttempt<'_>, now: Instant) -> Result<Timed<Talk>, Outcome> {
        let context = self.tls.as_ref().map_err(|error| {
            Outcome::Unable(LocalFault {
                step: LocalStep::Tls,
                error: error.to_string(),
            })
        })?;
        let talk = Talk::new(attempt, context, &self.patterns).map_err(Outcome::Failed)?;
        Ok(Timed::new(talk, attempt.connection().timeout, now))
    }

    /// The next attempt for which the IPVS process is to be asked for a socket.
    pub(crate) fn poll_unasked(&mut self) -> Option<Run> {
        while let Some(run) = self.unasked.pop_first() {
            let token = self.asked.get(&run);
            if let Some(probe) = token.and_then(|token| self.running.get(token)) {
                return Some(probe.of);
            }
        }
        None
    }

    /// There is another IPVS process: whoever waits for a socket has to ask again.
    pub(crate) fn ask_again(&mut self) {
        self.unasked.extend(self.asked.keys());
    }

    /// The socket of a run came, or none does. `Some`: the attempt is over. One that is over already
    /// closes the socket.
    pub(crate) fn answered(
        &mut self,
        events: &EventLoop,
        run: u64,
        answer: Result<Socket, LocalFault>,
    ) -> Option<Ended> {
        let token = self.asked.remove(&run)?;
        self.unasked.remove(&run);
        let probe = self.remove(token)?;
        let Line::Asked(prepared) = probe.line else {
            return None;
        };
        let line = match answer {
            Ok(socket) => prepared.over(socket),
            Err(fault) => Err(Outcome::Unable(fault)),
        }
        .and_then(|line| watch(events, line, token));
        match line {
            Ok(line) => {
                let deadline = line.poll_timeout();
                self.deadlines.insert((deadline, token));
                let of = probe.of;
                self.running.insert(token, Probe { of, line, deadline });
                None
            }
            Err(outcome) => Some(Ended {
                checker: probe.of.checker,
                run,
                outcome,
            }),
        }
    }

    /// Drops an attempt; its connection closes.
    pub(crate) fn cancel(&mut self, run: u64) {
        let token = self
            .running
            .iter()
            .find_map(|(token, probe)| (probe.of.run == run).then_some(*token));
        if let Some(token) = token {
            self.remove(token);
        }
    }

    /// Drops all attempts.
    pub(crate) fn clear(&mut self) {
        self.running.clear();
        self.deadlines.clear();
        self.backlog.clear();
        self.asked.clear();
        self.unasked.clear();
    }

    /// Serves the connection of an event.
    pub(crate) fn ready(&mut self, ready: Ready, now: Instant) -> Option<Ended> {
        let Token(token) = ready.token;
        let probe = self.running.get_mut(&token)?;
        let served = probe.line.serve(ready, now, &mut self.block);
        if matches!(served, Served::Again) {
            self.backlog.insert(token, ready);
        } else {
            self.backlog.remove(&token);
        }
        self.after(token, served)
    }

    /// Serves every connection with something left to read once.
    pub(crate) fn serve_backlog(&mut self, now: Instant) -> Vec<Ended> {
        let events: Vec<Ready> = self.backlog.values().copied().collect();
        events
            .into_iter()
            .filter_map(|ready| self.ready(ready, now))
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
                    checker: probe.of.checker,
                    run: probe.of.run,
                    outcome: match result {
                        Ok(()) => Outcome::Passed,
                        Err(Failure::Local(fault)) => Outcome::Unable(fault),
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
        if matches!(probe.line, Line::Asked(_)) {
            self.asked.remove(&probe.of.run);
            self.unasked.remove(&probe.of.run);
        }
        Some(probe)
    }
}

/// Registers the socket of an attempt.
fn watch(events: &EventLoop, line: Line, token: usize) -> Result<Line, Outcome> {
    let descriptor = match &line {
        Line::Asked(_) => return Ok(line),
        Line::Stream(link) => link.as_fd(),
        Line::Datagram(link) => link.as_fd(),
    };
    match events.register(descriptor, Token(token)) {
        Ok(()) => Ok(line),
        Err(error) => Err(Outcome::Unable(LocalFault {
            step: LocalStep::Watch,
            error: error.to_string(),
        })),
    }
}
