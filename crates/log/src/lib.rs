//! Where log lines go: the backend of the `log` macros of every process.
//!
//! The parent turns its options (`-l`, `-D`, `-S`, `-G`, `-g`) into [`Settings`], opens the file, and
//! hands both to its children: settings as one argument, the file as a descriptor. A sink that is slow,
//! full or absent loses lines; it never stops or delays the daemon.

mod repeats;
mod settings;
mod sinks;
mod syslog_sink;

use std::fs::File;
use std::sync::{Mutex, OnceLock, PoisonError};

use kr_event::Clock;
use log::{Log, Metadata, Record};

use crate::repeats::{Repeats, Verdict};
use crate::sinks::Sinks;

pub use settings::{BadSettings, Detail, Facility, Settings};

/// Longest text of a line in bytes. Also the most that a pipe surely takes at once.
const MAX_TEXT: usize = 3_000;

/// Starts logging. To be called once per process, before the first line.
///
/// # Errors
/// When logging was started before.
pub fn start(settings: Settings, file: Option<File>) -> Result<(), log::SetLoggerError> {
    let level = settings.detail.level();
    let logger = LOGGER.get_or_init(|| {
        Logger(Mutex::new(State {
            sinks: Sinks::new(settings, file),
            repeats: Repeats::default(),
            clock: Clock::new(),
        }))
    });
    log::set_logger(logger)?;
    log::set_max_level(level.to_level_filter());
    Ok(())
}

/// From now on lines go to `file` instead of the file before, which was rotated away.
pub fn replace_file(file: File) {
    if let Some(Logger(state)) = LOGGER.get() {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sinks.replace_file(file);
    }
}

/// The logger of this process, once it was started.
static LOGGER: OnceLock<Logger> = OnceLock::new();

struct State {
    sinks: Sinks,
    repeats: Repeats,
    clock: Clock,
}

struct Logger(Mutex<State>);

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries below us may explain themselves only at the highest detail.
        metadata.target().starts_with("kr_")
            || OWN.iter().any(|own| metadata.target().starts_with(own))
            || log::max_level() == log::LevelFilter::Trace
            || metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = one_line(&record.args().to_string());
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State {
            sinks,
            repeats,
            clock,
        } = &mut *state;
        match repeats.handle(&text, clock.now()) {
            Verdict::Write => sinks.write(record.level(), &text, clock.unix_seconds()),
            Verdict::WriteAfter { left_out } => {
                let text = format!("{text} ({left_out} more of this line were left out)");
                sinks.write(record.level(), &text, clock.unix_seconds());
            }
            Verdict::LeaveOut => {}
        }
    }

    fn flush(&self) {}
}

/// Targets of the daemons' own lines, besides the `kr_` crates.
const OWN: [&str; 5] = ["keepalived_rs", "vrrpd", "checkerd", "ipvsd", "genhash"];

/// A line has no control characters (a peer's text must not forge lines) and a bounded length.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_TEXT));
    for character in text.chars() {
        if line.len() >= MAX_TEXT {
            line.push_str("...");
            break;
        }
        line.push(if character.is_control() {
            ' '
        } else {
            character
        });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_forge_a_line() {
        assert_eq!(one_line("a\nKeepalived: b\x1b[1m"), "a Keepalived: b [1m");
    }

    #[test]
    fn a_long_text_is_cut() {
        let line = one_line(&"ä".repeat(MAX_TEXT));
        assert!(line.len() <= MAX_TEXT + 4);
        assert!(line.ends_with("ä..."));
    }
}
