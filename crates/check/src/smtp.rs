//! The words of mail servers (RFC 5321): replies, and `SMTP_CHECK`.
//!
//! `SMTP_CHECK` waits for the greeting (220), says HELO and waits for 250, says QUIT and waits for any
//! reply. Replies of several lines are understood, in which keepalived sees a failure.

use std::ops::ControlFlow;

use crate::conversation::{Conversation, Outgoing, Progress};
use crate::outcome::Failure;

/// Longest reply in bytes, over all its lines. RFC 5321 section 4.5.3.1.5 asks for 512 a line.
const MAX_REPLY: usize = 16 * 1024;

/// Longest text of a reply that goes into a message.
const MAX_TEXT: usize = 200;

/// A reply of a mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its code.
    pub code: u16,
    /// Its first line, printable.
    pub text: String,
}

impl Reply {
    /// The failure that this reply means as an answer to `to`.
    #[must_use]
    pub fn refusal(self, to: &'static str) -> Failure {
        Failure::Reply {
            to,
            permanent: (500..600).contains(&self.code),
            text: self.text,
        }
    }
}

/// Collects the bytes of replies.
#[derive(Debug, Default)]
pub struct ReplyReader {
    bytes: Vec<u8>,
}

impl ReplyReader {
    /// Takes bytes and gives the reply that they complete. What came after it is dropped: a server that
    /// speaks before it is asked is not listened to.
    ///
    /// # Errors
    /// When a reply is too long, or is none.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Failure> {
        self.bytes.extend_from_slice(bytes);
        let mut first = None;
        for line in self.bytes.split_inclusive(|b| *b == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else {
                break;
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = first.get_or_insert_with(|| printable(line));
            let Some((code, last)) = code_of(line) else {
                return Err(Failure::Reply {
                    to: "the protocol",
                    text: text.clone(),
                    permanent: false,
                });
            };
            if last {
                let reply = Reply {
                    code,
                    text: text.clone(),
                };
                self.bytes.clear();
                return Ok(Some(reply));
            }
        }
        if self.bytes.len() > MAX_REPLY {
            return Err(Failure::TooLong {
                what: "reply of the mail server",
                limit: u64::try_from(MAX_REPLY).unwrap_or(u64::MAX),
            });
        }
        Ok(None)
    }
}

/// The code of a line, and whether the line is the last of its reply.
fn code_of(line: &[u8]) -> Option<(u16, bool)> {
    let digits = line.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match line.get(3) {
        None | Some(b' ') => Some((code, true)),
        Some(b'-') => Some((code, false)),
        Some(_) => None,
    }
}

fn printable(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .take(MAX_TEXT)
        .collect()
}

/// `SMTP_CHECK` of one host.
#[derive(Debug)]
pub struct SmtpCheck {
    hello: String,
    replies: ReplyReader,
    outgoing: Outgoing,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Hello,
    Quit,
}

impl Step {
    const fn waiting_for(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Hello => "reply to HELO",
            Self::Quit => "reply to QUIT",
        }
    }
}

impl SmtpCheck {
    /// A check that introduces itself as `helo`.
    #[must_use]
    pub fn new(helo: &str) -> Self {
        Self {
            hello: format!("HELO {helo}\r\n"),
            replies: ReplyReader::default(),
            outgoing: Outgoing::default(),
            step: Step::Greeting,
        }
    }

    fn reply(&mut self, reply: Reply) -> Progress<()> {
        match (self.step, reply.code) {
            (Step::Greeting, 220) => {
                self.outgoing.push(self.hello.as_bytes());
                self.step = Step::Hello;
                ControlFlow::Continue(())
            }
            (Step::Hello, 250) => {
                self.outgoing.push(b"QUIT\r\n");
                self.step = Step::Quit;
                ControlFlow::Continue(())
            }
            (Step::Quit, _) => ControlFlow::Break(Ok(())),
            (Step::Greeting, _) => ControlFlow::Break(Err(reply.refusal("the connection"))),
            (Step::Hello, _) => ControlFlow::Break(Err(reply.refusal("HELO"))),
        }
    }
}

impl Conversation for SmtpCheck {
    type Output = ();

    fn opened(&mut self) -> Progress<()> {
        ControlFlow::Continue(())
    }

    fn received(&mut self, bytes: &[u8]) -> Progress<()> {
        match self.replies.push(bytes) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(reply)) => self.reply(reply),
            Err(failure) => ControlFlow::Break(Err(failure)),
        }
    }

    fn ended(&mut self) -> Result<(), Failure> {
        Err(Failure::ClosedBefore(self.step.waiting_for()))
    }

    fn outgoing(&self) -> &[u8] {
        self.outgoing.rest()
    }

    fn sent(&mut self, count: usize) {
        self.outgoing.advance(count);
    }

    fn waiting_for(&self) -> &'static str {
        self.step.waiting_for()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(server: &[&str]) -> (Result<(), Failure>, String) {
        let mut check = SmtpCheck::new("me");
        let mut said = String::new();
        assert!(check.opened().is_continue());
        for line in server {
            let progress = check.received(line.as_bytes());
            said.push_str(std::str::from_utf8(check.outgoing()).unwrap());
            check.sent(check.outgoing().len());
            if let ControlFlow::Break(result) = progress {
                return (result, said);
            }
        }
        (check.ended(), said)
    }

    #[test]
    fn a_mail_server_with_many_lines_passes() {
        assert_eq!(
            talk(&[
                "220-well",
                "come\r\n220 here\r\n",
                "250-a\r\n250\r\n",
                "599 what\r\n"
            ]),
            (Ok(()), "HELO me\r\nQUIT\r\n".to_owned())
        );
    }

    #[test]
    fn refusals_carry_the_servers_words() {
        let (result, _) = talk(&["554 go\x07 away\r\n"]);
        assert_eq!(
            result.unwrap_err().to_string(),
            "answer to the connection: 554 go? away"
        );
        let (result, _) = talk(&["220 a\r\n", "450 later\r\n"]);
        assert_eq!(result.unwrap_err().to_string(), "answer to HELO: 450 later");
    }

    #[test]
    fn nonsense_endless_lines_and_early_ends_fail() {
        assert!(matches!(
            talk(&["HTTP/1.0 400\r\n"]).0,
            Err(Failure::Reply { .. })
        ));
        let long = "2".repeat(MAX_REPLY + 1);
        assert!(matches!(talk(&[&long]).0, Err(Failure::TooLong { .. })));
        let many = "220-x\r\n".repeat(MAX_REPLY / 7 + 1);
        assert!(matches!(talk(&[&many]).0, Err(Failure::TooLong { .. })));
        assert_eq!(
            talk(&["220 a\r\n"]).0.unwrap_err().to_string(),
            "connection closed before the reply to HELO"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_lines_in_any_pieces_give_the_same_result(
            bytes in proptest::collection::vec(proptest::sample::select(b"25 -x\r\n\n".to_vec()), 0..80),
            cut in 0_usize..80,
        ) {
            // A reply ends what is heard in one piece, so only a single reply is compared.
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let mut whole = ReplyReader::default();
            let mut pieces = ReplyReader::default();
            let expected = whole.push(&bytes);
            let first = pieces.push(a);
            let got = if matches!(first, Ok(None)) { pieces.push(b) } else { first };
            proptest::prop_assert_eq!(got, expected);
        }
    }
}
