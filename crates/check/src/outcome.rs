//! How an attempt of a check ended, in the words that reach the operator's log.

use std::fmt;
use std::io;
use std::time::Duration;

use kr_pattern::{MAX_PIECE, SearchError};

/// The end of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server did what was expected.
    Passed,
    /// The server, or the way to it, failed the check.
    Failed(Failure),
    /// This host could not even try: says nothing about the server.
    Unable(LocalFault),
}

/// Why a check failed. The text follows "failed: " in log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// One of several urls or hosts of a check failed.
    At {
        /// Which, for example `url /index.html`.
        place: String,
        /// Why.
        failure: Box<Self>,
    },
    /// The connection failed, or broke, with this error.
    Connection(io::ErrorKind),
    /// The server did not do the next thing in time.
    Timeout {
        /// What was waited for, for example `connection` or `response header`.
        waiting_for: &'static str,
        /// How long.
        after: Duration,
    },
    /// The server kept sending, but did not come to an end.
    TooSlow(Duration),
    /// The server closed the connection before this was complete.
    ClosedBefore(&'static str),
    /// Something is longer than the checker accepts.
    TooLong {
        /// What.
        what: &'static str,
        /// The bound in bytes.
        limit: u64,
    },
    /// The first line of an HTTP response holds no status code.
    NotHttp,
    /// An HTTP status that is not accepted.
    Status {
        /// The status.
        got: u16,
        /// The accepted codes, as in the configuration.
        expected: String,
    },
    /// Another body than the configured digest stands for.
    Digest {
        /// MD5 of the body.
        got: [u8; 16],
        /// The configured one.
        expected: [u8; 16],
    },
    /// The body does not match `regex`.
    NoMatch,
    /// The body matches `regex`, and shall not (`regex_no_match`).
    Match,
    /// Whether the body matches `regex` could not be found out.
    Search(SearchError),
    /// The configured pattern is not there.
    NoPattern,
    /// TLS could not be set up.
    Tls(TlsFailure),
    /// A mail server answered with a code other than the one needed.
    Reply {
        /// The step, for example `HELO`.
        to: &'static str,
        /// First line of the answer, made printable.
        text: String,
        /// The server asks not to try again (codes 500 to 599).
        permanent: bool,
    },
    /// A name server answered with this error code (RFC 1035 section 4.1.1).
    Dns(u8),
    /// The reply to a datagram is too short or too long.
    ReplyLength {
        /// Bytes.
        got: usize,
        /// Fewest accepted.
        min: u16,
        /// Most accepted.
        max: u16,
    },
    /// The reply to a datagram differs from the expected one.
    ReplyContent {
        /// Where first, counted from 0.
        at: usize,
    },
    /// The name of a mail server has no address.
    NoAddress,
    /// This host could not deliver a mail.
    Local(LocalFault),
    /// This BFD session is not up.
    SessionDown(String),
    /// The number in a file is a failure.
    Number {
        /// Name of the `track_file`.
        file: String,
        /// The number.
        number: i32,
    },
    /// A program ended with this code.
    Exit(u8),
    /// A program was ended by this signal, which was not ours.
    Signal(u8),
    /// A program ran longer than `misc_timeout`.
    ScriptTimeout(Duration),
    /// A program could not be started.
    NotStarted,
}

/// Why TLS could not be set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFailure {
    /// The server has nothing newer than TLS 1.1.
    OldVersion,
    /// What the server sent is not TLS.
    NotTls,
    /// A message of the handshake is longer than the TLS library takes.
    TooLong,
    /// The server's certificate does not pass the verification that `ca` asks for.
    Certificate(String),
    /// The server name of the configuration cannot be a TLS server name.
    ServerName(String),
    /// Anything else, in the words of the TLS library.
    Other(String),
}

/// What this host could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFault {
    /// The step.
    pub step: LocalStep,
    /// The kernel's answer.
    pub error: String,
}

/// A step before the first packet of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalStep {
    /// Making the socket.
    Socket,
    /// `fwmark`.
    Mark,
    /// `bind_if`.
    Interface,
    /// `bindto`, `bind_port`.
    Source,
    /// Connecting, with an error that tells of this host.
    Connect,
    /// Watching the socket.
    Watch,
    /// Running a program.
    Program,
    /// Using the `SSL` block.
    Tls,
    /// Opening a socket for `PING_CHECK`.
    Ping,
    /// Sending a datagram, with an error that tells of this host.
    Send,
    /// Getting a socket that needs a privilege from the IPVS process.
    Handover,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { place, failure } => write!(f, "{place}: {failure}"),
            Self::Connection(kind) => kind.fmt(f),
            Self::Timeout { waiting_for, after } => {
                write!(f, "no {waiting_for} within {}", Seconds(*after))
            }
            Self::TooSlow(after) => {
                write!(f, "still sending after {}", Seconds(*after))
            }
            Self::ClosedBefore(what) => write!(f, "connection closed before the {what}"),
            Self::TooLong { what, limit } => write!(f, "{what} longer than {limit} bytes"),
            Self::NotHttp => f.write_str("the answer has no HTTP status line"),
            Self::Status { got, expected } => write!(f, "status {got}, expected {expected}"),
            Self::Digest { got, expected } => {
                write!(f, "digest {}, expected {}", Hex(got), Hex(expected))
            }
            Self::NoMatch => f.write_str("the body does not match regex"),
            Self::Match => f.write_str("the body matches regex, which regex_no_match forbids"),
            Self::Search(SearchError::TooLong) => write!(
                f,
                "regex with look-around or back references takes bodies of at most {MAX_PIECE} bytes; write it without them, or set regex_max_offset"
            ),
            Self::Search(SearchError::TooHard) => f.write_str(
                "the search for regex in this body takes too many steps; write it without look-around and back references",
            ),
            Self::NoPattern => f.write_str("regex is not compiled"),
            Self::Tls(failure) => failure.fmt(f),
            Self::Reply { to, text, .. } => write!(f, "answer to {to}: {text}"),
            Self::Dns(code) => match dns_error(*code) {
                Some(name) => write!(f, "the name server answers {name}"),
                None => write!(f, "the name server answers with error {code}"),
            },
            Self::ReplyLength { got, min, max } => {
                write!(f, "reply of {got} bytes, expected {min} to {max}")
            }
            Self::ReplyContent { at } => {
                write!(f, "reply differs from require_reply at byte {at}")
            }
            Self::NoAddress => f.write_str("no address was found for its name"),
            Self::Local(fault) => fault.fmt(f),
            Self::SessionDown(name) => write!(f, "BFD session {name} is not up"),
            Self::Number { file, number } => write!(f, "file {file} holds {number}"),
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => write!(f, "ended by signal {number}"),
            Self::ScriptTimeout(after) => write!(f, "still running after {}", Seconds(*after)),
            Self::NotStarted => f.write_str("the program could not be started"),
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldVersion => f.write_str(
                "the server speaks only TLS older than 1.2, which is not supported; update it or use TCP_CHECK",
            ),
            Self::NotTls => f.write_str("the server does not speak TLS on this port"),
            Self::TooLong => f.write_str(
                "the server's certificate chain, or another message of its TLS handshake, is longer than 64 KiB",
            ),
            Self::Certificate(reason) => write!(f, "certificate refused: {reason}"),
            Self::ServerName(name) => write!(f, "{name:?} cannot be sent as TLS server name"),
            Self::Other(reason) => write!(f, "TLS: {reason}"),
        }
    }
}

impl fmt::Display for LocalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            LocalStep::Socket => "no socket",
            LocalStep::Mark => "fwmark cannot be set",
            LocalStep::Interface => "bind_if cannot be used",
            LocalStep::Source => "bindto or bind_port cannot be used",
            LocalStep::Connect => "cannot connect",
            LocalStep::Watch => "socket cannot be watched",
            LocalStep::Program => "the program did not run",
            LocalStep::Tls => "TLS cannot be used",
            LocalStep::Ping => "no ICMP socket",
            LocalStep::Send => "cannot send",
            LocalStep::Handover => "no socket from the IPVS process",
        };
        write!(f, "{step}: {}", self.error)
    }
}

/// Names of the error codes of DNS.
const fn dns_error(code: u8) -> Option<&'static str> {
    match code {
        1 => Some("FORMERR"),
        2 => Some("SERVFAIL"),
        3 => Some("NXDOMAIN"),
        4 => Some("NOTIMP"),
        5 => Some("REFUSED"),
        _ => None,
    }
}

impl std::error::Error for Failure {}
impl std::error::Error for LocalFault {}

/// Bytes as lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A duration in seconds without needless digits: `3 s`, `0.25 s`.
#[derive(Debug, Clone, Copy)]
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0.subsec_micros());
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{} s", self.0.as_secs()),
            digits => write!(f, "{}.{digits} s", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_an_operator_would_say_them() {
        let cases: [(Failure, &str); 6] = [
            (
                Failure::Connection(io::ErrorKind::ConnectionRefused),
                "connection refused",
            ),
            (
                Failure::Timeout {
                    waiting_for: "response header",
                    after: Duration::from_millis(2500),
                },
                "no response header within 2.5 s",
            ),
            (
                Failure::Status {
                    got: 503,
                    expected: "200-299".to_owned(),
                },
                "status 503, expected 200-299",
            ),
            (
                Failure::ClosedBefore("end of the response header"),
                "connection closed before the end of the response header",
            ),
            (Failure::Exit(1), "exit code 1"),
            (
                Failure::Digest {
                    got: [0xab; 16],
                    expected: [1; 16],
                },
                "digest abababababababababababababababab, expected 01010101010101010101010101010101",
            ),
        ];
        for (failure, text) in cases {
            assert_eq!(failure.to_string(), text);
        }
    }
}
