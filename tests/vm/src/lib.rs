//! A client, a director and real servers in namespaces of a kernel with IPVS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::{Host, Network};
use kr_testkit::wait::{eventually, throughout};
use kr_testkit::web::{self, Answer, WebServer};

/// The virtual address.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 100);

/// Longest time for a change to reach the table: two failed checks at their slowest, in an emulated machine.
pub const SOON: Duration = Duration::from_secs(30);

/// A client (10.20.0.9) and a director (10.20.0.1, 10.30.0.1, the virtual address) before some servers.
#[derive(Debug)]
pub struct Farm {
    /// Where requests come from.
    pub client: Host,
    /// Where the balancer runs.
    pub director: Host,
    /// Web servers `s1`, `s2` … on port 80; taking one out stops it.
    pub web: Vec<Option<WebServer>>,
    /// Their hosts.
    pub servers: Vec<Host>,
    /// The switch; dropped last.
    pub network: Network,
}

impl Farm {
    /// Servers behind the director (10.30.0.11 …), whose answers go back through it.
    ///
    /// # Errors
    /// When namespaces cannot be made here.
    pub fn routed(servers: u8) -> io::Result<Self> {
        let mut farm = Self::empty()?;
        farm.network.segment("back")?;
        farm.network
            .connect(&farm.director, "eth1", "back", &["10.30.0.1/24"])?;
        farm.director.sysctl("net/ipv4/ip_forward", "1")?;
        for number in 1..=servers {
            let host = farm.network.host(&format!("s{number}"))?;
            let address = format!("10.30.0.{}/24", 10 + number);
            farm.network.connect(&host, "eth0", "back", &[&address])?;
            host.ip("route add default via 10.30.0.1\n")?;
            farm.servers.push(host);
            farm.web.push(None);
            farm.revive(usize::from(number))?;
        }
        Ok(farm)
    }

    /// Servers beside the director (10.20.0.11 …) that hold the virtual address themselves and answer directly.
    ///
    /// # Errors
    /// When namespaces cannot be made here.
    pub fn direct(servers: u8) -> io::Result<Self> {
        let mut farm = Self::empty()?;
        for number in 1..=servers {
            let host = farm.network.host(&format!("s{number}"))?;
            host.sysctl("net/ipv4/conf/all/arp_ignore", "1")?;
            host.sysctl("net/ipv4/conf/all/arp_announce", "2")?;
            let address = format!("10.20.0.{}/24", 10 + number);
            farm.network.connect(&host, "eth0", "front", &[&address])?;
            host.ip(&format!("address add {VIP}/32 dev lo\n"))?;
            farm.servers.push(host);
            farm.web.push(None);
            farm.revive(usize::from(number))?;
        }
        Ok(farm)
    }

    fn empty() -> io::Result<Self> {
        let network = Network::new()?;
        network.segment("front")?;
        let client = network.host("client")?;
        let director = network.host("director")?;
        network.connect(&client, "eth0", "front", &["10.20.0.9/24"])?;
        network.connect(&director, "eth0", "front", &["10.20.0.1/24"])?;
        Ok(Self {
            client,
            director,
            web: Vec::new(),
            servers: Vec::new(),
            network,
        })
    }

    /// Starts the checking half on the director, which holds the virtual address from the beginning.
    ///
    /// # Errors
    /// When the program cannot start.
    pub fn balance(&self, peer: Peer, configuration: &str) -> io::Result<Keepalived> {
        self.director
            .ip(&format!("address replace {VIP}/32 dev eth0\n"))?;
        Keepalived::start(peer, &self.director, Parts::Checkers, configuration)
    }

    /// Stops web server `number` (from 1): connections are refused.
    pub fn kill(&mut self, number: usize) {
        if let Some(server) = self.web.get_mut(number - 1) {
            *server = None;
        }
    }

    /// Starts web server `number` again, healthy.
    ///
    /// # Errors
    /// When there is no such server or it cannot listen.
    pub fn revive(&mut self, number: usize) -> io::Result<()> {
        let (Some(host), Some(server)) =
            (self.servers.get(number - 1), self.web.get_mut(number - 1))
        else {
            return Err(io::Error::other(format!("there is no server {number}")));
        };
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
        *server = Some(WebServer::start(host, any, &format!("s{number}"))?);
        Ok(())
    }

    /// Lets web server `number` answer with another status code.
    pub fn set_status(&self, number: usize, status: u16) {
        if let Some(Some(server)) = self.web.get(number - 1) {
            server.set_status(status);
        }
    }

    /// The kernel's table as `ipvsadm -Sn` writes it, sorted.
    ///
    /// # Errors
    /// When `ipvsadm` fails.
    pub fn table(&self) -> io::Result<Vec<String>> {
        let text = self.director.run("ipvsadm", &["-Sn"])?;
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.sort();
        Ok(lines)
    }

    /// Waits for exactly these lines, in any order.
    ///
    /// # Errors
    /// `TimedOut` with the table that was there at the end and the log.
    pub fn wait_table(&self, balancer: &Keepalived, expected: &[&str]) -> io::Result<Duration> {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        let found = || self.table().is_ok_and(|table| table == expected);
        eventually(SOON, "the table", found)
            .map_err(|error| self.explained(&error, balancer, &expected))
    }

    /// Checks that the table stays exactly so for `length`.
    ///
    /// # Errors
    /// As soon as it differs, with the table that was there and the log.
    pub fn table_stays(
        &self,
        balancer: &Keepalived,
        length: Duration,
        expected: &[&str],
    ) -> io::Result<()> {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        let found = || self.table().is_ok_and(|table| table == expected);
        throughout(length, "the table stays", found)
            .map_err(|error| self.explained(&error, balancer, &expected))
    }

    fn explained(&self, error: &io::Error, balancer: &Keepalived, expected: &[&str]) -> io::Error {
        let found = self.table().unwrap_or_default().join("\n");
        let wanted = expected.join("\n");
        let log = balancer.log();
        let text = format!("{error}\nwanted:\n{wanted}\nfound:\n{found}\nlog:\n{log}");
        io::Error::new(error.kind(), text)
    }

    /// One request of the client to the virtual address.
    ///
    /// # Errors
    /// When it is not answered within two seconds.
    pub fn request(&self) -> io::Result<Answer> {
        let address = SocketAddr::new(IpAddr::V4(VIP), 80);
        self.client
            .enter(|| web::get(address, Duration::from_secs(2)))?
    }
}
