//! A program that tries what none of the processes may do, run as root with every capability in the place of each of
//! them: what is refused then is refused by the profile or domain alone.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use kr_testkit::netns::run;

use crate::host;

const SCRIPT: &str = include_str!("intruder.pl");

/// Everything that is tried.
pub(crate) const ALL: [&str; 13] = [
    "shadow", "config", "plant", "shell", "raw", "packet", "stream", "datagram", "netlink",
    "mount", "module", "signal", "trace",
];

/// What works in the place of the parent: it starts scripts.
pub(crate) const AS_PARENT: [&str; 1] = ["shell"];

/// Of vrrpd: adverts, ARP, BFD, the kernel's addresses and routes.
pub(crate) const AS_VRRPD: [&str; 4] = ["raw", "packet", "datagram", "netlink"];

/// Of ipvsd: sockets for checks, the kernel's table.
pub(crate) const AS_IPVSD: [&str; 3] = ["stream", "datagram", "netlink"];

/// Of checkerd: connections to servers; looking at interfaces.
pub(crate) const AS_CHECKERD: [&str; 3] = ["stream", "datagram", "netlink"];

/// What the program prints for something that worked.
const DONE: &str = "done";

/// A process that has nothing to do with any of this.
struct Stranger(Child);

impl Stranger {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs it through `command`, which names the place and how to get there, and returns what worked.
pub(crate) fn succeeds(command: &mut Command) -> Vec<String> {
    let stranger = Stranger::start();
    let said = run(command
        .args(["-e", SCRIPT])
        .arg(stranger.0.id().to_string()))
    .unwrap();
    fs::remove_file("/usr/local/sbin/planted").ok();
    nix::mount::umount("/mnt").ok();
    assert_eq!(said.lines().count(), ALL.len(), "{said}");
    said.lines()
        .filter_map(|line| line.strip_suffix(DONE))
        .map(|what| what.trim().to_owned())
        .collect()
}

/// Puts it in the place of `program`.
pub(crate) fn replace(program: &str) {
    host::copy(Path::new("/usr/bin/perl"), program);
}
