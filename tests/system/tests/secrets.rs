//! What the memory of the processes holds of a password.

use std::fs::File;
use std::os::unix::fs::FileExt;

use kr_testkit::wait::eventually;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::rig::{Rig, SOON, WHOLE, children};

const PASSWORD: &str = "Zq7-mX2w";

/// How often the password is in the writable memory of a process.
fn copies(pid: Pid) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // The pages of some special mappings cannot be read by anybody.
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            found += bytes
                .windows(PASSWORD.len())
                .filter(|window| *window == PASSWORD.as_bytes())
                .count();
        }
    }
    found
}

#[test]
fn a_password_that_is_no_longer_used_is_wiped() {
    let authentication =
        format!("    authentication {{\n auth_type PASS\n auth_pass {PASSWORD}\n    }}\n");
    let with = WHOLE.replace(
        "    priority 255\n",
        &format!("    priority 255\n{authentication}"),
    );
    let rig = Rig::new(&with);
    let daemon = rig.start_and_wait();
    let [vrrpd, checkerd, ipvsd] = children(&daemon);
    assert!(copies(vrrpd) > 0 && copies(daemon.pid()) > 0, "in use");
    rig.configure(WHOLE);
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    for (name, pid) in [
        ("the parent", daemon.pid()),
        ("vrrpd", vrrpd),
        ("checkerd", checkerd),
        ("ipvsd", ipvsd),
    ] {
        let wiped = eventually(SOON, "no copy", || copies(pid) == 0);
        assert!(wiped.is_ok(), "{name} holds {} copies", copies(pid));
    }
}
