//! What is said over one connection, and how long it may take.
//!
//! A [`Conversation`] knows bytes; [`Timed`] adds the deadlines, the same for every kind: the
//! connection must stand within `connect_timeout`, each later step has that time again, and the whole
//! at most [`TOTAL`] times as much, so that a server that sends a byte now and then holds nobody for
//! ever.

use std::ops::ControlFlow;
use std::time::Duration;

use kr_model::Instant;

use crate::outcome::Failure;

/// A conversation may last this many times its timeout in total.
pub const TOTAL: u32 = 10;

/// Either the conversation goes on, or it has ended with a result.
pub type Progress<T> = ControlFlow<Result<T, Failure>>;

/// One side of what is said over one connection. After every call [`outgoing`](Self::outgoing) may hold
/// bytes to send, also after the end (a farewell, sent if the socket takes it at once).
pub trait Conversation {
    /// What a conversation that reached its aim brings.
    type Output;

    /// The connection stands.
    fn opened(&mut self) -> Progress<Self::Output>;

    /// Bytes came.
    fn received(&mut self, bytes: &[u8]) -> Progress<Self::Output>;

    /// The other side sends no more. This always ends the conversation.
    fn ended(&mut self) -> Result<Self::Output, Failure>;

    /// Bytes that wait to be sent.
    fn outgoing(&self) -> &[u8];

    /// So many of them were sent.
    fn sent(&mut self, count: usize);

    /// What is expected from the other side now, for messages.
    fn waiting_for(&self) -> &'static str;

    /// False while bytes only prepare the connection and win no more time.
    fn extends_deadline(&self) -> bool {
        true
    }
}

/// Bytes to send with a mark of how far they are sent.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// Adds bytes at the end.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.rest().is_empty() {
            self.bytes.clear();
            self.sent = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// What is not sent yet.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }

    /// Marks bytes as sent.
    pub fn advance(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.bytes.len());
    }
}

/// What happens to a timed conversation.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The connection stands.
    Opened,
    /// Bytes came.
    Received(&'a [u8]),
    /// End of file, or an error that ends the connection.
    Ended,
    /// Time has passed.
    Tick,
}

/// A conversation with its deadlines.
#[derive(Debug)]
pub struct Timed<C> {
    talk: C,
    timeout: Duration,
    deadline: Instant,
    last: Instant,
    open: bool,
}

impl<C: Conversation> Timed<C> {
    /// Starts the clock of a conversation whose connection is being made.
    #[must_use]
    pub fn new(talk: C, timeout: Duration, now: Instant) -> Self {
        Self {
            talk,
            timeout,
            deadline: now.saturating_add(timeout),
            last: now.saturating_add(timeout.saturating_mul(TOTAL)),
            open: false,
        }
    }

    /// Takes an input; the answer says whether the conversation is over.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) -> Progress<C::Output> {
        match input {
            Input::Opened => {
                self.open = true;
                let progress = self.talk.opened();
                self.extend(now);
                progress
            }
            Input::Received(bytes) => {
                let progress = self.talk.received(bytes);
                self.extend(now);
                progress
            }
            Input::Ended => ControlFlow::Break(self.talk.ended()),
            Input::Tick if now < self.deadline => ControlFlow::Continue(()),
            Input::Tick => ControlFlow::Break(Err(self.late())),
        }
    }

    /// When [`Input::Tick`] is due; moves with every byte that came.
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        self.deadline
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.talk.outgoing()
    }

    /// So many of them were sent.
    pub fn sent(&mut self, count: usize) {
        self.talk.sent(count);
    }

    fn extend(&mut self, now: Instant) {
        if self.talk.extends_deadline() {
            self.deadline = now.saturating_add(self.timeout).min(self.last);
        }
    }

    fn late(&self) -> Failure {
        if self.deadline == self.last {
            return Failure::TooSlow(self.timeout.saturating_mul(TOTAL));
        }
        Failure::Timeout {
            waiting_for: if self.open {
                self.talk.waiting_for()
            } else {
                "connection"
            },
            after: self.timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::SmtpCheck;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn a_connection_that_does_not_come_fails_at_the_timeout() {
        let mut timed = Timed::new(SmtpCheck::new("h"), SECOND, at(0));
        assert_eq!(timed.poll_timeout(), at(1_000));
        assert!(timed.handle(Input::Tick, at(999)).is_continue());
        let ControlFlow::Break(Err(failure)) = timed.handle(Input::Tick, at(1_000)) else {
            panic!("still going on");
        };
        assert_eq!(failure.to_string(), "no connection within 1 s");
    }

    #[test]
    fn every_byte_wins_time_but_not_for_ever() {
        let mut timed = Timed::new(SmtpCheck::new("h"), SECOND, at(0));
        assert!(timed.handle(Input::Opened, at(500)).is_continue());
        assert_eq!(timed.poll_timeout(), at(1_500));
        for step in 1..=12 {
            let drip = timed.handle(Input::Received(b"2"), at(500 + step * 900));
            if step == 1 {
                assert!(drip.is_continue());
            }
        }
        assert_eq!(timed.poll_timeout(), at(10_000));
        assert_eq!(
            timed.handle(Input::Tick, at(10_000)),
            ControlFlow::Break(Err(Failure::TooSlow(10 * SECOND)))
        );
    }
}
