//! `MISC_CHECK` of the whole daemon: thousands of programs, programs that do not end, exit codes and the
//! weights that they set.

use std::fs;
use std::time::Duration;

use kr_testkit::process::{Process, tree};
use kr_testkit::wait::{eventually, throughout};
use nix::sys::signal::Signal;

use crate::rig::{Rig, SOON};

/// Time for thousands of programs on a busy machine.
const LONG: Duration = Duration::from_secs(90);

const GLOBAL: &str = "global_defs {\n script_user root\n metrics_listen 127.0.0.1:9650\n}\n";

/// A service with these real servers.
fn service(number: usize, servers: &str) -> String {
    format!(
        "virtual_server 10.9.1.{number} 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{servers}\n}}\n"
    )
}

fn server(number: usize, lines: &str) -> String {
    let (high, low) = (number / 200, 1 + number % 200);
    format!("real_server 10.8.{high}.{low} 80 {{\n weight 5\n MISC_CHECK {{\n{lines}\n}}\n}}\n")
}

fn page(rig: &Rig, path: &str) -> String {
    let url = format!("http://127.0.0.1:9650{path}");
    rig.host.run("curl", &["-s", &url]).unwrap_or_default()
}

/// The only weight in the status.
fn weight(rig: &Rig) -> String {
    let status = page(rig, "/status");
    let after = status.split("\"weight\":").nth(1).unwrap_or_default();
    let end = after.find([',', '}']).unwrap_or(0);
    after.get(..end).unwrap_or_default().trim().to_owned()
}

/// Attempts of all checks together.
fn attempts(rig: &Rig) -> u64 {
    let status = page(rig, "/status");
    let numbers = status.split("\"attempts\":").skip(1).filter_map(|after| {
        let digits = after.trim_start();
        let end = digits.find(|c: char| !c.is_ascii_digit())?;
        digits.get(..end)?.parse::<u64>().ok()
    });
    numbers.sum()
}

#[test]
fn thousands_of_programs_run_in_turn_and_leave_nothing_behind() {
    const EACH: usize = 100;
    const FINE: usize = 2_000;
    const HANGING: usize = 50;
    let timing = "delay_loop 300\n warmup 8\n";
    let fine = |number: usize| {
        server(
            number,
            &format!("misc_path \"/usr/bin/test {number} -lt 1000\"\n {timing}"),
        )
    };
    let hanging = |number: usize| {
        server(
            number,
            &format!("misc_path \"/bin/sleep 1000\"\n misc_timeout 1\n {timing}"),
        )
    };
    let mut text = GLOBAL.to_owned();
    for first in (0..FINE).step_by(EACH) {
        let servers: String = (first..first + EACH).map(fine).collect();
        text += &service(1 + first / EACH, &servers);
    }
    let servers: String = (FINE..FINE + HANGING).map(hanging).collect();
    text += &service(200, &servers);
    let rig = Rig::new(&text);
    let mut daemon = rig.start_and_wait();
    let ours = tree(daemon.pid()).len();
    let descriptors = || {
        let directory = format!("/proc/{}/fd", daemon.pid());
        fs::read_dir(directory).unwrap().count()
    };
    let idle = descriptors();
    let judged = eventually(LONG, "verdict of every program", || {
        let metrics = page(&rig, "/metrics");
        let servers = |state: &str| {
            let of_server = |line: &&str| line.starts_with("keepalived_real_server_up{");
            let lines = metrics.lines().filter(of_server);
            lines.filter(|line| line.ends_with(state)).count()
        };
        (servers(" 1"), servers(" 0")) == (1_000, 1_000 + HANGING)
    });
    assert!(judged.is_ok(), "{judged:?}; {}", daemon.log());
    assert_eq!(attempts(&rig), 2_050, "each program ran once");
    eventually(SOON, "end of every program", || {
        tree(daemon.pid()).len() == ours
    })
    .unwrap();
    // The first ones may have been running when it was counted.
    let closed = eventually(SOON, "closed descriptors", || descriptors() <= idle);
    assert!(
        closed.is_ok(),
        "{} descriptors, {idle} before",
        descriptors()
    );
    let log = daemon.log();
    assert!(!log.contains("does not answer"), "{log}");
    daemon.terminate(SOON).unwrap();
}

#[test]
fn a_program_is_judged_by_itself_and_ended_with_all_that_it_started() {
    let timing = "delay_loop 30\n warmup 0\n";
    let check = |number, script: &str| {
        server(
            number,
            &format!("misc_path {{dir}}/{script}\n misc_timeout 1\n {timing}"),
        )
    };
    let servers = check(1, "stubborn.sh") + &check(2, "leaves.sh") + &check(3, "escapes.sh");
    let rig = Rig::new(&(GLOBAL.to_owned() + &service(1, &servers)));
    // Nobody of this group heeds SIGTERM.
    rig.script(
        "stubborn.sh",
        &format!(
            "trap '' TERM\necho $$ > {}\nsleep 501 &\n(sleep 502 & sleep 503) &\nsleep 504\nwait\n",
            rig.path("group").display()
        ),
    );
    // An orphan that holds all that it was given open, and one with a session of its own.
    rig.script("leaves.sh", "(sleep 505 &)\nexit 0\n");
    rig.script("escapes.sh", "setsid sleep 506 &\nexit 3\n");
    let daemon = rig.start_and_wait();
    rig.wait_for(
        &daemon,
        "MISC_CHECK of [10.8.0.3]:tcp:80 in [10.9.1.1]:tcp:80 succeeded",
    );
    rig.wait_for(
        &daemon,
        "MISC_CHECK of [10.8.0.4]:tcp:80 in [10.9.1.1]:tcp:80 failed: exit code 3; now down",
    );
    rig.wait_for(&daemon, "stubborn.sh` does not end: killing it");
    rig.wait_for(
        &daemon,
        "MISC_CHECK of [10.8.0.2]:tcp:80 in [10.9.1.1]:tcp:80 failed: still running after 1 s; now down",
    );
    let group = fs::read_to_string(rig.path("group")).unwrap();
    let group = nix::unistd::Pid::from_raw(group.trim().parse().unwrap());
    let gone = || nix::sys::signal::killpg(group, None).is_err();
    eventually(SOON, "end of the whole group", gone).unwrap();
}

#[test]
fn a_weight_is_what_the_last_code_says_and_survives_reloads() {
    let check = server(
        1,
        "misc_path {dir}/code.sh\n misc_dynamic\n delay_loop 0.2\n warmup 0\n",
    );
    let text = |other: &str| GLOBAL.to_owned() + &service(1, &check) + other;
    let rig = Rig::new(&text(""));
    rig.script(
        "code.sh",
        &format!("exit $(cat {})\n", rig.path("code").display()),
    );
    let set = |code: u8| {
        fs::write(rig.path("code.new"), code.to_string()).unwrap();
        fs::rename(rig.path("code.new"), rig.path("code")).unwrap();
    };
    let until = |expected: &str| {
        let said = eventually(SOON, expected, || weight(&rig) == expected);
        assert!(said.is_ok(), "{said:?}, but {}", weight(&rig));
    };
    let reload = |daemon: &Process, other: &str, generation: u64| {
        rig.configure(&text(other));
        daemon.signal(Signal::SIGHUP).unwrap();
        rig.wait_for(daemon, &format!("configuration {generation}:"));
    };
    set(12);
    let daemon = rig.start_and_wait();
    until("10");
    // The same code again and again adds nothing.
    let ten = || weight(&rig) == "10";
    throughout(Duration::from_secs(2), "the weight", ten).unwrap();
    assert!(attempts(&rig) > 4, "{}", attempts(&rig));
    reload(&daemon, "# other\n", 2);
    throughout(Duration::from_secs(1), "the weight over a reload", ten).unwrap();
    set(0);
    until("null");
    reload(&daemon, "# once more\n", 3);
    throughout(Duration::from_secs(1), "no weight over a reload", || {
        weight(&rig) == "null"
    })
    .unwrap();
    for (code, expected) in [(2, "0"), (255, "253"), (3, "1")] {
        set(code);
        until(expected);
    }
    set(1);
    rig.wait_for(&daemon, "failed: exit code 1; now down");
    set(102);
    until("100");
}
