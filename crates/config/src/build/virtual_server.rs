//! `virtual_server`: the values of its keywords. [`super::service_finish`] puts them together.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use kr_model::ScriptId;
use kr_model::lvs::{Forwarding, PersistenceEngine, Protocol, Scheduler, ServiceFlags};
use kr_model::net::Family;

use crate::registry::Block;
use crate::source::Span;
use crate::tree::{Statement, Word};
use crate::typed::Config;

use super::Build;
use super::check_draft::Inherited;
use super::finding::error;
use super::global::Globals;
use super::group::Groups;
use super::real_server::ServerDraft;
use super::value::set;
use super::walk::{Context, Seen};

const VIRTUAL_SERVER: Context = Context {
    name: "virtual_server",
    blocks: &[Block::VirtualServer],
    also: &[(Block::Retired, "nat_mask")],
    repeatable: &["real_server"],
};

/// What a service listens on, as written.
pub(super) enum Listen {
    /// Address, and port or 0.
    Address(SocketAddr),
    /// A firewall mark.
    Fwmark(NonZeroU32),
    /// A group by name.
    Group(String),
}

/// The values of one block.
pub(super) struct ServiceDraft {
    pub(super) at: Span,
    pub(super) listen: Listen,
    pub(super) family: Option<(Family, Span)>,
    pub(super) protocol: Option<(Protocol, Span)>,
    pub(super) scheduler: Option<Scheduler>,
    pub(super) flags: ServiceFlags,
    /// Flags that only one scheduler has: the flag, that scheduler and where it is written.
    pub(super) scheduler_flags: Vec<(ServiceFlags, Scheduler, Span)>,
    pub(super) one_packet: Option<Span>,
    pub(super) timeout: Option<u32>,
    pub(super) granularity: Option<(Family, u8)>,
    pub(super) engine: Option<(PersistenceEngine, Span)>,
    pub(super) settings: Inherited,
    pub(super) quorum: u32,
    pub(super) quorum_at: Span,
    pub(super) hysteresis: u32,
    pub(super) quorum_up: Option<ScriptId>,
    pub(super) quorum_down: Option<ScriptId>,
    pub(super) omega: bool,
    pub(super) suspend: Option<Span>,
    pub(super) sorry: Option<(IpAddr, u16, Span)>,
    pub(super) sorry_inhibit: bool,
    pub(super) sorry_forwarding: Option<Forwarding>,
    pub(super) servers: Vec<ServerDraft>,
}

impl ServiceDraft {
    fn new(at: Span, listen: Listen) -> Self {
        Self {
            at,
            listen,
            family: None,
            protocol: None,
            scheduler: None,
            flags: ServiceFlags::empty(),
            scheduler_flags: Vec::new(),
            one_packet: None,
            timeout: None,
            granularity: None,
            engine: None,
            settings: Inherited::default(),
            quorum: 1,
            quorum_at: at,
            hysteresis: 0,
            quorum_up: None,
            quorum_down: None,
            omega: false,
            suspend: None,
            sorry: None,
            sorry_inhibit: false,
            sorry_forwarding: None,
            servers: Vec::new(),
        }
    }
}

impl Build<'_> {
    /// Reads a `virtual_server` block and puts it into the configuration.
    pub(super) fn virtual_server(
        &mut self,
        globals: &Globals,
        groups: &mut Groups,
        config: &mut Config,
        statement: &Statement,
    ) {
        let Some(listen) = self.listen(statement) else {
            return;
        };
        let mut draft = ServiceDraft::new(statement.keyword.span, listen);
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&VIRTUAL_SERVER, &mut seen, line) else {
                continue;
            };
            let name = keyword.name;
            let known = self.service_setting(&mut draft, name, line)
                || self.scheduler_setting(&mut draft, name, line)
                || self.quorum_setting(&mut draft, name, line)
                || self.sorry_setting(&mut draft, name, line)
                || self.inherited_setting(&mut draft.settings, name, line, 1);
            if !known {
                self.unbuilt(keyword, line);
            }
        }
        self.finish_service(globals, groups, config, draft);
    }

    fn listen(&mut self, statement: &Statement) -> Option<Listen> {
        let word = statement.arguments.first()?;
        let second = statement.arguments.get(1);
        match word.text.as_str() {
            "fwmark" => Some(Listen::Fwmark(self.mark(second, statement)?)),
            "group" => match second {
                Some(name) => Some(Listen::Group(name.text.clone())),
                None => {
                    self.report(
                        error(word.span, "`group` lacks its name")
                            .label("expected `virtual_server group NAME {`"),
                    );
                    None
                }
            },
            _ => {
                let ip = self.address_of(word)?;
                Some(Listen::Address(SocketAddr::new(
                    ip,
                    self.server_port(second),
                )))
            }
        }
    }

    fn service_setting(&mut self, draft: &mut ServiceDraft, name: &str, line: &Statement) -> bool {
        let first = line.arguments.first();
        match (name, first) {
            ("ip_family", Some(word)) => set(
                &mut draft.family,
                self.family_word(word).map(|family| (family, word.span)),
            ),
            ("protocol", Some(word)) => {
                let protocol = match word.text.to_ascii_uppercase().as_str() {
                    "TCP" => Some(Protocol::Tcp),
                    "UDP" => Some(Protocol::Udp),
                    "SCTP" => Some(Protocol::Sctp),
                    _ => {
                        self.report(
                            error(word.span, format!("unknown protocol `{}`", word.text))
                                .label("expected `TCP`, `UDP` or `SCTP`"),
                        );
                        None
                    }
                };
                set(
                    &mut draft.protocol,
                    protocol.map(|protocol| (protocol, word.span)),
                );
            }
            ("persistence_timeout", None) => draft.timeout = Some(360),
            ("persistence_timeout", Some(word)) => {
                let seconds = self.number_of(word, 1, 2_678_400);
                set(
                    &mut draft.timeout,
                    seconds.and_then(|n| u32::try_from(n).ok()),
                );
            }
            ("persistence_granularity", Some(word)) => {
                set(&mut draft.granularity, self.granularity(word))
            }
            ("persistence_engine", Some(word)) => {
                let engine = PersistenceEngine::from_name(&word.text);
                if engine.is_none() {
                    self.report(
                        error(
                            word.span,
                            format!("unknown persistence engine `{}`", word.text),
                        )
                        .label("expected `sip`, the only one of the kernel"),
                    );
                }
                set(&mut draft.engine, engine.map(|engine| (engine, word.span)));
            }
            ("omega", _) => draft.omega = true,
            ("ha_suspend", _) => draft.suspend = Some(line.keyword.span),
            ("real_server", _) => draft.servers.extend(self.real_server(line)),
            _ => return false,
        }
        true
    }

    fn granularity(&mut self, word: &Word) -> Option<(Family, u8)> {
        if let Ok(mask) = word.text.parse::<Ipv4Addr>() {
            let bits = mask.to_bits();
            let length = bits.leading_ones();
            if length > 0 && bits.checked_shl(length).unwrap_or(0) == 0 {
                return u8::try_from(length)
                    .ok()
                    .map(|length| (Family::Inet, length));
            }
            self.report(
                error(
                    word.span,
                    format!("the mask {mask} is not the first bits of an address and is ignored"),
                )
                .help("use a mask such as 255.255.255.0"),
            );
            return None;
        }
        let length = self.number_of(word, 1, 128)?;
        u8::try_from(length)
            .ok()
            .map(|length| (Family::Inet6, length))
    }

    fn scheduler_setting(
        &mut self,
        draft: &mut ServiceDraft,
        name: &str,
        line: &Statement,
    ) -> bool {
        let at = line.keyword.span;
        match name {
            "lb_algo" | "lvs_sched" => {
                let Some(word) = line.arguments.first() else {
                    return true;
                };
                let scheduler = Scheduler::from_name(&word.text);
                if scheduler.is_none() {
                    let names: Vec<&str> = Scheduler::ALL.iter().map(|(_, name)| *name).collect();
                    self.report(
                        error(word.span, format!("unknown scheduler `{}`", word.text))
                            .label(format!("expected one of {}", names.join(" "))),
                    );
                }
                set(&mut draft.scheduler, scheduler);
            }
            "ops" => draft.one_packet = Some(at),
            "flag-1" => draft.flags |= ServiceFlags::SCHED_1,
            "flag-2" => draft.flags |= ServiceFlags::SCHED_2,
            "flag-3" => draft.flags |= ServiceFlags::SCHED_3,
            "sh-fallback" => {
                draft
                    .scheduler_flags
                    .push((ServiceFlags::SCHED_1, Scheduler::SourceHash, at))
            }
            "sh-port" => {
                draft
                    .scheduler_flags
                    .push((ServiceFlags::SCHED_2, Scheduler::SourceHash, at))
            }
            "mh-fallback" => {
                draft
                    .scheduler_flags
                    .push((ServiceFlags::SCHED_1, Scheduler::Maglev, at))
            }
            "mh-port" => draft
                .scheduler_flags
                .push((ServiceFlags::SCHED_2, Scheduler::Maglev, at)),
            _ => return false,
        }
        true
    }

    fn quorum_setting(&mut self, draft: &mut ServiceDraft, name: &str, line: &Statement) -> bool {
        match name {
            "quorum" => {
                draft.quorum = self.number32(line, 1).unwrap_or(draft.quorum);
                draft.quorum_at = line.keyword.span;
            }
            "hysteresis" => draft.hysteresis = self.number32(line, 0).unwrap_or(draft.hysteresis),
            "quorum_up" => set(&mut draft.quorum_up, self.script(line)),
            "quorum_down" => set(&mut draft.quorum_down, self.script(line)),
            _ => return false,
        }
        true
    }

    fn sorry_setting(&mut self, draft: &mut ServiceDraft, name: &str, line: &Statement) -> bool {
        match name {
            "sorry_server" => {
                let port = self.server_port(line.arguments.get(1));
                let address = self.address(line);
                set(
                    &mut draft.sorry,
                    address.map(|ip| (ip, port, line.keyword.span)),
                );
            }
            "sorry_server_inhibit" => draft.sorry_inhibit = true,
            "sorry_server_lvs_method" => set(&mut draft.sorry_forwarding, self.forwarding(line)),
            _ => return false,
        }
        true
    }
}
