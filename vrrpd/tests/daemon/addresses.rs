//! The kernel's table is kept as it shall be.

use std::net::IpAddr;
use std::time::Duration;

use kr_model::units::IfName;
use kr_model::vrrp::{AddressFlags, State};
use kr_netlink::route::{Change, Requests};
use kr_testkit::netns::Host;
use kr_testkit::wait::{eventually, throughout};

use crate::harness::{Lan, PATIENCE, Vrrpd, address, instance, ip, priorities, until_address};

/// What `ip address show` says of an address of `eth0`.
fn shown(host: &Host, local: &str) -> String {
    let text = ip(host, &["-o", "address", "show", "dev", "eth0"]);
    let line = text.lines().find(|line| line.contains(local));
    line.unwrap_or(&text).to_owned()
}

/// The addresses of a host that carry our mark, in order.
fn marked(host: &Host) -> Vec<String> {
    let addresses = host
        .enter(|| Requests::open().unwrap().addresses().unwrap())
        .unwrap();
    let marked = addresses.iter().filter(|address| address.is_ours());
    let mut marked: Vec<_> = marked
        .map(|address| address.place.local.to_string())
        .collect();
    marked.sort();
    marked
}

#[test]
fn an_address_removed_by_somebody_else_is_put_back() {
    let lan = Lan::new();
    let adverts = lan.adverts();
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24", "10.9.0.101/24"]));
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.101", true);
    for _ in 0..3 {
        ip(
            &lan.router,
            &["address", "del", "10.9.0.100/24", "dev", "eth0"],
        );
        until_address(&lan.router, "10.9.0.100", true);
    }
    // `ip` flushes until nothing is left, and says so when the addresses keep coming back: its exit code
    // tells which of the two was faster.
    let flush = "address flush dev eth0 label eth0 to 10.9.0.100/31";
    let mut command = lan.router.command("ip");
    command.args(flush.split(' ')).output().unwrap();
    until_address(&lan.router, "10.9.0.100", true);
    until_address(&lan.router, "10.9.0.101", true);
    vrrpd.stayed_master();
    assert!(!priorities(&adverts.frames()).contains(&0));
    let said = vrrpd.log();
    assert!(
        said.contains("(VI_1) 10.9.0.100/24 was removed from eth0 by another program"),
        "{said}"
    );
}

#[test]
fn attributes_of_a_line_reach_the_kernel() {
    let lan = Lan::new();
    let mut vi = instance(&["10.9.8.1/24", "10.9.0.101/32", "10.9.7.1/32"]);
    vi.addresses[0].scope = 253;
    vi.addresses[0].broadcast = Some([10, 9, 8, 255].into());
    vi.addresses[0].label = Some(IfName::try_from("eth0:vip".to_owned()).unwrap());
    vi.addresses[1].flags = AddressFlags {
        no_prefix_route: true,
        ..AddressFlags::default()
    };
    vi.addresses[2].peer = Some(IpAddr::from([10, 9, 7, 2]));
    vi.excluded.push(address("2001:db8::100/64"));
    vi.excluded[0].preferred_lifetime = Some(Duration::ZERO);
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    vrrpd.until(State::Master);
    until_address(&lan.router, "2001:db8::100", true);
    let first = shown(&lan.router, "10.9.8.1/24");
    assert!(first.contains("brd 10.9.8.255 scope link"), "{first}");
    assert!(first.contains("eth0:vip"), "{first}");
    let second = shown(&lan.router, "10.9.0.101/32");
    assert!(second.contains("noprefixroute"), "{second}");
    let third = shown(&lan.router, "10.9.7.1");
    assert!(third.contains("10.9.7.1 peer 10.9.7.2/32"), "{third}");
    let fourth = shown(&lan.router, "2001:db8::100/64");
    assert!(
        fourth.contains("nodad") && fourth.contains("preferred_lft 0sec"),
        "{fourth}"
    );
    let all = [
        "10.9.0.101/32",
        "10.9.7.1/32",
        "10.9.8.1/24",
        "2001:db8::100/64",
    ];
    assert_eq!(marked(&lan.router), all);
    assert!(!vrrpd.log().contains("cannot set"), "{}", vrrpd.log());
}

#[test]
fn leftovers_are_gone_before_the_router_is_backup() {
    let lan = Lan::new();
    ip(
        &lan.router,
        &["address", "add", "10.9.0.100/24", "dev", "eth0"],
    );
    ip(
        &lan.router,
        &["address", "add", "10.9.0.50/24", "dev", "eth0"],
    );
    // With our mark, of a configuration that is no more.
    let old = address("10.9.0.77/24");
    let set = |requests: &mut Requests| {
        let links = requests.links().unwrap();
        let eth0 = links
            .iter()
            .find(|link| link.name.as_str() == "eth0")
            .unwrap();
        let outcomes = requests.apply(&[Change::Add {
            link: eth0.index,
            address: &old,
        }]);
        assert_eq!(outcomes, Ok(vec![Ok(())]));
    };
    lan.router
        .enter(|| set(&mut Requests::open().unwrap()))
        .unwrap();
    assert_eq!(marked(&lan.router), ["10.9.0.77/24"]);
    let mut vi = instance(&["10.9.0.100/24"]);
    vi.down_timer_adverts = 100;
    let _vrrpd = Vrrpd::with(&lan.router, vi);
    assert!(!lan.router.has_address("10.9.0.100"));
    assert!(!lan.router.has_address("10.9.0.77"));
    assert!(lan.router.has_address("10.9.0.50"));
    assert!(lan.router.has_address("10.9.0.1"));
}

#[test]
fn a_link_without_carrier_is_a_fault_until_it_is_back() {
    let lan = Lan::new();
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    vrrpd.until(State::Master);
    lan.router.set_link("eth0", false).unwrap();
    vrrpd.until(State::Fault);
    until_address(&lan.router, "10.9.0.100", false);
    lan.router.set_link("eth0", true).unwrap();
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.100", true);
    let expected = [
        State::Backup,
        State::Master,
        State::Fault,
        State::Backup,
        State::Master,
    ];
    assert_eq!(vrrpd.transitions(), expected);
}

#[test]
fn an_interface_that_is_made_anew_is_used_again() {
    let lan = Lan::new();
    lan.router.ip("link add eth7 type bridge\n").unwrap();
    let mut vi = instance(&["10.7.0.100/24"]);
    vi.interface = IfName::try_from("eth7".to_owned()).unwrap();
    let mut vrrpd = Vrrpd::with(&lan.router, vi);
    vrrpd.until(State::Fault);
    lan.router.ip("link del eth7\n").unwrap();
    lan.router
        .ip("link add eth7 type veth peer name eth8\nlink set eth8 up\naddress add 10.7.0.1/24 dev eth7\nlink set eth7 up\n")
        .unwrap();
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.7.0.100", true);
    assert!(!vrrpd.log().contains("cannot send"), "{}", vrrpd.log());
}

#[test]
fn a_reload_touches_only_what_changed() {
    let lan = Lan::new();
    let adverts = lan.adverts();
    let before = instance(&["10.9.0.100/24", "10.9.0.101/24"]);
    let mut vrrpd = Vrrpd::with(&lan.router, before);
    vrrpd.until(State::Master);
    until_address(&lan.router, "10.9.0.101", true);
    let watched = || lan.router.has_address("10.9.0.100");
    vrrpd.configure(
        vec![instance(&["10.9.0.100/24", "10.9.0.102/24"])],
        Vec::new(),
    );
    assert!(watched());
    assert!(!lan.router.has_address("10.9.0.101"));
    assert!(lan.router.has_address("10.9.0.102"));
    vrrpd.stayed_master();
    assert!(!priorities(&adverts.frames()).contains(&0));

    vrrpd.configure(Vec::new(), Vec::new());
    assert!(!watched());
    assert!(!lan.router.has_address("10.9.0.102"));
    eventually(PATIENCE, "a last advert", || {
        priorities(&adverts.frames()).contains(&0)
    })
    .unwrap();
    throughout(Duration::from_millis(500), "still running", || {
        vrrpd.is_running()
    })
    .unwrap();
}
