//! `authentication` of a `vrrp_instance`.

use kr_model::vrrp::{Authentication, Secret};

use crate::registry::Block;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::{error, warning};
use super::instance::InstanceDraft;
use super::walk::{Context, Seen};

const AUTHENTICATION: Context = Context {
    name: "authentication",
    blocks: &[Block::Authentication],
    also: &[],
    repeatable: &[],
};

impl Build<'_> {
    pub(super) fn authentication(&mut self, draft: &mut InstanceDraft, statement: &Statement) {
        let mut seen = Seen::default();
        let mut kind = None;
        let mut secret = None;
        for line in statement.block.iter().flat_map(|block| &block.statements) {
            let Some(keyword) = self.accept(&AUTHENTICATION, &mut seen, line) else {
                continue;
            };
            let Some(word) = line.arguments.first() else {
                continue;
            };
            match keyword.name {
                "auth_type" => kind = self.authentication_kind(word),
                "auth_pass" => secret = self.secret(word),
                _ => self.unbuilt(keyword, line),
            }
        }
        let at = statement.keyword.span;
        let value = match (kind, secret) {
            (Some(AuthKind::Password), Some(secret)) => Authentication::Password(secret),
            (Some(AuthKind::Header), Some(secret)) => Authentication::Header(secret),
            (None | Some(_), _) => {
                self.report(
                    error(at, "authentication is off, because `auth_type` or `auth_pass` is missing or wrong")
                        .label("expected `auth_type PASS` and `auth_pass TEXT`"),
                );
                Authentication::None
            }
        };
        draft.authentication = Some((value, at));
    }

    fn authentication_kind(&mut self, word: &Word) -> Option<AuthKind> {
        match word.text.as_str() {
            "PASS" => Some(AuthKind::Password),
            "AH" => Some(AuthKind::Header),
            _ => {
                self.report(
                    error(
                        word.span,
                        format!("unknown authentication type `{}`", word.text),
                    )
                    .label("expected `PASS` or `AH`"),
                );
                None
            }
        }
    }

    fn secret(&mut self, word: &Word) -> Option<Secret> {
        if word.text.is_empty() {
            return None;
        }
        if word.text.len() > 8 {
            self.report(
                warning(word.span, "only the first 8 bytes of the password are used")
                    .help("shorten it to 8 characters on all routers of this VRID"),
            );
        }
        let mut bytes = [0; 8];
        for (slot, byte) in bytes.iter_mut().zip(word.text.bytes()) {
            *slot = byte;
        }
        Some(Secret::new(bytes))
    }
}

#[derive(Clone, Copy)]
enum AuthKind {
    Password,
    Header,
}
