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
