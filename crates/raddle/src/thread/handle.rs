//! What anyone may know of a thread, and how to wait for it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::rt::{self, AWAITED, Kind, Op, RUNNING, Record, Wait};

/// A thread as others see it: its name, its numbers, whether it is over.
///
/// [`thread::current`](crate::thread::current), [`enumerate`](crate::thread::enumerate) and every
/// [`JoinHandle`](crate::JoinHandle) give one. It is a reference: cloning it starts nothing.
///
/// To an explorer, [`is_finished`](ThreadHandle::is_finished), the waits and `{:?}` are steps. Name, numbers and daemon
/// flag are not: they do not change, except those of the thread that is lent to a timer's function.
#[derive(Clone)]
pub struct ThreadHandle(pub(super) Arc<Record>);

impl ThreadHandle {
    /// The thread's name: given, or `Thread-N (function)`, or what the operating system calls it.
    pub fn name(&self) -> String {
        self.0.name().to_string()
    }

    /// The thread's number in this process, never used again.
    pub fn ident(&self) -> u64 {
        self.0.ident
    }

    /// The operating system's number for the thread; `None` until it runs, and where there is none.
    pub fn native_id(&self) -> Option<u64> {
        self.0.native_id()
    }

    /// Whether the program may end without this thread.
    pub fn is_daemon(&self) -> bool {
        self.0.daemon.load(Ordering::Relaxed)
    }

    /// Whether the thread is over, its thread-locals dropped.
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        rt::point(Op::new(&*self.0, "Thread", Kind::Read));
        self.0.finished()
    }

    /// Waits until the thread is over.
    ///
    /// # Errors
    /// [`SelfJoinError`] if the calling thread is the one to wait for.
    #[track_caller]
    pub fn wait(&self) -> Result<(), SelfJoinError> {
        if self.is_current() {
            return Err(SelfJoinError);
        }
        self.wait_until(None);
        Ok(())
    }

    /// Waits until the thread is over, `timeout` at most; says whether it is. A thread that waits for itself
    /// is not over and never will be, so the answer is no, at once.
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(rt::deadline(timeout))
    }

    /// Waits until the thread is over, until `deadline` at most; says whether it is.
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    #[track_caller]
    pub(super) fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if self.is_current() {
            return false;
        }
        let record = &*self.0;
        rt::point_until(Op::new(record, "Thread", Kind::Join), deadline, &record.state, || record.finished());
        loop {
            rt::atom(&record.state);
            // Acquire, in `finished`: what the thread did happens before the return of its joiner.
            if record.finished() {
                return true;
            }
            rt::atom(&record.state);
            let _ = record.state.compare_exchange(RUNNING, AWAITED, Ordering::Acquire, Ordering::Acquire);
            if rt::wait(&record.state, AWAITED, deadline) == Wait::TimedOut {
                return record.finished();
            }
        }
    }

    pub(super) fn is_current(&self) -> bool {
        self.0.ident == rt::ident()
    }
}

impl PartialEq for ThreadHandle {
    fn eq(&self, other: &Self) -> bool {
        self.0.ident == other.0.ident
    }
}

impl Eq for ThreadHandle {}

impl Hash for ThreadHandle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.ident.hash(state);
    }
}

impl fmt::Debug for ThreadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadHandle")
            .field("name", &self.name())
            .field("ident", &self.ident())
            .field("daemon", &self.is_daemon())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// A thread cannot wait for its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfJoinError;

impl fmt::Display for SelfJoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a thread cannot join itself: it would wait for ever")
    }
}

impl std::error::Error for SelfJoinError {}
