//! Traffic of virtual addresses in no-accept mode (`no_accept`, strict mode) is dropped while this router is
//! master: by packet filter tables of its own, which [`Plan`] decides on.
//!
//! The same tables keep what the kernel says of itself on VMACs from the network.
//!
//! An address is in the tables before it is set, and leaves them after it was removed. Tables that others change
//! are made anew, in one step.

mod plan;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use kr_child::Duty;
use kr_model::Instant;
use kr_model::firewall::FirewallSettings;
use kr_netlink::nft::{self, Entry};
use kr_netlink::socket::NetlinkError;
use nix::errno::Errno;

use plan::Plan;

pub(crate) use plan::{Owner, Tables, entries, tables, vmac_entries};

/// First pause before a refused transaction is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The way to the kernel's tables.
#[derive(Debug)]
enum Access {
    /// The configuration at the start of this process had no use for it. The parent starts another process when
    /// one comes that has.
    Unasked,
    /// The kernel gave no socket.
    Refused(Errno),
    /// It is open.
    Open(nft::Tables),
}

/// The packet filter of this process.
#[derive(Debug)]
pub(crate) struct Firewall {
    access: Access,
    plan: Plan,
    /// When the tables are made anew.
    retry_at: Option<Instant>,
    pause: Duration,
    /// What was said of a failure.
    said: Option<NetlinkError>,
    /// When the tables were last made anew because others had changed them.
    mended_at: Option<Instant>,
}

impl Firewall {
    /// Opens what the duty of this process asks for.
    pub(crate) fn open(duty: Duty) -> Self {
        let access = match duty {
            Duty::Firewall => match nft::Tables::open() {
                Ok(tables) => Access::Open(tables),
                Err(errno) => Access::Refused(errno),
            },
            Duty::Usual | Duty::Sockets | Duty::LowPorts => Access::Unasked,
        };
        Self {
            access,
            plan: Plan::default(),
            retry_at: None,
            pause: FIRST_PAUSE,
            said: None,
            mended_at: None,
        }
    }

    /// The descriptor that tells of changes by others.
    pub(crate) fn events(&self) -> Option<BorrowedFd<'_>> {
        match &self.access {
            Access::Open(tables) => Some(tables.as_fd()),
            Access::Unasked | Access::Refused(_) => None,
        }
    }

    /// True when no table is there or shall be.
    pub(crate) fn is_idle(&self) -> bool {
        self.plan.is_empty()
    }

    /// IPv4 VMACs need no rules.
    pub(crate) const fn leaves_igmp(&self) -> bool {
        self.plan.leaves_igmp()
    }

    /// True when entries name interfaces by index, which changes with the interface.
    pub(crate) const fn by_index(&self) -> bool {
        self.plan.by_index()
    }

    /// A configuration comes into force. Until [`Self::release`], what is dropped now stays dropped.
    pub(crate) fn hold(&mut self, settings: FirewallSettings, tables: &Tables) {
        self.plan.hold(settings, tables);
    }

    /// The configuration is in force, with these tables; claims follow.
    pub(crate) fn release(&mut self, tables: Tables) {
        self.plan.release(tables);
    }

    /// Who has entries.
    pub(crate) fn owners(&self) -> Vec<Owner> {
        self.plan.owners()
    }

    /// An owner wants these entries and no others.
    pub(crate) fn claim(&mut self, owner: Owner, entries: BTreeSet<Entry>) {
        self.plan.claim(owner, entries);
    }

    /// Makes the kernel hold what is wanted. A failure is said once, and tried again.
    pub(crate) fn settle(&mut self, now: Instant) {
        if self.plan.is_empty() {
            return;
        }
        let tables = match &mut self.access {
            Access::Open(tables) => tables,
            Access::Unasked => return,
            Access::Refused(errno) => {
                let error = NetlinkError::Os(*errno);
                return self.failed(error, now);
            }
        };
        let mut outcome = tables.commit(&self.plan.transaction());
        if outcome.is_err() {
            // The tables may not be what this process made.
            self.plan.lost();
            outcome = tables.commit(&self.plan.transaction());
        }
        if outcome == Err(NetlinkError::Os(Errno::ENOENT)) && self.plan.avoid_duplicates() {
            log::warn!(
                "this kernel cannot duplicate packets (nft_dup_ipv4, nft_dup_ipv6): multicast reports of VMACs are dropped"
            );
            outcome = tables.commit(&self.plan.transaction());
        }
        match outcome {
            Ok(()) => self.succeeded(),
            Err(error) => self.failed(error, now),
        }
    }

    fn succeeded(&mut self) {
        self.plan.done();
        self.retry_at = None;
        if self.said.take().is_some() {
            self.pause = FIRST_PAUSE;
            log::info!("the packet filter is set now, which the kernel had refused");
        }
    }

    fn failed(&mut self, error: NetlinkError, now: Instant) {
        self.plan.lost();
        if !self.plan.wants_tables() {
            log::error!(
                "cannot remove the packet filter table `{}`: {}",
                self.plan.table(),
                nft::explain(error)
            );
            return;
        }
        if self.said.replace(error) != Some(error) {
            log::error!(
                "the packet filter cannot be set: {}; until it is, traffic to and from virtual addresses is accepted in \
                 spite of no_accept and strict mode, and multicast reports of VMACs reach the network; trying again, \
                 at least once a minute",
                nft::explain(error)
            );
        }
        self.put_off(now);
    }

    fn put_off(&mut self, now: Instant) {
        self.retry_at = Some(now.saturating_add(self.pause));
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
    }

    /// Hears what others did to the tables; true when more is waiting.
    pub(crate) fn hear(&mut self, now: Instant) -> bool {
        let Access::Open(tables) = &mut self.access else {
            return false;
        };
        let heard = tables.hear(self.plan.table());
        if heard.touched && self.plan.wants_tables() && self.retry_at.is_none() {
            self.mend_soon(now);
        }
        heard.more
    }

    /// At once, unless that was done a short while ago: two programs with one table shall not wear out a host.
    fn mend_soon(&mut self, now: Instant) {
        self.plan.lost();
        let recent = |at: Instant| at.saturating_add(LONGEST_PAUSE) > now;
        if self.mended_at.is_some_and(recent) {
            self.put_off(now);
        } else {
            self.pause = FIRST_PAUSE;
            self.retry_at = Some(now);
        }
        self.mended_at = Some(now);
        log::warn!(
            "another program changed the packet filter table `{}`; making it anew. If that is another keepalived, \
             give one of them another table (`nftables NAME` in global_defs)",
            self.plan.table()
        );
    }

    /// When [`Self::mend`] has something to do.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Tries again what failed, and makes anew what others changed.
    pub(crate) fn mend(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.settle(now);
        }
    }

    /// Removes the tables.
    pub(crate) fn remove(&mut self, now: Instant) {
        self.plan.clear();
        self.retry_at = None;
        self.settle(now);
    }
}
