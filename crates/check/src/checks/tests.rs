mod told;

use std::net::SocketAddr;

use kr_model::check::{Connection, HttpProbe, HttpVersion, StatusRange, Timing, Url};

use super::*;

mod share;

const SECOND: Duration = Duration::from_secs(1);

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

fn connection() -> Connection {
    Connection {
        target: SocketAddr::from(([10, 0, 0, 2], 80)),
        source: None,
        source_port: None,
        interface: None,
        mark: 0,
        timeout: 3 * SECOND,
    }
}

fn url(path: &str) -> Url {
    Url {
        path: path.to_owned(),
        host: "h".to_owned(),
        server_name: None,
        digest: None,
        status: vec![StatusRange {
            first: 200,
            last: 200,
        }],
        close_notify: false,
        pattern: None,
    }
}

/// A checker with `delay_loop` 6, `retry` 1, `delay_before_retry` 2 and no warm-up.
fn checker(id: u32, probe: Probe) -> Checker {
    Checker {
        id: CheckerId(id),
        server: format!("server {id}"),
        service: "service".to_owned(),
        probe,
        timing: Timing {
            delay_loop: 6 * SECOND,
            retry: 1,
            delay_before_retry: 2 * SECOND,
            warmup: Duration::ZERO,
        },
        alpha: false,
        log_all_failures: false,
    }
}

fn tcp(id: u32) -> Checker {
    checker(id, Probe::Tcp(connection()))
}

fn misc(id: u32, dynamic: bool) -> Checker {
    let timeout = 6 * SECOND;
    checker(id, Probe::Misc { dynamic, timeout })
}

fn http(id: u32, urls: &[&str]) -> Checker {
    checker(
        id,
        Probe::Http(HttpProbe {
            connection: connection(),
            tls: None,
            version: HttpVersion::V1_0,
            urls: urls.iter().map(|path| url(path)).collect(),
            fast_recovery: false,
        }),
    )
}

fn configuration(generation: u64, checkers: &[Checker], resume: &[CheckerSnapshot]) -> Input {
    Input::Configure(Configuration {
        generation: Generation(generation),
        checkers: checkers.to_vec(),
        kept: BTreeSet::new(),
        share: false,
        resume: resume.to_vec(),
    })
}

fn configured(checkers: &[Checker]) -> Checks {
    let mut checks = Checks::new(100, Rng::new(7));
    checks.handle(configuration(1, checkers, &[]), at(0));
    checks
}

fn actions(checks: &mut Checks) -> Vec<Action> {
    std::iter::from_fn(|| checks.poll_action()).collect()
}

/// The runs that the machine asks for now.
fn runs(checks: &mut Checks) -> Vec<(u32, u64)> {
    actions(checks)
        .into_iter()
        .filter_map(|action| match action {
            Action::Start { checker, run } | Action::RunScript { checker, run } => {
                Some((checker.0, run))
            }
            Action::Cancel { .. }
            | Action::Verdict { .. }
            | Action::Snapshot(_)
            | Action::Overloaded { .. }
            | Action::Log { .. } => None,
        })
        .collect()
}

fn snapshots(actions: &[Action]) -> Vec<CheckerSnapshot> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Snapshot(snapshot) => Some(*snapshot),
            Action::Start { .. }
            | Action::RunScript { .. }
            | Action::Cancel { .. }
            | Action::Verdict { .. }
            | Action::Overloaded { .. }
            | Action::Log { .. } => None,
        })
        .collect()
}

fn verdicts(actions: &[Action]) -> Vec<(u32, bool, Option<u32>)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Verdict { verdict, .. } => Some((
                verdict.checker.0,
                verdict.up,
                verdict.weight.map(Weight::get),
            )),
            Action::Start { .. }
            | Action::RunScript { .. }
            | Action::Cancel { .. }
            | Action::Snapshot(_)
            | Action::Overloaded { .. }
            | Action::Log { .. } => None,
        })
        .collect()
}

/// Goes to the next due time and expects exactly one run to start there; returns when and which.
fn next_run(checks: &mut Checks) -> (Instant, CheckerId, u64) {
    let due = checks.poll_timeout().unwrap();
    checks.handle(Input::Tick, due);
    let started = runs(checks);
    assert_eq!(started.len(), 1, "{started:?}");
    (due, CheckerId(started[0].0), started[0].1)
}

const FAILED: Outcome = Outcome::Failed(Failure::NotHttp);

/// Runs one checker through results, each 100 ms after its start. Returns the start times in
/// milliseconds and whatever else the machine said.
fn drive(checks: &mut Checks, results: &str) -> (Vec<u64>, Vec<Action>) {
    let mut times = Vec::new();
    let mut said = Vec::new();
    let mut now = at(0);
    let mut pending = actions(checks);
    for result in results.chars() {
        if !pending.iter().any(|a| matches!(a, Action::Start { .. })) {
            now = checks.poll_timeout().unwrap();
            checks.handle(Input::Tick, now);
            pending.extend(actions(checks));
        }
        for action in std::mem::take(&mut pending) {
            let Action::Start { checker, run } = action else {
                said.push(action);
                continue;
            };
            times.push(now.as_micros() / 1_000);
            now = now.saturating_add(Duration::from_millis(100));
            let outcome = if result == '+' {
                Outcome::Passed
            } else {
                FAILED
            };
            checks.handle(
                Input::Finished {
                    checker,
                    run,
                    outcome,
                },
                now,
            );
        }
        pending.extend(actions(checks));
    }
    said.extend(pending);
    (times, said)
}

fn starts(checks: &mut Checks, results: &str) -> Vec<u64> {
    drive(checks, results).0
}

fn script(checks: &mut Checks, outcome: ScriptOutcome) -> (u64, Vec<Action>) {
    let (start, checker, run) = next_run(checks);
    checks.handle(
        Input::ScriptEnded {
            checker,
            run,
            outcome,
        },
        start.saturating_add(SECOND),
    );
    (start.as_micros() / 1_000, actions(checks))
}

#[test]
fn first_runs_are_spread_over_warmup_after_one_second() {
    let mut checkers: Vec<Checker> = (0..50).map(tcp).collect();
    for checker in &mut checkers {
        checker.timing.warmup = 6 * SECOND;
    }
    let mut checks = configured(&checkers);
    let first = checks.poll_timeout().unwrap();
    assert!(first >= at(1_000) && first < at(2_000), "{first}");
    checks.handle(Input::Tick, at(4_000));
    let half = runs(&mut checks).len();
    assert!((15..35).contains(&half), "{half}");
    checks.handle(Input::Tick, at(7_000));
    assert_eq!(runs(&mut checks).len() + half, 50);
}

#[test]
fn waits_are_measured_from_the_end_of_an_attempt() {
    let mut checks = configured(&[tcp(1)]);
    // Success, two failures (down), one while down, success.
    assert_eq!(
        starts(&mut checks, "+---++"),
        [1_000, 7_100, 9_200, 15_300, 21_400, 27_500]
    );
}

#[test]
fn verdicts_are_said_once_per_change() {
    let mut checks = configured(&[tcp(1)]);
    for (results, verdict) in [("++", true), ("---", false), ("+++", true)] {
        let (_, said) = drive(&mut checks, results);
        assert_eq!(verdicts(&said), [(1, verdict, None)], "{results}");
    }
    checks.handle(Input::Announce, at(60_000));
    assert_eq!(verdicts(&actions(&mut checks)), [(1, true, None)]);
}

#[test]
fn a_checker_without_a_result_says_nothing_when_somebody_new_listens() {
    let mut checks = configured(&[tcp(1)]);
    checks.handle(Input::Announce, at(0));
    assert_eq!(actions(&mut checks), []);
}

#[test]
fn several_urls_take_turns_a_delay_loop_apart() {
    let mut checks = configured(&[http(1, &["/a", "/b"])]);
    let mut paths = Vec::new();
    for outcome in [
        Outcome::Passed,
        Outcome::Passed,
        FAILED,
        FAILED,
        Outcome::Passed,
    ] {
        let (start, checker, run) = next_run(&mut checks);
        let Some(Attempt::Stream(StreamAttempt::Http { url, .. })) = checks.attempt(checker) else {
            panic!("no attempt");
        };
        paths.push((start.as_micros() / 1_000, url.path.clone()));
        checks.handle(
            Input::Finished {
                checker,
                run,
                outcome,
            },
            start,
        );
    }
    let seen: Vec<(u64, &str)> = paths.iter().map(|(at, p)| (*at, p.as_str())).collect();
    assert_eq!(
        seen,
        [
            (1_000, "/a"),
            (7_000, "/b"),
            (13_000, "/a"),
            (15_000, "/a"),
            (21_000, "/a")
        ]
    );
}

#[test]
fn fast_recovery_leaves_no_pause_between_urls_on_the_way_up() {
    let mut checker = http(1, &["/a", "/b", "/c"]);
    if let Probe::Http(http) = &mut checker.probe {
        http.fast_recovery = true;
    }
    let mut checks = configured(&[checker]);
    assert_eq!(starts(&mut checks, "++++"), [1_000, 1_105, 1_210, 7_310]);
}

#[test]
fn a_failed_page_waits_the_longer_of_the_two_delays() {
    let mut checker = http(1, &["/"]);
    checker.timing.delay_before_retry = 9 * SECOND;
    let mut checks = configured(&[checker]);
    assert_eq!(starts(&mut checks, "--"), [1_000, 10_100]);
}

#[test]
fn all_hosts_of_a_mail_check_belong_to_one_attempt() {
    let mut second = connection();
    second.target = SocketAddr::from(([10, 0, 0, 3], 25));
    let probe = Probe::Smtp {
        helo: "me".to_owned(),
        hosts: vec![connection(), second.clone()],
    };
    let mut checks = configured(&[checker(1, probe)]);
    let (start, checker, run) = next_run(&mut checks);
    let passed = |run| Input::Finished {
        checker,
        run,
        outcome: Outcome::Passed,
    };
    checks.handle(passed(run), start);
    assert_eq!(runs(&mut checks), [(1, run)]);
    let Some(Attempt::Stream(attempt)) = checks.attempt(checker) else {
        panic!("no attempt");
    };
    assert_eq!(attempt.connection(), &second);
    checks.handle(passed(run), start);
    assert_eq!(verdicts(&actions(&mut checks)), [(1, true, None)]);
    assert_eq!(
        checks.poll_timeout(),
        Some(start.saturating_add(6 * SECOND))
    );
}

#[test]
fn programs_run_at_a_fixed_rate_and_their_code_decides() {
    let mut checks = configured(&[misc(1, false)]);
    let (start, said) = script(&mut checks, ScriptOutcome::Exit(0));
    assert_eq!((start, verdicts(&said)), (1_000, vec![(1, true, None)]));
    // The retry comes two seconds after the start, the run took one.
    let (start, said) = script(&mut checks, ScriptOutcome::Exit(7));
    assert_eq!((start, verdicts(&said)), (7_000, vec![]));
    let (start, said) = script(&mut checks, ScriptOutcome::TimedOut);
    assert_eq!((start, verdicts(&said)), (9_000, vec![(1, false, None)]));
    let (start, said) = script(&mut checks, ScriptOutcome::Signal(9));
    assert_eq!((start, verdicts(&said)), (15_000, vec![]));
    let (start, _) = script(&mut checks, ScriptOutcome::NotStarted);
    assert_eq!(start, 21_000);
}

#[test]
fn a_program_that_this_host_could_not_run_says_nothing_of_the_server() {
    let mut checks = configured(&[misc(1, false)]);
    let (_, said) = script(&mut checks, ScriptOutcome::Exit(0));
    assert_eq!(verdicts(&said), [(1, true, None)]);
    for _ in 0..10 {
        let (_, said) = script(&mut checks, ScriptOutcome::NotTried);
        assert_eq!(verdicts(&said), []);
    }
    let (_, said) = script(&mut checks, ScriptOutcome::TimedOut);
    assert_eq!(
        verdicts(&said),
        [],
        "a failure after passes is tried again first"
    );
}

#[test]
fn dynamic_codes_set_the_weight() {
    let mut checks = configured(&[misc(1, true)]);
    let cases = [
        (ScriptOutcome::Exit(12), vec![(1, true, Some(10))]),
        (ScriptOutcome::Exit(12), vec![]),
        (ScriptOutcome::Exit(2), vec![(1, true, Some(0))]),
        (ScriptOutcome::Exit(1), vec![]),
        (ScriptOutcome::Exit(0), vec![(1, true, None)]),
        (ScriptOutcome::Exit(255), vec![(1, true, Some(253))]),
        (ScriptOutcome::Exit(1), vec![]),
        (ScriptOutcome::Exit(1), vec![(1, false, None)]),
    ];
    for (outcome, expected) in cases {
        let (_, said) = script(&mut checks, outcome);
        assert_eq!(verdicts(&said), expected, "{outcome:?}");
    }
}

#[test]
fn a_program_whose_end_is_never_told_says_nothing_of_the_server() {
    let mut checks = configured(&[misc(1, false)]);
    let (start, checker, run) = next_run(&mut checks);
    let late = checks.poll_timeout().unwrap();
    assert_eq!(late, start.saturating_add(6 * SECOND + ANSWER_GRACE));
    checks.handle(Input::Tick, late);
    assert_eq!(verdicts(&actions(&mut checks)), []);
    let (next, _, _) = next_run(&mut checks);
    assert!(next > late);
    // The old run's answer means nothing to the new run.
    let outcome = ScriptOutcome::Exit(0);
    checks.handle(
        Input::ScriptEnded {
            checker,
            run,
            outcome,
        },
        next,
    );
    assert_eq!(actions(&mut checks), []);
}

#[test]
fn a_fault_of_this_host_changes_nothing_and_is_said_once() {
    let mut checks = configured(&[tcp(1)]);
    starts(&mut checks, "+");
    for expected in [1, 0, 0] {
        let (start, checker, run) = next_run(&mut checks);
        let outcome = Outcome::Unable(LocalFault {
            step: LocalStep::Socket,
            error: "too many open files".to_owned(),
        });
        checks.handle(
            Input::Finished {
                checker,
                run,
                outcome,
            },
            start,
        );
        assert_eq!(actions(&mut checks).len(), expected);
        assert_eq!(
            checks.poll_timeout(),
            Some(start.saturating_add(6 * SECOND))
        );
    }
}

#[test]
fn overload_starts_the_longest_due_first_and_never_more_than_the_bound() {
    let checkers: Vec<Checker> = (0..10).map(tcp).collect();
    let mut checks = Checks::new(3, Rng::new(7));
    checks.handle(configuration(1, &checkers, &[]), at(0));
    let mut waiting: VecDeque<(u32, u64)> = VecDeque::new();
    let mut count = BTreeMap::new();
    for tenth in 10..400 {
        let now = at(tenth * 100);
        checks.handle(Input::Tick, now);
        waiting.extend(runs(&mut checks));
        assert!(waiting.len() <= 3);
        // Every attempt takes long: one ends every second.
        if tenth % 10 == 0
            && let Some((id, run)) = waiting.pop_front()
        {
            *count.entry(id).or_insert(0_u32) += 1;
            let checker = CheckerId(id);
            let outcome = Outcome::Passed;
            checks.handle(
                Input::Finished {
                    checker,
                    run,
                    outcome,
                },
                now,
            );
            waiting.extend(runs(&mut checks));
        }
        if waiting.len() == 3 {
            assert_eq!(checks.poll_timeout(), None, "no busy waiting");
        }
    }
    assert_eq!(count.len(), 10);
    assert!(count.values().all(|n| (3..=4).contains(n)), "{count:?}");
}

#[test]
fn lateness_is_reported_once_a_minute() {
    let mut checks = Checks::new(1, Rng::new(7));
    checks.handle(configuration(1, &[tcp(1), tcp(2)], &[]), at(0));
    let mut reports = Vec::new();
    for second in 1..100 {
        checks.handle(Input::Tick, at(second * 1_000));
        for action in actions(&mut checks) {
            if let Action::Overloaded { running, late } = action {
                reports.push((second, running, late));
            }
        }
    }
    assert_eq!(reports, [(2, 1, SECOND), (62, 1, 61 * SECOND)]);
}

#[test]
fn a_reload_keeps_what_stays_and_starts_what_is_new() {
    let mut checks = configured(&[tcp(1), tcp(2)]);
    checks.handle(Input::Tick, at(1_000));
    let started = runs(&mut checks);
    assert_eq!(started.len(), 2);
    let finish = |id: u32, outcome| Input::Finished {
        checker: CheckerId(id),
        run: started[id as usize - 1].1,
        outcome,
    };
    checks.handle(finish(1, FAILED), at(1_500));
    actions(&mut checks);
    // 1 is kept (down, due at 7.5 s), 2 goes while it runs, 3 is new.
    checks.handle(configuration(2, &[tcp(1), tcp(3)], &[]), at(2_000));
    assert_eq!(actions(&mut checks), [Action::Cancel { run: started[1].1 }]);
    checks.handle(finish(2, FAILED), at(2_100));
    assert_eq!(actions(&mut checks), []);
    let (due, checker, run) = next_run(&mut checks);
    assert_eq!((due, checker), (at(3_000), CheckerId(3)));
    // A checker that a reload brings has its retries.
    checks.handle(
        Input::Finished {
            checker,
            run,
            outcome: FAILED,
        },
        due,
    );
    assert_eq!(verdicts(&actions(&mut checks)), []);
    checks.handle(Input::Announce, at(5_000));
    assert_eq!(
        verdicts(&actions(&mut checks)),
        [(1, false, None)],
        "kept without a new attempt"
    );
    assert_eq!(checks.poll_timeout(), Some(at(7_500)));
}

#[test]
fn a_changed_probe_under_a_kept_id_is_tried_at_once() {
    let mut checks = configured(&[tcp(1)]);
    let (_, checker, run) = next_run(&mut checks);
    checks.handle(configuration(2, &[http(1, &["/"])], &[]), at(1_100));
    let said = actions(&mut checks);
    assert_eq!(said[0], Action::Cancel { run });
    assert!(matches!(said[1], Action::Start { .. }));
    assert!(matches!(
        checks.attempt(checker),
        Some(Attempt::Stream(StreamAttempt::Http { .. }))
    ));
}

#[test]
fn a_successor_carries_on_where_its_predecessor_ended() {
    let mut checker = tcp(1);
    checker.timing.retry = 2;
    let mut first = configured(&[checker.clone()]);
    let (_, said) = drive(&mut first, "+-");
    let snapshot = snapshots(&said).pop().unwrap();
    assert_eq!((snapshot.failures, snapshot.attempts), (1, 2));
    let mut second = Checks::new(100, Rng::new(9));
    second.handle(configuration(1, &[checker], &[snapshot]), at(7_500));
    // The same due time as before, and the remaining two failures take it down.
    let (times, said) = drive(&mut second, "--");
    assert_eq!(times, [9_200, 11_300]);
    assert_eq!(verdicts(&said), [(1, false, None)]);
}

#[test]
fn a_successor_knows_of_every_verdict_that_was_said() {
    let mut checks = configured(&[tcp(1)]);
    let (_, did) = drive(&mut checks, "+--+");
    let (mut known, mut said) = (None, 0);
    for action in did {
        if let Action::Snapshot(snapshot) = action {
            known = Some(snapshot.up);
        } else if let Action::Verdict { verdict, .. } = action {
            assert_eq!(known, Some(verdict.up));
            said += 1;
        }
    }
    assert_eq!(said, 3);
}

#[test]
fn an_old_due_time_is_carried_on_in_step() {
    let mut first = configured(&[tcp(1)]);
    let (_, said) = drive(&mut first, "++++");
    let snapshots = snapshots(&said);
    assert_eq!(
        snapshots.len(),
        1,
        "successes that change nothing are not published"
    );
    assert_eq!(snapshots[0].next_at, at(7_100));
    let mut second = Checks::new(100, Rng::new(9));
    second.handle(configuration(1, &[tcp(1)], &snapshots), at(20_000));
    assert_eq!(second.poll_timeout(), Some(at(25_100)));
    second.handle(Input::Announce, at(20_000));
    assert_eq!(verdicts(&actions(&mut second)), [(1, true, None)]);
}

#[test]
fn failures_that_change_nothing_are_logged_only_on_request() {
    for (log_all_failures, expected) in [(false, 2), (true, 4)] {
        let mut checker = tcp(1);
        checker.log_all_failures = log_all_failures;
        let mut checks = configured(&[checker]);
        let (_, said) = drive(&mut checks, "+---");
        let lines: Vec<String> = said
            .iter()
            .filter_map(|action| match action {
                Action::Log { event, .. } => Some(event.to_string()),
                Action::Start { .. }
                | Action::RunScript { .. }
                | Action::Cancel { .. }
                | Action::Verdict { .. }
                | Action::Overloaded { .. }
                | Action::Snapshot(_) => None,
            })
            .collect();
        assert_eq!(lines.len(), expected, "{lines:?}");
        if log_all_failures {
            assert_eq!(
                lines[1],
                "failed: the answer has no HTTP status line; retries left: 1"
            );
        }
    }
}

proptest::proptest! {
    /// Whatever happens, no more runs than the bound, never two of one checker, and a due time or a
    /// run for every checker.
    #[test]
    fn runs_are_bounded_and_no_checker_is_lost(
        steps in proptest::collection::vec((0_u32..6, 0_u8..4, 0_u64..9_000), 1..200),
    ) {
        let checkers: Vec<Checker> = (0..6)
            .map(|id| if id % 2 == 0 { tcp(id) } else { misc(id, true) })
            .collect();
        let mut checks = Checks::new(2, Rng::new(3));
        checks.handle(configuration(1, &checkers, &[]), at(0));
        let mut running: BTreeMap<u32, u64> = BTreeMap::new();
        let mut now = 0;
        for (id, what, millis) in steps {
            now += millis;
            let checker = CheckerId(id);
            let input = match (running.get(&id).copied(), what) {
                (Some(run), 0) => Input::ScriptEnded { checker, run, outcome: ScriptOutcome::Exit(3) },
                (Some(run), 1) => Input::Finished { checker, run, outcome: FAILED },
                (Some(run), 2) => Input::Finished { checker, run, outcome: Outcome::Passed },
                (_, 3) => configuration(2, &checkers, &[]),
                (_, _) => Input::Tick,
            };
            checks.handle(input, at(now));
            for action in actions(&mut checks) {
                match action {
                    Action::Start { checker, run } | Action::RunScript { checker, run } => {
                        running.insert(checker.0, run);
                    }
                    Action::Cancel { .. } | Action::Verdict { .. } | Action::Snapshot(_) | Action::Overloaded { .. } | Action::Log { .. } => {}
                }
            }
            running.retain(|id, run| checks.is_current(CheckerId(*id), *run));
            proptest::prop_assert!(running.len() <= 2);
            proptest::prop_assert_eq!(running.len(), checks.running);
            proptest::prop_assert_eq!(running.len() + checks.due.len(), 6);
        }
    }
}

#[test]
fn suspended_checkers_do_not_run_and_keep_their_state() {
    let mut checks = configured(&[tcp(1), tcp(2)]);
    checks.handle(Input::Tick, at(1_000));
    let started = runs(&mut checks);
    let [(1, first), (2, second)] = started[..] else {
        panic!("{started:?}");
    };
    checks.handle(
        Input::Finished {
            checker: CheckerId(1),
            run: first,
            outcome: Outcome::Passed,
        },
        at(1_001),
    );
    let verdict = |checks: &Checks| checks.state(CheckerId(1)).map(|s| (s.up, s.has_run));
    assert_eq!(verdict(&checks), Some((true, true)));
    let both = [CheckerId(1), CheckerId(2)];
    checks.handle(Input::Suspend(both.into()), at(1_002));
    // What runs is dropped, and its result means nothing.
    assert!(actions(&mut checks).contains(&Action::Cancel { run: second }));
    let refused = || Outcome::Failed(Failure::ClosedBefore("reply"));
    checks.handle(
        Input::Finished {
            checker: CheckerId(2),
            run: second,
            outcome: refused(),
        },
        at(1_003),
    );
    checks.handle(Input::Tick, at(3_600_000));
    assert_eq!(runs(&mut checks), []);
    assert_eq!(checks.poll_timeout(), None);
    // A reload does not wake them.
    let mut changed = tcp(1);
    changed.probe = Probe::Ping(connection());
    checks.handle(configuration(2, &[changed, tcp(2)], &[]), at(3_600_000));
    assert_eq!(runs(&mut checks), []);
    checks.handle(Input::Suspend([CheckerId(2)].into()), at(3_600_001));
    checks.handle(Input::Tick, at(3_600_010));
    let started = runs(&mut checks);
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].0, 1);
    assert_eq!(verdict(&checks), Some((true, true)));
}
