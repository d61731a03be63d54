//! FRR's `vrrpd` as the other router, both versions, both roles.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use kr_test_netns::{ELECTION, Pair, VIP, instance};
use kr_testkit::keepalived::Peer::Ours;
use kr_testkit::keepalived::{Keepalived, Parts};
use kr_testkit::netns::Host;
use kr_testkit::process::Process;
use kr_testkit::wait::{eventually, throughout};
use nix::unistd::{Group, User, chown};
use tempfile::TempDir;

/// The account that the package makes for its programs.
const ACCOUNT: &str = "frr";
const FAILOVER: Duration = Duration::from_secs(8);

/// FRR's interface manager and its VRRP daemon. Dropping it kills both.
struct Frr {
    vrrpd: Process,
    _zebra: Process,
    directory: TempDir,
}

impl Frr {
    /// Virtual router 55 with the tests' address. FRR wants the address on a macvlan with the virtual MAC, which
    /// it takes down while it is no master.
    fn start(host: &Host, version: u8, priority: u8) -> Self {
        let made = host.ip(&format!(
            "link add vrrp4 link eth0 type macvlan mode bridge\n\
             link set vrrp4 address 00:00:5e:00:01:37\n\
             address add {VIP}/24 dev vrrp4\n\
             link set vrrp4 up\n"
        ));
        made.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let user = User::from_name(ACCOUNT).unwrap().map(|user| user.uid);
        let group = Group::from_name(ACCOUNT).unwrap().map(|group| group.gid);
        chown(directory.path(), user, group).unwrap();
        let configuration = format!(
            "interface eth0\n vrrp 55 version {version}\n vrrp 55 priority {priority}\n \
             vrrp 55 advertisement-interval 1000\n vrrp 55 ip {VIP}\n"
        );
        fs::write(directory.path().join("zebra.conf"), "").unwrap();
        fs::write(directory.path().join("vrrpd.conf"), configuration).unwrap();
        let program = |name: &str| {
            let file = |suffix: &str| directory.path().join(format!("{name}.{suffix}"));
            let mut command = host.command(format!("/usr/lib/frr/{name}"));
            command
                .arg("-f")
                .arg(file("conf"))
                .arg("-i")
                .arg(file("pid"));
            command.arg("--vty_socket").arg(directory.path());
            command.arg("-z").arg(directory.path().join("zserv"));
            command.args(["-u", ACCOUNT, "-g", ACCOUNT, "-P", "0", "--log", "stdout"]);
            Process::spawn(&mut command, &file("log")).unwrap()
        };
        let zebra = program("zebra");
        eventually(ELECTION, "zebra's socket", || {
            directory.path().join("zserv").exists()
        })
        .unwrap();
        let vrrpd = program("vrrpd");
        let frr = Self {
            vrrpd,
            _zebra: zebra,
            directory,
        };
        eventually(ELECTION, "FRR runs the router", || {
            frr.is("Backup") || frr.is("Master")
        })
        .unwrap_or_else(|error| panic!("{error}: {}", frr.vrrpd.log()));
        frr
    }

    /// Whether it says that it is in this state.
    fn is(&self, state: &str) -> bool {
        let said = self.status().unwrap_or_default();
        let mut lines = said.lines();
        lines.any(|line| line.trim_start().starts_with("Status (v4)") && line.contains(state))
    }

    fn status(&self) -> io::Result<String> {
        let mut command = Command::new("vtysh");
        command.arg("--vty_socket").arg(self.directory.path());
        let output = command.args(["-d", "vrrpd", "-c", "show vrrp"]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn ours(host: &Host, version: u8, priority: u8) -> Keepalived {
    let mut plain = instance("BACKUP", priority);
    plain.password = None;
    let text = plain.to_string();
    let text = text.replace("advert_int", &format!("version {version}\n    advert_int"));
    Keepalived::start(Ours, host, Parts::Vrrp, &text).unwrap()
}

/// FRR is the better router: ours follows it, and takes over when it is dead.
fn follows(version: u8) {
    let pair = Pair::new().unwrap();
    let mut frr = Frr::start(&pair.a, version, 150);
    eventually(ELECTION, "FRR is master", || frr.is("Master")).unwrap();
    let b = ours(&pair.b, version, 100);
    eventually(ELECTION, "ours is backup", || {
        b.logged("Entering BACKUP STATE") > 0
    })
    .unwrap();
    throughout(FAILOVER, "ours stays backup", || !pair.b.has_address(VIP)).unwrap();
    frr.vrrpd.kill_tree();
    eventually(FAILOVER, "ours takes over", || pair.b.has_address(VIP)).unwrap();
}

/// Ours is the better router: FRR follows it, hears that it stops, and gives the addresses back.
fn leads(version: u8) {
    let pair = Pair::new().unwrap();
    let mut b = ours(&pair.b, version, 150);
    eventually(ELECTION, "ours is master", || pair.b.has_address(VIP)).unwrap();
    let frr = Frr::start(&pair.a, version, 100);
    throughout(FAILOVER, "FRR stays backup", || frr.is("Backup")).unwrap();
    b.stop(FAILOVER).unwrap();
    let taken = eventually(FAILOVER, "FRR takes over", || frr.is("Master")).unwrap();
    assert!(
        taken < Duration::from_secs(3),
        "priority 0 was not heard: {taken:?}"
    );
    let _b = ours(&pair.b, version, 150);
    eventually(ELECTION, "FRR gives way", || {
        frr.is("Backup") && pair.b.has_address(VIP)
    })
    .unwrap();
}

#[test]
fn ours_follows_frr_in_version_2_and_takes_over() {
    follows(2);
}

#[test]
fn ours_follows_frr_in_version_3_and_takes_over() {
    follows(3);
}

#[test]
fn frr_follows_ours_in_version_2_and_gives_back() {
    leads(2);
}

#[test]
fn frr_follows_ours_in_version_3_and_gives_back() {
    leads(3);
}
