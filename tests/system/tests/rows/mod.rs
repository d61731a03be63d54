//! Every row of the tables of system calls is made use of, or says why it is there all the same.

mod recording;
mod scene;

use std::process::Command;

use kr_sys::privilege::{Duty, Role};
use kr_sys::sandbox::Row;

use crate::rig::Rig;
use recording::Recording;

#[test]
fn every_row_of_the_tables_of_system_calls_is_used_or_says_why_not() {
    let directory = tempfile::tempdir().unwrap();
    let record = |command: &Command| recording::recorded(command, directory.path());
    scene::play(&Rig::new(""), record);
    scene::play_with_table_elsewhere(&Rig::new(""), record);
    let recordings = recording::read(directory.path());
    let mut unused = Vec::new();
    for role in Role::ALL {
        let of_role: Vec<&Recording> = recordings.iter().filter(|one| one.role == role).collect();
        assert!(
            of_role.iter().map(|one| one.len()).sum::<usize>() > 100,
            "{role:?}"
        );
        // A check with a low port makes ipvsd's duty the largest that it can have.
        let more = (role == Role::Ipvsd).then(|| Duty::LowPorts.calls());
        for row in role.calls().chain(more.into_iter().flatten()) {
            let names = unused_of(row, &of_role);
            unused.extend(
                names
                    .into_iter()
                    .map(|name| format!("{}: {name}", role.program())),
            );
        }
    }
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

/// The row, or those of its cases, that nobody made use of, and that have no reason for it.
fn unused_of(row: &Row, recordings: &[&Recording]) -> Vec<String> {
    if row.rare.is_some() {
        return Vec::new();
    }
    let cases = row.cases().len();
    let cases: Vec<Option<usize>> = if cases == 0 {
        vec![None]
    } else {
        (0..cases).map(Some).collect()
    };
    let is_used = |case: &Option<usize>| recordings.iter().any(|one| one.uses(row, *case));
    cases
        .into_iter()
        .filter(|case| !is_used(case))
        .map(|case| match case {
            None => row.name().to_owned(),
            Some(case) => {
                let texts: Vec<&str> = row.cases()[case].iter().map(|test| test.text).collect();
                format!("{} {}", row.name(), texts.join(" "))
            }
        })
        .collect()
}
