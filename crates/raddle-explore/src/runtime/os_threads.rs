//! The OS threads on which tasks run.
//!
//! Starting a thread takes longer than many executions, so threads are reused by later executions. They terminate with the exploration. All threads
//! of a pool run on one processor: only one of them runs at a time, and passing the run token is ten times as fast if the next thread need not be
//! woken on another processor.
//!
//! A thread is reused only if its thread-locals are unchanged, bit by bit, since it started. Otherwise it terminates, which drops the program's
//! thread-locals, so that every task starts with fresh ones.
#![expect(clippy::disallowed_methods, reason = "below the seam: the threads that raddle's threads run on")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use raddle::rt::LocalsImage;

use super::panic_hook::{self, range_of};

/// Numbers of pools that no exploration uses.
static FREE_NUMBERS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// The work of a thread. Returns whether the thread can be reused.
pub(crate) type Job = Box<dyn FnOnce() -> bool + Send>;

/// A pool of threads on one processor. Its threads terminate with its last handle.
#[derive(Clone, Debug)]
pub(crate) struct OsThreads {
    idle: Arc<Mutex<Vec<OsThread>>>,
    /// The number of the pool, which chooses its processor, and identifies the threads that descend from its threads.
    number: usize,
}

/// A handle to an idle thread, which terminates when the handle is dropped. The thread itself holds none while it is
/// idle.
#[derive(Debug)]
struct OsThread(Arc<Mailbox>);

impl Drop for OsThread {
    fn drop(&mut self) {
        self.0.put(Mail::End);
    }
}

/// Where a thread waits for its next job. A channel would change its thread-locals.
#[derive(Debug, Default)]
struct Mailbox {
    mail: Mutex<Option<Mail>>,
    arrived: Condvar,
}

enum Mail {
    Work(Work),
    End,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Mail::Work(_)) { "Work" } else { "End" })
    }
}

impl Mailbox {
    fn put(&self, mail: Mail) {
        let before = lock(&self.mail).replace(mail);
        self.arrived.notify_one();
        drop(before);
    }

    /// Waits for the next job. Returns `None` if the thread is to terminate.
    fn get(&self) -> Option<Work> {
        let empty = |mail: &mut Option<Mail>| mail.is_none();
        let mut mail =
            self.arrived.wait_while(lock(&self.mail), empty).unwrap_or_else(PoisonError::into_inner);
        match mail.take()? {
            Mail::Work(work) => Some(work),
            Mail::End => None,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Work {
    job: Job,
    thread: OsThread,
    pool: Weak<Mutex<Vec<OsThread>>>,
}

thread_local! {
    /// The task that the calling thread runs.
    pub(super) static CURRENT: Cell<usize> = const { Cell::new(0) };
    /// The execution and the task for which the calling thread has declared whether it is a daemon.
    pub(super) static ANNOUNCED: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
    /// The calling thread evaluates a predicate, which is not a step.
    pub(super) static EVALUATING: Cell<bool> = const { Cell::new(false) };
    /// The calling thread has returned from the task's function and must not be unwound: it drops its thread-locals.
    pub(super) static BODY_DONE: Cell<bool> = const { Cell::new(false) };
    /// The thread-locals of this thread before it ran any code of a program.
    static IMAGE: RefCell<Option<LocalsImage>> = const { RefCell::new(None) };
}

/// Remembers the thread-locals of the calling thread, before it runs code of a program. The explorer's own are not among
/// them.
pub(crate) fn remember_locals() {
    IMAGE.with(|image| {
        if image.borrow().is_none() {
            let own = [
                CURRENT.with(range_of),
                ANNOUNCED.with(range_of),
                EVALUATING.with(range_of),
                BODY_DONE.with(range_of),
                range_of(image),
            ];
            *image.borrow_mut() = LocalsImage::capture(&[&own[..], &panic_hook::locals()].concat());
        }
    });
}

/// Whether no program has left anything in the thread-locals of the calling thread. Returns `false` where that cannot
/// be determined.
pub(crate) fn locals_are_unchanged() -> bool {
    IMAGE.with_borrow(|image| image.as_ref().is_some_and(LocalsImage::is_unchanged))
}

/// Parks the calling thread forever, since nothing in its thread-locals may be dropped.
pub(crate) fn park_forever() -> ! {
    loop {
        std::thread::park();
    }
}

/// A thread that waits for the start of its job.
pub(crate) struct PreparedThread {
    thread: OsThread,
    job: Job,
    pool: Weak<Mutex<Vec<OsThread>>>,
}

impl PreparedThread {
    /// Starts the job.
    pub(crate) fn start(self) {
        let Self { thread, job, pool } = self;
        let mailbox = thread.0.clone();
        mailbox.put(Mail::Work(Work { job, thread, pool }));
    }
}

impl std::fmt::Debug for PreparedThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedThread").finish_non_exhaustive()
    }
}

impl OsThreads {
    /// Creates a pool. The processors of pools that are in use at the same time alternate.
    pub(crate) fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let free = lock(&FREE_NUMBERS).pop();
        Self { idle: Arc::default(), number: free.unwrap_or_else(|| NEXT.fetch_add(1, Relaxed)) }
    }

    /// Drops the pool and frees its number for another one. Not for a pool some of whose threads may be lost.
    pub(crate) fn release(self) {
        lock(&FREE_NUMBERS).push(self.number);
    }

    /// A number that few other pools share.
    pub(crate) fn number(&self) -> u32 {
        u32::try_from(self.number % TIMER_SLACKS as usize).unwrap_or_default()
    }

    /// Runs `job` on an idle thread.
    ///
    /// # Errors
    /// Returns the error of the operating system if a thread cannot be started.
    pub(crate) fn run(&self, job: Job) -> io::Result<()> {
        self.prepare(job, None)?.start();
        Ok(())
    }

    /// Prepares a thread that runs `job` once it is started.
    ///
    /// # Errors
    /// Returns the error of the operating system if a thread cannot be created.
    pub(crate) fn prepare(&self, job: Job, stack_size: Option<usize>) -> io::Result<PreparedThread> {
        let pooled = stack_size.is_none();
        let idle = if pooled { lock(&self.idle).pop() } else { None };
        let thread = match idle {
            Some(thread) => thread,
            None => self.start_thread(stack_size)?,
        };
        let pool = if pooled { Arc::downgrade(&self.idle) } else { Weak::new() };
        Ok(PreparedThread { thread, job, pool })
    }

    fn start_thread(&self, stack_size: Option<usize>) -> io::Result<OsThread> {
        let mailbox = Arc::new(Mailbox::default());
        let thread = OsThread(mailbox.clone());
        let (processor, number) = (self.number, self.number());
        let mut builder = std::thread::Builder::new().name("explored".to_owned());
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(move || {
            ORIGIN.set(Origin::Elsewhere); // its operations are those of its task
            let _registered = Registered::new();
            pin(processor);
            while let Some(Work { job, thread, pool }) = mailbox.get() {
                set_timer_slack(number);
                if !job() {
                    return; // and the thread-locals are dropped
                }
                let Some(pool) = pool.upgrade() else { return };
                lock(&pool).push(thread);
            }
        })?;
        Ok(thread)
    }
}

/// The threads of all pools, by their native numbers.
static REGISTERED: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Registers the calling thread as one of a pool.
struct Registered(Option<u64>);

impl Registered {
    fn new() -> Self {
        let id = native_id();
        lock(&REGISTERED).extend(id);
        Self(id)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Foreign threads are recognized by the name that they inherit. This thread exists a little longer, and is none.
        rename_terminating_thread();
        if let Some(id) = &self.0 {
            lock(&REGISTERED).remove(id);
        }
    }
}

/// The native numbers of the threads of all pools.
pub(crate) fn registered() -> BTreeSet<u64> {
    lock(&REGISTERED).clone()
}

#[cfg(target_os = "linux")]
fn rename_terminating_thread() {
    let _ = rustix::thread::set_name(c"terminating"); // cannot fail
}

#[cfg(not(target_os = "linux"))]
fn rename_terminating_thread() {}

#[cfg(target_os = "linux")]
pub(crate) fn native_id() -> Option<u64> {
    u64::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn native_id() -> Option<u64> {
    None
}

/// The timer slack, in nanoseconds, of the threads of pool 0; that of other pools is longer by their numbers. A thread
/// inherits the timer slack of the thread that starts it, which identifies foreign threads. The value is within a few
/// microseconds of the default.
const SLACK: u64 = 50_001;
const TIMER_SLACKS: u32 = 4096;

#[cfg(target_os = "linux")]
fn set_timer_slack(os_threads: u32) {
    let slack = SLACK + u64::from(os_threads);
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(slack));
}

/// The origin of a thread.
#[derive(Clone, Copy)]
enum Origin {
    Unknown,
    Pool(u32),
    Elsewhere,
}

thread_local!(static ORIGIN: Cell<Origin> = const { Cell::new(Origin::Unknown) });

/// The number of the pool from whose threads the calling thread descends, unless it is one of a pool itself.
pub(crate) fn started_by() -> Option<u32> {
    if matches!(ORIGIN.get(), Origin::Unknown) {
        ORIGIN.set(pool_of_ancestor().map_or(Origin::Elsewhere, Origin::Pool));
    }
    match ORIGIN.get() {
        Origin::Pool(number) => Some(number),
        _ => None,
    }
}

#[cfg(target_os = "linux")]
fn pool_of_ancestor() -> Option<u32> {
    let slack = rustix::thread::current_timer_slack().ok()?;
    u32::try_from(slack.checked_sub(SLACK)?).ok().filter(|os_threads| *os_threads < TIMER_SLACKS)
}

#[cfg(not(target_os = "linux"))]
fn set_timer_slack(_: u32) {}

#[cfg(not(target_os = "linux"))]
fn pool_of_ancestor() -> Option<u32> {
    None
}

/// Pins the calling thread to one of the processors that it may run on. Elsewhere it is only slower.
#[cfg(target_os = "linux")]
fn pin(nth: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    if allowed.count() == 1 {
        return; // inherited from a pinned thread
    }
    let processors: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor)).collect();
    if let Some(&processor) = processors.get(nth % processors.len().max(1)) {
        let mut one = CpuSet::new();
        one.set(processor);
        // Fails only if the processor has been taken offline; the thread then stays where it is.
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) {}
