//! `checkerd -f FILE` as an ordinary user: checks, pages, reload, scripts, hostile clients.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use kr_testkit::process::{Process, is_alive, tree};
use kr_testkit::servers::TcpServer;
use kr_testkit::servers::http::{Behaviour, HttpServer};
use kr_testkit::wait::eventually;
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use serde_json::Value;

use crate::harness::{PATIENCE, nobody};

/// The usual number of the account `nobody`.
const NOBODY: u32 = 65_534;

pub(crate) struct Alone {
    pub(crate) process: Process,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

fn configuration(directory: &tempfile::TempDir) -> PathBuf {
    directory.path().join("k.conf")
}

impl Alone {
    fn start(text: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_checkerd"));
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        Self::start_by(command, text)
    }

    /// Starts it through a command that takes its arguments.
    pub(crate) fn start_by(mut command: Command, text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(configuration(&directory), text).unwrap();
        command
            .args(["--listen", "127.0.0.1:0", "-f"])
            .arg(configuration(&directory));
        let log = directory.path().join("log");
        let process = Process::spawn(&mut command, &log).unwrap();
        let listening = || {
            let log = process.log();
            let (_, rest) = log.split_once("listening on ")?;
            rest.split_whitespace().next()?.parse().ok()
        };
        eventually(PATIENCE, "listening socket", || listening().is_some())
            .unwrap_or_else(|error| panic!("{error}: {}", process.log()));
        Self {
            address: listening().unwrap(),
            process,
            directory,
        }
    }

    fn reload(&self, text: &str) {
        fs::write(configuration(&self.directory), text).unwrap();
        self.process.signal(Signal::SIGHUP).unwrap();
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn status(&self) -> Value {
        let answer = self.get("/status");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        eventually(PATIENCE, what, || holds(self))
            .unwrap_or_else(|error| panic!("{error}: {}", self.process.log()));
    }

    pub(crate) fn until_log(&self, text: &str) {
        self.until(text, |alone| alone.process.log().contains(text));
    }
}

/// A virtual server with these real servers, checked every 100 ms.
fn pool(servers: &[(SocketAddr, &str)]) -> String {
    let mut text = "virtual_server 192.0.2.1 80 {\nlb_algo rr\nlb_kind NAT\nprotocol TCP\n\
                    delay_loop 0.1\nwarmup 0\nretry 1\ndelay_before_retry 0.1\n"
        .to_owned();
    for (address, check) in servers {
        let (ip, port) = (address.ip(), address.port());
        text.push_str(&format!("real_server {ip} {port} {{\n{check}\n}}\n"));
    }
    text + "}\n"
}

#[test]
fn checks_of_a_file_are_made_and_reported() {
    let web = HttpServer::start(Behaviour::ok("x")).unwrap();
    let absent = nobody();
    let get = "HTTP_GET {\nurl {\npath /\n}\n}\nTCP_CHECK {\n}";
    let alone = Alone::start(&pool(&[(web.address(), get), (absent, "TCP_CHECK {\n}")]));
    alone.until_log(&format!(
        "TCP_CHECK of [{}]:tcp:{} in [192.0.2.1]:tcp:80 failed: connection refused; now down",
        absent.ip(),
        absent.port()
    ));
    assert!(alone.get("/healthz").ends_with("\r\n\r\nok\n"));
    let of = |address: SocketAddr| {
        let vip = "virtual_server=\"[192.0.2.1]:tcp:80\"";
        let (ip, port) = (address.ip(), address.port());
        format!("{vip},real_server=\"[{ip}]:tcp:{port}\"")
    };
    let (web_labels, absent_labels) = (of(web.address()), of(absent));
    alone.until("both in the metrics", |alone| {
        let text = alone.get("/metrics");
        text.contains(&format!("keepalived_real_server_up{{{web_labels}}} 1\n"))
            && text.contains(&format!("keepalived_real_server_up{{{absent_labels}}} 0\n"))
    });
    web.set(Behaviour::status(500));
    alone.until("one check of two down", |alone| {
        let text = alone.get("/metrics");
        text.contains(&format!("keepalived_real_server_up{{{web_labels}}} 0\n"))
            && text.contains(&format!(
                "keepalived_check_up{{{web_labels},check=\"HTTP_GET\",number=\"1\"}} 0\n"
            ))
            && text.contains(&format!(
                "keepalived_check_up{{{web_labels},check=\"TCP_CHECK\",number=\"2\"}} 1\n"
            ))
    });
    let status = alone.status();
    let server = &status["real_servers"][0];
    assert_eq!(server["virtual_server"], "[192.0.2.1]:tcp:80");
    assert!(status["real_servers"].as_array().unwrap().len() == 2);
    for of_loop in ["lateness", "turns"] {
        assert!(status["loop"][of_loop]["count"].as_u64() > Some(0));
    }
}

#[test]
fn a_reload_keeps_what_is_known_and_a_broken_file_changes_nothing() {
    let server = TcpServer::on_loopback(drop).unwrap();
    let old = pool(&[(server.address(), "TCP_CHECK {\n}")]);
    let mut alone = Alone::start(&old);
    let attempts = |alone: &Alone, index: usize| {
        let status = alone.status();
        status["real_servers"][index]["checks"][0]["attempts"].as_u64()
    };
    alone.until("some attempts", |alone| attempts(alone, 0) >= Some(3));
    alone.reload("virtual_server 192.0.2.1 80 {\nnonsense\n}\n");
    alone.until_log("the reload is refused because of the errors above");
    assert!(attempts(&alone, 0) >= Some(3));
    // In front of the server that is known.
    let other = TcpServer::on_loopback(drop).unwrap();
    alone
        .reload(&(old + &pool(&[(other.address(), "TCP_CHECK {\n}")]).replace("2.1 80", "2.0 80")));
    alone.until("a second server", |alone| attempts(alone, 1).is_some());
    assert!(attempts(&alone, 1) >= Some(3), "{}", alone.status());
    let status = alone.process.terminate(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(TcpStream::connect(alone.address).is_err());
}

#[test]
fn programs_run_as_this_user_and_end_with_their_group() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let who = directory.path().join("who");
    let script = directory.path().join("check");
    let text = format!("#!/bin/sh\nid -u > {}\nexit 7\n", who.display());
    fs::write(&script, text).unwrap();
    let slow = directory.path().join("slow");
    fs::write(&slow, "#!/bin/sh\nsleep 77 &\nsleep 77\n").unwrap();
    for file in [&script, &slow] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let misc = |path: &PathBuf, more: &str| {
        format!("MISC_CHECK {{\nmisc_path {}\n{more}\n}}", path.display())
    };
    let addresses: Vec<SocketAddr> = (1..4).map(|n| ([192, 0, 2, n], 80).into()).collect();
    let checks = [
        misc(&script, "misc_dynamic"),
        misc(&slow, "misc_timeout 0.2\ndelay_loop 60\nretry 0"),
        misc(&directory.path().join("absent"), ""),
    ];
    let servers: Vec<(SocketAddr, &str)> = addresses
        .into_iter()
        .zip(checks.iter().map(String::as_str))
        .collect();
    let mut alone = Alone::start(&pool(&servers));
    alone.until_log("in [192.0.2.1]:tcp:80 failed: still running after 0.2 s; now down");
    alone.until_log("failed: the program could not be started; now down");
    alone.until("weight of the exit code", |alone| {
        alone.status()["real_servers"][0]["checks"][0]["weight"] == 5
    });
    let expected = if geteuid().is_root() {
        NOBODY
    } else {
        geteuid().as_raw()
    };
    // A run may have emptied the file just now.
    alone.until("user of the program", |_| {
        fs::read_to_string(&who).unwrap() == format!("{expected}\n")
    });
    let pids = tree(alone.process.pid());
    alone.process.terminate(PATIENCE).unwrap();
    eventually(PATIENCE, "end of all programs", || {
        !pids.iter().any(|pid| is_alive(*pid))
    })
    .unwrap();
}

#[test]
fn clients_that_say_nothing_keep_nobody_out() {
    let alone = Alone::start(&pool(&[]));
    let silent: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(alone.address).unwrap();
            stream.write_all(b"GET /metr").unwrap();
            stream
        })
        .collect();
    assert!(alone.get("/healthz").starts_with("HTTP/1.1 200 "));
    let descriptors = fs::read_dir(format!("/proc/{}/fd", alone.process.pid())).unwrap();
    assert!(descriptors.count() < 40);
    drop(silent);
    let mut endless = TcpStream::connect(alone.address).unwrap();
    endless.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sent = 0;
    while sent < 100 << 20 && endless.write_all(&[b'a'; 1 << 16]).is_ok() {
        sent += 1 << 16;
    }
    assert!(sent < 100 << 20, "read all the time");
    assert!(alone.get("/healthz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_is_wrong_at_start_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_checkerd"))
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text)
    };
    let (code, text) = run(&["-f", "/nonexistent/k.conf"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("the configuration cannot run"), "{text}");
    let (code, text) = run(&["--listen", "127.0.0.1:1"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--file"), "{text}");
    let file = configuration(&directory);
    fs::write(&file, pool(&[])).unwrap();
    let (code, text) = run(&["--listen", "192.0.2.77:1", "-f", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("cannot listen on 192.0.2.77:1"), "{text}");
}

#[test]
fn a_body_must_match_its_regex() {
    let web = HttpServer::start(Behaviour::ok("{\"state\": \"UP\",\n \"load\": 7}\n")).unwrap();
    let get = "HTTP_GET {
        url {
            path /
            regex \"\\\"state\\\":\\s*\\\"up\\\"\"
            regex_options caseless
        }
        url {
            path /load
            regex \"load.: \\d{2,}\"
            regex_no_match
            regex_min_offset 10
        }
    }";
    let alone = Alone::start(&pool(&[(web.address(), get)]));
    alone.until_log("HTTP_GET of [127.0.0.1]:tcp:");
    let up = |alone: &Alone| alone.status()["real_servers"][0]["up"] == true;
    alone.until("both pages", |alone| {
        up(alone) && alone.status()["real_servers"][0]["checks"][0]["attempts"].as_u64() >= Some(4)
    });
    web.set(Behaviour::ok("{\"state\": \"up\", \"load\": 70}"));
    alone.until_log("url /load: the body matches regex, which regex_no_match forbids; now down");
    web.set(Behaviour::ok("{\"state\": \"down\"}"));
    alone.until("still down", |alone| !up(alone));
    web.set(Behaviour::ok("{\"state\": \"up\", \"load\": 7}"));
    alone.until("up again", up);
    assert!(!alone.process.log().contains("panicked"));
}

#[test]
fn a_file_check_follows_its_file_without_a_parent() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = directory.path().join("load");
    fs::write(&file, "0\n").unwrap();
    let blocks = format!(
        "track_file load {{\nfile {}\ninit_file 9 overwrite\n}}\n",
        file.display()
    );
    let check = "FILE_CHECK {\ntrack_file load\nweight 0\n}";
    let server = ([192, 0, 2, 9], 80).into();
    let alone = Alone::start(&(blocks + &pool(&[(server, check)])));
    let up = |alone: &Alone| alone.status()["real_servers"][0]["up"].as_bool();
    alone.until("up", |alone| up(alone) == Some(true));
    assert_eq!(fs::read_to_string(&file).unwrap(), "0\n", "left as it is");
    fs::write(&file, "5\n").unwrap();
    alone.until_log("failed: file load holds 5; now down");
    assert_eq!(up(&alone), Some(false));
    fs::remove_file(&file).unwrap();
    alone.until("up again", |alone| up(alone) == Some(true));
}
