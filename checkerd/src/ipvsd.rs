//! The IPVS process: it is told verdicts, and asked for the sockets that need a privilege. It comes and
//! goes, and what it answers is checked.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;

use kr_child::{Heard, Link};
use kr_event::EventLoop;
use kr_ipc::channel::Received;
use kr_ipc::edge::Sibling;
use kr_ipc::edge::checkerd_ipvsd::{
    FromIpvsd, MOST_SOCKETS_WANTED, SocketRefusal, SocketWanted, ToIpvsd,
};
use mio::Token;

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) request: u64,
    pub(crate) socket: Result<OwnedFd, SocketRefusal>,
}

/// The IPVS process, there or not.
#[derive(Debug)]
pub(crate) struct Ipvsd {
    link: Link<ToIpvsd, FromIpvsd>,
    /// Requests without an answer.
    asked: BTreeSet<u64>,
}

impl Ipvsd {
    /// It is away; its channels will be watched under this token.
    pub(crate) const fn new(token: Token) -> Self {
        Self {
            link: Link::new(Sibling::Ipvsd, token),
            asked: BTreeSet::new(),
        }
    }

    /// Takes a new end of the channel, in place of an older one.
    ///
    /// # Errors
    /// When the kernel does not let it be watched.
    pub(crate) fn connect(&mut self, end: OwnedFd, events: &EventLoop) -> io::Result<()> {
        self.asked.clear();
        self.link.connect(end, events)
    }

    /// Says something. When it is away its successor will hear every verdict.
    pub(crate) fn tell(&mut self, message: &ToIpvsd) {
        self.link.send(message);
    }

    /// It can be asked for another socket.
    pub(crate) fn has_room(&self) -> bool {
        self.link.is_there() && self.asked.len() < MOST_SOCKETS_WANTED
    }

    /// Asks for a socket.
    pub(crate) fn ask(&mut self, wanted: SocketWanted) {
        self.asked.insert(wanted.request);
        self.tell(&ToIpvsd::SocketWanted(wanted));
    }

    /// Sends what waits, and takes the next answer; to be repeated until there is none.
    pub(crate) fn receive(&mut self) -> Heard<Answer> {
        let Received {
            message,
            descriptor,
        } = match self.link.receive_with() {
            Heard::Message(received) => received,
            Heard::Nothing => return Heard::Nothing,
            Heard::Gone => return Heard::Gone,
            Heard::Misbehaved => return Heard::Misbehaved,
        };
        let (request, socket) = match (message, descriptor) {
            (FromIpvsd::Socket { request }, Some(socket)) => (request, Ok(socket)),
            (FromIpvsd::NoSocket { request, refusal }, None) => (request, Err(refusal)),
            (FromIpvsd::Socket { .. }, None) | (FromIpvsd::NoSocket { .. }, Some(_)) => {
                self.link
                    .cut(&"a message without its socket, or a socket without its message");
                return Heard::Misbehaved;
            }
        };
        if !self.asked.remove(&request) {
            self.link.cut(&format_args!(
                "an answer to request {request}, which was not made"
            ));
            return Heard::Misbehaved;
        }
        Heard::Message(Answer { request, socket })
    }
}

#[cfg(test)]
mod tests {
    use kr_ipc::{Channel, channel};
    use kr_model::{CheckerId, Generation};

    use super::*;

    type Other = Channel<FromIpvsd, ToIpvsd>;

    fn met() -> (Ipvsd, Other, EventLoop) {
        let events = EventLoop::new().unwrap();
        let (ours, theirs) = channel::pair().unwrap();
        let mut ipvsd = Ipvsd::new(Token(1));
        ipvsd.connect(ours, &events).unwrap();
        (ipvsd, Channel::new(theirs), events)
    }

    const fn wanted(request: u64) -> SocketWanted {
        SocketWanted {
            generation: Generation(1),
            checker: CheckerId(1),
            host: 0,
            request,
        }
    }

    fn some_socket() -> OwnedFd {
        channel::pair().unwrap().0
    }

    #[test]
    fn answers_come_to_those_who_asked() {
        let (mut ipvsd, mut other, _events) = met();
        ipvsd.ask(wanted(7));
        ipvsd.ask(wanted(8));
        let asked = ToIpvsd::SocketWanted(wanted(7));
        assert_eq!(other.recv().unwrap(), Some(asked));
        let refusal = SocketRefusal::TooMany;
        let refused = FromIpvsd::NoSocket {
            request: 8,
            refusal,
        };
        other.send(&refused).unwrap();
        let given = FromIpvsd::Socket { request: 7 };
        other.send_with(&given, some_socket()).unwrap();
        let Heard::Message(first) = ipvsd.receive() else {
            panic!("an answer")
        };
        assert_eq!((first.request, first.socket.err()), (8, Some(refusal)));
        let Heard::Message(second) = ipvsd.receive() else {
            panic!("another answer")
        };
        assert!(second.request == 7 && second.socket.is_ok());
        assert!(matches!(ipvsd.receive(), Heard::Nothing));
    }

    #[test]
    fn no_more_than_the_bound_are_asked_for_at_a_time() {
        let (mut ipvsd, mut other, events) = met();
        for request in (0..).take(MOST_SOCKETS_WANTED) {
            assert!(ipvsd.has_room());
            ipvsd.ask(wanted(request));
        }
        assert!(!ipvsd.has_room());
        let given = FromIpvsd::Socket { request: 0 };
        other.send_with(&given, some_socket()).unwrap();
        assert!(matches!(ipvsd.receive(), Heard::Message(_)));
        assert!(ipvsd.has_room());
        // A successor owes nothing.
        let (ours, _theirs) = channel::pair().unwrap();
        ipvsd.connect(ours, &events).unwrap();
        assert_eq!(ipvsd.asked.len(), 0);
    }

    #[test]
    fn who_breaks_the_protocol_is_cut_off() {
        let socket = FromIpvsd::Socket { request: 1 };
        let none = FromIpvsd::NoSocket {
            request: 1,
            refusal: SocketRefusal::Gone,
        };
        for (message, descriptor) in [(socket, false), (none, true)] {
            let (mut ipvsd, mut other, _events) = met();
            ipvsd.ask(wanted(1));
            if descriptor {
                other.send_with(&message, some_socket()).unwrap();
            } else {
                other.send(&message).unwrap();
            }
            assert!(matches!(ipvsd.receive(), Heard::Misbehaved));
            assert!(!ipvsd.has_room());
        }
        let (mut ipvsd, mut other, _events) = met();
        ipvsd.ask(wanted(1));
        for _ in 0..2 {
            other.send_with(&socket, some_socket()).unwrap();
        }
        assert!(matches!(ipvsd.receive(), Heard::Message(_)));
        assert!(matches!(ipvsd.receive(), Heard::Misbehaved));
    }
}
