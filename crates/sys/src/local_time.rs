//! Calendar time, for log lines and for a reload at a given time.

use std::fmt;
use std::mem::MaybeUninit;

use nix::libc;

/// Whose clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// The host's.
    Local,
    /// UTC.
    Utc,
}

/// A moment as calendars and clocks have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The year.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// The year from which a `tm` counts.
const FIRST_YEAR: u16 = 1900;

impl LocalTime {
    /// Converts seconds of Unix time into that of the host's zone.
    #[must_use]
    pub fn of(unix_seconds: i64) -> Self {
        Self::in_zone(unix_seconds, Zone::Local)
    }

    /// Converts seconds of Unix time.
    #[must_use]
    pub fn in_zone(unix_seconds: i64, zone: Zone) -> Self {
        let seconds: libc::time_t = unix_seconds;
        let mut parts = MaybeUninit::<libc::tm>::zeroed();
        match zone {
            // SAFETY: both pointers are valid for the call, and this process has one thread, so that nobody
            // changes the time zone meanwhile.
            Zone::Local => unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) },
            // SAFETY: both pointers are valid for the call.
            Zone::Utc => unsafe { libc::gmtime_r(&raw const seconds, parts.as_mut_ptr()) },
        };
        // SAFETY: all-zero bytes are a valid `tm`, should the conversion have failed.
        let parts = unsafe { parts.assume_init() };
        let small = |value: libc::c_int| u8::try_from(value).unwrap_or(0);
        Self {
            year: u16::try_from(parts.tm_year)
                .unwrap_or(0)
                .saturating_add(FIRST_YEAR),
            month: small(parts.tm_mon).saturating_add(1),
            day: small(parts.tm_mday),
            hour: small(parts.tm_hour),
            minute: small(parts.tm_min),
            second: small(parts.tm_sec),
        }
    }

    /// Seconds of Unix time; `None` when there is no such moment. A day beyond the end of its month is one of
    /// the next month, and an hour that a change of the clocks leaves out is the one after it.
    #[must_use]
    pub fn unix_seconds(&self, zone: Zone) -> Option<i64> {
        // SAFETY: all-zero bytes are a valid `tm`.
        let mut parts: libc::tm = unsafe { MaybeUninit::zeroed().assume_init() };
        parts.tm_year = libc::c_int::from(self.year.checked_sub(FIRST_YEAR)?);
        parts.tm_mon = libc::c_int::from(self.month.checked_sub(1)?);
        parts.tm_mday = self.day.into();
        parts.tm_hour = self.hour.into();
        parts.tm_min = self.minute.into();
        parts.tm_sec = self.second.into();
        // Whether the clocks are changed then is looked up.
        parts.tm_isdst = -1;
        let seconds = match zone {
            // SAFETY: the pointer is valid for the call, and this process has one thread, so that nobody
            // changes the time zone meanwhile.
            Zone::Local => unsafe { libc::mktime(&raw mut parts) },
            // SAFETY: the pointer is valid for the call.
            Zone::Utc => unsafe { libc::timegm(&raw mut parts) },
        };
        // Also that of the last second of 1969, which no caller means.
        (seconds != -1).then_some(seconds)
    }
}

impl fmt::Display for LocalTime {
    /// `Nov  2 17:05:09`, the stamp of syslog lines (RFC 3164 section 4.1.2).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let month = MONTHS
            .get(usize::from(self.month.saturating_sub(1)))
            .unwrap_or(&"???");
        write!(
            f,
            "{month} {:2} {:02}:{:02}:{:02}",
            self.day, self.hour, self.minute, self.second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_has_the_form_of_syslog() {
        let time = LocalTime {
            year: 2026,
            month: 11,
            day: 2,
            hour: 7,
            minute: 5,
            second: 9,
        };
        assert_eq!(time.to_string(), "Nov  2 07:05:09");
        // Within a day of the epoch in every zone.
        assert!([1, 12].contains(&LocalTime::of(0).month));
    }

    #[test]
    fn calendar_time_goes_both_ways() {
        let moment = 1_790_000_000;
        let utc = LocalTime::in_zone(moment, Zone::Utc);
        assert_eq!(
            (
                utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second
            ),
            (2026, 9, 21, 14, 13, 20)
        );
        for zone in [Zone::Utc, Zone::Local] {
            let shown = LocalTime::in_zone(moment, zone);
            assert_eq!(shown.unix_seconds(zone), Some(moment), "{zone:?}");
        }
        let next_day = LocalTime { day: 22, ..utc };
        assert_eq!(next_day.unix_seconds(Zone::Utc), Some(moment + 86_400));
        let beyond = LocalTime { day: 31, ..utc };
        assert_eq!(beyond.unix_seconds(Zone::Utc), Some(moment + 10 * 86_400));
        assert_eq!(LocalTime { month: 0, ..utc }.unix_seconds(Zone::Utc), None);
    }
}
