//! Tests of the built programs: `tests/main.rs`. Run them with `cargo xtask test`, or after
//! `cargo build --workspace` with `cargo test -p kr-test-system --test system`.
