use std::time::Duration;

use kr_model::route::{PROTOCOL_KEEPALIVED, Route};
use kr_model::rule::{Rule, RuleAction};
use kr_model::units::{IfIndex, IfName};
use kr_netlink::fib::Unready;

use super::*;
use crate::samples::{self, index, name};

/// `eth0` is link 2; nothing else exists.
struct Links;

impl Names for Links {
    fn index(&self, name: &IfName) -> Option<IfIndex> {
        (name.as_str() == "eth0").then(|| index(2))
    }

    fn vrf_table(&self, _: &IfName) -> Option<u32> {
        None
    }
}

fn route(destination: &str) -> Object {
    route_over(destination, "eth0")
}

fn route_over(destination: &str, device: &str) -> Object {
    Object::Route(samples::route(destination, device))
}

fn untracked(destination: &str) -> Object {
    match route(destination) {
        Object::Route(route) => Object::Route(Route {
            tracked: false,
            ..route
        }),
        rule @ Object::Rule(_) => rule,
    }
}

fn rule(preference: u32, table: u32) -> Object {
    Object::Rule(Rule {
        family: Family::Inet,
        preference,
        inverted: false,
        from: None,
        to: None,
        tos: 0,
        mark: None,
        input: None,
        output: None,
        tunnel: None,
        users: None,
        ip_protocol: None,
        source_ports: None,
        destination_ports: None,
        action: RuleAction::Lookup {
            table,
            suppress_prefix: None,
            suppress_group: None,
            realms: None,
        },
        protocol: PROTOCOL_KEEPALIVED,
        tracked: true,
    })
}

fn wishes(objects: &[Object]) -> Wishes {
    let owner = || Owner::Instance("VI_1".to_owned());
    let objects = objects.iter().cloned();
    objects.map(|object| (object, owner())).collect()
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

/// What the kernel shows of an object.
fn shown(object: &Object) -> Found {
    Found::of(object, &Links).unwrap()
}

/// A table that wants the objects, after the kernel took them.
fn holding(objects: &[Object]) -> Fib {
    let mut fib = Fib::default();
    fib.want(wishes(objects));
    for step in fib.changes(at(0)) {
        assert_eq!(fib.made(&step, Ok(()), &Links, at(0)), News::None);
    }
    assert_eq!(fib.changes(at(0)), []);
    fib
}

#[test]
fn objects_are_set_in_the_order_of_the_file_and_rules_last() {
    let (far, near, first) = (route("0.0.0.0/0"), route("10.9.0.0/16"), rule(5, 7));
    let mut fib = Fib::default();
    fib.want(wishes(&[first.clone(), near.clone(), far.clone()]));
    let steps = fib.changes(at(0));
    let set = [near.clone(), far.clone(), first.clone()].map(Step::Add);
    assert_eq!(steps, set);
    for step in &steps {
        fib.made(step, Ok(()), &Links, at(0));
    }
    fib.want(Vec::new());
    let removed = [first, far, near].map(Step::Remove);
    assert_eq!(fib.changes(at(0)), removed);
}

#[test]
fn a_reload_changes_only_what_differs() {
    let (kept, old, new) = (
        route("10.1.0.0/16"),
        route("10.2.0.0/16"),
        route("10.3.0.0/16"),
    );
    let mut fib = holding(&[kept.clone(), old.clone()]);
    fib.want(wishes(&[new.clone(), kept]));
    assert_eq!(fib.changes(at(0)), [Step::Remove(old), Step::Add(new)]);
}

#[test]
fn what_two_instances_want_stays_until_neither_does() {
    let both = route("10.1.0.0/16");
    let mut fib = holding(&[both.clone(), both.clone()]);
    fib.want(wishes(std::slice::from_ref(&both)));
    assert_eq!(fib.changes(at(0)), []);
    fib.want(Vec::new());
    assert_eq!(fib.changes(at(0)), [Step::Remove(both)]);
}

#[test]
fn what_somebody_removed_is_set_again() {
    let (stays, goes) = (route("10.1.0.0/16"), route("10.2.0.0/16"));
    let mut fib = holding(&[stays.clone(), goes.clone(), rule(5, 7)]);
    let Entry::Route(gone) = goes.entry(&Links).unwrap() else {
        panic!("no route");
    };
    assert!(fib.is_touched(&Event::Route(gone.key().clone())));
    let lost = fib.observe(&[shown(&stays), shown(&rule(5, 7))], &Links);
    assert_eq!(lost, std::slice::from_ref(&goes));
    assert_eq!(fib.changes(at(0)), [Step::Add(goes)]);
    assert!(!fib.is_touched(&Event::Route(gone.key().clone())));
}

#[test]
fn events_about_objects_of_others_touch_nothing() {
    let fib = holding(&[route("10.1.0.0/16"), rule(5, 7)]);
    let Entry::Route(other) = route("10.9.0.0/16").entry(&Links).unwrap() else {
        panic!("no route");
    };
    assert!(!fib.is_touched(&Event::Route(other.key().clone())));
    let Entry::Rule(other) = rule(6, 7).entry(&Links).unwrap() else {
        panic!("no rule");
    };
    assert!(!fib.is_touched(&Event::Rule(other)));
}

#[test]
fn a_successor_takes_over_what_is_there() {
    let (there, missing) = (route("10.1.0.0/16"), route("10.2.0.0/16"));
    let mut fib = Fib::default();
    fib.want(wishes(&[there.clone(), missing.clone()]));
    assert_eq!(fib.observe(&[shown(&there)], &Links), []);
    assert_eq!(fib.changes(at(0)), [Step::Add(missing)]);
}

#[test]
fn an_object_that_is_not_tracked_is_not_missed() {
    let mut fib = holding(&[untracked("10.1.0.0/16")]);
    assert!(!fib.is_watched());
    assert_eq!(fib.observe(&[], &Links), []);
    assert_eq!(fib.changes(at(0)), []);
}

#[test]
fn a_refused_object_waits_for_its_time_and_stops_no_other() {
    let (bad, good) = (route("10.1.0.0/16"), route("10.2.0.0/16"));
    let mut fib = Fib::default();
    fib.want(wishes(&[bad.clone(), good.clone()]));
    let refusal = Refusal::Kernel(Errno::ENETUNREACH);
    let refuse = |fib: &mut Fib, now| {
        let refused = Err(refusal.clone());
        fib.made(&Step::Add(bad.clone()), refused, &Links, now)
    };
    assert_eq!(refuse(&mut fib, at(0)), News::Refused(refusal.clone()));
    fib.made(&Step::Add(good), Ok(()), &Links, at(0));
    assert_eq!(fib.changes(at(0)), []);
    let next = fib.deadline().unwrap();
    assert_eq!(fib.changes(next), [Step::Add(bad.clone())]);
    // The same reason again is no news; that it works is.
    assert_eq!(refuse(&mut fib, next), News::None);
    assert_eq!(
        fib.made(&Step::Add(bad), Ok(()), &Links, next),
        News::Mended
    );
    assert_eq!(fib.deadline(), None);
}

#[test]
fn a_change_of_links_brings_the_next_try_near() {
    let mut fib = Fib::default();
    fib.want(wishes(&[route_over("10.1.0.0/16", "eth9")]));
    let missing = Refusal::Unready(Unready::Missing(name("eth9")));
    let [step] = &fib.changes(at(0))[..] else {
        panic!("not one step");
    };
    fib.made(step, Err(missing), &Links, at(0));
    for _ in 0..8 {
        let now = fib.deadline().unwrap();
        fib.refusals().retrying(now);
    }
    let now = at(60_000);
    assert!(fib.deadline().unwrap().since(now) > Duration::from_secs(1));
    fib.refusals().hasten(now);
    assert!(fib.deadline().unwrap().since(now) < Duration::from_millis(100));
}

#[test]
fn an_object_that_is_there_already_counts_as_set_even_when_it_is_not_seen() {
    let mut fib = Fib::default();
    let object = route("10.1.0.0/16");
    fib.want(wishes(std::slice::from_ref(&object)));
    let there = Err(Refusal::Kernel(Errno::EEXIST));
    let step = Step::Add(object.clone());
    assert_eq!(fib.made(&step, there.clone(), &Links, at(0)), News::None);
    assert_eq!(fib.observe(&[], &Links), []);
    assert_eq!(fib.changes(at(0)), []);

    // But not one that shall be refused then.
    let Object::Route(route) = object else {
        panic!("no route");
    };
    let alone = Object::Route(Route {
        placement: Placement::Alone,
        ..route
    });
    fib.want(wishes(std::slice::from_ref(&alone)));
    let news = fib.made(&Step::Add(alone), there, &Links, at(0));
    assert_eq!(news, News::Refused(Refusal::Kernel(Errno::EEXIST)));
}

#[test]
fn leftovers_are_those_of_this_configuration_s_interfaces_and_tables() {
    let names = |name: &IfName| match name.as_str() {
        "eth0" => Some(2),
        "eth1" => Some(3),
        _ => None,
    };
    struct Two<F>(F);
    impl<F: Fn(&IfName) -> Option<u64>> Names for Two<F> {
        fn index(&self, name: &IfName) -> Option<IfIndex> {
            (self.0)(name).map(index)
        }
        fn vrf_table(&self, _: &IfName) -> Option<u32> {
            None
        }
    }
    let links = Two(names);
    let of = |object: &Object| Found::of(object, &links).unwrap();
    let (configured_route, configured_rule) = (route_over("10.1.0.0/16", "eth1"), rule(5, 7));
    let found = [
        of(&configured_route),
        of(&route_over("10.8.0.0/16", "eth0")),
        of(&route_over("10.9.0.0/16", "eth1")),
        of(&rule(6, 7)),
        of(&rule(7, 8)),
    ];
    let configured = [&configured_route, &configured_rule];
    let left = leftovers(&found, &configured, &links, |link| link == 2);
    let expected = [&found[1], &found[3]];
    assert_eq!(left, expected);
}

#[test]
fn an_object_is_described_as_the_file_has_it() {
    let object = route("10.1.0.0/16");
    let owner = Owner::Instance("VI_1".to_owned());
    for (owner, text) in [
        (Some(&owner), "virtual route 10.1.0.0/16 dev eth0 of VI_1"),
        (Some(&Owner::Static), "static route 10.1.0.0/16 dev eth0"),
        (None, "route 10.1.0.0/16 dev eth0"),
    ] {
        assert_eq!(Described(&object, owner).to_string(), text);
    }
}
