use kr_model::units::Priority;
use kr_netlink::route::Event;

use super::*;
use crate::samples::{self, index, instance, name};

fn guarded(id: u32, addresses: &[&str]) -> Instance {
    Instance {
        accept: false,
        ..instance(id, "eth0", addresses)
    }
}

fn none() -> impl Iterator<Item = Vmac> {
    std::iter::empty()
}

fn kernel() -> Kernel {
    let mut kernel = Kernel::default();
    kernel.apply(Event::Link(samples::link(2, "eth0")));
    kernel
}

/// What the transaction of a plan is, compared with one that is written out.
fn same(plan: &Plan, write: impl FnOnce(&mut Transaction)) {
    let mut expected = Transaction::default();
    write(&mut expected);
    assert_eq!(plan.transaction(), expected);
}

/// The settings, a plan that holds the tables of these instances, and its tables.
fn planned(instances: &[&Instance]) -> (FirewallSettings, Plan, Tables) {
    let settings = FirewallSettings::default();
    let wanted = tables(instances.iter().copied(), none(), &settings);
    let mut plan = Plan::default();
    plan.hold(settings.clone(), &wanted);
    plan.release(wanted.clone());
    (settings, plan, wanted)
}

fn claim(plan: &mut Plan, instance: &Instance) {
    let wanted = entries(instance, &kernel(), plan.by_index());
    plan.claim(Owner::Instance(instance.id), wanted);
}

#[test]
fn an_owner_and_whoever_accepts_need_no_table() {
    let accepts = instance(1, "eth0", &["10.0.0.1/24"]);
    let owner = Instance {
        priority: Priority::OWNER,
        ..guarded(2, &["10.0.0.2/24"])
    };
    let settings = FirewallSettings::default();
    assert!(tables([&accepts, &owner].into_iter(), none(), &settings).is_empty());
    assert!(entries(&owner, &kernel(), false).is_empty());
}

#[test]
fn an_excluded_address_of_the_other_family_has_a_table_too() {
    let mut one = guarded(1, &["10.0.0.1/24"]);
    one.excluded = instance(1, "eth0", &["fe80::1/64", "fd00::1/64"]).addresses;
    let settings = FirewallSettings::default();
    let families: Vec<Family> = tables([&one].into_iter(), none(), &settings)
        .into_keys()
        .collect();
    assert_eq!(families, [Family::Inet, Family::Inet6]);
    let link = Link::Name(name("eth0"));
    let address = "fe80::1".parse().unwrap();
    let expected = [
        Entry::Address([10, 0, 0, 1].into()),
        Entry::Address("fd00::1".parse().unwrap()),
        Entry::LinkLocal { address, link },
    ];
    assert_eq!(entries(&one, &kernel(), false), expected.into());
    let link = Link::Index(index(2));
    assert!(entries(&one, &kernel(), true).contains(&Entry::LinkLocal { address, link }));
    assert_eq!(entries(&one, &Kernel::default(), true).len(), 2);
}

#[test]
fn the_first_transaction_replaces_what_a_predecessor_left() {
    let one = guarded(1, &["10.0.0.1/24"]);
    let (settings, mut plan, wanted) = planned(&[&one]);
    claim(&mut plan, &one);
    same(&plan, |t| {
        t.remove(&settings.table, Family::Inet);
        t.remove(&settings.table, Family::Inet6);
        t.create(&settings, Family::Inet, wanted[&Family::Inet]);
        let entry = Entry::Address([10, 0, 0, 1].into());
        let skeleton = |family| wanted.get(&family).copied();
        t.put_in(&settings.table, skeleton, [&entry].into_iter());
    });
    plan.done();
    assert!(plan.transaction().is_empty());
}

#[test]
fn later_ones_change_only_elements_and_what_two_share_stays_for_the_second() {
    let (one, two) = (
        guarded(1, &["10.0.0.1/24", "10.0.0.9/24"]),
        guarded(2, &["10.0.0.9/24"]),
    );
    let (settings, mut plan, wanted) = planned(&[&one, &two]);
    plan.done();
    claim(&mut plan, &one);
    claim(&mut plan, &two);
    let skeleton = |family| wanted.get(&family).copied();
    let entry = |last| Entry::Address([10, 0, 0, last].into());
    same(&plan, |t| {
        t.put_in(
            &settings.table,
            skeleton,
            [&entry(1), &entry(9)].into_iter(),
        );
    });
    plan.done();
    plan.claim(Owner::Instance(one.id), BTreeSet::new());
    same(&plan, |t| {
        t.take_out(&settings.table, skeleton, [&entry(1)].into_iter())
    });
    plan.done();
    plan.claim(Owner::Instance(two.id), BTreeSet::new());
    same(&plan, |t| {
        t.take_out(&settings.table, skeleton, [&entry(9)].into_iter())
    });
}

#[test]
fn during_a_reload_nothing_is_given_up() {
    let one = guarded(1, &["10.0.0.1/24"]);
    let (settings, mut plan, wanted) = planned(&[&one]);
    claim(&mut plan, &one);
    plan.done();
    let after = guarded(1, &["10.0.0.2/24"]);
    plan.hold(settings.clone(), &wanted);
    claim(&mut plan, &after);
    let skeleton = |family| wanted.get(&family).copied();
    let entry = |last| Entry::Address([10, 0, 0, last].into());
    same(&plan, |t| {
        t.put_in(&settings.table, skeleton, [&entry(2)].into_iter())
    });
    plan.done();
    plan.release(wanted.clone());
    claim(&mut plan, &after);
    same(&plan, |t| {
        t.take_out(&settings.table, skeleton, [&entry(1)].into_iter())
    });
}

#[test]
fn another_table_name_moves_everything_at_once() {
    let one = guarded(1, &["10.0.0.1/24"]);
    let (old, mut plan, wanted) = planned(&[&one]);
    claim(&mut plan, &one);
    plan.done();
    let settings = FirewallSettings {
        table: "vrrp".to_owned().try_into().unwrap(),
        ..FirewallSettings::default()
    };
    plan.hold(settings.clone(), &wanted);
    claim(&mut plan, &one);
    same(&plan, |t| {
        t.remove(&old.table, Family::Inet);
        t.create(&settings, Family::Inet, wanted[&Family::Inet]);
        let entry = Entry::Address([10, 0, 0, 1].into());
        let skeleton = |family| wanted.get(&family).copied();
        t.put_in(&settings.table, skeleton, [&entry].into_iter());
    });
}

#[test]
fn what_is_not_wanted_any_more_is_removed_and_then_nothing_is_left() {
    let one = guarded(1, &["10.0.0.1/24"]);
    let (settings, mut plan, _) = planned(&[&one]);
    claim(&mut plan, &one);
    plan.done();
    plan.clear();
    assert!(!plan.is_empty());
    same(&plan, |t| t.remove(&settings.table, Family::Inet));
    plan.done();
    assert!(plan.is_empty());
}

#[test]
fn vmacs_have_rules_in_the_table_of_their_family() {
    let vmac = || {
        let vmac = Vmac {
            name: name("vrrp.1"),
            base: name("eth0"),
            family: Family::Inet,
        };
        std::iter::once(vmac)
    };
    let mut settings = FirewallSettings::default();
    let accepts = instance(1, "vrrp.1", &["10.0.0.1/24"]);
    let wanted = tables([&accepts].into_iter(), vmac(), &settings);
    let skeleton = wanted[&Family::Inet];
    assert_eq!(wanted.len(), 1);
    assert!(!skeleton.drops && skeleton.vmacs == VmacRules::Duplicate);
    let by_name = Entry::Vmac {
        family: Family::Inet,
        link: Link::Name(name("vrrp.1")),
        parent: index(2),
    };
    assert_eq!(vmac_entries(vmac(), &kernel(), false), [by_name].into());
    // By its index only when it exists.
    assert!(vmac_entries(vmac(), &kernel(), true).is_empty());
    // A kernel that sends no reports needs none.
    settings.leaves_igmp = true;
    assert!(tables([&accepts].into_iter(), vmac(), &settings).is_empty());
    settings.leaves_igmp = false;
    // A kernel that cannot duplicate gets other rules, also later on.
    settings.counters = true;
    let mut plan = Plan::default();
    plan.hold(settings, &wanted);
    assert!(plan.avoid_duplicates());
    plan.release(wanted);
    assert_eq!(plan.tables[&Family::Inet].vmacs, VmacRules::Drop);
    assert!(!plan.avoid_duplicates());
}
