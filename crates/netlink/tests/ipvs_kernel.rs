//! The IPVS family of a real kernel, compared with what `ipvsadm` sees and makes.
//!
//! Needs a kernel with IPVS, `ipvsadm` and root, so plain `cargo test` leaves it out; it runs inside the lab
//! (`cargo xtask lab PROGRAM --test-threads=1`). Each test empties the table it works on.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code that starts ipvsadm"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kr_model::ipvs::{Destination, Operation, PresentService, Service};
use kr_model::lvs::{
    ConnectionTimeouts, Forwarding, GueChecksum, Persistence, PersistenceEngine, Protocol,
    Scheduler, ServiceFlags, ServiceKey, Tunnel,
};
use kr_model::net::Family;
use kr_model::units::Weight;
use kr_netlink::ipvs::{Ipvs, explain};
use nix::errno::Errno;

/// One test at a time, on an empty table.
fn empty_table() -> (Ipvs, MutexGuard<'static, ()>) {
    static TABLE: Mutex<()> = Mutex::new(());
    let guard = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ipvs = Ipvs::open().unwrap();
    done(&mut ipvs, &[Operation::Flush]);
    (ipvs, guard)
}

/// Carries operations out; each must succeed.
fn done(ipvs: &mut Ipvs, operations: &[Operation]) {
    let results = ipvs.apply(operations).unwrap();
    assert_eq!(results.len(), operations.len());
    for (operation, result) in operations.iter().zip(results) {
        if let Err(errno) = result {
            panic!("{operation}: {}", explain(operation, errno));
        }
    }
}

fn ipvsadm(arguments: &str) -> Vec<String> {
    let output = Command::new("ipvsadm")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "ipvsadm {arguments}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

fn tcp(text: &str) -> ServiceKey {
    ServiceKey::Address {
        address: text.parse().unwrap(),
        protocol: Protocol::Tcp,
    }
}

fn udp(text: &str) -> ServiceKey {
    ServiceKey::Address {
        address: text.parse().unwrap(),
        protocol: Protocol::Udp,
    }
}

fn mark(family: Family, mark: u32) -> ServiceKey {
    ServiceKey::Fwmark {
        family,
        mark: NonZeroU32::new(mark).unwrap(),
    }
}

fn scheduled(scheduler: Scheduler) -> Service {
    Service {
        scheduler,
        flags: ServiceFlags::empty(),
        persistence: None,
    }
}

fn persistent(timeout_seconds: u32, granularity: u8) -> Service {
    Service {
        persistence: Some(Persistence {
            timeout_seconds,
            granularity,
            engine: None,
        }),
        ..scheduled(Scheduler::RoundRobin)
    }
}

fn server(forwarding: Forwarding, weight: u64) -> Destination {
    Destination {
        forwarding,
        weight: Weight::try_from(weight).unwrap(),
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A table as a reading of all of it must give it back.
type Whole = Vec<(ServiceKey, Service, Vec<(SocketAddr, Destination)>)>;

fn additions(table: &Whole) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (key, service, destinations) in table {
        operations.push(Operation::AddService {
            key: *key,
            service: *service,
        });
        for (address, destination) in destinations {
            operations.push(Operation::AddDestination {
                key: *key,
                address: *address,
                destination: *destination,
            });
        }
    }
    operations
}

fn expected_reading(table: &Whole) -> BTreeMap<ServiceKey, PresentService> {
    let entry = |(key, service, destinations): &(ServiceKey, Service, Vec<_>)| {
        let destinations = destinations.iter().map(|(at, held)| (*at, Some(*held)));
        let held = PresentService {
            service: Some(*service),
            destinations: destinations.collect(),
        };
        (*key, held)
    };
    table.iter().map(entry).collect()
}

fn keys(table: &Whole) -> Vec<ServiceKey> {
    table.iter().map(|(key, ..)| *key).collect()
}

#[test]
fn every_scheduler_is_installed_and_read_back() {
    let (mut ipvs, _guard) = empty_table();
    let table: Whole = Scheduler::ALL
        .iter()
        .zip(1_u16..)
        .map(|((scheduler, _), port)| {
            (
                tcp(&format!("192.0.2.1:{port}")),
                scheduled(*scheduler),
                vec![],
            )
        })
        .collect();
    // `twos` came with Linux 6.1: a kernel may lack it, and must say so.
    let results = ipvs.apply(&additions(&table)).unwrap();
    let mut installed = Vec::new();
    for ((entry, operation), result) in table.into_iter().zip(additions_refused()).zip(results) {
        match result {
            Ok(()) => installed.push(entry),
            Err(errno) => {
                assert_eq!(
                    (entry.1.scheduler, errno),
                    (Scheduler::TwoChoices, Errno::ENOENT)
                );
                assert!(explain(&operation, errno).contains("ip_vs_twos"));
            }
        }
    }
    assert_eq!(
        ipvs.read(&keys(&installed)).unwrap(),
        expected_reading(&installed)
    );
    let lines = ipvsadm("-Sn");
    assert_eq!(lines.len(), installed.len());
    for (key, service, _) in installed {
        let ServiceKey::Address { address, .. } = key else {
            panic!()
        };
        let line = format!("-A -t {address} -s {}", service.scheduler.name());
        assert!(
            lines.iter().any(|said| said.starts_with(&line)),
            "{line} in {lines:?}"
        );
    }
}

/// What is asked for when a scheduler is refused.
fn additions_refused() -> impl Iterator<Item = Operation> {
    let key = tcp("192.0.2.1:1");
    Scheduler::ALL
        .iter()
        .map(move |(scheduler, _)| Operation::AddService {
            key,
            service: scheduled(*scheduler),
        })
}

#[test]
fn every_kind_of_service_and_destination_is_what_ipvsadm_sees() {
    let (mut ipvs, _guard) = empty_table();
    let limited = Destination {
        upper_threshold: 100,
        lower_threshold: 50,
        ..server(Forwarding::Nat, 2_147_483_647)
    };
    let flagged = Service {
        flags: ServiceFlags::SCHED_1 | ServiceFlags::SCHED_2,
        ..scheduled(Scheduler::SourceHash)
    };
    let single = Service {
        flags: ServiceFlags::ONE_PACKET,
        ..scheduled(Scheduler::RoundRobin)
    };
    let table: Whole = vec![
        (
            tcp("192.0.2.1:80"),
            scheduled(Scheduler::WeightedRoundRobin),
            vec![
                (at("10.0.0.1:8080"), server(Forwarding::Nat, 1)),
                (at("10.0.0.2:80"), server(Forwarding::Direct, 0)),
                (
                    at("10.0.0.3:80"),
                    server(Forwarding::Tunnel(Tunnel::Ipip), 7),
                ),
                (at("10.0.0.4:8081"), limited),
            ],
        ),
        (tcp("192.0.2.1:443"), persistent(300, 24), vec![]),
        (udp("192.0.2.1:53"), single, vec![]),
        (udp("192.0.2.1:514"), flagged, vec![]),
        (
            mark(Family::Inet, 7),
            persistent(60, 32),
            vec![(at("10.0.0.9:0"), server(Forwarding::Direct, 3))],
        ),
        (
            tcp("[2001:db8::1]:80"),
            persistent(90, 64),
            vec![
                (at("[2001:db8::a]:80"), server(Forwarding::Nat, 5)),
                (
                    at("10.0.0.5:80"),
                    server(Forwarding::Tunnel(Tunnel::Ipip), 6),
                ),
            ],
        ),
        (
            mark(Family::Inet6, 8),
            scheduled(Scheduler::LeastConnection),
            vec![],
        ),
    ];
    done(&mut ipvs, &additions(&table));
    assert_eq!(ipvs.read(&keys(&table)).unwrap(), expected_reading(&table));
    // `ipvsadm -S` leaves thresholds out.
    let mut said = ipvsadm("-Sn");
    let mut expected = [
        "-A -t 192.0.2.1:80 -s wrr",
        "-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 1",
        "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 0",
        "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -i -w 7 --tun-type ipip",
        "-a -t 192.0.2.1:80 -r 10.0.0.4:8081 -m -w 2147483647",
        "-A -t 192.0.2.1:443 -s rr -p 300 -M 255.255.255.0",
        "-A -u 192.0.2.1:53 -s rr -o",
        "-A -u 192.0.2.1:514 -s sh -b sh-fallback,sh-port",
        "-A -f 7 -s rr -p 60",
        "-a -f 7 -r 10.0.0.9:0 -g -w 3",
        "-A -t [2001:db8::1]:80 -s rr -p 90 -M 64",
        "-a -t [2001:db8::1]:80 -r [2001:db8::a]:80 -m -w 5",
        "-a -t [2001:db8::1]:80 -r 10.0.0.5:80 -i -w 6 --tun-type ipip",
        "-A -f 8 -6 -s lc",
    ]
    .map(str::to_owned);
    said.sort();
    expected.sort();
    assert_eq!(said, expected);
}

#[test]
fn every_tunnel_and_the_sip_engine_are_what_ipvsadm_sees() {
    let (mut ipvs, _guard) = empty_table();
    let gue = |checksum| Tunnel::Gue {
        port: NonZeroU16::new(6080).unwrap(),
        checksum,
    };
    let tunnels = [
        (Tunnel::Ipip, "ipip"),
        (gue(GueChecksum::None), "gue --tun-port 6080 --tun-nocsum"),
        (gue(GueChecksum::Full), "gue --tun-port 6080 --tun-csum"),
        (
            gue(GueChecksum::Remote),
            "gue --tun-port 6080 --tun-remcsum",
        ),
        (Tunnel::Gre { checksum: false }, "gre --tun-nocsum"),
        (Tunnel::Gre { checksum: true }, "gre --tun-csum"),
    ];
    let mut sip = persistent(60, 32);
    sip.persistence.as_mut().unwrap().engine = Some(PersistenceEngine::Sip);
    let (key, phone) = (tcp("192.0.2.1:80"), udp("192.0.2.1:5060"));
    let mut expected = vec![
        "-A -t 192.0.2.1:80 -s rr".to_owned(),
        "-A -u 192.0.2.1:5060 -s rr -p 60 --pe sip".to_owned(),
    ];
    let mut destinations = Vec::new();
    for ((tunnel, said), last) in tunnels.into_iter().zip(1_u8..) {
        let address = SocketAddr::from(([10, 0, 0, last], 80));
        destinations.push((address, server(Forwarding::Tunnel(tunnel), 1)));
        expected.push(format!(
            "-a -t 192.0.2.1:80 -r {address} -i -w 1 --tun-type {said}"
        ));
    }
    let table = vec![
        (key, scheduled(Scheduler::RoundRobin), destinations),
        (phone, sip, vec![]),
    ];
    done(&mut ipvs, &additions(&table));
    assert_eq!(ipvs.read(&keys(&table)).unwrap(), expected_reading(&table));
    let mut said = ipvsadm("-Sn");
    said.sort();
    expected.sort();
    assert_eq!(said, expected);
    // Both can be changed in place.
    let plain = persistent(60, 32);
    let ipip = server(Forwarding::Tunnel(Tunnel::Ipip), 1);
    let address = at("10.0.0.2:80");
    done(
        &mut ipvs,
        &[
            Operation::SetService {
                key: phone,
                service: plain,
            },
            Operation::SetDestination {
                key,
                address,
                destination: ipip,
            },
        ],
    );
    let reading = ipvs.read(&[key, phone]).unwrap();
    assert_eq!(reading[&phone].service, Some(plain));
    assert_eq!(reading[&key].destinations[&address], Some(ipip));
}

#[test]
fn timeouts_are_what_ipvsadm_sees() {
    let (mut ipvs, _guard) = empty_table();
    let before = ipvs.timeouts().unwrap();
    let ours = ConnectionTimeouts {
        tcp: 1_234,
        tcp_fin: 56,
        udp: 78,
    };
    done(&mut ipvs, &[Operation::SetTimeouts(ours)]);
    assert_eq!(
        ipvsadm("-L --timeout"),
        ["Timeout (tcp tcpfin udp): 1234 56 78"]
    );
    assert_eq!(ipvs.timeouts().unwrap(), ours);
    done(&mut ipvs, &[Operation::SetTimeouts(before)]);
    assert_eq!(ipvs.timeouts().unwrap(), before);
}

#[test]
fn what_ipvsadm_made_is_read_and_changed_in_place() {
    let (mut ipvs, _guard) = empty_table();
    ipvsadm("-A -t 192.0.2.1:80 -s rr");
    ipvsadm("-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 4");
    ipvsadm("-A -u 192.0.2.1:5060 -s rr -p 30 -M 255.0.255.0");
    let (key, address) = (tcp("192.0.2.1:80"), at("10.0.0.1:80"));
    let phone = udp("192.0.2.1:5060");
    let reading = ipvs.read(&[key, phone, tcp("192.0.2.1:9")]).unwrap();
    assert_eq!(reading.len(), 2);
    let plain = scheduled(Scheduler::RoundRobin);
    assert_eq!(reading[&key].service, Some(plain));
    let held = reading[&key].destinations[&address];
    assert_eq!(held, Some(server(Forwarding::Nat, 4)));
    // No configuration can ask for a mask with a hole, so it differs from every wish.
    assert_eq!(reading[&phone].service, None);

    // Additions meet what is there; it becomes what was asked for.
    done(
        &mut ipvs,
        &[
            Operation::AddService {
                key,
                service: persistent(120, 32),
            },
            Operation::AddDestination {
                key,
                address,
                destination: server(Forwarding::Direct, 9),
            },
            Operation::SetDestination {
                key,
                address: at("10.0.0.2:80"),
                destination: server(Forwarding::Direct, 1),
            },
            Operation::SetService {
                key: tcp("192.0.2.1:81"),
                service: scheduled(Scheduler::Maglev),
            },
            Operation::SetService {
                key: udp("192.0.2.1:5060"),
                service: scheduled(Scheduler::RoundRobin),
            },
        ],
    );
    let mut said = ipvsadm("-Sn");
    said.sort();
    assert_eq!(
        said,
        [
            "-A -t 192.0.2.1:80 -s rr -p 120",
            "-A -t 192.0.2.1:81 -s mh",
            "-A -u 192.0.2.1:5060 -s rr",
            "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 9",
            "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 1",
        ]
    );
}

#[test]
fn removing_what_is_gone_succeeds_and_refusals_are_told_apart() {
    let (mut ipvs, _guard) = empty_table();
    let (key, address) = (tcp("192.0.2.1:80"), at("10.0.0.1:80"));
    let crossed = Destination {
        lower_threshold: 9,
        upper_threshold: 3,
        ..server(Forwarding::Nat, 1)
    };
    let operations = [
        Operation::RemoveService { key },
        Operation::RemoveDestination { key, address },
        Operation::AddDestination {
            key,
            address,
            destination: server(Forwarding::Nat, 1),
        },
        Operation::AddService {
            key,
            service: scheduled(Scheduler::RoundRobin),
        },
        Operation::RemoveDestination { key, address },
        Operation::AddDestination {
            key,
            address,
            destination: crossed,
        },
        Operation::AddDestination {
            key,
            address,
            destination: server(Forwarding::Nat, 1),
        },
        Operation::RemoveDestination { key, address },
        Operation::RemoveService { key },
    ];
    let results = ipvs.apply(&operations).unwrap();
    assert_eq!(
        results,
        [
            Ok(()),
            Ok(()),
            Err(Errno::ESRCH),
            Ok(()),
            Ok(()),
            Err(Errno::ERANGE),
            Ok(()),
            Ok(()),
            Ok(()),
        ]
    );
    assert_eq!(ipvs.read(&[key]).unwrap(), BTreeMap::new());
}

#[test]
fn thousands_of_entries_are_written_and_read_whole() {
    let (mut ipvs, _guard) = empty_table();
    let servers: Vec<_> = (1..=20_u8)
        .map(|last| {
            (
                SocketAddr::from(([10, 0, 0, last], 80)),
                server(Forwarding::Nat, last.into()),
            )
        })
        .collect();
    let table: Whole = (1..=500_u16)
        .map(|port| {
            (
                tcp(&format!("192.0.2.1:{port}")),
                scheduled(Scheduler::WeightedRoundRobin),
                servers.clone(),
            )
        })
        .collect();
    done(&mut ipvs, &additions(&table));
    assert_eq!(ipvs.read(&keys(&table)).unwrap(), expected_reading(&table));
    done(&mut ipvs, &[Operation::Flush]);
    assert_eq!(ipvs.read(&keys(&table)).unwrap(), BTreeMap::new());
}
