//! A daemon that does all its work within a few seconds.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kr_testkit::netns::Host;
use kr_testkit::process::{Process, child_named};
use kr_testkit::servers::http::{Behaviour, HttpServer};
use kr_testkit::servers::smtp::SmtpServer;
use kr_testkit::wait::eventually;
use kr_testkit::web;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

use crate::rig::{CHILDREN, Rig};

/// Under strace everything takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// One router for each way of adverts.
const ROUTERS: &str = "
bfd_instance FOUR {
    neighbor_ip 10.9.0.2
    source_ip 10.9.0.1
}
bfd_instance SIX {
    neighbor_ip fd09::2
    source_ip fd09::1
}
vrrp_instance PLAIN {
    interface eth0
    virtual_router_id 55
    priority 255
    advert_int 1
    virtual_ipaddress {
        10.9.0.9/24
    }
}
vrrp_instance SIGNED {
    interface eth0
    virtual_router_id 56
    priority 255
    advert_int 1
    authentication {
        auth_type AH
        auth_pass secret12
    }
    virtual_ipaddress {
        10.9.0.10/24
    }
}
vrrp_instance SIX {
    interface eth0
    virtual_router_id 57
    priority 255
    advert_int 1
    track_bfd {
        SIX
    }
    virtual_ipaddress {
        fe80::100/64
        fd09::100/64
    }
}
vrrp_instance UNICAST {
    interface eth0
    virtual_router_id 58
    priority 255
    advert_int 1
    unicast_src_ip 10.9.0.1
    unicast_peer {
        10.9.0.2
    }
    virtual_ipaddress {
        10.9.0.11/24
    }
}
";

/// One that a reload takes away; its interface goes and comes.
const LEAVING: &str = "
vrrp_instance LEAVING {
    interface eth1
    virtual_router_id 59
    priority 255
    advert_int 1
    virtual_ipaddress {
        10.10.0.9/24
    }
}
vrrp_instance LEAVING_SIX {
    interface eth1
    virtual_router_id 60
    priority 255
    advert_int 1
    virtual_ipaddress {
        fe80::200/64
        fd10::100/64
    }
}
";

/// One service of each kind of check; `{http}` and so on are the ports of servers, the others are closed.
const CHECKS: &[(&str, &str)] = &[
    ("127.0.0.1 {http}", "TCP_CHECK {\n connect_timeout 1\n}"),
    ("::1 {http}", "TCP_CHECK {\n connect_timeout 1\n}"),
    (
        "127.0.0.1 {http}",
        "TCP_CHECK {\n bindto 127.0.0.1\n bind_port 12345\n connect_timeout 1\n}",
    ),
    (
        "10.9.0.2 {http}",
        "TCP_CHECK {\n bind_if eth0\n connect_timeout 1\n}",
    ),
    (
        "127.0.0.1 {http}",
        "HTTP_GET {\n url {\n path /\n status_code 200\n }\n}",
    ),
    (
        "127.0.0.1 {https}",
        "SSL_GET {\n url {\n path /\n status_code 200\n }\n}",
    ),
    ("127.0.0.1 {smtp}", "SMTP_CHECK {\n}"),
    ("127.0.0.1 5353", "DNS_CHECK {\n name www.test\n}"),
    ("::1 5353", "DNS_CHECK {\n name www.test\n}"),
    ("127.0.0.1 5353", "UDP_CHECK {\n}"),
    ("::1 5353", "UDP_CHECK {\n}"),
    ("127.0.0.1 1", "PING_CHECK {\n}"),
    ("::1 1", "PING_CHECK {\n}"),
    (
        "127.0.0.1 {http}",
        "TCP_CHECK {\n fwmark 7\n connect_timeout 1\n}",
    ),
    (
        "::1 {http}",
        "TCP_CHECK {\n fwmark 7\n connect_timeout 1\n}",
    ),
    ("127.0.0.1 5353", "UDP_CHECK {\n fwmark 7\n}"),
    ("::1 5353", "UDP_CHECK {\n fwmark 7\n}"),
    (
        "127.0.0.1 {http}",
        "TCP_CHECK {\n bindto 127.0.0.1\n bind_port 514\n bind_if lo\n connect_timeout 1\n}",
    ),
    ("127.0.0.1 {http}", "MISC_CHECK {\n misc_path /bin/true\n}"),
];

/// Before the daemon starts, in its mount namespace: name files and a log socket of the test's own.
const PREPARE: &str = "
set -e
mount --bind $0/hosts /etc/hosts
mount --bind $0/resolv.conf /etc/resolv.conf
mount -t tmpfs none /dev
mknod -m 666 /dev/null c 1 3
ln -s $0/syslog /dev/log
exec \"$@\"
";

/// Lets a daemon do everything that there is to do, and everything happen to it.
pub(super) fn play(rig: &Rig, record: impl Fn(&Command) -> Command) {
    let neighbour = network(rig);
    let (http, https, smtp) = rig
        .host
        .enter(|| {
            let ok = || Behaviour::ok("hello\n");
            (
                HttpServer::start(ok()).unwrap(),
                HttpServer::start_tls(ok(), &["localhost"]).unwrap(),
                SmtpServer::start(Vec::new()).unwrap(),
            )
        })
        .unwrap();
    let ports = [http.address(), https.address(), smtp.address()].map(|address| address.port());
    let checks = checks(ports);
    rig.configure(&[GLOBAL, ROUTERS, LEAVING, &checks].concat());
    let stage = Stage::begin(rig, record);
    stage.until("up: every process runs its configuration", 1);
    // Every check was made, and mail was tried to be sent.
    for (number, (server, _)) in (1..).zip(CHECKS) {
        stage.until(&format!(" in {} ", service(server, number, "]:tcp:")), 1);
    }
    stage.until("mail.test", 1);
    let page = || web::get("127.0.0.1:9165".parse().unwrap(), PATIENCE);
    rig.host.enter(page).unwrap().unwrap();

    stage.restart_syslog();
    rig.host.ip("link delete eth1\n").unwrap();
    second_link(rig);
    flood(&neighbour);
    for role in CHILDREN {
        // Each leaves in good order, and has a successor.
        kill(child_named(stage.parent, role).unwrap(), Signal::SIGTERM).unwrap();
        stage.until(&format!("started {role} as process"), 2);
    }
    let changed = GLOBAL.replace(
        "script_user root",
        "script_user root\n vrrp_mcast_group4 224.0.0.19\n vrrp_mcast_group6 ff02::13",
    );
    rig.configure(&[&changed, ROUTERS, &checks].concat());
    kill(stage.parent, Signal::SIGHUP).unwrap();
    stage.until("reloaded: configuration 2 is in force", 1);
    stage.end();
}

/// The table of another network namespace.
pub(super) fn play_with_table_elsewhere(rig: &Rig, record: impl Fn(&Command) -> Command) {
    let other = rig.network.host("t").unwrap();
    let begin = format!("net_namespace_ipvs {}\n{GLOBAL}", other.name());
    rig.configure(&[&begin, ROUTERS, &checks([1; 3])].concat());
    let stage = Stage::begin(rig, record);
    stage.until("up: every process runs its configuration", 1);
    stage.end();
}

/// A daemon at work.
struct Stage<'a> {
    rig: &'a Rig,
    daemon: Process,
    parent: Pid,
    syslog: Cell<UnixDatagram>,
}

impl<'a> Stage<'a> {
    fn begin(rig: &'a Rig, record: impl Fn(&Command) -> Command) -> Self {
        fs::write(rig.path("hosts"), "127.0.0.1 localhost\n").unwrap();
        fs::write(
            rig.path("resolv.conf"),
            "nameserver 10.9.0.2\nnameserver fd09::2\n",
        )
        .unwrap();
        let syslog = UnixDatagram::bind(rig.path("syslog")).unwrap();
        let daemon = Process::spawn(&mut record(&command(rig)), &rig.path("log")).unwrap();
        let parent = || child_named(daemon.pid(), "keepalived-rs");
        eventually(PATIENCE, "the parent", || parent().is_some()).unwrap();
        Self {
            parent: parent().unwrap(),
            rig,
            daemon,
            syslog: Cell::new(syslog),
        }
    }

    fn until(&self, text: &str, count: usize) {
        let log = || self.daemon.log();
        let said = eventually(PATIENCE, text, || log().matches(text).count() >= count);
        assert!(said.is_ok(), "no `{text}`, {count} times, in:\n{}", log());
    }

    fn restart_syslog(&self) {
        fs::remove_file(self.rig.path("syslog")).unwrap();
        self.syslog
            .set(UnixDatagram::bind(self.rig.path("syslog")).unwrap());
    }

    fn end(mut self) {
        kill(self.parent, Signal::SIGTERM).unwrap();
        eventually(PATIENCE, "the end", || self.daemon.exited().is_some()).unwrap();
    }
}

const GLOBAL: &str = "
global_defs {
    router_id TEST
    script_user root
    notification_email {
        somebody@example.net
    }
    notification_email_from router@example.net
    smtp_server mail.test 2525
    smtp_alert
    metrics_listen 127.0.0.1:9165
}
";

fn checks([http, https, smtp]: [u16; 3]) -> String {
    let mut text = String::new();
    for (number, (server, check)) in (1..).zip(CHECKS) {
        let server = server
            .replace("{https}", &https.to_string())
            .replace("{http}", &http.to_string())
            .replace("{smtp}", &smtp.to_string());
        let service = service(&server, number, " ");
        text += &format!(
            "virtual_server {service} {{\n delay_loop 0.3\n lb_algo rr\n lb_kind NAT\n protocol TCP\n \
             real_server {server} {{\n{check}\n}}\n}}\n"
        );
    }
    text
}

/// The service of a check, in the family of its server.
fn service(server: &str, number: u16, before_port: &str) -> String {
    let address = if server.contains(':') {
        "fd09::200"
    } else {
        "10.9.0.200"
    };
    let bracket = if before_port.starts_with(']') {
        "["
    } else {
        ""
    };
    format!("{bracket}{address}{before_port}{number}")
}

/// The daemon in its host, with the syslog it would have.
fn command(rig: &Rig) -> Command {
    let daemon = rig.command(&["-nlD"]);
    // `ip netns exec HOST PROGRAM ARGUMENT...`
    let words: Vec<_> = daemon.get_args().collect();
    let (inside, program) = words.split_at(3);
    let mut command = Command::new(daemon.get_program());
    command
        .args(inside)
        .args(["sh", "-c", PREPARE])
        .arg(rig.directory.path())
        .args(program);
    command
}

/// Both families, a link that comes and goes, a neighbour.
fn network(rig: &Rig) -> Host {
    let host = &rig.host;
    host.ip("address add fd09::1/64 dev eth0 nodad\n").unwrap();
    host.sysctl("net/ipv4/ping_group_range", "0 2147483647")
        .unwrap();
    rig.network.segment("other").unwrap();
    second_link(rig);
    let neighbour = rig.network.host("s").unwrap();
    rig.network
        .connect(&neighbour, "eth0", "lan", &["10.9.0.2/24"])
        .unwrap();
    neighbour
        .ip("address add fd09::2/64 dev eth0 nodad\n")
        .unwrap();
    neighbour
}

/// Another link, which may go and come.
fn second_link(rig: &Rig) {
    let addresses = ["10.10.0.1/24"];
    rig.network
        .connect(&rig.host, "eth1", "other", &addresses)
        .unwrap();
}

/// Packets with the beginning of an advert of router 55, far more than the loop wants to wake up for.
fn flood(from: &Host) {
    from.enter(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112))).unwrap();
        socket.set_multicast_ttl_v4(255).unwrap();
        socket.set_multicast_if_v4(&[10, 9, 0, 2].into()).unwrap();
        let group = SocketAddr::from(([224, 0, 0, 18], 0)).into();
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            for _ in 0..20 {
                socket
                    .send_to(&[0x21, 55, 1, 1, 0, 1, 0, 0, 10, 9, 0, 9], &group)
                    .unwrap();
            }
            sleep(Duration::from_millis(1));
        }
    })
    .unwrap();
}
