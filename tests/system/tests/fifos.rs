//! `notify_fifo` and its like: every change of state as a line, in order, none twice, none lost.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use kr_testkit::process::child_named;
use kr_testkit::wait::eventually;
use nix::sys::signal::Signal;

use crate::rig::{Rig, SOON, WHOLE, kill};

/// [`WHOLE`] with `more` in `global_defs`.
fn with(more: &str) -> String {
    WHOLE.replace("script_user root", &format!("script_user root\n    {more}"))
}

/// A rig whose `reader.sh`, started by the daemon, appends what it reads to `lines`.
fn rig_with_reader(more: &str) -> Rig {
    let rig = Rig::new(&with(&format!(
        "notify_fifo {{dir}}/fifo\n    notify_fifo_script \"{{dir}}/reader.sh all\"\n    {more}"
    )));
    let lines = rig.path("lines");
    rig.script(
        "reader.sh",
        &format!(
            "echo \"start $1\" >> {0}\nwhile read -r line; do echo \"$line\" >> {0}; done < \"$2\"\necho end >> {0}\n",
            lines.display()
        ),
    );
    rig
}

fn lines(rig: &Rig) -> Vec<String> {
    let text = fs::read_to_string(rig.path("lines")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn wait_for_line(rig: &Rig, line: &str) {
    let there = eventually(SOON, line, || lines(rig).iter().any(|found| found == line));
    assert!(there.is_ok(), "no `{line}` in {:?}", lines(rig));
}

const MASTER: &str = "INSTANCE \"VI_1\" MASTER 255";
const SERVER_DOWN: &str = "RS [10.9.0.1]:tcp:80 [10.9.0.9]:tcp:80 DOWN";
const QUORUM: &str = "VS [10.9.0.9]:tcp:80 UP";
const QUORUM_LOST: &str = "VS [10.9.0.9]:tcp:80 DOWN";

#[test]
fn the_reader_gets_every_change_until_the_daemon_is_gone() {
    let rig = rig_with_reader("");
    let mut daemon = rig.start_and_wait();
    wait_for_line(&rig, MASTER);
    wait_for_line(&rig, QUORUM_LOST);
    let fifo = fs::metadata(rig.path("fifo")).unwrap();
    assert!(fifo.file_type().is_fifo() && fifo.uid() == 0);
    daemon.terminate(SOON).unwrap();
    let lines = lines(&rig);
    assert_eq!(lines.first().unwrap(), "start all");
    let servers: Vec<&String> = lines.iter().filter(|line| !line.starts_with('I')).collect();
    assert_eq!(
        servers,
        ["start all", QUORUM, SERVER_DOWN, QUORUM_LOST, "end"]
    );
    assert_eq!(
        lines[lines.len() - 2..],
        ["INSTANCE \"VI_1\" STOP 255", "end"]
    );
    assert!(!rig.path("fifo").exists());
}

#[test]
fn a_crash_of_any_process_neither_repeats_nor_loses_a_line() {
    let rig = rig_with_reader("");
    let mut daemon = rig.start_and_wait();
    wait_for_line(&rig, MASTER);
    wait_for_line(&rig, QUORUM_LOST);
    for name in ["vrrpd", "ipvsd", "checkerd"] {
        let old = child_named(daemon.pid(), name).unwrap();
        kill(old);
        eventually(SOON, "a successor", || {
            child_named(daemon.pid(), name).is_some_and(|pid| pid != old)
        })
        .unwrap();
    }
    rig.wait_for(&daemon, "started checkerd");
    std::thread::sleep(std::time::Duration::from_secs(3));
    daemon.terminate(SOON).unwrap();
    let lines = lines(&rig);
    let count = |line: &str| lines.iter().filter(|found| *found == line).count();
    for line in [MASTER, QUORUM, SERVER_DOWN, QUORUM_LOST, "start all"] {
        assert_eq!(count(line), 1, "{line}: {lines:?}");
    }
    assert_eq!(count("INSTANCE \"VI_1\" STOP 255"), 1, "{lines:?}");
}

#[test]
fn a_reload_keeps_the_reader_and_tells_states_only_when_asked() {
    let rig = rig_with_reader("");
    let mut daemon = rig.start_and_wait();
    wait_for_line(&rig, MASTER);
    wait_for_line(&rig, QUORUM_LOST);
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    let before = lines(&rig);
    let asks = "fifo_write_vrrp_states_on_reload\n    notify_fifo {dir}/fifo\n    notify_fifo_script \"{dir}/reader.sh all\"";
    rig.configure(&with(asks).replace(
        "10.9.0.9/24\n    }",
        "10.9.0.9/24\n    }\n    notify_deleted",
    ));
    daemon.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, "reloaded: configuration 3 is in force");
    eventually(SOON, "one more line", || {
        lines(&rig).len() == before.len() + 1
    })
    .unwrap();
    assert_eq!(lines(&rig).last().unwrap(), MASTER);
    // The instance goes, another comes.
    rig.configure(
        &with(asks)
            .replace("VI_1", "VI_2")
            .replace("router_id 55", "router_id 56"),
    );
    daemon.signal(Signal::SIGHUP).unwrap();
    wait_for_line(&rig, "INSTANCE \"VI_1\" DELETED 255");
    wait_for_line(&rig, "INSTANCE \"VI_2\" MASTER 255");
    daemon.terminate(SOON).unwrap();
    let starts = lines(&rig);
    let starts = starts.iter().filter(|line| line.starts_with("start"));
    assert_eq!(starts.count(), 1);
}

#[test]
fn a_fifo_of_another_account_is_used_again_after_a_crash_and_a_reload() {
    let rig = Rig::new(&with("vrrp_notify_fifo {dir}/vrrp nobody"));
    fs::set_permissions(
        rig.directory.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let path = rig.path("vrrp");
    let mut daemon = rig.start_and_wait();
    assert_eq!(fs::metadata(&path).unwrap().uid(), 65_534);
    daemon.kill_tree();
    assert!(path.exists());
    fs::remove_file(rig.path("log")).unwrap();
    // Started without it: the parent has given up most of root's capabilities when the reload comes.
    rig.configure(WHOLE);
    let second = rig.start_and_wait();
    eventually(SOON, "the master", || rig.notes().len() > 2).unwrap();
    rig.configure(&with(
        "vrrp_notify_fifo {dir}/vrrp nobody\n    fifo_write_vrrp_states_on_reload",
    ));
    second.signal(Signal::SIGHUP).unwrap();
    rig.wait_for(&second, "reloaded: configuration 2 is in force");
    let mut reader = fs::File::open(&path).unwrap();
    let mut line = vec![0; MASTER.len()];
    std::io::Read::read_exact(&mut reader, &mut line).unwrap();
    assert_eq!(String::from_utf8_lossy(&line), MASTER);
}

#[test]
fn a_link_in_the_place_of_a_fifo_is_not_followed() {
    let rig = Rig::new(&with("notify_fifo {dir}/fifo"));
    fs::write(rig.path("precious"), "kept").unwrap();
    std::os::unix::fs::symlink(rig.path("precious"), rig.path("fifo")).unwrap();
    let mut daemon = rig.start_and_wait();
    rig.wait_for(&daemon, "it is a symbolic link, which is not followed");
    daemon.terminate(SOON).unwrap();
    assert_eq!(fs::read_to_string(rig.path("precious")).unwrap(), "kept");
}
