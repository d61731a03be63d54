//! Health checks: what thousands a second cost, over TCP, with HTTP and inside TLS.
//!
//! The servers are one nginx that answers for a whole network; what reached it is counted by its kernel.

use std::fs;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::{Host, Network, run};
use kr_testkit::process::Process;
use kr_testkit::wait::eventually;
use tempfile::TempDir;

use super::standin::StandIn;
use super::usage::{Usage, anonymous_mib, system_calls_per_socket};
use super::{Beside, Figure, Row, figure};

/// Real servers behind each virtual server.
const REAL_SERVERS: u8 = 100;

/// Time before the measurement, in which every server has been checked at least once.
const WARM_UP: Duration = Duration::from_secs(10);

/// Length of the measurement.
const MEASURED: Duration = Duration::from_secs(20);

/// Time for every server's first check, which overload makes long.
const FIRST_CHECKS: Duration = Duration::from_secs(180);

/// Time in which every dead server must be found.
const FIND_DEAD: Duration = Duration::from_secs(120);

/// Length of the count of system calls, which slows the program down and so has a time of its own.
const TRACED: Duration = Duration::from_secs(3);

const TCP_CHECK: &str = "TCP_CHECK {\n";
const HTTP_CHECK: &str = "HTTP_GET {\nurl {\npath /\nstatus_code 200\n}\n";
const TLS_CHECK: &str = "SSL_GET {\nurl {\npath /\nstatus_code 200\n}\n";

const fn row(heading: &'static str, measure: fn(Peer) -> io::Result<Vec<Figure>>) -> Row {
    Row {
        heading,
        beside: Beside::Here,
        measure,
    }
}

/// Rows about checks, in the order in which they are measured.
pub(super) const ROWS: [Row; 7] = [
    row("TCP checks of 1,000 servers every second", |peer| {
        measure(peer, 10, 80, TCP_CHECK)
    }),
    row("TCP checks of 5,000 servers every second", |peer| {
        measure(peer, 50, 80, TCP_CHECK)
    }),
    row("HTTP checks of 1,000 servers every second", |peer| {
        measure(peer, 10, 80, HTTP_CHECK)
    }),
    row("HTTP checks of 5,000 servers every second", |peer| {
        measure(peer, 50, 80, HTTP_CHECK)
    }),
    row("TLS checks of 200 servers every second", |peer| {
        measure(peer, 2, 443, TLS_CHECK)
    }),
    row("TLS checks of 800 servers every second", |peer| {
        measure(peer, 8, 443, TLS_CHECK)
    }),
    row(
        "TLS checks of 3,000 servers every second, more than can be made",
        |peer| measure(peer, 30, 443, TLS_CHECK),
    ),
];

/// The servers' side.
const NGINX: &str = "daemon off;
pid {dir}/pid;
error_log {dir}/error;
worker_processes 2;
events { worker_connections 4096; }
http {
    access_log off;
    server {
        listen 80 backlog=4096;
        listen 443 ssl backlog=4096;
        ssl_certificate {dir}/cert.pem;
        ssl_certificate_key {dir}/key.pem;
        location / { return 200 hello; }
    }
}
";

/// Lets one program check every server for a while and counts what arrives at the servers' side.
fn measure(peer: Peer, services: u8, port: u16, check: &str) -> io::Result<Vec<Figure>> {
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
    let directory = tempfile::tempdir()?;
    let mut server = nginx(&responder, &directory)?;
    let text = configuration(services, port, check);
    let stand_in = StandIn::new()?;
    let running = Keepalived::start_adapted(
        tempfile::tempdir()?,
        peer,
        &director,
        Parts::Checkers,
        &text,
        |command| stand_in.give(peer, command),
    )?;
    let wanted = u64::from(services) * u64::from(REAL_SERVERS);
    eventually(FIRST_CHECKS, "every server's first check", || {
        connections(&responder).is_ok_and(|taken| taken >= wanted)
    })
    .map_err(|error| failed(peer, &running, &error))?;
    sleep(WARM_UP);
    let (taken, before, start) = (
        connections(&responder)?,
        Usage::of(&running),
        Instant::now(),
    );
    sleep(MEASURED);
    let checks = count(connections(&responder)?.saturating_sub(taken))?;
    let used = Usage::of(&running).since(before);
    let elapsed = start.elapsed();
    if checks < 1.0 {
        return Err(failed(peer, &running, &"no check was made"));
    }
    let memory = anonymous_mib(&running);
    let calls = system_calls_per_socket(&running, TRACED)?;
    let found = time_to_find_all_dead(peer, &running, &mut server, wanted)?;
    Ok(vec![
        figure("checks per second, asked for", count(wanted)?),
        figure("checks per second, done", checks / elapsed.as_secs_f64()),
        figure(
            "CPU seconds per 10,000 checks",
            used.cpu.as_secs_f64() * 10_000.0 / checks,
        ),
        figure(
            "context switches per check",
            count(used.context_switches)? / checks,
        ),
        figure("system calls per check", calls),
        figure("anonymous memory, MiB", memory),
        figure("all servers dead: found after, s", found),
    ])
}

/// What went wrong, with the end of the program's log.
fn failed(peer: Peer, running: &Keepalived, what: &dyn std::fmt::Display) -> io::Error {
    let log = running.log();
    let mut last: Vec<&str> = log.lines().rev().take(10).collect();
    last.reverse();
    io::Error::other(format!("{peer}: {what}\n{}", last.join("\n")))
}

/// Ends the servers' side and waits until every server is found dead.
fn time_to_find_all_dead(
    peer: Peer,
    running: &Keepalived,
    server: &mut Process,
    servers: u64,
) -> io::Result<f64> {
    let says = match peer {
        Peer::Ours => "it leaves the table",
        Peer::Stock => "Removing service",
    };
    let servers = usize::try_from(servers).map_err(io::Error::other)?;
    // In overload some may be out of the table already.
    let missing = running.logged(says);
    let start = Instant::now();
    server.kill_tree();
    eventually(FIND_DEAD, "every server is found dead", || {
        running.logged(says) >= servers.max(missing)
    })
    .map_err(|error| failed(peer, running, &error))?;
    Ok(start.elapsed().as_secs_f64())
}

fn count(number: u64) -> io::Result<f64> {
    u32::try_from(number)
        .map(f64::from)
        .map_err(io::Error::other)
}

/// Starts the servers.
fn nginx(host: &Host, directory: &TempDir) -> io::Result<Process> {
    let path = |name: &str| directory.path().join(name);
    let place = directory.path().to_string_lossy().into_owned();
    let words = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=bench \
         -keyout {place}/key.pem -out {place}/cert.pem"
    );
    let words: Vec<&str> = words.split(' ').collect();
    run(std::process::Command::new("openssl").args(&words))?;
    fs::write(path("nginx.conf"), NGINX.replace("{dir}", &place))?;
    let mut command = host.command("nginx");
    command
        .arg("-c")
        .arg(path("nginx.conf"))
        .arg("-e")
        .arg(path("error"))
        .arg("-p")
        .arg(directory.path());
    let server = Process::spawn(&mut command, &path("log"))?;
    eventually(Duration::from_secs(30), "nginx", || path("pid").exists())
        .map_err(|error| io::Error::other(format!("{error}: {}", server.log())))?;
    Ok(server)
}

/// Connections that a host has taken, ever (`PassiveOpens` of its TCP).
fn connections(host: &Host) -> io::Result<u64> {
    let text = host.enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))??;
    passive_opens(&text).ok_or_else(|| io::Error::other("no PassiveOpens in /proc/net/snmp"))
}

/// The line of names says in which column the number is.
fn passive_opens(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let column = names
        .split_whitespace()
        .position(|name| name == "PassiveOpens")?;
    values.split_whitespace().nth(column)?.parse().ok()
}

fn configuration(services: u8, port: u16, check: &str) -> String {
    let mut text = String::new();
    for service in 1..=services {
        text += &format!(
            "virtual_server 10.42.0.{service} {port} {{\n    delay_loop 1\n    retry 1\n    delay_before_retry 1\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n"
        );
        for server in 1..=REAL_SERVERS {
            text += &format!(
                "    real_server 10.41.{service}.{server} {port} {{\n        {check}            connect_timeout 5\n        \
                 }}\n    }}\n"
            );
        }
        text += "}\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_names_two_thousand_different_servers() {
        let text = configuration(20, 80, "TCP_CHECK {\n");
        let servers: std::collections::BTreeSet<&str> = text
            .lines()
            .filter(|line| line.contains("real_server"))
            .collect();
        assert_eq!(servers.len(), 2000);
    }

    #[test]
    fn connections_are_read_from_their_column() {
        let text = "Ip: A B\nIp: 1 2\nTcp: RtoAlgorithm ActiveOpens PassiveOpens\nTcp: 1 20 300\n";
        assert_eq!(passive_opens(text), Some(300));
        assert_eq!(passive_opens("Tcp: PassiveOpens\n"), None);
    }
}
