//! The guest as a host on which keepalived-rs is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use kr_testkit::binaries;
use kr_testkit::netns::run;

/// The parent.
pub(crate) const PARENT: &str = "/usr/sbin/keepalived-rs";

/// The children.
pub(crate) const LIBEXEC: &str = "/usr/libexec/keepalived-rs";

/// The one that also runs alone.
pub(crate) const CHECKERD: &str = "/usr/libexec/keepalived-rs/checkerd";

/// Where systemd hears of its services.
pub(crate) const NOTIFY_SOCKET: &str = "/run/systemd/notify";

/// `1` where SELinux refuses what its policy does not allow.
const ENFORCING: &str = "/sys/fs/selinux/enforce";

/// Writes what it was called with and under which profile or domain it runs; accepts every check.
const NOTE: &str = "#!/bin/sh\n\
    read -r label </proc/self/attr/current\n\
    echo \"$* [$label]\" >>/run/notes\n\
    exit 0\n";

/// The top of the clone.
pub(crate) fn clone() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Puts programs, accounts, directories and scripts where the units expect them.
pub(crate) fn install() {
    fs::create_dir_all(LIBEXEC).unwrap();
    for name in ["vrrpd", "checkerd", "ipvsd"] {
        copy(&binaries::path(name).unwrap(), &installed(name));
    }
    copy(&binaries::path("keepalived-rs").unwrap(), PARENT);
    let file = |name: &str| clone().join("systemd").join(name);
    let accounts = file("sysusers.d/keepalived-rs.conf");
    run(Command::new("systemd-sysusers").arg(accounts)).unwrap();
    for (directory, mode) in [("/run/keepalived", 0o755), ("/run/keepalived-rs", 0o700)] {
        fs::create_dir_all(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir_all("/etc/keepalived").unwrap();
    fs::write("/etc/keepalived/keepalived.conf", "").unwrap();
    write_program("/etc/keepalived/note.sh", NOTE);
    fs::write("/run/notes", "").unwrap();
    fs::set_permissions("/run/notes", fs::Permissions::from_mode(0o666)).unwrap();
}

/// Where a child's program is.
pub(crate) fn installed(name: &str) -> String {
    format!("{LIBEXEC}/{name}")
}

/// Puts `program` in the place of another, with the label of the place, as a package manager does.
pub(crate) fn copy(program: &Path, to: &str) {
    // A running program's file cannot be written.
    fs::remove_file(to).ok();
    fs::copy(program, to).unwrap();
    if fs::read_to_string(ENFORCING).is_ok_and(|text| text == "1") {
        run(Command::new("restorecon").args(["-F", to])).unwrap();
    }
}

fn write_program(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What scripts have written.
pub(crate) fn notes() -> String {
    fs::read_to_string("/run/notes").unwrap()
}

/// A socket at a well-known place, and what was sent to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<String>>);

impl Heard {
    /// The syslog server's: lines of all processes.
    pub(crate) fn syslog() -> Self {
        Self::at("/dev/log")
    }

    /// systemd's: what the parent says of itself.
    pub(crate) fn notifications() -> Self {
        fs::create_dir_all("/run/systemd").unwrap();
        Self::at(NOTIFY_SOCKET)
    }

    fn at(path: &str) -> Self {
        let heard = Self::default();
        let socket = UnixDatagram::bind(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        let text = Arc::clone(&heard.0);
        thread::spawn(move || {
            let mut line = [0; 4096];
            while let Ok(length) = socket.recv(&mut line) {
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(&line[..length]));
                text.push('\n');
            }
        });
        heard
    }

    /// The last lines.
    pub(crate) fn end(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Lines of the kernel's log that hold `word`, since the last call, which empties it.
pub(crate) fn kernel_log(word: &str) -> Vec<String> {
    let text = run(Command::new("dmesg").arg("--read-clear")).unwrap();
    text.lines()
        .filter(|line| line.contains(word))
        .map(str::to_owned)
        .collect()
}

/// Every line of the kernel's log is kept from now on.
pub(crate) fn keep_kernel_log() {
    fs::write("/proc/sys/kernel/printk_ratelimit", "0").unwrap();
    kernel_log("");
}

/// The profile or domain of a process.
pub(crate) fn label(pid: nix::unistd::Pid) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap();
    text.trim_end_matches(['\n', '\0']).to_owned()
}
