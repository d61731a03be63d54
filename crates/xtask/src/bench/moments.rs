//! When addresses come to a host, for the rows that measure how fast that is.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kr_netlink::route::{Event, Events};
use kr_testkit::netns::Host;
use kr_testkit::wait::eventually;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long the kernel keeps further events after the first ones: to wake up for each of many would cost whoever sets
/// the addresses more than that does.
const REST: Duration = Duration::from_micros(100);

/// An address that came, and when.
type Seen = Vec<(Instant, IpAddr)>;

/// Follows the addresses of a host until it is dropped.
pub(super) struct Addresses {
    seen: Arc<Mutex<Seen>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Addresses {
    /// Starts to follow.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub(super) fn follow(host: &Host) -> io::Result<Self> {
        let mut events = host.enter(Events::open)??;
        let (seen, ended) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let thread = thread::spawn({
            let (seen, ended) = (Arc::clone(&seen), Arc::clone(&ended));
            move || {
                hurry();
                while !ended.load(Ordering::Relaxed) {
                    let mut ready = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
                    poll(&mut ready, PollTimeout::from(50_u8)).ok();
                    let now = Instant::now();
                    while let Ok(Some(event)) = events.next_event() {
                        if let Event::Address(address) = event {
                            let ip = address.place.local.address();
                            seen.lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .push((now, ip));
                        }
                    }
                    thread::sleep(REST);
                }
            }
        });
        Ok(Self {
            seen,
            ended,
            thread: Some(thread),
        })
    }

    /// Forgets what came.
    pub(super) fn clear(&self) {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Waits until so many addresses came, and gives them.
    ///
    /// # Errors
    /// `TimedOut` when fewer come within the limit.
    pub(super) fn wait(&self, count: usize, limit: Duration) -> io::Result<Seen> {
        let seen = || {
            self.seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        eventually(limit, "the addresses", || seen().len() >= count)?;
        Ok(seen())
    }
}

impl Drop for Addresses {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// What is measured shall not wait for whoever measures: this thread runs before all others. Without chrt(1) the
/// figures are a little worse, for both programs.
fn hurry() {
    let thread = nix::unistd::gettid().to_string();
    let mut command = Command::new("chrt");
    command.args(["--fifo", "--pid", "10", &thread]);
    command.output().ok();
}
