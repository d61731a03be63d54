//! Packages of Debian, fetched and unpacked without being installed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use kr_testkit::netns::run;

/// The directory of the unpacked package in `cache`, fetched when there is none yet.
///
/// # Errors
/// When the package lists do not have it, or it cannot be fetched.
pub(super) fn unpacked(cache: &Path, package: &str) -> io::Result<PathBuf> {
    let directory = cache.join(package);
    if directory.is_dir() {
        return Ok(directory);
    }
    eprintln!("fetching {package} (once) into {}", cache.display());
    let fetched = tempfile::tempdir_in(cache)?;
    run(Command::new("apt-get")
        .args(["-q", "-o", "APT::Sandbox::User=root", "download", package])
        .current_dir(fetched.path()))?;
    let archive = fs::read_dir(fetched.path())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| io::Error::other(format!("apt-get download {package} left no file")))?;
    let content = fetched.path().join("content");
    run(Command::new("dpkg").arg("-x").arg(archive).arg(&content))?;
    fs::rename(content, &directory)?;
    Ok(directory)
}
