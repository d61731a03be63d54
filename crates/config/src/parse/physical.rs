//! The lines of a file: comments and lookalike characters away, definitions of several lines put together.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::Parser;
use crate::diagnostic::Diagnostic;
use crate::expand::line::Line;
use crate::lexer::{self, lookalike};
use crate::source::{FileId, Span};

/// A line of a file without its comment.
struct Code<'a> {
    text: Cow<'a, str>,
    /// It ends with a backslash, be it after a comment.
    continues: bool,
}

impl Parser<'_> {
    /// Reads a file to its end.
    pub(super) fn file(&mut self, path: PathBuf, text: String) {
        self.bytes_read = self.bytes_read.saturating_add(text.len());
        self.builder.expect(text.len());
        let directory = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let outer_directory = std::mem::replace(&mut self.macros.directory, directory);
        self.open_files.push(path.clone());
        let file = self.sources.add(path, text);
        let text = self.sources.text(file);
        let mut next = 0;
        if text.starts_with('\u{feff}') {
            next = '\u{feff}'.len_utf8();
            self.findings.add(
                Diagnostic::note(
                    span(file, 0, next),
                    "the file begins with a byte order mark",
                )
                .with_help("it is skipped; save the file as UTF-8 without BOM"),
            );
        }
        while !self.stopped
            && let Some((start, raw)) = take_line(&text, &mut next)
        {
            let code = self.code(raw, file, start);
            if code.continues && defines(&code.text) {
                let value = self.definition_lines(code, file, &text, &mut next);
                let whole = span(file, start, start + raw.len());
                self.line(&Line::of_use(value.into(), whole), 0, false);
            } else {
                if code.continues && !code.text.trim().is_empty() {
                    self.useless_backslash(raw, file, start);
                }
                self.line(&Line::of_file(code.text, file, start), 0, false);
            }
        }
        self.open_files.pop();
        self.macros.directory = outer_directory;
    }

    /// The first line of a definition with those that continue it.
    fn definition_lines(
        &mut self,
        first: Code<'_>,
        file: FileId,
        text: &str,
        next: &mut usize,
    ) -> String {
        let mut value = first.text.into_owned();
        while let Some((start, raw)) = take_line(text, next) {
            let code = self.code(raw, file, start);
            value.push('\n');
            value.push_str(code.text.trim());
            if !code.continues {
                break;
            }
        }
        value
    }

    /// A line without its comment and its backslash at the end.
    fn code<'a>(&mut self, raw: &'a str, file: FileId, start: usize) -> Code<'a> {
        let mut line = Cow::Borrowed(raw);
        if let Some((replaced, found)) = lookalike::replace(raw) {
            let mut not_text = found.iter().filter(|one| one.meant.is_none());
            let first_not_text = not_text.next().copied();
            let taken = found.into_iter().filter(|one| one.meant.is_some());
            for lookalike in taken.chain(first_not_text) {
                self.lookalike(lookalike, file, start);
            }
            line = Cow::Owned(replaced);
        }
        let trimmed = line.trim_end_matches(lexer::is_space_character);
        let comment = lexer::comment_start(trimmed);
        if comment < trimmed.len() {
            self.glued_comment(trimmed, comment, file, start);
        }
        let continues = trimmed.ends_with('\\');
        let code = trimmed.get(..comment).unwrap_or_default();
        let code = if comment == trimmed.len() {
            code.strip_suffix('\\').unwrap_or(code)
        } else {
            code
        };
        let length = code.trim_end_matches(lexer::is_space_character).len();
        let text = match line {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(..length).unwrap_or_default()),
            Cow::Owned(mut text) => {
                text.truncate(length);
                Cow::Owned(text)
            }
        };
        Code { text, continues }
    }

    fn lookalike(&mut self, found: lookalike::Lookalike, file: FileId, start: usize) {
        let at = start + found.position;
        let place = span(file, at, at + found.found.len_utf8());
        let name = found.describe();
        self.findings.add(match found.meant {
            Some('!') => Diagnostic::note(place, format!("the character {name} is taken as `!`"))
                .with_label("a comment begins here")
                .with_help("write the ASCII `!` or `#`"),
            Some(' ') => {
                Diagnostic::warning(place, format!("the character {name} is taken as a space"))
                    .with_help("replace it by an ASCII space")
            }
            Some(meant) => {
                Diagnostic::warning(place, format!("the character {name} is taken as `{meant}`"))
                    .with_help(format!("write the ASCII `{meant}`"))
            }
            None => Diagnostic::warning(place, "these bytes are not UTF-8 text")
                .with_help("save the file as UTF-8"),
        });
    }

    /// A comment without space before it may have been meant as a part of the value, or as a keyword.
    fn glued_comment(&mut self, line: &str, at: usize, file: FileId, start: usize) {
        let before = at
            .checked_sub(1)
            .and_then(|before| lexer::byte_at(line, before));
        if before.is_none_or(|byte| lexer::is_space(byte) || matches!(byte, b'{' | b'}')) {
            return;
        }
        let mark = if lexer::byte_at(line, at) == Some(b'#') {
            '#'
        } else {
            '!'
        };
        let comment = line.get(at + 1..).unwrap_or_default();
        let length = comment
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count();
        let word = comment.get(..length).unwrap_or_default();
        if word.is_empty() {
            return;
        }
        let place = span(file, start + at, start + at + 1 + length);
        let like_a_keyword = word.contains('_')
            && word.starts_with(|first: char| first.is_ascii_lowercase())
            && comment.get(length..).is_some_and(|rest| {
                rest.is_empty()
                    || rest.starts_with(|next: char| next == '{' || next.is_whitespace())
            });
        self.findings.add(if like_a_keyword {
            Diagnostic::warning(
                place,
                format!("`{word}` is part of a comment and has no effect"),
            )
            .with_label(format!("`{mark}` begins a comment"))
            .with_help(format!(
                "if the keyword `{word}` is meant, put it in a line of its own"
            ))
        } else {
            Diagnostic::note(
                place,
                format!("`{mark}` begins a comment, also without space before it"),
            )
            .with_label("not part of the value")
            .with_help(format!(
                "if it is meant as part of the value, write \\{mark} or quote the value"
            ))
        });
    }

    fn useless_backslash(&mut self, raw: &str, file: FileId, start: usize) {
        if lexer::comment_start(raw) < raw.len() {
            return;
        }
        let at = start + raw.trim_end().len().saturating_sub(1);
        self.findings.add(
            Diagnostic::warning(
                span(file, at, at + 1),
                "a backslash at the end joins lines only in a $NAME= definition",
            )
            .with_label("the next line is read as a new one")
            .with_help("write the whole statement in one line; lines may be long"),
        );
    }
}

/// True for a line that begins with `$NAME=`, be it under conditions.
fn defines(code: &str) -> bool {
    let mut at = lexer::skip_space(code, 0);
    while lexer::byte_at(code, at) == Some(b'@') {
        at = lexer::skip_space(code, lexer::skip_word(code, at));
    }
    lexer::byte_at(code, at) == Some(b'$') && lexer::definition(code, at).is_some()
}

/// The line that begins at `next`, without its line feed, and where it begins; moves `next` behind it.
fn take_line<'a>(text: &'a str, next: &mut usize) -> Option<(usize, &'a str)> {
    let start = *next;
    let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
    let length = rest.find('\n').unwrap_or(rest.len());
    *next = start + length + 1;
    rest.get(..length).map(|line| (start, line))
}

fn span(file: FileId, start: usize, end: usize) -> Span {
    let number = |position| u32::try_from(position).unwrap_or(u32::MAX);
    Span {
        file,
        start: number(start),
        end: number(end),
    }
}
