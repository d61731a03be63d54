//! Bounded waits: every test that waits for another process says how long and for what.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `holds` is true and returns how long that took.
///
/// # Errors
/// `TimedOut`, naming `what`, when it is still false after `limit`.
pub fn eventually(
    limit: Duration,
    what: &str,
    mut holds: impl FnMut() -> bool,
) -> io::Result<Duration> {
    let start = Instant::now();
    loop {
        if holds() {
            return Ok(start.elapsed());
        }
        if start.elapsed() >= limit {
            let text = format!("not within {limit:?}: {what}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        sleep(PAUSE);
    }
}

/// Looks at `holds` again and again for the whole of `length`.
///
/// # Errors
/// An error naming `what` and the moment, as soon as it is false once.
pub fn throughout(length: Duration, what: &str, mut holds: impl FnMut() -> bool) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < length {
        if !holds() {
            let text = format!("no longer true after {:?}: {what}", start.elapsed());
            return Err(io::Error::other(text));
        }
        sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let result = eventually(Duration::from_secs(5), "third look", || {
            looks += 1;
            looks == 3
        });
        assert!(result.is_ok());
        assert_eq!(looks, 3);
    }

    #[test]
    fn condition_that_stays_false_is_named_in_the_error() {
        let error = eventually(Duration::from_millis(30), "the moon", || false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("the moon"));
    }

    #[test]
    fn condition_that_fails_once_ends_the_watch() {
        let mut looks = 0;
        let result = throughout(Duration::from_secs(5), "two looks", || {
            looks += 1;
            looks < 3
        });
        assert!(result.is_err());
        assert_eq!(looks, 3);
    }
}
