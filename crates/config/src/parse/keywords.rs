//! The two things that the form of a file takes from the keyword registry.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::registry::{self, Block};

/// True for a keyword whose argument is a command line: single quotes join words there too, and what is in
/// quotes is kept as written for [`crate::lexer::split_command`].
pub(super) fn is_command(keyword: &str) -> bool {
    static COMMANDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        registry::all()
            .filter(|entry| {
                let first = entry.syntax.split_whitespace().nth(1).unwrap_or_default();
                let first = first.trim_start_matches(['[', '"', '<']);
                ["COMMAND", "CMD"]
                    .into_iter()
                    .any(|name| first.starts_with(name))
            })
            .map(|entry| entry.name)
            .collect()
    });
    COMMANDS.contains(keyword)
}

/// True for a keyword whose block stands outside all others and never inside one: the sign of a missing brace
/// above it.
pub(super) fn is_root_block(keyword: &str) -> bool {
    static BLOCKS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        let inside: HashSet<&str> = registry::all()
            .filter(|entry| entry.block != Block::Root)
            .map(|entry| entry.name)
            .collect();
        registry::all()
            .filter(|entry| entry.block == Block::Root && entry.syntax.contains('{'))
            .map(|entry| entry.name)
            .filter(|name| !inside.contains(name))
            .collect()
    });
    BLOCKS.contains(keyword)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known_by_their_syntax() {
        for keyword in [
            "notify_master",
            "notify",
            "script",
            "misc_path",
            "quorum_up",
            "notify_down",
            "startup_script",
            "notify_fifo_script",
        ] {
            assert!(is_command(keyword), "{keyword}");
        }
        for keyword in [
            "notify_fifo",
            "router_id",
            "auth_pass",
            "path",
            "script_user",
            "regex",
        ] {
            assert!(!is_command(keyword), "{keyword}");
        }
    }

    #[test]
    fn root_blocks_are_those_that_stand_nowhere_else() {
        for keyword in [
            "global_defs",
            "vrrp_instance",
            "virtual_server",
            "vrrp_sync_group",
            "vrrp_script",
        ] {
            assert!(is_root_block(keyword), "{keyword}");
        }
        for keyword in [
            "track_file",
            "real_server",
            "virtual_ipaddress",
            "net_namespace",
        ] {
            assert!(!is_root_block(keyword), "{keyword}");
        }
    }
}
