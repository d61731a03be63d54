//! Lines of a dump: `label = value` under titles, and how values are written.

use std::fmt::{self, Write as _};
use std::time::Duration;

use kr_model::Instant;
use kr_sys::local_time::LocalTime;

/// The two clocks at the moment of the dump.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The monotonic one.
    pub(crate) now: Instant,
    /// Unix time.
    pub(crate) unix_seconds: i64,
}

/// A text that grows line by line.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    indent: usize,
}

impl Text {
    pub(super) fn into_string(self) -> String {
        self.text
    }

    pub(super) fn title(&mut self, title: &str) {
        self.raw(format_args!("------< {title} >------"));
    }

    pub(super) fn value(&mut self, label: &str, value: impl fmt::Display) {
        let indent = self.indent;
        self.raw(format_args!(" {:indent$}{label} = {value}", ""));
    }

    /// A line without a label.
    pub(super) fn line(&mut self, value: impl fmt::Display) {
        let indent = self.indent;
        self.raw(format_args!(" {:indent$}{value}", ""));
    }

    pub(super) fn flag(&mut self, label: &str, value: bool) {
        self.value(label, if value { "yes" } else { "no" });
    }

    pub(super) fn optional(&mut self, label: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.value(label, value);
        }
    }

    /// What `lines` adds stands two columns further to the right.
    pub(super) fn under(&mut self, lines: impl FnOnce(&mut Self)) {
        self.indent = self.indent.saturating_add(2);
        lines(self);
        self.indent = self.indent.saturating_sub(2);
    }

    /// A line as it is.
    pub(super) fn raw(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// A duration in seconds, to the millisecond: `5 s`, `0.250 s`.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{} s", self.0.as_secs()),
            millis => write!(f, "{}.{millis:03} s", self.0.as_secs()),
        }
    }
}

/// A moment in the past: `Nov  2 17:05:09, 35 s ago`.
pub(super) struct Past(pub(super) Instant, pub(super) Moment);

impl fmt::Display for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(then, moment) = self;
        let age = moment.now.since(*then);
        let seconds = i64::try_from(age.as_secs()).unwrap_or(0);
        let then = LocalTime::of(moment.unix_seconds.saturating_sub(seconds));
        write!(f, "{then}, {} s ago", age.as_secs())
    }
}

/// A moment to come: `in 0.250 s`, or `now`.
pub(super) struct Future(pub(super) Instant, pub(super) Moment);

impl fmt::Display for Future {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wait = self.0.since(self.1.now);
        if wait.is_zero() {
            f.write_str("now")
        } else {
            write!(f, "in {}", Seconds(wait))
        }
    }
}
