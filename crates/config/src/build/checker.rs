//! Checker blocks: the values of their keywords.

use std::time::Duration;

use kr_model::check::{HttpVersion, StatusRange};

use crate::registry::Block;
use crate::source::Span;
use crate::tree::{Statement, Word};

use super::Build;
use super::check_draft::{
    CheckKind, CheckerDraft, ConnectionDraft, HttpDraft, TimingDraft, UrlDraft,
};
use super::finding::{Finding, error};
use super::value::{MAX_TIMEOUT, set};
use super::walk::{Context, Seen};

/// Most hosts of one checker: it travels in one message.
const MOST_HOSTS: usize = 16;

/// Most urls of one checker.
const MOST_URLS: usize = 100;

/// Old and wrong spellings that network checkers take.
const OLD: &[(Block, &str)] = &[
    (Block::HttpSsl, "nb_get_retry"),
    (Block::Retired, "bind_to"),
    (Block::Retired, "bindport"),
];
const REPEATABLE: &[&str] = &["url", "host", "status_code", "regex_options"];

/// What the block of a network checker may hold.
pub(super) const fn network_context(name: &'static str, blocks: &'static [Block]) -> Context {
    Context {
        name,
        blocks,
        also: OLD,
        repeatable: REPEATABLE,
    }
}

const TCP: Context = network_context("TCP_CHECK", &[Block::Connection, Block::Timing]);
const HTTP: Context = network_context(
    "HTTP_GET",
    &[Block::HttpSsl, Block::Connection, Block::Timing],
);
const SSL: Context = network_context(
    "SSL_GET",
    &[
        Block::HttpSsl,
        Block::SslGet,
        Block::Connection,
        Block::Timing,
    ],
);
const SMTP: Context = network_context(
    "SMTP_CHECK",
    &[Block::SmtpCheck, Block::Connection, Block::Timing],
);
const SMTP_HOST: Context = network_context("host", &[Block::Connection, Block::Timing]);
const URL: Context = network_context("url", &[Block::Url]);
const SSL_URL: Context = network_context("url", &[Block::Url, Block::SslUrl]);
const MISC: Context = Context {
    name: "MISC_CHECK",
    blocks: &[Block::MiscCheck, Block::Timing],
    also: &[(Block::HttpSsl, "nb_get_retry")],
    repeatable: &[],
};

impl Build<'_> {
    /// Reads a checker block. `None` when it has to be left out.
    pub(super) fn checker(&mut self, statement: &Statement) -> Option<CheckerDraft> {
        match statement.keyword.text.as_str() {
            "TCP_CHECK" => Some(self.tcp_check(statement)),
            "HTTP_GET" => self.http_check(statement, false),
            "SSL_GET" => self.http_check(statement, true),
            "SMTP_CHECK" => Some(self.smtp_check(statement)),
            "DNS_CHECK" => Some(self.dns_check(statement)),
            "UDP_CHECK" => Some(self.udp_check(statement)),
            "PING_CHECK" => Some(self.ping_check(statement)),
            "MISC_CHECK" => self.misc_check(statement),
            "BFD_CHECK" => self.bfd_check(statement),
            "FILE_CHECK" => self.file_check(statement),
            _ => None,
        }
    }

    fn tcp_check(&mut self, statement: &Statement) -> CheckerDraft {
        let mut draft = CheckerDraft {
            at: statement.keyword.span,
            connection: ConnectionDraft::default(),
            timing: TimingDraft::default(),
            kind: CheckKind::Tcp,
        };
        self.network_settings(
            &TCP,
            &mut draft.connection,
            &mut draft.timing,
            statement,
            |_, _, _| false,
        );
        draft
    }

    /// Walks a network checker: connection and timing keywords here, others in `own`.
    pub(super) fn network_settings(
        &mut self,
        context: &Context,
        connection: &mut ConnectionDraft,
        timing: &mut TimingDraft,
        statement: &Statement,
        mut own: impl FnMut(&mut Self, &str, &Statement) -> bool,
    ) {
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(context, &mut seen, line) else {
                continue;
            };
            let name = keyword.name;
            let known = self.connection_setting(connection, name, line)
                || self.timing_setting(timing, name, line)
                || own(self, name, line);
            if !known {
                self.unbuilt(keyword, line);
            }
        }
    }

    fn smtp_check(&mut self, statement: &Statement) -> CheckerDraft {
        let mut connection = ConnectionDraft::default();
        let mut timing = TimingDraft::default();
        let mut inner_timing = TimingDraft::default();
        let mut helo = None;
        let mut hosts = Vec::new();
        self.network_settings(
            &SMTP,
            &mut connection,
            &mut timing,
            statement,
            |build, name, line| {
                match name {
                    "helo_name" => set(&mut helo, build.text(line)),
                    "host" => {
                        let mut host = ConnectionDraft::default();
                        build.network_settings(
                            &SMTP_HOST,
                            &mut host,
                            &mut inner_timing,
                            line,
                            |_, _, _| false,
                        );
                        hosts.push(host);
                    }
                    _ => return false,
                }
                true
            },
        );
        if hosts.len() > MOST_HOSTS {
            hosts.truncate(MOST_HOSTS);
            self.report(too_many(statement.keyword.span, MOST_HOSTS, "hosts"));
        }
        // The hosts are tried in turn by one checker, so it has one schedule.
        timing.retry = timing.retry.or(inner_timing.retry);
        timing.delay_before_retry = timing
            .delay_before_retry
            .or(inner_timing.delay_before_retry);
        timing.warmup = timing.warmup.or(inner_timing.warmup);
        timing.delay_loop = timing.delay_loop.or(inner_timing.delay_loop);
        timing.alpha = timing.alpha.or(inner_timing.alpha);
        timing.log_all_failures = timing.log_all_failures.or(inner_timing.log_all_failures);
        CheckerDraft {
            at: statement.keyword.span,
            connection,
            timing,
            kind: CheckKind::Smtp { helo, hosts },
        }
    }

    fn misc_check(&mut self, statement: &Statement) -> Option<CheckerDraft> {
        let at = statement.keyword.span;
        let mut seen = Seen::default();
        let mut timing = TimingDraft::default();
        let mut path: Option<&Word> = None;
        let mut user = None;
        let mut timeout = None;
        let mut dynamic = false;
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&MISC, &mut seen, line) else {
                continue;
            };
            match keyword.name {
                "misc_path" => path = line.arguments.first(),
                "misc_timeout" => {
                    let seconds = self.seconds(line, Duration::ZERO, MAX_TIMEOUT);
                    set(&mut timeout, seconds.filter(|time| !time.is_zero()));
                }
                "misc_dynamic" => dynamic = true,
                "user" => {
                    let (name, group) = line.arguments.split_first()?;
                    let Some(account) = self.account(name, group.first(), false) else {
                        self.report(error(
                            at,
                            "this MISC_CHECK is left out, because nobody can run its program",
                        ));
                        return None;
                    };
                    user = Some(account);
                }
                name => {
                    if !self.timing_setting(&mut timing, name, line) {
                        self.unbuilt(keyword, line);
                    }
                }
            }
        }
        let Some(path) = path else {
            self.report(
                error(at, "this MISC_CHECK has no misc_path and is left out")
                    .help("add `misc_path \"PROGRAM ARGUMENT...\"`"),
            );
            return None;
        };
        let script = self.command(path, user)?;
        Some(CheckerDraft {
            at,
            connection: ConnectionDraft::default(),
            timing,
            kind: CheckKind::Misc {
                script,
                timeout,
                dynamic,
            },
        })
    }

    fn http_check(&mut self, statement: &Statement, tls: bool) -> Option<CheckerDraft> {
        let mut connection = ConnectionDraft::default();
        let mut timing = TimingDraft::default();
        let mut http = HttpDraft {
            tls,
            ..HttpDraft::default()
        };
        let context = if tls { &SSL } else { &HTTP };
        self.network_settings(
            context,
            &mut connection,
            &mut timing,
            statement,
            |build, name, line| build.http_setting(&mut http, name, line),
        );
        let at = statement.keyword.span;
        if http.urls.len() > MOST_URLS {
            http.urls.truncate(MOST_URLS);
            self.report(too_many(at, MOST_URLS, "urls"));
        }
        if http.urls.is_empty() {
            self.report(
                error(
                    at,
                    format!("this {} has no url and is left out", context.name),
                )
                .help("add `url { path / }`"),
            );
            return None;
        }
        Some(CheckerDraft {
            at,
            connection,
            timing,
            kind: CheckKind::Http(http),
        })
    }

    fn http_setting(&mut self, http: &mut HttpDraft, name: &str, line: &Statement) -> bool {
        match name {
            "virtualhost" => set(&mut http.virtual_host, self.text(line)),
            "http_protocol" => set(&mut http.version, self.http_version(line)),
            "enable_sni" => http.enable_sni = self.switch(line).unwrap_or(false),
            "sni_name" => {
                http.enable_sni = true;
                set(&mut http.sni_name, self.text(line));
            }
            "fast_recovery" => http.fast_recovery = self.switch(line).unwrap_or(false),
            "tls_compliant" => http.close_notify = self.switch(line).unwrap_or(false),
            "url" => {
                let url = self.url(line, http.tls);
                if url.path.is_some() {
                    http.urls.push(url);
                } else {
                    self.report(
                        error(line.keyword.span, "this url has no path and is left out")
                            .help("add `path /`"),
                    );
                }
            }
            _ => return false,
        }
        true
    }

    fn http_version(&mut self, line: &Statement) -> Option<HttpVersion> {
        let word = line.arguments.first()?;
        match word.text.as_str() {
            "1.0" => Some(HttpVersion::V1_0),
            "1.0C" | "1.0c" => Some(HttpVersion::V1_0Close),
            "1.1" => Some(HttpVersion::V1_1),
            "1.0K" | "1.0k" => Some(HttpVersion::V1_0KeepAlive),
            "1.1K" | "1.1k" => Some(HttpVersion::V1_1KeepAlive),
            other => {
                self.report(
                    error(word.span, format!("unknown HTTP version `{other}`"))
                        .label("expected 1.0, 1.0C, 1.0K, 1.1 or 1.1K"),
                );
                None
            }
        }
    }

    fn url(&mut self, statement: &Statement, tls: bool) -> UrlDraft {
        let mut url = UrlDraft::default();
        let mut seen = Seen::default();
        let context = if tls { &SSL_URL } else { &URL };
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(context, &mut seen, line) else {
                continue;
            };
            match keyword.name {
                "path" => set(&mut url.path, self.text(line)),
                "digest" => set(&mut url.digest, self.digest(line)),
                "status_code" => {
                    for word in &line.arguments {
                        url.status.extend(self.status(word));
                    }
                }
                "virtualhost" => set(&mut url.virtual_host, self.text(line)),
                "tls_compliant" => set(&mut url.close_notify, self.switch(line)),
                name => {
                    if !self.pattern_setting(&mut url.pattern, name, line) {
                        self.unbuilt(keyword, line);
                    }
                }
            }
        }
        self.check_pattern(&mut url.pattern);
        url
    }

    fn digest(&mut self, line: &Statement) -> Option<[u8; 16]> {
        let word = line.arguments.first()?;
        let digest = parse_digest(&word.text);
        if digest.is_none() {
            self.report(
                error(
                    word.span,
                    format!("`{}` is not a digest; the body is not compared", word.text),
                )
                .label("expected 32 hexadecimal digits")
                .help("`genhash -s ADDRESS -p PORT -u PATH` prints the digest of a page"),
            );
        }
        digest
    }

    fn status(&mut self, word: &Word) -> Option<StatusRange> {
        let code = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|code| (100..=599).contains(code))
        };
        let range = match word.text.split_once('-') {
            Some((first, last)) => code(first).zip(code(last)),
            None => code(&word.text).map(|one| (one, one)),
        };
        match range.filter(|(first, last)| first <= last) {
            Some((first, last)) => Some(StatusRange { first, last }),
            None => {
                self.report(
                    error(word.span, format!("`{}` is not a status code", word.text))
                        .label("expected a code from 100 to 599 or a range such as 200-299"),
                );
                None
            }
        }
    }
}

fn too_many(at: Span, most: usize, what: &str) -> Finding {
    error(
        at,
        format!("a checker has at most {most} {what}; the last ones are left out"),
    )
    .help("give the real server several checkers")
}

fn parse_digest(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some(u128::from_str_radix(text, 16).ok()?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_32_hexadecimal_digits() {
        assert_eq!(
            parse_digest("00ff0000000000000000000000000001").map(|d| (d[1], d[15])),
            Some((255, 1))
        );
        for bad in [
            "",
            "00ff",
            "00ff000000000000000000000000000g",
            "+0ff0000000000000000000000000001",
        ] {
            assert_eq!(parse_digest(bad), None, "{bad}");
        }
    }
}
