//! What start, reload and stop do to the table.

use std::time::Duration;

use kr_test_vm::{Farm, SOON};
use kr_testkit::keepalived::Peer;
use kr_testkit::wait::eventually;

with_both!(
    every_attribute_reaches_the_table_and_leaves_it_at_stop,
    reload_changes_only_what_differs,
    thresholds_reach_the_table,
);

/// Address, upper and lower threshold of each server, as `ipvsadm` lists them.
fn thresholds(farm: &Farm) -> Vec<String> {
    let text = farm
        .director
        .run("ipvsadm", &["-Ln", "--thresholds"])
        .unwrap();
    let servers = text.lines().filter(|line| line.contains("10.30.0."));
    let words = |line: &str| {
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        words.join(" ")
    };
    servers.map(words).collect()
}

fn wait_thresholds(farm: &Farm, log: impl Fn() -> String, expected: &[&str]) {
    let found = eventually(SOON, "the thresholds", || thresholds(farm) == expected);
    assert!(found.is_ok(), "{:?}:\n{}", thresholds(farm), log());
}

fn thresholds_reach_the_table(peer: Peer) {
    let farm = Farm::routed(0).unwrap();
    let configuration = "
        virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 {
                uthreshold 100
                lthreshold 50
            }
            real_server 10.30.0.12 80 {
                uthreshold 7
            }
            real_server 10.30.0.13 80 { }
        }
    ";
    let balancer = farm.balance(peer, configuration).unwrap();
    let log = || balancer.log();
    let (first, third) = ("10.30.0.11:80 100 50 0 0", "10.30.0.13:80 0 0 0 0");
    wait_thresholds(&farm, log, &[first, "10.30.0.12:80 7 0 0 0", third]);
    if peer == Peer::Ours {
        // The distribution's keepalived does not hand on a change of these alone.
        let changed = configuration.replace("uthreshold 7", "uthreshold 9");
        balancer.reload(&changed).unwrap();
        wait_thresholds(&farm, log, &[first, "10.30.0.12:80 9 0 0 0", third]);
    }
}

fn every_attribute_reaches_the_table_and_leaves_it_at_stop(peer: Peer) {
    let farm = Farm::routed(0).unwrap();
    let configuration = "
        virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 { }
            real_server 10.30.0.12 8080 {
                weight 3
            }
        }
        virtual_server 10.20.0.100 443 {
            lb_algo wlc
            lb_kind DR
            protocol TCP
            persistence_timeout 50
            persistence_granularity 255.255.255.0
            real_server 10.30.0.11 443 {
                weight 2
            }
        }
        virtual_server 10.20.0.100 53 {
            lb_algo wrr
            lb_kind NAT
            protocol UDP
            real_server 10.30.0.13 5353 {
                weight 7
            }
        }
    ";
    let mut balancer = farm.balance(peer, configuration).unwrap();
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
            "-a -t 10.20.0.100:80 -r 10.30.0.12:8080 -m -w 3",
            "-A -t 10.20.0.100:443 -s wlc -p 50 -M 255.255.255.0",
            "-a -t 10.20.0.100:443 -r 10.30.0.11:443 -g -w 2",
            "-A -u 10.20.0.100:53 -s wrr",
            "-a -u 10.20.0.100:53 -r 10.30.0.13:5353 -m -w 7",
        ],
    )
    .unwrap();
    balancer.stop(SOON).unwrap();
    assert_eq!(farm.table().unwrap(), Vec::<String>::new());
}

fn reload_changes_only_what_differs(peer: Peer) {
    let farm = Farm::routed(3).unwrap();
    let before = "
        virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 { }
            real_server 10.30.0.12 80 { }
        }
        virtual_server 10.20.0.100 81 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 81 { }
        }
    ";
    let after = "
        virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 { }
            real_server 10.30.0.13 80 {
                weight 4
            }
        }
        virtual_server 10.20.0.100 82 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 82 { }
        }
    ";
    let balancer = farm.balance(peer, before).unwrap();
    farm.wait_table(
        &balancer,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
            "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 1",
            "-A -t 10.20.0.100:81 -s rr",
            "-a -t 10.20.0.100:81 -r 10.30.0.11:81 -m -w 1",
        ],
    )
    .unwrap();
    for _ in 0..4 {
        farm.request().unwrap();
    }
    balancer.reload(after).unwrap();
    let reloaded = [
        "-A -t 10.20.0.100:80 -s rr",
        "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
        "-a -t 10.20.0.100:80 -r 10.30.0.13:80 -m -w 4",
        "-A -t 10.20.0.100:82 -s rr",
        "-a -t 10.20.0.100:82 -r 10.30.0.11:82 -m -w 1",
    ];
    farm.wait_table(&balancer, &reloaded).unwrap();
    farm.table_stays(&balancer, Duration::from_secs(3), &reloaded)
        .unwrap();

    // A service that had been removed and added again would have lost its counters.
    let counters = farm.director.run("ipvsadm", &["-Ln", "--stats"]).unwrap();
    let service = counters
        .lines()
        .find(|line| line.starts_with("TCP  10.20.0.100:80 "))
        .unwrap();
    assert_eq!(service.split_whitespace().nth(2), Some("4"), "{counters}");
}

#[test]
fn file_with_errors_is_refused_and_the_old_table_stays() {
    let farm = Farm::routed(0).unwrap();
    let good = "
        virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 80 { }
        }
    ";
    let balancer = farm.balance(Peer::Ours, good).unwrap();
    let table = [
        "-A -t 10.20.0.100:80 -s rr",
        "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
    ];
    farm.wait_table(&balancer, &table).unwrap();
    balancer
        .reload(&good.replace("lb_algo rr", "lb_algo round-about"))
        .unwrap();
    farm.table_stays(&balancer, Duration::from_secs(5), &table)
        .unwrap();
    assert!(balancer.log().contains("round-about"), "{}", balancer.log());
}
