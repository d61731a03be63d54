//! The two derived times of RFC 3768 section 6.1 and RFC 9568 section 6.1.

use std::time::Duration;

use kr_model::units::{AdvertInterval, Priority};
use kr_model::vrrp::Version;

/// Skew_Time: the lower the priority, the longer a backup waits beyond the missed adverts.
pub(crate) fn skew(version: Version, priority: Priority, interval: AdvertInterval) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => interval.as_duration(),
    };
    unit * (256 - u32::from(priority.get())) / 256
}

/// Master_Down_Interval, with a configurable number of adverts in place of 3.
pub(crate) fn master_down(
    version: Version,
    priority: Priority,
    interval: AdvertInterval,
    adverts: u8,
) -> Duration {
    interval.as_duration() * u32::from(adverts) + skew(version, priority, interval)
}

/// The part of a time that is whole periods. A period is never zero.
pub(crate) fn whole_periods(time: Duration, period: Duration) -> Duration {
    let rest = time.as_nanos().checked_rem(period.as_nanos()).unwrap_or(0);
    time.saturating_sub(Duration::from_nanos(u64::try_from(rest).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(version: Version, priority: u64, interval: u64, adverts: u8) -> u128 {
        let priority = Priority::try_from(priority).unwrap();
        let interval = AdvertInterval::try_from(interval).unwrap();
        master_down(version, priority, interval, adverts).as_micros()
    }

    #[test]
    fn the_times_are_those_of_the_rfcs() {
        // (256 - 100) / 256 s = 609375 us, whatever the interval.
        assert_eq!(micros(Version::V2, 100, 100, 3), 3_609_375);
        assert_eq!(micros(Version::V2, 100, 200, 3), 6_609_375);
        assert_eq!(micros(Version::V2, 255, 100, 3), 3_003_906);
        // (256 - 100) * 50 cs / 256 = 304687.5 us.
        assert_eq!(micros(Version::V3, 100, 50, 3), 1_804_687);
        assert_eq!(
            micros(Version::V3, 1, 4095, 100),
            100 * 40_950_000 + 40_790_039
        );
        assert_eq!(micros(Version::V2, 254, 100, 1), 1_007_812);
    }

    #[test]
    fn whole_periods_leave_the_rest_out() {
        let millis = Duration::from_millis;
        for (time, expected) in [(0, 0), (99, 0), (100, 100), (399, 300)] {
            assert_eq!(whole_periods(millis(time), millis(100)), millis(expected));
        }
    }
}
