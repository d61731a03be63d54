//! The kernel's links and addresses: changed and read anew through netlink, and known in between.

use kr_model::Instant;
use kr_netlink::route::{Change, Event, Link, LinkChange, Place, Requests};
use kr_netlink::socket::NetlinkError;
use nix::errno::Errno;

use crate::kernel::Kernel;
use crate::refusals::{Refusals, advice};

/// The kernel's tables as this process knows them.
#[derive(Debug)]
pub(crate) struct Table {
    requests: Requests,
    kernel: Kernel,
    refusals: Refusals,
}

impl Table {
    /// Tables that hold nothing until they are read.
    pub(crate) fn new(requests: Requests) -> Self {
        Self {
            requests,
            kernel: Kernel::default(),
            refusals: Refusals::default(),
        }
    }

    /// What is known.
    pub(crate) const fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What the kernel did not take.
    pub(crate) const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Follows a change that the kernel tells of.
    pub(crate) fn follow(&mut self, event: Event) {
        self.kernel.apply(event);
    }

    /// Reads links and addresses; what cannot be read stays as it was known.
    pub(crate) fn refresh(&mut self) {
        let links = self.requests.links();
        match links.and_then(|links| Ok(Kernel::new(links, self.requests.addresses()?))) {
            Ok(read) => self.kernel = read,
            Err(error) => log::error!("cannot read links and addresses: {error}"),
        }
    }

    /// Makes a change of a link, and looks what became of it; `None` when it is gone.
    pub(crate) fn change_link(
        &mut self,
        change: &LinkChange,
    ) -> Result<Option<Link>, NetlinkError> {
        self.requests.change_link(change)?;
        let name = match change {
            LinkChange::Make(new) => new.name.clone(),
            LinkChange::Set(link, _) | LinkChange::Enable(link) => match self.kernel.link(*link) {
                Some(known) => known.name.clone(),
                None => return Ok(None),
            },
            LinkChange::Remove(link) => {
                self.kernel.apply(Event::LinkGone(*link));
                return Ok(None);
            }
        };
        let link = self.requests.link(&name)?;
        self.kernel.apply(Event::Link(link.clone()));
        Ok(Some(link))
    }

    /// `net.ipv4.conf.all.rp_filter`.
    pub(crate) fn rp_filter_of_all(&mut self) -> Result<i32, NetlinkError> {
        self.requests.rp_filter_of_all()
    }

    /// An address is not wanted any more.
    pub(crate) fn forget(&mut self, place: Place) {
        self.refusals.forget(&place);
    }

    /// Makes the changes of a further try, whose time has come.
    pub(crate) fn make_again(&mut self, changes: &[Change<'_>], now: Instant) {
        self.refusals.retrying(now);
        self.make(changes, now);
    }

    /// Makes changes and follows those that the kernel took; the others are logged, and additions are tried
    /// again at [`Refusals::deadline`].
    pub(crate) fn make(&mut self, changes: &[Change<'_>], now: Instant) {
        if changes.is_empty() {
            return;
        }
        let outcomes = match self.requests.apply(changes) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // Some of the changes may have been made.
                log::error!("cannot change addresses: {error}; trying again");
                self.refresh();
                let additions = changes.iter().filter_map(|change| match *change {
                    Change::Add { link, address } | Change::Renew { link, address } => {
                        Some(Place::of(link, address))
                    }
                    Change::Remove(_) => None,
                });
                for place in additions.filter(|place| !self.kernel.holds(*place)) {
                    self.refusals.refused(place, Errno::EAGAIN, now);
                }
                return;
            }
        };
        for (change, outcome) in changes.iter().zip(outcomes) {
            if outcome.is_ok() {
                self.kernel.made(*change);
            }
            match *change {
                Change::Add { link, address } | Change::Renew { link, address } => {
                    self.follow_addition(Place::of(link, address), outcome, now);
                }
                Change::Remove(place) => {
                    self.refusals.forget(&place);
                    if let Err(errno) = outcome {
                        let name = self.kernel.name(place.link);
                        log::error!("cannot remove {} from {name}: {errno}", place.local);
                    }
                }
            }
        }
    }

    fn follow_addition(&mut self, place: Place, outcome: Result<(), Errno>, now: Instant) {
        let name = self.kernel.name(place.link);
        let local = place.local;
        match outcome {
            Ok(()) => {
                if self.refusals.forget(&place) {
                    log::info!("{local} is set on {name} now, which the kernel had refused");
                }
            }
            Err(errno) => {
                if self.refusals.refused(place, errno, now) {
                    let advice = advice(place, errno);
                    log::error!(
                        "cannot set {local} on {name}: {errno}; {advice}; trying again, at least once \
                         a minute"
                    );
                }
            }
        }
    }
}
