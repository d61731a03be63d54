//! The mails that wait for delivery: one connection at a time, three attempts each.
//!
//! keepalived opens a connection for each mail at once and forgets it when that fails. Here a mail that
//! fails for a reason that may pass (no connection, codes 400 to 499) is tried again after 10 s and
//! after 60 s; then, or when the server refuses it for good, it is dropped with a log line. While the
//! process stops, nothing is tried twice.

use std::collections::VecDeque;
use std::time::Duration;

use kr_model::Instant;
use kr_model::check::Mail;

use crate::outcome::Failure;

/// Mails that wait at most. More would come only in a storm, whose first mails tell what happened.
pub const MAX_WAITING: usize = 256;

/// Waits before the second and the third attempt.
const RETRIES: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];

/// A mail and how often it was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mail: Mail,
    tried: usize,
    at: Instant,
}

/// What becomes of a mail whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is tried again after this time.
    Retry(Duration),
    /// It was dropped.
    Dropped,
}

/// The queue. At most one mail is under way.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Entry>,
    current: Option<Entry>,
    stopping: bool,
}

impl Outbox {
    /// Puts a mail at the end of the queue. False: the queue is full, the mail is lost.
    #[must_use]
    pub fn push(&mut self, mail: Mail, now: Instant) -> bool {
        if self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back(Entry {
            mail,
            tried: 0,
            at: now,
        });
        true
    }

    /// The next mail to deliver, when none is under way and one is due.
    #[must_use]
    pub fn poll(&mut self, now: Instant) -> Option<&Mail> {
        if self.current.is_some() {
            return None;
        }
        let index = self
            .waiting
            .iter()
            .position(|entry| self.stopping || entry.at <= now)?;
        self.current = self.waiting.remove(index);
        self.current.as_ref().map(|entry| &entry.mail)
    }

    /// The mail under way was taken by the server.
    pub fn delivered(&mut self) {
        self.current = None;
    }

    /// The mail under way failed.
    pub fn failed(&mut self, failure: &Failure, now: Instant) -> Fate {
        let Some(mut entry) = self.current.take() else {
            return Fate::Dropped;
        };
        let permanent = matches!(
            failure,
            Failure::Reply {
                permanent: true,
                ..
            }
        );
        let wait = RETRIES
            .get(entry.tried)
            .filter(|_| !permanent && !self.stopping);
        let Some(wait) = wait.copied() else {
            return Fate::Dropped;
        };
        entry.tried = entry.tried.saturating_add(1);
        entry.at = now.saturating_add(wait);
        self.waiting.push_back(entry);
        Fate::Retry(wait)
    }

    /// When a waiting mail is due; `None` while one is under way or none waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.current {
            Some(_) => None,
            None => self.waiting.iter().map(|entry| entry.at).min(),
        }
    }

    /// From now on every mail is tried at once and only once.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Nothing waits and nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.current.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(subject: &str) -> Mail {
        Mail {
            subject: subject.to_owned(),
            body: String::new(),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    const BROKEN: Failure = Failure::ClosedBefore("greeting");

    #[test]
    fn a_mail_is_tried_three_times_and_does_not_hold_up_the_next() {
        let mut outbox = Outbox::default();
        assert!(outbox.push(mail("a"), at(0)));
        assert!(outbox.push(mail("b"), at(0)));
        assert_eq!(outbox.poll(at(0)).unwrap().subject, "a");
        assert_eq!(outbox.poll(at(0)), None, "one at a time");
        assert_eq!(outbox.failed(&BROKEN, at(1)), Fate::Retry(RETRIES[0]));
        assert_eq!(outbox.poll(at(1)).unwrap().subject, "b");
        outbox.delivered();
        assert_eq!(outbox.poll(at(10)), None);
        assert_eq!(outbox.poll_timeout(), Some(at(11)));
        assert_eq!(outbox.poll(at(11)).unwrap().subject, "a");
        assert_eq!(outbox.failed(&BROKEN, at(12)), Fate::Retry(RETRIES[1]));
        assert_eq!(outbox.poll(at(72)).unwrap().subject, "a");
        assert_eq!(outbox.failed(&BROKEN, at(73)), Fate::Dropped);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_permanent_refusal_and_a_stop_end_the_attempts() {
        let refusal = Failure::Reply {
            to: "DATA",
            text: "550".to_owned(),
            permanent: true,
        };
        let mut outbox = Outbox::default();
        assert!(outbox.push(mail("a"), at(0)));
        assert!(outbox.poll(at(0)).is_some());
        assert_eq!(outbox.failed(&refusal, at(0)), Fate::Dropped);

        assert!(outbox.push(mail("b"), at(0)));
        assert!(outbox.poll(at(0)).is_some());
        assert_eq!(outbox.failed(&BROKEN, at(0)), Fate::Retry(RETRIES[0]));
        outbox.stop();
        assert!(outbox.poll(at(0)).is_some(), "due at once when stopping");
        assert_eq!(outbox.failed(&BROKEN, at(0)), Fate::Dropped);
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut outbox = Outbox::default();
        assert!((0..MAX_WAITING).all(|_| outbox.push(mail("x"), at(0))));
        assert!(!outbox.push(mail("y"), at(0)));
    }
}
