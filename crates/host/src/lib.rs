//! What the programs that read a configuration themselves, the parent and `checkerd -f`, do with the host:
//! read files ([`disk`]), trust scripts ([`security`]) and run them ([`runner`]), tell others what happens
//! ([`fifo`]), and follow files and processes ([`watch`], [`files`], [`processes`]).

pub mod disk;
pub mod fifo;
pub mod files;
pub mod processes;
pub mod runner;
pub mod security;
pub mod watch;
