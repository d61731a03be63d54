//! Hosts made of network namespaces, joined by bridges in a namespace of their own.
//!
//! Nothing is put into the namespace of the machine. Names carry the process id of the test; dropping
//! a [`Network`] ends the processes inside it and removes it, also when the test panics, and what a
//! killed test left behind is removed by the next one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

use crate::process::{is_alive, kill_all};

/// First letters of every namespace made here.
const PREFIX: &str = "kr-";

/// Networks made by this process so far.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A set of hosts and the segments between them.
#[derive(Debug)]
pub struct Network {
    name: String,
    switch: Namespace,
    ports: AtomicU32,
}

/// A host: one network namespace.
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
}

/// A named namespace that is removed when dropped.
#[derive(Debug)]
struct Namespace {
    name: String,
}

impl Network {
    /// Makes an empty network with a name of its own.
    ///
    /// # Errors
    /// When namespaces cannot be made here (not root, no `ip`).
    pub fn new() -> io::Result<Self> {
        sweep();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("{PREFIX}{}-{number}", std::process::id()))
    }

    /// Makes an empty network whose namespaces start with `name`.
    ///
    /// # Errors
    /// When namespaces cannot be made here, or exist already.
    pub fn named(name: &str) -> io::Result<Self> {
        let switch = Namespace::new(&format!("{name}-switch"))?;
        Ok(Self {
            name: name.to_owned(),
            switch,
            ports: AtomicU32::new(0),
        })
    }

    /// Adds a segment: a bridge that floods multicast.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn segment(&self, name: &str) -> io::Result<()> {
        self.switch.ip(&format!(
            "link add {name} type bridge mcast_snooping 0\nlink set {name} up\n"
        ))
    }

    /// Adds a host with only a loopback interface.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn host(&self, name: &str) -> io::Result<Host> {
        let namespace = Namespace::new(&format!("{}-{name}", self.name))?;
        let host = Host { namespace };
        host.sysctl("net/ipv6/conf/all/accept_dad", "0")?;
        host.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        Ok(host)
    }

    /// Plugs `host`'s new interface into a segment and gives it addresses (`ADDRESS/LENGTH`).
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn connect(
        &self,
        host: &Host,
        interface: &str,
        segment: &str,
        addresses: &[&str],
    ) -> io::Result<()> {
        let port = format!("p{}", self.ports.fetch_add(1, Ordering::Relaxed));
        run(Command::new("ip")
            .args(["link", "add", interface, "netns", host.name()])
            .args([
                "type",
                "veth",
                "peer",
                "name",
                &port,
                "netns",
                &self.switch.name,
            ]))?;
        self.switch.ip(&format!(
            "link set {port} master {segment}\nlink set {port} up\n"
        ))?;
        let mut batch = format!("link set {interface} up\n");
        for address in addresses {
            batch += &format!("address add {address} dev {interface}\n");
        }
        host.ip(&batch)
    }

    /// Joins two hosts without a segment: nothing between them takes time that would count as the sender's.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn cable(
        &self,
        hosts: [&Host; 2],
        interface: &str,
        addresses: [&str; 2],
    ) -> io::Result<()> {
        let [a, b] = hosts;
        run(Command::new("ip")
            .args(["link", "add", interface, "netns", a.name(), "type", "veth"])
            .args(["peer", "name", interface, "netns", b.name()]))?;
        for (host, address) in hosts.into_iter().zip(addresses) {
            host.ip(&format!(
                "link set {interface} up\naddress add {address} dev {interface}\n"
            ))?;
        }
        Ok(())
    }

    /// Separates the hosts of two ports, numbered from 0 in the order of [`Self::connect`], or joins them again:
    /// separated hosts still hear all others, and are heard by them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn separate(&self, ports: [u32; 2], apart: bool) -> io::Result<()> {
        let isolated = if apart { "on" } else { "off" };
        let line = |port| format!("link set p{port} type bridge_slave isolated {isolated}\n");
        self.switch.ip(&ports.map(line).concat())
    }
}

impl Host {
    /// The name that `ip netns` shows.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.namespace.name
    }

    /// A command that will run in this host.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.name()]).arg(program);
        command
    }

    /// Runs a program here to its end and returns what it printed.
    ///
    /// # Errors
    /// When it cannot start or fails; the text holds what it said.
    pub fn run(&self, program: &str, arguments: &[&str]) -> io::Result<String> {
        run(self.command(program).args(arguments))
    }

    /// Runs `ip` commands here, one per line, stopping at the first that fails.
    ///
    /// # Errors
    /// When one fails.
    pub fn ip(&self, batch: &str) -> io::Result<()> {
        self.namespace.ip(batch)
    }

    /// Writes a setting under `/proc/sys` (`net/ipv4/ip_forward`).
    ///
    /// # Errors
    /// When the kernel does not know it or refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> io::Result<()> {
        self.enter(|| fs::write(format!("/proc/sys/{key}"), value))?
            .map_err(|error| io::Error::new(error.kind(), format!("sysctl {key}: {error}")))
    }

    /// Calls `inside` on a thread that lives in this host: sockets it makes belong here for good.
    ///
    /// # Errors
    /// When the namespace is gone.
    ///
    /// # Panics
    /// When `inside` does.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> io::Result<T> {
        let namespace = File::open(format!("/run/netns/{}", self.name()))?;
        thread::scope(|scope| {
            scope
                .spawn(move || {
                    setns(namespace, CloneFlags::CLONE_NEWNET)?;
                    Ok(inside())
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread that lives in this host.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub fn spawn<T: Send + 'static>(
        &self,
        inside: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<io::Result<T>>> {
        let namespace = File::open(format!("/run/netns/{}", self.name()))?;
        Ok(thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(inside())
        }))
    }

    /// Whether one of its interfaces has this IPv4 or IPv6 address (without prefix length).
    #[must_use]
    pub fn has_address(&self, address: &str) -> bool {
        self.run("ip", &["-o", "address", "show"])
            .is_ok_and(|text| {
                text.split_whitespace().any(|word| {
                    word.split_once('/').is_some_and(|(ip, _)| ip == address) || word == address
                })
            })
    }

    /// Takes an interface up or down.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn set_link(&self, interface: &str, up: bool) -> io::Result<()> {
        let state = if up { "up" } else { "down" };
        self.ip(&format!("link set {interface} {state}\n"))
    }
}

impl Namespace {
    fn new(name: &str) -> io::Result<Self> {
        run(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Self {
            name: name.to_owned(),
        };
        namespace.ip("link set lo up\n")?;
        Ok(namespace)
    }

    fn ip(&self, batch: &str) -> io::Result<()> {
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(batch.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        checked(&format!("ip -n {} -batch:\n{batch}", self.name), output).map(drop)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Ends every process in a namespace and removes it.
pub fn remove(name: &str) {
    if let Ok(text) = run(Command::new("ip").args(["netns", "pids", name])) {
        let pids: Vec<Pid> = text
            .split_whitespace()
            .filter_map(|word| word.parse().ok().map(Pid::from_raw))
            .filter(|pid| pid.as_raw() != i32::try_from(std::process::id()).unwrap_or(0))
            .collect();
        kill_all(&pids);
    }
    run(Command::new("ip").args(["netns", "delete", name])).ok();
}

/// Names of all namespaces whose name starts with `prefix`.
#[must_use]
pub fn list(prefix: &str) -> Vec<String> {
    fs::read_dir("/run/netns").map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .filter(|name| name.starts_with(prefix))
                .collect()
        },
    )
}

/// Removes the namespaces of tests whose process no longer exists.
fn sweep() {
    for name in list(PREFIX) {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse().ok())
            .map(Pid::from_raw);
        if owner.is_some_and(|pid| !is_alive(pid)) {
            remove(&name);
        }
    }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// When it cannot start or fails; the text holds what it said.
pub fn run(command: &mut Command) -> io::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
    checked(&format!("{command:?}"), output)
}

fn checked(what: &str, output: Output) -> io::Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{what}: {}: {text}{said}",
        output.status
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_command_is_named_in_the_error_with_what_it_said() {
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }
}
