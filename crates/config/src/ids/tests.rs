use std::path::Path;

use kr_model::check::Probe;
use proptest::prelude::*;

use super::*;
use crate::memory::MemoryHost;
use crate::parse::ParseOptions;

fn built(text: &str) -> Config {
    let host = MemoryHost::with_file("/k.conf", text);
    crate::load(&host, Path::new("/k.conf"), &ParseOptions::default())
        .config
        .unwrap()
}

/// A virtual server `10.0.0.N:80` with real servers `10.1.N.M:80`, each with checkers on the given ports.
fn service(number: u8, servers: &[(u8, Vec<u16>)]) -> String {
    let mut text =
        format!("virtual_server 10.0.0.{number} 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n");
    for (server, ports) in servers {
        text += &format!(" real_server 10.1.{number}.{server} 80 {{\n");
        for port in ports {
            text += &format!("  TCP_CHECK {{\n connect_port {port}\n }}\n");
        }
        text += " }\n";
    }
    text + "}\n"
}

fn instance(name: &str, vrid: u8, lines: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {vrid}\n virtual_ipaddress {{\n 10.0.9.{vrid}/24\n }}\n{lines}\n}}\n"
    )
}

fn checker_on(config: &Config, wanted: u16) -> CheckerId {
    let found = config.checkers.iter().find(|(_, entry)| {
        matches!(&entry.checker.probe, Probe::Tcp(connection) if connection.target.port() == wanted)
    });
    *found.unwrap().0
}

/// Every reference points to an object that is there and points back.
fn assert_consistent(config: &Config) {
    for (id, entry) in &config.real_servers {
        assert_eq!(*id, entry.real_server.id);
        assert!(
            config
                .virtual_servers
                .contains_key(&entry.real_server.virtual_server)
        );
        for binding in &entry.real_server.checkers {
            assert_eq!(config.checkers[&binding.id].real_server, *id);
        }
    }
    for (id, entry) in &config.checkers {
        assert_eq!(*id, entry.checker.id);
        let bindings = &config.real_servers[&entry.real_server].real_server.checkers;
        assert!(bindings.iter().any(|binding| binding.id == *id));
    }
}

#[test]
fn a_changed_priority_and_name_keep_the_id_of_an_instance() {
    let mut ids = IdAllocator::default();
    let old = adopt(
        None,
        &mut ids,
        built(&(instance("A", 1, "") + &instance("B", 2, ""))),
    );
    let new = adopt(
        Some(&Known::of(&old)),
        &mut ids,
        built(&(instance("Z", 2, "priority 7") + &instance("A", 3, ""))),
    );
    let by_vrid: Vec<(u8, u32)> = new
        .instances
        .iter()
        .map(|(id, e)| (e.instance.vrid.get(), id.0))
        .collect();
    assert_eq!(by_vrid, [(2, 1), (3, 2)]);
    assert_eq!(new.instances[&InstanceId(1)].instance.name, "Z");
}

#[test]
fn a_removed_server_gives_its_id_to_nobody() {
    let mut ids = IdAllocator::default();
    let old = adopt(
        None,
        &mut ids,
        built(&service(1, &[(1, vec![]), (2, vec![])])),
    );
    let without = adopt(
        Some(&Known::of(&old)),
        &mut ids,
        built(&service(1, &[(2, vec![])])),
    );
    assert_eq!(
        without.real_servers.keys().copied().collect::<Vec<_>>(),
        [RealServerId(1)]
    );
    let again = adopt(
        Some(&Known::of(&without)),
        &mut ids,
        built(&service(1, &[(1, vec![]), (2, vec![])])),
    );
    assert_eq!(
        again.real_servers.keys().copied().collect::<Vec<_>>(),
        [RealServerId(1), RealServerId(2)]
    );
}

#[test]
fn checkers_are_matched_by_what_they_do_in_any_order() {
    let mut ids = IdAllocator::default();
    let old = adopt(None, &mut ids, built(&service(1, &[(1, vec![80, 81, 82])])));
    let new = adopt(
        Some(&Known::of(&old)),
        &mut ids,
        built(&service(1, &[(1, vec![82, 90, 80])])),
    );
    for port in [80, 82] {
        assert_eq!(checker_on(&old, port), checker_on(&new, port));
    }
    assert_eq!(checker_on(&new, 90), CheckerId(3));
    assert_consistent(&new);
}

#[test]
fn a_new_schedule_keeps_the_id_of_a_checker() {
    let mut ids = IdAllocator::default();
    let text = service(1, &[(1, vec![80])]);
    let old = adopt(None, &mut ids, built(&text));
    let new = adopt(
        Some(&Known::of(&old)),
        &mut ids,
        built(&text.replace("lb_algo rr", "lb_algo rr\n delay_loop 3")),
    );
    assert_eq!(
        old.checkers.keys().collect::<Vec<_>>(),
        new.checkers.keys().collect::<Vec<_>>()
    );
    assert_ne!(old.checkers, new.checkers);
}

#[test]
fn a_program_with_other_arguments_is_another_script_and_checker() {
    let text = |arguments: &str| {
        service(1, &[(1, vec![])]).replace(
            "80 {\n }",
            &format!("80 {{\n MISC_CHECK {{\n misc_path \"/bin/x {arguments}\"\n}}\n }}"),
        )
    };
    let mut ids = IdAllocator::default();
    let old = adopt(None, &mut ids, built(&text("a")));
    let new = adopt(Some(&Known::of(&old)), &mut ids, built(&text("b")));
    assert_eq!(
        new.scripts.keys().copied().collect::<Vec<_>>(),
        [ScriptId(1)]
    );
    assert_eq!(
        new.checkers.keys().copied().collect::<Vec<_>>(),
        [CheckerId(1)]
    );
    assert_eq!(new.checkers[&CheckerId(1)].script, Some(ScriptId(1)));
}

type Servers = Vec<(u8, Vec<u16>)>;

fn services() -> impl Strategy<Value = Vec<(u8, Servers)>> {
    let ports = prop::collection::vec(80u16..84, 0..4);
    let servers = prop::collection::btree_map(1u8..6, ports, 1..4);
    let services = prop::collection::btree_map(1u8..6, servers, 0..4);
    services.prop_map(|all| {
        all.into_iter()
            .map(|(n, s)| (n, s.into_iter().collect()))
            .collect()
    })
}

fn text_of(services: &[(u8, Servers)]) -> String {
    services
        .iter()
        .map(|(number, servers)| service(*number, servers))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_the_same_file_again_changes_nothing(services in services()) {
        let text = text_of(&services);
        let mut ids = IdAllocator::default();
        let first = adopt(None, &mut ids, built(&text));
        let counters = ids.clone();
        let second = adopt(Some(&Known::of(&first)), &mut ids, built(&text));
        prop_assert_eq!(first, second);
        prop_assert_eq!(ids, counters);
    }

    #[test]
    fn any_reload_is_consistent_and_going_back_restores_what_stayed(a in services(), b in services()) {
        let mut ids = IdAllocator::default();
        let old = adopt(None, &mut ids, built(&text_of(&a)));
        let new = adopt(Some(&Known::of(&old)), &mut ids, built(&text_of(&b)));
        assert_consistent(&new);
        for (id, entry) in &new.real_servers {
            let same = old.real_servers.values().find(|e| e.real_server.label == entry.real_server.label);
            match same {
                Some(before) => prop_assert_eq!(before.real_server.id, *id),
                None => prop_assert!(!old.real_servers.contains_key(id)),
            }
        }
        for id in new.checkers.keys() {
            if let Some(before) = old.checkers.get(id) {
                prop_assert_eq!(&before.checker.probe, &new.checkers[id].checker.probe);
            }
        }
    }
}

#[test]
fn a_bfd_session_is_known_by_its_two_ends() {
    let session =
        |name: &str, lines: &str| built(&format!("bfd_instance {name} {{\n{lines}\n}}\n"));
    let mut allocator = IdAllocator::default();
    let first = session("A", "neighbor_ip 10.0.0.2");
    let first = adopt(None, &mut allocator, first);
    let renamed = session("B", "neighbor_ip 10.0.0.2\nmin_tx 50");
    let renamed = adopt(Some(&Known::of(&first)), &mut allocator, renamed);
    assert_eq!(renamed.bfd.keys().next(), first.bfd.keys().next());
    let (id, entry) = renamed.bfd.first_key_value().unwrap();
    assert_eq!(entry.session.id, *id);
    let moved = session("B", "neighbor_ip 10.0.0.2\nmultihop\nmax_hops 1");
    let moved = adopt(Some(&Known::of(&renamed)), &mut allocator, moved);
    assert_ne!(moved.bfd.keys().next(), first.bfd.keys().next());
}
