//! One virtual server's pool: which real servers are alive, their weights, and the quorum
//! (`quorum`, `hysteresis`, `alpha`, dynamic weights). It knows nothing of the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use kr_model::lvs::{Leaving, PoolSnapshot, RealServer, Verdict, VirtualServer};
use kr_model::units::Weight;
use kr_model::{CheckerId, Instant, RealServerId};

/// What is known of a checker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// It has not spoken yet; this is taken for granted.
    Assumed { up: bool },
    /// Its last verdict.
    Told { up: bool, weight: Option<Weight> },
}

impl Health {
    const fn up(self) -> bool {
        match self {
            Self::Assumed { up } | Self::Told { up, .. } => up,
        }
    }
}

/// A real server with the health of its checkers.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) config: RealServer,
    /// One for each of its checkers. They are few: a list takes a tenth of what a map would.
    health: Box<[(CheckerId, Health)]>,
}

impl Server {
    /// A server that was not there before: `alpha` checkers count as failed until they speak.
    fn new(config: RealServer) -> Self {
        let health = config
            .checkers
            .iter()
            .map(|checker| (checker.id, Health::Assumed { up: !checker.alpha }))
            .collect();
        Self { config, health }
    }

    /// A server that a reload keeps: equal checkers keep their verdicts. A new checker cannot take a
    /// living server down by `alpha` alone, only by a failure.
    fn kept(config: RealServer, before: &Self) -> Self {
        let alive = before.alive();
        let mut server = Self::new(config);
        for (id, health) in &mut server.health {
            match before.health(*id) {
                Some(known) => *health = known,
                None if alive => *health = Health::Assumed { up: true },
                None => {}
            }
        }
        server
    }

    fn health(&self, checker: CheckerId) -> Option<Health> {
        let mut list = self.health.iter();
        list.find(|(id, _)| *id == checker)
            .map(|(_, health)| *health)
    }

    /// What its checkers said; also what a successor would otherwise take for failed.
    fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.config.checkers.iter().filter_map(|binding| {
            let verdict = |up, weight| Verdict {
                checker: binding.id,
                up,
                weight,
            };
            match self.health(binding.id)? {
                Health::Told { up, weight } => Some(verdict(up, weight)),
                Health::Assumed { up: true } if binding.alpha => Some(verdict(true, None)),
                Health::Assumed { .. } => None,
            }
        })
    }

    /// Alive: no checker fails. A server without checkers always is.
    pub(crate) fn alive(&self) -> bool {
        self.health.iter().all(|(_, health)| health.up())
    }

    /// The configured weight plus what each dynamic check adds or takes, within what the kernel takes.
    pub(crate) fn weight(&self) -> Weight {
        let configured = i64::from(self.config.weight.get());
        let sum = self
            .health
            .iter()
            .fold(configured, |sum, (_, health)| match health {
                Health::Told {
                    up: true,
                    weight: Some(asked),
                } => sum.saturating_add(i64::from(asked.get()).saturating_sub(configured)),
                Health::Told { .. } | Health::Assumed { .. } => sum,
            });
        let clamped = u64::try_from(sum.clamp(0, i64::from(i32::MAX))).unwrap_or(0);
        Weight::try_from(clamped).unwrap_or(self.config.weight)
    }
}

/// What a verdict changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Something that a successor must know.
    pub(crate) publish: bool,
    /// The checker's state, when it changed.
    pub(crate) checker: Option<bool>,
    /// The server's state, when it changed or is to be announced.
    pub(crate) server: Option<bool>,
    /// Weight before and after, when it changed while the server stayed alive.
    pub(crate) weight: Option<(u32, u32)>,
}

/// A decision about a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) up: bool,
    /// Living weight it was made from.
    pub(crate) weight: u64,
    /// Weight it was compared with.
    pub(crate) threshold: u32,
}

/// A virtual server with its real servers.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pub(crate) config: VirtualServer,
    pub(crate) servers: BTreeMap<RealServerId, Server>,
    /// Servers that a reload took away and that still serve their connections, by address.
    leaving: BTreeMap<SocketAddr, Leaving>,
    quorum: bool,
    /// A reload took the virtual server away; it is there for those that leave alone.
    departed: bool,
}

impl Pool {
    /// A pool that was not there before. Its quorum counts as lost until [`Pool::decide`].
    pub(crate) fn new(config: VirtualServer, servers: Vec<RealServer>) -> Self {
        let servers = servers
            .into_iter()
            .map(|server| (server.id, Server::new(server)));
        Self {
            config,
            servers: servers.collect(),
            leaving: BTreeMap::new(),
            quorum: false,
            departed: false,
        }
    }

    /// A pool that a reload keeps. Servers that it takes away while they serve drain as they are configured.
    pub(crate) fn kept(
        config: VirtualServer,
        servers: Vec<RealServer>,
        before: &Self,
        now: Instant,
    ) -> Self {
        let mut leaving = before.leavers(now);
        for server in &servers {
            leaving.remove(&server.address);
        }
        let leaving = leaving.into_iter().take(PoolSnapshot::MOST_LEAVING);
        let leaving = leaving.collect();
        let servers = servers.into_iter().map(|server| {
            let id = server.id;
            match before.servers.get(&id) {
                Some(known) => (id, Server::kept(server, known)),
                None => (id, Server::new(server)),
            }
        });
        Self {
            config,
            servers: servers.collect(),
            leaving,
            quorum: before.quorum,
            departed: false,
        }
    }

    /// Its checkers with their real servers.
    pub(crate) fn checkers(&self) -> impl Iterator<Item = (CheckerId, RealServerId)> {
        self.servers.values().flat_map(|server| {
            let checkers = server.config.checkers.iter();
            checkers.map(|checker| (checker.id, server.config.id))
        })
    }

    /// Those that leave already, and every server that serves now and is configured to drain.
    fn leavers(&self, now: Instant) -> BTreeMap<SocketAddr, Leaving> {
        let mut leaving = self.leaving.clone();
        let serving = self.servers.values();
        let serving = serving.filter(|server| server.alive() && !self.sorry_active());
        for server in serving.filter(|server| !server.config.drain.is_zero()) {
            let leaver = Leaving {
                address: server.config.address,
                forwarding: server.config.forwarding,
                until: now.saturating_add(server.config.drain),
            };
            leaving.insert(leaver.address, leaver);
        }
        leaving
    }

    /// What stays of a pool whose virtual server a reload takes away: its services, for the servers that
    /// drain. `None` when none does.
    pub(crate) fn departed(self, now: Instant) -> Option<Self> {
        let leaving = self.leavers(now);
        let leaving = leaving.into_iter().take(PoolSnapshot::MOST_LEAVING);
        let leaving: BTreeMap<_, _> = leaving.collect();
        (!leaving.is_empty()).then(|| Self {
            config: VirtualServer {
                sorry_server: None,
                omega: false,
                ..self.config
            },
            servers: BTreeMap::new(),
            leaving,
            quorum: false,
            departed: true,
        })
    }

    /// What a predecessor of this process kept so.
    pub(crate) fn resumed_departed(config: VirtualServer, snapshot: &PoolSnapshot) -> Self {
        let leaving = snapshot.leaving.iter();
        Self {
            config,
            servers: BTreeMap::new(),
            leaving: leaving.map(|leaving| (leaving.address, *leaving)).collect(),
            quorum: false,
            departed: true,
        }
    }

    /// Its virtual server is not configured any more.
    pub(crate) const fn is_departed(&self) -> bool {
        self.departed
    }

    /// Takes over what a predecessor of this process knew.
    pub(crate) fn resume(&mut self, snapshot: &PoolSnapshot) {
        self.quorum = snapshot.quorum.unwrap_or(false);
        let leaving = snapshot.leaving.iter();
        self.leaving = leaving.map(|leaving| (leaving.address, *leaving)).collect();
        let verdicts: BTreeMap<_, _> = snapshot
            .verdicts
            .iter()
            .map(|verdict| (verdict.checker, verdict))
            .collect();
        for server in self.servers.values_mut() {
            for (id, health) in &mut server.health {
                if let Some(verdict) = verdicts.get(&*id) {
                    *health = Health::Told {
                        up: verdict.up,
                        weight: verdict.weight,
                    };
                }
            }
        }
    }

    /// The checkers whose state a successor of this process must be told.
    pub(crate) fn known_checkers(&self) -> BTreeSet<CheckerId> {
        let servers = self.servers.values();
        servers
            .flat_map(Server::verdicts)
            .map(|verdict| verdict.checker)
            .collect()
    }

    /// What a successor of this process needs to go on, with the verdicts of these checkers alone; in parts.
    pub(crate) fn publication(&self, checkers: &BTreeSet<CheckerId>) -> Vec<PoolSnapshot> {
        let snapshot = PoolSnapshot {
            id: self.config.id,
            quorum: Some(self.quorum),
            weight: self.living_weight(),
            verdicts: Vec::new(),
            leaving: self.leaving.values().copied().collect(),
        };
        if checkers.is_empty() {
            return vec![snapshot];
        }
        let verdicts: Vec<_> = self
            .servers
            .values()
            .flat_map(Server::verdicts)
            .filter(|verdict| checkers.contains(&verdict.checker))
            .collect();
        snapshot.parts(&verdicts)
    }

    /// Servers that still serve their connections.
    pub(crate) fn leaving(&self) -> impl Iterator<Item = &Leaving> {
        self.leaving.values()
    }

    /// Lets the servers go for which `is_over` is true, and returns them.
    pub(crate) fn release(&mut self, is_over: impl Fn(&Leaving) -> bool) -> Vec<Leaving> {
        let over: Vec<_> = self.leaving().filter(|one| is_over(one)).copied().collect();
        self.leaving.retain(|_, leaver| !is_over(leaver));
        over
    }

    /// Takes a verdict for one of its servers; `None` when the server or the checker is not here.
    pub(crate) fn tell(&mut self, server: RealServerId, verdict: &Verdict) -> Option<Change> {
        let server = self.servers.get_mut(&server)?;
        let (alive, weight) = (server.alive(), server.weight());
        let mut list = server.health.iter_mut();
        let (_, health) = list.find(|(id, _)| *id == verdict.checker)?;
        let before = *health;
        *health = Health::Told {
            up: verdict.up,
            weight: verdict.weight,
        };
        let publish = *health != before;
        // A server that never was up is announced as down once its first `alpha` check failed.
        let first_failure = before == Health::Assumed { up: false } && !verdict.up;
        let (now_alive, now_weight) = (server.alive(), server.weight());
        Some(Change {
            publish,
            checker: (before.up() != verdict.up).then_some(verdict.up),
            server: (alive != now_alive || first_failure).then_some(now_alive),
            weight: (alive && now_alive && weight != now_weight)
                .then_some((weight.get(), now_weight.get())),
        })
    }

    /// Sum of the weights of the living servers.
    pub(crate) fn living_weight(&self) -> u64 {
        self.servers
            .values()
            .filter(|server| server.alive())
            .fold(0, |sum, server| {
                sum.saturating_add(u64::from(server.weight().get()))
            })
    }

    /// Whether it has quorum, as last decided.
    pub(crate) const fn has_quorum(&self) -> bool {
        self.quorum
    }

    /// Whether the sorry server takes the traffic.
    pub(crate) const fn sorry_active(&self) -> bool {
        !self.quorum && self.config.sorry_server.is_some()
    }

    /// Decides about the quorum again and says so when it changed: gained at `quorum + hysteresis`,
    /// lost at zero or below `quorum - hysteresis`.
    pub(crate) fn decide(&mut self) -> Option<Decision> {
        let weight = self.living_weight();
        let (quorum, hysteresis) = (self.config.quorum, self.config.hysteresis);
        let decision = if self.quorum {
            let threshold = quorum.saturating_sub(hysteresis);
            Decision {
                up: weight > 0 && weight >= u64::from(threshold),
                weight,
                threshold,
            }
        } else {
            let threshold = quorum.saturating_add(hysteresis);
            Decision {
                up: weight >= u64::from(threshold),
                weight,
                threshold,
            }
        };
        let changed = decision.up != self.quorum;
        self.quorum = decision.up;
        changed.then_some(decision)
    }

    /// The decision of [`Pool::decide`] at the start of a pool that did not reach its quorum.
    pub(crate) fn missing(&self) -> Decision {
        Decision {
            up: false,
            weight: self.living_weight(),
            threshold: self.config.quorum.saturating_add(self.config.hysteresis),
        }
    }
}
