//! Which things of received packets were logged: each kind once, so that a stranger cannot fill the log.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use kr_model::Instant;

use crate::event::EventKind;
use crate::receive::Complaint;

/// Another master makes everything worth saying again, at most this often: senders can be invented.
const PER_MASTER: Duration = Duration::from_secs(60);

/// What was said since it was last forgotten.
#[derive(Debug)]
pub(super) struct Said {
    events: Vec<Discriminant<EventKind>>,
    complaints: Vec<Discriminant<Complaint>>,
    since: Instant,
}

impl Said {
    /// Nothing yet.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            events: Vec::new(),
            complaints: Vec::new(),
            since: now,
        }
    }

    /// True for the first event of its kind.
    pub(super) fn is_first(&mut self, event: &EventKind) -> bool {
        first(&mut self.events, discriminant(event))
    }

    /// True for the first complaint of its kind.
    pub(super) fn is_first_complaint(&mut self, complaint: Complaint) -> bool {
        first(&mut self.complaints, discriminant(&complaint))
    }

    /// The state changes: everything is worth saying again.
    pub(super) fn forget(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Another master is heard.
    pub(super) fn forget_for_master(&mut self, now: Instant) {
        if now.since(self.since) >= PER_MASTER {
            self.forget(now);
        }
    }

    /// The other master has left: its successor is worth a line.
    pub(super) fn forget_events(&mut self) {
        self.events.clear();
    }
}

fn first<T: PartialEq>(known: &mut Vec<T>, mark: T) -> bool {
    let first = !known.contains(&mark);
    if first {
        known.push(mark);
    }
    first
}
