//! What a process may not say to another, edge by edge.

use kr_ipc::edge::{
    Sibling, checkerd_ipvsd, parentd_checkerd, parentd_ipvsd, parentd_vrrpd, vrrpd_checkerd,
    vrrpd_ipvsd,
};
use kr_ipc::{MAX_FRAME, codec};
use kr_model::lvs::Verdict;
use kr_model::vrrp::State;
use kr_model::{CheckerId, Generation, InstanceId, RealServerId, VirtualServerId};
use serde::Serialize;

use super::Who::{self, Checkerd, Ipvsd, Parent, Vrrpd};
use super::wires::Frame;

/// What it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The channel ends, and with it whoever broke the protocol.
    Ends,
    /// The channel ends as if its other end were gone.
    Closes,
    /// Nothing at all.
    Nothing,
    /// The channel may end or not.
    Either,
}

/// Something that is wrong.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) frames: Vec<Frame>,
    pub(super) effect: Effect,
}

/// The configuration in force, the one before, one to come.
const IN_FORCE: Generation = Generation(1);
const BEFORE: Generation = Generation(0);
const NEXT: Generation = Generation(2);

/// Ids that nothing has.
const INSTANCE: InstanceId = InstanceId(4711);
const CHECKER: CheckerId = CheckerId(4711);
const REAL_SERVER: RealServerId = RealServerId(4711);
const VIRTUAL_SERVER: VirtualServerId = VirtualServerId(4711);

/// Messages of a flood.
const MANY: usize = 5000;

/// Every fault of one edge.
pub(super) fn of_edge(from: Who, to: Who) -> Vec<Fault> {
    let (usual, mut faults) = words(from, to);
    let ends = |name, frame| Fault {
        name,
        frames: vec![frame],
        effect: Effect::Ends,
    };
    let (_, cut) = usual.split_last().unwrap();
    let mut longer = usual.clone();
    longer.push(0);
    faults.extend([
        ends("truncated", Frame::Bytes(cut.to_vec())),
        ends("bytes after the message", Frame::Bytes(longer)),
        ends(
            "a variant that there is not",
            Frame::Bytes(vec![200, 1, 2, 3]),
        ),
        ends("oversized", Frame::Long(MAX_FRAME + 1)),
        ends("a descriptor", Frame::With(usual.clone(), 1)),
        ends("many descriptors", Frame::With(usual.clone(), 100)),
        Fault {
            name: "empty",
            frames: vec![Frame::Bytes(Vec::new())],
            effect: Effect::Closes,
        },
        Fault {
            name: "flood",
            frames: vec![Frame::Bytes(usual); MANY],
            effect: Effect::Either,
        },
    ]);
    faults
}

fn bytes(message: &impl Serialize) -> Vec<u8> {
    codec::encode(message).unwrap()
}

fn fault(name: &'static str, effect: Effect, messages: Vec<Vec<u8>>) -> Fault {
    Fault {
        name,
        frames: messages.into_iter().map(Frame::Bytes).collect(),
        effect,
    }
}

/// A message that is right, and faults in the order and the content of messages that are.
fn words(from: Who, to: Who) -> (Vec<u8>, Vec<Fault>) {
    match (from, to) {
        (Vrrpd, Parent) => vrrpd_to_parent(),
        (Checkerd, Parent) => checkerd_to_parent(),
        (Ipvsd, Parent) => ipvsd_to_parent(),
        (Parent, Vrrpd) => parent_to_vrrpd(),
        (Parent, Checkerd) => parent_to_checkerd(),
        (Parent, Ipvsd) => parent_to_ipvsd(),
        (Vrrpd, Checkerd) => vrrpd_to_checkerd(),
        (Vrrpd, Ipvsd) => vrrpd_to_ipvsd(),
        (Checkerd, Ipvsd) => checkerd_to_ipvsd(),
        (Ipvsd, Checkerd) => ipvsd_to_checkerd(),
        // They have no word for vrrpd, so that nothing is right.
        (Checkerd | Ipvsd, Vrrpd) => (vec![0, 1], Vec::new()),
        (from, to) => panic!("no edge: {from:?} to {to:?}"),
    }
}

fn vrrpd_to_parent() -> (Vec<u8>, Vec<Fault>) {
    use parentd_vrrpd::FromVrrpd as Says;
    let unknown = Says::LowerPriorityHeard { instance: INSTANCE };
    let ready = bytes(&Says::Ready(IN_FORCE));
    (
        ready.clone(),
        vec![
            fault("an unknown id", Effect::Ends, vec![bytes(&unknown)]),
            fault(
                "ready too early",
                Effect::Ends,
                vec![bytes(&Says::Ready(NEXT))],
            ),
            fault(
                "an answer without a question",
                Effect::Ends,
                vec![bytes(&Says::Pong { nonce: 4711 })],
            ),
            fault(
                "an accusation of itself",
                Effect::Ends,
                vec![bytes(&Says::Misbehaved(Sibling::Vrrpd))],
            ),
            fault("said again", Effect::Nothing, vec![ready.clone(), ready]),
        ],
    )
}

fn checkerd_to_parent() -> (Vec<u8>, Vec<Fault>) {
    use parentd_checkerd::FromCheckerd as Says;
    let unknown = Says::RunScript {
        checker: CHECKER,
        run: 1,
    };
    let ready = bytes(&Says::Ready(IN_FORCE));
    (
        ready.clone(),
        vec![
            fault("an unknown id", Effect::Ends, vec![bytes(&unknown)]),
            fault(
                "ready too early",
                Effect::Ends,
                vec![bytes(&Says::Ready(NEXT))],
            ),
            fault(
                "an answer without a question",
                Effect::Ends,
                vec![bytes(&Says::Pong { nonce: 4711 })],
            ),
            fault(
                "an accusation of itself",
                Effect::Ends,
                vec![bytes(&Says::Misbehaved(Sibling::Checkerd))],
            ),
            fault("said again", Effect::Nothing, vec![ready.clone(), ready]),
        ],
    )
}

fn ipvsd_to_parent() -> (Vec<u8>, Vec<Fault>) {
    use parentd_ipvsd::{FromIpvsd as Says, ServerReason};
    let unknown = Says::RealServerChanged {
        real_server: REAL_SERVER,
        up: false,
        reason: ServerReason::Checks,
    };
    let ready = bytes(&Says::Ready(IN_FORCE));
    (
        ready.clone(),
        vec![
            fault("an unknown id", Effect::Ends, vec![bytes(&unknown)]),
            fault(
                "ready too early",
                Effect::Ends,
                vec![bytes(&Says::Ready(NEXT))],
            ),
            fault(
                "an answer without a question",
                Effect::Ends,
                vec![bytes(&Says::Pong { nonce: 4711 })],
            ),
            fault(
                "an accusation of itself",
                Effect::Ends,
                vec![bytes(&Says::Misbehaved(Sibling::Ipvsd))],
            ),
            fault("said again", Effect::Nothing, vec![ready.clone(), ready]),
        ],
    )
}

fn parent_to_vrrpd() -> (Vec<u8>, Vec<Fault>) {
    use parentd_vrrpd::ToVrrpd as Says;
    let begin = bytes(&Says::Begin(NEXT));
    (
        bytes(&Says::Ping { nonce: 4711 }),
        vec![
            fault(
                "an end without a beginning",
                Effect::Ends,
                vec![bytes(&Says::Commit(NEXT))],
            ),
            fault(
                "a beginning within another",
                Effect::Ends,
                vec![begin.clone(), begin.clone()],
            ),
            fault(
                "nothing between beginning and end",
                Effect::Ends,
                vec![begin, bytes(&Says::Commit(NEXT))],
            ),
            fault(
                "said again",
                Effect::Ends,
                vec![bytes(&Says::Begin(IN_FORCE))],
            ),
            fault("no descriptor", Effect::Ends, vec![bytes(&Says::LogFile)]),
        ],
    )
}

fn parent_to_checkerd() -> (Vec<u8>, Vec<Fault>) {
    use parentd_checkerd::ToCheckerd as Says;
    let begin = bytes(&Says::Begin(NEXT));
    let unknown = bytes(&Says::Kept(vec![CHECKER]));
    (
        bytes(&Says::Ping { nonce: 4711 }),
        vec![
            fault("an unknown id", Effect::Ends, vec![begin.clone(), unknown]),
            fault(
                "an end without a beginning",
                Effect::Ends,
                vec![bytes(&Says::Commit(NEXT))],
            ),
            fault(
                "a beginning within another",
                Effect::Ends,
                vec![begin.clone(), begin.clone()],
            ),
            fault(
                "nothing between beginning and end",
                Effect::Ends,
                vec![begin, bytes(&Says::Commit(NEXT))],
            ),
            fault(
                "said again",
                Effect::Ends,
                vec![bytes(&Says::Begin(IN_FORCE))],
            ),
            fault("no descriptor", Effect::Ends, vec![bytes(&Says::LogFile)]),
        ],
    )
}

fn parent_to_ipvsd() -> (Vec<u8>, Vec<Fault>) {
    use parentd_ipvsd::ToIpvsd as Says;
    let begin = bytes(&Says::Begin(NEXT));
    let unknown = bytes(&Says::Kept(vec![VIRTUAL_SERVER]));
    (
        bytes(&Says::Ping { nonce: 4711 }),
        vec![
            fault("an unknown id", Effect::Ends, vec![begin.clone(), unknown]),
            fault(
                "an end without a beginning",
                Effect::Ends,
                vec![bytes(&Says::Commit(NEXT))],
            ),
            fault(
                "a beginning within another",
                Effect::Ends,
                vec![begin.clone(), begin.clone()],
            ),
            fault(
                "nothing between beginning and end",
                Effect::Ends,
                vec![begin, bytes(&Says::Commit(NEXT))],
            ),
            fault(
                "said again",
                Effect::Ends,
                vec![bytes(&Says::Begin(IN_FORCE))],
            ),
            fault("no descriptor", Effect::Ends, vec![bytes(&Says::LogFile)]),
        ],
    )
}

fn vrrpd_to_checkerd() -> (Vec<u8>, Vec<Fault>) {
    let says = |generation, instance| {
        let state = State::Backup;
        bytes(&vrrpd_checkerd::ToCheckerd::Instance {
            generation,
            instance,
            state,
        })
    };
    (
        says(BEFORE, INSTANCE),
        vec![
            fault(
                "an unknown id",
                Effect::Ends,
                vec![says(IN_FORCE, INSTANCE)],
            ),
            fault(
                "of a configuration before",
                Effect::Nothing,
                vec![says(BEFORE, INSTANCE)],
            ),
            fault(
                "said again",
                Effect::Nothing,
                vec![says(BEFORE, INSTANCE); 2],
            ),
        ],
    )
}

fn vrrpd_to_ipvsd() -> (Vec<u8>, Vec<Fault>) {
    let says = |generation, instance| {
        let state = State::Backup;
        bytes(&vrrpd_ipvsd::ToIpvsd::Instance {
            generation,
            instance,
            state,
        })
    };
    (
        says(BEFORE, INSTANCE),
        vec![
            fault(
                "an unknown id",
                Effect::Ends,
                vec![says(IN_FORCE, INSTANCE)],
            ),
            fault(
                "of a configuration before",
                Effect::Nothing,
                vec![says(BEFORE, INSTANCE)],
            ),
            fault(
                "said again",
                Effect::Nothing,
                vec![says(BEFORE, INSTANCE); 2],
            ),
        ],
    )
}

fn checkerd_to_ipvsd() -> (Vec<u8>, Vec<Fault>) {
    use checkerd_ipvsd::{SocketWanted, ToIpvsd as Says};
    let verdict = |generation| {
        let verdict = Verdict {
            checker: CHECKER,
            up: false,
            weight: None,
        };
        bytes(&Says::Verdict {
            generation,
            verdict,
        })
    };
    let wanted = |generation| {
        bytes(&Says::SocketWanted(SocketWanted {
            generation,
            checker: CHECKER,
            host: 0,
            request: 1,
        }))
    };
    (
        verdict(BEFORE),
        vec![
            fault("an unknown id", Effect::Ends, vec![verdict(IN_FORCE)]),
            fault("a socket of nobody", Effect::Ends, vec![wanted(IN_FORCE)]),
            fault(
                "of a configuration before",
                Effect::Nothing,
                vec![verdict(BEFORE)],
            ),
            fault("said again", Effect::Nothing, vec![verdict(BEFORE); 2]),
        ],
    )
}

fn ipvsd_to_checkerd() -> (Vec<u8>, Vec<Fault>) {
    use checkerd_ipvsd::{FromIpvsd as Says, SocketRefusal};
    let refusal = SocketRefusal::Gone;
    let none = bytes(&Says::NoSocket {
        request: 4711,
        refusal,
    });
    (
        none.clone(),
        vec![
            fault("an answer without a question", Effect::Ends, vec![none]),
            fault(
                "a socket without its socket",
                Effect::Ends,
                vec![bytes(&Says::Socket { request: 4711 })],
            ),
        ],
    )
}
