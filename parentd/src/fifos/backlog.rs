//! Lines that a FIFO did not take yet, oldest first. Pure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Most bytes that wait for a reader; twenty thousand lines or so. A reader that lives empties the FIFO
/// within moments, so whoever is further behind does not read at all.
const MOST_BYTES: usize = 1 << 20;

/// The lines that wait, in order. When they become too many the oldest go, for the newest say how things
/// are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backlog {
    lines: VecDeque<String>,
    bytes: usize,
    lost: u64,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It waits.
    All,
    /// It waits, but for the first time an older one had to go.
    NoLonger,
    /// It waits, and older ones go as they did before.
    NotAll,
}

impl Backlog {
    /// True when nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The oldest line.
    pub(crate) fn oldest(&self) -> Option<&str> {
        self.lines.front().map(String::as_str)
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, line: String) -> Kept {
        let lost_before = self.lost;
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line);
        while self.bytes > MOST_BYTES && self.lines.len() > 1 {
            self.remove_oldest();
            self.lost = self.lost.saturating_add(1);
        }
        match (lost_before, self.lost) {
            (before, now) if before == now => Kept::All,
            (0, _) => Kept::NoLonger,
            (_, _) => Kept::NotAll,
        }
    }

    /// The oldest line was written.
    pub(crate) fn remove_oldest(&mut self) {
        if let Some(line) = self.lines.pop_front() {
            self.bytes = self.bytes.saturating_sub(line.len());
        }
    }

    /// How many lines had to go since this was asked last.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_leave_in_the_order_they_came() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.push("a\n".to_owned()), Kept::All);
        assert_eq!(backlog.push("b\n".to_owned()), Kept::All);
        assert_eq!(backlog.oldest(), Some("a\n"));
        backlog.remove_oldest();
        assert_eq!(backlog.oldest(), Some("b\n"));
        backlog.remove_oldest();
        assert!(backlog.is_empty());
        assert_eq!(backlog.bytes, 0);
    }

    #[test]
    fn the_oldest_go_when_nobody_reads_and_that_is_said_once() {
        let mut backlog = Backlog::default();
        let line = "x".repeat(MOST_BYTES / 4);
        let kept: Vec<Kept> = (0..6).map(|_| backlog.push(line.clone())).collect();
        assert_eq!(
            kept,
            [
                Kept::All,
                Kept::All,
                Kept::All,
                Kept::All,
                Kept::NoLonger,
                Kept::NotAll
            ]
        );
        assert_eq!(backlog.lines.len(), 4);
        assert_eq!(backlog.take_lost(), 2);
        assert_eq!(backlog.take_lost(), 0);
    }
}
