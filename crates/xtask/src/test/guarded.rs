//! The profiles of AppArmor and the module of SELinux, each in a guest that has it switched on. Both guests run at
//! the same time: each of them waits more than it works.

use std::io;
use std::thread;
use std::time::Duration;

use super::step::{Outcome, Tally};
use super::{programs, test_program};
use crate::lab::{self, Guard, Lab, quoted};

/// The program with both tests, by package.
pub(super) const TEST: (&str, &str) = ("kr-test-vm", "guarded");

/// Longest time for a guest.
const LIMIT: Duration = Duration::from_secs(420);

/// Builds the policy and runs both guests.
///
/// # Errors
/// When something cannot be built or fetched.
pub(super) fn in_the_lab() -> io::Result<Outcome> {
    let lab = Lab::prepare()?;
    programs()?;
    let program = test_program(TEST.0, TEST.1)?;
    let policy = lab::selinux_policy()?;
    let policy = policy.to_string_lossy();
    let variable = format!("KR_SELINUX_POLICY={policy}");
    let guests = [
        (Guard::AppArmor, quoted([program.as_str(), "apparmor::"])),
        (
            Guard::Selinux,
            quoted(["env", &variable, program.as_str(), "selinux::"]),
        ),
    ];
    let mut outcome = Outcome::default();
    thread::scope(|scope| {
        let running = guests.map(|(guard, script)| {
            let lab = &lab;
            scope.spawn(move || in_guest(lab, guard, &script))
        });
        for guest in running {
            outcome.add(guest.join().unwrap_or_else(|_| Outcome::one(false)));
        }
    });
    Ok(outcome)
}

/// One guest; what it says is shown at its end, so that the two do not mix.
fn in_guest(lab: &Lab, guard: Guard, script: &str) -> Outcome {
    let mut said = Vec::new();
    let status = lab.run(guard, script, LIMIT, &mut |bytes| {
        said.extend_from_slice(bytes)
    });
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    let mut tally = Tally::default();
    said.lines().for_each(|line| tally.line(line));
    match status {
        Ok(status) => tally.outcome(status == 0),
        Err(error) => {
            println!("{error}");
            tally.outcome(false)
        }
    }
}
