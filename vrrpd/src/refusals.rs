//! Virtual addresses, routes and rules that the kernel did not take: why, when they are tried again, and when waiting is of no
//! use. Pure; the daemon feeds it from netlink.

use std::collections::BTreeMap;
use std::time::Duration;

use kr_model::Instant;
use kr_model::net::Family;
use kr_netlink::route::Place;
use nix::errno::Errno;

/// From a refusal to the first further try; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// From a change of links or addresses to the next try: several come together.
const SOON: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Tries after which a refusal counts as lasting, though its reason could pass: with the pauses above, less than
/// a second without addresses.
const TRIES: u32 = 3;

/// What the kernel refused, by what it is, with the reason.
#[derive(Debug)]
pub(crate) struct Refusals<K = Place, R = Errno> {
    known: BTreeMap<K, Refused<R>>,
    retry_at: Option<Instant>,
    pause: Duration,
}

#[derive(Debug)]
struct Refused<R> {
    reason: R,
    tries: u32,
}

impl<K, R> Default for Refusals<K, R> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            retry_at: None,
            pause: Duration::ZERO,
        }
    }
}

impl<K: Ord, R: PartialEq> Refusals<K, R> {
    /// Remembers a refusal. True when it is worth a log line: the first one, or one for another reason.
    pub(crate) fn refused(&mut self, what: K, reason: R, now: Instant) -> bool {
        let Some(known) = self.known.get_mut(&what) else {
            self.known.insert(what, Refused { reason, tries: 1 });
            self.pause = FIRST_PAUSE;
            let at = now.saturating_add(FIRST_PAUSE);
            self.retry_at = Some(self.retry_at.map_or(at, |before| before.min(at)));
            return true;
        };
        known.tries = known.tries.saturating_add(1);
        let news = known.reason != reason;
        known.reason = reason;
        news
    }

    /// Forgets an object: it is set, or not wanted any more. True when it had been refused.
    pub(crate) fn forget(&mut self, what: &K) -> bool {
        let forgotten = self.known.remove(what).is_some();
        if self.known.is_empty() {
            self.retry_at = None;
        }
        forgotten
    }

    /// Forgets every object that is not wanted any more.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&K) -> bool) {
        self.known.retain(|what, _| wanted(what));
        if self.known.is_empty() {
            self.retry_at = None;
        }
    }

    /// True for an object whose next try is not due yet.
    pub(crate) fn is_waiting(&self, what: &K, now: Instant) -> bool {
        self.known.contains_key(what) && self.retry_at.is_some_and(|at| at > now)
    }

    /// When to try again.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Something changed that may have been the reason: tries again soon, and then with short pauses.
    pub(crate) fn hasten(&mut self, now: Instant) {
        let soon = now.saturating_add(SOON);
        if self.retry_at.is_some_and(|at| at > soon) {
            self.retry_at = Some(soon);
            self.pause = FIRST_PAUSE;
        }
    }

    /// The time of a further try has come: sets the next one, for what is refused again.
    pub(crate) fn retrying(&mut self, now: Instant) {
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        self.retry_at = Some(now.saturating_add(self.pause));
    }
}

impl Refusals {
    /// True for an address that the kernel will not take as things are.
    pub(crate) fn is_lasting(&self, place: Place) -> bool {
        self.known
            .get(&place)
            .is_some_and(|known| known.tries >= TRIES || !may_pass(known.reason))
    }
}

/// Errors of a kernel that is busy or short of memory, or of a link that is just being made.
fn may_pass(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENOBUFS
            | Errno::ENOMEM
            | Errno::EAGAIN
            | Errno::EBUSY
            | Errno::EINTR
            | Errno::ENODEV
            | Errno::ENETDOWN
    )
}

/// What an operator can do about it.
pub(crate) fn advice(place: Place, errno: Errno) -> &'static str {
    match (errno, Family::of(place.local.address())) {
        (Errno::EACCES | Errno::EPERM, Family::Inet6) => {
            "IPv6 may be switched off there (sysctl net.ipv6.conf.INTERFACE.disable_ipv6)"
        }
        (Errno::EACCES | Errno::EPERM, Family::Inet) => {
            "this process lacks the right to change addresses"
        }
        (Errno::EINVAL | Errno::EADDRNOTAVAIL | Errno::EOPNOTSUPP | Errno::ERANGE, _) => {
            "the kernel does not know such an address: correct its line in the configuration"
        }
        _ if may_pass(errno) => "this may pass",
        _ => "see the kernel's log",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{index, virtual_address};

    fn place(text: &str) -> Place {
        Place::of(index(2), &virtual_address(text))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1000)
    }

    #[test]
    fn a_refusal_is_news_once_for_each_reason() {
        let mut refusals = Refusals::default();
        let one = place("10.0.0.1/24");
        assert!(refusals.refused(one, Errno::ENOBUFS, at(0)));
        assert!(!refusals.refused(one, Errno::ENOBUFS, at(250)));
        assert!(refusals.refused(one, Errno::EINVAL, at(500)));
        assert!(refusals.forget(&one));
        assert!(!refusals.forget(&one));
    }

    #[test]
    fn the_pauses_double_up_to_a_minute_and_start_anew_with_another_address() {
        let mut refusals = Refusals::default();
        refusals.refused(place("10.0.0.1/24"), Errno::EINVAL, at(0));
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let next = refusals.deadline().unwrap();
            pauses.push(next.since(now).as_millis());
            now = next;
            refusals.retrying(now);
        }
        assert_eq!(
            pauses,
            [
                250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000
            ]
        );
        refusals.refused(place("10.0.0.2/24"), Errno::EINVAL, now);
        assert_eq!(refusals.deadline().unwrap().since(now), FIRST_PAUSE);
    }

    #[test]
    fn nothing_refused_needs_no_further_try() {
        let mut refusals = Refusals::default();
        let one = place("10.0.0.1/24");
        refusals.refused(one, Errno::EINVAL, at(0));
        refusals.forget(&one);
        assert_eq!(refusals.deadline(), None);
    }

    #[test]
    fn an_invalid_address_lasts_at_once_and_a_busy_kernel_after_the_third_try() {
        let mut refusals = Refusals::default();
        let (invalid, busy) = (place("10.0.0.1/24"), place("10.0.0.2/24"));
        refusals.refused(invalid, Errno::EINVAL, at(0));
        assert!(refusals.is_lasting(invalid));
        for expected in [false, false, true] {
            refusals.refused(busy, Errno::ENOBUFS, at(0));
            assert_eq!(refusals.is_lasting(busy), expected);
        }
        assert!(!refusals.is_lasting(place("10.0.0.3/24")));
    }
}
