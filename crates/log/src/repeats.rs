//! Leaves out lines that repeat too fast, so that a fault that happens for every packet does not fill a
//! disk. Lines are compared by their whole text: two thousand servers that fail at once are two thousand
//! lines.

use std::collections::BTreeMap;
use std::time::Duration;

use kr_model::Instant;

/// Copies of one line that are written in a period: more than a flapping instance makes, less than a fault
/// that happens for every packet.
const COPIES: u32 = 20;

/// The period, from the first copy.
const PERIOD: Duration = Duration::from_secs(30);

/// Texts that are remembered. More different ones within a period are written without a limit.
const REMEMBERED: usize = 512;

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Write it.
    Write,
    /// Write it, with the number of copies left out before.
    WriteAfter {
        /// How many.
        left_out: u32,
    },
    /// Write nothing.
    LeaveOut,
}

/// Counts the copies of recent lines.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    since: Instant,
    count: u32,
}

impl Repeats {
    /// Decides about a line that is logged now.
    pub(crate) fn handle(&mut self, text: &str, now: Instant) -> Verdict {
        if let Some(seen) = self.seen.get_mut(text) {
            if now.since(seen.since) < PERIOD {
                seen.count = seen.count.saturating_add(1);
                return if seen.count <= COPIES {
                    Verdict::Write
                } else {
                    Verdict::LeaveOut
                };
            }
            let left_out = seen.count.saturating_sub(COPIES);
            *seen = Seen {
                since: now,
                count: 1,
            };
            return match left_out {
                0 => Verdict::Write,
                left_out => Verdict::WriteAfter { left_out },
            };
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.retain(|_, seen| now.since(seen.since) < PERIOD);
        }
        if self.seen.len() < REMEMBERED {
            let first = Seen {
                since: now,
                count: 1,
            };
            self.seen.insert(text.to_owned(), first);
        }
        Verdict::Write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn copies_above_the_bound_are_left_out_and_counted() {
        let mut repeats = Repeats::default();
        for _ in 0..20 {
            assert_eq!(repeats.handle("x", at(0)), Verdict::Write);
        }
        assert_eq!(repeats.handle("x", at(6)), Verdict::LeaveOut);
        assert_eq!(repeats.handle("x", at(7)), Verdict::LeaveOut);
        assert_eq!(repeats.handle("y", at(8)), Verdict::Write);
        assert_eq!(
            repeats.handle("x", at(30)),
            Verdict::WriteAfter { left_out: 2 }
        );
        assert_eq!(repeats.handle("x", at(31)), Verdict::Write);
    }

    #[test]
    fn many_different_lines_are_all_written_in_bounded_memory() {
        let mut repeats = Repeats::default();
        for n in 0..5_000 {
            assert_eq!(repeats.handle(&n.to_string(), at(1)), Verdict::Write);
        }
        assert_eq!(repeats.seen.len(), REMEMBERED);
        assert_eq!(repeats.handle("new", at(40)), Verdict::Write);
        assert_eq!(repeats.seen.len(), 1);
    }
}
