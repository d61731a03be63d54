//! What the options mean together.

use std::ffi::OsString;
use std::path::PathBuf;

use argh::{EarlyExit, FromArgs};
use kr_log::{Detail, Facility};
use kr_sys::sandbox::Mode as Sandbox;
use kr_sys::signals;
use nix::libc;
use nix::sys::stat::Mode;

use crate::cli::arguments::{Arguments, NO_EFFECT};
use crate::cli::argv;

/// What the program is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Run the daemon.
    Run(Box<Options>),
    /// Check the configuration; findings go to the file, else to standard error.
    Test(Box<Options>, Option<PathBuf>),
    /// Make the running daemon go on as the version that is installed now.
    Upgrade(Box<Options>),
    /// Say whether this program could go on with the state at this descriptor.
    TryTakeOver(Box<Options>, i32),
    /// Run genhash with these words.
    Genhash(Vec<String>, Box<Options>),
    /// Print a signal number.
    Signum(i32),
    /// Print every keyword.
    ListKeywords,
    /// Print what a keyword means.
    Explain(String),
    /// Print the version.
    Version,
    /// Print the options.
    Help,
}

/// Settings of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent switch of the command line"
)]
pub(crate) struct Options {
    /// `-f`.
    pub(crate) file: Option<PathBuf>,
    /// False with `-C`.
    pub(crate) vrrp: bool,
    /// False with `-P`.
    pub(crate) checkers: bool,
    /// False with `-B`.
    pub(crate) bfd: bool,
    /// `--all`.
    pub(crate) all_children: bool,
    /// `-n`.
    pub(crate) foreground: bool,
    /// `-R` turns it off.
    pub(crate) respawn: bool,
    /// `-d`.
    pub(crate) dump_configuration: bool,
    /// `-V`.
    pub(crate) keep_addresses: bool,
    /// `-I`.
    pub(crate) keep_ipvs: bool,
    /// `-l`.
    pub(crate) console: bool,
    /// `-D`.
    pub(crate) detail: Detail,
    /// `-S`.
    pub(crate) facility: Facility,
    /// False with `-G`.
    pub(crate) syslog: bool,
    /// `-g`.
    pub(crate) log_file: Option<PathBuf>,
    /// `-p`.
    pub(crate) pid_file: Option<PathBuf>,
    /// `-r`.
    pub(crate) vrrp_pid_file: Option<PathBuf>,
    /// `-c`.
    pub(crate) checkers_pid_file: Option<PathBuf>,
    /// `--ipvs_pid`.
    pub(crate) ipvs_pid_file: Option<PathBuf>,
    /// `-u`.
    pub(crate) umask: Option<Mode>,
    /// `-s`.
    pub(crate) namespace: Option<String>,
    /// `--no-setuid`.
    pub(crate) no_setuid: bool,
    /// `-i`.
    pub(crate) config_id: Option<String>,
    /// `-e`.
    pub(crate) all_config: bool,
    /// `--libexec`.
    pub(crate) libexec: Option<PathBuf>,
    /// `--take-over`.
    pub(crate) take_over: Option<i32>,
    /// `--sandbox`.
    pub(crate) sandbox: Sandbox,
    /// Options that were accepted without effect, as spelled.
    pub(crate) without_effect: Vec<String>,
}

#[cfg(test)]
impl Default for Options {
    fn default() -> Self {
        Self {
            file: None,
            vrrp: true,
            checkers: true,
            bfd: true,
            all_children: false,
            foreground: false,
            respawn: true,
            dump_configuration: false,
            keep_addresses: false,
            keep_ipvs: false,
            console: false,
            detail: Detail::Normal,
            facility: Facility::Daemon,
            syslog: true,
            log_file: None,
            pid_file: None,
            vrrp_pid_file: None,
            checkers_pid_file: None,
            ipvs_pid_file: None,
            umask: None,
            namespace: None,
            no_setuid: false,
            config_id: None,
            all_config: false,
            libexec: None,
            take_over: None,
            sandbox: Sandbox::On,
            without_effect: Vec::new(),
        }
    }
}

/// Log file of `-g` without a name.
const LOG_FILE: &str = "/tmp/keepalived.log";

/// Understands the words after the program's name.
///
/// # Errors
/// A sentence about the first word that cannot be understood.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let words = argv::read(words)?;
    let canonical = words.canonical();
    let canonical: Vec<&str> = canonical.iter().map(String::as_str).collect();
    let arguments = match Arguments::from_args(&["keepalived-rs"], &canonical) {
        Ok(arguments) => arguments,
        Err(EarlyExit { status: Ok(()), .. }) => return Ok(Command::Help),
        Err(EarlyExit { output, .. }) => return Err(output.trim_end().to_owned()),
    };
    let without_effect = words
        .given
        .iter()
        .filter(|given| given.row.help.starts_with(NO_EFFECT))
        .map(|given| format!("--{}", given.row.long))
        .collect();
    command(arguments, without_effect)
}

/// What is asked for: something else than running the daemon comes first.
fn command(arguments: Arguments, without_effect: Vec<String>) -> Result<Command, String> {
    if arguments.version {
        return Ok(Command::Version);
    }
    if arguments.list_keywords {
        return Ok(Command::ListKeywords);
    }
    if let Some(keyword) = arguments.explain {
        return Ok(Command::Explain(keyword));
    }
    if let Some(function) = &arguments.signum {
        return signal_number(function).map(Command::Signum);
    }
    let (genhash, rest) = (arguments.genhash, arguments.rest);
    let test = arguments.config_test;
    let (asks, tries) = (arguments.upgrade, arguments.try_take_over);
    let options = Box::new(Options {
        file: arguments.use_file,
        vrrp: !arguments.check,
        checkers: !arguments.vrrp,
        bfd: !arguments.no_bfd,
        all_children: arguments.all,
        foreground: arguments.dont_fork,
        respawn: !arguments.dont_respawn,
        dump_configuration: arguments.dump_conf,
        keep_addresses: arguments.dont_release_vrrp,
        keep_ipvs: arguments.dont_release_ipvs,
        console: arguments.log_console,
        detail: match arguments.log_detail {
            0 => Detail::Normal,
            1 => Detail::Detailed,
            _ => Detail::Extra,
        },
        facility: arguments.log_facility.unwrap_or(Facility::Daemon),
        syslog: !arguments.no_syslog,
        log_file: arguments
            .log_file
            .map(|file| given(file).unwrap_or_else(|| PathBuf::from(LOG_FILE))),
        pid_file: arguments.pid,
        vrrp_pid_file: arguments.vrrp_pid,
        checkers_pid_file: arguments.checkers_pid,
        ipvs_pid_file: arguments.ipvs_pid,
        umask: arguments.umask,
        namespace: arguments.namespace,
        no_setuid: arguments.no_setuid,
        config_id: arguments.config_id,
        all_config: arguments.all_config,
        libexec: arguments.libexec,
        take_over: arguments.take_over,
        sandbox: arguments.sandbox,
        without_effect,
    });
    Ok(match test {
        _ if genhash => Command::Genhash(rest, options),
        Some(log) => Command::Test(options, given(log)),
        None if asks => Command::Upgrade(options),
        None => match tries {
            Some(state) => Command::TryTakeOver(options, state),
            None => Command::Run(options),
        },
    })
}

/// An optional value: empty when it was left out.
fn given(path: PathBuf) -> Option<PathBuf> {
    Some(path).filter(|path| !path.as_os_str().is_empty())
}

/// `--signum`: which signal does it.
fn signal_number(function: &str) -> Result<i32, String> {
    let number = match function.to_ascii_uppercase().as_str() {
        "STOP" => libc::SIGTERM,
        "RELOAD" => libc::SIGHUP,
        "UPGRADE" => signals::upgrade(),
        "DATA" => libc::SIGUSR1,
        "STATS" => libc::SIGUSR2,
        "STATS_CLEAR" => signals::statistics_and_clear(),
        "JSON" => signals::json(),
        "TDUMP" => signals::thread_dump(),
        _ => {
            return Err(format!(
                "no signal does `{function}`: expected STOP, RELOAD, UPGRADE, DATA, STATS, STATS_CLEAR, JSON or TDUMP"
            ));
        }
    };
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn options(line: &str) -> Options {
        match command(line) {
            Ok(Command::Run(options)) => *options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_usual_line_of_a_service_is_understood() {
        let got = options("-nlDD -S 3 -f /a.conf -p /p -r /r -c /c -u 027");
        let expected = Options {
            foreground: true,
            console: true,
            detail: Detail::Extra,
            facility: Facility::Local(3),
            file: Some("/a.conf".into()),
            pid_file: Some("/p".into()),
            vrrp_pid_file: Some("/r".into()),
            checkers_pid_file: Some("/c".into()),
            umask: Mode::from_bits(0o027),
            ..Options::default()
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn features_that_are_not_built_are_remembered_for_a_warning() {
        assert_eq!(
            options("-x -A /s --debug").without_effect,
            ["--snmp", "--snmp-agent-socket", "--debug"]
        );
    }

    #[test]
    fn no_syslog_wins_over_a_facility() {
        let got = options("-G -S local1");
        assert!(!got.syslog);
    }

    #[test]
    fn other_tasks_replace_running() {
        assert_eq!(command("--signum=RELOAD"), Ok(Command::Signum(1)));
        assert_eq!(command("--signum=stats"), Ok(Command::Signum(12)));
        assert_eq!(command("--signum=STATS_CLEAR"), Ok(Command::Signum(63)));
        assert_eq!(command("--signum=JSON"), Ok(Command::Signum(36)));
        assert_eq!(command("--signum=TDUMP"), Ok(Command::Signum(64)));
        assert_eq!(command("--signum=UPGRADE"), Ok(Command::Signum(37)));
        assert!(matches!(
            command("--upgrade -p /k.pid"),
            Ok(Command::Upgrade(_))
        ));
        assert!(matches!(
            command("-n --try-take-over=3"),
            Ok(Command::TryTakeOver(_, 3))
        ));
        assert_eq!(options("-n --take-over=9").take_over, Some(9));
        assert!(command("--signum=DANCE").is_err());
        assert_eq!(command("-v"), Ok(Command::Version));
        assert_eq!(
            command("--explain=state"),
            Ok(Command::Explain("state".to_owned()))
        );
        assert!(matches!(command("-t/log"), Ok(Command::Test(_, Some(_)))));
        assert!(matches!(command("-t"), Ok(Command::Test(_, None))));
        assert_eq!(command("-n -h -v"), Ok(Command::Help));
        assert!(
            matches!(command("-T -s x -h"), Ok(Command::Genhash(words, _)) if words == ["-s", "x", "-h"])
        );
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        assert_eq!(
            command("-S 9").unwrap_err(),
            "Error parsing option '--log-facility' with value '9': `9` is no log facility: \
             expected 0 to 7, local0 to local7, user or daemon"
        );
        assert!(command("-u 99").is_err());
    }
}
