//! What an operator would look at, several times a second: adverts on the wire, addresses, the kernel's table,
//! and the client's luck.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_testkit::capture::{self, Capture};

use super::stage::{LB1, LB2, Stage, VIP, WEBS};
use super::web::{Request, now, parse};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A line is printed at least this often.
const LINE: Duration = Duration::from_secs(3);

/// A router whose last advert is older than the master-down time is master no more.
const SILENT: Duration = Duration::from_millis(3500);

/// One look.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Whose advert was heard last, if that was not too long ago.
    pub(super) master: Option<&'static str>,
    /// Directors that hold the virtual address.
    pub(super) holders: Vec<&'static str>,
    /// Web servers that the master sends requests to.
    pub(super) up: Vec<&'static str>,
    /// Whether the newest finished request was answered.
    pub(super) answered_last: bool,
    /// Answers since the last act, by server.
    answers: BTreeMap<String, usize>,
    /// Requests lost since the last act.
    lost: usize,
}

impl View {
    /// Answers of one web server since the last act.
    pub(super) fn answers_of(&self, web: &str) -> usize {
        self.answers.get(web).copied().unwrap_or(0)
    }

    /// What a change of deserves a new line.
    fn state(&self) -> (Option<&'static str>, &[&'static str], &[&'static str]) {
        (self.master, &self.holders, &self.up)
    }

    fn line(&self) -> String {
        let holders = if self.holders.is_empty() {
            "nobody".to_owned()
        } else {
            self.holders.join(" and ")
        };
        let mut text = format!(
            "master {:<6} VIP on {holders:<8}",
            self.master.unwrap_or("-")
        );
        for web in WEBS {
            let health = match self.master {
                None => "?",
                Some(_) if self.up.contains(&web) => "up",
                Some(_) => "DOWN",
            };
            write!(text, "  {web} {health:<4} {:>4} req", self.answers_of(web)).ok();
        }
        write!(text, "  lost {}", self.lost).ok();
        text
    }
}

/// Requests lost since the last act.
#[derive(Debug, Clone, Copy)]
pub(super) struct Losses {
    /// How many.
    pub(super) requests: usize,
    /// From the act to the last of them.
    pub(super) until: Duration,
}

/// Looks at the stage and prints what it sees.
#[derive(Debug)]
pub(super) struct Observer {
    capture: Capture,
    started: Instant,
    act_at: u64,
    act_started: Instant,
    printed: (View, Instant),
    losses: Losses,
}

impl Observer {
    /// Starts to listen on the client's segment.
    pub(super) fn new(stage: &Stage) -> io::Result<Self> {
        let none = Losses {
            requests: 0,
            until: Duration::ZERO,
        };
        Ok(Self {
            capture: Capture::start(stage.host("client")?, capture::is_vrrp)?,
            started: Instant::now(),
            act_at: now(),
            act_started: Instant::now(),
            printed: (View::default(), Instant::now()),
            losses: none,
        })
    }

    /// Announces what happens next and counts from here.
    pub(super) fn act(&mut self, what: &str) {
        println!(
            "\n{:>6.1} s  >>> {what}",
            self.started.elapsed().as_secs_f32()
        );
        self.act_at = now();
        self.act_started = Instant::now();
    }

    /// Looks until `happened`, and returns the time since the act began.
    pub(super) fn wait(
        &mut self,
        stage: &Stage,
        what: &str,
        limit: Duration,
        happened: impl Fn(&View) -> bool,
    ) -> io::Result<Duration> {
        loop {
            let view = self.look(stage)?;
            self.show(&view, false);
            if happened(&view) {
                let elapsed = self.act_started.elapsed();
                println!(
                    "{:>6.1} s  {what}: after {:.1} s",
                    self.started.elapsed().as_secs_f32(),
                    elapsed.as_secs_f32()
                );
                return Ok(elapsed);
            }
            if self.act_started.elapsed() > limit {
                self.show(&view, true);
                return Err(io::Error::other(format!(
                    "this did not happen in {} s: {what}",
                    limit.as_secs()
                )));
            }
            sleep(PAUSE);
        }
    }

    /// Goes on looking for a while.
    pub(super) fn settle(&mut self, stage: &Stage, length: Duration) -> io::Result<()> {
        let start = Instant::now();
        while start.elapsed() < length {
            let view = self.look(stage)?;
            self.show(&view, false);
            sleep(PAUSE);
        }
        Ok(())
    }

    /// Requests lost since the last act.
    pub(super) fn losses(&self) -> Losses {
        self.losses
    }

    fn show(&mut self, view: &View, always: bool) {
        let (last, at) = &self.printed;
        if always || last.state() != view.state() || at.elapsed() > LINE {
            println!(
                "{:>6.1} s  {}",
                self.started.elapsed().as_secs_f32(),
                view.line()
            );
            self.printed = (view.clone(), Instant::now());
        }
    }

    fn look(&mut self, stage: &Stage) -> io::Result<View> {
        let master = self
            .capture
            .frames()
            .last()
            .filter(|frame| frame.at.elapsed() < SILENT)
            .and_then(|frame| capture::source(&frame.bytes))
            .and_then(|source| match source.octets() {
                [10, 20, 0, 1] => Some(LB1),
                [10, 20, 0, 2] => Some(LB2),
                _ => None,
            });
        let mut holders = Vec::new();
        for name in [LB1, LB2] {
            if stage.host(name)?.has_address(&VIP.to_string()) {
                holders.push(name);
            }
        }
        let mut view = View {
            master,
            holders,
            ..View::default()
        };
        if let Some(master) = master {
            let table = stage.host(master)?.run("ipvsadm", &["-Sn"])?;
            view.up = WEBS
                .into_iter()
                .zip(11..)
                .filter(|(_, number)| receives(&table, Ipv4Addr::new(10, 30, 0, *number)))
                .map(|(name, _)| name)
                .collect();
        }
        self.count(&stage.client_log(), &mut view);
        Ok(view)
    }

    fn count(&mut self, log: &str, view: &mut View) {
        self.losses = Losses {
            requests: 0,
            until: Duration::ZERO,
        };
        let requests: Vec<Request> = log.lines().filter_map(parse).collect();
        view.answered_last = requests
            .last()
            .is_some_and(|request| request.server.is_some());
        for request in requests
            .iter()
            .filter(|request| request.sent >= self.act_at)
        {
            if let Some(server) = &request.server {
                *view.answers.entry(server.clone()).or_default() += 1;
            } else {
                self.losses.requests += 1;
                let until = Duration::from_millis(request.sent - self.act_at);
                self.losses.until = self.losses.until.max(until);
            }
        }
        view.lost = self.losses.requests;
    }
}

/// Whether the table sends new connections to this server.
fn receives(table: &str, server: Ipv4Addr) -> bool {
    table.lines().any(|line| {
        line.contains(&format!("-r {server}:80 ")) && !line.trim_end().ends_with("-w 0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_without_weight_receives_nothing() {
        let table = "-A -t 10.20.0.100:80 -s rr\n\
                     -a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1\n\
                     -a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 0\n";
        assert!(receives(table, Ipv4Addr::new(10, 30, 0, 11)));
        assert!(!receives(table, Ipv4Addr::new(10, 30, 0, 12)));
        assert!(!receives(table, Ipv4Addr::new(10, 30, 0, 1)));
    }
}
