//! Two masters at a time, and what the winner does about what the neighbours have learned.

use super::*;

/// Everything until `millis` have passed: what is told and announced, with the milliseconds since the start.
fn until(bench: &mut Bench, millis: u64) -> Vec<(u64, Did)> {
    let start = bench.now;
    let end = start.saturating_add(Duration::from_millis(millis));
    let mut did = Vec::new();
    while bench.router.poll_timeout().unwrap() <= end {
        let things = bench.wait();
        let at = u64::try_from(bench.now.since(start).as_millis()).unwrap();
        let wanted = |one: &Did| matches!(one, LowerHeard | Announced(_) | Said(_));
        did.extend(things.into_iter().filter(wanted).map(|one| (at, one)));
    }
    bench.now = end;
    did
}

fn without_second_sets() -> Instance {
    let mut config = instance(100);
    config.announce.delay = Duration::ZERO;
    config.announce.lower_priority_delay = Duration::ZERO;
    config
}

#[test]
fn the_winner_announces_each_interval_and_once_more_when_the_other_is_quiet() {
    let mut bench = Bench::old_master(without_second_sets());
    for _ in 0..3 {
        let did = bench.hear(9, 50);
        assert!(
            did.contains(&LowerHeard) && did.contains(&Announced(100)),
            "{did:?}"
        );
        assert_eq!(until(&mut bench, 1_000), []);
    }
    let text = "(VI_1) 192.0.2.9 acts as master no more; announcing our addresses a last time";
    assert_eq!(
        until(&mut bench, 60_000),
        [
            (500, Said(text.to_owned())),
            (500, LowerHeard),
            (500, Announced(100)),
            (500, Announced(101)),
        ]
    );
}

#[test]
fn a_flood_of_lower_adverts_is_told_once_an_interval() {
    let mut bench = Bench::old_master(without_second_sets());
    let mut told = 0;
    for _ in 0..100 {
        bench.later(5);
        told += bench
            .hear(9, 50)
            .iter()
            .filter(|one| **one == LowerHeard)
            .count();
    }
    assert_eq!(told, 1);
}

/// What a router sends as its last advert before it yields is no conflict; the address is announced again
/// all the same, since the other one may have been master on the far side of a split.
#[test]
fn a_last_advert_right_after_a_take_over_tells_nobody_and_announces_once_more() {
    let mut bench = Bench::master(without_second_sets());
    bench.later(1);
    assert_eq!(bench.hear(9, 50), [Sent(100)]);
    assert_eq!(
        until(&mut bench, 60_000),
        [(1_500, Announced(100)), (1_500, Announced(101))]
    );
}

#[test]
fn strict_settings_announce_nothing_for_a_lower_advert() {
    let mut config = without_second_sets();
    config.announce.lower_priority_repeat = 0;
    let mut bench = Bench::old_master(config);
    assert!(!bench.hear(9, 50).contains(&Announced(100)));
    let later = until(&mut bench, 60_000);
    assert!(!later.iter().any(|(_, did)| *did == Announced(100)));
}

#[test]
fn yielding_ends_the_overlap() {
    let mut bench = Bench::old_master(without_second_sets());
    bench.hear(9, 50);
    bench.hear(11, 200);
    assert_eq!(bench.role().state(), State::Backup);
    let said = |did: &[Did]| {
        did.iter()
            .any(|one| matches!(one, Said(text) if text.contains("no more")))
    };
    assert!(!said(&bench.wait()));
}
