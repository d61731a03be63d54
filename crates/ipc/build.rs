//! Works out a number of the language that the processes speak: it changes with every line of the messages and
//! of the types inside them. A parent that was upgraded in place so knows whether it understands the children
//! of the version before.

use std::io;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where messages and what is inside them are defined.
const SOURCES: [&str; 2] = ["src", "../model/src"];

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for directory in SOURCES {
        println!("cargo::rerun-if-changed={directory}");
        collect(Path::new(directory), &mut files)?;
    }
    files.sort();
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    for file in files {
        hash.add(file.to_string_lossy().as_bytes());
        hash.add(&fs::read(file)?);
    }
    let directory = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(directory.join("protocol"), hash.0.to_string())
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a, which is the same with every compiler.
struct Fnv(u64);

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
