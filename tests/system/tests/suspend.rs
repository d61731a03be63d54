//! `ha_suspend`: checks of a service run only where its address is.

use kr_testkit::wait::eventually;

use crate::rig::{Rig, SOON};

const SERVICES: &str = "
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 55
    priority 255
    virtual_ipaddress {
        10.9.0.9/24
    }
}
virtual_server 10.9.0.9 80 {
    protocol TCP
    lb_algo rr
    lb_kind NAT
    delay_loop 1
    warmup 0
    ha_suspend
    real_server 10.9.0.1 81 {
        TCP_CHECK {
            retry 0
        }
    }
}
virtual_server 10.9.0.77 80 {
    protocol TCP
    lb_algo rr
    lb_kind NAT
    delay_loop 1
    warmup 0
    ha_suspend
    real_server 10.9.0.1 82 {
        TCP_CHECK {
            retry 0
        }
    }
}
";

const SUSPENDED: &str = "checks of [10.9.0.77]:tcp:80 are suspended";
const FAILED: &str = "TCP_CHECK of [10.9.0.1]:tcp:82 in [10.9.0.77]:tcp:80 failed";

#[test]
fn checks_run_where_the_address_is_and_servers_keep_their_state_elsewhere() {
    let rig = Rig::new(SERVICES);
    let daemon = rig.start_and_wait();
    // The instance takes the one address; nobody has the other.
    rig.wait_for(
        &daemon,
        "TCP_CHECK of [10.9.0.1]:tcp:81 in [10.9.0.9]:tcp:80 failed",
    );
    assert!(daemon.log().contains(SUSPENDED), "{}", daemon.log());
    assert!(!daemon.log().contains(FAILED), "{}", daemon.log());

    let address = |verb| {
        let arguments = ["address", verb, "10.9.0.77/32", "dev", "lo"];
        let status = rig.host.command("ip").args(arguments).status();
        assert!(status.unwrap().success());
    };
    address("add");
    rig.wait_for(&daemon, "checks of [10.9.0.77]:tcp:80 run: this host holds");
    rig.wait_for(&daemon, FAILED);
    address("del");
    eventually(SOON, "suspended again", || {
        daemon.log().matches(SUSPENDED).count() == 2
    })
    .unwrap();
}

#[test]
fn a_reload_that_takes_the_keyword_away_lets_the_checks_run() {
    let rig = Rig::new(SERVICES);
    let daemon = rig.start_and_wait();
    rig.wait_for(&daemon, SUSPENDED);
    rig.configure(&SERVICES.replace("ha_suspend", ""));
    daemon.signal(nix::sys::signal::Signal::SIGHUP).unwrap();
    rig.wait_for(&daemon, FAILED);
}
