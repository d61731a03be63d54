//! The built program as the maker of sockets for checks: what it gives, and what it does with a checker
//! process that was taken over. Needs root, for low ports; changes nothing on the host.

#![expect(clippy::unwrap_used, reason = "test code")]

#[allow(dead_code, reason = "each test program uses a part of it")]
mod support;

use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;

use kr_ipc::channel::Received;
use kr_ipc::edge::Sibling;
use kr_ipc::edge::checkerd_ipvsd::{
    FromIpvsd, SocketRefusal, SocketStep, SocketWanted, ToIpvsd as Say,
};
use kr_ipc::edge::parentd_ipvsd::FromIpvsd as Told;
use kr_model::check::{SocketKind, SocketRule};
use kr_model::net::Family;
use kr_model::{CheckerId, Generation};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::Socket;

use support::{Checkerd, Ipvsd, PATIENCE_MS, real_server, virtual_server};

fn rule(checker: u32, kind: SocketKind, source: &str, mark: u32) -> SocketRule {
    SocketRule {
        checker: CheckerId(checker),
        host: 0,
        family: Family::Inet,
        kind,
        source: source.parse().ok(),
        interface: None,
        mark,
    }
}

/// Checker 1 has a mark and a low port over TCP, checker 2 a low port over UDP, checker 3 an address that
/// this host does not have.
fn configured() -> (Ipvsd, Checkerd) {
    let mut ipvsd = Ipvsd::start_for_low_ports();
    ipvsd.configure_with_sockets(
        1,
        &[virtual_server()],
        &[
            real_server(1),
            real_server(2),
            real_server(3),
            real_server(4),
        ],
        &[],
        &[
            rule(1, SocketKind::Stream, "127.0.0.1:871", 77),
            rule(2, SocketKind::Datagram, "127.0.0.1:872", 0),
            rule(3, SocketKind::Stream, "192.0.2.77:873", 0),
        ],
    );
    ipvsd.until_ready(1);
    let checkerd = ipvsd.meet_checkerd();
    (ipvsd, checkerd)
}

fn want(generation: u64, checker: u32, request: u64) -> Say {
    Say::SocketWanted(SocketWanted {
        generation: Generation(generation),
        checker: CheckerId(checker),
        host: 0,
        request,
    })
}

fn next(checkerd: &mut Checkerd) -> Received<FromIpvsd> {
    loop {
        if let Some(received) = checkerd.recv_with().unwrap() {
            return received;
        }
        let mut fds = [PollFd::new(checkerd.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(PATIENCE_MS)).unwrap();
        assert_ne!(ready, 0, "ipvsd answers nothing");
    }
}

/// The socket that answers a request.
fn socket(checkerd: &mut Checkerd, checker: u32, request: u64) -> Socket {
    checkerd.send(&want(1, checker, request)).unwrap();
    let received = next(checkerd);
    assert_eq!(received.message, FromIpvsd::Socket { request });
    Socket::from(received.descriptor.unwrap())
}

#[test]
fn a_socket_comes_marked_and_bound_and_can_be_connected_from() {
    let (_ipvsd, mut checkerd) = configured();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = socket(&mut checkerd, 1, 5);
    assert_eq!(first.mark().unwrap(), 77);
    assert!(first.nonblocking().unwrap());
    let _ = first.connect(&server.local_addr().unwrap().into());
    let (_, from) = server.accept().unwrap();
    assert_eq!(from, "127.0.0.1:871".parse().unwrap());
    // At the same time to another server.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = socket(&mut checkerd, 1, 6);
    let _ = second.connect(&other.local_addr().unwrap().into());
    let (_, from) = other.accept().unwrap();
    assert_eq!(from, "127.0.0.1:871".parse().unwrap());

    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let datagram = socket(&mut checkerd, 2, 7);
    datagram
        .connect(&server.local_addr().unwrap().into())
        .unwrap();
    datagram.send(b"x").unwrap();
    let (_, from) = server.recv_from(&mut [0; 4]).unwrap();
    assert_eq!(from, "127.0.0.1:872".parse().unwrap());
}

#[test]
fn what_the_kernel_refuses_is_told_with_its_reason() {
    let (_ipvsd, mut checkerd) = configured();
    checkerd.send(&want(1, 3, 9)).unwrap();
    let refusal = SocketRefusal::Kernel {
        step: SocketStep::Source,
        errno: Errno::EADDRNOTAVAIL as i32,
    };
    let received = next(&mut checkerd);
    let expected = FromIpvsd::NoSocket {
        request: 9,
        refusal,
    };
    assert_eq!(received.message, expected);
    assert!(received.descriptor.is_none());
}

#[test]
fn a_socket_that_no_configuration_asks_for_ends_the_channel() {
    for checker in [4, 99] {
        let (mut ipvsd, mut checkerd) = configured();
        checkerd.send(&want(1, checker, 1)).unwrap();
        ipvsd.until(|message| *message == Told::Misbehaved(Sibling::Checkerd));
        let mut successor = ipvsd.meet_checkerd();
        socket(&mut successor, 1, 1);
    }
}

#[test]
fn a_socket_of_the_last_configuration_is_refused_and_one_of_the_next_waits_for_it() {
    let (mut ipvsd, mut checkerd) = configured();
    checkerd.send(&want(0, 99, 1)).unwrap();
    let refusal = SocketRefusal::Gone;
    let expected = FromIpvsd::NoSocket {
        request: 1,
        refusal,
    };
    assert_eq!(next(&mut checkerd).message, expected);
    checkerd.send(&want(2, 4, 2)).unwrap();
    // Answered after the request above was held.
    socket(&mut checkerd, 1, 3);
    ipvsd.configure_with_sockets(
        2,
        &[virtual_server()],
        &[real_server(4)],
        &[],
        &[rule(4, SocketKind::Stream, "", 3)],
    );
    let received = next(&mut checkerd);
    assert_eq!(received.message, FromIpvsd::Socket { request: 2 });
    assert_eq!(
        Socket::from(received.descriptor.unwrap()).mark().unwrap(),
        3
    );
}

#[test]
fn who_asks_without_end_and_takes_nothing_is_parted_from_and_nothing_is_left_open() {
    let (mut ipvsd, mut checkerd) = configured();
    for request in 0..20_000 {
        if checkerd.send(&want(1, 1, request)).is_err() {
            break;
        }
    }
    while checkerd.has_queued() && checkerd.flush().is_ok() {}
    ipvsd.until(|message| *message == Told::Misbehaved(Sibling::Checkerd));
    drop(checkerd);
    let mut successor = ipvsd.meet_checkerd();
    socket(&mut successor, 1, 1);
    let open = std::fs::read_dir(format!("/proc/{}/fd", ipvsd.pid())).unwrap();
    let open = open.count();
    assert!(open < 16, "{open} descriptors");
}
