//! The checks with their sockets: what the child of keepalived-rs ([`crate::daemon`]) and the program that
//! runs alone ([`crate::alone`]) have in common. What each does about scripts and verdicts is its own
//! ([`Request`]).

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;

use kr_check::checks::{Configuration, Input};
use kr_check::http::Patterns;
use kr_check::outcome::{LocalFault, LocalStep, Seconds};
use kr_check::tls::TlsContext;
use kr_check::{Action, Checks, Event, Rng};
use kr_event::{EventLoop, Ready};
use kr_ipc::edge::checkerd_ipvsd::{SocketRefusal, SocketStep, SocketWanted};
use kr_model::bfd::Reach;
use kr_model::check::{Checker, CheckerGlobal, CheckerSnapshot, Probe};
use kr_model::lvs::Verdict;
use kr_model::script::ScriptOutcome;
use kr_model::{CheckerId, Generation, Instant, TrackerId};
use socket2::Socket;

use crate::probe_io::{Ended, Probes, Run, Sockets};

/// What only the owner of the checks can do.
#[derive(Debug)]
pub(crate) enum Request {
    /// Run the program of a `MISC_CHECK`.
    RunScript { checker: CheckerId, run: u64 },
    /// A verdict is new or changed.
    Verdict {
        generation: Generation,
        verdict: Verdict,
    },
    /// What a successor must know.
    Snapshot(CheckerSnapshot),
}

/// Checks, their sockets and their log lines.
#[derive(Debug)]
pub(crate) struct Engine {
    checks: Checks,
    probes: Probes,
    global: CheckerGlobal,
    said_unverified: bool,
    said_mark: bool,
    said_ping: bool,
}

impl Engine {
    /// No checks; later at most `running` at a time, with tokens from `first_token` up. `sockets`: who makes
    /// those that need a privilege.
    pub(crate) fn new(running: usize, mut rng: Rng, first_token: usize, sockets: Sockets) -> Self {
        let global = CheckerGlobal::default();
        let probe_rng = Rng::new(rng.next());
        Self {
            checks: Checks::new(running, rng),
            probes: Probes::new(first_token, TlsContext::new(&global), probe_rng, sockets),
            global,
            said_unverified: false,
            said_mark: false,
            said_ping: false,
        }
    }

    /// These checks from now on.
    pub(crate) fn configure(
        &mut self,
        global: CheckerGlobal,
        configuration: Configuration,
        now: Instant,
    ) {
        if global != self.global {
            let tls = TlsContext::new(&global);
            if let Err(error) = &tls {
                log::error!("no SSL_GET can run: {error}");
            }
            self.probes.set_tls(tls);
            self.global = global;
        }
        let generation = configuration.generation;
        self.checks.handle(Input::Configure(configuration), now);
        let unverified = !self.global.verifies() && self.checks.all().any(uses_tls);
        if unverified && !std::mem::replace(&mut self.said_unverified, true) {
            log::warn!(
                "SSL_GET accepts any certificate, as keepalived does; with `SSL {{ verify }}` or `SSL {{ ca FILE }}` certificates are verified"
            );
        }
        log::info!(
            "configuration {generation}: {} checkers",
            self.checks.all().count()
        );
        self.probes.set_patterns(Patterns::of(self.checks.all()));
        let sharing = self.checks.sharing();
        if sharing > 0 {
            log::info!("{sharing} of them share the runs of an identical one (checker_share)");
        }
    }

    /// The checks, to look at.
    pub(crate) const fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Only these checkers do not run.
    pub(crate) fn suspend(&mut self, checkers: BTreeSet<CheckerId>, now: Instant) {
        self.checks.handle(Input::Suspend(checkers), now);
    }

    /// Every verdict is wanted again.
    pub(crate) fn announce(&mut self, now: Instant) {
        self.checks.handle(Input::Announce, now);
    }

    /// The next socket to ask the IPVS process for; the number of the request is that of the run.
    pub(crate) fn poll_socket_wanted(&mut self) -> Option<SocketWanted> {
        let Run { checker, run, host } = self.probes.poll_unasked()?;
        Some(SocketWanted {
            generation: self.checks.generation(),
            checker,
            host,
            request: run,
        })
    }

    /// There is another IPVS process to ask for sockets.
    pub(crate) fn ask_again(&mut self) {
        self.probes.ask_again();
    }

    /// The IPVS process answered a request for a socket.
    pub(crate) fn socket_answered(
        &mut self,
        events: &EventLoop,
        request: u64,
        answer: Result<OwnedFd, SocketRefusal>,
        now: Instant,
    ) {
        let answer = answer.map(Socket::from).map_err(fault);
        let ended = self.probes.answered(events, request, answer);
        self.finish(ended, now);
    }

    /// The neighbour of a BFD session is reached, or not.
    pub(crate) fn reach(&mut self, session: TrackerId, reach: Reach, now: Instant) {
        self.checks.handle(Input::Reach { session, reach }, now);
    }

    /// The number in a file.
    pub(crate) fn number(&mut self, file: TrackerId, number: i32, now: Instant) {
        self.checks.handle(Input::Number { file, number }, now);
    }

    /// A program ended.
    pub(crate) fn script_ended(
        &mut self,
        checker: CheckerId,
        run: u64,
        outcome: ScriptOutcome,
        now: Instant,
    ) {
        let ended = Input::ScriptEnded {
            checker,
            run,
            outcome,
        };
        self.checks.handle(ended, now);
    }

    /// Serves the connection of an event.
    pub(crate) fn ready(&mut self, ready: Ready, now: Instant) {
        let ended = self.probes.ready(ready, now);
        self.finish(ended, now);
    }

    /// Goes on with connections that have more to read, ends those that are late and starts what is due.
    pub(crate) fn pass(&mut self, now: Instant) {
        let ended = self.probes.serve_backlog(now);
        self.finish(ended, now);
        while let Some(ended) = self.probes.expire(now) {
            self.finish(Some(ended), now);
        }
        self.checks.handle(Input::Tick, now);
    }

    /// Carries out what the checks ask for, up to the next thing that the caller has to do.
    pub(crate) fn poll_request(&mut self, events: &EventLoop, now: Instant) -> Option<Request> {
        loop {
            match self.checks.poll_action()? {
                Action::Start { checker, run } => self.start(events, checker, run, now),
                Action::RunScript { checker, run } => {
                    return Some(Request::RunScript { checker, run });
                }
                Action::Cancel { run } => self.probes.cancel(run),
                Action::Verdict {
                    generation,
                    verdict,
                } => {
                    return Some(Request::Verdict {
                        generation,
                        verdict,
                    });
                }
                Action::Snapshot(snapshot) => return Some(Request::Snapshot(snapshot)),
                Action::Overloaded { running, late } => log::warn!(
                    "{running} checks run, which is all that may; others start {} late",
                    Seconds(late)
                ),
                Action::Log { checker, event } => self.log(checker, &event),
            }
        }
    }

    /// When [`pass`](Self::pass) is due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.probes.has_backlog() {
            return Some(Instant::ZERO);
        }
        let both = [self.checks.poll_timeout(), self.probes.poll_timeout()];
        both.into_iter().flatten().min()
    }

    /// Drops every attempt that runs.
    pub(crate) fn clear(&mut self) {
        self.probes.clear();
    }

    fn finish(&mut self, ended: impl IntoIterator<Item = Ended>, now: Instant) {
        for Ended {
            checker,
            run,
            outcome,
        } in ended
        {
            let finished = Input::Finished {
                checker,
                run,
                outcome,
            };
            self.checks.handle(finished, now);
        }
    }

    fn start(&mut self, events: &EventLoop, checker: CheckerId, run: u64, now: Instant) {
        let outcome = match self.checks.attempt(checker) {
            Some(attempt) => {
                let host = self.checks.host(checker);
                let of = Run { checker, run, host };
                self.probes.start(events, of, &attempt, now)
            }
            // Cancelled since by the same wake-up.
            None => None,
        };
        if let Some(outcome) = outcome {
            let ended = Ended {
                checker,
                run,
                outcome,
            };
            self.finish(Some(ended), now);
        }
    }

    fn log(&mut self, checker: CheckerId, event: &Event) {
        let Some(checker) = self.checks.checker(checker) else {
            return;
        };
        let label = checker.label();
        match event {
            Event::Up { .. } | Event::Weight(_) | Event::Shares { .. } => {
                log::info!("{label} {event}")
            }
            Event::Down(_) | Event::Retrying { .. } | Event::StillDown(_) => {
                log::warn!("{label} {event}");
            }
            Event::Unable(fault) => {
                // Every check with a mark, and every ping, fails in the same way: one line tells it all.
                let said = match fault.step {
                    LocalStep::Mark => std::mem::replace(&mut self.said_mark, true),
                    LocalStep::Ping => std::mem::replace(&mut self.said_ping, true),
                    LocalStep::Socket
                    | LocalStep::Interface
                    | LocalStep::Source
                    | LocalStep::Connect
                    | LocalStep::Watch
                    | LocalStep::Send
                    | LocalStep::Handover
                    | LocalStep::Program
                    | LocalStep::Tls => false,
                };
                if said {
                    log::debug!("{label} {event}");
                } else {
                    log::error!("{label} {event}");
                }
            }
        }
    }
}

fn fault(refusal: SocketRefusal) -> LocalFault {
    let step = match refusal {
        SocketRefusal::Gone | SocketRefusal::TooMany => LocalStep::Handover,
        SocketRefusal::Kernel { step, .. } => match step {
            SocketStep::Open => LocalStep::Socket,
            SocketStep::Mark => LocalStep::Mark,
            SocketStep::Interface => LocalStep::Interface,
            SocketStep::Source => LocalStep::Source,
        },
    };
    LocalFault {
        step,
        error: format!("the IPVS process: {refusal}"),
    }
}

fn uses_tls(checker: &Checker) -> bool {
    match &checker.probe {
        Probe::Http(http) => http.tls.is_some(),
        Probe::Tcp(_)
        | Probe::Smtp { .. }
        | Probe::Dns { .. }
        | Probe::Udp(_)
        | Probe::Ping(_)
        | Probe::Bfd { .. }
        | Probe::File(_)
        | Probe::Misc { .. } => false,
    }
}
