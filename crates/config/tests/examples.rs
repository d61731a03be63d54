//! The example configurations: clean ones load without a word, dirty ones say what to mend.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

use kr_config::diagnostic::Severity;
use kr_config::memory::MemoryHost;
use kr_config::parse::ParseOptions;
use kr_config::{Loaded, exit_code, load, render};
use kr_model::check::Probe;
use kr_model::lvs::Forwarding;
use kr_model::units::Priority;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../parentd/examples")
}

fn load_example(name: &str) -> Loaded {
    let text = std::fs::read_to_string(examples().join(name)).unwrap();
    let host = MemoryHost::with_file("/keepalived.conf", &text);
    load(
        &host,
        Path::new("/keepalived.conf"),
        &ParseOptions::default(),
    )
}

fn load_clean(name: &str) -> kr_config::typed::Config {
    let loaded = load_example(name);
    let worst = loaded.diagnostics.iter().map(|d| d.severity).max();
    assert!(
        worst <= Some(Severity::Note),
        "{name}: {:#?}",
        loaded.diagnostics
    );
    assert_eq!(exit_code(&loaded.diagnostics), 0);
    loaded.config.unwrap()
}

#[test]
fn the_instance_of_vrrp_conf_is_an_ordinary_master() {
    let config = load_clean("vrrp.conf");
    let entry = config.instances.values().next().unwrap();
    assert_eq!(entry.instance.vrid.get(), 55);
    assert_eq!(entry.instance.priority, Priority::try_from(150).unwrap());
    assert_eq!(
        entry.instance.addresses[0].address.to_string(),
        "10.0.0.9/24"
    );
    let mail = config.checker.mail.unwrap();
    assert_eq!((mail.server.as_str(), mail.port.get()), ("10.0.0.1", 25));
    assert_eq!(mail.to, ["admin@example.net"]);
    assert_eq!(config.global.router_id, "LVS_7");
}

#[test]
fn http_conf_checks_by_connection_and_by_page() {
    let config = load_clean("http.conf");
    let labels: Vec<String> = config
        .checkers
        .values()
        .map(|c| c.checker.label())
        .collect();
    assert_eq!(
        labels,
        [
            "TCP_CHECK of [10.7.11.12]:tcp:80 in [10.7.11.100]:tcp:80",
            "HTTP_GET of [10.7.11.12]:tcp:80 in [10.7.11.100]:tcp:80"
        ]
    );
    let Probe::Http(http) = &config.checkers.values().nth(1).unwrap().checker.probe else {
        unreachable!("the second checker is the HTTP_GET")
    };
    assert_eq!(http.urls[0].digest.unwrap()[..2], [0xb7, 0xbd]);
    assert_eq!(http.urls[0].host, "10.7.11.12:80");
    assert!(http.tls.is_none());
}

#[test]
fn https_conf_has_two_urls_over_tls() {
    let config = load_clean("https.conf");
    let Probe::Http(http) = &config.checkers.values().next().unwrap().checker.probe else {
        unreachable!("the checker is the SSL_GET")
    };
    assert!(http.tls.is_some());
    let paths: Vec<&str> = http.urls.iter().map(|url| url.path.as_str()).collect();
    assert_eq!(paths, ["/", "/mrtg/"]);
    assert_eq!(config.checker.trusted_authorities, None);
}

#[test]
fn tcp_conf_keeps_a_dead_server_with_weight_zero() {
    let config = load_clean("tcp.conf");
    let server = &config.real_servers.values().next().unwrap().real_server;
    assert!(server.inhibit_on_failure);
    assert_eq!(server.weight.get(), 3);
    assert_eq!(server.forwarding, Forwarding::Nat);
    let timing = config.checkers.values().next().unwrap().checker.timing;
    assert_eq!(
        (
            timing.retry,
            timing.delay_before_retry.as_secs(),
            timing.delay_loop.as_secs()
        ),
        (3, 3, 6)
    );
}

#[test]
fn smtp_conf_probes_three_hosts() {
    let config = load_clean("smtp.conf");
    let Probe::Smtp { helo, hosts } = &config.checkers.values().next().unwrap().checker.probe
    else {
        unreachable!("the checker is the SMTP_CHECK")
    };
    assert_eq!(helo, "foo.bar.com");
    let targets: Vec<String> = hosts.iter().map(|host| host.target.to_string()).collect();
    assert_eq!(
        targets,
        ["172.16.1.12:25", "192.168.155.11:25", "64.233.167.100:587"]
    );
    assert!(hosts.iter().all(|host| host.timeout.as_secs() == 10));
    assert_eq!(hosts[2].source, None);
}

#[test]
fn misc_conf_runs_a_program_with_and_without_arguments() {
    let config = load_clean("misc.conf");
    let scripts: Vec<_> = config.scripts.values().collect();
    assert_eq!(scripts.len(), 2);
    assert_eq!(scripts.iter().map(|s| s.arguments.len()).sum::<usize>(), 2);
    let dynamic: Vec<bool> = config
        .checkers
        .values()
        .map(|c| matches!(c.checker.probe, Probe::Misc { dynamic: true, .. }))
        .collect();
    assert_eq!(dynamic, [false, true]);
}

/// The findings of each dirty file are beside it in `NAME.expected`; `BLESS=1` writes them anew.
#[test]
fn every_dirty_example_gives_exactly_the_expected_findings() {
    let mut names: Vec<PathBuf> = std::fs::read_dir(examples().join("dirty"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "conf"))
        .collect();
    names.sort();
    assert!(names.len() >= 9);
    for path in names {
        let name = format!("dirty/{}", path.file_name().unwrap().to_str().unwrap());
        let loaded = load_example(&name);
        let findings: String = loaded
            .diagnostics
            .iter()
            .map(|d| render::render(d, &loaded.sources, render::Style::Plain) + "\n")
            .collect();
        let expected = path.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &findings).unwrap();
        }
        assert_eq!(
            findings,
            std::fs::read_to_string(&expected).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn comments_glued_to_values_do_not_change_them() {
    let config = load_example("dirty/glued-comments.conf").config.unwrap();
    let checker = &config.checkers.values().next().unwrap().checker;
    let Probe::Tcp(connection) = &checker.probe else {
        unreachable!("the first checker is the TCP_CHECK")
    };
    assert_eq!(
        (
            connection.timeout.as_secs(),
            connection.target.port(),
            checker.timing.retry
        ),
        (5, 80, 3)
    );
    let script = config.scripts.values().next().unwrap();
    assert_eq!(script.program, Path::new("/usr/local/bin/script.sh"));
}

#[test]
fn mail_addresses_on_the_line_of_the_keyword_are_taken() {
    let config = load_example("dirty/inline-mail.conf").config.unwrap();
    assert_eq!(config.checker.mail.unwrap().to, ["admin@example.net"]);
}
