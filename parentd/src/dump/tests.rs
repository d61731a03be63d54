use std::net::IpAddr;
use std::time::Duration;

use kr_model::track::{TrackerKind, TrackerState};
use kr_model::vrrp::{Cause, Role as InstanceRole};
use kr_track::Delay;

use super::*;
use crate::sample::{config, config_with, published};

const MOMENT: Moment = Moment {
    now: Instant::from_micros(65_000_000),
    unix_seconds: 1_000_000,
};

fn data<'a>(
    config: &'a Config,
    published: &'a Published,
    children: &'a [(Role, Option<Process<'a>>)],
) -> Data<'a> {
    static NOTHING: BTreeMap<TrackerId, Shown> = BTreeMap::new();
    Data {
        tracked: &NOTHING,
        config,
        label: "",
        generation: Generation(3),
        published,
        parent: process(1, 60, None),
        children,
        moment: MOMENT,
    }
}

/// A process that was started so many seconds after the clock's zero.
fn process(pid: i32, seconds: u64, times: Option<&LoopTimes>) -> Process<'_> {
    Process {
        pid: Pid::from_raw(pid),
        since: Instant::from_micros(seconds * 1_000_000),
        times,
    }
}

/// Asserts that each line stands in the text, in this order.
fn assert_lines(text: &str, expected: &[&str]) {
    let mut lines = text.lines();
    for line in expected {
        assert!(lines.any(|found| found == *line), "no `{line}` in:\n{text}");
    }
}

#[test]
fn routes_and_rules_are_shown_in_the_words_of_ip() {
    let config = config_with(
        "vrrp_instance VI_1 {",
        "static_ipaddress {\n10.0.0.1/24\n}\nstatic_routes {\n10.1.0.0/16 via 10.0.0.9\n}\n\
         static_rules {\nfrom 10.1.0.0/16 table 9 preference 5\n}\nvrrp_instance VI_1 {\n\
         virtual_routes {\n10.2.0.0/16 dev eth0\n}\nvirtual_rules {\nto 10.2.0.0/16 blackhole preference 6\n}",
    );
    let published = published(&config);
    let data = data(&config, &published, &[]);
    assert_lines(
        &vrrp::topology(&data).into_string(),
        &[
            "------< Static Addresses >------",
            " Address = 10.0.0.1/24 dev eth0 scope global",
            "------< Static Routes >------",
            " 10.1.0.0/16 via 10.0.0.9",
            "------< Static Rules >------",
            " from 10.1.0.0/16 preference 5 table 9",
            "------< VRRP Topology >------",
            "   Virtual Routes = 1",
            "     10.2.0.0/16 dev eth0",
            "   Virtual Rules = 1",
            "     from all to 10.2.0.0/16 preference 6 blackhole",
        ],
    );
    let json: serde_json::Value = serde_json::from_str(&json::text(&data)).unwrap();
    assert_eq!(json[0]["data"]["vroutes"][0], "10.2.0.0/16 dev eth0");
    assert_eq!(
        json[0]["data"]["vrules"][0],
        "from all to 10.2.0.0/16 preference 6 blackhole"
    );
}

#[test]
fn a_master_is_shown_with_its_cause_timers_and_addresses() {
    let config = config_with(
        "    smtp_alert\n    virtual_ip",
        "    authentication {\n        auth_type PASS\n        auth_pass topsecret\n    }\n    virtual_ip",
    );
    let published = published(&config);
    let text = vrrp::topology(&data(&config, &published, &[])).into_string();
    assert_lines(
        &text,
        &[
            "------< VRRP Topology >------",
            " VRRP Instance = VI_1",
            "   State = MASTER",
            "   Because = the instance starts",
            "   Effective priority = 100",
            "   Next advert = now",
            "   Interface = eth0",
            "   Virtual Router ID = 1",
            "   Priority = 100",
            "   Advert interval = 1 s",
            "   Authentication = PASS, password = ********",
            "   Virtual IP = 1",
            "     Address = 192.0.2.1/32 dev eth0 scope global",
            "   Using smtp notification = no",
            "     Adverts received = 0",
        ],
    );
    let since = text.lines().find(|line| line.starts_with("   Since = "));
    assert!(since.unwrap().ends_with(", 65 s ago"), "{since:?}");
    assert!(!text.contains("topsecret") && !text.contains("topsecre"));
}

#[test]
fn a_backup_names_the_master_it_hears() {
    let config = config();
    let mut published = published(&config);
    for snapshot in published.instances.values_mut() {
        let source = IpAddr::from([192, 0, 2, 9]);
        snapshot.cause = Cause::BetterMaster {
            source,
            priority: 200,
        };
        snapshot.role = InstanceRole::Backup {
            master_down_at: Instant::from_micros(68_250_000),
            master: Some((source, 200)),
            interval: kr_model::units::AdvertInterval::DEFAULT,
            preempt_at: None,
        };
    }
    let text = vrrp::topology(&data(&config, &published, &[])).into_string();
    assert_lines(
        &text,
        &[
            "   State = BACKUP",
            "   Because = 192.0.2.9 is master with priority 200",
            "   Master router = 192.0.2.9",
            "   Master priority = 200",
            "   Master advert interval = 1 s",
            "   Master down = in 3.250 s",
        ],
    );
}

#[test]
fn a_sync_group_is_shown_with_the_states_of_its_members() {
    let config = config_with(
        "vrrp_instance VI_1 {",
        "vrrp_sync_group G1 {\n    group {\n        VI_1\n    }\n}\nvrrp_instance VI_1 {",
    );
    let published = published(&config);
    let text = vrrp::topology(&data(&config, &published, &[])).into_string();
    assert_lines(
        &text,
        &[
            "------< VRRP Sync groups >------",
            " VRRP Sync Group = G1",
            "   Monitoring VRRP instance = VI_1, MASTER",
        ],
    );
}

#[test]
fn a_service_is_shown_with_servers_and_checkers() {
    let config = config();
    let mut published = published(&config);
    for id in config.real_servers.keys() {
        published.servers_up.insert(*id, false);
    }
    for snapshot in published.checkers.values_mut() {
        snapshot.up = false;
        snapshot.failures = 2;
        snapshot.next_at = Instant::from_micros(66_500_000);
        snapshot.attempts = 7;
        snapshot.failed_attempts = 4;
    }
    let text = services::topology(&data(&config, &published, &[])).into_string();
    assert_lines(
        &text,
        &[
            " Smtp server = 192.0.2.25 port 25",
            " IPVS of the kernel usable = not known yet",
            "------< LVS Topology >------",
            " Virtual server = [192.0.2.1]:tcp:80",
            "   Quorum state = up",
            "   Total weight of living servers = 1",
            "   lb_algo = rr",
            "   Quorum = 3",
            "   Hysteresis = 1",
            "   Real server = [192.0.2.2]:tcp:80",
            "     Health = down",
            "     Weight = 5",
            "     Forwarding method = NAT",
            "     Checker = TCP_CHECK",
            "       State = down",
            "       Last result = failed",
            "       Failures in a row = 2",
            "       Next check = in 1.500 s",
            "       Checks made = 7",
            "       Checks failed = 4",
            "       Connection dest = 192.0.2.2:80",
            "       Connection timeout = 3 s",
            "       Delay loop = 6 s",
        ],
    );
}

#[test]
fn children_are_shown_with_their_process_and_age() {
    let config = config();
    let published = Published::default();
    let mut times = LoopTimes::default();
    for micros in [40, 60, 2_300, 9_000_000] {
        times.lateness.record(Duration::from_micros(micros));
    }
    let children = [
        (Role::Vrrpd, Some(process(42, 60, Some(&times)))),
        (Role::Checkerd, None),
    ];
    let text = parent(&data(&config, &published, &children)).into_string();
    assert_lines(
        &text,
        &[
            " Configuration number = 3",
            " Router ID = R1",
            "------< Processes >------",
            " parent = 1",
            " vrrpd = 42",
            "   Timers served late by = 2250.600 ms on average, 9000.000 ms at most, 4 in all",
            "     up to 0.064 ms = 2",
            "     up to 4.096 ms = 1",
            "     longer = 1",
            "   Turns of the loop that took = 0.000 ms on average, 0.000 ms at most, 0 in all",
            " checkerd = not running",
        ],
    );
    let age = text.lines().find(|line| line.starts_with("   Started = "));
    assert!(age.unwrap().ends_with(", 5 s ago"), "{age:?}");
}

#[test]
fn json_of_version_2_tells_how_late_each_process_is() {
    let mut config = config();
    config.global.dumps.json = kr_model::global::JsonVersion::Two;
    let mut times = LoopTimes::default();
    for micros in [64, 64, 16_000_000] {
        times.turns.record(Duration::from_micros(micros));
    }
    let children = [
        (Role::Vrrpd, Some(process(42, 60, Some(&times)))),
        (Role::Checkerd, None),
        (Role::Ipvsd, Some(process(43, 60, None))),
    ];
    let published = published(&config);
    let text = json::text(&data(&config, &published, &children));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let none = serde_json::json!({
        "count": 0, "mean": 0.0, "longest": 0.0, "buckets": [], "longer": 0,
    });
    let turns = serde_json::json!({
        "count": 3,
        "mean": 5.333_376,
        "longest": 16.0,
        "buckets": [{ "up_to": 0.000_064, "count": 2 }],
        "longer": 1,
    });
    let untold = |name, pid| serde_json::json!({ "name": name, "pid": pid, "loop_lateness": null, "loop_turns": null });
    let vrrpd = serde_json::json!({
        "name": "vrrpd", "pid": 42, "loop_lateness": none, "loop_turns": turns,
    });
    let expected = serde_json::json!([untold("parent", 1), vrrpd, untold("ipvsd", 43)]);
    assert_eq!(json["processes"], expected);
}

#[test]
fn nothing_is_shown_in_the_form_of_the_program_s_own_types() {
    let config = config();
    let published = published(&config);
    let data = data(&config, &published, &[]);
    for text in [
        parent(&data),
        vrrp::topology(&data),
        services::topology(&data),
    ] {
        let text = text.into_string();
        for mark in ["{", "Some(", "None", "Ok("] {
            assert!(!text.contains(mark), "`{mark}` in:\n{text}");
        }
    }
}

#[test]
fn statistics_count_from_the_last_clearing() {
    let config = config();
    let mut published = published(&config);
    for snapshot in published.instances.values_mut() {
        snapshot.counters.advert_sent = 10;
    }
    let zero = zero(&published);
    for snapshot in published.instances.values_mut() {
        snapshot.counters.advert_sent = 17;
    }
    let sent = |zero: &Zero| {
        let text = vrrp::statistics(&config, &published, zero).into_string();
        text.lines()
            .find_map(|line| line.strip_prefix("    Sent: "))
            .map(str::to_owned)
    };
    assert_eq!(sent(&Zero::new()).as_deref(), Some("17"));
    assert_eq!(sent(&zero).as_deref(), Some("7"));
}

#[test]
fn json_has_keepalived_s_names_and_numbers() {
    let config = config();
    let mut published = published(&config);
    for snapshot in published.instances.values_mut() {
        snapshot.counters.become_master = 1;
    }
    let text = json::text(&data(&config, &published, &[]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let [instance] = json.as_array().unwrap().as_slice() else {
        panic!("{text}");
    };
    let data = &instance["data"];
    assert_eq!(data["iname"], "VI_1");
    assert_eq!(data["ifp_ifname"], "eth0");
    assert_eq!(data["vrid"], 1);
    assert_eq!(data["state"], 2);
    assert_eq!(data["wantstate"], 1);
    assert_eq!(data["vipset"], true);
    assert_eq!(data["last_transition"], 999_935.0);
    assert_eq!(data["vips"][0], "192.0.2.1/32 dev eth0 scope global set");
    // Switches are numbers or words, and times are in seconds, each as keepalived has it.
    for field in [
        "dont_track_primary",
        "skip_check_adv_addr",
        "strict_mode",
        "lower_prio_no_advert",
    ] {
        assert_eq!(data[field], 0, "{field}");
    }
    for field in [
        "nopreempt",
        "promote_secondaries",
        "smtp_alert",
        "notify_deleted",
    ] {
        assert!(data[field].is_boolean(), "{field}");
    }
    assert_eq!(data["accept"], 1);
    assert!(data["higher_prio_send_advert"].is_number());
    assert_eq!(data["adver_int"], 1.0);
    assert_eq!(data["master_adver_int"], 1.0);
    assert_eq!(data["auth_type"], 0);
    assert!(data.get("auth_data").is_none());
    assert_eq!(instance["stats"]["become_master"], 1);
}

#[test]
fn tracked_objects_are_shown_with_their_states_and_counts() {
    let blocks = "track_file load {\n file /run/load\n}\n\
                  vrrp_track_process web {\n process nginx -g\n quorum_max 4\n weight 7 reverse\n \
                  fork_delay 1.5\n terminate_delay 2\n}\n\
                  vrrp_script chk {\n script \"/bin/test -e /x\"\n rise 2\n}\nvrrp_instance VI_1 {\n\
                  track_script {\n chk weight 5 reverse\n}\ntrack_file {\n load\n}\ntrack_process {\n web\n}";
    let config = config_with("\nvrrp_instance VI_1 {", &format!("\n{blocks}"));
    let published = published(&config);
    let states = config.trackers.iter().map(|(id, entry)| {
        let state = match entry.source.kind() {
            TrackerKind::File => TrackerState::Value(-3),
            TrackerKind::Script | TrackerKind::Process | TrackerKind::Bfd => TrackerState::Up,
        };
        let processes = 2;
        let delay = Some(Delay::Fork);
        let shown = Shown {
            state,
            processes,
            delay,
        };
        (*id, shown)
    });
    let tracked = states.collect();
    let children = [];
    let data = Data {
        tracked: &tracked,
        ..data(&config, &published, &children)
    };
    let text = vrrp::topology(&data).into_string();
    for line in [
        "chk, weight 5 reverse",
        "load, weight 1",
        "VRRP Script = chk",
        "Command = /bin/test -e /x",
        "Status = GOOD",
        "File = /run/load",
        "Status = -3",
        "Process = nginx -g",
        "Current processes = 2",
        "Have quorum = yes",
    ] {
        assert!(text.lines().any(|one| one.trim() == line), "{line}\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&json::text(&data)).unwrap();
    let fields = &json[0]["data"];
    assert_eq!(fields["track_script"][0], "/bin/test -e /x");
    assert_eq!(fields["track_process"][0], "web");
    let expected = serde_json::json!({
        "process": "nginx",
        "parameters": "-g",
        "param_match": "exact",
        "full_command": true,
        "min_processes": 1,
        "max_processes": 4,
        "current_processes": 2,
        "have_quorum": true,
        "weight": -7,
        "terminate_delay": 2.0,
        "fork_delay": 1.5,
        "terminate_delay_timer_running": false,
        "fork_delay_timer_running": true,
    });
    assert_eq!(track::processes(&data), serde_json::json!([expected]));
}
