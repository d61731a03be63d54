//! `cargo xtask demo`: what it promises to leave with `--keep`, and what it takes away with `--clean`.

use std::process::Command;

use kr_testkit::{binaries, netns};

/// First letters of the demonstration's namespaces.
const PREFIX: &str = "krdemo";

fn demo(arguments: &[&str]) {
    let mut command = Command::new(binaries::path("kr-xtask").unwrap());
    let status = command.arg("demo").args(arguments).status().unwrap();
    assert!(status.success(), "demo {arguments:?}: {status}");
}

/// Output of a command in the kept namespace `host`.
fn inside(host: &str, command: &[&str]) -> String {
    let mut run = Command::new("ip");
    run.args(["netns", "exec", &format!("{PREFIX}-{host}")]);
    netns::run(run.args(command)).unwrap()
}

#[test]
fn kept_demonstration_serves_until_it_is_cleaned() {
    demo(&["--peer", "keepalived", "--keep"]);
    let table = inside("lb1", &["ipvsadm", "-Sn"]);
    assert_eq!(
        table.matches("-a -t 10.20.0.100:80 -r").count(),
        3,
        "{table}"
    );
    let answer = inside(
        "client",
        &[
            "curl",
            "--silent",
            "--max-time",
            "10",
            "http://10.20.0.100/",
        ],
    );
    assert!(answer.trim().starts_with("web"), "{answer}");
    assert_ne!(
        inside("lb2", &["ip", "netns", "pids", &format!("{PREFIX}-lb2")]),
        ""
    );

    let pids: Vec<String> = ["lb1", "lb2", "web1", "client"]
        .iter()
        .flat_map(|host| {
            let pids = inside(host, &["ip", "netns", "pids", &format!("{PREFIX}-{host}")]);
            pids.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(pids.len() >= 8, "{pids:?}");
    demo(&["--clean"]);
    assert_eq!(netns::list(PREFIX), Vec::<String>::new());
    for pid in pids {
        let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(command_line.is_empty(), "process {pid} is still there");
    }
    let files = binaries::directory().unwrap().join("../demo");
    assert!(!files.exists(), "{} is still there", files.display());
}
