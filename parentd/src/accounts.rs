//! Accounts of the host: of the children, and of the operator's scripts. Looked up when a configuration
//! is loaded, never while events wait, for a lookup may go over the network.

use std::ffi::CString;
use std::fmt;

use kr_model::global::{Accounts, Global};
use kr_model::script::ScriptUser;
use kr_sys::privilege::Role;
use kr_sys::spawn::Identity;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// The last resort of a child without an own account.
const NOBODY: &str = "nobody";

/// Its number where even the name is missing (the kernel's overflow id).
const NOBODY_ID: u32 = 65_534;

/// Account for scripts, when it exists and no other is configured.
const SCRIPT_ACCOUNT: &str = "keepalived_script";

/// An account or group does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAccount {
    /// No such user.
    User(String),
    /// No such group.
    Group(String),
}

impl fmt::Display for NoAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "there is no user `{name}` on this host"),
            Self::Group(name) => write!(f, "there is no group `{name}` on this host"),
        }
    }
}

impl std::error::Error for NoAccount {}

/// The account a child runs under: the configured one, else `nobody` with a warning.
pub(crate) fn of_child(role: Role, accounts: &Accounts) -> Identity {
    let name = match role {
        Role::Vrrpd => &accounts.vrrpd,
        Role::Checkerd => &accounts.checkerd,
        Role::Ipvsd => &accounts.ipvsd,
    };
    match user(name) {
        Some(user) if !user.uid.is_root() => {
            return Identity {
                uid: user.uid,
                gid: user.gid,
                groups: Vec::new(),
            };
        }
        Some(_) => log::warn!(
            "the account `{name}` of {} is root's: using `{NOBODY}` instead",
            role.program()
        ),
        None => log::warn!(
            "there is no account `{name}` for {}: using `{NOBODY}`, which it then shares with others; \
             create it with systemd-sysusers and the file sysusers.d/keepalived-rs.conf, or with \
             `useradd --system --shell /usr/sbin/nologin {name}`",
            role.program()
        ),
    }
    let nobody = user(NOBODY);
    Identity {
        uid: nobody
            .as_ref()
            .map_or(Uid::from_raw(NOBODY_ID), |user| user.uid),
        gid: nobody
            .as_ref()
            .map_or(Gid::from_raw(NOBODY_ID), |user| user.gid),
        groups: Vec::new(),
    }
}

/// The account a script or a FIFO has: its own, `script_user`, `keepalived_script` when that exists, else
/// `None`: that of this process.
///
/// # Errors
/// When a configured name does not exist.
pub(crate) fn of_script(
    own: Option<&ScriptUser>,
    global: &Global,
) -> Result<Option<Identity>, NoAccount> {
    match own.or(global.script_user.as_ref()) {
        Some(configured) => {
            let identity = of_script_user(configured, global.script_groups)?;
            // Whoever is not root cannot change the account, and need not when it is the own one.
            let own = Uid::effective();
            Ok((own.is_root() || identity.uid != own).then_some(identity))
        }
        None if !Uid::effective().is_root() => Ok(None),
        None => Ok(user(SCRIPT_ACCOUNT).map(|user| Identity {
            uid: user.uid,
            gid: user.gid,
            groups: vec![user.gid],
        })),
    }
}

fn of_script_user(configured: &ScriptUser, with_groups: bool) -> Result<Identity, NoAccount> {
    let user = user(&configured.user).ok_or_else(|| NoAccount::User(configured.user.clone()))?;
    let gid = match &configured.group {
        None => user.gid,
        Some(name) => {
            let group = Group::from_name(name).ok().flatten();
            group.ok_or_else(|| NoAccount::Group(name.clone()))?.gid
        }
    };
    let mut groups = vec![gid];
    if (configured.supplementary_groups || with_groups)
        && let Ok(name) = CString::new(configured.user.as_str())
        && let Ok(all) = getgrouplist(&name, gid)
    {
        groups = all;
    }
    Ok(Identity {
        uid: user.uid,
        gid,
        groups,
    })
}

fn user(name: &str) -> Option<User> {
    User::from_name(name).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script_user(user: &str, group: Option<&str>) -> ScriptUser {
        ScriptUser {
            user: user.to_owned(),
            group: group.map(str::to_owned),
            supplementary_groups: false,
        }
    }

    #[test]
    fn a_missing_account_of_a_child_becomes_nobody() {
        let accounts = Accounts {
            vrrpd: "no-such-account".to_owned(),
            ..Accounts::default()
        };
        let identity = of_child(Role::Vrrpd, &accounts);
        assert!(!identity.uid.is_root());
        assert_eq!(identity.groups, []);
    }

    #[test]
    fn a_child_never_runs_as_root() {
        let accounts = Accounts {
            ipvsd: "root".to_owned(),
            ..Accounts::default()
        };
        assert!(!of_child(Role::Ipvsd, &accounts).uid.is_root());
    }

    #[test]
    fn the_scripts_own_account_comes_first() {
        let own = script_user("nobody", None);
        let default = script_user("no-such-account", None);
        let global = Global {
            script_user: Some(default),
            ..crate::sample::config().global
        };
        assert!(of_script(Some(&own), &global).unwrap().is_some());
        assert_eq!(
            of_script(None, &global),
            Err(NoAccount::User("no-such-account".to_owned()))
        );
        let group = script_user("nobody", Some("no-such-group"));
        assert_eq!(
            of_script(Some(&group), &global),
            Err(NoAccount::Group("no-such-group".to_owned()))
        );
    }
}
