//! A process that is killed but does not end, as one that waits in the kernel or lacks every processor.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};

use nix::errno::Errno;
use nix::sys::ptrace::{Options, seize};
use nix::unistd::Pid;

/// Holds a process at its end: however it comes, its parent does not see it. Dropping this lets it end.
#[derive(Debug)]
pub struct Undying {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Undying {
    /// From now on the process cannot end.
    ///
    /// # Errors
    /// When the process is gone, or somebody else traces it.
    pub fn new(pid: Pid) -> io::Result<Self> {
        let (done, wait) = channel::<()>();
        let (say, told) = channel::<Result<(), Errno>>();
        // What it traces is let go when the thread ends.
        let thread = spawn(move || {
            say.send(seize(pid, Options::PTRACE_O_TRACEEXIT)).ok();
            wait.recv().ok();
        });
        told.recv().map_err(io::Error::other)??;
        Ok(Self {
            thread: Some((done, thread)),
        })
    }
}

impl Drop for Undying {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.thread.take() {
            drop(done);
            thread.join().ok();
        }
    }
}
