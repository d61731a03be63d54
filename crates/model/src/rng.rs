//! A small seeded generator: jitter of BFD packets, the spread of first checks, numbers of DNS questions. Not for
//! secrets.

use std::time::Duration;

/// SplitMix64. Equal seeds give equal sequences, which is what tests want.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that starts from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration from zero up to, but not including, `limit`; zero when `limit` is zero.
    pub fn below(&mut self, limit: Duration) -> Duration {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.next().checked_rem(micros).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_stay_below_the_limit_and_differ() {
        let mut rng = Rng::new(1);
        let limit = Duration::from_secs(6);
        let drawn: Vec<Duration> = (0..100).map(|_| rng.below(limit)).collect();
        assert!(drawn.iter().all(|d| *d < limit));
        assert!(drawn.iter().any(|d| *d > limit / 2));
        assert_eq!(rng.below(Duration::ZERO), Duration::ZERO);
    }
}
