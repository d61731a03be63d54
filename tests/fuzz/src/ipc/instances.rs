//! VRRP process and the two that hear it: the edges on which a captured VRRP process would try its luck.

use kr_ipc::edge::{vrrpd_checkerd, vrrpd_ipvsd};
use kr_ipc::{Instances, UnknownInstance};
use kr_model::vrrp::State;
use kr_model::{Generation, InstanceId};

use crate::ipc::message;
use crate::pieces::frames;
use crate::samples;

/// A liar about states is believed about the instances of the configuration, and about nothing else.
struct Listener {
    configured: Vec<InstanceId>,
    instances: Instances,
}

impl Listener {
    fn new() -> Self {
        let configured: Vec<_> = samples::instances().collect();
        let mut instances = Instances::default();
        instances.configure(Generation(1), configured.iter().copied());
        Self {
            configured,
            instances,
        }
    }

    fn hear(&mut self, generation: Generation, instance: InstanceId, state: State) -> bool {
        let known = self.configured.contains(&instance);
        match self.instances.heard(generation, instance, state) {
            Ok(()) => assert_eq!(
                self.instances.state(instance),
                known.then_some(state),
                "a word counts for what is configured"
            ),
            Err(UnknownInstance(id)) => {
                assert!(!known && id == instance);
                return false;
            }
        }
        true
    }

    /// A reload that all words were early for.
    fn reload(mut self) {
        let configured = self.configured.iter().copied();
        self.instances.configure(Generation(u64::MAX), configured);
        for id in self.configured {
            assert!(self.instances.state(id).is_some());
        }
    }
}

/// The IPVS process hears the VRRP process.
pub fn ipc_vrrpd_ipvsd(data: &[u8]) {
    use vrrpd_ipvsd::{FromIpvsd, ToIpvsd};
    let mut listener = Listener::new();
    for frame in frames(data) {
        // Nothing is ever said in the other direction.
        assert!(kr_ipc::codec::decode::<FromIpvsd>(frame).is_err());
        if let Some(ToIpvsd::Instance {
            generation,
            instance,
            state,
        }) = message(frame)
            && !listener.hear(generation, instance, state)
        {
            return;
        }
    }
    listener.reload();
}

/// The checker process hears the VRRP process.
pub fn ipc_vrrpd_checkerd(data: &[u8]) {
    use vrrpd_checkerd::{FromCheckerd, ToCheckerd};
    let mut listener = Listener::new();
    for frame in frames(data) {
        assert!(kr_ipc::codec::decode::<FromCheckerd>(frame).is_err());
        if let Some(ToCheckerd::Instance {
            generation,
            instance,
            state,
        }) = message(frame)
            && !listener.hear(generation, instance, state)
        {
            return;
        }
    }
    listener.reload();
}
