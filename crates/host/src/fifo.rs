//! The FIFOs of `notify_fifo` and its like: made, given to their owner, written without ever waiting,
//! removed. The parent opens them, also after it has given up most of root's capabilities.
//!
//! Nobody can make this process write elsewhere: a link in the place of a FIFO is refused, what was
//! looked at is what is opened, and what is removed at the end is what was made.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use kr_sys::handover::{Handed, Kept};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mknodat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, setfsgid, setfsuid, unlinkat};
use serde::{Deserialize, Serialize};

/// Mode of a FIFO that is made, before the umask: others may read it.
const MODE: Mode = Mode::S_IRUSR
    .union(Mode::S_IWUSR)
    .union(Mode::S_IRGRP)
    .union(Mode::S_IROTH);

/// Why a FIFO cannot be used; the text says what to do.
#[derive(Debug)]
pub enum FifoError {
    /// A symbolic link is in its place.
    Link,
    /// Something else is in its place.
    NotAFifo,
    /// It has a second name, so somebody put another FIFO here.
    SecondName,
    /// It belongs to neither this process nor the owner that it should have.
    Foreign {
        /// Whose it is.
        owner: Uid,
    },
    /// The kernel refuses.
    Os {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        errno: Errno,
    },
}

impl fmt::Display for FifoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => {
                f.write_str("it is a symbolic link, which is not followed: name its target instead")
            }
            Self::NotAFifo => f.write_str("there is another file in its place: remove it"),
            Self::SecondName => {
                f.write_str("it has a second name (hard link), so it was not made here: remove it")
            }
            Self::Foreign { owner } => {
                write!(
                    f,
                    "it belongs to user {owner}: remove it, or name that user behind the path"
                )
            }
            Self::Os { step, errno } => write!(f, "{step}: {errno}"),
        }
    }
}

impl std::error::Error for FifoError {}

fn at(step: &'static str) -> impl Fn(Errno) -> FifoError {
    move |errno| FifoError::Os { step, errno }
}

/// An open FIFO. Removed when it is dropped, if this process made it.
#[derive(Debug)]
pub struct Fifo {
    file: File,
    directory: OwnedFd,
    name: OsString,
    made: bool,
}

/// An open FIFO, as the next program of this process takes it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedFifo {
    file: Handed,
    directory: Handed,
    name: Vec<u8>,
    made: bool,
}

impl Fifo {
    /// Opens the FIFO of that path, and makes it when it is not there. `owner` is the account that it
    /// belongs to; `None` is this process's own.
    ///
    /// # Errors
    /// When something else is in its place, or the kernel refuses.
    pub fn open(path: &Path, owner: Option<(Uid, Gid)>) -> Result<Self, FifoError> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(FifoError::NotAFifo);
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory =
            open(directory, flags, Mode::empty()).map_err(at("its directory cannot be opened"))?;
        let made = make(&directory, Path::new(name), owner)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let found =
            openat(&directory, name, flags, Mode::empty()).map_err(at("it cannot be opened"))?;
        let status = fstat(&found).map_err(at("it cannot be looked at"))?;
        let fifo = Self {
            file: open_found(&found, &status, owner)?,
            directory,
            name: name.to_owned(),
            made,
        };
        if let Some((uid, gid)) = owner
            && (status.st_uid, status.st_gid) != (uid.as_raw(), gid.as_raw())
            && status.st_uid == geteuid().as_raw()
        {
            let given = fchown(&fifo.file, Some(uid), Some(gid));
            given.map_err(at("it cannot be given to its owner (CAP_CHOWN is needed)"))?;
        }
        Ok(fifo)
    }

    /// Keeps it open for the next program of this process, so that its reader sees no end.
    pub fn hand_over(&self, kept: &mut Kept) -> HandedFifo {
        HandedFifo {
            file: kept.keep(self.file.as_fd()),
            directory: kept.keep(self.directory.as_fd()),
            name: self.name.as_bytes().to_owned(),
            made: self.made,
        }
    }

    /// Takes that of the program before.
    ///
    /// # Errors
    /// When a descriptor is missing.
    pub fn take_over(handed: HandedFifo) -> io::Result<Self> {
        Ok(Self {
            file: handed.file.take()?.into(),
            directory: handed.directory.take()?,
            name: OsString::from_vec(handed.name),
            made: handed.made,
        })
    }

    /// Writes a line, which must not be longer than 4096 bytes (`PIPE_BUF`), as a whole. False: the FIFO is
    /// full.
    ///
    /// # Errors
    /// When the kernel refuses for another reason.
    pub fn write(&self, line: &[u8]) -> io::Result<bool> {
        loop {
            match (&self.file).write(line) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// True while the file of that name is still this FIFO.
    fn is_in_place(&self) -> bool {
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        let there = fstatat(&self.directory, self.name.as_os_str(), flags);
        match (there, fstat(&self.file)) {
            (Ok(there), Ok(own)) => (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino),
            (Ok(_) | Err(_), _) => false,
        }
    }
}

impl AsFd for Fifo {
    /// Writable while it takes another line.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        if self.made && self.is_in_place() {
            // One that stays is found and used by the next start.
            let _ = unlinkat(
                &self.directory,
                self.name.as_os_str(),
                UnlinkatFlags::NoRemoveDir,
            );
        }
    }
}

/// Makes the FIFO; false when there is something already. In a directory of the owner, where root without
/// all of its capabilities may not write, it is made as the owner.
fn make(directory: &OwnedFd, name: &Path, owner: Option<(Uid, Gid)>) -> Result<bool, FifoError> {
    let make = || mknodat(directory, name, SFlag::S_IFIFO, MODE, 0);
    let made = match (make(), owner) {
        (Err(Errno::EACCES), Some(owner)) => as_owner(owner, make),
        (made, _) => made,
    };
    match made {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(at("it cannot be made")(errno)),
    }
}

/// Opens what was found by its descriptor, so that it is the same file. For reading too: then the lines
/// before the first reader wait in the FIFO, and its end is no error.
fn open_found(
    found: &OwnedFd,
    status: &FileStat,
    owner: Option<(Uid, Gid)>,
) -> Result<File, FifoError> {
    match SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFIFO => {}
        SFlag::S_IFLNK => return Err(FifoError::Link),
        _ => return Err(FifoError::NotAFifo),
    }
    if status.st_nlink != 1 {
        return Err(FifoError::SecondName);
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    };
    let uid = Uid::from_raw(status.st_uid);
    if uid == geteuid() {
        open()
    } else if let Some(owner) = owner.filter(|(owner, _)| *owner == uid) {
        as_owner(owner, open)
    } else {
        return Err(FifoError::Foreign { owner: uid });
    }
    .map_err(at("it cannot be opened"))
}

/// Does something with files as another account does it. The process has one thread, and nothing else
/// happens meanwhile.
fn as_owner<T>((uid, gid): (Uid, Gid), act: impl FnOnce() -> T) -> T {
    let group = setfsgid(gid);
    let user = setfsuid(uid);
    let done = act();
    setfsuid(user);
    setfsgid(group);
    done
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn reader(path: &Path) -> File {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .unwrap()
    }

    #[test]
    fn lines_wait_for_a_reader_and_the_fifo_goes_with_its_maker() {
        let directory = directory();
        let path = directory.path().join("fifo");
        let fifo = Fifo::open(&path, None).unwrap();
        assert!(fifo.write(b"one\n").unwrap());
        assert!(fifo.write(b"two\n").unwrap());
        let mut text = [0; 8];
        reader(&path).read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one\ntwo\n");
        drop(fifo);
        assert!(!path.exists());
    }

    #[test]
    fn a_full_fifo_takes_a_line_as_a_whole_or_not_at_all() {
        let directory = directory();
        let path = directory.path().join("fifo");
        let fifo = Fifo::open(&path, None).unwrap();
        let line = [b'x'; 1000];
        let mut written = 0;
        while fifo.write(&line).unwrap() {
            written += line.len();
        }
        let mut text = Vec::new();
        let error = reader(&path).read_to_end(&mut text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert_eq!(text.len(), written);
        assert!(fifo.write(&line).unwrap());
    }

    #[test]
    fn a_fifo_that_was_there_is_used_and_stays() {
        let directory = directory();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let fifo = Fifo::open(&path, None).unwrap();
        assert!(fifo.write(b"x\n").unwrap());
        drop(fifo);
        assert!(path.exists());
    }

    #[test]
    fn another_file_of_its_name_is_not_removed_at_the_end() {
        let directory = directory();
        let path = directory.path().join("fifo");
        let fifo = Fifo::open(&path, None).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "kept").unwrap();
        drop(fifo);
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
    }

    #[test]
    fn links_and_other_files_are_refused_and_left_alone() {
        let directory = directory();
        let target = directory.path().join("target");
        nix::unistd::mkfifo(&target, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let link = directory.path().join("link");
        symlink(&target, &link).unwrap();
        assert!(matches!(Fifo::open(&link, None), Err(FifoError::Link)));
        let dangling = directory.path().join("dangling");
        symlink(directory.path().join("nothing"), &dangling).unwrap();
        assert!(matches!(Fifo::open(&dangling, None), Err(FifoError::Link)));
        let hard = directory.path().join("hard");
        fs::hard_link(&target, &hard).unwrap();
        assert!(matches!(
            Fifo::open(&hard, None),
            Err(FifoError::SecondName)
        ));
        let file = directory.path().join("file");
        fs::write(&file, "kept").unwrap();
        assert!(matches!(Fifo::open(&file, None), Err(FifoError::NotAFifo)));
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    /// Needs root, which may give files away.
    #[test]
    fn a_fifo_belongs_to_its_owner_and_is_no_strangers() {
        if !geteuid().is_root() {
            return;
        }
        let directory = directory();
        let path = directory.path().join("fifo");
        let owner = (Uid::from_raw(65_534), Gid::from_raw(65_534));
        drop(Fifo::open(&path, Some(owner)).unwrap());
        assert!(!path.exists());
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let fifo = Fifo::open(&path, Some(owner)).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (65_534, 65_534));
        drop(fifo);
        // A second start finds it as it was left.
        assert!(Fifo::open(&path, Some(owner)).is_ok());
        let stranger = (Uid::from_raw(12_345), Gid::from_raw(12_345));
        assert!(matches!(
            Fifo::open(&path, Some(stranger)),
            Err(FifoError::Foreign { owner }) if owner.as_raw() == 65_534
        ));
        assert_eq!(geteuid(), setfsuid(geteuid()));
    }
}
