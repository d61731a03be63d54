//! `keepalived.conf`: from text to typed configuration, with every finding of one run.
//!
//! ```text
//! files ─ source ─▶ lexer + expand ─▶ tree ─▶ build (by the registry) ─▶ typed ─ ids ─▶ stable ids
//! ```
//!
//! Pure: files, directories and environment come through [`source::Host`].

pub mod build;
pub mod diagnostic;
mod expand;
pub mod ids;
pub mod lexer;
pub mod man;
pub mod memory;
pub mod parse;
pub mod registry;
pub mod render;
pub mod source;
pub mod tree;
pub mod typed;

pub use build::{Built, Loaded, build, exit_code, load, test};
