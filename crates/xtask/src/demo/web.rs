//! The web servers and the client of the demonstration: this program's own sub-commands.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use argh::FromArgs;
use kr_testkit::web;

/// Pause between two requests of the client.
const EVERY: Duration = Duration::from_millis(100);

/// A request that is not answered in this time is lost.
const LOST: Duration = Duration::from_secs(1);

/// answer every request with a name (used by the demo)
#[derive(FromArgs)]
#[argh(subcommand, name = "web-server")]
pub(crate) struct WebServerTask {
    /// the name
    #[argh(positional)]
    name: String,
    /// where to listen, as ADDRESS:PORT
    #[argh(positional)]
    address: SocketAddr,
}

/// ask ten times a second and print each request's fate (used by the demo)
#[derive(FromArgs)]
#[argh(subcommand, name = "web-client")]
pub(crate) struct WebClientTask {
    /// whom to ask, as ADDRESS:PORT
    #[argh(positional)]
    address: SocketAddr,
}

/// Serves until killed.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) fn serve(task: &WebServerTask) -> io::Result<ExitCode> {
    let listener = TcpListener::bind(task.address)?;
    loop {
        let Ok((stream, _)) = listener.accept() else {
            continue;
        };
        let name = task.name.clone();
        thread::spawn(move || web::answer(stream, 200, &name));
    }
}

/// Asks until killed, each request on a thread of its own so that a slow one delays no other.
///
/// # Errors
/// Never, as long as threads can be started.
pub(crate) fn ask(task: &WebClientTask) -> io::Result<ExitCode> {
    let address = task.address;
    loop {
        thread::spawn(move || {
            let sent = now();
            let fate =
                web::get(address, LOST).map_or_else(|_| "lost".to_owned(), |answer| answer.body);
            writeln!(io::stdout(), "{sent} {fate}").ok();
        });
        thread::sleep(EVERY);
    }
}

/// A line of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// When it was sent, in milliseconds of the wall clock.
    pub(super) sent: u64,
    /// Who answered; nobody when it was lost.
    pub(super) server: Option<String>,
}

/// Reads a line of the client; a line that is not whole yet is none.
pub(super) fn parse(line: &str) -> Option<Request> {
    let (sent, fate) = line.split_once(' ')?;
    Some(Request {
        sent: sent.parse().ok()?,
        server: (fate != "lost").then(|| fate.to_owned()),
    })
}

/// The wall clock in milliseconds, which two processes can compare.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_client_are_read() {
        assert_eq!(
            parse("17 web1"),
            Some(Request {
                sent: 17,
                server: Some("web1".to_owned())
            })
        );
        assert_eq!(
            parse("17 lost"),
            Some(Request {
                sent: 17,
                server: None
            })
        );
        assert_eq!(parse("17"), None);
    }
}
