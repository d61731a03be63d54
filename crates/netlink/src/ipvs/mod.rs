//! The kernel's IPVS table over generic netlink: family `IPVS`, version 1. Called by `ipvsd`, and by
//! tests that look at a real table.
//!
//! Many operations travel in one datagram; the kernel answers each by its sequence number while the
//! datagram is being sent, so nothing here waits.

mod sync;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use kr_model::ipvs::{Operation, PresentService, SyncChange};
use kr_model::lvs::{ConnectionTimeouts, ServiceKey, SyncDaemon, SyncRole};
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use crate::attributes::{Writer, attributes};
use crate::socket::{Meaning, NetlinkError, Socket, messages};

use wire::{VERSION, command};

pub use wire::{read_destination, read_service};

/// Requests in one datagram. Their answers must fit the socket's buffer beside each other; each takes
/// about a kilobyte there.
const BATCH_REQUESTS: usize = 64;

/// Bytes in one datagram, from which it is sent.
const BATCH_BYTES: usize = 32 * 1024;

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY` and its attributes.
const CONTROLLER: u16 = 0x10;
const CONTROLLER_VERSION: u8 = 2;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// `NLM_F_REQUEST`, `NLM_F_ACK` and `NLM_F_DUMP`.
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;

/// Length of the generic netlink header in front of attributes.
const GENERIC_HEADER: usize = 4;

/// Why IPVS cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpvsError {
    /// The kernel has no such family, also after it was given the chance to load its module.
    NoFamily,
    /// The exchange with the kernel failed.
    Netlink(NetlinkError),
}

impl fmt::Display for IpvsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFamily => f.write_str(
                "this kernel has no IPVS, and did not load it by itself; try `modprobe ip_vs`",
            ),
            Self::Netlink(NetlinkError::Os(Errno::EPERM)) => {
                f.write_str("IPVS needs CAP_NET_ADMIN, which this process does not have")
            }
            Self::Netlink(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IpvsError {}

impl IpvsError {
    /// Somebody else who uses the socket took the answer away, or reads a whole table just now.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(
            self,
            Self::Netlink(NetlinkError::Unanswered | NetlinkError::Os(Errno::EBUSY))
        )
    }
}

impl From<NetlinkError> for IpvsError {
    fn from(error: NetlinkError) -> Self {
        Self::Netlink(error)
    }
}

impl From<Errno> for IpvsError {
    fn from(errno: Errno) -> Self {
        Self::Netlink(errno.into())
    }
}

/// An open way to the kernel's table.
#[derive(Debug)]
pub struct Ipvs {
    socket: Socket,
    family: u16,
    version: (u8, u8, u8),
    idle: BTreeSet<(ServiceKey, SocketAddr)>,
}

impl Ipvs {
    /// Finds the family and asks for its version. The kernel loads `ip_vs` on this question when it can
    /// (its alias is `net-pf-16-proto-16-family-IPVS`), so no privilege for modules is needed here.
    ///
    /// # Errors
    /// [`IpvsError::NoFamily`] when the kernel has no IPVS; otherwise a refusal.
    pub fn open() -> Result<Self, IpvsError> {
        Self::over(Socket::open(SockProtocol::NetlinkGeneric, 0)?)
    }

    /// The same over a generic netlink socket that was opened before: the table is that of the network namespace of
    /// the socket. Who else uses it meanwhile must number requests from another `first` on.
    ///
    /// # Errors
    /// As of [`Self::open`], and when it is no such socket. [`IpvsError::is_shared`], also of everything that is asked
    /// later, when somebody else uses the socket at the same time: ask again.
    pub fn over_another(socket: BorrowedFd<'_>, first: u32) -> Result<Self, IpvsError> {
        let own = socket.try_clone_to_owned().map_err(|error| {
            NetlinkError::from(Errno::from_raw(error.raw_os_error().unwrap_or_default()))
        })?;
        Self::over(Socket::adopt(own, first)?)
    }

    fn over(mut socket: Socket) -> Result<Self, IpvsError> {
        let family = match resolve(&mut socket) {
            Err(IpvsError::Netlink(NetlinkError::Os(Errno::ENOENT))) => {
                return Err(IpvsError::NoFamily);
            }
            other => other?,
        };
        let mut ipvs = Self {
            socket,
            family,
            version: (0, 0, 0),
            idle: BTreeSet::new(),
        };
        let mut version = None;
        ipvs.ask(
            REQUEST | ACK,
            command::GET_INFO,
            |_| {},
            |body| {
                version = wire::read_version(body);
            },
        )?;
        ipvs.version = version.ok_or(NetlinkError::Malformed)?;
        Ok(ipvs)
    }

    /// Version of the kernel's IPVS.
    #[must_use]
    pub const fn version(&self) -> (u8, u8, u8) {
        self.version
    }

    /// Reads the services of `keys`, as far as they exist, with their destinations.
    ///
    /// # Errors
    /// When the exchange fails, for instance because the module was removed.
    pub fn read(
        &mut self,
        keys: &[ServiceKey],
    ) -> Result<BTreeMap<ServiceKey, PresentService>, IpvsError> {
        let mut found = BTreeMap::new();
        self.idle.clear();
        for keys in keys.chunks(BATCH_REQUESTS) {
            let mut writer = Writer::default();
            let mut sequences = Vec::new();
            for &key in keys {
                let sequence = self.socket.next_sequence();
                sequences.push(sequence);
                let get = command::GET_SERVICE;
                writer.request(self.family, REQUEST, sequence, get, VERSION, |w| {
                    wire::write_service_key(w, key);
                });
            }
            self.socket.send(writer.bytes())?;
            self.services(&sequences, &mut found)?;
        }
        for (&key, service) in &mut found {
            let write = |writer: &mut Writer| wire::write_service_key(writer, key);
            let mut idle = Vec::new();
            self.ask(REQUEST | DUMP, command::GET_DEST, write, |body| {
                let Some((at, destination)) = read_destination(body, key.family()) else {
                    return;
                };
                if destination.is_some_and(|held| held.weight.get() == 0) && wire::is_idle(body) {
                    idle.push((key, at));
                }
                service.destinations.insert(at, destination);
            })?;
            self.idle.extend(idle);
        }
        Ok(found)
    }

    /// Takes the destinations of the last reading that have weight 0 and that nobody uses.
    pub fn take_idle(&mut self) -> BTreeSet<(ServiceKey, SocketAddr)> {
        std::mem::take(&mut self.idle)
    }

    /// Takes the answers to the questions for services of one datagram: each is a service, or says that there
    /// is none.
    fn services(
        &mut self,
        sequences: &[u32],
        found: &mut BTreeMap<ServiceKey, PresentService>,
    ) -> Result<(), IpvsError> {
        let mut waiting: BTreeSet<_> = sequences.iter().copied().collect();
        while !waiting.is_empty() {
            let datagram = self.socket.receive()?.ok_or(NetlinkError::Unanswered)?;
            for message in messages(datagram) {
                let message = message?;
                if !waiting.remove(&message.sequence) {
                    continue;
                }
                match message.meaning() {
                    Meaning::Answer(Ok(()) | Err(Errno::ESRCH)) => {}
                    Meaning::Answer(Err(errno)) => return Err(errno.into()),
                    Meaning::Done(_) => return Err(NetlinkError::Malformed.into()),
                    Meaning::Object => {
                        let body = message.body.get(GENERIC_HEADER..);
                        let read = read_service(body.ok_or(NetlinkError::Malformed)?);
                        found.extend(read.map(|(key, service)| {
                            let destinations = BTreeMap::new();
                            let service = PresentService {
                                service,
                                destinations,
                            };
                            (key, service)
                        }));
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the connection timeouts.
    ///
    /// # Errors
    /// When the exchange fails.
    pub fn timeouts(&mut self) -> Result<ConnectionTimeouts, IpvsError> {
        let mut timeouts = None;
        self.ask(
            REQUEST | ACK,
            command::GET_CONFIG,
            |_| {},
            |body| {
                timeouts = wire::read_timeouts(body);
            },
        )?;
        timeouts.ok_or(IpvsError::Netlink(NetlinkError::Malformed))
    }

    /// Reads the threads that synchronise connections.
    ///
    /// # Errors
    /// When the exchange fails.
    pub fn sync_daemons(&mut self) -> Result<BTreeMap<SyncRole, SyncDaemon>, IpvsError> {
        let mut found = BTreeMap::new();
        self.ask(
            REQUEST | DUMP,
            command::GET_DAEMON,
            |_| {},
            |body| {
                found.extend(sync::read_daemon(body));
            },
        )?;
        Ok(found)
    }

    /// Starts or stops such a thread. Stopping what does not run is a success.
    ///
    /// # Errors
    /// [`NetlinkError::Os`] within [`IpvsError`] when the kernel refuses.
    pub fn change_sync(&mut self, change: &SyncChange) -> Result<(), IpvsError> {
        let write = |writer: &mut Writer| sync::write_change(writer, change);
        let done = self.ask(REQUEST | ACK, sync::command_of(change), write, |_| {});
        match (change, done) {
            (SyncChange::Stop(..), Err(IpvsError::Netlink(NetlinkError::Os(Errno::ESRCH)))) => {
                Ok(())
            }
            (_, done) => done,
        }
    }

    /// Carries operations out, in order, and returns what became of each. Something to be added that
    /// exists is changed instead, something to be changed that does not exist is added, and removing what
    /// does not exist is a success.
    ///
    /// # Errors
    /// When the exchange as a whole fails; refused operations are in the answer.
    pub fn apply(&mut self, operations: &[Operation]) -> Result<Vec<Result<(), Errno>>, IpvsError> {
        let mut results = self.send_all(operations)?;
        let (places, others): (Vec<_>, Vec<_>) = operations
            .iter()
            .zip(&results)
            .enumerate()
            .filter_map(|(place, (operation, result))| Some((place, instead(operation, *result)?)))
            .unzip();
        if !others.is_empty() {
            let second = self.send_all(&others)?;
            for (place, result) in places.into_iter().zip(second) {
                if let Some(slot) = results.get_mut(place) {
                    *slot = result;
                }
            }
        }
        Ok(operations
            .iter()
            .zip(results)
            .map(|(operation, result)| settle(operation, result))
            .collect())
    }

    /// Sends every operation, many to a datagram.
    fn send_all(&mut self, operations: &[Operation]) -> Result<Vec<Result<(), Errno>>, IpvsError> {
        let mut results = Vec::with_capacity(operations.len());
        let mut rest = operations.iter().peekable();
        while rest.peek().is_some() {
            let mut writer = Writer::default();
            let mut sequences = Vec::new();
            while sequences.len() < BATCH_REQUESTS && writer.bytes().len() < BATCH_BYTES {
                let Some(operation) = rest.next() else {
                    break;
                };
                let sequence = self.socket.next_sequence();
                sequences.push(sequence);
                let command = wire::command_of(operation);
                writer.request(
                    self.family,
                    REQUEST | ACK,
                    sequence,
                    command,
                    VERSION,
                    |w| {
                        wire::write_operation(w, operation);
                    },
                );
            }
            self.socket.send(writer.bytes())?;
            results.append(&mut self.answers(&sequences)?);
        }
        Ok(results)
    }

    /// Takes the answers to the requests of one datagram.
    fn answers(&mut self, sequences: &[u32]) -> Result<Vec<Result<(), Errno>>, IpvsError> {
        let mut answers = BTreeMap::new();
        while answers.len() < sequences.len() {
            let datagram = self.socket.receive()?.ok_or(NetlinkError::Unanswered)?;
            for message in messages(datagram) {
                let message = message?;
                if let (true, Meaning::Answer(result)) =
                    (sequences.contains(&message.sequence), message.meaning())
                {
                    answers.insert(message.sequence, result);
                }
            }
        }
        Ok(sequences
            .iter()
            .filter_map(|sequence| answers.remove(sequence))
            .collect())
    }

    fn ask(
        &mut self,
        flags: u16,
        command: u8,
        write: impl FnOnce(&mut Writer),
        object: impl FnMut(&[u8]),
    ) -> Result<(), IpvsError> {
        ask(
            &mut self.socket,
            (self.family, VERSION),
            flags,
            command,
            write,
            object,
        )
    }
}

/// Sends one question and hands the attributes of each object of the answer to `object`.
fn ask(
    socket: &mut Socket,
    (family, version): (u16, u8),
    flags: u16,
    command: u8,
    write: impl FnOnce(&mut Writer),
    mut object: impl FnMut(&[u8]),
) -> Result<(), IpvsError> {
    let sequence = socket.next_sequence();
    let mut writer = Writer::default();
    writer.request(family, flags, sequence, command, version, write);
    socket.send(writer.bytes())?;
    loop {
        let datagram = socket.receive()?.ok_or(NetlinkError::Unanswered)?;
        for message in messages(datagram) {
            let message = message?;
            if message.sequence != sequence {
                continue;
            }
            match message.meaning() {
                Meaning::Answer(result) | Meaning::Done(result) => return Ok(result?),
                Meaning::Object => {
                    object(
                        message
                            .body
                            .get(GENERIC_HEADER..)
                            .ok_or(NetlinkError::Malformed)?,
                    );
                }
            }
        }
    }
}

/// Asks the controller for the family's number.
fn resolve(socket: &mut Socket) -> Result<u16, IpvsError> {
    let mut family = None;
    let controller = (CONTROLLER, CONTROLLER_VERSION);
    let write = |writer: &mut Writer| writer.text(FAMILY_NAME, "IPVS");
    ask(
        socket,
        controller,
        REQUEST | ACK,
        GET_FAMILY,
        write,
        |body| {
            let id = attributes(body).find(|attribute| attribute.kind == FAMILY_ID);
            family = id.and_then(|id| id.u16());
        },
    )?;
    family.ok_or(IpvsError::Netlink(NetlinkError::Malformed))
}

/// The operation that does what a refused one was meant to, the table being what it is.
const fn instead(operation: &Operation, result: Result<(), Errno>) -> Option<Operation> {
    match (*operation, result) {
        (Operation::AddService { key, service }, Err(Errno::EEXIST)) => {
            Some(Operation::SetService { key, service })
        }
        (Operation::SetService { key, service }, Err(Errno::ESRCH)) => {
            Some(Operation::AddService { key, service })
        }
        (
            Operation::AddDestination {
                key,
                address,
                destination,
            },
            Err(Errno::EEXIST),
        ) => Some(Operation::SetDestination {
            key,
            address,
            destination,
        }),
        (
            Operation::SetDestination {
                key,
                address,
                destination,
            },
            Err(Errno::ENOENT),
        ) => Some(Operation::AddDestination {
            key,
            address,
            destination,
        }),
        (
            Operation::Flush
            | Operation::AddService { .. }
            | Operation::SetService { .. }
            | Operation::RemoveService { .. }
            | Operation::AddDestination { .. }
            | Operation::SetDestination { .. }
            | Operation::RemoveDestination { .. }
            | Operation::SetTimeouts(_),
            _,
        ) => None,
    }
}

/// What is gone need not be removed.
const fn settle(operation: &Operation, result: Result<(), Errno>) -> Result<(), Errno> {
    match (operation, result) {
        (
            Operation::RemoveService { .. } | Operation::RemoveDestination { .. },
            Err(Errno::ESRCH | Errno::ENOENT),
        ) => Ok(()),
        (
            Operation::Flush
            | Operation::AddService { .. }
            | Operation::SetService { .. }
            | Operation::RemoveService { .. }
            | Operation::AddDestination { .. }
            | Operation::SetDestination { .. }
            | Operation::RemoveDestination { .. }
            | Operation::SetTimeouts(_),
            other,
        ) => other,
    }
}

/// The attributes of an operation as the kernel gets them, without the headers of the request.
#[must_use]
pub fn attributes_of(operation: &Operation) -> Vec<u8> {
    let mut writer = Writer::default();
    wire::write_operation(&mut writer, operation);
    writer.bytes().to_vec()
}

/// A refusal of [`Ipvs::change_sync`] in words that say what to do; `None` when the exchange itself failed.
#[must_use]
pub fn explain_sync(change: &SyncChange, error: &IpvsError) -> Option<String> {
    let IpvsError::Netlink(NetlinkError::Os(errno)) = error else {
        return None;
    };
    Some(match (change, errno) {
        (SyncChange::Start(_, daemon), Errno::ENODEV) => {
            format!("interface {} does not exist", daemon.interface)
        }
        (SyncChange::Start(..), Errno::EINVAL) => {
            "the table has servers of another family than their service, or the interface cannot \
             send messages of this length to this group"
                .to_owned()
        }
        (_, Errno::EPERM) => "CAP_NET_ADMIN is missing".to_owned(),
        (_, errno) => errno.desc().to_owned(),
    })
}

/// A refusal in words that say what to do.
#[must_use]
pub fn explain(operation: &Operation, errno: Errno) -> String {
    match (operation, errno) {
        (
            Operation::AddService { service, .. } | Operation::SetService { service, .. },
            Errno::ENOENT,
        ) => {
            let name = service.scheduler.name();
            format!("this kernel has no scheduler `{name}`; try `modprobe ip_vs_{name}`")
        }
        (Operation::AddDestination { .. } | Operation::SetDestination { .. }, Errno::ESRCH) => {
            "the service is not there".to_owned()
        }
        (Operation::AddDestination { .. } | Operation::SetDestination { .. }, Errno::ERANGE) => {
            "the weight is too large, or lthreshold is above uthreshold".to_owned()
        }
        (_, Errno::EPERM) => "CAP_NET_ADMIN is missing".to_owned(),
        (_, errno) => errno.desc().to_owned(),
    }
}

#[cfg(test)]
mod tests;
