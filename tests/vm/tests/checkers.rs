//! A server dies and recovers under each checker.

use std::fs;
use std::time::Duration;

use kr_test_vm::Farm;
use kr_testkit::frr::{self, Bfdd};
use kr_testkit::keepalived::Peer;
use kr_testkit::servers::http::{Behaviour, HttpServer};
use kr_testkit::servers::smtp::SmtpServer;

with_both!(
    tcp_check_takes_a_dead_server_out_and_back_in,
    http_get_takes_a_failing_server_out_and_back_in,
    ssl_get_takes_a_failing_server_out_and_back_in,
    smtp_check_takes_a_failing_server_out_and_back_in,
    misc_check_takes_a_failing_server_out_and_back_in,
    inhibited_server_stays_with_weight_zero,
);

/// A pool of two servers with this checker and these further lines in each server's block.
fn pool(server: &str) -> String {
    format!(
        "virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 {{
                {server}
            }}
            real_server 10.30.0.12 80 {{
                {server}
            }}
        }}"
    )
}

const BOTH: [&str; 3] = [
    "-A -t 10.20.0.100:80 -s rr",
    "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
    "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 1",
];

const FIRST_ONLY: [&str; 2] = [
    "-A -t 10.20.0.100:80 -s rr",
    "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
];

/// Longer than several rounds of checks.
const SEVERAL_ROUNDS: Duration = Duration::from_secs(5);

fn tcp_check_takes_a_dead_server_out_and_back_in(peer: Peer) {
    let mut farm = Farm::routed(2).unwrap();
    let configuration = pool(
        "TCP_CHECK {
            connect_timeout 3
            retry 1
            delay_before_retry 1
        }",
    );
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
    farm.table_stays(&balancer, SEVERAL_ROUNDS, &BOTH).unwrap();
    farm.kill(2);
    farm.wait_table(&balancer, &FIRST_ONLY).unwrap();
    farm.revive(2).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
}

fn http_get_takes_a_failing_server_out_and_back_in(peer: Peer) {
    let farm = Farm::routed(2).unwrap();
    let configuration = pool(
        "HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_timeout 3
            retry 1
            delay_before_retry 1
        }",
    );
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
    farm.table_stays(&balancer, SEVERAL_ROUNDS, &BOTH).unwrap();
    farm.set_status(2, 503);
    farm.wait_table(&balancer, &FIRST_ONLY).unwrap();
    farm.set_status(2, 200);
    farm.wait_table(&balancer, &BOTH).unwrap();
}

/// A pool of two servers whose checker talks to one server each on the director's loopback.
fn pool_checked_on_loopback(checks: [String; 2]) -> String {
    let [first, second] = checks;
    format!(
        "virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 {{
                {first}
            }}
            real_server 10.30.0.12 80 {{
                {second}
            }}
        }}"
    )
}

fn ssl_get_takes_a_failing_server_out_and_back_in(peer: Peer) {
    let farm = Farm::routed(0).unwrap();
    let server = || {
        let start = || HttpServer::start_tls(Behaviour::ok("fine"), &["localhost"]);
        farm.director.enter(start).unwrap().unwrap()
    };
    let (first, second) = (server(), server());
    let check = |server: &HttpServer| {
        format!(
            "SSL_GET {{
                url {{
                    path /
                    status_code 200
                }}
                connect_ip 127.0.0.1
                connect_port {}
                connect_timeout 5
                retry 1
                delay_before_retry 1
            }}",
            server.address().port()
        )
    };
    let configuration = pool_checked_on_loopback([check(&first), check(&second)]);
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
    farm.table_stays(&balancer, SEVERAL_ROUNDS, &BOTH).unwrap();
    second.set(Behaviour::status(500));
    farm.wait_table(&balancer, &FIRST_ONLY).unwrap();
    second.set(Behaviour::ok("fine again"));
    farm.wait_table(&balancer, &BOTH).unwrap();
}

fn smtp_check_takes_a_failing_server_out_and_back_in(peer: Peer) {
    smtp_check(peer, "", "");
}

#[test]
fn smtp_check_with_a_host_block_takes_a_failing_server_out_and_back_in() {
    // The distribution's 2.2.7 runs two checkers for this form and times out on the second.
    smtp_check(Peer::Ours, "host {", "}");
}

/// `open` and `close` stand around the address.
fn smtp_check(peer: Peer, open: &str, close: &str) {
    let farm = Farm::routed(0).unwrap();
    let server = || {
        farm.director
            .enter(|| SmtpServer::start(Vec::new()))
            .unwrap()
            .unwrap()
    };
    let (first, second) = (server(), server());
    let check = |server: &SmtpServer| {
        format!(
            "SMTP_CHECK {{
                {open}
                connect_ip 127.0.0.1
                connect_port {}
                {close}
                connect_timeout 5
                retry 1
                delay_before_retry 1
                helo_name director
            }}",
            server.address().port()
        )
    };
    let configuration = pool_checked_on_loopback([check(&first), check(&second)]);
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
    farm.table_stays(&balancer, SEVERAL_ROUNDS, &BOTH).unwrap();
    second.set(vec![("HELO", "554 no service")]);
    farm.wait_table(&balancer, &FIRST_ONLY).unwrap();
    second.set(Vec::new());
    farm.wait_table(&balancer, &BOTH).unwrap();
}

fn misc_check_takes_a_failing_server_out_and_back_in(peer: Peer) {
    let directory = tempfile::tempdir().unwrap();
    let healthy = directory.path().join("healthy");
    fs::write(&healthy, "").unwrap();
    // The script user may be an unprivileged one.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), mode).unwrap();
    let farm = Farm::routed(0).unwrap();
    let check = |command: &str| {
        format!(
            "real_server 10.30.0.{command}\"
                    misc_timeout 5
                }}
            }}"
        )
    };
    let configuration = format!(
        "global_defs {{
            script_user root
        }}
        virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            {}
            {}
        }}",
        check("11 80 { MISC_CHECK {\n misc_path \"/usr/bin/true"),
        check(&format!(
            "12 80 {{ MISC_CHECK {{\n misc_path \"/usr/bin/test -e {}",
            healthy.display()
        )),
    );
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
    fs::remove_file(&healthy).unwrap();
    farm.wait_table(&balancer, &FIRST_ONLY).unwrap();
    fs::write(&healthy, "").unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
}

fn inhibited_server_stays_with_weight_zero(peer: Peer) {
    let mut farm = Farm::routed(2).unwrap();
    let configuration = pool(
        "inhibit_on_failure
        TCP_CHECK {
            connect_timeout 3
            retry 1
            delay_before_retry 1
        }",
    );
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
    farm.kill(2);
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
            "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 0",
        ],
    )
    .unwrap();
    farm.revive(2).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
}

/// The other end of the director's session with the second server.
const NEIGHBOUR: frr::Peer = frr::Peer {
    address: "10.30.0.1",
    local: "10.30.0.12",
    multihop: false,
};

#[test]
fn bfd_check_takes_a_silent_server_out_and_back_in() {
    let farm = Farm::routed(2).unwrap();
    let mut bfdd = Bfdd::start(&farm.servers[1], &[NEIGHBOUR]).unwrap();
    let configuration = "
        bfd_instance second {
            neighbor_ip 10.30.0.12
            source_ip 10.30.0.1
            min_rx 500
            min_tx 500
            multiplier 5
        }
        virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 { }
            real_server 10.30.0.12 80 {
                BFD_CHECK {
                    name second
                }
            }
        }";
    let balancer = farm.balance(Peer::Ours, configuration).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
    farm.table_stays(&balancer, SEVERAL_ROUNDS, &BOTH).unwrap();
    bfdd.kill();
    farm.wait_table(&balancer, &FIRST_ONLY).unwrap();
    let _bfdd = Bfdd::start(&farm.servers[1], &[NEIGHBOUR]).unwrap();
    farm.wait_table(&balancer, &BOTH).unwrap();
}
