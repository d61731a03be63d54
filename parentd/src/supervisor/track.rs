//! Tracked objects: running their programs, and telling the children what became of them.

use std::collections::BTreeMap;

use kr_ipc::edge::parentd_checkerd::ToCheckerd;
use kr_ipc::edge::parentd_vrrpd::ToVrrpd;
use kr_model::TrackerId;
use kr_model::script::ScriptOutcome;
use kr_model::track::{Matter, TrackerState};

use crate::supervisor::Supervisor;
use crate::tracking::Step;

impl Supervisor {
    /// Follows what the configuration tracks, and nothing else.
    pub(super) fn follow_tracked(&mut self) {
        let trackers = &self.config.trackers;
        self.scripts
            .abandon_tracked(|id| trackers.contains_key(&id), self.now);
        self.tracking.replace(trackers, &self.events, self.now);
    }

    /// The daemon ends: results interest nobody any more.
    pub(super) fn stop_tracking(&mut self) {
        self.scripts.abandon_tracked(|_| false, self.now);
        self.tracking
            .replace(&BTreeMap::new(), &self.events, self.now);
    }

    /// Does what is due.
    pub(super) fn track(&mut self) {
        self.tracking.handle_timeout(&self.events, self.now);
        while let Some(step) = self.tracking.poll_action() {
            match step {
                Step::Run {
                    tracker,
                    run,
                    script,
                    timeout,
                } => {
                    let until = self.now.saturating_add(timeout);
                    let started = self
                        .scripts
                        .track(tracker, run, script, until, &self.events);
                    if let Err(outcome) = started {
                        self.tracking.script_ended(tracker, run, outcome, self.now);
                    }
                }
                Step::Changed {
                    tracker,
                    state,
                    outcome,
                } => self.tracker_changed(tracker, state, outcome),
            }
        }
    }

    fn tracker_changed(
        &mut self,
        tracker: TrackerId,
        state: TrackerState,
        outcome: Option<ScriptOutcome>,
    ) {
        let Some(entry) = self.config.trackers.get(&tracker) else {
            return;
        };
        let kind = entry.source.kind();
        let matter = Matter {
            kind,
            name: Some(&entry.name),
            state,
        };
        match outcome {
            Some(ScriptOutcome::Exit(0)) | None => log::info!("{matter}"),
            Some(outcome) => log::info!("{matter}: it {}", words(outcome)),
        }
        self.vrrpd.send(&ToVrrpd::TrackerState { tracker, state });
        self.tell_number(tracker, state);
    }

    /// Tells the checker process what is in the files that it may follow, after their configuration.
    pub(super) fn tell_numbers(&mut self) {
        let trackers = self.config.trackers.iter();
        let states = trackers.map(|(id, entry)| (*id, self.tracking.state(*id, &entry.source)));
        for (tracker, state) in states.collect::<Vec<_>>() {
            self.tell_number(tracker, state);
        }
    }

    fn tell_number(&mut self, file: TrackerId, state: TrackerState) {
        if let TrackerState::Value(number) = state {
            self.checkerd.send(&ToCheckerd::Number { file, number });
        }
    }
}

/// How a run ended, after `it`.
fn words(outcome: ScriptOutcome) -> String {
    match outcome {
        ScriptOutcome::Exit(code) => format!("exited with status {code}"),
        ScriptOutcome::Signal(number) => format!("was ended by signal {number}"),
        ScriptOutcome::TimedOut => "took too long".to_owned(),
        ScriptOutcome::NotStarted | ScriptOutcome::NotTried => "could not be started".to_owned(),
    }
}
