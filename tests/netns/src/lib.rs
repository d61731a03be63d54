//! A pair of virtual routers on one segment, either of which can be ours or the distribution's keepalived.

pub mod monitor;

use std::io;
use std::time::Duration;

use kr_testkit::keepalived::{Instance, Keepalived, Parts, Peer};
use kr_testkit::netns::{Host, Network};
use kr_testkit::wait::eventually;

/// The address that moves.
pub const VIP: &str = "192.168.77.100";

/// Time for the first election at `advert_int 1`: start-up and the master-down time, with room for a busy machine.
pub const ELECTION: Duration = Duration::from_secs(15);

/// Two hosts `a` (192.168.77.1) and `b` (192.168.77.2) on one segment.
#[derive(Debug)]
pub struct Pair {
    /// 192.168.77.1.
    pub a: Host,
    /// 192.168.77.2.
    pub b: Host,
    /// The segment's switch; dropped last.
    pub network: Network,
}

impl Pair {
    /// Makes the hosts; nothing runs on them yet.
    ///
    /// # Errors
    /// When namespaces cannot be made here.
    pub fn new() -> io::Result<Self> {
        let network = Network::new()?;
        network.segment("lan")?;
        let a = network.host("a")?;
        let b = network.host("b")?;
        network.connect(&a, "eth0", "lan", &["192.168.77.1/24"])?;
        network.connect(&b, "eth0", "lan", &["192.168.77.2/24"])?;
        Ok(Self { a, b, network })
    }

    /// Which of the two holds the address: exactly one of them, or nobody.
    #[must_use]
    pub fn holder(&self) -> Option<char> {
        match (self.a.has_address(VIP), self.b.has_address(VIP)) {
            (true, false) => Some('a'),
            (false, true) => Some('b'),
            (true, true) | (false, false) => None,
        }
    }

    /// Waits until exactly the named host holds the address.
    ///
    /// # Errors
    /// `TimedOut` with both sides' addresses in the text.
    pub fn wait_holder(&self, name: char, limit: Duration) -> io::Result<Duration> {
        let what = format!("{VIP} on {name} alone");
        eventually(limit, &what, || self.holder() == Some(name)).map_err(|error| {
            let text = format!(
                "{error} (on a: {}, on b: {})",
                self.a.has_address(VIP),
                self.b.has_address(VIP)
            );
            io::Error::new(error.kind(), text)
        })
    }
}

/// The instance of the tests: router 55 with password 1111, as in the classic tutorial.
#[must_use]
pub fn instance(state: &'static str, priority: u8) -> Instance {
    Instance {
        state,
        vrid: 55,
        priority,
        password: Some("1111"),
        addresses: vec!["192.168.77.100/24"],
        more: Vec::new(),
    }
}

/// Starts the virtual-router half of a keepalived.
///
/// # Errors
/// When it cannot start.
pub fn start(peer: Peer, host: &Host, instance: &Instance) -> io::Result<Keepalived> {
    Keepalived::start(peer, host, Parts::Vrrp, &instance.to_string())
}
