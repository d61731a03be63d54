//! AppArmor.

use std::fs;
use std::process::Command;

use kr_testkit::netns::run;

use crate::host::{self, CHECKERD, Heard, LIBEXEC, PARENT};
use crate::intruder;
use crate::scenario::{self, Labels};

const LABELS: Labels = Labels {
    parent: "keepalived-rs (enforce)",
    children: [
        "keepalived-rs-vrrpd (enforce)",
        "keepalived-rs-checkerd (enforce)",
        "keepalived-rs-ipvsd (enforce)",
    ],
    script: "unconfined",
};

/// Scripts are unconfined, and so is whatever else it may then signal.
const PARENT_CAN: [&str; 2] = [intruder::AS_PARENT[0], "signal"];

/// A line of the kernel's log about a refusal.
const REFUSED: &str = "apparmor=\"DENIED\"";

/// What an operator adds for a program of `MISC_CHECK` where checkerd runs alone.
const LOCAL: &str = "/etc/keepalived/note.sh rix,
    /{usr/,}bin/{,da}sh mrix,
    @{PROC}/@{pid}/attr/current r,
    /run/notes w,
";

/// Installs and loads the profiles, with what an operator adds.
fn load_profiles(local: &str) {
    fs::create_dir_all("/etc/apparmor.d/local").unwrap();
    fs::write("/etc/apparmor.d/local/keepalived-rs-checkerd-alone", local).unwrap();
    let from = host::clone().join("systemd/apparmor");
    run(Command::new("cp")
        .arg("-r")
        .arg(from.join("."))
        .arg("/etc/apparmor.d"))
    .unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            let mut parser = Command::new("apparmor_parser");
            let profile = format!("/etc/apparmor.d/{}", entry.file_name().display());
            run(parser.args(["--replace", "--skip-cache", &profile])).unwrap();
        }
    }
}

#[test]
fn apparmor_lets_the_daemon_do_its_work_and_an_intruder_nothing() {
    host::install();
    load_profiles(LOCAL);
    host::keep_kernel_log();
    let (log, told) = (Heard::syslog(), Heard::notifications());
    scenario::play(&LABELS, &log, &told);
    scenario::play_alone(&[], "keepalived-rs-checkerd-alone (enforce)", &log);
    assert_eq!(
        host::kernel_log(REFUSED),
        Vec::<String>::new(),
        "{}",
        log.end()
    );

    load_profiles("");
    let free = intruder::succeeds(&mut Command::new("/usr/bin/perl"));
    assert_eq!(
        free,
        intruder::ALL,
        "what is tried works where nothing refuses it"
    );
    let vrrpd = format!("{LIBEXEC}/vrrpd");
    let ipvsd = format!("{LIBEXEC}/ipvsd");
    // The path leads into the profile, except that of checkerd as a child.
    let child = ["aa-exec", "-p", "keepalived-rs-checkerd", "--"];
    for (program, through, possible) in [
        (PARENT, &[][..], &PARENT_CAN[..]),
        (&vrrpd, &[], &intruder::AS_VRRPD),
        (&ipvsd, &[], &intruder::AS_IPVSD),
        (CHECKERD, &[], &intruder::AS_CHECKERD),
        (CHECKERD, &child, &intruder::AS_CHECKERD),
    ] {
        intruder::replace(program);
        let words = [through, &[program]].concat();
        let mut command = Command::new(words[0]);
        let found = intruder::succeeds(command.args(&words[1..]));
        assert_eq!(found, possible, "{words:?}");
        let refused = host::kernel_log(REFUSED);
        let forbidden = intruder::ALL.len() - possible.len();
        assert!(refused.len() >= forbidden, "{words:?}: {refused:?}");
    }
}
