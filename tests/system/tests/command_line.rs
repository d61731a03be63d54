//! Options, exit codes, output. Needs no privilege.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::rig::keepalived;

/// A valid configuration without scripts, on an interface that every host has.
const GOOD: &str = "vrrp_instance VI_1 {
    interface lo0
    virtual_router_id 1
    virtual_ipaddress {
        192.0.2.1
    }
}
";

/// A service needs no interface.
const SERVICE: &str = "virtual_server 192.0.2.1 80 {
    lb_algo rr
    lb_kind NAT
    protocol TCP
    real_server 192.0.2.2 80 {
        weight 1
    }
}
";

/// Writes a configuration, tests it with `-t`, and returns exit code and findings.
fn test(text: &str) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.conf");
    fs::write(&path, text).unwrap();
    let output = keepalived(&["-t", "-f", path.to_str().unwrap()]);
    assert!(output.stdout.is_empty());
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn an_unknown_option_is_reported_on_standard_error_with_code_1() {
    for option in ["-Z", "--nonsense", "stray"] {
        let output = keepalived(&[option]);
        assert_eq!(output.status.code(), Some(1), "{option}");
        assert!(output.stdout.is_empty());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("keepalived-rs: un"), "{text}");
        assert!(text.contains(option) && text.contains("--help"), "{text}");
    }
}

#[test]
fn version_help_and_signal_numbers_are_printed() {
    let output = keepalived(&["-v"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("keepalived-rs v"), "{text}");
    let output = keepalived(&["-h"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("--use-file=FILE")
    );
    for (function, number) in [
        ("STOP", "15"),
        ("RELOAD", "1"),
        ("DATA", "10"),
        ("STATS", "12"),
    ] {
        let output = keepalived(&[&format!("--signum={function}")]);
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), number);
    }
    assert_eq!(keepalived(&["--signum=DANCE"]).status.code(), Some(1));
}

#[test]
fn keywords_are_listed_and_explained() {
    let output = keepalived(&["--list-keywords"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > 300);
    assert!(text.lines().all(|line| line.split('\t').count() == 3));
    let output = keepalived(&["--explain", "virtual_router_id"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("virtual_router_id")
    );
    let output = keepalived(&["--explain", "virtual_router_ib"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("`virtual_router_id`")
    );
}

#[test]
fn a_config_test_answers_with_keepalived_s_codes() {
    assert_eq!(test(SERVICE), (0, String::new()));
    // An interface that does not exist: nothing can run.
    let (code, findings) = test(GOOD);
    assert_eq!(code, 4, "{findings}");
    assert!(findings.contains("lo0"), "{findings}");
    // A mistake beside something that runs.
    let (code, findings) = test(&SERVICE.replace("weight 1", "wieght 1"));
    assert_eq!(code, 5, "{findings}");
    assert!(findings.contains("k.conf:6:9"), "{findings}");
    assert!(findings.contains("`weight`"), "{findings}");
    // A script without enable_script_security.
    let (code, findings) = test(&SERVICE.replace("weight 1", "weight 1\nnotify_up /bin/true"));
    assert_eq!(code, 6, "{findings}");
}

#[test]
fn a_missing_file_fails_a_config_test_and_a_start() {
    let output = keepalived(&["--config-test", "--use-file=/no/such/file"]);
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("/no/such/file"), "{text}");
}

#[test]
fn findings_of_a_config_test_go_to_a_file_when_one_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (config, log) = (
        directory.path().join("k.conf"),
        directory.path().join("log"),
    );
    fs::write(&config, "nonsense\n").unwrap();
    let output = keepalived(&[
        &format!("-t{}", log.display()),
        &format!("-f{}", config.display()),
    ]);
    assert_eq!(output.status.code(), Some(5));
    assert!(output.stderr.is_empty());
    assert!(fs::read_to_string(&log).unwrap().contains("nonsense"));
}

#[test]
fn a_script_that_others_can_change_is_named_with_the_component_at_fault() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let open = directory.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let script = open.join("s");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "global_defs {{\nenable_script_security\nscript_user root\n}}\n{}",
        SERVICE.replace(
            "weight 1",
            &format!("weight 1\nnotify_up {}", script.display())
        )
    );
    let (code, findings) = test(&text);
    assert_eq!(code, 6, "{findings}");
    assert!(
        findings.contains(&format!(
            "but {} can be changed by everybody",
            open.display()
        )),
        "{findings}"
    );
    assert!(
        findings.contains(&format!("`chmod o-w {}`", open.display())),
        "{findings}"
    );
}
