//! What needs `unsafe`, each a safe function over one system call or two.

pub mod batch;
pub mod capability;
pub mod fd;
pub mod handover;
pub mod local_time;
pub mod memory;
pub mod netlink;
pub mod packet;
pub mod parent;
pub mod privilege;
pub mod read_only;
pub mod sandbox;
pub mod signals;
pub mod spawn;
pub mod tuning;
