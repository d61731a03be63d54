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
use super::{Beside, Figure, Row, figure};

/// How often a test is repeated; the median counts.
const RUNS: usize = 5;

/// How many virtual and real servers, and of how many of these the weight changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Real servers.
    pub(super) servers: u32,
    /// Real servers of each virtual server; the last one may have fewer.
    pub(super) pool: u32,
    /// One of so many changes its weight.
    pub(super) every: u32,
}

impl Size {
    /// So many real servers, 100 to each virtual server, of which the first changes its weight.
    pub(super) const fn of(servers: u32) -> Self {
        Self {
            servers,
            pool: 100,
            every: servers,
        }
    }
}

pub(super) const TEN_THOUSAND: Size = Size::of(10_000);

/// A large load balancer: 2,313 virtual servers.
const LARGE: Size = Size {
    servers: 37_000,
    pool: 16,
    every: 370,
};

/// Time for a start and for a reload.
const LIMIT: Duration = Duration::from_secs(90);

/// Time after which a start or a reload is surely over.
const SETTLED: Duration = Duration::from_secs(5);

pub(super) const TEST: Row = Row {
    heading: "-t on 50,000 real servers",
    beside: Beside::Here,
    measure: test,
};

pub(super) const RELOAD_SAME: Row = Row {
    heading: "reload with 10,000 real servers, none changed",
    beside: Beside::Here,
    measure: |peer| reload(peer, TEN_THOUSAND, 1),
};

pub(super) const RELOAD_ONE: Row = Row {
    heading: "reload with 10,000 real servers, one changed",
    beside: Beside::Here,
    measure: |peer| reload(peer, TEN_THOUSAND, 7),
};

pub(super) const RELOAD_LARGE: Row = Row {
    heading: "reload with 37,000 real servers of 2,300 services, 100 changed",
    beside: Beside::Nobody,
    measure: |peer| reload(peer, LARGE, 7),
};

/// The configuration test: time on a processor, and most memory, both as time(1) tells.
fn test(peer: Peer) -> io::Result<Vec<Figure>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("keepalived.conf");
    fs::write(
        &file,
        configuration(Size::of(50_000), 1).map_err(io::Error::other)?,
    )?;
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

/// A reload after which some servers have this weight, or as before 1: time on a processor of all processes, and time
/// until the daemon says that it is over.
fn reload(peer: Peer, size: Size, weight: u32) -> io::Result<Vec<Figure>> {
    let network = Network::new()?;
    let host = network.host("director")?;
    let text = |weight| configuration(size, weight).map_err(io::Error::other);
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
        Peer::Stock => ("Startup complete", "Reload complete"),
    };
    eventually(LIMIT, started, || running.logged(started) > 0)?;
    sleep(SETTLED);
    let (before, start) = (Usage::of(&running), Instant::now());
    running.reload(&text(weight)?)?;
    eventually(LIMIT, over, || running.logged(over) > 0)?;
    let elapsed = start.elapsed();
    sleep(SETTLED);
    let used = Usage::of(&running).since(before);
    Ok(vec![
        figure("CPU of all processes, ms", used.cpu.as_secs_f64() * 1000.0),
        figure("in force after, ms", elapsed.as_secs_f64() * 1000.0),
    ])
}

/// Virtual servers with their real servers, some of which have this weight; checks are rare, so that they hardly
/// count.
pub(super) fn configuration(size: Size, weight: u32) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for number in 0..size.servers {
        let (pool, place) = (number / size.pool, number % size.pool);
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
            if number % size.every == 0 { weight } else { 1 }
        )?;
        if place + 1 == size.pool || number + 1 == size.servers {
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
        let text = configuration(Size::of(50_000), 1).unwrap();
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
