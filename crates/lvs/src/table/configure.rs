//! A configuration takes effect: the first one, one after a crash, or a reload. Pools and servers that
//! stay keep their state; the kernel's table then follows by difference, so equal objects see no write.

use std::collections::BTreeMap;

use kr_model::lvs::{RealServer, ServiceKey, VirtualServer};
use kr_model::{Instant, RealServerId, VirtualServerId};

use super::{Action, Configuration, Kept, Phase, Resume, Table};
use crate::event::{Event, Notice, Reason};
use crate::pool::Pool;

impl Table {
    /// Puts a configuration into force.
    pub(super) fn configure(&mut self, configuration: Configuration, now: Instant) {
        let Configuration {
            generation,
            global,
            virtual_servers,
            real_servers,
            kept,
            resume,
        } = configuration;
        if self.phase == Phase::Waiting {
            // A predecessor that crashed has flushed already, and the table is full of our services.
            self.flush = global.flush_at_start && resume == Resume::default();
            self.unread.extend(resume.former);
        }
        self.phase = Phase::Running;
        self.generation = generation;
        self.global = global;
        self.timeouts
            .configure(self.global.timeouts, resume.timeouts);
        self.sync.configure(self.global.sync.clone(), resume.sync);

        let order = in_order(&virtual_servers, &kept);
        let mut before = self.keep_only(&kept);
        let mut servers: BTreeMap<VirtualServerId, Vec<RealServer>> = BTreeMap::new();
        for server in real_servers {
            servers
                .entry(server.virtual_server)
                .or_default()
                .push(server);
        }
        let departed = resume.departed;
        let pools = resume.pools.into_iter();
        let resume: BTreeMap<_, _> = pools.map(|pool| (pool.id, pool)).collect();
        let mut given = Vec::new();
        for config in virtual_servers {
            let id = config.id;
            let members = servers.remove(&id).unwrap_or_default();
            let old = before.remove(&id);
            let mut pool = match &old {
                Some(old) => Pool::kept(config, members, old, now),
                None => Pool::new(config, members),
            };
            let resumed = resume.get(&id);
            if let Some(snapshot) = resumed {
                pool.resume(snapshot);
            }
            for (checker, server) in pool.checkers() {
                self.checkers.insert(checker, (id, server));
            }
            self.pools.insert(id, pool);
            self.touch(id);
            given.push((id, old, resumed.is_some()));
        }
        self.take_services(&order);
        let had_departed = before.values().any(Pool::is_departed);
        for pool in before.into_values() {
            self.say_removed(&pool);
            self.depart(pool, now);
        }
        for config in departed {
            if let Some(snapshot) = resume.get(&config.id) {
                self.depart(Pool::resumed_departed(config, snapshot), now);
            }
        }
        let has_departed = self.has_departed();
        if has_departed || had_departed {
            self.queue.push_back(Action::PublishRemains(has_departed));
        }
        for (id, old, resumed) in given {
            match old {
                Some(old) => self.say_reloaded(id, &old, now),
                None if resumed => self.decide(id, Reason::Checks),
                None => self.say_started(id),
            }
            let checkers = self.pools.get(&id).map(Pool::known_checkers);
            self.publish.insert(id, checkers.unwrap_or_default());
        }
        self.next_leaver = self.first_leaver();
        let unknown = self
            .owners
            .keys()
            .filter(|key| !self.present.contains_key(key));
        self.unread.extend(unknown);
        // What was refused is tried again.
        let refused = self.refused.keys().filter_map(|(key, _)| *key);
        self.dirty.extend(refused);
        self.refused.clear();
        self.installing = Some(0);
    }

    /// Leaves the pools that stay as they are, and returns the others, with everything that points to them taken
    /// away.
    fn keep_only(&mut self, kept: &[Kept]) -> BTreeMap<VirtualServerId, Pool> {
        let mut before = std::mem::take(&mut self.pools);
        let stay = kept.iter();
        let stay = stay.filter_map(|kept| Some((kept.id, before.remove(&kept.id)?)));
        self.pools = stay.collect();
        for pool in before.values() {
            self.publish.remove(&pool.config.id);
            self.dirty.extend(pool.config.services.iter().copied());
            for (checker, _) in pool.checkers() {
                self.checkers.remove(&checker);
            }
        }
        before
    }

    /// Notes which pools, in this order, stand behind each service. Services for which that changes are compared
    /// with what is wanted, also those that have none any more and are still in the kernel.
    fn take_services(&mut self, order: &[VirtualServerId]) {
        let mut owners: BTreeMap<ServiceKey, Vec<VirtualServerId>> = BTreeMap::new();
        for id in order {
            let pool = self.pools.get(id);
            for key in pool.iter().flat_map(|pool| &pool.config.services) {
                owners.entry(*key).or_default().push(*id);
            }
        }
        let before = std::mem::replace(&mut self.owners, owners);
        let changed = self.owners.iter();
        let changed = changed.filter(|(key, ids)| before.get(*key) != Some(ids));
        self.dirty.extend(changed.map(|(key, _)| *key));
        let foreign = self.present.keys();
        let foreign = foreign.filter(|key| !self.owners.contains_key(key));
        self.dirty.extend(foreign.copied());
    }

    /// A virtual server that a reload removed: its living servers and its quorum end.
    fn say_removed(&mut self, pool: &Pool) {
        for server in pool.servers.values().filter(|server| server.alive()) {
            self.notify_server(server.config.id, false, Reason::Removed);
        }
        if pool.has_quorum() {
            self.queue.push_back(Action::Notify(Notice::QuorumChanged {
                virtual_server: pool.config.id,
                up: false,
                weight: 0,
                reason: Reason::Removed,
            }));
        }
    }

    /// A virtual server that a reload kept: servers that went, came or changed, then the quorum.
    fn say_reloaded(&mut self, id: VirtualServerId, old: &Pool, now: Instant) {
        let Some(pool) = self.pools.get(&id) else {
            return;
        };
        let gone: Vec<RealServerId> = old
            .servers
            .iter()
            .filter(|(server, state)| state.alive() && !pool.servers.contains_key(server))
            .map(|(server, _)| *server)
            .collect();
        let mut changed = Vec::new();
        for (server, state) in &pool.servers {
            match old.servers.get(server) {
                Some(known) if known.alive() != state.alive() => {
                    changed.push((*server, state.alive(), Reason::Checks));
                }
                None if self.global.announce_at_start && state.alive() => {
                    changed.push((*server, true, Reason::Start));
                }
                Some(_) | None => {}
            }
        }
        for leaver in pool.leaving() {
            let known = old.leaving().any(|known| known.address == leaver.address);
            if !known {
                self.queue.push_back(Action::Log(Event::Leaves {
                    server: leaver.address,
                    service: pool.config.label.clone(),
                    time: leaver.until.since(now),
                }));
            }
        }
        for server in gone {
            self.notify_server(server, false, Reason::Removed);
        }
        for (server, up, reason) in changed {
            self.announce_server(id, server, up, reason);
        }
        self.decide(id, Reason::Checks);
    }

    /// A virtual server that was not there before. Servers that start alive are told only with
    /// `rs_init_notifies`; a quorum that is not reached only when a sorry server stands in.
    fn say_started(&mut self, id: VirtualServerId) {
        let Some(pool) = self.pools.get_mut(&id) else {
            return;
        };
        let decision = pool.decide();
        let missing = pool.missing();
        let sorry = pool.sorry_active();
        let alive: Vec<_> = pool
            .servers
            .values()
            .filter(|server| server.alive())
            .map(|server| server.config.id)
            .collect();
        if self.global.announce_at_start {
            for server in alive {
                self.announce_server(id, server, true, Reason::Start);
            }
        }
        match decision {
            Some(gained) => self.announce_quorum(id, gained, Some(Reason::Start)),
            None => self.announce_quorum(id, missing, sorry.then_some(Reason::Start)),
        }
    }
}

/// The virtual servers of a configuration in its order.
fn in_order(given: &[VirtualServer], kept: &[Kept]) -> Vec<VirtualServerId> {
    let mut order = Vec::with_capacity(given.len() + kept.len());
    let mut kept = kept.iter().peekable();
    for (place, server) in given.iter().enumerate() {
        while let Some(before) = kept.next_if(|kept| kept.place <= place) {
            order.push(before.id);
        }
        order.push(server.id);
    }
    order.extend(kept.map(|last| last.id));
    order
}
