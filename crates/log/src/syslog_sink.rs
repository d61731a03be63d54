//! The syslog sink: the logger of the `syslog` crate over a socket made here, with a line format of ours.
//!
//! The crate's own `unix` and `Formatter3164` do not suit a daemon that may never wait and that gives up
//! file access: its socket blocks while the queue of the syslog daemon is full (a dozen lines on a usual
//! host), its connection is made once, and its formatter looks the time zone up for each line, in `/proc`
//! and `/etc`, and panics when that fails.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process;

use kr_sys::local_time::LocalTime;
use log::Level;
use syslog::{Error, LogFormat, Logger, LoggerBackend, Severity};

use crate::settings::Facility;

/// Where syslog listens.
pub(crate) const SOCKET: &str = "/dev/log";

/// A connection to the syslog daemon, made when it is needed.
pub(crate) struct Syslog {
    path: PathBuf,
    lines: Lines,
    logger: Option<Logger<LoggerBackend, Lines>>,
}

impl Syslog {
    /// Lines will go to the datagram socket `path`, under the name `ident`.
    pub(crate) fn new(path: impl Into<PathBuf>, facility: Facility, ident: &str) -> Self {
        let lines = Lines {
            facility: of_the_crate(facility),
            ident: ident.to_owned(),
            process: process::id(),
        };
        Self {
            path: path.into(),
            lines,
            logger: None,
        }
    }

    /// Sends a line without waiting; it is lost when the other end is away or its queue is full. Connects
    /// again once when the other end was restarted.
    pub(crate) fn write(&mut self, level: Level, time: LocalTime, text: &str) {
        for _ in 0..2 {
            if self.logger.is_none() {
                self.logger = self.connect().ok();
            }
            let Some(logger) = &mut self.logger else {
                return;
            };
            match send(logger, level, Line { time, text }) {
                Ok(()) => return,
                Err(Error::Write(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.logger = None,
            }
        }
    }

    fn connect(&self) -> io::Result<Logger<LoggerBackend, Lines>> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(Logger::new(LoggerBackend::Unix(socket), self.lines.clone()))
    }
}

/// What `-D` adds is sent as informational, for many syslog servers drop debug lines unasked.
fn send(
    logger: &mut Logger<LoggerBackend, Lines>,
    level: Level,
    line: Line<'_>,
) -> Result<(), Error> {
    match level {
        Level::Error => logger.err(line),
        Level::Warn => logger.warning(line),
        Level::Info | Level::Debug => logger.info(line),
        Level::Trace => logger.debug(line),
    }
}

/// One line, without what is the same in all of them.
struct Line<'a> {
    time: LocalTime,
    text: &'a str,
}

/// `<30>Nov  2 17:05:09 Keepalived[123]: text`, as syslog daemons read them (RFC 3164 section 4.1).
#[derive(Clone)]
struct Lines {
    facility: syslog::Facility,
    ident: String,
    process: u32,
}

impl LogFormat<Line<'_>> for Lines {
    fn format<W: Write>(
        &self,
        out: &mut W,
        severity: Severity,
        line: Line<'_>,
    ) -> Result<(), Error> {
        let priority = self.facility as u8 | severity as u8;
        let Line { time, text } = line;
        let Self { ident, process, .. } = self;
        write!(out, "<{priority}>{time} {ident}[{process}]: {text}").map_err(Error::Write)
    }
}

const fn of_the_crate(facility: Facility) -> syslog::Facility {
    use syslog::Facility as Theirs;
    match facility {
        Facility::User => Theirs::LOG_USER,
        Facility::Daemon => Theirs::LOG_DAEMON,
        Facility::Local(0) => Theirs::LOG_LOCAL0,
        Facility::Local(1) => Theirs::LOG_LOCAL1,
        Facility::Local(2) => Theirs::LOG_LOCAL2,
        Facility::Local(3) => Theirs::LOG_LOCAL3,
        Facility::Local(4) => Theirs::LOG_LOCAL4,
        Facility::Local(5) => Theirs::LOG_LOCAL5,
        Facility::Local(6) => Theirs::LOG_LOCAL6,
        Facility::Local(_) => Theirs::LOG_LOCAL7,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn receive(daemon: &UnixDatagram) -> String {
        let limit = Some(Duration::from_secs(5));
        daemon.set_read_timeout(limit).unwrap();
        let mut buffer = [0; 200];
        let length = daemon.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_line_is_one_datagram_in_the_form_of_rfc_3164() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, Facility::Local(7), "Keepalived_vrrp");
        let time = LocalTime {
            year: 2026,
            month: 11,
            day: 2,
            hour: 17,
            minute: 5,
            second: 9,
        };
        for (level, priority) in [
            (Level::Error, 187),
            (Level::Warn, 188),
            (Level::Info, 190),
            (Level::Debug, 190),
            (Level::Trace, 191),
        ] {
            syslog.write(level, time, "VI_1 is master");
            let expected = format!(
                "<{priority}>Nov  2 17:05:09 Keepalived_vrrp[{}]: VI_1 is master",
                process::id()
            );
            assert_eq!(receive(&daemon), expected);
        }
    }

    #[test]
    fn a_daemon_that_reads_nothing_loses_lines_and_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::new(&path, Facility::Daemon, "x");
        // More than any queue takes; with a socket that waits this would never end.
        for number in 0..100_000 {
            syslog.write(Level::Info, LocalTime::of(0), &number.to_string());
        }
        assert!(receive(&daemon).ends_with(": 0"));
    }

    #[test]
    fn a_daemon_that_was_restarted_gets_the_next_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut syslog = Syslog::new(&path, Facility::Daemon, "x");
        syslog.write(Level::Info, LocalTime::of(0), "nobody listens yet");
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.write(Level::Info, LocalTime::of(0), "first");
        assert!(receive(&daemon).ends_with("]: first"));
        drop(daemon);
        fs::remove_file(&path).unwrap();
        syslog.write(Level::Info, LocalTime::of(0), "nobody listens");
        let daemon = UnixDatagram::bind(&path).unwrap();
        syslog.write(Level::Info, LocalTime::of(0), "second");
        assert!(receive(&daemon).ends_with("]: second"));
    }
}
