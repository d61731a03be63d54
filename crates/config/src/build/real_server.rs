//! `real_server`: the values of its keywords.

use std::net::IpAddr;

use kr_model::ScriptId;

use crate::registry::Block;
use crate::source::Span;
use crate::tree::Statement;

use super::Build;
use super::check_draft::{CheckerDraft, Inherited};
use super::value::set;
use super::walk::{Context, Seen};

const REAL_SERVER: Context = Context {
    name: "real_server",
    blocks: &[Block::RealServer],
    also: &[(Block::Retired, "lb_kind (in real_server)")],
    repeatable: &[
        "HTTP_GET",
        "SSL_GET",
        "TCP_CHECK",
        "SMTP_CHECK",
        "MISC_CHECK",
        "DNS_CHECK",
        "UDP_CHECK",
        "PING_CHECK",
        "BFD_CHECK",
        "FILE_CHECK",
    ],
};

/// The values of one block.
pub(super) struct ServerDraft {
    pub(super) at: Span,
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    pub(super) settings: Inherited,
    pub(super) upper: u32,
    pub(super) lower: u32,
    pub(super) notify_up: Option<ScriptId>,
    pub(super) notify_down: Option<ScriptId>,
    pub(super) checkers: Vec<CheckerDraft>,
}

impl Build<'_> {
    /// Reads a `real_server` block.
    pub(super) fn real_server(&mut self, statement: &Statement) -> Option<ServerDraft> {
        let ip = self.address(statement)?;
        let mut draft = ServerDraft {
            at: statement.keyword.span,
            ip,
            port: self.server_port(statement.arguments.get(1)),
            settings: Inherited::default(),
            upper: 0,
            lower: 0,
            notify_up: None,
            notify_down: None,
            checkers: Vec::new(),
        };
        let mut seen = Seen::default();
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&REAL_SERVER, &mut seen, line) else {
                continue;
            };
            let name = keyword.name;
            match name {
                "uthreshold" => draft.upper = self.number32(line, 0).unwrap_or(0),
                "lthreshold" => draft.lower = self.number32(line, 0).unwrap_or(0),
                "notify_up" => set(&mut draft.notify_up, self.script(line)),
                "notify_down" => set(&mut draft.notify_down, self.script(line)),
                "TCP_CHECK" | "HTTP_GET" | "SSL_GET" | "SMTP_CHECK" | "DNS_CHECK" | "UDP_CHECK"
                | "PING_CHECK" | "MISC_CHECK" | "BFD_CHECK" | "FILE_CHECK" => {
                    // Most have one, and a draft is large: no room for more until there is one.
                    if draft.checkers.is_empty() {
                        draft.checkers.reserve_exact(1);
                    }
                    draft.checkers.extend(self.checker(line));
                }
                name => {
                    if !self.inherited_setting(&mut draft.settings, name, line, 0) {
                        self.unbuilt(keyword, line);
                    }
                }
            }
        }
        Some(draft)
    }
}
