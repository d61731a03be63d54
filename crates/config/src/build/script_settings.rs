//! What `global_defs` says of scripts: accounts, security, and the scripts of the daemon itself.

use std::path::PathBuf;
use std::time::Duration;

use kr_model::ScriptId;
use kr_model::global::DaemonScript;
use kr_model::script::ScriptUser;

use crate::tree::Statement;

use super::Build;
use super::value::set;

/// Time for `startup_script` and `shutdown_script`.
const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

/// A script with its own time limit.
#[derive(Default)]
struct Limited {
    script: Option<ScriptId>,
    limit: Option<Duration>,
}

impl Limited {
    fn finish(&self) -> Option<DaemonScript> {
        self.script.map(|script| DaemonScript {
            script,
            limit: self.limit.unwrap_or(DEFAULT_LIMIT),
        })
    }
}

/// The settings so far.
#[derive(Default)]
pub(super) struct ScriptSettings {
    pub(super) user: Option<ScriptUser>,
    pub(super) security: bool,
    pub(super) links: bool,
    pub(super) groups: bool,
    pub(super) no_new_privileges: bool,
    pub(super) read_only: Option<Vec<PathBuf>>,
    startup: Limited,
    shutdown: Limited,
}

impl ScriptSettings {
    pub(super) fn startup(&self) -> Option<DaemonScript> {
        self.startup.finish()
    }

    pub(super) fn shutdown(&self) -> Option<DaemonScript> {
        self.shutdown.finish()
    }
}

impl Build<'_> {
    /// Takes a statement about scripts. False when it is none.
    pub(super) fn script_setting(
        &mut self,
        scripts: &mut ScriptSettings,
        name: &str,
        statement: &Statement,
    ) -> bool {
        match name {
            "script_user" => {
                if let Some((user, group)) = statement.arguments.split_first() {
                    set(&mut scripts.user, self.account(user, group.first(), false));
                }
            }
            "enable_script_security" => scripts.security = true,
            "use_symlink_paths" => scripts.links = self.switch(statement).unwrap_or(false),
            "set_supplementary_groups" => {
                scripts.groups = self.switch(statement).unwrap_or(false);
            }
            "script_no_new_privileges" => {
                scripts.no_new_privileges = self.switch(statement).unwrap_or(false);
            }
            "script_read_only" => {
                let words = statement.arguments.iter();
                // A wrong one takes nothing away from the rule.
                let directories = words.filter_map(|word| self.absolute_path(word));
                scripts.read_only = Some(directories.collect());
            }
            "startup_script" => set(&mut scripts.startup.script, self.script(statement)),
            "shutdown_script" => set(&mut scripts.shutdown.script, self.script(statement)),
            "startup_script_timeout" => set(&mut scripts.startup.limit, self.limit(statement)),
            "shutdown_script_timeout" => set(&mut scripts.shutdown.limit, self.limit(statement)),
            _ => return false,
        }
        true
    }

    fn limit(&mut self, statement: &Statement) -> Option<Duration> {
        self.number(statement, 1, 1000).map(Duration::from_secs)
    }
}
