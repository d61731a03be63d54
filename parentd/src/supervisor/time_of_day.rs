//! Whether somebody set the clock. No timer of ours follows the time of day, so nothing is done about it; but log
//! lines before and behind it do not fit, and signed adverts (`auth_hmac` with `time_window`) depend on it. Pure.

use std::fmt;
use std::time::Duration;

use kr_model::signing::UtcOffset;

/// Less is what a time server corrects, or what passes between two looks at clocks.
const LEAST: Duration = Duration::from_secs(1);

/// The time of day, as it was when last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeOfDay {
    offset: UtcOffset,
}

/// By how much it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Ahead(Duration),
    Back(Duration),
}

impl TimeOfDay {
    /// As it is now.
    pub(crate) const fn new(offset: UtcOffset) -> Self {
        Self { offset }
    }

    /// To be asked at every turn of the loop: whether it was set since the last one.
    pub(crate) fn step(&mut self, offset: UtcOffset) -> Option<Step> {
        let before = std::mem::replace(&mut self.offset, offset).0;
        let by = before.abs_diff(offset.0);
        if by < LEAST {
            return None;
        }
        Some(if offset.0 > before {
            Step::Ahead(by)
        } else {
            Step::Back(by)
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (by, way) = match self {
            Self::Ahead(by) => (by, "ahead"),
            Self::Back(by) => (by, "back"),
        };
        write!(f, "{:.0} s {way}", by.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_in_both_directions_are_told_once_and_corrections_never() {
        let at = |millis| UtcOffset(Duration::from_millis(millis));
        let mut day = TimeOfDay::new(at(1_700_000_000_000));
        let rows = [
            (1_700_000_000_400, None),
            (1_699_999_999_800, None),
            (1_700_003_599_800, Some("3600 s ahead")),
            (1_700_003_599_800, None),
            (1_699_999_999_799, Some("3600 s back")),
            (1_700_000_000_799, Some("1 s ahead")),
        ];
        for (millis, told) in rows {
            let step = day.step(at(millis)).map(|step| step.to_string());
            assert_eq!(step.as_deref(), told, "{millis}");
        }
    }
}
