//! The threads of the operating system on which explored threads run.
#![expect(clippy::disallowed_methods, reason = "this is below the seam: what raddle's threads run on here")]

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Those that explore nothing at the moment: to start threads takes longer than many an exploration.
static CREWS: Mutex<Vec<Crew>> = Mutex::new(Vec::new());

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Threads that are used again by one execution after the other, all on one processor: only one of them runs at a
/// time, and handing over is ten times as fast when the next one need not be woken elsewhere. They end with the last
/// handle of the crew.
#[derive(Clone, Debug)]
pub(crate) struct Crew {
    idle: Arc<Mutex<Vec<Member>>>,
    processor: usize,
    pooled: bool,
}

/// The way to a thread of the crew. The thread has none to itself while it waits, so that it ends with the others.
#[derive(Debug)]
struct Member(Sender<Work>);

struct Work {
    job: Job,
    member: Member,
    home: Weak<Mutex<Vec<Member>>>,
}

/// A thread that waits to be told to run its job.
pub(crate) struct Entrance {
    member: Member,
    job: Job,
    home: Weak<Mutex<Vec<Member>>>,
}

impl Entrance {
    /// Lets the thread run its job.
    pub(crate) fn enter(self) {
        let Self { member, job, home } = self;
        let way = member.0.clone();
        way.send(Work { job, member, home }).expect("a thread of the crew lives as long as the way to it");
    }
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance").finish_non_exhaustive()
    }
}

impl Crew {
    /// A crew that nobody uses, or a new one.
    pub(crate) fn engage() -> Self {
        let idle = CREWS.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(Self::new)
    }

    /// Lets the next exploration have the crew. Not for one whose threads may not come back.
    pub(crate) fn dismiss(self) {
        if self.pooled {
            CREWS.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }

    /// A crew on the next processor in turn.
    fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self { idle: Arc::default(), processor: NEXT.fetch_add(1, Relaxed), pooled: true }
    }

    /// One on the same processor, with a new thread for every job.
    pub(crate) fn fresh(&self) -> Self {
        Self { idle: Arc::default(), processor: self.processor, pooled: false }
    }

    /// Whether threads are used again.
    pub(crate) fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// Runs `job` on a thread that has nothing else to do.
    ///
    /// # Errors
    /// What the operating system said.
    pub(crate) fn run(&self, job: Job, stack_size: Option<usize>) -> io::Result<()> {
        self.ready(job, stack_size)?.enter();
        Ok(())
    }

    /// Has a thread ready that will run `job` as soon as it is told to.
    ///
    /// # Errors
    /// What the operating system said.
    pub(crate) fn ready(&self, job: Job, stack_size: Option<usize>) -> io::Result<Entrance> {
        let pooled = self.pooled && stack_size.is_none();
        let idle = if pooled { self.lock().pop() } else { None };
        let member = match idle {
            Some(member) => member,
            None => self.hire(stack_size)?,
        };
        let home = if pooled { Arc::downgrade(&self.idle) } else { Weak::new() };
        Ok(Entrance { member, job, home })
    }

    fn hire(&self, stack_size: Option<usize>) -> io::Result<Member> {
        let (member, work) = channel::<Work>();
        let processor = self.processor;
        let mut builder = std::thread::Builder::new().name("explored".to_owned());
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(bytes);
        }
        builder.spawn(move || {
            pin(processor);
            while let Ok(Work { job, member, home }) = work.recv() {
                job();
                let Some(home) = home.upgrade() else { return };
                home.lock().unwrap_or_else(PoisonError::into_inner).push(member);
            }
        })?;
        Ok(Member(member))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Member>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the calling thread on one of the processors that it may run on; elsewhere it is only slower.
#[cfg(target_os = "linux")]
fn pin(nth: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(allowed) = sched_getaffinity(None) else { return };
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
