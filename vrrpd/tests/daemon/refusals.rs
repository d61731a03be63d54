//! Virtual addresses that the kernel does not take.

use std::time::Duration;

use kr_model::vrrp::{AddressFlags, Cause, State, VirtualAddress};
use kr_testkit::capture::{Capture, announces};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

use crate::harness::{Lan, PATIENCE, Vrrpd, address, instance, priorities, until_address};

/// An address that the kernel refuses for good: only multicast addresses can be joined.
fn refused(text: &str) -> VirtualAddress {
    VirtualAddress {
        flags: AddressFlags {
            autojoin: true,
            ..AddressFlags::default()
        },
        ..address(text)
    }
}

fn switch_ipv6(host: &Host, on: bool) {
    let value = format!("net.ipv6.conf.eth0.disable_ipv6={}", u8::from(!on));
    let mut command = host.command("sysctl");
    let output = command.args(["-q", "-w", &value]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_router_that_can_set_none_of_its_addresses_says_priority_0_and_is_no_master() {
    let lan = Lan::new();
    let adverts = lan.adverts();
    let vip = [10, 9, 0, 100].into();
    let announcements = Capture::start(&lan.observer, move |frame| announces(frame, vip)).unwrap();
    let mut vi = instance(&[]);
    vi.addresses = vec![refused("10.9.0.100/24")];
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    vrrpd.until(State::Fault);
    assert_eq!(vrrpd.snapshot().cause, Cause::AddressRefused);
    eventually(PATIENCE, "a last advert", || {
        priorities(&adverts.frames()).last() == Some(&0)
    })
    .unwrap();
    throughout(Duration::from_secs(3), "no further advert", || {
        priorities(&adverts.frames()).last() == Some(&0)
    })
    .unwrap();
    assert!(announcements.frames().is_empty());
    let said = vrrpd.log();
    assert!(
        said.contains("cannot set 10.9.0.100/24 on eth0: EINVAL"),
        "{said}"
    );
    assert!(said.contains("correct its line"), "{said}");
    assert!(
        said.contains("(VI_1) the kernel takes none of the virtual addresses"),
        "{said}"
    );
    // A corrected configuration ends the fault at once.
    vrrpd.configure(vec![instance(&["10.9.0.100/24"])], Vec::new());
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.100", true);
}

#[test]
fn one_refused_address_of_two_costs_no_mastership_and_is_not_announced() {
    let lan = Lan::new();
    let vip = [10, 9, 0, 101].into();
    let announcements = Capture::start(&lan.observer, move |frame| announces(frame, vip)).unwrap();
    let mut vi = instance(&["10.9.0.100/24"]);
    vi.addresses.push(refused("10.9.0.101/24"));
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.100", true);
    throughout(Duration::from_secs(3), "master", || {
        vrrpd.transitions().last() == Some(&State::Master)
    })
    .unwrap();
    vrrpd.stayed_master();
    assert!(announcements.frames().is_empty());
    let log = vrrpd.log();
    assert_eq!(
        log.matches("cannot set 10.9.0.101/24").count(),
        1,
        "said once, however often it is tried: {log}"
    );
}

#[test]
fn an_address_refused_at_first_is_set_when_the_kernel_takes_it() {
    let lan = Lan::new();
    switch_ipv6(&lan.router, false);
    let mut vi = instance(&["10.9.0.100/24"]);
    vi.excluded.push(address("2001:db8::100/64"));
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.100", true);
    eventually(PATIENCE, "the refusal in the log", || {
        vrrpd.log().contains("IPv6 may be switched off there")
    })
    .unwrap();
    switch_ipv6(&lan.router, true);
    until_address(&lan.router, "2001:db8::100", true);
    eventually(PATIENCE, "a log line", || {
        vrrpd
            .log()
            .contains("2001:db8::100/64 is set on eth0 now, which the kernel had refused")
    })
    .unwrap();
    vrrpd.stayed_master();
}

/// The first pause is ten seconds.
#[test]
fn a_router_without_addresses_tries_again_by_itself() {
    let lan = Lan::new();
    switch_ipv6(&lan.router, false);
    let mut vi = instance(&[]);
    vi.excluded.push(address("2001:db8::100/64"));
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    vrrpd.until(State::Fault);
    switch_ipv6(&lan.router, true);
    vrrpd.until(State::Master);
    until_address(&lan.router, "2001:db8::100", true);
}
