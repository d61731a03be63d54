//! A mail server that keeps what it gets, or answers what a test wants.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use super::TcpServer;

/// Answers of the server: by the start of a command (`""` is the greeting), the reply without its line
/// end. A command that is not listed gets the usual answer.
pub type Script = Vec<(&'static str, &'static str)>;

/// A mail as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Address between the angle brackets of MAIL FROM.
    pub from: String,
    /// Addresses of RCPT TO that were accepted.
    pub to: Vec<String>,
    /// Text with line ends, without the final dot and with stuffed dots undone.
    pub text: String,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    mails: Mutex<Vec<Received>>,
    commands: Mutex<Vec<String>>,
}

/// The server.
#[derive(Debug)]
pub struct SmtpServer {
    server: TcpServer,
    shared: Arc<Shared>,
}

impl SmtpServer {
    /// Serves on loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(script: Script) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            script: Mutex::new(script),
            ..Shared::default()
        });
        let server = TcpServer::on_loopback({
            let shared = Arc::clone(&shared);
            // A client that goes away in the middle is its own affair.
            move |stream| drop(serve(&stream, &shared))
        })?;
        Ok(Self { server, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Answers like this from the next command on.
    pub fn set(&self, script: Script) {
        *lock(&self.shared.script) = script;
    }

    /// The mails so far.
    #[must_use]
    pub fn mails(&self) -> Vec<Received> {
        lock(&self.shared.mails).clone()
    }

    /// The commands so far, of all connections.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        lock(&self.shared.commands).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut writer = stream;
    let mut lines = BufReader::new(stream).lines();
    let mut reply = |command: &str, usual: &str| -> io::Result<String> {
        let text = lock(&shared.script)
            .iter()
            .find(|(known, _)| {
                command == *known || (!known.is_empty() && command.starts_with(known))
            })
            .map_or_else(|| usual.to_owned(), |(_, text)| (*text).to_owned());
        writer.write_all(format!("{text}\r\n").as_bytes())?;
        Ok(text)
    };
    reply("", "220 test")?;
    let mut mail = Received {
        from: String::new(),
        to: Vec::new(),
        text: String::new(),
    };
    while let Some(line) = lines.next() {
        let line = line?;
        lock(&shared.commands).push(line.clone());
        let argument = line
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'))
            .map_or("", |(address, _)| address);
        match line.split([' ', ':']).next().unwrap_or_default() {
            "DATA" => {
                if reply(&line, "354 go on")?.starts_with("354") {
                    mail.text = text(&mut lines)?;
                    lock(&shared.mails).push(mail.clone());
                    reply(".", "250 taken")?;
                }
            }
            "QUIT" => {
                reply(&line, "221 bye")?;
                return Ok(());
            }
            "MAIL" => {
                mail.from = argument.to_owned();
                reply(&line, "250 ok")?;
            }
            "RCPT" => {
                if reply(&line, "250 ok")?.starts_with("250") {
                    mail.to.push(argument.to_owned());
                }
            }
            _ => {
                reply(&line, "250 ok")?;
            }
        }
    }
    Ok(())
}

/// Reads the text of a mail up to its final dot.
fn text(lines: &mut impl Iterator<Item = io::Result<String>>) -> io::Result<String> {
    let mut text = String::new();
    for line in lines {
        let line = line?;
        if line == "." {
            break;
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push('\n');
    }
    Ok(text)
}
