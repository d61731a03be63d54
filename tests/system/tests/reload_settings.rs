//! `reload_check_config`, `reload_time_file`, `reload_repeat`, `reload_file`.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kr_testkit::process::Process;
use kr_testkit::wait::{eventually, throughout};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;

use crate::rig::{Rig, SOON};

/// A router without scripts, so that nothing is to be said of it.
const QUIET: &str = "
global_defs {
    router_id TEST
    # settings
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 55
    priority 255
    advert_int 1
    virtual_ipaddress {
        10.9.0.9/24
    }
}
";

/// One FIFO by two names: it works, but is worth a warning.
const TWICE: &str = "notify_fifo {dir}/fifo\n    vrrp_notify_fifo {dir}/fifo";

fn with(settings: &str) -> String {
    QUIET.replace("# settings", settings)
}

fn reload(daemon: &Process) {
    daemon.signal(Signal::SIGHUP).unwrap();
}

#[test]
fn with_reload_check_config_a_warning_refuses_a_reload_and_the_log_says_why() {
    let checked = "reload_check_config {dir}/check.log";
    let rig = Rig::new(&with(checked));
    let daemon = rig.start_and_wait();
    let report = || fs::read_to_string(rig.path("check.log")).unwrap_or_default();
    rig.configure(&with(&format!("{checked}\n    {TWICE}")));
    reload(&daemon);
    rig.wait_for(
        &daemon,
        "the reload is refused because of the findings above",
    );
    assert!(report().contains("is used twice"), "{}", report());
    assert!(!rig.path("fifo").exists());
    rig.configure(&with(checked).replace("virtual_router_id 55", "virtual_router_id 555"));
    reload(&daemon);
    rig.wait_for(&daemon, "the reload is refused because of 2 error(s)");
    assert!(report().contains("k.conf:8:"), "{}", report());
    assert!(rig.host.has_address("10.9.0.9"));
    // Whoever leaves the keyword out is still checked once more.
    rig.configure(&with(""));
    reload(&daemon);
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    assert_eq!(report(), "");
    rig.configure(&with(TWICE));
    reload(&daemon);
    rig.wait_for(&daemon, "reloaded: configuration 3 is in force");
    assert_eq!(report(), "");
}

#[test]
fn the_check_log_is_not_written_through_a_link_and_is_not_needed() {
    let rig = Rig::new(&with("reload_check_config {dir}/check.log"));
    fs::write(rig.path("precious"), "text").unwrap();
    std::os::unix::fs::symlink(rig.path("precious"), rig.path("check.log")).unwrap();
    let daemon = rig.start_and_wait();
    rig.configure(&with("reload_check_config"));
    reload(&daemon);
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    assert_eq!(fs::read_to_string(rig.path("precious")).unwrap(), "text");
    rig.configure(&with(TWICE));
    reload(&daemon);
    rig.wait_for(
        &daemon,
        "the reload is refused because of the findings above",
    );
}

#[test]
fn the_reload_file_is_there_while_the_configuration_is_read() {
    let rig = Rig::new(&with("reload_file {dir}/marker/now"));
    let directory = rig.path("marker");
    fs::create_dir(&directory).unwrap();
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    let mask = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_DELETE;
    inotify.add_watch(&directory, mask).unwrap();
    let happened = || -> Vec<AddWatchFlags> {
        let events = inotify.read_events().unwrap_or_default();
        events.into_iter().map(|event| event.mask).collect()
    };
    let daemon = rig.start_and_wait();
    let both = [AddWatchFlags::IN_CREATE, AddWatchFlags::IN_DELETE];
    assert_eq!(happened(), both, "at the start");
    // A program that wants to write waits until its file is gone.
    fs::write(rig.path("marker/now"), "waiting").unwrap();
    happened();
    reload(&daemon);
    let gone = || !rig.path("marker/now").exists();
    eventually(SOON, "the file to go", gone).unwrap();
    let emptied = [AddWatchFlags::IN_MODIFY, AddWatchFlags::IN_DELETE];
    assert_eq!(happened(), emptied, "at the reload");
    rig.configure(&with("reload_file {dir}/marker/now\n    nonsense"));
    reload(&daemon);
    rig.wait_for(&daemon, "the reload is refused");
    assert_eq!(happened(), both, "at a reload that is refused");
}

/// The time of day in some seconds, east of Greenwich by some hours.
fn clock(after: u64, east: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let second = (now.as_secs() + after + east * 3600) % 86_400;
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{hour:02}:{minute:02}:{:02}", second % 60)
}

#[test]
fn a_reload_comes_at_the_time_that_the_file_says_and_not_when_it_is_cancelled() {
    let rig = Rig::new(&with("reload_time_file {dir}/when"));
    let mut command = rig.command(&["-nlDG"]);
    command.env("TZ", "TST-3");
    let daemon = Process::spawn(&mut command, &rig.path("log")).unwrap();
    rig.wait_for(&daemon, "up: every process runs its configuration");
    for (generation, line) in [(2, clock(3, 3)), (3, format!("{}Z\n", clock(6, 0)))] {
        fs::write(rig.path("when"), line).unwrap();
        rig.wait_for(&daemon, "asks for a reload on");
        rig.wait_for(
            &daemon,
            &format!("reloaded: configuration {generation} is in force"),
        );
        assert!(!rig.path("when").exists());
    }
    fs::write(rig.path("when"), clock(3, 3)).unwrap();
    let third = || daemon.log().matches("asks for a reload on").count() == 3;
    eventually(SOON, "the third time", third).unwrap();
    fs::remove_file(rig.path("when")).unwrap();
    rig.wait_for(&daemon, "is cancelled");
    fs::write(rig.path("when"), "tomorrow").unwrap();
    rig.wait_for(&daemon, "its line must be HH:MM:SS");
    throughout(Duration::from_secs(4), "no further reload", || {
        !daemon.log().contains("configuration 4")
    })
    .unwrap();
}

#[test]
fn with_reload_repeat_the_file_of_every_day_stays() {
    let settings = "reload_time_file {dir}/when\n    reload_repeat";
    let rig = Rig::new(&with(settings));
    fs::write(rig.path("when"), format!("{}Z", clock(4, 0))).unwrap();
    let daemon = rig.start_and_wait();
    rig.wait_for(&daemon, "reloaded: configuration 2 is in force");
    assert!(rig.path("when").exists());
    let twice = || daemon.log().matches("asks for a reload on").count() == 2;
    eventually(SOON, "the reload of tomorrow", twice).unwrap();
}
