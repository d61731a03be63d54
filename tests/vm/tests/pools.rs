//! Pools that lose too many servers.

use std::time::Duration;

use kr_test_vm::Farm;
use kr_testkit::keepalived::Peer;

with_both!(
    sorry_server_stands_in_for_an_empty_pool,
    pool_below_its_quorum_is_replaced_by_the_sorry_server,
);

fn server(number: u8) -> String {
    format!(
        "real_server 10.30.0.1{number} 80 {{
            TCP_CHECK {{
                connect_timeout 3
                retry 1
                delay_before_retry 1
            }}
        }}\n"
    )
}

fn sorry_server_stands_in_for_an_empty_pool(peer: Peer) {
    let mut farm = Farm::routed(3).unwrap();
    let configuration = format!(
        "virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            sorry_server 10.30.0.13 80
            {}{}
        }}",
        server(1),
        server(2)
    );
    let both = [
        "-A -t 10.20.0.100:80 -s rr",
        "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
        "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 1",
    ];
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(&balancer, &both).unwrap();
    farm.kill(1);
    farm.kill(2);
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.30.0.13:80 -m -w 1",
        ],
    )
    .unwrap();
    assert_eq!(farm.request().unwrap().body, "s3");
    farm.revive(1).unwrap();
    farm.revive(2).unwrap();
    farm.wait_table(&balancer, &both).unwrap();
}

/// `quorum 2` with `hysteresis 1`: lost below 1 server's weight, gained again at 3.
fn pool_below_its_quorum_is_replaced_by_the_sorry_server(peer: Peer) {
    let mut farm = Farm::routed(4).unwrap();
    let configuration = format!(
        "virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            quorum 2
            hysteresis 1
            sorry_server 10.30.0.14 80
            {}{}{}
        }}",
        server(1),
        server(2),
        server(3)
    );
    let service = "-A -t 10.20.0.100:80 -s rr";
    let first = "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1";
    let second = "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 1";
    let third = "-a -t 10.20.0.100:80 -r 10.30.0.13:80 -m -w 1";
    let sorry = "-a -t 10.20.0.100:80 -r 10.30.0.14:80 -m -w 1";
    let balancer = farm.balance(peer, &configuration).unwrap();
    farm.wait_table(&balancer, &[service, first, second, third])
        .unwrap();
    farm.kill(1);
    farm.kill(2);
    // One server is still quorum - hysteresis.
    farm.wait_table(&balancer, &[service, third]).unwrap();
    farm.kill(3);
    farm.wait_table(&balancer, &[service, sorry]).unwrap();
    farm.revive(1).unwrap();
    farm.revive(2).unwrap();
    // Two are not yet quorum + hysteresis.
    farm.table_stays(&balancer, Duration::from_secs(6), &[service, sorry])
        .unwrap();
    farm.revive(3).unwrap();
    farm.wait_table(&balancer, &[service, first, second, third])
        .unwrap();
}
