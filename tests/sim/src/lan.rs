//! The network and its hosts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use kr_model::net::{Cidr, Family};
use kr_model::units::{AdvertInterval, IfName, Priority, Vrid};
use kr_model::vrrp::{
    AddressFlags, Announce, AnnouncePace, Authentication, ChecksumMode, Instance, MULTICAST_V4,
    Preemption, Snapshot, State, Transport, Version, VirtualAddress, VrrpGlobal, WantedState,
};
use kr_model::{InstanceId, Instant};
use kr_vrrp::{Action, Input, LinkState, PacketHeader, Router};
use kr_wire::{advert, ipv4};

use crate::random::Random;

/// What the network does to packets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Lost packets of 1000, for each receiver on its own.
    pub loss: u64,
    /// Packets of 1000 that arrive twice.
    pub duplication: u64,
    /// Longest delay in microseconds; different delays change the order.
    pub delay: u64,
}

/// One thing that a router did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It said a transition.
    Entered(State),
    /// It sent an advert with this priority.
    Advert(u8),
    /// It announced an address.
    Announced(IpAddr),
    /// It said that it hears a master of lower rank.
    LowerHeard,
}

/// When, which router, which instance, what.
pub type History = Vec<(Instant, usize, InstanceId, What)>;

/// The network.
#[derive(Debug)]
pub struct Lan {
    /// Virtual time.
    pub now: Instant,
    /// What happens to packets from now on.
    pub faults: Faults,
    /// What happened so far.
    pub history: History,
    hosts: Vec<Host>,
    /// Packets under way, by arrival and a running number.
    flying: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    random: Random,
    /// What becomes of the next deliveries, before chance decides.
    script: VecDeque<Fate>,
    /// Links that are broken in one direction: from, to.
    walls: BTreeSet<(usize, usize)>,
    /// Who announced the addresses of an instance last: where neighbours and switches send packets.
    learned: BTreeMap<InstanceId, usize>,
    /// A process that ends before it has done so much more.
    doomed: Option<(usize, usize)>,
}

/// What becomes of one packet on its way to one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives at once.
    Arrives,
    /// It arrives after this time.
    Late(Duration),
    /// It never arrives.
    Lost,
}

#[derive(Debug)]
struct Host {
    address: IpAddr,
    instances: BTreeMap<InstanceId, Instance>,
    process: Process,
    /// How far the clock of the host is ahead of the network's time.
    ahead: Duration,
    link: LinkState,
    /// What the parent process keeps.
    snapshots: BTreeMap<InstanceId, Snapshot>,
    states: BTreeMap<InstanceId, State>,
    /// A successor takes over: what it repeats is no news.
    resuming: bool,
    /// Whose addresses the kernel holds.
    held: BTreeMap<InstanceId, bool>,
}

#[derive(Debug)]
enum Process {
    Running(Router),
    /// Stopped for a while, as by a debugger or a hypervisor: packets wait on the sockets.
    Paused(Router, Vec<Vec<u8>>),
    /// Not there.
    Gone,
}

impl Lan {
    /// An empty network.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self {
            // Not zero: the hosts have been up for a while.
            now: Instant::from_micros(1_000_000_000),
            faults,
            history: History::new(),
            hosts: Vec::new(),
            flying: BTreeMap::new(),
            sent: 0,
            random: Random::new(seed),
            script: VecDeque::new(),
            walls: BTreeSet::new(),
            learned: BTreeMap::new(),
            doomed: None,
        }
    }

    /// The process of a host ends (kill -9) when it has carried out so many more actions, if it gets so far.
    pub fn doom(&mut self, host: usize, actions: usize) {
        self.doomed = Some((host, actions));
    }

    /// It has not ended yet, and never will: how many actions were left.
    pub fn spare(&mut self) -> Option<usize> {
        self.doomed.take().map(|(_, left)| left)
    }

    /// True while the process of a host is there.
    #[must_use]
    pub fn runs(&self, host: usize) -> bool {
        !matches!(self.hosts[host].process, Process::Gone)
    }

    /// Decides what becomes of the next deliveries.
    pub fn script(&mut self, fates: impl IntoIterator<Item = Fate>) {
        self.script = fates.into_iter().collect();
    }

    /// Breaks the way from one host to another, or mends it.
    pub fn wall(&mut self, from: usize, to: usize, there: bool) {
        if there {
            self.walls.insert((from, to));
        } else {
            self.walls.remove(&(from, to));
        }
    }

    /// Mends every way.
    pub fn open_walls(&mut self) {
        self.walls.clear();
    }

    /// The clock of a host jumps ahead, as after a suspension that it did not notice.
    pub fn jump_clock(&mut self, host: usize, by: Duration) {
        self.hosts[host].ahead += by;
    }

    /// Where neighbours send packets for the addresses of an instance.
    #[must_use]
    pub fn learned(&self, id: InstanceId) -> Option<usize> {
        self.learned.get(&id).copied()
    }

    /// Adds a host with the address 192.0.2.`last` and starts its router.
    pub fn add(&mut self, last: u8, instances: Vec<Instance>) -> usize {
        let host = self.hosts.len();
        self.hosts.push(Host {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
            instances: instances.into_iter().map(|one| (one.id, one)).collect(),
            process: Process::Gone,
            ahead: Duration::ZERO,
            link: LinkState::Up,
            snapshots: BTreeMap::new(),
            states: BTreeMap::new(),
            resuming: false,
            held: BTreeMap::new(),
        });
        self.start(host);
        host
    }

    /// Starts the process, as the parent does: with what a predecessor published.
    pub fn start(&mut self, host: usize) {
        if !matches!(self.hosts[host].process, Process::Gone) {
            return;
        }
        self.hosts[host].process = Process::Running(Router::new());
        self.hosts[host].resuming = true;
        self.tell_link(host);
        let address = Some(self.hosts[host].address);
        self.give(
            host,
            Input::Source {
                interface: interface(),
                family: Family::Inet,
                address,
            },
        );
        let resume = self.hosts[host].snapshots.clone();
        self.configure(host, resume);
        self.make_good(host);
    }

    /// What the parent does once a successor is ready: says what was published and not said.
    fn make_good(&mut self, host: usize) {
        let (now, kept) = (self.now, &mut self.hosts[host]);
        kept.resuming = false;
        for (id, snapshot) in &kept.snapshots {
            let is = snapshot.role.state();
            if is != State::Init && kept.states.insert(*id, is) != Some(is) {
                self.history.push((now, host, *id, What::Entered(is)));
            }
        }
    }

    /// Puts a changed configuration into force.
    pub fn reload(&mut self, host: usize, instances: Vec<Instance>) {
        self.hosts[host].instances = instances.into_iter().map(|one| (one.id, one)).collect();
        self.configure(host, BTreeMap::new());
    }

    /// Puts the same configuration into force again.
    pub fn reload_same(&mut self, host: usize) {
        self.configure(host, BTreeMap::new());
    }

    /// kill -9: nothing is said, the kernel keeps the addresses, packets are lost.
    pub fn kill(&mut self, host: usize) {
        self.hosts[host].process = Process::Gone;
    }

    /// A clean stop; a paused process leaves when it goes on.
    pub fn stop(&mut self, host: usize) {
        self.unpause(host);
        self.give(host, Input::Shutdown);
        self.hosts[host].process = Process::Gone;
        self.hosts[host].snapshots.clear();
    }

    /// The host vanishes: process and kernel.
    pub fn power_off(&mut self, host: usize) {
        self.kill(host);
        self.hosts[host].snapshots.clear();
        self.hosts[host].states.clear();
        self.hosts[host].held.clear();
    }

    /// Stops the process for a while.
    pub fn pause(&mut self, host: usize) {
        let process = &mut self.hosts[host].process;
        *process = match std::mem::replace(process, Process::Gone) {
            Process::Running(router) => Process::Paused(router, Vec::new()),
            other @ (Process::Paused(..) | Process::Gone) => other,
        };
    }

    /// Lets a paused process go on: it reads what waits on its sockets, then what the kernel and the
    /// parent had to say.
    pub fn unpause(&mut self, host: usize) {
        let process = &mut self.hosts[host].process;
        match std::mem::replace(process, Process::Gone) {
            Process::Paused(router, waiting) => {
                *process = Process::Running(router);
                for packet in waiting {
                    self.read_packet(host, &packet);
                }
                self.tell_link(host);
                self.configure(host, BTreeMap::new());
            }
            other @ (Process::Running(_) | Process::Gone) => *process = other,
        }
    }

    /// Plugs or unplugs the cable.
    pub fn link(&mut self, host: usize, state: LinkState) {
        if self.hosts[host].link != state {
            self.hosts[host].link = state;
            self.tell_link(host);
        }
    }

    /// Puts bytes on the wire as an IPv4 packet from outside.
    pub fn inject(&mut self, packet: &[u8]) {
        self.broadcast(usize::MAX, packet);
    }

    /// Lets time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now.saturating_add(duration);
        while let Some((at, next)) = self.next_event().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            match next {
                Next::Packet => {
                    if let Some((_, (host, packet))) = self.flying.pop_first() {
                        self.arrive(host, packet);
                    }
                }
                Next::Timer(host) => self.give(host, Input::Timer),
            }
        }
        self.now = end;
    }

    /// The hosts that are master of an instance, as their processes said.
    #[must_use]
    pub fn masters(&self, id: InstanceId) -> Vec<usize> {
        self.hosts_where(|host| host.states.get(&id) == Some(&State::Master))
    }

    /// The hosts whose kernel holds the addresses of an instance.
    #[must_use]
    pub fn holders(&self, id: InstanceId) -> Vec<usize> {
        self.hosts_where(|host| host.held.get(&id) == Some(&true))
    }

    /// What a host published last.
    #[must_use]
    pub fn snapshot(&self, host: usize, id: InstanceId) -> Option<&Snapshot> {
        self.hosts[host].snapshots.get(&id)
    }

    fn hosts_where(&self, wanted: impl Fn(&Host) -> bool) -> Vec<usize> {
        (0..self.hosts.len())
            .filter(|host| wanted(&self.hosts[*host]))
            .collect()
    }

    fn next_event(&self) -> Option<(Instant, Next)> {
        let packet = self.flying.keys().next().map(|(at, _)| (*at, Next::Packet));
        let timers = self.hosts.iter().enumerate().filter_map(|(number, host)| {
            let Process::Running(router) = &host.process else {
                return None;
            };
            let at = router.poll_timeout()?.saturating_sub(host.ahead);
            Some((at, Next::Timer(number)))
        });
        packet.into_iter().chain(timers).min()
    }

    fn configure(&mut self, host: usize, resume: BTreeMap<InstanceId, Snapshot>) {
        let global = VrrpGlobal {
            startup_delay: Duration::ZERO,
            delay_after_boot: Duration::ZERO,
            log_unknown_vrids: false,
            pace: AnnouncePace::default(),
            keep_addresses_at_exit: false,
            label: String::new(),
            dynamic_interfaces: false,
            firewall: Default::default(),
            link_delays: Default::default(),
        };
        let instances = self.hosts[host].instances.iter();
        let instances = instances
            .map(|(id, one)| (*id, one.clone().into()))
            .collect();
        self.give(
            host,
            Input::Configure {
                global,
                instances,
                resume,
            },
        );
    }

    fn tell_link(&mut self, host: usize) {
        let state = self.hosts[host].link;
        self.give(
            host,
            Input::Link {
                interface: interface(),
                state,
            },
        );
    }

    fn arrive(&mut self, host: usize, packet: Vec<u8>) {
        if self.hosts[host].link != LinkState::Up {
            return;
        }
        match &mut self.hosts[host].process {
            Process::Gone => {}
            Process::Paused(_, waiting) => waiting.push(packet),
            Process::Running(_) => self.read_packet(host, &packet),
        }
    }

    fn read_packet(&mut self, host: usize, packet: &[u8]) {
        let Ok((header, payload)) = ipv4::parse(packet) else {
            return;
        };
        let header = PacketHeader {
            source: IpAddr::V4(header.source),
            destination: IpAddr::V4(header.destination),
            ttl: header.ttl,
            protocol: header.protocol,
            id: header.id,
        };
        let input = Input::Packet {
            interface: &interface(),
            header,
            payload,
        };
        self.give(host, input);
    }

    /// Gives an input to a running process and carries the actions out. A paused one hears of links and
    /// configurations when it goes on.
    fn give(&mut self, host: usize, input: Input<'_>) {
        let now = self.now.saturating_add(self.hosts[host].ahead);
        let mut actions = Vec::new();
        if let Process::Running(router) = &mut self.hosts[host].process {
            router.handle(input, now);
            actions.extend(std::iter::from_fn(|| router.poll_action()));
        }
        for action in in_order(actions) {
            if let Some((doomed, left)) = self.doomed
                && doomed == host
            {
                if left == 0 {
                    self.doomed = None;
                    return self.kill(host);
                }
                self.doomed = Some((host, left - 1));
            }
            self.carry_out(host, action);
        }
    }

    fn carry_out(&mut self, host: usize, action: Action) {
        let now = self.now;
        match action {
            Action::SendAdvert {
                instance, packet, ..
            } => {
                if let Ok((_, [_, _, priority, ..])) = ipv4::parse(&packet) {
                    self.history
                        .push((now, host, instance, What::Advert(*priority)));
                }
                if self.hosts[host].link == LinkState::Up {
                    self.broadcast(host, &packet);
                }
            }
            Action::SetAddresses { instance, present } => {
                self.hosts[host].held.insert(instance, present);
            }
            Action::Announce {
                instance, address, ..
            } => {
                self.history
                    .push((now, host, instance, What::Announced(address)));
                if self.hosts[host].link == LinkState::Up {
                    self.learned.insert(instance, host);
                }
            }
            Action::Publish(snapshot) => {
                self.hosts[host].snapshots.insert(snapshot.id, *snapshot);
            }
            Action::Transition { instance, to, .. } => {
                let before = self.hosts[host].states.insert(instance, to);
                if !self.hosts[host].resuming || before != Some(to) {
                    self.history.push((now, host, instance, What::Entered(to)));
                }
            }
            Action::LowerPriorityHeard { instance } => {
                self.history.push((now, host, instance, What::LowerHeard));
            }
            Action::GroupTransition { .. } | Action::Event(_) => {}
        }
    }

    fn broadcast(&mut self, from: usize, packet: &[u8]) {
        let faults = self.faults;
        for host in (0..self.hosts.len()).filter(|host| *host != from) {
            if self.walls.contains(&(from, host)) {
                continue;
            }
            if let Some(fate) = self.script.pop_front() {
                match fate {
                    Fate::Arrives => self.fly(host, packet, Duration::from_micros(1)),
                    Fate::Late(delay) => self.fly(host, packet, delay),
                    Fate::Lost => {}
                }
                continue;
            }
            let copies = 1 + u64::from(self.random.chance(faults.duplication));
            for _ in 0..copies {
                if self.random.chance(faults.loss) {
                    continue;
                }
                let delay = Duration::from_micros(1 + self.random.below(faults.delay));
                self.fly(host, packet, delay);
            }
        }
    }

    fn fly(&mut self, to: usize, packet: &[u8], delay: Duration) {
        self.sent += 1;
        let arrival = (self.now.saturating_add(delay), self.sent);
        self.flying.insert(arrival, (to, packet.to_vec()));
    }
}

/// As the driver does it: what a successor has to know before it happens, then adverts, then addresses, then the rest.
fn in_order(mut actions: Vec<Action>) -> Vec<Action> {
    let mut moved = BTreeSet::new();
    let ranks = actions.iter().map(|action| match action {
        Action::Publish(snapshot) if !moved.contains(&snapshot.id) => 0,
        Action::SendAdvert { .. } => 1,
        Action::SetAddresses { instance, .. } => {
            moved.insert(*instance);
            2
        }
        Action::Publish(_)
        | Action::Announce { .. }
        | Action::Transition { .. }
        | Action::LowerPriorityHeard { .. }
        | Action::GroupTransition { .. }
        | Action::Event(_) => 3,
    });
    let ranks: Vec<u8> = ranks.collect();
    let mut ranked: Vec<_> = ranks.into_iter().zip(actions.drain(..)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, action)| action).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// A packet arrives; before timers of the same time, as the driver has to do it.
    Packet,
    /// A router's timer.
    Timer(usize),
}

fn interface() -> IfName {
    valid(IfName::try_from("eth0".to_owned()))
}

/// A plain version 2 instance with one address, `192.0.2.200 + id`, and virtual router id `id`.
#[must_use]
pub fn instance(id: u8, priority: u8, preemption: Preemption) -> Instance {
    let address = Ipv4Addr::new(192, 0, 2, 200_u8.saturating_add(id));
    Instance {
        id: InstanceId(u32::from(id)),
        name: format!("VI_{id}"),
        version: Version::V2,
        family: Family::Inet,
        interface: interface(),
        vrid: valid(Vrid::try_from(u64::from(id))),
        priority: valid(Priority::try_from(u64::from(priority))),
        wanted: WantedState::Backup,
        advert_interval: AdvertInterval::DEFAULT,
        transport: Transport::Multicast {
            group: IpAddr::V4(MULTICAST_V4),
            source: None,
        },
        checksum: ChecksumMode::Standard,
        authentication: Authentication::None,
        group: None,
        preemption,
        down_timer_adverts: 3,
        addresses: vec![VirtualAddress {
            address: Cidr::host(IpAddr::V4(address)),
            device: None,
            scope: 0,
            broadcast: None,
            label: None,
            peer: None,
            flags: AddressFlags::default(),
            tracked: true,
            preferred_lifetime: None,
            own_link: false,
            lifetime: None,
        }],
        excluded: Vec::new(),
        announce: Announce {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_priority_repeat: 5,
            lower_priority_delay: Duration::from_secs(5),
            extra: None,
        },
        tracked_interfaces: Vec::new(),
        trackers: Vec::new(),
        own_link: None,
        address_link_prefix: String::new(),
        track_primary: true,
        answer_lower_priority: true,
        advert_before_yielding: true,
        ignore_adverts: false,
        yields_when_late: None,
        track_source: false,
        check_addresses_once: false,
        accept: true,
        promote_secondaries: false,
    }
}

/// The bytes of an advert as another router would send it, for [`Lan::inject`].
#[must_use]
pub fn foreign_advert(id: u8, priority: u8, last: u8) -> Vec<u8> {
    let source = Ipv4Addr::new(192, 0, 2, last);
    let address = Ipv4Addr::new(192, 0, 2, 200_u8.saturating_add(id));
    let message = advert::Advert {
        kind: advert::ADVERTISEMENT,
        vrid: valid(Vrid::try_from(u64::from(id))),
        priority,
        addresses: vec![IpAddr::V4(address)],
        body: advert::Body::V2 {
            auth_type: advert::AUTH_NONE,
            interval: 1,
            auth_data: [0; 8],
        },
    };
    let ends = advert::Ends {
        source: IpAddr::V4(source),
        destination: IpAddr::V4(MULTICAST_V4),
    };
    let header = ipv4::Header {
        tos: ipv4::TOS_INTERNETWORK_CONTROL,
        id: 1,
        ttl: 255,
        protocol: ipv4::PROTOCOL_VRRP,
        source,
        destination: MULTICAST_V4,
    };
    valid(ipv4::emit(&header, &valid(advert::emit(&message, ends))))
}

#[expect(clippy::panic, reason = "test code: the values above are valid")]
fn valid<T, E: std::fmt::Debug>(value: Result<T, E>) -> T {
    value.unwrap_or_else(|error| panic!("a value of the simulation is invalid: {error:?}"))
}
