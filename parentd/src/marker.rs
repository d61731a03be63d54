//! `reload_file`: a file that is there while the configuration is read, so that programs which rewrite the
//! configuration can wait.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::namespace;

/// The file. Removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Marker(PathBuf);

impl Marker {
    /// Makes the file, or empties the one that is there. Never through a symbolic link.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn set(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            namespace::make(directory)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)?;
        // Whatever the umask is. It may be somebody else's, who gave it the mode that he wants.
        let _ = file.set_permissions(Permissions::from_mode(0o644));
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warn!(
                "{} cannot be removed, so that whoever waits for the end of reading waits on: {error}",
                self.0.display()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_empty_while_it_is_there_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/k.reload");
        let marker = Marker::set(&path).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o644);
        drop(marker);
        assert!(!path.exists());
        fs::write(&path, "waiting").unwrap();
        let marker = Marker::set(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        drop(marker);
        assert!(!path.exists());
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "text").unwrap();
        let path = directory.path().join("k.reload");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(Marker::set(&path).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "text");
    }
}
