//! Reloads while clients ask and servers are down.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kr_test_vm::{Farm, SOON};
use kr_testkit::keepalived::Peer;
use kr_testkit::wait::eventually;

const SERVICE: &str = "-A -t 10.20.0.100:80 -s rr";

/// The pool with these servers.
fn pool(servers: &[u8], more: &str) -> String {
    let check = "TCP_CHECK {
        connect_timeout 3
        retry 1
        delay_before_retry 1
    }";
    let servers: String = servers
        .iter()
        .map(|last| format!("real_server 10.30.0.{last} 80 {{\n{more}\n{check}\n}}\n"))
        .collect();
    format!(
        "virtual_server 10.20.0.100 80 {{
            delay_loop 1
            lb_algo rr
            lb_kind NAT
            protocol TCP
            {servers}
        }}"
    )
}

/// The table with these servers.
fn table(servers: &[u8]) -> Vec<String> {
    let server = |last: &u8| format!("-a -t 10.20.0.100:80 -r 10.30.0.{last}:80 -m -w 1");
    let servers = servers.iter().map(server);
    std::iter::once(SERVICE.to_owned()).chain(servers).collect()
}

fn wait(farm: &Farm, balancer: &kr_testkit::keepalived::Keepalived, servers: &[u8]) {
    let lines = table(servers);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    farm.wait_table(balancer, &lines).unwrap();
}

/// Operators saw requests fail for a second when a reload took a server away.
#[test]
fn servers_come_and_go_by_reloads_and_no_request_fails() {
    let farm = Farm::routed(3).unwrap();
    let balancer = farm.balance(Peer::Ours, &pool(&[11, 12, 13], "")).unwrap();
    wait(&farm, &balancer, &[11, 12, 13]);
    let ended = AtomicBool::new(false);
    let (mut asked, mut failed) = (0, Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                asked += 1;
                failed.extend(farm.request().err().map(|error| error.to_string()));
            }
        });
        let reloads = || {
            for servers in [&[11, 13][..], &[13], &[11, 12, 13], &[12], &[11, 12, 13]] {
                balancer.reload(&pool(servers, "")).unwrap();
                wait(&farm, &balancer, servers);
                std::thread::sleep(Duration::from_secs(1));
            }
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(reloads));
        ended.store(true, Ordering::Relaxed);
        result.unwrap();
    });
    assert!(asked > 50, "{asked}");
    assert!(failed.is_empty(), "{} of {asked}: {failed:?}", failed.len());
}

/// Servers that were down came into the table for a while, or stayed out for ever, after a reload.
#[test]
fn what_checks_found_outlives_a_reload_that_changes_the_server() {
    let mut farm = Farm::routed(2).unwrap();
    let balancer = farm.balance(Peer::Ours, &pool(&[11, 12], "")).unwrap();
    wait(&farm, &balancer, &[11, 12]);
    farm.kill(2);
    wait(&farm, &balancer, &[11]);
    for (generation, more) in [(2, "uthreshold 9"), (3, "notify_down /bin/true"), (4, "")] {
        balancer.reload(&pool(&[11, 12], more)).unwrap();
        let done = format!("reloaded: configuration {generation} is in force");
        eventually(SOON, &done, || balancer.logged(&done) == 1).unwrap();
        let lines = table(&[11]);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        farm.table_stays(&balancer, Duration::from_secs(3), &lines)
            .unwrap();
    }
    farm.revive(2).unwrap();
    wait(&farm, &balancer, &[11, 12]);
}
