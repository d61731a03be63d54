//! The log file of `-g`: opened at start, and again at each `SIGHUP`, for it may have been rotated away.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

use crate::cli::Options;

/// Opens the log file, if there is to be one.
///
/// # Errors
/// When it cannot be opened; the text names it.
pub(crate) fn open(options: &Options) -> io::Result<Option<File>> {
    let Some(path) = &options.log_file else {
        return Ok(None);
    };
    // Never through a symbolic link: the usual place is open to all.
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path);
    match file {
        Ok(file) => Ok(Some(file)),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("log file {}: {error}", path.display()),
        )),
    }
}
