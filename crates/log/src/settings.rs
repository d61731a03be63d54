//! What the log options ask for, and how it travels to the children as one argument:
//! `ident=Keepalived_vrrp,detail=1,syslog=daemon,console`.

use std::fmt;
use std::str::FromStr;

use log::Level;

/// Settings of the log of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name at the start of each line.
    pub ident: String,
    /// How much is logged.
    pub detail: Detail,
    /// Syslog facility; `None` is no syslog (`-G`).
    pub syslog: Option<Facility>,
    /// Lines also go to standard error (`-l`).
    pub console: bool,
}

/// `-D`: how much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// State changes and what is wrong.
    Normal,
    /// `-D`: also each step on the way.
    Detailed,
    /// `-D -D`: also single packets and attempts.
    Extra,
}

impl Detail {
    /// The most verbose level that is logged.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Normal => Level::Info,
            Self::Detailed => Level::Debug,
            Self::Extra => Level::Trace,
        }
    }

    const fn digit(self) -> char {
        match self {
            Self::Normal => '0',
            Self::Detailed => '1',
            Self::Extra => '2',
        }
    }
}

/// `-S`: syslog facility.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facility {
    /// `user`.
    User,
    /// `daemon`, the default.
    Daemon,
    /// `local0` to `local7`; the number is never above 7.
    Local(u8),
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Daemon => f.write_str("daemon"),
            Self::Local(n) => write!(f, "local{n}"),
        }
    }
}

/// A text is no log setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSettings(String);

impl fmt::Display for BadSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSettings {}

impl FromStr for Facility {
    type Err = BadSettings;

    /// `0` to `7`, `local0` to `local7`, `user` or `daemon`.
    fn from_str(text: &str) -> Result<Self, BadSettings> {
        match text {
            "user" => return Ok(Self::User),
            "daemon" => return Ok(Self::Daemon),
            _ => {}
        }
        let digits = text.strip_prefix("local").unwrap_or(text);
        match digits.parse::<u8>() {
            Ok(n @ 0..=7) if digits.len() == 1 => Ok(Self::Local(n)),
            Ok(_) | Err(_) => Err(BadSettings(format!(
                "`{text}` is no log facility: expected 0 to 7, local0 to local7, user or daemon"
            ))),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ident={},detail={}", self.ident, self.detail.digit())?;
        if let Some(facility) = self.syslog {
            write!(f, ",syslog={facility}")?;
        }
        if self.console {
            f.write_str(",console")?;
        }
        Ok(())
    }
}

impl FromStr for Settings {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let mut settings = Self {
            ident: String::new(),
            detail: Detail::Normal,
            syslog: None,
            console: false,
        };
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("ident", ident)) => ident.clone_into(&mut settings.ident),
                Some(("detail", "0")) => settings.detail = Detail::Normal,
                Some(("detail", "1")) => settings.detail = Detail::Detailed,
                Some(("detail", "2")) => settings.detail = Detail::Extra,
                Some(("syslog", facility)) => settings.syslog = Some(facility.parse()?),
                None if part == "console" => settings.console = true,
                None | Some(_) => {
                    return Err(BadSettings(format!("`{part}` is no log setting")));
                }
            }
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_way_to_a_child() {
        let settings = Settings {
            ident: "Keepalived_vrrp_blue".to_owned(),
            detail: Detail::Extra,
            syslog: Some(Facility::Local(3)),
            console: true,
        };
        let text = settings.to_string();
        assert_eq!(
            text,
            "ident=Keepalived_vrrp_blue,detail=2,syslog=local3,console"
        );
        assert_eq!(text.parse(), Ok(settings));
    }

    #[test]
    fn facilities_are_written_as_keepalived_takes_them() {
        assert_eq!("7".parse(), Ok(Facility::Local(7)));
        assert_eq!("local0".parse(), Ok(Facility::Local(0)));
        assert_eq!("daemon".parse(), Ok(Facility::Daemon));
        for bad in ["8", "local8", "local", "", "kern", "07"] {
            assert!(bad.parse::<Facility>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!("ident=x,colour=red".parse::<Settings>().is_err());
    }
}
