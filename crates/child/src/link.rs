//! The own end of the channel to a sibling, which may be away. The parent hands over a new end whenever the
//! sibling is started again; a sibling that breaks the protocol is cut off, and the parent told.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use kr_event::EventLoop;
use kr_ipc::channel::Received;
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
        self.with_channel(|channel| channel.send(message));
    }

    /// Says something with a descriptor.
    pub fn send_with(&mut self, message: &S, descriptor: OwnedFd) {
        self.with_channel(|channel| channel.send_with(message, descriptor));
    }

    /// True while it takes no more than it was sent.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        self.channel.as_ref().is_some_and(Channel::has_queued)
    }

    /// True while the sibling is there.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.channel.is_some()
    }

    fn with_channel(&mut self, say: impl FnOnce(&mut Channel<S, R>) -> Result<(), ChannelError>) {
        if let Some(channel) = &mut self.channel
            && let Err(error) = say(channel)
        {
            if !matches!(error, ChannelError::Closed) {
                log::warn!("channel to {}: {error}", self.sibling);
            }
            self.channel = None;
        }
    }

    /// Sends what waits, and takes the next message of a sibling that never attaches descriptors.
    pub fn receive(&mut self) -> Heard<R> {
        match self.receive_with() {
            Heard::Message(Received {
                message,
                descriptor: None,
            }) => Heard::Message(message),
            Heard::Message(Received {
                descriptor: Some(_),
                ..
            }) => {
                self.cut(&ChannelError::UnexpectedDescriptor);
                Heard::Misbehaved
            }
            Heard::Nothing => Heard::Nothing,
            Heard::Gone => Heard::Gone,
            Heard::Misbehaved => Heard::Misbehaved,
        }
    }

    /// Sends what waits, and takes the next message with the descriptor that came with it.
    pub fn receive_with(&mut self) -> Heard<Received<R>> {
        let Some(channel) = &mut self.channel else {
            self.unread = false;
            return Heard::Nothing;
        };
        match channel.flush().and_then(|()| channel.recv_with()) {
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

    #[test]
    fn a_descriptor_is_taken_only_where_one_may_come() {
        let events = EventLoop::new().unwrap();
        let mut link: Link<u8, u8> = Link::new(Sibling::Ipvsd, TOKEN);
        let (ours, theirs) = pair().unwrap();
        link.connect(ours, &events).unwrap();
        let mut other: Link<u8, u8> = Link::new(Sibling::Checkerd, TOKEN);
        other.connect(theirs, &EventLoop::new().unwrap()).unwrap();
        let some = || pair().unwrap().0;
        other.send_with(&1, some());
        let Heard::Message(received) = link.receive_with() else {
            panic!("nothing came")
        };
        assert!(received.message == 1 && received.descriptor.is_some());
        assert!(link.is_there() && !other.has_queued());
        other.send_with(&2, some());
        assert!(matches!(link.receive(), Heard::Misbehaved));
        assert!(!link.is_there());
    }
}
