//! Tracked scripts, files and processes, and the lines that track them.

use std::time::Duration;

use kr_model::TrackerId;
use kr_model::check::Probe;
use kr_model::track::{
    ArgumentMatch, FileTracker, InitFile, ProcessPattern, ProcessTracker, ScriptTracker, Tracked,
    TrackerSource,
};

use super::*;

pub(super) fn block(kind: &str, lines: &str) -> String {
    format!("{kind} T {{\n{lines}\n}}\n")
}

const SCRIPT: &str =
    "global_defs {\n enable_script_security\n}\nvrrp_script chk {\n script /bin/true\n}\n";

/// A block with the instance that tracks it.
fn tracked(kind: &str, lines: &str) -> String {
    let list = kind.trim_start_matches("vrrp_");
    let list = if list.starts_with("track") {
        list.to_owned()
    } else {
        format!("track_{list}")
    };
    let defs = "global_defs {\n enable_script_security\n}\n";
    let user = instance_with(&format!("{list} {{\n T\n}}"));
    format!("{defs}{}{user}", block(kind, lines))
}

fn source(kind: &str, lines: &str) -> TrackerSource {
    let config = clean(&tracked(kind, lines));
    config.trackers.into_values().next().unwrap().source
}

/// Weight and direction of every line of the instances.
fn lines(text: &str) -> Vec<Vec<(i16, bool)>> {
    let config = loaded(text).config.unwrap();
    let of_instance = |instance: &kr_model::vrrp::Instance| {
        let lines = instance.trackers.iter();
        lines.map(|line| (line.weight, line.reverse)).collect()
    };
    let instances = config.instances.values();
    instances
        .map(|entry| of_instance(&entry.instance))
        .collect()
}

#[test]
fn a_script_has_defaults_and_settings() {
    let script = |lines: &str| {
        let TrackerSource::Script(script) = source("vrrp_script", lines) else {
            panic!("another kind");
        };
        script
    };
    let plain = script("script \"/bin/check a b\"");
    let second = Duration::from_secs(1);
    assert_eq!(
        plain,
        ScriptTracker {
            script: kr_model::ScriptId(0),
            interval: second,
            timeout: second,
            rise: 1,
            fall: 1,
            init_fail: false,
        }
    );
    let set = script("script /bin/x\ninterval 0.25\ntimeout 3\nrise 2\nfall 4\ninit_fail");
    assert_eq!(set.interval, Duration::from_millis(250));
    assert_eq!(set.timeout, Duration::from_secs(3));
    assert_eq!((set.rise, set.fall, set.init_fail), (2, 4, true));
    // Without a timeout, it is the interval.
    assert_eq!(
        script("script /bin/x\ninterval 5").timeout,
        Duration::from_secs(5)
    );
}

#[test]
fn a_file_has_a_path_and_may_be_made() {
    let file = |lines: &str| {
        let TrackerSource::File(file) = source("track_file", lines) else {
            panic!("another kind");
        };
        file
    };
    let path = PathBuf::from("/run/load");
    assert_eq!(
        file("file /run/load"),
        FileTracker {
            path: path.clone(),
            init: None
        }
    );
    for (line, value, overwrite) in [
        ("init_file", 0, false),
        ("init_file overwrite", 0, true),
        ("init_file -3 overwrite", -3, true),
    ] {
        let made = file(&format!("file /run/load\n{line}"));
        assert_eq!(made.init, Some(InitFile { value, overwrite }), "{line}");
    }
    let old = tracked("vrrp_track_file", "file /run/load");
    assert_eq!(clean(&old).trackers.len(), 1);
}

#[test]
fn a_process_is_matched_by_name_or_by_command() {
    let process = |lines: &str| {
        let TrackerSource::Process(process) = source("vrrp_track_process", lines) else {
            panic!("another kind");
        };
        process
    };
    assert_eq!(
        process("process a-name-that-is-too-long"),
        ProcessTracker {
            pattern: ProcessPattern::Name("a-name-that-is-".to_owned()),
            quorum: 1,
            quorum_max: None,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
        }
    );
    let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    for (lines, program, arguments) in [
        ("process p\nfull_command", "p", ArgumentMatch::Any),
        (
            "process \"/a b\" x \"y z\"",
            "/a b",
            ArgumentMatch::Exact(words(&["x", "y z"])),
        ),
        (
            "process p\nparam_match",
            "p",
            ArgumentMatch::Exact(Vec::new()),
        ),
        (
            "process p x\nparam_match partial",
            "p",
            ArgumentMatch::Partial(words(&["x"])),
        ),
        (
            "process p x\nparam_match initial",
            "p",
            ArgumentMatch::Initial(words(&["x"])),
        ),
    ] {
        let program = program.to_owned();
        let expected = ProcessPattern::Command { program, arguments };
        assert_eq!(process(lines).pattern, expected, "{lines}");
    }
    let counted = process("process p\nquorum 2\nquorum_max 3\ndelay 0.5\nfork_delay 2");
    assert_eq!((counted.quorum, counted.quorum_max), (2, Some(3)));
    assert_eq!(counted.fork_delay, Duration::from_secs(2));
    assert_eq!(counted.terminate_delay, Duration::from_millis(500));
    assert_eq!(process("process p\nquorum_max 0").quorum, 0);
}

#[test]
fn a_line_takes_over_or_replaces_the_weight_of_its_object() {
    let text = |line: &str| {
        format!(
            "{}{}",
            SCRIPT.replace("/bin/true", "/bin/true\n weight 20 reverse"),
            instance_with(&format!("track_script {{\n {line}\n}}"))
        )
    };
    assert_eq!(lines(&text("chk")), [[(20, true)]]);
    assert_eq!(lines(&text("chk noreverse")), [[(20, false)]]);
    assert_eq!(lines(&text("chk weight -254 noreverse")), [[(-253, false)]]);
    assert_eq!(lines(&text("chk weight 0")), [[(0, true)]]);
    let file = |line: &str| {
        let block = "track_file load {\n file /run/load\n}\n";
        let user = instance_with(&format!("track_file {{\n {line}\n}}"));
        lines(&format!("{block}{user}"))
    };
    assert_eq!(file("load"), [[(1, false)]]);
    assert_eq!(file("load weight -254"), [[(-254, false)]]);
}

#[test]
fn what_cannot_be_tracked_is_reported() {
    let with = |list: &str| messages(&format!("{SCRIPT}{}", instance_with(list)));
    assert_eq!(
        with("track_script {\n chk\n chk weight 2\n nope\n chk weigth\n}"),
        [
            "script `chk` is tracked already",
            "there is no script `nope`; it is not tracked",
            "script `chk` is tracked already",
            "unknown option `weigth` of a tracked script",
        ]
    );
    assert_eq!(with(""), ["nothing tracks script `chk`; it is left out"]);
    for (kind, lines, message) in [
        (
            "vrrp_script",
            "",
            "this vrrp_script has no script and is left out",
        ),
        (
            "track_file",
            "",
            "this track_file has no file and is left out",
        ),
        (
            "track_file",
            "file load",
            "`load` is not the whole path of a file",
        ),
        (
            "vrrp_track_process",
            "",
            "this vrrp_track_process has no process and is left out",
        ),
        (
            "vrrp_track_process",
            "process p\nquorum 3\nquorum_max 2",
            "quorum is larger than quorum_max: this vrrp_track_process is left out",
        ),
        ("vrrp_script", "script /x\nweight 254", "`254` is no weight"),
    ] {
        let found = messages(&tracked(kind, lines));
        assert!(found.contains(&message.to_owned()), "{found:?}");
    }
}

#[test]
fn an_owner_and_members_of_a_group_use_no_weights() {
    let blocks = format!(
        "{SCRIPT}vrrp_track_process p {{\n process p\n weight 5\n}}\n\
         track_file one {{\n file /run/one\n}}\ntrack_file two {{\n file /run/two\n weight 2\n}}\n"
    );
    let all =
        "track_script {\n chk weight 3\n}\ntrack_process {\n p\n}\ntrack_file {\n one\n two\n}";
    let owner = format!("{blocks}{}", instance_with(&format!("priority 255\n{all}")));
    assert_eq!(lines(&owner), [[(0, false), (0, false)]]);
    assert_eq!(messages(&owner).len(), 4);
    let member = instance_with(all);
    let group = |more: &str| {
        format!("{blocks}vrrp_sync_group G {{\n group {{\n VI\n}}\n{more}\n}}\n{member}")
    };
    assert_eq!(
        lines(&group("track_script {\n chk weight 9\n}")),
        [[(0, false), (0, false), (9, false)]]
    );
    // What the member says of the object counts.
    assert_eq!(
        lines(&group("global_tracking\ntrack_script {\n chk weight 9\n}")),
        [[(3, false), (5, false), (1, false), (2, false)]]
    );
}

#[test]
fn tracked_objects_keep_their_ids_and_the_lines_follow() {
    use crate::ids::{IdAllocator, Known, adopt};
    let text = |first: &str, second: &str| {
        format!(
            "{SCRIPT}track_file {first} {{\n file /run/{first}\n}}\ntrack_file {second} {{\n file /run/{second}\n}}\n{}",
            instance_with(&format!(
                "track_script {{\n chk\n}}\ntrack_file {{\n {first}\n {second}\n}}"
            ))
        )
    };
    let mut ids = IdAllocator::default();
    let old = adopt(None, &mut ids, clean(&text("a", "b")));
    let new = adopt(Some(&Known::of(&old)), &mut ids, clean(&text("c", "a")));
    let path = |config: &Config, id: TrackerId| {
        let source = &config.trackers[&id].source;
        if let TrackerSource::File(file) = source {
            file.path.to_string_lossy().into_owned()
        } else {
            source.kind().word().to_owned()
        }
    };
    let followed = |config: &Config| {
        let instance = &config.instances.values().next().unwrap().instance;
        let pair = |line: &Tracked| (line.tracker.0, path(config, line.tracker));
        instance.trackers.iter().map(pair).collect::<Vec<_>>()
    };
    let owned = |list: [(u32, &str); 3]| list.map(|(id, name)| (id, name.to_owned()));
    assert_eq!(
        followed(&old),
        owned([(0, "script"), (1, "/run/a"), (2, "/run/b")])
    );
    assert_eq!(
        followed(&new),
        owned([(0, "script"), (3, "/run/c"), (1, "/run/a")])
    );
}

#[test]
fn a_file_check_takes_over_or_replaces_the_weight_of_its_file() {
    let text = |lines: &str, server: &str| {
        let check = format!("{server}\nretry 3\nalpha\nFILE_CHECK {{\n{lines}\n}}");
        let file = "track_file load {\n file /run/load\n weight 3 reverse\n}\n";
        format!("{file}{}", server_with(&check))
    };
    let probe = |lines: &str| {
        let config = clean(&text(lines, "weight 7"));
        let entry = config.checkers.into_values().next().unwrap();
        assert_eq!(
            (entry.checker.alpha, entry.checker.timing.retry),
            (false, 0)
        );
        let Probe::File(probe) = entry.checker.probe else {
            panic!("another check");
        };
        assert_eq!(probe.server_weight.get(), 7);
        assert!(config.trackers.contains_key(&probe.file));
        (probe.weight, probe.reverse)
    };
    assert_eq!(probe("track_file load"), (3, true));
    assert_eq!(probe("track_file load\nweight -300"), (-300, true));
    assert_eq!(probe("track_file load\nweight 0 noreverse"), (0, false));
    for (lines, message) in [
        ("", "this FILE_CHECK has no track_file and is left out"),
        ("track_file other", "there is no track_file `other`"),
        ("track_file load\nweight x", "`x` is no weight"),
    ] {
        let found = messages(&text(lines, ""));
        assert!(found.contains(&message.to_owned()), "{found:?}");
    }
}

#[test]
fn a_file_check_keeps_its_id_when_weights_change_and_follows_its_file() {
    use crate::ids::{IdAllocator, Known, adopt};
    let text = |first: &str, weight: u32| {
        format!(
            "{first}track_file load {{\n file /run/load\n}}\n{}",
            server_with(&format!(
                "weight {weight}\nFILE_CHECK {{\ntrack_file load\nweight {weight}\n}}"
            ))
        )
    };
    let mut ids = IdAllocator::default();
    let old = adopt(None, &mut ids, clean(&text("", 1)));
    let other = "track_file other {\n file /run/other\n}\n";
    let new = loaded(&text(other, 2)).config.unwrap();
    let new = adopt(Some(&Known::of(&old)), &mut ids, new);
    let followed = |config: &Config| {
        let (id, entry) = config.checkers.first_key_value().unwrap();
        let Probe::File(probe) = &entry.checker.probe else {
            panic!("another check");
        };
        (*id, config.trackers[&probe.file].name.clone())
    };
    assert_eq!(followed(&old), followed(&new));
}
