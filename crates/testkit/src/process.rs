//! Child processes of a test: their log in a file, their whole tree ended when the test ends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::eventually;

/// A running program whose output goes to a file. Dropping it kills it and everything it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs appended to `log`.
    ///
    /// # Errors
    /// When the file cannot be opened or the program cannot be started.
    pub fn spawn(command: &mut Command, log: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// What it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        kill(self.pid(), signal).map_err(io::Error::from)
    }

    /// Its exit status, or `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Errors
    /// `TimedOut` when it still runs after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let what = format!("end of process {} after SIGTERM", self.pid());
        eventually(limit, &what, || self.exited().is_some())?;
        self.child.wait()
    }

    /// Kills it and all its descendants at once, so that none can react to another's end.
    pub fn kill_tree(&mut self) {
        if self.exited().is_none() {
            kill_all(&tree(self.pid()));
        }
        self.child.wait().ok();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_tree();
    }
}

/// A process and all its descendants, as of now.
#[must_use]
pub fn tree(root: Pid) -> Vec<Pid> {
    let processes = parents();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            processes
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found
}

/// The direct child of `parent` whose command name is `name`.
#[must_use]
pub fn child_named(parent: Pid, name: &str) -> Option<Pid> {
    parents()
        .into_iter()
        .filter(|(_, of)| *of == parent)
        .map(|(pid, _)| pid)
        .find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|comm| comm.trim_end() == name)
        })
}

/// Stops all of them first and then kills them: no one of them sees another die.
pub fn kill_all(pids: &[Pid]) {
    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
        for pid in pids {
            kill(*pid, signal).ok();
        }
    }
}

/// Whether the process exists and has not ended.
#[must_use]
pub fn is_alive(pid: Pid) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// Every process with its parent.
fn parents() -> Vec<(Pid, Pid)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .filter_map(|pid| stat(pid).map(|(_, parent)| (pid, parent)))
        .collect()
}

/// State letter and parent from `/proc/PID/stat`; the command name before them may hold anything.
fn stat(pid: Pid) -> Option<(String, Pid)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.to_owned();
    let parent = fields.next()?.parse().ok()?;
    Some((state, Pid::from_raw(parent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_process_takes_its_children_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let process = Process::spawn(
            Command::new("sh").args(["-c", "sleep 60 & echo up; wait"]),
            &log,
        )
        .unwrap();
        eventually(Duration::from_secs(5), "output", || process.log() == "up\n").unwrap();
        let pids = tree(process.pid());
        assert_eq!(pids.len(), 2);
        assert_eq!(child_named(process.pid(), "sleep"), pids.last().copied());
        drop(process);
        eventually(Duration::from_secs(5), "end of all", || {
            !pids.iter().any(|pid| is_alive(*pid))
        })
        .unwrap();
    }

    #[test]
    fn terminated_process_reports_its_status() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done";
        let mut process = Process::spawn(Command::new("sh").args(["-c", script]), &log).unwrap();
        eventually(Duration::from_secs(5), "output", || process.log() == "up\n").unwrap();
        let status = process.terminate(Duration::from_secs(5)).unwrap();
        assert_eq!(status.code(), Some(7));
    }
}
