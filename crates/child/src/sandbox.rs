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
    /// kernel cannot enforce is reported and left out, unless the mode is strict.
    ///
    /// # Errors
    /// When the kernel refuses, or does not do what it said.
    pub fn enter(self) -> Result<(), StartError> {
        let Some(mode) = self.mode else { return Ok(()) };
        let entered = sandbox::enter(self.role, self.duty, mode).map_err(StartError::Sandbox)?;
        match entered.lacking() {
            // Files at least are out of reach.
            Some(what) if entered.filter && entered.reach == Some(Reach::Part) => {
                log::info!("this kernel lacks {what}: running without that");
            }
            Some(what) => log::warn!("this kernel lacks {what}: running without that"),
            None => {}
        }
        match entered.reach {
            Some(reach) => log::debug!(
                "system calls are filtered: {}, Landlock is in force: {reach:?}, verified",
                entered.filter
            ),
            None => log::warn!(
                "started with --sandbox={mode}: forbidden system calls are made, and named in the kernel's log"
            ),
        }
        Ok(())
    }
}
