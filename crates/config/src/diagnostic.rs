//! What is wrong with a configuration, where, and how to mend it.

use std::collections::BTreeSet;

use crate::source::Span;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the meaning is not in doubt. Does not fail a config test.
    Note,
    /// The configuration runs, but a part of it has no effect or not the one it may be meant to have.
    Warning,
    /// A part cannot be understood or cannot work. A reload is refused.
    Error,
}

/// What kind of finding, for the exit code of a config test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Nothing can run: no file, an unknown interface, two instances with one VRID.
    Fatal,
    /// The configuration is wrong somewhere.
    Configuration,
    /// A script may be changed by others than its user.
    ScriptSecurity,
    /// Deprecated or accepted without effect.
    Advice,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// What kind.
    pub class: Class,
    /// What is wrong, in lower case without full stop.
    pub message: String,
    /// Where; `None` when it is about no place (a missing file).
    pub span: Option<Span>,
    /// Text at the caret: what was expected here.
    pub label: Option<String>,
    /// How to mend it, for example a suggested keyword.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error of the configuration at a place.
    #[must_use]
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self::at(Severity::Error, Class::Configuration, span, message)
    }

    /// A warning at a place.
    #[must_use]
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::at(Severity::Warning, Class::Advice, span, message)
    }

    /// A note at a place.
    #[must_use]
    pub fn note(span: Span, message: impl Into<String>) -> Self {
        Self::at(Severity::Note, Class::Advice, span, message)
    }

    /// A reason why nothing can run, about no place in a file.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            class: Class::Fatal,
            message: message.into(),
            span: None,
            label: None,
            help: None,
        }
    }

    /// The same with a text at the caret.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same with a way to mend it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn at(severity: Severity, class: Class, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity,
            class,
            message: message.into(),
            span: Some(span),
            label: None,
            help: None,
        }
    }
}

/// The findings of one run, each once: a line that is repeated by a macro is reported once.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Diagnostic>,
    seen: BTreeSet<(Span, String)>,
}

impl Findings {
    /// Adds a finding unless the same was found at the same place before.
    pub(crate) fn add(&mut self, diagnostic: Diagnostic) {
        let new = diagnostic
            .span
            .is_none_or(|span| self.seen.insert((span, diagnostic.message.clone())));
        if new {
            self.list.push(diagnostic);
        }
    }

    /// All findings in the order of the text.
    pub(crate) fn into_list(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| diagnostic.span);
        self.list
    }
}
