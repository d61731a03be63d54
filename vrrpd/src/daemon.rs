//! The loop: packets, the timer, the kernel's events and the parent's messages become inputs of the
//! router; its actions become system calls.
//!
//! Each source is served up to a budget per wake-up, and the timer is served in between, so that a flood
//! from one side delays own adverts by no more than one budget. Waiting packets come before the timer: a
//! process that was stopped for a while hears the master before it decides that the master is gone.

mod actions;
mod addresses;
mod apply;
mod filter;
mod holdings;
mod links;
mod neighbors;
mod packets;
mod promotion;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use kr_child::Started;
use kr_event::{Clock, EventLoop, Signals};
use kr_ipc::edge::Sibling;
use kr_ipc::edge::parentd_vrrpd::{FromVrrpd, ToVrrpd};
use kr_ipc::{Channel, ChannelError};
use kr_model::own_link::LinkReport;
use kr_model::units::{IfIndex, IfName};
use kr_model::vrrp::{Instance, VrrpGlobal};
use kr_model::{InstanceId, Instant};
use kr_netlink::route::{Event, Events, LinkChange, Requests};
use kr_sys::batch::Inbox;
use kr_vrrp::{Input, Router};
use mio::Token;
use nix::errno::Errno;

use crate::bfd::{Bfd, ListenerId};
use crate::firewall::Firewall;
use crate::intake::{HostObjects, Instances, Intake, IntakeError, Order};
use crate::kernel::Told;
use crate::moderation::Moderation;
use crate::own_links::OwnLinks;
use crate::routing::Routing;
use crate::siblings::Siblings;
use crate::sockets::{self, PACKET, PortId, Sockets};
use crate::table::Table;
use addresses::present;

const PARENT: Token = Token(0);
const KERNEL: Token = Token(1);
const SIGNALS: Token = Token(2);
const CHECKERD: Token = Token(3);
const IPVSD: Token = Token(4);
/// Tokens from here on belong to the ports of BFD.
const FIRST_BFD_TOKEN: usize = 8;
const ROUTING: Token = Token(5);
const FILTER: Token = Token(6);
/// Tokens from here on belong to the sockets of interfaces.
pub(crate) const FIRST_PORT_TOKEN: usize = 16;

/// Packets taken from one socket per wake-up: well below a millisecond of work.
const PACKET_BUDGET: usize = 16;
/// Times that the router's timer is served per wake-up, each time for some of the instances that are due.
const TIMER_BUDGET: usize = 4;
/// Events of the kernel taken per wake-up.
const EVENT_BUDGET: usize = 256;
/// Messages of the parent taken per wake-up.
const MESSAGE_BUDGET: usize = 64;

/// How long a leaving process waits for a parent that is slow to read the last messages.
const FAREWELL: Duration = Duration::from_millis(500);

/// Why the process ends, other than being told to.
#[derive(Debug)]
pub(crate) enum DaemonError {
    /// The channel to the parent failed.
    Channel(ChannelError),
    /// The parent's messages came in an impossible order.
    Intake(IntakeError),
    /// The parent attached a descriptor to a message that takes none, or none to one that does.
    Descriptor,
    /// The event loop failed.
    Loop(io::Error),
    /// The signal descriptor failed.
    Signals(Errno),
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(error) => write!(f, "channel to the parent: {error}"),
            Self::Intake(error) => write!(f, "the parent sent {error}"),
            Self::Descriptor => {
                f.write_str("the parent sent a descriptor that does not belong to its message")
            }
            Self::Loop(error) => write!(f, "event loop: {error}"),
            Self::Signals(errno) => write!(f, "signals: {errno}"),
        }
    }
}

impl std::error::Error for DaemonError {}

impl From<ChannelError> for DaemonError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

/// What the loop goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next wake-up.
    Wait,
    /// The end of the process.
    Leave,
}

/// Sources with something left to read. They are edge-triggered: what is left must be remembered.
#[derive(Debug, Default)]
struct Backlog {
    ports: BTreeSet<PortId>,
    bfd: BTreeSet<ListenerId>,
    kernel: bool,
    routing: bool,
    filter: bool,
    parent: bool,
    signals: bool,
}

impl Backlog {
    fn is_empty(&self) -> bool {
        self.ports.is_empty()
            && self.bfd.is_empty()
            && !self.kernel
            && !self.routing
            && !self.filter
            && !self.parent
            && !self.signals
    }
}

/// The process.
#[derive(Debug)]
pub(crate) struct Daemon {
    clock: Clock,
    events: EventLoop,
    channel: Channel<FromVrrpd, ToVrrpd>,
    signals: Signals,
    kernel_events: Events,
    sockets: Sockets,
    backlog: Backlog,
    intake: Intake,
    router: Router,
    bfd: Bfd,
    table: Table,
    routing: Routing,
    firewall: Firewall,
    told: Told,
    siblings: Siblings,
    /// The configuration in force, its instances as they were configured.
    unresolved: Instances,
    /// The same, as they run on links of their own.
    instances: Instances,
    /// Its settings of the process.
    global: Option<VrrpGlobal>,
    own_links: OwnLinks,
    promotion: promotion::Promotion,
    /// Changes of links that the kernel did not make.
    refused_links: Vec<(LinkChange, Errno)>,
    /// Links that the parent was told of.
    reported: Vec<(IfIndex, LinkReport)>,
    /// Static addresses, and all routes and rules, of that configuration.
    host: HostObjects,
    /// `-V`: what is set stays at exit.
    keep_at_exit: bool,
    /// Virtual addresses of that configuration, which are nobody's source address.
    virtual_ips: BTreeSet<IpAddr>,
    /// Source addresses that its instances track.
    tracked_sources: BTreeSet<(IfName, IpAddr)>,
    /// Instances whose addresses shall be set.
    present: BTreeSet<InstanceId>,
    /// Packets of unknown virtual routers are read too.
    log_unknown_vrids: bool,
    /// What one socket gave last; without room before the first packet.
    inbox: Inbox<PACKET>,
    moderation: Moderation,
    /// A configuration was in force before.
    configured: bool,
    /// Masters whose addresses the router has to be told of.
    unjudged: BTreeSet<InstanceId>,
    /// What the router wants done besides.
    later: actions::Later,
    /// An instance has `auth_hmac`.
    signed: bool,
    /// Instances came or went whose routes and rules are not followed yet.
    routing_changed: bool,
    /// When lifetimes of addresses begin anew.
    renew_at: Option<Instant>,
    /// Interfaces that the configuration names; `None` when it leaves some to the kernel.
    named: Option<BTreeSet<IfName>>,
    /// Those of them whose addresses the kernel tells of; `None` when it tells of all.
    heard: Option<BTreeSet<IfIndex>>,
}

impl Daemon {
    /// A daemon that waits for its first configuration.
    ///
    /// # Errors
    /// When the event loop refuses a descriptor.
    pub(crate) fn new(
        started: Started<FromVrrpd, ToVrrpd>,
        events: EventLoop,
        kernel_events: Events,
        requests: Requests,
        routing: Routing,
        sockets: Sockets,
        firewall: Firewall,
    ) -> io::Result<Self> {
        events.register(started.channel.as_fd(), PARENT)?;
        events.register(started.signals.as_fd(), SIGNALS)?;
        events.register(kernel_events.as_fd(), KERNEL)?;
        events.register(routing.as_fd(), ROUTING)?;
        if let Some(changes) = firewall.events() {
            events.register(changes, FILTER)?;
        }
        let mut daemon = Self {
            clock: Clock::new(),
            events,
            channel: started.channel,
            signals: started.signals,
            kernel_events,
            sockets,
            backlog: Backlog::default(),
            intake: Intake::default(),
            router: Router::new(),
            bfd: Bfd::new(FIRST_BFD_TOKEN),
            table: Table::new(requests),
            routing,
            firewall,
            told: Told::default(),
            siblings: Siblings::new(CHECKERD, IPVSD),
            unresolved: BTreeMap::new(),
            instances: BTreeMap::new(),
            global: None,
            own_links: OwnLinks::default(),
            promotion: promotion::Promotion::default(),
            refused_links: Vec::new(),
            reported: Vec::new(),
            host: HostObjects::default(),
            keep_at_exit: false,
            virtual_ips: BTreeSet::new(),
            tracked_sources: BTreeSet::new(),
            log_unknown_vrids: false,
            present: BTreeSet::new(),
            inbox: Inbox::default(),
            moderation: Moderation::default(),
            configured: false,
            unjudged: BTreeSet::new(),
            later: actions::Later::default(),
            signed: false,
            routing_changed: false,
            renew_at: None,
            named: None,
            heard: None,
        };
        daemon.table.refresh();
        Ok(daemon)
    }

    /// Runs until the parent says stop, or is gone; then leaves cleanly.
    ///
    /// # Errors
    /// When the parent breaks the protocol, this process has no descriptor left, or the loop fails. It ends as it is
    /// then, for the parent starts a successor that goes on.
    pub(crate) fn run(mut self) -> Result<(), DaemonError> {
        let mut result = Ok(Next::Wait);
        while matches!(result, Ok(Next::Wait)) {
            result = self.turn();
        }
        match result {
            Ok(_) => {}
            Err(DaemonError::Channel(ChannelError::Closed)) => {
                log::warn!("the parent process is gone");
            }
            Err(error) => return Err(error),
        }
        self.leave();
        Ok(())
    }

    /// One wake-up.
    fn turn(&mut self) -> Result<Next, DaemonError> {
        let deadline = if self.backlog.is_empty() && self.later.is_empty() {
            let retry = self.table.refusals().deadline();
            let mend = self.routing.deadline();
            let filter = self.firewall.deadline();
            let router = self.router.poll_timeout();
            let bfd = self.bfd.poll_timeout();
            let timers = [router, bfd, retry, mend, filter, self.renew_at];
            timers.into_iter().flatten().min()
        } else {
            Some(Instant::ZERO)
        };
        if let Some(time) = self.moderation.rest(self.clock.now(), deadline) {
            self.events.rest(time);
        }
        for ready in self.events.wait(deadline).map_err(DaemonError::Loop)? {
            match ready.token {
                PARENT => {
                    self.backlog.parent |= ready.readable;
                    if ready.writable {
                        self.channel.flush()?;
                    }
                }
                KERNEL => self.backlog.kernel = true,
                ROUTING => self.backlog.routing = true,
                FILTER => self.backlog.filter = true,
                SIGNALS => self.backlog.signals = true,
                CHECKERD => {
                    if self.siblings.serve_checkerd() {
                        self.accuse(Sibling::Checkerd)?;
                    }
                }
                IPVSD => {
                    if self.siblings.serve_ipvsd() {
                        self.accuse(Sibling::Ipvsd)?;
                    }
                }
                token => {
                    self.backlog.bfd.extend(self.bfd.listener(token));
                    self.backlog.ports.extend(self.sockets.port(token));
                }
            }
        }
        self.tell_time_of_day();
        self.serve_packets();
        self.serve_bfd()?;
        self.serve_timer()?;
        if self.backlog.kernel {
            self.serve_kernel()?;
            self.serve_timer()?;
        }
        if self.backlog.routing {
            self.backlog.routing = self.routing.hear();
        }
        self.routing.mend(self.table.kernel(), self.clock.now());
        if self.backlog.filter {
            self.backlog.filter = self.firewall.hear(self.clock.now());
        }
        self.firewall.mend(self.clock.now());
        self.serve_later()?;
        if self.backlog.signals && self.serve_signals()? == Next::Leave {
            return Ok(Next::Leave);
        }
        if self.backlog.parent {
            return self.serve_parent();
        }
        Ok(Next::Wait)
    }

    fn serve_timer(&mut self) -> Result<(), ChannelError> {
        self.serve_bfd_timer()?;
        let now = self.clock.now();
        for _ in 0..TIMER_BUDGET {
            if !self.is_due(now) || self.later.is_full() {
                break;
            }
            self.router.handle(Input::Timer, now);
            self.act();
        }
        if self.renew_at.is_some_and(|at| at <= now) {
            self.renew(&BTreeMap::new());
        }
        if self.table.refusals().deadline().is_some_and(|at| at <= now) {
            self.set_refused();
        }
        Ok(())
    }

    fn serve_signals(&mut self) -> Result<Next, DaemonError> {
        self.backlog.signals = false;
        // Only SIGTERM is delivered here.
        match self.signals.read().map_err(DaemonError::Signals)? {
            Some(_) => {
                log::info!("SIGTERM came, by hand or because the parent process died: leaving");
                Ok(Next::Leave)
            }
            None => Ok(Next::Wait),
        }
    }

    fn serve_parent(&mut self) -> Result<Next, DaemonError> {
        for _ in 0..MESSAGE_BUDGET {
            let Some(received) = self.channel.recv_with()? else {
                self.backlog.parent = false;
                return Ok(Next::Wait);
            };
            let order = self.intake.take(received.message);
            match (order.map_err(DaemonError::Intake)?, received.descriptor) {
                (Order::LogFile, Some(file)) => kr_child::replace_log_file(file),
                (Order::Meet(sibling), Some(end)) => self.meet(sibling, end)?,
                (Order::LogFile | Order::Meet(_), None) | (_, Some(_)) => {
                    return Err(DaemonError::Descriptor);
                }
                (Order::Wait, None) => {}
                (Order::Answer { nonce }, None) => {
                    self.channel.send(&FromVrrpd::Pong { nonce })?;
                    if let Some(times) = self.events.times_to_tell() {
                        self.channel.send(&FromVrrpd::Times(Box::new(times)))?;
                    }
                }
                (Order::Track(tracker, state), None) => {
                    let input = Input::Tracker { tracker, state };
                    self.router.handle(input, self.clock.now());
                    self.act();
                }
                (Order::Apply(configuration), None) => self.apply(*configuration)?,
                (Order::Stop, None) => {
                    log::info!("told to stop");
                    return Ok(Next::Leave);
                }
            }
        }
        Ok(Next::Wait)
    }

    /// Speaks to a sibling from now on, and says everything to it.
    fn meet(&mut self, sibling: Sibling, end: OwnedFd) -> Result<(), DaemonError> {
        let met = match sibling {
            Sibling::Checkerd => self.siblings.meet_checkerd(end, &self.events),
            Sibling::Ipvsd => self.siblings.meet_ipvsd(end, &self.events),
            Sibling::Vrrpd => return Err(DaemonError::Descriptor),
        };
        met.map_err(DaemonError::Loop)
    }

    /// Tells the parent that a sibling was cut off.
    fn accuse(&mut self, sibling: Sibling) -> Result<(), ChannelError> {
        self.channel.send(&FromVrrpd::Misbehaved(sibling))
    }

    /// Follows the kernel; after its last event, brings the router and the addresses up to date.
    fn serve_kernel(&mut self) -> Result<(), ChannelError> {
        let mut taken = BTreeSet::new();
        let (mut concerned, mut links_changed, mut addresses_changed) = (false, false, false);
        for _ in 0..EVENT_BUDGET {
            match self.kernel_events.next_event() {
                Ok(None) => {
                    self.backlog.kernel = false;
                    break;
                }
                Ok(Some(event)) if self.table.kernel().knows(&event) => {}
                Ok(Some(event)) => {
                    if self.concerns_us(&event) {
                        concerned = true;
                        match &event {
                            Event::Link(_) | Event::LinkGone(_) => links_changed = true,
                            Event::AddressGone(address) => {
                                taken.insert(address.place);
                            }
                            Event::Address(address) => addresses_changed |= !address.is_ours(),
                            Event::Forwarding { .. } => {}
                        }
                    }
                    self.table.follow(event);
                }
                Err(error) => {
                    log::warn!("{error}; reading links and addresses anew");
                    self.kernel_events.discard();
                    self.table.refresh();
                    (concerned, links_changed) = (true, true);
                    break;
                }
            }
        }
        if !concerned {
            return Ok(());
        }
        if links_changed {
            self.keep_links()?;
            self.limit_events();
        }
        if links_changed || addresses_changed {
            // Before sockets join groups on a VMAC that is new.
            self.filter_links();
            self.follow_link_addresses();
        }
        if links_changed {
            self.promote_secondaries();
            self.adjust_sockets();
        }
        self.tell_kernel_news();
        self.repair(&taken, links_changed);
        if links_changed || addresses_changed || !taken.is_empty() {
            self.routing.surroundings_changed(self.clock.now());
        }
        self.act();
        Ok(())
    }

    /// Tells the router of links and source addresses, as far as they changed.
    fn tell_kernel_news(&mut self) {
        let is_virtual = |ip: IpAddr| self.virtual_ips.contains(&ip);
        let tracked = &self.tracked_sources;
        for input in self.told.news(self.table.kernel(), tracked, is_virtual) {
            self.router.handle(input, self.clock.now());
            self.act();
        }
    }

    fn adjust_sockets(&mut self) {
        let needs = sockets::needs(
            each(&self.instances),
            self.table.kernel(),
            self.log_unknown_vrids,
        );
        self.sockets
            .adjust(&needs, &self.events, self.table.kernel());
        // A socket that was just opened may hold packets already.
        self.backlog.ports.extend(needs.into_keys());
    }

    /// Says farewell to the other routers and to the parent.
    fn leave(&mut self) {
        self.router.handle(Input::Shutdown, self.clock.now());
        self.act();
        // The router's actions must be carried out also when the parent is gone and hears nothing.
        while self.finish().is_err() {}
        self.bfd.shutdown(self.clock.now());
        if !self.keep_at_exit {
            self.remove_statics();
            self.promote_none();
            self.own_links.want_none();
            self.remove_links();
            self.firewall.remove(self.clock.now());
        }
        let until = self.clock.now().saturating_add(FAREWELL);
        while self.channel.flush().is_ok() && self.channel.has_queued() && self.clock.now() < until
        {
            if self.events.wait(Some(until)).is_err() {
                return;
            }
        }
    }
}

/// Each instance of a configuration.
fn each(instances: &Instances) -> impl Iterator<Item = &Instance> + Clone {
    instances.values().map(|instance| &**instance)
}
