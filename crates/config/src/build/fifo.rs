//! `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo` and the programs that read them.

use std::path::PathBuf;

use kr_model::ScriptId;
use kr_model::global::NotifyFifo;
use kr_model::script::ScriptUser;

use crate::source::Span;
use crate::tree::Statement;

use super::Build;
use super::finding::{error, warning};
use super::value::set;

/// What the lines of one family said.
#[derive(Default)]
struct Draft {
    fifo: Option<(PathBuf, Option<ScriptUser>, Span)>,
    reader: Option<(ScriptId, Span)>,
}

/// What `global_defs` says of FIFOs.
#[derive(Default)]
pub(super) struct Fifos {
    all: Draft,
    vrrp: Draft,
    lvs: Draft,
    /// `vrrp_notify_priority_changes`.
    pub(super) priority_changes: bool,
    /// `fifo_write_vrrp_states_on_reload`.
    pub(super) states_on_reload: bool,
}

impl Build<'_> {
    /// Takes a statement about FIFOs. False when it is none.
    pub(super) fn fifo_setting(
        &mut self,
        fifos: &mut Fifos,
        name: &str,
        statement: &Statement,
    ) -> bool {
        let draft = match name {
            "notify_fifo" | "notify_fifo_script" => &mut fifos.all,
            "vrrp_notify_fifo" | "vrrp_notify_fifo_script" => &mut fifos.vrrp,
            "lvs_notify_fifo" | "lvs_notify_fifo_script" => &mut fifos.lvs,
            "fifo_write_vrrp_states_on_reload" => {
                fifos.states_on_reload = true;
                return true;
            }
            "vrrp_notify_priority_changes" => {
                fifos.priority_changes = self.switch(statement).unwrap_or(false);
                return true;
            }
            _ => return false,
        };
        if name.ends_with("_script") {
            let script = self.script(statement);
            set(
                &mut draft.reader,
                script.map(|script| (script, statement.keyword.span)),
            );
        } else {
            set(&mut draft.fifo, self.fifo(statement));
        }
        true
    }

    fn fifo(&mut self, statement: &Statement) -> Option<(PathBuf, Option<ScriptUser>, Span)> {
        let (word, account) = statement.arguments.split_first()?;
        let path = PathBuf::from(self.text(statement)?);
        if !path.is_absolute() || path.file_name().is_none() {
            self.report(
                error(
                    word.span,
                    format!("`{}` is not the path of a FIFO", word.text),
                )
                .label("expected an absolute path, for example `/run/keepalived/notify`"),
            );
            return None;
        }
        let user = match account.split_first() {
            Some((user, group)) => Some(self.account(user, group.first(), false)?),
            None => None,
        };
        Some((path, user, word.span))
    }

    /// Each path once, with everything that goes there.
    pub(super) fn notify_fifos(&mut self, fifos: &Fifos) -> Vec<NotifyFifo> {
        let mut found: Vec<NotifyFifo> = Vec::new();
        for (name, draft, vrrp, lvs) in [
            ("notify_fifo", &fifos.all, true, true),
            ("vrrp_notify_fifo", &fifos.vrrp, true, false),
            ("lvs_notify_fifo", &fifos.lvs, false, true),
        ] {
            match (&draft.fifo, draft.reader) {
                (Some((path, user, at)), reader) => {
                    if let Some(known) = found.iter_mut().find(|known| known.path == *path) {
                        known.vrrp |= vrrp;
                        known.lvs |= lvs;
                        self.report(
                            warning(*at, format!("`{}` is used twice", path.display()))
                                .label("each line is written once")
                                .help("the owner and the script given first count"),
                        );
                        continue;
                    }
                    found.push(NotifyFifo {
                        path: path.clone(),
                        user: user.clone(),
                        vrrp,
                        lvs,
                        reader: reader.map(|(script, _)| script),
                    });
                }
                (None, Some((_, at))) => self.report(
                    warning(at, format!("there is no `{name}` for this script to read"))
                        .label("it does not run")
                        .help(format!("add `{name} PATH`")),
                ),
                (None, None) => {}
            }
        }
        found
    }
}
