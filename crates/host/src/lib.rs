//! What the programs that read a configuration themselves, the parent and `checkerd -f`, do with the host:
//! read files ([`disk`]), trust scripts ([`security`]) and run them ([`runner`]).

pub mod disk;
pub mod runner;
pub mod security;
