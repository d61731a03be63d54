//! How late a process was: its histograms, of which only buckets are shown that hold something.

use std::fmt;
use std::time::Duration;

use kr_model::lateness::{Histogram, LoopTimes};
use serde_json::{Value, json};

use crate::dump::text::Text;
use crate::dump::{Data, Process};

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

/// Every process that runs, for `json_version 2`; the histograms of one that has not told them are `null`.
pub(super) fn processes(data: &Data<'_>) -> Value {
    let children = data.children.iter();
    let children = children.filter_map(|(role, running)| Some((role.program(), (*running)?)));
    let all = [("parent", data.parent)].into_iter().chain(children);
    all.map(|(name, process)| object(name, process)).collect()
}

fn object(name: &str, process: Process<'_>) -> Value {
    json!({
        "name": name,
        "pid": process.pid.as_raw(),
        "loop_lateness": process.times.map(|times| histogram(&times.lateness)),
        "loop_turns": process.times.map(|times| histogram(&times.turns)),
    })
}

fn histogram(histogram: &Histogram) -> Value {
    let filled = histogram.buckets().filter(|(_, count)| *count > 0);
    let bucket =
        |(bound, count): (Duration, u64)| json!({"up_to": bound.as_secs_f64(), "count": count});
    json!({
        "count": histogram.count(),
        "mean": histogram.mean().as_secs_f64(),
        "longest": histogram.longest().as_secs_f64(),
        "buckets": filled.map(bucket).collect::<Value>(),
        "longer": histogram.beyond(),
    })
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
