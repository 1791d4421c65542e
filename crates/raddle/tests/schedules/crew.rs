//! The threads of the operating system on which the actors of one execution after the other run.
#![expect(clippy::disallowed_methods, reason = "this is below the seam: what raddle's threads run on here")]

use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// Threads that are used again by every execution of one search, all on one processor: only one of them runs
/// at a time, and handing over is ten times as fast when the next one need not be woken elsewhere.
#[derive(Debug)]
pub(crate) struct Crew {
    members: Vec<(Sender<Job>, JoinHandle<()>)>,
    processor: usize,
}

impl Crew {
    pub(crate) fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Self { members: Vec::new(), processor: NEXT.fetch_add(1, Relaxed) }
    }

    /// Has member number `place` run `job` when it is through with what it does.
    pub(crate) fn run(&mut self, place: usize, job: Job) {
        while self.members.len() <= place {
            let (jobs, work) = channel::<Job>();
            let processor = self.processor;
            let member = std::thread::Builder::new().name(format!("actor {}", self.members.len()));
            let handle = member.spawn(move || {
                pin(processor);
                for job in work {
                    job();
                }
            });
            self.members.push((jobs, handle.expect("a thread for the crew")));
        }
        self.members[place].0.send(job).expect("a member goes on until it is let go");
    }

    /// Lets go of the threads without waiting for them: some will never come back.
    pub(crate) fn abandon(&mut self) {
        self.members.clear();
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for (jobs, handle) in self.members.drain(..) {
            drop(jobs);
            let over = handle.join();
            assert!(over.is_ok() || std::thread::panicking(), "a member of the crew panicked");
        }
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
