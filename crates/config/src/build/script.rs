//! Commands of the operator: `"COMMAND ARG..." [USER [[:]GROUP]]`. Equal ones become one script.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kr_model::ScriptId;
use kr_model::script::{Script, ScriptUser};

use crate::lexer::split_command;
use crate::source::Span;
use crate::tree::{Statement, Word};

use super::Build;
use super::finding::error;
use super::value::{is_placeholder, placeholder};

/// What makes two scripts one.
type Key = (PathBuf, Vec<String>, Option<ScriptUser>);

/// The scripts found so far.
#[derive(Default)]
pub(super) struct Scripts {
    known: BTreeMap<Key, ScriptId>,
    /// Where the first one is written.
    pub(super) first: Option<Span>,
    /// Where each program is named first.
    pub(super) places: BTreeMap<PathBuf, Span>,
}

impl Scripts {
    /// The scripts by id, to be asked for once.
    pub(super) fn take(&mut self) -> BTreeMap<ScriptId, Script> {
        let script = |((program, arguments, user), id)| {
            (
                id,
                Script {
                    id,
                    program,
                    arguments,
                    user,
                },
            )
        };
        std::mem::take(&mut self.known)
            .into_iter()
            .map(script)
            .collect()
    }
}

impl Build<'_> {
    /// The command of a `notify...` or `quorum_...` line. `None` when it cannot run.
    pub(super) fn script(&mut self, statement: &Statement) -> Option<ScriptId> {
        let (command, account) = statement.arguments.split_first()?;
        let user = match account.split_first() {
            Some((user, group)) => Some(self.account(user, group.first(), true)?),
            None => None,
        };
        self.command(command, user)
    }

    /// A command word with the account that runs it.
    pub(super) fn command(&mut self, word: &Word, user: Option<ScriptUser>) -> Option<ScriptId> {
        if is_placeholder(word) {
            let finding = error(word.span, "there is no command");
            self.report(placeholder(finding, word));
            return None;
        }
        let words = match split_command(&word.text) {
            Ok(words) => words,
            Err(why) => {
                self.report(error(
                    word.span,
                    format!("the command cannot be read: {why}"),
                ));
                return None;
            }
        };
        let Some((program, arguments)) = words.split_first() else {
            self.report(error(word.span, "the command is empty").label("expected a program"));
            return None;
        };
        self.scripts.first.get_or_insert(word.span);
        let program = PathBuf::from(program);
        let places = &mut self.scripts.places;
        places.entry(program.clone()).or_insert(word.span);
        let key = (program, arguments.to_vec(), user);
        let next = ScriptId(u32::try_from(self.scripts.known.len()).unwrap_or(u32::MAX));
        Some(*self.scripts.known.entry(key).or_insert(next))
    }

    /// `USER [[:]GROUP]`. `None` when user or group do not exist.
    pub(super) fn account(
        &mut self,
        user: &Word,
        group: Option<&Word>,
        after_command: bool,
    ) -> Option<ScriptUser> {
        if !self.host.user_exists(&user.text) {
            let finding = error(user.span, format!("there is no user `{}`", user.text));
            self.report(if after_command {
                finding.help("if this is an argument of the command, put command and arguments into quotes together")
            } else {
                finding
            });
            return None;
        }
        let written = group.map_or("", |word| word.text.as_str());
        let name = written.strip_prefix(':').unwrap_or(written);
        if let Some(word) = group.filter(|_| !name.is_empty() && !self.host.group_exists(name)) {
            self.report(error(word.span, format!("there is no group `{name}`")));
            return None;
        }
        Some(ScriptUser {
            user: user.text.clone(),
            group: (!name.is_empty()).then(|| name.to_owned()),
            supplementary_groups: written.starts_with(':'),
        })
    }
}
