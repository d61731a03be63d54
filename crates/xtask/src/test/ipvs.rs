//! The tests that need a kernel with IPVS.

use std::io;
use std::process::Command;
use std::time::Duration;

use kr_testkit::netns::run;

use super::guests::{Guest, at_once};
use super::step::Outcome;
use super::{programs, test_program};
use crate::lab::{Guard, Lab, quoted};

/// Programs whose tests share one table and so take turns, by package.
pub(super) const IN_TURN: [(&str, &str); 2] = [("kr-netlink", "ipvs_kernel"), ("ipvsd", "kernel")];

/// The program whose tests have hosts of their own.
pub(super) const APART: (&str, &str) = ("kr-test-vm", "vm");

/// Guests that share its tests: what the smallest machines have processors for.
const GUESTS: usize = 2;

/// So many of its tests run at a time in each guest.
const THREADS: &str = "--test-threads=3";

/// Longest time for a guest.
const LIMIT: Duration = Duration::from_secs(900);

/// Builds the tests and runs them in guests.
///
/// # Errors
/// When something cannot be built or fetched.
pub(super) fn in_the_lab() -> io::Result<Outcome> {
    let lab = Lab::prepare()?;
    programs()?;
    let apart = test_program(APART.0, APART.1)?;
    let mut scripts: Vec<String> = shares(&tests_of(&apart)?)
        .iter()
        .map(|names| {
            let words = [apart.as_str(), THREADS, "--exact"];
            let names = names.iter().map(String::as_str);
            quoted(words.into_iter().chain(names))
        })
        .collect();
    if let Some(first) = scripts.first_mut() {
        for (package, test) in IN_TURN.into_iter().rev() {
            let program = test_program(package, test)?;
            let words = quoted([program.as_str(), "--test-threads=1"]);
            *first = format!("{words} || failed=1; {first}");
        }
    }
    let guests: Vec<Guest> = scripts
        .into_iter()
        .map(|script| Guest {
            guard: Guard::Nothing,
            script: format!("failed=0; {script} || failed=1; exit $failed"),
        })
        .collect();
    Ok(at_once(&lab, &guests, LIMIT))
}

/// The names of a program's tests.
fn tests_of(program: &str) -> io::Result<Vec<String>> {
    let list = run(Command::new(program).args(["--list", "--format", "terse"]))?;
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// Deals tests out: neighbours, which take a similar time, go to different guests.
fn shares(names: &[String]) -> [Vec<String>; GUESTS] {
    let mut shares = [const { Vec::new() }; GUESTS];
    for dealt in names.chunks(GUESTS) {
        for (share, name) in shares.iter_mut().zip(dealt) {
            share.push(name.clone());
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_goes_to_one_guest() {
        let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
        assert_eq!(shares(&names), [vec!["a", "c", "e"], vec!["b", "d"]]);
    }
}
