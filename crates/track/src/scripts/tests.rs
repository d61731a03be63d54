use proptest::prelude::*;

use super::*;

const ID: TrackerId = TrackerId(1);
const PASS: ScriptOutcome = ScriptOutcome::Exit(0);
const FAIL: ScriptOutcome = ScriptOutcome::Exit(1);

fn script() -> ScriptTracker {
    ScriptTracker {
        script: ScriptId(7),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 1,
        init_fail: false,
    }
}

fn at(milliseconds: u64) -> Instant {
    Instant::from_micros(milliseconds * 1000)
}

struct Bench {
    scripts: Scripts,
    now: u64,
    run: u64,
}

impl Bench {
    /// One script, whose first run has just begun.
    fn new(config: ScriptTracker) -> Self {
        let mut bench = Self {
            scripts: Scripts::default(),
            now: 0,
            run: 0,
        };
        let did = bench.give(ScriptInput::Configure([(ID, config)].into()));
        assert!(matches!(did[..], [ScriptAction::Start { run: 1, .. }]));
        bench
    }

    fn give(&mut self, input: ScriptInput) -> Vec<ScriptAction> {
        self.scripts.handle(input, at(self.now));
        let did: Vec<_> = std::iter::from_fn(|| self.scripts.poll_action()).collect();
        for action in &did {
            if let ScriptAction::Start { run, .. } = action {
                self.run = *run;
            }
        }
        did
    }

    /// The run that goes on ends.
    fn end(&mut self, outcome: ScriptOutcome) -> Vec<ScriptAction> {
        let (tracker, run) = (ID, self.run);
        self.give(ScriptInput::Ended {
            tracker,
            run,
            outcome,
        })
    }

    /// The next timer.
    fn wait(&mut self) -> Vec<ScriptAction> {
        let until = self.scripts.poll_timeout().unwrap();
        self.now = until.as_micros() / 1000;
        self.give(ScriptInput::Timer)
    }

    /// The next run begins and ends at once; the state afterwards.
    fn next(&mut self, outcome: ScriptOutcome) -> TrackerState {
        self.wait();
        self.end(outcome);
        self.scripts.state(ID)
    }
}

fn changed(state: TrackerState, outcome: ScriptOutcome) -> ScriptAction {
    ScriptAction::Changed {
        tracker: ID,
        state,
        outcome,
    }
}

#[test]
fn the_first_result_decides_whatever_rise_and_fall_are() {
    for (outcome, state) in [
        (PASS, TrackerState::Up),
        (FAIL, TrackerState::Down),
        (ScriptOutcome::Signal(9), TrackerState::Down),
        (ScriptOutcome::NotStarted, TrackerState::Down),
    ] {
        let mut bench = Bench::new(ScriptTracker {
            rise: 3,
            fall: 3,
            ..script()
        });
        assert_eq!(bench.scripts.state(ID), TrackerState::Pending);
        assert_eq!(bench.end(outcome), [changed(state, outcome)]);
    }
}

#[test]
fn later_results_need_rise_or_fall_in_a_row() {
    use TrackerState::{Down, Up};
    let mut bench = Bench::new(ScriptTracker {
        rise: 2,
        fall: 3,
        ..script()
    });
    bench.end(PASS);
    for (outcome, state) in [
        (FAIL, Up),
        (FAIL, Up),
        (PASS, Up),
        (FAIL, Up),
        (FAIL, Up),
        (FAIL, Down),
        (PASS, Down),
        (FAIL, Down),
        (PASS, Down),
        (PASS, Up),
        (FAIL, Up),
    ] {
        assert_eq!(bench.next(outcome), state);
    }
}

#[test]
fn init_fail_is_down_until_rise_passes() {
    let mut bench = Bench::new(ScriptTracker {
        rise: 2,
        init_fail: true,
        ..script()
    });
    assert_eq!(bench.scripts.state(ID), TrackerState::Down);
    assert_eq!(bench.end(PASS), []);
    assert_eq!(bench.next(PASS), TrackerState::Up);
}

#[test]
fn runs_start_every_interval_and_never_two_at_a_time() {
    let mut bench = Bench::new(ScriptTracker {
        timeout: Duration::from_secs(10),
        ..script()
    });
    bench.now = 300;
    bench.end(PASS);
    assert_eq!(bench.scripts.poll_timeout(), Some(at(1000)));
    assert_eq!(bench.wait().len(), 1);
    // This one takes 2.4 s: two starts fall out, none is made up for.
    bench.now = 3400;
    assert_eq!(bench.end(PASS), []);
    assert_eq!(bench.scripts.poll_timeout(), Some(at(4000)));
}

#[test]
fn a_run_fails_when_its_time_is_over_and_its_end_counts_no_more() {
    let mut bench = Bench::new(script());
    let late = changed(TrackerState::Down, ScriptOutcome::TimedOut);
    assert_eq!(bench.wait(), [late]);
    assert_eq!(bench.now, 1000);
    assert_eq!(bench.scripts.poll_timeout(), None, "until it has ended");
    bench.now = 3000;
    assert_eq!(bench.end(PASS), []);
    assert_eq!(bench.wait().len(), 1);
}

#[test]
fn a_run_that_lacked_the_processor_has_as_much_more_time() {
    let mut bench = Bench::new(script());
    bench.now = 900;
    assert_eq!(bench.give(ScriptInput::Stalled(Duration::from_secs(5))), []);
    assert_eq!(bench.scripts.poll_timeout(), Some(at(6000)));
    bench.now = 5000;
    assert_eq!(bench.end(PASS), [changed(TrackerState::Up, PASS)]);
    // The next start is none the later for it.
    assert_eq!(bench.scripts.poll_timeout(), Some(at(5000)));
}

#[test]
fn a_run_that_could_not_be_made_changes_no_state_and_is_tried_again() {
    let mut bench = Bench::new(ScriptTracker {
        fall: 2,
        ..script()
    });
    for _ in 0..5 {
        assert_eq!(bench.end(ScriptOutcome::NotTried), []);
        assert_eq!(bench.scripts.state(ID), TrackerState::Pending);
        assert_eq!(bench.wait().len(), 1, "the next run");
    }
    assert_eq!(bench.end(PASS), [changed(TrackerState::Up, PASS)]);
    bench.wait();
    assert_eq!(bench.end(FAIL), []);
    bench.wait();
    assert_eq!(bench.end(ScriptOutcome::NotTried), []);
    bench.wait();
    assert_eq!(bench.end(FAIL), [changed(TrackerState::Down, FAIL)]);
}

#[test]
fn an_end_of_another_run_is_ignored() {
    let mut bench = Bench::new(script());
    let end = |run| ScriptInput::Ended {
        tracker: ID,
        run,
        outcome: PASS,
    };
    assert_eq!(bench.give(end(9)), []);
    assert_eq!(bench.give(end(1)).len(), 1);
    assert_eq!(bench.give(end(1)), []);
}

#[test]
fn a_reload_keeps_state_run_and_time_of_a_script() {
    let mut bench = Bench::new(script());
    bench.end(FAIL);
    bench.now = 500;
    let same = ScriptInput::Configure([(ID, script())].into());
    assert_eq!(bench.give(same), []);
    assert_eq!(bench.scripts.state(ID), TrackerState::Down);
    assert_eq!(bench.scripts.poll_timeout(), Some(at(1000)));
    let faster = ScriptTracker {
        interval: Duration::from_millis(600),
        ..script()
    };
    assert_eq!(
        bench.give(ScriptInput::Configure([(ID, faster)].into())),
        []
    );
    assert_eq!(bench.scripts.poll_timeout(), Some(at(600)));
    // A run that goes on is waited for.
    bench.wait();
    bench.now = 700;
    let slower = ScriptInput::Configure([(ID, script())].into());
    assert_eq!(bench.give(slower), []);
    assert_eq!(bench.end(PASS), [changed(TrackerState::Up, PASS)]);
}

#[test]
fn a_removed_script_is_forgotten() {
    let mut bench = Bench::new(script());
    assert_eq!(bench.give(ScriptInput::Configure(BTreeMap::new())), []);
    assert_eq!(bench.scripts.poll_timeout(), None);
    assert_eq!(bench.end(PASS), []);
}

proptest! {
    /// Whatever happens and however late: at most one run at a time, not more runs than intervals, and
    /// something always follows.
    #[test]
    fn any_course_keeps_the_rules(
        steps in proptest::collection::vec((0_u64..3000, any::<bool>(), any::<bool>()), 1..60),
        rise in 1_u32..4,
        fall in 1_u32..4,
    ) {
        let mut bench = Bench::new(ScriptTracker { rise, fall, ..script() });
        let (mut running, mut starts) = (true, 1);
        for (pause, end, passed) in steps {
            bench.now += pause;
            let did = bench.give(ScriptInput::Timer);
            for action in &did {
                if let ScriptAction::Start { .. } = action {
                    prop_assert!(!running);
                    (running, starts) = (true, starts + 1);
                    prop_assert!(starts <= bench.now / 1000 + 1, "{starts} at {}", bench.now);
                }
            }
            if end && running {
                running = false;
                bench.end(if passed { PASS } else { FAIL });
            }
            let timeout = bench.scripts.poll_timeout();
            prop_assert!(timeout.is_some() || running, "it waits for its end at most");
        }
    }
}
