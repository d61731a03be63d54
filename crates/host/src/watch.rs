//! Watching files by inotify: which of them to read again, and when. Used for tracked files, and by the parent for
//! `reload_time_file`.
//!
//! Watched is the directory of each file, so that a file may be replaced, removed and made again, and the
//! directory of each symbolic link on the way to it: whole directories are replaced by renaming a link, as
//! Kubernetes does with what it mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use kr_model::Instant;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
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

/// Symbolic links on the way to one file; the kernel follows no more either.
const MOST_LINKS: usize = 40;

/// How often the way to a file may change while it is looked up, before the next turn does it.
const TRIES: usize = 4;

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

/// A name in a directory that decides what a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    directory: PathBuf,
    name: OsString,
}

/// The way to one file: the links that it goes over, then the file itself, or what is missing first.
#[derive(Debug, Default)]
struct Way {
    path: PathBuf,
    spots: Vec<Spot>,
}

#[derive(Debug, Default)]
struct Directory {
    watch: Option<WatchDescriptor>,
    /// That it cannot be watched was said.
    said: bool,
}

/// Files that are watched, by keys of the caller.
#[derive(Debug)]
pub struct Watch<K> {
    /// Made with the first file.
    inotify: Option<Inotify>,
    ways: BTreeMap<K, Way>,
    directories: BTreeMap<PathBuf, Directory>,
    look_at: Option<Instant>,
}

impl<K> Default for Watch<K> {
    fn default() -> Self {
        Self {
            inotify: None,
            ways: BTreeMap::new(),
            directories: BTreeMap::new(),
            look_at: None,
        }
    }
}

impl<K: Ord + Copy> Watch<K> {
    /// Watches these files and no others. Whatever happened meanwhile to those that were watched already is
    /// told by their events.
    pub fn replace(&mut self, wanted: &BTreeMap<K, PathBuf>, now: Instant) {
        let mut old = std::mem::take(&mut self.ways);
        for (key, path) in wanted {
            let kept = old.remove(key).filter(|known| known.path == *path);
            let way = kept.unwrap_or_else(|| Way {
                path: path.clone(),
                spots: Vec::new(),
            });
            self.ways.insert(*key, way);
        }
        if !self.ways.is_empty() && self.inotify.is_none() {
            match Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC) {
                Ok(inotify) => self.inotify = Some(inotify),
                Err(errno) => log::error!("files cannot be watched: {errno}"),
            }
        }
        self.look(now);
    }

    /// What becomes readable when something happened; `None` without files. It stays the same one.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Whether changes of a file are told. One that is not watched is not to be opened: it may be on a file
    /// system that keeps a reader waiting.
    #[must_use]
    pub fn is_watched(&self, key: K) -> bool {
        let last = self.ways.get(&key).and_then(|way| way.spots.last());
        let known = last.and_then(|spot| self.directories.get(&spot.directory));
        known.is_some_and(|directory| directory.watch.is_some())
    }

    /// The files to read again. The second value is true when there is more to do at once.
    pub fn handle_ready(&mut self, now: Instant) -> (Vec<K>, bool) {
        let mut touched = BTreeSet::new();
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
                lost |= self.is_lost(&event);
                if let Some(name) = &event.name {
                    let created = event.mask.contains(AddWatchFlags::IN_CREATE);
                    touched.extend(self.named(event.wd, name, created));
                }
            }
        }
        if lost {
            self.look(now);
            return (self.ways.keys().copied().collect(), more);
        }
        if !touched.is_empty() {
            self.follow(&touched);
            self.watch_all(now);
        }
        (touched.into_iter().collect(), more)
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks directories up again that could not be watched, and from time to time all of them. Returns the
    /// files to read again.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<K> {
        if self.look_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.look(now)
    }

    /// Whether an event says that others were lost, or that a directory is not watched any more.
    fn is_lost(&mut self, event: &InotifyEvent) -> bool {
        let gone =
            AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
        let mut lost = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
        if event.mask.intersects(gone) {
            for directory in self.directories.values_mut() {
                if directory.watch == Some(event.wd) {
                    directory.watch = None;
                    lost = true;
                }
            }
        }
        lost
    }

    /// Looks up every way and every directory; returns the files in those that were not watched until now, or
    /// cannot be, and the ones to which another way leads.
    fn look(&mut self, now: Instant) -> Vec<K> {
        let all: BTreeSet<K> = self.ways.keys().copied().collect();
        let moved = self.follow(&all);
        let anew = self.watch_all(now);
        let concerned = self.ways.iter().filter(|(key, way)| {
            moved.contains(*key) || way.spots.iter().any(|spot| anew.contains(&spot.directory))
        });
        concerned.map(|(key, _)| *key).collect()
    }

    /// Looks up the ways to some files, and watches the directories on them; returns those that changed. A way
    /// may change before its directories are watched, so it is looked up once more then.
    fn follow(&mut self, keys: &BTreeSet<K>) -> BTreeSet<K> {
        let mut moved = BTreeSet::new();
        for _ in 0..TRIES {
            let mut changed = false;
            for key in keys {
                let Some(way) = self.ways.get_mut(key) else {
                    continue;
                };
                let spots = spots(&way.path);
                if way.spots != spots {
                    way.spots = spots;
                    moved.insert(*key);
                    changed = true;
                }
            }
            let fresh = self.list_directories();
            if !changed && !fresh {
                break;
            }
            for (path, directory) in &mut self.directories {
                if let (None, Some(inotify)) = (directory.watch, &self.inotify) {
                    directory.watch = watch(inotify, path).ok();
                }
            }
        }
        moved
    }

    /// Makes the list of directories that of the ways. True when there are new ones.
    fn list_directories(&mut self) -> bool {
        let mut known = std::mem::take(&mut self.directories);
        let mut fresh = false;
        for spot in self.ways.values().flat_map(|way| &way.spots) {
            if !self.directories.contains_key(&spot.directory) {
                let before = known.remove(&spot.directory);
                fresh |= before.is_none();
                let before = before.unwrap_or_default();
                self.directories.insert(spot.directory.clone(), before);
            }
        }
        for watch in known.into_values().filter_map(|gone| gone.watch) {
            self.unwatch(watch);
        }
        fresh
    }

    /// Watches every directory; returns those that were not watched until now, or cannot be.
    fn watch_all(&mut self, now: Instant) -> BTreeSet<PathBuf> {
        let mut anew = BTreeSet::new();
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
                    anew.insert(path.clone());
                }
                Err(why) => {
                    unused.extend(directory.watch.take());
                    if !std::mem::replace(&mut directory.said, true) {
                        log::warn!("directory {} cannot be watched: {why}", path.display());
                    }
                    anew.insert(path.clone());
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

    /// The files whose way goes over a name in a directory. One that was just made is empty, and is written
    /// next, unless it is another name of a file that exists.
    fn named(&self, watch: WatchDescriptor, name: &OsStr, created: bool) -> Vec<K> {
        let is_here = |spot: &Spot| {
            let known = self.directories.get(&spot.directory);
            spot.name == name && known.is_some_and(|directory| directory.watch == Some(watch))
        };
        let concerned = self
            .ways
            .iter()
            .filter(|(_, way)| way.spots.iter().any(is_here));
        let complete = concerned.filter(|(_, way)| {
            !created
                || fs::metadata(&way.path).map_or(true, |found| !found.is_file() || found.len() > 0)
        });
        complete.map(|(key, _)| *key).collect()
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

/// The names that decide what a path leads to: each symbolic link on the way, and last the file, or the first
/// name that is not there.
fn spots(path: &Path) -> Vec<Spot> {
    let mut found = Vec::new();
    let mut at = PathBuf::from("/");
    let mut rest = names(path);
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let spot = Spot {
            directory: at.clone(),
            name,
        };
        match fs::read_link(&next) {
            Ok(target) if found.len() < MOST_LINKS => {
                found.push(spot);
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(names(&target));
            }
            Ok(_) => break,
            // It exists, and is no link.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput && !rest.is_empty() => {
                at = next;
            }
            Err(_) => {
                found.push(spot);
                break;
            }
        }
    }
    found
}

/// The names in a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
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

/// Whether files of a directory can be watched.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_way_to_a_file_names_every_link_and_then_the_file() {
        let home = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(home.path()).unwrap();
        let spots_of = |path: &str| -> Vec<String> {
            let shown = |spot: Spot| {
                let directory = spot.directory.strip_prefix(&home).unwrap();
                directory.join(spot.name).to_string_lossy().into_owned()
            };
            spots(&home.join(path)).into_iter().map(shown).collect()
        };
        assert_eq!(spots_of("n"), ["n"]);
        assert_eq!(spots_of("sub/n"), ["sub"], "not there yet");
        fs::create_dir_all(home.join("one/deep")).unwrap();
        symlink("one", home.join("..data")).unwrap();
        symlink("..data/deep/../n", home.join("n")).unwrap();
        assert_eq!(spots_of("n"), ["n", "..data", "one/n"]);
        assert_eq!(spots_of("./one//deep/../../n"), ["n", "..data", "one/n"]);
        symlink("loop", home.join("loop")).unwrap();
        assert_eq!(spots_of("loop").len(), MOST_LINKS);
        fs::write(home.join("file"), "").unwrap();
        assert_eq!(spots_of("file/n"), ["file/n"]);
    }

    #[test]
    fn what_is_not_watched_any_more_wakes_nobody() {
        let home = tempfile::tempdir().unwrap();
        let mut watch = Watch::default();
        assert_eq!(watch.poll_timeout(), None);
        watch.replace(&[(1, home.path().join("n"))].into(), at(0));
        assert!(watch.is_watched(1) && !watch.is_watched(2));
        fs::write(home.path().join("n"), "x").unwrap();
        assert_eq!(watch.handle_ready(at(1)), (vec![1], false));
        watch.replace(&BTreeMap::new(), at(2));
        fs::write(home.path().join("n"), "y").unwrap();
        assert_eq!(watch.handle_ready(at(3)), (vec![], false));
        assert_eq!(watch.poll_timeout(), None);
    }

    #[test]
    fn pseudo_file_systems_are_refused() {
        assert!(check_file_system(Path::new("/proc/self")).is_err());
        assert!(check_file_system(Path::new("/nowhere")).is_err());
        assert!(check_file_system(tempfile::tempdir().unwrap().path()).is_ok());
    }
}
