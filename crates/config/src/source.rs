//! Where text comes from: the files of one configuration, and the host that holds them.

use std::io;
use std::path::{Path, PathBuf};

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
    files: Vec<(PathBuf, String)>,
}

impl Sources {
    /// Adds a file that was read.
    pub fn add(&mut self, path: PathBuf, text: String) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push((path, text));
        id
    }

    /// Path and text of a file.
    #[must_use]
    pub fn get(&self, id: FileId) -> Option<(&Path, &str)> {
        let index = usize::try_from(id.0).ok()?;
        self.files
            .get(index)
            .map(|(path, text)| (path.as_path(), text.as_str()))
    }
}

/// What the reader of a configuration needs of the host. The daemon's implementation reads disks; tests
/// give texts.
pub trait Host {
    /// Text of a file. Bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, path: &Path) -> io::Result<String>;
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
            .ok_or_else(|| invalid("a '{' of the file pattern is not closed"))?;
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
    fn unclosed_brace_in_a_pattern_is_refused() {
        assert!(brace_alternatives("a{b,c").is_err());
    }

    #[test]
    fn too_many_alternatives_are_refused() {
        assert!(brace_alternatives(&"{a,b}".repeat(40)).is_err());
    }
}
