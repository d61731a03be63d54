//! Checkers that others tell how their object is.

use kr_model::TrackerId;
use kr_model::bfd::Reach;
use kr_model::check::FileProbe;

use super::*;

fn bfd(id: u32, session: u32) -> Checker {
    let name = format!("B{session}");
    checker(
        id,
        Probe::Bfd {
            session: TrackerId(session),
            name,
        },
    )
}

fn told(checks: &mut Checks, session: u32, reach: Reach) -> Vec<Action> {
    let session = TrackerId(session);
    checks.handle(Input::Reach { session, reach }, at(1_000));
    actions(checks)
}

#[test]
fn a_session_decides_at_once_and_nothing_is_ever_due() {
    let mut checks = configured(&[bfd(1, 7), bfd(2, 8), bfd(3, 7)]);
    assert_eq!(checks.poll_timeout(), None);
    assert_eq!(told(&mut checks, 7, Reach::Untried), []);
    let state = |checks: &Checks| checks.state(CheckerId(1)).map(|s| (s.up, s.has_run));
    assert_eq!(state(&checks), Some((true, false)));
    let down = told(&mut checks, 7, Reach::Down);
    assert_eq!(verdicts(&down), [(1, false, None), (3, false, None)]);
    let text = "failed: BFD session B7 is not up; now down";
    let says =
        |action: &Action| matches!(action, Action::Log { event, .. } if event.to_string() == text);
    assert!(down.iter().any(says), "{down:?}");
    // Said again by a new VRRP process.
    assert_eq!(verdicts(&told(&mut checks, 7, Reach::Down)), []);
    let up = told(&mut checks, 7, Reach::Up);
    assert_eq!(verdicts(&up), [(1, true, None), (3, true, None)]);
    assert_eq!(checks.poll_timeout(), None);
}

#[test]
fn an_alpha_checker_is_down_until_its_session_is_up() {
    let mut alpha = bfd(1, 7);
    alpha.alpha = true;
    let mut checks = configured(&[alpha]);
    let up = |checks: &Checks| checks.state(CheckerId(1)).map(|s| s.up);
    assert_eq!(up(&checks), Some(false));
    told(&mut checks, 7, Reach::Untried);
    assert_eq!(up(&checks), Some(false));
    assert_eq!(
        verdicts(&told(&mut checks, 7, Reach::Up)),
        [(1, true, None)]
    );
}

#[test]
fn a_reload_and_a_suspension_leave_it_as_it_is() {
    let mut checks = configured(&[bfd(1, 7)]);
    told(&mut checks, 7, Reach::Down);
    checks.handle(configuration(2, &[bfd(1, 7)], &[]), at(2_000));
    checks.handle(Input::Suspend([CheckerId(1)].into()), at(2_000));
    checks.handle(Input::Suspend([].into()), at(3_000));
    assert_eq!(verdicts(&actions(&mut checks)), []);
    assert_eq!(checks.poll_timeout(), None);
    assert_eq!(checks.state(CheckerId(1)).map(|s| s.up), Some(false));
}

#[test]
fn a_successor_keeps_the_state_until_it_is_told() {
    let mut first = configured(&[bfd(1, 7)]);
    let snapshots = snapshots(&told(&mut first, 7, Reach::Down));
    let mut second = Checks::new(100, Rng::new(9));
    second.handle(configuration(1, &[bfd(1, 7)], &snapshots), at(20_000));
    assert_eq!(second.poll_timeout(), None);
    second.handle(Input::Announce, at(20_000));
    assert_eq!(verdicts(&actions(&mut second)), [(1, false, None)]);
    assert_eq!(
        verdicts(&told(&mut second, 7, Reach::Up)),
        [(1, true, None)]
    );
}

/// A `FILE_CHECK` of file 7 on a server of weight 10.
fn file(id: u32, weight: i32, reverse: bool) -> Checker {
    checker(
        id,
        Probe::File(FileProbe {
            file: TrackerId(7),
            name: "load".to_owned(),
            weight,
            reverse,
            server_weight: Weight::try_from(10).unwrap(),
        }),
    )
}

fn number(checks: &mut Checks, number: i32) -> Vec<Action> {
    let file = TrackerId(7);
    checks.handle(Input::Number { file, number }, at(1_000));
    actions(checks)
}

#[test]
fn the_number_in_a_file_is_a_verdict_or_changes_the_weight() {
    for (weight, reverse, value, up, expected) in [
        (0, false, 0, true, None),
        (0, false, -1, false, None),
        (0, true, 0, false, None),
        (0, true, 5, true, None),
        (1, false, 5, true, Some(15)),
        (-2, false, 3, true, Some(4)),
        (2, true, 3, true, Some(4)),
        (-2, false, 6, true, Some(0)),
        (1, false, i32::MAX, true, Some(i32::MAX.unsigned_abs())),
        (1, false, i32::MIN, false, None),
        (i32::MAX, true, i32::MAX, false, None),
    ] {
        let mut checks = configured(&[file(1, weight, reverse)]);
        assert_eq!(checks.poll_timeout(), None);
        let did = verdicts(&number(&mut checks, value));
        assert_eq!(did, [(1, up, expected)], "{weight} {reverse} {value}");
    }
}

#[test]
fn a_failure_names_the_file_and_an_equal_number_is_no_news() {
    let mut checks = configured(&[file(1, 0, false)]);
    let down = number(&mut checks, 3);
    let text = "failed: file load holds 3; now down";
    let says =
        |action: &Action| matches!(action, Action::Log { event, .. } if event.to_string() == text);
    assert!(down.iter().any(says), "{down:?}");
    assert_eq!(verdicts(&number(&mut checks, 3)), []);
    assert_eq!(verdicts(&number(&mut checks, 0)), [(1, true, None)]);
}
