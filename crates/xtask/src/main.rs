//! `cargo xtask COMMAND`: everything a developer or an operator runs from a clone.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a command-line tool that starts programs and measures time"
)]

mod bench;
mod demo;
mod lab;
mod manual;
mod packages;
mod test;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use argh::FromArgs;

/// Work on keepalived-rs: `cargo xtask demo` shows it, `cargo xtask test` proves it.
#[derive(FromArgs)]
struct Arguments {
    #[argh(subcommand)]
    task: Task,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Task {
    Demo(demo::DemoTask),
    Test(TestTask),
    Bench(bench::BenchTask),
    Man(ManTask),
    Lab(LabTask),
    FuzzReplay(FuzzReplayTask),
    WebServer(demo::web::WebServerTask),
    WebClient(demo::web::WebClientTask),
}

/// run every check: format, lints, tests, namespaces, the lab
#[derive(FromArgs)]
#[argh(subcommand, name = "test")]
struct TestTask {
    /// only the steps whose heading contains this
    #[argh(option)]
    only: Option<String>,
}

/// write what is made from tables: the manual page, the README's keywords, the security page
#[derive(FromArgs)]
#[argh(subcommand, name = "man")]
struct ManTask {}

/// run each fuzz target once on every file of its committed corpus
#[derive(FromArgs)]
#[argh(subcommand, name = "fuzz-replay")]
struct FuzzReplayTask {}

/// run a command inside the lab: a Debian kernel with IPVS on this machine's files, in emulation
#[derive(FromArgs)]
#[argh(subcommand, name = "lab")]
struct LabTask {
    /// give up after this many seconds (default 600)
    #[argh(option, default = "600")]
    limit: u64,
    /// with `apparmor` or `selinux` switched on
    #[argh(option, default = "lab::Guard::Nothing")]
    guard: lab::Guard,
    /// the command and its arguments
    #[argh(positional, greedy)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().collect();
    if arguments.len() < 2 {
        arguments.push("--help".to_owned());
    }
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let arguments = match Arguments::from_args(&["cargo xtask"], &words) {
        Ok(arguments) => arguments,
        Err(exit) if exit.status.is_ok() => {
            println!("{}", exit.output);
            return ExitCode::SUCCESS;
        }
        Err(exit) => {
            eprintln!("{}", exit.output);
            return ExitCode::from(2);
        }
    };
    run(arguments.task).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

fn run(task: Task) -> io::Result<ExitCode> {
    match task {
        // These three take their words from the caller, and paths in them are the caller's.
        Task::Lab(task) => run_in_lab(&task),
        Task::WebServer(task) => demo::web::serve(&task),
        Task::WebClient(task) => demo::web::ask(&task),
        Task::Demo(task) => enter_clone().and_then(|()| demo::run(&task)),
        Task::Test(task) => enter_clone().map(|()| test::all(task.only.as_deref())),
        Task::Bench(task) => enter_clone().and_then(|()| bench::run(&task)),
        Task::Man(ManTask {}) => enter_clone()
            .and_then(|()| manual::write())
            .map(|()| ExitCode::SUCCESS),
        Task::FuzzReplay(FuzzReplayTask {}) => {
            enter_clone()?;
            let outcome = test::fuzz_replay()?;
            Ok(ExitCode::from(u8::from(outcome.failed > 0)))
        }
    }
}

fn run_in_lab(task: &LabTask) -> io::Result<ExitCode> {
    let script = if task.command.is_empty() {
        "uname -a; head -3 /proc/net/ip_vs".to_owned()
    } else {
        lab::quoted(task.command.iter().map(String::as_str))
    };
    let status = lab::Lab::prepare()?.run(
        task.guard,
        &script,
        Duration::from_secs(task.limit),
        &mut |bytes| {
            let mut out = io::stdout();
            out.write_all(bytes).and_then(|()| out.flush()).ok();
        },
    )?;
    Ok(u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Makes the top of the clone the current directory: the tasks name their files from there.
fn enter_clone() -> io::Result<()> {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
