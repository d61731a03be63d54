//! The command line: every option (`arguments`, from which `argh` makes the parser), the reader of words
//! in front of it (`argv`), and what the options mean together (`options`).

mod arguments;
mod argv;
mod options;

pub(crate) use arguments::help;
pub(crate) use options::{Command, Options, parse};
