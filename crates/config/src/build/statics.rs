//! `static_ipaddress`, `static_routes`, `static_rules`: objects that are there whatever the instances do. And
//! the routes and rules of instances, as far as both are alike.

use kr_model::route::Route;
use kr_model::rule::Rule;
use kr_model::units::IfName;
use kr_model::vrrp::{Instance, TrackedInterface};

use crate::tree::{Statement, Word};
use crate::typed::Statics;

use super::Build;
use super::finding::{error, warning};
use super::global::Globals;
use super::line_value::Use;

/// Most routes, rules and static addresses of a configuration: more than any host needs, and a bound for what
/// the VRRP process keeps.
const MOST_OBJECTS: usize = 65_536;

/// A `track_group` that a static object names, and the interface that its instances depend on.
pub(super) type Dependence = (Word, IfName);

/// Static objects as far as they were read.
#[derive(Debug, Default)]
pub(super) struct StaticDraft {
    pub(super) objects: Statics,
    pub(super) dependences: Vec<Dependence>,
}

impl Build<'_> {
    /// Takes the lines of a static block.
    pub(super) fn static_block(
        &mut self,
        globals: &Globals,
        statics: &mut StaticDraft,
        statement: &Statement,
    ) {
        let lines = statement.block.iter().flat_map(|block| &block.statements);
        match statement.keyword.text.as_str() {
            "static_ipaddress" => {
                for line in lines {
                    self.static_address(globals, statics, line);
                }
            }
            "static_routes" => {
                for line in lines {
                    let Some(route) = self.route(globals, line, Use::Static) else {
                        continue;
                    };
                    let device = route.object.devices().next().cloned();
                    self.depend(statics, route.group, device, route.object.tracked);
                    if self.room(line) {
                        statics.objects.routes.push(route.object);
                    }
                }
            }
            "static_rules" => {
                for line in lines {
                    let Some(rule) = self.rule(globals, line, Use::Static) else {
                        continue;
                    };
                    let device = rule.object.input.clone();
                    self.depend(statics, rule.group, device, rule.object.tracked);
                    if self.room(line) {
                        statics.objects.rules.push(rule.object);
                    }
                }
            }
            _ => {}
        }
    }

    fn static_address(&mut self, globals: &Globals, statics: &mut StaticDraft, line: &Statement) {
        let Some((mut address, group)) = self.address_line(globals, line, Use::Static) else {
            return;
        };
        if address.device.is_none() {
            let default = globals.default_interface.clone();
            let default = default.or_else(|| IfName::try_from("eth0".to_owned()).ok());
            let exists = |name: &IfName| self.host.interface_exists(name.as_str());
            address.device = default.filter(|name| globals.dynamic_interfaces || exists(name));
        }
        if address.device.is_none() {
            self.report(
                error(
                    line.keyword.span,
                    "a static address without existing interface is left out",
                )
                .help("add `dev NAME`, or set `default_interface` in global_defs"),
            );
            return;
        }
        self.depend(statics, group, address.device.clone(), address.tracked);
        if self.room(line) {
            statics.objects.addresses.push(address);
        }
    }

    /// Keeps that the instances of a `track_group` depend on an interface.
    fn depend(
        &mut self,
        statics: &mut StaticDraft,
        group: Option<Word>,
        device: Option<IfName>,
        tracked: bool,
    ) {
        let Some(group) = group else { return };
        let reason = match device {
            Some(device) if tracked => {
                statics.dependences.push((group, device));
                return;
            }
            Some(_) => "the line says `no_track`",
            None => "the line names no interface",
        };
        self.report(warning(
            group.span,
            format!("`track_group` has no effect: {reason}"),
        ));
    }

    /// Whether one more object has room.
    fn room(&mut self, line: &Statement) -> bool {
        self.objects = self.objects.saturating_add(1);
        if self.objects == MOST_OBJECTS + 1 {
            self.report(error(
                line.keyword.span,
                format!("more than {MOST_OBJECTS} routes, rules and static addresses; from here they are left out"),
            ));
        }
        self.objects <= MOST_OBJECTS
    }

    /// `virtual_routes`.
    pub(super) fn virtual_routes(&mut self, globals: &Globals, block: &Statement) -> Vec<Route> {
        let lines = block.block.iter().flat_map(|block| &block.statements);
        lines
            .filter_map(|line| {
                let route = self.route(globals, line, Use::Virtual)?;
                self.room(line).then_some(route.object)
            })
            .collect()
    }

    /// `virtual_rules`.
    pub(super) fn virtual_rules(&mut self, globals: &Globals, block: &Statement) -> Vec<Rule> {
        let lines = block.block.iter().flat_map(|block| &block.statements);
        lines
            .filter_map(|line| {
                let rule = self.rule(globals, line, Use::Virtual)?;
                self.room(line).then_some(rule.object)
            })
            .collect()
    }
}

/// An instance depends on the interfaces of its tracked routes and rules, as on those of its addresses.
pub(super) fn track_devices(instance: &mut Instance, routes: &[Route], rules: &[Rule]) {
    let of_routes = routes
        .iter()
        .filter(|route| route.tracked)
        .flat_map(|route| route.devices());
    let of_rules = rules
        .iter()
        .filter(|rule| rule.tracked)
        .flat_map(|rule| rule.devices());
    for device in of_routes.chain(of_rules) {
        track(instance, device);
    }
}

/// An instance depends on an interface, unless it says itself how.
pub(super) fn track(instance: &mut Instance, device: &IfName) {
    let known = instance.interface == *device
        || instance
            .tracked_interfaces
            .iter()
            .any(|tracked| tracked.interface == *device);
    // The loopback is there whatever happens.
    if !known && device.as_str() != "lo" {
        instance.tracked_interfaces.push(TrackedInterface {
            interface: device.clone(),
            weight: 0,
            reverse: false,
        });
    }
}
