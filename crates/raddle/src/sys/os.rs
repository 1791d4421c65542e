//! The operating system: parking on a word, waking, the clock, starting threads.
//!
//! Linux has the futex. Elsewhere `parking_lot_core` keeps the queues of parked threads. Only this file and `spin.rs` park,
//! sleep, read a clock or start a thread.
#![allow(clippy::disallowed_methods)]
#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::time::{Duration, Instant};

/// The outcome of a [`wait`](crate::rt::wait).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// Another thread woke this one, or the wake-up was spurious.
    Woken,
    /// The word did not hold the expected value.
    Changed,
    /// The deadline has passed.
    TimedOut,
    /// The wait is [interruptible](crate::rt::Wait::interruptible), and its function returned true.
    Interrupted,
}

pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) fn sleep_until(until: Instant) {
    let left = until.saturating_duration_since(now());
    if left > Duration::ZERO {
        std::thread::sleep(left);
    }
}

pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// Starts a detached thread.
pub(crate) fn spawn(name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    let mut builder = std::thread::Builder::new();
    if name.contains('\0') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a thread's name must not contain a NUL"));
    }
    builder = builder.name(name.to_owned());
    if let Some(bytes) = stack_size {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(body).map(drop)
}

/// Writes to standard error without its lock, which a blocked thread may hold.
pub(crate) fn write_error(text: &str) {
    let mut left = text.as_bytes();
    while !left.is_empty() {
        // SAFETY: the pointer and the length are those of a slice that lives for the whole call.
        let written = unsafe { libc::write(2, left.as_ptr().cast(), left.len() as _) };
        match usize::try_from(written) {
            Ok(written) if written > 0 => left = &left[written..],
            _ => return, // standard error is closed
        }
    }
}

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Returns the number of forks between the process that first used the toolkit and this one. It changes only in a forked
/// child, while that has one thread.
#[inline]
pub(crate) fn forks() -> u32 {
    FORKS.load(Relaxed)
}

/// Counts a fork, in the child.
pub(crate) fn is_a_fork() {
    FORKS.fetch_add(1, Relaxed);
}

/// Registers handlers that the C library calls around each `fork`.
pub(crate) fn at_fork(before: extern "C" fn(), in_parent: extern "C" fn(), in_child: extern "C" fn()) {
    // SAFETY: the handlers are plain functions that live as long as the program and do not unwind. If registration
    // fails for lack of memory, a child mistakes the threads of its parent for its own.
    unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

/// Registers a handler that the C library calls when `main` returns or a thread calls `exit`.
pub(crate) fn at_exit(handler: extern "C" fn()) {
    // SAFETY: the handler is a plain function that lives as long as the program and does not unwind.
    unsafe { libc::atexit(handler) };
}

/// Ends the process at once: no exit handlers, no destructors.
pub(crate) fn end_process(status: i32) -> ! {
    // SAFETY: no memory is touched, and nothing runs afterwards.
    unsafe { libc::_exit(status) }
}

/// Returns the number of processors that this process may run on, determined once.
pub(crate) fn processors() -> usize {
    // No `OnceLock`: a fork might leave it half set.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    match COUNT.load(Relaxed) {
        0 => {
            let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            COUNT.store(count, Relaxed);
            count
        }
        count => count,
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{
    nanoseconds, native_id, on_sigquit, process_id, set_timer_slack, signal_handlers, tasks, thread_count,
    wait, wait_or_signal, waits_in_exit, wake,
};

#[cfg(target_os = "linux")]
mod linux {
    use super::{AtomicU32, Instant, WaitOutcome, forks, io, now};
    use std::os::unix::fs::MetadataExt as _;
    use std::ptr;
    use std::sync::atomic::Ordering;

    pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> WaitOutcome {
        match wait_or_signal(word, expected, deadline) {
            WaitOutcome::Interrupted => WaitOutcome::Woken, // the caller checks its state, as after any wake-up
            outcome => outcome,
        }
    }

    /// Like [`wait`], but returns [`WaitOutcome::Interrupted`] if a signal handler has run on this thread meanwhile.
    ///
    /// Without a deadline, the system call is restarted after a handler with `SA_RESTART`.
    pub(crate) fn wait_or_signal(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> WaitOutcome {
        let mut limit = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let limit = match deadline {
            None => ptr::null(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(now());
                if left.is_zero() {
                    return WaitOutcome::TimedOut;
                }
                limit.tv_sec = left.as_secs().try_into().unwrap_or(libc::time_t::MAX);
                limit.tv_nsec = left.subsec_nanos().cast_signed().into(); // 32 bits wide in some places
                ptr::from_ref(&limit)
            }
        };
        // SAFETY: the kernel reads four aligned bytes at `word`, which lives for the whole call, and the
        // timespec, which is null or lives on this frame.
        let code = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                expected,
                limit,
            )
        };
        if code == 0 {
            return WaitOutcome::Woken;
        }
        match std::io::Error::last_os_error().raw_os_error() {
            Some(libc::ETIMEDOUT) => WaitOutcome::TimedOut,
            Some(libc::EAGAIN) => WaitOutcome::Changed,
            _ => WaitOutcome::Interrupted,
        }
    }

    /// Wakes up to `count` threads that are parked on `word`; returns how many.
    pub(crate) fn wake(word: *const AtomicU32, count: u32) -> u32 {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        // SAFETY: FUTEX_WAKE does not read the memory; the address is only a key, so a word that has been dropped in the
        // meantime costs at most a spurious wake-up.
        let woken = unsafe {
            libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count)
        };
        u32::try_from(woken).unwrap_or_default() // negative: an error, and no thread was woken
    }

    /// Returns the monotonic clock as a number that fits into an atomic.
    pub(crate) fn nanoseconds() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes to a timespec that lives on this frame.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        seconds.wrapping_mul(1_000_000_000).wrapping_add(u64::try_from(time.tv_nsec).unwrap_or_default())
    }

    /// The number of SIGQUITs received since [`on_sigquit`].
    static SIGQUITS: AtomicU32 = AtomicU32::new(0);

    /// The process that handles them, as a number of forks.
    static SIGQUITS_ANSWERED: AtomicU32 = AtomicU32::new(0);

    extern "C" fn count_sigquit(_: libc::c_int) {
        if SIGQUITS_ANSWERED.load(Ordering::Relaxed) != forks() {
            // SAFETY: both functions may be called in a handler. The signal takes effect when the handler returns.
            unsafe {
                libc::signal(libc::SIGQUIT, libc::SIG_DFL);
                libc::raise(libc::SIGQUIT);
            }
            return;
        }
        SIGQUITS.fetch_add(1, Ordering::Release);
        // SAFETY: the calling thread's errno is its own; a handler leaves it as it was.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: as above.
        let before = unsafe { *errno };
        wake(&raw const SIGQUITS, u32::MAX);
        // SAFETY: as above.
        unsafe { *errno = before };
    }

    fn sigquit_handler() -> usize {
        count_sigquit as extern "C" fn(libc::c_int) as usize
    }

    /// Installs a handler for SIGQUIT and returns the word in which it counts signals. It wakes threads that wait on it.
    pub(crate) fn on_sigquit() -> io::Result<&'static AtomicU32> {
        SIGQUITS_ANSWERED.store(forks(), Ordering::Relaxed);
        // SAFETY: zeroes are a valid `sigaction`: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = sigquit_handler();
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler adds to an atomic and makes one system call, both of which a handler may; it is a plain
        // function that lives as long as the program.
        let code = unsafe { libc::sigaction(libc::SIGQUIT, &raw const action, ptr::null_mut()) };
        if code == 0 { Ok(&SIGQUITS) } else { Err(io::Error::last_os_error()) }
    }

    /// Returns whether SIGQUIT has the handler that counts.
    fn counts_sigquit() -> bool {
        // SAFETY: zeroes are a valid `sigaction`.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the action lives for the whole call, which changes nothing else.
        let code = unsafe { libc::sigaction(libc::SIGQUIT, ptr::null(), &raw mut action) };
        code == 0 && action.sa_sigaction == sigquit_handler()
    }

    /// Returns the signals for which the program has installed a handler, or `None` if unknown.
    ///
    /// Handlers of the runtime are left out: those for faults, which no waiting thread causes, the one for SIGQUIT if it
    /// only requests a dump, and those of the signals that the C library reserves.
    pub(crate) fn signal_handlers() -> Option<Vec<i32>> {
        let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        let is_the_runtimes = |signal: i32| match signal {
            libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL => true,
            libc::SIGQUIT => counts_sigquit(),
            // Between the standard signals and the first one of the application.
            _ => signal > libc::SIGSYS && signal < libc::SIGRTMIN(),
        };
        Some((1..=64).filter(|signal| caught >> (signal - 1) & 1 == 1 && !is_the_runtimes(*signal)).collect())
    }

    pub(crate) fn native_id() -> Option<u64> {
        // SAFETY: gettid has no arguments and cannot fail.
        u64::try_from(unsafe { libc::gettid() }).ok()
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "where there is no native id there is nothing to compare with"
    )]
    pub(crate) fn process_id() -> Option<u64> {
        Some(std::process::id().into())
    }

    /// Sets by how many nanoseconds the kernel may delay timed waits of the calling thread, to combine wake-ups. Returns
    /// the previous value, if known.
    pub(crate) fn set_timer_slack(nanoseconds: libc::c_ulong) -> Option<libc::c_ulong> {
        // SAFETY: neither request reads or writes memory of the caller's.
        let before = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
        // SAFETY: as above.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds) };
        libc::c_ulong::try_from(before).ok()
    }

    /// Returns the native identifiers of all threads of this process, started by raddle or not.
    pub(crate) fn tasks() -> Option<Vec<u64>> {
        let entries = std::fs::read_dir("/proc/self/task").ok()?;
        Some(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    /// Returns the number of threads of this process.
    pub(crate) fn thread_count() -> Option<usize> {
        // A directory's links: itself, its parent's entry, and one for each of its directories.
        let links = std::fs::metadata("/proc/self/task").ok()?.nlink();
        usize::try_from(links).ok()?.checked_sub(2)
    }

    /// Returns whether the standard library has parked the thread because it called `exit` after another one did.
    ///
    /// It parks such a thread in `pause`, which a program may also call itself, so the stack is checked too: only a thread
    /// that called `exit` has a return into that function on it. The main thread gets there without `exit` when `main` has
    /// returned, which cannot be distinguished from a `pause` of its own.
    pub(crate) fn waits_in_exit(native_id: u64) -> bool {
        let Ok(state) = std::fs::read_to_string(format!("/proc/self/task/{native_id}/syscall")) else {
            return false;
        };
        #[cfg(target_arch = "x86_64")]
        let pause = state.starts_with(&format!("{} ", libc::SYS_pause));
        #[cfg(not(target_arch = "x86_64"))]
        let pause = state.starts_with(&format!("{} 0x0 0x0 0x0", libc::SYS_ppoll));
        pause && (process_id() == Some(native_id) || has_called_exit(&state).unwrap_or(true))
    }

    /// Returns whether a return into `std::process::exit` is near the top of the stack of a thread in this state, or `None`
    /// if the stack cannot be read.
    fn has_called_exit(state: &str) -> Option<bool> {
        use std::os::unix::fs::FileExt as _;
        /// The few frames between `exit` and the system call take less.
        const STACK: usize = 4096;
        /// The code of `exit` takes less.
        const CODE: usize = 512;
        // The last two numbers are the stack pointer and the program counter.
        let top = state.split_whitespace().rev().nth(1)?.strip_prefix("0x")?;
        let top = u64::from_str_radix(top, 16).ok()?;
        let mut stack = [0; STACK];
        let length = std::fs::File::open("/proc/self/mem").ok()?.read_at(&mut stack, top).ok()?;
        let exit = std::process::exit as fn(i32) -> ! as usize;
        let words = stack[..length].chunks_exact(size_of::<usize>());
        let mut words = words.map(|word| usize::from_ne_bytes(word.try_into().expect("as long as a word")));
        Some(words.any(|word| word > exit && word - exit <= CODE))
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{
    nanoseconds, native_id, on_sigquit, process_id, set_timer_slack, signal_handlers, tasks, thread_count,
    wait, wait_or_signal, waits_in_exit, wake,
};

#[cfg(not(target_os = "linux"))]
mod portable {
    use super::{AtomicU32, Instant, WaitOutcome, io, now};
    use parking_lot_core::{DEFAULT_PARK_TOKEN, DEFAULT_UNPARK_TOKEN, FilterOp, ParkResult, UnparkToken};
    use std::sync::atomic::Ordering;

    pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> WaitOutcome {
        let key = word.as_ptr() as usize;
        let unchanged = || word.load(Ordering::SeqCst) == expected;
        // SAFETY: the key is the address of a word that this thread borrows for the whole call, and no
        // callback parks or panics.
        match unsafe {
            parking_lot_core::park(key, unchanged, || {}, |_, _| {}, DEFAULT_PARK_TOKEN, deadline)
        } {
            ParkResult::Unparked(_) => WaitOutcome::Woken,
            ParkResult::Invalid => WaitOutcome::Changed,
            ParkResult::TimedOut => WaitOutcome::TimedOut,
        }
    }

    /// Like [`wait`]: signals are not noticed here.
    pub(crate) fn wait_or_signal(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> WaitOutcome {
        wait(word, expected, deadline)
    }

    pub(crate) fn wake(word: *const AtomicU32, count: u32) -> u32 {
        let mut left = count;
        let choose = |_| {
            if left == 0 {
                return FilterOp::Stop;
            }
            left -= 1;
            FilterOp::Unpark
        };
        // SAFETY: the key is only compared, and no callback parks or panics.
        let result = unsafe {
            parking_lot_core::unpark_filter(word as usize, choose, |_| UnparkToken(DEFAULT_UNPARK_TOKEN.0))
        };
        u32::try_from(result.unparked_threads).unwrap_or(u32::MAX)
    }

    pub(crate) fn nanoseconds() -> u64 {
        static BEGINNING: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        u64::try_from(BEGINNING.get_or_init(now).elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn set_timer_slack(_: libc::c_ulong) -> Option<libc::c_ulong> {
        None
    }

    pub(crate) fn on_sigquit() -> io::Result<&'static AtomicU32> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn native_id() -> Option<u64> {
        None
    }

    pub(crate) fn process_id() -> Option<u64> {
        None
    }

    pub(crate) fn tasks() -> Option<Vec<u64>> {
        None
    }

    pub(crate) fn signal_handlers() -> Option<Vec<i32>> {
        None
    }

    pub(crate) fn thread_count() -> Option<usize> {
        None
    }

    pub(crate) fn waits_in_exit(_: u64) -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
    use std::thread;

    use super::*;

    /// A thread in [`wait_or_signal`] without a deadline, with the outcome of [`wait`] for comparison.
    #[test]
    fn signal_ends_a_wait() {
        extern "C" fn nothing(_: libc::c_int) {}
        // SAFETY: all zeros are a valid `sigaction`: no flags, so system calls are not restarted, and an empty mask. The handler
        // does nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
        }
        for (wait, expected) in [
            (wait_or_signal as fn(&AtomicU32, u32, Option<Instant>) -> WaitOutcome, WaitOutcome::Interrupted),
            (wait, WaitOutcome::Woken),
        ] {
            let (target, returned, stopped) =
                (AtomicU64::new(0), AtomicBool::new(false), AtomicBool::new(false));
            let outcome = thread::scope(|s| {
                let waiter = s.spawn(|| {
                    // SAFETY: no memory is touched.
                    target.store(unsafe { libc::pthread_self() }, SeqCst);
                    let outcome = wait(&AtomicU32::new(0), 0, None);
                    returned.store(true, SeqCst);
                    while !stopped.load(SeqCst) {
                        yield_now();
                    }
                    outcome
                });
                while !returned.load(SeqCst) {
                    if target.load(SeqCst) != 0 {
                        // SAFETY: the thread runs until `stopped` is set.
                        unsafe { libc::pthread_kill(target.load(SeqCst), libc::SIGUSR1) };
                    }
                    yield_now();
                }
                stopped.store(true, SeqCst);
                waiter.join().unwrap()
            });
            assert_eq!(outcome, expected);
        }
    }
}
