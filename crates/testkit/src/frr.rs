//! FRR's BFD daemon in a host, alone and with a directory of its own: the independent peer of BFD tests.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Group, User, chown};
use tempfile::TempDir;

use crate::netns::{Host, run};
use crate::process::Process;
use crate::wait::eventually;

const PROGRAM: &str = "/usr/lib/frr/bfdd";
/// The account that the package makes for its programs.
const ACCOUNT: &str = "frr";

/// One session of the daemon.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The other end.
    pub address: &'static str,
    /// This end.
    pub local: &'static str,
    /// RFC 5883 instead of RFC 5881.
    pub multihop: bool,
}

/// A running `bfdd`. Dropping it kills it.
#[derive(Debug)]
pub struct Bfdd {
    process: Process,
    directory: TempDir,
}

impl Bfdd {
    /// Starts the daemon with these sessions, each with an interval of 50 ms and a multiplier of 3.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(host: &Host, peers: &[Peer]) -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let user = User::from_name(ACCOUNT)?.map(|user| user.uid);
        let group = Group::from_name(ACCOUNT)?.map(|group| group.gid);
        chown(directory.path(), user, group)?;
        let file = |name: &str| directory.path().join(name);
        fs::write(file("bfdd.conf"), configuration(peers))?;
        let mut command = host.command(PROGRAM);
        command.arg("-f").arg(file("bfdd.conf"));
        command.arg("-i").arg(file("bfdd.pid"));
        command.arg("--vty_socket").arg(directory.path());
        command.arg("-z").arg(file("zebra"));
        command.arg("--bfdctl").arg(file("control"));
        command.args(["-u", ACCOUNT, "-g", ACCOUNT, "-P", "0"]);
        let process = Process::spawn(&mut command, &file("log"))?;
        let started = Self { process, directory };
        eventually(Duration::from_secs(10), "bfdd answers", || {
            started.ask("show bfd peers").is_ok()
        })
        .map_err(|error| {
            let text = format!("{error}: {}", started.process.log());
            io::Error::new(error.kind(), text)
        })?;
        Ok(started)
    }

    /// Whether the session with this peer is up.
    #[must_use]
    pub fn is_up(&self, address: &str) -> bool {
        self.value("show bfd peers", address, "Status").as_deref() == Some("up")
    }

    /// Why the session with this peer went down, as the daemon says.
    #[must_use]
    pub fn diagnostic(&self, address: &str) -> Option<String> {
        self.value("show bfd peers", address, "Diagnostics")
    }

    /// Why the peer's end went down, as it told the daemon.
    #[must_use]
    pub fn remote_diagnostic(&self, address: &str) -> Option<String> {
        self.value("show bfd peers", address, "Remote diagnostics")
    }

    /// How often the session with this peer went down.
    #[must_use]
    pub fn downs(&self, address: &str) -> Option<u64> {
        let text = self.value("show bfd peers counters", address, "Session down events")?;
        text.parse().ok()
    }

    /// Kills it at once; it tells nobody.
    pub fn kill(&mut self) {
        self.process.kill_tree();
    }

    /// The value of a line below that of a peer.
    fn value(&self, question: &str, address: &str, label: &str) -> Option<String> {
        let answer = self.ask(question).ok()?;
        let peer = format!("peer {address} ");
        let of_peer = answer.split_once(&peer)?.1;
        let lines = of_peer.lines().skip(1);
        let mut own = lines.take_while(|line| !line.trim_start().starts_with("peer "));
        own.find_map(|line| {
            let (name, value) = line.trim().split_once(": ")?;
            (name == label).then(|| value.to_owned())
        })
    }

    fn ask(&self, question: &str) -> io::Result<String> {
        let directory: &Path = self.directory.path();
        let mut command = Command::new("vtysh");
        command.arg("--vty_socket").arg(directory);
        run(command.args(["-d", "bfdd", "-c", question]))
    }
}

fn configuration(peers: &[Peer]) -> String {
    let mut text = "bfd\n".to_owned();
    for peer in peers {
        let Peer { address, local, .. } = peer;
        let path = if peer.multihop { "multihop " } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            " peer {address} {path}local-address {local}\n  detect-multiplier 3\n  receive-interval 50\n  \
             transmit-interval 50\n !"
        );
    }
    text + "!\n"
}
