//! Replay of the fuzz targets: every committed input, then seeded changes of them for a short while.

use std::io;

use kr_testkit::binaries;

use super::step::Outcome;
use super::{cargo, counted};

/// The targets are a workspace of their own, so that nothing else is built with their features.
const MANIFEST: &str = "tests/fuzz/Cargo.toml";

/// Runs the replay, which calls the same functions as the fuzzers and needs the stable compiler only.
pub(crate) fn replay() -> io::Result<Outcome> {
    let built = binaries::directory()?;
    let target = built.parent().unwrap_or(&built).join("fuzz");
    let mut test = cargo(&["test", "--manifest-path", MANIFEST, "--target-dir"]);
    counted(test.arg(&target))
}
