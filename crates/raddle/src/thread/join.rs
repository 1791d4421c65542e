//! Handles of started threads: their identity, waiting for them, and the right to their result.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::needs_drop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::hook::{self, Payload};
use crate::rt::{self, AWAITED, Kind, Op, RUNNING, ThreadRecord, Wait, WaitOutcome};

/// A reference to a thread: its name, its numbers, and whether it has terminated.
///
/// [`thread::current`](crate::thread::current), [`thread::enumerate`](crate::thread::enumerate) and
/// [`JoinHandle::thread`] return one. Clones refer to the same thread, and so do handles that compare equal.
///
/// Under a scheduler, [`is_finished`](ThreadHandle::is_finished), the waits and `{:?}` are steps. The name, the numbers
/// and the daemon flag are not: they never change, except for a thread that runs the functions of timers.
///
/// # Examples
/// ```
/// use raddle::{Thread, thread};
///
/// let worker = Thread::new(thread::current).name("worker").start()?;
/// let handle = worker.thread().clone();
/// assert_eq!(worker.join()?, handle);
/// assert_eq!(handle.name(), "worker");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ThreadHandle(pub(super) Arc<ThreadRecord>);

impl ThreadHandle {
    /// Returns the thread's name.
    ///
    /// That is the name given to [`Thread::name`](crate::Thread::name), or `Thread-N (function)`, or for a thread that
    /// raddle did not start, the name that the operating system has for it.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, thread};
    ///
    /// fn poll() -> String {
    ///     thread::current().name()
    /// }
    /// let name = Thread::spawn(poll).join()?;
    /// assert!(name.starts_with("Thread-") && name.ends_with("(poll)"));
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    pub fn name(&self) -> String {
        self.0.name().to_string()
    }

    /// Returns the thread's number in this process, which is never reused.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, thread};
    ///
    /// let other = Thread::spawn(|| thread::current().ident()).join()?;
    /// assert_ne!(thread::current().ident(), other);
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    pub fn ident(&self) -> u64 {
        self.0.ident
    }

    /// Returns the operating system's number for the thread.
    ///
    /// It is `None` until the thread runs, and on platforms without such a number. The operating system may reuse it.
    ///
    /// # Examples
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use raddle::thread;
    ///
    /// let id = thread::current().native_id().expect("Linux numbers its threads");
    /// assert!(std::path::Path::new(&format!("/proc/self/task/{id}")).exists());
    /// # }
    /// ```
    pub fn native_id(&self) -> Option<u64> {
        self.0.native_id()
    }

    /// Returns whether the program may end without waiting for the thread.
    ///
    /// # Examples
    /// ```
    /// use raddle::thread;
    ///
    /// assert!(!thread::main_thread().is_daemon());
    /// ```
    pub fn is_daemon(&self) -> bool {
        self.0.daemon.load(Ordering::Relaxed)
    }

    /// Returns whether the thread has terminated and its thread-locals have been dropped.
    ///
    /// # Memory ordering
    /// If this returns `true`, everything that the thread did happens before the return.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, thread};
    ///
    /// assert!(!thread::current().is_finished());
    /// let worker = Thread::spawn(|| ());
    /// let handle = worker.thread().clone();
    /// worker.join()?;
    /// assert!(handle.is_finished());
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    #[track_caller]
    pub fn is_finished(&self) -> bool {
        rt::point(Op::new(&*self.0, "Thread", Kind::Read));
        self.0.finished()
    }

    /// Blocks until the thread has terminated.
    ///
    /// # Errors
    /// Returns [`SelfJoinError`] if a thread waits for itself.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, thread};
    /// use raddle::thread::SelfJoinError;
    ///
    /// let worker = Thread::spawn(|| ());
    /// let handle = worker.thread().clone();
    /// drop(worker); // detaches the thread and drops its result
    /// handle.wait()?;
    /// assert_eq!(thread::current().wait(), Err(SelfJoinError));
    /// # Ok::<(), SelfJoinError>(())
    /// ```
    #[track_caller]
    pub fn wait(&self) -> Result<(), SelfJoinError> {
        if self.is_current() {
            return Err(SelfJoinError);
        }
        self.wait_until(None);
        Ok(())
    }

    /// Blocks until the thread has terminated, for at most `timeout`, and returns whether it has.
    ///
    /// A thread that waits for itself gets `false` at once.
    ///
    /// # Examples
    /// ```
    /// use raddle::thread;
    /// use std::time::Duration;
    ///
    /// assert!(!thread::current().wait_timeout(Duration::MAX)); // returns at once
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(rt::deadline(timeout))
    }

    /// Blocks until the thread has terminated, until `deadline` at the latest, and returns whether it has.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, time};
    /// use std::time::Duration;
    ///
    /// let workers = [1, 2, 3].map(|number| Thread::spawn(move || number));
    /// let deadline = time::now() + Duration::from_secs(60); // shared by all waits
    /// assert!(workers.iter().all(|worker| worker.thread().wait_deadline(deadline)));
    /// ```
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
        let op = Op::new(record, "Thread", Kind::Join);
        let wait = Wait::new(&op).with_deadline(deadline);
        rt::point_until(op, deadline, &record.state, || record.finished());
        loop {
            rt::atom(&record.state);
            // Acquire, in `finished`: everything that the thread did happens before the return of its joiner.
            if record.finished() {
                return true;
            }
            rt::atom(&record.state);
            let _ = record.state.compare_exchange(RUNNING, AWAITED, Ordering::Acquire, Ordering::Acquire);
            if rt::wait(&record.state, AWAITED, &wait) == WaitOutcome::TimedOut {
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

/// An owned permission to join a thread and to take its result.
///
/// Dropping the handle detaches the thread. It continues to run, and unless it is a daemon the program still waits for
/// it. A panic of a detached thread is reported to the [excepthook](crate::thread::set_excepthook). The result of a detached
/// thread is dropped by the thread itself, or by the drop of the handle if the thread is done: a destructor may run on either
/// thread.
///
/// [`thread`](JoinHandle::thread) returns the [`ThreadHandle`], which can be cloned and shared.
///
/// # Examples
/// ```
/// use raddle::Thread;
///
/// let answer = Thread::spawn(|| 6 * 7);
/// assert_eq!(answer.join()?, 42);
/// # Ok::<(), raddle::thread::JoinError>(())
/// ```
pub struct JoinHandle<T> {
    pub(super) thread: ThreadHandle,
    pub(super) packet: PacketRef<T>,
}

impl<T> JoinHandle<T> {
    /// Blocks until the thread has terminated and returns its result.
    ///
    /// # Memory ordering
    /// Everything that the thread did, including the destructors of its thread-locals, happens before `join` returns.
    ///
    /// # Errors
    /// - [`JoinError::Panicked`], with the payload, if the thread panicked;
    /// - [`JoinError::SelfJoin`] if a thread joins itself;
    /// - [`JoinError::Exited`] if the thread called [`std::process::exit`], or belongs to the parent of a forked child.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    ///
    /// let printer = Thread::new(|| panic!("out of paper")).name("printer").start()?;
    /// let error = printer.join().unwrap_err();
    /// assert_eq!(error.to_string(), "thread \"printer\" panicked: out of paper");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.thread.wait().map_err(|_| JoinError::SelfJoin)?;
        self.packet.take()
    }

    /// Like [`join`](Self::join), but blocks for at most `timeout`.
    ///
    /// # Errors
    /// Returns [`JoinTimeoutError::TimedOut`], which gives the handle back, if the thread has not terminated in time;
    /// otherwise [`JoinTimeoutError::Failed`] with the error of [`join`](Self::join).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, Thread};
    /// use raddle::thread::JoinTimeoutError;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let stop = Arc::new(Event::new());
    /// let worker = Thread::spawn({ let stop = stop.clone(); move || stop.wait() });
    /// match worker.join_timeout(Duration::from_millis(1)) {
    ///     Err(JoinTimeoutError::TimedOut(worker)) => {
    ///         stop.set();
    ///         worker.join()?;
    ///     }
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), raddle::thread::JoinError>(())
    /// ```
    #[track_caller]
    pub fn join_timeout(self, timeout: Duration) -> Result<T, JoinTimeoutError<T>> {
        self.join_until(rt::deadline(timeout))
    }

    /// Like [`join`](Self::join), but blocks until `deadline` at the latest, which several joins can share.
    ///
    /// # Errors
    /// As [`join_timeout`](Self::join_timeout).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, time};
    /// use std::time::Duration;
    ///
    /// let workers = [1, 2, 3].map(|number| Thread::spawn(move || number));
    /// let deadline = time::now() + Duration::from_secs(60);
    /// let mut sum = 0;
    /// for worker in workers {
    ///     sum += worker.join_deadline(deadline)?;
    /// }
    /// assert_eq!(sum, 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Blocks until the thread has terminated and keeps the result for a later [`join`](Self::join).
    ///
    /// # Errors
    /// Returns [`SelfJoinError`] if a thread waits for itself.
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

    /// Blocks until the thread has terminated, for at most `timeout`, and returns whether it has.
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

    /// Blocks until the thread has terminated, until `deadline` at the latest, and returns whether it has.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Thread, time};
    /// use std::time::Duration;
    ///
    /// let deadline = time::now() + Duration::from_secs(60);
    /// let workers = [1, 2].map(|number| Thread::spawn(move || number));
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
    /// worker.join()?;
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

    /// Returns a reference to the thread, which can be cloned and does not own the result.
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

/// A reference to a thread's outcome: that of the thread, or that of its joiner.
///
/// The last of the two references drops a result that was not taken. Which thread runs the destructor, and when, depends
/// on the order, so dropping a reference is a step.
pub(super) struct PacketRef<T>(Option<Arc<Packet<T>>>);

impl<T> PacketRef<T> {
    pub(super) fn new(packet: Arc<Packet<T>>) -> Self {
        Self(Some(packet))
    }

    pub(super) fn put(&self, outcome: std::thread::Result<T>) {
        let packet = self.0.as_ref().expect("it is taken when it is dropped");
        *lock(&packet.outcome) = Some(outcome);
    }

    /// Takes the outcome of a thread that has terminated.
    fn take(mut self) -> Result<T, JoinError> {
        self.0.take().expect("it is taken when it is dropped").take()
    }
}

impl<T> Drop for PacketRef<T> {
    fn drop(&mut self) {
        // Dropped at the end, even if a scheduler unwinds the step.
        if let Some(packet) = self.0.take()
            && needs_drop::<T>()
        {
            rt::point(Op::new(&*packet, "thread result", Kind::Write).with_verb("drops its reference to"));
        }
    }
}

/// A thread's outcome, shared by the thread and its joiner.
pub(super) struct Packet<T> {
    record: Arc<ThreadRecord>,
    /// A standard mutex, which a scheduler does not see: the thread terminates after it stores the outcome and before
    /// a joiner takes it, so the accesses never race.
    outcome: Mutex<Option<std::thread::Result<T>>>,
    /// Set when a panic was not joined; the thread's scope, if it has one, reads it.
    unjoined_panic: Option<Arc<AtomicBool>>,
}

impl<T> Packet<T> {
    pub(super) fn new(record: Arc<ThreadRecord>, unjoined_panic: Option<Arc<AtomicBool>>) -> Arc<Self> {
        Arc::new(Self { record, outcome: Mutex::new(None), unjoined_panic })
    }

    fn take(&self) -> Result<T, JoinError> {
        let outcome = if self.record.is_an_ancestors() {
            // The thread may have been storing the outcome when this process was forked. The lock is held forever then.
            self.outcome.try_lock().ok().and_then(|mut outcome| outcome.take())
        } else {
            lock(&self.outcome).take()
        };
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(payload)) => Err(JoinError::Panicked(ThreadPanic::new(self.record.name(), payload))),
            None => Err(JoinError::Exited),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Drop for Packet<T> {
    fn drop(&mut self) {
        if self.record.is_an_ancestors() && matches!(self.outcome.try_lock(), Err(TryLockError::WouldBlock)) {
            // The fork interrupted the store, so the outcome may be half written.
            return std::mem::forget(self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
        match self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(value)) => hook::drop_guarded("the destructor of a thread's result", value),
            Some(Err(payload)) => {
                match &self.unjoined_panic {
                    Some(panicked) => panicked.store(true, Ordering::Relaxed), // `scope` panics in turn
                    None => hook::report(&format!("thread \"{}\"", self.record.name()), &*payload),
                }
                hook::dispose(payload);
            }
            None => {}
        }
    }
}

/// The panic of a thread or of a pool's task.
///
/// Two of them compare equal if the names of the threads and the messages are the same.
///
/// # Examples
/// ```
/// use raddle::Thread;
/// use raddle::thread::JoinError;
///
/// let printer = Thread::new(|| panic!("out of paper")).name("printer").start()?;
/// let Err(JoinError::Panicked(panic)) = printer.join() else { unreachable!() };
/// assert_eq!((panic.thread_name(), panic.message()), ("printer", "out of paper"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct ThreadPanic {
    thread_name: Arc<str>,
    // A mutex only to be `Sync`, which error types such as `Box<dyn Error + Send + Sync>` demand.
    payload: Mutex<Payload>,
    message: String,
}

impl ThreadPanic {
    pub(crate) fn new(thread_name: Arc<str>, payload: Box<dyn Any + Send>) -> Self {
        let message = hook::message(&*payload).to_owned();
        Self { thread_name, payload: Mutex::new(Payload::new(payload)), message }
    }

    /// Returns the name of the thread that panicked.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    /// use raddle::thread::JoinError;
    ///
    /// let printer = Thread::new(|| panic!("out of paper")).name("printer").start()?;
    /// let Err(JoinError::Panicked(panic)) = printer.join() else { unreachable!() };
    /// assert_eq!(panic.thread_name(), "printer");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn thread_name(&self) -> &str {
        &self.thread_name
    }

    /// Returns the panic's message.
    ///
    /// A payload that is not a string gets a placeholder text; [`into_payload`](Self::into_payload) returns it.
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    /// use raddle::thread::JoinError;
    ///
    /// let Err(JoinError::Panicked(panic)) = Thread::spawn(|| panic!("page {}", 3)).join() else { unreachable!() };
    /// assert_eq!(panic.message(), "page 3");
    /// ```
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the payload, for a downcast or for [`std::panic::resume_unwind`].
    ///
    /// # Examples
    /// ```
    /// use raddle::Thread;
    /// use raddle::thread::JoinError;
    /// use std::panic::panic_any;
    ///
    /// let Err(JoinError::Panicked(panic)) = Thread::spawn(|| panic_any(42)).join() else { unreachable!() };
    /// assert_eq!(*panic.into_payload().downcast::<i32>().unwrap(), 42);
    /// ```
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        let mut payload = self.payload.into_inner().unwrap_or_else(PoisonError::into_inner);
        payload.take().expect("only `into_payload` takes the payload")
    }
}

impl fmt::Display for ThreadPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread \"{}\" panicked: {}", self.thread_name, self.message)
    }
}

impl std::error::Error for ThreadPanic {}

/// Compares the names of the threads and the messages.
impl PartialEq for ThreadPanic {
    fn eq(&self, other: &Self) -> bool {
        (&self.thread_name, &self.message) == (&other.thread_name, &other.message)
    }
}

impl Eq for ThreadPanic {}

impl fmt::Debug for ThreadPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPanic")
            .field("thread", &self.thread_name)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// An error of [`ThreadHandle::wait`] and its like: a thread cannot wait for its own termination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfJoinError;

impl fmt::Display for SelfJoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a thread cannot join itself: it would block forever; join it from another thread")
    }
}

impl std::error::Error for SelfJoinError {}

/// An error of [`JoinHandle::join`]: the thread left no result.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The thread panicked.
    Panicked(ThreadPanic),
    /// A thread tried to join itself.
    SelfJoin,
    /// The thread will never return: it called [`std::process::exit`], or it belongs to the parent of this forked child.
    Exited,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(panic) => panic.fmt(f),
            JoinError::SelfJoin => SelfJoinError.fmt(f),
            JoinError::Exited => f.write_str(
                "the thread left no result: it called exit, or it belongs to the parent of this forked child",
            ),
        }
    }
}

impl std::error::Error for JoinError {}

/// An error of [`JoinHandle::join_timeout`] and [`join_deadline`](JoinHandle::join_deadline).
pub enum JoinTimeoutError<T> {
    /// The thread has not terminated in time. Contains the handle.
    TimedOut(JoinHandle<T>),
    /// The join failed as [`JoinHandle::join`] does.
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
                write!(f, "join of thread \"{}\" timed out; the error gives the handle back", handle.name())
            }
            JoinTimeoutError::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> std::error::Error for JoinTimeoutError<T> {}

/// Two timeouts compare equal if they are of the same thread.
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
