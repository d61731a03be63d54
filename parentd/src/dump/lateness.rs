//! How late a process was: its histograms, of which only buckets are shown that hold something.

use std::fmt;
use std::time::Duration;

use kr_model::lateness::{Histogram, LoopTimes};

use crate::dump::text::Text;

/// Under the process.
pub(super) fn lines(text: &mut Text, times: &LoopTimes) {
    for (label, histogram) in [
        ("Timers served late by", &times.lateness),
        ("Turns of the loop that took", &times.turns),
    ] {
        text.value(label, Summary(histogram));
        text.under(|text| {
            for (bound, count) in histogram.buckets().filter(|(_, count)| *count > 0) {
                text.value(&format!("up to {}", Millis(bound)), count);
            }
            let beyond = histogram.beyond();
            text.optional("longer", Some(beyond).filter(|beyond| *beyond > 0));
        });
    }
}

/// `0.143 ms on average, 2.110 ms at most, 812 in all`.
struct Summary<'a>(&'a Histogram);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mean, longest) = (Millis(self.0.mean()), Millis(self.0.longest()));
        let count = self.0.count();
        write!(f, "{mean} on average, {longest} at most, {count} in all")
    }
}

/// Milliseconds, to the microsecond: `8.192 ms`.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.subsec_micros() % 1_000;
        write!(f, "{}.{micros:03} ms", self.0.as_millis())
    }
}
