//! The machines of the demonstration: made, started, broken, removed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use kr_testkit::binaries;
use kr_testkit::keepalived::{Keepalived, Parts, Peer};
use kr_testkit::netns::{self, Host, Network};
use kr_testkit::process::Process;
use tempfile::TempDir;

/// The director that is master as long as it lives.
pub(super) const LB1: &str = "lb1";

/// The other one.
pub(super) const LB2: &str = "lb2";

/// The web servers.
pub(super) const WEBS: [&str; 3] = ["web1", "web2", "web3"];

/// The virtual address.
pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 100);

/// First letters of every namespace of the demonstration.
const PREFIX: &str = "krdemo";

/// Where the files of the demonstration are: beside the programs, so that a kept one is found again.
fn directory() -> io::Result<PathBuf> {
    let built = binaries::directory()?;
    Ok(built.parent().unwrap_or(&built).join("demo"))
}

/// A new directory in [`directory`].
fn files() -> io::Result<TempDir> {
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    TempDir::new_in(directory)
}

/// All machines and what runs on them.
#[derive(Debug)]
pub(super) struct Stage {
    processes: BTreeMap<&'static str, Process>,
    directors: BTreeMap<&'static str, Keepalived>,
    programs: BTreeMap<&'static str, Peer>,
    hosts: BTreeMap<&'static str, Host>,
    logs: TempDir,
    /// The switch; dropped after everything that is plugged into it.
    _network: Network,
}

impl Stage {
    /// Removes what an interrupted or kept demonstration left.
    ///
    /// # Errors
    /// When its files cannot be removed.
    pub(super) fn clean() -> io::Result<()> {
        for name in netns::list(PREFIX) {
            netns::remove(&name);
        }
        match fs::remove_dir_all(directory()?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes the machines; nothing runs on them yet.
    pub(super) fn build(second: Peer) -> io::Result<Self> {
        let network = Network::named(PREFIX)?;
        network.segment("front")?;
        network.segment("back")?;
        let mut hosts = BTreeMap::new();
        let client = network.host("client")?;
        network.connect(&client, "eth0", "front", &["10.20.0.9/24"])?;
        hosts.insert("client", client);
        for (name, number) in [(LB1, 1), (LB2, 2)] {
            let host = network.host(name)?;
            network.connect(&host, "eth0", "front", &[&format!("10.20.0.{number}/24")])?;
            network.connect(&host, "eth1", "back", &[&format!("10.30.0.{number}/24")])?;
            host.sysctl("net/ipv4/ip_forward", "1")?;
            hosts.insert(name, host);
        }
        for (name, number) in WEBS.into_iter().zip(11..) {
            let host = network.host(name)?;
            network.connect(&host, "eth0", "back", &[&format!("10.30.0.{number}/24")])?;
            host.ip("route add default via 10.30.0.254\n")?;
            hosts.insert(name, host);
        }
        Ok(Self {
            processes: BTreeMap::new(),
            directors: BTreeMap::new(),
            programs: BTreeMap::from([(LB1, Peer::Ours), (LB2, second)]),
            hosts,
            logs: files()?,
            _network: network,
        })
    }

    /// The machine called `name`.
    pub(super) fn host(&self, name: &str) -> io::Result<&Host> {
        self.hosts
            .get(name)
            .ok_or_else(|| io::Error::other(format!("no host {name}")))
    }

    /// The picture at the beginning.
    pub(super) fn drawing(&self) -> String {
        let program = |name| {
            self.programs
                .get(name)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let (first, second) = (program(LB1), program(LB2));
        format!(
            "  client 10.20.0.9 ──┬── lb1 10.20.0.1  {first:<14} ──┬── web1 10.30.0.11\n\
             \x20                   └── lb2 10.20.0.2  {second:<14} ──┼── web2 10.30.0.12\n\
             \x20                       {:<30} └── web3 10.30.0.13\n",
            format!("virtual address {VIP}")
        )
    }

    /// The configuration of a director, as the classic tutorials write it.
    pub(super) fn configuration(&self, name: &str) -> io::Result<String> {
        let (state, priority) = if name == LB1 {
            ("MASTER", 150)
        } else {
            ("BACKUP", 100)
        };
        let mut text = format!(
            "! Configuration File for {name}

global_defs {{
    router_id {name}
}}

vrrp_instance VI_1 {{
    state {state}
    interface eth0
    virtual_router_id 51
    priority {priority}
    advert_int 1
    authentication {{
        auth_type PASS
        auth_pass 1111
    }}
    virtual_ipaddress {{
        {VIP}/24
        10.30.0.254/24 dev eth1    # the way back of the web servers
    }}
}}

virtual_server {VIP} 80 {{
    delay_loop 2
    lb_algo rr
    lb_kind NAT
    protocol TCP
"
        );
        let http = "HTTP_GET {
            url {
                path /
                status_code 200
            }
            connect_timeout 2
            retry 1
            delay_before_retry 1
        }";
        let tcp = "TCP_CHECK {
            connect_timeout 2
            retry 1
            delay_before_retry 1
        }";
        for (check, number) in [http, http, tcp].into_iter().zip(11..) {
            write!(
                text,
                "\n    real_server 10.30.0.{number} 80 {{\n        weight 1\n        {check}\n    }}\n"
            )
            .map_err(io::Error::other)?;
        }
        Ok(text + "}\n")
    }

    /// Plugs a director's cables in and starts its program.
    pub(super) fn start_director(&mut self, name: &'static str) -> io::Result<()> {
        let host = self.host(name)?;
        host.set_link("eth0", true)?;
        host.set_link("eth1", true)?;
        let program = self.programs.get(name).copied().unwrap_or(Peer::Ours);
        let configuration = self.configuration(name)?;
        let running = Keepalived::start_in(files()?, program, host, Parts::Both, &configuration)?;
        self.directors.insert(name, running);
        Ok(())
    }

    /// Kills a director's processes at once, takes its cables out and empties its kernel, as a loss of power does.
    pub(super) fn crash_director(&mut self, name: &'static str) -> io::Result<()> {
        if let Some(mut director) = self.directors.remove(name) {
            director.crash();
        }
        let host = self.host(name)?;
        host.ip(&format!(
            "link set eth0 down\nlink set eth1 down\naddress del {VIP}/24 dev eth0\naddress del 10.30.0.254/24 dev eth1\n"
        ))?;
        host.run("ipvsadm", &["-C"]).map(drop)
    }

    /// What a director has logged since it was started last.
    pub(super) fn log(&self, name: &str) -> String {
        self.directors
            .get(name)
            .map(Keepalived::log)
            .unwrap_or_default()
    }

    /// Starts a web server.
    pub(super) fn start_web(&mut self, name: &'static str) -> io::Result<()> {
        self.start_own(name, &["web-server", name, "0.0.0.0:80"])
    }

    /// Kills a web server.
    pub(super) fn kill_web(&mut self, name: &str) {
        self.processes.remove(name);
    }

    /// Starts the client.
    pub(super) fn start_client(&mut self) -> io::Result<()> {
        self.start_own("client", &["web-client", &format!("{VIP}:80")])
    }

    /// What the client has written.
    pub(super) fn client_log(&self) -> String {
        self.processes
            .get("client")
            .map(Process::log)
            .unwrap_or_default()
    }

    /// Starts this program's own sub-command on a machine.
    fn start_own(&mut self, name: &'static str, arguments: &[&str]) -> io::Result<()> {
        let mut command = self.host(name)?.command(std::env::current_exe()?);
        let log = self.logs.path().join(name);
        let process = Process::spawn(command.args(arguments), &log)?;
        self.processes.insert(name, process);
        Ok(())
    }

    /// How to look at what `--keep` leaves.
    pub(super) fn how_to_look(&self) -> String {
        let mut text = "Everything still runs. To look:\n".to_owned();
        for line in [
            "ip netns exec krdemo-lb1 ipvsadm -Ln --stats      # the balancer's table",
            "ip netns exec krdemo-lb1 ip address               # where the virtual address is",
            "ip netns exec krdemo-client curl http://10.20.0.100/",
            "ip netns pids krdemo-lb1                          # what to kill",
        ] {
            text += &format!("  {line}\n");
        }
        for (name, director) in &self.directors {
            text += &format!(
                "  less {}      # files of {name}\n",
                director.directory().display()
            );
        }
        text + "To remove it: cargo xtask demo --clean"
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The programs go first: a machine that loses its namespace under them would log errors.
        self.processes.clear();
        self.directors.clear();
        fs::remove_dir_all(self.logs.path()).ok();
    }
}
