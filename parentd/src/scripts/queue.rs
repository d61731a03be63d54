//! Order of notify scripts. Pure.
//!
//! Scripts of one object (an instance, a real server, a virtual server) never run at the same time, and
//! the last one that runs is the one of the latest state: while one runs, a newer state replaces one
//! that waits. Scripts of different objects do not wait for each other.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kr_model::{GroupId, InstanceId, Instant, RealServerId, ScriptId, VirtualServerId};
use serde::{Deserialize, Serialize};

/// How long a new state waits for a script of the state before. Then it is announced beside it, for a
/// script that never ends must not hide every later state.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a script is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Object {
    /// `notify_master` and its like.
    Instance(InstanceId),
    /// The same of a `vrrp_sync_group`.
    Group(GroupId),
    /// `notify_master_rx_lower_pri`, which pushes no waiting script of a state aside.
    Overlap(InstanceId),
    /// `notify_up`, `notify_down`.
    RealServer(RealServerId),
    /// `quorum_up`, `quorum_down`.
    VirtualServer(VirtualServerId),
}

/// A script with words to append to its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// The script.
    pub(crate) script: ScriptId,
    /// Words after its own.
    pub(crate) appended: Vec<String>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// An object has a new state; its scripts are to run in this order.
    NewState(Object, Vec<Job>),
    /// A run that was asked for has ended, or could not be started.
    Ended(u64),
}

/// Start this script now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// Number to give back when it has ended.
    pub(crate) run: u64,
    /// What to run.
    pub(crate) job: Job,
    /// It starts although an earlier one of the same object still runs.
    pub(crate) overtakes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    run: u64,
    since: Instant,
    rest: VecDeque<Job>,
    waiting: Option<VecDeque<Job>>,
}

/// All objects whose scripts run or wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lines: BTreeMap<Object, Line>,
    next_run: u64,
    actions: VecDeque<Start>,
}

/// What runs and waits, for the next program of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedQueue {
    lines: Vec<(Object, Line)>,
    next_run: u64,
}

impl Queue {
    /// Everything but actions, which must have been polled.
    pub(crate) fn hand_over(&self) -> HandedQueue {
        let lines = self.lines.iter();
        HandedQueue {
            lines: lines
                .map(|(object, line)| (*object, line.clone()))
                .collect(),
            next_run: self.next_run,
        }
    }

    /// Goes on where the program before was.
    pub(crate) fn take_over(handed: HandedQueue) -> Self {
        Self {
            lines: handed.lines.into_iter().collect(),
            next_run: handed.next_run,
            actions: VecDeque::new(),
        }
    }

    /// Takes an input. Poll actions afterwards.
    pub(crate) fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::NewState(object, jobs) => {
                let mut jobs: VecDeque<Job> = jobs.into();
                match self.lines.get_mut(&object) {
                    Some(line) => line.waiting = Some(jobs),
                    None => {
                        if let Some(first) = jobs.pop_front() {
                            self.begin(object, first, jobs, now, false);
                        }
                    }
                }
            }
            Input::Ended(run) => {
                let Some(object) = self.object_of(run) else {
                    // A run that was overtaken.
                    return;
                };
                let Some(mut line) = self.lines.remove(&object) else {
                    return;
                };
                if let Some(next) = line.rest.pop_front() {
                    self.begin(object, next, line.rest, now, false);
                    if let Some(begun) = self.lines.get_mut(&object) {
                        begun.waiting = line.waiting;
                    }
                } else {
                    self.begin_waiting(object, line.waiting, now, false);
                }
            }
        }
    }

    /// What to do next, until `None`.
    pub(crate) fn poll_action(&mut self) -> Option<Start> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`]; ask again after every other call.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.lines
            .values()
            .filter(|line| line.waiting.is_some())
            .map(|line| line.since.saturating_add(PATIENCE))
            .min()
    }

    /// Lets states that waited too long overtake. Poll actions afterwards.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let late: Vec<Object> = self
            .lines
            .iter()
            .filter(|(_, line)| line.waiting.is_some() && now.since(line.since) >= PATIENCE)
            .map(|(object, _)| *object)
            .collect();
        for object in late {
            let waiting = self.lines.remove(&object).and_then(|line| line.waiting);
            self.begin_waiting(object, waiting, now, true);
        }
    }

    fn object_of(&self, run: u64) -> Option<Object> {
        self.lines
            .iter()
            .find(|(_, line)| line.run == run)
            .map(|(object, _)| *object)
    }

    fn begin_waiting(
        &mut self,
        object: Object,
        waiting: Option<VecDeque<Job>>,
        now: Instant,
        overtakes: bool,
    ) {
        if let Some(mut jobs) = waiting
            && let Some(first) = jobs.pop_front()
        {
            self.begin(object, first, jobs, now, overtakes);
        }
    }

    fn begin(
        &mut self,
        object: Object,
        job: Job,
        rest: VecDeque<Job>,
        now: Instant,
        overtakes: bool,
    ) {
        self.next_run = self.next_run.saturating_add(1);
        let run = self.next_run;
        self.lines.insert(
            object,
            Line {
                run,
                since: now,
                rest,
                waiting: None,
            },
        );
        self.actions.push_back(Start {
            run,
            job,
            overtakes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VI: Object = Object::Instance(InstanceId(1));
    const OTHER: Object = Object::Instance(InstanceId(2));

    fn job(script: u32) -> Job {
        Job {
            script: ScriptId(script),
            appended: Vec::new(),
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    /// Feeds an input and returns run number and script of what starts.
    fn feed(queue: &mut Queue, input: Input, seconds: u64) -> Vec<(u64, u32)> {
        queue.handle(input, at(seconds));
        started(queue)
    }

    fn started(queue: &mut Queue) -> Vec<(u64, u32)> {
        std::iter::from_fn(|| queue.poll_action())
            .map(|start| (start.run, start.job.script.0))
            .collect()
    }

    #[test]
    fn scripts_of_one_state_run_one_after_the_other() {
        let mut queue = Queue::default();
        let state = Input::NewState(VI, vec![job(10), job(11)]);
        assert_eq!(feed(&mut queue, state, 0), [(1, 10)]);
        assert_eq!(feed(&mut queue, Input::Ended(1), 1), [(2, 11)]);
        assert_eq!(feed(&mut queue, Input::Ended(2), 2), []);
        assert!(queue.lines.is_empty());
    }

    #[test]
    fn the_latest_state_replaces_one_that_waits() {
        let mut queue = Queue::default();
        feed(&mut queue, Input::NewState(VI, vec![job(10), job(11)]), 0);
        assert_eq!(feed(&mut queue, Input::NewState(VI, vec![job(20)]), 1), []);
        assert_eq!(feed(&mut queue, Input::NewState(VI, vec![job(30)]), 2), []);
        // The rest of the first state, then only the latest.
        assert_eq!(feed(&mut queue, Input::Ended(1), 3), [(2, 11)]);
        assert_eq!(feed(&mut queue, Input::Ended(2), 4), [(3, 30)]);
        assert_eq!(feed(&mut queue, Input::Ended(3), 5), []);
    }

    #[test]
    fn objects_do_not_wait_for_each_other() {
        let mut queue = Queue::default();
        assert_eq!(
            feed(&mut queue, Input::NewState(VI, vec![job(1)]), 0),
            [(1, 1)]
        );
        assert_eq!(
            feed(&mut queue, Input::NewState(OTHER, vec![job(1)]), 0),
            [(2, 1)]
        );
    }

    #[test]
    fn a_script_that_never_ends_is_overtaken() {
        let mut queue = Queue::default();
        feed(&mut queue, Input::NewState(VI, vec![job(1), job(2)]), 0);
        assert_eq!(queue.poll_timeout(), None);
        feed(&mut queue, Input::NewState(VI, vec![job(3)]), 10);
        assert_eq!(queue.poll_timeout(), Some(at(30)));
        queue.handle_timeout(at(29));
        assert_eq!(started(&mut queue), []);
        queue.handle_timeout(at(30));
        assert_eq!(started(&mut queue), [(2, 3)]);
        // The end of the old one starts nothing.
        assert_eq!(feed(&mut queue, Input::Ended(1), 31), []);
        assert_eq!(feed(&mut queue, Input::Ended(2), 32), []);
    }

    #[test]
    fn ten_thousand_flaps_end_with_the_script_of_the_last_state() {
        let mut queue = Queue::default();
        let mut running = feed(&mut queue, Input::NewState(VI, vec![job(0)]), 0);
        let mut last = 0;
        for n in 1..=10_000 {
            running.extend(feed(&mut queue, Input::NewState(VI, vec![job(n)]), 1));
            if n % 7 == 0 {
                let (run, _) = running.remove(0);
                running.extend(feed(&mut queue, Input::Ended(run), 1));
            }
            assert_eq!(running.len(), 1);
        }
        while let Some((run, script)) = running.pop() {
            last = script;
            running = feed(&mut queue, Input::Ended(run), 1);
        }
        assert_eq!(last, 10_000);
    }
}
