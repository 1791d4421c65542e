//! The pool as its user sees it: building, submitting, and shutting down.
//!
//! # From submission to the result
//! 1. [`submit`](ThreadPoolExecutor::submit) allocates the task: the closure and the state of its future, together.
//! 2. While a worker is certain to look for tasks anyway, the task goes into the injector, under a lock of its own.
//!    Otherwise it goes into the task queue, under the pool's lock, and a worker is woken or spawned unless one is
//!    already on its way to the queue. See `task_queue.rs` and `state.rs`.
//! 3. A worker dequeues the task and runs it. See `worker.rs` and `task.rs`.
//! 4. The worker settles the future and wakes the threads that wait for it.
//!
//! # A full task queue
//! With a queue limit, a submitting thread enqueues itself with its task in `blocked_submits` and parks. A worker
//! that makes space moves the tasks to the task queue, first in, first out, and notifies the submitting threads, so no
//! task overtakes an earlier one. The outcome of a blocked submit is decided under the pool's lock, once, when it is
//! removed from `blocked_submits`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Relaxed},
};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::error::{BuildError, INHERITED, OwnWorkerError, Refusal, SubmitError};
use super::small_closure::SmallClosure;
use super::state::{
    ACCEPTED, BlockedSubmit, Deferred, DeferredAction, Initializer, Mode, NO_WORKER, POOL, PoolInner,
    PoolState, SUBMITS, SubmitWaiter, UNDECIDED,
};
use super::task::{LimitedQueue, QueuedTask, Task, TaskBody, address_of};
use super::task_queue::{Priority, TaskQueue};
use super::worker::{perform, refuse_tasks, spawn};
use crate::future::{self, Future, FutureCore, MAY_FAIL, QUEUE_SPACE};
use crate::raw::{Guard, WaitQueue, Waiter};
use crate::rt::{self, Kind, Object, Op, Place};
use crate::sys::os;
use crate::timer;

/// A pool of threads that run tasks.
///
/// Each task has a [`Future`]. The pool spawns a worker when a task is submitted and no worker is free, up to a
/// maximum; workers stay until the shutdown. If a task panics, its future fails with the panic, and its worker continues.
///
/// A clone is another handle to the same pool. Dropping the last handle shuts the pool down and waits for its tasks,
/// like the end of Python's `with` block; dropping any other handle does nothing. If a worker of the pool drops the last
/// handle, it does not wait, and the workers terminate when all tasks are done.
///
/// # Fairness
/// Tasks start in the order of their [`Priority`], the highest first, and in FIFO order within a priority.
///
/// # End of the program
/// The program does not end while a task waits or runs, even if `main` has returned; idle workers do not keep it
/// alive. If a task calls [`std::process::exit`], its future is [abandoned](crate::future::FutureError::Abandoned), and
/// the other tasks still run. A thread that a task spawns is a daemon if a thread spawned by the creator of the pool would
/// be one.
///
/// # If threads cannot be spawned
/// If the operating system refuses a thread and the pool has a worker, the task stays in the queue. The pool retries
/// every ten milliseconds while tasks wait. If the pool has no worker, the submission fails with
/// [`FutureError::Spawn`](crate::future::FutureError::Spawn) or
/// [`SubmitError::Spawn`](crate::pool::SubmitError::Spawn). A task that was accepted earlier is not refused later. The
/// retries run on the [timer service](crate::timer), one thread, which starts before the first worker.
///
/// # Forked children
/// A forked child does not have the workers of its parent. In the child, the pool accepts no tasks and fails with
/// [`SubmitError::Broken`] or [`FutureError::Broken`](crate::future::FutureError::Broken); a shutdown does not wait; the
/// futures of earlier tasks are [abandoned](crate::future::FutureError::Abandoned).
///
/// # Deadlocks
/// A task may wait for other tasks of its pool as long as a worker is left to run them. If all workers are blocked in such
/// waits without a timeout, one of the waits fails with [`FutureError::Deadlock`](crate::future::FutureError::Deadlock). A
/// pool for which the operating system has refused threads for a second counts as having all of its workers.
/// [`scope`](ThreadPoolExecutor::scope) has no such restriction.
///
/// # Examples
/// ```
/// use raddle::ThreadPoolExecutor;
/// use raddle::future::FutureError;
///
/// let pool = ThreadPoolExecutor::new(3);
/// let squares: Vec<i32> = pool.map(1..=4, |n| n * n).collect::<Result<_, FutureError>>()?;
/// assert_eq!(squares, [1, 4, 9, 16]);
///
/// let broken = pool.submit(|| panic!("no paper"));
/// assert!(broken.result().unwrap_err().to_string().contains("no paper"));
/// # Ok::<(), FutureError>(())
/// ```
pub struct ThreadPoolExecutor {
    pub(super) shared: Arc<PoolInner>,
}

impl ThreadPoolExecutor {
    /// Creates a pool of at most `max_workers` workers.
    ///
    /// # Panics
    /// Panics if `max_workers` is zero.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// assert_eq!((pool.max_workers(), pool.workers()), (2, 0)); // no worker before the first task
    /// ```
    #[track_caller]
    pub fn new(max_workers: usize) -> Self {
        match Self::builder().max_workers(max_workers).build() {
            Ok(pool) => pool,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns a builder, for a pool with more settings.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let builder = ThreadPoolExecutor::builder().max_workers(8).thread_name_prefix("db");
    /// let pool = builder.queue_limit(1_000).initializer(|| println!("connected")).build()?;
    /// let name = pool.submit(|| raddle::thread::current().name()).result().unwrap();
    /// assert_eq!(name, "db_0");
    /// # Ok::<(), raddle::pool::BuildError>(())
    /// ```
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::default()
    }

    /// Submits a task and returns its future.
    ///
    /// If the task queue is [full](ThreadPoolBuilder::queue_limit), blocks until there is space.
    ///
    /// The result is `#[must_use]`, since an error that the task returns is in it:
    ///
    /// ```compile_fail
    /// #![deny(unused_must_use)]
    /// raddle::ThreadPoolExecutor::new(1).submit(|| "one".parse::<i32>());
    /// ```
    ///
    /// # Fairness
    /// Blocked submissions are accepted in FIFO order.
    ///
    /// # Memory ordering
    /// The submission happens before the task. Everything that the task did happens before the return of every method that
    /// finds the future done.
    ///
    /// # Errors
    /// If the pool does not accept the task, the future fails at once, with an error that names the reason: the pool is shut
    /// down or broken, no worker can be spawned, or the task queue is full and every worker of the pool waits for the pool,
    /// which is [`FutureError::Deadlock`](crate::future::FutureError::Deadlock). [`try_submit`](Self::try_submit),
    /// [`submit_timeout`](Self::submit_timeout) and [`execute`](Self::execute) return the task instead.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let (three, four) = (pool.submit(|| 1 + 2), pool.submit(|| 2 + 2));
    /// assert_eq!(three.result()? + four.result()?, 7);
    /// # Ok::<(), raddle::future::FutureError>(())
    /// ```
    #[track_caller]
    #[must_use = "dropping the future discards what the task returns, an `Err` included; use `execute` for a task without a result"]
    pub fn submit<F, T>(&self, task: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit(&self.shared, Priority(0), task, Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS))
    }

    /// Submits a task with a priority other than 0.
    ///
    /// Otherwise like [`submit`](Self::submit).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Priority, Semaphore, ThreadPoolExecutor};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let (pool, log) = (ThreadPoolExecutor::new(1), Arc::new(Mutex::new(Vec::new())));
    /// let go = Arc::new(Semaphore::new(0));
    /// let busy = pool.submit({
    ///     let go = go.clone();
    ///     move || go.acquire().forget()
    /// });
    /// let tasks = [0, 5].map(|priority| {
    ///     let log = log.clone();
    ///     pool.submit_with(Priority(priority), move || log.lock().unwrap().push(priority))
    /// });
    /// go.release();
    /// raddle::wait(&tasks, raddle::ReturnWhen::AllCompleted);
    /// assert_eq!(*log.lock().unwrap(), [5, 0]);
    /// ```
    #[track_caller]
    #[must_use = "dropping the future discards what the task returns, an `Err` included; use `execute` for a task without a result"]
    pub fn submit_with<F, T>(&self, priority: Priority, task: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit(&self.shared, priority, task, Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS))
    }

    /// Submits a task without a future.
    ///
    /// This is the cheapest submission: a closure of up to three words is stored in the queue itself, without an
    /// allocation. If the task queue is [full](ThreadPoolBuilder::queue_limit), blocks until there is space.
    ///
    /// If the task panics, or if it is accepted and cannot be run, that is reported to the
    /// [excepthook](crate::thread::set_excepthook). A cancellation by
    /// [`ShutdownMode::CancelPending`] is not reported.
    ///
    /// # Errors
    /// Returns a [`SubmitError`], which holds the closure, if the pool is shut down or broken, if no worker can be spawned,
    /// or if the task queue is full and every worker of the pool waits for the pool.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    ///
    /// let (pool, count) = (ThreadPoolExecutor::new(2), Arc::new(AtomicUsize::new(0)));
    /// for _ in 0..100 {
    ///     let count = count.clone();
    ///     pool.execute(move || _ = count.fetch_add(1, Relaxed)).expect("the pool is open");
    /// }
    /// drop(pool); // waits for the tasks
    /// assert_eq!(count.load(Relaxed), 100);
    /// ```
    #[track_caller]
    pub fn execute<F>(&self, task: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        execute(&self.shared, task, Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS))
    }

    /// Submits a task if the task queue is not full.
    ///
    /// Never blocks.
    ///
    /// # Errors
    /// Returns a [`SubmitError`], which holds the closure, if the task queue is full, or as [`execute`](Self::execute).
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// assert_eq!(pool.try_submit(|| 42).unwrap().result(), Ok(42));
    /// ```
    #[track_caller]
    pub fn try_submit<F, T>(&self, task: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_or_return(Priority(0), SubmitWait::Never, task)
    }

    /// Submits a task with a priority other than 0 if the task queue is not full.
    ///
    /// # Errors
    /// As [`try_submit`](Self::try_submit).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Priority, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// assert_eq!(pool.try_submit_with(Priority(1), || 42).unwrap().result(), Ok(42));
    /// ```
    #[track_caller]
    pub fn try_submit_with<F, T>(&self, priority: Priority, task: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_or_return(priority, SubmitWait::Never, task)
    }

    /// Submits a task, blocking for at most `timeout` while the task queue is full.
    ///
    /// # Errors
    /// Returns a [`SubmitError`], which holds the closure, if no space became available in time, or as
    /// [`execute`](Self::execute).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, ThreadPoolExecutor};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).queue_limit(0).build()?;
    /// let done = Arc::new(Event::new());
    /// let busy = pool.submit({
    ///     let done = done.clone();
    ///     move || done.wait()
    /// });
    /// assert!(pool.submit_timeout(Duration::from_millis(1), || ()).unwrap_err().is_full());
    /// done.set();
    /// # Ok::<(), raddle::pool::BuildError>(())
    /// ```
    #[track_caller]
    pub fn submit_timeout<F, T>(&self, timeout: Duration, task: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_or_return(Priority(0), SubmitWait::Until(rt::deadline(timeout)), task)
    }

    /// Submits a task, blocking until `deadline` at most while the task queue is full.
    ///
    /// # Errors
    /// As [`submit_timeout`](Self::submit_timeout).
    ///
    /// # Examples
    /// ```
    /// use raddle::{ThreadPoolExecutor, time};
    /// use std::time::Duration;
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// let deadline = time::now() + Duration::from_secs(1);
    /// assert_eq!(pool.submit_deadline(deadline, || 42).unwrap().result(), Ok(42));
    /// ```
    #[track_caller]
    pub fn submit_deadline<F, T>(&self, deadline: Instant, task: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit_or_return(Priority(0), SubmitWait::Until(Some(deadline)), task)
    }

    #[track_caller]
    fn submit_or_return<F, T>(
        &self,
        priority: Priority,
        wait: SubmitWait,
        task: F,
    ) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let op = Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS);
        submit_or_return(&self.shared, priority, wait, task, op)
    }

    /// Changes the maximum number of workers.
    ///
    /// Surplus workers terminate when they have finished their tasks. Workers are spawned for tasks that wait. If the
    /// operating system refuses a thread, this returns, and the pool retries.
    ///
    /// # Panics
    /// Panics if `max_workers` is zero.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// pool.resize(4);
    /// assert_eq!(pool.max_workers(), 4);
    /// ```
    #[track_caller]
    pub fn resize(&self, max_workers: usize) {
        assert!(max_workers > 0, "{}", BuildError::NoWorkers);
        rt::point(Op::new(&*self.shared, POOL, Kind::Write).with_verb("resizes"));
        if self.shared.is_inherited() {
            return;
        }
        let mut first = true;
        loop {
            let mut deferred = Deferred::default();
            let mut state = self.shared.lock_all();
            if std::mem::take(&mut first) {
                state.max = max_workers;
                let surplus = state.workers.saturating_sub(max_workers);
                state.wake_idle(surplus, &mut deferred);
                state.accept_blocked(0, &mut deferred);
            }
            state.wake_or_spawn(self.shared.finishing(), &mut deferred);
            self.shared.publish_hints(&mut state);
            drop(state);
            let more = deferred.spawn > 0;
            if !perform(&self.shared, deferred) || !more {
                return;
            }
        }
    }

    /// Returns the maximum number of workers.
    ///
    /// # Examples
    /// See [`resize`](Self::resize).
    #[track_caller]
    pub fn max_workers(&self) -> usize {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_inherited() { 0 } else { self.shared.state.lock().max }
    }

    /// Returns the number of workers.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(8);
    /// pool.submit(|| ()).result().unwrap();
    /// pool.submit(|| ()).result().unwrap(); // the idle worker runs it
    /// assert_eq!(pool.workers(), 1);
    /// ```
    #[track_caller]
    pub fn workers(&self) -> usize {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_inherited() { 0 } else { self.shared.state.lock().workers }
    }

    /// Returns the number of workers that have no task.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// pool.submit(|| ()).result().unwrap();
    /// assert!(pool.idle() <= pool.workers());
    /// ```
    #[track_caller]
    pub fn idle(&self) -> usize {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_inherited() {
            return 0;
        }
        let state = self.shared.state.lock();
        state.idle.len() + state.waking + state.spinning
    }

    /// Returns the number of tasks that wait for a worker.
    ///
    /// A cancelled task counts until a worker removes it from the queue.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let (pool, begun, done) = (ThreadPoolExecutor::new(1), Arc::new(Event::new()), Arc::new(Event::new()));
    /// let busy = pool.submit({
    ///     let (begun, done) = (begun.clone(), done.clone());
    ///     move || {
    ///         begun.set();
    ///         done.wait()
    ///     }
    /// });
    /// begun.wait();
    /// let next = pool.submit(|| ());
    /// assert_eq!(pool.pending(), 1);
    /// done.set();
    /// ```
    #[track_caller]
    pub fn pending(&self) -> usize {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_inherited() {
            return 0;
        }
        let mut state = self.shared.lock_all();
        let pending = state.queue.len();
        self.shared.publish_hints(&mut state);
        pending
    }
}

impl Default for ThreadPoolExecutor {
    /// Creates a pool with the default settings.
    fn default() -> Self {
        let shared = ThreadPoolBuilder::default().into_shared().expect("the default settings are valid");
        Self { shared: Arc::new(shared) }
    }
}

// A panic leaves no pool in an inconsistent state.
impl UnwindSafe for ThreadPoolExecutor {}
impl RefUnwindSafe for ThreadPoolExecutor {}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_inherited() {
            let mut shown = f.debug_struct("ThreadPoolExecutor");
            return shown.field("name", &self.shared.prefix).finish_non_exhaustive();
        }
        let mut state = self.shared.lock_all();
        let (max_workers, workers) = (state.max, state.workers);
        let (pending, blocked_submits) = (state.queue.len(), state.blocked_submits.len());
        self.shared.publish_hints(&mut state);
        drop(state);
        f.debug_struct("ThreadPoolExecutor")
            .field("name", &self.shared.prefix)
            .field("max_workers", &max_workers)
            .field("workers", &workers)
            .field("pending", &pending)
            .field("blocked_submits", &blocked_submits)
            .finish_non_exhaustive()
    }
}

/// Builds a [`ThreadPoolExecutor`].
///
/// [`ThreadPoolExecutor::builder`] returns one.
///
/// # Examples
/// ```
/// use raddle::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::builder().max_workers(4).thread_name_prefix("io").queue_limit(100).build()?;
/// assert_eq!(pool.max_workers(), 4);
/// # Ok::<(), raddle::pool::BuildError>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct ThreadPoolBuilder {
    max_workers: Option<usize>,
    prefix: Option<String>,
    queue_limit: Option<usize>,
    initializer: Option<Initializer>,
    daemon: bool,
    stack_size: Option<usize>,
}

impl ThreadPoolBuilder {
    /// Sets the maximum number of workers.
    ///
    /// The default is the number of processors plus four, at most 32, as in Python.
    ///
    /// # Examples
    /// See [`ThreadPoolBuilder`].
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.max_workers = Some(workers);
        self
    }

    /// Sets the prefix of the workers' names, `prefix_0`, `prefix_1` and so on.
    ///
    /// The default is `ThreadPoolExecutor-N`.
    ///
    /// # Examples
    /// ```
    /// use raddle::{ThreadPoolExecutor, thread};
    ///
    /// let pool = ThreadPoolExecutor::builder().thread_name_prefix("io").build()?;
    /// assert_eq!(pool.submit(|| thread::current().name()).result().unwrap(), "io_0");
    /// # Ok::<(), raddle::pool::BuildError>(())
    /// ```
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Limits the number of tasks that wait while no worker is free and none can be spawned.
    ///
    /// If the queue is full, `submit` blocks and `try_submit` fails. With a limit of 0, a task is accepted only if a worker
    /// is available for it. The default is no limit.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, ThreadPoolExecutor};
    /// use std::sync::Arc;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).queue_limit(1).build()?;
    /// let done = Arc::new(Event::new());
    /// let busy = pool.submit({
    ///     let done = done.clone();
    ///     move || done.wait()
    /// });
    /// let waiting = pool.submit(|| ());
    /// assert!(pool.try_submit(|| ()).unwrap_err().is_full());
    /// done.set();
    /// # Ok::<(), raddle::pool::BuildError>(())
    /// ```
    pub fn queue_limit(mut self, tasks: usize) -> Self {
        self.queue_limit = Some(tasks);
        self
    }

    /// Sets a function that each worker calls before its first task.
    ///
    /// If it panics, the pool is broken: waiting tasks and later submissions fail with
    /// [`FutureError::Broken`](crate::future::FutureError::Broken), which holds the message of the panic.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use std::cell::Cell;
    ///
    /// thread_local!(static CONNECTION: Cell<u32> = const { Cell::new(0) });
    /// let pool = ThreadPoolExecutor::builder().initializer(|| CONNECTION.set(7)).build()?;
    /// assert_eq!(pool.submit(|| CONNECTION.get()).result(), Ok(7));
    /// # Ok::<(), raddle::pool::BuildError>(())
    /// ```
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(initializer));
        self
    }

    /// Sets whether the program may end while tasks of the pool are unfinished.
    ///
    /// The default is `false`.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let log = ThreadPoolExecutor::builder().daemon(true).build()?;
    /// log.execute(|| println!("lost if the program ends first")).unwrap();
    /// # Ok::<(), raddle::pool::BuildError>(())
    /// ```
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Sets the size of each worker's stack in bytes.
    ///
    /// The operating system rounds it up. The default is that of the standard library.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().stack_size(16 << 20).build()?;
    /// assert_eq!(pool.submit(|| [1_u8; 4 << 20].len()).result(), Ok(4 << 20));
    /// # Ok::<(), raddle::pool::BuildError>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Builds the pool.
    ///
    /// Workers are spawned when tasks need them.
    ///
    /// # Errors
    /// Returns a [`BuildError`] if the maximum number of workers is zero, or if the name prefix contains a NUL byte.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use raddle::pool::BuildError;
    ///
    /// let error = ThreadPoolExecutor::builder().max_workers(0).build().unwrap_err();
    /// assert_eq!(error, BuildError::NoWorkers);
    /// ```
    #[track_caller]
    pub fn build(self) -> Result<ThreadPoolExecutor, BuildError> {
        let shared = Arc::new(self.into_shared()?);
        rt::created(Object::of(&*shared, POOL), Place::caller());
        Ok(ThreadPoolExecutor { shared })
    }

    fn into_shared(self) -> Result<PoolInner, BuildError> {
        let max = self.max_workers.unwrap_or_else(default_workers);
        if max == 0 {
            return Err(BuildError::NoWorkers);
        }
        let prefix = self.prefix.unwrap_or_else(default_prefix);
        if prefix.contains('\0') {
            return Err(BuildError::NulInName);
        }
        let daemon_default = self.daemon || rt::daemon_default();
        let state = empty(max, self.queue_limit, self.daemon);
        Ok(PoolInner::new(
            future::new_pool_id(),
            prefix,
            self.initializer,
            self.stack_size,
            daemon_default,
            state,
        ))
    }
}

// A builder only stores settings; a panic of the initializer is handled by the pool.
impl UnwindSafe for ThreadPoolBuilder {}
impl RefUnwindSafe for ThreadPoolBuilder {}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("thread_name_prefix", &self.prefix)
            .field("queue_limit", &self.queue_limit)
            .field("daemon", &self.daemon)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

fn empty(max: usize, limit: Option<usize>, daemon: bool) -> PoolState {
    PoolState {
        mode: Mode::Open,
        queue: TaskQueue::new(),
        blocked_submits: VecDeque::new(),
        limit,
        max,
        workers: 0,
        alive: 0,
        starting: 0,
        waking: 0,
        spinning: 0,
        busy: 0,
        idle: Vec::new(),
        blocked: Vec::new(),
        joiners: WaitQueue::new(),
        daemon,
        keep_alive: None,
        last_stale_count: future::stale_tasks(),
        injector_open: false,
        spawn_failing_since: None,
    }
}

/// Python's default. Tasks often block on input or output, so there are more workers than processors.
fn default_workers() -> usize {
    (os::processors() + 4).min(32)
}

/// Pools without a name are numbered from 0 in each program.
fn default_prefix() -> String {
    struct Pools(AtomicU64);
    let pools = rt::with_program(|program| program.services().get(|| Pools(AtomicU64::new(0))));
    format!("ThreadPoolExecutor-{}", pools.0.fetch_add(1, Relaxed))
}

/// How long a submission blocks while the task queue is full.
#[derive(Clone, Copy)]
pub(super) enum SubmitWait {
    Never,
    /// `None` is without a limit.
    Until(Option<Instant>),
}

/// Submits a task, blocking while the queue is full. If it is refused, the future fails.
pub(super) fn submit<F, T>(shared: &Arc<PoolInner>, priority: Priority, task: F, op: Op) -> Future<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let core = Arc::new(FutureCore::new(shared.pool_id, TaskBody::<_>::new(task, queue(shared))));
    rt::created(Object::of(&*core, "Future"), op.at);
    if let Err(refusal) = enqueue(shared, core.clone(), priority, SubmitWait::Until(None), op) {
        core.clone().refuse(refusal.into());
    }
    Future::of(core)
}

/// Submits a task, blocking as `wait` allows. If it is refused, returns the closure.
pub(super) fn submit_or_return<F, T>(
    shared: &Arc<PoolInner>,
    priority: Priority,
    wait: SubmitWait,
    task: F,
    op: Op,
) -> Result<Future<T>, SubmitError<F>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let core = Arc::new(FutureCore::new(shared.pool_id, TaskBody::<_>::new(task, queue(shared))));
    rt::created(Object::of(&*core, "Future"), op.at);
    match enqueue(shared, core.clone(), priority, wait, op) {
        Ok(()) => Ok(Future::of(core)),
        Err(refusal) => Err(refusal.with(core.work().take().expect("a task that was refused has not run"))),
    }
}

/// Submits a task without a future, blocking while the queue is full. If it is refused, returns the closure.
pub(super) fn execute<F>(shared: &Arc<PoolInner>, task: F, op: Op) -> Result<(), SubmitError<F>>
where
    F: FnOnce() + Send + 'static,
{
    rt::point(op);
    if shared.is_inherited() {
        return Err(SubmitError::Broken(task, INHERITED.into()));
    }
    if let Some(injector) = shared.injector.lock_if_open() {
        injector.push(QueuedTask::Closure(SmallClosure::new(task)));
        return Ok(());
    }
    // A worker may have to be woken or spawned, beside which an allocation costs little.
    let core = Arc::new(FutureCore::new(shared.pool_id, TaskBody::<_>::new(task, queue(shared))));
    rt::created(Object::of(&*core, "Future"), op.at);
    match enqueue_locked(shared, core.clone(), Priority(0), SubmitWait::Until(None), op) {
        Ok(()) => Ok(()),
        Err(refusal) => Err(refusal.with(core.work().take().expect("a task that was refused has not run"))),
    }
}

/// Returns the pool as a limited queue, to be notified when one of its tasks is cancelled; `None` without a limit.
pub(super) fn queue(shared: &Arc<PoolInner>) -> Option<Weak<dyn LimitedQueue>> {
    shared.is_limited().then(|| {
        let shared: Weak<PoolInner> = Arc::downgrade(shared);
        shared as Weak<dyn LimitedQueue>
    })
}

/// Enqueues a task. On failure the caller has the only reference to it, and it has not run.
pub(super) fn enqueue(
    shared: &Arc<PoolInner>,
    task: Arc<dyn Task>,
    priority: Priority,
    wait: SubmitWait,
    op: Op,
) -> Result<(), Refusal> {
    rt::point(op); // it can always proceed: the wait for space is a step of its own
    if shared.is_inherited() {
        return Err(Refusal::Broken(INHERITED.into()));
    }
    if priority == Priority(0)
        && let Some(injector) = shared.injector.lock_if_open()
    {
        injector.push(QueuedTask::Task(task));
        return Ok(());
    }
    enqueue_locked(shared, task, priority, wait, op)
}

/// Enqueues a task under the pool's lock.
fn enqueue_locked(
    shared: &Arc<PoolInner>,
    task: Arc<dyn Task>,
    priority: Priority,
    wait: SubmitWait,
    op: Op,
) -> Result<(), Refusal> {
    // The service retries if the operating system refuses a thread, so it must run before a task is accepted. Under a
    // scheduler it would be one more thread to explore, and starts only if it is needed.
    if !rt::explored() {
        timer::start_service().map_err(|error| Refusal::Spawn(shared.spawn_error(error)))?;
    }
    let mut deferred = Deferred::default();
    let mut state = shared.lock_all();
    if state.must_block() {
        state.remove_stale(&mut deferred);
    }
    if state.must_block() {
        return match wait {
            SubmitWait::Never => {
                drop(state);
                perform(shared, deferred);
                Err(Refusal::Full)
            }
            SubmitWait::Until(deadline) => {
                block_for_space(shared, state, deferred, task, priority, deadline, op)
            }
        };
    }
    let address = address_of(&task);
    let pushed = match state.refusal() {
        Some(refusal) => Err(refusal),
        None => state.push(QueuedTask::Task(task), priority), // the caller has a reference, so no destructor runs here
    };
    if state.workers == 0 {
        state.spawn_failing_since = None; // this thread retries at once, and fails if that fails
    }
    state.wake_or_spawn(shared.finishing(), &mut deferred);
    shared.publish_hints(&mut state);
    drop(state);
    // Even if this task is refused, the queue may need a worker for earlier tasks. That worker is counted already.
    let spawns = pushed.is_ok() && std::mem::take(&mut deferred.spawn) > 0;
    perform(shared, deferred);
    pushed?;
    if spawns { spawn_for_task(shared, address) } else { Ok(()) }
}

/// Spawns a worker for the task at that address. If that fails and there is no worker, the task is removed from the queue.
fn spawn_for_task(shared: &Arc<PoolInner>, task: usize) -> Result<(), Refusal> {
    let Err((error, refused)) = spawn(shared, Some(task)) else { return Ok(()) };
    let (mine, others): (Vec<_>, Vec<_>) = refused.into_iter().partition(|refused| refused.is_at(task));
    refuse_tasks(others, &Arc::new(shared.spawn_error(error.kind().into())));
    if mine.is_empty() { Ok(()) } else { Err(Refusal::Spawn(shared.spawn_error(error))) }
}

/// Blocks until the task is accepted, the deadline passes, or the pool is shut down.
fn block_for_space(
    shared: &Arc<PoolInner>,
    mut state: Guard<'_, PoolState>,
    deferred: Deferred,
    task: Arc<dyn Task>,
    priority: Priority,
    deadline: Option<Instant>,
    op: Op,
) -> Result<(), Refusal> {
    let waiter = Waiter::new(MAY_FAIL);
    let submitter = Arc::new(SubmitWaiter { waiter: waiter.clone(), outcome: AtomicU32::new(UNDECIDED) });
    // The caller has a reference to the task, so the state never runs its destructor.
    state.blocked_submits.push_back(BlockedSubmit {
        submitter: submitter.clone(),
        task: QueuedTask::Task(task),
        priority,
    });
    drop(state);
    perform(shared, deferred);
    let worker = if deadline.is_none() { future::worker_of(shared.pool_id) } else { None };
    if let Some(worker) = &worker {
        worker.block(&waiter, op, QUEUE_SPACE);
    }
    let notified = waiter.wait(op, deadline);
    if let Some(worker) = &worker {
        worker.unblock(&waiter);
    }
    // Once the submit is removed from the list, its outcome is final, even if the wait timed out meanwhile.
    let mut state = shared.state.lock();
    let index = state.blocked_submits.iter().position(|blocked| Arc::ptr_eq(&blocked.submitter, &submitter));
    let blocked = index.and_then(|index| state.blocked_submits.remove(index));
    let refusal = match submitter.outcome.load(Relaxed) {
        ACCEPTED => return Ok(()),
        NO_WORKER => Refusal::Spawn(shared.spawn_error(io::ErrorKind::WouldBlock.into())),
        UNDECIDED if notified.is_some() => Refusal::Deadlock,
        UNDECIDED => Refusal::Full,
        _ => state.refusal().unwrap_or(Refusal::ShutDown),
    };
    drop(state);
    drop(blocked);
    Err(refusal)
}

/// The treatment of waiting tasks in a shutdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShutdownMode {
    /// Runs them.
    #[default]
    Drain,
    /// Cancels them. Tasks that have started are unaffected.
    CancelPending,
}

impl ThreadPoolExecutor {
    /// Shuts the pool down and blocks until its workers have terminated.
    ///
    /// The pool accepts no more tasks. A second call may still cancel the tasks that wait.
    ///
    /// # Errors
    /// Returns an [`OwnWorkerError`] if the calling thread is a worker of this pool, which would wait for itself. The pool
    /// is not shut down then.
    ///
    /// # Examples
    /// ```
    /// use raddle::{ShutdownMode, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let futures: Vec<_> = (0..10).map(|n| pool.submit(move || n)).collect();
    /// pool.shutdown(ShutdownMode::Drain)?;
    /// assert!(futures.iter().all(|future| future.done()));
    /// assert!(pool.try_submit(|| ()).is_err());
    /// # Ok::<(), raddle::pool::OwnWorkerError>(())
    /// ```
    #[track_caller]
    pub fn shutdown(&self, how: ShutdownMode) -> Result<(), OwnWorkerError> {
        self.shutdown_until(how, None, Op::new(&*self.shared, POOL, Kind::Wait).with_verb("shuts down"))
            .map(drop)
    }

    /// Shuts the pool down without blocking. Returns whether its workers have terminated.
    ///
    /// A task may call this for its own pool.
    ///
    /// # Examples
    /// ```
    /// use raddle::{ShutdownMode, ThreadPoolExecutor};
    ///
    /// let pool = ThreadPoolExecutor::new(1);
    /// let inner = pool.clone();
    /// let terminated = pool.submit(move || inner.try_shutdown(ShutdownMode::Drain));
    /// assert_eq!(terminated.result(), Ok(false)); // the worker ran the task
    /// ```
    #[track_caller]
    pub fn try_shutdown(&self, how: ShutdownMode) -> bool {
        rt::point(Op::new(&*self.shared, POOL, Kind::Write).with_verb("shuts down"));
        if self.shared.is_inherited() {
            return true;
        }
        self.close(how);
        // Workers can terminate in between, so this is a step of its own.
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        self.shared.state.lock().alive == 0
    }

    /// Shuts the pool down and blocks for at most `timeout` until its workers have terminated.
    ///
    /// Returns whether they have.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, ShutdownMode, ThreadPoolExecutor};
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let (pool, done) = (ThreadPoolExecutor::new(1), Arc::new(Event::new()));
    /// let busy = pool.submit({
    ///     let done = done.clone();
    ///     move || done.wait()
    /// });
    /// assert!(!pool.shutdown_timeout(ShutdownMode::Drain, Duration::from_millis(1))?);
    /// done.set();
    /// assert!(pool.shutdown_timeout(ShutdownMode::Drain, Duration::MAX)?);
    /// # Ok::<(), raddle::pool::OwnWorkerError>(())
    /// ```
    #[track_caller]
    pub fn shutdown_timeout(&self, how: ShutdownMode, timeout: Duration) -> Result<bool, OwnWorkerError> {
        self.shutdown_until(
            how,
            rt::deadline(timeout),
            Op::new(&*self.shared, POOL, Kind::Wait).with_verb("shuts down"),
        )
    }

    fn close(&self, how: ShutdownMode) {
        let mut deferred = Deferred::default();
        let mut state = self.shared.lock_all();
        if how == ShutdownMode::CancelPending {
            let mut waiting = Vec::new();
            state.queue.clear(&mut waiting);
            deferred.actions.extend(waiting.into_iter().map(DeferredAction::Cancel));
        }
        if let Mode::Open = state.mode {
            state.close(Mode::ShutDown, &mut deferred);
        } else {
            state.release_finished(&mut deferred);
        }
        self.shared.publish_hints(&mut state);
        drop(state);
        perform(&self.shared, deferred);
    }

    fn shutdown_until(
        &self,
        how: ShutdownMode,
        deadline: Option<Instant>,
        op: Op,
    ) -> Result<bool, OwnWorkerError> {
        if self.shared.is_inherited() {
            return Ok(true);
        }
        if future::pool_id() == self.shared.pool_id {
            return Err(OwnWorkerError);
        }
        rt::point(op);
        self.close(how);
        let mut state = self.shared.state.lock();
        if state.alive == 0 {
            return Ok(true);
        }
        let waiter = state.joiners.enqueue(0);
        drop(state);
        if waiter.wait(op, deadline).is_some() {
            return Ok(true);
        }
        let mut state = self.shared.state.lock();
        Ok(!state.joiners.remove(&waiter))
    }
}

/// Creates another handle to the same pool. Only dropping the last handle shuts the pool down.
impl Clone for ThreadPoolExecutor {
    fn clone(&self) -> Self {
        let shared = self.shared.clone(); // aborts if there are too many
        // Relaxed, as in `Arc`: passing the new handle to another thread synchronizes with that thread.
        shared.handles.fetch_add(1, Relaxed);
        shared.cloned.store(true, Relaxed);
        Self { shared }
    }
}

impl Drop for ThreadPoolExecutor {
    /// Shuts the pool down if this is its last handle, and waits for its tasks.
    fn drop(&mut self) {
        if self.shared.is_inherited() {
            // Its state may be inconsistent since the fork, so it is leaked.
            return std::mem::forget(self.shared.clone());
        }
        // If no handle was ever cloned, this is the only one. A clone of this handle happens before its drop, so a
        // relaxed load sees it.
        if self.shared.cloned.load(Relaxed) {
            rt::point(Op::new(&*self.shared, POOL, Kind::Write).with_verb("drops a handle of"));
            // As in `Arc`: the uses of the other handles happen before the shutdown.
            if self.shared.handles.fetch_sub(1, AcqRel) != 1 {
                return;
            }
        }
        if self.shutdown(ShutdownMode::Drain).is_err() {
            self.try_shutdown(ShutdownMode::Drain);
        }
    }
}
