//! Configurations with many real servers: what it costs to test one and to read it again.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::Network;
use kr_testkit::wait::eventually;

use super::standin::StandIn;
use super::usage::Usage;
use super::{Figure, Row, figure};

/// How often a test is repeated; the median counts.
const RUNS: usize = 5;

/// Real servers of each virtual server.
const POOL: u32 = 100;

/// Time for a start and for a reload.
const LIMIT: Duration = Duration::from_secs(90);

/// Time after which a start or a reload is surely over.
const SETTLED: Duration = Duration::from_secs(5);

pub(super) const TEST: Row = Row {
    heading: "-t on 50,000 real servers",
    needs_ipvs: false,
    measure: test,
};

pub(super) const RELOAD_SAME: Row = Row {
    heading: "reload with 10,000 real servers, none changed",
    needs_ipvs: false,
    measure: |peer| reload(peer, false),
};

pub(super) const RELOAD_ONE: Row = Row {
    heading: "reload with 10,000 real servers, one changed",
    needs_ipvs: false,
    measure: |peer| reload(peer, true),
};

/// The configuration test: time on a processor, and most memory, both as time(1) tells.
fn test(peer: Peer) -> io::Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("keepalived.conf");
    fs::write(&file, configuration(50_000, 1).map_err(io::Error::other)?)?;
    let mut runs = (0..RUNS)
        .map(|_| {
            let output = Command::new("time")
                .args(["-q", "-f", "%U %S %M"])
                .arg(peer.program()?)
                .arg("-t")
                .arg("-f")
                .arg(&file)
                .stdin(Stdio::null())
                .output()?;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() {
                return Err(io::Error::other(format!("{peer} -t: {text}")));
            }
            measured(&text).ok_or_else(|| io::Error::other(format!("time(1) says: {text}")))
        })
        .collect::<io::Result<Vec<_>>>()?;
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (cpu, mib) = runs.get(RUNS / 2).copied().unwrap_or_default();
    Ok(vec![figure("CPU, s", cpu), figure("most memory, MiB", mib)])
}

/// Seconds on a processor and MiB of the last line.
fn measured(text: &str) -> Option<(f64, f64)> {
    let mut words = text.lines().last()?.split_whitespace();
    let mut number = || words.next()?.parse::<f64>().ok();
    let (user, system, kib) = (number()?, number()?, number()?);
    Some((user + system, kib / 1024.0))
}

/// A reload: time on a processor of all processes, and time until the daemon says that it is over.
fn reload(peer: Peer, changed: bool) -> io::Result<Vec<Figure>> {
    let network = Network::new()?;
    let host = network.host("director")?;
    let text = |weight| configuration(10_000, weight).map_err(io::Error::other);
    let stand_in = StandIn::new()?;
    let running = Keepalived::start_adapted(
        tempfile::tempdir()?,
        peer,
        &host,
        Parts::Checkers,
        &text(1)?,
        |command| stand_in.give(peer, command),
    )?;
    let (started, over) = match peer {
        Peer::Ours => ("up: every process runs", "reloaded: configuration"),
        Peer::Stock => ("Startup complete", "Reload finished"),
    };
    eventually(LIMIT, started, || running.logged(started) > 0)?;
    sleep(SETTLED);
    let (before, start) = (Usage::of(&running), Instant::now());
    running.reload(&text(if changed { 7 } else { 1 })?)?;
    eventually(LIMIT, over, || running.logged(over) > 0)?;
    let elapsed = start.elapsed();
    sleep(SETTLED);
    let used = Usage::of(&running).since(before);
    Ok(vec![
        figure("CPU of all processes, ms", used.cpu.as_secs_f64() * 1000.0),
        figure("in force after, ms", elapsed.as_secs_f64() * 1000.0),
    ])
}

/// Virtual servers with 100 real servers each, the first of which has this weight; checks are rare, so that they
/// hardly count.
fn configuration(servers: u32, weight: u32) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for number in 0..servers {
        let (pool, place) = (number / POOL, number % POOL);
        if place == 0 {
            write!(
                text,
                "virtual_server 10.42.{}.{} 80 {{\n    delay_loop 600\n    lb_algo rr\n    lb_kind NAT\n    \
                 protocol TCP\n",
                pool / 250,
                pool % 250 + 1
            )?;
        }
        write!(
            text,
            "    real_server 127.{}.{}.{} 80 {{\n        weight {}\n        TCP_CHECK {{\n            \
             connect_timeout 3\n        }}\n    }}\n",
            number / 62_500 + 1,
            number / 250 % 250,
            number % 250 + 1,
            if number == 0 { weight } else { 1 }
        )?;
        if place + 1 == POOL {
            text.push_str("}\n");
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn servers_differ_and_pools_are_closed() {
        let text = configuration(50_000, 1).unwrap();
        let lines = |word| text.lines().filter(move |line| line.contains(word));
        assert_eq!(lines("real_server").collect::<BTreeSet<_>>().len(), 50_000);
        assert_eq!(lines("virtual_server").collect::<BTreeSet<_>>().len(), 500);
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn the_last_line_of_time_is_read() {
        assert_eq!(measured("a warning\n0.25 0.05 2048\n"), Some((0.3, 2.0)));
        assert_eq!(measured(""), None);
    }
}
