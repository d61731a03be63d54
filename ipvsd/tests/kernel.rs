//! The built program on a kernel with IPVS: what `ipvsadm` sees after each message.
//!
//! Needs a kernel with IPVS, `ipvsadm` and root, so plain `cargo test` leaves it out; it runs inside the lab
//! (`cargo xtask lab PROGRAM`). It empties the table of the network namespace it runs in.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code that starts ipvsadm"
)]

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use kr_ipc::edge::parentd_ipvsd::{FromIpvsd, ToIpvsd};
use kr_model::lvs::{Forwarding, PoolSnapshot, SorryServer};
use kr_model::units::Weight;

use support::{Ipvsd, PATIENCE_MS, real_server, verdict, virtual_server};

fn ipvsadm(arguments: &str) -> Vec<String> {
    let output = Command::new("ipvsadm")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "ipvsadm {arguments}: {output:?}");
    let mut lines: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.sort();
    lines
}

/// Waits until the table is the given one.
fn expect(table: &[&str]) {
    for _ in 0..PATIENCE_MS / 50 {
        if ipvsadm("-Sn") == table {
            return;
        }
        sleep(Duration::from_millis(50));
    }
    assert_eq!(ipvsadm("-Sn"), table);
}

/// The state of the pool after everything that was said, put together as the parent does.
fn last_snapshot(said: &[FromIpvsd]) -> Option<PoolSnapshot> {
    let mut verdicts = BTreeMap::new();
    let mut last = None;
    for message in said {
        if let FromIpvsd::Snapshot(pool) = message {
            verdicts.extend(
                pool.verdicts
                    .iter()
                    .map(|verdict| (verdict.checker, *verdict)),
            );
            last = Some((**pool).clone());
        }
    }
    last.map(|pool| PoolSnapshot {
        verdicts: verdicts.into_values().collect(),
        ..pool
    })
}

const SERVICE: &str = "-A -t 192.0.2.1:80 -s rr";
const FIRST: &str = "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1";
const SECOND: &str = "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1";
const SORRY: &str = "-a -t 192.0.2.1:80 -r 10.0.0.99:80 -m -w 1";

/// One scenario after the other, for they share the table.
#[test]
fn the_table_follows_from_start_to_stop() {
    ipvsadm("-C");
    ipvsadm("-A -u 192.0.2.9:53 -s wrr");
    let foreign = "-A -u 192.0.2.9:53 -s wrr";

    let mut server = virtual_server();
    server.sorry_server = Some(SorryServer {
        address: ([10, 0, 0, 99], 80).into(),
        forwarding: Forwarding::Nat,
        inhibit: false,
    });
    let servers = [real_server(1), real_server(2)];
    let mut ipvsd = Ipvsd::start();
    ipvsd.configure(1, &[server.clone()], &servers, &[]);
    let said = ipvsd.until_ready(1);
    assert!(
        said.contains(&FromIpvsd::Kernel { usable: true }),
        "{said:?}"
    );
    assert_eq!(ipvsadm("-Sn"), [SERVICE, foreign, FIRST, SECOND]);

    // Servers fail one by one; the sorry server takes over.
    let mut checkerd = ipvsd.meet_checkerd();
    checkerd.send(&verdict(1, 1, false)).unwrap();
    expect(&[SERVICE, foreign, SECOND]);
    checkerd.send(&verdict(1, 2, false)).unwrap();
    expect(&[SERVICE, foreign, SORRY]);
    let is_quorum_lost =
        |message: &FromIpvsd| matches!(message, FromIpvsd::QuorumChanged { up: false, .. });
    let mut said = ipvsd.until(is_quorum_lost);
    said.extend(ipvsd.until(
        |message| matches!(message, FromIpvsd::Snapshot(pool) if pool.quorum == Some(false)),
    ));
    let resume = last_snapshot(&said).unwrap();

    // A crash changes nothing, and nothing is said again.
    ipvsd.kill();
    let mut ipvsd = Ipvsd::start();
    ipvsd.configure(1, &[server.clone()], &servers, &[resume]);
    let said = ipvsd.until_ready(1);
    assert!(!said.iter().any(is_quorum_lost), "{said:?}");
    assert_eq!(ipvsadm("-Sn"), [SERVICE, foreign, SORRY]);
    let mut checkerd = ipvsd.meet_checkerd();
    for checker in [1, 2] {
        checkerd.send(&verdict(1, checker, true)).unwrap();
    }
    expect(&[SERVICE, foreign, FIRST, SECOND]);

    // Others interfere.
    ipvsadm("-C");
    expect(&[SERVICE, FIRST, SECOND]);
    ipvsadm("-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 50");
    expect(&[SERVICE, FIRST, SECOND]);
    ipvsadm("-a -t 192.0.2.1:80 -r 10.0.0.66:80 -m -w 50");
    expect(&[SERVICE, FIRST, SECOND]);

    // A reload changes a weight and takes a server away.
    let mut heavier = real_server(1);
    heavier.weight = Weight::try_from(3).unwrap();
    ipvsd.configure(2, &[server], &[heavier], &[]);
    ipvsd.until_ready(2);
    assert_eq!(
        ipvsadm("-Sn"),
        [SERVICE, "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 3"]
    );

    ipvsadm("-A -u 192.0.2.9:53 -s wrr");
    ipvsd.parent.send(&ToIpvsd::Stop).unwrap();
    let (_, status) = ipvsd.end();
    assert!(status.success(), "{status}");
    assert_eq!(ipvsadm("-Sn"), [foreign]);
}
