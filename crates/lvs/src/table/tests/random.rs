//! Random lives of a pool. Whatever happened, a successor finds the table as it wants it and has nothing
//! to say, and the table is the one that follows from the state.

use proptest::prelude::*;

use super::*;

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Verdict {
        checker: u32,
        up: bool,
        weight: Option<u64>,
    },
    /// Somebody else empties the table, and the next reading comes.
    Cleared,
    /// The same configuration again.
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_u32..=4, any::<bool>(), proptest::option::of(0_u64..4))
            .prop_map(|(checker, up, weight)| Step::Verdict { checker, up, weight }),
        1 => Just(Step::Cleared),
        1 => Just(Step::Reload),
    ]
}

/// Four servers with a checker each, and any settings of the pool.
fn pool() -> impl Strategy<Value = Configuration> {
    let servers = proptest::collection::vec((any::<bool>(), any::<bool>(), 0_u64..3), 4);
    let stand_in = proptest::option::of(any::<bool>());
    (1_u32..5, 0_u32..3, stand_in, servers).prop_map(|(quorum, hysteresis, stand_in, servers)| {
        let mut vs = virtual_server();
        (vs.quorum, vs.hysteresis) = (quorum, hysteresis.min(quorum - 1));
        vs.sorry_server = stand_in.and_then(sorry);
        let real = |((alpha, inhibit, weight), n): ((bool, bool, u64), u8)| {
            let mut server = real_server(n);
            server.checkers[0].alpha = alpha;
            server.inhibit_on_failure = inhibit;
            server.weight = Weight::try_from(weight).unwrap();
            server
        };
        configuration(vs, servers.into_iter().zip(1..).map(real).collect())
    })
}

proptest! {
    #[test]
    fn a_successor_never_writes_and_never_repeats(
        config in pool(),
        steps in proptest::collection::vec(step(), 0..20),
    ) {
        let mut lab = Lab::started(config.clone());
        for step in steps {
            match step {
                Step::Verdict { checker, up, weight } => lab.verdict(checker, up, weight),
                Step::Cleared => {
                    lab.kernel.clear();
                    lab.tick();
                }
                Step::Reload => {
                    lab.forget();
                    lab.input(Input::Configure(Box::new(config.clone())));
                    prop_assert_eq!((lab.operations.len(), lab.notices.len()), (0, 0));
                }
            }
            let successor = lab.restarted(config.clone());
            prop_assert_eq!(&successor.operations, &[]);
            prop_assert_eq!(&successor.notices, &[Notice::Kernel { usable: true }]);
            lab.check_pool(&config);
        }
    }
}

impl Lab {
    /// What holds of the table at any time, said without the code that makes it.
    fn check_pool(&self, config: &Configuration) {
        let quorum = self.snapshots[&VS].quorum.unwrap();
        let servers = self.servers(vip(80));
        let stand_in = config.virtual_servers[0].sorry_server;
        let sorry_weight = servers
            .iter()
            .find(|(last, _)| *last == 99)
            .map(|(_, weight)| *weight);
        match (quorum, stand_in) {
            (_, None) => assert_eq!(sorry_weight, None),
            (false, Some(_)) => assert_eq!(sorry_weight, Some(1)),
            (true, Some(sorry)) => assert_eq!(sorry_weight, sorry.inhibit.then_some(0)),
        }
        for (server, n) in config.real_servers.iter().zip(1..) {
            let weight = servers
                .iter()
                .find(|(last, _)| *last == n)
                .map(|(_, weight)| *weight);
            if sorry_weight == Some(1) {
                assert_eq!(weight, server.inhibit_on_failure.then_some(0));
            }
            if server.inhibit_on_failure {
                assert_ne!(weight, None);
            }
        }
        let weight: u64 = servers
            .iter()
            .filter(|(last, _)| *last != 99)
            .map(|(_, w)| u64::from(*w))
            .sum();
        if sorry_weight != Some(1) {
            assert_eq!(weight, self.snapshots[&VS].weight);
        }
    }
}
