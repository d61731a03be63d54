//! What can happen to a running process from outside: limits that are lowered, processor time that is taken away.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::Pid;

use crate::netns::run;

/// Groups made by this process so far.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Where the `cpu` controller is, by version of control groups, and a hundredth of a processor there.
const FIRST_VERSION: &str = "/sys/fs/cgroup/cpu";
const FIRST_SETTINGS: &[(&str, &str)] = &[
    ("cpu.cfs_period_us", "1000000"),
    ("cpu.cfs_quota_us", "10000"),
];
const SECOND_VERSION: &str = "/sys/fs/cgroup";
const SECOND_SETTINGS: &[(&str, &str)] = &[("cpu.max", "10000 1000000")];

/// A limit of `prlimit(1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Address space in bytes.
    Memory,
    /// Number of the first descriptor that is free.
    Descriptors,
}

impl Limit {
    const fn option(self) -> &'static str {
        match self {
            Self::Memory => "--as",
            Self::Descriptors => "--nofile",
        }
    }

    /// What the process uses of it now.
    fn used(self, pid: Pid) -> io::Result<u64> {
        match self {
            Self::Memory => address_space(pid),
            Self::Descriptors => free_descriptor(pid),
        }
    }
}

/// The limits of a process before one was lowered. Dropping it puts them back, if the process lives.
#[derive(Debug)]
pub struct Lowered {
    pid: Pid,
    limit: Limit,
    before: String,
}

impl Lowered {
    /// Lowers a limit to what the process uses now: it gets no more.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn to_use(pid: Pid, limit: Limit) -> io::Result<Self> {
        let used = limit.used(pid)?;
        let columns = "--output=SOFT,HARD";
        let before = prlimit(pid, &["--raw", "--noheadings", columns, limit.option()])?;
        let lowered = Self {
            pid,
            limit,
            before: before.trim().replace(' ', ":"),
        };
        // The hard limit stays, so that the old one can be put back.
        lowered.set(&format!("{used}:"))?;
        Ok(lowered)
    }

    fn set(&self, values: &str) -> io::Result<()> {
        let option = format!("{}={values}", self.limit.option());
        prlimit(self.pid, &[&option]).map(drop)
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        self.set(&self.before).ok();
    }
}

/// Runs `prlimit(1)` for a process, as its own account: root needs `CAP_SYS_RESOURCE`, which containers lack.
fn prlimit(pid: Pid, arguments: &[&str]) -> io::Result<String> {
    run(Command::new("setpriv")
        .args([
            format!("--reuid={}", status(pid, "Uid:")?),
            format!("--regid={}", status(pid, "Gid:")?),
        ])
        .args(["--clear-groups", "prlimit", "--pid", &pid.to_string()])
        .args(arguments))
}

fn address_space(pid: Pid) -> io::Result<u64> {
    status(pid, "VmSize:").map(|kibibytes| kibibytes * 1024)
}

/// The first number of a line of `/proc/PID/status`.
fn status(pid: Pid, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("process {pid} has no {name}")))
}

fn free_descriptor(pid: Pid) -> io::Result<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let used: BTreeSet<u64> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    Ok((0..).find(|number| !used.contains(number)).unwrap_or(0))
}

/// A control group that gives a process one hundredth of a processor: ten milliseconds in each second. Dropping it
/// lets the process go.
#[derive(Debug)]
pub struct Starved {
    root: PathBuf,
    group: PathBuf,
}

impl Starved {
    /// Puts a process into such a group.
    ///
    /// # Errors
    /// When the control groups of this machine have no `cpu` controller for us, or the process is gone.
    pub fn new(pid: Pid) -> io::Result<Self> {
        let (root, settings) = if Path::new(FIRST_VERSION).is_dir() {
            (PathBuf::from(FIRST_VERSION), FIRST_SETTINGS)
        } else {
            let root = PathBuf::from(SECOND_VERSION);
            fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
            (root, SECOND_SETTINGS)
        };
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let group = root.join(format!("kr-{}-{number}", std::process::id()));
        fs::create_dir(&group)?;
        let starved = Self { root, group };
        for (name, value) in settings {
            starved.write(name, value)?;
        }
        starved.write("cgroup.procs", &pid.to_string())?;
        Ok(starved)
    }

    fn write(&self, name: &str, value: &str) -> io::Result<()> {
        let path = self.group.join(name);
        fs::write(&path, value)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    fn processes(group: &Path) -> Vec<String> {
        let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        for pid in Self::processes(&self.group) {
            fs::write(self.root.join("cgroup.procs"), pid).ok();
        }
        fs::remove_dir(&self.group).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    #[test]
    fn a_lowered_limit_is_put_back() {
        let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_raw(sleeper.id().try_into().unwrap());
        let limits = || fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let before = limits();
        let lowered = Lowered::to_use(pid, Limit::Descriptors).unwrap();
        assert_ne!(limits(), before);
        drop(lowered);
        assert_eq!(limits(), before);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }

    #[test]
    fn a_process_without_memory_gets_none() {
        let mut shell = Command::new("sh")
            .args(["-c", "read line; exec head -c 100m /dev/zero | tail"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(shell.id().try_into().unwrap());
        let _lowered = Lowered::to_use(pid, Limit::Memory).unwrap();
        drop(shell.stdin.take());
        assert!(!shell.wait().unwrap().success());
    }
}
