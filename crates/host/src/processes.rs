//! Counts the processes of other programs (`vrrp_track_process`). Used by the parent.
//!
//! Who runs is read from `/proc`; a process that counts is held by a descriptor that tells its end at once. The
//! kernel's connector for process events would tell every start too, but it wants a privileged socket and a
//! wake-up for each process of the host, where a start that is noticed within [`EVERY`] is soon enough: a
//! process that ends is looked for anew within milliseconds, in case it is just restarted.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use kr_event::EventLoop;
use kr_model::track::ProcessPattern;
use kr_model::{Instant, TrackerId};
use kr_sys::spawn::pidfd_open;
use kr_track::{matches, needs_command_line};
use mio::{Interest, Token};
use nix::unistd::Pid;

/// Between two looks at `/proc`.
const EVERY: Duration = Duration::from_secs(1);

/// After the end of a process that counted, the next look comes so soon, and then after twice as long each.
const SOON: Duration = Duration::from_millis(10);

/// A process is read at each look while it is younger than this: it may still execute its program or take its
/// name.
const YOUNG: Duration = Duration::from_secs(5);

/// Between two looks at processes that are older.
const OLD_EVERY: Duration = Duration::from_secs(10);

/// Bytes of a command line that are compared.
const MOST_COMMAND: u64 = 128 * 1024;

/// Bytes of `/proc/PID/stat` that hold name and state.
const MOST_STAT: u64 = 128;

/// Processes that are followed.
#[derive(Debug)]
pub struct ProcessWatch {
    patterns: BTreeMap<TrackerId, ProcessPattern>,
    known: BTreeMap<i32, Known>,
    look_at: Option<Instant>,
    pause: Duration,
    old_at: Instant,
    first_token: usize,
    said: bool,
}

#[derive(Debug)]
struct Known {
    /// Since when it has been there.
    since: Instant,
    /// The objects that it counts for.
    counts_for: Vec<TrackerId>,
    /// Tells its end, when it counts.
    end: Option<OwnedFd>,
}

impl ProcessWatch {
    /// Follows nothing yet; the process with number `n` uses token `first_token + n`.
    #[must_use]
    pub const fn new(first_token: usize) -> Self {
        Self {
            patterns: BTreeMap::new(),
            known: BTreeMap::new(),
            look_at: None,
            pause: EVERY,
            old_at: Instant::ZERO,
            first_token,
            said: false,
        }
    }

    /// Follows the processes that match these patterns and no others, and counts them.
    pub fn replace(
        &mut self,
        patterns: BTreeMap<TrackerId, ProcessPattern>,
        events: &EventLoop,
        now: Instant,
    ) -> BTreeMap<TrackerId, u32> {
        if patterns != self.patterns {
            self.forget_all(events);
            self.patterns = patterns;
        }
        if self.patterns.is_empty() {
            self.look_at = None;
            return BTreeMap::new();
        }
        self.look(events, now);
        self.counts()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks for processes that started or changed. `None` when it is not time yet.
    pub fn handle_timeout(
        &mut self,
        events: &EventLoop,
        now: Instant,
    ) -> Option<BTreeMap<TrackerId, u32>> {
        if self.look_at.is_none_or(|at| now < at) {
            return None;
        }
        self.look(events, now);
        Some(self.counts())
    }

    /// A process that counted has ended, if the token is of one.
    pub fn handle_ready(
        &mut self,
        token: Token,
        events: &EventLoop,
        now: Instant,
    ) -> Option<BTreeMap<TrackerId, u32>> {
        let pid = i32::try_from(token.0.checked_sub(self.first_token)?).ok()?;
        let known = self.known.get_mut(&pid)?;
        known.release(events);
        self.pause = SOON;
        self.look_at = Some(now.saturating_add(SOON));
        Some(self.counts())
    }

    fn counts(&self) -> BTreeMap<TrackerId, u32> {
        let mut counts: BTreeMap<TrackerId, u32> =
            self.patterns.keys().map(|id| (*id, 0)).collect();
        let all = self.known.values().flat_map(|known| &known.counts_for);
        for id in all {
            if let Some(count) = counts.get_mut(id) {
                *count = count.saturating_add(1);
            }
        }
        counts
    }

    fn look(&mut self, events: &EventLoop, now: Instant) {
        let all_of_them = now >= self.old_at;
        if all_of_them {
            self.old_at = now.saturating_add(OLD_EVERY);
        }
        let pids = match pids() {
            Ok(pids) => pids,
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    log::error!("/proc cannot be read, no tracked process is found: {error}");
                }
                Vec::new()
            }
        };
        let mut before = std::mem::take(&mut self.known);
        for pid in pids {
            let mut known = before.remove(&pid).unwrap_or_else(|| Known {
                since: now,
                counts_for: Vec::new(),
                end: None,
            });
            if all_of_them || now.since(known.since) < YOUNG {
                self.read(pid, &mut known, events);
            }
            self.known.insert(pid, known);
        }
        for mut gone in before.into_values() {
            gone.release(events);
        }
        self.look_at = Some(now.saturating_add(self.pause));
        self.pause = self.pause.saturating_mul(2).min(EVERY);
    }

    /// Finds out what a process counts for. One that counts is read again once its descriptor is there: its
    /// number could be another one's by then.
    fn read(&self, pid: i32, known: &mut Known, events: &EventLoop) {
        let counts_for = self.matching(pid);
        if counts_for.is_empty() {
            known.release(events);
            return;
        }
        if known.end.is_none() {
            let Ok(end) = pidfd_open(Pid::from_raw(pid)) else {
                return;
            };
            let token = usize::try_from(pid)
                .ok()
                .and_then(|pid| self.first_token.checked_add(pid));
            let registered = token
                .map(|token| events.register_for(end.as_fd(), Token(token), Interest::READABLE));
            if let Some(Err(error)) = registered {
                log::debug!("the end of process {pid} will be noticed later: {error}");
            }
            if self.matching(pid) != counts_for {
                let _ = events.deregister(end.as_fd());
                return;
            }
            known.end = Some(end);
        }
        known.counts_for = counts_for;
    }

    /// The objects that a process counts for.
    fn matching(&self, pid: i32) -> Vec<TrackerId> {
        let Some(name) = name(pid) else {
            return Vec::new();
        };
        let command_line = if self.patterns.values().any(needs_command_line) {
            bytes(pid, "cmdline", MOST_COMMAND).unwrap_or_default()
        } else {
            Vec::new()
        };
        let patterns = self.patterns.iter();
        let matching = patterns.filter(|(_, pattern)| matches(pattern, &name, &command_line));
        matching.map(|(id, _)| *id).collect()
    }

    fn forget_all(&mut self, events: &EventLoop) {
        for mut known in std::mem::take(&mut self.known).into_values() {
            known.release(events);
        }
        self.old_at = Instant::ZERO;
    }
}

impl Known {
    /// It does not count any more.
    fn release(&mut self, events: &EventLoop) {
        self.counts_for.clear();
        if let Some(end) = self.end.take() {
            let _ = events.deregister(end.as_fd());
        }
    }
}

fn pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        pids.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(pids)
}

/// Name of a process; `None` when it has ended, also when nobody has asked how.
fn name(pid: i32) -> Option<Vec<u8>> {
    let stat = bytes(pid, "stat", MOST_STAT)?;
    name_of(&stat)
}

/// The name out of `PID (NAME) STATE ...`. A name may hold anything, so it ends at the last parenthesis.
fn name_of(stat: &[u8]) -> Option<Vec<u8>> {
    let from = stat.iter().position(|byte| *byte == b'(')?;
    let to = stat.iter().rposition(|byte| *byte == b')')?;
    let state = stat.get(to.checked_add(2)?)?;
    if matches!(state, b'Z' | b'X' | b'x') {
        return None;
    }
    stat.get(from.checked_add(1)?..to).map(<[u8]>::to_vec)
}

fn bytes(pid: i32, file: &str, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/{file}")).ok()?;
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command};
    use std::thread;

    use kr_event::Clock;
    use kr_model::track::ArgumentMatch;

    use super::*;

    const ID: TrackerId = TrackerId(1);
    const TOKEN: usize = 1 << 20;

    #[test]
    fn a_name_is_what_stands_in_the_outer_parentheses() {
        for (stat, expected) in [
            (&b"1 (init) S 0 1"[..], Some(&b"init"[..])),
            (b"7 (a) Z (b)) R 1", Some(b"a) Z (b)")),
            (b"7 (gone) Z 1", None),
            (b"7 (gone", None),
            (b"7 (x)", None),
            (b")(", None),
            (b"", None),
        ] {
            assert_eq!(name_of(stat).as_deref(), expected, "{stat:?}");
        }
    }

    /// A process that sleeps under a name of its own in its command line.
    #[expect(clippy::disallowed_methods, reason = "test code")]
    fn sleeper(name: &str) -> Child {
        let mut command = Command::new("sleep");
        command.arg0(name).arg("60").spawn().unwrap()
    }

    fn followed(name: &str) -> BTreeMap<TrackerId, ProcessPattern> {
        let pattern = ProcessPattern::Command {
            program: name.to_owned(),
            arguments: ArgumentMatch::Exact(vec!["60".to_owned()]),
        };
        [(ID, pattern)].into()
    }

    /// Looks until the count is another one.
    fn wait_for(watch: &mut ProcessWatch, events: &EventLoop, clock: Clock, count: u32) {
        for _ in 0..500 {
            let counts = watch.handle_timeout(events, clock.now());
            if counts.is_some_and(|counts| counts[&ID] == count) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("never {count}");
    }

    #[test]
    fn processes_are_counted_and_their_end_is_told_before_anybody_reaps_them() {
        let name = format!("kr-test-{}", std::process::id());
        let (mut events, clock) = (EventLoop::new().unwrap(), Clock::new());
        let mut watch = ProcessWatch::new(TOKEN);
        let mut first = sleeper(&name);
        // Until it has executed its program, it is a copy of this one.
        watch.replace(followed(&name), &events, clock.now());
        wait_for(&mut watch, &events, clock, 1);
        let mut second = sleeper(&name);
        wait_for(&mut watch, &events, clock, 2);
        first.kill().unwrap();
        let until = clock.now().saturating_add(Duration::from_secs(10));
        let ready = events.wait(Some(until)).unwrap();
        let counts = watch.handle_ready(ready[0].token, &events, clock.now());
        assert_eq!(counts, Some([(ID, 1)].into()));
        wait_for(&mut watch, &events, clock, 1);
        first.wait().unwrap();
        second.kill().unwrap();
        second.wait().unwrap();
        wait_for(&mut watch, &events, clock, 0);
    }

    #[test]
    fn without_patterns_nothing_is_looked_at() {
        let events = EventLoop::new().unwrap();
        let mut watch = ProcessWatch::new(TOKEN);
        let now = Instant::from_micros(5);
        let counts = watch.replace(followed("nobody-has-this-name"), &events, now);
        assert_eq!(counts, [(ID, 0)].into());
        assert_eq!(watch.poll_timeout(), Some(now.saturating_add(EVERY)));
        assert_eq!(
            watch.replace(BTreeMap::new(), &events, now),
            BTreeMap::new()
        );
        assert_eq!(watch.poll_timeout(), None);
    }
}
