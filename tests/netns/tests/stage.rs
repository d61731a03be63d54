//! A host for servers and the checker process that runs alone there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use kr_testkit::binaries;
use kr_testkit::netns::{Host, Network, run};
use kr_testkit::process::Process;
use kr_testkit::wait::eventually;
use tempfile::TempDir;

/// What everything that should happen soon is given on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A host with servers and a checker process that runs alone, as nobody.
pub(crate) struct Stage {
    _network: Network,
    pub(crate) host: Host,
    pub(crate) directory: TempDir,
    checker: Option<Process>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let network = Network::new().unwrap();
        let host = network.host("one").unwrap();
        host.sysctl("net/ipv4/ping_group_range", "0 2147483647")
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            _network: network,
            host,
            directory,
            checker: None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file; `{dir}` is this stage's directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let directory = self.directory.path().to_str().unwrap();
        fs::write(&path, text.replace("{dir}", directory)).unwrap();
        path
    }

    /// A key and a certificate signed with it, for these names.
    pub(crate) fn certificate(&self, name: &str, alternatives: &str) {
        let path = |end: &str| self.path(&format!("{name}.{end}")).display().to_string();
        run(Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-batch",
            ])
            .args([
                "-subj",
                &format!("/CN={name}"),
                "-keyout",
                &path("key"),
                "-out",
                &path("pem"),
            ])
            .args(["-addext", &format!("subjectAltName={alternatives}")])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"]))
        .unwrap();
    }

    /// Starts a server that stays in the foreground.
    pub(crate) fn serve(&self, program: &str, arguments: &[&str]) -> Process {
        let mut command = self.host.command(program);
        command.args(arguments);
        let name = Path::new(program).file_name().unwrap().to_str().unwrap();
        Process::spawn(&mut command, &self.path(&format!("{name}.log"))).unwrap()
    }

    /// Runs the checks of this file.
    pub(crate) fn check(&mut self, text: &str) {
        let file = self.write("checks.conf", text);
        let mut command = self.host.command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(binaries::path("checkerd").unwrap())
            .args(["--listen", "127.0.0.1:0", "-f"])
            .arg(file);
        let log = self.path("checkerd.log");
        self.checker = Some(Process::spawn(&mut command, &log).unwrap());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("checkerd.log")).unwrap_or_default()
    }

    /// Waits for what the last line about a check says.
    pub(crate) fn until(&self, number: u8, says: &str) {
        let label = format!(" in [192.0.2.{number}]:tcp:80 ");
        let last = || {
            let log = self.log();
            let line = log.lines().rfind(|line| line.contains(&label));
            line.unwrap_or_default().to_owned()
        };
        let said = eventually(SOON, says, || last().contains(says));
        assert!(
            said.is_ok(),
            "check {number}: {said:?}; log:\n{}",
            self.log()
        );
    }

    fn checker(&self) -> &Process {
        self.checker.as_ref().unwrap()
    }

    /// Open descriptors of the checker process.
    pub(crate) fn descriptors(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.checker().pid());
        fs::read_dir(directory).unwrap().count()
    }

    /// The most memory that it ever held, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let file = format!("/proc/{}/status", self.checker().pid());
        let status = fs::read_to_string(file).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM"));
        let number = line.unwrap().split_whitespace().nth(1);
        number.unwrap().parse().unwrap()
    }

    pub(crate) fn genhash(&self, program: &Path, arguments: &[&str]) -> Output {
        self.host.command(program).args(arguments).output().unwrap()
    }
}

/// A service of its own for each check, told apart by number, of a server on loopback.
pub(crate) fn service(number: u8, port: u16, check: &str) -> String {
    format!(
        "virtual_server 192.0.2.{number} 80 {{
            delay_loop 0.3
            warmup 0
            delay_before_retry 0.2
            connect_timeout 3
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 127.0.0.1 {port} {{
                {check}
            }}
        }}\n"
    )
}
