//! `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo`: a line for each change of state, in the order of the
//! changes, written without ever waiting. What a FIFO does not take at once waits here; only when nobody
//! reads for long are lines lost, the oldest first, and the log says so.

mod backlog;
pub(crate) mod line;

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use kr_event::EventLoop;
use kr_host::fifo::{Fifo, HandedFifo};
use kr_model::ScriptId;
use kr_model::global::{Global, NotifyFifo};
use kr_model::script::ScriptUser;
use kr_sys::handover::Kept;
use mio::{Interest, Token};
use serde::{Deserialize, Serialize};

use crate::accounts;
use crate::fifos::backlog::Backlog;

/// Whose changes a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Instances and sync groups.
    Vrrp,
    /// Virtual and real servers.
    Lvs,
}

/// A FIFO that is to have a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reader {
    /// The program.
    pub(crate) script: ScriptId,
    /// Its last argument.
    pub(crate) path: PathBuf,
}

#[derive(Debug)]
struct Open {
    config: NotifyFifo,
    fifo: Fifo,
    backlog: Backlog,
    token: Token,
    /// A write failed; said once.
    broken: bool,
}

/// A FIFO with the lines that wait, as the next program of this process takes it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedOpen {
    path: PathBuf,
    user: Option<ScriptUser>,
    fifo: HandedFifo,
    backlog: Backlog,
}

/// The FIFOs of the configuration in force.
#[derive(Debug)]
pub(crate) struct Fifos {
    first_token: usize,
    open: Vec<Open>,
    /// Those of the program before, until the first configuration says which of them stay.
    handed: Vec<HandedOpen>,
}

impl Fifos {
    /// None yet; they use tokens from `first_token` on, fewer than ten.
    pub(crate) const fn new(first_token: usize) -> Self {
        Self {
            first_token,
            open: Vec::new(),
            handed: Vec::new(),
        }
    }

    /// Every FIFO, for the next program of this process.
    pub(crate) fn hand_over(&self, kept: &mut Kept) -> Vec<HandedOpen> {
        let open = self.open.iter();
        let handed = open.map(|open| HandedOpen {
            path: open.config.path.clone(),
            user: open.config.user.clone(),
            fifo: open.fifo.hand_over(kept),
            backlog: open.backlog.clone(),
        });
        handed.collect()
    }

    /// Goes on with those of the program before, as far as the next [`Self::replace`] wants them.
    pub(crate) fn take_over(&mut self, handed: Vec<HandedOpen>) {
        self.handed = handed;
    }

    /// Takes the FIFOs of a configuration: those that stay keep the lines that wait, others are closed, new
    /// ones opened. One that cannot be opened is left out with a log line; the next reload tries again.
    pub(crate) fn replace(&mut self, global: &Global, events: &EventLoop) {
        let wanted = &global.fifos;
        let same = |open: &NotifyFifo, new: &NotifyFifo| {
            (&open.path, &open.user) == (&new.path, &new.user)
        };
        self.open
            .retain(|open| wanted.iter().any(|new| same(&open.config, new)));
        for new in wanted {
            if let Some(open) = self.open.iter_mut().find(|open| same(&open.config, new)) {
                open.config = new.clone();
                continue;
            }
            match self.open(new, global, events) {
                Ok(open) => self.open.push(open),
                Err(reason) => log::error!("FIFO {} is not used: {reason}", new.path.display()),
            }
        }
        for unwanted in self.handed.drain(..) {
            // Taken to be closed and removed.
            drop(Fifo::take_over(unwanted.fifo));
        }
    }

    /// The FIFO of the program before, with the lines that wait, else a new one.
    fn descriptor(
        &mut self,
        config: &NotifyFifo,
        global: &Global,
    ) -> Result<(Fifo, Backlog), String> {
        let same =
            |handed: &HandedOpen| (&handed.path, &handed.user) == (&config.path, &config.user);
        if let Some(index) = self.handed.iter().position(same) {
            let handed = self.handed.swap_remove(index);
            let fifo = Fifo::take_over(handed.fifo).map_err(|error| error.to_string())?;
            return Ok((fifo, handed.backlog));
        }
        let owner =
            accounts::of_script(config.user.as_ref(), global).map_err(|error| error.to_string())?;
        let owner = owner.map(|identity| (identity.uid, identity.gid));
        let fifo = Fifo::open(&config.path, owner).map_err(|error| error.to_string())?;
        Ok((fifo, Backlog::default()))
    }

    fn open(
        &mut self,
        config: &NotifyFifo,
        global: &Global,
        events: &EventLoop,
    ) -> Result<Open, String> {
        let (fifo, backlog) = self.descriptor(config, global)?;
        let token = (self.first_token..)
            .map(Token)
            .find(|token| self.open.iter().all(|open| open.token != *token))
            .ok_or("no token is free")?;
        events
            .register_for(fifo.as_fd(), token, Interest::WRITABLE)
            .map_err(|error| error.to_string())?;
        Ok(Open {
            config: config.clone(),
            fifo,
            backlog,
            token,
            broken: false,
        })
    }

    /// The programs that are to read those that are open.
    pub(crate) fn readers(&self) -> Vec<Reader> {
        let reader = |open: &Open| {
            open.config.reader.map(|script| Reader {
                script,
                path: open.config.path.clone(),
            })
        };
        self.open.iter().filter_map(reader).collect()
    }

    /// Writes a line where it belongs.
    pub(crate) fn write(&mut self, subject: Subject, line: &str) {
        for open in &mut self.open {
            let wanted = match subject {
                Subject::Vrrp => open.config.vrrp,
                Subject::Lvs => open.config.lvs,
            };
            if wanted {
                open.write(line);
            }
        }
    }

    /// Goes on with the FIFO of this token, which takes more; false when there is none.
    pub(crate) fn handle_ready(&mut self, token: Token) -> bool {
        let Some(open) = self.open.iter_mut().find(|open| open.token == token) else {
            return false;
        };
        open.flush();
        true
    }

    /// The daemon ends: closes every FIFO whose lines are all written, so that its reader comes to the end.
    pub(crate) fn close_when_written(&mut self) {
        self.open.retain(|open| !open.backlog.is_empty());
    }

    /// Closes every FIFO, and says what was not read.
    pub(crate) fn close(&mut self) {
        for open in self.open.drain(..) {
            if !open.backlog.is_empty() {
                log::warn!(
                    "FIFO {}: nobody read its last lines",
                    open.config.path.display()
                );
            }
        }
    }

    /// True when none is open.
    pub(crate) fn is_closed(&self) -> bool {
        self.open.is_empty()
    }
}

impl Open {
    fn path(&self) -> &Path {
        &self.config.path
    }

    fn write(&mut self, line: &str) {
        self.flush();
        if !self.backlog.is_empty() || !self.take(line) {
            match self.backlog.push(line.to_owned()) {
                backlog::Kept::All | backlog::Kept::NotAll => {}
                backlog::Kept::NoLonger => log::warn!(
                    "FIFO {} is full and nobody reads it: from now on its oldest lines are lost",
                    self.path().display()
                ),
            }
        }
    }

    fn flush(&mut self) {
        while let Some(line) = self.backlog.oldest() {
            let written = self.fifo.write(line.as_bytes());
            if !self.judge(written) {
                return;
            }
            self.backlog.remove_oldest();
        }
        let lost = self.backlog.take_lost();
        if lost > 0 {
            log::warn!(
                "FIFO {} is read again; {lost} line(s) before were lost",
                self.path().display()
            );
        }
    }

    /// False: the FIFO is full.
    fn take(&mut self, line: &str) -> bool {
        let written = self.fifo.write(line.as_bytes());
        self.judge(written)
    }

    /// True when a line is off our hands: written, or never to be.
    fn judge(&mut self, written: io::Result<bool>) -> bool {
        match written {
            Ok(written) => {
                self.broken &= !written;
                written
            }
            Err(error) => {
                if !self.broken {
                    log::error!("FIFO {}: lines are lost: {error}", self.path().display());
                }
                self.broken = true;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
