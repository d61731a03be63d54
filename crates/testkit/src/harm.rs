//! What can happen to a running process from outside: signals, limits that are lowered, processor time that is
//! taken away, a disk that is full, a clock that is set.

mod undying;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime, clock_settime};
use nix::unistd::Pid;

use crate::netns::{Host, run};
use crate::process::is_alive;
use crate::wait::eventually;

pub use undying::Undying;

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// `SIGKILL`.
    Kill,
    /// `SIGSEGV`, as a fault of the program.
    Fault,
    /// `SIGSTOP` for ten seconds.
    Stop,
    /// A hundredth of a processor for eight seconds, shared with a process that never rests.
    NoProcessor,
    /// No more memory than it has, while a far larger configuration comes.
    NoMemory,
    /// No descriptor more, also for those that it closes, while a sibling is started again.
    NoDescriptors,
    /// No room for pid files and log lines, while it is started again.
    FullDisk,
    /// More messages of rtnetlink than fit its sockets.
    LostEvents,
    /// The time of day is an hour later, and after a while what it was. It concerns the whole machine.
    ClockAhead,
    /// The time of day is an hour earlier, and after a while what it was. It concerns the whole machine.
    ClockBack,
}

/// A daemon to which harms are done.
pub trait Scene {
    /// The process that suffers.
    fn victim(&self) -> Pid;

    /// Its parent, which may be it.
    fn parent(&self) -> Pid;

    /// Another child.
    fn sibling(&self) -> Option<Pid>;

    /// Sends the daemon its configuration anew, or one that is far larger.
    ///
    /// # Errors
    /// When it cannot be written, or the daemon is gone.
    fn reload(&self, large: bool) -> io::Result<()>;

    /// The directory of [`on_small_disk`].
    fn small_disk(&self) -> &Path;

    /// The host of the daemon.
    fn host(&self) -> &Host;
}

/// Longer than any patience of the parent.
const STOPPED: Duration = Duration::from_secs(10);

/// Several turns of every loop and several checks.
const A_WHILE: Duration = Duration::from_secs(3);

/// In seconds.
const HOUR: i64 = 3_600;

impl Harm {
    /// Does it to the victim, and undoes what can be undone.
    ///
    /// # Errors
    /// When it cannot be done here.
    pub fn befall(self, scene: &impl Scene) -> io::Result<()> {
        let pid = scene.victim();
        match self {
            Self::Kill => kill(pid, Signal::SIGKILL)?,
            // The runtime's handler takes the first for a fault that comes again when it returns.
            Self::Fault => drop(eventually(A_WHILE, "the end after SIGSEGV", || {
                kill(pid, Signal::SIGSEGV).is_err() || !is_alive(pid)
            })?),
            Self::Stop => {
                kill(pid, Signal::SIGSTOP)?;
                sleep(STOPPED);
                // One that was replaced is gone.
                kill(pid, Signal::SIGCONT).ok();
            }
            Self::NoProcessor => {
                let starved = Starved::new(pid)?;
                let _rival = Rival::in_group(&starved)?;
                sleep(Duration::from_secs(8));
                if starved.turns_lost()? == 0 {
                    return Err(io::Error::other(format!(
                        "process {pid} lacked no processor"
                    )));
                }
            }
            Self::NoMemory => {
                let _lowered = Lowered::to_use(pid, Limit::Memory)?;
                scene.reload(true)?;
                sleep(A_WHILE);
                scene.reload(false)?;
                sleep(A_WHILE);
            }
            Self::NoDescriptors => {
                let _lowered = Lowered::to_use(pid, Limit::Descriptors)?;
                if let Some(sibling) = scene.sibling() {
                    kill(sibling, Signal::SIGKILL)?;
                }
                sleep(A_WHILE);
            }
            Self::FullDisk => full_disk(scene)?,
            Self::LostEvents => lost_events(scene)?,
            Self::ClockAhead => step_clock(HOUR)?,
            Self::ClockBack => step_clock(-HOUR)?,
        }
        Ok(())
    }
}

fn full_disk(scene: &impl Scene) -> io::Result<()> {
    let parent = scene.parent();
    let path = scene.small_disk().join("filler");
    let filler = PathBuf::from(format!("/proc/{parent}/root{}", path.display()));
    if fs::write(&filler, vec![0; 4 * SMALL_DISK]).is_ok() {
        return Err(io::Error::other("the small disk is large"));
    }
    if scene.victim() == parent {
        // A dump, and whatever a reload writes.
        kill(parent, Signal::SIGUSR1)?;
        scene.reload(false)?;
    } else {
        kill(scene.victim(), Signal::SIGKILL)?;
    }
    sleep(A_WHILE);
    let one_more = filler.with_extension("more");
    if fs::write(&one_more, [0; 4096]).is_ok() {
        return Err(io::Error::other("the disk was not full all the time"));
    }
    fs::remove_file(&one_more)?;
    fs::remove_file(&filler)
}

/// Deletes an address of `eth0` on which thousands of others depend: the kernel tells of each, all at once.
fn lost_events(scene: &impl Scene) -> io::Result<()> {
    scene
        .host()
        .sysctl("net/ipv4/conf/all/promote_secondaries", "0")?;
    scene
        .host()
        .sysctl("net/ipv4/conf/eth0/promote_secondaries", "0")?;
    let mut batch = String::new();
    for number in 1..=4_000 {
        let (high, low) = (number / 250, number % 250);
        batch += &format!("address add 10.99.{high}.{low}/16 dev eth0\n");
    }
    scene.host().ip(&batch)?;
    sleep(Duration::from_secs(1));
    kill(scene.victim(), Signal::SIGSTOP)?;
    scene.host().ip("address delete 10.99.0.1/16 dev eth0\n")?;
    Ok(kill(scene.victim(), Signal::SIGCONT)?)
}

fn step_clock(seconds: i64) -> io::Result<()> {
    move_clock(seconds)?;
    sleep(A_WHILE);
    move_clock(-seconds)
}

fn move_clock(seconds: i64) -> io::Result<()> {
    let clock = ClockId::CLOCK_REALTIME;
    let now = clock_gettime(clock)?;
    Ok(clock_settime(clock, now + TimeSpec::new(seconds, 0))?)
}

/// Bytes of the file system of [`on_small_disk`].
const SMALL_DISK: usize = 1 << 20;

/// A command for a daemon in `host` that sees a small file system at `directory`. Nobody else sees it, and it goes
/// away with the daemon.
#[must_use]
pub fn on_small_disk(host: &Host, directory: &Path) -> Command {
    let mut command = host.command("sh");
    let script = format!("mount -t tmpfs -o size={SMALL_DISK} none \"$0\" && exec \"$@\"");
    command.args(["-c", &script]).arg(directory);
    command
}

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
    /// Number of the first descriptor behind the standard ones: those that a process closes are no gain.
    Descriptors,
}

impl Limit {
    const fn option(self) -> &'static str {
        match self {
            Self::Memory => "--as",
            Self::Descriptors => "--nofile",
        }
    }

    /// As much as the process uses of it now, or less.
    fn used(self, pid: Pid) -> io::Result<u64> {
        match self {
            Self::Memory => address_space(pid),
            Self::Descriptors => Ok(3),
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

    /// Periods in which the group would have run, and might not any more.
    fn turns_lost(&self) -> io::Result<u64> {
        let text = fs::read_to_string(self.group.join("cpu.stat"))?;
        let mut counts = text
            .lines()
            .filter_map(|line| line.strip_prefix("nr_throttled "));
        let count = counts.next().and_then(|count| count.trim().parse().ok());
        count.ok_or_else(|| io::Error::other("cpu.stat has no nr_throttled"))
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

/// A process that uses up whatever a group may have: one that nearly always sleeps would lack nothing.
#[derive(Debug)]
struct Rival(Child);

impl Rival {
    fn in_group(starved: &Starved) -> io::Result<Self> {
        let busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()?;
        let rival = Self(busy);
        starved.write("cgroup.procs", &rival.0.id().to_string())?;
        Ok(rival)
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
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
