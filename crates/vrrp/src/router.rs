//! All virtual routers of one process: finds out whom an input concerns, and whose timer is next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use kr_model::net::Family;
use kr_model::signing::UtcOffset;
use kr_model::track::Tracker;
use kr_model::units::IfName;
use kr_model::vrrp::{Cause, Instance, Snapshot, State, Transport, VrrpGlobal};
use kr_model::{GroupId, InstanceId, Instant, TrackerId};
use kr_wire::ipv4::PROTOCOL_AH;
use kr_wire::{advert, ah};

use crate::action::Action;
use crate::announce::Pace;
use crate::event::{Event, EventKind};
use crate::input::{Input, LinkState, PacketHeader};
use crate::instance::{LONGEST_LEAD, Surroundings, Turn, VirtualRouter};
use crate::phase::{self, Phase};
use crate::tracking::Trackers;
use debounce::Debounce;
use groups::Group;
use refusals::Refusals;

/// Room for so many actions is kept for the next ones; more is needed when all instances change at once.
const ACTIONS_KEPT: usize = 256;

/// Instances served by one [`Input::Timer`]: a batch of adverts leaves whole, and of hundreds that become master at once
/// the first do not wait for the adverts of the last before their addresses are set.
const SERVED: usize = phase::BATCH;

/// All instances of one process.
#[derive(Debug, Default)]
pub struct Router {
    instances: BTreeMap<InstanceId, Slot>,
    /// Whose packet it may be, by interface and by what the packet says. Several instances share a virtual
    /// router id when they listen to different groups or peers.
    receivers: BTreeMap<IfName, BTreeMap<(Family, u8), Vec<InstanceId>>>,
    groups: BTreeMap<GroupId, Group>,
    timers: BTreeSet<(Instant, InstanceId)>,
    /// Those whose timers were due when it was last asked, and who are not served yet.
    due: VecDeque<(InstanceId, Phase)>,
    kernel: Kernel,
    debounce: Debounce,
    /// The tracked objects of the configuration to come.
    next_trackers: Option<BTreeMap<TrackerId, Tracker>>,
    /// What an input changed around the instances, while it is handled.
    news: Option<String>,
    pace: Pace,
    actions: VecDeque<Action>,
    /// End of `vrrp_startup_delay`, from the first configuration on.
    deaf_until: Option<Instant>,
    keep_addresses_at_exit: bool,
    utc: UtcOffset,
    /// With `log_unknown_vrids`: the virtual routers of others that were logged.
    strangers: Option<BTreeSet<(IfName, Family, u8)>>,
}

#[derive(Debug)]
struct Slot {
    /// Apart: nodes of the map have room for many that are not there.
    router: Box<VirtualRouter>,
    /// The instance's entry in `timers`.
    timer: Option<Instant>,
}

/// What is known about links, addresses and tracked objects.
#[derive(Debug, Default)]
struct Kernel {
    links: BTreeMap<IfName, LinkState>,
    sources: BTreeMap<(IfName, Family), IpAddr>,
    /// Configured source addresses that are there.
    present: BTreeSet<(IfName, IpAddr)>,
    trackers: Trackers,
    /// Sync groups with a member that cannot work, or waits, and what that means for the others.
    faulty: BTreeMap<GroupId, Trouble>,
    /// Instances whose addresses it does not take.
    refusals: Refusals,
}

/// What a member does to the others of its sync group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Waits,
    Fault,
}

impl Router {
    /// A router without instances.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one input. Poll the actions and the timeout again afterwards.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        match input {
            Input::Configure {
                global,
                instances,
                resume,
            } => self.configure(&global, instances, &resume, now),
            Input::Packet {
                interface,
                header,
                payload,
            } => self.packet(interface, header, payload, now),
            Input::Link { interface, state } => self.link_changed(&interface, state, now),
            Input::Source {
                interface,
                family,
                address,
            } => {
                if !self.debounce.keeps_source(&interface, family, address) {
                    self.source_known(&interface, family, address);
                    self.interface_changed(&interface, now);
                }
            }
            Input::SourcePresent {
                interface,
                address,
                present,
            } => {
                let key = (interface.clone(), address);
                if present {
                    self.kernel.present.insert(key);
                } else {
                    self.kernel.present.remove(&key);
                }
                self.interface_changed(&interface, now);
            }
            Input::Trackers(trackers) => self.next_trackers = Some(trackers),
            Input::Tracker { tracker, state } => {
                self.news = self.kernel.trackers.set(tracker, state);
                if self.news.is_some() {
                    let tracks = |config: &Instance| {
                        let mut lines = config.trackers.iter();
                        lines.any(|line| line.tracker == tracker)
                    };
                    self.surroundings_changed(tracks, now);
                }
            }
            Input::Addresses { instance, set } => self.addresses_judged(instance, set, now),
            Input::TimeOfDay(offset) => self.utc = offset,
            Input::Timer => self.timer(now),
            Input::Shutdown => self.shutdown(now),
        }
        self.news = None;
    }

    /// The next thing to do; `None` when everything is done. Poll until `None` after each `handle`.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        let next = self.actions.pop_front();
        if next.is_none() && self.actions.capacity() > ACTIONS_KEPT {
            self.actions = VecDeque::new();
        }
        next
    }

    /// When to give [`Input::Timer`], a time in the past for at once; `None` is never. It changes only in `handle`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.due.is_empty() {
            return Some(Instant::ZERO);
        }
        let first = self.timers.first().map(|(at, _)| *at);
        first
            .into_iter()
            .chain(self.kernel.refusals.deadline())
            .chain(self.debounce.deadline())
            .min()
    }

    fn configure(
        &mut self,
        global: &VrrpGlobal,
        instances: BTreeMap<InstanceId, Arc<Instance>>,
        resume: &BTreeMap<InstanceId, Snapshot>,
        now: Instant,
    ) {
        if self.deaf_until.is_none() {
            let after_start = now.saturating_add(global.startup_delay);
            let after_boot = Instant::ZERO.saturating_add(global.delay_after_boot);
            // A predecessor that had heard or held something was not deaf any more.
            let at_work = resume.values().any(|one| one.role.is_at_work());
            let end = if at_work {
                now
            } else {
                after_start.max(after_boot)
            };
            self.deaf_until = Some(end);
        }
        self.pace.configure(&global.pace);
        self.set_delays(&global.link_delays, now);
        self.strangers = global.log_unknown_vrids.then(BTreeSet::new);
        self.keep_addresses_at_exit = global.keep_addresses_at_exit;
        if let Some(trackers) = self.next_trackers.take() {
            self.kernel.trackers.replace(trackers);
        }
        let resume = &groups::whole(&instances, resume);
        self.regroup(&instances, resume);
        let gone = self.instances.iter().filter(|(id, slot)| {
            instances
                .get(id)
                .is_none_or(|new| !slot.router.is_same_router(new))
        });
        for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.with(id, now, |router, _, turn| {
                router.leave(State::Fault, false, turn);
            });
            self.remove(id);
        }
        for (id, new) in instances {
            match self.instances.get(&id) {
                Some(slot) if slot.router.config == new => {}
                Some(_) => {
                    self.kernel.refusals.forget(id);
                    self.with(id, now, |router, kernel, turn| {
                        let around = kernel.around(&new);
                        router.reload(new, around, turn);
                    });
                }
                None => self.add(new, resume.get(&id), now),
            }
        }
        // What did not change itself follows a group or a tracked object that did.
        for id in self.dependents().collect::<Vec<_>>() {
            self.look_around(id, now);
        }
        self.synchronise_all(now);
    }

    fn add(&mut self, config: Arc<Instance>, resume: Option<&Snapshot>, now: Instant) {
        let id = config.id;
        self.receivers
            .entry(config.interface.clone())
            .or_default()
            .entry((config.family, config.vrid.get()))
            .or_default()
            .push(id);
        let around = self.kernel.around(&config);
        let slot = Slot {
            router: Box::new(VirtualRouter::new(config, now)),
            timer: None,
        };
        self.instances.insert(id, slot);
        self.with(id, now, |router, _, turn| match resume {
            Some(snapshot) => router.resume(snapshot, around, turn),
            None => router.start(around, turn),
        });
    }

    /// Forgets an instance that has left, and so has no timer.
    fn remove(&mut self, id: InstanceId) {
        let Some(slot) = self.instances.remove(&id) else {
            return;
        };
        self.kernel.refusals.forget(id);
        let config = &slot.router.config;
        if let Some(sharers) = self
            .receivers
            .get_mut(&config.interface)
            .and_then(|receivers| receivers.get_mut(&(config.family, config.vrid.get())))
        {
            sharers.retain(|one| *one != id);
        }
    }

    fn packet(&mut self, interface: &IfName, header: PacketHeader, payload: &[u8], now: Instant) {
        if self.deaf_until.is_some_and(|end| now < end) {
            return;
        }
        if let Some(id) = self.receiver(interface, header, payload) {
            self.with(id, now, |router, _, turn| {
                router.packet(header, payload, turn)
            });
            self.synchronise(id, now);
        } else if let Some(vrid) = peek_vrid(header, payload) {
            self.stranger_heard(interface, header.source, vrid);
        }
    }

    fn stranger_heard(&mut self, interface: &IfName, source: IpAddr, vrid: u8) {
        let key = (interface.clone(), Family::of(source), vrid);
        if self
            .strangers
            .as_mut()
            .is_some_and(|known| known.insert(key))
        {
            self.actions.push_back(Action::Event(Event {
                name: interface.to_string(),
                kind: EventKind::UnknownRouter { source, vrid },
            }));
        }
    }

    /// The instance that a packet is for: of those with its virtual router id the one that it fits best, and
    /// any of them when it fits none, so that it is counted.
    fn receiver(
        &self,
        interface: &IfName,
        header: PacketHeader,
        payload: &[u8],
    ) -> Option<InstanceId> {
        let key = (Family::of(header.source), peek_vrid(header, payload)?);
        let sharers = self.receivers.get(interface)?.get(&key)?;
        if let [only] = sharers.as_slice() {
            return Some(*only);
        }
        let claim = |id: &InstanceId| Some(self.instances.get(id)?.router.claim(header));
        sharers.iter().copied().min_by_key(|id| Reverse(claim(id)))
    }

    /// A link has another state, for as long as it has to.
    fn link_counts(&mut self, interface: &IfName, state: LinkState, now: Instant) {
        self.kernel.links.insert(interface.clone(), state);
        self.news = Some(format!("interface {interface} {}", state.words()));
        for id in self.concerned(|config| uses(config, interface)) {
            self.kernel.refusals.forget(id);
        }
        self.interface_changed(interface, now);
    }

    fn source_known(&mut self, interface: &IfName, family: Family, address: Option<IpAddr>) {
        let key = (interface.clone(), family);
        match address {
            Some(address) => self.kernel.sources.insert(key, address),
            None => self.kernel.sources.remove(&key),
        };
    }

    fn interface_changed(&mut self, interface: &IfName, now: Instant) {
        self.surroundings_changed(|config| uses(config, interface), now);
    }

    fn surroundings_changed(&mut self, concerns: impl Fn(&Instance) -> bool, now: Instant) {
        self.reconsider(self.concerned(concerns), now);
    }

    fn concerned(&self, concerns: impl Fn(&Instance) -> bool) -> BTreeSet<InstanceId> {
        self.instances
            .iter()
            .filter(|(_, slot)| concerns(&slot.router.config))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Finds out anew whether these instances, and their sync groups, can work.
    fn reconsider(&mut self, mut concerned: BTreeSet<InstanceId>, now: Instant) {
        for group in self.find_faulty_groups() {
            let members = self.groups.get(&group).map(|group| &group.members);
            concerned.extend(members.into_iter().flatten());
        }
        for id in &concerned {
            self.look_around(*id, now);
        }
        for id in concerned {
            self.synchronise(id, now);
        }
    }

    fn look_around(&mut self, id: InstanceId, now: Instant) {
        self.with(id, now, |router, kernel, turn| {
            let around = kernel.around(&router.config);
            router.surroundings_changed(around, turn);
        });
    }

    /// Serves some of those who are due: what all of a thousand want done at once would take much memory, and the
    /// first of them waits for nothing.
    fn timer(&mut self, now: Instant) {
        self.end_pauses(now);
        self.end_delays(now);
        if self.due.is_empty() {
            self.due = self.phases(self.find_due(now));
        }
        for _ in 0..SERVED {
            let Some((id, phase)) = self.due.pop_front() else {
                break;
            };
            self.with(id, now, |router, _, turn| router.timer(phase, turn));
            self.synchronise(id, now);
        }
    }

    /// Whose timers are due, and whose adverts may go with those that leave now.
    fn find_due(&self, now: Instant) -> Vec<InstanceId> {
        let soon = now.saturating_add(LONGEST_LEAD);
        let sociable = |id: &InstanceId| {
            let slot = self.instances.get(id)?;
            Some(slot.router.sociable_at()? <= now)
        };
        let mut due = Vec::new();
        for (at, id) in self.timers.iter().take_while(|(at, _)| *at <= soon) {
            if *at <= now || due.len() < phase::BATCH && sociable(id) == Some(true) {
                due.push(*id);
            }
        }
        due
    }

    /// Tells crowds apart, whose adverts will leave one batch after the other from now on.
    fn phases(&self, due: Vec<InstanceId>) -> VecDeque<(InstanceId, Phase)> {
        let advert_at = |id: &InstanceId| self.instances.get(id)?.router.advert_at();
        phase::spread(due.into_iter().map(|id| (advert_at(&id), id)).collect()).into()
    }

    fn shutdown(&mut self, now: Instant) {
        let keep = self.keep_addresses_at_exit;
        for id in self.instances.keys().copied().collect::<Vec<_>>() {
            self.with(id, now, |router, _, turn| {
                router.leave(State::Stop, keep, turn);
            });
        }
        self.stop_groups();
    }

    /// Lets one instance work, and moves its timer.
    fn with(
        &mut self,
        id: InstanceId,
        now: Instant,
        work: impl FnOnce(&mut VirtualRouter, &Kernel, &mut Turn<'_>),
    ) {
        let Some(slot) = self.instances.get_mut(&id) else {
            return;
        };
        let mut turn = Turn {
            now,
            utc: self.utc.at(now),
            start_at: self.deaf_until.unwrap_or(now).max(now),
            actions: &mut self.actions,
            pace: &mut self.pace,
            trackers: &self.kernel.trackers,
            news: self.news.as_deref(),
        };
        work(&mut slot.router, &self.kernel, &mut turn);
        let next = slot.router.deadline();
        if slot.timer != next {
            if let Some(old) = std::mem::replace(&mut slot.timer, next) {
                self.timers.remove(&(old, id));
            }
            self.timers.extend(next.map(|at| (at, id)));
        }
    }
}

impl Kernel {
    fn around(&self, config: &Instance) -> Surroundings {
        let source = self.source(config);
        let of_group = config.group.and_then(|group| self.faulty.get(&group));
        let wait = || self.trackers.wait(&config.trackers);
        let fault = match (self.fault(config, source), of_group) {
            (Some(own), _) => Some(own),
            (None, Some(Trouble::Fault)) => Some(Cause::GroupFault),
            (None, Some(Trouble::Waits)) => Some(wait().map_or(Cause::GroupWaits, Cause::Tracked)),
            (None, None) => wait().map(Cause::Tracked),
        };
        let of_trackers = self.trackers.weight(&config.trackers);
        Surroundings {
            source,
            fault,
            weight: self.weight(config).saturating_add(of_trackers),
        }
    }

    /// What the tracked interfaces add to the priority.
    fn weight(&self, config: &Instance) -> i32 {
        let counted = config.tracked_interfaces.iter().filter(|tracked| {
            let up = self.links.get(&tracked.interface) == Some(&LinkState::Up);
            let good = up != tracked.reverse;
            good == (tracked.weight > 0)
        });
        counted.map(|tracked| i32::from(tracked.weight)).sum()
    }

    /// What an instance does to its sync group.
    fn trouble(&self, config: &Instance) -> Option<Trouble> {
        if self.fault(config, self.source(config)).is_some() {
            Some(Trouble::Fault)
        } else {
            let wait = self.trackers.wait(&config.trackers);
            wait.map(|_| Trouble::Waits)
        }
    }

    fn source(&self, config: &Instance) -> Option<IpAddr> {
        let configured = match config.transport {
            Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
        };
        let key = (config.interface.clone(), config.family);
        configured.or_else(|| self.sources.get(&key).copied())
    }

    fn lacks_source(&self, config: &Instance) -> bool {
        let configured = match config.transport {
            Transport::Multicast { source, .. } | Transport::Unicast { source, .. } => source,
        };
        configured.is_some_and(|address| {
            let key = (config.interface.clone(), address);
            config.track_source && !self.present.contains(&key)
        })
    }

    fn fault(&self, config: &Instance, source: Option<IpAddr>) -> Option<Cause> {
        let state = |device: &IfName| self.links.get(device).copied();
        let decisive = config
            .tracked_interfaces
            .iter()
            .filter(|one| one.weight == 0);
        let (unwanted, wanted): (Vec<_>, Vec<_>) = decisive.partition(|one| one.reverse);
        let needed = tracked_devices(config)
            .chain(wanted.into_iter().map(|one| &one.interface))
            .chain(config.track_primary.then_some(&config.interface));
        let worst = needed
            .map(|device| state(device).unwrap_or(LinkState::Missing))
            .max();
        let exists = matches!(
            state(&config.interface),
            Some(LinkState::Up | LinkState::Down)
        );
        match worst {
            Some(LinkState::Missing) => Some(Cause::InterfaceMissing),
            // Without the interface nothing can be sent, tracked or not.
            _ if !exists => Some(Cause::InterfaceMissing),
            Some(LinkState::Down) => Some(Cause::InterfaceDown),
            _ if unwanted
                .iter()
                .any(|one| state(&one.interface) == Some(LinkState::Up)) =>
            {
                Some(Cause::InterfaceUp)
            }
            _ if is_lonely(config) => Some(Cause::NoPeer),
            Some(LinkState::Up) | None if source.is_none() => Some(Cause::NoSourceAddress),
            Some(LinkState::Up) | None if self.lacks_source(config) => {
                Some(Cause::SourceAddressMissing)
            }
            Some(LinkState::Up) | None if self.refusals.holds(config.id) => {
                Some(Cause::AddressRefused)
            }
            Some(LinkState::Up) | None => {
                let offender = self.trackers.fault(&config.trackers);
                offender.map(Cause::Tracked)
            }
        }
    }
}

/// The virtual router id of a packet, behind the authentication header if there is one.
fn peek_vrid(header: PacketHeader, payload: &[u8]) -> Option<u8> {
    if header.protocol == PROTOCOL_AH {
        advert::peek_vrid(payload.get(ah::HEADER_LEN..)?)
    } else {
        advert::peek_vrid(payload)
    }
}

/// True for a unicast instance without peers.
const fn is_lonely(config: &Instance) -> bool {
    match &config.transport {
        Transport::Multicast { .. } => false,
        Transport::Unicast { peers, .. } => peers.is_empty(),
    }
}

/// The other interfaces that virtual addresses go to, less those with `no_track`.
fn tracked_devices(config: &Instance) -> impl Iterator<Item = &IfName> {
    config
        .addresses
        .iter()
        .chain(&config.excluded)
        .filter(|line| line.tracked)
        .filter_map(|line| line.device.as_ref())
        .filter(|device| **device != config.interface)
}

/// True when an instance depends on an interface.
fn uses(config: &Instance, interface: &IfName) -> bool {
    devices(config).any(|device| device == interface)
}

fn devices(config: &Instance) -> impl Iterator<Item = &IfName> {
    let tracked = config.tracked_interfaces.iter();
    std::iter::once(&config.interface)
        .chain(tracked_devices(config))
        .chain(tracked.map(|one| &one.interface))
}

mod debounce;
mod groups;
mod refusals;
#[cfg(test)]
mod tests;
