//! From the values of a `real_server` and its checkers to the server and its checkers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kr_model::check::{
    Checker, Connection, FileProbe, HttpProbe, HttpVersion, Probe, Timing, TlsOptions, UdpProbe,
    Url,
};
use kr_model::lvs::{CheckerBinding, Forwarding, Protocol, RealServer, server_label};
use kr_model::units::{Port, Weight};
use kr_model::{CheckerId, RealServerId, VirtualServerId};

use crate::source::Span;
use crate::typed::{CheckerEntry, Config, RealServerEntry};

use super::check_draft::{CheckKind, CheckerDraft, ConnectionDraft, HttpDraft, Inherited};
use super::finding::{error, warning};
use super::global::Globals;
use super::real_server::ServerDraft;
use super::{Build, Purpose, next};

const DEFAULT_DELAY_LOOP: Duration = Duration::from_secs(60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a checker's urls: a checker travels in one message of 64 KiB.
const MOST_BYTES: usize = 56 * 1024;
/// Most bytes of a range of status codes in a message.
const BYTES_OF_STATUS: usize = 6;
/// Most bytes of the lengths, numbers and the digest of a url in a message.
const BYTES_OF_URL: usize = 80;
const DEFAULT_HELO: &str = "smtpchecker.keepalived.org";

/// What real servers need to know of their service.
pub(super) struct Service {
    pub(super) id: VirtualServerId,
    pub(super) label: String,
    pub(super) protocol: Option<Protocol>,
    /// Port of the service; `None` for firewall marks.
    pub(super) port: Option<u16>,
    pub(super) forwarding: Forwarding,
    pub(super) settings: Inherited,
}

/// A real server with what its checkers take over from it.
struct Server<'a> {
    id: RealServerId,
    address: SocketAddr,
    label: &'a str,
    service: &'a Service,
    settings: &'a Inherited,
}

impl Build<'_> {
    /// Completes a real server and puts its checkers into the configuration.
    pub(super) fn finish_server(
        &mut self,
        globals: &Globals,
        config: &mut Config,
        service: &Service,
        draft: ServerDraft,
        id: RealServerId,
    ) -> RealServerEntry {
        let settings = draft.settings.under(&service.settings);
        let forwarding = settings.forwarding.unwrap_or(service.forwarding);
        let port = self.destination_port(service, forwarding, draft.port, draft.at);
        let label = server_label(draft.ip, service.protocol, port);
        let server = Server {
            id,
            // A check of a server without a port of its own still goes to the port that is written.
            address: SocketAddr::new(draft.ip, if port == 0 { draft.port } else { port }),
            label: &label,
            service,
            settings: &settings,
        };
        let mut checkers = Vec::with_capacity(draft.checkers.len());
        let mut followed = Vec::new();
        for checker in draft.checkers {
            let checker_id = CheckerId(self.count.checkers);
            let at = checker.at;
            let entry = self.finish_checker(globals, config, &server, checker, checker_id);
            let Some(entry) = entry else {
                continue;
            };
            if let Probe::Bfd { session, .. } = entry.checker.probe {
                if followed.contains(&session) {
                    self.report(
                        error(at, "this real server follows the session already")
                            .label("this BFD_CHECK is left out"),
                    );
                    continue;
                }
                followed.push(session);
            }
            next(&mut self.count.checkers);
            checkers.push(CheckerBinding {
                id: checker_id,
                alpha: entry.checker.alpha,
            });
            if self.purpose == Purpose::Run {
                config.checkers.insert(checker_id, entry);
            }
        }
        RealServerEntry {
            real_server: RealServer {
                id,
                virtual_server: service.id,
                address: SocketAddr::new(draft.ip, port),
                weight: settings.weight.unwrap_or(Weight::ONE),
                forwarding,
                inhibit_on_failure: settings.inhibit.unwrap_or(false),
                upper_threshold: draft.upper,
                lower_threshold: draft.lower,
                drain: settings.drain.unwrap_or(Duration::ZERO),
                checkers,
                label,
            },
            notify_up: draft.notify_up,
            notify_down: draft.notify_down,
            mail: settings
                .alert
                .unwrap_or_else(|| globals.alert_of_real_servers()),
        }
    }

    /// Only address translation can change the port.
    pub(super) fn destination_port(
        &mut self,
        service: &Service,
        forwarding: Forwarding,
        port: u16,
        at: Span,
    ) -> u16 {
        match forwarding {
            Forwarding::Nat if port == 0 => service.port.unwrap_or(0),
            Forwarding::Nat => port,
            Forwarding::Direct | Forwarding::Tunnel(_) => {
                let wanted = service.port.unwrap_or(0);
                if port != wanted && port != 0 && service.port.is_some() {
                    self.report(
                        warning(
                            at,
                            format!("port {port} becomes {wanted}: only NAT can change the port"),
                        )
                        .help("write the port of the virtual server"),
                    );
                }
                wanted
            }
        }
    }

    fn finish_checker(
        &mut self,
        globals: &Globals,
        config: &Config,
        server: &Server<'_>,
        draft: CheckerDraft,
        id: CheckerId,
    ) -> Option<CheckerEntry> {
        let own = &draft.timing;
        let above = server.settings;
        let delay_loop = own
            .delay_loop
            .or(above.delay_loop)
            .unwrap_or(DEFAULT_DELAY_LOOP);
        let (default_retry, default_delay) = match draft.kind {
            CheckKind::Tcp | CheckKind::Smtp { .. } | CheckKind::Udp { .. } | CheckKind::Ping => {
                (1, Duration::from_secs(1))
            }
            CheckKind::Http(_) => (1, Duration::from_secs(3)),
            CheckKind::Dns { .. } => (3, delay_loop),
            CheckKind::Bfd { .. } | CheckKind::File { .. } | CheckKind::Misc { .. } => {
                (0, Duration::from_secs(1))
            }
        };
        let mut timing = Timing {
            delay_loop,
            retry: own.retry.or(above.retry).unwrap_or(default_retry),
            delay_before_retry: own
                .delay_before_retry
                .or(above.delay_before_retry)
                .unwrap_or(default_delay),
            warmup: own.warmup.or(above.warmup).unwrap_or(delay_loop),
        };
        let mut alpha = own.alpha.or(above.alpha).unwrap_or(false);
        let log_all_failures = own.log_all_failures.unwrap_or(globals.log_all_failures);
        let mut script = None;
        let probe = match draft.kind {
            CheckKind::Tcp => Probe::Tcp(self.connection(server, draft.at, &draft.connection)?),
            CheckKind::Http(http) => {
                let connection = self.connection(server, draft.at, &draft.connection)?;
                let probe = http_probe(server, connection, http);
                if size(&probe) > MOST_BYTES {
                    self.report(
                        error(
                            draft.at,
                            "the urls of this check are too long together; it is left out",
                        )
                        .help("give the real server several checkers with fewer urls each"),
                    );
                    return None;
                }
                Probe::Http(probe)
            }
            CheckKind::Smtp { helo, hosts } => {
                let mut connections = Vec::new();
                for host in &hosts {
                    connections.extend(self.connection(
                        server,
                        draft.at,
                        &host.under(&draft.connection),
                    ));
                }
                if hosts.is_empty() {
                    connections.push(self.connection(server, draft.at, &draft.connection)?);
                }
                if connections.is_empty() {
                    return None;
                }
                Probe::Smtp {
                    helo: helo.unwrap_or_else(|| DEFAULT_HELO.to_owned()),
                    hosts: connections,
                }
            }
            CheckKind::Dns { name, record } => Probe::Dns {
                connection: self.connection(server, draft.at, &draft.connection)?,
                name,
                record,
            },
            CheckKind::Udp { payload, reply } => Probe::Udp(UdpProbe {
                connection: self.connection(server, draft.at, &draft.connection)?,
                payload,
                reply,
            }),
            CheckKind::Ping => {
                let connection = self.without_ports_and_marks(draft.connection);
                Probe::Ping(self.portless_connection(server, draft.at, &connection)?)
            }
            CheckKind::Bfd { name } => self.followed_session(config, &name)?,
            CheckKind::File {
                file,
                name,
                weight,
                reverse,
            } => {
                // What it says is known at once.
                alpha = false;
                timing.retry = 0;
                Probe::File(FileProbe {
                    file,
                    name,
                    weight,
                    reverse,
                    server_weight: server.settings.weight.unwrap_or(Weight::ONE),
                })
            }
            CheckKind::Misc {
                script: program,
                timeout,
                dynamic,
            } => {
                script = Some(program);
                let default = server
                    .service
                    .settings
                    .delay_loop
                    .unwrap_or(DEFAULT_DELAY_LOOP);
                Probe::Misc {
                    dynamic,
                    timeout: timeout.unwrap_or(default),
                }
            }
        };
        Some(CheckerEntry {
            checker: Checker {
                id,
                server: server.label.to_owned(),
                service: server.service.label.clone(),
                probe,
                timing,
                alpha,
                log_all_failures,
            },
            real_server: server.id,
            script,
        })
    }

    /// What an echo request leaves of the settings of a connection, as in keepalived.
    fn without_ports_and_marks(&mut self, mut draft: ConnectionDraft) -> ConnectionDraft {
        let port = draft.source_port.take().map(|(_, at)| ("bind_port", at));
        let mark = draft.mark.take().map(|(_, at)| ("fwmark", at));
        for (keyword, at) in port.into_iter().chain(mark) {
            self.report(
                warning(at, format!("`{keyword}` has no effect in a PING_CHECK"))
                    .help("remove the line"),
            );
        }
        draft
    }

    /// Where and how a check connects. `None` when it cannot.
    fn connection(
        &mut self,
        server: &Server<'_>,
        at: Span,
        draft: &ConnectionDraft,
    ) -> Option<Connection> {
        let connection = self.portless_connection(server, at, draft)?;
        if connection.target.port() == 0 {
            self.report(
                error(at, "this check has no port to connect to and is left out")
                    .help("add `connect_port PORT`"),
            );
            return None;
        }
        Some(connection)
    }

    /// The same for a check that needs no port.
    fn portless_connection(
        &mut self,
        server: &Server<'_>,
        at: Span,
        draft: &ConnectionDraft,
    ) -> Option<Connection> {
        let ip = draft.ip.unwrap_or_else(|| server.address.ip());
        let port = draft.port.map_or_else(|| server.address.port(), Port::get);
        if let IpAddr::V6(v6) = ip
            && v6.is_unicast_link_local()
            && draft.interface.is_none()
        {
            self.report(
                error(
                    at,
                    format!(
                        "{ip} is a link-local address; without an interface this check is left out"
                    ),
                )
                .help("add `bind_if INTERFACE`"),
            );
            return None;
        }
        let mut source = draft.source;
        if let Some(bound) = source.filter(|bound| bound.is_ipv4() != ip.is_ipv4()) {
            self.report(error(
                at,
                format!("bindto {bound} is not of the family of {ip} and is ignored"),
            ));
            source = None;
        }
        if let Some((_, at)) = draft.source_port.filter(|_| source.is_none()) {
            self.report(
                warning(at, "`bind_port` has no effect without `bindto`")
                    .help("add `bindto ADDRESS`, or remove the line"),
            );
        }
        Some(Connection {
            target: SocketAddr::new(ip, port),
            source,
            source_port: draft
                .source_port
                .filter(|_| source.is_some())
                .map(|(port, _)| port),
            interface: draft.interface.clone(),
            mark: draft.mark.map_or(0, |(mark, _)| mark),
            timeout: draft
                .timeout
                .or(server.settings.connect_timeout)
                .unwrap_or(DEFAULT_TIMEOUT),
        })
    }
}

/// A size that the probe has at most in a message, in bytes.
fn size(probe: &HttpProbe) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let of_url = |url: &Url| {
        let pattern = url.pattern.as_ref().map_or(0, |pattern| pattern.text.len());
        let fixed = url.path.len() + url.host.len() + text(&url.server_name) + pattern;
        fixed + BYTES_OF_STATUS * url.status.len() + BYTES_OF_URL
    };
    probe.urls.iter().map(of_url).sum()
}

fn http_probe(server: &Server<'_>, connection: Connection, draft: HttpDraft) -> HttpProbe {
    let inherited = draft
        .virtual_host
        .or_else(|| server.settings.virtual_host.clone());
    let sni = draft.tls && draft.enable_sni;
    let per_url = sni && draft.sni_name.is_none();
    let tls = draft.tls.then(|| TlsOptions {
        server_name: if sni {
            draft.sni_name.or_else(|| inherited.clone())
        } else {
            None
        },
    });
    let target = connection.target;
    let urls = draft.urls.into_iter().map(|url| Url {
        path: url.path.unwrap_or_default(),
        server_name: url.virtual_host.clone().filter(|_| per_url),
        host: url
            .virtual_host
            .or_else(|| inherited.clone())
            .unwrap_or_else(|| target.to_string()),
        digest: url.digest,
        status: url.status,
        close_notify: url.close_notify.unwrap_or(draft.close_notify),
        pattern: url.pattern.finish(),
    });
    HttpProbe {
        urls: urls.collect(),
        connection,
        tls,
        version: draft.version.unwrap_or(HttpVersion::V1_0),
        fast_recovery: draft.fast_recovery,
    }
}
