//! Which process may do what: the table that start-up enforces and a test compares with `/proc`.
//!
//! `spawn` reduces a child to its row before `exec`, `kr_child::start` verifies the row after it.

use std::fmt;
use std::fs;
use std::io;
use std::str::FromStr;

use caps::Capability;

/// Which child a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The VRRP process.
    Vrrpd,
    /// The checker process.
    Checkerd,
    /// The IPVS process.
    Ipvsd,
}

/// One capability of a role, and what would not work without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The capability.
    pub capability: Capability,
    /// What it is for.
    pub reason: &'static str,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Vrrpd, Self::Checkerd, Self::Ipvsd];

    /// Name of the executable.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Vrrpd => "vrrpd",
            Self::Checkerd => "checkerd",
            Self::Ipvsd => "ipvsd",
        }
    }

    /// Name in log lines, as keepalived's users know it.
    #[must_use]
    pub const fn ident(self) -> &'static str {
        match self {
            Self::Vrrpd => "Keepalived_vrrp",
            Self::Checkerd => "Keepalived_healthcheckers",
            Self::Ipvsd => "Keepalived_ipvs",
        }
    }

    /// Capabilities that the role keeps, in all sets but the inheritable and ambient ones.
    #[must_use]
    pub const fn grants(self) -> &'static [Grant] {
        match self {
            Self::Vrrpd => &[
                Grant {
                    capability: Capability::CAP_NET_ADMIN,
                    reason: "adds and removes virtual addresses through rtnetlink",
                },
                Grant {
                    capability: Capability::CAP_NET_RAW,
                    reason: "opens raw sockets for VRRP and packet sockets for ARP when interfaces come and go",
                },
            ],
            Self::Checkerd => &[],
            Self::Ipvsd => &[Grant {
                capability: Capability::CAP_NET_ADMIN,
                reason: "changes the IPVS table through generic netlink",
            }],
        }
    }

    /// The role's capabilities as a bit mask, bit n for capability number n.
    #[must_use]
    pub fn mask(self) -> u64 {
        self.grants()
            .iter()
            .fold(0, |mask, grant| mask | grant.capability.bitmask())
    }
}

/// What a child does beyond the usual work of its role, because its configuration asks for it. It is
/// started with exactly that: when a reload asks for another duty, it is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Duty {
    /// Nothing.
    #[default]
    Usual,
    /// The IPVS process opens sockets for checks with `fwmark`.
    Sockets,
    /// The same, also with a `bind_port` below 1024.
    LowPorts,
    /// The VRRP process changes packet filter tables, through a socket that it opens before its sandbox.
    Firewall,
}

impl Duty {
    /// Every duty.
    pub const ALL: [Self; 4] = [Self::Usual, Self::Sockets, Self::LowPorts, Self::Firewall];

    /// Capabilities that it adds to those of the role.
    #[must_use]
    pub const fn grants(self) -> &'static [Grant] {
        match self {
            // A mark and a packet filter need CAP_NET_ADMIN, which the roles have.
            Self::Usual | Self::Sockets | Self::Firewall => &[],
            Self::LowPorts => &[Grant {
                capability: Capability::CAP_NET_BIND_SERVICE,
                reason: "binds sockets of checks to source ports below 1024 (bind_port)",
            }],
        }
    }

    /// The same as a bit mask, bit n for capability number n.
    #[must_use]
    pub fn mask(self) -> u64 {
        self.grants()
            .iter()
            .fold(0, |mask, grant| mask | grant.capability.bitmask())
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usual => "usual",
            Self::Sockets => "sockets",
            Self::LowPorts => "low-ports",
            Self::Firewall => "firewall",
        })
    }
}

/// A word that is no [`Duty`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoDuty;

impl fmt::Display for NoDuty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected `usual`, `sockets`, `low-ports` or `firewall`")
    }
}

impl std::error::Error for NoDuty {}

impl FromStr for Duty {
    type Err = NoDuty;

    /// Reads the value of `--duty`.
    fn from_str(text: &str) -> Result<Self, NoDuty> {
        let named = |duty: &Self| duty.to_string() == text;
        Self::ALL.into_iter().find(named).ok_or(NoDuty)
    }
}

/// Whose account a child runs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// One of its own.
    Own,
    /// That of its parent, which is not root and cannot change it.
    Shared,
}

/// What a process holds, from its `/proc/PID/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// Real, effective, saved and file system user id.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system group id.
    pub gids: [u32; 4],
    /// `CapInh`.
    pub inheritable: u64,
    /// `CapPrm`.
    pub permitted: u64,
    /// `CapEff`.
    pub effective: u64,
    /// `CapBnd`.
    pub bounding: u64,
    /// `CapAmb`.
    pub ambient: u64,
    /// `NoNewPrivs`.
    pub no_new_privileges: bool,
}

/// Why a process holds something else than its role may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Field of `/proc/PID/status`.
    pub field: &'static str,
    /// What the role may hold.
    pub expected: String,
    /// What the process holds.
    pub found: String,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, but the role allows {}",
            self.field, self.found, self.expected
        )
    }
}

impl std::error::Error for Excess {}

impl Holdings {
    /// Reads what this process holds.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn of_this_process() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/self/status")?;
        Self::parse(&text).ok_or_else(|| io::Error::other("/proc/self/status lacks a field"))
    }

    /// Reads the text of a `/proc/PID/status`. `None` when a field is missing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
        };
        let ids = |name| -> Option<[u32; 4]> {
            let ids: Result<Vec<u32>, _> =
                field(name)?.split_whitespace().map(str::parse).collect();
            ids.ok()?.try_into().ok()
        };
        let set = |name| u64::from_str_radix(field(name)?, 16).ok();
        Some(Self {
            uids: ids("Uid")?,
            gids: ids("Gid")?,
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            ambient: set("CapAmb")?,
            no_new_privileges: field("NoNewPrivs")? == "1",
        })
    }

    /// Compares with what `role` may hold after start-up: an own user that is not root, the capabilities of
    /// the role and its `duty` permitted, effective and bounding, none that a further program would inherit.
    ///
    /// # Errors
    /// The first field that differs.
    pub fn verify(&self, role: Role, duty: Duty, account: Account) -> Result<(), Excess> {
        for (field, ids) in [("Uid", self.uids), ("Gid", self.gids)] {
            let [real, rest @ ..] = ids;
            if real == 0 || rest.iter().any(|id| *id != real) {
                return Err(Excess {
                    field,
                    expected: "one account that is not root".to_owned(),
                    found: format!("{ids:?}"),
                });
            }
        }
        let mask = role.mask() | duty.mask();
        let bounding = match account {
            Account::Own => mask,
            // Only CAP_SETPCAP reduces it; no_new_privs makes it meaningless.
            Account::Shared => self.bounding,
        };
        for (field, found, expected) in [
            ("CapPrm", self.permitted, mask),
            ("CapEff", self.effective, mask),
            ("CapBnd", self.bounding, bounding),
            ("CapInh", self.inheritable, 0),
            ("CapAmb", self.ambient, 0),
        ] {
            if found != expected {
                return Err(Excess {
                    field,
                    expected: format!("{expected:016x}"),
                    found: format!("{found:016x}"),
                });
            }
        }
        if self.no_new_privileges {
            Ok(())
        } else {
            Err(Excess {
                field: "NoNewPrivs",
                expected: "1".to_owned(),
                found: "0".to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VRRPD: &str = "Name:\tvrrpd\nUid:\t990\t990\t990\t990\nGid:\t980\t980\t980\t980\n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000003000\nCapEff:\t0000000000003000\n\
        CapBnd:\t0000000000003000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n";

    #[test]
    fn a_process_with_exactly_its_row_passes() {
        let holdings = Holdings::parse(VRRPD).unwrap();
        assert_eq!(
            holdings.verify(Role::Vrrpd, Duty::Usual, Account::Own),
            Ok(())
        );
    }

    #[test]
    fn anything_more_or_less_is_named() {
        let field = |from: &str, to: &str| {
            let holdings = Holdings::parse(&VRRPD.replace(from, to)).unwrap();
            holdings
                .verify(Role::Vrrpd, Duty::Usual, Account::Own)
                .unwrap_err()
                .field
        };
        assert_eq!(field("990\t990\t990\t990", "0\t0\t0\t0"), "Uid");
        assert_eq!(field("980\t980\t980\t980", "980\t0\t980\t980"), "Gid");
        assert_eq!(
            field("CapBnd:\t0000000000003000", "CapBnd:\t000001ffffffffff"),
            "CapBnd"
        );
        assert_eq!(
            field("CapEff:\t0000000000003000", "CapEff:\t0000000000001000"),
            "CapEff"
        );
        assert_eq!(
            field("CapAmb:\t0000000000000000", "CapAmb:\t0000000000003000"),
            "CapAmb"
        );
        assert_eq!(field("NoNewPrivs:\t1", "NoNewPrivs:\t0"), "NoNewPrivs");
    }

    #[test]
    fn another_role_is_more_than_checkerd_may_hold() {
        let holdings = Holdings::parse(VRRPD).unwrap();
        assert_eq!(
            holdings
                .verify(Role::Checkerd, Duty::Usual, Account::Own)
                .unwrap_err()
                .field,
            "CapPrm"
        );
    }

    #[test]
    fn a_duty_is_more_than_the_role_alone_may_hold_and_must_be_held() {
        let text = VRRPD.replace("3000", "1400");
        let holdings = Holdings::parse(&text).unwrap();
        assert_eq!(
            holdings.verify(Role::Ipvsd, Duty::LowPorts, Account::Own),
            Ok(())
        );
        for duty in [Duty::Usual, Duty::Sockets] {
            let excess = holdings
                .verify(Role::Ipvsd, duty, Account::Own)
                .unwrap_err();
            assert_eq!(excess.field, "CapPrm");
        }
        let usual = Holdings::parse(&VRRPD.replace("3000", "1000")).unwrap();
        let excess = usual
            .verify(Role::Ipvsd, Duty::LowPorts, Account::Own)
            .unwrap_err();
        assert_eq!(excess.field, "CapPrm");
    }

    #[test]
    fn duties_are_spelled_as_they_are_read() {
        for duty in Duty::ALL {
            assert_eq!(duty.to_string().parse(), Ok(duty));
        }
        assert_eq!("all".parse::<Duty>(), Err(NoDuty));
    }

    #[test]
    fn an_incomplete_status_is_no_status() {
        assert_eq!(Holdings::parse("Uid:\t1\t1\t1\t1\n"), None);
        assert_eq!(
            Holdings::parse(&VRRPD.replace("990\t990\t990\t990", "990")),
            None
        );
    }
}
