//! Modules of the kernel: it loads what is asked for by itself, and what it cannot load is named. No process of
//! ours may load one (`CAP_SYS_MODULE`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use kr_test_vm::{Farm, SOON};
use kr_testkit::keepalived::Peer;
use kr_testkit::wait::eventually;
use kr_testkit::{binaries, netns};
use tempfile::TempDir;

/// What the kernel runs to load a module; for the whole machine.
const HELPER: &str = "/proc/sys/kernel/modprobe";

/// The kernel's program for loading modules is another one while this lives.
struct Helper {
    before: String,
    directory: TempDir,
}

impl Helper {
    /// A program that loads the module `name` from `file`, and notes whatever it is asked for.
    fn new(name: &str, file: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("modprobe");
        let text = format!(
            "#!/bin/sh\nfor last; do :; done\necho $last >>{}/asked\n\
             [ $last != {name} ] || exec /bin/busybox insmod {}\n",
            directory.path().display(),
            file.display()
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let before = fs::read_to_string(HELPER).unwrap();
        fs::write(HELPER, program.to_string_lossy().as_bytes()).unwrap();
        Self { before, directory }
    }

    /// Names of the modules that were asked for.
    fn asked(&self) -> String {
        fs::read_to_string(self.directory.path().join("asked")).unwrap_or_default()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        fs::write(HELPER, self.before.trim_end()).ok();
    }
}

/// The file of a module in the package of the lab's kernel.
fn module(name: &str) -> PathBuf {
    let built = binaries::directory().unwrap();
    let lab = built.parent().unwrap().join("lab");
    let file = format!("{name}.ko");
    let arguments = [lab.to_str().unwrap(), "-name", &file];
    let found = netns::run(Command::new("find").args(arguments)).unwrap();
    PathBuf::from(found.lines().next().unwrap())
}

/// A service with a scheduler that this kernel has, and one with one that it lacks.
fn services(present: &str, absent: &str) -> String {
    let service = |port: u16, scheduler: &str| {
        format!(
            "virtual_server 10.20.0.100 {port} {{
                lb_algo {scheduler}
                lb_kind NAT
                protocol TCP
                real_server 10.30.0.11 {port} {{ }}
            }}\n"
        )
    };
    service(80, present) + &service(81, absent)
}

#[test]
fn the_kernel_loads_a_scheduler_by_itself_and_one_that_it_lacks_is_named() {
    let name = "ip_vs_mh";
    let helper = Helper::new(name, &module(name));
    let remove = || netns::run(Command::new("/bin/busybox").args(["rmmod", name])).is_ok();
    // Another test may have services with it.
    eventually(SOON * 4, "nobody to use the module", remove).unwrap();
    let farm = Farm::routed(0).unwrap();
    let mut balancer = farm.balance(Peer::Ours, &services("mh", "twos")).unwrap();
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s mh",
            "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
        ],
    )
    .unwrap();
    assert!(helper.asked().contains(name), "{}", helper.asked());
    assert!(helper.asked().contains("ip_vs_twos"), "{}", helper.asked());
    let told = "this kernel has no scheduler `twos`; try `modprobe ip_vs_twos`";
    let log = || balancer.log();
    assert!(
        eventually(SOON, told, || log().contains(told)).is_ok(),
        "{}",
        log()
    );
    balancer.stop(SOON).unwrap();
}
