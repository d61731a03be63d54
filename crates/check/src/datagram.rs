//! Checks that send one datagram and judge what comes back: `DNS_CHECK`, `UDP_CHECK` (RFC 768) and
//! `PING_CHECK` (RFC 792, RFC 4443).
//!
//! The socket is connected, so datagrams of others never get here; what does is hostile all the same, and is
//! looked at once and forgotten. An ICMP error comes as an error of the socket and ends the attempt, so a
//! flood of them costs one.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use kr_model::Instant;
use kr_model::check::{Connection, ExpectedReply, UdpProbe};

use crate::conversation::Progress;
use crate::outcome::Failure;
use crate::resolve::{DNS_HEADER, encode_name, question};

/// Payload of an echo request.
const ECHO_PAYLOAD: [u8; 128] = [0x5a; 128];

/// Echo request and reply of ICMP and of ICMPv6.
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// One attempt.
#[derive(Debug)]
pub struct DatagramCheck {
    request: Vec<u8>,
    expected: Expected,
    deadline: Instant,
    connection: Connection,
}

/// What counts as an answer.
#[derive(Debug)]
enum Expected {
    /// A DNS answer with this id.
    Dns { id: u16 },
    /// Any datagram; silence passes too.
    Anything,
    /// A datagram like this.
    Reply(ExpectedReply),
    /// An echo reply of this type and sequence number.
    Echo { kind: u8, sequence: u16 },
}

impl DatagramCheck {
    /// A question to a name server; `id` should be hard to guess.
    #[must_use]
    pub fn dns(connection: &Connection, name: &str, record: u16, id: u16, now: Instant) -> Self {
        // The root has no labels. The configuration accepts no other name that cannot be encoded.
        let name = encode_name(name).unwrap_or_else(|| vec![0]);
        let request = question(id, &name, record);
        Self::new(connection, request, Expected::Dns { id }, now)
    }

    /// A datagram to any server.
    #[must_use]
    pub fn udp(probe: &UdpProbe, now: Instant) -> Self {
        let expected = match &probe.reply {
            None => Expected::Anything,
            Some(reply) => Expected::Reply(reply.clone()),
        };
        Self::new(&probe.connection, probe.payload.clone(), expected, now)
    }

    /// An echo request. The kernel fills in checksum and identifier.
    #[must_use]
    pub fn ping(connection: &Connection, sequence: u16, now: Instant) -> Self {
        let (request, reply) = match connection.target {
            SocketAddr::V4(_) => ECHO_V4,
            SocketAddr::V6(_) => ECHO_V6,
        };
        let [high, low] = sequence.to_be_bytes();
        let mut bytes = vec![request, 0, 0, 0, 0, 0, high, low];
        bytes.extend_from_slice(&ECHO_PAYLOAD);
        let expected = Expected::Echo {
            kind: reply,
            sequence,
        };
        Self::new(connection, bytes, expected, now)
    }

    fn new(connection: &Connection, request: Vec<u8>, expected: Expected, now: Instant) -> Self {
        Self {
            request,
            expected,
            deadline: now.saturating_add(connection.timeout),
            connection: connection.clone(),
        }
    }

    /// How to reach the server.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The datagram to send, once.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// ICMP errors that a connected socket would keep quiet about are wanted.
    #[must_use]
    pub const fn wants_every_error(&self) -> bool {
        match self.expected {
            Expected::Dns { .. } => false,
            Expected::Anything | Expected::Reply(_) | Expected::Echo { .. } => true,
        }
    }

    /// A datagram came.
    pub fn received(&self, datagram: &[u8]) -> Progress<()> {
        match &self.expected {
            Expected::Dns { id } => dns_answer(datagram, *id),
            Expected::Anything => ControlFlow::Break(Ok(())),
            Expected::Reply(reply) => ControlFlow::Break(judge(datagram, reply)),
            Expected::Echo { kind, sequence } => echo_reply(datagram, *kind, *sequence),
        }
    }

    /// When [`late`](Self::late) is due.
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        self.deadline
    }

    /// What nothing but silence until the deadline means.
    ///
    /// # Errors
    /// When an answer was needed.
    pub const fn late(&self) -> Result<(), Failure> {
        let waiting_for = match self.expected {
            Expected::Anything => return Ok(()),
            Expected::Dns { .. } => "answer",
            Expected::Reply(_) => "reply",
            Expected::Echo { .. } => "echo reply",
        };
        Err(Failure::Timeout {
            waiting_for,
            after: self.connection.timeout,
        })
    }
}

/// Only the header counts: what the server knows of the name is not judged (RFC 1035 section 4.1.1).
fn dns_answer(datagram: &[u8], id: u16) -> Progress<()> {
    let Some(&[first, second, flags, code, ..]) = datagram.get(..DNS_HEADER) else {
        return ControlFlow::Continue(());
    };
    if u16::from_be_bytes([first, second]) != id || flags & 0x80 == 0 {
        return ControlFlow::Continue(());
    }
    ControlFlow::Break(match code & 0x0f {
        0 => Ok(()),
        code => Err(Failure::Dns(code)),
    })
}

fn echo_reply(datagram: &[u8], kind: u8, sequence: u16) -> Progress<()> {
    match datagram {
        [found, 0, _, _, _, _, high, low, ..]
            if *found == kind && u16::from_be_bytes([*high, *low]) == sequence =>
        {
            ControlFlow::Break(Ok(()))
        }
        _ => ControlFlow::Continue(()),
    }
}

/// Length and beginning of a reply.
fn judge(datagram: &[u8], reply: &ExpectedReply) -> Result<(), Failure> {
    let ExpectedReply { pattern, min, max } = reply;
    if !(usize::from(*min)..=usize::from(*max)).contains(&datagram.len()) {
        return Err(Failure::ReplyLength {
            got: datagram.len(),
            min: *min,
            max: *max,
        });
    }
    let differs =
        |(got, byte): (&u8, &kr_model::check::PatternByte)| (got ^ byte.value) & byte.mask != 0;
    match datagram.iter().zip(pattern).position(differs) {
        None => Ok(()),
        Some(at) => Err(Failure::ReplyContent { at }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use kr_model::check::PatternByte;
    use proptest::prelude::*;

    use super::*;

    const NOW: Instant = Instant::ZERO;

    fn connection(ip: &str) -> Connection {
        Connection {
            target: (ip.parse::<IpAddr>().unwrap(), 53).into(),
            source: None,
            source_port: None,
            interface: None,
            mark: 0,
            timeout: Duration::from_secs(3),
        }
    }

    fn dns(name: &str) -> DatagramCheck {
        DatagramCheck::dns(&connection("192.0.2.1"), name, 6, 0x1234, NOW)
    }

    fn udp(reply: Option<ExpectedReply>) -> DatagramCheck {
        let probe = UdpProbe {
            connection: connection("192.0.2.1"),
            payload: b"ask".to_vec(),
            reply,
        };
        DatagramCheck::udp(&probe, NOW)
    }

    #[test]
    fn the_question_is_the_configured_name_or_the_root() {
        let header = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
        let root = [header.as_slice(), b"\x00\x00\x06\x00\x01"].concat();
        assert_eq!(dns(".").request(), root);
        let name = b"\x03www\x07example\x00\x00\x06\x00\x01";
        let named = [header.as_slice(), name].concat();
        assert_eq!(dns("www.example").request(), named);
        assert_eq!(dns("www.example.").request(), named);
    }

    #[test]
    fn a_dns_answer_is_one_with_the_id_and_without_an_error() {
        let check = dns(".");
        let answer = |id: &[u8; 2], flags: &[u8; 2]| {
            check.received(&[id.as_slice(), flags, &[0; 8]].concat())
        };
        assert_eq!(answer(b"\x12\x34", b"\x81\x80"), ControlFlow::Break(Ok(())));
        assert_eq!(
            answer(b"\x12\x34", b"\x81\x82"),
            ControlFlow::Break(Err(Failure::Dns(2)))
        );
        assert!(answer(b"\x12\x35", b"\x81\x80").is_continue());
        assert!(answer(b"\x12\x34", b"\x01\x00").is_continue());
        assert!(check.received(b"\x12\x34\x81\x80").is_continue());
        assert_eq!(
            check.late().unwrap_err().to_string(),
            "no answer within 3 s"
        );
    }

    #[test]
    fn without_require_reply_silence_and_anything_pass() {
        let check = udp(None);
        assert_eq!(check.late(), Ok(()));
        assert_eq!(check.received(b""), ControlFlow::Break(Ok(())));
    }

    #[test]
    fn a_reply_has_the_length_and_begins_as_configured() {
        let byte = |value, mask| PatternByte { value, mask };
        // `4f 4x xb`
        let pattern = vec![byte(0x4f, 0xff), byte(0x40, 0xf0), byte(0x0b, 0x0f)];
        let check = udp(Some(ExpectedReply {
            pattern,
            min: 2,
            max: 4,
        }));
        for (reply, expected) in [
            (&b"OK\x1b"[..], Ok(())),
            (b"OK", Ok(())),
            (b"OA\xfb!", Ok(())),
            (b"OK\x1c", Err(Failure::ReplyContent { at: 2 })),
            (b"NK\x1b", Err(Failure::ReplyContent { at: 0 })),
            (
                b"O",
                Err(Failure::ReplyLength {
                    got: 1,
                    min: 2,
                    max: 4,
                }),
            ),
            (
                b"OK\x1b!!",
                Err(Failure::ReplyLength {
                    got: 5,
                    min: 2,
                    max: 4,
                }),
            ),
        ] {
            assert_eq!(
                check.received(reply),
                ControlFlow::Break(expected),
                "{reply:?}"
            );
        }
        assert!(check.late().is_err());
    }

    #[test]
    fn only_the_echo_reply_of_this_request_passes() {
        for (ip, request, reply) in [("192.0.2.1", 8, 0), ("2001:db8::1", 128, 129)] {
            let check = DatagramCheck::ping(&connection(ip), 0x0102, NOW);
            assert_eq!(check.request()[..8], [request, 0, 0, 0, 0, 0, 1, 2]);
            assert_eq!(check.request().len(), 136);
            let answer = |kind: u8, low: u8| check.received(&[kind, 0, 9, 9, 9, 9, 1, low, 7]);
            assert_eq!(answer(reply, 2), ControlFlow::Break(Ok(())));
            assert!(answer(reply, 3).is_continue());
            assert!(answer(request, 2).is_continue());
            assert!(check.received(&[reply, 0, 0]).is_continue());
        }
    }

    proptest! {
        #[test]
        fn no_datagram_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let reply = ExpectedReply { pattern: Vec::new(), min: 0, max: 255 };
            let ping = DatagramCheck::ping(&connection("192.0.2.1"), 1, NOW);
            for check in [dns("a"), udp(None), udp(Some(reply)), ping] {
                let _ = check.received(&bytes);
            }
        }
    }
}
