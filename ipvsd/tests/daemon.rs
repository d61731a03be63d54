//! The built program without a usable kernel table: it answers, survives its checker process, and ends when
//! its parent ends or talks nonsense. Works on every kernel and changes no table.

#![expect(clippy::unwrap_used, reason = "test code")]

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_ipvsd::{FromIpvsd, ServerReason, ToIpvsd};
use kr_model::vrrp::State;
use kr_model::{CheckerId, Generation, RealServerId, VirtualServerId};
use nix::sys::socket::{MsgFlags, sendmsg};

use support::{Ipvsd, real_server, state, verdict, virtual_server};

/// A configured `ipvsd` that cannot change a table.
fn configured() -> Ipvsd {
    let mut ipvsd = Ipvsd::start_powerless();
    ipvsd.configure(
        1,
        &[virtual_server()],
        &[real_server(1), real_server(2)],
        &[],
    );
    let said = ipvsd.until_ready(1);
    assert!(
        said.contains(&FromIpvsd::Kernel { usable: false }),
        "{said:?}"
    );
    ipvsd
}

fn server_down(n: u32) -> FromIpvsd {
    FromIpvsd::RealServerChanged {
        real_server: RealServerId(n),
        up: false,
        reason: ServerReason::Checks,
    }
}

/// Sends bytes that are no message.
fn send_garbage(channel: &impl AsRawFd) {
    let slices = [IoSlice::new(&[0xff; 40])];
    sendmsg::<()>(channel.as_raw_fd(), &slices, &[], MsgFlags::empty(), None).unwrap();
}

#[test]
fn a_kernel_that_cannot_be_used_is_told_and_the_rest_goes_on() {
    let mut ipvsd = configured();
    let mut checkerd = ipvsd.meet_checkerd();
    checkerd.send(&verdict(1, 1, true)).unwrap();
    checkerd.send(&verdict(1, 2, false)).unwrap();
    let said = ipvsd.until(|message| *message == server_down(2));
    assert!(!said.contains(&server_down(1)), "{said:?}");
    assert_eq!(
        ipvsd.next(),
        FromIpvsd::CheckerChanged {
            checker: CheckerId(2),
            up: false,
            with_server: true
        }
    );
    let FromIpvsd::Snapshot(pool) = ipvsd.next() else {
        unreachable!("a snapshot is due")
    };
    assert_eq!(
        (pool.id, pool.quorum, pool.weight),
        (VirtualServerId(1), Some(true), 1)
    );
}

#[test]
fn a_checker_process_that_sends_garbage_is_cut_off_and_may_be_replaced() {
    let mut ipvsd = configured();
    let first = ipvsd.meet_checkerd();
    send_garbage(&first);
    ipvsd.until(|message| *message == FromIpvsd::Misbehaved(Sibling::Checkerd));
    let mut second = ipvsd.meet_checkerd();
    second.send(&verdict(1, 1, false)).unwrap();
    ipvsd.until(|message| *message == server_down(1));
}

#[test]
fn a_checker_that_its_own_configuration_lacks_is_misbehaviour() {
    let mut ipvsd = configured();
    let mut checkerd = ipvsd.meet_checkerd();
    checkerd.send(&verdict(1, 99, false)).unwrap();
    ipvsd.until(|message| *message == FromIpvsd::Misbehaved(Sibling::Checkerd));
}

#[test]
fn a_vrrp_process_that_breaks_the_protocol_is_cut_off_and_may_be_replaced() {
    let mut ipvsd = configured();
    let misbehaved = FromIpvsd::Misbehaved(Sibling::Vrrpd);
    let garbage = ipvsd.meet_vrrpd();
    send_garbage(&garbage);
    ipvsd.until(|message| *message == misbehaved);
    let mut liar = ipvsd.meet_vrrpd();
    liar.send(&state(1, 99, State::Master)).unwrap();
    ipvsd.until(|message| *message == misbehaved);
    // One that keeps to its configuration, and to the next one, is heard in peace.
    let mut honest = ipvsd.meet_vrrpd();
    honest.send(&state(1, 1, State::Master)).unwrap();
    honest.send(&state(2, 99, State::Backup)).unwrap();
    ipvsd.parent.send(&ToIpvsd::Stop).unwrap();
    let (said, status) = ipvsd.end();
    assert!(!said.contains(&misbehaved) && status.success(), "{said:?}");
}

#[test]
fn a_verdict_that_overtakes_its_configuration_counts_once_that_is_there() {
    let mut ipvsd = configured();
    let mut checkerd = ipvsd.meet_checkerd();
    checkerd.send(&verdict(2, 3, false)).unwrap();
    // Sent and answered after the verdict above.
    checkerd.send(&verdict(2, 1, false)).unwrap();
    ipvsd.until(|message| *message == server_down(1));
    ipvsd.configure(
        2,
        &[virtual_server()],
        &[real_server(2), real_server(3)],
        &[],
    );
    let said = ipvsd.until_ready(2);
    assert!(said.contains(&server_down(3)), "{said:?}");
}

#[test]
fn garbage_from_the_parent_ends_the_process_with_a_failure() {
    let mut ipvsd = configured();
    send_garbage(&ipvsd.parent);
    let (_, status) = ipvsd.end();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn an_impossible_configuration_ends_the_process_with_a_failure() {
    let mut ipvsd = configured();
    let mut bad = virtual_server();
    bad.quorum = 0;
    ipvsd.parent.send(&ToIpvsd::Begin(Generation(2))).unwrap();
    ipvsd
        .parent
        .send(&ToIpvsd::VirtualServer(Box::new(bad)))
        .unwrap();
    let (_, status) = ipvsd.end();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_stop_ends_the_process_in_good_order() {
    let mut ipvsd = configured();
    ipvsd.parent.send(&ToIpvsd::Stop).unwrap();
    let (_, status) = ipvsd.end();
    assert!(status.success(), "{status}");
}

#[test]
fn a_stop_with_omega_announces_what_goes_away() {
    let mut ipvsd = Ipvsd::start_powerless();
    let mut server = virtual_server();
    server.omega = true;
    ipvsd.configure(1, &[server], &[real_server(1)], &[]);
    ipvsd.until_ready(1);
    ipvsd.parent.send(&ToIpvsd::Stop).unwrap();
    let (said, _) = ipvsd.end();
    let reason = ServerReason::Shutdown;
    assert_eq!(
        said.get(said.len().saturating_sub(2)..).unwrap_or_default(),
        [
            FromIpvsd::RealServerChanged {
                real_server: RealServerId(1),
                up: false,
                reason
            },
            FromIpvsd::QuorumChanged {
                virtual_server: VirtualServerId(1),
                up: false,
                weight: 1,
                reason
            },
        ]
    );
}

#[test]
fn a_parent_that_is_gone_is_a_stop() {
    let mut ipvsd = configured();
    ipvsd.abandon();
    assert!(ipvsd.wait().success());
}
