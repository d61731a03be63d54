//! Files with a number in them (`track_file`): watched by inotify, read when they change. Used by the parent,
//! and by `checkerd -f` for the `FILE_CHECK`s of its file.
//!
//! What is in a file, or in its place, is somebody else's: it is opened without waiting, must be a regular
//! file, and only its first bytes are read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use kr_model::track::InitFile;
use kr_model::{Instant, TrackerId};
use kr_track::{MOST_BYTES, number};
use nix::libc;

use crate::watch::Watch;

/// Files that are followed.
#[derive(Debug, Default)]
pub struct Files {
    watch: Watch<TrackerId>,
    files: BTreeMap<TrackerId, Followed>,
}

#[derive(Debug)]
struct Followed {
    path: PathBuf,
    value: i32,
    /// What was said of it last, to be said once.
    said: Option<String>,
}

/// A file with another number than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewValue {
    /// The file.
    pub tracker: TrackerId,
    /// Its number; 0 without a file or without a number in it.
    pub value: i32,
}

impl Files {
    /// Follows these files and no others. New ones are read at once; ask [`Self::value`].
    pub fn replace(&mut self, wanted: BTreeMap<TrackerId, PathBuf>, now: Instant) {
        self.watch.replace(&wanted, now);
        let mut old = std::mem::take(&mut self.files);
        let mut new = Vec::new();
        for (id, path) in wanted {
            let kept = old.remove(&id).filter(|known| known.path == path);
            let followed = kept.unwrap_or_else(|| {
                new.push(id);
                Followed {
                    path,
                    value: 0,
                    said: None,
                }
            });
            self.files.insert(id, followed);
        }
        // Of those that go on, whatever changed meanwhile is told by their events.
        for id in new {
            self.read(id);
        }
    }

    /// What becomes readable when something happened; `None` without files. It stays the same one.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.watch.descriptor()
    }

    /// The number in a file.
    #[must_use]
    pub fn value(&self, id: TrackerId) -> i32 {
        self.files.get(&id).map_or(0, |followed| followed.value)
    }

    /// Reads the files that something happened to. The second value is true when there is more to do at once.
    pub fn handle_ready(&mut self, now: Instant) -> (Vec<NewValue>, bool) {
        let (touched, more) = self.watch.handle_ready(now);
        (self.read_all(touched), more)
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.watch.poll_timeout()
    }

    /// Looks directories up again that could not be watched, and from time to time all of them.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<NewValue> {
        let touched = self.watch.handle_timeout(now);
        self.read_all(touched)
    }

    fn read_all(&mut self, files: Vec<TrackerId>) -> Vec<NewValue> {
        files.into_iter().filter_map(|id| self.read(id)).collect()
    }

    /// Reads a file; `Some` when its number is another one.
    fn read(&mut self, tracker: TrackerId) -> Option<NewValue> {
        let watched = self.watch.is_watched(tracker);
        let followed = self.files.get_mut(&tracker)?;
        let path = &followed.path;
        let (value, said) = match content(path, watched) {
            Ok(value) => (value, None),
            Err(why) => (0, Some(why)),
        };
        if let Some(why) = said.as_ref().filter(|_| said != followed.said) {
            log::warn!("tracked file {} counts as 0: {why}", path.display());
        }
        followed.said = said;
        if std::mem::replace(&mut followed.value, value) == value {
            return None;
        }
        Some(NewValue { tracker, value })
    }
}

/// The number in a file. Without a directory that can be watched the file is not opened: it may be on a file
/// system that keeps a reader waiting.
fn content(path: &Path, watched: bool) -> Result<i32, String> {
    if !watched {
        return Ok(0);
    }
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(format!("it cannot be opened: {error}")),
    };
    first_bytes(file)
        .map_err(|error| format!("it cannot be read: {error}"))?
        .map_or(Ok(0), |bytes| {
            number(&bytes).ok_or_else(|| "it does not begin with a number".to_owned())
        })
}

/// `None` for an empty file.
fn first_bytes(file: File) -> io::Result<Option<Vec<u8>>> {
    if !file.metadata()?.is_file() {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "it is no regular file"));
    }
    let mut bytes = Vec::with_capacity(MOST_BYTES);
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes)?;
    Ok((!bytes.is_empty()).then_some(bytes))
}

/// Writes the first number of a file (`init_file`): into a new file, or, with `overwrite`, in place of the one
/// that is there. A symbolic link in its place is replaced, not followed.
///
/// # Errors
/// As the file system says.
pub fn init(path: &Path, init: InitFile) -> io::Result<()> {
    if !init.overwrite && fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&beside)?;
    let written = writeln!(file, "{}", init.value).and_then(|()| {
        if init.overwrite {
            fs::rename(&beside, path)
        } else {
            // Unlike a rename it does not replace what came meanwhile.
            fs::hard_link(&beside, path)
        }
    });
    if written.is_err() || !init.overwrite {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests;
