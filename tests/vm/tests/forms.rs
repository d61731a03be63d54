//! Forms of services and of forwarding, as both programs make them of the same file.

use nix::sys::signal::{Signal, kill};

use kr_test_vm::{Farm, SOON};
use kr_testkit::keepalived::{Keepalived, Parts, Peer, Role};
use kr_testkit::wait::eventually;

with_both!(
    group_becomes_one_service_per_member,
    every_form_of_service_reaches_the_table,
    every_scheduler_reaches_the_table,
    every_tunnel_reaches_the_table,
    timeouts_are_set_and_put_back_at_stop,
);

/// Starts with the configuration, expects the table, stops, and expects none.
fn expect(peer: Peer, configuration: &str, table: &[&str]) {
    let farm = Farm::routed(0).unwrap();
    let mut balancer = farm.balance(peer, configuration).unwrap();
    farm.wait_table(&balancer, table).unwrap();
    balancer.stop(SOON).unwrap();
    assert_eq!(farm.table().unwrap(), Vec::<String>::new());
}

fn group_becomes_one_service_per_member(peer: Peer) {
    let configuration = "
        virtual_server_group G {
            10.20.0.100 80
            10.20.0.101-102 81
            10.20.1.0/31 82
            10.20.2.9-10.20.2.10 83
            fwmark 9
        }
        virtual_server_group G6 {
            2001:db8::1-2 80
            fwmark 19 inet6
        }
        virtual_server group G {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 10.30.0.11 8080 { }
        }
        virtual_server group G {
            lb_algo rr
            lb_kind NAT
            protocol UDP
            real_server 10.30.0.12 53 { }
        }
        virtual_server group G6 {
            lb_algo wrr
            lb_kind DR
            protocol TCP
            real_server 2001:db8:9::1 80 {
                weight 4
            }
        }
    ";
    let mut table = vec![
        "-A -f 9 -s rr".to_owned(),
        "-a -f 9 -r 10.30.0.11:8080 -m -w 1".to_owned(),
        "-a -f 9 -r 10.30.0.12:53 -m -w 1".to_owned(),
        "-A -f 19 -6 -s wrr".to_owned(),
        "-a -f 19 -6 -r [2001:db8:9::1]:0 -g -w 4".to_owned(),
    ];
    for address in [
        "10.20.0.100:80",
        "10.20.0.101:81",
        "10.20.0.102:81",
        "10.20.1.0:82",
        "10.20.1.1:82",
        "10.20.2.9:83",
        "10.20.2.10:83",
    ] {
        for (option, server) in [("-t", "10.30.0.11:8080"), ("-u", "10.30.0.12:53")] {
            table.push(format!("-A {option} {address} -s rr"));
            table.push(format!("-a {option} {address} -r {server} -m -w 1"));
        }
    }
    for address in ["[2001:db8::1]:80", "[2001:db8::2]:80"] {
        table.push(format!("-A -t {address} -s wrr"));
        table.push(format!("-a -t {address} -r [2001:db8:9::1]:80 -g -w 4"));
    }
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    expect(peer, configuration, &table);
}

fn every_form_of_service_reaches_the_table(peer: Peer) {
    let configuration = "
        virtual_server 10.20.0.100 53 {
            lb_algo rr
            lb_kind NAT
            protocol UDP
            ops
            real_server 10.30.0.11 5353 { }
        }
        virtual_server 10.20.0.100 132 {
            lb_algo lc
            lb_kind NAT
            protocol SCTP
            real_server 10.30.0.11 133 { }
        }
        virtual_server 10.20.0.100 0 {
            lb_algo sh
            sh-port
            sh-fallback
            lb_kind DR
            protocol TCP
            persistence_timeout 30
            real_server 10.30.0.11 0 { }
        }
        virtual_server 10.20.0.100 5060 {
            lb_algo rr
            lb_kind NAT
            protocol UDP
            persistence_timeout 60
            persistence_engine sip
            real_server 10.30.0.11 5060 { }
        }
        virtual_server fwmark 5 {
            lb_algo mh
            mh-port
            mh-fallback
            lb_kind DR
            real_server 10.30.0.11 0 { }
        }
        virtual_server fwmark 6 {
            ip_family inet6
            lb_algo rr
            flag-1
            flag-3
            lb_kind TUN
            real_server 10.30.0.11 0 { }
            real_server 2001:db8:9::1 0 { }
        }
        virtual_server fwmark 7 {
            lb_algo rr
            lb_kind NAT
            ops
            real_server 10.30.0.11 8080 { }
        }
        virtual_server 2001:db8::1 80 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            real_server 2001:db8:9::1 8080 { }
            real_server 2001:db8:9::2 80 {
                lvs_method DR
            }
            real_server 10.30.0.1 80 {
                lvs_method TUN
            }
        }
        virtual_server 10.20.0.100 90 {
            lb_algo rr
            lb_kind TUN
            protocol TCP
            real_server 2001:db8:9::2 90 { }
            real_server 10.30.0.1 90 { }
        }
    ";
    expect(
        peer,
        configuration,
        &[
            "-A -u 10.20.0.100:53 -s rr -o",
            "-a -u 10.20.0.100:53 -r 10.30.0.11:5353 -m -w 1",
            "-A --sctp-service 10.20.0.100:132 -s lc",
            "-a --sctp-service 10.20.0.100:132 -r 10.30.0.11:133 -m -w 1",
            "-A -t 10.20.0.100:0 -s sh -p 30 -b sh-fallback,sh-port",
            "-a -t 10.20.0.100:0 -r 10.30.0.11:0 -g -w 1",
            "-A -u 10.20.0.100:5060 -s rr -p 60 --pe sip",
            "-a -u 10.20.0.100:5060 -r 10.30.0.11:5060 -m -w 1",
            "-A -f 5 -s mh -b mh-fallback,mh-port",
            "-a -f 5 -r 10.30.0.11:0 -g -w 1",
            "-A -f 6 -6 -s rr -b flag-1,flag-3",
            "-a -f 6 -6 -r 10.30.0.11:0 -i -w 1 --tun-type ipip",
            "-a -f 6 -6 -r [2001:db8:9::1]:0 -i -w 1 --tun-type ipip",
            "-A -f 7 -s rr -o",
            "-a -f 7 -r 10.30.0.11:8080 -m -w 1",
            "-A -t [2001:db8::1]:80 -s rr",
            "-a -t [2001:db8::1]:80 -r [2001:db8:9::1]:8080 -m -w 1",
            "-a -t [2001:db8::1]:80 -r [2001:db8:9::2]:80 -g -w 1",
            "-a -t [2001:db8::1]:80 -r 10.30.0.1:80 -i -w 1 --tun-type ipip",
            "-A -t 10.20.0.100:90 -s rr",
            "-a -t 10.20.0.100:90 -r [2001:db8:9::2]:90 -i -w 1 --tun-type ipip",
            "-a -t 10.20.0.100:90 -r 10.30.0.1:90 -i -w 1 --tun-type ipip",
        ],
    );
}

/// All that Debian's kernel has; each with the extremes of a server's weight.
fn every_scheduler_reaches_the_table(peer: Peer) {
    let schedulers = [
        "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf",
    ];
    let mut configuration = String::new();
    let mut table = Vec::new();
    for (scheduler, port) in schedulers.into_iter().zip(1_000..) {
        configuration += &format!(
            "virtual_server 10.20.0.100 {port} {{
                lb_algo {scheduler}
                lb_kind NAT
                protocol TCP
                real_server 10.30.0.11 {port} {{
                    weight 65535
                }}
                real_server 10.30.0.12 {port} {{
                    weight 0
                }}
            }}\n"
        );
        let service = format!("-t 10.20.0.100:{port}");
        table.push(format!("-A {service} -s {scheduler}"));
        table.push(format!("-a {service} -r 10.30.0.11:{port} -m -w 65535"));
        table.push(format!("-a {service} -r 10.30.0.12:{port} -m -w 0"));
    }
    let table: Vec<&str> = table.iter().map(String::as_str).collect();
    expect(peer, &configuration, &table);
}

fn every_tunnel_reaches_the_table(peer: Peer) {
    let configuration = "
        virtual_server 10.20.0.100 80 {
            lb_algo rr
            lb_kind TUN type gue port 6080 csum
            protocol TCP
            real_server 10.30.0.11 80 { }
            real_server 10.30.0.12 80 {
                lvs_method TUN type gue port 6081 remcsum
            }
            real_server 10.30.0.13 80 {
                lvs_method TUN type gue port 6082
            }
            real_server 10.30.0.14 80 {
                lvs_method TUN type gre csum
            }
            real_server 10.30.0.15 80 {
                lvs_method TUN type gre nocsum
            }
            real_server 10.30.0.16 80 {
                lvs_method TUN
            }
        }
        virtual_server 10.20.0.100 81 {
            lb_algo rr
            lb_kind NAT
            protocol TCP
            alpha
            sorry_server 10.30.0.21 81
            sorry_server_lvs_method TUN type gue port 6083
            real_server 10.30.0.17 81 {
                TCP_CHECK {
                }
            }
        }
    ";
    expect(
        peer,
        configuration,
        &[
            "-A -t 10.20.0.100:80 -s rr",
            "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
            "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-remcsum",
            "-a -t 10.20.0.100:80 -r 10.30.0.13:80 -i -w 1 --tun-type gue --tun-port 6082 --tun-nocsum",
            "-a -t 10.20.0.100:80 -r 10.30.0.14:80 -i -w 1 --tun-type gre --tun-csum",
            "-a -t 10.20.0.100:80 -r 10.30.0.15:80 -i -w 1 --tun-type gre --tun-nocsum",
            "-a -t 10.20.0.100:80 -r 10.30.0.16:80 -i -w 1 --tun-type ipip",
            "-A -t 10.20.0.100:81 -s rr",
            "-a -t 10.20.0.100:81 -r 10.30.0.21:81 -i -w 1 --tun-type gue --tun-port 6083 --tun-nocsum",
        ],
    );
}

const ONE_SERVICE: &str = "
    virtual_server 10.20.0.100 80 {
        lb_algo rr
        lb_kind NAT
        protocol TCP
        real_server 10.30.0.11 80 { }
    }
";

const WITH_TIMEOUTS: &str = "
    global_defs {
        lvs_timeouts tcp 1000 udp 200
    }
";

/// The kernel's connection timeouts in the director: tcp, tcpfin, udp.
fn timeouts(farm: &Farm) -> String {
    let text = farm.director.run("ipvsadm", &["-L", "--timeout"]).unwrap();
    text.rsplit(": ")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn wait_timeouts(farm: &Farm, expected: &str) {
    eventually(SOON, expected, || timeouts(farm) == expected).unwrap();
}

fn timeouts_are_set_and_put_back_at_stop(peer: Peer) {
    let farm = Farm::routed(0).unwrap();
    assert_eq!(timeouts(&farm), "900 120 300");
    let configuration = format!("{WITH_TIMEOUTS}{ONE_SERVICE}");
    let mut balancer = farm.balance(peer, &configuration).unwrap();
    wait_timeouts(&farm, "1000 120 200");
    balancer.reload(ONE_SERVICE).unwrap();
    wait_timeouts(&farm, "900 120 300");
    balancer.reload(&configuration).unwrap();
    wait_timeouts(&farm, "1000 120 200");
    balancer.stop(SOON).unwrap();
    assert_eq!(timeouts(&farm), "900 120 300");
}

/// Kills the IPVS process, and the next ones as they come, so that the parent waits before it starts another.
fn keep_ipvsd_away(balancer: &Keepalived) {
    let mut killed = None;
    for _ in 0..2 {
        eventually(SOON, "an IPVS process to kill", || {
            balancer
                .child(Role::Ipvs)
                .filter(|pid| Some(*pid) != killed)
                .is_some_and(|pid| {
                    killed = Some(pid);
                    kill(pid, Signal::SIGKILL).is_ok()
                })
        })
        .unwrap();
    }
}

#[test]
fn successor_keeps_the_kernels_own_timeouts_and_repairs_ours() {
    let farm = Farm::routed(0).unwrap();
    let configuration = format!("{WITH_TIMEOUTS}{ONE_SERVICE}");
    let mut balancer = farm.balance(Peer::Ours, &configuration).unwrap();
    wait_timeouts(&farm, "1000 120 200");
    keep_ipvsd_away(&balancer);
    let others = ["--set", "5", "6", "7"];
    farm.director.run("ipvsadm", &others).unwrap();
    wait_timeouts(&farm, "1000 120 200");
    balancer.stop(SOON).unwrap();
    assert_eq!(timeouts(&farm), "900 120 300");
}

/// Something to run when no virtual server is left.
const ROUTER: &str = "
    vrrp_instance VI_1 {
        interface eth0
        virtual_router_id 51
        virtual_ipaddress {
            10.20.0.200/24
        }
    }
";

#[test]
fn service_that_a_reload_takes_away_while_ipvsd_is_dead_leaves_the_table() {
    let farm = Farm::routed(0).unwrap();
    let other = ONE_SERVICE.replace("10.20.0.100 80", "10.20.0.100 81");
    let both = format!("{ROUTER}{ONE_SERVICE}{other}");
    let balancer = Keepalived::start(Peer::Ours, &farm.director, Parts::Both, &both).unwrap();
    let stays = [
        "-A -t 10.20.0.100:81 -s rr",
        "-a -t 10.20.0.100:81 -r 10.30.0.11:80 -m -w 1",
    ];
    let goes = [
        "-A -t 10.20.0.100:80 -s rr",
        "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
    ];
    farm.wait_table(&balancer, &[stays, goes].concat()).unwrap();
    keep_ipvsd_away(&balancer);
    balancer.reload(&format!("{ROUTER}{other}")).unwrap();
    farm.wait_table(&balancer, &stays).unwrap();
    // The same with the last service: the process is needed once more, to remove it.
    keep_ipvsd_away(&balancer);
    balancer.reload(ROUTER).unwrap();
    farm.wait_table(&balancer, &[]).unwrap();
    eventually(SOON, "the end of ipvsd", || {
        balancer.child(Role::Ipvs).is_none()
    })
    .unwrap();
}
