//! The search in a body that comes piece by piece, of which only a window is kept.
//!
//! The automaton looks at the window when it is full. Matches that would reach into its last bytes wait for
//! what follows, because `$` and `\b` look ahead; then all but the last [`MAX_MATCH`] bytes are dropped.
//! An open end (`a.*`) does not matter: that a match exists is known at its shortest end.

use fancy_regex::RegexInput;
use regex_automata::{Input, meta};

use crate::{Matcher, Pattern};

/// Most bytes of a body that the automaton holds.
pub const WINDOW: usize = 64 * 1024;

/// A match of at most this many bytes is found wherever it lies.
pub const MAX_MATCH: usize = 32 * 1024;

/// Longest body that the backtracking engine searches. It may look at each byte once for every byte in
/// front of it, and nobody else is served meanwhile.
pub const MAX_PIECE: usize = 32 * 1024;

/// How far assertions look behind and ahead: one character.
const SIGHT: usize = 4;

/// Why it is not known whether a body matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchError {
    /// It is longer than [`MAX_PIECE`], and nothing was found so far.
    TooLong,
    /// The search took too many steps.
    TooHard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Looking,
    Found,
    /// No later match may count.
    Missed,
    Failed(SearchError),
}

/// The search for one pattern in one body.
#[derive(Debug)]
pub struct Search {
    pattern: Pattern,
    state: State,
    /// The kept part of the body.
    bytes: Vec<u8>,
    /// Where in the body it begins.
    base: u64,
    /// Where in it a match may begin; what is before only shows assertions their surroundings.
    from: usize,
    min: u64,
    max: Option<u64>,
    /// `firstline`, and no line end has come yet.
    first_line: bool,
}

impl Search {
    /// A match counts when it begins at an offset from `min` to `max`, in bytes of the body.
    #[must_use]
    pub fn new(pattern: &Pattern, min: u64, max: Option<u64>) -> Self {
        Self {
            pattern: pattern.clone(),
            state: State::Looking,
            bytes: Vec::new(),
            base: 0,
            from: 0,
            min,
            max,
            first_line: pattern.first_line,
        }
    }

    /// Takes the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) {
        let most = match *self.pattern.matcher {
            Matcher::Automaton(_) => WINDOW,
            Matcher::Backtracking(_) => MAX_PIECE,
        };
        while self.state == State::Looking && !piece.is_empty() {
            let room = most.saturating_sub(self.bytes.len());
            if room == 0 {
                self.overflow();
                continue;
            }
            let (now, later) = piece.split_at(room.min(piece.len()));
            self.end_of_first_line(now);
            self.bytes.extend_from_slice(now);
            piece = later;
        }
    }

    /// The body is complete: says whether it matches.
    ///
    /// # Errors
    /// When that cannot be known.
    pub fn finish(&mut self) -> Result<bool, SearchError> {
        self.look(true);
        self.bytes = Vec::new();
        match self.state {
            State::Found => Ok(true),
            State::Looking | State::Missed => Ok(false),
            State::Failed(error) => Err(error),
        }
    }

    /// How much of the body is kept.
    #[cfg(test)]
    pub(crate) const fn bytes_held(&self) -> usize {
        self.bytes.len()
    }

    /// With `firstline` a match begins in front of the first line end or at it.
    fn end_of_first_line(&mut self, piece: &[u8]) {
        if !self.first_line {
            return;
        }
        let before = self.base.saturating_add(count(self.bytes.len()));
        let skip = usize::try_from(self.min.saturating_sub(before)).unwrap_or(usize::MAX);
        let line_end = piece.iter().skip(skip).position(|byte| *byte == b'\n');
        if let Some(at) = line_end {
            self.first_line = false;
            let at = before.saturating_add(count(skip.saturating_add(at)));
            self.max = Some(self.max.map_or(at, |max| max.min(at)));
        }
    }

    /// More comes than is kept.
    fn overflow(&mut self) {
        self.look(false);
        if self.state != State::Looking {
            return;
        }
        match *self.pattern.matcher {
            Matcher::Automaton(_) => {
                let kept = MAX_MATCH.saturating_add(2 * SIGHT);
                let dropped = self.bytes.len().saturating_sub(kept);
                self.bytes.drain(..dropped);
                self.base = self.base.saturating_add(count(dropped));
                self.from = SIGHT;
            }
            // All that may count was there.
            Matcher::Backtracking(_) if self.max.is_some_and(|max| max < count(MAX_PIECE)) => {
                self.state = State::Missed;
            }
            Matcher::Backtracking(_) => self.state = State::Failed(SearchError::TooLong),
        }
    }

    /// Looks for a match in what is kept.
    fn look(&mut self, complete: bool) {
        if self.state != State::Looking {
            return;
        }
        let ahead = if complete { 0 } else { SIGHT };
        let end = self.bytes.len().saturating_sub(ahead);
        let least = usize::try_from(self.min.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let start = self.from.max(least);
        let most = self.max.map(|max| max.checked_sub(self.base));
        if most.is_some_and(|most| most.is_none_or(|most| most < count(start))) {
            self.state = State::Missed;
            return;
        }
        if start > end {
            return;
        }
        let most = most.flatten();
        let pattern = self.pattern.clone();
        match &*pattern.matcher {
            Matcher::Automaton(regex) => self.run(regex, start, end, most),
            Matcher::Backtracking(regex) => self.step(regex, start, end, most),
        }
    }

    fn run(&mut self, regex: &meta::Regex, start: usize, end: usize, most: Option<u64>) {
        let input = Input::new(&self.bytes).span(start..end);
        let found = match most {
            None => regex.search_half(&input.earliest(true)).is_some(),
            // The leftmost match: none begins before it.
            Some(most) => regex
                .search(&input)
                .is_some_and(|found| count(found.start()) <= most),
        };
        if found {
            self.state = State::Found;
        }
    }

    fn step(&mut self, regex: &fancy_regex::Regex, start: usize, end: usize, most: Option<u64>) {
        let input = RegexInput::new(self.bytes.as_slice()).range(start..end);
        match regex.find_input(input) {
            Ok(Some(found)) if most.is_none_or(|most| count(found.start()) <= most) => {
                self.state = State::Found;
            }
            Ok(Some(_) | None) => {}
            Err(_) => self.state = State::Failed(SearchError::TooHard),
        }
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
