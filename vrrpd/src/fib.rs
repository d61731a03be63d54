//! Which routes and rules shall be there, which are, and the changes that get the kernel there. Pure.
//!
//! Start, reload, take-over, resignation, a crash before this process, a link that went and came back, and
//! somebody else's `ip route del` all end in [`Fib::changes`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kr_model::Instant;
use kr_model::net::Family;
use kr_model::route::Placement;
use kr_netlink::fib::{Change, Entry, Event, Found, Names, Object, Outcome, Refusal, RouteKey};
use nix::errno::Errno;

use crate::refusals::Refusals;

/// Whose object it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// `static_routes` or `static_rules`.
    Static,
    /// An instance of this name.
    Instance(String),
}

/// An object with its owner, in the words of the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described<'a>(pub(crate) &'a Object, pub(crate) Option<&'a Owner>);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(Owner::Instance(name)) => write!(f, "virtual {} of {name}", self.0),
            Some(Owner::Static) => write!(f, "static {}", self.0),
            None => self.0.fmt(f),
        }
    }
}

/// What is wanted, in the order in which it is set: a route may lead to the gateway of the next one.
pub(crate) type Wishes = Vec<(Object, Owner)>;

#[derive(Debug)]
struct Wish {
    order: usize,
    owner: Owner,
}

/// An object that is set.
#[derive(Debug)]
struct Held {
    order: usize,
    entry: Entry,
    /// The kernel says that it has it, but shows it in a way that is not recognised: nothing is concluded from
    /// not seeing it.
    on_trust: bool,
}

/// A change to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Set the object.
    Add(Object),
    /// Remove it.
    Remove(Object),
}

impl Step {
    /// The change for the kernel.
    pub(crate) const fn change(&self) -> Change<'_> {
        match self {
            Self::Add(object) => Change::Add(object),
            Self::Remove(object) => Change::Remove(object),
        }
    }
}

/// What the outcome of a step is worth in the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    None,
    /// The kernel takes now what it had refused.
    Mended,
    /// The kernel refuses, for the first time or for another reason.
    Refused(Refusal),
}

/// Routes and rules of this process.
#[derive(Debug, Default)]
pub(crate) struct Fib {
    wanted: BTreeMap<Object, Wish>,
    held: BTreeMap<Object, Held>,
    /// How many of the held routes lead to each destination.
    keys: BTreeMap<RouteKey, usize>,
    refusals: Refusals<Object, Refusal>,
}

impl Fib {
    /// Replaces what is wanted.
    pub(crate) fn want(&mut self, wishes: Wishes) {
        self.wanted.clear();
        for (order, (object, owner)) in wishes.into_iter().enumerate() {
            // The first of several owners counts for order and for logs.
            self.wanted.entry(object).or_insert(Wish { order, owner });
        }
        self.refusals
            .retain(|object| self.wanted.contains_key(object));
    }

    /// True while changes of others matter.
    pub(crate) fn is_watched(&self) -> bool {
        self.wanted.keys().any(Object::is_tracked)
    }

    /// What is wanted.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Object> {
        self.wanted.keys()
    }

    /// The steps after which the kernel holds what is wanted, as far as it is not waiting for a further try.
    /// Rules go before the tables that they lead to, and come after them.
    pub(crate) fn changes(&self, now: Instant) -> Vec<Step> {
        let mut gone: Vec<_> = self
            .held
            .iter()
            .filter(|(object, _)| !self.wanted.contains_key(object))
            .map(|(object, held)| (is_rule(object), held.order, object))
            .collect();
        gone.sort_unstable();
        let mut missing: Vec<_> = self
            .wanted
            .iter()
            .filter(|(object, _)| !self.held.contains_key(object))
            .filter(|(object, _)| !self.refusals.is_waiting(object, now))
            .map(|(object, wish)| (is_rule(object), wish.order, object))
            .collect();
        missing.sort_unstable();
        let removals = gone
            .into_iter()
            .rev()
            .map(|(_, _, object)| Step::Remove(object.clone()));
        let additions = missing
            .into_iter()
            .map(|(_, _, object)| Step::Add(object.clone()));
        removals.chain(additions).collect()
    }

    /// Follows the outcome of a step.
    pub(crate) fn made(
        &mut self,
        step: &Step,
        outcome: Outcome,
        names: &impl Names,
        now: Instant,
    ) -> News {
        match step {
            Step::Add(object) => {
                let there = outcome == Err(Refusal::Kernel(Errno::EEXIST)) && !stands_alone(object);
                match outcome {
                    Err(refusal) if !there => {
                        if self.refusals.refused(object.clone(), refusal.clone(), now) {
                            News::Refused(refusal)
                        } else {
                            News::None
                        }
                    }
                    Ok(()) | Err(_) => {
                        if let Ok(entry) = object.entry(names) {
                            self.hold(object.clone(), entry, there);
                        }
                        if self.refusals.forget(object) {
                            News::Mended
                        } else {
                            News::None
                        }
                    }
                }
            }
            Step::Remove(object) => {
                self.release(object);
                match outcome {
                    Ok(()) => News::None,
                    Err(refusal) => News::Refused(refusal),
                }
            }
        }
    }

    /// Takes over what the kernel's tables show, as far as it is wanted; what is missing there is not held any
    /// more, and returned. Objects that are not tracked are not in these tables.
    pub(crate) fn observe(&mut self, found: &[Found], names: &impl Names) -> Vec<Object> {
        let seen = Seen::new(found);
        let lost: Vec<Object> = self
            .held
            .iter()
            .filter(|(object, held)| {
                object.is_tracked() && !held.on_trust && !seen.shows(&held.entry)
            })
            .map(|(object, _)| object.clone())
            .collect();
        for object in &lost {
            self.release(object);
        }
        let wanted = self.wanted.keys();
        let found: Vec<(Object, Entry)> = wanted
            .filter(|object| object.is_tracked() && !self.held.contains_key(object))
            .filter_map(|object| {
                let entry = object.entry(names).ok()?;
                seen.shows(&entry).then(|| (object.clone(), entry))
            })
            .collect();
        for (object, entry) in found {
            self.refusals.forget(&object);
            self.hold(object, entry, false);
        }
        lost
    }

    /// True when an event is about something that is held.
    pub(crate) fn is_touched(&self, event: &Event) -> bool {
        match event {
            Event::Route(key) => self.keys.contains_key(key),
            Event::Rule(gone) => self
                .held
                .values()
                .any(|held| matches!(&held.entry, Entry::Rule(entry) if entry == gone)),
        }
    }

    /// Whose a wanted object is.
    pub(crate) fn owner(&self, object: &Object) -> Option<&Owner> {
        self.wanted.get(object).map(|wish| &wish.owner)
    }

    /// What the kernel did not take.
    pub(crate) const fn refusals(&mut self) -> &mut Refusals<Object, Refusal> {
        &mut self.refusals
    }

    /// When to try again.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.refusals.deadline()
    }

    fn hold(&mut self, object: Object, entry: Entry, on_trust: bool) {
        let order = self.wanted.get(&object).map_or(0, |wish| wish.order);
        if let Entry::Route(route) = &entry {
            let count = self.keys.entry(route.key().clone()).or_default();
            *count = count.saturating_add(1);
        }
        let held = Held {
            order,
            entry,
            on_trust,
        };
        self.held.insert(object, held);
    }

    fn release(&mut self, object: &Object) {
        let Some(held) = self.held.remove(object) else {
            return;
        };
        if let Entry::Route(route) = held.entry
            && let Some(count) = self.keys.get_mut(route.key())
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.keys.remove(route.key());
            }
        }
    }
}

const fn is_rule(object: &Object) -> bool {
    matches!(object, Object::Rule(_))
}

/// A route that is to be refused while there is another one to the same destination.
fn stands_alone(object: &Object) -> bool {
    matches!(object, Object::Route(route) if route.placement == Placement::Alone)
}

/// The tables, by kind and family, that objects are looked for in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    /// Families of routes.
    pub(crate) routes: BTreeSet<Family>,
    /// Families of rules.
    pub(crate) rules: BTreeSet<Family>,
}

impl Tables {
    /// Those of the tracked ones of some objects.
    pub(crate) fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut tables = Self::default();
        for object in objects.into_iter().filter(|object| object.is_tracked()) {
            match object {
                Object::Route(route) => tables.routes.insert(route.family()),
                Object::Rule(rule) => tables.rules.insert(rule.family),
            };
        }
        tables
    }
}

/// Objects of the kernel's tables, to be found quickly.
struct Seen<'a> {
    routes: BTreeMap<&'a RouteKey, Vec<&'a Entry>>,
    rules: Vec<&'a Entry>,
}

impl<'a> Seen<'a> {
    fn new(found: &'a [Found]) -> Self {
        let mut seen = Self {
            routes: BTreeMap::new(),
            rules: Vec::new(),
        };
        for found in found {
            match &found.entry {
                Entry::Route(route) => {
                    seen.routes
                        .entry(route.key())
                        .or_default()
                        .push(&found.entry);
                }
                Entry::Rule(_) => seen.rules.push(&found.entry),
            }
        }
        seen
    }

    fn shows(&self, wanted: &Entry) -> bool {
        let candidates = match wanted {
            Entry::Route(route) => self.routes.get(route.key()),
            Entry::Rule(_) => Some(&self.rules),
        };
        candidates.is_some_and(|all| all.iter().any(|found| wanted.is_held_by(found)))
    }
}

/// Which of the objects with our mark a killed predecessor of this process left that are not `configured` any
/// more: routes that lead only out of interfaces of the configuration, and rules that lead into a table of it.
/// Others may belong to another daemon.
pub(crate) fn leftovers<'a>(
    found: &'a [Found],
    configured: &[&Object],
    names: &impl Names,
    is_configured_link: impl Fn(u32) -> bool,
) -> Vec<&'a Found> {
    let entries: Vec<Entry> = configured
        .iter()
        .filter_map(|object| object.entry(names).ok())
        .collect();
    let tables: BTreeSet<u32> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Rule(rule) => rule.table(),
            Entry::Route(_) => None,
        })
        .collect();
    let ours = |found: &&Found| {
        let known = entries.iter().any(|entry| entry.is_held_by(&found.entry));
        !known
            && match &found.entry {
                Entry::Route(route) => {
                    route.links().next().is_some() && route.links().all(&is_configured_link)
                }
                Entry::Rule(rule) => rule.table().is_some_and(|table| tables.contains(&table)),
            }
    };
    found.iter().filter(ours).collect()
}

#[cfg(test)]
#[path = "fib/tests.rs"]
mod tests;
