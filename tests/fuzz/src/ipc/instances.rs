//! VRRP process and the two that hear it: the edges on which a captured VRRP process would try its luck.

use std::fmt::Debug;

use kr_ipc::edge::{vrrpd_checkerd, vrrpd_ipvsd};
use kr_ipc::{Subject, Unknown, Words};
use kr_model::Generation;

use crate::ipc::message;
use crate::pieces::frames;
use crate::samples;

/// A liar about states is believed about the objects of the configuration, and about nothing else.
struct Listener<K: Subject> {
    configured: Vec<K>,
    words: Words<K>,
}

impl<K: Subject + Debug> Listener<K>
where
    K::Word: PartialEq + Debug,
{
    fn new(configured: impl Iterator<Item = K>) -> Self {
        let configured: Vec<_> = configured.collect();
        let mut words = Words::default();
        words.configure(Generation(1), configured.iter().copied());
        Self { configured, words }
    }

    fn hear(&mut self, generation: Generation, object: K, word: K::Word) -> bool {
        let known = self.configured.contains(&object);
        match self.words.heard(generation, object, word) {
            Ok(()) => assert_eq!(
                self.words.state(object),
                known.then_some(word),
                "a word counts for what is configured"
            ),
            Err(Unknown(id)) => {
                assert!(!known && id == object);
                return false;
            }
        }
        true
    }

    /// A reload that all words were early for.
    fn reload(mut self) {
        let configured = self.configured.iter().copied();
        self.words.configure(Generation(u64::MAX), configured);
        for id in self.configured {
            assert!(self.words.state(id).is_some());
        }
    }
}

/// The IPVS process hears the VRRP process.
pub fn ipc_vrrpd_ipvsd(data: &[u8]) {
    use vrrpd_ipvsd::{FromIpvsd, ToIpvsd};
    let mut listener = Listener::new(samples::instances());
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
    let mut listener = Listener::new(samples::instances());
    let mut sessions = Listener::new(samples::sessions());
    for frame in frames(data) {
        assert!(kr_ipc::codec::decode::<FromCheckerd>(frame).is_err());
        let goes_on = match message(frame) {
            Some(ToCheckerd::Instance {
                generation,
                instance,
                state,
            }) => listener.hear(generation, instance, state),
            Some(ToCheckerd::Bfd {
                generation,
                session,
                reach,
            }) => sessions.hear(generation, session, reach),
            None => true,
        };
        if !goes_on {
            return;
        }
    }
    listener.reload();
    sessions.reload();
}
