//! Where the built programs are: beside the test that runs.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

/// The directory that cargo puts executables in, worked out from the running program's own path
/// (`target/PROFILE/deps/test-…` or `target/PROFILE/xtask`).
///
/// # Errors
/// When the running program's path cannot be read.
pub fn directory() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let directory = program.parent().unwrap_or_else(|| Path::new("/"));
    if directory.file_name().is_some_and(|name| name == "deps") {
        Ok(directory.parent().unwrap_or(directory).to_owned())
    } else {
        Ok(directory.to_owned())
    }
}

/// The path of the built program `name` (`keepalived-rs`, `vrrpd`, `checkerd`, `ipvsd`, `genhash`).
///
/// # Errors
/// When it has not been built; the text says how to.
pub fn path(name: &str) -> io::Result<PathBuf> {
    let path = directory()?.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let text = format!(
        "{} is missing: run `cargo build --workspace` first",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::NotFound, text))
}
