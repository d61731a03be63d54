//! `reload_time_file`: when the configuration is read again without a signal.
//!
//! The file is followed, and its time is compared with the time of day at every turn of the supervisor's loop,
//! so that a clock that is set does not make the reload late.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kr_event::EventLoop;
use kr_host::watch::Watch;
use kr_model::Instant;
use kr_model::global::ReloadSettings;
use kr_sys::local_time::{LocalTime, Zone};
use mio::{Interest, Token};
use nix::libc;

/// Longer than any line that is understood.
const MOST_BYTES: u64 = 64;

/// Now, on the two clocks that count here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// Of the loop.
    pub(crate) monotonic: Instant,
    /// Seconds of Unix time.
    pub(crate) unix: i64,
}

/// A time on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Time {
    /// Year, month and day; without them each day.
    date: Option<(u16, u8, u8)>,
    hour: u8,
    minute: u8,
    second: u8,
    zone: Zone,
}

/// A reload to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    /// Seconds of Unix time.
    at: i64,
    /// It comes again each day.
    daily: bool,
}

/// The file that is followed, and the reload that it asks for.
#[derive(Debug)]
pub(crate) struct ReloadTime {
    watch: Watch<()>,
    token: Token,
    registered: bool,
    path: Option<PathBuf>,
    repeat: bool,
    due: Option<Due>,
}

impl ReloadTime {
    /// No file is followed yet.
    pub(crate) fn new(token: Token) -> Self {
        Self {
            watch: Watch::default(),
            token,
            registered: false,
            path: None,
            repeat: false,
            due: None,
        }
    }

    /// Follows the file of a configuration, and reads it.
    pub(crate) fn configure(&mut self, settings: &ReloadSettings, events: &EventLoop, now: Now) {
        self.path.clone_from(&settings.time_file);
        self.repeat = settings.repeat;
        let wanted = self.path.clone().map(|path| ((), path));
        self.watch
            .replace(&wanted.into_iter().collect(), now.monotonic);
        if !self.registered
            && let Some(descriptor) = self.watch.descriptor()
        {
            match events.register_for(descriptor.as_fd(), self.token, Interest::READABLE) {
                Ok(()) => self.registered = true,
                Err(error) => log::error!("reload_time_file cannot be watched: {error}"),
            }
        }
        self.read(now);
    }

    /// Serves the descriptor. False when it is somebody else's.
    pub(crate) fn handle_ready(&mut self, token: Token, now: Now) -> bool {
        if token != self.token {
            return false;
        }
        let (touched, _) = self.watch.handle_ready(now.monotonic);
        if !touched.is_empty() {
            self.read(now);
        }
        true
    }

    /// Serves deadlines. True when it is time to reload; the file is gone then, unless it is to be used again.
    pub(crate) fn handle_timeout(&mut self, now: Now) -> bool {
        if !self.watch.handle_timeout(now.monotonic).is_empty() {
            self.read(now);
        }
        let Some(due) = self.due.filter(|due| due.at <= now.unix) else {
            return false;
        };
        self.due = None;
        let Some(path) = &self.path else {
            return false;
        };
        if !(due.daily && self.repeat)
            && let Err(error) = fs::remove_file(path)
        {
            log::warn!("{} cannot be removed: {error}", path.display());
        }
        true
    }

    /// When to call [`Self::handle_timeout`].
    pub(crate) fn poll_timeout(&self, now: Now) -> Option<Instant> {
        let until = self.due.map(|due| {
            let seconds = u64::try_from(due.at.saturating_sub(now.unix)).unwrap_or(0);
            now.monotonic.saturating_add(Duration::from_secs(seconds))
        });
        [until, self.watch.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Reads the file and says what it asks for, when that is new.
    fn read(&mut self, now: Now) {
        let Some(path) = self.path.as_deref() else {
            self.due = None;
            return;
        };
        let watched = self.watch.is_watched(());
        let asked = if watched { content(path) } else { Ok(None) };
        let shown = path.display();
        let due = match asked {
            Ok(None) => None,
            Err(error) => {
                log::warn!("{shown} asks for no reload: {error}");
                None
            }
            Ok(Some(text)) => match parse(&text) {
                None => {
                    log::warn!(
                        "{shown} asks for no reload: its line must be HH:MM:SS or YYYY-MM-DD HH:MM:SS, with a Z \
                         behind it for UTC"
                    );
                    None
                }
                Some(time) => {
                    let due = next(time, now.unix);
                    if due.is_none() {
                        log::info!("{shown} asks for no reload: its time has passed");
                    }
                    due
                }
            },
        };
        if let Some(due) = due.filter(|due| self.due != Some(*due)) {
            let at = LocalTime::of(due.at);
            log::info!("{shown} asks for a reload on {at}");
        } else if due.is_none() && self.due.is_some() {
            log::info!("the reload of {shown} is cancelled");
        }
        self.due = due;
    }
}

/// The first bytes of a file; `None` without one.
fn content(path: &Path) -> io::Result<Option<String>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        let kind = io::ErrorKind::InvalidInput;
        return Err(io::Error::new(kind, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// The first line: `HH:MM:SS`, `YY-MM-DD HH:MM:SS` or `YYYY-MM-DD HH:MM:SS`, then perhaps `Z`.
fn parse(text: &str) -> Option<Time> {
    let line = text.split('\n').next()?;
    let (line, zone) = match line.strip_suffix('Z') {
        Some(line) => (line, Zone::Utc),
        None => (line, Zone::Local),
    };
    let (date, time) = match line.split_once(' ') {
        Some((date, time)) => (Some(parse_date(date)?), time),
        None => (None, line),
    };
    let [hour, minute, second] = parts(time, ':')?;
    Some(Time {
        date,
        hour: two_digits(hour, 23)?,
        minute: two_digits(minute, 59)?,
        second: two_digits(second, 59)?,
        zone,
    })
}

fn parse_date(text: &str) -> Option<(u16, u8, u8)> {
    let [year, month, day] = parts(text, '-')?;
    let number: u16 = digits(year)?;
    let year = match year.len() {
        2 => 2000 + number,
        4 => number,
        _ => return None,
    };
    let (month, day) = (two_digits(month, 12)?, two_digits(day, 31)?);
    (month > 0 && day > 0).then_some((year, month, day))
}

fn parts(text: &str, separator: char) -> Option<[&str; 3]> {
    let parts: Vec<&str> = text.split(separator).collect();
    parts.try_into().ok()
}

fn two_digits(text: &str, most: u8) -> Option<u8> {
    let number = digits(text).filter(|_| text.len() == 2)?;
    u8::try_from(number).ok().filter(|number| *number <= most)
}

fn digits(text: &str) -> Option<u16> {
    let good = text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

/// The next moment at which that time is; `None` when there is none.
fn next(time: Time, unix: i64) -> Option<Due> {
    let today = LocalTime::in_zone(unix, time.zone);
    let (year, month, day) = time.date.unwrap_or((today.year, today.month, today.day));
    let moment = LocalTime {
        year,
        month,
        day,
        hour: time.hour,
        minute: time.minute,
        second: time.second,
    };
    let at = moment.unix_seconds(time.zone)?;
    let daily = time.date.is_none();
    if at > unix {
        // The 31st of a short month is no date.
        let exists = daily || LocalTime::in_zone(at, time.zone).month == month;
        return exists.then_some(Due { at, daily });
    }
    if !daily {
        return None;
    }
    let tomorrow = LocalTime {
        day: day.saturating_add(1),
        ..moment
    };
    let at = tomorrow.unix_seconds(time.zone)?;
    Some(Due { at, daily })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-09-21 14:13:20 UTC.
    const NOW: i64 = 1_790_000_000;

    fn due(text: &str) -> Option<(i64, bool)> {
        let due = next(parse(text)?, NOW)?;
        Some((due.at - NOW, due.daily))
    }

    #[test]
    fn times_and_dates_are_read_exactly_as_documented() {
        for (text, expected) in [
            ("14:13:21Z", Some((1, true))),
            ("14:13:20Z\n", Some((86_400, true))),
            ("00:00:00Z\nmore", Some((35_200, true))),
            ("2026-09-21 14:13:21Z", Some((1, false))),
            ("26-10-01 14:13:20Z", Some((10 * 86_400, false))),
            ("2026-09-21 14:13:20Z", None),
            ("2026-09-31 00:00:00Z", None),
            ("2026-13-01 00:00:00Z", None),
            ("2026-00-01 00:00:00Z", None),
            ("126-01-01 00:00:00Z", None),
            ("24:00:00Z", None),
            ("1:00:00Z", None),
            ("+1:00:00Z", None),
            (" 14:13:21Z", None),
            ("14:13:21 Z", None),
            ("14:13:21Z ", None),
            ("14:13Z", None),
            ("2026-10-01  00:00:00Z", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(due(text), expected, "{text:?}");
        }
    }

    #[test]
    fn without_z_the_time_is_that_of_the_host() {
        let wanted = LocalTime::of(NOW + 7200);
        let text = format!(
            "{}-{:02}-{:02} {:02}:{:02}:{:02}",
            wanted.year, wanted.month, wanted.day, wanted.hour, wanted.minute, wanted.second
        );
        assert_eq!(due(&text), Some((7200, false)), "{text}");
    }

    struct Bench {
        home: tempfile::TempDir,
        events: EventLoop,
        time: ReloadTime,
    }

    fn now(after: i64) -> Now {
        Now {
            monotonic: Instant::from_micros(u64::try_from(after).unwrap() * 1_000_000),
            unix: NOW + after,
        }
    }

    impl Bench {
        fn new(repeat: bool) -> Self {
            let mut bench = Self {
                home: tempfile::tempdir().unwrap(),
                events: EventLoop::new().unwrap(),
                time: ReloadTime::new(Token(7)),
            };
            let settings = ReloadSettings {
                time_file: Some(bench.file()),
                repeat,
                ..ReloadSettings::default()
            };
            bench.time.configure(&settings, &bench.events, now(0));
            bench
        }

        fn file(&self) -> PathBuf {
            self.home.path().join("when")
        }

        /// Writes the file, and returns in how many seconds something is due.
        fn write(&mut self, text: &str) -> u64 {
            fs::write(self.file(), text).unwrap();
            assert!(self.time.handle_ready(Token(7), now(0)));
            let at = self.time.poll_timeout(now(0)).unwrap();
            at.as_micros() / 1_000_000
        }
    }

    #[test]
    fn a_time_is_taken_changed_and_cancelled_with_its_file() {
        let mut bench = Bench::new(false);
        assert_eq!(bench.write("14:13:24Z\n"), 4);
        assert_eq!(bench.write("14:13:23Z\n"), 3);
        assert!(!bench.time.handle_timeout(now(2)));
        fs::remove_file(bench.file()).unwrap();
        bench.time.handle_ready(Token(7), now(2));
        assert!(!bench.time.handle_timeout(now(5)));
        bench.write("14:13:24Z\n");
        assert!(bench.time.handle_timeout(now(4)));
        assert!(!bench.file().exists());
        assert!(!bench.time.handle_timeout(now(5)));
    }

    #[test]
    fn a_time_of_every_day_stays_and_a_date_does_not() {
        let mut bench = Bench::new(true);
        bench.write("14:13:24Z\n");
        assert!(bench.time.handle_timeout(now(4)));
        assert!(bench.file().exists());
        let settings = ReloadSettings {
            time_file: Some(bench.file()),
            repeat: true,
            ..ReloadSettings::default()
        };
        // The reload reads it again.
        bench.time.configure(&settings, &bench.events, now(4));
        assert!(!bench.time.handle_timeout(now(5)));
        assert!(bench.time.handle_timeout(now(4 + 86_400)));
        bench.write("2026-09-21 14:13:24Z");
        assert!(bench.time.handle_timeout(now(4)));
        assert!(!bench.file().exists());
    }

    #[test]
    fn a_clock_that_is_set_back_puts_the_reload_off() {
        let mut bench = Bench::new(false);
        bench.write("14:13:24Z\n");
        let set_back = Now {
            unix: NOW - 10,
            ..now(4)
        };
        assert!(!bench.time.handle_timeout(set_back));
        assert!(bench.file().exists());
        assert_eq!(
            bench.time.poll_timeout(set_back),
            // Directories are looked up again before that.
            Some(Instant::from_micros(10_000_000))
        );
    }
}
