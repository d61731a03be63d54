//! How the kernel runs a child: its nice value, real-time scheduling, CPUs, locked memory. The parent sets it
//! before `exec`, and again at a reload; the child itself has no privilege for it.

use std::mem::size_of;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// Most CPUs that can be named.
pub const CPUS: u16 = 1024;

/// Settings of one child. The default changes nothing of what the parent was started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Nice value, from -20 to 19.
    pub nice: i8,
    /// Priority of `SCHED_RR`, from 1 to 99; 0 is ordinary scheduling.
    pub realtime: u8,
    /// CPU time that a real-time process may use without sleeping, before it is killed.
    pub realtime_limit: Option<Duration>,
    /// Numbers of the CPUs that it runs on, below [`CPUS`]; empty is all.
    pub cpus: Vec<u16>,
    /// It may lock all of its memory.
    pub locks_memory: bool,
}

/// `cpu_set_t` as words, which need no memory after a fork.
type Mask = [libc::c_ulong; CPUS as usize / libc::c_ulong::BITS as usize];

impl Tuning {
    /// True when it changes anything, which takes `CAP_SYS_NICE` and `CAP_SYS_RESOURCE`.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// Makes the settings of a process these, given that `before` are in force. `None` is the calling
    /// process. Neither allocates nor locks, for it is called between `fork` and `exec`.
    ///
    /// # Errors
    /// The first that the kernel refuses; the others are set.
    pub fn apply(&self, before: &Self, process: Option<Pid>) -> Result<(), Errno> {
        let pid = process.map_or(0, Pid::as_raw);
        let mut outcome = Ok(());
        let mut note = |result: Result<(), Errno>| outcome = outcome.and(result);
        if self.locks_memory && !before.locks_memory {
            let unlimited = libc::RLIM_INFINITY;
            match limit(pid, libc::RLIMIT_MEMLOCK, unlimited, unlimited) {
                // Without CAP_SYS_RESOURCE the limit stays; the child says what that means.
                Ok(()) | Err(Errno::EPERM) => {}
                Err(errno) => note(Err(errno)),
            }
        }
        if self.realtime_limit != before.realtime_limit {
            let (soft, hard) = self.realtime_limits();
            note(limit(pid, libc::RLIMIT_RTTIME, soft, hard));
        }
        if self.cpus != before.cpus {
            note(set_cpus(pid, &self.mask()));
        }
        if self.nice != before.nice {
            note(set_nice(pid, self.nice));
        }
        if self.realtime != before.realtime {
            note(set_scheduler(pid, self.realtime));
        }
        outcome
    }

    /// Soft and hard limit in microseconds: the soft one, half of the other, says so in the process's
    /// accounts only.
    fn realtime_limits(&self) -> (u64, u64) {
        match self.realtime_limit {
            None => (libc::RLIM_INFINITY, libc::RLIM_INFINITY),
            Some(limit) => {
                let hard = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX).max(2);
                (hard / 2, hard)
            }
        }
    }

    fn mask(&self) -> Mask {
        let mut mask: Mask = [0; _];
        if self.cpus.is_empty() {
            return [libc::c_ulong::MAX; _];
        }
        for cpu in &self.cpus {
            let (word, bit) = (
                u32::from(*cpu) / libc::c_ulong::BITS,
                u32::from(*cpu) % libc::c_ulong::BITS,
            );
            let word = usize::try_from(word)
                .ok()
                .and_then(|word| mask.get_mut(word));
            if let Some(word) = word {
                *word |= 1 << bit;
            }
        }
        mask
    }
}

fn limit(
    pid: libc::pid_t,
    resource: libc::__rlimit_resource_t,
    soft: u64,
    hard: u64,
) -> Result<(), Errno> {
    let new = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: `new` is a whole `struct rlimit` that outlives the call; a null pointer asks for no old value.
    let result = unsafe { libc::prlimit(pid, resource, &raw const new, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}

fn set_cpus(pid: libc::pid_t, mask: &Mask) -> Result<(), Errno> {
    // SAFETY: the kernel reads as many bytes from the mask as it is long.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            pid,
            size_of::<Mask>(),
            mask.as_ptr(),
        )
    };
    Errno::result(result).map(drop)
}

fn set_nice(pid: libc::pid_t, nice: i8) -> Result<(), Errno> {
    let who = libc::id_t::try_from(pid).map_err(|_| Errno::EINVAL)?;
    // SAFETY: setpriority takes three numbers.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, who, libc::c_int::from(nice)) };
    Errno::result(result).map(drop)
}

fn set_scheduler(pid: libc::pid_t, priority: u8) -> Result<(), Errno> {
    let policy = if priority == 0 {
        libc::SCHED_OTHER
    } else {
        libc::SCHED_RR
    };
    // SAFETY: `sched_param` is a plain structure of numbers (one, or with some C libraries further unused
    // ones), of which zero is a value of each.
    let mut parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    parameter.sched_priority = libc::c_int::from(priority);
    // SAFETY: the structure outlives the call, which only reads it.
    let result = unsafe { libc::sched_setscheduler(pid, policy, &raw const parameter) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_cpus_are_bits_and_no_name_is_all() {
        let mask = |cpus: &[u16]| {
            Tuning {
                cpus: cpus.to_vec(),
                ..Tuning::default()
            }
            .mask()
        };
        let bits = u16::try_from(libc::c_ulong::BITS).unwrap();
        assert_eq!(mask(&[0, 2, bits])[..2], [0b101, 1]);
        assert_eq!(mask(&[]), [libc::c_ulong::MAX; _]);
        // Never beyond the mask.
        assert_eq!(mask(&[CPUS]), [0; _]);
    }

    #[test]
    fn the_soft_limit_is_half_of_the_hard_one() {
        let limits = |micros: Option<u64>| {
            Tuning {
                realtime_limit: micros.map(Duration::from_micros),
                ..Tuning::default()
            }
            .realtime_limits()
        };
        assert_eq!(limits(Some(10_000)), (5_000, 10_000));
        assert_eq!(limits(Some(1)), (1, 2));
        assert_eq!(limits(None), (libc::RLIM_INFINITY, libc::RLIM_INFINITY));
    }
}
