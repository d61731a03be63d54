//! `checker_share`.

use super::*;

/// As `configuration`, with `checker_share`.
fn shared(generation: u64, checkers: &[Checker], resume: &[CheckerSnapshot]) -> Input {
    Input::Configure(Configuration {
        generation: Generation(generation),
        checkers: checkers.to_vec(),
        kept: BTreeSet::new(),
        share: true,
        resume: resume.to_vec(),
    })
}

fn sharing(checkers: &[Checker]) -> Checks {
    let mut checks = Checks::new(100, Rng::new(7));
    checks.handle(shared(1, checkers, &[]), at(0));
    checks
}

/// Lets the run of `id` that is due by `now` end, and gives what follows.
fn finish(checks: &mut Checks, id: u32, outcome: Outcome, now: Instant) -> Vec<Action> {
    checks.handle(Input::Tick, now);
    let started = runs(checks);
    let (_, run) = started.into_iter().find(|(of, _)| *of == id).unwrap();
    checks.handle(
        Input::Finished {
            checker: CheckerId(id),
            run,
            outcome,
        },
        now,
    );
    actions(checks)
}

fn refused() -> Outcome {
    Outcome::Failed(Failure::Connection(std::io::ErrorKind::ConnectionRefused))
}

fn logged(actions: &[Action]) -> Vec<(u32, String)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Log { checker, event } => Some((checker.0, event.to_string())),
            Action::Start { .. }
            | Action::RunScript { .. }
            | Action::Cancel { .. }
            | Action::Verdict { .. }
            | Action::Snapshot(_)
            | Action::Overloaded { .. } => None,
        })
        .collect()
}

#[test]
fn identical_checks_run_once_and_everybody_is_told() {
    let mut checks = sharing(&[tcp(1), tcp(2), tcp(3)]);
    assert_eq!(checks.sharing(), 2);
    checks.handle(Input::Tick, at(1_000));
    let [(1, run)] = runs(&mut checks)[..] else {
        panic!("one run, of the first")
    };
    let checker = CheckerId(1);
    let outcome = refused();
    let finished = Input::Finished {
        checker,
        run,
        outcome,
    };
    checks.handle(finished, at(1_100));
    let told = actions(&mut checks);
    let down = [(1, false, None), (2, false, None), (3, false, None)];
    assert_eq!(verdicts(&told), down);
    let said: Vec<_> = logged(&told).into_iter().map(|(id, _)| id).collect();
    assert_eq!(said, [1, 2, 3]);
    assert_eq!(snapshots(&told).len(), 3);
    for id in [1, 2, 3] {
        let state = checks.state(CheckerId(id)).unwrap();
        assert_eq!((state.attempts, state.failed_attempts), (1, 1));
        assert_eq!(state.last_duration, Some(Duration::from_millis(100)));
        assert_eq!(state.shared, id != 1);
    }
    let told = finish(&mut checks, 1, Outcome::Passed, at(7_105));
    assert_eq!(verdicts(&told).len(), 3);
    assert_eq!(logged(&told)[2], (3, "succeeded; now up".to_owned()));
}

#[test]
fn another_target_parameter_time_or_alpha_is_a_check_of_its_own_and_so_is_a_program() {
    let mut port = tcp(2);
    port.probe = Probe::Tcp(Connection {
        target: SocketAddr::from(([10, 0, 0, 2], 81)),
        ..connection()
    });
    let mut timeout = tcp(3);
    timeout.probe = Probe::Tcp(Connection {
        timeout: SECOND,
        ..connection()
    });
    let mut retry = tcp(4);
    retry.timing.retry = 3;
    let mut alpha = tcp(5);
    alpha.alpha = true;
    let pages = [http(6, &["/"]), http(7, &["/a"])];
    let programs = [misc(8, false), misc(9, false)];
    let mut checkers = vec![tcp(1), port, timeout, retry, alpha];
    checkers.extend(pages);
    checkers.extend(programs);
    let mut checks = sharing(&checkers);
    assert_eq!(checks.sharing(), 0);
    checks.handle(Input::Tick, at(1_000));
    assert_eq!(runs(&mut checks).len(), 9);
}

#[test]
fn without_the_keyword_nothing_is_shared_and_a_reload_may_switch_it() {
    let mut checks = configured(&[tcp(1), tcp(2)]);
    checks.handle(Input::Tick, at(1_000));
    assert_eq!(runs(&mut checks).len(), 2);
    // What runs of the second is dropped, for the first runs too.
    checks.handle(shared(2, &[tcp(1), tcp(2)], &[]), at(1_500));
    let dropped = actions(&mut checks);
    assert!(
        matches!(dropped[..], [Action::Cancel { .. }]),
        "{dropped:?}"
    );
    checks.handle(configuration(3, &[tcp(1), tcp(2)], &[]), at(2_000));
    assert_eq!(checks.sharing(), 0);
    checks.handle(Input::Tick, at(2_005));
    let started: Vec<u32> = runs(&mut checks).into_iter().map(|(id, _)| id).collect();
    assert_eq!(started, [2]);
}

#[test]
fn a_new_server_learns_at_once_what_is_known() {
    let mut checks = sharing(&[tcp(1)]);
    finish(&mut checks, 1, refused(), at(1_000));
    checks.handle(shared(2, &[tcp(1), tcp(2)], &[]), at(2_000));
    let told = actions(&mut checks);
    assert_eq!(verdicts(&told), [(2, false, None)]);
    let text = "shares the runs of an identical check, which is down".to_owned();
    assert_eq!(logged(&told), [(2, text)]);
    assert_eq!(snapshots(&told).len(), 1);
}

#[test]
fn when_the_one_that_runs_goes_another_goes_on_at_its_pace_with_its_retries() {
    let mut checks = sharing(&[tcp(1), tcp(2), tcp(3)]);
    finish(&mut checks, 1, Outcome::Passed, at(1_000));
    // One of two failures that it takes.
    finish(&mut checks, 1, refused(), at(7_000));
    checks.handle(shared(2, &[tcp(2), tcp(3)], &[]), at(8_000));
    assert_eq!(actions(&mut checks), []);
    assert_eq!(checks.poll_timeout(), Some(at(9_000)));
    let told = finish(&mut checks, 2, refused(), at(9_000));
    assert_eq!(verdicts(&told), [(2, false, None), (3, false, None)]);
}

#[test]
fn a_suspended_one_stands_aside_and_is_told_when_it_is_back() {
    let mut checks = sharing(&[tcp(1), tcp(2)]);
    finish(&mut checks, 1, Outcome::Passed, at(1_000));
    checks.handle(Input::Suspend([CheckerId(1)].into()), at(2_000));
    finish(&mut checks, 2, refused(), at(7_000));
    let told = finish(&mut checks, 2, refused(), at(9_000));
    assert_eq!(verdicts(&told), [(2, false, None)]);
    checks.handle(Input::Suspend([].into()), at(10_000));
    assert_eq!(verdicts(&actions(&mut checks)), [(1, false, None)]);
    assert_eq!(checks.sharing(), 1);
}

#[test]
fn a_successor_goes_on_where_the_group_was() {
    let mut checks = sharing(&[tcp(1), tcp(2)]);
    let published = snapshots(&finish(&mut checks, 1, refused(), at(1_000)));
    let mut successor = Checks::new(100, Rng::new(8));
    successor.handle(shared(1, &[tcp(1), tcp(2)], &published), at(3_000));
    assert_eq!(actions(&mut successor), []);
    assert_eq!(successor.sharing(), 1);
    assert_eq!(successor.poll_timeout(), Some(at(7_000)));
    let told = finish(&mut successor, 1, Outcome::Passed, at(7_000));
    assert_eq!(verdicts(&told), [(1, true, None), (2, true, None)]);
}
