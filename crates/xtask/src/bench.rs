//! `cargo xtask bench`: what two thousand health checks a second cost, beside the distribution's keepalived.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::{Host, Network};
use kr_testkit::process::tree;
use kr_testkit::wait::eventually;

use crate::lab::{self, Lab};
use crate::packages;

/// Real servers, a hundred behind each virtual server.
const VIRTUAL_SERVERS: u8 = 20;

/// Real servers behind each.
const REAL_SERVERS: u8 = 100;

/// Time before the measurement, in which every server has been checked at least once.
const WARM_UP: Duration = Duration::from_secs(10);

/// Length of the measurement.
const MEASURED: Duration = Duration::from_secs(20);

/// Longest time for both measurements inside the lab.
const LAB_LIMIT: Duration = Duration::from_secs(300);

/// Clock ticks per second in `/proc/PID/stat`, the same on every Linux of our kind.
const TICKS: u32 = 100;

/// What one program achieved.
#[derive(Debug, Clone, Copy)]
struct Figures {
    checks: u32,
    checks_per_second: f64,
    cpu_seconds_per_10_000: f64,
    memory_mib: f64,
}

/// Builds with optimisation and measures, here and, for the comparison on a kernel without IPVS, in the lab.
///
/// # Errors
/// When something it needs is missing, or ours makes no checks.
pub(crate) fn run() -> io::Result<ExitCode> {
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
        packages::install_missing()?;
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        if !Command::new(cargo)
            .args(["build", "--release", "--workspace", "--bins"])
            .status()?
            .success()
        {
            return Err(io::Error::other("the programs do not build"));
        }
        let status = Command::new(optimised).arg("bench").status()?;
        return Ok(if status.success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let servers = u32::from(VIRTUAL_SERVERS) * u32::from(REAL_SERVERS);
    println!(
        "{servers} real servers, TCP_CHECK once a second each, measured for {} s{}",
        MEASURED.as_secs(),
        if lab::is_inside() {
            " in the lab (emulated: compare, do not read absolutely)"
        } else {
            ""
        }
    );
    let ours = measure(Peer::Ours)?;
    print_figures(Peer::Ours, ours);
    if lab::is_inside() || lab::kernel_has_ipvs() {
        let stock = measure(Peer::Stock)?;
        print_figures(Peer::Stock, stock);
        print_ratios(ours, stock);
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nkeepalived makes no checks on a kernel without IPVS: comparing inside the lab");
    let script = lab::quoted([program.to_string_lossy().as_ref(), "bench"]);
    let status = Lab::prepare()?.run(&script, LAB_LIMIT, &mut |bytes| {
        let mut out = io::stdout();
        out.write_all(bytes).and_then(|()| out.flush()).ok();
    })?;
    Ok(u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from))
}

fn print_figures(peer: Peer, figures: Figures) {
    println!(
        "{:<14} {:>8.0} checks per second {:>8.3} CPU seconds per 10,000 checks {:>7.1} MiB resident ({} checks)",
        peer.to_string(),
        figures.checks_per_second,
        figures.cpu_seconds_per_10_000,
        figures.memory_mib,
        figures.checks
    );
}

fn print_ratios(ours: Figures, stock: Figures) {
    println!(
        "{:<14} {:>8.2} x                 {:>8.2} x                           {:>7.2} x",
        "ours / theirs",
        ours.checks_per_second / stock.checks_per_second,
        ours.cpu_seconds_per_10_000 / stock.cpu_seconds_per_10_000,
        ours.memory_mib / stock.memory_mib
    );
}

/// Lets one program check every server for a while and counts what arrives at the servers' side.
fn measure(peer: Peer) -> io::Result<Figures> {
    let network = Network::new()?;
    network.segment("lan")?;
    let director = network.host("director")?;
    let responder = network.host("responder")?;
    network.connect(&director, "eth0", "lan", &["10.40.0.1/24"])?;
    network.connect(&responder, "eth0", "lan", &["10.40.0.2/24"])?;
    // One listener stands for all servers: a whole network is local to the responder.
    responder.ip("route add local 10.41.0.0/16 dev lo\n")?;
    director.ip("route add 10.41.0.0/16 via 10.40.0.2\n")?;
    director.sysctl("net/ipv4/ip_local_port_range", "1024 65000")?;
    let accepted = respond(&responder)?;
    let running = Keepalived::start(peer, &director, Parts::Checkers, &configuration())?;
    eventually(Duration::from_secs(60), "the first check", || {
        accepted.load(Ordering::Relaxed) > 0
    })
    .map_err(|error| io::Error::other(format!("{peer}: {error}\n{}", running.log())))?;
    sleep(WARM_UP);
    let (checks, ticks, start) = (
        accepted.load(Ordering::Relaxed),
        cpu_ticks(&running),
        Instant::now(),
    );
    sleep(MEASURED);
    let checks = accepted.load(Ordering::Relaxed) - checks;
    let ticks = cpu_ticks(&running) - ticks;
    let elapsed = start.elapsed();
    let checks = u32::try_from(checks).map_err(io::Error::other)?;
    let ticks = u32::try_from(ticks).map_err(io::Error::other)?;
    let memory = u32::try_from(resident_kib(&running)).map_err(io::Error::other)?;
    if checks == 0 {
        return Err(io::Error::other(format!(
            "{peer} made no checks:\n{}",
            running.log()
        )));
    }
    Ok(Figures {
        checks,
        checks_per_second: f64::from(checks) / elapsed.as_secs_f64(),
        cpu_seconds_per_10_000: f64::from(ticks) / f64::from(TICKS) * 10_000.0 / f64::from(checks),
        memory_mib: f64::from(memory) / 1024.0,
    })
}

/// Accepts every connection and closes it, on a thread that ends with this program.
fn respond(host: &Host) -> io::Result<Arc<AtomicU64>> {
    let listener = host.enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)))??;
    let accepted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&accepted);
    thread::spawn(move || {
        loop {
            if listener.accept().is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    Ok(accepted)
}

fn configuration() -> String {
    let mut text = String::new();
    for service in 1..=VIRTUAL_SERVERS {
        text += &format!(
            "virtual_server 10.42.0.{service} 80 {{\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n"
        );
        for server in 1..=REAL_SERVERS {
            text += &format!(
                "    real_server 10.41.{service}.{server} 80 {{\n        TCP_CHECK {{\n            connect_timeout 5\n        \
                 }}\n    }}\n"
            );
        }
        text += "}\n";
    }
    text
}

/// User and system time of the whole tree, fields 14 and 15 of `/proc/PID/stat`.
fn cpu_ticks(running: &Keepalived) -> u64 {
    let ticks = |text: String| -> Option<u64> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(user + system)
    };
    tree(running.pid())
        .into_iter()
        .filter_map(|pid| ticks(fs::read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .sum()
}

/// Resident memory of the whole tree in KiB.
fn resident_kib(running: &Keepalived) -> u64 {
    let resident = |text: String| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    tree(running.pid())
        .into_iter()
        .filter_map(|pid| resident(fs::read_to_string(format!("/proc/{pid}/status")).ok()?))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_names_two_thousand_different_servers() {
        let text = configuration();
        let servers: std::collections::BTreeSet<&str> = text
            .lines()
            .filter(|line| line.contains("real_server"))
            .collect();
        assert_eq!(servers.len(), 2000);
    }
}
