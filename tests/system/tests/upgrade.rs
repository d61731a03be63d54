//! In-place upgrade: the daemon goes on as another program with the same process id, or stays what it is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use kr_testkit::binaries;
use kr_testkit::process::{Process, child_named, is_alive};
use kr_testkit::wait::{eventually, throughout};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::rig::{CHILDREN, Rig, SOON, WHOLE, children, pid_in};

/// A rig with an installation of its own, which an upgrade replaces.
struct Installed {
    rig: Rig,
}

impl Installed {
    fn new(configuration: &str) -> Self {
        let rig = Rig::new(configuration);
        fs::create_dir(rig.path("bin")).unwrap();
        let installed = Self { rig };
        installed.install();
        installed
    }

    fn program(&self, name: &str) -> PathBuf {
        self.rig.path("bin").join(name)
    }

    /// Puts new files in the place of all programs, as a package manager does.
    fn install(&self) {
        for name in ["keepalived-rs", "vrrpd", "checkerd", "ipvsd"] {
            let new = self.rig.path("bin").join(format!("{name}.new"));
            fs::copy(binaries::path(name).unwrap(), &new).unwrap();
            fs::rename(new, self.program(name)).unwrap();
        }
    }

    /// Puts a script in the place of a program; `$REAL` is the program itself.
    fn replace(&self, name: &str, script: &str) {
        let real = binaries::path(name).unwrap();
        let text = format!("#!/bin/bash\nREAL={}\n{script}\n", real.display());
        let new = self.rig.path("bin").join(format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(new, self.program(name)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let like = self.rig.command(arguments);
        let mut command = self.rig.host.command(self.program("keepalived-rs"));
        // Behind `ip netns exec NAME PROGRAM`.
        let words: Vec<_> = like.get_args().skip(4).collect();
        command.args(words).env("TMPDIR", self.rig.directory.path());
        command
    }

    fn start(&self) -> Process {
        let daemon = Process::spawn(&mut self.command(&["-nlDG"]), &self.rig.path("log")).unwrap();
        self.rig
            .wait_for(&daemon, "up: every process runs its configuration");
        let address = || self.rig.host.has_address("10.9.0.9");
        eventually(SOON, "the address", address).unwrap();
        daemon
    }

    /// `keepalived-rs --upgrade`, as the program that is built here.
    fn upgrade(&self) -> Output {
        self.rig.command(&["--upgrade"]).output().unwrap()
    }

    /// Upgrades, and returns why it was refused.
    fn refused(&self) -> String {
        let output = self.upgrade();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn runs(&self, pid: Pid) -> PathBuf {
        fs::read_link(format!("/proc/{pid}/exe")).unwrap()
    }

    /// Capabilities and the like, and how many descriptors are open: an upgrade leaves nothing behind.
    fn holdings(&self, pid: Pid) -> (String, usize) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let kept = [
            "Uid",
            "Gid",
            "Groups",
            "Cap",
            "NoNewPrivs",
            "Seccomp",
            "SigBlk",
            "SigIgn",
            "SigCgt",
        ];
        let lines = status
            .lines()
            .filter(|line| kept.iter().any(|start| line.starts_with(start)));
        let lines: Vec<&str> = lines.collect();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        (lines.join("\n"), descriptors)
    }

    fn masters(&self) -> usize {
        let notes = self.rig.notes();
        notes.iter().filter(|note| *note == "master").count()
    }
}

#[test]
fn upgrade_replaces_every_program_and_keeps_process_id_address_and_files() {
    let installed = Installed::new(WHOLE);
    let rig = &installed.rig;
    let mut daemon = installed.start();
    eventually(SOON, "the note of the master", || installed.masters() == 1).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let held = installed.holdings(daemon.pid());
    for _ in 0..3 {
        let before = children(&daemon);
        installed.install();
        let output = installed.upgrade();
        assert!(output.status.success(), "{output:?}\n{}", daemon.log());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains(&format!("runs as process {}", daemon.pid())),
            "{text}"
        );
        assert!(is_alive(daemon.pid()) && daemon.exited().is_none());
        assert_eq!(
            installed.runs(daemon.pid()),
            installed.program("keepalived-rs")
        );
        let after = children(&daemon);
        for (index, name) in CHILDREN.iter().enumerate() {
            assert_ne!(before[index], after[index], "{name}");
            assert_eq!(installed.runs(after[index]), installed.program(name));
            assert_eq!(
                pid_in(&rig.path(&format!("{name}.pid"))),
                Some(after[index])
            );
        }
        assert!(rig.host.has_address("10.9.0.9"));
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(installed.holdings(daemon.pid()), held);
    }
    assert_eq!(pid_in(&rig.path("k.pid")), Some(daemon.pid()));
    assert_eq!(installed.masters(), 1, "{:?}", rig.notes());
    // The new version does all that the old one did.
    rig.configure(&WHOLE.replace("10.9.0.9/24", "10.9.0.9/24\n        10.9.0.10/24"));
    daemon.signal(Signal::SIGHUP).unwrap();
    eventually(SOON, "the new address", || {
        rig.host.has_address("10.9.0.10")
    })
    .unwrap();
    assert_eq!(daemon.terminate(SOON).unwrap().code(), Some(0));
    assert!(!rig.host.has_address("10.9.0.9"));
    for name in ["k", "vrrpd", "checkerd", "ipvsd"] {
        assert!(!rig.path(&format!("{name}.pid")).exists(), "{name}");
    }
    assert!(!rig.path("k.pid.upgrade").exists());
}

#[test]
fn new_program_that_cannot_take_over_leaves_the_old_one_running_and_says_why() {
    let installed = Installed::new(WHOLE);
    let daemon = installed.start();
    let before = children(&daemon);
    let broken = [
        ("exit 3", "the new program exited with code 3"),
        (
            "echo no such library >&2; exit 127",
            "after saying `no such library`",
        ),
        ("echo accepted >&2; kill -SEGV $$", "was ended by SIGSEGV"),
        (
            "sed 's/\"version\":1,/\"version\":9,/' <&3 >$0.state; exec $REAL \"$@\" 3<$0.state",
            "it has form 9, and this version",
        ),
        (
            "sed 's/\"generation\"/\"generations\"/' <&3 >$0.state; exec $REAL \"$@\" 3<$0.state",
            "missing field `generation`",
        ),
    ];
    for (script, reason) in broken {
        installed.replace("keepalived-rs", script);
        let said = installed.refused();
        assert!(said.contains(reason), "{script}: {said}");
    }
    let file = installed.program("keepalived-rs");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(installed.refused().contains("cannot be executed"));
    fs::remove_file(&file).unwrap();
    assert!(installed.refused().contains("No such file"));
    installed.install();
    for name in CHILDREN {
        installed.replace(name, "exit 5");
        let said = installed.refused();
        assert!(
            said.contains(&format!("{name}: it exited with code 5")),
            "{said}"
        );
        installed.install();
    }
    installed
        .rig
        .configure(&WHOLE.replace("interface eth0", "interface nosuch0"));
    let said = installed.refused();
    assert!(said.contains("the configuration has errors"), "{said}");
    assert_eq!(children(&daemon), before);
    assert!(installed.rig.host.has_address("10.9.0.9"));
    assert_eq!(installed.masters(), 1);
    // It was not harmed by any of this.
    installed.rig.configure(WHOLE);
    let output = installed.upgrade();
    assert!(output.status.success(), "{output:?}\n{}", daemon.log());
}

#[test]
fn a_child_that_dies_between_installation_and_upgrade_is_started_from_the_old_file() {
    let installed = Installed::new(WHOLE);
    let daemon = installed.start();
    let before = children(&daemon);
    // Also when the new one would do nothing good.
    installed.replace("ipvsd", "exit 5");
    installed.install();
    installed.replace("vrrpd", "exec sleep 1000");
    for pid in &before {
        kill(*pid, Signal::SIGKILL).unwrap();
    }
    let again = || {
        let names = CHILDREN.iter().zip(&before);
        let mut now = names.map(|(name, before)| (child_named(daemon.pid(), name), before));
        now.all(|(now, before)| now.is_some_and(|now| now != *before))
    };
    let address = || installed.rig.host.has_address("10.9.0.9");
    eventually(SOON, "new children", again).unwrap();
    throughout(Duration::from_secs(2), "the address stays", address).unwrap();
    for (name, pid) in CHILDREN.iter().zip(children(&daemon)) {
        let old = format!("{} (deleted)", installed.program(name).display());
        assert_eq!(installed.runs(pid), PathBuf::from(old));
        let told = format!("{name} is another file now");
        assert!(daemon.log().contains(&told), "{}", daemon.log());
    }
    assert_eq!(installed.masters(), 1, "{:?}", installed.rig.notes());
    installed.install();
    let output = installed.upgrade();
    assert!(output.status.success(), "{output:?}\n{}", daemon.log());
    for (name, pid) in CHILDREN.iter().zip(children(&daemon)) {
        assert_eq!(installed.runs(pid), installed.program(name));
    }
    assert!(address());
}

#[test]
fn a_child_of_another_version_refuses_to_start_and_says_why() {
    for name in CHILDREN {
        let mut command = Command::new(binaries::path(name).unwrap());
        let output = command.arg("--protocol=1").output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{name}");
        let said = String::from_utf8(output.stderr).unwrap();
        let expected = format!("{name} is of another version than the daemon that starts it");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn new_program_that_hangs_is_ended_and_the_old_one_runs_on() {
    let installed = Installed::new(WHOLE);
    let daemon = installed.start();
    let before = children(&daemon);
    installed.replace("keepalived-rs", "exec sleep 1000");
    let said = installed.refused();
    assert!(
        said.contains("neither accepts nor refuses within 20 s"),
        "{said}"
    );
    // A child that starts and says nothing.
    installed.install();
    installed.replace("ipvsd", "exec sleep 1000");
    let said = installed.refused();
    assert!(
        said.contains("ipvsd: it does not answer within 10 s"),
        "{said}"
    );
    assert_eq!(children(&daemon), before);
    assert_eq!(child_named(daemon.pid(), "sleep"), None);
    assert!(installed.rig.host.has_address("10.9.0.9"));
}

#[test]
fn children_that_speak_another_language_work_on_until_they_are_replaced() {
    let installed = Installed::new(WHOLE);
    let daemon = installed.start();
    let before = children(&daemon);
    let other = "for word in \"$@\"; do case $word in --take-over=*) fd=${word#*=};; --try-take-over=*) fd=3;; esac; done\n\
                 sed 's/\"protocol\":[0-9]*/\"protocol\":1/' <&$fd >$0.state\n\
                 eval \"exec $REAL \\\"\\$@\\\" --libexec=$(dirname $0) $fd<$0.state\"";
    installed.replace("keepalived-rs", other);
    let output = installed.upgrade();
    assert!(output.status.success(), "{output:?}\n{}", daemon.log());
    assert!(
        daemon.log().contains("which speak another language"),
        "{}",
        daemon.log()
    );
    let after = children(&daemon);
    assert!(
        before
            .iter()
            .all(|pid| !after.contains(pid) && !is_alive(*pid))
    );
    assert!(installed.rig.host.has_address("10.9.0.9"));
    assert_eq!(installed.masters(), 1);
}

#[test]
fn scripts_fifos_and_tracking_results_survive() {
    let configuration = WHOLE.replace(
        "vrrp_instance VI_1 {",
        "vrrp_script good {\n    script \"{dir}/good.sh\"\n    interval 3600\n    weight -60\n}\n\
         vrrp_instance VI_1 {\n    track_script {\n        good\n    }",
    );
    let configuration = configuration
        .replace("priority 255", "priority 200")
        .replace(
            "router_id TEST",
            "router_id TEST\n    notify_fifo {dir}/fifo\n    notify_fifo_script {dir}/reader.sh",
        );
    let installed = Installed::new(&configuration);
    let rig = &installed.rig;
    rig.script(
        "good.sh",
        &format!("echo ran >> {}\nexit 1\n", rig.path("good").display()),
    );
    rig.script(
        "reader.sh",
        &format!(
            "cat \"$1\" >> {}\necho end >> {0}\n",
            rig.path("lines").display()
        ),
    );
    // The script of the state runs through the upgrade.
    rig.script(
        "note.sh",
        &format!(
            "[ \"$1\" = any ] && sleep 8\necho \"$@\" >> {}\n",
            rig.path("notes").display()
        ),
    );
    let mut daemon = installed.start();
    let read = |name: &str| fs::read_to_string(rig.path(name)).unwrap_or_default();
    eventually(SOON, "the line", || read("lines").contains("MASTER")).unwrap();
    eventually(SOON, "the result", || {
        daemon.log().contains("it exited with status 1")
    })
    .unwrap();
    let lines = read("lines");
    installed.install();
    let output = installed.upgrade();
    assert!(output.status.success(), "{output:?}\n{}", daemon.log());
    throughout(Duration::from_secs(2), "the same lines", || {
        read("lines") == lines
    })
    .unwrap();
    // One run, whose result is known without another.
    assert_eq!(read("good"), "ran\n");
    daemon.signal(Signal::SIGUSR1).unwrap();
    eventually(SOON, "the dump", || rig.path("keepalived.data").exists()).unwrap();
    let data = read("keepalived.data");
    assert!(data.contains("140"), "{data}");
    let ended = || rig.notes().iter().any(|note| note.starts_with("any "));
    eventually(SOON, "the script of before", ended).unwrap();
    daemon.terminate(SOON).unwrap();
    let lines = read("lines");
    assert!(
        lines.ends_with("end\n") && lines.contains("STOP"),
        "{lines}"
    );
}

#[test]
fn systemd_hears_the_same_process_reload_and_its_watchdog_is_fed() {
    let installed = Installed::new(WHOLE);
    let rig = &installed.rig;
    let socket = UnixDatagram::bind(rig.path("notify")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut command = installed.command(&["-nlDG"]);
    command
        .env("NOTIFY_SOCKET", rig.path("notify"))
        .env("WATCHDOG_USEC", "3000000");
    let daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    let hear = || {
        let mut bytes = [0; 1024];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let until = |wanted: &str| loop {
        let heard = hear();
        if heard.contains(wanted) {
            break;
        }
        assert!(heard.contains("WATCHDOG=1"), "{heard}");
    };
    until("READY=1");
    installed.install();
    let output = installed.upgrade();
    assert!(output.status.success(), "{output:?}\n{}", daemon.log());
    until("RELOADING=1");
    until("READY=1");
    until("WATCHDOG=1");
}

#[test]
fn a_process_that_cannot_upgrade_itself_is_not_signalled() {
    let rig = Rig::new(WHOLE);
    let mut other = Process::spawn(Command::new("sleep").arg("60"), &rig.path("other")).unwrap();
    fs::write(rig.path("k.pid"), format!("{}\n", other.pid())).unwrap();
    let output = rig.command(&["--upgrade"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("no keepalived-rs that can upgrade itself"),
        "{said}"
    );
    assert!(other.exited().is_none());
}
