//! The right to a thread's result.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::hook::{self, Payload};
use crate::rt::{self, AWAITED, Kind, Op, RUNNING, ThreadRecord, Wait};

/// What a thread leaves behind, shared by the thread and its joiner.
pub(super) struct Packet<T> {
    record: Arc<ThreadRecord>,
    /// A plain mutex: the thread's end comes between the one that stores the outcome and the one that takes it, so no
    /// explorer need see the accesses.
    outcome: Mutex<Option<std::thread::Result<T>>>,
    /// Set when a panic was not joined; the scope of the thread, if it has one, reads it.
    unjoined_panic: Option<Arc<AtomicBool>>,
}

impl<T> Packet<T> {
    pub(super) fn new(record: Arc<ThreadRecord>, unjoined_panic: Option<Arc<AtomicBool>>) -> Arc<Self> {
        Arc::new(Self { record, outcome: Mutex::new(None), unjoined_panic })
    }

    pub(super) fn put(&self, outcome: std::thread::Result<T>) {
        *locked(&self.outcome) = Some(outcome);
    }

    pub(super) fn take(&self) -> Result<T, JoinError> {
        let outcome = if self.record.is_an_ancestors() {
            // The thread may have been about to store it when this process was forked, and holds the lock forever.
            self.outcome.try_lock().ok().and_then(|mut outcome| outcome.take())
        } else {
            locked(&self.outcome).take()
        };
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(payload)) => Err(JoinError::Panicked(ThreadPanic::new(self.record.name(), payload))),
            None => Err(JoinError::Exited),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Drop for Packet<T> {
    fn drop(&mut self) {
        if self.record.is_an_ancestors() && matches!(self.outcome.try_lock(), Err(TryLockError::WouldBlock)) {
            // Half stored.
            return std::mem::forget(self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
        match self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(value)) => hook::drop_guarded("the destructor of what a thread returned", value),
            Some(Err(payload)) => {
                match &self.unjoined_panic {
                    Some(panicked) => panicked.store(true, Ordering::Relaxed), // and the scope panics in turn
                    None => hook::report(&format!("thread \"{}\"", self.record.name()), &*payload),
                }
                hook::dispose(payload);
            }
            None => {}
        }
    }
}

/// A started thread, and the right to its result.
///
/// Dropping it lets the thread run on; a non-daemon thread still keeps the program alive. If it panics then,
/// the [excepthook](crate::thread::set_excepthook) hears of it.
///
/// [`thread`](JoinHandle::thread) gives the [`ThreadHandle`], which can be cloned and shared.
pub struct JoinHandle<T> {
    pub(super) thread: ThreadHandle,
    pub(super) packet: Arc<Packet<T>>,
}

impl<T> JoinHandle<T> {
    /// Waits until the thread is over and returns what it returned.
    ///
    /// What the thread did happens before the return of `join`, the destructors of its thread-locals included.
    ///
    /// # Errors
    /// [`JoinError::Panicked`] with what it panicked with; [`JoinError::SelfJoin`] if a thread joins itself;
    /// [`JoinError::Exited`] if it called `std::process::exit`, or exists in the parent of this process only.
    ///
    /// ```
    /// use raddle::Thread;
    /// let answer = Thread::spawn(|| 6 * 7);
    /// assert_eq!(answer.join()?, 42);
    ///
    /// let broken = Thread::spawn(|| panic!("no paper"));
    /// assert!(broken.join().unwrap_err().to_string().contains("no paper"));
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.thread.wait().map_err(|_| JoinError::SelfJoin)?;
        self.packet.take()
    }

    /// Like [`join`](Self::join), waiting at most `timeout`.
    ///
    /// # Errors
    /// [`JoinTimeoutError::TimedOut`] gives the handle back; otherwise as [`join`](Self::join).
    #[track_caller]
    pub fn join_timeout(self, timeout: Duration) -> Result<T, JoinTimeoutError<T>> {
        self.join_until(rt::deadline(timeout))
    }

    /// Like [`join_timeout`](Self::join_timeout), waiting until `deadline` at most: for several joins that share a limit.
    ///
    /// # Errors
    /// As [`join_timeout`](Self::join_timeout).
    #[track_caller]
    pub fn join_deadline(self, deadline: Instant) -> Result<T, JoinTimeoutError<T>> {
        self.join_until(Some(deadline))
    }

    #[track_caller]
    fn join_until(self, deadline: Option<Instant>) -> Result<T, JoinTimeoutError<T>> {
        if self.thread.is_current() {
            return Err(JoinTimeoutError::Failed(JoinError::SelfJoin));
        }
        if !self.thread.wait_until(deadline) {
            return Err(JoinTimeoutError::TimedOut(self));
        }
        self.packet.take().map_err(JoinTimeoutError::Failed)
    }

    /// Waits until the thread has terminated, and keeps the result for a later [`join`](Self::join).
    ///
    /// # Errors
    /// Returns [`SelfJoinError`] if the calling thread is the one to wait for.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let worker = Thread::spawn(|| 42);
    /// worker.wait()?;
    /// assert!(worker.is_finished());
    /// assert_eq!(worker.join()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn wait(&self) -> Result<(), SelfJoinError> {
        self.thread.wait()
    }

    /// Waits until the thread has terminated, for at most `timeout`, and returns whether it has.
    ///
    /// Unlike [`join_timeout`](Self::join_timeout), this keeps the handle. A thread that waits for itself gets `false`
    /// at once.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, Thread};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let stop = Arc::new(Event::new());
    /// let worker = Thread::spawn({ let stop = stop.clone(); move || stop.wait() });
    /// assert!(!worker.wait_timeout(Duration::from_millis(1)));
    /// stop.set();
    /// worker.join()?;
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.thread.wait_timeout(timeout)
    }

    /// Waits until the thread has terminated, until `deadline` at the latest, and returns whether it has.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    /// use std::time::{Duration, Instant};
    ///
    /// let deadline = Instant::now() + Duration::from_secs(60);
    /// let workers = [1, 2].map(|n| Thread::spawn(move || n));
    /// assert!(workers.iter().all(|worker| worker.wait_deadline(deadline)));
    /// ```
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.thread.wait_deadline(deadline)
    }

    /// Returns whether the thread has terminated and its thread-locals have been dropped.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, Thread};
    /// use std::sync::Arc;
    ///
    /// let stop = Arc::new(Event::new());
    /// let worker = Thread::spawn({ let stop = stop.clone(); move || stop.wait() });
    /// assert!(!worker.is_finished());
    /// stop.set();
    /// let thread = worker.thread().clone();
    /// worker.join()?;
    /// assert!(thread.is_finished());
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Returns the thread's name.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let worker = Thread::new(|| ()).name("worker").start()?;
    /// assert_eq!(worker.name(), "worker");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(&self) -> String {
        self.thread.name()
    }

    /// Returns the thread's number in this process, which is never reused.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, thread};
    ///
    /// let worker = Thread::spawn(thread::ident);
    /// let ident = worker.ident();
    /// assert_eq!(worker.join()?, ident);
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    pub fn ident(&self) -> u64 {
        self.thread.ident()
    }

    /// Returns whether the program may end without waiting for the thread.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let worker = Thread::new(|| ()).daemon(true).start()?;
    /// assert!(worker.is_daemon());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn is_daemon(&self) -> bool {
        self.thread.is_daemon()
    }

    /// Returns the thread's handle, which is cloneable and does not own the result.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let worker = Thread::spawn(|| 42);
    /// let thread = worker.thread().clone();
    /// assert_eq!(worker.join()?, 42);
    /// assert!(thread.is_finished());
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    pub fn thread(&self) -> &ThreadHandle {
        &self.thread
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.thread).finish()
    }
}

/// What a thread or a task panicked with.
pub struct ThreadPanic {
    who: Arc<str>,
    // A mutex only to be `Sync`, so that errors holding this work with every error type.
    payload: Mutex<Payload>,
    message: String,
}

impl ThreadPanic {
    pub(crate) fn new(who: Arc<str>, payload: Box<dyn Any + Send>) -> Self {
        let message = hook::message(&*payload).to_owned();
        Self { who, payload: Mutex::new(Payload::new(payload)), message }
    }

    /// Name of the thread that panicked.
    pub fn thread_name(&self) -> &str {
        &self.who
    }

    /// The panic's message, if it carried a text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The payload, for [`std::panic::resume_unwind`] or a downcast.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        let mut payload = self.payload.into_inner().unwrap_or_else(PoisonError::into_inner);
        payload.take().expect("only this takes it, once")
    }
}

impl fmt::Display for ThreadPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread \"{}\" panicked: {}", self.who, self.message)
    }
}

impl std::error::Error for ThreadPanic {}

/// Compares the names of the threads and the messages.
impl PartialEq for ThreadPanic {
    fn eq(&self, other: &Self) -> bool {
        (&self.who, &self.message) == (&other.who, &other.message)
    }
}

impl Eq for ThreadPanic {}

impl fmt::Debug for ThreadPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPanic")
            .field("thread", &self.who)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// Why a join gave no result.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The thread panicked.
    Panicked(ThreadPanic),
    /// A thread tried to join itself.
    SelfJoin,
    /// The thread called `std::process::exit` and will return nothing; or it is one of the parent's, and this is a forked
    /// child, which does not have it.
    Exited,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(panic) => panic.fmt(f),
            JoinError::SelfJoin => SelfJoinError.fmt(f),
            JoinError::Exited => f.write_str(
                "the thread returned nothing: it called exit, or exists in the parent process only",
            ),
        }
    }
}

impl std::error::Error for JoinError {}

/// Why a join with a timeout gave no result.
pub enum JoinTimeoutError<T> {
    /// The thread is still running; here is its handle back.
    TimedOut(JoinHandle<T>),
    /// The thread is over, or will never be, without a result.
    Failed(JoinError),
}

impl<T> JoinTimeoutError<T> {
    /// Returns the handle if the join timed out.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, Thread};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let stop = Arc::new(Event::new());
    /// let worker = Thread::spawn({ let stop = stop.clone(); move || stop.wait() });
    /// let error = worker.join_timeout(Duration::from_millis(1)).unwrap_err();
    /// stop.set();
    /// error.into_inner().expect("it timed out").join()?;
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    pub fn into_inner(self) -> Option<JoinHandle<T>> {
        match self {
            JoinTimeoutError::TimedOut(handle) => Some(handle),
            JoinTimeoutError::Failed(_) => None,
        }
    }
}

impl<T> fmt::Debug for JoinTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinTimeoutError::TimedOut(handle) => f.debug_tuple("TimedOut").field(handle).finish(),
            JoinTimeoutError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<T> fmt::Display for JoinTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinTimeoutError::TimedOut(handle) => {
                write!(f, "thread \"{}\" is still running after the time limit", handle.name())
            }
            JoinTimeoutError::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> std::error::Error for JoinTimeoutError<T> {}

/// Two handles are equal if they are of the same thread.
impl<T> PartialEq for JoinTimeoutError<T> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (JoinTimeoutError::TimedOut(one), JoinTimeoutError::TimedOut(other)) => {
                one.thread == other.thread
            }
            (JoinTimeoutError::Failed(one), JoinTimeoutError::Failed(other)) => one == other,
            _ => false,
        }
    }
}

impl<T> Eq for JoinTimeoutError<T> {}

/// A thread as others see it: its name, its numbers, whether it is over.
///
/// [`thread::current`](crate::thread::current), [`enumerate`](crate::thread::enumerate) and every
/// [`JoinHandle`](crate::JoinHandle) give one. It is a reference: cloning it starts nothing.
///
/// To an explorer, [`is_finished`](ThreadHandle::is_finished), the waits and `{:?}` are steps. Name, numbers and daemon
/// flag are not: they do not change, except those of the thread that is lent to a timer's function.
#[derive(Clone)]
pub struct ThreadHandle(pub(super) Arc<ThreadRecord>);

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
