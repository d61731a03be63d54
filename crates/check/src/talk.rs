//! The conversation of any check over a connection, in one type for the checker process.

use std::ops::ControlFlow;

use crate::checks::StreamAttempt;
use crate::conversation::{Conversation, Progress};
use crate::http::{HttpCheck, Patterns};
use crate::outcome::Failure;
use crate::smtp::SmtpCheck;
use crate::tls::{Tls, TlsContext, server_name};

/// What is said in one attempt.
#[derive(Debug)]
pub enum Talk {
    /// `TCP_CHECK`: nothing; the connection is all.
    Tcp,
    /// `HTTP_GET`.
    Http(HttpCheck),
    /// `SSL_GET`.
    Https(Box<Tls<HttpCheck>>),
    /// `SMTP_CHECK`.
    Smtp(SmtpCheck),
}

impl Talk {
    /// The conversation for an attempt.
    ///
    /// # Errors
    /// When the configured server name or pattern cannot be used.
    pub fn new(
        attempt: &StreamAttempt<'_>,
        context: &TlsContext,
        patterns: &Patterns,
    ) -> Result<Self, Failure> {
        Ok(match attempt {
            StreamAttempt::Tcp(_) => Self::Tcp,
            StreamAttempt::Http {
                tls: None,
                version,
                url,
                ..
            } => Self::Http(HttpCheck::new(url, *version, patterns)?),
            StreamAttempt::Http {
                tls: Some(options),
                version,
                url,
                connection,
            } => {
                let tls = Tls::new(
                    HttpCheck::new(url, *version, patterns)?,
                    context,
                    server_name(options, url),
                    connection.target.ip(),
                    url.close_notify,
                );
                Self::Https(Box::new(tls.map_err(Failure::Tls)?))
            }
            StreamAttempt::Smtp { helo, .. } => Self::Smtp(SmtpCheck::new(helo)),
        })
    }
}

impl Conversation for Talk {
    type Output = ();

    fn opened(&mut self) -> Progress<()> {
        match self {
            Self::Tcp => ControlFlow::Break(Ok(())),
            Self::Http(talk) => talk.opened(),
            Self::Https(talk) => talk.opened(),
            Self::Smtp(talk) => talk.opened(),
        }
    }

    fn received(&mut self, bytes: &[u8]) -> Progress<()> {
        match self {
            Self::Tcp => ControlFlow::Break(Ok(())),
            Self::Http(talk) => talk.received(bytes),
            Self::Https(talk) => talk.received(bytes),
            Self::Smtp(talk) => talk.received(bytes),
        }
    }

    fn ended(&mut self) -> Result<(), Failure> {
        match self {
            Self::Tcp => Ok(()),
            Self::Http(talk) => talk.ended(),
            Self::Https(talk) => talk.ended(),
            Self::Smtp(talk) => talk.ended(),
        }
    }

    fn outgoing(&self) -> &[u8] {
        match self {
            Self::Tcp => &[],
            Self::Http(talk) => talk.outgoing(),
            Self::Https(talk) => talk.outgoing(),
            Self::Smtp(talk) => talk.outgoing(),
        }
    }

    fn sent(&mut self, count: usize) {
        match self {
            Self::Tcp => {}
            Self::Http(talk) => talk.sent(count),
            Self::Https(talk) => talk.sent(count),
            Self::Smtp(talk) => talk.sent(count),
        }
    }

    fn waiting_for(&self) -> &'static str {
        match self {
            Self::Tcp => "connection",
            Self::Http(talk) => talk.waiting_for(),
            Self::Https(talk) => talk.waiting_for(),
            Self::Smtp(talk) => talk.waiting_for(),
        }
    }

    fn extends_deadline(&self) -> bool {
        match self {
            Self::Https(talk) => talk.extends_deadline(),
            Self::Tcp | Self::Http(_) | Self::Smtp(_) => true,
        }
    }
}
