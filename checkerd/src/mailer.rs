//! Delivers the mails of the outbox, one connection at a time.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::Duration;

use kr_check::mail::{Delivered, Delivery};
use kr_check::outbox::{Fate, Outbox};
use kr_check::outcome::Seconds;
use kr_check::resolve::{Lookup, Question, Search, from_hosts};
use kr_check::{Failure, Outcome, Rng, Timed};
use kr_event::{Clock, EventLoop, Ready};
use kr_model::Instant;
use kr_model::check::{Connection, Mail, MailSettings};
use mio::Token;

use crate::link::{BLOCK, Link, Served};
use crate::sandbox::NameFiles;

/// Longest answer of a name server that is read (RFC 1035 section 2.3.4 allows 512).
const MAX_ANSWER: usize = 1500;

/// Outgoing mail.
#[derive(Debug)]
pub(crate) struct Mailer {
    token: Token,
    settings: Option<MailSettings>,
    outbox: Outbox,
    stage: Stage,
    names: NameFiles,
    rng: Rng,
    clock: Clock,
    block: Vec<u8>,
}

/// What is done for the mail under way.
#[derive(Debug)]
enum Stage {
    Idle,
    Resolving {
        mail: Mail,
        lookup: Lookup,
        socket: Option<UdpSocket>,
    },
    Delivering(Box<Link<Delivery>>),
}

impl Mailer {
    pub(crate) fn new(token: Token, names: NameFiles, rng: Rng) -> Self {
        Self {
            token,
            settings: None,
            outbox: Outbox::default(),
            stage: Stage::Idle,
            names,
            rng,
            clock: Clock::new(),
            block: vec![0; BLOCK],
        }
    }

    /// From now on mail goes out like this; `None`: not at all.
    pub(crate) fn configure(&mut self, settings: Option<MailSettings>) {
        self.settings = settings;
    }

    pub(crate) fn push(&mut self, mail: Mail, now: Instant) {
        let subject = mail.subject.clone();
        if !self.outbox.push(mail, now) {
            log::error!("mail lost, too many wait for the mail server: {subject}");
        }
    }

    /// From now on every mail is tried once and at once.
    pub(crate) fn stop(&mut self) {
        self.outbox.stop();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.outbox.is_empty()
    }

    /// When [`drive`](Self::drive) is due without an event.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Idle => self.outbox.poll_timeout(),
            Stage::Resolving { lookup, .. } => lookup.poll_timeout(),
            Stage::Delivering(link) => Some(link.poll_timeout()),
        }
    }

    /// Goes on after an event of this mailer's token.
    pub(crate) fn ready(&mut self, ready: Ready, events: &EventLoop, now: Instant) {
        match &mut self.stage {
            Stage::Idle => {}
            Stage::Resolving {
                lookup,
                socket: Some(socket),
                ..
            } => loop {
                let mut datagram = [0; MAX_ANSWER];
                match socket.recv(&mut datagram) {
                    Ok(length) => lookup.answer(datagram.get(..length).unwrap_or_default()),
                    Err(error) => {
                        // A refused datagram: nobody serves names there.
                        if error.kind() != std::io::ErrorKind::WouldBlock {
                            lookup.failed();
                        }
                        break;
                    }
                }
            },
            Stage::Resolving { socket: None, .. } => {}
            Stage::Delivering(link) => loop {
                // A mail server says little: no budget is needed beyond the bound on a reply.
                match link.serve(ready, now, &mut self.block) {
                    Served::Again => {}
                    Served::Wait => break,
                    Served::Done(result) => {
                        self.finished(result, now);
                        break;
                    }
                }
            },
        }
        self.drive(events, now);
    }

    /// Goes on after time has passed or a mail was added.
    pub(crate) fn drive(&mut self, events: &EventLoop, now: Instant) {
        loop {
            match &mut self.stage {
                Stage::Idle => {
                    let Some(mail) = self.outbox.poll(now).cloned() else {
                        return;
                    };
                    self.begin(events, mail, now);
                }
                Stage::Resolving {
                    mail,
                    lookup,
                    socket,
                } => match lookup.poll(now) {
                    Search::Wait => return,
                    Search::Ask(question) => {
                        *socket = ask(events, self.token, &question);
                        if socket.is_none() {
                            lookup.failed();
                        }
                    }
                    Search::Found(address) => {
                        let mail = mail.clone();
                        self.deliver(events, &mail, address, now);
                    }
                    Search::NotFound => {
                        self.finished(Err(Failure::NoAddress), now);
                    }
                },
                Stage::Delivering(link) => match link.expire(now) {
                    Served::Wait | Served::Again => return,
                    Served::Done(result) => self.finished(result, now),
                },
            }
        }
    }

    /// Finds the server of a mail.
    fn begin(&mut self, events: &EventLoop, mail: Mail, now: Instant) {
        let Some(settings) = &self.settings else {
            log::warn!(
                "mail dropped, there are no mail settings any more: {}",
                mail.subject
            );
            self.outbox.delivered();
            return;
        };
        let name = settings.server.clone();
        if let Ok(address) = name.parse() {
            self.deliver(events, &mail, address, now);
            return;
        }
        self.names.refresh();
        if let Some(address) = from_hosts(&self.names.hosts, &name) {
            self.deliver(events, &mail, address, now);
            return;
        }
        let rng = Rng::new(self.rng.next());
        self.stage = Stage::Resolving {
            mail,
            lookup: Lookup::new(&name, &self.names.resolv_conf, rng),
            socket: None,
        };
    }

    fn deliver(&mut self, events: &EventLoop, mail: &Mail, address: IpAddr, now: Instant) {
        let Some(settings) = &self.settings else {
            self.stage = Stage::Idle;
            self.outbox.delivered();
            return;
        };
        let connection = Connection {
            target: SocketAddr::new(address, settings.port.get()),
            source: None,
            source_port: None,
            interface: None,
            mark: 0,
            timeout: settings.timeout,
        };
        let delivery = Delivery::new(settings, mail, self.clock.unix_seconds());
        let link = match Link::open(&connection, Timed::new(delivery, settings.timeout, now)) {
            Ok(link) => link,
            Err(Outcome::Failed(failure)) => return self.finished(Err(failure), now),
            Err(Outcome::Unable(fault)) => return self.finished(Err(Failure::Local(fault)), now),
            // Not made by a connection that has only begun.
            Err(Outcome::Passed) => return self.finished(Err(Failure::NoAddress), now),
        };
        if let Err(error) = events.register(link.as_fd(), self.token) {
            return self.finished(Err(Failure::Connection(error.kind())), now);
        }
        self.stage = Stage::Delivering(Box::new(link));
    }

    fn finished(&mut self, result: Result<Delivered, Failure>, now: Instant) {
        self.stage = Stage::Idle;
        let server = self
            .settings
            .as_ref()
            .map_or("", |settings| settings.server.as_str());
        match result {
            Ok(Delivered { refused }) => {
                self.outbox.delivered();
                for (recipient, answer) in refused {
                    log::warn!("mail server {server} refused recipient {recipient}: {answer}");
                }
            }
            Err(failure) => match self.outbox.failed(&failure, now) {
                Fate::Retry(wait) => log::warn!(
                    "mail server {server}: {failure}; next attempt in {}",
                    Seconds(wait)
                ),
                Fate::Dropped => {
                    log::error!("mail server {server}: {failure}; the mail is dropped")
                }
            },
        }
    }
}

/// Sends a question from a socket of its own, so that its port is a new one each time.
fn ask(events: &EventLoop, token: Token, question: &Question) -> Option<UdpSocket> {
    let any: SocketAddr = match question.server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.set_nonblocking(true).ok()?;
    socket.connect(question.server).ok()?;
    events.register(socket.as_fd(), token).ok()?;
    match socket.send(&question.datagram) {
        Ok(_) => Some(socket),
        Err(_) => None,
    }
}

/// How long a leaving process goes on delivering mail; the parent waits 5 s by default.
pub(crate) const FAREWELL: Duration = Duration::from_secs(4);
