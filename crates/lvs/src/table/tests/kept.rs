//! Virtual servers that a reload only names: everything is as if they had been configured again.

use proptest::prelude::*;

use super::*;

const POOLS: u32 = 4;

/// A firewall mark that two of the virtual servers share.
fn mark() -> ServiceKey {
    ServiceKey::Fwmark {
        family: kr_model::net::Family::Inet,
        mark: std::num::NonZeroU32::new(7).unwrap(),
    }
}

/// One virtual server: there or not, its scheduler, whether it shares the mark, and its real servers with their
/// weights and whether they drain.
type Draft = Option<(bool, bool, Vec<(u64, bool)>)>;

fn draft() -> impl Strategy<Value = Draft> {
    let servers = proptest::collection::vec((0_u64..3, any::<bool>()), 0..3);
    proptest::option::weighted(0.8, (any::<bool>(), any::<bool>(), servers))
}

/// Virtual servers 1 to 4, each with up to two real servers.
fn built(generation: u64, drafts: &[Draft]) -> Configuration {
    let mut config = configuration(virtual_server(), vec![]);
    config.virtual_servers.clear();
    config.generation = Generation(generation);
    for (draft, n) in drafts.iter().zip(1_u8..) {
        let Some((hashed, shares, servers)) = draft else {
            continue;
        };
        let mut vs = virtual_server();
        vs.id = VirtualServerId(n.into());
        if *hashed {
            vs.scheduler = Scheduler::SourceHash;
        }
        vs.services = vec![if *shares { mark() } else { vip(n.into()) }];
        config.virtual_servers.push(vs);
        for ((weight, drains), k) in servers.iter().zip(1..) {
            let mut server = real_server(10 * n + k);
            server.virtual_server = VirtualServerId(n.into());
            server.weight = Weight::try_from(*weight).unwrap();
            server.drain = Duration::from_secs(if *drains { 10 } else { 0 });
            config.real_servers.push(server);
        }
    }
    config
}

/// The same with what is equal in the one before only named.
fn shortened(before: &Configuration, mut new: Configuration) -> Configuration {
    let of = |config: &Configuration, id| -> Vec<RealServer> {
        let servers = config.real_servers.iter();
        let own = servers.filter(|server| server.virtual_server == id);
        own.cloned().collect()
    };
    let mut given = Vec::new();
    for vs in std::mem::take(&mut new.virtual_servers) {
        let id = vs.id;
        if before.virtual_servers.contains(&vs) && of(before, id) == of(&new, id) {
            let place = given.len();
            new.kept.push(Kept { id, place });
            new.real_servers
                .retain(|server| server.virtual_server != id);
        } else {
            given.push(vs);
        }
    }
    new.virtual_servers = given;
    new
}

proptest! {
    #[test]
    fn naming_what_stays_does_what_telling_it_all_does(
        configurations in proptest::collection::vec(
            proptest::collection::vec(draft(), POOLS as usize),
            2..6,
        ),
        verdicts in proptest::collection::vec((11_u32..43, any::<bool>()), 0..40),
        refused in any::<bool>(),
    ) {
        let (mut whole, mut short) = (Lab::new(), Lab::new());
        let mut before = built(1, &[]);
        let mut verdicts = verdicts.chunks(8);
        for (drafts, generation) in configurations.iter().zip(1..) {
            let new = built(generation, drafts);
            let named = shortened(&before, new.clone());
            for (lab, config) in [(&mut whole, &new), (&mut short, &named)] {
                lab.refuses = (refused && generation == 1).then(mark);
                lab.input(Input::Configure(Box::new(config.clone())));
            }
            for (checker, up) in verdicts.next().into_iter().flatten() {
                whole.tell(*checker, *up);
                short.tell(*checker, *up);
            }
            prop_assert_eq!(&whole.kernel, &short.kernel);
            prop_assert_eq!(&whole.operations, &short.operations);
            prop_assert_eq!(&whole.notices, &short.notices);
            prop_assert_eq!(&whole.installed, &short.installed);
            let states = |lab: &Lab| -> BTreeMap<_, _> {
                let pools = lab.snapshots.iter();
                pools.map(|(id, pool)| (*id, (pool.quorum, pool.weight, pool.leaving.clone()))).collect()
            };
            prop_assert_eq!(states(&whole), states(&short));
            let successor = |lab: &Lab| lab.restarted(new.clone()).operations;
            prop_assert_eq!(successor(&whole), successor(&short));
            before = new;
        }
    }
}

/// A pool that stays may have news that the parent was not told yet.
#[test]
fn what_was_to_be_published_of_a_pool_that_stays_is_published() {
    let config = configuration(virtual_server(), vec![real_server(1)]);
    let mut lab = Lab::started(config.clone());
    let down = Verdict {
        checker: CheckerId(1),
        up: false,
        weight: None,
    };
    lab.table.handle(Input::Verdict(down), lab.now);
    let mut same = shortened(&config, config.clone());
    same.generation = Generation(2);
    lab.input(Input::Configure(Box::new(same)));
    assert_eq!(lab.snapshots[&VS].verdicts, [down]);
    assert_eq!(lab.servers(vip(80)), []);
}
