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

use super::usage::{Usage, anonymous_mib, system_calls_per_socket};
use super::{Figure, Row, figure};

/// Real servers behind each virtual server.
const REAL_SERVERS: u8 = 100;

/// Time before the measurement, in which every server has been checked at least once.
const WARM_UP: Duration = Duration::from_secs(10);

/// Length of the measurement.
const MEASURED: Duration = Duration::from_secs(20);

/// Length of the count of system calls, which slows the program down and so has a time of its own.
const TRACED: Duration = Duration::from_secs(3);

pub(super) const TCP: Row = Row {
    heading: "TCP checks of 2,000 servers every second",
    needs_ipvs: true,
    measure: |peer| measure(peer, 20, 80, "TCP_CHECK {\n"),
};

pub(super) const HTTP: Row = Row {
    heading: "HTTP checks of 1,000 servers every second",
    needs_ipvs: true,
    measure: |peer| {
        measure(
            peer,
            10,
            80,
            "HTTP_GET {\nurl {\npath /\nstatus_code 200\n}\n",
        )
    },
};

pub(super) const TLS: Row = Row {
    heading: "TLS checks of 200 servers every second",
    needs_ipvs: true,
    measure: |peer| {
        measure(
            peer,
            2,
            443,
            "SSL_GET {\nurl {\npath /\nstatus_code 200\n}\n",
        )
    },
};

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
    let _server = nginx(&responder, &directory)?;
    let text = configuration(services, port, check);
    let running = Keepalived::start(peer, &director, Parts::Checkers, &text)?;
    let wanted = u64::from(services) * u64::from(REAL_SERVERS);
    eventually(
        Duration::from_secs(60),
        "every server's first check",
        || connections(&responder).is_ok_and(|taken| taken >= wanted),
    )
    .map_err(|error| io::Error::other(format!("{peer}: {error}\n{}", running.log())))?;
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
        return Err(io::Error::other(format!(
            "{peer} made no checks:\n{}",
            running.log()
        )));
    }
    let memory = anonymous_mib(&running);
    let calls = system_calls_per_socket(&running, TRACED)?;
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
    ])
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
            "virtual_server 10.42.0.{service} {port} {{\n    delay_loop 1\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n"
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
