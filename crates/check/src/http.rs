//! `HTTP_GET` and `SSL_GET`: the request, the answer, and whether it is the one wanted.
//!
//! The request is keepalived's, byte for byte. The answer is read to its end, which is the end of the
//! connection, or the end that the header tells: `Content-Length` bytes, the last chunk, or no body at all
//! for status 204 and 304. (keepalived waits for the end of the connection in any case and so fails servers that
//! keep it open.) A body that ends before `Content-Length` is judged as it is.
//!
//! Wherever keepalived is narrow, more is accepted here: a longer header, lines that end in a bare LF,
//! a status line without a reason, and field names in any case.

mod chunks;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;

use kr_model::check::{BodyPattern, Checker, HttpVersion, PatternOptions, Probe, StatusRange, Url};
use kr_pattern::{Pattern, Search, SearchError};
use md5::{Digest as _, Md5};

use crate::conversation::{Conversation, Outgoing, Progress};
use crate::outcome::Failure;
use chunks::Chunks;

/// Longest response header in bytes. keepalived takes 4095.
pub const MAX_HEADER: usize = 16 * 1024;

/// Longest body in bytes. A check that fetches more is not a check; an endless body would keep a
/// processor busy.
pub const MAX_BODY: u64 = 64 * 1024 * 1024;

/// `User-Agent` of checks and `genhash`.
const USER_AGENT: &str = "KeepAliveClient";

/// The request for a page.
#[must_use]
pub fn request(path: &str, host: &str, version: HttpVersion) -> String {
    let (minor, connection) = match version {
        HttpVersion::V1_0 => (0, ""),
        HttpVersion::V1_0Close => (0, "Connection: close\r\n"),
        HttpVersion::V1_1 => (1, "Connection: close\r\n"),
        HttpVersion::V1_0KeepAlive => (0, "Connection: keep-alive\r\n"),
        HttpVersion::V1_1KeepAlive => (1, "Connection: keep-alive\r\n"),
    };
    format!(
        "GET {path} HTTP/1.{minor}\r\nUser-Agent: {USER_AGENT}\r\n{connection}Host: {host}\r\n\r\n"
    )
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// The header with its end mark, as received.
    pub header: Vec<u8>,
    /// MD5 of the body, when asked for.
    pub digest: Option<[u8; 16]>,
    /// The body, when asked for.
    pub body: Vec<u8>,
    /// How many bytes `Content-Length` tells of that did not come.
    pub missing: u64,
    /// Whether the body matches the pattern, when one was searched.
    pub matches: Option<Result<bool, SearchError>>,
}

/// Which parts of the body are of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// None: only the status is judged.
    Nothing,
    /// Its digest.
    Digest,
    /// Its digest and its bytes.
    Body,
}

/// What a `url` block wants, checked at the end of the exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expectation {
    /// `status_code`; empty means 200 to 299.
    pub status: Vec<StatusRange>,
    /// `digest`.
    pub digest: Option<[u8; 16]>,
    /// What comes of the search for `regex`: true for a match.
    pub matches: bool,
}

/// Says whether an answer is the one that a `url` block wants.
///
/// # Errors
/// The status, or else the digest, or else the pattern, that is not the expected one.
pub fn judge(answer: &Answer, expect: &Expectation) -> Result<(), Failure> {
    let default = [StatusRange {
        first: 200,
        last: 299,
    }];
    let accepted = if expect.status.is_empty() {
        &default
    } else {
        expect.status.as_slice()
    };
    if !accepted
        .iter()
        .any(|range| (range.first..=range.last).contains(&answer.status))
    {
        return Err(Failure::Status {
            got: answer.status,
            expected: ranges_text(accepted),
        });
    }
    match (answer.digest, expect.digest) {
        (Some(got), Some(expected)) if got != expected => {
            return Err(Failure::Digest { got, expected });
        }
        (_, _) => {}
    }
    match answer.matches {
        Some(Err(error)) => Err(Failure::Search(error)),
        Some(Ok(true)) if !expect.matches => Err(Failure::Match),
        Some(Ok(false)) if expect.matches => Err(Failure::NoMatch),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// The compiled patterns of a configuration. Urls with the same pattern share it.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    by_text: BTreeMap<String, Vec<(PatternOptions, Pattern)>>,
}

impl Patterns {
    /// Compiles the patterns of these checkers. One that cannot be compiled is not there:
    /// the configuration lets none through.
    pub fn of<'a>(checkers: impl Iterator<Item = &'a Checker>) -> Self {
        let mut patterns = Self::default();
        for checker in checkers {
            if let Probe::Http(http) = &checker.probe {
                for pattern in http.urls.iter().filter_map(|url| url.pattern.as_ref()) {
                    patterns.add(pattern);
                }
            }
        }
        patterns
    }

    fn add(&mut self, wanted: &BodyPattern) {
        if self.get(wanted).is_some() {
            return;
        }
        if let Ok(pattern) = Pattern::new(&wanted.text, wanted.options) {
            let same_text = self.by_text.entry(wanted.text.clone()).or_default();
            same_text.push((wanted.options, pattern));
        }
    }

    fn get(&self, wanted: &BodyPattern) -> Option<&Pattern> {
        let same_text = self.by_text.get(&wanted.text)?;
        let same = same_text
            .iter()
            .find(|(options, _)| *options == wanted.options);
        same.map(|(_, pattern)| pattern)
    }
}

fn ranges_text(ranges: &[StatusRange]) -> String {
    let mut text = String::new();
    for range in ranges {
        if !text.is_empty() {
            text.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = if range.first == range.last {
            write!(text, "{}", range.first)
        } else {
            write!(text, "{}-{}", range.first, range.last)
        };
    }
    text
}

/// Fetches a page and judges it.
#[derive(Debug)]
pub struct HttpCheck {
    fetch: Fetch,
    expect: Expectation,
}

impl HttpCheck {
    /// A check of one page.
    ///
    /// # Errors
    /// [`Failure::NoPattern`] when the pattern of the page is not among `patterns`.
    pub fn new(url: &Url, version: HttpVersion, patterns: &Patterns) -> Result<Self, Failure> {
        let keep = if url.digest.is_some() {
            Keep::Digest
        } else {
            Keep::Nothing
        };
        let mut fetch = Fetch::new(&request(&url.path, &url.host, version), keep);
        if let Some(wanted) = &url.pattern {
            let pattern = patterns.get(wanted).ok_or(Failure::NoPattern)?;
            let search = Search::new(pattern, wanted.min_offset, wanted.max_offset);
            fetch.search = Some(Box::new(search));
        }
        Ok(Self {
            fetch,
            expect: Expectation {
                status: url.status.clone(),
                digest: url.digest,
                matches: url.pattern.as_ref().is_some_and(|pattern| pattern.wanted),
            },
        })
    }

    fn judge(&self, answer: Result<Answer, Failure>) -> Result<(), Failure> {
        judge(&answer?, &self.expect)
    }

    fn map(&self, progress: Progress<Answer>) -> Progress<()> {
        match progress {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(answer) => ControlFlow::Break(self.judge(answer)),
        }
    }
}

impl Conversation for HttpCheck {
    type Output = ();

    fn opened(&mut self) -> Progress<()> {
        let progress = self.fetch.opened();
        self.map(progress)
    }

    fn received(&mut self, bytes: &[u8]) -> Progress<()> {
        let progress = self.fetch.received(bytes);
        self.map(progress)
    }

    fn ended(&mut self) -> Result<(), Failure> {
        let answer = self.fetch.ended();
        self.judge(answer)
    }

    fn outgoing(&self) -> &[u8] {
        self.fetch.outgoing()
    }

    fn sent(&mut self, count: usize) {
        self.fetch.sent(count);
    }

    fn waiting_for(&self) -> &'static str {
        self.fetch.waiting_for()
    }
}

/// Fetches a page, whatever it is.
#[derive(Debug)]
pub struct Fetch {
    request: Outgoing,
    keep: Keep,
    search: Option<Box<Search>>,
    state: State,
}

#[derive(Debug)]
enum State {
    Header(Vec<u8>),
    Body {
        answer: Answer,
        /// When the digest is of use.
        hash: Option<Box<Md5>>,
        received: u64,
        length: Option<u64>,
        chunks: Option<Chunks>,
    },
    Over,
}

impl Fetch {
    /// Sends `request` and reads the answer.
    #[must_use]
    pub fn new(request: &str, keep: Keep) -> Self {
        let mut outgoing = Outgoing::default();
        outgoing.push(request.as_bytes());
        Self {
            request: outgoing,
            keep,
            search: None,
            state: State::Header(Vec::new()),
        }
    }

    /// Looks for the end of the header in what came so far.
    fn header(&mut self, mut header: Vec<u8>, bytes: &[u8]) -> Progress<Answer> {
        // The end mark may lie across two reads.
        let from = header.len().saturating_sub(3);
        let room = MAX_HEADER.saturating_sub(header.len());
        let before = header.len();
        header.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        let Some(end) = header_end(&header, from) else {
            if header.len() >= MAX_HEADER {
                return ControlFlow::Break(Err(Failure::TooLong {
                    what: "response header",
                    limit: u64::try_from(MAX_HEADER).unwrap_or(u64::MAX),
                }));
            }
            self.state = State::Header(header);
            return ControlFlow::Continue(());
        };
        header.truncate(end);
        let body = bytes.get(end.saturating_sub(before)..).unwrap_or_default();
        let Some(status) = status_code(&header) else {
            return ControlFlow::Break(Err(Failure::NotHttp));
        };
        let (length, chunks) = if matches!(status, 204 | 304) {
            (Some(0), None)
        } else {
            framing(&header)
        };
        self.state = State::Body {
            answer: Answer {
                status,
                header,
                digest: None,
                body: Vec::new(),
                missing: 0,
                matches: None,
            },
            hash: (self.keep != Keep::Nothing).then(Box::default),
            received: 0,
            length,
            chunks,
        };
        self.body(body)
    }

    fn body(&mut self, bytes: &[u8]) -> Progress<Answer> {
        let State::Body {
            answer,
            hash,
            received,
            length,
            chunks,
        } = &mut self.state
        else {
            return ControlFlow::Continue(());
        };
        let left = length.unwrap_or(u64::MAX).saturating_sub(*received);
        let mut take = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let mut search = self.search.as_deref_mut();
        let last_chunk = chunks.as_mut().and_then(|chunks| {
            chunks.take(bytes, |content| {
                if let Some(search) = &mut search {
                    search.feed(content);
                }
            })
        });
        take = last_chunk.unwrap_or(take);
        let bytes = bytes.get(..take).unwrap_or_default();
        if let Some(search) = search.filter(|_| chunks.is_none()) {
            search.feed(bytes);
        }
        if let Some(hash) = hash {
            hash.update(bytes);
        }
        if self.keep == Keep::Body {
            answer.body.extend_from_slice(bytes);
        }
        *received = received.saturating_add(u64::try_from(take).unwrap_or(u64::MAX));
        if last_chunk.is_some() || length.is_some_and(|length| *received >= length) {
            return ControlFlow::Break(self.ended());
        }
        if *received > MAX_BODY {
            return ControlFlow::Break(Err(Failure::TooLong {
                what: "body",
                limit: MAX_BODY,
            }));
        }
        ControlFlow::Continue(())
    }
}

impl Conversation for Fetch {
    type Output = Answer;

    fn opened(&mut self) -> Progress<Answer> {
        ControlFlow::Continue(())
    }

    fn received(&mut self, bytes: &[u8]) -> Progress<Answer> {
        match &mut self.state {
            State::Header(header) => {
                let header = std::mem::take(header);
                self.header(header, bytes)
            }
            State::Body { .. } => self.body(bytes),
            State::Over => ControlFlow::Continue(()),
        }
    }

    fn ended(&mut self) -> Result<Answer, Failure> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Body {
                mut answer,
                hash,
                received,
                length,
                ..
            } => {
                answer.missing = length.unwrap_or(received).saturating_sub(received);
                answer.digest = hash.map(|hash| hash.finalize().into());
                answer.matches = self.search.as_mut().map(|search| search.finish());
                Ok(answer)
            }
            State::Header(_) | State::Over => {
                Err(Failure::ClosedBefore("end of the response header"))
            }
        }
    }

    fn outgoing(&self) -> &[u8] {
        self.request.rest()
    }

    fn sent(&mut self, count: usize) {
        self.request.advance(count);
    }

    fn waiting_for(&self) -> &'static str {
        match self.state {
            State::Header(_) => "response header",
            State::Body { .. } | State::Over => "end of the response body",
        }
    }
}

/// Where the body starts: after the first empty line.
fn header_end(header: &[u8], from: usize) -> Option<usize> {
    let mut previous = header.get(..from)?.iter().rposition(|b| *b == b'\n');
    for (index, _) in header
        .iter()
        .enumerate()
        .skip(from)
        .filter(|(_, b)| **b == b'\n')
    {
        if let Some(line_start) = previous.map(|at| at.saturating_add(1)) {
            let line = header.get(line_start..index)?;
            if line.is_empty() || line == b"\r" {
                return Some(index.saturating_add(1));
            }
        }
        previous = Some(index);
    }
    None
}

/// The three digits after the first space of the first line.
fn status_code(header: &[u8]) -> Option<u16> {
    let line = header.split(|b| *b == b'\n').next()?;
    let space = line.iter().position(|b| *b == b' ')?;
    let rest = line.get(space.saturating_add(1)..)?;
    let digits = rest.get(..3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(rest.get(3), None | Some(b' ' | b'\r')) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// How the body ends: after `Content-Length` bytes, or after its last chunk, or with the connection
/// (RFC 9112 section 6.3).
fn framing(header: &[u8]) -> (Option<u64>, Option<Chunks>) {
    let mut length = None;
    for line in header.split(|b| *b == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = std::str::from_utf8(value.get(1..).unwrap_or_default()).unwrap_or_default();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(',').next().unwrap_or_default().trim();
            return (None, last.eq_ignore_ascii_case("chunked").then(Chunks::new));
        }
        if name.eq_ignore_ascii_case(b"content-length") && length.is_none() {
            length = value.trim().parse().ok();
        }
    }
    (length, None)
}

#[cfg(test)]
mod tests;
