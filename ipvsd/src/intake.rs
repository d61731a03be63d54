//! What the parent says, checked before anything acts on it: a configuration is taken whole, from `Begin`
//! to `Commit`, or not at all.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_ipvsd::ToIpvsd;
use kr_lvs::{Configuration, Kept, Resume, Table};
use kr_model::check::SocketRule;
use kr_model::ipvs::plain;
use kr_model::lvs::{
    ConnectionTimeouts, IpvsGlobal, PoolSnapshot, RealServer, ServiceKey, VirtualServer,
};
use kr_model::{CheckerId, Generation, InstanceId, RealServerId, VirtualServerId};

/// Longest persistence in seconds (31 days), the bound of `persistence_timeout`.
const LONGEST_PERSISTENCE: u32 = 2_678_400;

/// What a message asks of the daemon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing yet: it is part of a configuration.
    Part,
    /// A configuration is complete and sound.
    Configuration {
        /// What the table shall hold.
        table: Box<Configuration>,
        /// Instances that the VRRP process may speak of.
        instances: BTreeSet<InstanceId>,
        /// Sockets that the checker process may ask for.
        sockets: Vec<SocketRule>,
    },
    /// The attached descriptor leads to this process.
    Meet(Sibling),
    /// Leave cleanly.
    Stop,
    /// The attached descriptor is the log file.
    LogFile,
    /// The attached descriptor leads to the kernel's table.
    Table,
    /// A ping, to be answered with its number.
    Ping {
        /// The number.
        nonce: u64,
    },
}

/// Why a message is refused: the parent has a fault, and this process ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `Begin` within a configuration.
    Nested,
    /// Part of a configuration without `Begin`.
    NotBegun,
    /// A generation that is not above the one in force, or a commit of another one.
    Generation(Generation),
    /// No global part, or two.
    Global,
    /// An object that is twice there.
    Twice(String),
    /// An object that refers to one that is not there.
    Unknown(String),
    /// An object with impossible settings.
    Unsound(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nested => f.write_str("a configuration began within another"),
            Self::NotBegun => f.write_str("a configuration's part came before its beginning"),
            Self::Generation(generation) => write!(f, "generation {generation} is out of turn"),
            Self::Global => f.write_str("a configuration needs exactly one global part"),
            Self::Twice(what) => write!(f, "{what} was configured twice"),
            Self::Unknown(what) => write!(f, "{what} belongs to nothing that was configured"),
            Self::Unsound(what) => write!(f, "impossible setting: {what}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Collects the parts of a configuration.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    in_force: Option<Generation>,
    building: Option<Building>,
}

#[derive(Debug)]
struct Building {
    generation: Generation,
    global: Option<IpvsGlobal>,
    virtual_servers: BTreeMap<VirtualServerId, VirtualServer>,
    /// In the parent's order, which is that of the file.
    order: Vec<VirtualServerId>,
    real_servers: Vec<RealServer>,
    /// Virtual servers that stay, with their real servers.
    kept: Vec<Kept>,
    kept_ids: BTreeSet<VirtualServerId>,
    known: BTreeSet<RealServerId>,
    checkers: BTreeSet<CheckerId>,
    resume: BTreeMap<VirtualServerId, PoolSnapshot>,
    departed: BTreeMap<VirtualServerId, VirtualServer>,
    former: Vec<ServiceKey>,
    timeouts: Option<ConnectionTimeouts>,
    instances: BTreeSet<InstanceId>,
    sockets: BTreeMap<(CheckerId, u16), SocketRule>,
    former_sync: bool,
}

impl Intake {
    /// Takes the next message.
    ///
    /// # Errors
    /// When the parent broke the protocol; nothing of the configuration under way is used then.
    pub(crate) fn take(&mut self, message: ToIpvsd, in_force: &Table) -> Result<Taken, Fault> {
        match message {
            ToIpvsd::Begin(generation) => self.begin(generation)?,
            ToIpvsd::Global(global) => {
                if self.building()?.global.replace(global).is_some() {
                    return Err(Fault::Global);
                }
            }
            ToIpvsd::VirtualServer(server) => self.building()?.virtual_server(*server)?,
            ToIpvsd::RealServer(server) => self.building()?.real_server(*server)?,
            ToIpvsd::Kept(ids) => {
                for id in ids {
                    self.building()?.kept(id, in_force)?;
                }
            }
            ToIpvsd::CheckSocket(rule) => self.building()?.check_socket(*rule, in_force)?,
            ToIpvsd::Resume(pool) => self.building()?.resume(*pool)?,
            ToIpvsd::Departed(server) => self.building()?.departed(*server)?,
            ToIpvsd::Former(key) => self.building()?.former.push(key),
            ToIpvsd::FormerSync => self.building()?.former_sync = true,
            ToIpvsd::OriginalTimeouts(values) => {
                if self.building()?.timeouts.replace(values).is_some() {
                    return Err(Fault::Twice("the state of the timeouts".to_owned()));
                }
            }
            ToIpvsd::Commit(generation) => {
                let mut building = self.building.take().ok_or(Fault::NotBegun)?;
                building.check_sync()?;
                building.check_kept(in_force)?;
                let instances = std::mem::take(&mut building.instances);
                let sockets = std::mem::take(&mut building.sockets);
                let table = Box::new(building.commit(generation)?);
                self.in_force = Some(generation);
                return Ok(Taken::Configuration {
                    table,
                    instances,
                    sockets: sockets.into_values().collect(),
                });
            }
            ToIpvsd::Instance(id) => {
                if !self.building()?.instances.insert(id) {
                    return Err(Fault::Twice(format!("instance {id}")));
                }
            }
            ToIpvsd::Sibling(sibling) => return Ok(Taken::Meet(sibling)),
            ToIpvsd::Stop => return Ok(Taken::Stop),
            ToIpvsd::LogFile => return Ok(Taken::LogFile),
            ToIpvsd::Table => return Ok(Taken::Table),
            ToIpvsd::Ping { nonce } => return Ok(Taken::Ping { nonce }),
        }
        Ok(Taken::Part)
    }

    fn building(&mut self) -> Result<&mut Building, Fault> {
        self.building.as_mut().ok_or(Fault::NotBegun)
    }

    fn begin(&mut self, generation: Generation) -> Result<(), Fault> {
        if self.building.is_some() {
            return Err(Fault::Nested);
        }
        if Some(generation) <= self.in_force || generation == Generation(0) {
            return Err(Fault::Generation(generation));
        }
        self.building = Some(Building {
            generation,
            global: None,
            virtual_servers: BTreeMap::new(),
            order: Vec::new(),
            real_servers: Vec::new(),
            kept: Vec::new(),
            kept_ids: BTreeSet::new(),
            known: BTreeSet::new(),
            checkers: BTreeSet::new(),
            resume: BTreeMap::new(),
            departed: BTreeMap::new(),
            former: Vec::new(),
            timeouts: None,
            instances: BTreeSet::new(),
            sockets: BTreeMap::new(),
            former_sync: false,
        });
        Ok(())
    }
}

/// The virtual server with addresses in one form, when its settings are possible.
fn sound(mut server: VirtualServer) -> Result<VirtualServer, Fault> {
    let label = server.label.clone();
    let unsound = |what: &str| Err(Fault::Unsound(format!("{label}: {what}")));
    if server.services.is_empty() {
        return unsound("it stands for no service");
    }
    if server.quorum == 0 || server.hysteresis >= server.quorum {
        return unsound("quorum must be above hysteresis");
    }
    let longest = server
        .services
        .iter()
        .map(|key| key.family().max_prefix())
        .min();
    if let Some(persistence) = server.persistence {
        let timeout = persistence.timeout_seconds;
        if !(1..=LONGEST_PERSISTENCE).contains(&timeout)
            || persistence.granularity == 0
            || Some(persistence.granularity) > longest
        {
            return unsound("persistence out of range");
        }
    }
    let mut keys = BTreeSet::new();
    for key in &mut server.services {
        if let ServiceKey::Address { address, .. } = key {
            *address = plain(*address);
        }
        if !keys.insert(*key) {
            return Err(Fault::Twice(format!("service {key}")));
        }
    }
    Ok(server)
}

impl Building {
    fn virtual_server(&mut self, server: VirtualServer) -> Result<(), Fault> {
        let server = sound(server)?;
        let id = server.id;
        self.order.push(id);
        match self.virtual_servers.insert(id, server) {
            None => Ok(()),
            Some(_) => Err(Fault::Twice(format!("virtual server {id}"))),
        }
    }

    fn departed(&mut self, server: VirtualServer) -> Result<(), Fault> {
        let server = sound(server)?;
        let id = server.id;
        let twice = || Fault::Twice(format!("virtual server {id}"));
        if self.virtual_servers.contains_key(&id) {
            return Err(twice());
        }
        match self.departed.insert(id, server) {
            None => Ok(()),
            Some(_) => Err(twice()),
        }
    }

    /// A virtual server of the configuration in force stays with its real servers.
    fn kept(&mut self, id: VirtualServerId, in_force: &Table) -> Result<(), Fault> {
        if in_force.real_servers(id).is_none() {
            let what = format!("virtual server {id}, which is to stay,");
            return Err(Fault::Unknown(what));
        }
        if !self.kept_ids.insert(id) {
            return Err(Fault::Twice(format!("virtual server {id}")));
        }
        let place = self.order.len();
        self.kept.push(Kept { id, place });
        Ok(())
    }

    /// Nothing of what stays is configured anew.
    fn check_kept(&self, in_force: &Table) -> Result<(), Fault> {
        for id in &self.kept_ids {
            if self.virtual_servers.contains_key(id) || self.departed.contains_key(id) {
                return Err(Fault::Twice(format!("virtual server {id}")));
            }
            for server in in_force.real_servers(*id).into_iter().flatten() {
                if self.known.contains(&server.id) {
                    return Err(Fault::Twice(format!("real server {}", server.id)));
                }
                let mut checkers = server.checkers.iter();
                if let Some(twice) = checkers.find(|checker| self.checkers.contains(&checker.id)) {
                    return Err(Fault::Twice(format!("checker {}", twice.id)));
                }
            }
        }
        Ok(())
    }

    fn real_server(&mut self, server: RealServer) -> Result<(), Fault> {
        if !self.virtual_servers.contains_key(&server.virtual_server) {
            return Err(Fault::Unknown(format!("real server {}", server.id)));
        }
        if !self.known.insert(server.id) {
            return Err(Fault::Twice(format!("real server {}", server.id)));
        }
        for checker in &server.checkers {
            if !self.checkers.insert(checker.id) {
                return Err(Fault::Twice(format!("checker {}", checker.id)));
            }
        }
        self.real_servers.push(server);
        Ok(())
    }

    fn check_socket(&mut self, rule: SocketRule, in_force: &Table) -> Result<(), Fault> {
        let what = || format!("a socket of checker {}", rule.checker);
        let stays = || {
            let owner = in_force.virtual_server_of(rule.checker);
            owner.is_some_and(|id| self.kept_ids.contains(&id))
        };
        if !self.checkers.contains(&rule.checker) && !stays() {
            return Err(Fault::Unknown(what()));
        }
        if !rule.is_sound() {
            return Err(Fault::Unsound(what()));
        }
        match self.sockets.entry((rule.checker, rule.host)) {
            Entry::Vacant(entry) => {
                entry.insert(rule);
                Ok(())
            }
            Entry::Occupied(_) => Err(Fault::Twice(what())),
        }
    }

    /// A followed instance is one of those that the VRRP process may speak of.
    fn check_sync(&self) -> Result<(), Fault> {
        let sync = self.global.as_ref().and_then(|global| global.sync.as_ref());
        match sync.and_then(|sync| sync.instance) {
            Some(id) if !self.instances.contains(&id) => Err(Fault::Unknown(format!(
                "the instance {id} that the synchronisation follows"
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Verdicts of checkers that are gone meanwhile are no fault; the pool has to be there. A pool with many
    /// verdicts comes in parts.
    fn resume(&mut self, pool: PoolSnapshot) -> Result<(), Fault> {
        let id = pool.id;
        if !self.virtual_servers.contains_key(&id) && !self.departed.contains_key(&id) {
            return Err(Fault::Unknown(format!("the state of virtual server {id}")));
        }
        match self.resume.entry(id) {
            Entry::Vacant(entry) => drop(entry.insert(pool)),
            Entry::Occupied(mut entry) => entry.get_mut().verdicts.extend(pool.verdicts),
        }
        Ok(())
    }

    fn commit(mut self, generation: Generation) -> Result<Configuration, Fault> {
        if generation != self.generation {
            return Err(Fault::Generation(generation));
        }
        let in_order = self
            .order
            .iter()
            .filter_map(|id| self.virtual_servers.remove(id));
        let virtual_servers = in_order.collect();
        Ok(Configuration {
            generation,
            global: self.global.ok_or(Fault::Global)?,
            virtual_servers,
            real_servers: self.real_servers,
            kept: self.kept,
            resume: Resume {
                pools: self.resume.into_values().collect(),
                departed: self.departed.into_values().collect(),
                former: self.former,
                timeouts: self.timeouts,
                sync: self.former_sync,
            },
        })
    }
}

#[cfg(test)]
mod tests;
