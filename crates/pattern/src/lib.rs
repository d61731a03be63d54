//! Regular expressions of the operator (`regex` of `HTTP_GET` and `SSL_GET`), and the search for one in a
//! body that comes piece by piece.
//!
//! The configuration is written for PCRE2. [`Pattern::new`] translates its syntax and refuses what cannot
//! be kept, so that a pattern either means what it meant or is an error with a reason. Two engines search:
//!
//! * A finite automaton for nearly everything. Its time grows with the body only, whatever a server
//!   sends, and a [`Search`] holds at most [`WINDOW`] bytes of it.
//! * Backtracking for look-around, back references, atomic groups and possessive repetition. Its steps are
//!   counted, and the body is searched in one piece of at most [`MAX_PIECE`] bytes.
//!
//! Called by the configuration (to find mistakes when it is read) and by the checks.

mod search;
mod translate;

use std::fmt;
use std::sync::Arc;

use fancy_regex::{BytesMode, RegexBuilder};
use kr_model::check::PatternOptions;
use regex_automata::meta;
use regex_automata::util::syntax;

pub use search::{MAX_MATCH, MAX_PIECE, Search, SearchError, WINDOW};
use translate::{Engine, translate};

/// Longest compiled form, in bytes: bounds the time for one byte of a body too.
const MAX_COMPILED: usize = 1 << 20;

/// Most memory for the states that an automaton has met.
const STATE_CACHE: usize = 1 << 20;

/// Most steps back in one search.
const MAX_STEPS_BACK: usize = 100_000;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternError {
    /// A construct that cannot be kept.
    Construct {
        /// Where it begins: characters from the start of the pattern, counted from 1.
        at: usize,
        /// What it is.
        what: &'static str,
        /// What to write instead.
        instead: &'static str,
    },
    /// It is no regular expression, in the words of the engine.
    Syntax(String),
    /// Its compiled form is too long.
    TooLarge,
}

impl PatternError {
    /// What to do about it.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Construct { instead, .. } => instead,
            Self::Syntax(_) => {
                "a character with a meaning of its own is taken as it is after a backslash, as in `\\.`"
            }
            Self::TooLarge => "use smaller repetition counts",
        }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Construct { at, what, .. } => {
                write!(f, "{what} at character {at} is not supported")
            }
            Self::Syntax(reason) => f.write_str(reason),
            Self::TooLarge => write!(f, "it needs more than {MAX_COMPILED} bytes when compiled"),
        }
    }
}

impl std::error::Error for PatternError {}

/// A compiled pattern. Clones share it.
#[derive(Debug, Clone)]
pub struct Pattern {
    matcher: Arc<Matcher>,
    first_line: bool,
}

#[derive(Debug)]
enum Matcher {
    Automaton(meta::Regex),
    Backtracking(fancy_regex::Regex),
}

impl Pattern {
    /// Compiles a pattern in PCRE2's syntax.
    ///
    /// # Errors
    /// When it is wrong, too large, or asks for what neither engine can do.
    pub fn new(text: &str, options: PatternOptions) -> Result<Self, PatternError> {
        let translated = translate(text, options, Engine::Automaton)?;
        let matcher = if translated.backtracking {
            let translated = translate(text, options, Engine::Backtracking)?;
            Matcher::Backtracking(backtracking(&translated.text, options)?)
        } else {
            Matcher::Automaton(automaton(&translated.text, options)?)
        };
        Ok(Self {
            matcher: Arc::new(matcher),
            first_line: options.contains(PatternOptions::FIRSTLINE),
        })
    }
}

fn automaton(text: &str, options: PatternOptions) -> Result<meta::Regex, PatternError> {
    let syntax = syntax::Config::new()
        .unicode(options.contains(PatternOptions::UTF))
        .utf8(false)
        .case_insensitive(options.contains(PatternOptions::CASELESS))
        .multi_line(options.contains(PatternOptions::MULTILINE))
        .dot_matches_new_line(options.contains(PatternOptions::DOTALL))
        .ignore_whitespace(options.contains(PatternOptions::EXTENDED))
        .swap_greed(options.contains(PatternOptions::UNGREEDY));
    let limits = meta::Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(MAX_COMPILED))
        .hybrid_cache_capacity(STATE_CACHE);
    meta::Builder::new()
        .configure(limits)
        .syntax(syntax)
        .build(text)
        .map_err(|error| match error.syntax_error() {
            Some(reason) => PatternError::Syntax(last_line(&reason.to_string())),
            None => PatternError::TooLarge,
        })
}

fn backtracking(text: &str, options: PatternOptions) -> Result<fancy_regex::Regex, PatternError> {
    let bytes = if options.contains(PatternOptions::UTF) {
        BytesMode::UnicodeBytes
    } else {
        BytesMode::Ascii
    };
    RegexBuilder::new(text)
        .bytes_mode(bytes)
        .case_insensitive(options.contains(PatternOptions::CASELESS))
        .multi_line(options.contains(PatternOptions::MULTILINE))
        .dot_matches_new_line(options.contains(PatternOptions::DOTALL))
        .ignore_whitespace(options.contains(PatternOptions::EXTENDED))
        .backtrack_limit(MAX_STEPS_BACK)
        .delegate_size_limit(MAX_COMPILED)
        .delegate_dfa_size_limit(STATE_CACHE)
        .max_prog_size(MAX_COMPILED)
        .build()
        .map_err(|error| PatternError::Syntax(last_line(&error.to_string())))
}

/// The engines draw the pattern with a caret and give the reason last; the configuration has a caret of
/// its own.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests;
