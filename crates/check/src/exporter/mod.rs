//! What monitoring reads over HTTP: `/metrics` (OpenMetrics or Prometheus text), `/status` (JSON) and
//! `/healthz`.
//!
//! Whoever asks may be hostile: a request is at most [`MAX_REQUEST`] bytes long, an answer is written piece
//! by piece while the other side takes it ([`Exchange::fill`]), so a connection holds some KiB whatever it
//! asks for. One answer per connection. How many connections there are, and for how long, is bounded by
//! the checker process.

mod lateness;
mod pages;
mod request;

use std::collections::BTreeMap;
use std::ops::Bound;

use kr_model::CheckerId;
use kr_model::check::Checker;
use kr_model::lateness::LoopTimes;

use crate::Checks;
use crate::conversation::Outgoing;

use pages::Page;
use request::{Heard, Target};

pub use request::MAX_REQUEST;

/// A piece of an answer ends after so many bytes, or with the real server that crosses them.
const PIECE: usize = 16 * 1024;

/// Names of a real server: its virtual server, then itself.
type ServerName = (String, String);

/// Which checks belong to which real server, in the order of the pages. Real servers without checks are
/// not listed.
#[derive(Debug, Default)]
pub struct Directory(BTreeMap<ServerName, Vec<CheckerId>>);

impl Directory {
    /// The real servers of these checks.
    #[must_use]
    pub fn new<'a>(checkers: impl Iterator<Item = &'a Checker>) -> Self {
        let mut servers: BTreeMap<ServerName, Vec<CheckerId>> = BTreeMap::new();
        for checker in checkers {
            let name = (checker.service.clone(), checker.server.clone());
            servers.entry(name).or_default().push(checker.id);
        }
        Self(servers)
    }

    /// The real server that follows, for an answer that goes on.
    fn after(&self, last: Option<&ServerName>) -> Option<(&ServerName, &[CheckerId])> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.0.range((from, Bound::Unbounded));
        rest.next().map(|(name, checks)| (name, checks.as_slice()))
    }
}

/// What the pages tell.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The real servers.
    pub directory: &'a Directory,
    /// Their checks.
    pub checks: &'a Checks,
    /// How late the process itself is.
    pub times: &'a LoopTimes,
}

/// One connection of a client: its request, then its answer.
#[derive(Debug, Default)]
pub struct Exchange {
    heard: Vec<u8>,
    answer: Option<Answer>,
    out: Outgoing,
}

#[derive(Debug)]
enum Answer {
    /// The rest of a page.
    Page(Page),
    /// Everything is in the outgoing bytes.
    Complete,
}

impl Exchange {
    /// Takes bytes of the client. What follows the request is ignored.
    pub fn received(&mut self, bytes: &[u8]) {
        if self.answer.is_some() {
            return;
        }
        let room = MAX_REQUEST.saturating_sub(self.heard.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.heard.extend_from_slice(taken);
        let target = match request::parse(&self.heard, taken.len() < bytes.len()) {
            Heard::Part => return,
            Heard::Request { target, head } => {
                self.out.push(target.header().as_bytes());
                if head { None } else { Some(target) }
            }
        };
        self.heard = Vec::new();
        self.answer = Some(match target {
            Some(Target::Metrics(format)) => Answer::Page(Page::metrics(format)),
            Some(Target::Status) => Answer::Page(Page::status()),
            Some(target @ (Target::Health | Target::Refused(_))) => {
                self.out.push(target.text().as_bytes());
                Answer::Complete
            }
            None => Answer::Complete,
        });
    }

    /// The request is complete: the answer is under way.
    #[must_use]
    pub const fn is_answering(&self) -> bool {
        self.answer.is_some()
    }

    /// Writes the next piece of the answer once the one before is sent.
    pub fn fill(&mut self, shown: Shown<'_>) {
        if !self.out.rest().is_empty() {
            return;
        }
        let Some(Answer::Page(page)) = &mut self.answer else {
            return;
        };
        let mut piece = String::new();
        while piece.len() < PIECE {
            if !page.write_next(shown, &mut piece) {
                self.answer = Some(Answer::Complete);
                break;
            }
        }
        self.out.push(piece.as_bytes());
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.out.rest()
    }

    /// So many of them were sent.
    pub fn sent(&mut self, count: usize) {
        self.out.advance(count);
    }

    /// The whole answer is sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.answer, Some(Answer::Complete)) && self.out.rest().is_empty()
    }
}

#[cfg(test)]
mod tests;
