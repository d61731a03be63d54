//! Requests and their answers on one socket: changes by the batch, and whole dumps.

use std::collections::BTreeMap;

use nix::errno::Errno;

use crate::socket::{Meaning, Message, NetlinkError, Socket, messages};

/// How often a dump is begun anew because the table changed meanwhile.
const DUMP_ATTEMPTS: usize = 5;

/// Reads until `count` answers are there, or nothing more is.
pub(crate) fn answers(
    socket: &mut Socket,
    count: usize,
) -> Result<BTreeMap<u32, Result<(), Errno>>, NetlinkError> {
    let mut answers = BTreeMap::new();
    while answers.len() < count {
        let Some(datagram) = socket.receive()? else {
            break;
        };
        for message in messages(datagram) {
            let message = message?;
            if let Meaning::Answer(outcome) = message.meaning() {
                answers.insert(message.sequence, outcome);
            }
        }
    }
    Ok(answers)
}

/// Reads until the request with this number is answered, which none of a later one is.
pub(crate) fn answers_until(
    socket: &mut Socket,
    last: Option<u32>,
) -> Result<BTreeMap<u32, Result<(), Errno>>, NetlinkError> {
    let mut all = BTreeMap::new();
    while last.is_some_and(|last| !all.contains_key(&last)) {
        let more = answers(socket, 1)?;
        if more.is_empty() {
            return Err(NetlinkError::Unanswered);
        }
        all.extend(more);
    }
    Ok(all)
}

/// Asks for a dump with the request that `ask` writes under a sequence number, and gives every object to
/// `take`; anew when the table changed meanwhile.
pub(crate) fn dump<T>(
    socket: &mut Socket,
    ask: impl Fn(u32) -> Result<Vec<u8>, NetlinkError>,
    take: impl Fn(&Message<'_>) -> Option<T>,
) -> Result<Vec<T>, NetlinkError> {
    for _ in 0..DUMP_ATTEMPTS {
        let sequence = socket.next_sequence();
        socket.send(&ask(sequence)?)?;
        let mut found = Vec::new();
        if collect(socket, sequence, |message| found.extend(take(message)))? {
            return Ok(found);
        }
    }
    Err(NetlinkError::Unsteady)
}

/// Reads the one object that was asked for under a sequence number.
pub(crate) fn object<T>(
    socket: &mut Socket,
    sequence: u32,
    take: impl Fn(&Message<'_>) -> Option<T>,
) -> Result<T, NetlinkError> {
    let mut found = None;
    while let Some(datagram) = socket.receive()? {
        for message in messages(datagram) {
            let message = message?;
            if message.sequence != sequence {
                continue;
            }
            match message.meaning() {
                Meaning::Answer(outcome) | Meaning::Done(outcome) => {
                    outcome?;
                    return found.ok_or(NetlinkError::Unanswered);
                }
                Meaning::Object => found = take(&message),
            }
        }
    }
    Err(NetlinkError::Unanswered)
}

/// Reads one dump to its end; false when the table changed meanwhile.
fn collect(
    socket: &mut Socket,
    sequence: u32,
    mut take: impl FnMut(&Message<'_>),
) -> Result<bool, NetlinkError> {
    let mut steady = true;
    loop {
        let Some(datagram) = socket.receive()? else {
            return Err(NetlinkError::Unanswered);
        };
        for message in messages(datagram) {
            let message = message?;
            // Rests of an exchange that failed half-way.
            if message.sequence != sequence {
                continue;
            }
            steady &= !message.interrupted();
            match message.meaning() {
                Meaning::Done(outcome) => {
                    outcome?;
                    return Ok(steady);
                }
                Meaning::Answer(outcome) => outcome?,
                Meaning::Object => take(&message),
            }
        }
    }
}
