//! The values of checker blocks, and what virtual and real servers hand down to them.

use std::net::IpAddr;
use std::time::Duration;

use kr_model::check::{ExpectedReply, HttpVersion, StatusRange};
use kr_model::lvs::Forwarding;
use kr_model::units::{IfName, Port, Weight};
use kr_model::{ScriptId, TrackerId};

use crate::source::Span;
use crate::tree::{Statement, Word};

use super::Build;
use super::pattern::PatternDraft;
use super::value::{MAX_INTERVAL, MAX_TIMEOUT, MICROSECOND, set};

/// Longest `drain_timeout`: a day.
const MAX_DRAIN: Duration = Duration::from_secs(86_400);

/// Settings that a virtual server hands down to its real servers, and these to their checkers.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited {
    pub(super) retry: Option<u32>,
    pub(super) delay_before_retry: Option<Duration>,
    pub(super) warmup: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) delay_loop: Option<Duration>,
    pub(super) alpha: Option<bool>,
    pub(super) virtual_host: Option<String>,
    pub(super) inhibit: Option<bool>,
    pub(super) alert: Option<bool>,
    pub(super) weight: Option<Weight>,
    pub(super) forwarding: Option<Forwarding>,
    pub(super) drain: Option<Duration>,
}

impl Inherited {
    /// These settings, and those of `above` where nothing is said. Mail is not handed down.
    pub(super) fn under(&self, above: &Self) -> Self {
        Self {
            retry: self.retry.or(above.retry),
            delay_before_retry: self.delay_before_retry.or(above.delay_before_retry),
            warmup: self.warmup.or(above.warmup),
            connect_timeout: self.connect_timeout.or(above.connect_timeout),
            delay_loop: self.delay_loop.or(above.delay_loop),
            alpha: self.alpha.or(above.alpha),
            virtual_host: self
                .virtual_host
                .clone()
                .or_else(|| above.virtual_host.clone()),
            inhibit: self.inhibit.or(above.inhibit),
            alert: self.alert,
            weight: self.weight.or(above.weight),
            forwarding: self.forwarding.or(above.forwarding),
            drain: self.drain.or(above.drain),
        }
    }
}

/// When a checker runs, as far as its block says.
#[derive(Debug, Clone, Default)]
pub(super) struct TimingDraft {
    pub(super) retry: Option<u32>,
    pub(super) delay_before_retry: Option<Duration>,
    pub(super) warmup: Option<Duration>,
    pub(super) delay_loop: Option<Duration>,
    pub(super) alpha: Option<bool>,
    pub(super) log_all_failures: Option<bool>,
}

/// How a checker reaches its server, as far as its block says.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionDraft {
    pub(super) ip: Option<IpAddr>,
    pub(super) port: Option<Port>,
    pub(super) source: Option<IpAddr>,
    pub(super) source_port: Option<(Port, Span)>,
    pub(super) interface: Option<IfName>,
    pub(super) mark: Option<(u32, Span)>,
    pub(super) timeout: Option<Duration>,
}

impl ConnectionDraft {
    /// These settings, and those of the enclosing checker where nothing is said.
    pub(super) fn under(&self, above: &Self) -> Self {
        Self {
            ip: self.ip.or(above.ip),
            port: self.port.or(above.port),
            source: self.source.or(above.source),
            source_port: self.source_port.or(above.source_port),
            mark: self.mark.or(above.mark),
            interface: self.interface.clone().or_else(|| above.interface.clone()),
            timeout: self.timeout.or(above.timeout),
        }
    }
}

/// One checker block.
pub(super) struct CheckerDraft {
    pub(super) at: Span,
    pub(super) connection: ConnectionDraft,
    pub(super) timing: TimingDraft,
    pub(super) kind: CheckKind,
}

/// What the checker does.
pub(super) enum CheckKind {
    Tcp,
    Http(HttpDraft),
    Smtp {
        helo: Option<String>,
        hosts: Vec<ConnectionDraft>,
    },
    Dns {
        name: String,
        record: u16,
    },
    Udp {
        payload: Vec<u8>,
        reply: Option<ExpectedReply>,
    },
    Ping,
    Bfd {
        name: Word,
    },
    File {
        file: TrackerId,
        name: String,
        weight: i32,
        reverse: bool,
    },
    Misc {
        script: ScriptId,
        timeout: Option<Duration>,
        dynamic: bool,
    },
}

/// `HTTP_GET` or `SSL_GET`.
#[derive(Default)]
pub(super) struct HttpDraft {
    pub(super) tls: bool,
    pub(super) close_notify: bool,
    pub(super) version: Option<HttpVersion>,
    pub(super) virtual_host: Option<String>,
    pub(super) enable_sni: bool,
    pub(super) sni_name: Option<String>,
    pub(super) fast_recovery: bool,
    pub(super) urls: Vec<UrlDraft>,
}

/// `url`.
#[derive(Default)]
pub(super) struct UrlDraft {
    pub(super) path: Option<String>,
    pub(super) digest: Option<[u8; 16]>,
    pub(super) status: Vec<StatusRange>,
    pub(super) virtual_host: Option<String>,
    pub(super) close_notify: Option<bool>,
    pub(super) pattern: PatternDraft,
}

impl Build<'_> {
    /// Takes a setting that is handed down. False when it is none. `least` is the smallest weight.
    pub(super) fn inherited_setting(
        &mut self,
        slot: &mut Inherited,
        name: &str,
        line: &Statement,
        least: u64,
    ) -> bool {
        match name {
            "retry" => set(&mut slot.retry, self.number32(line, 1)),
            "delay_before_retry" => set(
                &mut slot.delay_before_retry,
                self.seconds(line, Duration::ZERO, MAX_INTERVAL),
            ),
            "warmup" => set(
                &mut slot.warmup,
                self.seconds(line, Duration::ZERO, MAX_INTERVAL),
            ),
            "connect_timeout" => set(
                &mut slot.connect_timeout,
                self.seconds(line, MICROSECOND, MAX_TIMEOUT),
            ),
            "delay_loop" => set(
                &mut slot.delay_loop,
                self.seconds(line, MICROSECOND, MAX_INTERVAL),
            ),
            "alpha" => set(&mut slot.alpha, self.switch(line)),
            "virtualhost" => set(&mut slot.virtual_host, self.text(line)),
            "inhibit_on_failure" => set(&mut slot.inhibit, self.switch(line)),
            "smtp_alert" => set(&mut slot.alert, self.switch(line)),
            "weight" => {
                let weight = self.number(line, least, 2_147_483_647);
                set(
                    &mut slot.weight,
                    weight.and_then(|n| Weight::try_from(n).ok()),
                );
            }
            "drain_timeout" => set(
                &mut slot.drain,
                self.seconds(line, Duration::ZERO, MAX_DRAIN),
            ),
            "lb_kind" | "lvs_method" => set(&mut slot.forwarding, self.forwarding(line)),
            _ => return false,
        }
        true
    }

    /// Takes a timing keyword of a checker. False when it is none.
    pub(super) fn timing_setting(
        &mut self,
        slot: &mut TimingDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        match name {
            "nb_get_retry" => {
                self.renamed(line, "retry");
                set(&mut slot.retry, self.number32(line, 0));
            }
            "retry" => set(&mut slot.retry, self.number32(line, 0)),
            "delay_before_retry" => set(
                &mut slot.delay_before_retry,
                self.seconds(line, Duration::ZERO, MAX_INTERVAL),
            ),
            "warmup" => set(
                &mut slot.warmup,
                self.seconds(line, Duration::ZERO, MAX_INTERVAL),
            ),
            "delay_loop" => set(
                &mut slot.delay_loop,
                self.seconds(line, MICROSECOND, MAX_INTERVAL),
            ),
            "alpha" => set(&mut slot.alpha, self.switch(line)),
            "log_all_failures" => set(&mut slot.log_all_failures, self.switch(line)),
            _ => return false,
        }
        true
    }

    /// Takes a connection keyword of a checker. False when it is none.
    pub(super) fn connection_setting(
        &mut self,
        slot: &mut ConnectionDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        match name {
            "connect_ip" => set(&mut slot.ip, self.address(line)),
            "connect_port" => set(&mut slot.port, self.port(line)),
            "bindto" | "bind_to" => set(&mut slot.source, self.address(line)),
            "bind_port" | "bindport" => {
                set(
                    &mut slot.source_port,
                    self.port(line).map(|port| (port, line.keyword.span)),
                );
            }
            "bind_if" => set(&mut slot.interface, self.interface(line)),
            "fwmark" => {
                let mark = self.number32(line, 0).map(|mark| (mark, line.keyword.span));
                set(&mut slot.mark, mark);
            }
            "connect_timeout" => set(
                &mut slot.timeout,
                self.seconds(line, MICROSECOND, MAX_TIMEOUT),
            ),
            _ => return false,
        }
        true
    }
}
