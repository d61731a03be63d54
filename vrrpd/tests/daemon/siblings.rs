//! What the checker process and the IPVS process are told.

use std::os::fd::AsRawFd;

use kr_ipc::Channel;
use kr_ipc::channel::pair;
use kr_ipc::edge::parentd_vrrpd::{FromVrrpd, ToVrrpd};
use kr_ipc::edge::{Sibling, vrrpd_checkerd, vrrpd_ipvsd};
use kr_model::vrrp::State;
use kr_model::{Generation, InstanceId};
use kr_testkit::wait::eventually;
use nix::sys::socket::{MsgFlags, send};

use crate::harness::{Lan, PATIENCE, Vrrpd, instance};

type Ipvsd = Channel<vrrpd_ipvsd::FromIpvsd, vrrpd_ipvsd::ToIpvsd>;

fn meet_ipvsd(vrrpd: &mut Vrrpd) -> Ipvsd {
    let (ours, theirs) = pair().unwrap();
    vrrpd.send_with(&ToVrrpd::Sibling(Sibling::Ipvsd), theirs);
    Channel::new(ours)
}

/// What it hears, up to this state.
fn until(ipvsd: &mut Ipvsd, wanted: State) -> Vec<State> {
    let mut heard = Vec::new();
    eventually(PATIENCE, wanted.word(), || {
        while let Ok(Some(message)) = ipvsd.recv() {
            let vrrpd_ipvsd::ToIpvsd::Instance {
                generation,
                instance,
                state,
            } = message;
            assert_eq!((generation, instance), (Generation(1), InstanceId(1)));
            heard.push(state);
        }
        heard.last() == Some(&wanted)
    })
    .unwrap();
    heard
}

#[test]
fn a_sibling_hears_what_is_and_then_what_changes() {
    let lan = Lan::new();
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    let mut first = meet_ipvsd(&mut vrrpd);
    until(&mut first, State::Master);
    // One that comes later hears the state and not its history.
    let mut second = meet_ipvsd(&mut vrrpd);
    assert_eq!(until(&mut second, State::Master), [State::Master]);
    crate::harness::ip(&lan.router, &["link", "set", "eth0", "down"]);
    assert_eq!(until(&mut second, State::Fault), [State::Fault]);

    let (ours, theirs) = pair().unwrap();
    vrrpd.send_with(&ToVrrpd::Sibling(Sibling::Checkerd), theirs);
    let mut checkerd: Channel<vrrpd_checkerd::FromCheckerd, vrrpd_checkerd::ToCheckerd> =
        Channel::new(ours);
    let expected = vrrpd_checkerd::ToCheckerd::Instance {
        generation: Generation(1),
        instance: InstanceId(1),
        state: State::Fault,
    };
    eventually(PATIENCE, "the state", || {
        checkerd.recv().unwrap().as_ref() == Some(&expected)
    })
    .unwrap();
}

#[test]
fn a_sibling_that_speaks_is_cut_off_and_reported_and_may_be_replaced() {
    let lan = Lan::new();
    let mut vrrpd = Vrrpd::with(&lan.router, instance(&["10.9.0.100/24"]));
    let rude = meet_ipvsd(&mut vrrpd);
    send(rude.as_raw_fd(), b"rubbish", MsgFlags::empty()).unwrap();
    let report = FromVrrpd::Misbehaved(Sibling::Ipvsd);
    eventually(PATIENCE, "report", || vrrpd.read().contains(&report)).unwrap();
    until(&mut meet_ipvsd(&mut vrrpd), State::Master);
}
