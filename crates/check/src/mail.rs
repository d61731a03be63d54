//! Delivery of one mail (RFC 5321): HELO, MAIL FROM, RCPT TO for each recipient, DATA, QUIT, and the
//! text of the mail (RFC 5322).
//!
//! Differences to keepalived: a recipient that the server refuses does not keep the mail from the
//! others, and codes 251 and 252 count as accepted.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use kr_model::check::{Mail, MailSettings};

use crate::conversation::{Conversation, Outgoing, Progress};
use crate::outcome::Failure;
use crate::smtp::{Reply, ReplyReader};

/// Longest line of a mail without its end (RFC 5322 section 2.1.1).
const MAX_LINE: usize = 998;

/// Longest subject in bytes.
const MAX_SUBJECT: usize = 255;

/// The text of a mail with its headers, lines ending in CR LF, dots stuffed, with the final dot.
#[must_use]
pub fn message(settings: &MailSettings, mail: &Mail, unix_seconds: i64) -> String {
    let subject = one_line(&mail.subject);
    let (subject, _) = split_at_char(&subject, MAX_SUBJECT);
    let recipients: Vec<String> = settings.to.iter().map(|to| one_line(to)).collect();
    let mut text = format!(
        "Date: {}\r\nFrom: {}\r\nSubject: {subject}\r\nX-Mailer: Keepalived\r\nTo: {}\r\n\r\n",
        date(unix_seconds),
        one_line(&settings.from),
        recipients.join(",\r\n "),
    );
    for line in mail.body.lines() {
        let clean = one_line(line);
        let mut rest = clean.as_str();
        loop {
            let (part, more) = split_at_char(rest, MAX_LINE);
            if part.starts_with('.') {
                text.push('.');
            }
            text.push_str(part);
            text.push_str("\r\n");
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
    }
    text.push_str(".\r\n");
    text
}

/// Control characters become spaces, so that no text can end a line, a header or the mail.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn split_at_char(text: &str, bytes: usize) -> (&str, &str) {
    let cut = (0..=bytes.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text.split_at(cut)
}

/// The address of `Name <address>` or a bare address, as it goes between angle brackets.
fn address(text: &str) -> String {
    let inner = text
        .rsplit_once('<')
        .map_or(text, |(_, rest)| rest.split('>').next().unwrap_or(rest));
    one_line(inner)
        .chars()
        .filter(|c| !matches!(c, '<' | '>'))
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Date and time of RFC 5322 section 3.3, in UTC.
#[must_use]
pub fn date(unix_seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let day = unix_seconds.div_euclid(86_400);
    let second = unix_seconds.rem_euclid(86_400);
    // Days since 0000-03-01 in cycles of 400 years; a year of this count starts in March, so that the
    // leap day is its last.
    let shifted = day.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2).rem_euclid(12);
    let year = era
        .saturating_mul(400)
        .saturating_add(year_of_era)
        .saturating_add(i64::from(month < 2));
    let name = |names: &'static [&'static str], index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| names.get(index))
            .copied()
            .unwrap_or_default()
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{}, {day_of_month:02} {} {year:04} {:02}:{:02}:{:02} +0000",
        name(&DAYS, day.rem_euclid(7)),
        name(&MONTHS, month),
        second / 3_600,
        second / 60 % 60,
        second % 60,
    );
    text
}

/// A mail that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Recipients that it refused, with its words.
    pub refused: Vec<(String, String)>,
}

/// The delivery of one mail over one connection.
#[derive(Debug)]
pub struct Delivery {
    helo: String,
    from: String,
    recipients: Vec<String>,
    text: String,
    replies: ReplyReader,
    outgoing: Outgoing,
    step: Step,
    refused: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Hello,
    From,
    /// The recipient that was named last.
    Recipient(usize),
    Data,
    Text,
}

impl Delivery {
    /// The delivery of `mail` as `settings` say; the date is `unix_seconds`.
    #[must_use]
    pub fn new(settings: &MailSettings, mail: &Mail, unix_seconds: i64) -> Self {
        Self {
            helo: one_line(&settings.helo),
            from: address(&settings.from),
            recipients: settings.to.iter().map(|to| address(to)).collect(),
            text: message(settings, mail, unix_seconds),
            replies: ReplyReader::default(),
            outgoing: Outgoing::default(),
            step: Step::Greeting,
            refused: Vec::new(),
        }
    }

    fn say(&mut self, line: &str, step: Step) -> Progress<Delivered> {
        self.outgoing.push(line.as_bytes());
        self.outgoing.push(b"\r\n");
        self.step = step;
        ControlFlow::Continue(())
    }

    /// Names the next recipient, or goes on to the text when at least one was accepted.
    fn recipient(&mut self, index: usize, last: Reply) -> Progress<Delivered> {
        if let Some(to) = self.recipients.get(index) {
            let line = format!("RCPT TO:<{to}>");
            return self.say(&line, Step::Recipient(index));
        }
        if self.refused.len() == self.recipients.len() {
            return self.give_up(last.refusal("RCPT TO"));
        }
        self.say("DATA", Step::Data)
    }

    fn give_up(&mut self, failure: Failure) -> Progress<Delivered> {
        self.outgoing.push(b"QUIT\r\n");
        ControlFlow::Break(Err(failure))
    }

    fn reply(&mut self, reply: Reply) -> Progress<Delivered> {
        let good = (200..300).contains(&reply.code);
        match self.step {
            Step::Greeting if good => {
                let line = format!("HELO {}", self.helo);
                self.say(&line, Step::Hello)
            }
            Step::Hello if good => {
                let line = format!("MAIL FROM:<{}>", self.from);
                self.say(&line, Step::From)
            }
            Step::From if good => self.recipient(0, reply),
            Step::Recipient(index) => {
                if let (false, Some(to)) = (good, self.recipients.get(index)) {
                    self.refused.push((to.clone(), reply.text.clone()));
                }
                self.recipient(index.saturating_add(1), reply)
            }
            Step::Data if reply.code == 354 => {
                let text = std::mem::take(&mut self.text);
                self.outgoing.push(text.as_bytes());
                self.step = Step::Text;
                ControlFlow::Continue(())
            }
            // The mail is the server's now; its answer to QUIT changes nothing.
            Step::Text if good => {
                self.outgoing.push(b"QUIT\r\n");
                ControlFlow::Break(Ok(Delivered {
                    refused: std::mem::take(&mut self.refused),
                }))
            }
            Step::Greeting => self.give_up(reply.refusal("the connection")),
            Step::Hello => self.give_up(reply.refusal("HELO")),
            Step::From => self.give_up(reply.refusal("MAIL FROM")),
            Step::Data => self.give_up(reply.refusal("DATA")),
            Step::Text => self.give_up(reply.refusal("the text of the mail")),
        }
    }
}

impl Conversation for Delivery {
    type Output = Delivered;

    fn opened(&mut self) -> Progress<Delivered> {
        ControlFlow::Continue(())
    }

    fn received(&mut self, bytes: &[u8]) -> Progress<Delivered> {
        match self.replies.push(bytes) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(reply)) => self.reply(reply),
            Err(failure) => ControlFlow::Break(Err(failure)),
        }
    }

    fn ended(&mut self) -> Result<Delivered, Failure> {
        Err(Failure::ClosedBefore(self.waiting_for()))
    }

    fn outgoing(&self) -> &[u8] {
        self.outgoing.rest()
    }

    fn sent(&mut self, count: usize) {
        self.outgoing.advance(count);
    }

    fn waiting_for(&self) -> &'static str {
        match self.step {
            Step::Greeting => "greeting",
            Step::Hello => "reply to HELO",
            Step::From => "reply to MAIL FROM",
            Step::Recipient(_) => "reply to RCPT TO",
            Step::Data => "reply to DATA",
            Step::Text => "reply to the text of the mail",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kr_model::units::Port;

    use super::*;

    fn settings() -> MailSettings {
        MailSettings {
            server: "10.0.0.25".to_owned(),
            port: Port::try_from(25).unwrap(),
            helo: "lb1".to_owned(),
            from: "Director <lb@example.org>".to_owned(),
            to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
            timeout: Duration::from_secs(30),
        }
    }

    fn mail(subject: &str, body: &str) -> Mail {
        Mail {
            subject: subject.to_owned(),
            body: body.to_owned(),
        }
    }

    fn deliver(replies: &[&str]) -> (Result<Delivered, Failure>, String) {
        let mut delivery = Delivery::new(&settings(), &mail("S", "B"), 0);
        let mut said = String::new();
        for reply in replies {
            let progress = delivery.received(format!("{reply}\r\n").as_bytes());
            said.push_str(std::str::from_utf8(delivery.outgoing()).unwrap());
            delivery.sent(delivery.outgoing().len());
            if let ControlFlow::Break(result) = progress {
                return (result, said);
            }
        }
        (delivery.ended(), said)
    }

    #[test]
    fn dates_are_those_of_rfc_5322() {
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(date(1_735_689_599), "Tue, 31 Dec 2024 23:59:59 +0000");
        assert_eq!(date(1_772_366_401), "Sun, 01 Mar 2026 12:00:01 +0000");
    }

    #[test]
    fn the_message_has_keepaliveds_headers_in_order() {
        let text = message(
            &settings(),
            &mail("[lb1] Realserver - DOWN", "=> CHECK failed <=\n"),
            0,
        );
        assert_eq!(
            text,
            "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nFrom: Director <lb@example.org>\r\n\
             Subject: [lb1] Realserver - DOWN\r\nX-Mailer: Keepalived\r\n\
             To: a@example.org,\r\n b@example.org\r\n\r\n=> CHECK failed <=\r\n.\r\n"
        );
    }

    #[test]
    fn no_text_can_add_a_header_or_end_the_mail() {
        let text = message(
            &settings(),
            &mail("x\r\nBcc: evil@example.org", ".\r\nQUIT\n..\nend\r.\r"),
            0,
        );
        assert!(text.contains("Subject: x  Bcc: evil@example.org\r\n"));
        assert!(
            text.ends_with("\r\n\r\n..\r\nQUIT\r\n...\r\nend . \r\n.\r\n"),
            "{text:?}"
        );
        let long = message(&settings(), &mail(&"😀".repeat(300), &"é".repeat(1_200)), 0);
        assert!(long.lines().all(|line| line.len() <= MAX_LINE));
    }

    #[test]
    fn the_dialogue_goes_through_every_step() {
        let (result, said) = deliver(&[
            "220-hi",
            "220 hi",
            "250 ok",
            "250 ok",
            "250 ok",
            "251 ok",
            "354 go",
            "250 queued",
        ]);
        assert_eq!(result, Ok(Delivered { refused: vec![] }));
        let commands: Vec<&str> = said
            .lines()
            .filter(|line| !line.contains(": ") && !line.is_empty())
            .collect();
        assert_eq!(
            commands,
            [
                "HELO lb1",
                "MAIL FROM:<lb@example.org>",
                "RCPT TO:<a@example.org>",
                "RCPT TO:<b@example.org>",
                "DATA",
                " b@example.org",
                "B",
                ".",
                "QUIT"
            ]
        );
    }

    #[test]
    fn one_refused_recipient_does_not_keep_the_mail_from_the_other() {
        let (result, _) = deliver(&[
            "220 hi", "250 ok", "250 ok", "550 who?", "250 ok", "354 go", "250 ok",
        ]);
        assert_eq!(
            result.unwrap().refused,
            [("a@example.org".to_owned(), "550 who?".to_owned())]
        );
        let (result, said) = deliver(&["220 hi", "250 ok", "250 ok", "550 who?", "550 none"]);
        assert!(matches!(
            result,
            Err(Failure::Reply {
                to: "RCPT TO",
                permanent: true,
                ..
            })
        ));
        assert!(said.ends_with("QUIT\r\n"));
    }

    #[test]
    fn a_busy_server_is_no_permanent_failure() {
        let (result, _) = deliver(&["421 busy"]);
        assert!(matches!(
            result,
            Err(Failure::Reply {
                permanent: false,
                ..
            })
        ));
    }
}
