//! The directory of the dumps: `/run/keepalived-rs`, for root alone, or what `TMPDIR` names.
//!
//! The directory is opened once and files are named relative to it, so that nobody can put another one in
//! its place meanwhile. A file is written under a new name and renamed: a reader never sees half of one, and
//! a link in its place is replaced, not followed.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

/// Where dumps go unless `TMPDIR` says it.
const RUN_DIRECTORY: &str = "/run/keepalived-rs";

/// An open directory that takes dumps.
#[derive(Debug)]
pub(crate) struct Place {
    directory: OwnedFd,
    path: PathBuf,
}

impl Place {
    /// Opens this directory, else `TMPDIR`, which must exist, or makes and opens the run directory.
    ///
    /// # Errors
    /// When it cannot be opened, or belongs to somebody else.
    pub(crate) fn open(directory: Option<&Path>) -> io::Result<Self> {
        let given = directory.map(Path::to_owned);
        match given.or_else(|| env::var_os("TMPDIR").map(PathBuf::from)) {
            Some(path) => Self::at(&path, OFlag::empty()),
            None => Self::private(Path::new(RUN_DIRECTORY)),
        }
        .map_err(|error| io::Error::new(error.kind(), format!("no place for dumps: {error}")))
    }

    /// A directory that only this account can look into; made when it is missing.
    fn private(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let place = Self::at(path, OFlag::O_NOFOLLOW)?;
        let directory = File::from(place.directory.try_clone()?);
        let metadata = directory.metadata()?;
        if metadata.uid() != geteuid().as_raw() {
            return Err(io::Error::other(format!(
                "{} belongs to user {}: remove it",
                path.display(),
                metadata.uid()
            )));
        }
        directory.set_permissions(fs::Permissions::from_mode(0o700))?;
        Ok(place)
    }

    fn at(path: &Path, flags: OFlag) -> io::Result<Self> {
        let flags = flags | OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let directory = open(path, flags, Mode::empty())
            .map_err(|errno| io::Error::other(format!("{}: {errno}", path.display())))?;
        Ok(Self {
            directory,
            path: path.to_owned(),
        })
    }

    /// Writes a file that only this account can read, and returns its path.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let new = format!(".{name}.{}", std::process::id());
        // What a predecessor with our number left; a link is removed, not its target.
        match unlinkat(&self.directory, new.as_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let mut file = File::from(openat(&self.directory, new.as_str(), flags, mode)?);
        file.write_all(text.as_bytes())?;
        renameat(&self.directory, new.as_str(), &self.directory, name)?;
        Ok(self.path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_in_the_place_of_a_dump_is_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let precious = directory.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        let path = directory.path().join("keepalived.data");
        symlink(&precious, &path).unwrap();
        let place = Place::private(directory.path()).unwrap();
        assert_eq!(place.write("keepalived.data", "new").unwrap(), path);
        assert_eq!(fs::read_to_string(&precious).unwrap(), "kept");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert!(metadata.is_file());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_dump_replaces_the_one_before() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::private(directory.path()).unwrap();
        place.write("x", "long text").unwrap();
        place.write("x", "short").unwrap();
        let text = fs::read_to_string(directory.path().join("x")).unwrap();
        assert_eq!(text, "short");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_run_directory_is_made_for_its_owner_alone_and_is_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        Place::private(&path).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Place::private(&path).unwrap();
        assert_eq!(mode(), 0o700);
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(Place::private(&link).is_err());
    }
}
