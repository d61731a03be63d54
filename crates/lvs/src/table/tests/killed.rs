//! kill -9 between each two things that the process does: the kernel is never set back, and with what the parent
//! knows everything is told once.

use super::*;

/// Servers 1 to 3 need a weight of 2, and a sorry server waits.
fn pool() -> Configuration {
    let service = VirtualServer {
        quorum: 2,
        sorry_server: sorry(false),
        ..virtual_server()
    };
    configuration(service, (1..=3).map(real_server).collect())
}

/// Checker, whether it is content, and the weight that it asks for.
type Word = (u32, bool, Option<u64>);

/// What checkers say, each time for one server more or less, or another weight.
const WORDS: [Word; 7] = [
    (1, false, None),
    (2, false, None),
    (3, true, Some(7)),
    (3, false, None),
    (1, true, None),
    (2, true, Some(3)),
    (3, true, None),
];

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct End {
    operations: Vec<Operation>,
    servers: Vec<(u8, u32)>,
    told: Vec<Notice>,
}

/// What of these notices the parent acts on: it knows the last one of each server, checker and quorum.
fn news(notices: &[Notice]) -> Vec<Notice> {
    let mut known: Vec<Notice> = Vec::new();
    let mut news = Vec::new();
    for notice in notices {
        let same = |other: &Notice| match (notice, other) {
            (
                Notice::RealServerChanged { real_server: a, .. },
                Notice::RealServerChanged { real_server: b, .. },
            ) => a == b,
            (
                Notice::CheckerChanged { checker: a, .. },
                Notice::CheckerChanged { checker: b, .. },
            ) => a == b,
            (Notice::RealServerChanged { .. } | Notice::CheckerChanged { .. }, _) => false,
            (one @ (Notice::QuorumChanged { .. } | Notice::Kernel { .. }), other) => {
                std::mem::discriminant(one) == std::mem::discriminant(other)
            }
        };
        let before = known.iter().position(same);
        if before.is_some_and(|at| &known[at] == notice) {
            continue;
        }
        known.retain(|other| !same(other));
        known.push(*notice);
        news.push(*notice);
    }
    news
}

/// The words are said, and the process is killed after so many actions; true when it came so far.
fn run(kill_after: Option<usize>) -> (End, bool) {
    let mut lab = Lab::started(pool());
    lab.left = kill_after;
    let mut said: BTreeMap<u32, Word> = BTreeMap::new();
    let (mut operations, mut notices, mut killed) = (Vec::new(), Vec::new(), false);
    for word in WORDS {
        said.insert(word.0, word);
        lab.verdict(word.0, word.1, word.2);
        if lab.left == Some(0) {
            killed = true;
            operations.append(&mut lab.operations);
            notices.append(&mut lab.notices);
            lab = lab.restarted(pool());
            // The checker process says everything to a new sibling.
            for (checker, up, weight) in said.values() {
                lab.verdict(*checker, *up, *weight);
            }
        }
    }
    operations.append(&mut lab.operations);
    notices.append(&mut lab.notices);
    notices.retain(|notice| !matches!(notice, Notice::Kernel { .. }));
    let end = End {
        operations,
        servers: lab.servers(vip(80)),
        told: news(&notices),
    };
    (end, killed)
}

#[test]
fn a_process_killed_between_any_two_actions_neither_sets_the_kernel_back_nor_forgets_a_word() {
    let (expected, _) = run(None);
    let mut kills = 0;
    loop {
        let (end, killed) = run(Some(kills));
        if !killed {
            break;
        }
        assert_eq!(end, expected, "killed after {kills} actions");
        kills += 1;
    }
    assert!(kills > 4 * WORDS.len(), "{kills}");
}
