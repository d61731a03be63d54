//! When each service of the kernel is looked at again. IPVS tells nobody of its changes, so everything of
//! ours is read in turn, slice by slice: a whole round takes [`ROUND`], however many services there are, unless
//! the readings would then take more than one part in [`SHARE`] of the time; then it takes longer, up to
//! [`STRETCH`] times.
//!
//! With 2,300 services and 37,000 destinations a round is 2,300 questions for a service, as many for its
//! destinations, and 6,900 system calls to take the answers.

use std::collections::VecDeque;
use std::time::Duration;

use kr_model::lvs::ServiceKey;

/// Time in which every service and destination is read once. What somebody else changed is put back within
/// this time.
pub const ROUND: Duration = Duration::from_secs(2);

/// Longest time between two readings, however few they are.
pub const RECONCILE: Duration = Duration::from_secs(1);

/// Services and destinations of one slice: a reading of so many keeps verdicts waiting for some
/// milliseconds. A service with more than that makes a slice of its own.
pub const SLICE: usize = 1024;

/// Readings take at most one part in this many of the time; the round becomes longer instead.
pub const SHARE: u32 = 20;

/// How many times longer at most: on an overloaded machine the time of a reading says little about its work.
pub const STRETCH: u32 = 4;

/// The round under way.
#[derive(Debug)]
pub(super) struct Patrol {
    slices: VecDeque<Vec<ServiceKey>>,
    pause: Duration,
}

impl Patrol {
    /// No round yet.
    pub(super) const fn new() -> Self {
        Self {
            slices: VecDeque::new(),
            pause: RECONCILE,
        }
    }

    /// Whether a new round is to be begun.
    pub(super) fn is_over(&self) -> bool {
        self.slices.is_empty()
    }

    /// The next slice of the round; nothing when it is over.
    pub(super) fn next(&mut self) -> Vec<ServiceKey> {
        self.slices.pop_front().unwrap_or_default()
    }

    /// Begins a round over these services, each with the number of its destinations.
    pub(super) fn begin(&mut self, services: impl Iterator<Item = (ServiceKey, usize)>) {
        let (mut slice, mut objects) = (Vec::new(), 0_usize);
        for (key, destinations) in services {
            slice.push(key);
            objects = objects.saturating_add(destinations).saturating_add(1);
            if objects >= SLICE {
                self.slices.push_back(std::mem::take(&mut slice));
                objects = 0;
            }
        }
        if !slice.is_empty() {
            self.slices.push_back(slice);
        }
        let readings = u32::try_from(self.slices.len()).unwrap_or(u32::MAX);
        self.pause = ROUND
            .checked_div(readings)
            .map_or(RECONCILE, |pause| pause.min(RECONCILE));
    }

    /// How long to wait after a reading that took `cost`.
    pub(super) fn pause(&self, cost: Duration) -> Duration {
        let shared = cost.saturating_mul(SHARE.saturating_sub(1));
        shared.clamp(self.pause, self.pause.saturating_mul(STRETCH))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use kr_model::lvs::Protocol;

    use super::*;

    fn services(count: u16, destinations: usize) -> impl Iterator<Item = (ServiceKey, usize)> {
        (1..=count).map(move |port| {
            let address = SocketAddr::from(([192, 0, 2, 1], port));
            let protocol = Protocol::Tcp;
            (ServiceKey::Address { address, protocol }, destinations)
        })
    }

    #[test]
    fn every_service_is_read_once_in_a_round_of_two_seconds() {
        // 2,300 services with 16 servers each: 61 services make a slice.
        let mut patrol = Patrol::new();
        patrol.begin(services(2_300, 16));
        let (mut seen, mut took) = (Vec::new(), Duration::ZERO);
        while !patrol.is_over() {
            let slice = patrol.next();
            assert!(slice.len() <= 61, "{}", slice.len());
            seen.extend(slice);
            took += patrol.pause(Duration::ZERO);
        }
        let expected: Vec<_> = services(2_300, 16).map(|(key, _)| key).collect();
        assert_eq!(seen, expected);
        assert!(took <= ROUND && took > ROUND * 9 / 10, "{took:?}");
    }

    #[test]
    fn few_services_are_read_every_second() {
        for count in [0, 1, 60] {
            let mut patrol = Patrol::new();
            patrol.begin(services(count, 16));
            assert_eq!(patrol.next().len(), usize::from(count));
            assert_eq!(patrol.pause(Duration::from_millis(3)), RECONCILE);
        }
    }

    #[test]
    fn a_huge_service_is_a_slice_of_its_own() {
        let mut patrol = Patrol::new();
        patrol.begin(services(3, 5_000));
        assert_eq!((patrol.next().len(), patrol.next().len()), (1, 1));
    }

    #[test]
    fn slow_readings_lengthen_the_round_instead_of_taking_more_than_their_share() {
        let mut patrol = Patrol::new();
        patrol.begin(services(2_300, 16));
        let cost = Duration::from_millis(5);
        assert_eq!(patrol.pause(cost) + cost, cost * SHARE);
        // But not for ever: a round takes eight seconds at most, and the time of its readings.
        let planned = patrol.pause(Duration::ZERO);
        assert_eq!(patrol.pause(Duration::from_secs(9)), planned * STRETCH);
    }
}
