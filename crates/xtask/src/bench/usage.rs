//! What a tree of processes has used, as the kernel counts it.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use kr_testkit::keepalived::Keepalived;
use kr_testkit::process::tree;
use nix::unistd::Pid;

/// Counters of all processes together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Time on a processor.
    pub(super) cpu: Duration,
    /// Voluntary and involuntary.
    pub(super) context_switches: u64,
}

impl Usage {
    /// As of now.
    pub(super) fn of(running: &Keepalived) -> Self {
        let mut usage = Self::default();
        for pid in tree(running.pid()) {
            usage.cpu += cpu(pid).unwrap_or_default();
            usage.context_switches += status(pid, "voluntary_ctxt_switches:").unwrap_or(0)
                + status(pid, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
        usage
    }

    /// What was used since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            context_switches: self
                .context_switches
                .saturating_sub(before.context_switches),
        }
    }
}

/// Anonymous memory of all processes, in MiB.
pub(super) fn anonymous_mib(running: &Keepalived) -> f64 {
    let kib = tree(running.pid())
        .into_iter()
        .filter_map(|pid| status(pid, "RssAnon:"))
        .sum::<u64>();
    Duration::from_micros(kib).as_secs_f64() * 1_000_000.0 / 1024.0
}

/// System calls that all processes make in this time, counted by strace(1).
///
/// # Errors
/// When strace is missing or tells nothing.
pub(super) fn system_calls(running: &Keepalived, during: Duration) -> io::Result<u32> {
    called(&trace(running, during)?, "total")
}

/// The same for each socket that was made meanwhile: a check makes one.
///
/// # Errors
/// When strace is missing or tells of no socket.
pub(super) fn system_calls_per_socket(running: &Keepalived, during: Duration) -> io::Result<f64> {
    let text = trace(running, during)?;
    let (all, sockets) = (called(&text, "total")?, called(&text, "socket")?);
    Ok(f64::from(all) / f64::from(sockets.max(1)))
}

/// What strace(1) says that all processes call in this time.
fn trace(running: &Keepalived, during: Duration) -> io::Result<String> {
    let mut command = Command::new("timeout");
    command.args([
        "-s",
        "INT",
        &during.as_secs().to_string(),
        "strace",
        "-f",
        "-c",
        "-q",
    ]);
    for pid in tree(running.pid()) {
        command.args(["-p", &pid.to_string()]);
    }
    let output = command.output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The fourth column of the line that ends with this name.
fn called(text: &str, name: &str) -> io::Result<u32> {
    let mut lines = text.lines().rev();
    lines
        .find(|line| line.split_whitespace().last() == Some(name))
        .and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("strace counts nothing: {text}")))
}

/// First field of `/proc/PID/schedstat`: nanoseconds on a processor.
fn cpu(pid: Pid) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split_whitespace()
        .next()?
        .parse()
        .ok()
        .map(Duration::from_nanos)
}

/// A number of `/proc/PID/status`.
fn status(pid: Pid, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
