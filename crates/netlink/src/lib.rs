//! Netlink on neli's plain sockets (its router would start a thread): links and addresses through
//! rtnetlink, services through the IPVS generic netlink family.

pub mod ipvs;
pub mod route;
