//! One packet of any bytes for two routers that know who is master: what parses is the same after writing it
//! again, and fifteen quiet seconds later the right router is the only master, whatever the packet said.

use std::net::IpAddr;
use std::time::Duration;

use kr_model::InstanceId;
use kr_model::vrrp::Preemption;
use kr_test_sim::{Faults, Lan, instance};
use kr_wire::{advert, ipv4};

/// See above.
pub fn vrrp_packet(data: &[u8]) {
    same_after_writing_again(data);
    let mut lan = Lan::new(0, Faults::default());
    lan.add(10, vec![instance(1, 150, Preemption::Immediate)]);
    lan.add(11, vec![instance(1, 100, Preemption::Immediate)]);
    lan.run(Duration::from_secs(10));
    lan.inject(data);
    lan.run(Duration::from_secs(15));
    assert_eq!(lan.masters(InstanceId(1)), [0]);
    assert_eq!(lan.holders(InstanceId(1)), [0]);
}

fn same_after_writing_again(packet: &[u8]) {
    let Ok((header, payload)) = ipv4::parse(packet) else {
        return;
    };
    let ends = advert::Ends {
        source: IpAddr::V4(header.source),
        destination: IpAddr::V4(header.destination),
    };
    let Ok(first) = advert::parse(payload, ends) else {
        return;
    };
    let written = advert::emit(&first.advert, ends).expect("what was counted can be counted");
    let second = advert::parse(&written, ends).expect("what was written can be read");
    assert_eq!(second.advert, first.advert);
    assert!(second.checksum_ok);
}
