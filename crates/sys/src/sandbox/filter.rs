//! The system call tables as programs of the kernel's filter (seccomp(2)).

use std::collections::BTreeMap;
use std::process;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::Mode;
use super::call::{Case, Must, Row, Verdict};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The two programs of a role. The kernel asks both and does the stricter of their answers.
#[derive(Debug)]
pub(super) struct Programs {
    /// Answers `EACCES` to refused calls; `None` when there are none.
    pub(super) refuse: Option<BpfProgram>,
    /// Ends the process, or logs, at a call without a row.
    pub(super) confine: BpfProgram,
}

/// Compiles the rows for the architecture that this program was built for.
///
/// # Errors
/// When the tables or the architecture cannot be expressed.
pub(super) fn compile<'a>(
    rows: impl Iterator<Item = &'a Row>,
    mode: Mode,
) -> Result<Programs, BackendError> {
    let mut known = Rules::new();
    let mut refused = Rules::new();
    for row in rows {
        let rules = known.entry(row.number).or_default();
        for case in row.cases() {
            rules.push(rule(case)?);
        }
        if matches!(row.verdict, Verdict::Refused) {
            refused.insert(row.number, Vec::new());
        }
    }
    let otherwise = match mode {
        Mode::On | Mode::Strict => SeccompAction::KillProcess,
        Mode::Log => SeccompAction::Log,
    };
    let eacces = SeccompAction::Errno(libc::EACCES.cast_unsigned());
    let refuse = match refused.is_empty() {
        true => None,
        false => Some(program(refused, SeccompAction::Allow, eacces)?),
    };
    Ok(Programs {
        refuse,
        confine: program(known, otherwise, SeccompAction::Allow)?,
    })
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matched, architecture)?.try_into()
}

fn rule(case: &Case) -> Result<SeccompRule, BackendError> {
    let conditions: Result<Vec<_>, _> = case
        .iter()
        .map(|test| {
            let (operation, value) = match test.must {
                Must::Be(value) => (SeccompCmpOp::Eq, value.cast_unsigned()),
                Must::BeWithin { mask, value } => (
                    SeccompCmpOp::MaskedEq(u64::from(mask.cast_unsigned())),
                    value.cast_unsigned(),
                ),
                Must::BeThisProcess => (SeccompCmpOp::Eq, process::id()),
            };
            let length = SeccompCmpArgLen::Dword;
            SeccompCondition::new(test.argument, length, operation, u64::from(value))
        })
        .collect();
    SeccompRule::new(conditions?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::{Duty, Role};

    #[test]
    fn every_role_has_a_program_within_the_kernels_bound() {
        for role in Role::ALL {
            for (mode, duty) in [(Mode::On, Duty::Usual), (Mode::Log, Duty::LowPorts)] {
                let programs = compile(role.calls().chain(duty.calls()), mode).unwrap();
                assert!((50..4096).contains(&programs.confine.len()), "{role:?}");
                assert_eq!(programs.refuse.is_none(), role == Role::Checkerd);
            }
        }
    }
}
