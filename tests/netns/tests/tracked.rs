//! `track_script`, `track_file` and `track_process`: what is tracked decides who is master.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use kr_test_netns::{ELECTION, Pair, VIP, instance, start};
use kr_testkit::keepalived::Peer::{self, Ours, Stock};
use kr_testkit::keepalived::{Keepalived, Parts, Role};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

const FAILOVER: Duration = Duration::from_secs(10);

/// A configuration of priority 150 with a tracked object before it.
fn tracking(block: &str, list: &str) -> String {
    let globals = "global_defs {\nenable_script_security\nscript_user root\n}\n";
    let instance = instance("BACKUP", 150).to_string();
    let end = instance.trim_end().strip_suffix('}').unwrap();
    format!("{globals}{block}\n{end}{list}\n}}\n")
}

fn launch(peer: Peer, host: &Host, configuration: &str) -> Keepalived {
    Keepalived::start(peer, host, Parts::Vrrp, configuration).unwrap()
}

/// A directory that scripts of root may be in.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/run/kr-track-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A `vrrp_script` that passes while `file` is there.
fn script(file: &Path, more: &str) -> String {
    format!(
        "vrrp_script chk {{\nscript \"/usr/bin/test -e {}\"\ninterval 1\n{more}\n}}",
        file.display()
    )
}

fn script_decides(first: Peer, second: Peer, line: &str) {
    let (pair, place) = (
        Pair::new().unwrap(),
        Place::new(&format!("{first:?}{line}")),
    );
    let file = place.file("good");
    fs::write(&file, "").unwrap();
    let list = format!("track_script {{\nchk {}\n}}", line.replace('_', " "));
    let _a = launch(first, &pair.a, &tracking(&script(&file, ""), &list));
    let _b = start(second, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    fs::remove_file(&file).unwrap();
    pair.wait_holder('b', FAILOVER).unwrap();
    fs::write(&file, "").unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
}

#[test]
fn ours_with_a_failing_script_gives_way_to_stock_until_it_passes() {
    script_decides(Ours, Stock, "weight_0");
}

#[test]
fn stock_with_a_failing_script_gives_way_to_ours_until_it_passes() {
    script_decides(Stock, Ours, "weight_0");
}

#[test]
fn ours_with_a_failing_script_and_less_priority_gives_way_to_stock() {
    script_decides(Ours, Stock, "weight_-100");
}

fn file_decides(first: Peer, second: Peer) {
    let (pair, place) = (Pair::new().unwrap(), Place::new(&format!("file{first:?}")));
    let file = place.file("load");
    let block = format!(
        "track_file load {{\nfile {}\nweight -2\ninit_file 5\n}}",
        file.display()
    );
    let _a = launch(first, &pair.a, &tracking(&block, "track_file {\nload\n}"));
    let _b = start(second, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), "5");
    // 150 - 2 * 30 = 90.
    fs::write(&file, "30\n").unwrap();
    pair.wait_holder('b', FAILOVER).unwrap();
    // Replaced by rename.
    fs::write(place.file("new"), "1\n").unwrap();
    fs::rename(place.file("new"), &file).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    // 150 - 2 * 127 is a fault.
    fs::write(&file, "127\n").unwrap();
    pair.wait_holder('b', FAILOVER).unwrap();
    fs::remove_file(&file).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
}

#[test]
fn ours_follows_the_number_in_a_file_against_stock() {
    file_decides(Ours, Stock);
}

#[test]
fn stock_follows_the_number_in_a_file_against_ours() {
    file_decides(Stock, Ours);
}

/// As Kubernetes shows a ConfigMap: the file is a link through a link to a directory, and that one is replaced.
#[test]
fn ours_follows_a_file_whose_directory_is_swapped_by_a_link() {
    let (pair, place) = (Pair::new().unwrap(), Place::new("swapped"));
    let file = place.file("load");
    let swap = |version: &str, number: &str| {
        fs::create_dir(place.file(version)).unwrap();
        fs::write(place.file(version).join("load"), number).unwrap();
        symlink(version, place.file("..data_tmp")).unwrap();
        fs::rename(place.file("..data_tmp"), place.file("..data")).unwrap();
    };
    swap("..one", "0");
    symlink("..data/load", &file).unwrap();
    let block = format!("track_file load {{\nfile {}\nweight -2\n}}", file.display());
    let _a = launch(Ours, &pair.a, &tracking(&block, "track_file {\nload\n}"));
    let _b = start(Stock, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    swap("..two", "30");
    pair.wait_holder('b', FAILOVER).unwrap();
    fs::remove_dir_all(place.file("..one")).unwrap();
    swap("..three", "1");
    pair.wait_holder('a', ELECTION).unwrap();
}

/// A process with a name of its own, ended with this.
struct Sleeper(Child);

impl Sleeper {
    fn new(name: &str) -> Self {
        let mut command = Command::new("sleep");
        Self(command.arg0(name).arg("600").spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ours_follows_a_process_against_stock() {
    let pair = Pair::new().unwrap();
    let name = format!("kr-tracked-{}", std::process::id());
    let block = format!("vrrp_track_process p {{\nprocess {name} 600\n}}");
    let running = Sleeper::new(&name);
    let a = launch(
        Ours,
        &pair.a,
        &tracking(&block, "track_process {\np weight 0\n}"),
    );
    let _b = start(Stock, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    drop(running);
    eventually(Duration::from_secs(1), "the fault", || {
        a.logged("Entering FAULT STATE: process p lacks its quorum") == 1
    })
    .unwrap_or_else(|error| panic!("{error}: {}", a.log()));
    pair.wait_holder('b', FAILOVER).unwrap();
    let _again = Sleeper::new(&name);
    pair.wait_holder('a', ELECTION).unwrap();
}

#[test]
fn a_script_that_hangs_fails_in_time_and_delays_nothing() {
    let (pair, place) = (Pair::new().unwrap(), Place::new("hang"));
    let program = place.file("hang.sh");
    // It ignores SIGTERM, and so does what it starts.
    let text = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n";
    fs::write(&program, text).unwrap();
    let mut mode = fs::metadata(&program).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&program, mode).unwrap();
    let block = format!(
        "vrrp_script chk {{\nscript {}\ninterval 2\ntimeout 1\nweight -10\n}}",
        program.display()
    );
    let a = launch(Ours, &pair.a, &tracking(&block, "track_script {\nchk\n}"));
    let b = start(Stock, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(FAILOVER, "the failure", || {
        a.logged("script chk failed: it took too long") == 1
    })
    .unwrap_or_else(|error| panic!("{error}: {}", a.log()));
    let before = b.logged("Entering");
    throughout(Duration::from_secs(6), "the address stays", || {
        pair.a.has_address(VIP)
    })
    .unwrap();
    assert_eq!(b.logged("Entering"), before, "{}", b.log());
    assert!(scripts_named("hang.sh") <= 1, "older runs are killed");
    drop(a);
    eventually(FAILOVER, "the end of the script", || {
        scripts_named("hang.sh") == 0
    })
    .unwrap();
}

/// How many processes run whose command line has this.
fn scripts_named(text: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| line.starts_with("/bin/sh") && line.contains(text))
        .count()
}

#[test]
fn the_first_result_is_waited_for_without_a_fault() {
    let (pair, place) = (Pair::new().unwrap(), Place::new("first"));
    let log = place.file("states");
    let notify = format!(
        "notify \"/bin/sh -c 'echo $3 >> {}' sh\"\ntrack_script {{\nchk\n}}",
        log.display()
    );
    let block = "vrrp_script chk {\nscript \"/bin/sleep 2\"\ninterval 5\n}";
    let a = launch(Ours, &pair.a, &tracking(block, &notify));
    throughout(Duration::from_millis(1500), "nothing is told", || {
        !log.exists()
    })
    .unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    let states = || fs::read_to_string(&log).unwrap_or_default();
    eventually(FAILOVER, "both states", || states() == "BACKUP\nMASTER\n")
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", states(), a.log()));
}

#[test]
fn states_outlive_a_reload_and_kill_9_of_the_vrrp_process() {
    let (pair, place) = (Pair::new().unwrap(), Place::new("keep"));
    let (file, runs) = (place.file("good"), place.file("runs"));
    fs::write(&file, "").unwrap();
    // The interval is so long that only the run at the start counts.
    let block = format!(
        "vrrp_script chk {{\nscript \"/bin/sh -c 'echo >> {}; exec test -e {}'\"\ninterval 600\n}}",
        runs.display(),
        file.display()
    );
    let text = tracking(&block, "track_script {\nchk\n}");
    let a = launch(Ours, &pair.a, &text);
    let b = start(Stock, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    let before = b.logged("Entering");
    let changed = text.replace("priority 150", "priority 151");
    a.reload(&changed).unwrap();
    eventually(FAILOVER, "the reload", || a.logged("reloaded:") == 1).unwrap();
    for _ in 0..3 {
        let old = a.child(Role::Vrrp).unwrap();
        kill(old, Signal::SIGKILL).unwrap();
        eventually(FAILOVER, "a new process", || {
            a.child(Role::Vrrp).is_some_and(|pid| pid != old)
        })
        .unwrap();
        throughout(Duration::from_millis(1500), "the address stays", || {
            pair.a.has_address(VIP)
        })
        .unwrap();
    }
    assert_eq!(b.logged("Entering"), before, "{}", b.log());
    assert_eq!(fs::read_to_string(&runs).unwrap(), "\n", "one run in all");
    // A new command is a new script.
    fs::remove_file(&file).unwrap();
    a.reload(&changed.replace("echo >>", "echo>>")).unwrap();
    pair.wait_holder('b', FAILOVER).unwrap();
}
