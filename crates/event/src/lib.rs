//! The loop of every daemon: one mio poll, one deadline with microsecond resolution, one clock.
//!
//! A daemon registers descriptors under tokens of its own, then repeats: take the earliest
//! `poll_timeout()` of its machines, [`EventLoop::wait`], handle what is ready. Edge-triggered: a ready
//! descriptor must be read until it would block, or be served again before the next wait.
//!
//! The loop keeps count of how late it served its deadlines and how long its turns took.

pub mod clock;
pub mod signals;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use kr_model::Instant;
use kr_model::lateness::LoopTimes;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

pub use clock::Clock;
pub use signals::Signals;

/// Token of the loop's own timer; the others are the daemon's.
const TIMER: Token = Token(usize::MAX);

/// Descriptors handled per wake-up; more stay ready for the next.
const EVENTS: usize = 1024;

/// Least time between two answers of [`EventLoop::times_to_tell`].
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What a wait found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The token the descriptor was registered under.
    pub token: Token,
    /// There is something to read, or the other end is closed.
    pub readable: bool,
    /// There is room to write, or a connection ended in success or failure.
    pub writable: bool,
    /// The other end sends no more: behind what there is to read comes the end.
    pub ended: bool,
    /// The descriptor has an error to tell.
    pub failed: bool,
}

/// A mio poll with a precise deadline.
#[derive(Debug)]
pub struct EventLoop {
    poll: Poll,
    events: Events,
    timer: TimerFd,
    armed: Option<Instant>,
    clock: Clock,
    times: LoopTimes,
    /// The turn began then; `None` while it waits or rests.
    woke_at: Option<Instant>,
    /// The times were told last, or the loop was made.
    told_at: Instant,
}

impl EventLoop {
    /// A loop with nothing registered.
    ///
    /// # Errors
    /// When the kernel gives no descriptor.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )?;
        let fd = timer.as_fd().as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            timer,
            armed: None,
            clock: Clock::new(),
            times: LoopTimes::default(),
            woke_at: None,
            told_at: Clock::new().now(),
        })
    }

    /// Watches a descriptor for reading and writing, edge-triggered.
    ///
    /// # Errors
    /// When the kernel refuses (already registered, limits).
    pub fn register(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        self.register_for(fd, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Watches a descriptor for the given interest only, edge-triggered.
    ///
    /// # Errors
    /// When the kernel refuses (already registered, limits).
    pub fn register_for(
        &self,
        fd: BorrowedFd<'_>,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        self.poll
            .registry()
            .register(&mut SourceFd(&fd.as_raw_fd()), token, interest)
    }

    /// Stops watching a descriptor; needed only when it stays open.
    ///
    /// # Errors
    /// When it was not registered.
    pub fn deregister(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.poll
            .registry()
            .deregister(&mut SourceFd(&fd.as_raw_fd()))
    }

    /// Sleeps until a descriptor is ready or `deadline` is reached, and returns what is ready. An empty
    /// answer means that this or an earlier deadline was reached, or a signal interrupted the sleep.
    ///
    /// A loop that has more to do at once says [`Instant::ZERO`], for which it cannot be late.
    ///
    /// # Errors
    /// When polling fails, which is a fault of this program.
    pub fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Vec<Ready>> {
        let now = self.clock.now();
        self.end_turn(now);
        let timeout = if deadline.is_some_and(|at| at <= now) {
            // To set a timer for that costs more than all the rest, and setting it back as much again.
            Some(Duration::ZERO)
        } else {
            self.arm(deadline)?;
            None
        };
        let ready = self.poll(timeout);
        self.begin_turn(deadline);
        ready
    }

    /// As [`wait`](Self::wait), with `now` as the current time: the sleep is rounded up to a whole millisecond,
    /// and setting it costs no system call. For loops that do not mind that millisecond.
    ///
    /// # Errors
    /// When polling fails, which is a fault of this program.
    pub fn wait_coarsely(
        &mut self,
        deadline: Option<Instant>,
        now: Instant,
    ) -> io::Result<Vec<Ready>> {
        self.end_turn(now);
        let ready = self.poll(deadline.map(|at| at.since(now)));
        self.begin_turn(deadline);
        ready
    }

    /// What was counted so far.
    #[must_use]
    pub const fn times(&self) -> &LoopTimes {
        &self.times
    }

    /// What was counted so far, for another process: at most once in two seconds.
    pub fn times_to_tell(&mut self) -> Option<LoopTimes> {
        let now = self.woke_at?;
        if now.since(self.told_at) < TELL_EVERY {
            return None;
        }
        self.told_at = now;
        Some(self.times)
    }

    fn end_turn(&mut self, now: Instant) {
        if let Some(woke_at) = self.woke_at.take() {
            self.times.turns.record(now.since(woke_at));
        }
    }

    fn begin_turn(&mut self, deadline: Option<Instant>) {
        let now = self.clock.now();
        self.woke_at = Some(now);
        if let Some(at) = deadline.filter(|at| *at != Instant::ZERO && *at <= now) {
            self.times.lateness.record(now.since(at));
        }
    }

    fn poll(&mut self, timeout: Option<Duration>) -> io::Result<Vec<Ready>> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let mut ready = Vec::new();
        for event in &self.events {
            if event.token() == TIMER {
                // Its count need not be read: the next setting clears it, and only an expiry wakes.
                self.armed = None;
                continue;
            }
            ready.push(Ready {
                token: event.token(),
                readable: event.is_readable() || event.is_read_closed() || event.is_error(),
                writable: event.is_writable() || event.is_write_closed() || event.is_error(),
                ended: event.is_read_closed(),
                failed: event.is_error(),
            });
        }
        Ok(ready)
    }

    /// Sleeps for `time` whatever becomes ready meanwhile, so that one wake-up then serves much of it. A signal
    /// may end the sleep early.
    pub fn rest(&mut self, time: Duration) {
        self.end_turn(self.clock.now());
        clock::pause(time);
    }

    /// Sets the timer, if it would not wake in time. A deadline that moves away, as most do, costs nothing: the
    /// old one wakes once for nothing.
    fn arm(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let Some(at) = deadline.filter(|at| self.armed.is_none_or(|armed| *at < armed)) else {
            return Ok(());
        };
        // Zero would switch the timer off; a deadline in the past fires at once.
        let micros = i64::try_from(at.as_micros()).unwrap_or(i64::MAX).max(1);
        self.timer.set(
            Expiration::OneShot(TimeSpec::microseconds(micros)),
            TimerSetTimeFlags::TFD_TIMER_ABSTIME,
        )?;
        self.armed = Some(at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_deadline_wakes_the_loop_within_a_millisecond_or_so() {
        let mut events = EventLoop::new().unwrap();
        let clock = Clock::new();
        let at = clock.now().saturating_add(Duration::from_micros(2_500));
        assert_eq!(events.wait(Some(at)).unwrap(), []);
        assert!(clock.now() >= at);
        // The same deadline again, now in the past, must not sleep for ever.
        assert_eq!(events.wait(Some(at)).unwrap(), []);
    }

    #[test]
    fn a_deadline_that_was_reached_is_counted_with_its_lateness_and_others_are_not() {
        let mut events = EventLoop::new().unwrap();
        let clock = Clock::new();
        let (mut a, b) = UnixStream::pair().unwrap();
        events
            .register_for(b.as_fd(), Token(7), Interest::READABLE)
            .unwrap();
        a.write_all(b"x").unwrap();
        let far = clock.now().saturating_add(Duration::from_secs(3_600));
        assert_eq!(events.wait(Some(far)).unwrap().len(), 1);
        events.wait(Some(Instant::ZERO)).unwrap();
        assert_eq!(events.times().lateness.count(), 0);
        // Due while the loop worked, and served at the next wait.
        let due = clock.now();
        clock::pause(Duration::from_millis(30));
        events.wait(Some(due)).unwrap();
        assert_eq!(events.times().lateness.count(), 1);
        assert!(events.times().lateness.sum() >= Duration::from_millis(30));
    }

    #[test]
    fn a_turn_lasts_from_the_wake_up_to_the_next_wait_or_rest() {
        let mut events = EventLoop::new().unwrap();
        let clock = Clock::new();
        clock::pause(Duration::from_millis(30));
        events
            .wait_coarsely(Some(Instant::ZERO), clock.now())
            .unwrap();
        assert_eq!(events.times().turns.count(), 0);
        clock::pause(Duration::from_millis(30));
        let before = clock.now();
        events.rest(Duration::from_millis(30));
        let slept = clock.now().since(before);
        let turns = events.times().turns;
        assert_eq!(turns.count(), 1);
        assert!(turns.sum() >= Duration::from_millis(30));
        // Neither the rest nor the wait is part of a turn.
        events.wait(Some(clock.now())).unwrap();
        assert_eq!(events.times().turns, turns);
        assert!(slept >= Duration::from_millis(30));
    }

    #[test]
    fn times_are_not_told_all_the_time() {
        let mut events = EventLoop::new().unwrap();
        events.wait(Some(Instant::ZERO)).unwrap();
        assert_eq!(events.times_to_tell(), None);
        events.told_at = Instant::ZERO;
        let told = events.times_to_tell();
        assert_eq!(told, Some(*events.times()));
        assert_eq!(events.times_to_tell(), None);
    }

    #[test]
    fn deadlines_one_after_the_other_each_wake_the_loop() {
        let mut events = EventLoop::new().unwrap();
        let clock = Clock::new();
        for _ in 0..20 {
            let at = clock.now().saturating_add(Duration::from_micros(700));
            assert_eq!(events.wait(Some(at)).unwrap(), []);
            assert!(clock.now() >= at);
        }
    }

    #[test]
    fn a_coarse_wait_is_never_too_short() {
        let mut events = EventLoop::new().unwrap();
        let clock = Clock::new();
        let now = clock.now();
        let at = now.saturating_add(Duration::from_micros(2_100));
        assert_eq!(events.wait_coarsely(Some(at), now).unwrap(), []);
        assert!(clock.now() >= at);
        let past = events.wait_coarsely(Some(now), clock.now());
        assert_eq!(past.unwrap(), []);
    }

    #[test]
    fn the_end_of_the_other_side_is_told_with_what_it_said_last() {
        let mut events = EventLoop::new().unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        events.register(b.as_fd(), Token(7)).unwrap();
        let first = events.wait(None).unwrap();
        assert!(first[0].writable && !first[0].readable && !first[0].ended);
        a.write_all(b"x").unwrap();
        drop(a);
        let last = events.wait(None).unwrap();
        assert!(last[0].readable && last[0].ended && !last[0].failed);
    }

    #[test]
    fn a_deadline_that_moved_away_is_kept_after_one_wake_up_for_nothing() {
        let mut events = EventLoop::new().unwrap();
        let clock = Clock::new();
        let soon = clock.now().saturating_add(Duration::from_millis(5));
        let later = soon.saturating_add(Duration::from_millis(20));
        let (mut a, b) = UnixStream::pair().unwrap();
        events.register(b.as_fd(), Token(7)).unwrap();
        a.write_all(b"x").unwrap();
        assert_eq!(events.wait(Some(soon)).unwrap().len(), 1);
        assert_eq!(events.wait(Some(later)).unwrap(), []);
        assert!(clock.now() < later);
        assert_eq!(events.wait(Some(later)).unwrap(), []);
        assert!(clock.now() >= later);
    }

    #[test]
    fn a_deadline_in_the_past_leaves_the_timer_as_it_is() {
        let mut events = EventLoop::new().unwrap();
        let clock = Clock::new();
        let later = clock.now().saturating_add(Duration::from_secs(3_600));
        let (mut a, b) = UnixStream::pair().unwrap();
        events
            .register_for(b.as_fd(), Token(7), Interest::READABLE)
            .unwrap();
        a.write_all(b"x").unwrap();
        assert_eq!(events.wait(Some(later)).unwrap().len(), 1);
        assert_eq!(events.wait(Some(Instant::ZERO)).unwrap(), []);
        assert_eq!(events.wait(Some(clock.now())).unwrap(), []);
        assert_eq!(events.armed, Some(later));
    }

    #[test]
    fn a_ready_descriptor_is_reported_under_its_token() {
        let mut events = EventLoop::new().unwrap();
        let (mut a, b) = UnixStream::pair().unwrap();
        events
            .register_for(b.as_fd(), Token(7), Interest::READABLE)
            .unwrap();
        a.write_all(b"x").unwrap();
        let ready = events.wait(None).unwrap();
        assert_eq!(ready.len(), 1);
        assert_eq!(ready[0].token, Token(7));
        assert!(ready[0].readable);
    }
}
