//! The last step of start-up.

use kr_sys::privilege::{Duty, Role};
use kr_sys::sandbox::{self, Mode, Reach};

use crate::StartError;

/// The sandbox that a child has still to enter.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox {
    role: Role,
    duty: Duty,
    /// `None`: a test started this process without one.
    mode: Option<Mode>,
}

impl Sandbox {
    pub(crate) const fn new(role: Role, duty: Duty, mode: Option<Mode>) -> Self {
        Self { role, duty, mode }
    }

    /// Gives up every system call, file, port and resource that the loop does not need, for ever. What the
    /// kernel cannot enforce is reported and left out.
    ///
    /// # Errors
    /// When the kernel refuses, or does not do what it said.
    pub fn enter(self) -> Result<(), StartError> {
        let Some(mode) = self.mode else { return Ok(()) };
        let entered = sandbox::enter(self.role, self.duty, mode).map_err(StartError::Sandbox)?;
        if !entered.filter {
            log::warn!(
                "this kernel cannot filter system calls (seccomp): running without the filter"
            );
        }
        match entered.reach {
            Some(Reach::Nothing) => {
                log::warn!(
                    "this kernel has no Landlock, or it is switched off: running without it"
                );
            }
            Some(reach @ (Reach::Part | Reach::Whole)) => {
                log::debug!("system calls are filtered, Landlock is in force: {reach:?}, verified");
            }
            None => log::warn!(
                "started with --sandbox={mode}: forbidden system calls are made, and named in the kernel's log"
            ),
        }
        Ok(())
    }
}
