//! Floods of ICMP that only a host on the way, or the server itself, can send: errors about datagrams of a
//! check, and echo replies that nobody asked for.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kr_testkit::netns::Host;
use kr_testkit::servers::TcpServer;
use kr_testkit::wait::eventually;
use socket2::{Domain, Protocol, Socket, Type};

use crate::stage::{SOON, Stage, service};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The port that the checks ask, and the one that they ask from.
const PORT: u16 = 5300;
const FROM: u16 = 5301;

/// Most memory of the checker process, in KiB.
const MEMORY: u64 = 48 * 1024;

/// Sends ICMP messages as fast as it can, until it is dropped.
struct Flood(Arc<AtomicBool>);

impl Flood {
    fn start(host: &Host, messages: Vec<Vec<u8>>) -> Self {
        let socket = host
            .enter(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap())
            .unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let target = SocketAddr::from((HERE, 0)).into();
        thread::spawn(move || {
            for message in messages.iter().cycle() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // A full queue of the kernel is what a flood makes.
                socket.send_to(message, &target).ok();
            }
        });
        Self(over)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An ICMP message with its checksum (RFC 792).
fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(rest);
    let words = message
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let checksum = !u16::try_from(folded).unwrap();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

/// The datagram of a check is not wanted, for this reason.
fn unreachable(code: u8) -> Vec<u8> {
    let mut rest = vec![0; 4];
    // The IP header of the datagram, and its ports.
    rest.extend([0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    rest.extend(HERE.octets());
    rest.extend(HERE.octets());
    rest.extend(FROM.to_be_bytes());
    rest.extend(PORT.to_be_bytes());
    rest.extend([0, 40, 0, 0]);
    icmp(3, code, &rest)
}

/// Runs a check in a flood and a `TCP_CHECK` of a good server beside it for a while.
fn ordeal(stage: &mut Stage, check: &str, messages: Vec<Vec<u8>>, ends: &str) {
    let good = stage
        .host
        .enter(|| TcpServer::on_loopback(drop))
        .unwrap()
        .unwrap();
    let quick = service(2, good.address().port(), "TCP_CHECK {\n}");
    let text = service(1, PORT, check) + &quick.replace("delay_loop 0.3", "delay_loop 0.1");
    let _flood = Flood::start(&stage.host, messages);
    stage.check(&text);
    stage.until(2, "succeeded");
    stage.until(1, ends);
    let (start, before) = (Instant::now(), good.accepted());
    thread::sleep(Duration::from_secs(4));
    let runs = good.accepted() - before;
    assert!(
        runs > 20,
        "{runs} checks of the good server in {:?}",
        start.elapsed()
    );
    assert_eq!(
        stage.log().matches("192.0.2.2").count(),
        1,
        "{}",
        stage.log()
    );
    let memory = stage.peak_memory();
    assert!(memory < MEMORY, "{memory} KiB");
    let few = || stage.descriptors() < 20;
    eventually(SOON, "closed descriptors", few).unwrap();
}

#[test]
fn icmp_errors_without_end_end_one_attempt_each() {
    let mut stage = Stage::new();
    // Somebody listens, and says nothing.
    let _silent = stage
        .host
        .enter(|| UdpSocket::bind((HERE, PORT)).unwrap())
        .unwrap();
    let check = format!(
        "UDP_CHECK {{\n require_reply\n bindto {HERE}\n bind_port {FROM}\n log_all_failures\n}}"
    );
    // Port, host, network, protocol not reachable; administratively prohibited.
    let errors = [3, 1, 0, 2, 13].map(unreachable).to_vec();
    ordeal(&mut stage, &check, errors, "failed: ");
    let log = stage.log();
    assert!(
        log.contains("refused") || log.contains("unreachable"),
        "{log}"
    );
    // An attempt every 0.3 s, not one for every error.
    let failures = log.matches("192.0.2.1").count();
    assert!(failures < 60, "{failures}");
}

#[test]
fn echo_replies_that_nobody_asked_for_are_no_answer() {
    let mut stage = Stage::new();
    stage
        .host
        .sysctl("net/ipv4/icmp_echo_ignore_all", "1")
        .unwrap();
    let replies = (0..=u16::MAX).map(|id| {
        let mut rest = id.to_be_bytes().to_vec();
        rest.extend(0x1234_u16.to_be_bytes());
        rest.extend([0x5a; 64]);
        icmp(0, 0, &rest)
    });
    let check = "PING_CHECK {\n connect_timeout 1\n}";
    ordeal(
        &mut stage,
        check,
        replies.collect(),
        "failed: no echo reply within 1 s; now down",
    );
    stage
        .host
        .sysctl("net/ipv4/icmp_echo_ignore_all", "0")
        .unwrap();
    stage.until(1, "succeeded; now up");
}
