//! Calendar time of the host's zone, for log lines.

use std::fmt;
use std::mem::MaybeUninit;

use nix::libc;

/// A moment in the host's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
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

impl LocalTime {
    /// Converts seconds of Unix time.
    #[must_use]
    pub fn of(unix_seconds: i64) -> Self {
        let seconds: libc::time_t = unix_seconds;
        let mut parts = MaybeUninit::<libc::tm>::zeroed();
        // SAFETY: both pointers are valid for the call, and this process has one thread, so that nobody
        // changes the time zone meanwhile.
        unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) };
        // SAFETY: all-zero bytes are a valid `tm`, should the conversion have failed.
        let parts = unsafe { parts.assume_init() };
        let small = |value: libc::c_int| u8::try_from(value).unwrap_or(0);
        Self {
            month: small(parts.tm_mon).saturating_add(1),
            day: small(parts.tm_mday),
            hour: small(parts.tm_hour),
            minute: small(parts.tm_min),
            second: small(parts.tm_sec),
        }
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
}
