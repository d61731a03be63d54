//! SELinux, with the reference policy as Debian builds it and the module of keepalived-rs.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kr_testkit::netns::run;

use crate::host::{self, CHECKERD, Heard, LIBEXEC, PARENT};
use crate::intruder;
use crate::scenario::{self, Labels};

const LABELS: Labels = Labels {
    parent: "system_u:system_r:keepalived_rs_t:s0",
    children: [
        "system_u:system_r:keepalived_rs_vrrpd_t:s0",
        "system_u:system_r:keepalived_rs_checkerd_t:s0",
        "system_u:system_r:keepalived_rs_ipvsd_t:s0",
    ],
    script: "system_u:system_r:keepalived_rs_script_t:s0",
};

/// Of netlink it has the generic family only, which AppArmor cannot tell from that of routes.
const IPVSD_CAN: [&str; 2] = ["stream", "datagram"];

/// Alone it runs the programs of `MISC_CHECK` itself, in its own domain.
const ALONE_CAN: [&str; 4] = ["shell", "stream", "datagram", "netlink"];

/// A line of the kernel's log about a refusal.
const REFUSED: &str = "avc:  denied";

/// What the processes reach, and the way there: these alone are labelled, for the guest's files have no labels.
const ROOTS: &[&str] = &[
    "/",
    "/etc",
    "/usr",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local",
    "/usr/local/sbin",
    "/usr/share",
    "/usr/lib/x86_64-linux-gnu",
    "/var",
    "/var/lib",
    "/var/log",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/nsswitch.conf",
    "/etc/ld.so.cache",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/protocols",
    "/etc/localtime",
    "/mnt",
    "/tmp",
    "/usr/bin/dash",
    "/usr/bin/test",
    "/usr/bin/perl",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/bin/sh",
    "/var/run",
    "/usr/share/zoneinfo",
    "/usr/lib64/ld-linux-x86-64.so.2",
];

const LIBRARIES: [&str; 7] = [
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libgcc_s.so.1",
    "libm.so.6",
    "libcrypt.so.1",
    "libcrypt.so.1.1.0",
    "libnss_systemd.so.2",
];

const TREES: &[&str] = &[
    "/dev",
    "/run",
    "/etc/keepalived",
    "/etc/iproute2",
    "/usr/libexec/keepalived-rs",
    PARENT,
    "/usr/share/iproute2",
    "/usr/share/zoneinfo/Etc",
];

/// Loads the policy that the runner of the lab has built.
fn load_policy() {
    let built = env::var_os("KR_SELINUX_POLICY").map(PathBuf::from).unwrap();
    let policy = built.join("etc/selinux/.");
    run(Command::new("cp").arg("-r").arg(policy).arg("/etc/selinux")).unwrap();
    run(Command::new("load_policy").arg("-i")).unwrap();
    label_files();
}

/// Gives files the labels of the policy.
fn label_files() {
    let libraries = LIBRARIES.map(|name| format!("/usr/lib/x86_64-linux-gnu/{name}"));
    let files = ROOTS
        .iter()
        .copied()
        .chain(libraries.iter().map(String::as_str));
    for (option, paths) in [("-F", files.collect::<Vec<_>>()), ("-FR", TREES.to_vec())] {
        let there = paths.into_iter().filter(|path| fs::exists(path).unwrap());
        run(Command::new("restorecon").arg(option).args(there)).unwrap();
    }
}

/// Words that let the program behind them run in a domain. `runcon` asks a file system that `ip netns exec` hides.
fn into(label: &str) -> [String; 4] {
    let script = format!("printf {label} >/proc/self/attr/exec; exec \"$@\"");
    ["sh", "-c", &script, "sh"].map(str::to_owned)
}

#[test]
fn selinux_lets_the_daemon_do_its_work_and_an_intruder_nothing() {
    host::install();
    let (log, told) = (Heard::syslog(), Heard::notifications());
    load_policy();
    run(Command::new("setenforce").arg("1")).unwrap();
    host::keep_kernel_log();
    scenario::play(&LABELS, &log, &told);
    let alone = "system_u:system_r:keepalived_rs_alone_t:s0";
    scenario::play_alone(&into(alone), alone, &log);
    assert_eq!(
        host::kernel_log(REFUSED),
        Vec::<String>::new(),
        "{}",
        log.end()
    );
    let free = intruder::succeeds(&mut Command::new("/usr/bin/perl"));
    assert_eq!(
        free,
        intruder::ALL,
        "what is tried works where nothing refuses it"
    );
    let vrrpd = format!("{LIBEXEC}/vrrpd");
    let ipvsd = format!("{LIBEXEC}/ipvsd");
    for (program, label, possible) in [
        (PARENT, LABELS.parent, &intruder::AS_PARENT[..]),
        (&vrrpd, LABELS.children[0], &intruder::AS_VRRPD),
        (&ipvsd, LABELS.children[2], &IPVSD_CAN),
        (CHECKERD, LABELS.children[1], &intruder::AS_CHECKERD),
        (CHECKERD, alone, &ALONE_CAN),
    ] {
        intruder::replace(program);
        host::kernel_log("");
        let words = into(label);
        let found = intruder::succeeds(Command::new(&words[0]).args(&words[1..]).arg(program));
        assert_eq!(found, possible, "{label}");
        let refused = host::kernel_log(REFUSED);
        let forbidden = intruder::ALL.len() - possible.len();
        assert!(refused.len() >= forbidden, "{label}: {refused:?}");
    }
}
