//! The files for systemd: understood without a complaint, and as closed as they were made.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Most exposure that `systemd-analyze security` may find, in tenths.
const FULL_SET: u32 = 43;
const FULL_SET_STRICT: u32 = 34;
const CHECKERD_ALONE: u32 = 11;

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd")
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program} (package systemd): {error}"))
}

/// The exposure of a unit of that text, in tenths.
fn exposure(text: &str) -> u32 {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("judged.service");
    fs::write(&unit, text).unwrap();
    let output = run(
        "systemd-analyze",
        &[
            "security",
            "--offline=true",
            "--no-pager",
            unit.to_str().unwrap(),
        ],
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!complaint.contains("judged.service"), "{complaint}");
    let level = said
        .lines()
        .find_map(|line| line.split_once("Overall exposure level for judged.service: "));
    let level = level.unwrap_or_else(|| panic!("{said}{complaint}")).1;
    let (whole, tenth) = level
        .split_whitespace()
        .next()
        .unwrap()
        .split_once('.')
        .unwrap();
    whole.parse::<u32>().unwrap() * 10 + tenth.parse::<u32>().unwrap()
}

fn text(name: &str) -> String {
    fs::read_to_string(units().join(name)).unwrap()
}

#[test]
fn no_unit_is_more_open_than_it_was_made() {
    // A drop-in is read after its unit.
    let strict = text("keepalived-rs.service") + &text("keepalived-rs.service.d/strict.conf");
    for (text, most) in [
        (text("keepalived-rs.service"), FULL_SET),
        (strict, FULL_SET_STRICT),
        (text("keepalived-checkerd.service"), CHECKERD_ALONE),
    ] {
        let found = exposure(&text);
        assert!(found <= most, "{found} tenths, at most {most}:\n{text}");
    }
}

#[test]
fn the_system_calls_of_a_sandbox_are_allowed_by_the_unit_around_it() {
    for name in ["keepalived-rs.service", "keepalived-checkerd.service"] {
        let text = text(name);
        let filter = text
            .lines()
            .find_map(|line| line.strip_prefix("SystemCallFilter="));
        let words: Vec<&str> = filter.unwrap().split_whitespace().collect();
        for call in [
            "seccomp",
            "landlock_create_ruleset",
            "landlock_add_rule",
            "landlock_restrict_self",
        ] {
            assert!(words.contains(&call), "{name}: {call}");
        }
    }
}

#[test]
fn accounts_and_directories_are_made_as_the_daemon_expects_them() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let at_root = format!("--root={}", root.path().display());
    let file = |name: &str| units().join(name).display().to_string();
    let accounts = run(
        "systemd-sysusers",
        &[&at_root, &file("sysusers.d/keepalived-rs.conf")],
    );
    assert!(accounts.status.success(), "{accounts:?}");
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    for account in ["keepalived-vrrp", "keepalived-check", "keepalived-ipvs"] {
        assert!(
            passwd
                .lines()
                .any(|line| line.starts_with(&format!("{account}:"))),
            "{passwd}"
        );
    }
    let made = run(
        "systemd-tmpfiles",
        &["--create", &at_root, &file("tmpfiles.d/keepalived-rs.conf")],
    );
    assert!(made.status.success(), "{made:?}");
    for (name, mode) in [("run/keepalived", 0o755), ("run/keepalived-rs", 0o700)] {
        let metadata = fs::metadata(root.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
}
