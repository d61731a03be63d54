//! `cargo xtask demo`: a client, two directors and three web servers, and what happens when parts of them die.
//!
//! On a kernel without IPVS the whole of it runs inside the lab by itself.

mod observe;
mod report;
mod stage;
pub(crate) mod web;

use std::io::{self, Write};
use std::process::{Command, ExitCode};
use std::time::Duration;

use argh::FromArgs;
use kr_testkit::keepalived::Peer;

use crate::lab::{self, Lab};
use crate::packages;
use observe::Observer;
use report::Report;
use stage::{LB1, LB2, Stage, WEBS};

/// Longest time for the demonstration inside the lab.
const LAB_LIMIT: Duration = Duration::from_secs(420);

/// Longest time for one step: a start-up and an election on a slow machine.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// Quiet time after each step, longer than a request may take, so that its lost requests are its own.
const SETTLE: Duration = Duration::from_secs(4);

/// show a failover pair of directors before three web servers, and kill parts of it
#[derive(FromArgs)]
#[argh(subcommand, name = "demo")]
pub(crate) struct DemoTask {
    /// whose program the second director runs: keepalived-rs (default) or keepalived
    #[argh(option, default = "Peer::Ours", from_str_fn(peer))]
    peer: Peer,
    /// leave everything running at the end and say how to look at it
    #[argh(switch)]
    keep: bool,
    /// only remove what an earlier `--keep` left
    #[argh(switch)]
    clean: bool,
}

fn peer(name: &str) -> Result<Peer, String> {
    match name {
        "keepalived-rs" => Ok(Peer::Ours),
        "keepalived" => Ok(Peer::Stock),
        other => Err(format!("{other} is neither keepalived-rs nor keepalived")),
    }
}

/// Runs the demonstration here, or inside the lab.
///
/// # Errors
/// When a step did not happen, or something it needs is missing.
pub(crate) fn run(task: &DemoTask) -> io::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(io::Error::other(
            "the demo makes network namespaces: run it as root",
        ));
    }
    Stage::clean()?;
    if task.clean {
        return Ok(ExitCode::SUCCESS);
    }
    if !lab::is_inside() {
        packages::install_missing()?;
        build()?;
        if !lab::kernel_has_ipvs() {
            return in_lab(task);
        }
    }
    play(task)
}

/// Builds the programs that are shown; not this one too, whose file must stay as it runs.
fn build() -> io::Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let packages = ["parentd", "vrrpd", "checkerd", "ipvsd"];
    let built = Command::new(cargo)
        .args(["build", "--bins"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .status()?;
    built
        .success()
        .then_some(())
        .ok_or_else(|| io::Error::other("the programs do not build"))
}

fn in_lab(task: &DemoTask) -> io::Result<ExitCode> {
    if task.keep {
        return Err(io::Error::other(
            "this kernel has no IPVS, and what runs inside the lab ends with it: --keep cannot work here",
        ));
    }
    println!(
        "this kernel has no IPVS: running inside the lab, a Debian kernel in emulation (about ten seconds to boot)"
    );
    let program = std::env::current_exe()?;
    let peer = task.peer.to_string();
    let script = lab::quoted([program.to_string_lossy().as_ref(), "demo", "--peer", &peer]);
    let status = Lab::prepare()?.run(lab::Guard::Nothing, &script, LAB_LIMIT, &mut |bytes| {
        let mut out = io::stdout();
        out.write_all(bytes).and_then(|()| out.flush()).ok();
    })?;
    Ok(u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn play(task: &DemoTask) -> io::Result<ExitCode> {
    let mut stage = Stage::build(task.peer)?;
    println!("\n{}", stage.drawing());
    println!(
        "the configuration of {LB1}:\n\n{}",
        stage.configuration(LB1)?.trim_end()
    );
    for name in WEBS {
        stage.start_web(name)?;
    }
    stage.start_director(LB1)?;
    stage.start_director(LB2)?;
    let mut observer = Observer::new(&stage)?;
    let mut report = Report::default();
    let played = acts(&mut stage, &mut observer, &mut report);
    println!("\n{report}");
    if let Err(error) = played {
        for name in [LB1, LB2] {
            println!("--- log of {name}:\n{}", stage.log(name));
        }
        return Err(error);
    }
    if task.keep {
        println!("{}", stage.how_to_look());
        // Nothing of it is dropped, so nothing is ended or removed.
        std::mem::forget(stage);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is shown, in order; an error means that a step did not happen.
fn acts(stage: &mut Stage, observer: &mut Observer, report: &mut Report) -> io::Result<()> {
    observer.act("starting two directors before three web servers");
    observer.wait(stage, "lb1 is master", STEP_LIMIT, |view| {
        view.master == Some(LB1) && view.holders == [LB1] && view.up == WEBS
    })?;

    observer.act("a client asks ten times a second");
    stage.start_client()?;
    observer.wait(stage, "all servers answer", STEP_LIMIT, |view| {
        WEBS.iter().all(|web| view.answers_of(web) > 0)
    })?;
    observer.settle(stage, SETTLE)?;

    observer.act("web2 dies (kill -9)");
    stage.kill_web("web2");
    let detected = observer.wait(stage, "web2 is taken out", STEP_LIMIT, |view| {
        view.up == ["web1", "web3"]
    })?;
    observer.settle(stage, SETTLE)?;
    report.add("web2 dies", detected, observer.losses());

    observer.act("web2 comes back");
    stage.start_web("web2")?;
    let detected = observer.wait(stage, "web2 is put back", STEP_LIMIT, |view| {
        view.up == WEBS
    })?;
    observer.settle(stage, SETTLE)?;
    report.add("web2 comes back", detected, observer.losses());

    observer.act("lb1 loses power: kill -9 of all its processes, its cables out, its memory gone");
    stage.crash_director(LB1)?;
    let detected = observer.wait(
        stage,
        "lb2 is master, all servers answer",
        STEP_LIMIT,
        |view| {
            view.master == Some(LB2)
                && view.holders == [LB2]
                && view.up == WEBS
                && view.answered_last
        },
    )?;
    observer.settle(stage, SETTLE)?;
    report.add("lb1 loses power", detected, observer.losses());

    observer.act("lb1 comes back");
    stage.start_director(LB1)?;
    let detected = observer.wait(stage, "lb1 is master again", STEP_LIMIT, |view| {
        view.master == Some(LB1) && view.holders == [LB1] && view.up == WEBS && view.answered_last
    })?;
    observer.settle(stage, SETTLE)?;
    report.add("lb1 comes back", detected, observer.losses());
    Ok(())
}
