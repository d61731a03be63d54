//! What a mail server says, after a byte that says in which pieces it comes; and the text of a mail.

use std::time::Duration;

use kr_check::mail::Delivery;
use kr_check::smtp::SmtpCheck;
use kr_model::check::{Mail, MailSettings};
use kr_model::units::Port;

use crate::pieces::choice_and_size;
use crate::talk::{Course, lead};

/// Longest line without its end (RFC 5322 section 2.1.1), and the dot that is put before another.
const MAX_LINE: usize = 998 + 1;

/// `SMTP_CHECK` never says more than its two commands, one per line of the server at most, and passes only
/// after both.
pub fn smtp_check(data: &[u8]) {
    let Some((_, size, bytes)) = choice_and_size(data) else {
        return;
    };
    let Course { result, said } = lead(SmtpCheck::new("lb.example"), bytes.chunks(size));
    let all: &[u8] = b"HELO lb.example\r\nQUIT\r\n";
    assert!(
        all.starts_with(&said),
        "{:?}",
        String::from_utf8_lossy(&said)
    );
    assert!(lines(&said) <= lines(bytes));
    if result.is_ok() {
        assert_eq!(said, all);
        assert!(lines(bytes) >= 3);
    }
}

/// A mail with any subject and body to a server that says anything, with a zero byte between the three: the
/// commands come in their order, no line is too long, and only one ends the mail.
pub fn mail_delivery(data: &[u8]) {
    let Some((_, size, rest)) = choice_and_size(data) else {
        return;
    };
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (subject, body) = (text(), text());
    let replies = parts.next().unwrap_or_default();
    let delivery = Delivery::new(&settings(), &Mail { subject, body }, 0);
    let Course { result, said } = lead(delivery, replies.chunks(size));
    let said = String::from_utf8(said).expect("only text is sent");
    let (commands, mail) = match said.split_once("DATA\r\n") {
        Some((commands, mail)) => (commands, mail),
        None => (said.as_str(), ""),
    };
    let all = "HELO lb.example\r\nMAIL FROM:<lb@example.org>\r\nRCPT TO:<a@example.org>\r\n\
               RCPT TO:<b@example.org>\r\n";
    let commands = commands.strip_suffix("QUIT\r\n").unwrap_or(commands);
    assert!(all.starts_with(commands), "{commands:?}");
    let whole = mail.strip_suffix("QUIT\r\n").unwrap_or(mail);
    if !whole.is_empty() {
        assert_eq!(commands, all);
        assert!(whole.ends_with("\r\n.\r\n"));
        assert_eq!(whole.split("\r\n").filter(|line| *line == ".").count(), 1);
        assert!(whole.split("\r\n").all(|line| line.len() <= MAX_LINE));
        assert!(whole.replace("\r\n", "").find(['\r', '\n']).is_none());
    }
    if let Ok(delivered) = result {
        assert!(!whole.is_empty());
        assert!(delivered.refused.len() < settings().to.len());
    }
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn settings() -> MailSettings {
    MailSettings {
        server: "192.0.2.25".to_owned(),
        port: Port::try_from(25).expect("a port"),
        helo: "lb.example".to_owned(),
        from: "Director <lb@example.org>".to_owned(),
        to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
        timeout: Duration::from_secs(30),
    }
}
