//! Options that need the kernel, or the time, to show what they do.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use kr_model::units::Priority;
use kr_model::vrrp::{Cause, MULTICAST_V4, Preemption, State, Transport, VrrpGlobal};
use kr_testkit::capture::VrrpSender;
use kr_testkit::wait::eventually;

use crate::adverts::BETTER;
use crate::harness::{Lan, OBSERVER, PATIENCE, Vrrpd, global, instance, ip};

#[test]
fn a_tracked_source_address_has_to_be_on_the_interface() {
    let lan = Lan::new();
    let mut vi = instance(&["10.9.0.100/24"]);
    vi.track_source = true;
    vi.transport = Transport::Multicast {
        group: MULTICAST_V4.into(),
        source: Some(IpAddr::from([10, 9, 0, 7])),
    };
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    vrrpd.until(State::Fault);
    assert_eq!(vrrpd.snapshot().cause, Cause::SourceAddressMissing);
    ip(
        &lan.router,
        &["address", "add", "10.9.0.7/24", "dev", "eth0"],
    );
    vrrpd.until(State::Master);
    ip(
        &lan.router,
        &["address", "del", "10.9.0.7/24", "dev", "eth0"],
    );
    vrrpd.until(State::Fault);
}

#[test]
fn a_master_that_was_held_up_leaves_where_that_is_asked_for() {
    let lan = Lan::new();
    let mut vi = instance(&["10.9.0.100/24"]);
    vi.preemption = Preemption::Never;
    vi.yields_when_late = Some(Priority::BELOW_OWNER);
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    vrrpd.until(State::Master);
    vrrpd.pause(true);
    sleep(Duration::from_millis(4_500));
    vrrpd.pause(false);
    // Nobody took over meanwhile, so it is master again in the end.
    let expected = [State::Backup, State::Master, State::Backup, State::Master];
    eventually(PATIENCE, "two masterships", || {
        vrrpd.transitions() == expected
    })
    .unwrap();
    let said = vrrpd.log();
    assert!(said.contains("so another router is master"), "{said}");
}

#[test]
fn adverts_of_unknown_virtual_routers_are_logged_once() {
    let lan = Lan::new();
    let sender = VrrpSender::open(&lan.observer, OBSERVER, 255).unwrap();
    let mut stranger = BETTER;
    stranger[1] = 77;
    for asked in [false, true] {
        let mut vrrpd = Vrrpd::start(&lan.router);
        let global = VrrpGlobal {
            log_unknown_vrids: asked,
            ..global()
        };
        vrrpd.configure_with(global, vec![instance(&["10.9.0.100/24"])], Vec::new());
        for _ in 0..10 {
            sender.send(&stranger).unwrap();
        }
        // The program does its work as before.
        vrrpd.until(State::Master);
        let said = vrrpd.log();
        let line = "(eth0) 10.9.0.2 advertises virtual router 77, which is not configured here";
        assert_eq!(said.matches(line).count(), usize::from(asked), "{said}");
        vrrpd.kill();
    }
}
