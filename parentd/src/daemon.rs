//! Going into the background. The starting command waits, and ends with success only when the daemon
//! is up, else with the reason on standard error.

use std::fs::File;
use std::io::{self, Read, Write};

use kr_sys::spawn::detach;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// Who waits for the daemon to be up: the starting command, or nobody.
#[derive(Debug)]
pub(crate) struct Starter(Option<File>);

impl Starter {
    /// Nobody waits: the daemon stays in the foreground.
    pub(crate) const fn nobody() -> Self {
        Self(None)
    }

    /// True while somebody waits, so in the background.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.0.is_some()
    }

    /// The daemon is up. Only the first word counts.
    pub(crate) fn up(&mut self) {
        self.say(0, "");
    }

    /// The daemon will end with `code`, because of `reason`.
    pub(crate) fn failed(&mut self, code: u8, reason: &str) {
        self.say(code, reason);
    }

    fn say(&mut self, code: u8, reason: &str) {
        if let Some(mut pipe) = self.0.take() {
            // When the starting command was interrupted nobody reads this.
            let _ = pipe
                .write_all(&[code])
                .and_then(|()| pipe.write_all(reason.as_bytes()));
        }
    }
}

/// Which of the two processes this is afterwards.
pub(crate) enum Side {
    /// The daemon.
    Daemon(Starter),
    /// The starting command: print this, exit with that code.
    Starting {
        /// Exit code.
        code: u8,
        /// Why it failed; empty when it did not.
        reason: String,
    },
}

/// Splits into the starting command and a daemon without terminal. Returns in the starting command when
/// the daemon is up or has failed.
///
/// # Errors
/// When the kernel gives no pipe or process.
pub(crate) fn go_to_background() -> io::Result<Side> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    if detach()? {
        drop(read);
        return Ok(Side::Daemon(Starter(Some(write.into()))));
    }
    drop(write);
    let mut said = Vec::new();
    File::from(read).read_to_end(&mut said)?;
    Ok(match said.split_first() {
        Some((code, reason)) => Side::Starting {
            code: *code,
            reason: String::from_utf8_lossy(reason).into_owned(),
        },
        None => Side::Starting {
            code: 1,
            reason: "the daemon ended before it was up; its log says why".to_owned(),
        },
    })
}
