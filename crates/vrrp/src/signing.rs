//! Signed adverts (`auth_hmac`): which stamp the next own advert has, and which received ones count.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use kr_model::signing::{AntiReplay, Signing, SigningMode, Stamp, Utc};
use kr_model::vrrp::{Counters, Instance, SignatureMarks, Transport};
use kr_wire::trailer::{BadForm, Trailer};

/// Senders that a multicast instance remembers; the one that was silent longest is forgotten first.
const MOST_SENDERS: usize = 4;

/// Stamps that a published mark is ahead: more than a master sends until it publishes again.
const RESERVE: u64 = 1 << 16;

/// Why the signature of an advert is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is none.
    Missing,
    /// It has an unknown form.
    Malformed,
    /// The sender's clock is too far from ours.
    Stale {
        /// How far.
        by: Duration,
        /// How far it may be.
        window: Duration,
    },
    /// No key of that id is set here.
    UnknownKey(u8),
    /// It was made with another key, of another message, or by another sender.
    Invalid(u8),
    /// Its stamp is not newer than the last one of this sender.
    Replayed,
}

impl Refused {
    /// The counter that belongs to it.
    pub(crate) const fn counter<'a>(&self, counters: &'a mut Counters) -> &'a mut u64 {
        match self {
            Self::Missing => &mut counters.signature_missing,
            Self::Malformed => &mut counters.signature_malformed,
            Self::Stale { .. } => &mut counters.signature_stale,
            Self::UnknownKey(_) => &mut counters.signature_unknown_key,
            Self::Invalid(_) => &mut counters.signature_invalid,
            Self::Replayed => &mut counters.signature_replayed,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not signed, which auth_hmac asks for here"),
            Self::Malformed => f.write_str("its signature has an unknown form"),
            Self::Stale { by, window } => write!(
                f,
                "it was signed {} s away from our time of day, where time_window is {} s; set the clocks of \
                 both hosts (NTP)",
                by.as_secs(),
                window.as_secs()
            ),
            Self::UnknownKey(id) => {
                write!(
                    f,
                    "it is signed with key {id}, which auth_hmac does not have here"
                )
            }
            Self::Invalid(id) => write!(
                f,
                "its signature was not made with key {id} of auth_hmac here"
            ),
            Self::Replayed => {
                f.write_str("it was sent before: a replay, or the sender's clock went back")
            }
        }
    }
}

impl From<BadForm> for Refused {
    fn from(_: BadForm) -> Self {
        Self::Malformed
    }
}

/// A packet as its signature sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed<'a> {
    pub(crate) source: IpAddr,
    pub(crate) message: &'a [u8],
    pub(crate) trailer: Option<&'a [u8]>,
}

/// What an instance has sent and heard.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    sent: Stamp,
    /// The sender that was heard last is at the end.
    heard: Vec<(IpAddr, Stamp)>,
}

impl Signatures {
    /// Goes on from what a predecessor published.
    pub(crate) fn resume(marks: &SignatureMarks) -> Self {
        Self {
            sent: marks.sent,
            heard: marks.heard.clone(),
        }
    }

    /// What a successor goes on from.
    pub(crate) fn marks(&self) -> SignatureMarks {
        SignatureMarks {
            sent: Stamp(self.sent.0.saturating_add(RESERVE)),
            heard: self.heard.clone(),
        }
    }

    /// The stamp of the next own advert.
    pub(crate) fn stamp(&mut self, replay: AntiReplay, utc: Utc) -> Stamp {
        let clock = Stamp::at(utc);
        let next = Stamp(self.sent.0.wrapping_add(1));
        let set_back = match replay {
            // Receivers would take none of our adverts until their clocks have come that far.
            AntiReplay::Time(window) => next.is_after(clock) && next.distance(clock) > window,
            AntiReplay::Monotonic => false,
        };
        self.sent = if set_back || clock.is_after(self.sent) {
            clock
        } else {
            next
        };
        self.sent
    }

    /// Takes a received advert, or says why not. The order of the checks decides which counter moves; the mark of
    /// a sender moves only for a right signature.
    ///
    /// Gives how far the sender's clock is away when that is more than half of what is allowed.
    pub(crate) fn accept(
        &mut self,
        instance: &Instance,
        signing: &Signing,
        sealed: Sealed<'_>,
        utc: Utc,
    ) -> Result<Option<Duration>, Refused> {
        let Some(bytes) = sealed.trailer else {
            return match signing.mode {
                SigningMode::Enforce(_) => Err(Refused::Missing),
                SigningMode::Permissive(_) | SigningMode::ReceiveOnly => Ok(None),
            };
        };
        let trailer = Trailer::parse(bytes)?;
        let now = Stamp::at(utc);
        let by = trailer.stamp.distance(now);
        let skewed = match signing.replay {
            AntiReplay::Time(window) if by > window => return Err(Refused::Stale { by, window }),
            AntiReplay::Time(window) => (by * 2 > window).then_some(by),
            AntiReplay::Monotonic => None,
        };
        let key_id = trailer.key_id;
        let key = signing
            .keys
            .get(&key_id)
            .ok_or(Refused::UnknownKey(key_id))?;
        if !trailer.is_by(key, sealed.source, sealed.message) {
            return Err(Refused::Invalid(key_id));
        }
        self.mark(instance, signing, sealed.source, trailer.stamp, now)?;
        Ok(skewed)
    }

    fn mark(
        &mut self,
        instance: &Instance,
        signing: &Signing,
        source: IpAddr,
        stamp: Stamp,
        now: Stamp,
    ) -> Result<(), Refused> {
        let place = self.heard.iter().position(|(sender, _)| *sender == source);
        let last = place
            .and_then(|place| self.heard.get(place))
            .map(|(_, stamp)| *stamp);
        let expired = |last: Stamp| match signing.replay {
            AntiReplay::Time(window) => last.distance(now) > window,
            AntiReplay::Monotonic => false,
        };
        if last.is_some_and(|last| !expired(last) && !stamp.is_after(last)) {
            return Err(Refused::Replayed);
        }
        if let Some(place) = place {
            self.heard.remove(place);
        }
        self.heard.push((source, stamp));
        let most = match &instance.transport {
            Transport::Multicast { .. } => MOST_SENDERS,
            Transport::Unicast { peers, .. } => peers.len().max(1),
        };
        let excess = self.heard.len().saturating_sub(most);
        self.heard.drain(..excess);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
