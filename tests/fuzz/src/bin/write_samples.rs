//! Writes the samples of messages into the corpora, for libFuzzer. To be run again when messages change.

use std::fs;
use std::path::Path;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, name, data) in kr_fuzz::samples::all() {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(folder.join(name), data).expect("the file can be written");
    }
}
