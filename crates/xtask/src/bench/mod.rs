//! `cargo xtask bench`: what the daemon's main jobs cost, beside the distribution's keepalived in the same run.
//!
//! Each row measures one program at a time with the same configuration and load. Absolute numbers belong to the
//! machine and to what else runs on it; the ratios are what to look at.

mod adverts;
mod checks;
mod failover;
mod moments;
mod reading;
mod standin;
mod start;
mod table;
mod trouble;
mod usage;

use std::io::{self, Write};
use std::process::{Command, ExitCode};
use std::time::Duration;

use argh::FromArgs;
use kr_testkit::keepalived::Peer;

use crate::lab::{self, Lab};
use crate::packages;

/// Longest time for one row inside the lab.
const LAB_LIMIT: Duration = Duration::from_secs(300);

/// measure what the main jobs cost, beside the distribution's keepalived
#[derive(FromArgs)]
#[argh(subcommand, name = "bench")]
pub(crate) struct BenchTask {
    /// only the rows whose heading contains this
    #[argh(option)]
    only: Option<String>,
}

/// One measurement.
struct Row {
    heading: &'static str,
    beside: Beside,
    measure: fn(Peer) -> io::Result<Vec<Figure>>,
}

/// Where keepalived does the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// On this kernel.
    Here,
    /// On a kernel with IPVS, and so do we: inside the lab, when this one has none.
    Ipvs,
    /// Nowhere: it would take minutes.
    Nobody,
}

/// One number of a measurement.
#[derive(Debug, Clone)]
struct Figure {
    what: &'static str,
    value: f64,
}

const fn figure(what: &'static str, value: f64) -> Figure {
    Figure { what, value }
}

const ROWS: &[Row] = &[
    reading::TEST,
    reading::RELOAD_SAME,
    reading::RELOAD_ONE,
    reading::RELOAD_LARGE,
    table::START,
    table::RELOAD,
    adverts::MASTER_1000_FAST,
    adverts::BACKUP_1000_FAST,
    adverts::MASTER_1000,
    adverts::BACKUP_1000,
    adverts::MASTER_250_FAST,
    adverts::BACKUP_250_FAST,
    adverts::MASTER_ONE,
    adverts::BACKUP_ONE,
    failover::SLOW,
    failover::FAST,
    failover::FASTER,
    failover::FASTEST,
    failover::MANY,
    start::ONE,
    start::MANY,
    start::ONE_OF_MANY_LINKS,
    start::MANY_OF_MANY_LINKS,
    trouble::BUSY,
    trouble::FLOOD,
];

/// Builds with optimisation and measures.
///
/// # Errors
/// When something it needs is missing, or a program does not do its job.
pub(crate) fn run(task: &BenchTask) -> io::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other(
            "the measurement makes network namespaces: run it as root",
        ));
    }
    let program = std::env::current_exe()?;
    let optimised = program
        .parent()
        .and_then(|profile| profile.parent())
        .map(|target| target.join("release/kr-xtask"));
    if let Some(optimised) = optimised.filter(|optimised| *optimised != program) {
        return rebuilt(task, &optimised);
    }
    let wanted = |row: &&Row| {
        let only = task.only.as_deref();
        only.is_none_or(|only| row.heading.contains(only))
    };
    for row in checks::ROWS.iter().chain(ROWS).filter(wanted) {
        println!("\n{}", row.heading);
        if row.beside == Beside::Ipvs && !lab::is_inside() && !lab::kernel_has_ipvs() {
            in_lab(row.heading)?;
            continue;
        }
        let ours = (row.measure)(Peer::Ours)?;
        let stock = match row.beside {
            Beside::Here | Beside::Ipvs => Some((row.measure)(Peer::Stock)?),
            Beside::Nobody => None,
        };
        print(&ours, stock.as_deref());
    }
    Ok(ExitCode::SUCCESS)
}

/// The same in a program that was built with optimisation.
fn rebuilt(task: &BenchTask, optimised: &std::path::Path) -> io::Result<ExitCode> {
    packages::install_missing()?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    if !Command::new(cargo)
        .args(["build", "--release", "--workspace", "--bins"])
        .status()?
        .success()
    {
        return Err(io::Error::other("the programs do not build"));
    }
    let mut again = Command::new(optimised);
    again.arg("bench");
    if let Some(only) = &task.only {
        again.args(["--only", only]);
    }
    Ok(if again.status()?.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn in_lab(heading: &str) -> io::Result<()> {
    println!("this needs IPVS: both in the lab (emulated: compare, do not read absolutely)");
    let program = std::env::current_exe()?;
    let script = lab::quoted([
        program.to_string_lossy().as_ref(),
        "bench",
        "--only",
        heading,
    ]);
    let status = Lab::prepare()?.run(lab::Guard::Nothing, &script, LAB_LIMIT, &mut |bytes| {
        let mut out = io::stdout();
        out.write_all(bytes).and_then(|()| out.flush()).ok();
    })?;
    if status == 0 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "in the lab: exit status {status}"
    )))
}

fn print(ours: &[Figure], stock: Option<&[Figure]>) {
    let Some(stock) = stock else {
        println!("{:<44} {:>14}", "", "keepalived-rs");
        for figure in ours {
            println!("{:<44} {:>14}", figure.what, number(figure.value));
        }
        return;
    };
    println!(
        "{:<44} {:>14} {:>14} {:>8}",
        "", "keepalived-rs", "keepalived", "ratio"
    );
    for (ours, stock) in ours.iter().zip(stock) {
        println!(
            "{:<44} {:>14} {:>14} {:>8.2}",
            ours.what,
            number(ours.value),
            number(stock.value),
            ours.value / stock.value
        );
    }
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
