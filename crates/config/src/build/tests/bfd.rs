use std::net::IpAddr;

use kr_model::bfd::{Micros, Path, Session};
use kr_model::check::Probe;
use kr_model::units::Multiplier;

use super::{clean, instance_with, loaded, messages, server_with};
use crate::build::exit_code;
use crate::ids::{IdAllocator, Known, adopt};
use crate::typed::BfdEntry;

fn block(lines: &str) -> String {
    format!("bfd_instance B {{\n{lines}\n}}\n")
}

fn entry(lines: &str) -> BfdEntry {
    clean(&block(lines)).bfd.into_values().next().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_session_has_the_defaults_of_keepalived() {
    let entry = entry("neighbor_ip 10.0.0.2");
    let expected = Session {
        id: entry.session.id,
        name: "B".to_owned(),
        neighbor: ip("10.0.0.2"),
        source: None,
        path: Path::SingleHop,
        passive: false,
        min_rx: Micros(10_000),
        min_tx: Micros(10_000),
        idle_tx: Micros(1_000_000),
        multiplier: Multiplier::try_from(5).unwrap(),
        ttl: 255,
        min_ttl: 255,
    };
    assert_eq!(entry.session, expected);
    assert_eq!((entry.weight, entry.reverse), (0, false));
    assert!(entry.for_vrrp && entry.for_checkers);
}

#[test]
fn every_word_of_a_block_reaches_the_session() {
    let all = "neighbour_ip fd00::2\nsource_ip fd00::1\nmin_rx 3.312\nmin_tx 250\nidle_tx 2000\n\
               multiplier 3\npassive\nhoplimit 200\nmax_hops 10\nmultihop on\nweight -20 reverse\nchecker";
    let entry = entry(all);
    let expected = Session {
        id: entry.session.id,
        name: "B".to_owned(),
        neighbor: ip("fd00::2"),
        source: Some(ip("fd00::1")),
        path: Path::MultiHop,
        passive: true,
        min_rx: Micros(3_312),
        min_tx: Micros(250_000),
        idle_tx: Micros(2_000_000),
        multiplier: Multiplier::try_from(3).unwrap(),
        ttl: 200,
        min_ttl: 190,
    };
    assert_eq!(entry.session, expected);
    assert_eq!((entry.weight, entry.reverse), (-20, true));
    assert_eq!((entry.for_vrrp, entry.for_checkers), (false, true));
}

#[test]
fn the_least_ttl_follows_ttl_and_max_hops() {
    for (lines, ttl, least) in [
        ("neighbor_ip 10.0.0.2\nttl 64\nmax_hops 3", 64, 61),
        ("neighbor_ip 10.0.0.2\nmax_hops 255", 255, 0),
        ("neighbor_ip 10.0.0.2\nttl 254\nmax_hops -1", 254, 255),
        ("neighbor_ip fd00::2", 255, 64),
        ("neighbor_ip fd00::2\nmax_hops 2", 255, 62),
        ("neighbor_ip fd00::2\nttl 255", 255, 255),
    ] {
        let session = entry(lines).session;
        assert_eq!((session.ttl, session.min_ttl), (ttl, least), "{lines}");
    }
}

#[test]
fn vrrp_and_checker_together_mean_both() {
    let entry = entry("neighbor_ip 10.0.0.2\nvrrp\nchecker");
    assert!(entry.for_vrrp && entry.for_checkers);
}

#[test]
fn what_is_wrong_is_said_and_the_rest_runs() {
    for (lines, message) in [
        ("min_rx 0", "`0` is not valid here"),
        ("min_tx 4294968", "`4294968` is not valid here"),
        ("idle_tx 999", "`999` is not valid here"),
        ("min_rx 1.2345", "`1.2345` is rounded to microseconds"),
        ("min_rx 10001", "`min_rx` is more than ten seconds"),
        ("multiplier 256", "`256` is not valid here"),
        ("max_hops 256", "`256` is not valid here"),
        ("max_hops -1", "no packet has a TTL of 255 less -1"),
        ("ttl 4\nmax_hops 5", "no packet has a TTL of 4 less 5"),
        ("weight 254", "`254` is not valid here"),
        ("weight 1 revers", "`revers` is not valid here"),
        ("source_ip fd00::1", "fd00::1 cannot send to 10.0.0.2"),
        (
            "multihop",
            "bfd_instance `B` ignores packets that passed a router: it is multihop without max_hops",
        ),
    ] {
        let text = block(&format!("neighbor_ip 10.0.0.2\n{lines}"));
        assert_eq!(messages(&text), [message]);
        assert_eq!(loaded(&text).config.unwrap().bfd.len(), 1, "{lines}");
    }
}

#[test]
fn advice_alone_is_exit_code_0() {
    let text = block("neighbor_ip 10.0.0.2\nmultihop\nmin_rx 20000");
    assert_eq!(exit_code(&loaded(&text).diagnostics), 0);
}

#[test]
fn a_session_that_cannot_be_is_left_out() {
    for (lines, message) in [
        ("passive", "bfd_instance `B` has no valid neighbor_ip"),
        (
            "neighbor_ip fe80::1",
            "bfd_instance `B` has a link-local neighbour, and no interface to find it on",
        ),
        ("neighbor_ip 224.0.0.1", "224.0.0.1 is nobody's address"),
    ] {
        let text = block(lines);
        assert_eq!(messages(&text), [message]);
        assert!(loaded(&text).config.unwrap().bfd.is_empty(), "{lines}");
    }
}

#[test]
fn names_and_ends_are_given_once() {
    let two = |first: &str, second: &str| {
        let more = format!("}}\nbfd_instance {second}");
        block(&format!("{first}\n{more}"))
    };
    let same_name = two("neighbor_ip 10.0.0.2", "B {\nneighbor_ip 10.0.0.3");
    assert_eq!(
        messages(&same_name),
        ["there is a bfd_instance `B` already"]
    );
    let same_ends = two(
        "neighbor_ip 10.0.0.2\nsource_ip 10.0.0.1",
        "C {\nneighbor_ip 10.0.0.2",
    );
    assert_eq!(
        messages(&same_ends),
        ["bfd_instance `C` has the same neighbour as `B`"]
    );
    for other in [
        "C {\nneighbor_ip 10.0.0.2\nsource_ip 10.0.0.7",
        "C {\nneighbor_ip 10.0.0.2\nmultihop\nmax_hops 255",
    ] {
        let text = two("neighbor_ip 10.0.0.2\nsource_ip 10.0.0.1", other);
        assert_eq!(clean(&text).bfd.len(), 2);
    }
    let long = "x".repeat(32);
    let text = two(
        "neighbor_ip 10.0.0.2",
        &format!("{long} {{\nneighbor_ip 10.0.0.3"),
    );
    assert_eq!(
        messages(&text),
        ["the name of a bfd_instance has at most 31 characters"]
    );
}

/// A session, and a real server with these checkers.
fn followed(session: &str, checkers: &str) -> String {
    let server = server_with(checkers);
    format!("bfd_instance B {{\nneighbor_ip 10.0.0.2\n{session}\n}}\n{server}")
}

#[test]
fn a_bfd_check_follows_its_session_over_reloads() {
    let text = followed("", "BFD_CHECK {\nname B\nalpha\n}");
    let mut allocator = IdAllocator::default();
    let first = adopt(None, &mut allocator, clean(&text));
    let other = "bfd_instance A {\nneighbor_ip 10.0.0.7\n}\n";
    let second = clean(&format!("{other}{text}"));
    let second = adopt(Some(&Known::of(&first)), &mut allocator, second);
    for config in [&first, &second] {
        let (id, _) = config
            .bfd
            .iter()
            .find(|(_, entry)| entry.session.name == "B")
            .unwrap();
        let checker = &config.checkers.values().next().unwrap().checker;
        let name = "B".to_owned();
        assert_eq!(checker.probe, Probe::Bfd { session: *id, name });
        assert!(checker.alpha);
    }
    assert_eq!(first.checkers.keys().next(), second.checkers.keys().next());
}

#[test]
fn a_bfd_check_that_cannot_follow_is_left_out() {
    for (session, checkers, message) in [
        (
            "",
            "BFD_CHECK {\n}",
            "this BFD_CHECK has no name and is left out",
        ),
        (
            "",
            "BFD_CHECK {\nname C\n}",
            "there is no bfd_instance `C` that runs",
        ),
        (
            "vrrp",
            "BFD_CHECK {\nname B\n}",
            "bfd_instance `B` is for instances only",
        ),
    ] {
        let text = followed(session, checkers);
        assert_eq!(messages(&text), [message]);
        assert!(loaded(&text).config.unwrap().checkers.is_empty());
    }
    let twice = followed("", "BFD_CHECK {\nname B\n}\nBFD_CHECK {\nname B\n}");
    assert_eq!(
        messages(&twice),
        ["this real server follows the session already"]
    );
    assert_eq!(loaded(&twice).config.unwrap().checkers.len(), 1);
}

#[test]
fn instances_and_groups_track_sessions_with_the_weight_of_the_line_or_of_the_session() {
    let session = |more: &str| format!("bfd_instance B {{\nneighbor_ip 10.0.0.2\n{more}\n}}\n");
    let tracked = |more: &str, line: &str| {
        let user = instance_with(&format!("track_bfd {{\n{line}\n}}"));
        let config = clean(&format!("{}{user}", session(more)));
        let instance = config.instances.into_values().next().unwrap().instance;
        let line = instance.trackers[0];
        assert_eq!(Some(&line.tracker), config.bfd.keys().next());
        assert_eq!(instance.trackers.len(), 1);
        (line.weight, line.reverse)
    };
    assert_eq!(tracked("", "B"), (0, false));
    assert_eq!(tracked("weight -20 reverse", "B"), (-20, true));
    assert_eq!(
        tracked("weight -20 reverse", "B weight 30 noreverse"),
        (30, false)
    );
    assert_eq!(tracked("", "B reverse"), (0, true));
    let group = "vrrp_sync_group G {\ngroup {\nVI\n}\ntrack_bfd {\nB\n}\n}\n";
    let text = format!("{}{}{group}", session(""), instance_with(""));
    let config = loaded(&text).config.unwrap();
    let instance = config.instances.into_values().next().unwrap().instance;
    assert_eq!(instance.trackers.len(), 1);
    let text = format!(
        "{}{}",
        session("checker"),
        instance_with("track_bfd {\nB\n}")
    );
    assert_eq!(
        messages(&text),
        ["there is no BFD session `B`; it is not tracked"]
    );
}

#[test]
fn lines_follow_their_session_when_a_reload_renumbers() {
    let text = |blocks: &str| {
        let script =
            "global_defs {\nenable_script_security\n}\nvrrp_script S {\nscript /bin/true\n}\n";
        let user = instance_with("track_bfd {\nB\n}\ntrack_script {\nS\n}");
        format!("{script}{blocks}bfd_instance B {{\nneighbor_ip 10.0.0.2\n}}\n{user}")
    };
    let mut allocator = IdAllocator::default();
    let first = adopt(None, &mut allocator, clean(&text("")));
    let other = text("bfd_instance A {\nneighbor_ip 10.0.0.7\n}\n");
    let second = adopt(Some(&Known::of(&first)), &mut allocator, clean(&other));
    for config in [&first, &second] {
        let lines = &config.instances.values().next().unwrap().instance.trackers;
        let named = |name: &str| {
            let mut sessions = config.bfd.iter();
            let found = sessions.find(|(_, entry)| entry.session.name == name);
            *found.unwrap().0
        };
        assert_eq!(lines[0].tracker, named("B"));
        assert_eq!(Some(&lines[1].tracker), config.trackers.keys().next());
    }
    assert_eq!(first.instances, second.instances);
}
