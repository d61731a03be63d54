//! Capability sets of the calling process (capabilities(7)). Every function here may be called between
//! `fork` and `exec`: one system call, no allocation.

use nix::errno::Errno;
use nix::libc;

/// `_LINUX_CAPABILITY_VERSION_3`: two words per set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Word {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets the permitted and effective sets to `held` and the inheritable set to `inheritable`, which must
/// be part of it. Ambient capabilities that are no longer inheritable go too.
///
/// # Errors
/// `EPERM` when the process does not hold what it asks for.
pub fn set(held: u64, inheritable: u64) -> Result<(), Errno> {
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let word = |shift: u32| Word {
        effective: low_word(held >> shift),
        permitted: low_word(held >> shift),
        inheritable: low_word(inheritable >> shift),
    };
    let words = [word(0), word(32)];
    // SAFETY: capset reads a header and, for version 3, two words; both live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) };
    Errno::result(result).map(drop)
}

/// Raises every capability of `mask` in the ambient set, so that it survives the `exec` of a program by
/// an account that is not root.
///
/// # Errors
/// `EPERM` when one is not both permitted and inheritable.
pub fn raise_ambient(mask: u64) -> Result<(), Errno> {
    for number in numbers(mask) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number)?;
    }
    Ok(())
}

/// Makes the next program of this process hold `mask`, when this account is not root.
///
/// # Errors
/// `EPERM` when the process does not hold it.
pub fn pass_on(mask: u64) -> Result<(), Errno> {
    set(mask, mask)?;
    raise_ambient(mask)
}

/// Takes everything outside `mask` out of the bounding set.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn limit_bounding(mask: u64) -> Result<(), Errno> {
    for number in numbers(!mask) {
        match prctl(libc::PR_CAPBSET_DROP, number, 0) {
            Ok(()) => {}
            // The kernel knows no capability of this number, so none above it.
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn numbers(mask: u64) -> impl Iterator<Item = u16> {
    (0..64_u16).filter(move |number| mask >> number & 1 == 1)
}

fn low_word(mask: u64) -> u32 {
    u32::try_from(mask & 0xffff_ffff).unwrap_or(0)
}

fn prctl(option: i32, second: impl Into<i64>, third: u16) -> Result<(), Errno> {
    let second: libc::c_long = second.into();
    let third = libc::c_long::from(third);
    let zero: libc::c_long = 0;
    // SAFETY: the two options used take numbers only and touch no memory of this process.
    let result = unsafe { libc::prctl(option, second, third, zero, zero) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_lists_its_capability_numbers() {
        assert_eq!(numbers(0x3000).collect::<Vec<_>>(), [12, 13]);
        assert_eq!(numbers(1 << 63).collect::<Vec<_>>(), [63]);
        assert_eq!(low_word(0x1_0000_3000), 0x3000);
    }
}
