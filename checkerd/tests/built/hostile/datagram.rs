//! Name servers and others that answer with too much, too little or nonsense.

use std::net::SocketAddr;

use kr_model::check::{Checker, Probe};

use super::ordeal;
use crate::datagram::{UdpServer, answered, no_listener, udp};
use crate::harness::{checker, connection};

fn dns(id: u32, target: SocketAddr) -> Checker {
    let probe = Probe::Dns {
        connection: connection(target),
        name: "www.example".to_owned(),
        record: 1,
    };
    checker(id, probe)
}

/// The answer with one answer record whose name points to itself.
fn looped(question: &[u8]) -> Vec<u8> {
    let mut answer = answered(question, 0x80);
    answer[7] = 1;
    let here = u8::try_from(answer.len()).unwrap();
    answer.extend([0xc0, here, 0xc0, here, 0xc0, 0]);
    answer
}

#[test]
fn answers_that_make_no_sense_end_in_time() {
    // The header decides, so nothing that follows it can lead anywhere.
    let loops = UdpServer::start(|question| vec![looped(question)]);
    let counts = UdpServer::start(|question| {
        let mut answer = answered(question, 0x80);
        answer[6..12].fill(0xff);
        vec![answer]
    });
    let truncated = UdpServer::start(|question| {
        let mut answer = answered(question, 0x80);
        answer[2] |= 2;
        answer.truncate(12);
        vec![answer]
    });
    let short = UdpServer::start(|question| {
        (0..12)
            .map(|n| answered(question, 0x80)[..n].to_vec())
            .collect()
    });
    // Every id but the right one, and then questions.
    let guesses = UdpServer::start(|question| {
        let right = u16::from_be_bytes([question[0], question[1]]);
        let others = (0..=u16::MAX).filter(|id| *id != right);
        let guess = |id: u16| {
            let mut answer = answered(question, 0x80);
            answer[..2].copy_from_slice(&id.to_be_bytes());
            answer
        };
        others.map(guess).chain([question.to_vec()]).collect()
    });
    let flood = UdpServer::start(|_| vec![vec![0; 1400]; 20_000]);
    let nothing = Err("no answer within 0.5 s");
    ordeal(vec![
        (dns(1, loops.address), Ok(())),
        (dns(2, counts.address), Ok(())),
        (dns(3, truncated.address), Ok(())),
        (dns(4, short.address), nothing),
        (dns(5, guesses.address), nothing),
        (dns(6, flood.address), nothing),
        (dns(7, no_listener()), Err("connection refused")),
        (udp(8, no_listener(), None), Err("connection refused")),
        (udp(9, flood.address, None), Ok(())),
    ]);
}
