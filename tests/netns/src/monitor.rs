//! What the kernel tells of a host, as `ip monitor` shows it.

use std::io;
use std::time::Duration;

use kr_testkit::netns::Host;
use kr_testkit::process::Process;
use kr_testkit::wait::eventually;
use tempfile::TempDir;

/// Time for it to follow, on a busy machine.
const START: Duration = Duration::from_secs(10);

/// A route that comes and goes to see whether it follows.
const SIGN: &str = "10.66.0.0/16";

/// A running `ip monitor`.
#[derive(Debug)]
pub struct Monitor {
    process: Process,
    _directory: TempDir,
}

impl Monitor {
    /// Follows these kinds of objects of a host: `route` and others; returns when it does.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(host: &Host, kinds: &[&str]) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut command = host.command("ip");
        command.arg("monitor").args(kinds);
        let process = Process::spawn(&mut command, &directory.path().join("log"))?;
        let mut tried = Ok(());
        eventually(START, "the monitor", || {
            tried = ["add", "del"]
                .iter()
                .try_for_each(|verb| host.ip(&format!("route {verb} blackhole {SIGN}")));
            tried.is_err() || process.log().contains(SIGN)
        })?;
        tried?;
        Ok(Self {
            process,
            _directory: directory,
        })
    }

    /// What it said, a line for each event.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let log = self.process.log();
        let lines = log.lines().filter(|line| !line.contains(SIGN));
        lines.map(|line| line.trim().to_owned()).collect()
    }
}
