//! Netlink on plain sockets with neli's message types (neli's router would start a thread): links and
//! addresses, routes and rules through rtnetlink, services through the IPVS generic netlink family, packet
//! filters through nf_tables.
//!
//! [`socket`] is common to all: it takes datagrams of the kernel only, and splits them into messages
//! within their bounds before neli reads a body.

mod attributes;
mod exchange;
pub mod fib;
pub mod ipvs;
pub mod nft;
pub mod route;
pub mod socket;
