//! A kernel that lacks a feature: simulated by a filter that answers as such a kernel would.

use std::collections::BTreeMap;
use std::env;
use std::process::exit;

use kr_sys::privilege::{Duty, Role};
use kr_sys::sandbox::{self, Mode, Reach, SandboxError};
use nix::errno::Errno;
use nix::libc::{self, c_long};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use crate::{ATTEMPT, End, run};

/// The features, and the system call that a kernel without it does not know.
const FEATURES: [(&str, c_long); 2] = [
    ("Landlock", libc::SYS_landlock_create_ruleset),
    ("seccomp", libc::SYS_seccomp),
];

/// Makes the kernel forget a system call, for this process.
fn forget(number: c_long) {
    let errno = SeccompAction::Errno(Errno::ENOSYS as u32);
    let rules = BTreeMap::from([(number, Vec::new())]);
    let architecture = TargetArch::try_from(env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, errno, architecture).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    apply_filter(&program).unwrap();
}

/// In a process of its own: 0 when the sandbox is entered without the feature, 1 when it is refused for want of it.
fn enter_without(feature: &str, mode: Mode) -> ! {
    let (_, number) = FEATURES.iter().find(|(name, _)| *name == feature).unwrap();
    forget(*number);
    let code = match sandbox::enter(Role::Checkerd, Duty::Usual, mode) {
        Ok(entered) => match (feature, entered.filter, entered.reach) {
            ("Landlock", true, Some(Reach::Nothing)) | ("seccomp", false, Some(_)) => 0,
            _ => 2,
        },
        Err(error @ SandboxError::Lacking(_)) if error.to_string().contains(feature) => 1,
        Err(_) => 3,
    };
    exit(code);
}

#[test]
fn what_a_kernel_lacks_is_told_and_only_strict_refuses_it() {
    let test = "lacking::what_a_kernel_lacks_is_told_and_only_strict_refuses_it";
    if let Ok(name) = env::var(ATTEMPT) {
        let (feature, mode) = name.split_once(' ').unwrap();
        enter_without(feature, mode.parse().unwrap());
    }
    for (feature, _) in FEATURES {
        assert_eq!(run(test, &format!("{feature} on")), End::Works, "{feature}");
        let refused = End::Error(Errno::from_raw(1));
        assert_eq!(
            run(test, &format!("{feature} strict")),
            refused,
            "{feature}"
        );
    }
}
