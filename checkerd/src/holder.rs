//! `ha_suspend` with its sources: the addresses of this host, followed over netlink, and what the VRRP process
//! says of its instances.

use std::net::IpAddr;
use std::os::fd::AsFd as _;

use kr_check::presence::Presence;
use kr_event::EventLoop;
use kr_ipc::Instances;
use kr_model::CheckerId;
use kr_model::check::Suspension;
use kr_netlink::route::{Events, Requests};
use mio::{Interest, Token};
use nix::errno::Errno;
use std::collections::BTreeSet;

/// The addresses of this host. Opened before the sandbox is entered, which allows no socket of this kind.
#[derive(Debug)]
pub(crate) struct LocalAddresses {
    events: Events,
    requests: Requests,
}

impl LocalAddresses {
    /// Starts to follow them.
    ///
    /// # Errors
    /// When the kernel gives no socket.
    pub(crate) fn open() -> Result<Self, Errno> {
        Ok(Self {
            events: Events::open()?,
            requests: Requests::open()?,
        })
    }

    /// All of them as they are now. `None`: they cannot be read, which was logged.
    fn read(&mut self) -> Option<Vec<IpAddr>> {
        match self.requests.addresses() {
            Ok(read) => Some(read.iter().map(|one| one.place.local.address()).collect()),
            Err(error) => {
                log::error!("the addresses of this host cannot be read (ha_suspend): {error}");
                None
            }
        }
    }
}

/// Decides whose checkers run.
#[derive(Debug)]
pub(crate) struct Holder {
    presence: Presence,
    /// `None`: the kernel gives no such socket, and nothing is suspended.
    local: Option<LocalAddresses>,
}

impl Holder {
    /// Nothing is suspended yet. Changes of addresses will be told under this token.
    pub(crate) fn new(
        local: Option<LocalAddresses>,
        events: &EventLoop,
        token: Token,
    ) -> std::io::Result<Self> {
        if let Some(local) = &local {
            events.register_for(local.events.as_fd(), token, Interest::READABLE)?;
        }
        Ok(Self {
            presence: Presence::default(),
            local,
        })
    }

    /// These checkers follow addresses from now on; returns those that do not run.
    pub(crate) fn configure(
        &mut self,
        suspensions: Vec<Suspension>,
        instances: &Instances,
    ) -> BTreeSet<CheckerId> {
        if self.local.is_none() && !suspensions.is_empty() {
            log::error!("no netlink socket: ha_suspend has no effect");
            return BTreeSet::new();
        }
        self.presence.configure(suspensions);
        self.read_addresses();
        self.presence.set_masters(instances.masters());
        self.decide();
        self.presence.suspended()
    }

    /// Addresses changed. Returns the checkers that do not run, when that is news.
    pub(crate) fn addresses_changed(&mut self) -> Option<BTreeSet<CheckerId>> {
        if let Some(local) = &mut self.local {
            // What changed is of no interest: all is read anew.
            local.events.discard();
        }
        self.read_addresses();
        self.decide().then(|| self.presence.suspended())
    }

    /// Instances changed. Returns the checkers that do not run, when that is news.
    pub(crate) fn instances_changed(
        &mut self,
        instances: &Instances,
    ) -> Option<BTreeSet<CheckerId>> {
        self.presence.set_masters(instances.masters());
        self.decide().then(|| self.presence.suspended())
    }

    fn read_addresses(&mut self) {
        if !self.presence.is_wanted() {
            return;
        }
        if let Some(read) = self.local.as_mut().and_then(LocalAddresses::read) {
            self.presence.set_addresses(read);
        }
    }

    fn decide(&mut self) -> bool {
        let changes = self.presence.decide();
        for change in &changes {
            let service = &change.service;
            if change.runs {
                log::info!("checks of {service} run: this host holds its address");
            } else {
                log::info!(
                    "checks of {service} are suspended: this host does not hold its address \
                     (ha_suspend)"
                );
            }
        }
        !changes.is_empty()
    }
}
