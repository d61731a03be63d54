mod bfd;
mod checks;
mod forms;
mod lvs;
mod notify;
mod own_links;
mod routes;
mod signing;
mod strict;
mod track;
mod vrrp;

use std::time::Duration;

use kr_model::lvs::Removal;
use proptest::prelude::*;

use super::*;
use crate::memory::MemoryHost;
use crate::registry::{self, Status};
use crate::typed::Config;

fn loaded(text: &str) -> Loaded {
    let host = MemoryHost::with_file("/k.conf", text);
    load(&host, Path::new("/k.conf"), &ParseOptions::default())
}

fn tested(text: &str) -> Loaded {
    let host = MemoryHost::with_file("/k.conf", text);
    test(&host, Path::new("/k.conf"), &ParseOptions::default())
}

/// The configuration of a text that gives no finding above a note.
fn clean(text: &str) -> Config {
    let loaded = loaded(text);
    let worst = loaded.diagnostics.iter().map(|d| d.severity).max();
    assert!(worst <= Some(Severity::Note), "{:#?}", loaded.diagnostics);
    loaded.config.unwrap()
}

/// The messages of a text's findings above a note.
fn messages(text: &str) -> Vec<String> {
    let found = loaded(text).diagnostics;
    let bad = found.into_iter().filter(|d| d.severity > Severity::Note);
    bad.map(|d| d.message).collect()
}

fn instance_with(lines: &str) -> String {
    format!(
        "vrrp_instance VI {{\n interface eth0\n virtual_router_id 7\n virtual_ipaddress {{\n 10.0.0.9/24\n }}\n{lines}\n}}\n"
    )
}

fn service_with(lines: &str) -> String {
    format!(
        "virtual_server 10.0.0.1 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n{lines}\n}}\n"
    )
}

fn server_with(lines: &str) -> String {
    service_with(&format!("real_server 10.0.0.2 8080 {{\n{lines}\n}}"))
}

fn instance(text: &str) -> kr_model::vrrp::Instance {
    clean(text).instances.into_values().next().unwrap().instance
}

fn service(text: &str) -> kr_model::lvs::VirtualServer {
    loaded(text)
        .config
        .unwrap()
        .virtual_servers
        .into_values()
        .next()
        .unwrap()
        .virtual_server
}

#[test]
fn every_supported_keyword_of_a_block_is_read_by_its_builder() {
    let places: &[(Block, String)] = &[
        (Block::Root, "@".to_owned()),
        (Block::GlobalDefs, "global_defs {\n@\n}".to_owned()),
        (Block::GarpGroup, "garp_group {\n@\n}".to_owned()),
        (Block::Ssl, "SSL {\n@\n}".to_owned()),
        (Block::VrrpInstance, instance_with("@")),
        (
            Block::Authentication,
            instance_with("authentication {\n@\n}"),
        ),
        (Block::BfdInstance, "bfd_instance B {\n@\n}".to_owned()),
        (Block::VrrpScript, track::block("vrrp_script", "@")),
        (Block::TrackFile, track::block("track_file", "@")),
        (Block::TrackProcess, track::block("vrrp_track_process", "@")),
        (Block::VirtualServer, service_with("@")),
        (Block::RealServer, server_with("@")),
        (Block::Connection, server_with("TCP_CHECK {\n@\n}")),
        (Block::Timing, server_with("MISC_CHECK {\n@\n}")),
        (Block::HttpSsl, server_with("HTTP_GET {\n@\n}")),
        (Block::SslGet, server_with("SSL_GET {\n@\n}")),
        (Block::Url, server_with("HTTP_GET {\nurl {\n@\n}\n}")),
        (Block::SslUrl, server_with("SSL_GET {\nurl {\n@\n}\n}")),
        (Block::SmtpCheck, server_with("SMTP_CHECK {\n@\n}")),
        (Block::MiscCheck, server_with("MISC_CHECK {\n@\n}")),
        (Block::BfdCheck, server_with("BFD_CHECK {\n@\n}")),
    ];
    let mut tried = 0;
    for (block, template) in places {
        for keyword in
            registry::all().filter(|k| k.block == *block && k.status == Status::Supported)
        {
            let arguments = " 1".repeat(keyword.arguments.0);
            let body = if keyword.syntax.contains('{') {
                " {\n}"
            } else {
                ""
            };
            let text = template.replace('@', &format!("{}{arguments}{body}", keyword.name));
            for message in messages(&text) {
                assert!(
                    !message.contains("bug") && !message.contains("unknown keyword"),
                    "{text}\n{message}"
                );
            }
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn every_keyword_without_effect_gives_a_finding_with_its_name() {
    for (block, template) in [
        (Block::GlobalDefs, "global_defs {\n@\n}"),
        (Block::VrrpInstance, "vrrp_instance V {\n@\n}"),
    ] {
        for keyword in registry::all().filter(|k| k.block == block && k.status != Status::Supported)
        {
            let found = messages(&template.replace('@', keyword.name));
            let named = |m: &String| m.contains(&format!("`{}`", keyword.name));
            assert!(found.iter().any(named), "{}: {found:?}", keyword.name);
        }
    }
}

#[test]
fn scripts_without_script_security_are_exit_code_6() {
    let text = instance_with("notify /bin/say");
    assert_eq!(exit_code(&loaded(&text).diagnostics), 6);
    clean(&format!(
        "global_defs {{\nenable_script_security\n}}\n{text}"
    ));
}

#[test]
fn unknown_keywords_are_exit_code_5_and_run() {
    for line in ["prioirty 3", "track_script {\n x\n}", "priority 300"] {
        let found = loaded(&instance_with(line));
        assert_eq!(exit_code(&found.diagnostics), 5, "{line}");
        assert!(found.config.is_some());
    }
    assert_eq!(
        exit_code(&loaded("global_defs {\nenable_dbus\n}\n").diagnostics),
        0
    );
    assert_eq!(
        exit_code(
            &loaded("nonsense {\n a {\n b\n}\n c\n}\nglobal_defs {\nrouter_id X\n}\n").diagnostics
        ),
        5
    );
}

#[test]
fn scripts_stay_confined_when_a_directory_is_wrong() {
    let read = loaded("global_defs {\n script_read_only /a b /c\n}\n");
    assert_eq!(exit_code(&read.diagnostics), 5);
    let directories = read.config.unwrap().global.script_read_only;
    assert_eq!(directories, Some(vec!["/a".into(), "/c".into()]));
}

#[test]
fn a_repeated_setting_counts_last_but_a_repeated_script_first() {
    let config = loaded(&instance_with(
        "priority 3\npriority 4\nnotify_stop /bin/a\nnotify_stop /bin/b",
    ))
    .config
    .unwrap();
    let entry = config.instances.values().next().unwrap();
    assert_eq!(u64::from(entry.instance.priority), 4);
    assert_eq!(
        config.scripts[&entry.notify.stop.unwrap()].program,
        Path::new("/bin/a")
    );
}

#[test]
fn mail_defaults_differ_between_virtual_and_real_servers() {
    let mails = |global: &str| {
        let config = clean(&format!(
            "global_defs {{\n{global}\n}}\n{}{}",
            server_with(""),
            instance_with("")
        ));
        (
            config.virtual_servers.values().next().unwrap().mail,
            config.real_servers.values().next().unwrap().mail,
            config.instances.values().next().unwrap().mail,
        )
    };
    assert_eq!(mails(""), (false, true, false));
    assert_eq!(mails("smtp_alert"), (true, true, true));
    assert_eq!(
        mails("smtp_alert\nsmtp_alert_checker off"),
        (false, false, true)
    );
}

#[test]
fn global_settings_reach_the_processes() {
    let config = clean(
        "instance one\nchild_wait_time 9\nglobal_defs {\n lvs_flush\n lvs_flush_on_stop VS\n rs_init_notifies\n vrrp_startup_delay 2.5\n \
         checkerd_user nobody\n script_user root\n no_email_faults\n}\n",
    );
    assert_eq!(config.ipvs.removal, Removal::Services);
    assert!(config.ipvs.flush_at_start && config.ipvs.announce_at_start);
    assert_eq!(config.vrrp.startup_delay, Duration::from_millis(2500));
    assert_eq!(
        (
            config.global.accounts.checkerd.as_str(),
            config.global.accounts.vrrpd.as_str()
        ),
        ("nobody", "keepalived-vrrp")
    );
    assert_eq!(
        (
            config.global.instance_name.as_deref(),
            config.global.child_wait_time.as_secs()
        ),
        (Some("one"), 9)
    );
    assert_eq!(config.global.router_id, "host1.example.net");
    assert!(config.global.no_fault_mail);
}

/// A line of some keyword with arguments that are mostly not what it wants.
fn any_line() -> impl Strategy<Value = String> {
    let names: Vec<&str> = registry::all().map(|k| k.name).collect();
    let argument = prop_oneof![
        Just("10.0.0.1-255.255.255.255".to_owned()),
        Just("::/1".to_owned()),
        Just("fe80::1".to_owned()),
        Just("0.0.0.0/0".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("18446744073709551615.9999999".to_owned()),
        Just("|".to_owned()),
        Just("\"\"".to_owned()),
        any::<u16>().prop_map(|n| n.to_string()),
        "[a-z0-9.:/+-]{0,12}",
    ];
    let arguments = prop::collection::vec(argument, 0..4);
    (prop::sample::select(names), arguments)
        .prop_map(|(name, arguments)| format!("{name} {}", arguments.join(" ")))
}

/// Blocks in blocks, in places right and wrong.
fn any_text() -> impl Strategy<Value = String> {
    let heads: &[&str] = &[
        "global_defs",
        "vrrp_instance V",
        "virtual_server 10.0.0.1 80",
        "virtual_server fwmark 3",
        "virtual_server group G",
        "virtual_server_group G",
        "real_server 10.0.0.2 80",
        "TCP_CHECK",
        "SSL_GET",
        "SMTP_CHECK",
        "MISC_CHECK",
        "url",
        "host",
        "virtual_ipaddress",
        "authentication",
        "unicast_peer",
        "SSL",
    ];
    let leaf = any_line();
    leaf.prop_recursive(5, 60, 8, move |inner| {
        (
            prop::sample::select(heads),
            prop::collection::vec(inner, 0..8),
        )
            .prop_map(|(head, lines)| format!("{head} {{\n{}\n}}", lines.join("\n")))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_builder_panic(text in prop::collection::vec(any_text(), 1..6)) {
        let found = loaded(&text.join("\n"));
        prop_assert!(found.diagnostics.iter().all(|d| !d.message.contains("this is a bug")));
        let fatal = found.diagnostics.iter().any(|d| d.class == Class::Fatal);
        prop_assert_eq!(found.config.is_none(), fatal);
    }

    #[test]
    fn a_test_finds_what_a_start_finds(text in prop::collection::vec(any_text(), 1..6)) {
        let text = text.join("\n");
        prop_assert_eq!(tested(&text).diagnostics, loaded(&text).diagnostics);
    }
}

#[test]
fn words_too_many_are_not_repeated() {
    let found = loaded(&instance_with(
        "authentication {\n auth_type PASS\n auth_pass my secret\n}",
    ));
    assert_eq!(found.diagnostics.len(), 1);
    assert!(!found.diagnostics[0].message.contains("secret"));
    assert_eq!(exit_code(&found.diagnostics), 0);
}

#[test]
fn a_placeholder_of_a_manual_is_no_text_and_no_command() {
    let found = |check: &str| {
        let text = service_with(&format!("real_server 10.0.0.2 80 {{\n{check}\n}}"));
        loaded(&text).diagnostics.remove(0)
    };
    let helo = found("SMTP_CHECK {\n helo_name <STRING>|<QUOTED-STRING>\n}");
    assert_eq!(helo.message, "`helo_name` lacks its value");
    let path = found("MISC_CHECK {\n misc_path <STRING>\n}");
    assert_eq!(path.message, "there is no command");
    assert_eq!(
        path.help.as_deref(),
        Some("`<STRING>` is a placeholder of a manual: write a value")
    );
}
