//! The system calls that each child makes in its sandbox, as strace(1) writes them.

use std::fs;
use std::path::Path;
use std::process::Command;

use kr_sys::privilege::Role;
use kr_sys::sandbox::{Must, Row};
use nix::libc;

/// A system call with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    number: i64,
    arguments: Vec<u64>,
}

/// What one child did between its sandbox and its end.
pub(super) struct Recording {
    pub(super) role: Role,
    process: u32,
    calls: Vec<Call>,
}

/// A command that runs `command` with every system call of it and of what it starts recorded in `directory`.
pub(super) fn recorded(command: &Command, directory: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-ff", "-n", "-q", "-s", "4096", "-e", "signal=none"])
        .args(["-e", "raw=!execve,execveat", "-o"])
        .arg(directory.join("calls"))
        .arg(command.get_program())
        .args(command.get_args());
    strace
}

/// What was recorded. Processes that are no child of ours, or did not enter a sandbox, are left out.
pub(super) fn read(directory: &Path) -> Vec<Recording> {
    let files = fs::read_dir(directory).unwrap();
    files
        .filter_map(|file| {
            let path = file.unwrap().path();
            let process = path.extension()?.to_str()?.parse().ok()?;
            of_process(process, &fs::read_to_string(&path).unwrap())
        })
        .collect()
}

fn of_process(process: u32, text: &str) -> Option<Recording> {
    // Children are executed by their descriptor; the first argument has their name.
    let is_start = |line: &&str| line.contains("] execve");
    let program = text.lines().rev().find(is_start)?;
    let role = Role::ALL
        .into_iter()
        .find(|role| program.contains(&format!("/{}\", \"--", role.program())))?;
    let calls: Vec<Call> = text.lines().filter_map(call).collect();
    let entered = calls.iter().rposition(|call| {
        call.number == libc::SYS_seccomp
            || call.number == libc::SYS_prctl
                && call.arguments.first() == Some(&u64::try_from(libc::PR_SET_SECCOMP).unwrap())
    })?;
    Some(Recording {
        role,
        process,
        calls: calls.into_iter().skip(entered + 1).collect(),
    })
}

/// Reads `[ 232] epoll_wait(0x5, 0x7f…, 0x400, 0xffffffff) = 1`.
fn call(line: &str) -> Option<Call> {
    let (number, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (_, rest) = rest.split_once('(')?;
    let (arguments, _) = rest.split_once(')')?;
    let arguments = arguments
        .split(", ")
        .filter_map(|word| match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => word.parse().ok(),
        });
    Some(Call {
        number: number.trim().parse().ok()?,
        arguments: arguments.collect(),
    })
}

impl Recording {
    /// Whether a call was made for which this row is there, in its `case` if it has some.
    pub(super) fn uses(&self, row: &Row, case: Option<usize>) -> bool {
        let fits = |call: &&Call| match case {
            None => true,
            Some(case) => row.cases()[case].iter().all(|test| {
                let argument = call.arguments[usize::from(test.argument)] & u64::from(u32::MAX);
                let bits = |value: i32| u64::from(value.cast_unsigned());
                match test.must {
                    Must::Be(value) => argument == bits(value),
                    Must::BeWithin { mask, value } => argument & bits(mask) == bits(value),
                    Must::BeThisProcess => argument == u64::from(self.process),
                }
            }),
        };
        self.calls
            .iter()
            .filter(|call| call.number == row.number)
            .any(|call| fits(&call))
    }

    /// How many calls were made.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }
}
