//! The command line: a table of every option (`table`), the reader of words (`argv`), and what they
//! mean together (`options`).

mod argv;
mod options;
mod table;

pub(crate) use options::{Command, Options, parse};
pub(crate) use table::help;
