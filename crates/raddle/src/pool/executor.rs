//! The pool as its user sees it.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::after::After;
use super::builder::ThreadPoolBuilder;
use super::error::{BuildError, SubmitError};
use super::lanes::Priority;
use super::shared::{POOL, SUBMITS, Shared};
use super::submit::{Patience, execute, offer, submit};
use super::worker::carry_out;
use crate::future::Future;
use crate::rt::{self, Kind, Object, Op, Place};

/// A pool of threads that run tasks; every task has a [`Future`].
///
/// Workers are started when a task comes and none is free, up to a maximum, and stay. Tasks are taken first in,
/// first out; higher [`Priority`] first. A task that panics is its future's error, and its worker goes on.
///
/// A clone is another handle to the same pool. Dropping the last handle shuts the pool down and waits for its tasks,
/// like leaving Python's `with` block; dropping any other one does nothing. If one of the pool's own workers drops the last
/// handle, it does not wait, and the workers terminate when all tasks are done.
///
/// # End of the program
/// While tasks wait or run, the program does not end, wherever the pool is; idle workers do not keep it. A task
/// that calls `std::process::exit` counts as over, its future as [abandoned](crate::future::FutureError::Abandoned),
/// and the other tasks are still run. A thread that a task starts is a daemon if one started by the pool's
/// creator would be.
///
/// # No thread to be had
/// If the operating system refuses a thread while the pool has a worker, the task stays in the queue: that worker takes
/// it when it becomes free, and the pool tries to start another one every ten milliseconds as long as tasks wait. If the
/// pool has no worker at all, the thread that submits the task is told: by
/// [`FutureError::NoThread`](crate::future::FutureError::NoThread), or by
/// [`SubmitError::NoThread`](crate::pool::SubmitError::NoThread), which gives the closure back. A task that was
/// accepted before that is not refused any more. So that somebody can try again, the program's
/// [timer service](crate::timer), one thread, is started before the first worker.
///
/// # Forked children
/// A child does not have the workers of its parent. There the pool accepts no task, and says so with
/// [`SubmitError::Broken`] or [`FutureError::Broken`](crate::future::FutureError::Broken); its shutdown does not wait; and futures
/// of its tasks are [abandoned](crate::future::FutureError::Abandoned).
///
/// # Waiting for the own pool
/// A task may wait for other tasks of its pool as long as a worker is left for them. If all workers wait that
/// way, without a time limit, one of the waits ends with [`FutureError::Deadlock`](crate::future::FutureError::Deadlock). A
/// pool for which the operating system has had no thread for a second counts as having all of its workers.
/// [`scope`](ThreadPoolExecutor::scope) has no such limit.
///
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
    pub(super) shared: Arc<Shared>,
}

impl ThreadPoolExecutor {
    /// A pool of at most `max_workers` workers.
    ///
    /// # Panics
    /// If `max_workers` is 0.
    #[track_caller]
    pub fn new(max_workers: usize) -> Self {
        match Self::builder().max_workers(max_workers).build() {
            Ok(pool) => pool,
            Err(error) => panic!("{error}"),
        }
    }

    /// Begins a pool with more settings.
    ///
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

    /// Has `task` run, and gives its future.
    ///
    /// While as many tasks wait as the [queue limit](ThreadPoolBuilder::queue_limit) allows, it waits, in line with others.
    /// There is always a future: if the task cannot be accepted, because the pool was
    /// shut down or is broken, the future is done and says so.
    ///
    /// The future cannot be ignored by mistake, since an error that the task returns is in it:
    ///
    /// ```compile_fail
    /// #![deny(unused_must_use)]
    /// raddle::ThreadPoolExecutor::new(1).submit(|| "one".parse::<i32>());
    /// ```
    #[track_caller]
    #[must_use = "dropping the future discards what the task returns, an `Err` included; use `execute` for a task without a result"]
    pub fn submit<F, T>(&self, task: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit(&self.shared, Priority(0), task, Op::new(&*self.shared, POOL, Kind::Put).does(SUBMITS))
    }

    /// Like [`submit`](Self::submit), with a priority other than 0.
    #[track_caller]
    #[must_use = "dropping the future discards what the task returns, an `Err` included; use `execute` for a task without a result"]
    pub fn submit_with<F, T>(&self, priority: Priority, task: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit(&self.shared, priority, task, Op::new(&*self.shared, POOL, Kind::Put).does(SUBMITS))
    }

    /// Has `task` run, whose result nobody wants: there is no future, which makes this the cheapest way.
    ///
    /// A small closure, of three words, is kept in the queue itself; nothing is allocated for it. It waits for room like
    /// [`submit`](Self::submit). If the task panics, the [excepthook](crate::thread::set_excepthook) is told, as it is
    /// if an accepted task is not run after all, except by [`ShutdownMode::CancelPending`](crate::ShutdownMode).
    ///
    /// # Errors
    /// [`SubmitError`] gives the task back: the pool was shut down or is broken, or there is no thread for it; or it
    /// would have had to wait for room in a pool whose workers all wait for the pool.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use raddle::{Semaphore, ThreadPoolExecutor};
    ///
    /// let (pool, done) = (ThreadPoolExecutor::new(2), Arc::new(Semaphore::new(0)));
    /// for _ in 0..100 {
    ///     let done = done.clone();
    ///     pool.execute(move || done.release()).expect("the pool is open");
    /// }
    /// done.acquire_many(100).forget();
    /// ```
    #[track_caller]
    pub fn execute<F>(&self, task: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        execute(&self.shared, task, Op::new(&*self.shared, POOL, Kind::Put).does(SUBMITS))
    }

    /// Has `task` run if that is possible without waiting for room.
    ///
    /// # Errors
    /// [`SubmitError`] gives the task back.
    #[track_caller]
    pub fn try_submit<F, T>(&self, task: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        offer(
            &self.shared,
            Priority(0),
            Patience::No,
            task,
            Op::new(&*self.shared, POOL, Kind::Put).does(SUBMITS),
        )
    }

    /// Like [`try_submit`](Self::try_submit), with a priority other than 0.
    ///
    /// # Errors
    /// [`SubmitError`] gives the task back.
    #[track_caller]
    pub fn try_submit_with<F, T>(&self, priority: Priority, task: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        offer(
            &self.shared,
            priority,
            Patience::No,
            task,
            Op::new(&*self.shared, POOL, Kind::Put).does(SUBMITS),
        )
    }

    /// Has `task` run, waiting at most `timeout` for room.
    ///
    /// # Errors
    /// [`SubmitError`] gives the task back.
    #[track_caller]
    pub fn submit_timeout<F, T>(&self, timeout: Duration, task: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let patience = Patience::Until(rt::deadline(timeout));
        offer(
            &self.shared,
            Priority(0),
            patience,
            task,
            Op::new(&*self.shared, POOL, Kind::Put).does(SUBMITS),
        )
    }

    /// Has `task` run, waiting for room until `deadline` at most.
    ///
    /// # Errors
    /// [`SubmitError`] gives the task back.
    #[track_caller]
    pub fn submit_deadline<F, T>(&self, deadline: Instant, task: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let patience = Patience::Until(Some(deadline));
        offer(
            &self.shared,
            Priority(0),
            patience,
            task,
            Op::new(&*self.shared, POOL, Kind::Put).does(SUBMITS),
        )
    }

    /// Allows at most `max_workers` workers from now on. Those beyond leave when they have finished their task.
    ///
    /// Workers are started for tasks that wait. If the operating system refuses a thread, this returns, and the pool
    /// tries again by itself.
    ///
    /// # Panics
    /// If `max_workers` is 0.
    #[track_caller]
    pub fn resize(&self, max_workers: usize) {
        assert!(max_workers > 0, "{}", BuildError::NoWorkers);
        rt::point(Op::new(&*self.shared, POOL, Kind::Write).does("resizes"));
        if self.shared.is_an_ancestors() {
            return;
        }
        let mut first = true;
        loop {
            let mut after = After::default();
            let mut state = self.shared.gather();
            if std::mem::take(&mut first) {
                state.max = max_workers;
                let surplus = state.workers.saturating_sub(max_workers);
                state.rouse(surplus, &mut after);
                state.admit(0, &mut after);
            }
            state.summon(self.shared.finishing(), &mut after);
            self.shared.note(&mut state);
            drop(state);
            let more = after.hire > 0;
            if !carry_out(&self.shared, after) || !more {
                return;
            }
        }
    }

    /// How many workers there may be.
    #[track_caller]
    pub fn max_workers(&self) -> usize {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_an_ancestors() { 0 } else { self.shared.state.lock().max }
    }

    /// How many workers there are.
    #[track_caller]
    pub fn workers(&self) -> usize {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_an_ancestors() { 0 } else { self.shared.state.lock().workers }
    }

    /// How many workers have nothing to do.
    #[track_caller]
    pub fn idle(&self) -> usize {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_an_ancestors() {
            return 0;
        }
        let state = self.shared.state.lock();
        state.idle.len() + state.waking + state.looking
    }

    /// How many tasks wait for a worker. One that was cancelled counts until a worker comes across it.
    #[track_caller]
    pub fn pending(&self) -> usize {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_an_ancestors() {
            return 0;
        }
        let mut state = self.shared.gather();
        let pending = state.lanes.len();
        self.shared.note(&mut state);
        pending
    }
}

impl Default for ThreadPoolExecutor {
    /// A pool with the default settings.
    fn default() -> Self {
        let shared = ThreadPoolBuilder::default().into_shared().expect("the default settings are right");
        Self { shared: Arc::new(shared) }
    }
}

impl ThreadPoolBuilder {
    /// Makes the pool; its workers are started when they are needed.
    ///
    /// # Errors
    /// [`BuildError`]
    #[track_caller]
    pub fn build(self) -> Result<ThreadPoolExecutor, BuildError> {
        let shared = Arc::new(self.into_shared()?);
        rt::made(Object::of(&*shared, POOL), Place::caller());
        Ok(ThreadPoolExecutor { shared })
    }
}

// A panic leaves nothing of a pool unfinished.
impl UnwindSafe for ThreadPoolExecutor {}
impl RefUnwindSafe for ThreadPoolExecutor {}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.shared, POOL, Kind::Read));
        if self.shared.is_an_ancestors() {
            let mut shown = f.debug_struct("ThreadPoolExecutor");
            return shown.field("name", &self.shared.prefix).finish_non_exhaustive();
        }
        let mut state = self.shared.gather();
        let (max_workers, workers) = (state.max, state.workers);
        let (pending, at_door) = (state.lanes.len(), state.door.len());
        self.shared.note(&mut state);
        drop(state);
        f.debug_struct("ThreadPoolExecutor")
            .field("name", &self.shared.prefix)
            .field("max_workers", &max_workers)
            .field("workers", &workers)
            .field("pending", &pending)
            .field("at_door", &at_door)
            .finish_non_exhaustive()
    }
}
