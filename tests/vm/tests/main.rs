//! The kernel's IPVS table and traffic through it, inside the lab.
//!
//! Most scenarios run with ours and with the distribution's keepalived: what both do is what operators rely on.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test code"
)]

/// Makes a test of a scenario for each program.
macro_rules! with_both {
    ($($scenario:ident),+ $(,)?) => {
        $(mod $scenario {
            #[test]
            fn ours() {
                super::$scenario(kr_testkit::keepalived::Peer::Ours);
            }

            #[test]
            fn stock() {
                super::$scenario(kr_testkit::keepalived::Peer::Stock);
            }
        })+
    };
}

mod checkers;
mod demo;
mod draining;
mod forms;
mod links;
mod modules;
mod namespaces;
mod pools;
mod reload;
mod resilience;
mod survival;
mod sync;
mod table;
mod traffic;
mod upgrade;
