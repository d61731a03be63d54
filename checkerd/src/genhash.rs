//! `genhash`, made of the checker's own request, TLS and digest, so that what it prints makes the check
//! pass.
//!
//! Options and output are those of the historic tool (`MD5SUM = ...` and an empty line); the options of
//! newer versions are understood too, and their output comes with `-b`. Unlike both, a failure is told on
//! standard error and by the exit code.

mod dump;
mod options;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Duration;

use kr_check::conversation::{Conversation, Timed};
use kr_check::http::{Answer, Fetch, Keep, request};
use kr_check::outcome::Hex;
use kr_check::tls::{Tls, TlsContext};
use kr_check::{Failure, Outcome};
use kr_event::{Clock, EventLoop};
use kr_model::check::{CheckerGlobal, Connection};
use mio::Token;

use crate::link::{BLOCK, Link, Served};
use options::{Command, Hash, Options};
use sha1::{Digest as _, Sha1};

/// Version, as `-r` prints it.
const RELEASE: &str = concat!("genhash v", env!("CARGO_PKG_VERSION"), " (keepalived-rs)");

/// Why there is no digest.
#[derive(Debug)]
enum Error {
    /// The page could not be fetched.
    Fetch(Failure),
    /// This host could not try.
    Local(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(failure) => failure.fmt(f),
            Self::Local(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Local(error.to_string())
    }
}

/// Does what the arguments say. 0: the digest was printed; 1: it was not.
pub fn main(
    arguments: impl Iterator<Item = OsString>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> ExitCode {
    // There is nobody to tell that standard error is closed.
    let written = match options::parse(arguments) {
        Err(error) => {
            let _ = write!(err, "genhash: {error}\n{}", options::USAGE);
            return ExitCode::FAILURE;
        }
        Ok(Command::Help) => {
            let _ = write!(err, "{}", options::USAGE);
            return ExitCode::FAILURE;
        }
        Ok(Command::Release) => writeln!(err, "{RELEASE}"),
        Ok(Command::Hash(options)) => {
            if let Some(url) = &options.cut_from {
                let _ = writeln!(
                    err,
                    "genhash: asking {} for {}, the path of {url}",
                    options.address, options.path
                );
            }
            match hash(&options) {
                Ok((answer, micros)) => {
                    if answer.missing > 0 {
                        let _ = writeln!(
                            err,
                            "genhash: the body ends {} bytes before its Content-Length",
                            answer.missing
                        );
                    }
                    print(&options, &answer, micros, out)
                }
                Err(error) => {
                    let _ = writeln!(err, "genhash: {}: {error}", options.address);
                    return ExitCode::FAILURE;
                }
            }
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn print(options: &Options, answer: &Answer, micros: u64, out: &mut impl Write) -> io::Result<()> {
    let (name, digest) = match options.hash {
        Hash::Md5 => ("MD5", answer.digest.unwrap_or_default().to_vec()),
        Hash::Sha1 => ("SHA1", Sha1::digest(&answer.body).to_vec()),
    };
    if options.verbose {
        dump::banner(out, "HTTP Header hexa dump")?;
        dump::hex(out, &answer.header)?;
        dump::banner(out, "HTTP Header")?;
        writeln!(
            out,
            "{}",
            String::from_utf8_lossy(&answer.header).trim_end()
        )?;
        dump::banner(out, "HTML body hexa dump")?;
        dump::hex(out, &answer.body)?;
        dump::banner(out, &format!("{name} digest hexa dump"))?;
        dump::hex(out, &digest)?;
    }
    if options.bare {
        writeln!(out, "{}", Hex(&digest))?;
    } else {
        writeln!(out, "{name}SUM = {}\n", Hex(&digest))?;
    }
    if options.verbose {
        writeln!(
            out,
            "Global response time for [{}] = {micros} usecs",
            options.path
        )?;
    }
    Ok(())
}

/// Fetches the page; also says how many microseconds it took.
fn hash(options: &Options) -> Result<(Answer, u64), Error> {
    let clock = Clock::new();
    let keep = if options.verbose || options.hash == Hash::Sha1 {
        Keep::Body
    } else {
        Keep::Digest
    };
    let request = request(&options.path, &options.host, options.version);
    let fetch = Fetch::new(&request, keep);
    let start = clock.now();
    let answer = if options.tls {
        let context = TlsContext::new(&CheckerGlobal::default())
            .map_err(|error| Error::Local(error.to_string()))?;
        let address = options.address.ip();
        let tls = Tls::new(
            fetch,
            &context,
            options.server_name.as_deref(),
            address,
            false,
        )
        .map_err(|failure| Error::Fetch(Failure::Tls(failure)))?;
        run(tls, options, &clock)
    } else {
        run(fetch, options, &clock)
    }?;
    let micros = u64::try_from(clock.now().since(start).as_micros()).unwrap_or(u64::MAX);
    Ok((answer, micros))
}

/// Drives one conversation to its end.
fn run<C: Conversation<Output = Answer>>(
    talk: C,
    options: &Options,
    clock: &Clock,
) -> Result<Answer, Error> {
    let mut events = EventLoop::new()?;
    let connection = connection(options.address, options.mark, options.timeout);
    let timed = Timed::new(talk, options.timeout, clock.now());
    let mut link = Link::open(&connection, timed).map_err(|outcome| match outcome {
        Outcome::Failed(failure) => Error::Fetch(failure),
        Outcome::Unable(fault) => Error::Local(fault.to_string()),
        Outcome::Passed => Error::Local("nothing was asked".to_owned()),
    })?;
    events.register(link.as_fd(), Token(0))?;
    let mut block = vec![0; BLOCK];
    loop {
        let ready = events.wait(Some(link.poll_timeout()))?;
        let ready = ready.first().copied();
        let now = clock.now();
        let mut served = match ready {
            Some(ready) => link.serve(ready, now, &mut block),
            None => link.expire(now),
        };
        while let (Served::Again, Some(ready)) = (&served, ready) {
            served = link.serve(ready, clock.now(), &mut block);
        }
        if let Served::Done(result) = served {
            return result.map_err(Error::Fetch);
        }
    }
}

const fn connection(target: SocketAddr, mark: u32, timeout: Duration) -> Connection {
    Connection {
        target,
        source: None,
        source_port: None,
        interface: None,
        mark,
        timeout,
    }
}
