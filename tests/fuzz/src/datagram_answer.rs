//! Datagrams that come back from a server of a `DNS_CHECK`, `UDP_CHECK` or `PING_CHECK`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;
use std::time::Duration;

use kr_check::datagram::DatagramCheck;
use kr_model::Instant;
use kr_model::check::{Connection, ExpectedReply, PatternByte, UdpProbe};

use crate::pieces::{choice_and_size, frames};

/// Number of the question, sequence number of the echo request.
const NUMBER: u16 = 0x1234;
/// What a UDP server should begin its reply with.
const GREETING: &[u8] = b"pong";

/// The first byte says which check it is; the datagrams follow. Only what an answer to this question can be ends
/// the check, and only a good one passes; what is asked does not change by what comes.
pub fn datagram_answer(data: &[u8]) {
    let Some((choice, size, rest)) = choice_and_size(data) else {
        return;
    };
    let six = size % 2 == 0;
    let check = match choice {
        0 => DatagramCheck::dns(&connection(six), "example.org", 1, NUMBER, Instant::ZERO),
        1 => DatagramCheck::ping(&connection(six), NUMBER, Instant::ZERO),
        2 => DatagramCheck::udp(&udp(Some(greeting())), Instant::ZERO),
        _ => DatagramCheck::udp(&udp(None), Instant::ZERO),
    };
    let asked = check.request().to_vec();
    for datagram in frames(rest) {
        let ControlFlow::Break(result) = check.received(datagram) else {
            assert!(choice < 2, "a UDP check takes what comes");
            continue;
        };
        assert_eq!(result.is_ok(), is_good(choice, six, datagram));
        if let Err(failure) = result {
            assert!(choice != 1, "what is no echo reply says nothing");
            assert!(!failure.to_string().contains('\n'));
        }
    }
    assert_eq!(check.request(), asked);
    assert_eq!(check.late().is_ok(), choice == 3);
}

fn is_good(choice: u8, six: bool, datagram: &[u8]) -> bool {
    let [high, low] = NUMBER.to_be_bytes();
    match choice {
        0 => {
            datagram.len() >= 12
                && datagram.starts_with(&[high, low])
                && datagram[2] & 0x80 != 0
                && datagram[3] & 0x0f == 0
        }
        1 => {
            let kind = if six { 129 } else { 0 };
            datagram.starts_with(&[kind, 0]) && datagram[6..8] == [high, low]
        }
        2 => datagram.starts_with(GREETING) && datagram.len() <= 512,
        _ => true,
    }
}

fn connection(six: bool) -> Connection {
    let server: IpAddr = if six {
        Ipv6Addr::LOCALHOST.into()
    } else {
        Ipv4Addr::LOCALHOST.into()
    };
    Connection {
        target: SocketAddr::new(server, 53),
        source: None,
        source_port: None,
        interface: None,
        mark: 0,
        timeout: Duration::from_secs(1),
    }
}

fn udp(reply: Option<ExpectedReply>) -> UdpProbe {
    UdpProbe {
        connection: connection(false),
        payload: b"ping".to_vec(),
        reply,
    }
}

fn greeting() -> ExpectedReply {
    let exactly = |value: &u8| PatternByte {
        value: *value,
        mask: 0xff,
    };
    ExpectedReply {
        pattern: GREETING.iter().map(exactly).collect(),
        min: 4,
        max: 512,
    }
}
