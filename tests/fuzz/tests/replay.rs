//! Each target on every file of its corpus, then for a while on random changes of these. Needs no libFuzzer.
//!
//! `FUZZ_SECONDS` (2) and `FUZZ_SEED` (1) change how long and from where; a failure prints the input.

#![expect(
    clippy::disallowed_methods,
    reason = "only says when to stop; what is tested gets its time as a number"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest input that changes lead to.
const LONGEST: usize = 4096;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// The files of the corpus, and the samples of messages as they are made now.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<(String, Vec<u8>)> = fs::read_dir(here().join("corpus").join(target))
        .expect("every target has a corpus")
        .map(|file| file.expect("the folder can be read").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a file")))
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty());
    let samples = kr_fuzz::samples::all().into_iter();
    inputs.extend(
        samples
            .filter(|(of, ..)| *of == target)
            .map(|(_, name, data)| (format!("sample {name}"), data)),
    );
    inputs
}

/// Prints the input when the target panics.
struct Input<'a>(&'a str, &'a [u8]);

impl Drop for Input<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("input: {}\n{}", self.0, self.1.escape_ascii());
        }
    }
}

fn run(target: &str, function: fn(&[u8])) {
    let corpus = corpus(target);
    for (name, data) in &corpus {
        let _shown = Input(name, data);
        function(data);
    }
    let seed = number("FUZZ_SEED", 1);
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS", 2));
    let mut random = Random(seed);
    let mut runs = 0_u64;
    while Instant::now() < end {
        let (name, data) = random.one_of(&corpus);
        let (_, other) = random.one_of(&corpus);
        let mut data = data.clone();
        for _ in 0..=random.below(4) {
            random.change(&mut data, other);
        }
        data.truncate(LONGEST);
        let _shown = Input(name, &data);
        function(&data);
        runs += 1;
    }
    println!(
        "{target}: {} files, then {runs} changes from seed {seed}",
        corpus.len()
    );
    assert!(runs > 0);
}

/// SplitMix64, and the changes made with it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).expect("below a size")
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    fn change(&mut self, data: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(data.len());
        let end = (at + 1 + self.below(16)).min(data.len());
        match self.below(8) {
            0 if at < data.len() => data[at] ^= 1 << self.below(8),
            1 if at < data.len() => data[at] = *self.one_of(&[0, 1, 0x7f, 0x80, 0xff, b'\n', b' ']),
            2 if at < data.len() => data[at] = data[at].wrapping_add(1),
            3 => data.truncate(at),
            4 => drop(data.drain(at..end)),
            5 => {
                let piece = data[at..end].to_vec();
                data.splice(at..at, piece);
            }
            6 => {
                let from = self.below(other.len());
                let to = (from + 1 + self.below(32)).min(other.len());
                data.splice(at..end, other[from..to].iter().copied());
            }
            _ => data.insert(at, u8::try_from(self.below(256)).expect("a byte")),
        }
    }
}

macro_rules! tests {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                run(stringify!($target), kr_fuzz::$target);
            }
        )*

        const TARGETS: &[&str] = &[$(stringify!($target)),*];
    };
}

kr_fuzz::for_every_target!(tests);

#[test]
fn every_program_and_every_corpus_belongs_to_a_target() {
    let names = |folder: &Path| -> BTreeSet<String> {
        fs::read_dir(folder)
            .expect("the folder is there")
            .map(|file| file.expect("the folder can be read").path())
            .map(|path| {
                path.file_stem()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names(&here().join("fuzz_targets")), targets);
    assert_eq!(names(&here().join("corpus")), targets);
}
