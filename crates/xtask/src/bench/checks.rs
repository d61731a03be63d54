//! Health checks: what two thousand a second cost.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::{Host, Network};
use kr_testkit::wait::eventually;

use super::usage::{Usage, anonymous_mib};
use super::{Figure, Row, figure};

/// Real servers, a hundred behind each virtual server.
const VIRTUAL_SERVERS: u8 = 20;

/// Real servers behind each.
const REAL_SERVERS: u8 = 100;

/// Time before the measurement, in which every server has been checked at least once.
const WARM_UP: Duration = Duration::from_secs(10);

/// Length of the measurement.
const MEASURED: Duration = Duration::from_secs(20);

pub(super) const TCP: Row = Row {
    heading: "TCP checks of 2,000 servers every second",
    needs_ipvs: true,
    measure,
};

/// Lets one program check every server for a while and counts what arrives at the servers' side.
fn measure(peer: Peer) -> io::Result<Vec<Figure>> {
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
    let (checks, before, start) = (
        accepted.load(Ordering::Relaxed),
        Usage::of(&running),
        Instant::now(),
    );
    sleep(MEASURED);
    let checks = accepted.load(Ordering::Relaxed) - checks;
    let used = Usage::of(&running).since(before);
    let elapsed = start.elapsed();
    let checks = f64::from(u32::try_from(checks).map_err(io::Error::other)?);
    if checks < 1.0 {
        return Err(io::Error::other(format!(
            "{peer} made no checks:\n{}",
            running.log()
        )));
    }
    let switches = u32::try_from(used.context_switches).map_err(io::Error::other)?;
    Ok(vec![
        figure("checks per second", checks / elapsed.as_secs_f64()),
        figure(
            "CPU seconds per 10,000 checks",
            used.cpu.as_secs_f64() * 10_000.0 / checks,
        ),
        figure("context switches per check", f64::from(switches) / checks),
        figure("anonymous memory, MiB", anonymous_mib(&running)),
    ])
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
