//! Findings of the builder, made in one line.

use crate::diagnostic::{Class, Diagnostic, Severity};
use crate::source::Span;

/// A finding that is still being described.
pub(super) struct Finding(pub(super) Diagnostic);

impl Finding {
    fn new(severity: Severity, class: Class, at: Span, message: String) -> Self {
        Self(Diagnostic {
            severity,
            class,
            message,
            span: Some(at),
            label: None,
            help: None,
        })
    }

    /// Adds the text at the caret.
    pub(super) fn label(mut self, text: impl Into<String>) -> Self {
        self.0.label = Some(text.into());
        self
    }

    /// Adds how to mend it.
    pub(super) fn help(mut self, text: impl Into<String>) -> Self {
        self.0.help = Some(text.into());
        self
    }
}

/// With this nothing can run.
pub(super) fn fatal(at: Span, message: impl Into<String>) -> Finding {
    Finding::new(Severity::Error, Class::Fatal, at, message.into())
}

/// A part cannot be understood or cannot work; the rest runs.
pub(super) fn error(at: Span, message: impl Into<String>) -> Finding {
    Finding::new(Severity::Error, Class::Configuration, at, message.into())
}

/// It runs, but not as it may be meant.
pub(super) fn warning(at: Span, message: impl Into<String>) -> Finding {
    Finding::new(Severity::Warning, Class::Configuration, at, message.into())
}

/// Something has no effect, and nothing is lost by it.
pub(super) fn advice(at: Span, message: impl Into<String>) -> Finding {
    Finding::new(Severity::Warning, Class::Advice, at, message.into())
}

/// Worth knowing.
pub(super) fn note(at: Span, message: impl Into<String>) -> Finding {
    Finding::new(Severity::Note, Class::Advice, at, message.into())
}

/// A script may be changed by others than its user.
pub(super) fn insecure(at: Span, message: impl Into<String>) -> Finding {
    Finding::new(Severity::Warning, Class::ScriptSecurity, at, message.into())
}
