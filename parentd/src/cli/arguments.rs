//! Every option that keepalived takes, and our own few: spellings, values and help texts, once.
//!
//! `argh` makes the parser from this struct and describes it ([`options`]) to the reader of words
//! (`argv`) and to `-h`. `argh` has no options with an optional value: here they are options whose value
//! name stands in brackets, and an empty value is none given. A help text that begins with
//! [`NO_EFFECT`] marks an option that is taken for compatibility only.

use std::fmt::Write as _;
use std::path::PathBuf;

use argh::{ArgsInfo, FlagInfo, FlagInfoKind, FromArgs};
use kr_log::Facility;
use kr_sys::sandbox::Mode as Sandbox;
use nix::sys::stat::Mode;

/// Start of the help text of an option that is accepted with a warning.
pub(crate) const NO_EFFECT: &str = "no effect: ";

/// start and watch the daemons of VRRP, health checks and IPVS
#[derive(Debug, FromArgs, ArgsInfo)]
pub(crate) struct Arguments {
    /// configuration file (/etc/keepalived/keepalived.conf)
    #[argh(option, short = 'f', arg_name = "FILE")]
    pub(crate) use_file: Option<PathBuf>,
    /// check the configuration and exit; findings to LOG or standard error
    #[argh(option, short = 't', arg_name = "[LOG]")]
    pub(crate) config_test: Option<PathBuf>,
    /// make the running daemon go on as the version that is installed now, and wait until it does
    #[argh(switch)]
    pub(crate) upgrade: bool,
    /// for the daemon itself: go on where the version before is, whose state is at a descriptor
    #[argh(option, arg_name = "FD")]
    pub(crate) take_over: Option<i32>,
    /// for the daemon itself: try that, and say whether it works
    #[argh(option, arg_name = "FD")]
    pub(crate) try_take_over: Option<i32>,
    /// stay in the foreground
    #[argh(switch, short = 'n')]
    pub(crate) dont_fork: bool,
    /// only VRRP: no health checks, no IPVS
    #[argh(switch, short = 'P')]
    pub(crate) vrrp: bool,
    /// only health checks and IPVS: no VRRP
    #[argh(switch, short = 'C')]
    pub(crate) check: bool,
    /// no BFD sessions, and nothing that tracks them
    #[argh(switch, short = 'B')]
    pub(crate) no_bfd: bool,
    /// start every process, also without configuration for it
    #[argh(switch)]
    pub(crate) all: bool,
    /// log to standard error too
    #[argh(switch, short = 'l')]
    pub(crate) log_console: bool,
    /// detailed log; twice for more
    #[argh(switch, short = 'D')]
    pub(crate) log_detail: u8,
    /// syslog facility: 0 to 7, local0 to local7, user, daemon
    #[argh(option, short = 'S', arg_name = "FACILITY")]
    pub(crate) log_facility: Option<Facility>,
    /// no syslog
    #[argh(switch, short = 'G')]
    pub(crate) no_syslog: bool,
    /// log to FILE too (/tmp/keepalived.log)
    #[argh(option, short = 'g', arg_name = "[FILE]")]
    pub(crate) log_file: Option<PathBuf>,
    /// no effect: every line reaches the log file at once anyway
    #[argh(switch)]
    #[expect(dead_code, reason = "without effect")]
    flush_log_file: bool,
    /// remove addresses that must not be there, which is always done
    #[argh(switch, short = 'X')]
    #[expect(dead_code, reason = "always done")]
    release_vips: bool,
    /// leave virtual addresses at exit
    #[argh(switch, short = 'V')]
    pub(crate) dont_release_vrrp: bool,
    /// leave the IPVS table at exit
    #[argh(switch, short = 'I')]
    pub(crate) dont_release_ipvs: bool,
    /// do not restart a child that ended: stop
    #[argh(switch, short = 'R')]
    pub(crate) dont_respawn: bool,
    /// log the configuration after reading it
    #[argh(switch, short = 'd')]
    pub(crate) dump_conf: bool,
    /// pid file of the parent
    #[argh(option, short = 'p', arg_name = "FILE")]
    pub(crate) pid: Option<PathBuf>,
    /// pid file of the VRRP process
    #[argh(option, short = 'r', arg_name = "FILE")]
    pub(crate) vrrp_pid: Option<PathBuf>,
    /// pid file of the checker process
    #[argh(option, short = 'c', arg_name = "FILE")]
    pub(crate) checkers_pid: Option<PathBuf>,
    /// pid file of the IPVS process
    #[argh(option, arg_name = "FILE")]
    pub(crate) ipvs_pid: Option<PathBuf>,
    /// no effect: pid file of the BFD process
    #[argh(option, short = 'b', arg_name = "FILE")]
    #[expect(dead_code, reason = "without effect")]
    bfd_pid: Option<String>,
    /// no effect: log all address changes
    #[argh(switch, short = 'a')]
    #[expect(dead_code, reason = "without effect")]
    address_monitoring: bool,
    /// file mode creation mask, octal
    #[argh(option, short = 'u', arg_name = "MASK", from_str_fn(umask))]
    pub(crate) umask: Option<Mode>,
    /// run in the network namespace NAME
    #[argh(option, short = 's', arg_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// run as the account that starts it, with the capabilities that it was given, and every process too
    #[argh(switch)]
    pub(crate) no_setuid: bool,
    /// no effect: core dumps
    #[argh(switch, short = 'm')]
    #[expect(dead_code, reason = "without effect")]
    core_dump: bool,
    /// no effect: core dumps with a name pattern
    #[argh(option, short = 'M', arg_name = "[PATTERN]")]
    #[expect(dead_code, reason = "without effect")]
    core_dump_pattern: Option<String>,
    /// only `@ID` lines of the configuration, not `@^ID` ones
    #[argh(option, short = 'i', arg_name = "ID")]
    pub(crate) config_id: Option<String>,
    /// every include must match a readable file
    #[argh(switch, short = 'e')]
    pub(crate) all_config: bool,
    /// print the number of the signal for STOP, RELOAD, UPGRADE, DATA, STATS, STATS_CLEAR, JSON or TDUMP
    #[argh(option, arg_name = "FUNCTION")]
    pub(crate) signum: Option<String>,
    /// run as genhash with the words that follow
    #[argh(switch, short = 'T')]
    pub(crate) genhash: bool,
    /// no effect: SNMP
    #[argh(switch, short = 'x')]
    #[expect(dead_code, reason = "without effect")]
    snmp: bool,
    /// no effect: AgentX socket
    #[argh(option, short = 'A', arg_name = "SOCKET")]
    #[expect(dead_code, reason = "without effect")]
    snmp_agent_socket: Option<String>,
    /// no effect: SIGINT does not stop the daemon
    #[argh(switch)]
    #[expect(dead_code, reason = "without effect")]
    ignore_sigint: bool,
    /// no effect: memory checks of a debugging build
    #[argh(switch)]
    #[expect(dead_code, reason = "without effect")]
    no_mem_check: bool,
    /// no effect: debugging output
    #[argh(option, arg_name = "[WHAT]")]
    #[expect(dead_code, reason = "without effect")]
    debug: Option<String>,
    /// no effect: performance recording
    #[argh(option, arg_name = "[WHAT]")]
    #[expect(dead_code, reason = "without effect")]
    perf: Option<String>,
    /// print every configuration keyword with its block and status
    #[argh(switch)]
    pub(crate) list_keywords: bool,
    /// print what a configuration keyword means
    #[argh(option, arg_name = "KEYWORD")]
    pub(crate) explain: Option<String>,
    /// where vrrpd, checkerd and ipvsd are
    #[argh(option, arg_name = "DIR")]
    pub(crate) libexec: Option<PathBuf>,
    /// at a system call that a child never makes: `on` ends the child, `log` logs the call; `strict` is `on`, and refuses a kernel that cannot enforce it all
    #[argh(option, arg_name = "MODE", default = "Sandbox::On")]
    pub(crate) sandbox: Sandbox,
    /// print the version
    #[argh(switch, short = 'v')]
    pub(crate) version: bool,
    /// words for genhash
    #[argh(positional, greedy)]
    pub(crate) rest: Vec<String>,
}

fn umask(text: &str) -> Result<Mode, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .and_then(Mode::from_bits)
        .ok_or_else(|| format!("`{text}` is no file mode creation mask: expected octal digits"))
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

/// One option as the struct above describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Letter of the short form.
    pub(crate) short: Option<char>,
    /// Word of the long form, without dashes.
    pub(crate) long: &'static str,
    /// Its value.
    pub(crate) value: Value,
    /// One line for `-h`.
    pub(crate) help: &'static str,
}

/// The long form of `-h`, which `argh` adds by itself without the letter.
pub(crate) const HELP: &str = "help";

/// Every option, in the order of the struct, then help.
pub(crate) fn options() -> Vec<Row> {
    let mut rows: Vec<Row> = Arguments::get_args_info().flags.iter().map(row).collect();
    rows.sort_by_key(|row| row.long == HELP);
    rows
}

fn row(flag: &FlagInfo<'static>) -> Row {
    let long = flag.long.trim_start_matches('-');
    let value = match flag.kind {
        FlagInfoKind::Switch => Value::None,
        FlagInfoKind::Option { arg_name } => {
            let inside = arg_name.trim_start_matches('[').trim_end_matches(']');
            if inside == arg_name {
                Value::Required(arg_name)
            } else {
                Value::Optional(inside)
            }
        }
    };
    Row {
        short: if long == HELP { Some('h') } else { flag.short },
        long,
        value,
        help: flag.description,
    }
}

/// The text of `-h`: `argh`'s own would show the options' names in place of their values.
pub(crate) fn help() -> String {
    let mut text = "Usage: keepalived-rs [OPTION...]\n".to_owned();
    for row in options() {
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
        let rows = options();
        let shorts: Vec<char> = rows.iter().filter_map(|row| row.short).collect();
        assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len());
        let longs: BTreeSet<&str> = rows.iter().map(|row| row.long).collect();
        assert_eq!(longs.len(), rows.len());
    }

    #[test]
    fn help_shows_both_spellings_and_the_value() {
        assert!(help().contains("  -f, --use-file=FILE "));
        assert!(help().contains("  -t, --config-test[=LOG] "));
        assert!(help().contains("  -h, --help "));
    }
}
