//! The own end of the channel to a sibling, which may be away. The parent hands over a new end whenever the
//! sibling is started again; a sibling that breaks the protocol is cut off, and the parent told.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use kr_event::EventLoop;
use kr_ipc::edge::Sibling;
use kr_ipc::{Channel, ChannelError};
use mio::Token;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What reading a link led to.
#[derive(Debug)]
pub enum Heard<R> {
    /// A message.
    Message(R),
    /// Nothing waits.
    Nothing,
    /// The sibling is gone.
    Gone,
    /// The sibling broke the protocol and is cut off. To be told to the parent.
    Misbehaved,
}

/// A link on which this process sends `S` and receives `R`.
#[derive(Debug)]
pub struct Link<S, R> {
    sibling: Sibling,
    token: Token,
    channel: Option<Channel<S, R>>,
    /// More may wait than was read: descriptors are edge-triggered.
    unread: bool,
}

impl<S: Serialize, R: DeserializeOwned> Link<S, R> {
    /// A link to a sibling that is away; its channels will be watched under this token.
    #[must_use]
    pub const fn new(sibling: Sibling, token: Token) -> Self {
        Self {
            sibling,
            token,
            channel: None,
            unread: false,
        }
    }

    /// Takes a new end of the channel, in place of an older one.
    ///
    /// # Errors
    /// When the kernel does not let it be watched; the sibling is away then.
    pub fn connect(&mut self, end: OwnedFd, events: &EventLoop) -> io::Result<()> {
        // Closed first, which also ends its registration.
        self.channel = None;
        let channel = Channel::new(end);
        events.register(channel.as_fd(), self.token)?;
        self.channel = Some(channel);
        self.unread = true;
        Ok(())
    }

    /// The descriptor is ready: to be read until nothing waits.
    pub const fn ready(&mut self) {
        self.unread = true;
    }

    /// True when it is to be read.
    #[must_use]
    pub const fn is_unread(&self) -> bool {
        self.unread && self.channel.is_some()
    }

    /// Says something. A sibling that is away will be told everything once it is back.
    pub fn send(&mut self, message: &S) {
        if let Some(channel) = &mut self.channel
            && let Err(error) = channel.send(message)
        {
            if !matches!(error, ChannelError::Closed) {
                log::warn!("channel to {}: {error}", self.sibling);
            }
            self.channel = None;
        }
    }

    /// Sends what waits, and takes the next message.
    pub fn receive(&mut self) -> Heard<R> {
        let Some(channel) = &mut self.channel else {
            self.unread = false;
            return Heard::Nothing;
        };
        match channel.flush().and_then(|()| channel.recv()) {
            Ok(Some(message)) => Heard::Message(message),
            Ok(None) => {
                self.unread = false;
                Heard::Nothing
            }
            Err(ChannelError::Closed) => {
                self.channel = None;
                Heard::Gone
            }
            Err(error) => {
                self.cut(&error);
                Heard::Misbehaved
            }
        }
    }

    /// Closes the channel of a sibling that broke the protocol.
    pub fn cut(&mut self, why: &impl std::fmt::Display) {
        log::error!(
            "{} broke the protocol, its channel is closed: {why}",
            self.sibling
        );
        self.channel = None;
    }
}

#[cfg(test)]
mod tests {
    use kr_ipc::channel::pair;

    use super::*;

    const TOKEN: Token = Token(5);

    #[test]
    fn what_is_said_while_the_sibling_is_away_is_lost_and_later_words_arrive() {
        let events = EventLoop::new().unwrap();
        let mut link: Link<u8, u8> = Link::new(Sibling::Ipvsd, TOKEN);
        link.send(&1);
        assert!(!link.is_unread());
        let (ours, theirs) = pair().unwrap();
        link.connect(ours, &events).unwrap();
        link.send(&2);
        let mut other: Channel<u8, u8> = Channel::new(theirs);
        assert_eq!(other.recv().unwrap(), Some(2));
        other.send(&3).unwrap();
        assert!(matches!(link.receive(), Heard::Message(3)));
        assert!(matches!(link.receive(), Heard::Nothing));
        drop(other);
        assert!(matches!(link.receive(), Heard::Gone));
        assert!(matches!(link.receive(), Heard::Nothing));
    }

    #[test]
    fn a_sibling_that_sends_garbage_is_cut_off_until_it_is_replaced() {
        let events = EventLoop::new().unwrap();
        let mut link: Link<u8, bool> = Link::new(Sibling::Ipvsd, TOKEN);
        for _ in 0..2 {
            let (ours, theirs) = pair().unwrap();
            link.connect(ours, &events).unwrap();
            let mut other: Channel<u8, u8> = Channel::new(theirs);
            other.send(&77).unwrap();
            assert!(matches!(link.receive(), Heard::Misbehaved));
            assert!(matches!(other.recv(), Err(ChannelError::Closed)));
        }
    }
}
