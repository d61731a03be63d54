//! The memory of this process: what it does not use, and who may see it.

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;

/// In bytes.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 64 * 1024;

/// Gives free memory back to the kernel. To be called after work that used much for a short time, such as reading a
/// configuration: without it the allocator keeps what lies below a block in use.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function takes any number, touches only free memory, and is safe to call at any time (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Blocks of 64 KiB and more, such as the buffers of channels and netlink, are pages of their own from now on: those that
/// are never written take no memory, and all go back when the block is freed. By itself the allocator keeps larger and
/// larger ones among the small ones. To be called before anything large is allocated.
pub fn keep_large_blocks_apart() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the function takes two numbers and changes a setting of the allocator (mallopt(3)); the process has one
    // thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
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

    /// How many pages of a block are there.
    #[cfg(target_env = "gnu")]
    fn pages(block: &[u8]) -> usize {
        use std::os::unix::fs::FileExt;
        const PAGE: usize = 4096;
        let map = std::fs::File::open("/proc/self/pagemap").unwrap();
        let first = block.as_ptr().addr() / PAGE;
        let is_there = |page: &usize| {
            let mut entry = [0; 8];
            map.read_exact_at(&mut entry, u64::try_from(page * 8).unwrap())
                .unwrap();
            u64::from_ne_bytes(entry) >> 63 == 1
        };
        (first..first + block.len() / PAGE).filter(is_there).count()
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn large_blocks_take_memory_only_where_they_are_written() {
        keep_large_blocks_apart();
        // What was used before, and stays with the allocator, would have to be cleared.
        let used = [(); 64].map(|()| vec![1_u8; 1 << 16]);
        let above = vec![1_u8; 100];
        drop(used);
        // The first ones may come out of what the allocator has already.
        let mut blocks = [(); 64].map(|()| vec![0_u8; 1 << 16]);
        let unwritten = blocks.iter().filter(|block| pages(block) <= 2).count();
        assert!(unwritten >= 60, "{unwritten}");
        blocks[63].fill(1);
        assert_eq!(pages(&blocks[63]), 16);
        drop(above);
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
