//! Who holds which end of which channel, and messages of a process that somebody has taken over.

use std::io;

use kr_testkit::captive::{Argument, Captive, End};
use kr_testkit::netns::Host;
use nix::libc;
use nix::unistd::Pid;

/// What goes over a channel at once.
#[derive(Debug, Clone)]
pub(super) enum Frame {
    /// These bytes.
    Bytes(Vec<u8>),
    /// So many bytes.
    Long(usize),
    /// These bytes, with so many descriptors.
    With(Vec<u8>, usize),
}

/// The number of the descriptor that leads from one process to another, as ss(8) sees it.
pub(super) fn wire(host: &Host, from: Pid, to: Pid) -> Option<i32> {
    let text = host.run("ss", &["-xnp"]).unwrap();
    let ends: Vec<Socket<'_>> = text.lines().filter_map(Socket::read).collect();
    ends.iter().find_map(|end| {
        let descriptor = end.of(from)?;
        let other = ends.iter().find(|other| other.own == end.peer)?;
        other.of(to).map(|_| descriptor)
    })
}

/// A line of ss(8).
struct Socket<'a> {
    own: &'a str,
    peer: &'a str,
    users: &'a str,
}

impl<'a> Socket<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["u_seq", "ESTAB", _, _, "*", own, "*", peer, users] => Some(Self { own, peer, users }),
            _ => None,
        }
    }

    /// Its descriptor in a process.
    fn of(&self, pid: Pid) -> Option<i32> {
        let (_, rest) = self.users.split_once(&format!("pid={pid},fd="))?;
        rest.split(')').next()?.parse().ok()
    }
}

/// Lets the captive send.
pub(super) fn send(captive: &mut Captive, descriptor: i32, frame: &Frame) -> io::Result<End> {
    let number = |number: i32| Argument::Number(number.into());
    let quietly = number(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT);
    let length = |length: usize| {
        i64::try_from(length)
            .map(Argument::Number)
            .map_err(io::Error::other)
    };
    match frame {
        Frame::Bytes(bytes) => {
            let arguments = [
                number(descriptor),
                Argument::Bytes(bytes),
                length(bytes.len())?,
                quietly,
            ];
            captive.call(libc::SYS_sendto, &arguments)
        }
        Frame::Long(count) => {
            let bytes = captive.some_bytes(*count)?;
            captive.call(
                libc::SYS_sendto,
                &[number(descriptor), bytes, length(*count)?, quietly],
            )
        }
        Frame::With(bytes, count) => {
            let message = message(captive, bytes, *count)?;
            captive.call(
                libc::SYS_sendmsg,
                &[number(descriptor), Argument::Bytes(&message), quietly],
            )
        }
    }
}

/// A `struct msghdr` with these bytes and its standard input, so many times.
fn message(captive: &mut Captive, bytes: &[u8], descriptors: usize) -> io::Result<Vec<u8>> {
    let words =
        |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_ne_bytes()).collect() };
    let length = |length: usize| u64::try_from(length).map_err(io::Error::other);
    let at = captive.put(bytes)?;
    let vector = captive.put(&words(&[at, length(bytes.len())?]))?;
    // A `struct cmsghdr`: its length, then SOL_SOCKET and SCM_RIGHTS.
    let mut control = words(&[16 + 4 * length(descriptors)?]);
    control.extend(libc::SOL_SOCKET.to_ne_bytes());
    control.extend(libc::SCM_RIGHTS.to_ne_bytes());
    control.extend(std::iter::repeat_n(0, 4 * descriptors.next_multiple_of(2)));
    let size = length(control.len())?;
    let control = captive.put(&control)?;
    Ok(words(&[0, 0, vector, 1, control, size, 0]))
}
