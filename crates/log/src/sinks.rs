//! Syslog, console and file. Each may fail at any time and is then passed over.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process;

use kr_sys::local_time::LocalTime;
use log::Level;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::settings::Settings;
use crate::syslog_sink::{SOCKET, Syslog};

/// All sinks of a process.
pub(crate) struct Sinks {
    settings: Settings,
    file: Option<File>,
    syslog: Option<Syslog>,
    process: u32,
}

impl Sinks {
    pub(crate) fn new(settings: Settings, file: Option<File>) -> Self {
        let syslog = settings
            .syslog
            .map(|facility| Syslog::new(SOCKET, facility, &settings.ident));
        Self {
            settings,
            file,
            syslog,
            process: process::id(),
        }
    }

    /// The log file is another one from now on.
    pub(crate) fn replace_file(&mut self, file: File) {
        self.file = Some(file);
    }

    /// Writes a line to every sink that takes it now.
    pub(crate) fn write(&mut self, level: Level, text: &str, unix_seconds: i64) {
        let time = LocalTime::of(unix_seconds);
        let line = format!("{time} {}[{}]: {text}\n", self.settings.ident, self.process);
        if let Some(syslog) = &mut self.syslog {
            syslog.write(level, time, text);
        }
        if self.settings.console {
            write_to_console(&line);
        }
        if let Some(file) = &mut self.file {
            // A full disk costs lines, not the service.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// A pipe whose reader sleeps must not stop us, and its flags are not ours alone to change: so ask
/// whether it takes a line before each line. A writable pipe takes at least 4096 bytes.
fn write_to_console(line: &str) {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1)) {
        let _ = stderr.lock().write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::settings::{Detail, Facility};

    fn settings() -> Settings {
        Settings {
            ident: "Keepalived".to_owned(),
            detail: Detail::Normal,
            syslog: Some(Facility::Daemon),
            console: false,
        }
    }

    #[test]
    fn a_line_names_time_process_and_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut sinks = Sinks::new(settings(), Some(File::create(&path).unwrap()));
        sinks.write(Level::Info, "VI_1 is master", 0);
        let text = fs::read_to_string(path).unwrap();
        let expected = format!(" Keepalived[{}]: VI_1 is master\n", process::id());
        assert!(text.ends_with(&expected), "{text}");
        assert_eq!(text.len(), "Jan  1 00:00:00".len() + expected.len());
    }

    #[test]
    fn a_full_disk_is_survived() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut sinks = Sinks::new(settings(), Some(full));
        sinks.write(Level::Error, "lost", 0);
        sinks.write(Level::Error, "lost too", 0);
    }
}
