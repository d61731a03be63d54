use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

use super::*;

const ID: TrackerId = TrackerId(1);

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

struct Bench {
    home: TempDir,
    files: Files,
}

impl Bench {
    /// Follows the file `n` of a directory.
    fn new() -> Self {
        Self::of("n")
    }

    fn of(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        files.replace([(ID, home.path().join(name))].into(), at(0));
        Self { home, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The numbers that what happened led to.
    fn news(&mut self) -> Vec<i32> {
        let (values, more) = self.files.handle_ready(at(1));
        assert!(!more);
        values.into_iter().map(|new| new.value).collect()
    }
}

#[test]
fn a_file_is_followed_when_it_is_written_replaced_removed_and_made_again() {
    let mut bench = Bench::new();
    assert_eq!(bench.files.value(ID), 0);
    bench.write("n", "5\n");
    assert_eq!(bench.news(), [5]);
    bench.write("n", "0x10");
    assert_eq!(bench.news(), [16]);
    bench.write("other", "-7");
    assert_eq!(bench.news(), []);
    fs::rename(bench.path("other"), bench.path("n")).unwrap();
    assert_eq!(bench.news(), [-7]);
    fs::remove_file(bench.path("n")).unwrap();
    assert_eq!(bench.news(), [0]);
    bench.write("n", "3");
    assert_eq!(bench.news(), [3]);
    fs::rename(bench.path("n"), bench.path("away")).unwrap();
    assert_eq!(bench.news(), [0]);
    fs::hard_link(bench.path("away"), bench.path("n")).unwrap();
    assert_eq!(bench.news(), [3]);
    bench.write("n", "3 and the same");
    assert_eq!(bench.news(), []);
}

#[test]
fn what_is_no_number_or_no_file_counts_as_0_and_keeps_nobody_waiting() {
    let mut bench = Bench::new();
    for trick in ["five", "", "\0\0\0"] {
        bench.write("n", "9");
        assert_eq!(bench.news(), [9]);
        bench.write("n", trick);
        assert_eq!(bench.news(), [0], "{trick:?}");
    }
    let endless = "1".repeat(1 << 20);
    bench.write("n", &endless);
    assert_eq!(bench.news(), [i32::MAX]);
    let place = bench.path("n");
    for replace in [
        |path: &Path| mkfifo(path, Mode::S_IRWXU).unwrap(),
        |path: &Path| fs::create_dir(path).unwrap(),
        |path: &Path| symlink("/dev/zero", path).unwrap(),
        |path: &Path| symlink(path, path).unwrap(),
    ] {
        bench.write("n", "9");
        bench.news();
        fs::remove_file(&place).unwrap();
        replace(&place);
        bench.news();
        assert_eq!(bench.files.value(ID), 0);
        if place.is_dir() {
            fs::remove_dir(&place).unwrap();
        } else {
            fs::remove_file(&place).unwrap();
        }
    }
}

#[test]
fn a_directory_may_come_later_and_be_replaced() {
    let mut bench = Bench::of("sub/n");
    fs::create_dir(bench.path("sub")).unwrap();
    bench.write("sub/n", "4");
    assert_eq!(bench.news(), [4]);
    assert_eq!(bench.files.poll_timeout(), Some(at(11)));
    bench.write("sub/n", "5");
    assert_eq!(bench.news(), [5]);
    fs::rename(bench.path("sub"), bench.path("away")).unwrap();
    assert_eq!(bench.news(), [0]);
    fs::create_dir(bench.path("sub")).unwrap();
    bench.write("sub/n", "6");
    assert_eq!(bench.news(), [6]);
}

#[test]
fn a_reload_keeps_what_is_followed_and_forgets_the_rest() {
    let mut bench = Bench::new();
    bench.write("n", "5");
    bench.news();
    let second = TrackerId(2);
    bench.write("m", "8");
    let both = [(ID, bench.path("n")), (second, bench.path("m"))];
    bench.files.replace(both.into(), at(2));
    assert_eq!(bench.files.value(ID), 5);
    assert_eq!(bench.files.value(second), 8);
    bench.files.replace(BTreeMap::new(), at(3));
    bench.write("n", "1");
    assert_eq!(bench.news(), []);
    assert_eq!(bench.files.poll_timeout(), None);
}

#[test]
fn a_link_above_the_file_that_is_replaced_is_noticed_at_once() {
    let mut bench = Bench::new();
    for (version, number) in [("one", "1"), ("two", "2"), ("three", "3")] {
        fs::create_dir(bench.path(version)).unwrap();
        bench.write(&format!("{version}/n"), number);
    }
    symlink("one", bench.path("..data")).unwrap();
    symlink("..data/n", bench.path("n")).unwrap();
    assert_eq!(bench.news(), [1]);
    for (version, number) in [("two", 2), ("three", 3)] {
        symlink(version, bench.path("..data_tmp")).unwrap();
        fs::rename(bench.path("..data_tmp"), bench.path("..data")).unwrap();
        assert_eq!(bench.news(), [number]);
    }
    fs::remove_dir_all(bench.path("one")).unwrap();
    fs::remove_dir_all(bench.path("two")).unwrap();
    assert_eq!(bench.news(), []);
    bench.write("three/n", "4");
    assert_eq!(bench.news(), [4]);
    fs::remove_dir_all(bench.path("three")).unwrap();
    assert_eq!(bench.news(), [0]);
}

#[test]
fn a_first_number_is_written_without_following_links() {
    let bench = Bench::new();
    let write = |value, overwrite| {
        init(&bench.path("n"), InitFile { value, overwrite }).unwrap();
        fs::read_to_string(bench.path("n")).unwrap()
    };
    assert_eq!(write(3, false), "3\n");
    assert_eq!(write(4, false), "3\n");
    assert_eq!(write(-5, true), "-5\n");
    bench.write("victim", "secret");
    fs::remove_file(bench.path("n")).unwrap();
    symlink(bench.path("victim"), bench.path("n")).unwrap();
    assert_eq!(write(6, false), "secret", "it is there already");
    assert_eq!(write(7, true), "7\n");
    assert_eq!(fs::read_to_string(bench.path("victim")).unwrap(), "secret");
    assert_eq!(fs::read_dir(bench.home.path()).unwrap().count(), 2);
}
