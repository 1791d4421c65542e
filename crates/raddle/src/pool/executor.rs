//! The pool as its user sees it.

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

use super::error::{AN_ANCESTORS, BuildError, OwnWorkerError, Refusal, SubmitError};
use super::small_closure::Chore;
use super::state::{
    After, Caller, Initializer, Knock, LET_IN, Mode, NO_WORKER, NONE_YET, POOL, SUBMITS, Shared, State, Step,
};
use super::task::{Job, Queue, Slot, Task, address_of};
use super::task_queue::{Lanes, Priority};
use super::worker::{carry_out, hire, refuse_all};
use crate::future::{self, CAN_FAIL, Core, Future, ROOM};
use crate::raw::{Guard, WaitQueue, Waiter};
use crate::rt::{self, Kind, Object, Op, Place};
use crate::sys::os;
use crate::timer;

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
        submit(&self.shared, Priority(0), task, Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS))
    }

    /// Like [`submit`](Self::submit), with a priority other than 0.
    #[track_caller]
    #[must_use = "dropping the future discards what the task returns, an `Err` included; use `execute` for a task without a result"]
    pub fn submit_with<F, T>(&self, priority: Priority, task: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit(&self.shared, priority, task, Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS))
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
        execute(&self.shared, task, Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS))
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
            Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS),
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
            Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS),
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
            Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS),
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
            Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS),
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
        rt::point(Op::new(&*self.shared, POOL, Kind::Write).with_verb("resizes"));
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
        rt::created(Object::of(&*shared, POOL), Place::caller());
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

/// The settings of a pool that is not there yet.
///
/// [`builder`](crate::ThreadPoolExecutor::builder) begins it, [`build`](ThreadPoolBuilder::build) ends it.
#[must_use = "there is no pool until `build`"]
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
    /// At most this many workers at a time; otherwise as many as there are processors and four more, at most 32.
    pub fn max_workers(mut self, workers: usize) -> Self {
        self.max_workers = Some(workers);
        self
    }

    /// The workers are named `prefix_0`, `prefix_1`, …; otherwise the prefix is `ThreadPoolExecutor-N`.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// At most this many tasks wait for which no worker is free, or can be started; otherwise there is no limit.
    ///
    /// Beyond that, `submit` waits and `try_submit` gives the task back. With 0, no task waits: one is
    /// accepted when a worker is there for it.
    pub fn queue_limit(mut self, tasks: usize) -> Self {
        self.queue_limit = Some(tasks);
        self
    }

    /// Has every worker call `initializer` before its first task.
    ///
    /// If it panics, the pool is broken: what waits and what is submitted later fails with
    /// [`FutureError::Broken`](crate::future::FutureError::Broken), which carries the panic's message.
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(initializer));
        self
    }

    /// Lets the program end although tasks of the pool are unfinished; otherwise it waits for them.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Room for each worker's stack, in bytes; the operating system rounds up.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    pub(super) fn into_shared(self) -> Result<Shared, BuildError> {
        let max = self.max_workers.unwrap_or_else(default_workers);
        if max == 0 {
            return Err(BuildError::NoWorkers);
        }
        let prefix = self.prefix.unwrap_or_else(default_prefix);
        if prefix.contains('\0') {
            return Err(BuildError::NulInName);
        }
        let daemon_heirs = self.daemon || rt::daemon_heirs();
        let state = empty(max, self.queue_limit, self.daemon);
        Ok(Shared::new(future::new_home(), prefix, self.initializer, self.stack_size, daemon_heirs, state))
    }
}

// The pool calls the initializer and survives its panics; until then, nothing is changed by halves.
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

fn empty(max: usize, limit: Option<usize>, daemon: bool) -> State {
    State {
        mode: Mode::Open,
        lanes: Lanes::new(),
        door: VecDeque::new(),
        limit,
        max,
        workers: 0,
        alive: 0,
        starting: 0,
        waking: 0,
        looking: 0,
        busy: 0,
        idle: Vec::new(),
        blocked: Vec::new(),
        joiners: WaitQueue::new(),
        daemon,
        keep_alive: None,
        swept_at: future::dead(),
        inbox_open: false,
        short: None,
    }
}

/// Python's default: tasks often wait for input or output, so there are more workers than processors.
fn default_workers() -> usize {
    (os::processors() + 4).min(32)
}

/// Pools without a name are numbered, each program from 0.
fn default_prefix() -> String {
    struct Pools(AtomicU64);
    let pools = rt::with_program(|program| program.services().get(|| Pools(AtomicU64::new(0))));
    format!("ThreadPoolExecutor-{}", pools.0.fetch_add(1, Relaxed))
}

/// How long a submission waits for room; `Until(None)`: for ever.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    No,
    Until(Option<Instant>),
}

/// Submits a task, waiting for room; if it is refused, the future says why.
pub(super) fn submit<F, T>(shared: &Arc<Shared>, priority: Priority, task: F, op: Op) -> Future<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let core = Arc::new(Core::new(shared.home, Slot::<_>::new(task, queue(shared))));
    rt::created(Object::of(&*core, "Future"), op.at);
    if let Err(refusal) = enqueue(shared, core.clone(), priority, Patience::Until(None), op) {
        core.clone().refuse(refusal.into());
    }
    Future::of(core)
}

/// Submits a task as long as there is patience; if it is refused, the closure comes back.
pub(super) fn offer<F, T>(
    shared: &Arc<Shared>,
    priority: Priority,
    patience: Patience,
    task: F,
    op: Op,
) -> Result<Future<T>, SubmitError<F>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let core = Arc::new(Core::new(shared.home, Slot::<_>::new(task, queue(shared))));
    rt::created(Object::of(&*core, "Future"), op.at);
    match enqueue(shared, core.clone(), priority, patience, op) {
        Ok(()) => Ok(Future::of(core)),
        Err(refusal) => Err(refusal.with(core.work().take().expect("a task that was refused has not run"))),
    }
}

/// Has a task run whose result nobody wants, waiting for room; if it is refused, the closure comes back.
pub(super) fn execute<F>(shared: &Arc<Shared>, task: F, op: Op) -> Result<(), SubmitError<F>>
where
    F: FnOnce() + Send + 'static,
{
    rt::point(op);
    if shared.is_an_ancestors() {
        return Err(SubmitError::Broken(task, AN_ANCESTORS.into()));
    }
    if let Some(entry) = shared.inbox.enter() {
        entry.put(Job::Chore(Chore::new(task)));
        return Ok(());
    }
    // Somebody may have to be woken, hired or waited for, beside which an allocation costs little.
    let core = Arc::new(Core::new(shared.home, Slot::<_>::new(task, queue(shared))));
    rt::created(Object::of(&*core, "Future"), op.at);
    match line_up(shared, core.clone(), Priority(0), Patience::Until(None), op) {
        Ok(()) => Ok(()),
        Err(refusal) => Err(refusal.with(core.work().take().expect("a task that was refused has not run"))),
    }
}

/// The queue of the pool, for its tasks, if others may wait for room in it.
pub(super) fn queue(shared: &Arc<Shared>) -> Option<Weak<dyn Queue>> {
    shared.is_limited().then(|| {
        let shared: Weak<Shared> = Arc::downgrade(shared);
        shared as Weak<dyn Queue>
    })
}

/// Puts a task into its lane. On failure nobody else has it, and it has not run.
pub(super) fn enqueue(
    shared: &Arc<Shared>,
    task: Arc<dyn Task>,
    priority: Priority,
    patience: Patience,
    op: Op,
) -> Result<(), Refusal> {
    rt::point(op); // not one that waits for room: who waits does so in line, at the door
    if shared.is_an_ancestors() {
        return Err(Refusal::Broken(AN_ANCESTORS.into()));
    }
    if priority == Priority(0)
        && let Some(entry) = shared.inbox.enter()
    {
        entry.put(Job::Task(task));
        return Ok(());
    }
    line_up(shared, task, priority, patience, op)
}

/// Puts a task into its lane if the inbox is not the way.
fn line_up(
    shared: &Arc<Shared>,
    task: Arc<dyn Task>,
    priority: Priority,
    patience: Patience,
    op: Op,
) -> Result<(), Refusal> {
    // Before anything is accepted, so that there is always somebody to try again if the system refuses a thread. Under
    // a scheduler it would be one more thread to explore, and is started if it is needed.
    if !rt::explored() {
        timer::start_service().map_err(Refusal::NoThread)?;
    }
    let mut after = After::default();
    let mut state = shared.gather();
    if state.is_barred() {
        state.sweep(&mut after);
    }
    if state.is_barred() {
        return match patience {
            Patience::No => {
                drop(state);
                carry_out(shared, after);
                Err(Refusal::Full)
            }
            Patience::Until(deadline) => wait_at_door(shared, state, after, task, priority, deadline, op),
        };
    }
    let address = address_of(&task);
    let pushed = match state.refusal() {
        Some(refusal) => Err(refusal),
        None => state.push(Job::Task(task), priority), // the submitter keeps a reference, so nothing is dropped here
    };
    if state.workers == 0 {
        state.short = None; // this thread tries for itself, and is refused if that fails
    }
    state.summon(shared.finishing(), &mut after);
    shared.note(&mut state);
    drop(state);
    let hires = std::mem::take(&mut after.hire) > 0;
    carry_out(shared, after);
    pushed?;
    if hires { begin_worker(shared, address) } else { Ok(()) }
}

/// Starts a worker for the task at that address; if that fails and there is no other, the task comes out of
/// its lane again.
fn begin_worker(shared: &Arc<Shared>, task: usize) -> Result<(), Refusal> {
    let Err((error, refused)) = hire(shared, Some(task)) else { return Ok(()) };
    let (mine, others): (Vec<_>, Vec<_>) = refused.into_iter().partition(|refused| refused.is_at(task));
    refuse_all(others, &Arc::new(io::Error::from(error.kind())));
    if mine.is_empty() { Ok(()) } else { Err(Refusal::NoThread(error)) }
}

/// Waits in line until a worker lets the task in.
fn wait_at_door(
    shared: &Arc<Shared>,
    mut state: Guard<'_, State>,
    after: After,
    task: Arc<dyn Task>,
    priority: Priority,
    deadline: Option<Instant>,
    op: Op,
) -> Result<(), Refusal> {
    let waiter = Waiter::new(CAN_FAIL);
    let knock = Arc::new(Knock { waiter: waiter.clone(), answer: AtomicU32::new(NONE_YET) });
    // The submitter keeps a reference to the task, so that the state never drops it.
    state.door.push_back(Caller { knock: knock.clone(), task: Job::Task(task), priority });
    drop(state);
    carry_out(shared, after);
    let crew = if deadline.is_none() { future::crew_of(shared.home) } else { None };
    if let Some(crew) = &crew {
        crew.block(&waiter, ROOM);
    }
    let told = waiter.wait(op, deadline);
    if let Some(crew) = &crew {
        crew.unblock(&waiter);
    }
    // The answer stands as soon as the knock is out of the door, whatever woke the thread.
    let mut state = shared.state.lock();
    let place = state.door.iter().position(|caller| Arc::ptr_eq(&caller.knock, &knock));
    let caller = place.and_then(|place| state.door.remove(place));
    let refusal = match knock.answer.load(Relaxed) {
        LET_IN => return Ok(()),
        NO_WORKER => Refusal::NoThread(io::Error::other("the system has no thread to give")),
        NONE_YET if told.is_some() => Refusal::Deadlock,
        NONE_YET => Refusal::Full,
        _ => state.refusal().unwrap_or(Refusal::ShutDown),
    };
    drop(state);
    drop(caller);
    Err(refusal)
}

/// What becomes of the tasks that wait when a pool is shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShutdownMode {
    /// They are run.
    #[default]
    Drain,
    /// They are cancelled; those that run go on to their end.
    CancelPending,
}

impl ThreadPoolExecutor {
    /// Accepts no more tasks and waits until the workers are gone. Shutting down again is allowed, and can still
    /// cancel what waits.
    ///
    /// # Errors
    /// [`OwnWorkerError`], without any effect, in a worker of this pool: it would wait for itself.
    #[track_caller]
    pub fn shutdown(&self, how: ShutdownMode) -> Result<(), OwnWorkerError> {
        self.shutdown_until(how, None, Op::new(&*self.shared, POOL, Kind::Wait).with_verb("shuts down"))
            .map(drop)
    }

    /// Accepts no more tasks; says whether the workers are gone already.
    ///
    /// It does not wait, and so can be called in a task.
    #[track_caller]
    pub fn try_shutdown(&self, how: ShutdownMode) -> bool {
        rt::point(Op::new(&*self.shared, POOL, Kind::Write).with_verb("shuts down"));
        if self.shared.is_an_ancestors() {
            return true;
        }
        self.close(how);
        self.shared.state.lock().alive == 0
    }

    /// Accepts no more tasks and waits at most `timeout` until the workers are gone; says whether they are.
    ///
    /// # Errors
    /// As for [`shutdown`](Self::shutdown).
    #[track_caller]
    pub fn shutdown_timeout(&self, how: ShutdownMode, timeout: Duration) -> Result<bool, OwnWorkerError> {
        self.shutdown_until(
            how,
            rt::deadline(timeout),
            Op::new(&*self.shared, POOL, Kind::Wait).with_verb("shuts down"),
        )
    }

    fn close(&self, how: ShutdownMode) {
        let mut after = After::default();
        let mut state = self.shared.gather();
        if how == ShutdownMode::CancelPending {
            let mut waiting = Vec::new();
            state.lanes.clear(&mut waiting);
            after.steps.extend(waiting.into_iter().map(Step::Cancel));
        }
        if let Mode::Open = state.mode {
            state.close(Mode::ShutDown, &mut after);
        } else {
            state.conclude(&mut after);
        }
        self.shared.note(&mut state);
        drop(state);
        carry_out(&self.shared, after);
    }

    fn shutdown_until(
        &self,
        how: ShutdownMode,
        deadline: Option<Instant>,
        op: Op,
    ) -> Result<bool, OwnWorkerError> {
        if self.shared.is_an_ancestors() {
            return Ok(true);
        }
        if future::home() == self.shared.home {
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

/// A clone is another handle to the same pool. Dropping a handle shuts the pool down only if it is the last one.
impl Clone for ThreadPoolExecutor {
    fn clone(&self) -> Self {
        let shared = self.shared.clone(); // aborts if there are too many
        // Relaxed, as in `Arc`: the new handle reaches another thread by something that synchronizes.
        shared.handles.fetch_add(1, Relaxed);
        shared.cloned.store(true, Relaxed);
        Self { shared }
    }
}

impl Drop for ThreadPoolExecutor {
    /// Shuts the pool down if this is its last handle, and waits for its tasks.
    fn drop(&mut self) {
        if self.shared.is_an_ancestors() {
            // Its state may be inconsistent since the fork: it is leaked.
            return std::mem::forget(self.shared.clone());
        }
        // A handle is made from an existing one, so a handle that was never cloned is the only one. That a clone was made
        // is known here: making it happens before this.
        if self.shared.cloned.load(Relaxed) {
            rt::point(Op::new(&*self.shared, POOL, Kind::Write).with_verb("drops a handle of"));
            // As in `Arc`: what was done by the other handles happens before the shutdown.
            if self.shared.handles.fetch_sub(1, AcqRel) != 1 {
                return;
            }
        }
        if self.shutdown(ShutdownMode::Drain).is_err() {
            self.try_shutdown(ShutdownMode::Drain);
        }
    }
}
