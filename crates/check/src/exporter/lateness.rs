//! What `/metrics` and `/status` tell of the process itself: how late its loop is.

use std::fmt::Write as _;

use kr_model::lateness::{Histogram, LoopTimes};
use serde::Serialize;

use super::pages::seconds;
use super::request::Format;

/// The histograms for Prometheus; the manual page checkerd(8) lists them too.
pub(super) fn metrics(format: Format, times: &LoopTimes, out: &mut String) {
    for (name, help, histogram) in [
        (
            "keepalived_loop_lateness_seconds",
            "How late the loop of this process served its timers.",
            &times.lateness,
        ),
        (
            "keepalived_loop_turn_seconds",
            "How long the loop of this process took from a wake-up to its next wait.",
            &times.turns,
        ),
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
        if format == Format::OpenMetrics {
            let _ = writeln!(out, "# UNIT {name} seconds");
        }
        for (bound, count) in cumulated(histogram) {
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let (sum, count) = (seconds(histogram.sum()), histogram.count());
        let _ = writeln!(out, "{name}_sum {sum}\n{name}_count {count}");
    }
}

/// The buckets as Prometheus has them, with their bounds: each counts also what the ones before it count.
fn cumulated(histogram: &Histogram) -> impl Iterator<Item = (String, u64)> {
    let buckets = histogram.buckets();
    let bounded = buckets.map(|(bound, count)| (seconds(bound), count));
    let all = bounded.chain([("+Inf".to_owned(), histogram.beyond())]);
    all.scan(0_u64, |sum, (bound, count)| {
        *sum = sum.saturating_add(count);
        Some((bound, *sum))
    })
}

#[derive(Serialize)]
struct LoopStatus {
    lateness: HistogramStatus,
    turns: HistogramStatus,
}

#[derive(Serialize)]
struct HistogramStatus {
    count: u64,
    mean_seconds: f64,
    longest_seconds: f64,
}

/// The member `loop` of `/status`, without the buckets.
pub(super) fn json(times: &LoopTimes) -> String {
    let status = LoopStatus {
        lateness: HistogramStatus::of(&times.lateness),
        turns: HistogramStatus::of(&times.turns),
    };
    // Such a value can always be written.
    serde_json::to_string(&status).unwrap_or_default()
}

impl HistogramStatus {
    fn of(histogram: &Histogram) -> Self {
        Self {
            count: histogram.count(),
            mean_seconds: histogram.mean().as_secs_f64(),
            longest_seconds: histogram.longest().as_secs_f64(),
        }
    }
}
