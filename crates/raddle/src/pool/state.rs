//! The state of a pool: its task queue, its workers, and which of them to wake or to spawn.
//!
//! # State
//! [`PoolState`] is guarded by the pool's lock, which a worker acquires once for each task. [`PoolInner`] is shared by
//! handles and workers: the state, the injector, and a few hints that are read without the lock. User code never runs under
//! the lock, and threads are woken after its release: these actions are collected in [`Deferred`].
//!
//! # No lost wake-ups
//! An idle worker enqueues a [`Waiter`] in `idle`, under the lock, and parks. A thread that enqueues a task calls
//! [`PoolState::wake_or_spawn`] under the lock: if no worker is on its way to the queue (`waking` and `spinning` are zero),
//! it removes the worker that parked last from `idle` and notifies it after the release of the lock. The notified worker
//! dequeues a task and wakes the next worker. So while a task waits and a worker is idle, another worker is on its way. One
//! wake-up at a time is enough, and the cheapest: a worker that finds the next task itself saves a wake-up.
//!
//! # If threads cannot be spawned
//! If the operating system refuses a thread, `spawn_failing_since` is set. Then no other thread spawns a worker, and the
//! timer service, which starts before the first worker, retries every few milliseconds until a worker is spawned or none is
//! needed. A thread that submits a task to a pool without workers makes one attempt of its own, and gets the task back if
//! that fails. Each attempt ends in [`spawn_succeeded`](PoolState::spawn_succeeded) or
//! [`spawn_failed`](PoolState::spawn_failed).
//!
//! # Deadlocks
//! A worker that waits without a timeout for its own pool registers in `blocked`. When all workers are registered,
//! [`PoolState::resolve_deadlock`] fails one of the waits.
//!
//! # Memory ordering
//! The hints are `Relaxed`: they decide whether a worker spins and whether one is spawned early, never whether a task runs.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::error::Refusal;
use super::task::QueuedTask;
use super::task_queue::{Injector, Priority, TaskQueue};
use crate::future::{DEADLOCK, FutureError, MAY_FAIL, QUEUE_SPACE, SETTLED, stale_tasks};
use crate::raw::{Guard, Guarded, WaitQueue, Waiter};
use crate::rt::{self, KeepAlive, Op};
use crate::sys::spin::SpinBudget;
use crate::thread::{SpawnError, Spawned, drop_guarded};
use crate::watch::{detect_pool_deadlock, report_pool_deadlock};

pub(super) const POOL: &str = "ThreadPoolExecutor";
/// The verb of a submission in reports.
pub(super) const SUBMITS: &str = "submits a task to";

pub(super) type Initializer = Box<dyn Fn() + Send + Sync>;

/// The state that the handles and the workers of a pool share.
///
/// Fields that change with each task are in cache lines of their own, apart from those that each submission reads.
pub(super) struct PoolInner {
    /// Identifies the pool in its futures and workers.
    pub(super) pool_id: u64,
    /// The process that has the workers, as a number of forks.
    process: u32,
    pub(super) prefix: String,
    /// The number of handles. Dropping the last one shuts the pool down.
    pub(super) handles: AtomicUsize,
    /// Whether a handle has ever been cloned.
    pub(super) cloned: AtomicBool,
    /// The number of names given to workers.
    pub(super) named: AtomicU64,
    pub(super) initializer: Option<Initializer>,
    pub(super) stack_size: Option<usize>,
    /// Whether threads that tasks spawn are daemons by default.
    pub(super) daemon_default: bool,
    pub(super) injector: Injector,
    pub(super) state: CachePadded<Guarded<PoolState>>,
    hints: CachePadded<Hints>,
    /// Whether there is a queue limit.
    limited: bool,
    /// Whether workers may still be spawned. If not, `finishing` is not maintained.
    may_grow: AtomicBool,
}

struct Hints {
    /// Workers that are settling a future and will look for a task right after. A thread that waits for a result and
    /// then submits the next task thus finds a free worker, although that worker may not have acquired the lock yet.
    finishing: AtomicUsize,
    /// The number of tasks in the queue, for spinning workers.
    waiting: AtomicUsize,
}

/// A value in cache lines of its own, to avoid false sharing.
#[repr(align(128))]
pub(super) struct CachePadded<T>(T);

impl<T> Deref for CachePadded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl PoolInner {
    pub(super) fn new(
        pool_id: u64,
        prefix: String,
        initializer: Option<Initializer>,
        stack_size: Option<usize>,
        daemon_default: bool,
        state: PoolState,
    ) -> Self {
        let limited = state.limit.is_some();
        Self {
            pool_id,
            process: rt::forks(),
            prefix,
            handles: AtomicUsize::new(1),
            cloned: AtomicBool::new(false),
            named: AtomicU64::new(0),
            initializer,
            stack_size,
            daemon_default,
            injector: Injector::closed(),
            state: CachePadded(Guarded::new(state)),
            hints: CachePadded(Hints { finishing: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }),
            limited,
            may_grow: AtomicBool::new(true),
        }
    }

    /// The error of a worker that could not be spawned.
    pub(super) fn spawn_error(&self, cause: io::Error) -> SpawnError<()> {
        SpawnError::new(Spawned::Worker, Some(self.prefix.as_str().into()), cause, ())
    }

    /// Whether this process is a forked child of the pool's. The workers are in the parent, and so may be the holder of the
    /// pool's locks, which must not be acquired.
    #[inline]
    pub(super) fn is_inherited(&self) -> bool {
        self.process != rt::forks()
    }

    /// Acquires the pool's lock and moves all tasks to the task queue.
    ///
    /// The injector stays closed until [`publish_hints`](PoolInner::publish_hints).
    pub(super) fn lock_all(&self) -> Guard<'_, PoolState> {
        let mut state = self.state.lock();
        self.close_injector(&mut state);
        state
    }

    /// Closes the injector and moves its tasks to the task queue.
    pub(super) fn close_injector(&self, state: &mut PoolState) {
        if mem::take(&mut state.injector_open) {
            state.queue.append(self.injector.close());
        }
    }

    /// Whether a worker without a task can keep the injector open: it finds a task, or has spin budget left to wait for one.
    pub(super) fn finds_task(&self, state: &mut PoolState, spin: &mut SpinBudget) -> bool {
        if !state.injector_open || !state.may_use_injector() {
            return false;
        }
        if state.queue.normal_is_empty() && self.injector.may_have_tasks() {
            state.queue.refill(|fifo| self.injector.swap(fifo));
        }
        !state.queue.is_empty() || spin.has_rounds()
    }

    pub(super) fn finishing(&self) -> usize {
        self.hints.finishing.load(Relaxed)
    }

    /// Counts the calling worker as about to be free, until [`end_finishing`](PoolInner::end_finishing).
    ///
    /// Returns whether it was counted.
    pub(super) fn begin_finishing(&self) -> bool {
        // Relaxed: settling the future, which follows, releases it to each thread that finds the future done.
        self.may_grow.load(Relaxed) && {
            self.hints.finishing.fetch_add(1, Relaxed);
            true
        }
    }

    pub(super) fn end_finishing(&self) {
        self.hints.finishing.fetch_sub(1, Relaxed);
    }

    /// Whether there is a queue limit.
    pub(super) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Spins until there may be a task. Returns whether there may be one.
    pub(super) fn spin_for_task(&self, spin: &mut SpinBudget) -> bool {
        spin.until(|| self.injector.may_have_tasks() || self.hints.waiting.load(Relaxed) > 0)
    }

    /// Publishes the hints that other threads read without the lock, and opens the injector if it may be used.
    ///
    /// Must be called before each release of the lock.
    #[inline]
    pub(super) fn publish_hints(&self, state: &mut PoolState) {
        let waiting = state.queue.len();
        if self.hints.waiting.load(Relaxed) != waiting {
            self.hints.waiting.store(waiting, Relaxed);
        }
        self.publish_may_grow(state);
        if !state.injector_open && state.may_use_injector() {
            state.injector_open = true;
            self.injector.open();
        }
    }

    /// Publishes whether workers may still be spawned.
    fn publish_may_grow(&self, state: &PoolState) {
        let may_grow = state.workers < state.max;
        if self.may_grow.load(Relaxed) != may_grow {
            self.may_grow.store(may_grow, Relaxed);
        }
    }
}

impl Drop for PoolInner {
    fn drop(&mut self) {
        // Each worker has a reference, so there is none, and no task will be run.
        let mut left = Vec::new();
        left.extend(self.injector.close());
        self.state.0.get_mut().queue.clear(&mut left);
        for task in left {
            task.refuse(FutureError::Abandoned);
        }
        drop_guarded("the destructor of a pool's initializer", self.initializer.take());
    }
}

pub(super) enum Mode {
    Open,
    ShutDown,
    Broken(Arc<str>),
}

/// After the operating system has refused threads for this long, a deadlock is resolved without another worker.
const SPAWN_GRACE: Duration = Duration::from_secs(1);

/// The state that the pool's lock guards.
pub(super) struct PoolState {
    pub(super) mode: Mode,
    pub(super) queue: TaskQueue,
    pub(super) blocked_submits: VecDeque<BlockedSubmit>,
    pub(super) limit: Option<usize>,
    pub(super) max: usize,
    /// Threads that will dequeue a task or terminate by themselves.
    pub(super) workers: usize,
    /// Threads that have not terminated, and those about to be spawned.
    pub(super) alive: usize,
    /// Workers that have not requested their first task.
    pub(super) starting: usize,
    /// Workers that have been notified and have not acquired the lock yet.
    pub(super) waking: usize,
    /// Workers that spin for a task before they park.
    pub(super) spinning: usize,
    /// Workers that have a task.
    pub(super) busy: usize,
    /// Parked workers. The last one is woken first, as its caches are the warmest.
    pub(super) idle: Vec<Arc<Waiter>>,
    /// Workers that wait without a timeout for a task of this pool.
    pub(super) blocked: Vec<Blocked>,
    /// Threads that wait for the workers to terminate.
    pub(super) joiners: WaitQueue,
    /// Whether the program may end while tasks are unfinished.
    pub(super) daemon: bool,
    /// The keep-alive token of the program, held while a task waits or runs.
    pub(super) keep_alive: Option<KeepAlive>,
    /// The number of stale tasks in the program when the queue was last cleaned of them.
    pub(super) last_stale_count: u64,
    /// Whether tasks may be submitted without this lock.
    pub(super) injector_open: bool,
    /// Since when the operating system has refused a thread; the timer service retries.
    pub(super) spawn_failing_since: Option<Instant>,
}

/// A worker that waits without a timeout for its own pool.
pub(super) struct Blocked {
    pub(super) waiter: Arc<Waiter>,
    /// The identifier of the worker.
    pub(super) worker: u64,
    /// The operation in which it waits.
    pub(super) op: Op,
    /// The address of the task that it waits for, `NO_TASK`, or `QUEUE_SPACE`.
    pub(super) task: usize,
}

/// The next action of a worker.
pub(super) enum NextAction {
    Run(QueuedTask),
    Park(Arc<Waiter>),
    /// Spin for a task, then request the next action again.
    Spin,
    Exit,
}

impl PoolState {
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match &self.mode {
            Mode::Open => None,
            Mode::ShutDown => Some(Refusal::ShutDown),
            Mode::Broken(reason) => Some(Refusal::Broken(reason.clone())),
        }
    }

    /// Whether the queue limit is reached. `here` counts workers that are about to dequeue a task.
    fn is_full(&self, here: usize) -> bool {
        let coming = self.max.saturating_sub(self.workers) + self.starting;
        let free = here + coming + self.idle.len() + self.waking + self.spinning;
        self.limit.is_some_and(|limit| self.queue.len() >= limit.saturating_add(free))
    }

    /// Whether a submission must block: the queue is full, or earlier submissions are blocked.
    pub(super) fn must_block(&self) -> bool {
        matches!(self.mode, Mode::Open) && (!self.blocked_submits.is_empty() || self.is_full(0))
    }

    /// Whether tasks may be submitted without this lock.
    ///
    /// A worker that is awake will look for them before it parks, there is no queue limit, no worker has to be spawned, and
    /// the keep-alive token is held.
    pub(super) fn may_use_injector(&self) -> bool {
        matches!(self.mode, Mode::Open)
            && self.limit.is_none()
            && self.workers == self.max
            && (self.daemon || self.keep_alive.is_some())
            && (self.idle.is_empty() || self.waking + self.spinning > 0)
    }

    /// Removes cancelled tasks, if there may be any, and accepts blocked submissions in their place.
    pub(super) fn remove_stale(&mut self, deferred: &mut Deferred) {
        let removed = stale_tasks();
        if std::mem::replace(&mut self.last_stale_count, removed) != removed {
            self.remove_finished(deferred);
            self.accept_blocked(0, deferred);
        }
    }

    /// Enqueues a task.
    pub(super) fn push(&mut self, task: QueuedTask, priority: Priority) -> Result<(), Refusal> {
        if self.keep_alive.is_none() && !self.daemon {
            self.keep_alive = Some(rt::keep_alive().ok_or(Refusal::ShutDown)?);
        }
        self.queue.push(task, priority);
        Ok(())
    }

    fn remove_finished(&mut self, deferred: &mut Deferred) {
        let mut removed = Vec::new();
        self.queue.remove_stale(&mut removed);
        // They are settled already, and only have to be dropped, outside of the lock.
        deferred.actions.extend(removed.into_iter().map(DeferredAction::Cancel));
    }

    /// Accepts blocked submissions while there is space, in FIFO order.
    pub(super) fn accept_blocked(&mut self, here: usize, deferred: &mut Deferred) {
        while !self.blocked_submits.is_empty() && !self.is_full(here) {
            let Some(BlockedSubmit { submitter, task, priority }) = self.blocked_submits.pop_front() else {
                return;
            };
            let outcome = if self.push(task, priority).is_ok() { ACCEPTED } else { REFUSED };
            deferred.decide(&submitter, outcome);
        }
    }

    /// Ensures that a waiting task will be dequeued, by a worker that is free or about to be, or by a new one.
    pub(super) fn wake_or_spawn(&mut self, finishing: usize, deferred: &mut Deferred) {
        if self.spawn_failing_since.is_none() && self.lacks_workers(finishing) {
            self.count_spawning();
            deferred.spawn += 1;
        } else if self.waking + self.spinning == 0
            && !self.queue.is_empty()
            && let Some(worker) = self.idle.pop()
        {
            self.waking += 1;
            deferred.actions.push(DeferredAction::Notify(worker, SETTLED));
        }
    }

    /// Whether more tasks wait than workers will soon dequeue, and a worker may be spawned.
    fn lacks_workers(&self, finishing: usize) -> bool {
        let free = self.idle.len() + self.waking + self.spinning + self.starting + finishing;
        self.queue.len() > free && self.workers < self.max
    }

    fn count_spawning(&mut self) {
        self.workers += 1;
        self.alive += 1;
        self.starting += 1;
    }

    /// Begins another attempt to spawn a worker, which is counted. Returns whether a worker is still needed.
    pub(super) fn begin_retry(&mut self, finishing: usize) -> bool {
        let again = self.spawn_failing_since.is_some() && self.lacks_workers(finishing);
        if again {
            self.count_spawning();
        } else {
            self.spawn_failing_since = None;
        }
        again
    }

    /// Ends an attempt of the timer service that succeeded. Further workers may be spawned.
    pub(super) fn spawn_succeeded(&mut self, finishing: usize, deferred: &mut Deferred) {
        self.spawn_failing_since = None;
        self.wake_or_spawn(finishing, deferred);
    }

    /// Wakes up to `count` idle workers.
    pub(super) fn wake_idle(&mut self, count: usize, deferred: &mut Deferred) {
        let left = self.idle.len().saturating_sub(count);
        self.waking += self.idle.len() - left;
        deferred
            .actions
            .extend(self.idle.drain(left..).map(|worker| DeferredAction::Notify(worker, SETTLED)));
    }

    /// Decides the next action of the calling worker, which has no task.
    pub(super) fn next_action(&mut self, may_spin: bool, deferred: &mut Deferred) -> NextAction {
        self.accept_blocked(1, deferred);
        if self.workers > self.max {
            return self.leave(deferred);
        }
        if let Some(task) = self.queue.pop() {
            self.busy += 1;
            return NextAction::Run(task); // or drop, if it was cancelled
        }
        if !matches!(self.mode, Mode::Open) {
            return self.leave(deferred);
        }
        if may_spin {
            self.spinning += 1;
            return NextAction::Spin;
        }
        self.queue.shrink();
        let waiter = Waiter::new(0);
        self.idle.push(waiter.clone());
        NextAction::Park(waiter)
    }

    fn leave(&mut self, deferred: &mut Deferred) -> NextAction {
        self.workers -= 1;
        self.resolve_deadlock(deferred);
        NextAction::Exit
    }

    /// Releases the keep-alive token if no task is left, and notifies the joiners if no worker is left.
    pub(super) fn release_finished(&mut self, deferred: &mut Deferred) {
        if self.busy == 0 && self.queue.is_empty() {
            deferred.keep_alive = self.keep_alive.take();
        }
        if self.alive == 0 && !matches!(self.mode, Mode::Open) {
            let joiners = self.joiners.dequeue_many(usize::MAX).into_iter();
            deferred.actions.extend(joiners.map(|joiner| DeferredAction::Notify(joiner, SETTLED)));
        }
    }

    /// Fails one wait if all workers wait for tasks of this pool.
    ///
    /// Only waits without an outcome count, since a notified worker is about to continue. Each of them is for a task that is
    /// in the queue or that a blocked worker runs, so without a free worker no task of the pool can make progress. The
    /// victim is the most recent wait for a task that has not started: its thread can still cancel the task.
    pub(super) fn resolve_deadlock(&mut self, deferred: &mut Deferred) {
        if self.blocked.is_empty() || !self.is_deadlocked() {
            return;
        }
        if self.workers < self.max {
            // A worker is missing if the operating system refused one, or if the waiting tasks are stale.
            self.remove_finished(deferred);
            self.wake_or_spawn(0, deferred);
            let may_grow = self.spawn_failing_since.is_some_and(|since| rt::now() < since + SPAWN_GRACE)
                && !self.queue.is_empty();
            if deferred.spawn > 0 || may_grow {
                return;
            }
        }
        self.fail_one_wait(deferred);
    }

    fn is_deadlocked(&self) -> bool {
        let undecided = |blocked: &Blocked| blocked.waiter.outcome().is_none();
        self.blocked.len() >= self.workers && self.blocked.iter().all(undecided)
    }

    fn fail_one_wait(&self, deferred: &mut Deferred) {
        let may_fail = || self.blocked.iter().rev().filter(|blocked| blocked.waiter.request == MAY_FAIL);
        let waits_for_start =
            |blocked: &&Blocked| blocked.task == QUEUE_SPACE || self.queue.contains(blocked.task);
        if let Some(victim) = may_fail().find(waits_for_start).or_else(|| may_fail().next()) {
            let waits = self.blocked.iter().map(|blocked| (blocked.worker, blocked.op)).collect();
            deferred.actions.push(DeferredAction::Fail(victim.waiter.clone(), waits));
        }
    }

    /// Accepts no more tasks: refuses blocked submissions, and wakes the idle workers, which may terminate.
    pub(super) fn close(&mut self, mode: Mode, deferred: &mut Deferred) {
        self.mode = mode;
        self.refuse_blocked(REFUSED, deferred);
        self.wake_idle(usize::MAX, deferred);
        self.release_finished(deferred);
    }

    /// Refuses all waiting tasks after a failure of the initializer.
    pub(super) fn mark_broken(&mut self, reason: &Arc<str>, deferred: &mut Deferred) {
        let mut waiting = Vec::new();
        self.queue.clear(&mut waiting);
        let refuse = |task| DeferredAction::Refuse(task, FutureError::Broken(reason.clone()));
        deferred.actions.extend(waiting.into_iter().map(refuse));
        self.close(Mode::Broken(reason.clone()), deferred);
    }

    /// Ends an attempt to spawn a worker that failed.
    ///
    /// `retries` is whether the timer service will retry while tasks wait. Returns the tasks that will not be run: if no
    /// worker is left, all of them without retries; with retries, the one at the address `own`, whose submitter made the
    /// attempt.
    pub(super) fn spawn_failed(
        &mut self,
        retries: bool,
        own: Option<usize>,
        deferred: &mut Deferred,
    ) -> Vec<QueuedTask> {
        self.workers -= 1;
        self.alive -= 1;
        self.starting -= 1;
        let mut refused = Vec::new();
        if self.workers == 0 && !retries {
            self.queue.clear(&mut refused);
            self.refuse_blocked(NO_WORKER, deferred);
        } else if self.workers == 0
            && let Some(own) = own
        {
            self.queue.take_out(|task| task.is_at(own), &mut refused);
        }
        if retries && self.lacks_workers(0) {
            self.spawn_failing_since.get_or_insert_with(rt::now);
            self.resolve_deadlock(deferred);
        } else if !self.blocked.is_empty() && self.is_deadlocked() {
            self.fail_one_wait(deferred); // there will be no retry
        }
        self.release_finished(deferred);
        refused
    }

    fn refuse_blocked(&mut self, outcome: u32, deferred: &mut Deferred) {
        // Each submitting thread has a reference to its task, so no destructor runs here, under the lock.
        self.blocked_submits.drain(..).for_each(|blocked| deferred.decide(&blocked.submitter, outcome));
    }
}

/// An action to perform after the release of the lock.
pub(super) enum DeferredAction {
    Notify(Arc<Waiter>, u32),
    /// Fails a wait with a deadlock. With the waits of all blocked workers, for the report.
    Fail(Arc<Waiter>, Box<[(u64, Op)]>),
    Refuse(QueuedTask, FutureError),
    Cancel(QueuedTask),
}

/// Actions that are decided under the pool's lock and performed after its release: waking threads and running user
/// code.
#[derive(Default)]
pub(super) struct Deferred {
    pub(super) actions: Vec<DeferredAction>,
    /// The keep-alive token, to be dropped after the actions.
    pub(super) keep_alive: Option<KeepAlive>,
    /// The number of workers to spawn, which are counted already.
    pub(super) spawn: usize,
}

impl Deferred {
    /// Decides a blocked submission, which has been removed from the list.
    fn decide(&mut self, submitter: &Arc<SubmitWaiter>, outcome: u32) {
        submitter.outcome.store(outcome, Relaxed);
        self.actions.push(DeferredAction::Notify(submitter.waiter.clone(), SETTLED));
    }
}

/// A thread that is blocked in a submission.
pub(super) struct SubmitWaiter {
    pub(super) waiter: Arc<Waiter>,
    /// Changed once, under the pool's lock, when the submission is removed from the list.
    pub(super) outcome: AtomicU32,
}

// Outcomes of a blocked submission.
pub(super) const UNDECIDED: u32 = 0;
pub(super) const ACCEPTED: u32 = 1;
pub(super) const REFUSED: u32 = 2;
pub(super) const NO_WORKER: u32 = 3;

/// A blocked submission: its thread and its task.
pub(super) struct BlockedSubmit {
    pub(super) submitter: Arc<SubmitWaiter>,
    pub(super) task: QueuedTask,
    pub(super) priority: Priority,
}

/// Fails a wait with a deadlock and reports it, unless the wait has an outcome already.
pub(super) fn fail_with_deadlock(pool: u64, waiter: &Waiter, waits: &[(u64, Op)]) {
    let report = detect_pool_deadlock(pool, waits); // while all workers wait
    if waiter.try_notify(DEADLOCK)
        && let Some(report) = report
    {
        report_pool_deadlock(&report);
    }
}
