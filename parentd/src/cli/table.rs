//! Every option that keepalived takes, with its spellings, and our own few. `-h` is made from it.

use std::fmt::Write as _;

/// Which option, independent of its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    UseFile,
    VrrpOnly,
    CheckOnly,
    NoBfd,
    All,
    LogConsole,
    LogDetail,
    LogFacility,
    NoSyslog,
    LogFile,
    ReleaseVips,
    KeepVrrp,
    KeepIpvs,
    DontRespawn,
    DontFork,
    DumpConf,
    Pid,
    VrrpPid,
    CheckersPid,
    IpvsPid,
    Umask,
    Namespace,
    ConfigName,
    AllConfig,
    ConfigTest,
    Signum,
    Genhash,
    Version,
    Help,
    ListKeywords,
    Explain,
    Libexec,
    /// Accepted with a warning: the feature is not built.
    NotBuilt,
}

/// Whether an option takes a value. A value in the optional form must be attached: `-tFILE`,
/// `--config-test=FILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// No value.
    None,
    /// A value, attached or as the next word.
    Required(&'static str),
    /// A value only when it is attached.
    Optional(&'static str),
}

/// One option.
#[derive(Debug)]
pub(crate) struct Row {
    /// Letter of the short form.
    pub(crate) short: Option<char>,
    /// Word of the long form.
    pub(crate) long: &'static str,
    /// Its value.
    pub(crate) value: Value,
    /// Which it is.
    pub(crate) id: Id,
    /// One line for `-h`.
    pub(crate) help: &'static str,
}

const fn row(
    short: Option<char>,
    long: &'static str,
    value: Value,
    id: Id,
    help: &'static str,
) -> Row {
    Row {
        short,
        long,
        value,
        id,
        help,
    }
}

/// The table, in the order of `-h`.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row(Some('f'), "use-file", Value::Required("FILE"), Id::UseFile, "configuration file (/etc/keepalived/keepalived.conf)"),
    row(Some('t'), "config-test", Value::Optional("LOG"), Id::ConfigTest, "check the configuration and exit; findings to LOG or standard error"),
    row(Some('n'), "dont-fork", Value::None, Id::DontFork, "stay in the foreground"),
    row(Some('P'), "vrrp", Value::None, Id::VrrpOnly, "only VRRP: no health checks, no IPVS"),
    row(Some('C'), "check", Value::None, Id::CheckOnly, "only health checks and IPVS: no VRRP"),
    row(Some('B'), "no_bfd", Value::None, Id::NoBfd, "no BFD (there is none yet)"),
    row(None,      "all", Value::None, Id::All, "start every process, also without configuration for it"),
    row(Some('l'), "log-console", Value::None, Id::LogConsole, "log to standard error too"),
    row(Some('D'), "log-detail", Value::None, Id::LogDetail, "detailed log; twice for more"),
    row(Some('S'), "log-facility", Value::Required("FACILITY"), Id::LogFacility, "syslog facility: 0 to 7, local0 to local7, user, daemon"),
    row(Some('G'), "no-syslog", Value::None, Id::NoSyslog, "no syslog"),
    row(Some('g'), "log-file", Value::Optional("FILE"), Id::LogFile, "log to FILE too (/tmp/keepalived.log)"),
    row(None,      "flush-log-file", Value::None, Id::NotBuilt, "every line reaches the log file at once anyway"),
    row(Some('X'), "release-vips", Value::None, Id::ReleaseVips, "no effect: addresses are always removed when they must not be there"),
    row(Some('V'), "dont-release-vrrp", Value::None, Id::KeepVrrp, "leave virtual addresses at exit"),
    row(Some('I'), "dont-release-ipvs", Value::None, Id::KeepIpvs, "leave the IPVS table at exit"),
    row(Some('R'), "dont-respawn", Value::None, Id::DontRespawn, "do not restart a child that ended: stop"),
    row(Some('d'), "dump-conf", Value::None, Id::DumpConf, "log the configuration after reading it"),
    row(Some('p'), "pid", Value::Required("FILE"), Id::Pid, "pid file of the parent"),
    row(Some('r'), "vrrp_pid", Value::Required("FILE"), Id::VrrpPid, "pid file of the VRRP process"),
    row(Some('c'), "checkers_pid", Value::Required("FILE"), Id::CheckersPid, "pid file of the checker process"),
    row(None,      "ipvs_pid", Value::Required("FILE"), Id::IpvsPid, "pid file of the IPVS process"),
    row(Some('b'), "bfd_pid", Value::Required("FILE"), Id::NotBuilt, "pid file of the BFD process"),
    row(Some('a'), "address-monitoring", Value::None, Id::NotBuilt, "log all address changes"),
    row(Some('u'), "umask", Value::Required("MASK"), Id::Umask, "file mode creation mask, octal"),
    row(Some('s'), "namespace", Value::Required("NAME"), Id::Namespace, "run in the network namespace NAME"),
    row(Some('m'), "core-dump", Value::None, Id::NotBuilt, "core dumps"),
    row(Some('M'), "core-dump-pattern", Value::Optional("PATTERN"), Id::NotBuilt, "core dumps with a name pattern"),
    row(Some('i'), "config-id", Value::Required("ID"), Id::ConfigName, "only `@ID` lines of the configuration, not `@^ID` ones"),
    row(Some('e'), "all-config", Value::None, Id::AllConfig, "every include must match a readable file"),
    row(None,      "signum", Value::Required("FUNCTION"), Id::Signum, "number of the signal for STOP, RELOAD, DATA, STATS"),
    row(Some('T'), "genhash", Value::None, Id::Genhash, "run as genhash with the words that follow"),
    row(Some('x'), "snmp", Value::None, Id::NotBuilt, "SNMP"),
    row(Some('A'), "snmp-agent-socket", Value::Required("SOCKET"), Id::NotBuilt, "AgentX socket"),
    row(None,      "ignore-sigint", Value::None, Id::NotBuilt, "SIGINT does not stop the daemon"),
    row(None,      "no-mem-check", Value::None, Id::NotBuilt, "memory checks of a debugging build"),
    row(None,      "debug", Value::Optional("WHAT"), Id::NotBuilt, "debugging output"),
    row(None,      "perf", Value::Optional("WHAT"), Id::NotBuilt, "performance recording"),
    row(None,      "list-keywords", Value::None, Id::ListKeywords, "print every configuration keyword with its block and status"),
    row(None,      "explain", Value::Required("KEYWORD"), Id::Explain, "print what a configuration keyword means"),
    row(None,      "libexec", Value::Required("DIR"), Id::Libexec, "where vrrpd, checkerd and ipvsd are"),
    row(Some('v'), "version", Value::None, Id::Version, "print the version"),
    row(Some('h'), "help", Value::None, Id::Help, "print this"),
];

/// The text of `-h`.
pub(crate) fn help() -> String {
    let mut text = "Usage: keepalived-rs [OPTION...]\n".to_owned();
    for row in ROWS {
        let short = row
            .short
            .map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
        let value = match row.value {
            Value::None => String::new(),
            Value::Required(name) => format!("={name}"),
            Value::Optional(name) => format!("[={name}]"),
        };
        let spelling = format!("--{}{value}", row.long);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {short}{spelling:<30} {}", row.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_spelling_occurs_twice() {
        let shorts: Vec<char> = ROWS.iter().filter_map(|row| row.short).collect();
        assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len());
        let longs: BTreeSet<&str> = ROWS.iter().map(|row| row.long).collect();
        assert_eq!(longs.len(), ROWS.len());
    }

    #[test]
    fn help_shows_both_spellings_and_the_value() {
        assert!(help().contains("  -f, --use-file=FILE "));
        assert!(help().contains("  -t, --config-test[=LOG] "));
    }
}
