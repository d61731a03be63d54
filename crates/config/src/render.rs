//! Diagnostics as text: with the line and a caret for a terminal, in one line for a log.

use std::borrow::Cow;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{Location, Sources, Span};

/// How diagnostics are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// ASCII only.
    Plain,
    /// With terminal colours.
    Colour,
}

/// A diagnostic with its source line and a caret, over several lines, without line feed at the end.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &Sources, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let level = match diagnostic.severity {
        Severity::Note => Level::NOTE,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let place = diagnostic
        .span
        .and_then(|span| sources.locate(span).map(|location| (span, location)));
    let mut group = match place {
        None => Group::with_title(title),
        Some((span, location)) => {
            let annotation = AnnotationKind::Primary
                .span(columns(span, location))
                .label(diagnostic.label.as_deref());
            let path = location.path.to_string_lossy();
            title.element(
                Snippet::source(location.text)
                    .path(path)
                    .line_start(location.line)
                    .annotation(annotation),
            )
        }
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// `file:line:column: error: message; help`, for syslog.
#[must_use]
pub fn one_line(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let place = diagnostic
        .span
        .and_then(|span| sources.locate(span))
        .map_or_else(String::new, |location| {
            let path = location.path.display();
            format!("{path}:{}:{}: ", location.line, location.column)
        });
    let severity = match diagnostic.severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let help = diagnostic
        .help
        .as_ref()
        .map_or_else(String::new, |help| format!("; {help}"));
    without_controls(&format!("{place}{severity}: {}{help}", diagnostic.message)).into_owned()
}

/// The bytes of the line that a span covers; what it covers beyond the line is left out.
fn columns(span: Span, location: Location<'_>) -> std::ops::Range<usize> {
    let within = |position: u32| {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        let mut at = position
            .saturating_sub(location.line_start)
            .min(location.text.len());
        while !location.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    within(span.start)..within(span.end)
}

/// Text of a file may hold anything; a log line may not.
fn without_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests;
