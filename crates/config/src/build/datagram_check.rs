//! `DNS_CHECK`, `UDP_CHECK` and `PING_CHECK`: the values of their keywords.

use kr_model::check::{ExpectedReply, PatternByte};

use crate::registry::Block;
use crate::tree::Statement;

use super::Build;
use super::check_draft::{CheckKind, CheckerDraft, ConnectionDraft, TimingDraft};
use super::checker::network_context;
use super::finding::error;
use super::value::set;
use super::walk::Context;

const DNS: Context = network_context(
    "DNS_CHECK",
    &[Block::DnsCheck, Block::Connection, Block::Timing],
);
const UDP: Context = network_context(
    "UDP_CHECK",
    &[Block::UdpCheck, Block::Connection, Block::Timing],
);
const PING: Context = network_context("PING_CHECK", &[Block::Connection, Block::Timing]);

/// Record types by name, with their numbers (RFC 1035, RFC 3596, RFC 4034).
const RECORDS: [(&str, u16); 9] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("RRSIG", 46),
    ("DNSKEY", 48),
];

/// `type` when it is not given: SOA.
const DEFAULT_RECORD: u16 = 6;

/// `payload` when it is not given.
const DEFAULT_PAYLOAD: &[u8; 32] = b"keepalived-rs checks this server";

/// Longest payload or expected reply, in bytes: a checker travels in one message.
const MOST_BYTES: usize = 2048;

/// `max_reply_length` when `require_reply` has data.
const DEFAULT_MOST: u16 = 255;

/// `require_reply` and the lengths, as far as the block says.
#[derive(Default)]
struct ReplyDraft {
    required: bool,
    pattern: Vec<PatternByte>,
    min: Option<u16>,
    max: Option<u16>,
}

impl ReplyDraft {
    /// Without data only the lengths that are given count.
    fn finish(self) -> Option<ExpectedReply> {
        let most = if self.pattern.is_empty() {
            u16::MAX
        } else {
            DEFAULT_MOST
        };
        self.required.then(|| ExpectedReply {
            pattern: self.pattern,
            min: self.min.unwrap_or(0),
            max: self.max.unwrap_or(most),
        })
    }
}

impl Build<'_> {
    pub(super) fn dns_check(&mut self, statement: &Statement) -> CheckerDraft {
        let mut name = None;
        let mut record = None;
        let own = |build: &mut Self, keyword: &str, line: &Statement| {
            match keyword {
                "name" => set(&mut name, build.domain(line)),
                "type" => set(&mut record, build.record(line)),
                _ => return false,
            }
            true
        };
        let (connection, timing) = self.datagram_settings(&DNS, statement, own);
        CheckerDraft {
            at: statement.keyword.span,
            connection,
            timing,
            kind: CheckKind::Dns {
                name: name.unwrap_or_else(|| ".".to_owned()),
                record: record.unwrap_or(DEFAULT_RECORD),
            },
        }
    }

    pub(super) fn udp_check(&mut self, statement: &Statement) -> CheckerDraft {
        let mut payload = None;
        let mut reply = ReplyDraft::default();
        let own = |build: &mut Self, keyword: &str, line: &Statement| {
            match keyword {
                "payload" => set(&mut payload, build.hex(line, Wildcards::Refused)),
                "require_reply" => {
                    reply.required = true;
                    reply.pattern = build.hex(line, Wildcards::Taken).unwrap_or_default();
                }
                "min_reply_length" => set(&mut reply.min, build.length(line)),
                "max_reply_length" => set(&mut reply.max, build.length(line)),
                _ => return false,
            }
            true
        };
        let (connection, timing) = self.datagram_settings(&UDP, statement, own);
        let least_and_most = reply.min.zip(reply.max);
        if let Some((min, max)) = least_and_most.filter(|(min, max)| min > max) {
            self.report(
                error(
                    statement.keyword.span,
                    format!("no reply has at least {min} and at most {max} bytes"),
                )
                .help("make max_reply_length the larger one"),
            );
            reply.max = None;
        }
        let payload = payload.map(|bytes| bytes.iter().map(|byte| byte.value).collect());
        CheckerDraft {
            at: statement.keyword.span,
            connection,
            timing,
            kind: CheckKind::Udp {
                payload: payload.unwrap_or_else(|| DEFAULT_PAYLOAD.to_vec()),
                reply: reply.finish(),
            },
        }
    }

    pub(super) fn ping_check(&mut self, statement: &Statement) -> CheckerDraft {
        let (connection, timing) = self.datagram_settings(&PING, statement, |_, _, _| false);
        CheckerDraft {
            at: statement.keyword.span,
            connection,
            timing,
            kind: CheckKind::Ping,
        }
    }

    fn datagram_settings(
        &mut self,
        context: &Context,
        statement: &Statement,
        own: impl FnMut(&mut Self, &str, &Statement) -> bool,
    ) -> (ConnectionDraft, TimingDraft) {
        let mut connection = ConnectionDraft::default();
        let mut timing = TimingDraft::default();
        self.network_settings(context, &mut connection, &mut timing, statement, own);
        (connection, timing)
    }

    fn domain(&mut self, line: &Statement) -> Option<String> {
        let word = line.arguments.first()?;
        let fits = is_domain(&word.text);
        if !fits {
            self.report(
                error(word.span, format!("`{}` is not a domain name", word.text))
                    .label("expected labels of 1 to 63 bytes with dots between, at most 253 bytes"),
            );
        }
        fits.then(|| word.text.clone())
    }

    fn record(&mut self, line: &Statement) -> Option<u16> {
        let word = line.arguments.first()?;
        let mut known = RECORDS.iter();
        let found = known.find(|(name, _)| name.eq_ignore_ascii_case(&word.text));
        if found.is_none() {
            let names: Vec<&str> = RECORDS.iter().map(|(name, _)| *name).collect();
            self.report(
                error(word.span, format!("unknown record type `{}`", word.text))
                    .label(format!("expected one of {}", names.join(", "))),
            );
        }
        found.map(|(_, number)| *number)
    }

    fn length(&mut self, line: &Statement) -> Option<u16> {
        u16::try_from(self.number(line, 0, u64::from(u16::MAX))?).ok()
    }

    /// All words of a line as bytes.
    fn hex(&mut self, line: &Statement, wildcards: Wildcards) -> Option<Vec<PatternByte>> {
        let words = || {
            line.arguments
                .iter()
                .flat_map(|word| word.text.split_whitespace())
        };
        let bytes: Option<Vec<PatternByte>> = words()
            .map(|word| hex_word(word, wildcards))
            .collect::<Option<Vec<_>>>()
            .map(|bytes| bytes.concat());
        let at = line
            .arguments
            .first()
            .map_or(line.keyword.span, |word| word.span);
        match bytes {
            Some(bytes) if bytes.len() <= MOST_BYTES => Some(bytes),
            Some(_) => {
                self.report(error(at, format!("more than {MOST_BYTES} bytes")));
                None
            }
            None => {
                let also = match wildcards {
                    Wildcards::Refused => "",
                    Wildcards::Taken => " and X for a digit that does not count",
                };
                self.report(
                    error(
                        at,
                        format!("the bytes of `{}` cannot be read", line.keyword.text),
                    )
                    .label(format!("expected hexadecimal digits{also}")),
                );
                None
            }
        }
    }
}

/// Whether `X` may stand for any digit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    Refused,
    Taken,
}

/// Pairs of digits; a digit that is left over at the end is a byte of its own.
fn hex_word(word: &str, wildcards: Wildcards) -> Option<Vec<PatternByte>> {
    let nibble = |digit: u8| match digit {
        b'x' | b'X' if wildcards == Wildcards::Taken => Some((0, 0)),
        digit => {
            let value = char::from(digit).to_digit(16)?;
            Some((u8::try_from(value).ok()?, 0x0f))
        }
    };
    word.as_bytes()
        .chunks(2)
        .map(|digits| match digits {
            [high, low] => {
                let ((high, high_mask), (low, low_mask)) = (nibble(*high)?, nibble(*low)?);
                Some(PatternByte {
                    value: high << 4 | low,
                    mask: high_mask << 4 | low_mask,
                })
            }
            [only] => {
                let (value, mask) = nibble(*only)?;
                Some(PatternByte {
                    value,
                    mask: 0xf0 | mask,
                })
            }
            _ => None,
        })
        .collect()
}

/// The root, or labels that can be encoded (RFC 1035 section 2.3.4).
fn is_domain(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    text == "."
        || (name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_pair_up_and_a_single_one_is_a_byte() {
        let bytes = |word| {
            let list = hex_word(word, Wildcards::Taken)?;
            Some(list.iter().map(|b| (b.value, b.mask)).collect::<Vec<_>>())
        };
        assert_eq!(bytes("AA"), Some(vec![(0xaa, 0xff)]));
        assert_eq!(bytes("1"), Some(vec![(0x01, 0xff)]));
        assert_eq!(bytes("0x7"), Some(vec![(0x00, 0xf0), (0x07, 0xff)]));
        assert_eq!(bytes("XxX1"), Some(vec![(0, 0), (0x01, 0x0f)]));
        assert_eq!(bytes("g0"), None);
        assert!(hex_word("x1", Wildcards::Refused).is_none());
    }

    #[test]
    fn names_are_those_that_can_be_asked_for() {
        for good in [".", "example", "www.example.org.", &"a".repeat(63)] {
            assert!(is_domain(good), "{good}");
        }
        for bad in ["", "..", "a..b", ".a", &"a".repeat(64), &"ab.".repeat(85)] {
            assert!(!is_domain(bad), "{bad}");
        }
    }
}
