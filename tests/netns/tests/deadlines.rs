//! A VRRP process that stops, spins or starves is replaced before a backup of the distribution's keepalived would
//! take over, also with ten adverts a second.

use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use kr_test_netns::{ELECTION, Pair, VIP, start};
use kr_testkit::harm::Starved;
use kr_testkit::keepalived::Peer::{Ours, Stock};
use kr_testkit::keepalived::{Instance, Keepalived, Role};
use kr_testkit::process::Process;
use kr_testkit::wait::{eventually, throughout};

/// How often it happens to a process.
const TIMES: usize = 3;

/// In between: sooner the parent would have more patience, for replacing a process does not seem to help.
const PAUSE: Duration = Duration::from_secs(11);

fn instance(state: &'static str, priority: u8) -> Instance {
    Instance {
        state,
        vrid: 55,
        priority,
        password: None,
        addresses: vec!["192.168.77.100/24"],
        more: vec!["version 3", "advert_int 0.1"],
    }
}

/// A master with a stock backup, both with ten adverts a second.
fn stage() -> (Pair, Keepalived, Keepalived) {
    let pair = Pair::new().unwrap();
    let ours = start(Ours, &pair.a, &instance("MASTER", 150)).unwrap();
    let stock = start(Stock, &pair.b, &instance("BACKUP", 100)).unwrap();
    pair.wait_holder('a', ELECTION).unwrap();
    eventually(ELECTION, "up", || ours.logged("up: every process") > 0).unwrap();
    eventually(ELECTION, "the backup", || {
        stock.logged("Entering BACKUP") > 0
    })
    .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    (pair, ours, stock)
}

/// Does something to each VRRP process in turn, which must be replaced without the backup noticing.
fn replaced(act: impl Fn(Pid)) {
    let (pair, ours, stock) = stage();
    let transitions = stock.logged("Entering");
    for _ in 0..TIMES {
        let before = ours.child(Role::Vrrp).unwrap();
        act(before);
        eventually(Duration::from_secs(5), "a successor", || {
            ours.child(Role::Vrrp).is_some_and(|pid| pid != before)
        })
        .unwrap();
        std::thread::sleep(PAUSE);
        assert!(pair.a.has_address(VIP));
    }
    assert_eq!(
        stock.logged("Entering"),
        transitions,
        "{}\n{}",
        stock.log(),
        ours.log()
    );
    assert_eq!(pair.holder(), Some('a'));
    assert!(ours.logged("killing vrrpd: it has not answered for") >= TIMES);
}

#[test]
fn a_stopped_process_is_replaced_before_a_stock_backup_takes_over() {
    replaced(|pid| kill(pid, Signal::SIGSTOP).unwrap());
}

#[test]
fn a_starved_process_goes_on_or_is_replaced_before_a_stock_backup_takes_over() {
    let (pair, ours, stock) = stage();
    let transitions = stock.logged("Entering");
    for _ in 0..TIMES {
        // It may be enough for a process that has little to do.
        let starved = Starved::new(ours.child(Role::Vrrp).unwrap()).unwrap();
        throughout(PAUSE, "the address stays", || pair.a.has_address(VIP)).unwrap();
        drop(starved);
    }
    assert_eq!(
        stock.logged("Entering"),
        transitions,
        "{}\n{}",
        stock.log(),
        ours.log()
    );
}

#[test]
fn a_busy_host_replaces_nobody_over_and_over() {
    let (pair, ours, _stock) = stage();
    // Two for each processor, for a while.
    let count = 2 * std::thread::available_parallelism().unwrap().get();
    let log = ours.directory().join("busy");
    let busy: Vec<Process> = (0..count)
        .map(|_| {
            let mut command = Command::new("sh");
            Process::spawn(command.args(["-c", "while :; do :; done"]), &log).unwrap()
        })
        .collect();
    std::thread::sleep(Duration::from_secs(10));
    drop(busy);
    let replaced = ours.logged("killing vrrpd");
    assert!(replaced <= 2, "{replaced} times: {}", ours.log());
    pair.wait_holder('a', ELECTION).unwrap();
}
