//! The address of a mail server that is given by name: first `/etc/hosts`, then the name servers of
//! `/etc/resolv.conf`, over UDP (RFC 1035). The texts of the files are handed in.
//!
//! Small on purpose: no cache, no TCP, and the search list only for names without a dot. A mail needs
//! one address now and then; where that is not enough, `smtp_server` can be an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use kr_model::Instant;
use kr_model::rng::Rng;

/// How long one name server may take for one question.
const ANSWER: Duration = Duration::from_secs(2);

/// Name servers that are asked at most, as in the C library.
const MAX_SERVERS: usize = 3;

/// Search domains that are tried at most.
const MAX_SEARCH: usize = 4;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;

/// Length of the fixed header of a message (RFC 1035 section 4.1.1).
pub(crate) const DNS_HEADER: usize = 12;

/// The first address that a text in the form of `/etc/hosts` gives for a name.
#[must_use]
pub fn from_hosts(text: &str, name: &str) -> Option<IpAddr> {
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words
            .any(|word| word.eq_ignore_ascii_case(name))
            .then_some(address)
    })
}

/// A question to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name server.
    pub server: SocketAddr,
    /// The datagram.
    pub datagram: Vec<u8>,
}

/// Where a search stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// Send this, on a new socket.
    Ask(Question),
    /// An answer is awaited.
    Wait,
    /// Found.
    Found(IpAddr),
    /// No name server knows the name, or none answers.
    NotFound,
}

/// One search. Poll with [`poll`](Self::poll) after every answer and at every time-out.
#[derive(Debug)]
pub struct Lookup {
    /// Questions that are left, last first.
    left: Vec<(SocketAddr, Vec<u8>, u16)>,
    asked: Option<Asked>,
    found: Option<IpAddr>,
    rng: Rng,
}

#[derive(Debug)]
struct Asked {
    id: u16,
    kind: u16,
    deadline: Instant,
}

impl Lookup {
    /// A search for `name` with the name servers of `resolv_conf`. Without any, the local host is
    /// asked, as the C library does.
    #[must_use]
    pub fn new(name: &str, resolv_conf: &str, rng: Rng) -> Self {
        let mut servers: Vec<SocketAddr> = directives(resolv_conf, "nameserver")
            .filter_map(|word| word.parse().ok())
            .map(|address: IpAddr| SocketAddr::new(address, 53))
            .take(MAX_SERVERS)
            .collect();
        if servers.is_empty() {
            servers.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53));
        }
        let mut names = Vec::new();
        if !name.contains('.') {
            let search = directives(resolv_conf, "search").chain(directives(resolv_conf, "domain"));
            names.extend(
                search
                    .take(MAX_SEARCH)
                    .map(|domain| format!("{name}.{domain}")),
            );
        }
        names.push(name.to_owned());
        let mut left = Vec::new();
        for name in names.iter().filter_map(|name| encode_name(name)) {
            for kind in [TYPE_A, TYPE_AAAA] {
                left.extend(servers.iter().map(|server| (*server, name.clone(), kind)));
            }
        }
        left.reverse();
        Self {
            left,
            asked: None,
            found: None,
            rng,
        }
    }

    /// What to do now.
    #[must_use]
    pub fn poll(&mut self, now: Instant) -> Search {
        if let Some(address) = self.found {
            return Search::Found(address);
        }
        if self
            .asked
            .as_ref()
            .is_some_and(|asked| now < asked.deadline)
        {
            return Search::Wait;
        }
        let Some((server, name, kind)) = self.left.pop() else {
            return Search::NotFound;
        };
        let [high, low, ..] = self.rng.next().to_le_bytes();
        let id = u16::from_be_bytes([high, low]);
        self.asked = Some(Asked {
            id,
            kind,
            deadline: now.saturating_add(ANSWER),
        });
        Search::Ask(Question {
            server,
            datagram: question(id, &name, kind),
        })
    }

    /// When to [`poll`](Self::poll) without an answer.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.asked.as_ref().map(|asked| asked.deadline)
    }

    /// A datagram came from the server that was asked. One that is no answer to the question is
    /// ignored; one that is, but has no address, leads to the next question.
    pub fn answer(&mut self, datagram: &[u8]) {
        let Some(asked) = &self.asked else {
            return;
        };
        match parse(datagram, asked.id, asked.kind) {
            None => {}
            Some(Some(address)) => {
                // The other servers would say the same.
                self.found = Some(address);
                self.asked = None;
            }
            Some(None) => self.asked = None,
        }
    }

    /// The question could not be sent, or its server is not there.
    pub fn failed(&mut self) {
        self.asked = None;
    }
}

/// The words after `keyword` on its lines.
fn directives<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(keyword)).then_some(words)
        })
        .flatten()
}

/// Labels with their lengths; `None` when a label or the name is empty or too long.
pub(crate) fn encode_name(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..=63).contains(&length) {
            return None;
        }
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

pub(crate) fn question(id: u16, name: &[u8], kind: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len().saturating_add(16));
    // Flags: recursion desired. One question.
    for word in [id, 0x0100, 1, 0, 0, 0] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
    bytes
}

/// Reads an answer: `None` when it answers nothing that was asked, `Some(None)` when it has no address.
fn parse(datagram: &[u8], id: u16, kind: u16) -> Option<Option<IpAddr>> {
    let word = |at: usize| -> Option<u16> {
        let bytes = datagram.get(at..at.checked_add(2)?)?;
        Some(u16::from_be_bytes(bytes.try_into().ok()?))
    };
    let flags = word(2)?;
    if word(0)? != id || flags & 0x8000 == 0 {
        return None;
    }
    if flags & 0x000f != 0 {
        return Some(None);
    }
    let address = || -> Option<IpAddr> {
        let mut at = DNS_HEADER;
        for _ in 0..word(4)? {
            at = skip_name(datagram, at)?.checked_add(4)?;
        }
        for _ in 0..word(6)? {
            at = skip_name(datagram, at)?;
            let (found, class, length) = (word(at)?, word(at + 2)?, word(at + 8)?);
            let start = at.checked_add(10)?;
            let end = start.checked_add(usize::from(length))?;
            let data = datagram.get(start..end)?;
            if found == kind && class == CLASS_IN {
                if let Ok(octets) = <[u8; 4]>::try_from(data) {
                    return Some(Ipv4Addr::from(octets).into());
                }
                if let Ok(octets) = <[u8; 16]>::try_from(data) {
                    return Some(Ipv6Addr::from(octets).into());
                }
            }
            at = end;
        }
        None
    };
    Some(address())
}

/// Where a name ends. Names are not compared: a record of the wanted type is the answer, also behind
/// aliases, for the server was asked about nothing else.
fn skip_name(datagram: &[u8], mut at: usize) -> Option<usize> {
    // A name has at most 127 labels; a pointer ends it.
    for _ in 0..128 {
        match *datagram.get(at)? {
            0 => return at.checked_add(1),
            length if length & 0xc0 == 0xc0 => return at.checked_add(2),
            length if length & 0xc0 == 0 => {
                at = at.checked_add(usize::from(length))?.checked_add(1)?;
            }
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    /// An answer with the question's id and one record after an alias, names compressed.
    fn answer(question: &Question, kind: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = question.datagram.clone();
        bytes[2] = 0x81;
        bytes[3] = 0x80;
        bytes[7] = 2;
        let alias: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12];
        bytes.extend_from_slice(alias);
        bytes.extend_from_slice(&[
            0xc0,
            12,
            0,
            u8::try_from(kind).unwrap(),
            0,
            1,
            0,
            0,
            0,
            9,
            0,
        ]);
        bytes.push(u8::try_from(data.len()).unwrap());
        bytes.extend_from_slice(data);
        bytes
    }

    fn ask(lookup: &mut Lookup, now: Instant) -> Question {
        match lookup.poll(now) {
            Search::Ask(question) => question,
            other @ (Search::Wait | Search::Found(_) | Search::NotFound) => panic!("{other:?}"),
        }
    }

    #[test]
    fn hosts_files_are_read_with_comments_and_aliases() {
        let text =
            "127.0.0.1 localhost\n# 10.0.0.1 mail\n10.0.0.2\tMAIL.example.org mail # x\n::1 mail\n";
        assert_eq!(
            from_hosts(text, "mail"),
            Some(Ipv4Addr::new(10, 0, 0, 2).into())
        );
        assert_eq!(from_hosts(text, "x"), None);
    }

    #[test]
    fn an_address_behind_an_alias_is_found() {
        let mut lookup = Lookup::new("mail.example.org", "nameserver 10.0.0.53\n", Rng::new(1));
        let question = ask(&mut lookup, at(0));
        assert_eq!(question.server, "10.0.0.53:53".parse().unwrap());
        assert_eq!(lookup.poll(at(1)), Search::Wait);
        lookup.answer(&answer(&question, TYPE_A, &[10, 0, 0, 25]));
        assert_eq!(
            lookup.poll(at(2)),
            Search::Found(Ipv4Addr::new(10, 0, 0, 25).into())
        );
    }

    #[test]
    fn silence_and_missing_records_lead_to_the_next_question() {
        let conf = "search example.org\nnameserver 10.0.0.53\nnameserver 10.0.0.54\n";
        let mut lookup = Lookup::new("mail", conf, Rng::new(1));
        let first = ask(&mut lookup, at(0));
        assert!(first.datagram.windows(7).any(|w| w == b"example"));
        let second = ask(&mut lookup, at(2_000));
        assert_eq!(second.server, "10.0.0.54:53".parse().unwrap());
        // An answer without an address of the type asked for; then IPv6 is asked for.
        lookup.answer(&answer(&second, 16, b"text"));
        let third = ask(&mut lookup, at(2_001));
        lookup.answer(&answer(&third, TYPE_AAAA, &[0; 16]));
        assert_eq!(
            lookup.poll(at(2_002)),
            Search::Found(Ipv6Addr::UNSPECIFIED.into())
        );
    }

    #[test]
    fn a_foreign_id_is_ignored_and_the_end_is_not_found() {
        let mut lookup = Lookup::new("mail.example.org", "", Rng::new(1));
        let mut question = ask(&mut lookup, at(0));
        question.datagram[0] ^= 1;
        lookup.answer(&answer(&question, TYPE_A, &[10, 0, 0, 25]));
        assert_eq!(lookup.poll(at(1)), Search::Wait);
        lookup.failed();
        let _ = ask(&mut lookup, at(1));
        lookup.failed();
        assert_eq!(lookup.poll(at(1)), Search::NotFound);
        assert_eq!(
            Lookup::new("..", "", Rng::new(1)).poll(at(0)),
            Search::NotFound
        );
    }

    proptest::proptest! {
        #[test]
        fn no_datagram_makes_the_parser_fall_over(bytes in proptest::collection::vec(0_u8.., 0..600)) {
            let mut datagram = vec![0, 7, 0x80, 0, 0, 1, 0, 9];
            datagram.extend_from_slice(&bytes);
            let _ = parse(&datagram, 7, TYPE_A);
        }
    }
}
