//! The harms of the table, done to a process of a scene.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use kr_testkit::harm::{Limit, Lowered, Starved};
use kr_testkit::process::is_alive;
use kr_testkit::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::scene::{Scene, Victim};

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// `SIGKILL`.
    Kill,
    /// `SIGSEGV`, as a fault of the program.
    Fault,
    /// `SIGSTOP` for ten seconds.
    Stop,
    /// A hundredth of a processor for eight seconds.
    NoProcessor,
    /// No more memory than it has, while a far larger configuration comes.
    NoMemory,
    /// No more descriptors than it has, while a sibling is started again.
    NoDescriptors,
    /// No room for pid files and log lines, while it is started again.
    FullDisk,
    /// More messages of rtnetlink than fit its sockets.
    LostEvents,
}

/// Longer than any patience of the parent.
const STOPPED: Duration = Duration::from_secs(10);

/// Several turns of every loop and several checks.
const A_WHILE: Duration = Duration::from_secs(3);

impl Harm {
    /// Does it to process `pid`, which is the victim of the scene, and undoes what can be undone.
    pub(super) fn befall(self, scene: &Scene, pid: Pid) {
        match self {
            Self::Kill => kill(pid, Signal::SIGKILL).unwrap(),
            Self::Fault => fault(pid),
            Self::Stop => {
                kill(pid, Signal::SIGSTOP).unwrap();
                sleep(STOPPED);
                // One that was replaced is gone.
                kill(pid, Signal::SIGCONT).ok();
            }
            Self::NoProcessor => {
                let _starved = Starved::new(pid).unwrap();
                sleep(Duration::from_secs(8));
            }
            Self::NoMemory => {
                let _lowered = Lowered::to_use(pid, Limit::Memory).unwrap();
                scene.reload(true);
                sleep(A_WHILE);
                if scene.daemon_lives() {
                    scene.reload(false);
                    sleep(A_WHILE);
                }
            }
            Self::NoDescriptors => {
                let _lowered = Lowered::to_use(pid, Limit::Descriptors).unwrap();
                if let Some(sibling) = scene.sibling() {
                    kill(sibling, Signal::SIGKILL).unwrap();
                }
                sleep(A_WHILE);
            }
            Self::FullDisk => full_disk(scene, pid),
            Self::LostEvents => {
                scene.prepare_flood();
                sleep(Duration::from_secs(1));
                kill(pid, Signal::SIGSTOP).unwrap();
                scene.flood();
                kill(pid, Signal::SIGCONT).unwrap();
            }
        }
    }
}

/// The runtime's handler of the first one takes it for a fault that comes again when it returns.
fn fault(pid: Pid) {
    eventually(Duration::from_secs(5), "the end after SIGSEGV", || {
        kill(pid, Signal::SIGSEGV).is_err() || !is_alive(pid)
    })
    .unwrap();
}

fn full_disk(scene: &Scene, pid: Pid) {
    let filler = scene.small_disk().join("filler");
    // Fails at the end of the disk.
    fs::write(&filler, vec![0; 1 << 22]).unwrap_err();
    if scene.victim() == Victim::Parentd {
        // A dump, and whatever a reload writes.
        kill(pid, Signal::SIGUSR1).unwrap();
        scene.reload(false);
    } else {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    sleep(A_WHILE);
    fs::remove_file(&filler).unwrap();
}
