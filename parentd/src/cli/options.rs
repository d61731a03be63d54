//! What the options mean together.

use std::ffi::OsString;
use std::path::PathBuf;

use kr_log::{Detail, Facility};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use crate::cli::argv::{self, Given};
use crate::cli::table::Id;

/// What the program is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Run the daemon.
    Run(Box<Options>),
    /// Check the configuration; findings go to the file, else to standard error.
    Test(Box<Options>, Option<PathBuf>),
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
    /// `-i`.
    pub(crate) config_id: Option<String>,
    /// `-e`.
    pub(crate) all_config: bool,
    /// `--libexec`.
    pub(crate) libexec: Option<PathBuf>,
    /// Options that were accepted without effect, as spelled.
    pub(crate) without_effect: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file: None,
            vrrp: true,
            checkers: true,
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
            config_id: None,
            all_config: false,
            libexec: None,
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
    let mut options = Options::default();
    let mut asked = None;
    for given in words.given {
        if let Some(command) = options.apply(given)? {
            asked = Some(command);
        }
    }
    let options = Box::new(options);
    Ok(match asked {
        None => Command::Run(options),
        Some(Asked::Test(log)) => Command::Test(options, log),
        Some(Asked::Genhash) => Command::Genhash(words.rest, options),
        Some(Asked::Signum(function)) => Command::Signum(signal_number(&function)?),
        Some(Asked::ListKeywords) => Command::ListKeywords,
        Some(Asked::Explain(keyword)) => Command::Explain(keyword),
        Some(Asked::Version) => Command::Version,
        Some(Asked::Help) => Command::Help,
    })
}

/// Something else than running the daemon.
enum Asked {
    Test(Option<PathBuf>),
    Genhash,
    Signum(String),
    ListKeywords,
    Explain(String),
    Version,
    Help,
}

impl Options {
    /// Takes one option. What it returns is done instead of running the daemon.
    fn apply(&mut self, given: Given) -> Result<Option<Asked>, String> {
        let path = || given.value.as_ref().map(PathBuf::from);
        match given.id {
            Id::UseFile => self.file = path(),
            Id::VrrpOnly => self.checkers = false,
            Id::CheckOnly => self.vrrp = false,
            // There is no BFD process to leave out, and addresses are always released as -X asks.
            Id::NoBfd | Id::ReleaseVips => {}
            Id::All => self.all_children = true,
            Id::LogConsole => self.console = true,
            Id::LogDetail => {
                self.detail = match self.detail {
                    Detail::Normal => Detail::Detailed,
                    Detail::Detailed | Detail::Extra => Detail::Extra,
                }
            }
            Id::LogFacility => {
                let facility = given.value.as_deref().unwrap_or_default().parse();
                self.facility = facility.map_err(|error| format!("{}: {error}", given.spelling))?;
            }
            Id::NoSyslog => self.syslog = false,
            Id::LogFile => self.log_file = path().or_else(|| Some(PathBuf::from(LOG_FILE))),
            Id::KeepVrrp => self.keep_addresses = true,
            Id::KeepIpvs => self.keep_ipvs = true,
            Id::DontRespawn => self.respawn = false,
            Id::DontFork => self.foreground = true,
            Id::DumpConf => self.dump_configuration = true,
            Id::Pid => self.pid_file = path(),
            Id::VrrpPid => self.vrrp_pid_file = path(),
            Id::CheckersPid => self.checkers_pid_file = path(),
            Id::IpvsPid => self.ipvs_pid_file = path(),
            Id::Umask => self.umask = Some(umask(given.value.as_deref().unwrap_or_default())?),
            Id::Namespace => self.namespace = given.value,
            Id::ConfigName => self.config_id = given.value,
            Id::AllConfig => self.all_config = true,
            Id::Libexec => self.libexec = path(),
            Id::NotBuilt => self.without_effect.push(given.spelling),
            Id::ConfigTest => return Ok(Some(Asked::Test(path()))),
            Id::Genhash => return Ok(Some(Asked::Genhash)),
            Id::Signum => return Ok(Some(Asked::Signum(given.value.unwrap_or_default()))),
            Id::ListKeywords => return Ok(Some(Asked::ListKeywords)),
            Id::Explain => return Ok(Some(Asked::Explain(given.value.unwrap_or_default()))),
            Id::Version => return Ok(Some(Asked::Version)),
            Id::Help => return Ok(Some(Asked::Help)),
        }
        Ok(None)
    }
}

fn umask(text: &str) -> Result<Mode, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .and_then(Mode::from_bits)
        .ok_or_else(|| format!("`{text}` is no file mode creation mask: expected octal digits"))
}

/// `--signum`: which signal does it.
fn signal_number(function: &str) -> Result<i32, String> {
    let signal = match function.to_ascii_uppercase().as_str() {
        "STOP" => Signal::SIGTERM,
        "RELOAD" => Signal::SIGHUP,
        "DATA" => Signal::SIGUSR1,
        "STATS" => Signal::SIGUSR2,
        _ => {
            return Err(format!(
                "no signal does `{function}`: expected STOP, RELOAD, DATA or STATS"
            ));
        }
    };
    Ok(signal as i32)
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
            ["-x", "-A", "--debug"]
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
        assert!(command("--signum=DANCE").is_err());
        assert_eq!(command("-v"), Ok(Command::Version));
        assert_eq!(
            command("--explain=state"),
            Ok(Command::Explain("state".to_owned()))
        );
        assert!(matches!(command("-t/log"), Ok(Command::Test(_, Some(_)))));
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        assert!(command("-S 9").is_err());
        assert!(command("-u 99").is_err());
    }
}
