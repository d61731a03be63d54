//! `cargo xtask test`: every check there is, step by step, and one line that sums them up.

mod dependencies;
mod fuzz;
mod guarded;
mod guests;
mod ipvs;
mod step;

use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Instant;

use kr_testkit::netns::{Network, run};

use crate::manual;
use crate::packages;
pub(crate) use fuzz::replay as fuzz_replay;
use step::{Outcome, Tally};

/// Private items are documented too, so links to them are no mistake.
const RUSTDOC: &str = "-D warnings -A rustdoc::private_intra_doc_links";

/// Test programs that need root and network namespaces, by package.
const HOST_TESTS: [(&str, &str); 4] = [
    ("kr-test-system", "system"),
    ("kr-test-netns", "netns"),
    ("ipvsd", "sockets"),
    ("checkerd", "system_calls"),
];

/// A heading and what is done under it.
type Step = (&'static str, fn() -> io::Result<Outcome>);

/// In this order: the quick ones that fail most often come first.
const STEPS: &[Step] = &[
    ("packages of the distribution", packages),
    ("format", format),
    ("clippy", clippy),
    ("licences and sources of dependencies", dependencies::check),
    (
        "unit, vector, property, simulation and built-binary tests",
        tests,
    ),
    ("documentation", documentation),
    ("fuzz corpus", fuzz::replay),
    ("namespace tests", namespaces),
    ("IPVS tests in the lab", ipvs::in_the_lab),
    ("AppArmor and SELinux in the lab", guarded::in_the_lab),
];

/// Runs the steps whose heading contains `only`, or all. In CI (`CI=true`) a step that cannot run is a failure.
pub(crate) fn all(only: Option<&str>) -> ExitCode {
    let strict = env::var("CI").is_ok_and(|value| value == "true");
    let mut total = Outcome::default();
    let mut not_run = Vec::new();
    for (heading, step) in STEPS {
        if only.is_some_and(|only| !heading.contains(only)) {
            continue;
        }
        println!("\n=== {heading}");
        let start = Instant::now();
        let outcome = step().unwrap_or_else(|error| Outcome::not_run(&error.to_string()));
        let seconds = start.elapsed().as_secs();
        if let Some(reason) = &outcome.reason {
            println!("--- {heading}: NOT RUN: {reason}");
            not_run.push(*heading);
            total.failed += usize::from(strict);
        } else {
            let (passed, failed) = (outcome.passed, outcome.failed);
            println!("--- {heading}: {passed} passed, {failed} failed, {seconds} s");
        }
        total.passed += outcome.passed;
        total.failed += outcome.failed;
    }
    println!();
    for heading in &not_run {
        println!("not run: {heading}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    ExitCode::from(u8::from(total.failed > 0))
}

fn packages() -> io::Result<Outcome> {
    packages::install_missing().map(|()| Outcome::one(true))
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(arguments);
    command
}

/// Runs a command that either succeeds or fails as a whole.
fn whole(command: &mut Command) -> io::Result<Outcome> {
    command
        .status()
        .map(|status| Outcome::one(status.success()))
}

/// Runs a command that prints the result lines of Rust's test harness; its output passes through.
fn counted(command: &mut Command) -> io::Result<Outcome> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut tally = Tally::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            tally.line(&line);
        }
    }
    Ok(tally.outcome(child.wait()?.success()))
}

fn format() -> io::Result<Outcome> {
    whole(&mut cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> io::Result<Outcome> {
    let mut outcome = whole(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    // Targets that plain `cargo test` leaves out are left out of `--all-targets` as well.
    let mut apart = cargo(&["clippy"]);
    let of_lab = ipvs::IN_TURN.iter().chain([&ipvs::APART, &guarded::TEST]);
    for (package, test) in HOST_TESTS.iter().chain(of_lab) {
        apart.args(["--package", package, "--test", test]);
    }
    outcome.add(whole(apart.args(["--", "-D", "warnings"]))?);
    Ok(outcome)
}

/// Builds the programs that tests start; cargo alone would leave old ones beside a new test.
fn programs() -> io::Result<()> {
    let built = cargo(&["build", "--workspace", "--bins"]).status()?;
    built
        .success()
        .then_some(())
        .ok_or_else(|| io::Error::other("the programs do not build"))
}

fn tests() -> io::Result<Outcome> {
    programs()?;
    // Those with daemons and servers wait more than they work.
    let threads = thread::available_parallelism()?.get().saturating_mul(2);
    let threads = format!("--test-threads={threads}");
    counted(&mut cargo(&[
        "test",
        "--workspace",
        "--no-fail-fast",
        "--",
        &threads,
    ]))
}

/// The documentation builds, and what is generated from the registry is up to date.
fn documentation() -> io::Result<Outcome> {
    let current = manual::is_current()?;
    if !current {
        println!("generated pages are stale: run `cargo xtask man`");
    }
    let mut outcome = Outcome::one(current);
    let all = [
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--quiet",
    ];
    outcome.add(whole(cargo(&all).env("RUSTDOCFLAGS", RUSTDOC))?);
    Ok(outcome)
}

/// The built programs as a whole, and pairs of hosts.
fn namespaces() -> io::Result<Outcome> {
    Network::new()
        .map_err(|error| io::Error::other(format!("no network namespaces here: {error}")))?;
    programs()?;
    let mut tests = cargo(&["test", "--no-fail-fast"]);
    for (package, test) in HOST_TESTS {
        tests.args(["--package", package, "--test", test]);
    }
    counted(tests.args(["--", "--test-threads=6"]))
}

/// Builds one integration test and returns the path of its program.
fn test_program(package: &str, test: &str) -> io::Result<String> {
    let messages = run(cargo(&[
        "test",
        "-p",
        package,
        "--test",
        test,
        "--no-run",
        "--message-format=json",
    ])
    .stderr(Stdio::inherit()))?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .is_some_and(|name| name == test)
        })
        .find_map(|message| message.get("executable")?.as_str().map(str::to_owned))
        .ok_or_else(|| io::Error::other(format!("cargo built no test {test}")))
}
