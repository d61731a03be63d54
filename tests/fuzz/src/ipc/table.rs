//! The IPVS process's machine beside a kernel that does everything it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use kr_lvs::{Action, Configuration, Input, Outcome, Table};
use kr_model::Instant;
use kr_model::ipvs::Operation;
use kr_model::lvs::{ConnectionTimeouts, ServiceKey};

/// What the kernel says at first.
const TIMEOUTS: ConnectionTimeouts = ConnectionTimeouts {
    tcp: 900,
    tcp_fin: 120,
    udp: 300,
};

/// What a configuration permits: its services, and their real and sorry servers.
#[derive(Default)]
pub(crate) struct Permitted(BTreeMap<ServiceKey, BTreeSet<SocketAddr>>);

impl Permitted {
    /// Adds what a configuration names. Services are left permitted after a reload, for their removal.
    pub(crate) fn add(&mut self, configuration: &Configuration) {
        for server in &configuration.virtual_servers {
            let real = configuration
                .real_servers
                .iter()
                .filter(|real| real.virtual_server == server.id)
                .map(|real| real.address);
            let sorry = server.sorry_server.map(|sorry| sorry.address);
            let addresses: Vec<_> = real.chain(sorry).collect();
            for key in &server.services {
                self.0.entry(*key).or_default().extend(&addresses);
            }
        }
        for key in &configuration.resume.former {
            self.0.entry(*key).or_default();
        }
    }

    fn check(&self, operation: &Operation) {
        let (key, address) = match *operation {
            Operation::Flush | Operation::SetTimeouts(_) => return,
            Operation::AddService { key, .. }
            | Operation::SetService { key, .. }
            | Operation::RemoveService { key } => (key, None),
            Operation::AddDestination { key, address, .. }
            | Operation::SetDestination { key, address, .. }
            | Operation::RemoveDestination { key, address } => (key, Some(address)),
        };
        let known = self
            .0
            .get(&key)
            .unwrap_or_else(|| panic!("{operation}: no such service"));
        // A service of a mark or of any port sends to the port as it came, which is no address of ours.
        let host = |at: &SocketAddr| at.ip().to_canonical();
        assert!(
            address.is_none_or(|address| known.iter().any(|at| host(at) == host(&address))),
            "{operation}: no such server"
        );
    }
}

/// Hands an input in and carries everything out that follows from it. Only what is permitted follows.
pub(crate) fn give(table: &mut Table, permitted: &Permitted, input: Input, now: Instant) {
    table.handle(input, now);
    // Every answer leads to the next action until the table is as wanted.
    for _ in 0..1_000 {
        match table.poll_action() {
            None => return,
            Some(Action::Read { .. }) => table.handle(Input::Read(Default::default()), now),
            Some(Action::Apply(operations)) => {
                let done = |operation: Operation| {
                    permitted.check(&operation);
                    Outcome {
                        operation,
                        refused: None,
                    }
                };
                let outcomes = operations.into_iter().map(done).collect();
                table.handle(Input::Applied(outcomes), now);
            }
            Some(Action::Log(event)) => assert!(!event.to_string().is_empty()),
            Some(Action::ReadSync) => table.handle(Input::Sync(Default::default()), now),
            Some(Action::ChangeSync(change)) => {
                assert!(!change.to_string().is_empty());
                table.handle(Input::SyncChanged(None), now);
            }
            Some(Action::ReadTimeouts) => table.handle(Input::Timeouts(TIMEOUTS), now),
            Some(
                Action::Notify(_)
                | Action::Publish(_)
                | Action::PublishTimeouts(_)
                | Action::PublishRemains(_)
                | Action::Installed(_)
                | Action::Finished,
            ) => {}
        }
    }
    panic!("the table does not come to rest");
}
