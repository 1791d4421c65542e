//! Has the calling thread go on on another processor.
//!
//! There is one way to ask for that: to forbid the processor for a moment. What a thread may use is what it was before
//! when this returns; only a change that somebody else makes in the same microseconds would be undone.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
pub(super) use linux::move_on;

/// Moves the calling thread to another of the processors that it may use; false: it has no other, or may not ask.
#[cfg(not(target_os = "linux"))]
pub(super) fn move_on() -> bool {
    false
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::mem::MaybeUninit;

    /// Moves the calling thread to another of the processors that it may use; false: it has no other, or may not ask.
    pub(in crate::host) fn move_on() -> bool {
        let (Some(here), Some(all)) = (current(), usable()) else { return false };
        let mut others = all;
        // SAFETY: `current` gives no number beyond the end of a set.
        unsafe { libc::CPU_CLR(here, &mut others) };
        // SAFETY: nothing is asked but to count.
        if unsafe { libc::CPU_COUNT(&others) } == 0 || may_be_killed() {
            return false;
        }
        let moved = restrict(&others);
        restrict(&all);
        moved
    }

    /// The processor on which the calling thread runs.
    fn current() -> Option<usize> {
        // SAFETY: no memory is touched.
        let number = usize::try_from(unsafe { libc::sched_getcpu() }).ok()?;
        let room = 8 * size_of::<libc::cpu_set_t>();
        (number < room).then_some(number)
    }

    /// The processors that the calling thread may use; `None`: they do not fit into a set.
    fn usable() -> Option<libc::cpu_set_t> {
        let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
        // SAFETY: the size is that of the set, which is this function's alone.
        let failed = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr()) };
        // SAFETY: a set consists of numbers, all of which were written.
        (failed == 0).then(|| unsafe { set.assume_init() })
    }

    fn restrict(to: &libc::cpu_set_t) -> bool {
        // SAFETY: the size is that of the set, which is only read.
        let failed = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), to) };
        failed == 0
    }

    /// Whether a filter looks at the thread's system calls: it may end the program for one that it does not expect.
    fn may_be_killed() -> bool {
        let is_free = |line: &str| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "0");
        !fs::read_to_string("/proc/thread-self/status").is_ok_and(|status| status.lines().any(is_free))
    }

    #[cfg(test)]
    mod tests {
        use super::{current, may_be_killed, move_on, restrict, usable};

        fn count() -> i32 {
            let set = usable().unwrap();
            // SAFETY: nothing is asked but to count.
            unsafe { libc::CPU_COUNT(&set) }
        }

        #[test]
        fn a_thread_goes_elsewhere_and_may_use_the_same_processors_as_before() {
            let before = usable().unwrap();
            for _ in 0..100 {
                let can = count() > 1 && !may_be_killed();
                assert_eq!(move_on(), can);
                // SAFETY: nothing is asked but to compare.
                assert!(unsafe { libc::CPU_EQUAL(&usable().unwrap(), &before) });
            }
        }

        #[test]
        fn a_thread_that_may_use_one_processor_stays() {
            let mut one = usable().unwrap();
            let here = current().unwrap();
            // SAFETY: both numbers are within a set.
            unsafe {
                libc::CPU_ZERO(&mut one);
                libc::CPU_SET(here, &mut one);
            }
            assert!(restrict(&one)); // this test's own thread
            assert!(!move_on());
            assert_eq!((count(), current()), (1, Some(here)));
        }
    }
}
