//! The profiles of AppArmor and the policy module of SELinux, enforced: everything that the daemon does passes,
//! without one refusal in the kernel's log, and what an intruder would do in the place of a process does not.
//!
//! Each of the two tests wants a guest of its own (`cargo xtask lab --guard apparmor`), whose files it changes:
//! it installs the programs where packages have them.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code"
)]

mod apparmor;
mod host;
mod intruder;
mod scenario;
mod selinux;
