//! Health checks: what the checker process is given, and what it publishes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{CheckerId, InstanceId, TrackerId, VirtualServerId};
use crate::net::Family;
use crate::time::Instant;
use crate::units::{IfName, Port, Weight};

/// One checker block with defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checker {
    /// Identity, kept over reloads while the server stays and the block is equal.
    pub id: CheckerId,
    /// Name of the real server: `[10.0.0.2]:tcp:80`.
    pub server: String,
    /// Name of its virtual server.
    pub service: String,
    /// What is done.
    pub probe: Probe,
    /// When it is done.
    pub timing: Timing,
    /// Taken as failed until the first success.
    pub alpha: bool,
    /// `log_all_failures`: also failures that change nothing.
    pub log_all_failures: bool,
}

impl Checker {
    /// The sockets that it needs of the IPVS process.
    #[must_use]
    pub fn socket_rules(&self) -> Vec<SocketRule> {
        let rule = |connection: &Connection, kind, host| {
            connection.needs_privilege().then(|| SocketRule {
                checker: self.id,
                host,
                family: Family::of(connection.target.ip()),
                kind,
                source: connection.source_address(),
                interface: connection.interface.clone(),
                mark: connection.mark,
            })
        };
        match &self.probe {
            Probe::Tcp(connection) | Probe::Http(HttpProbe { connection, .. }) => {
                rule(connection, SocketKind::Stream, 0)
                    .into_iter()
                    .collect()
            }
            Probe::Smtp { hosts, .. } => (0..)
                .zip(hosts)
                .filter_map(|(host, connection)| rule(connection, SocketKind::Stream, host))
                .collect(),
            Probe::Dns { connection, .. } | Probe::Udp(UdpProbe { connection, .. }) => {
                rule(connection, SocketKind::Datagram, 0)
                    .into_iter()
                    .collect()
            }
            // Neither ports nor marks there.
            Probe::Ping(_) | Probe::Bfd { .. } | Probe::File(_) | Probe::Misc { .. } => Vec::new(),
        }
    }

    /// Its name in logs: `TCP_CHECK of [10.0.0.2]:tcp:80 in [10.0.0.1]:tcp:80`.
    #[must_use]
    pub fn label(&self) -> String {
        let Self {
            server, service, ..
        } = self;
        format!("{} of {server} in {service}", self.probe.keyword())
    }
}

/// When a checker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// `delay_loop`: from the end of an attempt to the start of the next.
    pub delay_loop: Duration,
    /// `retry`: further attempts after a failure before the checker goes down.
    pub retry: u32,
    /// `delay_before_retry`.
    pub delay_before_retry: Duration,
    /// `warmup`: the first run comes 1 s plus a random part of this after start.
    pub warmup: Duration,
}

/// What a checker does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Probe {
    /// `TCP_CHECK`: a connection can be made.
    Tcp(Connection),
    /// `HTTP_GET` and `SSL_GET`.
    Http(HttpProbe),
    /// `SMTP_CHECK`: greeting, HELO and QUIT, on each host in turn.
    Smtp {
        /// `helo_name`.
        helo: String,
        /// The server itself, or the `host` blocks; at least one.
        hosts: Vec<Connection>,
    },
    /// `DNS_CHECK`: a name server answers.
    Dns {
        /// How to reach it; the timeout is for the whole attempt.
        connection: Connection,
        /// `name`: what is asked for, at most 253 bytes; `.` is the root.
        name: String,
        /// `type`: number of the record type.
        record: u16,
    },
    /// `UDP_CHECK`: no error comes back, or a reply does.
    Udp(UdpProbe),
    /// `PING_CHECK`: an echo reply comes back. The port says nothing.
    Ping(Connection),
    /// `BFD_CHECK`: a session is up. The VRRP process, which runs it, says so.
    Bfd {
        /// The session.
        session: TrackerId,
        /// Its name, for logs.
        name: String,
    },
    /// `FILE_CHECK`: the number in a file, which the parent reads.
    File(FileProbe),
    /// `MISC_CHECK`: a program of the operator, run by the parent.
    Misc {
        /// `misc_dynamic`: exit codes 2 to 255 set the weight to the code less 2.
        dynamic: bool,
        /// `misc_timeout`.
        timeout: Duration,
    },
}

impl Probe {
    /// The keyword of the block.
    #[must_use]
    pub const fn keyword(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "TCP_CHECK",
            Self::Http(HttpProbe { tls: None, .. }) => "HTTP_GET",
            Self::Http(HttpProbe { tls: Some(_), .. }) => "SSL_GET",
            Self::Smtp { .. } => "SMTP_CHECK",
            Self::Dns { .. } => "DNS_CHECK",
            Self::Udp(_) => "UDP_CHECK",
            Self::Ping(_) => "PING_CHECK",
            Self::Bfd { .. } => "BFD_CHECK",
            Self::File(_) => "FILE_CHECK",
            Self::Misc { .. } => "MISC_CHECK",
        }
    }
}

/// `FILE_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileProbe {
    /// The `track_file`.
    pub file: TrackerId,
    /// Its name, for logs.
    pub name: String,
    /// 0: another number than 0 in the file is a failure. Otherwise number times weight is added to the weight of
    /// the server.
    pub weight: i32,
    /// With weight 0, a 0 in the file is the failure; else the sign of the number is turned round.
    pub reverse: bool,
    /// `weight` of the server, to add to.
    pub server_weight: Weight,
}

impl FileProbe {
    /// What a number in the file means.
    #[must_use]
    pub fn judge(&self, number: i32) -> FileVerdict {
        if self.weight == 0 {
            return if (number != 0) == self.reverse {
                FileVerdict::Good(None)
            } else {
                FileVerdict::Bad
            };
        }
        let product = i64::from(number).saturating_mul(i64::from(self.weight));
        let added = if self.reverse { -product } else { product };
        if added <= i64::from(i32::MIN) {
            return FileVerdict::Bad;
        }
        let sum = i64::from(self.server_weight.get()).saturating_add(added);
        let sum = u64::try_from(sum.clamp(0, i64::from(i32::MAX))).unwrap_or_default();
        FileVerdict::Good(Weight::try_from(sum).ok())
    }
}

/// What the number in a file means for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileVerdict {
    /// It is fine, with this weight or its own.
    Good(Option<Weight>),
    /// It is not.
    Bad,
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UdpProbe {
    /// How to reach the server; the timeout is for the whole attempt.
    pub connection: Connection,
    /// `payload`.
    pub payload: Vec<u8>,
    /// `require_reply`; without it silence passes.
    pub reply: Option<ExpectedReply>,
}

/// `require_reply`, `min_reply_length` and `max_reply_length`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExpectedReply {
    /// How the reply begins, as far as it goes.
    pub pattern: Vec<PatternByte>,
    /// Shortest accepted reply, in bytes.
    pub min: u16,
    /// Longest accepted reply, in bytes.
    pub max: u16,
}

/// A byte of a reply, of which the bits of the mask count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PatternByte {
    /// The bits.
    pub value: u8,
    /// Which of them are compared.
    pub mask: u8,
}

/// How a network check reaches its server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Connection {
    /// Where to (`connect_ip`, `connect_port`, else the real server).
    pub target: SocketAddr,
    /// `bindto`.
    pub source: Option<IpAddr>,
    /// `bind_port`, old spelling `bindport`.
    pub source_port: Option<Port>,
    /// `bind_if`.
    pub interface: Option<IfName>,
    /// `fwmark` of the check's packets; 0 is none.
    pub mark: u32,
    /// `connect_timeout`: for the connection, and again for each later read.
    pub timeout: Duration,
}

/// Source ports below this one are the kernel's to refuse to a process without `CAP_NET_BIND_SERVICE`.
const FIRST_FREE_PORT: u16 = 1024;

impl Connection {
    /// The checker process, which has no privilege, cannot make such a socket itself.
    #[must_use]
    pub fn needs_privilege(&self) -> bool {
        self.mark != 0 || self.source_address().is_some_and(is_low)
    }

    /// Where it is bound to: `bindto` and `bind_port`. `None`: nothing is asked for.
    #[must_use]
    pub fn source_address(&self) -> Option<SocketAddr> {
        let port = self.source_port.map_or(0, Port::get);
        match (self.source, port) {
            (None, 0) => None,
            (Some(source), port) => Some(SocketAddr::new(source, port)),
            (None, port) => {
                let any = match self.target {
                    SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                };
                Some(SocketAddr::new(any, port))
            }
        }
    }
}

fn is_low(address: SocketAddr) -> bool {
    (1..FIRST_FREE_PORT).contains(&address.port())
}

/// A socket of a check that needs a privilege: the IPVS process makes it when the checker process asks for
/// it. Where it connects to is the checker process's affair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketRule {
    /// The checker.
    pub checker: CheckerId,
    /// Which host of an `SMTP_CHECK`, counted from 0; 0 for every other check.
    pub host: u16,
    /// Its family.
    pub family: Family,
    /// Its kind.
    pub kind: SocketKind,
    /// What it is bound to, if anything.
    pub source: Option<SocketAddr>,
    /// `bind_if`.
    pub interface: Option<IfName>,
    /// `fwmark`; 0 is none.
    pub mark: u32,
}

impl SocketRule {
    /// The source port needs `CAP_NET_BIND_SERVICE`.
    #[must_use]
    pub fn has_low_port(&self) -> bool {
        self.source.is_some_and(is_low)
    }

    /// It makes sense: it needs a privilege, and its addresses are of one family.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        (self.mark != 0 || self.has_low_port())
            && self
                .source
                .is_none_or(|source| Family::of(source.ip()) == self.family)
    }
}

/// The kind of such a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketKind {
    /// TCP.
    Stream,
    /// UDP.
    Datagram,
}

/// `HTTP_GET` / `SSL_GET`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpProbe {
    /// How to reach the server.
    pub connection: Connection,
    /// Present in `SSL_GET`.
    pub tls: Option<TlsOptions>,
    /// `http_protocol`.
    pub version: HttpVersion,
    /// Pages to fetch, in order; at least one.
    pub urls: Vec<Url>,
    /// `fast_recovery`: no delay between pages while coming up.
    pub fast_recovery: bool,
}

/// TLS of an `SSL_GET`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TlsOptions {
    /// Server name sent, already chosen from `sni_name` and the virtual hosts when `enable_sni` is on.
    /// A url may name another one.
    pub server_name: Option<String>,
}

/// `http_protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.0 without a Connection header (the default).
    V1_0,
    /// HTTP/1.0 with `Connection: close`.
    V1_0Close,
    /// HTTP/1.1 with `Connection: close`.
    V1_1,
    /// HTTP/1.0 with `Connection: keep-alive` (`1.0k` of old versions).
    V1_0KeepAlive,
    /// HTTP/1.1 with `Connection: keep-alive` (`1.1k` of old versions).
    V1_1KeepAlive,
}

/// A `url` block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Url {
    /// `path`, placed into the request as it is.
    pub path: String,
    /// Value of the Host header: `virtualhost` of url, checker, real or virtual server, else
    /// `address:port`.
    pub host: String,
    /// Server name of this url when `enable_sni` is on and the url has its own `virtualhost`.
    pub server_name: Option<String>,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: accepted codes as inclusive ranges; empty means 200 to 299.
    pub status: Vec<StatusRange>,
    /// `regex`, searched in the body.
    pub pattern: Option<BodyPattern>,
    /// `tls_compliant` of this url or of the checker: close with a close_notify.
    pub close_notify: bool,
}

/// `regex` of a `url` with the keywords that belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BodyPattern {
    /// `regex`, in PCRE2's syntax.
    pub text: String,
    /// `regex_options`, without those that change nothing.
    pub options: PatternOptions,
    /// False with `regex_no_match`: a match is a failure.
    pub wanted: bool,
    /// `regex_min_offset`: a match begins at this byte of the body or later.
    pub min_offset: u64,
    /// `regex_max_offset`: a match begins at this byte of the body or earlier.
    pub max_offset: Option<u64>,
}

bitflags::bitflags! {
    /// `regex_options` that change what matches.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    pub struct PatternOptions: u16 {
        /// Upper and lower case are the same.
        const CASELESS = 1;
        /// `$` is only the very end, not also before a last line end.
        const DOLLAR_ENDONLY = 2;
        /// `.` matches a line end too.
        const DOTALL = 4;
        /// White space and comments in the pattern do not count.
        const EXTENDED = 8;
        /// A match begins in the first line.
        const FIRSTLINE = 16;
        /// `^` and `$` match at every line.
        const MULTILINE = 32;
        /// `\d`, `\s`, `\w` and `\b` know Unicode; only together with [`UTF`](Self::UTF).
        const UCP = 64;
        /// Repetitions take as little as they can, with `?` as much.
        const UNGREEDY = 128;
        /// Pattern and body are UTF-8, not bytes.
        const UTF = 256;
        /// `[]` matches nothing and `[^]` anything.
        const ALLOW_EMPTY_CLASS = 512;
        /// `\u`, `\U` and `\x` mean what they mean in JavaScript.
        const ALT_BSUX = 1024;
        /// Groups may share a name.
        const DUPNAMES = 2048;
        /// A reference to a group that took no part matches the empty text.
        const MATCH_UNSET_BACKREF = 4096;
    }
}

/// An inclusive range of HTTP status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatusRange {
    /// First code.
    pub first: u16,
    /// Last code.
    pub last: u16,
}

/// `ha_suspend`: the checkers of a virtual server that run only while this host holds one of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// The virtual server.
    pub virtual_server: VirtualServerId,
    /// Its name in logs.
    pub label: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Instances that set one of these addresses when they are master.
    pub instances: Vec<InstanceId>,
    /// Its checkers. A virtual server with many comes in several parts, of at most
    /// [`Suspension::MOST_CHECKERS`] each.
    pub checkers: Vec<CheckerId>,
}

impl Suspension {
    /// Checkers in one message, which so stays far below the longest one.
    pub const MOST_CHECKERS: usize = 4096;
}

/// Settings of the checker process that belong to no checker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerGlobal {
    /// Mail settings, when complete.
    pub mail: Option<MailSettings>,
    /// `SSL { ca }` as PEM text: when given, certificates are verified against it.
    pub trusted_authorities: Option<Vec<u8>>,
    /// `SSL { verify }`: without `ca`, certificates are verified against the authorities that Mozilla
    /// trusts.
    pub verify: bool,
    /// `checker_share`: identical checks are run once.
    pub share: bool,
    /// `metrics_listen`: where to serve metrics and status.
    pub metrics_listen: Option<SocketAddr>,
    /// `SSL { certificate, key }` as PEM text, shown to servers that ask.
    pub client_identity: Option<ClientIdentity>,
}

/// A client certificate chain and its key, PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientIdentity {
    /// Certificate chain.
    pub certificates: Vec<u8>,
    /// Private key.
    pub key: Vec<u8>,
}

impl CheckerGlobal {
    /// Certificates of servers are verified.
    #[must_use]
    pub const fn verifies(&self) -> bool {
        self.verify || self.trusted_authorities.is_some()
    }
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientIdentity(********)")
    }
}

/// Where notification mail goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailSettings {
    /// `smtp_server`: address or name.
    pub server: String,
    /// Its port, 25 by default.
    pub port: Port,
    /// `smtp_helo_name`, else the host's name.
    pub helo: String,
    /// `notification_email_from`.
    pub from: String,
    /// `notification_email`; at least one.
    pub to: Vec<String>,
    /// `smtp_connect_timeout`: of the connection and of each later step.
    pub timeout: Duration,
}

/// A mail to send; the parent writes it, the checker process delivers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Subject line.
    pub subject: String,
    /// Body text.
    pub body: String,
}

/// What the checker process publishes of a checker at every change, and gets back after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckerSnapshot {
    /// The checker.
    pub id: CheckerId,
    /// Healthy.
    pub up: bool,
    /// It has given a result since it was configured.
    pub has_run: bool,
    /// Failed attempts in a row.
    pub failures: u32,
    /// When the next attempt is due.
    pub next_at: Instant,
    /// Index of the url (or host) to try next.
    pub step: u16,
    /// Consecutive steps passed on the way up.
    pub passed: u16,
    /// Weight asked for by the last run of a dynamic check.
    pub weight: Option<Weight>,
    /// Attempts made, ever.
    pub attempts: u64,
    /// Attempts failed, ever.
    pub failed_attempts: u64,
}
