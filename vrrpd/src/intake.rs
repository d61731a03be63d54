//! Puts a configuration together from the parent's messages, `Begin` to `Commit`, and checks their order.
//! Nothing of it acts before the commit. Pure; the daemon ends the channel on any error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_vrrpd::ToVrrpd;
use kr_model::bfd;
use kr_model::track::{Tracker, TrackerKind, TrackerState};
use kr_model::vrrp::{Instance, Snapshot, VirtualAddress, VrrpGlobal};
use kr_model::{Generation, InstanceId, TrackerId};
use kr_netlink::fib::Object;

/// Instances of one configuration. Each needs a router id and an interface of its own; no host has so
/// many, and a parent that sends more is out of its mind.
const MAX_INSTANCES: usize = 32_768;

/// Tracked objects of one configuration; each costs the parent a program or a watch.
const MAX_TRACKERS: usize = 65_536;

/// Routes, rules and static addresses of one configuration, which the reader of the file bounds.
const MAX_OBJECTS: usize = 65_536;

/// The instances of a configuration, which the daemon and the router share.
pub(crate) type Instances = BTreeMap<InstanceId, Arc<Instance>>;

/// A complete configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Configuration {
    /// Its number.
    pub(crate) generation: Generation,
    /// Settings of the process.
    pub(crate) global: VrrpGlobal,
    /// All tracked objects.
    pub(crate) trackers: BTreeMap<TrackerId, Tracker>,
    /// All BFD sessions.
    pub(crate) bfd: BTreeMap<TrackerId, bfd::Session>,
    /// What a predecessor of this process last published of those.
    pub(crate) resume_bfd: BTreeMap<TrackerId, bfd::Snapshot>,
    /// All instances.
    pub(crate) instances: Instances,
    /// Static addresses, and all routes and rules.
    pub(crate) host: HostObjects,
    /// What a predecessor of this process last published of them.
    pub(crate) resume: BTreeMap<InstanceId, Snapshot>,
}

/// What is put into the kernel, other than the addresses of instances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostObjects {
    /// Static addresses.
    pub(crate) addresses: Vec<VirtualAddress>,
    /// Addresses of links that instances have for themselves; no message brings them.
    pub(crate) of_links: Vec<VirtualAddress>,
    /// Routes and rules with the instance that each is of, none for a static one.
    pub(crate) routing: Vec<(Object, Option<InstanceId>)>,
}

/// What a message led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nothing yet.
    Wait,
    /// Put this configuration into force.
    Apply(Box<Configuration>),
    /// A tracked object of the configuration in force has a new state.
    Track(TrackerId, TrackerState),
    /// Leave cleanly.
    Stop,
    /// The attached descriptor is the log file.
    LogFile,
    /// The attached descriptor leads to this process.
    Meet(Sibling),
    /// Answer a ping with its number.
    Answer {
        /// The number.
        nonce: u64,
    },
}

/// What the parent did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntakeError {
    /// A part of a configuration came outside of one.
    NotBegun,
    /// A configuration began inside another one.
    BegunTwice,
    /// The number of the configuration is not larger than that of the last one.
    OldGeneration(Generation),
    /// The commit names another configuration than the one that began.
    OtherCommit(Generation),
    /// The global part came twice.
    SecondGlobal,
    /// The global part is missing.
    NoGlobal,
    /// Two instances have one identity.
    SecondInstance(InstanceId),
    /// Two tracked objects have one identity.
    SecondTracker(TrackerId),
    /// A state, or an instance, is of a tracked object that is not configured.
    StrayTracker(TrackerId),
    /// A resume is of no instance of this configuration, or is the second of one.
    StrayResume(InstanceId),
    /// A route or a rule is of an instance that is not configured.
    StrayObject(InstanceId),
    /// More than [`MAX_OBJECTS`].
    TooManyObjects,
    /// More than [`MAX_INSTANCES`].
    TooMany,
    /// More than [`MAX_TRACKERS`].
    TooManyTrackers,
}

impl fmt::Display for IntakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun => f.write_str("a part of a configuration before its begin"),
            Self::BegunTwice => f.write_str("a configuration inside another one"),
            Self::OldGeneration(generation) => {
                write!(f, "configuration {generation}, which is not new")
            }
            Self::OtherCommit(generation) => {
                write!(
                    f,
                    "the commit of configuration {generation}, which did not begin"
                )
            }
            Self::SecondGlobal => f.write_str("a second global part"),
            Self::NoGlobal => f.write_str("a configuration without its global part"),
            Self::SecondInstance(id) => write!(f, "instance {id} twice"),
            Self::StrayResume(id) => write!(f, "a state of instance {id}, which is not configured"),
            Self::SecondTracker(id) => write!(f, "tracked object {id} twice"),
            Self::StrayTracker(id) => write!(f, "tracked object {id}, which is not configured"),
            Self::StrayObject(id) => {
                write!(
                    f,
                    "a route or rule of instance {id}, which is not configured"
                )
            }
            Self::TooManyObjects => {
                write!(
                    f,
                    "more than {MAX_OBJECTS} routes, rules and static addresses"
                )
            }
            Self::TooMany => write!(f, "more than {MAX_INSTANCES} instances"),
            Self::TooManyTrackers => write!(f, "more than {MAX_TRACKERS} tracked objects"),
        }
    }
}

impl std::error::Error for IntakeError {}

/// Collects messages.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    last: Option<Generation>,
    open: Option<Collected>,
    /// Tracked objects of the last configuration that was committed.
    trackers: BTreeSet<TrackerId>,
}

#[derive(Debug)]
struct Collected {
    generation: Generation,
    global: Option<VrrpGlobal>,
    trackers: BTreeMap<TrackerId, Tracker>,
    bfd: BTreeMap<TrackerId, bfd::Session>,
    resume_bfd: BTreeMap<TrackerId, bfd::Snapshot>,
    instances: Instances,
    host: HostObjects,
    resume: BTreeMap<InstanceId, Snapshot>,
}

impl Collected {
    fn add_tracker(&mut self, tracker: Tracker) -> Result<Order, IntakeError> {
        if self.trackers.len() >= MAX_TRACKERS {
            return Err(IntakeError::TooManyTrackers);
        }
        match self.trackers.insert(tracker.id, tracker) {
            None => Ok(Order::Wait),
            Some(before) => Err(IntakeError::SecondTracker(before.id)),
        }
    }

    fn make_room(&self) -> Result<(), IntakeError> {
        let count = self
            .host
            .addresses
            .len()
            .saturating_add(self.host.routing.len());
        if count < MAX_OBJECTS {
            Ok(())
        } else {
            Err(IntakeError::TooManyObjects)
        }
    }
}

impl Intake {
    /// Takes the next message.
    pub(crate) fn take(&mut self, message: ToVrrpd) -> Result<Order, IntakeError> {
        match message {
            ToVrrpd::Begin(generation) => {
                self.begin(generation)?;
                Ok(Order::Wait)
            }
            ToVrrpd::Global(global) => {
                let open = self.open.as_mut().ok_or(IntakeError::NotBegun)?;
                match open.global.replace(global) {
                    None => Ok(Order::Wait),
                    Some(_) => Err(IntakeError::SecondGlobal),
                }
            }
            ToVrrpd::Tracker(tracker) => {
                let open = self.open.as_mut().ok_or(IntakeError::NotBegun)?;
                open.add_tracker(tracker)
            }
            ToVrrpd::Bfd(session) => {
                let open = self.open.as_mut().ok_or(IntakeError::NotBegun)?;
                if open.bfd.len() >= bfd::MOST_SESSIONS {
                    return Err(IntakeError::TooManyTrackers);
                }
                let order = open.add_tracker(Tracker {
                    id: session.id,
                    kind: TrackerKind::Bfd,
                    name: session.name.clone(),
                    state: TrackerState::Pending,
                })?;
                open.bfd.insert(session.id, *session);
                Ok(order)
            }
            ToVrrpd::ResumeBfd(snapshot) => {
                let open = self.open.as_mut().ok_or(IntakeError::NotBegun)?;
                let id = snapshot.id;
                let known = open.bfd.contains_key(&id);
                if !known || open.resume_bfd.insert(id, *snapshot).is_some() {
                    return Err(IntakeError::StrayTracker(id));
                }
                Ok(Order::Wait)
            }
            ToVrrpd::Instance(instance) => {
                let open = self.open.as_mut().ok_or(IntakeError::NotBegun)?;
                if open.instances.len() >= MAX_INSTANCES {
                    return Err(IntakeError::TooMany);
                }
                let mut tracked = instance.trackers.iter().map(|line| line.tracker);
                if let Some(stray) = tracked.find(|id| !open.trackers.contains_key(id)) {
                    return Err(IntakeError::StrayTracker(stray));
                }
                match open.instances.insert(instance.id, Arc::from(instance)) {
                    None => Ok(Order::Wait),
                    Some(before) => Err(IntakeError::SecondInstance(before.id)),
                }
            }
            ToVrrpd::Resume(snapshot) => {
                let open = self.open.as_mut().ok_or(IntakeError::NotBegun)?;
                let id = snapshot.id;
                let known = open.instances.contains_key(&id);
                if !known || open.resume.insert(id, *snapshot).is_some() {
                    return Err(IntakeError::StrayResume(id));
                }
                Ok(Order::Wait)
            }
            ToVrrpd::StaticAddress(address) => {
                let open = self.open.as_mut().ok_or(IntakeError::NotBegun)?;
                open.make_room()?;
                open.host.addresses.push(*address);
                Ok(Order::Wait)
            }
            ToVrrpd::Route { instance, route } => self.object(instance, Object::Route(*route)),
            ToVrrpd::Rule { instance, rule } => self.object(instance, Object::Rule(*rule)),
            ToVrrpd::Commit(generation) => self.commit(generation),
            ToVrrpd::TrackerState { tracker, state } => {
                if self.trackers.contains(&tracker) {
                    Ok(Order::Track(tracker, state))
                } else {
                    Err(IntakeError::StrayTracker(tracker))
                }
            }
            ToVrrpd::Stop => Ok(Order::Stop),
            ToVrrpd::LogFile => Ok(Order::LogFile),
            ToVrrpd::Sibling(sibling) => Ok(Order::Meet(sibling)),
            ToVrrpd::Ping { nonce } => Ok(Order::Answer { nonce }),
        }
    }

    fn object(
        &mut self,
        instance: Option<InstanceId>,
        object: Object,
    ) -> Result<Order, IntakeError> {
        let open = self.open.as_mut().ok_or(IntakeError::NotBegun)?;
        open.make_room()?;
        if let Some(stray) = instance.filter(|id| !open.instances.contains_key(id)) {
            return Err(IntakeError::StrayObject(stray));
        }
        open.host.routing.push((object, instance));
        Ok(Order::Wait)
    }

    fn begin(&mut self, generation: Generation) -> Result<(), IntakeError> {
        if self.open.is_some() {
            return Err(IntakeError::BegunTwice);
        }
        if self.last.is_some_and(|last| generation <= last) {
            return Err(IntakeError::OldGeneration(generation));
        }
        self.open = Some(Collected {
            generation,
            global: None,
            trackers: BTreeMap::new(),
            bfd: BTreeMap::new(),
            resume_bfd: BTreeMap::new(),
            instances: BTreeMap::new(),
            host: HostObjects::default(),
            resume: BTreeMap::new(),
        });
        Ok(())
    }

    fn commit(&mut self, generation: Generation) -> Result<Order, IntakeError> {
        let open = self.open.take().ok_or(IntakeError::NotBegun)?;
        if open.generation != generation {
            return Err(IntakeError::OtherCommit(generation));
        }
        self.last = Some(generation);
        // This process itself finds out the state of a session.
        let told = open.trackers.values();
        let told = told.filter(|tracker| tracker.kind != TrackerKind::Bfd);
        self.trackers = told.map(|tracker| tracker.id).collect();
        Ok(Order::Apply(Box::new(Configuration {
            generation,
            global: open.global.ok_or(IntakeError::NoGlobal)?,
            trackers: open.trackers,
            bfd: open.bfd,
            resume_bfd: open.resume_bfd,
            instances: open.instances,
            host: open.host,
            resume: open.resume,
        })))
    }
}

#[cfg(test)]
#[path = "intake/tests.rs"]
mod tests;
