//! How late a process is: histograms of its loop, fed by `kr-event`, told to the parent process, and shown in
//! dumps and on the pages of monitoring.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Buckets with a bound; what is longer is counted beyond them.
const BUCKETS: usize = 18;

/// Bound of the first bucket in microseconds; that of each other is twice the one before.
const FIRST_MICROS: u64 = 64;

/// How often times of which length were seen, in buckets whose bounds double from 64 us to 8.4 s. Every value that
/// another process may send is valid.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    beyond: u64,
    sum_micros: u64,
    longest_micros: u64,
}

impl Histogram {
    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = self
            .buckets
            .iter_mut()
            .zip(bounds())
            .find(|(_, bound)| micros <= *bound);
        let count = match bucket {
            Some((count, _)) => count,
            None => &mut self.beyond,
        };
        *count = count.saturating_add(1);
        self.sum_micros = self.sum_micros.saturating_add(micros);
        self.longest_micros = self.longest_micros.max(micros);
    }

    /// The longest time that belongs into each bucket, and how many are in it and in no bucket before it; shortest
    /// first.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        bounds().map(Duration::from_micros).zip(self.buckets)
    }

    /// How many were longer than the bound of the last bucket.
    #[must_use]
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        let all = self.buckets.iter();
        all.fold(self.beyond, |sum, count| sum.saturating_add(*count))
    }

    /// All of them together.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros)
    }

    /// The longest; zero without any.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_micros)
    }

    /// The mean; zero without any.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let mean = self.sum_micros.checked_div(self.count());
        Duration::from_micros(mean.unwrap_or(0))
    }
}

/// The bounds of the buckets, in microseconds.
fn bounds() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(FIRST_MICROS), |bound| bound.checked_mul(2)).take(BUCKETS)
}

/// The loop of a process since it was started.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopTimes {
    /// From each deadline that was reached to the moment at which the loop served it.
    pub lateness: Histogram,
    /// From each wake-up to the next wait.
    pub turns: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for time in micros {
            histogram.record(Duration::from_micros(*time));
        }
        histogram
    }

    /// Bounds in microseconds of the buckets that hold something, with what they hold.
    fn filled(histogram: &Histogram) -> Vec<(u128, u64)> {
        let filled = histogram.buckets().filter(|(_, count)| *count > 0);
        filled
            .map(|(bound, count)| (bound.as_micros(), count))
            .collect()
    }

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_it_does_not_exceed() {
        let histogram = of(&[0, 64, 65, 128, 129, 8_388_608]);
        assert_eq!(
            filled(&histogram),
            [(64, 2), (128, 2), (256, 1), (8_388_608, 1)]
        );
        assert_eq!(histogram.beyond(), 0);
        assert_eq!(histogram.count(), 6);
    }

    #[test]
    fn a_time_beyond_the_last_bound_is_counted_apart() {
        let histogram = of(&[8_388_609, 100_000_000]);
        assert_eq!(filled(&histogram), []);
        assert_eq!((histogram.beyond(), histogram.count()), (2, 2));
        assert_eq!(histogram.longest(), Duration::from_secs(100));
    }

    #[test]
    fn sum_mean_and_longest_are_those_of_all_times() {
        let histogram = of(&[100, 200, 900]);
        assert_eq!(histogram.sum(), Duration::from_micros(1_200));
        assert_eq!(histogram.mean(), Duration::from_micros(400));
        assert_eq!(histogram.longest(), Duration::from_micros(900));
        let nothing = Histogram::default();
        assert_eq!(
            (nothing.count(), nothing.mean()),
            (0, Duration::ZERO),
            "no division by zero"
        );
    }

    #[test]
    fn counters_stop_at_their_end() {
        let mut full = Histogram {
            buckets: [u64::MAX; BUCKETS],
            beyond: u64::MAX,
            sum_micros: u64::MAX,
            longest_micros: 0,
        };
        full.record(Duration::MAX);
        full.record(Duration::ZERO);
        assert_eq!((full.count(), full.beyond()), (u64::MAX, u64::MAX));
        assert_eq!(full.longest(), Duration::from_micros(u64::MAX));
        assert_eq!(full.mean(), Duration::from_micros(1));
    }
}
