//! The memory of this process: what it does not use, and who may see it.

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;

/// Gives free memory back to the kernel. To be called after work that used much for a short time, such as reading a
/// configuration: without it the allocator keeps what lies below a block in use.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function takes any number, touches only free memory, and is safe to call at any time (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps the memory of this process, which may hold passwords, out of every core dump, also one that goes to a
/// program, and from whoever has the same account. A program that is executed is open again.
///
/// # Errors
/// When the kernel refuses.
pub fn keep_to_itself() -> Result<(), Errno> {
    prctl::set_dumpable(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_kept_is_in_no_core_dump() {
        keep_to_itself().unwrap();
        assert_eq!(prctl::get_dumpable(), Ok(false));
        prctl::set_dumpable(true).unwrap();
    }

    /// Resident anonymous memory in KiB.
    #[cfg(target_env = "gnu")]
    fn used() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        line.unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn memory_that_was_freed_below_a_block_in_use_goes_back() {
        let mut blocks: Vec<Vec<u8>> = (0..40_000).map(|_| vec![1; 500]).collect();
        let last = blocks.pop();
        drop(blocks);
        let before = used();
        give_back();
        assert!(
            used() + 10_000 < before,
            "{before} KiB, then {} KiB",
            used()
        );
        drop(last);
    }
}
