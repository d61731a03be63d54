//! The profiles of AppArmor and the module of SELinux, each in a guest that has it switched on.

use std::io;
use std::time::Duration;

use super::guests::{Guest, at_once};
use super::step::Outcome;
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
        Guest {
            guard: Guard::AppArmor,
            script: quoted([program.as_str(), "apparmor::"]),
        },
        Guest {
            guard: Guard::Selinux,
            script: quoted(["env", &variable, program.as_str(), "selinux::"]),
        },
    ];
    Ok(at_once(&lab, &guests, LIMIT))
}
