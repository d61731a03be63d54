//! What a captured child can and cannot do: each attempt runs in a process of its own that has entered
//! exactly the sandbox of a role, with every privilege that the test itself has. So each attempt fails for
//! the sandbox alone, whatever account and capabilities stand behind it.
//!
//! The process of an attempt is this test program again, told by [`ATTEMPT`] what to try.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code"
)]

mod attempts;
mod calls;
mod lacking;
mod needs;

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio, exit};

use kr_sys::privilege::{Duty, Role};
use kr_sys::sandbox::{self, Mode};
use nix::errno::Errno;
use nix::sys::signal::Signal;

/// Names what the process shall try.
const ATTEMPT: &str = "KR_SANDBOX_ATTEMPT";

/// Exit code of a process that could not enter the sandbox; no error number is as high.
const NOT_ENTERED: i32 = 250;

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It succeeds.
    Works,
    /// It fails with this error, and the process goes on.
    Error(Errno),
    /// The process is ended by a signal.
    Signal(Signal),
}

/// The kernel ends the process.
const KILLED: &[End] = &[End::Signal(Signal::SIGSYS)];
/// The call fails as if the account may not do it.
const REFUSED: &[End] = &[End::Error(Errno::EACCES), End::Error(Errno::EPERM)];
/// The call is made.
const WORKS: &[End] = &[End::Works];
/// The call is made, and fails for an account without capabilities, as it does outside the sandbox.
const MADE: &[End] = &[End::Works, End::Error(Errno::EPERM)];
/// The program ends itself.
const ABORTS: &[End] = &[End::Signal(Signal::SIGABRT)];

/// Made ready outside the sandbox, tried inside.
type Prepared = Box<dyn FnOnce() -> Result<(), Errno>>;

/// Something to try, by these roles.
#[derive(Clone, Copy)]
struct Attempt {
    name: &'static str,
    roles: &'static [Role],
    /// Oldest Landlock interface of the kernel with which it fails.
    landlock: i32,
    /// Ends that are right.
    ends: &'static [End],
    prepare: fn() -> Prepared,
}

/// Tries everything as `role`. `test` is the name of the calling test.
fn try_all(role: Role, test: &str, attempts: &[Attempt]) {
    try_with(role, Duty::Usual, test, attempts);
}

fn try_with(role: Role, duty: Duty, test: &str, attempts: &[Attempt]) {
    let of_role = || attempts.iter().filter(|one| one.roles.contains(&role));
    if let Ok(name) = env::var(ATTEMPT) {
        let attempt = of_role().find(|attempt| attempt.name == name).unwrap();
        enter_and_try(role, duty, attempt.prepare);
    }
    let mut wrong = Vec::new();
    let mut tried = 0;
    let landlock = calls::landlock_version();
    for attempt in of_role().filter(|attempt| attempt.landlock <= landlock) {
        let end = run(test, attempt.name);
        if !attempt.ends.contains(&end) {
            wrong.push(format!("{}: {end:?}, not {:?}", attempt.name, attempt.ends));
        }
        tried += 1;
    }
    assert!(
        wrong.is_empty(),
        "{}:\n{}",
        role.program(),
        wrong.join("\n")
    );
    assert!(tried > 5, "only {tried} attempts");
}

/// Runs one attempt in a process of its own, with a directory for its files.
fn run(test: &str, name: &str) -> End {
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new(env::current_exe().unwrap())
        // With one thread at most, the test runs in the main thread, as the loop of a daemon does.
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(ATTEMPT, name)
        .env("TMPDIR", directory.path())
        // As in a child: the parent hands no environment down.
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    match (status.code(), status.signal()) {
        (Some(0), _) => End::Works,
        (Some(NOT_ENTERED), _) => panic!("{name}: the sandbox could not be entered"),
        (Some(code), _) => End::Error(Errno::from_raw(code)),
        (None, signal) => End::Signal(Signal::try_from(signal.unwrap()).unwrap()),
    }
}

fn enter_and_try(role: Role, duty: Duty, prepare: fn() -> Prepared) -> ! {
    let attempt = prepare();
    let Ok(entered) = sandbox::enter(role, duty, Mode::On) else {
        exit(NOT_ENTERED);
    };
    if !entered.filter {
        exit(NOT_ENTERED);
    }
    match attempt() {
        Ok(()) => exit(0),
        Err(errno) => exit(errno as i32),
    }
}

#[test]
fn a_captured_vrrpd_can_do_nothing_else() {
    let name = "a_captured_vrrpd_can_do_nothing_else";
    try_all(Role::Vrrpd, name, attempts::ATTEMPTS);
}

#[test]
fn a_captured_checkerd_can_do_nothing_else() {
    let name = "a_captured_checkerd_can_do_nothing_else";
    try_all(Role::Checkerd, name, attempts::ATTEMPTS);
}

#[test]
fn a_captured_ipvsd_can_do_nothing_else() {
    let name = "a_captured_ipvsd_can_do_nothing_else";
    try_all(Role::Ipvsd, name, attempts::ATTEMPTS);
}

#[test]
fn vrrpd_can_do_what_it_needs() {
    try_all(Role::Vrrpd, "vrrpd_can_do_what_it_needs", needs::NEEDS);
}

#[test]
fn checkerd_can_do_what_it_needs() {
    try_all(
        Role::Checkerd,
        "checkerd_can_do_what_it_needs",
        needs::NEEDS,
    );
}

#[test]
fn ipvsd_can_do_what_it_needs() {
    try_all(Role::Ipvsd, "ipvsd_can_do_what_it_needs", needs::NEEDS);
}

#[test]
fn with_sockets_to_make_a_captured_ipvsd_can_do_no_more_than_make_them() {
    let name = "with_sockets_to_make_a_captured_ipvsd_can_do_no_more_than_make_them";
    let usual = attempts::ATTEMPTS.iter();
    let others = usual.filter(|one| !attempts::MAKES_SOCKETS.contains(&one.name));
    let attempts: Vec<Attempt> = others
        .copied()
        .chain(needs::NEEDS.iter().copied())
        .chain(needs::OF_SOCKETS.iter().copied())
        .collect();
    try_with(Role::Ipvsd, Duty::LowPorts, name, &attempts);
}

#[test]
fn calls_that_no_role_may_make_end_the_process() {
    let test = "calls_that_no_role_may_make_end_the_process";
    if let Ok(name) = env::var(ATTEMPT) {
        let (role, number) = name.split_once(' ').unwrap();
        let role = *Role::ALL.iter().find(|one| one.program() == role).unwrap();
        calls::attempt_number(number.parse().unwrap());
        enter_and_try(role, Duty::LowPorts, || Box::new(calls::attempt));
    }
    for role in Role::ALL {
        let of_others = match role {
            Role::Checkerd => &[],
            Role::Vrrpd | Role::Ipvsd => calls::FOR_CHECKERD_ALONE,
        };
        for (call, number) in calls::NEVER.iter().chain(of_others) {
            let end = run(test, &format!("{} {number}", role.program()));
            assert_eq!(end, End::Signal(Signal::SIGSYS), "{role:?}: {call}");
        }
    }
}
