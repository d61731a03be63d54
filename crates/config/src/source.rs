//! Where text comes from: the files of one configuration, and the host that holds them.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{io, iter};

/// Index of a file in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// A piece of a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The files that were read, for showing places in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<SourceFile>,
}

#[derive(Debug, Clone)]
struct SourceFile {
    path: PathBuf,
    /// As it was read: a big file is not copied.
    text: Rc<String>,
    /// Where each line begins, so that places of a big file are found fast; worked out for the first finding.
    line_starts: OnceCell<Vec<u32>>,
}

// Whether a place was looked up makes no difference.
impl PartialEq for SourceFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path && self.text == other.text
    }
}

impl Eq for SourceFile {}

impl SourceFile {
    fn line_starts(&self) -> &[u32] {
        self.line_starts.get_or_init(|| {
            let line_ends = self.text.match_indices('\n');
            let after_line_ends =
                line_ends.filter_map(|(position, _)| u32::try_from(position + 1).ok());
            iter::once(0).chain(after_line_ends).collect()
        })
    }
}

/// A place as an operator reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location<'a> {
    /// The file.
    pub path: &'a Path,
    /// Line number, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line without its end.
    pub text: &'a str,
    /// Where the line begins in the file, in bytes.
    pub line_start: usize,
}

impl Sources {
    /// Adds a file that was read.
    pub fn add(&mut self, path: PathBuf, text: String) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile {
            path,
            text: Rc::new(text),
            line_starts: OnceCell::new(),
        });
        id
    }

    /// Path and text of a file.
    #[must_use]
    pub fn get(&self, id: FileId) -> Option<(&Path, &str)> {
        self.file(id)
            .map(|file| (file.path.as_path(), file.text.as_str()))
    }

    /// The text of a place; `None` when it is of no file here.
    pub(crate) fn slice(&self, span: Span) -> Option<&str> {
        let bytes = usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?;
        self.file(span.file)?.text.get(bytes)
    }

    /// Line and column of the beginning of a span; `None` when it is of no file here.
    #[must_use]
    pub fn locate(&self, span: Span) -> Option<Location<'_>> {
        let file = self.file(span.file)?;
        let line_starts = file.line_starts();
        let line = line_starts.partition_point(|start| *start <= span.start);
        let line_start = usize::try_from(*line_starts.get(line.checked_sub(1)?)?).ok()?;
        let text = file.text.get(line_start..)?;
        let text = text.split('\n').next().unwrap_or_default();
        let before = usize::try_from(span.start).ok()?.saturating_sub(line_start);
        let column = text
            .char_indices()
            .take_while(|(position, _)| *position < before)
            .count()
            + 1;
        Some(Location {
            path: &file.path,
            line,
            column,
            text: text.trim_end_matches('\r'),
            line_start,
        })
    }

    /// The span with its first and last character as a whole.
    pub(crate) fn whole_characters(&self, span: Span) -> Span {
        let Some(file) = self.file(span.file) else {
            return span;
        };
        let inside = |at: u32| {
            usize::try_from(at)
                .is_ok_and(|at| at < file.text.len() && !file.text.is_char_boundary(at))
        };
        let mut whole = span;
        while inside(whole.start) {
            whole.start = whole.start.saturating_sub(1);
        }
        while inside(whole.end) {
            whole.end = whole.end.saturating_add(1);
        }
        whole
    }

    /// The text of a file, to be kept while more files are added.
    pub(crate) fn text(&self, id: FileId) -> Rc<String> {
        self.file(id)
            .map_or_else(Rc::default, |file| Rc::clone(&file.text))
    }

    /// Number of files.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(usize::try_from(id.0).ok()?)
    }
}

/// A file that holds a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Only its owner may read it.
    pub private: bool,
}

/// What the reader of a configuration needs of the host. The daemon's implementation reads disks; tests
/// give texts.
pub trait Host {
    /// Text of a file. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// A file that holds a secret, at most a few kilobytes.
    ///
    /// # Errors
    /// As the file system says, or when it is longer.
    fn read_secret(&self, path: &Path) -> io::Result<SecretFile>;
    /// Regular, not executable files that match a pattern with `*`, `?`, `[...]` and `{a,b}`, sorted.
    ///
    /// # Errors
    /// When the pattern is malformed or a directory cannot be read.
    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;
    /// An environment variable.
    fn environment(&self, name: &str) -> Option<String>;
    /// The host's name.
    fn host_name(&self) -> String;
    /// A random number, `min..=max`.
    fn random(&self, min: u32, max: u32) -> u32;
    /// True when a network interface of that name exists.
    fn interface_exists(&self, name: &str) -> bool;
    /// True when a user account of that name exists.
    fn user_exists(&self, name: &str) -> bool;
    /// True when a group of that name exists.
    fn group_exists(&self, name: &str) -> bool;
}

/// Most alternatives that the braces of one file pattern may make.
const MAX_ALTERNATIVES: usize = 1024;

/// The patterns that `{a,b}` in a file pattern stands for, in order; braces nest.
///
/// # Errors
/// `InvalidInput` when a brace is not closed or there are too many alternatives.
pub fn brace_alternatives(pattern: &str) -> io::Result<Vec<String>> {
    let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidInput, reason.to_owned());
    let mut waiting = vec![pattern.to_owned()];
    let mut finished = Vec::new();
    while let Some(next) = waiting.pop() {
        let Some((prefix, rest)) = next.split_once('{') else {
            finished.push(next);
            continue;
        };
        let (choices, suffix) = split_choices(rest)
            .ok_or_else(|| invalid("a `{` of the file pattern is not closed"))?;
        if waiting.len() + finished.len() + choices.len() > MAX_ALTERNATIVES {
            return Err(invalid(
                "the braces of the file pattern make too many alternatives",
            ));
        }
        // The last is taken first, so push in reverse to keep the order.
        for choice in choices.iter().rev() {
            waiting.push(format!("{prefix}{choice}{suffix}"));
        }
    }
    Ok(finished)
}

/// The choices of a brace whose `{` was taken away, and what follows its `}`.
fn split_choices(text: &str) -> Option<(Vec<&str>, &str)> {
    let mut depth = 0_usize;
    let mut start = 0;
    let mut choices = Vec::new();
    for (position, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            ',' if depth == 0 => {
                choices.push(text.get(start..position)?);
                start = position + 1;
            }
            '}' if depth == 0 => {
                choices.push(text.get(start..position)?);
                return Some((choices, text.get(position + 1..)?));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_become_alternatives_in_order() {
        for (pattern, expected) in [
            ("a.conf", vec!["a.conf"]),
            ("{a,b}.conf", vec!["a.conf", "b.conf"]),
            ("x{,y}", vec!["x", "xy"]),
            (
                "foo/{foo,{cat,dog},bar}",
                vec!["foo/foo", "foo/cat", "foo/dog", "foo/bar"],
            ),
            ("{a,b}{1,2}", vec!["a1", "a2", "b1", "b2"]),
        ] {
            assert_eq!(brace_alternatives(pattern).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let mut sources = Sources::default();
        let file = sources.add(PathBuf::from("/k.conf"), "a\r\né b\n".to_owned());
        let at = |start| {
            let place = sources
                .locate(Span {
                    file,
                    start,
                    end: start,
                })
                .unwrap();
            (place.line, place.column, place.text)
        };
        assert_eq!(at(0), (1, 1, "a"));
        assert_eq!(at(3), (2, 1, "é b"));
        assert_eq!(at(6), (2, 3, "é b"));
        assert_eq!(at(8), (3, 1, ""));
    }

    #[test]
    fn unclosed_brace_in_a_pattern_is_refused() {
        assert!(brace_alternatives("a{b,c").is_err());
    }

    #[test]
    fn too_many_alternatives_are_refused() {
        assert!(brace_alternatives(&"{a,b}".repeat(40)).is_err());
    }
}
