//! The units under a systemd, which is the first process of namespaces made for it.

use std::process::Command;
use std::time::Duration;

use kr_testkit::binaries;
use kr_testkit::netns::run;
use kr_testkit::process::{Process, tree};
use kr_testkit::wait::eventually;
use nix::unistd::Pid;
use tempfile::TempDir;

/// A service's start, stop or restart on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// The unit of the whole daemon, and that of the checks alone.
const WHOLE: &str = "keepalived-rs";
const ALONE: &str = "keepalived-checkerd";

/// A systemd that runs. Dropping it kills it and everything it started.
struct Booted {
    process: Process,
    group: String,
    _directory: TempDir,
}

impl Booted {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clone = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let group = format!("keepalived-rs-test-{}", std::process::id());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--net", "--uts", "--ipc"]);
        command.args(["--kill-child", "sh"]);
        command.arg(format!("{clone}/tests/system/tests/under_systemd/boot.sh"));
        command.args([
            clone,
            binaries::directory().unwrap().to_str().unwrap(),
            &group,
        ]);
        let log = directory.path().join("log");
        let process = Process::spawn(&mut command, &log).unwrap();
        let booted = Self {
            process,
            group,
            _directory: directory,
        };
        let up = eventually(SOON, "systemd", || {
            booted
                .run("systemctl", &["is-active", "only.target"])
                .is_ok()
        });
        up.unwrap_or_else(|error| panic!("{error}\n{}", booted.process.log()));
        booted
    }

    /// The first process of its namespaces.
    fn init(&self) -> Option<Pid> {
        tree(self.process.pid()).get(1).copied()
    }

    /// Runs a program beside its services.
    fn run(&self, program: &str, arguments: &[&str]) -> std::io::Result<String> {
        let init = self.init().ok_or(std::io::ErrorKind::NotFound)?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &init.to_string()]);
        command.args([
            "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root",
        ]);
        run(command.arg(program).args(arguments))
    }

    fn control(&self, verb: &str, unit: &str) {
        let done = self.run("systemctl", &[verb, unit]);
        done.unwrap_or_else(|error| panic!("{error}\n{}", self.journal()));
    }

    fn property(&self, unit: &str, name: &str) -> String {
        let text = self.run("systemctl", &["show", unit, "--value", "--property", name]);
        text.unwrap().trim().to_owned()
    }

    fn journal(&self) -> String {
        self.run("journalctl", &["--no-pager"]).unwrap()
    }

    fn has_address(&self) -> bool {
        self.run("ip", &["-o", "-4", "address", "show", "dev", "eth0"])
            .unwrap()
            .contains("10.20.0.100/")
    }

    fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let found = eventually(SOON, what, holds);
        found.unwrap_or_else(|error| panic!("{error}\n{}", self.journal()));
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        self.process.kill_tree();
        let script = format!(
            "mount -t cgroup2 cgroup2 /mnt && find /mnt/{} -depth -type d -exec rmdir {{}} +",
            self.group
        );
        // A group can be removed when its last process is gone for good.
        eventually(SOON, "an empty group", || {
            run(Command::new("unshare").args(["--mount", "sh", "-c", &script])).is_ok()
        })
        .ok();
    }
}

#[test]
fn units_start_reload_watch_and_stop_under_systemd() {
    let booted = Booted::start();
    booted.control("start", WHOLE);
    assert!(
        booted
            .journal()
            .contains("up: every process runs its configuration"),
        "started means up: {}",
        booted.journal()
    );
    booted.wait("the address", || booted.has_address());
    booted
        .run(
            "sed",
            &[
                "-i",
                "s/delay_loop 1/delay_loop 2/",
                "/etc/keepalived/keepalived.conf",
            ],
        )
        .unwrap();
    booted.control("reload", WHOLE);
    booted.wait("a reload", || {
        booted.journal().contains("configuration 2 is in force")
    });

    booted.control("stop", WHOLE);
    assert!(!booted.has_address());
    assert_eq!(booted.property(WHOLE, "Result"), "success");

    // The drop-in for hosts whose scripts need little; and a watchdog that waits less than half a minute.
    let directory = "/run/systemd/system/keepalived-rs.service.d";
    let script = format!(
        "mkdir -p {directory} && cp /usr/share/keepalived-rs/strict.conf {directory}/ && \
         printf '[Service]\\nWatchdogSec=3\\n' >{directory}/soon.conf && systemctl daemon-reload"
    );
    booted.run("sh", &["-c", &script]).unwrap();
    booted.control("start", WHOLE);
    booted.wait("the address", || booted.has_address());
    let stuck = booted.property(WHOLE, "MainPID");
    booted.run("kill", &["-STOP", &stuck]).unwrap();
    booted.wait("another parent", || {
        booted.property(WHOLE, "NRestarts") == "1"
    });
    booted.wait("its state", || {
        booted.property(WHOLE, "ActiveState") == "active"
    });
    assert_ne!(booted.property(WHOLE, "MainPID"), stuck);
    booted.wait("the address again", || booted.has_address());
    booted.control("stop", WHOLE);
    assert!(!booted.has_address());

    booted.control("start", ALONE);
    booted.wait("a page with the failed check", || {
        booted
            .run("curl", &["--silent", "http://127.0.0.1:9165/metrics"])
            .is_ok_and(|page| page.lines().any(is_failed_check))
    });
    let status = format!("/proc/{}/status", booted.property(ALONE, "MainPID"));
    let status = booted.run("cat", &[&status]).unwrap();
    assert!(!status.contains("Uid:\t0"), "{status}");
    assert!(status.contains("CapPrm:\t0000000000000000"), "{status}");
    booted.control("stop", ALONE);
    assert_eq!(booted.property(ALONE, "Result"), "success");
}

fn is_failed_check(line: &str) -> bool {
    line.starts_with("keepalived_check_up{") && line.ends_with("} 0")
}
