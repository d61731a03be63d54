//! Requests of a client to the virtual address.

use std::collections::BTreeMap;

use kr_test_vm::Farm;
use kr_testkit::keepalived::Peer;

with_both!(
    nat_spreads_requests_evenly_and_avoids_a_dead_server,
    direct_routing_spreads_requests_by_weight,
    tunnels_carry_requests_of_clients,
    gue_tunnels_carry_requests_of_clients,
);

/// How many of `requests` each server answered.
fn answers(farm: &Farm, requests: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..requests {
        *answers.entry(farm.request().unwrap().body).or_default() += 1;
    }
    answers
}

fn counted(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

const CHECK: &str = "TCP_CHECK {
        connect_timeout 3
        retry 1
        delay_before_retry 1
    }";

fn nat_spreads_requests_evenly_and_avoids_a_dead_server(peer: Peer) {
    let mut farm = Farm::routed(3).unwrap();
    let configuration = format!(
        "virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 {{ {CHECK}\n }}
            real_server 10.30.0.12 80 {{ {CHECK}\n }}
            real_server 10.30.0.13 80 {{ {CHECK}\n }}
        }}"
    );
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
            "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 1",
            "-a -t 10.20.0.100:80 -r 10.30.0.13:80 -m -w 1",
        ],
    )
    .unwrap();
    assert_eq!(
        answers(&farm, 12),
        counted(&[("s1", 4), ("s2", 4), ("s3", 4)])
    );
    farm.kill(2);
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
            "-a -t 10.20.0.100:80 -r 10.30.0.13:80 -m -w 1",
        ],
    )
    .unwrap();
    assert_eq!(answers(&farm, 12), counted(&[("s1", 6), ("s3", 6)]));
}

fn direct_routing_spreads_requests_by_weight(peer: Peer) {
    let farm = Farm::direct(2).unwrap();
    let configuration = format!(
        "virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo wrr
            lb_kind DR
            protocol TCP
            real_server 10.20.0.11 80 {{
                weight 1
                {CHECK}
            }}
            real_server 10.20.0.12 80 {{
                weight 3
                {CHECK}
            }}
        }}"
    );
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s wrr",
            "-a -t 10.20.0.100:80 -r 10.20.0.11:80 -g -w 1",
            "-a -t 10.20.0.100:80 -r 10.20.0.12:80 -g -w 3",
        ],
    )
    .unwrap();
    assert_eq!(answers(&farm, 12), counted(&[("s1", 3), ("s2", 9)]));
}

/// One server is reached by IP in IP, the other one by GRE; both answer directly.
fn tunnels_carry_requests_of_clients(peer: Peer) {
    let farm = Farm::direct(2).unwrap();
    for (server, kind) in farm.servers.iter().zip(["ipip", "gre"]) {
        server
            .ip(&format!(
                "link add name tunnel type {kind} local any remote any\nlink set tunnel up\n"
            ))
            .unwrap();
        // Requests come in by the tunnel and answers leave by the other interface.
        for interface in ["all", "tunnel", "eth0"] {
            let key = format!("net/ipv4/conf/{interface}/rp_filter");
            server.sysctl(&key, "0").unwrap();
        }
    }
    let configuration = "virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind TUN
            protocol TCP
            real_server 10.20.0.11 80 { }
            real_server 10.20.0.12 80 {
                lvs_method TUN type gre
            }
        }";
    let balancer = farm.balance(peer, configuration).unwrap();
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.20.0.11:80 -i -w 1 --tun-type ipip",
            "-a -t 10.20.0.100:80 -r 10.20.0.12:80 -i -w 1 --tun-type gre --tun-nocsum",
        ],
    )
    .unwrap();
    assert_eq!(answers(&farm, 12), counted(&[("s1", 6), ("s2", 6)]));
}

/// Requests in IP in GUE (UDP) to a port of each server, without and with checksums; both answer directly.
fn gue_tunnels_carry_requests_of_clients(peer: Peer) {
    let farm = Farm::direct(2).unwrap();
    for server in &farm.servers {
        server
            .ip("link add name tunnel type ipip local any remote any\nlink set tunnel up\n")
            .unwrap();
        server
            .run("ip", &["fou", "add", "port", "6080", "gue"])
            .unwrap();
        for interface in ["all", "tunnel", "eth0"] {
            let key = format!("net/ipv4/conf/{interface}/rp_filter");
            server.sysctl(&key, "0").unwrap();
        }
    }
    let configuration = "virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind TUN type gue port 6080
            protocol TCP
            real_server 10.20.0.11 80 { }
            real_server 10.20.0.12 80 {
                lvs_method TUN type gue port 6080 csum
            }
        }";
    let balancer = farm.balance(peer, configuration).unwrap();
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.20.0.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
            "-a -t 10.20.0.100:80 -r 10.20.0.12:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
        ],
    )
    .unwrap();
    assert_eq!(answers(&farm, 12), counted(&[("s1", 6), ("s2", 6)]));
}
