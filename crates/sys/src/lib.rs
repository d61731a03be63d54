//! What needs `unsafe`, each a safe function over one system call or two.

pub mod fd;
