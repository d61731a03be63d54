//! Every process, harmed in every way, on the master and on the backup: no router changes its state that should
//! not, no request through the virtual address fails, and the log says what happened.
//!
//! [`TABLE`] is the promise, a row for each harm. Each process on each side is a column of its own: one daemon with
//! a stock keepalived as its peer, which suffers all harms one after the other. The columns run at the same time.
//! Setting the clock would concern this whole machine, so that row is in the tests of the emulated one.

mod scene;

use std::fmt::Write as _;
use std::thread;

use kr_testkit::harm::Harm;
use scene::{Scene, Side, Victim};

/// What becomes of a harmed process.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// The daemon ends: its processes leave as at a stop, with priority 0 for the peer, and whoever supervises it
    /// (systemd) starts it again. The log has this text.
    Ends(&'static str),
    /// The parent starts another one in its place, which goes on where it was. The log has this text.
    Replaced(&'static str),
    /// The same process goes on. The log has this text.
    Lives(&'static str),
    /// Either of the last two; the log has the text if it is replaced.
    Survives(&'static str),
}
use Outcome::{Ends, Lives, Replaced, Survives};

/// A harm, and what becomes of parentd, vrrpd, checkerd and ipvsd.
type Row = (Harm, [Outcome; 4]);

/// In this order, so that every row finds the processes as a usual start leaves them.
const TABLE: [Row; 8] = [
    (
        Harm::Kill,
        [
            Ends("the parent process "),
            Replaced("vrrpd was ended by SIGKILL"),
            Replaced("checkerd was ended by SIGKILL"),
            Replaced("ipvsd was ended by SIGKILL"),
        ],
    ),
    (
        Harm::Fault,
        [
            Ends("the parent process "),
            Replaced("vrrpd was ended by SIGSEGV"),
            Replaced("checkerd was ended by SIGSEGV"),
            Replaced("ipvsd was ended by SIGSEGV"),
        ],
    ),
    (
        Harm::Stop,
        [
            Lives("this process did not run for "),
            Replaced("killing vrrpd: it has not answered for 1"),
            Replaced("killing checkerd: it has not answered for 3"),
            Replaced("killing ipvsd: it has not answered for 6"),
        ],
    ),
    (
        Harm::NoProcessor,
        [
            Lives(""),
            Survives("killing vrrpd: it has not answered for 1"),
            Survives("killing checkerd: it has not answered for 3"),
            Survives("killing ipvsd: it has not answered for 6"),
        ],
    ),
    (
        Harm::NoMemory,
        [
            Lives("out of memory"),
            Replaced("vrrpd was ended by SIGABRT"),
            Replaced("checkerd was ended by SIGABRT"),
            Replaced("ipvsd was ended by SIGABRT"),
        ],
    ),
    (
        Harm::NoDescriptors,
        [
            Lives("Too many open files"),
            Replaced("vrrpd exited with code 1"),
            Replaced("checkerd exited with code 1"),
            Replaced("ipvsd exited with code 1"),
        ],
    ),
    (
        Harm::FullDisk,
        [
            Lives("No space left on device"),
            Replaced("vrrpd was ended by SIGKILL"),
            Replaced("checkerd was ended by SIGKILL"),
            Replaced("ipvsd was ended by SIGKILL"),
        ],
    ),
    (
        Harm::LostEvents,
        [
            Lives(""),
            Lives("messages of the kernel were lost; reading links and addresses anew"),
            // It reads all addresses anew after any event, whether others were lost or not.
            Lives(""),
            Lives(""),
        ],
    ),
];

/// The complaints about one cell.
struct Cell {
    name: String,
    complaints: Vec<String>,
    log: String,
}

/// Harms one process of one daemon with one row after the other.
fn column(victim: Victim, side: Side) -> Vec<Cell> {
    let mut scene = Scene::start(victim, side);
    let outcome = |outcomes: &[Outcome; 4]| match victim {
        Victim::Parentd => outcomes[0],
        Victim::Vrrpd => outcomes[1],
        Victim::Checkerd => outcomes[2],
        Victim::Ipvsd => outcomes[3],
    };
    TABLE
        .iter()
        .map(|(harm, outcomes)| {
            let (complaints, log) = scene.suffer(*harm, outcome(outcomes));
            Cell {
                name: format!("{harm:?} of {} on the {side:?}", victim.name()),
                complaints,
                log,
            }
        })
        .collect()
}

#[test]
fn whatever_happens_to_a_process_no_address_moves_and_no_request_fails() {
    let columns: Vec<_> = Victim::ALL
        .into_iter()
        .flat_map(|victim| [(victim, Side::Master), (victim, Side::Backup)])
        .map(|(victim, side)| thread::spawn(move || column(victim, side)))
        .collect();
    let (cells, broken): (Vec<_>, Vec<_>) = columns
        .into_iter()
        .map(thread::JoinHandle::join)
        .partition(Result::is_ok);
    let cells: Vec<Cell> = cells.into_iter().flatten().flatten().collect();
    let mut text = String::new();
    for cell in cells.iter().filter(|cell| !cell.complaints.is_empty()) {
        let complaints = cell.complaints.join("\n  ");
        writeln!(text, "{}:\n  {complaints}\n{}", cell.name, cell.log).unwrap();
    }
    assert!(text.is_empty(), "{text}");
    assert!(
        broken.is_empty(),
        "{} columns have broken off",
        broken.len()
    );
    assert_eq!(cells.len(), TABLE.len() * 8);
}
