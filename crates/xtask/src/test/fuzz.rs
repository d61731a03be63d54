//! Replay of the fuzz targets' committed inputs: each file once through its target.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use kr_testkit::binaries;
use kr_testkit::netns::run;

use super::cargo;
use super::step::Outcome;

/// The workspace of the targets.
const WORKSPACE: &str = "tests/fuzz";

/// Builds the targets without instrumentation, so that the stable compiler will do, and runs each on every file
/// of its corpus.
pub(crate) fn replay() -> io::Result<Outcome> {
    let built = binaries::directory()?;
    let target = built.parent().unwrap_or(&built).join("fuzz");
    let manifest = format!("{WORKSPACE}/Cargo.toml");
    let mut build = cargo(&["build", "--manifest-path", &manifest, "--target-dir"]);
    if !build.arg(&target).status()?.success() {
        return Ok(Outcome::one(false));
    }
    let mut outcome = Outcome::default();
    for name in names(&Path::new(WORKSPACE).join("fuzz_targets"))? {
        let name = name.trim_end_matches(".rs");
        let corpus = Path::new(WORKSPACE).join("corpus").join(name);
        for file in names(&corpus)? {
            // A run of more than ten seconds counts as a hang.
            let result = run(Command::new(target.join("debug").join(name))
                .arg("-timeout=10")
                .arg(corpus.join(&file))
                .stderr(Stdio::piped()));
            if let Err(error) = &result {
                println!("{name} with {file}: {error}");
            }
            outcome.add(Outcome::one(result.is_ok()));
        }
    }
    println!("{} files replayed", outcome.passed + outcome.failed);
    Ok(outcome)
}

/// Names of the files in a directory, sorted.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(directory).map_err(|error| {
        io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
    })?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}
