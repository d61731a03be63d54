//! `genhash`: prints the digest of a page for `HTTP_GET { url { digest } }`.

use std::env;
use std::io::{stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    checkerd::genhash::main(
        env::args_os().skip(1),
        &mut stdout().lock(),
        &mut stderr().lock(),
    )
}
