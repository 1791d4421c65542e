//! The threads of the operating system on which explored threads run.
#![expect(clippy::disallowed_methods, reason = "this is below the seam: what raddle's threads run on here")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use raddle::rt::LocalsImage;

/// Those that explore nothing at the moment: to start threads takes longer than many an exploration.
static IDLE_POOLS: Mutex<Vec<OsThreads>> = Mutex::new(Vec::new());

/// What a thread of the crew is to do. It says whether the thread may be used again.
pub(crate) type Job = Box<dyn FnOnce() -> bool + Send>;

/// Threads that are used again by one execution after the other, all on one processor: only one of them runs at a
/// time, and handing over is ten times as fast when the next one need not be woken elsewhere. They end with the last
/// handle of the crew.
///
/// A thread is used again only if its thread-locals are, bit by bit, what they were when it began: otherwise the
/// program's locals would be neither dropped at the end of an explored thread nor fresh in the next one.
#[derive(Clone, Debug)]
pub(crate) struct OsThreads {
    idle: Arc<Mutex<Vec<OsThread>>>,
    processor: usize,
    number: u32,
}

/// The way to a thread of the crew. When it is dropped the thread terminates. The thread has none to itself while it
/// waits, so that it ends with the crew.
#[derive(Debug)]
struct OsThread(Arc<Mailbox>);

impl Drop for OsThread {
    fn drop(&mut self) {
        self.0.put(Mail::End);
    }
}

/// Where a thread of the crew waits for its next job. A channel would do the same, but keeps something in the thread's
/// locals.
#[derive(Debug, Default)]
struct Mailbox {
    mail: Mutex<Option<Mail>>,
    came: Condvar,
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
        self.came.notify_one();
        drop(before);
    }

    /// Waits for the next job; `None`: there will be none.
    fn get(&self) -> Option<Work> {
        let empty = |mail: &mut Option<Mail>| mail.is_none();
        let mut mail = self.came.wait_while(lock(&self.mail), empty).unwrap_or_else(PoisonError::into_inner);
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
    member: OsThread,
    home: Weak<Mutex<Vec<OsThread>>>,
}

thread_local! {
    /// The locals of this thread of the crew, as they were before anything of a program ran on it.
    static IMAGE: RefCell<Option<LocalsImage>> = const { RefCell::new(None) };
}

/// Remembers what the locals of the calling thread of the crew are; to be called before a program's code runs on it.
/// Those at the addresses `besides` are the explorer's own.
pub(crate) fn remember_locals(besides: &[Range<usize>]) {
    IMAGE.with(|image| {
        if image.borrow().is_none() {
            let start = std::ptr::from_ref(image).addr();
            let own = start..start + size_of_val(image);
            *image.borrow_mut() = LocalsImage::take(&[besides, &[own]].concat());
        }
    });
}

/// Whether no program has left anything in the locals of the calling thread. Where that cannot be told, the answer is
/// no.
pub(crate) fn locals_are_unchanged() -> bool {
    IMAGE.with_borrow(|image| image.as_ref().is_some_and(LocalsImage::is_unchanged))
}

/// Keeps the calling thread for ever, since nothing may be dropped that is in its locals.
pub(crate) fn park_forever() -> ! {
    loop {
        std::thread::park();
    }
}

/// A thread that waits to be told to run its job.
pub(crate) struct PreparedThread {
    member: OsThread,
    job: Job,
    home: Weak<Mutex<Vec<OsThread>>>,
}

impl PreparedThread {
    /// Lets the thread run its job.
    pub(crate) fn start(self) {
        let Self { member, job, home } = self;
        let mailbox = member.0.clone();
        mailbox.put(Mail::Work(Work { job, member, home }));
    }
}

impl std::fmt::Debug for PreparedThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance").finish_non_exhaustive()
    }
}

impl OsThreads {
    /// A crew that nobody uses, or a new one.
    pub(crate) fn acquire() -> Self {
        let idle = lock(&IDLE_POOLS).pop();
        idle.unwrap_or_else(Self::new)
    }

    /// Lets the next exploration have the crew. Not for one whose threads may not come back.
    pub(crate) fn release(self) {
        lock(&IDLE_POOLS).push(self);
    }

    /// A crew on the next processor in turn.
    fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let processor = NEXT.fetch_add(1, Relaxed);
        let number = u32::try_from(processor % TIMER_SLACKS as usize).unwrap_or_default();
        Self { idle: Arc::default(), processor, number }
    }

    /// What tells it from most others.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Runs `job` on a thread that has nothing else to do.
    ///
    /// # Errors
    /// What the operating system said.
    pub(crate) fn run(&self, job: Job) -> io::Result<()> {
        self.prepare(job, None)?.start();
        Ok(())
    }

    /// Has a thread ready that will run `job` as soon as it is told to.
    ///
    /// # Errors
    /// What the operating system said.
    pub(crate) fn prepare(&self, job: Job, stack_size: Option<usize>) -> io::Result<PreparedThread> {
        let pooled = stack_size.is_none();
        let idle = if pooled { lock(&self.idle).pop() } else { None };
        let member = match idle {
            Some(member) => member,
            None => self.start_thread(stack_size)?,
        };
        let home = if pooled { Arc::downgrade(&self.idle) } else { Weak::new() };
        Ok(PreparedThread { member, job, home })
    }

    fn start_thread(&self, stack_size: Option<usize>) -> io::Result<OsThread> {
        let mailbox = Arc::new(Mailbox::default());
        let member = OsThread(mailbox.clone());
        let (processor, number) = (self.processor, self.number);
        let mut builder = std::thread::Builder::new().name("explored".to_owned());
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(move || {
            let _registered = Registered::new();
            pin(processor);
            while let Some(Work { job, member, home }) = mailbox.get() {
                set_timer_slack(number);
                if !job() {
                    return; // and the thread's locals are dropped
                }
                let Some(home) = home.upgrade() else { return };
                lock(&home).push(member);
            }
        })?;
        Ok(member)
    }
}

/// The threads of all crews, by the operating system's numbers.
static REGISTERED: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Says that the calling thread is one of a crew.
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
        if let Some(id) = &self.0 {
            lock(&REGISTERED).remove(id);
        }
    }
}

/// The threads of the operating system on which explored threads run, by its numbers.
pub(crate) fn registered() -> BTreeSet<u64> {
    lock(&REGISTERED).clone()
}

#[cfg(target_os = "linux")]
pub(crate) fn native_id() -> Option<u64> {
    u64::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn native_id() -> Option<u64> {
    None
}

/// The timer slack, in nanoseconds, of the crew number 0; the others' are longer by their numbers. The operating system
/// gives a thread that of the thread which starts it, so that one which a program starts past the toolkit can be told
/// from all others. It is what is usual, within a few microseconds.
const SLACK: u64 = 50_001;
const TIMER_SLACKS: u32 = 4096;

#[cfg(target_os = "linux")]
fn set_timer_slack(os_threads: u32) {
    let slack = SLACK + u64::from(os_threads);
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(slack));
}

/// The number of the crew to which the thread belongs that started the calling thread, or that started the one which did.
#[cfg(target_os = "linux")]
pub(crate) fn started_by() -> Option<u32> {
    let slack = rustix::thread::current_timer_slack().ok()?;
    u32::try_from(slack.checked_sub(SLACK)?).ok().filter(|os_threads| *os_threads < TIMER_SLACKS)
}

#[cfg(not(target_os = "linux"))]
fn set_timer_slack(_: u32) {}

#[cfg(not(target_os = "linux"))]
pub(crate) fn started_by() -> Option<u32> {
    None
}

/// Keeps the calling thread on one of the processors that it may run on; elsewhere it is only slower.
#[cfg(target_os = "linux")]
fn pin(nth: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
    if allowed.count() == 1 {
        return; // as it was started by one that is pinned already
    }
    let processors: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor)).collect();
    if let Some(&processor) = processors.get(nth % processors.len().max(1)) {
        let mut one = CpuSet::new();
        one.set(processor);
        // Refused only if the processor has gone meanwhile: then the thread stays where it is.
        let _ = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) {}
