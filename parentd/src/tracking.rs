//! Tracked scripts, files and processes: brings together when programs run and what results mean (`kr-track`)
//! with the files and processes of this host (`kr-host`). The supervisor runs the programs and tells the
//! children.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use kr_config::typed::TrackerEntry;
use kr_event::EventLoop;
use kr_host::files::{self, Files, NewValue};
use kr_host::processes::ProcessWatch;
use kr_model::script::ScriptOutcome;
use kr_model::track::{ProcessTracker, ScriptTracker, TrackerSource, TrackerState};
use kr_model::{Instant, ScriptId, TrackerId};
use kr_track::{
    Delay, HandedProcesses, HandedScripts, Processes, ScriptAction, ScriptInput, Scripts,
};
use mio::{Interest, Token};
use serde::{Deserialize, Serialize};

/// What the supervisor has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Run the program of a `vrrp_script`.
    Run {
        /// The tracked script.
        tracker: TrackerId,
        /// The number to give back.
        run: u64,
        /// Its program.
        script: ScriptId,
        /// How long it may take.
        timeout: Duration,
    },
    /// Tell that an object has a new state.
    Changed {
        /// The object.
        tracker: TrackerId,
        /// Its state.
        state: TrackerState,
        /// The result that made it, of a script.
        outcome: Option<ScriptOutcome>,
    },
}

/// What dumps show of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Its state.
    pub(crate) state: TrackerState,
    /// How many processes it counts.
    pub(crate) processes: u32,
    /// The delay that runs before its state changes.
    pub(crate) delay: Option<Delay>,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            state: TrackerState::Pending,
            processes: 0,
            delay: None,
        }
    }
}

/// States, results and delays, for the next program of this process. Files are read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandedTracking {
    scripts: HandedScripts,
    processes: HandedProcesses,
}

/// Everything that is tracked.
#[derive(Debug)]
pub(crate) struct Tracking {
    scripts: Scripts,
    files: Files,
    watch: ProcessWatch,
    processes: Processes,
    steps: VecDeque<Step>,
    files_token: Token,
    files_registered: bool,
    /// A file may have changed more often than was read.
    more_files: bool,
}

impl Tracking {
    /// Nothing is tracked yet. Files use one token, processes those from `first_process` on.
    pub(crate) fn new(files_token: Token, first_process: usize) -> Self {
        Self {
            scripts: Scripts::default(),
            files: Files::default(),
            watch: ProcessWatch::new(first_process),
            processes: Processes::default(),
            steps: VecDeque::new(),
            files_token,
            files_registered: false,
            more_files: false,
        }
    }

    /// States, results and delays. Actions must have been polled.
    pub(crate) fn hand_over(&self) -> HandedTracking {
        HandedTracking {
            scripts: self.scripts.hand_over(),
            processes: self.processes.hand_over(),
        }
    }

    /// Goes on where the program before was; to be followed by [`Self::replace`] with the same objects.
    pub(crate) fn take_over(
        &mut self,
        handed: &HandedTracking,
        trackers: &BTreeMap<TrackerId, TrackerEntry>,
    ) {
        let wanted = Wanted::of(trackers);
        self.scripts.take_over(&handed.scripts, &wanted.scripts);
        self.processes
            .take_over(&handed.processes, &wanted.processes);
    }

    /// Follows these objects and no others. What goes on keeps its state.
    pub(crate) fn replace(
        &mut self,
        trackers: &BTreeMap<TrackerId, TrackerEntry>,
        events: &EventLoop,
        now: Instant,
    ) {
        let wanted = Wanted::of(trackers);
        self.scripts
            .handle(ScriptInput::Configure(wanted.scripts), now);
        self.files.replace(wanted.files, now);
        if !self.files_registered
            && let Some(descriptor) = self.files.descriptor()
        {
            match events.register_for(descriptor.as_fd(), self.files_token, Interest::READABLE) {
                Ok(()) => self.files_registered = true,
                Err(error) => log::error!("tracked files cannot be watched: {error}"),
            }
        }
        let patterns = wanted.processes.iter();
        let patterns = patterns.map(|(id, process)| (*id, process.pattern.clone()));
        let counts = self.watch.replace(patterns.collect(), events, now);
        self.processes.configure(wanted.processes, now);
        self.count(&counts, now);
    }

    /// State of an object.
    pub(crate) fn state(&self, id: TrackerId, source: &TrackerSource) -> TrackerState {
        match source {
            TrackerSource::Script(_) => self.scripts.state(id),
            TrackerSource::File(_) => TrackerState::Value(self.files.value(id)),
            TrackerSource::Process(_) => self.processes.state(id),
        }
    }

    /// What dumps show.
    pub(crate) fn shown(
        &self,
        trackers: &BTreeMap<TrackerId, TrackerEntry>,
    ) -> BTreeMap<TrackerId, Shown> {
        let shown = |(id, entry): (&TrackerId, &TrackerEntry)| {
            let shown = Shown {
                state: self.state(*id, &entry.source),
                processes: self.processes.count(*id),
                delay: self.processes.delay(*id),
            };
            (*id, shown)
        };
        trackers.iter().map(shown).collect()
    }

    /// A run ended, or could not be started.
    pub(crate) fn script_ended(
        &mut self,
        tracker: TrackerId,
        run: u64,
        outcome: ScriptOutcome,
        now: Instant,
    ) {
        let ended = ScriptInput::Ended {
            tracker,
            run,
            outcome,
        };
        self.scripts.handle(ended, now);
    }

    /// This process lacked the processor for so long: runs have as much more time.
    pub(crate) fn stalled(&mut self, time: Duration, now: Instant) {
        self.scripts.handle(ScriptInput::Stalled(time), now);
    }

    /// Serves a descriptor. False when it is somebody else's.
    pub(crate) fn handle_ready(&mut self, token: Token, events: &EventLoop, now: Instant) -> bool {
        if token == self.files_token {
            self.read_files(now);
            return true;
        }
        let counts = self.watch.handle_ready(token, events, now);
        if let Some(counts) = &counts {
            self.count(counts, now);
        }
        counts.is_some()
    }

    /// Serves deadlines that have passed.
    pub(crate) fn handle_timeout(&mut self, events: &EventLoop, now: Instant) {
        if self.scripts.poll_timeout().is_some_and(|at| at <= now) {
            self.scripts.handle(ScriptInput::Timer, now);
        }
        if self.more_files {
            self.read_files(now);
        }
        let values = self.files.handle_timeout(now);
        self.tell_values(values);
        if let Some(counts) = self.watch.handle_timeout(events, now) {
            self.count(&counts, now);
        }
        self.processes.handle_timeout(now);
    }

    /// What to do next, until `None`. Poll after each other call.
    pub(crate) fn poll_action(&mut self) -> Option<Step> {
        while let Some((tracker, state)) = self.processes.poll_action() {
            self.steps.push_back(Step::Changed {
                tracker,
                state,
                outcome: None,
            });
        }
        let of_script = |action| match action {
            ScriptAction::Start {
                tracker,
                run,
                script,
                timeout,
            } => Step::Run {
                tracker,
                run,
                script,
                timeout,
            },
            ScriptAction::Changed {
                tracker,
                state,
                outcome,
            } => Step::Changed {
                tracker,
                state,
                outcome: Some(outcome),
            },
        };
        let step = self.steps.pop_front();
        step.or_else(|| self.scripts.poll_action().map(of_script))
    }

    /// When to call [`Self::handle_timeout`].
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let all = [
            self.scripts.poll_timeout(),
            self.files.poll_timeout(),
            self.watch.poll_timeout(),
            self.processes.poll_timeout(),
            self.more_files.then_some(Instant::ZERO),
        ];
        all.into_iter().flatten().min()
    }

    fn read_files(&mut self, now: Instant) {
        let (values, more) = self.files.handle_ready(now);
        self.more_files = more;
        self.tell_values(values);
    }

    fn tell_values(&mut self, values: Vec<NewValue>) {
        let changed = |new: NewValue| Step::Changed {
            tracker: new.tracker,
            state: TrackerState::Value(new.value),
            outcome: None,
        };
        self.steps.extend(values.into_iter().map(changed));
    }

    fn count(&mut self, counts: &BTreeMap<TrackerId, u32>, now: Instant) {
        for (id, count) in counts {
            if *count != self.processes.count(*id)
                || self.processes.state(*id) == TrackerState::Pending
            {
                self.processes.handle(*id, *count, now);
            }
        }
    }
}

/// The objects by their kind.
struct Wanted {
    scripts: BTreeMap<TrackerId, ScriptTracker>,
    files: BTreeMap<TrackerId, PathBuf>,
    processes: BTreeMap<TrackerId, ProcessTracker>,
}

impl Wanted {
    fn of(trackers: &BTreeMap<TrackerId, TrackerEntry>) -> Self {
        let mut wanted = Self {
            scripts: BTreeMap::new(),
            files: BTreeMap::new(),
            processes: BTreeMap::new(),
        };
        for (id, entry) in trackers {
            match &entry.source {
                TrackerSource::Script(script) => {
                    wanted.scripts.insert(*id, script.clone());
                }
                TrackerSource::File(file) => {
                    wanted.files.insert(*id, file.path.clone());
                }
                TrackerSource::Process(process) => {
                    wanted.processes.insert(*id, process.clone());
                }
            }
        }
        wanted
    }
}

/// Writes the first numbers of files (`init_file`), at the start of the daemon.
pub(crate) fn write_first_numbers(trackers: &BTreeMap<TrackerId, TrackerEntry>) {
    for entry in trackers.values() {
        if let TrackerSource::File(file) = &entry.source
            && let Some(first) = file.init
            && let Err(error) = files::init(&file.path, first)
        {
            log::error!("{} cannot be written: {error}", file.path.display());
        }
    }
}
