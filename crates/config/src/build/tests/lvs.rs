use std::path::Path;
use std::time::Duration;

use kr_model::check::{Checker, PatternByte, Probe, SocketKind, SocketRule};
use kr_model::lvs::{Forwarding, Protocol, Scheduler, ServiceFlags};

use super::{clean, loaded, messages, server_with, service, service_with};
use crate::build::load;
use crate::memory::MemoryHost;
use crate::parse::ParseOptions;

#[test]
fn an_unknown_block_is_skipped_whole() {
    let text = service_with("nonsense {\n inner {\n a\n}\n}\nreal_server 10.0.0.2 80 {\n}");
    assert_eq!(
        messages(&text),
        ["unknown keyword `nonsense` in virtual_server"]
    );
    assert_eq!(service(&text).services.len(), 1);
}

#[test]
fn a_service_has_the_defaults_of_keepalived() {
    let text = "virtual_server 10.0.0.1 80 {\n real_server 10.0.0.2 8080 {\n}\n}\n";
    assert_eq!(
        messages(text),
        [
            "this virtual server has no valid protocol; UDP is used",
            "this virtual server has no valid forwarding method; NAT is used",
            "this virtual server has no valid scheduler; wlc is used",
        ]
    );
    let s = service(text);
    assert_eq!(s.label, "[10.0.0.1]:udp:80");
    assert_eq!(
        (s.scheduler, s.quorum, s.hysteresis),
        (Scheduler::WeightedLeastConnection, 1, 0)
    );
    assert_eq!(
        (s.persistence, s.sorry_server, s.omega),
        (None, None, false)
    );
}

#[test]
fn a_service_on_all_ports_is_persistent() {
    let text = service_with("real_server 10.0.0.2 {\n}").replace("10.0.0.1 80", "10.0.0.1");
    assert_eq!(
        messages(&text),
        ["a service on all ports needs persistence; 360 s is used"]
    );
    let persistence = service(&text).persistence.unwrap();
    assert_eq!(
        (persistence.timeout_seconds, persistence.granularity),
        (360, 32)
    );
}

#[test]
fn persistence_granularity_is_a_prefix_length() {
    let s = service(&server_with("").replace(
        "protocol",
        "persistence_granularity 255.255.255.0\n protocol",
    ));
    assert_eq!(s.persistence.unwrap().granularity, 24);
    let holes =
        server_with("").replace("protocol", "persistence_granularity 255.0.255.0\n protocol");
    assert_eq!(
        messages(&holes),
        ["the mask 255.0.255.0 is not the first bits of an address and is ignored"]
    );
}

#[test]
fn only_nat_can_change_the_port() {
    let nat = loaded(&server_with("")).config.unwrap();
    assert_eq!(
        nat.real_servers
            .values()
            .next()
            .unwrap()
            .real_server
            .address
            .port(),
        8080
    );
    let text = server_with("").replace("NAT", "DR");
    assert_eq!(
        messages(&text),
        ["port 8080 becomes 80: only NAT can change the port"]
    );
    let direct = loaded(&text).config.unwrap();
    let server = &direct.real_servers.values().next().unwrap().real_server;
    assert_eq!(
        (server.address.port(), server.forwarding),
        (80, Forwarding::Direct)
    );
}

#[test]
fn quorum_and_hysteresis_stay_within_the_weights() {
    let text = service_with(
        "quorum 9\nhysteresis 5\nreal_server 10.0.0.2 80 {\nweight 2\n}\nreal_server 10.0.0.3 80 {\n}",
    );
    let s = service(&text);
    assert_eq!((s.quorum, s.hysteresis), (3, 2));
    let nothing = service(&service_with("real_server 10.0.0.2 80 {\nweight 0\n}"));
    assert_eq!((nothing.quorum, nothing.hysteresis), (1, 0));
}

#[test]
fn a_firewall_mark_takes_the_family_of_its_servers() {
    let text = "virtual_server fwmark 5 {\n lb_algo rr\n lb_kind DR\n real_server 2001:db8::2 80 {\n}\n}\n";
    let config = clean(text);
    let server = config.virtual_servers.values().next().unwrap();
    assert_eq!(server.virtual_server.label, "FWM 5");
    assert_eq!(
        server.virtual_server.services[0].family(),
        kr_model::net::Family::Inet6
    );
    let real = &config.real_servers.values().next().unwrap().real_server;
    assert_eq!(
        (real.address.port(), real.label.as_str()),
        (0, "[2001:db8::2]:none:0")
    );
}

#[test]
fn a_group_becomes_one_service_per_address() {
    let text = "virtual_server_group G {\n 10.0.0.1-3 80\n 10.0.1.0/30 80\n fwmark 9\n}\nvirtual_server group G {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.0.2.2 80 {\n}\n}\n";
    let config = clean(text);
    let s = &config
        .virtual_servers
        .values()
        .next()
        .unwrap()
        .virtual_server;
    assert_eq!((s.label.as_str(), s.services.len()), ("[G]:0", 8));
    assert_eq!(s.services[2].to_string(), "[10.0.0.3]:tcp:80");
    assert_eq!(s.services[7].to_string(), "FWM 9");
}

#[test]
fn what_cannot_be_reached_is_left_out() {
    let text = service_with(
        "real_server 10.0.0.2 80 {\n}\nreal_server 10.0.0.2 80 {\n}\nreal_server 2001:db8::2 80 {\n}\nsorry_server 2001:db8::3 80",
    );
    let config = loaded(&text).config.unwrap();
    assert_eq!(config.real_servers.len(), 1);
    assert_eq!(
        config
            .virtual_servers
            .values()
            .next()
            .unwrap()
            .virtual_server
            .sorry_server,
        None
    );
    assert_eq!(messages(&text).len(), 3);
}

#[test]
fn flags_need_their_scheduler() {
    assert_eq!(
        service(&server_with("").replace("rr", "sh\n sh-port\n sh-fallback")).flags,
        ServiceFlags::SCHED_1 | ServiceFlags::SCHED_2
    );
    assert_eq!(
        messages(&server_with("").replace("rr", "rr\n mh-port")),
        ["this needs `lb_algo mh` and is ignored"]
    );
    assert_eq!(
        messages(&server_with("").replace("rr", "rr\n ops")),
        ["`ops` is for UDP and firewall marks only and is ignored"]
    );
    assert_eq!(
        service(
            &server_with("")
                .replace("rr", "rr\n ops")
                .replace("TCP", "udp")
        )
        .flags,
        ServiceFlags::ONE_PACKET
    );
}

#[test]
fn checkers_take_over_what_their_servers_say() {
    let text = "virtual_server 10.0.0.1 80 {\n delay_loop 7\n retry 4\n alpha\n lb_algo rr\n lb_kind NAT\n protocol TCP\n virtualhost vs.example\n \
        real_server 10.0.0.2 80 {\n connect_timeout 2\n TCP_CHECK {\n}\n HTTP_GET {\n retry 0\n alpha off\n warmup 0\n url {\n path /a\n status_code 200 301-302\n}\n url {\n path /b\n virtualhost b.example\n}\n}\n MISC_CHECK {\n misc_path /bin/x\n}\n}\n}\n\
        global_defs {\nenable_script_security\n}\n";
    let config = clean(text);
    let checkers: Vec<_> = config.checkers.values().map(|c| &c.checker).collect();
    assert_eq!(
        (
            checkers[0].timing.retry,
            checkers[0].timing.delay_loop.as_secs(),
            checkers[0].timing.warmup.as_secs()
        ),
        (4, 7, 7)
    );
    assert!(checkers[0].alpha && !checkers[1].alpha);
    assert_eq!(
        (
            checkers[1].timing.retry,
            checkers[1].timing.delay_before_retry.as_secs(),
            checkers[1].timing.warmup.as_secs()
        ),
        (0, 3, 0)
    );
    let Probe::Http(http) = &checkers[1].probe else {
        panic!("HTTP_GET is second")
    };
    assert_eq!(http.connection.timeout, Duration::from_secs(2));
    assert_eq!(
        (http.urls[0].host.as_str(), http.urls[1].host.as_str()),
        ("vs.example", "b.example")
    );
    assert_eq!(
        http.urls[0]
            .status
            .iter()
            .map(|r| (r.first, r.last))
            .collect::<Vec<_>>(),
        [(200, 200), (301, 302)]
    );
    assert_eq!(
        checkers[2].probe,
        Probe::Misc {
            dynamic: false,
            timeout: Duration::from_secs(7)
        }
    );
    assert_eq!(checkers[2].timing.retry, 4);
    let bound = &config
        .real_servers
        .values()
        .next()
        .unwrap()
        .real_server
        .checkers;
    assert_eq!(
        bound.iter().map(|b| b.alpha).collect::<Vec<_>>(),
        [true, false, true]
    );
}

#[test]
fn the_server_name_of_tls_follows_the_virtual_hosts_only_when_asked() {
    let names = |lines: &str| {
        let config = clean(&server_with(&format!(
            "virtualhost rs.example\nSSL_GET {{\n{lines}\nurl {{\npath /\nvirtualhost u.example\n}}\n}}"
        )));
        let Probe::Http(http) = config.checkers.into_values().next().unwrap().checker.probe else {
            panic!("SSL_GET")
        };
        (
            http.tls.unwrap().server_name,
            http.urls[0].server_name.clone(),
        )
    };
    let name = |n: &str| Some(n.to_owned());
    assert_eq!(names(""), (None, None));
    assert_eq!(names("enable_sni"), (name("rs.example"), name("u.example")));
    assert_eq!(names("sni_name s.example"), (name("s.example"), None));
}

#[test]
fn tls_files_are_read_and_a_missing_one_is_fatal() {
    let text = "SSL {\n ca /ca.pem\n certificate /c.pem\n key /k.pem\n}\n";
    let host = MemoryHost::with_file("/k.conf", text)
        .and_file("/ca.pem", "CA")
        .and_file("/c.pem", "C")
        .and_file("/k.pem", "K");
    let found = load(&host, Path::new("/k.conf"), &ParseOptions::default());
    let checker = found.config.unwrap().checker;
    assert_eq!(
        checker.trusted_authorities.as_deref(),
        Some(b"CA".as_slice())
    );
    assert_eq!(checker.client_identity.unwrap().key, b"K");
    assert_eq!(loaded("SSL {\n ca /none.pem\n}\n").config, None);
}

#[test]
fn verification_is_asked_for_by_ca_or_by_verify_and_switched_off_by_verify() {
    let of = |lines: &str| {
        let bundle = "x".repeat(1 << 20);
        let host = MemoryHost::with_file("/k.conf", &format!("SSL {{\n{lines}\n}}\n"))
            .and_file("/ca.pem", &bundle);
        let found = load(&host, Path::new("/k.conf"), &ParseOptions::default());
        let checker = found.config.unwrap().checker;
        (
            checker.trusted_authorities.as_ref().map(Vec::len),
            checker.verifies(),
        )
    };
    assert_eq!(of("verify"), (None, true));
    assert_eq!(of("ca /ca.pem"), (Some(1 << 20), true));
    assert_eq!(of("ca /ca.pem\nverify"), (Some(1 << 20), true));
    assert_eq!(of("ca /ca.pem\nverify off"), (None, false));
    assert_eq!(of(""), (None, false));
}

#[test]
fn old_spellings_of_connection_keywords_are_taken() {
    let config = clean(&server_with(
        "TCP_CHECK {\nbind_to 10.0.0.7\nbindport 9999\nnb_get_retry 2\n}",
    ));
    let checker = &config.checkers.values().next().unwrap().checker;
    let Probe::Tcp(connection) = &checker.probe else {
        panic!("TCP_CHECK")
    };
    assert_eq!(connection.source, Some("10.0.0.7".parse().unwrap()));
    assert_eq!(connection.source_port.map(|p| p.get()), Some(9999));
    assert_eq!(checker.timing.retry, 2);
}

#[test]
fn marks_and_low_source_ports_are_taken_by_every_check_but_ping() {
    let lines = "bindto 10.0.0.7\nbind_port 514\nfwmark 4294967295\n";
    let smtp = format!(
        "SMTP_CHECK {{\nfwmark 9\nhost {{\nconnect_ip 10.0.0.5\n{lines}}}\nhost {{\nconnect_ip 10.0.0.6\n}}\n}}"
    );
    let checks = format!("TCP_CHECK {{\n{lines}}}\nDNS_CHECK {{\n{lines}}}\n{smtp}");
    let config = clean(&server_with(&checks));
    let rules: Vec<_> = config
        .checkers
        .values()
        .flat_map(|entry| entry.checker.socket_rules())
        .map(|rule| (rule.kind, rule.host, rule.source, rule.mark))
        .collect();
    let low = "10.0.0.7:514".parse().ok();
    assert_eq!(
        rules,
        [
            (SocketKind::Stream, 0, low, u32::MAX),
            (SocketKind::Datagram, 0, low, u32::MAX),
            (SocketKind::Stream, 0, low, u32::MAX),
            (SocketKind::Stream, 1, None, 9),
        ]
    );
    let ping = server_with(&format!("PING_CHECK {{\n{lines}}}"));
    let said = messages(&ping);
    assert_eq!(
        said,
        [
            "`bind_port` has no effect in a PING_CHECK",
            "`fwmark` has no effect in a PING_CHECK"
        ]
    );
}

#[test]
fn checks_are_shared_only_when_asked_for() {
    let of = |text: &str| clean(&format!("{text}{}", server_with("TCP_CHECK {\n}"))).checker;
    assert!(!of("").share);
    assert!(of("global_defs {\n checker_share\n}\n").share);
    assert!(!of("global_defs {\n checker_share off\n}\n").share);
}

#[test]
fn only_marks_and_low_source_ports_need_a_privilege() {
    for (lines, needed) in [
        ("", false),
        ("bindto 10.0.0.7", false),
        ("bindto 10.0.0.7\nbind_port 1024", false),
        ("bindto 10.0.0.7\nbind_port 1023", true),
        ("fwmark 0", false),
        ("fwmark 1", true),
    ] {
        let config = clean(&server_with(&format!("TCP_CHECK {{\n{lines}\n}}")));
        let checker = &config.checkers.values().next().unwrap().checker;
        assert_eq!(checker.socket_rules().len(), usize::from(needed), "{lines}");
        assert!(checker.socket_rules().iter().all(SocketRule::is_sound));
    }
}

#[test]
fn checks_with_datagrams_have_keepalived_s_defaults() {
    let config = clean(&server_with(
        "delay_loop 7\nDNS_CHECK {\n}\nDNS_CHECK {\nname www.example.\ntype aaaa\n}\nPING_CHECK {\n}",
    ));
    let checkers: Vec<&Checker> = config.checkers.values().map(|c| &c.checker).collect();
    let [soa, aaaa, ping] = checkers[..] else {
        panic!("{checkers:?}")
    };
    assert_eq!(soa.timing.retry, 3);
    assert_eq!(soa.timing.delay_before_retry, Duration::from_secs(7));
    let asked = |checker: &Checker| {
        let Probe::Dns { name, record, .. } = &checker.probe else {
            panic!("DNS_CHECK")
        };
        (name.clone(), *record)
    };
    assert_eq!(asked(soa), (".".to_owned(), 6));
    assert_eq!(asked(aaaa), ("www.example.".to_owned(), 28));
    assert!(matches!(ping.probe, Probe::Ping(_)));
    assert_eq!(ping.timing.retry, 1);
}

#[test]
fn udp_check_takes_bytes_and_lengths() {
    let of = |block: &str| {
        let config = clean(&server_with(&format!("UDP_CHECK {{\n{block}\n}}")));
        let entry = config.checkers.into_values().next().unwrap();
        let Probe::Udp(udp) = entry.checker.probe else {
            panic!("UDP_CHECK")
        };
        udp
    };
    let plain = of("payload AA 1 bb2");
    assert_eq!(plain.payload, [0xaa, 0x01, 0xbb, 0x02]);
    assert_eq!(plain.reply, None);
    assert_eq!(of("").payload.len(), 32);
    let reply = of("require_reply").reply.unwrap();
    assert_eq!((reply.pattern.len(), reply.min, reply.max), (0, 0, 65_535));
    let reply = of("require_reply 0Xff\nmin_reply_length 2").reply.unwrap();
    assert_eq!((reply.min, reply.max), (2, 255));
    assert_eq!(
        reply.pattern[0],
        PatternByte {
            value: 0,
            mask: 0xf0
        }
    );
    assert_eq!(
        messages(&server_with(
            "UDP_CHECK {\npayload zz\nmin_reply_length 3\nmax_reply_length 2\n}"
        )),
        [
            "no reply has at least 3 and at most 2 bytes",
            "the bytes of `payload` cannot be read"
        ]
    );
}

#[test]
fn refused_keywords_name_the_right_one() {
    let found = loaded(&server_with("lb_kind NAT"));
    assert_eq!(found.diagnostics[0].message, "`lb_kind` is not accepted");
    assert_eq!(
        found.diagnostics[0].help.as_deref(),
        Some("write `lvs_method` instead")
    );
}

#[test]
fn one_service_in_two_blocks_is_an_error() {
    let text = format!("{}{}", server_with(""), server_with(""));
    assert_eq!(
        messages(&text),
        ["[10.0.0.1]:tcp:80 is given twice; this virtual server is left out"]
    );
    let udp = server_with("").replace("TCP", "UDP");
    let both = clean(&format!("{}{udp}", server_with("")));
    let protocols: Vec<String> = both
        .virtual_servers
        .values()
        .map(|v| v.virtual_server.label.clone())
        .collect();
    assert_eq!(
        protocols,
        [
            format!("[10.0.0.1]:{}:80", Protocol::Tcp.name()),
            "[10.0.0.1]:udp:80".to_owned()
        ]
    );
}

#[test]
fn what_would_not_fit_into_one_message_is_cut_with_an_error() {
    let group = |range: &str| {
        format!(
            "virtual_server_group G {{\n {range} 80\n}}\n{}",
            server_with("").replace("10.0.0.1 80", "group G")
        )
    };
    assert_eq!(service(&group("10.4.0.0/22")).services.len(), 1024);
    let said = "`10.4.0.0/21` brings the group above 1024 members and is left out".to_owned();
    assert!(messages(&group("10.4.0.0/21")).contains(&said));
    let urls = |count, path: &str| {
        let urls = format!("url {{\n path /{path}\n}}\n").repeat(count);
        messages(&server_with(&format!("HTTP_GET {{\n{urls}\n}}")))
    };
    assert_eq!(
        urls(101, ""),
        ["a checker has at most 100 urls; the last ones are left out"]
    );
    assert_eq!(
        urls(90, &"a".repeat(1000)),
        ["the urls of this check are too long together; it is left out"]
    );
    let said = "a checker has at most 16 hosts; the last ones are left out";
    assert_eq!(
        messages(&server_with(&format!(
            "SMTP_CHECK {{\n{}\n}}",
            "host {\n}\n".repeat(17)
        ))),
        [said]
    );
    let path = format!("HTTP_GET {{\nurl {{\n path /{}\n}}\n}}", "a".repeat(1024));
    assert!(messages(&server_with(&path)).contains(&"`path` is longer than 1024 bytes".to_owned()));
}

#[test]
fn a_mask_of_no_bits_is_no_granularity() {
    let text = server_with("").replace("protocol", "persistence_granularity 0.0.0.0\n protocol");
    assert_eq!(
        messages(&text),
        ["the mask 0.0.0.0 is not the first bits of an address and is ignored"]
    );
    assert_eq!(service(&text).persistence, None);
}

#[test]
fn servers_that_differ_in_a_port_that_cannot_differ_are_one() {
    let two = "real_server 10.0.0.2 80 {\n}\nreal_server 10.0.0.2 81 {\n}";
    assert_eq!(clean(&service_with(two)).real_servers.len(), 2);
    let direct = service_with(two).replace("NAT", "DR");
    assert_eq!(
        messages(&direct),
        ["real server 10.0.0.2 port 81 is given twice"]
    );
}

#[test]
fn checks_follow_an_address_and_never_a_mark() {
    let suspended = |text: &str| {
        let config = loaded(text).config.unwrap();
        let entry = config.virtual_servers.into_values().next().unwrap();
        entry.suspend
    };
    let text = service_with("ha_suspend\nreal_server 10.0.0.2 80 {\n}");
    assert_eq!(messages(&text), [""; 0]);
    assert!(suspended(&text));
    assert!(!suspended(&text.replace("ha_suspend", "")));
    let mark = text
        .replace("10.0.0.1 80", "fwmark 3")
        .replace("protocol TCP", "");
    assert_eq!(
        messages(&mark),
        ["`ha_suspend` follows an address, which a firewall mark does not have; it is ignored"]
    );
    assert!(!suspended(&mark));
}
