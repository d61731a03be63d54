//! A keepalived in a host: the distribution's or ours, started and driven the same way.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::binaries;
use crate::netns::Host;
use crate::process::{self, Process};

/// Whose keepalived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The one built here.
    Ours,
    /// The one the distribution installs.
    Stock,
}

impl Peer {
    /// The executable.
    ///
    /// # Errors
    /// When ours has not been built, or theirs is not installed.
    pub fn program(self) -> io::Result<PathBuf> {
        match self {
            Self::Ours => binaries::path("keepalived-rs"),
            Self::Stock => ["/usr/sbin/keepalived", "/sbin/keepalived"]
                .map(PathBuf::from)
                .into_iter()
                .find(|path| path.is_file())
                .ok_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "keepalived is not installed")
                }),
        }
    }
}

impl Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "keepalived-rs",
            Self::Stock => "keepalived",
        })
    }
}

/// Which halves run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// `--vrrp`: virtual routers only.
    Vrrp,
    /// `--check`: virtual servers only.
    Checkers,
    /// Both.
    Both,
}

/// A child of the started program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Virtual routers.
    Vrrp,
    /// Health checks; in the distribution's keepalived this one also programs the kernel.
    Checker,
    /// The IPVS table; ours only.
    Ipvs,
}

/// A running keepalived. Dropping it kills the whole tree.
#[derive(Debug)]
pub struct Keepalived {
    process: Process,
    directory: TempDir,
    peer: Peer,
}

impl Keepalived {
    /// Writes the configuration and starts the program in the foreground with its log on the console.
    ///
    /// # Errors
    /// When the program is missing or cannot start.
    pub fn start(peer: Peer, host: &Host, parts: Parts, configuration: &str) -> io::Result<Self> {
        Self::start_in(tempfile::tempdir()?, peer, host, parts, configuration)
    }

    /// The same with its files in `directory`.
    ///
    /// # Errors
    /// When the program is missing or cannot start.
    pub fn start_in(
        directory: TempDir,
        peer: Peer,
        host: &Host,
        parts: Parts,
        configuration: &str,
    ) -> io::Result<Self> {
        Self::start_adapted(directory, peer, host, parts, configuration, |_| {})
    }

    /// The same with more arguments or environment.
    ///
    /// # Errors
    /// When the program is missing or cannot start.
    pub fn start_adapted(
        directory: TempDir,
        peer: Peer,
        host: &Host,
        parts: Parts,
        configuration: &str,
        adapt: impl FnOnce(&mut Command),
    ) -> io::Result<Self> {
        let file = |name: &str| directory.path().join(name);
        fs::write(file("keepalived.conf"), configuration)?;
        let mut command = host.command(peer.program()?);
        command.args(["-n", "-l", "-D"]);
        match parts {
            Parts::Vrrp => drop(command.arg("-P")),
            Parts::Checkers => drop(command.arg("-C")),
            Parts::Both => {}
        }
        for (option, name) in [
            ("-f", "keepalived.conf"),
            ("-p", "parent.pid"),
            ("-r", "vrrp.pid"),
            ("-c", "checkers.pid"),
            ("-b", "bfd.pid"),
        ] {
            command.arg(option).arg(file(name));
        }
        adapt(&mut command);
        let process = Process::spawn(&mut command, &file("log"))?;
        Ok(Self {
            process,
            directory,
            peer,
        })
    }

    /// The parent's process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Everything logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// How many times `text` is in the log.
    #[must_use]
    pub fn logged(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// The directory of its configuration, pid files and log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process of one child, or `None` while it does not run.
    #[must_use]
    pub fn child(&self, role: Role) -> Option<Pid> {
        match self.peer {
            Peer::Ours => {
                let name = match role {
                    Role::Vrrp => "vrrpd",
                    Role::Checker => "checkerd",
                    Role::Ipvs => "ipvsd",
                };
                process::child_named(self.pid(), name)
            }
            Peer::Stock => {
                let name = match role {
                    Role::Vrrp => "vrrp.pid",
                    Role::Checker | Role::Ipvs => "checkers.pid",
                };
                let text = fs::read_to_string(self.directory.path().join(name)).ok()?;
                let pid = Pid::from_raw(text.trim().parse().ok()?);
                process::is_alive(pid).then_some(pid)
            }
        }
    }

    /// Replaces the configuration and sends SIGHUP.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn reload(&self, configuration: &str) -> io::Result<()> {
        fs::write(self.directory.path().join("keepalived.conf"), configuration)?;
        self.process.signal(Signal::SIGHUP)
    }

    /// Kills parent and children together, as when the machine loses power; addresses stay.
    pub fn crash(&mut self) {
        self.process.kill_tree();
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// `TimedOut` when it still runs after `limit`.
    pub fn stop(&mut self, limit: Duration) -> io::Result<()> {
        self.process.terminate(limit).map(drop)
    }
}

/// A `vrrp_instance` block on `eth0` with the values that tests vary.
#[derive(Debug, Clone)]
pub struct Instance {
    /// `state`.
    pub state: &'static str,
    /// `virtual_router_id`.
    pub vrid: u8,
    /// `priority`.
    pub priority: u8,
    /// `auth_pass`; without one there is no `authentication` block.
    pub password: Option<&'static str>,
    /// Lines of `virtual_ipaddress`.
    pub addresses: Vec<&'static str>,
    /// Further lines of the block.
    pub more: Vec<&'static str>,
}

impl Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "vrrp_instance VI_1 {{")?;
        writeln!(f, "    state {}\n    interface eth0", self.state)?;
        writeln!(
            f,
            "    virtual_router_id {}\n    priority {}",
            self.vrid, self.priority
        )?;
        writeln!(f, "    advert_int 1")?;
        if let Some(password) = self.password {
            writeln!(
                f,
                "    authentication {{\n        auth_type PASS\n        auth_pass {password}\n    }}"
            )?;
        }
        writeln!(f, "    virtual_ipaddress {{")?;
        for address in &self.addresses {
            writeln!(f, "        {address}")?;
        }
        writeln!(f, "    }}")?;
        for line in &self.more {
            writeln!(f, "    {line}")?;
        }
        writeln!(f, "}}")
    }
}
