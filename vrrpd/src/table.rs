//! The kernel's links and addresses: changed and read anew through netlink, and known in between.

use kr_netlink::route::{Change, Event, Requests};

use crate::kernel::Kernel;

/// The kernel's tables as this process knows them.
#[derive(Debug)]
pub(crate) struct Table {
    requests: Requests,
    kernel: Kernel,
}

impl Table {
    /// Tables that hold nothing until they are read.
    pub(crate) fn new(requests: Requests) -> Self {
        Self {
            requests,
            kernel: Kernel::default(),
        }
    }

    /// What is known.
    pub(crate) const fn kernel(&self) -> &Kernel {
        &self.kernel
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

    /// Makes changes and follows those that the kernel took; the others are logged.
    pub(crate) fn make(&mut self, changes: &[Change<'_>]) {
        if changes.is_empty() {
            return;
        }
        let outcomes = match self.requests.apply(changes) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // Some of the changes may have been made.
                log::error!("cannot change addresses: {error}");
                self.refresh();
                return;
            }
        };
        for (change, outcome) in changes.iter().zip(outcomes) {
            match outcome {
                Ok(()) => self.kernel.made(*change),
                Err(errno) => {
                    let (what, local, link) = match change {
                        Change::Add { link, address } => ("set", address.address, *link),
                        Change::Remove(place) => ("remove", place.local, place.link),
                    };
                    let name = self.kernel.name(link);
                    log::error!("cannot {what} {local} on {name}: {errno}");
                }
            }
        }
    }
}
