//! A daemon of its own for each test: a host made of a namespace, a directory, a configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kr_testkit::binaries;
use kr_testkit::netns::{Host, Network};
use kr_testkit::process::{Process, child_named};
use kr_testkit::wait::eventually;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

/// What everything that should happen at once is given on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The three children.
pub(crate) const CHILDREN: [&str; 3] = ["vrrpd", "checkerd", "ipvsd"];

/// One router and one service; `{dir}` is the test's directory.
pub(crate) const WHOLE: &str = "
global_defs {
    router_id TEST
    script_user root
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 55
    priority 255
    advert_int 1
    virtual_ipaddress {
        10.9.0.9/24
    }
    notify_master \"{dir}/note.sh master\"
    notify \"{dir}/note.sh any\"
}
virtual_server 10.9.0.9 80 {
    delay_loop 1
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 10.9.0.1 80 {
        weight 1
        TCP_CHECK {
            connect_timeout 1
        }
    }
}
";

/// Runs keepalived-rs to its end.
pub(crate) fn keepalived(arguments: &[&str]) -> Output {
    Command::new(binaries::path("keepalived-rs").unwrap())
        .args(arguments)
        .output()
        .unwrap()
}

/// A host with `eth0` (10.9.0.1/24) and a directory for one daemon.
pub(crate) struct Rig {
    pub(crate) directory: TempDir,
    pub(crate) host: Host,
    pub(crate) network: Network,
}

impl Rig {
    /// Makes the host and writes `configuration`, with `{dir}` replaced, as `k.conf`.
    pub(crate) fn new(configuration: &str) -> Self {
        let network = Network::new().unwrap();
        network.segment("lan").unwrap();
        let host = network.host("h").unwrap();
        network
            .connect(&host, "eth0", "lan", &["10.9.0.1/24"])
            .unwrap();
        let rig = Self {
            directory: tempfile::tempdir().unwrap(),
            host,
            network,
        };
        rig.configure(configuration);
        rig.script(
            "note.sh",
            &format!("echo \"$@\" >> {}\n", rig.path("notes").display()),
        );
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts another configuration in the place of the one before; the daemon never sees half of it.
    pub(crate) fn configure(&self, configuration: &str) {
        let directory = self.directory.path().to_string_lossy();
        let text = configuration.replace("{dir}", &directory);
        fs::write(self.path("k.conf.new"), text).unwrap();
        fs::rename(self.path("k.conf.new"), self.path("k.conf")).unwrap();
    }

    /// Writes an executable shell script.
    pub(crate) fn script(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        fs::write(self.path(name), format!("#!/bin/sh\n{text}")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What `note.sh` has noted, a line per call.
    pub(crate) fn notes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("notes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The command line of the daemon in this host, with pid files of its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(binaries::path("keepalived-rs").unwrap());
        for (option, name) in [
            ("--use-file", "k.conf"),
            ("--pid", "k.pid"),
            ("--vrrp_pid", "vrrpd.pid"),
            ("--checkers_pid", "checkerd.pid"),
            ("--ipvs_pid", "ipvsd.pid"),
        ] {
            command.arg(option).arg(self.path(name));
        }
        command.args(arguments).env("TMPDIR", self.directory.path());
        command
    }

    /// Starts the daemon in the foreground, without syslog, and does not wait.
    pub(crate) fn start(&self) -> Process {
        let mut command = self.command(&["-nlDG"]);
        Process::spawn(&mut command, &self.path("log")).unwrap()
    }

    /// Starts the daemon and waits until every child runs its configuration.
    pub(crate) fn start_and_wait(&self) -> Process {
        let daemon = self.start();
        self.wait_for(&daemon, "up: every process runs its configuration");
        daemon
    }

    /// Waits for a text in the log.
    pub(crate) fn wait_for(&self, daemon: &Process, text: &str) {
        let found = eventually(SOON, text, || daemon.log().contains(text));
        assert!(found.is_ok(), "no `{text}` in:\n{}", daemon.log());
    }
}

/// The process ids of all three children, which must run.
pub(crate) fn children(daemon: &Process) -> [Pid; 3] {
    CHILDREN.map(|name| child_named(daemon.pid(), name).unwrap_or_else(|| panic!("no {name}")))
}

/// The pid inside a pid file.
pub(crate) fn pid_in(path: &Path) -> Option<Pid> {
    fs::read_to_string(path)
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Pid::from_raw)
}

/// Kills a process with `SIGKILL`.
pub(crate) fn kill(pid: Pid) {
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
}
