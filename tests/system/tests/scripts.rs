//! The operator's scripts: order, arguments, account, time limit.

use std::fs;

use kr_testkit::wait::eventually;

use crate::rig::{Rig, SOON, WHOLE};

#[test]
fn scripts_of_an_instance_run_in_order_with_the_words_of_the_manual() {
    let rig = Rig::new(WHOLE);
    let mut daemon = rig.start_and_wait();
    eventually(SOON, "notes of the master", || {
        rig.notes()
            .last()
            .is_some_and(|note| note.contains("MASTER"))
    })
    .unwrap();
    daemon.terminate(SOON).unwrap();
    let notes = rig.notes();
    let from = notes.iter().position(|note| note == "master").unwrap();
    assert_eq!(
        notes[from..],
        [
            "master",
            "any INSTANCE VI_1 MASTER 255",
            "any INSTANCE VI_1 STOP 255",
        ]
    );
}

#[test]
fn a_script_runs_as_its_account_with_a_clean_environment() {
    let text = WHOLE
        .replace("script_user root", "script_user nobody")
        .replace("{dir}/note.sh master", "{dir}/who.sh");
    let rig = Rig::new(&text);
    let out = rig.path("out");
    fs::create_dir(&out).unwrap();
    nix::unistd::chown(&out, Some(65534.into()), None).unwrap();
    open_to_all(&rig);
    let target = out.join("who");
    rig.script(
        "who.sh",
        &format!(
            "(id -u; env; ls /proc/$$/fd; pwd) > {0}.new; mv {0}.new {0}\n",
            target.display()
        ),
    );
    let mut command = rig.command(&["-nlDG"]);
    command
        .env("LD_LIBRARY_PATH", "/nonexistent")
        .env("NOTIFY_SOCKET", "/nonexistent");
    let _daemon = kr_testkit::process::Process::spawn(&mut command, &rig.path("log")).unwrap();
    eventually(SOON, "the script", || target.exists()).unwrap();
    let text = fs::read_to_string(&target).unwrap();
    assert!(text.starts_with("65534\n"), "{text}");
    assert!(
        !text.contains("LD_LIBRARY_PATH") && !text.contains("NOTIFY_SOCKET"),
        "{text}"
    );
    assert!(text.contains("PATH="), "{text}");
    assert!(text.ends_with("/\n"), "{text}");
}

#[test]
fn a_check_script_that_hangs_is_ended_and_counts_as_failure() {
    let misc =
        "MISC_CHECK {\n            misc_path {dir}/hang.sh\n            misc_timeout 1\n        }";
    let text = WHOLE.replace(
        "TCP_CHECK {\n            connect_timeout 1\n        }",
        misc,
    );
    let rig = Rig::new(&text);
    rig.script(
        "hang.sh",
        &format!(
            "echo $$ > {}\nsleep 600 & wait\n",
            rig.path("hang.pid").display()
        ),
    );
    let daemon = rig.start_and_wait();
    rig.wait_for(&daemon, "takes too long: ending it");
    rig.wait_for(&daemon, "[10.9.0.1]:tcp:80 is down (Checks)");
    // Its whole group is gone, the sleeping child of the script too.
    let group = fs::read_to_string(rig.path("hang.pid")).unwrap();
    let group = nix::unistd::Pid::from_raw(group.trim().parse().unwrap());
    eventually(SOON, "the end of the group", || {
        // Another run may have begun meanwhile; this one is gone.
        nix::sys::signal::killpg(group, None).is_err()
    })
    .unwrap();
}

/// The account of a script must be able to reach it.
fn open_to_all(rig: &Rig) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(rig.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_startup_script_comes_before_everything_and_the_shutdown_script_after() {
    let rig = Rig::new(&WHOLE.replace(
        "script_user root",
        "script_user root\n    startup_script \"{dir}/first.sh\"\n    shutdown_script \"{dir}/note.sh last\"\n    \
         shutdown_script_timeout 5",
    ));
    rig.script(
        "first.sh",
        &format!(
            "sleep 0.5\necho first $(ls {}) >> {}\nexit 3\n",
            rig.path("vrrpd.pid").display(),
            rig.path("notes").display()
        ),
    );
    let mut daemon = rig.start_and_wait();
    eventually(SOON, "notes of the master", || rig.notes().len() > 2).unwrap();
    assert!(daemon.log().contains("first.sh` exited with code 3"));
    daemon.terminate(SOON).unwrap();
    let notes = rig.notes();
    assert_eq!(notes.first().unwrap(), "first", "{notes:?}");
    assert_eq!(notes.last().unwrap(), "last", "{notes:?}");
    assert!(
        notes.contains(&"any INSTANCE VI_1 STOP 255".to_owned()),
        "{notes:?}"
    );
}

#[test]
fn a_startup_script_that_hangs_is_ended_and_the_daemon_starts() {
    let rig = Rig::new(&WHOLE.replace(
        "script_user root",
        "script_user root\n    startup_script \"/bin/sleep 600\"\n    startup_script_timeout 1",
    ));
    let daemon = rig.start_and_wait();
    assert!(daemon.log().contains("takes too long: ending it"));
}

#[test]
fn a_script_that_hangs_does_not_keep_that_of_the_last_state_from_running() {
    let rig = Rig::new(&WHOLE.replace("note.sh master", "hang.sh"));
    rig.script("hang.sh", "sleep 600\n");
    let mut daemon = rig.start_and_wait();
    rig.wait_for(&daemon, "hang.sh` as process");
    daemon.terminate(SOON).unwrap();
    assert_eq!(rig.notes().last().unwrap(), "any INSTANCE VI_1 STOP 255");
}

#[test]
fn a_script_that_others_can_change_meanwhile_no_longer_runs() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new(&WHOLE.replace(
        "script_user root",
        "script_user root\n    enable_script_security",
    ));
    let mut daemon = rig.start_and_wait();
    eventually(SOON, "notes of the master", || rig.notes().len() > 1).unwrap();
    fs::set_permissions(rig.path("note.sh"), fs::Permissions::from_mode(0o777)).unwrap();
    daemon.terminate(SOON).unwrap();
    let log = daemon.log();
    assert!(
        log.contains("note.sh can be changed by everybody; `chmod o-w "),
        "{log}"
    );
    assert!(
        !rig.notes().iter().any(|note| note.contains("STOP")),
        "{:?}",
        rig.notes()
    );
}

#[test]
fn no_script_runs_as_root_only_because_nobody_said_otherwise() {
    let rig = Rig::new(&WHOLE.replace("script_user root", "enable_script_security"));
    let report = rig.command(&["-t"]).output().unwrap();
    let text = String::from_utf8_lossy(&report.stderr).into_owned();
    let account = nix::unistd::User::from_name("keepalived_script").unwrap();
    assert_eq!(
        text.contains("there is no user `keepalived_script` (it will not run)"),
        account.is_none(),
        "{text}"
    );
    assert_eq!(report.status.code() == Some(6), account.is_none());
}

#[test]
fn scripts_gain_no_privileges_when_that_is_forbidden() {
    let rig = Rig::new(
        &WHOLE
            .replace(
                "script_user root",
                "script_user root\n    script_no_new_privileges",
            )
            .replace("note.sh master", "status.sh"),
    );
    let out = rig.path("status");
    rig.script(
        "status.sh",
        &format!(
            "cp /proc/self/status {0}.new; mv {0}.new {0}\n",
            out.display()
        ),
    );
    let _daemon = rig.start_and_wait();
    eventually(SOON, "the script", || out.exists()).unwrap();
    assert!(fs::read_to_string(out).unwrap().contains("NoNewPrivs:\t1"));
}

#[test]
fn scripts_write_nowhere_but_where_they_may() {
    let rig = Rig::new(
        &WHOLE
            .replace(
                "script_user root",
                "script_user root\n    script_read_only {dir}/free",
            )
            .replace("note.sh master", "escape.sh"),
    );
    let (free, kept) = (rig.path("free"), rig.path("kept"));
    fs::create_dir(&free).unwrap();
    fs::write(&kept, "kept").unwrap();
    let directory = rig.path("").display().to_string();
    rig.script(
        "escape.sh",
        &format!(
            "cd {directory}
             for attempt in 'echo x > kept' 'echo x >> kept' 'rm kept' 'mv kept gone' 'echo x > new' 'mkdir new' \
                 'mkfifo new' 'ln -s kept new' 'ln kept new' 'mknod new c 1 3' 'mv kept free/' 'ln kept free/'; do
                 sh -c \"$attempt\" 2>/dev/null && echo \"$attempt\" >> free/escaped
             done
             cat kept > free/read && rm free/read && mkdir free/d && echo x > /dev/null && echo end > free/end\n"
        ),
    );
    let _daemon = rig.start_and_wait();
    eventually(SOON, "the script", || free.join("end").exists()).unwrap();
    let escaped = fs::read_to_string(free.join("escaped")).unwrap_or_default();
    assert_eq!(escaped, "");
    assert_eq!(fs::read_to_string(kept).unwrap(), "kept");
    assert!(!rig.path("new").exists());
}

#[test]
fn a_directory_for_scripts_that_is_not_there_stops_the_start() {
    let rig = Rig::new(&WHOLE.replace(
        "script_user root",
        "script_user root\n    script_read_only /nowhere",
    ));
    let mut daemon = rig.start();
    let ended = eventually(SOON, "the end", || daemon.exited().is_some());
    assert!(ended.is_ok() && !daemon.exited().unwrap().success());
    let log = daemon.log();
    assert!(
        log.contains("script_read_only: /nowhere cannot be opened"),
        "{log}"
    );
}
