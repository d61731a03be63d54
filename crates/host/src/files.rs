//! Files with a number in them (`track_file`): watched by inotify, read when they change. Used by the parent,
//! and by `checkerd -f` for the `FILE_CHECK`s of its file.
//!
//! Watched is the directory of each file, so that a file may be replaced, removed and made again. What is in
//! a file, or in its place, is somebody else's: it is opened without waiting, must be a regular file, and
//! only its first bytes are read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kr_model::track::InitFile;
use kr_model::{Instant, TrackerId};
use kr_track::{MOST_BYTES, number};
use nix::errno::Errno;
use nix::libc;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::statfs::{
    AFS_SUPER_MAGIC, AUTOFS_SUPER_MAGIC, CODA_SUPER_MAGIC, FUSE_SUPER_MAGIC, FsType,
    NCP_SUPER_MAGIC, NFS_SUPER_MAGIC, PROC_SUPER_MAGIC, SMB_SUPER_MAGIC, SYSFS_MAGIC, statfs,
};

/// Until a directory that cannot be watched is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Until every directory is looked up again: another one may have taken the place of one above it.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Reads of the event queue in one turn; what is left is read in the next.
const BUDGET: usize = 64;

/// File systems whose changes are not told, or that may keep a reader waiting.
const REFUSED: [FsType; 9] = [
    AFS_SUPER_MAGIC,
    AUTOFS_SUPER_MAGIC,
    CODA_SUPER_MAGIC,
    FUSE_SUPER_MAGIC,
    NCP_SUPER_MAGIC,
    NFS_SUPER_MAGIC,
    PROC_SUPER_MAGIC,
    SMB_SUPER_MAGIC,
    SYSFS_MAGIC,
];

/// The other ones, which have no names: CIFS, SMB2, 9p and Ceph.
const REFUSED_NUMBERS: [i64; 4] = [0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x00c3_6400];

/// Files that are followed.
#[derive(Debug, Default)]
pub struct Files {
    /// Made with the first file.
    inotify: Option<Inotify>,
    files: BTreeMap<TrackerId, Followed>,
    directories: BTreeMap<PathBuf, Directory>,
    look_at: Option<Instant>,
}

#[derive(Debug)]
struct Followed {
    path: PathBuf,
    value: i32,
    /// What was said of it last, to be said once.
    said: Option<String>,
}

#[derive(Debug, Default)]
struct Directory {
    watch: Option<WatchDescriptor>,
    /// That it cannot be watched was said.
    said: bool,
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
        let mut known = std::mem::take(&mut self.directories);
        for followed in self.files.values() {
            let directory = directory(&followed.path).to_owned();
            let before = known.remove(&directory).unwrap_or_default();
            self.directories.entry(directory).or_insert(before);
        }
        for watch in known.into_values().filter_map(|gone| gone.watch) {
            self.unwatch(watch);
        }
        if !self.files.is_empty() && self.inotify.is_none() {
            match Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC) {
                Ok(inotify) => self.inotify = Some(inotify),
                Err(errno) => log::error!("tracked files cannot be watched: {errno}"),
            }
        }
        // Of those that go on, whatever changed meanwhile is told by their events.
        self.watch_all(now);
        for id in new {
            self.read(id);
        }
    }

    /// What becomes readable when something happened; `None` without files. It stays the same one.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// The number in a file.
    #[must_use]
    pub fn value(&self, id: TrackerId) -> i32 {
        self.files.get(&id).map_or(0, |followed| followed.value)
    }

    /// Reads the files that something happened to. The second value is true when there is more to do at once.
    pub fn handle_ready(&mut self, now: Instant) -> (Vec<NewValue>, bool) {
        let mut touched: Vec<TrackerId> = Vec::new();
        let (mut lost, mut more) = (false, true);
        for _ in 0..BUDGET {
            let read = self.inotify.as_ref().map(Inotify::read_events);
            let events = match read {
                Some(Ok(events)) => events,
                Some(Err(Errno::EINTR)) => continue,
                None | Some(Err(_)) => {
                    more = false;
                    break;
                }
            };
            for event in events {
                let gone = AddWatchFlags::IN_IGNORED
                    | AddWatchFlags::IN_DELETE_SELF
                    | AddWatchFlags::IN_MOVE_SELF;
                lost |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                if event.mask.intersects(gone) {
                    lost = true;
                    for directory in self.directories.values_mut() {
                        if directory.watch == Some(event.wd) {
                            directory.watch = None;
                        }
                    }
                }
                if let Some(name) = &event.name {
                    let created = event.mask.contains(AddWatchFlags::IN_CREATE);
                    touched.extend(self.named(event.wd, name, created));
                }
            }
        }
        if lost {
            self.look_at = Some(now);
            let mut changes = self.handle_timeout(now);
            changes.extend(self.read_all());
            return (changes, more);
        }
        touched.sort_unstable();
        touched.dedup();
        let changes = touched.into_iter().filter_map(|id| self.read(id));
        (changes.collect(), more)
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks directories up again that could not be watched, and from time to time all of them.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<NewValue> {
        if self.look_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.look(now)
    }

    /// Watches every directory, and reads the files of those that were not watched until now.
    fn look(&mut self, now: Instant) -> Vec<NewValue> {
        let anew = self.watch_all(now);
        let of_those =
            |followed: &Followed| anew.iter().any(|one| one == directory(&followed.path));
        let files = self.files.iter().filter(|(_, one)| of_those(one));
        let files: Vec<TrackerId> = files.map(|(id, _)| *id).collect();
        files.into_iter().filter_map(|id| self.read(id)).collect()
    }

    /// Watches every directory; returns those that were not watched until now, or cannot be.
    fn watch_all(&mut self, now: Instant) -> Vec<PathBuf> {
        let mut anew: Vec<PathBuf> = Vec::new();
        let mut unused = Vec::new();
        for (path, directory) in &mut self.directories {
            let watch = match &self.inotify {
                Some(inotify) => watch(inotify, path),
                None => Err("there is no inotify".to_owned()),
            };
            match watch {
                Ok(found) if directory.watch == Some(found) => {}
                Ok(found) => {
                    unused.extend(directory.watch.replace(found));
                    directory.said = false;
                    anew.push(path.clone());
                }
                Err(why) => {
                    unused.extend(directory.watch.take());
                    if !std::mem::replace(&mut directory.said, true) {
                        log::warn!(
                            "directory {} cannot be watched for tracked files: {why}",
                            path.display()
                        );
                    }
                    anew.push(path.clone());
                }
            }
        }
        for watch in unused {
            self.unwatch(watch);
        }
        let mut all = self.directories.values();
        let missing = all.any(|directory| directory.watch.is_none());
        let pause = if missing { RETRY } else { LOOK_AGAIN };
        self.look_at = (!self.directories.is_empty()).then(|| now.saturating_add(pause));
        anew
    }

    /// The files of a name in a directory. One that was just made is empty, and is written next, unless it is
    /// another name of a file that exists.
    fn named(&self, watch: WatchDescriptor, name: &OsStr, created: bool) -> Vec<TrackerId> {
        let is_in = |path: &Path| {
            let known = self.directories.get(directory(path));
            known.is_some_and(|directory| directory.watch == Some(watch))
        };
        let concerned = self.files.iter().filter(|(_, followed)| {
            let path = &followed.path;
            path.file_name() == Some(name) && is_in(path)
        });
        let complete = concerned.filter(|(_, followed)| {
            !created || fs::metadata(&followed.path).is_ok_and(|found| found.len() > 0)
        });
        complete.map(|(id, _)| *id).collect()
    }

    fn read_all(&mut self) -> Vec<NewValue> {
        let all: Vec<TrackerId> = self.files.keys().copied().collect();
        all.into_iter().filter_map(|id| self.read(id)).collect()
    }

    /// Reads a file; `Some` when its number is another one.
    fn read(&mut self, tracker: TrackerId) -> Option<NewValue> {
        let watchable = |known: &Directory| known.watch.is_some();
        let followed = self.files.get_mut(&tracker)?;
        let path = &followed.path;
        let watched = self.directories.get(directory(path)).is_some_and(watchable);
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

    fn unwatch(&self, watch: WatchDescriptor) {
        let used = |directory: &Directory| directory.watch == Some(watch);
        if let Some(inotify) = &self.inotify
            && !self.directories.values().any(used)
        {
            // It may be gone with its directory.
            let _ = inotify.rm_watch(watch);
        }
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("/"))
}

fn watch(inotify: &Inotify, directory: &Path) -> Result<WatchDescriptor, String> {
    check_file_system(directory)?;
    let mask = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR;
    inotify
        .add_watch(directory, mask)
        .map_err(|errno| errno.desc().to_lowercase())
}

/// Whether files of a directory can be followed.
///
/// # Errors
/// With the reason in words.
pub fn check_file_system(directory: &Path) -> Result<(), String> {
    let kind = statfs(directory)
        .map_err(|errno| errno.desc().to_lowercase())?
        .filesystem_type();
    if REFUSED.contains(&kind) || REFUSED_NUMBERS.contains(&kind.0) {
        Err("a network, user or pseudo file system does not tell of changes".to_owned())
    } else {
        Ok(())
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
