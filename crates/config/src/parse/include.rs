//! `include` and its stricter forms, and `include_check`.

use std::path::{Component, Path, PathBuf};

use super::Parser;
use crate::diagnostic::Diagnostic;
use crate::expand::line::Line;
use crate::lexer;
use crate::source::{Span, brace_alternatives};
use crate::tree::Word;

/// How deep files may include each other.
const MAX_NESTING: usize = 16;

/// Most files of one configuration, each as often as it is included.
const MAX_FILES: usize = 16_384;

/// Most bytes of all files of one configuration.
const MAX_BYTES: usize = 512 << 20;

/// What makes a missing file an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Checks {
    read: bool,
    plain_match: bool,
    wildcard_match: bool,
    brace_match: bool,
}

impl Checks {
    const ALL: Self = Self {
        read: true,
        plain_match: true,
        wildcard_match: true,
        brace_match: true,
    };

    /// All checks or none.
    pub(super) fn initial(all: bool) -> Self {
        if all { Self::ALL } else { Self::default() }
    }

    /// Takes over what follows an `include_check` of `global_defs`.
    pub(super) fn follow(&mut self, arguments: &[Word]) {
        if arguments.is_empty() {
            *self = Self::ALL;
            return;
        }
        let mut on = true;
        for (index, argument) in arguments.iter().enumerate() {
            let name = match argument.text.split_at_checked(1) {
                Some(("+", name)) => {
                    on = true;
                    name
                }
                Some(("-", name)) => {
                    on = false;
                    name
                }
                _ => {
                    if index == 0 {
                        *self = Self::default();
                    }
                    &argument.text
                }
            };
            match name {
                "read" | "readable" => self.read = on,
                "match" => self.plain_match = on,
                "wildcard_match" => self.wildcard_match = on,
                "brace_match" => self.brace_match = on,
                _ => {}
            }
        }
    }

    /// These checks and those that the letter after `include` adds.
    fn with_letter(self, letter: &str) -> Option<Self> {
        let read = Self { read: true, ..self };
        Some(match letter {
            "" => self,
            "r" => read,
            "m" => Self {
                plain_match: true,
                ..read
            },
            "w" => Self {
                plain_match: true,
                wildcard_match: true,
                ..read
            },
            "b" => Self {
                brace_match: true,
                ..read
            },
            "a" => Self::ALL,
            _ => return None,
        })
    }

    /// True when an unreadable match is an error: the other checks imply it.
    fn reads(self) -> bool {
        self.read || self.plain_match || self.wildcard_match || self.brace_match
    }
}

/// An `include` line that is being followed.
struct Include {
    span: Span,
    checks: Checks,
}

impl Parser<'_> {
    /// Follows the line when it is an `include`; false when it is something else.
    pub(super) fn include_line(&mut self, line: &Line<'_>, at: usize) -> bool {
        let end = lexer::skip_word(&line.text, at);
        let checks = line
            .text
            .get(at..end)
            .and_then(|word| word.strip_prefix("include"))
            .and_then(|letter| self.checks.with_letter(letter));
        let Some(checks) = checks else {
            return false;
        };
        let start = lexer::skip_space(&line.text, end);
        let Ok(rest) = self.macros.expand(line, start, &mut self.findings) else {
            return true;
        };
        self.builder.end_of_line();
        let (pattern, after) = first_word(&rest.text);
        let include = Include {
            span: rest.span(0, rest.text.len() - after.len()),
            checks,
        };
        if pattern.is_empty() {
            self.findings.add(
                Diagnostic::error(line.span(at, end), "expected a file name or pattern")
                    .with_help("for example: include conf.d/*.conf"),
            );
            return true;
        }
        let more = after.trim_start();
        if !more.is_empty() {
            self.findings.add(
                Diagnostic::warning(
                    rest.span(rest.text.len() - more.len(), rest.text.len()),
                    "only one file name or pattern can follow `include`",
                )
                .with_label("ignored")
                .with_help("write one `include` line for each"),
            );
        }
        self.include(&include, pattern);
        true
    }

    fn include(&mut self, include: &Include, pattern: &str) {
        let alternatives = match brace_alternatives(pattern) {
            Ok(alternatives) => alternatives,
            Err(error) => {
                self.findings
                    .add(Diagnostic::error(include.span, error.to_string()));
                return;
            }
        };
        let braces = alternatives.len() > 1;
        let mut found = false;
        for alternative in &alternatives {
            let absolute = normalised(&self.macros.directory.join(alternative));
            let paths = match self.host.glob(&absolute.to_string_lossy()) {
                Ok(paths) => paths,
                Err(error) => {
                    let message = format!("cannot look for {}: {error}", absolute.display());
                    self.report(include, include.checks.reads(), message);
                    continue;
                }
            };
            if paths.is_empty() && braces && include.checks.brace_match {
                let message = format!("no file matches {}", absolute.display());
                self.report(include, true, message);
            }
            for path in paths {
                found = true;
                self.include_file(include, &path);
            }
        }
        let wild = pattern.contains(['*', '?', '[']);
        let wanted = if wild {
            include.checks.wildcard_match
        } else {
            include.checks.plain_match
        };
        // An empty directory of snippets is usual, a missing named file is not.
        if !found && (wanted || !wild) {
            let place = normalised(&self.macros.directory.join(pattern));
            let message = format!("no file matches {}", place.display());
            self.report(include, wanted, message);
        }
    }

    fn include_file(&mut self, include: &Include, path: &Path) {
        let path = normalised(path);
        if self.stopped {
            return;
        }
        if self.open_files.contains(&path) {
            let message = format!("{} includes itself", path.display());
            self.report(include, true, message);
            return;
        }
        if self.open_files.len() >= MAX_NESTING || !self.enter() {
            let message = format!("files are included more than {MAX_NESTING} deep");
            self.report(include, true, message);
            return;
        }
        if self.sources.len() >= MAX_FILES || self.bytes_read > MAX_BYTES {
            let message = format!(
                "more than {MAX_FILES} files or {} MiB are included",
                MAX_BYTES >> 20
            );
            self.report(include, true, message);
            self.stopped = true;
        } else {
            match self.host.read(&path) {
                Ok(text) => {
                    let checks = self.checks;
                    self.file(path, text);
                    self.checks = checks;
                }
                Err(error) => {
                    let message = format!("cannot read {}: {error}", path.display());
                    self.report(include, include.checks.reads(), message);
                }
            }
        }
        self.leave();
    }

    /// A finding about an include: an error when a check asks for it, else a warning.
    fn report(&mut self, include: &Include, error: bool, message: String) {
        let diagnostic = if error {
            Diagnostic::error(include.span, message)
        } else {
            Diagnostic::warning(include.span, message)
        };
        self.findings.add(diagnostic);
    }
}

/// The first word of the rest of an `include` line, and what follows it; braces belong to it.
fn first_word(text: &str) -> (&str, &str) {
    if let Some(inner) = text.strip_prefix('"') {
        return inner.split_once('"').unwrap_or((inner, ""));
    }
    text.split_at_checked(lexer::skip_word(text, 0))
        .unwrap_or((text, ""))
}

/// The path without `.` and with `..` worked out, so that a file that includes itself is known by its path.
fn normalised(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !matches!(result.components().next_back(), Some(Component::Normal(_))) {
                    result.push("..");
                } else {
                    result.pop();
                }
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                result.push(component);
            }
        }
    }
    result
}
