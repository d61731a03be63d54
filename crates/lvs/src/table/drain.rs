//! `drain_timeout`: servers that a reload takes away, alone or with their whole virtual server, stay in the
//! kernel's table with weight 0 until their time is over or nobody uses them any more.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use kr_model::lvs::{Leaving, PoolSnapshot, ServiceKey};
use kr_model::{Instant, VirtualServerId};

use super::{Action, Table};
use crate::event::Event;
use crate::pool::Pool;
use crate::wanted::address;

impl Table {
    /// When the first of the servers that leave has to be gone.
    pub(super) fn first_leaver(&self) -> Option<Instant> {
        let leavers = self.pools.values().flat_map(Pool::leaving);
        leavers.map(|leaver| leaver.until).min()
    }

    /// Keeps what a virtual server leaves behind that a reload took away, as far as no other one has its
    /// services now.
    pub(super) fn depart(&mut self, pool: Pool, now: Instant) {
        let is_news = !pool.is_departed();
        let id = pool.config.id;
        let Some(mut pool) = pool.departed(now) else {
            self.forget_departed(id);
            return;
        };
        pool.config
            .services
            .retain(|key| !self.owners.contains_key(key));
        if pool.config.services.is_empty() {
            self.forget_departed(id);
            return;
        }
        for key in &pool.config.services {
            self.owners.insert(*key, vec![id]);
        }
        for leaver in pool.leaving().filter(|_| is_news) {
            self.queue.push_back(Action::Log(Event::Leaves {
                server: leaver.address,
                service: pool.config.label.clone(),
                time: leaver.until.since(now),
            }));
        }
        self.pools.insert(id, pool);
        self.publish.entry(id).or_default();
    }

    /// Lets the parent forget a virtual server that a reload took away: nothing is left of it.
    fn forget_departed(&mut self, id: VirtualServerId) {
        self.publish.remove(&id);
        let nothing = PoolSnapshot {
            id,
            quorum: None,
            weight: 0,
            verdicts: Vec::new(),
            leaving: Vec::new(),
        };
        self.queue.push_back(Action::Publish(Box::new(nothing)));
    }

    /// Whether a virtual server that is not configured is still in the kernel.
    pub(super) fn has_departed(&self) -> bool {
        self.pools.values().any(Pool::is_departed)
    }

    /// Lets go of the servers whose time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        if self.next_leaver.is_none_or(|at| at > now) {
            return;
        }
        self.release(false, |_, leaver| leaver.until <= now);
    }

    /// Takes note of which destinations of these services nobody uses, and lets go of those that only waited for
    /// that. A server of several services goes when it is idle in all.
    pub(super) fn idle(
        &mut self,
        services: &[ServiceKey],
        idle: BTreeSet<(ServiceKey, SocketAddr)>,
    ) {
        if self.next_leaver.is_none() {
            self.idle.clear();
            return;
        }
        let read: BTreeSet<_> = services.iter().collect();
        self.idle.retain(|(key, _)| !read.contains(key));
        self.idle.extend(idle);
        let idle = std::mem::take(&mut self.idle);
        self.release(true, |services, leaver| {
            services
                .iter()
                .all(|key| idle.contains(&(*key, address(*key, leaver.address, leaver.forwarding))))
        });
        self.idle = idle;
    }

    /// Lets go of servers that leave, for this reason.
    fn release(&mut self, idle: bool, is_over: impl Fn(&[ServiceKey], &Leaving) -> bool) {
        let mut over = Vec::new();
        for (id, pool) in &mut self.pools {
            let services = std::mem::take(&mut pool.config.services);
            let gone = pool.release(|leaver| is_over(&services, leaver));
            pool.config.services = services;
            over.extend(gone.into_iter().map(|leaver| (*id, leaver)));
        }
        for (id, leaver) in over {
            self.left(id, leaver, idle);
        }
        self.next_leaver = self.first_leaver();
    }

    fn left(&mut self, id: VirtualServerId, leaver: Leaving, idle: bool) {
        self.touch(id);
        let Some(pool) = self.pools.get(&id) else {
            return;
        };
        self.queue.push_back(Action::Log(Event::Left {
            server: leaver.address,
            service: pool.config.label.clone(),
            idle,
        }));
        if !pool.is_departed() || pool.leaving().next().is_some() {
            self.publish.entry(id).or_default();
        } else if let Some(pool) = self.pools.remove(&id) {
            self.forget_departed(id);
            for key in &pool.config.services {
                self.owners.remove(key);
            }
            if !self.has_departed() {
                self.queue.push_back(Action::PublishRemains(false));
            }
        }
    }
}
