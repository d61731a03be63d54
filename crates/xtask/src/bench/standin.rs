//! A stand-in for IPVS, with which the distribution's keepalived runs its checkers on a kernel without.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use kr_testkit::keepalived::Peer;
use kr_testkit::netns::run;
use tempfile::TempDir;

/// The library that takes everything that keepalived says to the kernel's IPVS.
const SOURCE: &str = include_str!("standin.c");

/// The built library, in a directory of its own.
pub(super) struct StandIn {
    directory: TempDir,
}

impl StandIn {
    /// Builds the library.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub(super) fn new() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = |name: &str| directory.path().join(name);
        fs::write(path("standin.c"), SOURCE)?;
        run(Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .arg(path("standin.so"))
            .arg(path("standin.c")))?;
        Ok(Self { directory })
    }

    /// Lets a program use it; ours needs none, its IPVS process is there and finds no IPVS.
    pub(super) fn give(&self, peer: Peer, command: &mut Command) {
        if peer == Peer::Stock {
            command.env("LD_PRELOAD", self.object());
        }
    }

    fn object(&self) -> PathBuf {
        self.directory.path().join("standin.so")
    }
}
