//! Routes and rules: changed through netlink, and looked after. The decisions are those of [`Fib`].

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use kr_model::Instant;
use kr_netlink::fib::{Change, Events, Found, Object, Refusal, Requests};
use kr_netlink::socket::NetlinkError;
use nix::errno::Errno;

use crate::fib::{Described, Fib, News, Step, Tables, Wishes, leftovers};
use crate::kernel::Kernel;

/// Least time between two readings of the kernel's tables: somebody who removes routes one by one, or links
/// that come and go, cost at most ten readings a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Events taken per wake-up.
const BUDGET: usize = 256;

/// Routes and rules of this process in the kernel.
#[derive(Debug)]
pub(crate) struct Routing {
    requests: Requests,
    events: Events,
    fib: Fib,
    /// Something of ours may be gone.
    suspicious: bool,
    looked_at: Option<Instant>,
}

impl Routing {
    /// Nothing is wanted yet.
    pub(crate) fn new(requests: Requests, events: Events) -> Self {
        Self {
            requests,
            events,
            fib: Fib::default(),
            suspicious: false,
            looked_at: None,
        }
    }

    /// When [`Routing::mend`] has something to do, unless an event comes before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let look = self.suspicious.then(|| {
            self.looked_at
                .map_or(Instant::ZERO, |at| at.saturating_add(LOOK_INTERVAL))
        });
        self.fib.deadline().into_iter().chain(look).min()
    }

    /// Makes the kernel hold exactly the wanted objects. Events of others are followed only while something is.
    pub(crate) fn want(&mut self, wishes: Wishes, kernel: &Kernel, now: Instant) {
        self.fib.want(wishes);
        if let Err(errno) = self.events.follow(self.fib.is_watched()) {
            log::error!(
                "cannot follow routes and rules: {errno}; what others remove is not put back"
            );
        }
        self.make(kernel, now);
    }

    /// Finds what a predecessor of this process left: before the first [`Routing::want`], which then removes what
    /// of it is not wanted. What the configuration, `configured`, does not know any more goes here.
    pub(crate) fn adopt(
        &mut self,
        configured: Wishes,
        is_configured_link: impl Fn(u32) -> bool,
        kernel: &Kernel,
        now: Instant,
    ) {
        if configured.is_empty() {
            return;
        }
        let objects: Vec<&Object> = configured.iter().map(|(object, _)| object).collect();
        let tables = Tables::of(objects.iter().copied());
        let Some(found) = self.read(&tables, now) else {
            return;
        };
        self.discard(
            &leftovers(&found, &objects, kernel, is_configured_link),
            kernel,
        );
        self.fib.want(configured);
        self.fib.observe(&found, kernel);
    }

    fn discard(&mut self, left: &[&Found], kernel: &Kernel) {
        let changes: Vec<Change<'_>> = left.iter().copied().map(Change::Discard).collect();
        if changes.is_empty() {
            return;
        }
        log::info!(
            "removing {} routes and rules that an earlier process left",
            changes.len()
        );
        match self.requests.apply(&changes, kernel) {
            Ok(outcomes) => {
                for refusal in outcomes.into_iter().filter_map(Result::err) {
                    log::warn!("cannot remove a route or rule of an earlier process: {refusal}");
                }
            }
            Err(error) => log::error!("cannot remove routes and rules: {error}"),
        }
    }

    /// Hears what others did; true when more is waiting.
    pub(crate) fn hear(&mut self) -> bool {
        for _ in 0..BUDGET {
            match self.events.next_event() {
                Ok(None) => return false,
                Ok(Some(event)) => self.suspicious |= self.fib.is_touched(&event),
                Err(error) => {
                    log::warn!("{error}; reading routes and rules anew");
                    self.events.discard();
                    self.suspicious = true;
                    return false;
                }
            }
        }
        true
    }

    /// Links or addresses changed: the kernel drops routes with them without a word, and may take now what it
    /// refused before.
    pub(crate) fn surroundings_changed(&mut self, now: Instant) {
        self.suspicious |= self.fib.is_watched();
        self.fib.refusals().hasten(now);
    }

    /// Looks what is missing, and sets it; tries again what was refused.
    pub(crate) fn mend(&mut self, kernel: &Kernel, now: Instant) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        let rested = self
            .looked_at
            .is_none_or(|at| at.saturating_add(LOOK_INTERVAL) <= now);
        if self.suspicious && rested {
            self.look(kernel, now);
        }
        let retry = self.fib.deadline().is_some_and(|at| at <= now);
        self.make(kernel, now);
        if retry && self.fib.deadline().is_some() {
            self.fib.refusals().retrying(now);
        }
    }

    fn look(&mut self, kernel: &Kernel, now: Instant) {
        let tables = Tables::of(self.fib.wanted());
        let Some(found) = self.read(&tables, now) else {
            return;
        };
        for object in self.fib.observe(&found, kernel) {
            let described = Described(&object, self.fib.owner(&object));
            log::warn!(
                "{described} is gone: another program removed it, or it went with its interface; putting it back"
            );
        }
    }

    /// Every object with our mark in these tables. A failure leaves the suspicion.
    fn read(&mut self, tables: &Tables, now: Instant) -> Option<Vec<Found>> {
        self.looked_at = Some(now);
        let mut found = Ok(Vec::new());
        let mut add = |more: Result<Vec<Found>, NetlinkError>| {
            if let Ok(list) = &mut found {
                match more {
                    Ok(more) => list.extend(more),
                    Err(error) => found = Err(error),
                }
            }
        };
        for family in &tables.routes {
            add(self.requests.routes(*family));
        }
        for family in &tables.rules {
            add(self.requests.rules(*family));
        }
        self.suspicious = found.is_err();
        match found {
            Ok(found) => Some(found),
            Err(error) => {
                log::error!("cannot read routes and rules: {error}; trying again");
                None
            }
        }
    }

    fn make(&mut self, kernel: &Kernel, now: Instant) {
        let steps = self.fib.changes(now);
        if steps.is_empty() {
            return;
        }
        let changes: Vec<Change<'_>> = steps.iter().map(Step::change).collect();
        let outcomes = match self.requests.apply(&changes, kernel) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // Some of the changes may have been made.
                log::error!("cannot change routes and rules: {error}; trying again");
                self.suspicious = true;
                return;
            }
        };
        for (step, outcome) in steps.iter().zip(outcomes) {
            let news = self.fib.made(step, outcome, kernel, now);
            self.tell(step, &news);
        }
    }

    fn tell(&self, step: &Step, news: &News) {
        let (Step::Add(object) | Step::Remove(object)) = step;
        let described = Described(object, self.fib.owner(object));
        match (step, news) {
            (_, News::None) => {}
            (_, News::Mended) => {
                log::info!("{described} is set now, which the kernel had refused");
            }
            (Step::Add(_), News::Refused(refusal)) => log::error!(
                "{described} refused: {refusal}{}; trying again, at least once a minute",
                advice(refusal)
            ),
            (Step::Remove(_), News::Refused(refusal)) => {
                log::error!("cannot remove {described}: {refusal}");
            }
        }
    }
}

impl AsFd for Routing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

/// What an operator can do about a refusal, where the kernel's word does not say it.
fn advice(refusal: &Refusal) -> &'static str {
    let is = |all: &[Errno]| all.iter().any(|errno| *refusal == Refusal::Kernel(*errno));
    if is(&[Errno::ENETUNREACH, Errno::EHOSTUNREACH]) {
        " (no route leads to its gateway; an address of the gateway's network is missing, or add `onlink`)"
    } else if is(&[Errno::EINVAL]) {
        " (the kernel does not take such an object: correct its line)"
    } else if is(&[Errno::EOPNOTSUPP]) {
        " (this kernel is built without what it needs)"
    } else {
        ""
    }
}
