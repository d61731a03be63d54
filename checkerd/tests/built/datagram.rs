//! `DNS_CHECK`, `UDP_CHECK` and `PING_CHECK` of the built process, against sockets on loopback.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::Duration;

use kr_model::CheckerId;
use kr_model::check::{Checker, ExpectedReply, Probe, UdpProbe};
use kr_model::lvs::Verdict;

use crate::alone::Alone;
use crate::harness::{Checkerd, checker, connection};

/// The datagrams that answer a datagram.
pub(crate) type Answer = fn(&[u8]) -> Vec<Vec<u8>>;

/// Answers each datagram with what the function says, until told to fall silent for good.
pub(crate) struct UdpServer {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
}

impl UdpServer {
    pub(crate) fn start(answer: Answer) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let shared = Arc::clone(&answer);
        thread::spawn(move || {
            let mut block = [0; 2048];
            while let Ok((count, from)) = socket.recv_from(&mut block) {
                let replies = (shared.lock().unwrap())(&block[..count]);
                for reply in replies {
                    socket.send_to(&reply, from).ok();
                }
            }
        });
        Self { address, answer }
    }

    fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }
}

pub(crate) fn udp(id: u32, target: SocketAddr, reply: Option<ExpectedReply>) -> Checker {
    let mut connection = connection(target);
    connection.timeout = Duration::from_millis(300);
    let payload = b"ask".to_vec();
    checker(
        id,
        Probe::Udp(UdpProbe {
            connection,
            payload,
            reply,
        }),
    )
}

pub(crate) fn no_listener() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// The question as an answer with this second byte of flags.
pub(crate) fn answered(question: &[u8], code: u8) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer[3] = code;
    answer
}

#[test]
fn dns_check_wants_an_answer_without_error() {
    let dns = |id, target| {
        let probe = Probe::Dns {
            connection: connection(target),
            name: "www.example".to_owned(),
            record: 1,
        };
        checker(id, probe)
    };
    // Before the answer comes what is none: another id, a question, too few bytes.
    let server = UdpServer::start(|question| {
        let mut other = answered(question, 0x82);
        other[0] ^= 1;
        let good = answered(question, 0x80);
        vec![other, question.to_vec(), vec![0; 3], Vec::new(), good]
    });
    let mut daemon = Checkerd::with(&[dns(1, server.address), dns(2, no_listener())]);
    daemon.until_verdict(1, true);
    daemon.until_verdict(2, false);
    daemon.until_log("DNS_CHECK of 2 in test failed: connection refused; now down");
    server.set(|question| vec![answered(question, 0x82)]);
    daemon.until_verdict(1, false);
    daemon.until_log("DNS_CHECK of 1 in test failed: the name server answers SERVFAIL; now down");
    server.set(|question| vec![answered(question, 0x80)]);
    daemon.until_verdict(1, true);
    server.set(|_| Vec::new());
    daemon.until_verdict(1, false);
    daemon.until_log("DNS_CHECK of 1 in test failed: no answer within 1 s; now down");
}

#[test]
fn udp_check_passes_in_silence_unless_a_reply_is_required() {
    let reply = |min| {
        Some(ExpectedReply {
            pattern: Vec::new(),
            min,
            max: 255,
        })
    };
    let server = UdpServer::start(|asked| vec![asked.to_vec()]);
    let silent = UdpServer::start(|_| Vec::new());
    let mut daemon = Checkerd::with(&[
        udp(1, server.address, None),
        udp(2, server.address, reply(0)),
        udp(3, server.address, reply(4)),
        udp(4, silent.address, None),
        udp(5, silent.address, reply(0)),
        udp(6, no_listener(), None),
    ]);
    for (id, up) in [
        (1, true),
        (2, true),
        (3, false),
        (4, true),
        (5, false),
        (6, false),
    ] {
        daemon.until_verdict(id, up);
    }
    daemon
        .until_log("UDP_CHECK of 3 in test failed: reply of 3 bytes, expected 4 to 255; now down");
    daemon.until_log("UDP_CHECK of 5 in test failed: no reply within 0.3 s; now down");
    daemon.until_log("UDP_CHECK of 6 in test failed: connection refused; now down");
    server.set(|_| Vec::new());
    daemon.until_verdict(2, false);
    assert_eq!(daemon.verdict(1), Some(true));
}

#[test]
fn a_flood_of_datagrams_delays_nobody_and_leaks_nothing() {
    let flood = UdpServer::start(|_| vec![vec![0; 1400]; 5_000]);
    let fine = UdpServer::start(|asked| vec![asked.to_vec()]);
    let dns = Probe::Dns {
        connection: connection(flood.address),
        name: ".".to_owned(),
        record: 6,
    };
    let expected = ExpectedReply {
        pattern: Vec::new(),
        min: 3,
        max: 3,
    };
    let mut daemon = Checkerd::with(&[
        checker(1, dns),
        udp(2, fine.address, Some(expected)),
        udp(3, no_listener(), None),
    ]);
    daemon.until_verdict(1, false);
    daemon.until_verdict(2, true);
    daemon.until_log("DNS_CHECK of 1 in test failed: no answer within 1 s; now down");
    daemon.until_verdict(3, false);
    assert!(daemon.descriptors() < 40);
    let failed = |verdict: &&Verdict| verdict.checker == CheckerId(2) && !verdict.up;
    assert_eq!(daemon.verdicts.iter().find(failed), None);
}

/// A process in a network of its own, where the test may say who may ping.
fn pinging(allow: &str) -> Alone {
    let mut command = Command::new("unshare");
    let script = format!("ip link set lo up && {allow} exec \"$0\" \"$@\"");
    command
        .args(["-rn", "sh", "-c", &script])
        .arg(env!("CARGO_BIN_EXE_checkerd"));
    let pool = |address: &str, target: &str| {
        format!(
            "virtual_server {address} 80 {{\nlb_algo rr\nlb_kind NAT\nprotocol TCP\ndelay_loop 0.2\nwarmup 0\n\
             real_server {target} 0 {{\nPING_CHECK {{\nconnect_timeout 0.3\nretry 0\n}}\n}}\n}}\n"
        )
    };
    let text = pool("192.0.2.1", "127.0.0.1")
        + &pool("2001:db8::1", "::1")
        + &pool("192.0.2.2", "192.0.2.3");
    Alone::start_by(command, &text)
}

#[test]
fn ping_check_works_for_groups_that_may_and_else_says_what_to_do() {
    let allowed = pinging("echo 0 0 > /proc/sys/net/ipv4/ping_group_range &&");
    allowed.until_log("PING_CHECK of [127.0.0.1]:tcp:80 in [192.0.2.1]:tcp:80 succeeded");
    allowed.until_log("PING_CHECK of [::1]:tcp:80 in [2001:db8::1]:tcp:80 succeeded");
    // There is no way to this one.
    allowed.until_log(
        "PING_CHECK of [192.0.2.3]:tcp:80 in [192.0.2.2]:tcp:80 failed: network unreachable",
    );
    let refused = pinging("");
    refused.until_log("was not tried: no ICMP socket: net.ipv4.ping_group_range does not hold");
    // Three checks every 0.2 s, and one line.
    sleep(Duration::from_secs(1));
    assert!(!refused.process.log().contains("failed:"));
    assert_eq!(
        refused.process.log().matches("ping_group_range=").count(),
        1
    );
}
