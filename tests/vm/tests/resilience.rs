//! What others do to the table or to our processes.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use kr_test_vm::{Farm, SOON};
use kr_testkit::keepalived::{Keepalived, Parts, Peer, Role};
use kr_testkit::wait::{eventually, throughout};

/// How often each child is killed.
const KILLS: usize = 20;

/// Time in which a new child is at work again in an emulated machine.
const WORKS: Duration = Duration::from_secs(3);

const CONFIGURATION: &str = "
    virtual_server 10.20.0.100 80 {
        delay_loop 1
        lb_algo rr
        lb_kind NAT
        protocol TCP
        real_server 10.30.0.11 80 {
            TCP_CHECK {
                connect_timeout 3
            }
        }
        real_server 10.30.0.12 80 {
            TCP_CHECK {
                connect_timeout 3
            }
        }
    }
";

const TABLE: [&str; 3] = [
    "-A -t 10.20.0.100:80 -s rr",
    "-a -t 10.20.0.100:80 -r 10.30.0.11:80 -m -w 1",
    "-a -t 10.20.0.100:80 -r 10.30.0.12:80 -m -w 1",
];

fn started() -> (Farm, Keepalived) {
    let farm = Farm::routed(2).unwrap();
    let balancer = farm.balance(Peer::Ours, CONFIGURATION).unwrap();
    farm.wait_table(&balancer, &TABLE).unwrap();
    (farm, balancer)
}

#[test]
fn table_cleared_by_somebody_else_is_repaired() {
    let (farm, balancer) = started();
    farm.director.run("ipvsadm", &["-C"]).unwrap();
    let what = "the loss to be noticed";
    eventually(SOON, what, || {
        balancer.logged("was changed by another program") > 0
    })
    .unwrap();
    farm.wait_table(&balancer, &TABLE).unwrap();
}

#[test]
fn weight_changed_by_somebody_else_is_repaired() {
    let (farm, balancer) = started();
    let change = [
        "-e",
        "-t",
        "10.20.0.100:80",
        "-r",
        "10.30.0.11:80",
        "-m",
        "-w",
        "9",
    ];
    farm.director.run("ipvsadm", &change).unwrap();
    farm.wait_table(&balancer, &TABLE).unwrap();
}

/// The virtual address is a virtual router's, with the distribution's keepalived as its backup. A second between
/// adverts would be too little for an emulated machine that has other tests to run.
const ROUTER: &str = "
    vrrp_instance VI_1 {
        state MASTER
        interface eth0
        virtual_router_id 51
        priority 150
        advert_int 3
        authentication {
            auth_type PASS
            auth_pass 1111
        }
        virtual_ipaddress {
            10.20.0.100/24
        }
    }
";

/// Kills one child again and again while a client talks through the virtual address: every request in between is
/// answered, the table is never touched, and the backup sees no change.
fn kills(role: Role) {
    let farm = Farm::routed(2).unwrap();
    let backup = farm.network.host("backup").unwrap();
    farm.network
        .connect(&backup, "eth0", "front", &["10.20.0.2/24"])
        .unwrap();
    let configuration = format!("{ROUTER}{CONFIGURATION}");
    let balancer =
        Keepalived::start(Peer::Ours, &farm.director, Parts::Both, &configuration).unwrap();
    let waiting = ROUTER
        .replace("priority 150", "priority 100")
        .replace("MASTER", "BACKUP");
    let stock = Keepalived::start(Peer::Stock, &backup, Parts::Vrrp, &waiting).unwrap();
    farm.wait_table(&balancer, &TABLE).unwrap();
    eventually(SOON, "an answer through the virtual address", || {
        farm.director.has_address("10.20.0.100") && farm.request().is_ok()
    })
    .unwrap();
    eventually(SOON, "the backup at work", || {
        stock.logged("Entering BACKUP STATE") > 0
    })
    .unwrap();
    let transitions = stock.logged("Entering");
    let untouched = || {
        farm.request().unwrap();
        farm.table().unwrap() == TABLE
    };
    for round in 1..=KILLS {
        let before = balancer.child(role).unwrap();
        kill(before, Signal::SIGKILL).unwrap();
        let what = format!("a new child after kill {round}");
        eventually(SOON, &what, || {
            assert!(untouched(), "kill {round}: {}", balancer.log());
            balancer.child(role).is_some_and(|pid| pid != before)
        })
        .unwrap();
        // A child that is killed before it works is started again later and later: let it work first.
        throughout(WORKS, "requests and table", untouched).unwrap();
    }
    assert_eq!(stock.logged("Entering"), transitions, "{}", stock.log());
}

#[test]
fn killing_vrrpd_twenty_times_fails_no_request() {
    kills(Role::Vrrp);
}

#[test]
fn killing_checkerd_twenty_times_fails_no_request() {
    kills(Role::Checker);
}

#[test]
fn killing_ipvsd_twenty_times_fails_no_request() {
    kills(Role::Ipvs);
}
