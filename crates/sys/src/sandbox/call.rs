//! How a row of the system call tables is written: a call, the arguments it may have, and why.

use nix::libc::{c_int, c_long};

/// A system call that a role may make, and what would not work without it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The number of this architecture.
    pub number: c_long,
    /// `SYS_read` and so on.
    pub(crate) constant: &'static str,
    /// What is done with the call.
    pub verdict: Verdict,
    /// What it is for.
    pub reason: &'static str,
    /// Why a daemon that does all its work on a usual machine may not make the call. Every row without such a
    /// reason is seen to be made use of by a test.
    pub rare: Option<&'static str>,
}

/// What is done with a call that has a row. One without a row, or with other arguments, ends the process.
#[derive(Debug, Clone, Copy)]
pub enum Verdict {
    /// It is made.
    Allowed,
    /// It is made when its arguments are as in one of these.
    AllowedWith(&'static [Case]),
    /// It fails with `EACCES`: a library tries it and goes on without.
    Refused,
}

/// Arguments that go together: every test must hold.
pub type Case = &'static [Test];

/// A test of one argument, of which the kernel looks at the low 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Which argument, from 0.
    pub argument: u8,
    /// What it must be.
    pub must: Must,
    /// The same for readers.
    pub text: &'static str,
}

/// What an argument must be.
#[derive(Debug, Clone, Copy)]
pub enum Must {
    /// This value.
    Be(c_int),
    /// This value in the bits of the mask.
    BeWithin {
        /// The bits that count.
        mask: c_int,
        /// Their value.
        value: c_int,
    },
    /// The id of the process itself, which is also that of its only thread.
    BeThisProcess,
}

impl Row {
    /// The same row, of which a usual machine may see nothing.
    pub(crate) const fn rare(self, why: &'static str) -> Self {
        Self {
            rare: Some(why),
            ..self
        }
    }

    /// Name of the call.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.constant.trim_start_matches("SYS_")
    }

    /// The sets of arguments it may have; none: any.
    #[must_use]
    pub const fn cases(&self) -> &'static [Case] {
        match self.verdict {
            Verdict::AllowedWith(cases) => cases,
            Verdict::Allowed | Verdict::Refused => &[],
        }
    }
}

/// `permit!(SYS_read, "why")` or `permit!(SYS_socket, "why", case, case)`.
macro_rules! permit {
    ($number:ident, $reason:literal) => {
        $crate::sandbox::call::Row {
            number: libc::$number,
            constant: stringify!($number),
            verdict: $crate::sandbox::call::Verdict::Allowed,
            reason: $reason,
            rare: None,
        }
    };
    ($number:ident, $reason:literal, $($case:expr),+ $(,)?) => {
        $crate::sandbox::call::Row {
            number: libc::$number,
            constant: stringify!($number),
            verdict: $crate::sandbox::call::Verdict::AllowedWith(&[$($case),+]),
            reason: $reason,
            rare: None,
        }
    };
}

/// `refuse!(SYS_openat, "why")`.
macro_rules! refuse {
    ($number:ident, $reason:literal) => {
        $crate::sandbox::call::Row {
            number: libc::$number,
            constant: stringify!($number),
            verdict: $crate::sandbox::call::Verdict::Refused,
            reason: $reason,
            rare: None,
        }
    };
}

/// `is!(0, AF_UNIX)`: argument 0 is this constant.
macro_rules! is {
    ($argument:literal, $value:ident) => {
        $crate::sandbox::call::Test {
            argument: $argument,
            must: $crate::sandbox::call::Must::Be($value),
            text: stringify!($value),
        }
    };
}

/// `kind!(SOCK_RAW)`: the type of a new socket, whatever its flags.
macro_rules! kind {
    ($value:ident) => {
        $crate::sandbox::call::Test {
            argument: 1,
            must: $crate::sandbox::call::Must::BeWithin {
                mask: 0xf,
                value: $value,
            },
            text: stringify!($value),
        }
    };
}

/// `without!(2, PROT_EXEC)`: argument 2 has none of these bits.
macro_rules! without {
    ($argument:literal, $($bit:ident)|+) => {
        $crate::sandbox::call::Test {
            argument: $argument,
            must: $crate::sandbox::call::Must::BeWithin {
                mask: $($bit)|+,
                value: 0,
            },
            text: concat!("no", $(" ", stringify!($bit)),+),
        }
    };
}

pub(super) use {is, kind, permit, refuse, without};
