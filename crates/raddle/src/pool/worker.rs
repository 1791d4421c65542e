//! The workers of a pool, and the actions that follow the release of the pool's lock.
//!
//! # Life of a worker
//! A worker runs the initializer and then, in a loop, dequeues a task and runs it. Without a task it spins for a while, then
//! parks. Its `phase` identifies the counter of the pool's state that includes it, and changes under the pool's lock.
//!
//! # Finishing early
//! A worker that settles a future will be free in a moment. It is counted as such before it settles the future, so that a
//! thread that waits for the result and then submits another task does not spawn another worker.
//!
//! # Exit in a task
//! A thread that calls `exit` never returns to its task. The worker keeps a weak reference to the task, by which its future
//! is abandoned.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use super::state::{
    Blocked, Deferred, DeferredAction, NextAction, POOL, PoolInner, PoolState, fail_with_deadlock,
};
use super::task::{LimitedQueue, QueuedTask, RunObserver, Task};
use crate::future::{self, FutureError, WorkerContext};
use crate::raw::{Guarded, Waiter};
use crate::rt::{self, HeldToken, Kind, Op, ThreadRecord};
use crate::sys::spin::SpinBudget;
use crate::thread::{self, SpawnError, guarded, run_unnested};
use crate::timer::{self, Retry};

/// Performs the actions that were decided under the lock. Returns whether all workers could be spawned.
#[inline]
pub(super) fn perform(shared: &Arc<PoolInner>, deferred: Deferred) -> bool {
    if deferred.spawn > 0 || deferred.keep_alive.is_some() || !deferred.actions.is_empty() {
        perform_actions(shared, deferred)
    } else {
        true
    }
}

fn perform_actions(shared: &Arc<PoolInner>, deferred: Deferred) -> bool {
    for action in deferred.actions {
        match action {
            DeferredAction::Fail(waiter, waits) => fail_with_deadlock(shared.pool_id, &waiter, &waits),
            DeferredAction::Notify(waiter, outcome) => waiter.notify(outcome),
            DeferredAction::Refuse(task, error) => guarded("refusing a task", || task.refuse(error)),
            DeferredAction::Cancel(task) => guarded("cancelling a task", || task.cancel()),
        }
    }
    drop(deferred.keep_alive); // after user code: the program may end now
    let mut all_spawned = true;
    for _ in 0..deferred.spawn {
        if let Err((error, tasks)) = spawn(shared, None) {
            all_spawned = false;
            refuse_tasks(tasks, &Arc::new(shared.spawn_error(error)));
        }
    }
    all_spawned
}

/// Refuses tasks that no worker will run.
pub(super) fn refuse_tasks(tasks: Vec<QueuedTask>, error: &Arc<SpawnError<()>>) {
    for task in tasks {
        guarded("refusing a task", || task.refuse(FutureError::Spawn(error.clone())));
    }
}

/// Spawns a worker that is counted already.
///
/// On failure, returns the tasks that will not be run. If there is no worker at all, the one at the address `own`, that of
/// the calling thread, is among them.
pub(super) fn spawn(shared: &Arc<PoolInner>, own: Option<usize>) -> Result<(), (io::Error, Vec<QueuedTask>)> {
    let Err(error) = start(shared) else { return Ok(()) };
    let retries = timer::start_service().is_ok();
    let mut deferred = Deferred::default();
    let mut state = shared.lock_all();
    let already_failing = state.spawn_failing_since.is_some();
    let refused = state.spawn_failed(retries, own, &mut deferred);
    let (spawn_failing_since, alone) = (state.spawn_failing_since.is_some(), state.workers == 0);
    shared.publish_hints(&mut state);
    drop(state);
    perform(shared, deferred);
    if spawn_failing_since {
        let retry: Weak<PoolInner> = Arc::downgrade(shared);
        timer::retry_for(retry);
        if alone && !already_failing {
            thread::report_shortage(&format!("pool \"{}\"", shared.prefix), &error);
        }
    }
    Err((error, refused))
}

impl Retry for PoolInner {
    fn retry(self: Arc<Self>) -> bool {
        let mut state = self.lock_all();
        let again = state.begin_retry(self.finishing());
        self.publish_hints(&mut state);
        drop(state);
        if !again {
            return false;
        }
        let started = start(&self).is_ok();
        let mut deferred = Deferred::default();
        let mut state = self.lock_all();
        if started {
            state.spawn_succeeded(self.finishing(), &mut deferred);
        } else {
            let refused = state.spawn_failed(true, None, &mut deferred);
            debug_assert!(refused.is_empty(), "tasks are not refused while the timer service retries");
        }
        let spawn_failing_since = state.spawn_failing_since.is_some();
        self.publish_hints(&mut state);
        drop(state);
        perform(&self, deferred);
        spawn_failing_since
    }
}

/// Starts the thread of a worker that is counted already.
fn start(shared: &Arc<PoolInner>) -> io::Result<()> {
    let name = format!("{}_{}", shared.prefix, shared.named.fetch_add(1, Relaxed));
    // A daemon: the keep-alive token of the pool makes the program wait for its tasks.
    let record = ThreadRecord::new(&name, true, false);
    record.daemon_default.store(shared.daemon_default, Relaxed);
    let worker = Arc::new(Worker {
        shared: shared.clone(),
        current: Guarded::new(None),
        has_current: AtomicBool::new(false),
        nested: Guarded::new(Vec::new()),
        phase: AtomicU32::new(STARTING),
        finishing: AtomicBool::new(false),
    });
    record.set_token(worker.clone());
    thread::launch(&record, shared.stack_size, Box::new(move || worker.run()))
}

/// Runs a waiting task inside the task of the calling thread, if that thread is a worker of the pool.
pub(super) fn run_inline(shared: &PoolInner, task: &Arc<dyn Task>) {
    /// The worker stays busy with the outer task.
    struct Nested;
    impl RunObserver for Nested {
        fn about_to_settle(&self) {}
        fn user_code_follows(&self) {}
    }
    if let Some(worker) = future::worker_of(shared.pool_id)
        && !shared.is_inherited()
        && let Ok(worker) = worker.as_any().downcast::<Worker>()
    {
        worker.nested.lock().push(task.clone());
        guarded("running a task", || task.clone().run(&Nested));
        let done = worker.nested.lock().pop();
        drop(done); // after the release of the lock
        future::note_stale(); // the task queue still holds it
    }
}

impl LimitedQueue for PoolInner {
    fn space_available(self: Arc<Self>) {
        if self.is_inherited() {
            return;
        }
        let mut deferred = Deferred::default();
        let mut state = self.lock_all();
        if !state.blocked_submits.is_empty() {
            state.remove_stale(&mut deferred);
            state.wake_or_spawn(self.finishing(), &mut deferred);
        }
        self.publish_hints(&mut state);
        drop(state);
        perform(&self, deferred);
    }
}

// Phases of a worker.
const STARTING: u32 = 0;
/// Has a task, and is counted as busy.
const WORKING: u32 = 1;
/// Has no task: dequeues one, spins or parks.
const IDLE: u32 = 3;
/// Dequeues no more tasks, and is not counted as a worker.
const GONE: u32 = 2;

/// A worker of a pool.
struct Worker {
    shared: Arc<PoolInner>,
    /// The task that it runs, to be abandoned if the task calls `exit`. A weak reference, which keeps no result alive.
    current: Guarded<Option<Weak<dyn Task>>>,
    /// Whether `current` is set. Used by the worker alone.
    has_current: AtomicBool,
    /// The tasks of scopes that it runs inside of `current`.
    nested: Guarded<Vec<Arc<dyn Task>>>,
    /// Changed under the pool's lock.
    phase: AtomicU32,
    /// Whether it is counted as about to be free.
    finishing: AtomicBool,
}

impl Worker {
    fn run(self: Arc<Self>) {
        let _context = future::enter_worker(self.shared.pool_id, self.clone());
        if !self.initialize() {
            return;
        }
        while let Some(task) = self.next() {
            // The last reference drops the result of the task, whose destructor may panic.
            guarded("running a task", || task.run(&*self));
        }
    }

    /// Runs the pool's initializer. Returns whether it succeeded; otherwise the pool is broken.
    fn initialize(&self) -> bool {
        let Some(initializer) = &self.shared.initializer else { return true };
        let Err(payload) = catch_unwind(AssertUnwindSafe(initializer)) else { return true };
        let (name, message) = (rt::record().name(), thread::message(&*payload));
        self.mark_pool_broken(&format!("its initializer panicked in thread \"{name}\": {message}"));
        thread::dispose(payload);
        false
    }

    fn mark_pool_broken(&self, reason: &str) {
        self.change(|state, deferred| {
            self.leave(state);
            state.mark_broken(&reason.into(), deferred);
        });
    }

    /// Returns the next task, blocking until there is one, or `None` if the worker must terminate.
    fn next(&self) -> Option<QueuedTask> {
        let shared = &self.shared;
        if shared.is_inherited() {
            return None; // the last task forked, and this is the child
        }
        let op = Op::new(&**shared, POOL, Kind::Get).with_verb("takes a task from");
        rt::point(op);
        let mut spin = SpinBudget::new();
        let mut state = shared.state.lock();
        self.return_for_task(&mut state);
        loop {
            let mut deferred = Deferred::default();
            if !shared.finds_task(&mut state, &mut spin) {
                shared.close_injector(&mut state);
            }
            let action = state.next_action(spin.has_rounds(), &mut deferred);
            state.wake_or_spawn(shared.finishing(), &mut deferred);
            match &action {
                // The keep-alive token is held, because the next task may be about to arrive.
                NextAction::Spin => {}
                NextAction::Park(_) => state.release_finished(&mut deferred),
                NextAction::Run(_) => {
                    self.phase.store(WORKING, Relaxed);
                    state.release_finished(&mut deferred);
                }
                NextAction::Exit => {
                    self.phase.store(GONE, Relaxed);
                    state.release_finished(&mut deferred);
                }
            }
            shared.publish_hints(&mut state);
            drop(state);
            perform(shared, deferred);
            self.set_current(&action);
            match action {
                NextAction::Run(task) => return Some(task),
                NextAction::Exit => return None,
                NextAction::Park(waiter) => {
                    waiter.wait(op, None);
                    state = shared.state.lock();
                    state.waking -= 1;
                }
                NextAction::Spin => {
                    shared.spin_for_task(&mut spin);
                    state = shared.state.lock();
                    state.spinning -= 1;
                }
            }
        }
    }

    /// Notes the task that the worker runs.
    fn set_current(&self, action: &NextAction) {
        let task = if let NextAction::Run(QueuedTask::Task(task)) = action {
            Some(Arc::downgrade(task))
        } else {
            None
        };
        if task.is_some() || self.has_current.load(Relaxed) {
            self.has_current.store(task.is_some(), Relaxed);
            let before = std::mem::replace(&mut *self.current.lock(), task);
            drop(before); // after the release of the lock: this may free the previous task
        }
    }

    /// Counts the worker as free: it has finished its task.
    fn return_for_task(&self, state: &mut PoolState) {
        if self.phase.load(Relaxed) == STARTING {
            state.starting -= 1;
        } else {
            state.busy -= 1;
        }
        self.phase.store(IDLE, Relaxed);
        self.stop_finishing();
    }

    /// Stops counting the worker.
    fn leave(&self, state: &mut PoolState) {
        match self.phase.swap(GONE, Relaxed) {
            STARTING => state.starting -= 1,
            WORKING => state.busy -= 1,
            // A scheduler unwound it while it had no task, as it does with the threads of a terminated program.
            IDLE => {}
            _ => return,
        }
        state.workers -= 1;
        self.stop_finishing();
    }

    fn stop_finishing(&self) -> bool {
        let finishing = self.finishing.load(Relaxed);
        if finishing {
            self.finishing.store(false, Relaxed);
            self.shared.end_finishing();
        }
        finishing
    }

    /// Changes the state and performs the deferred actions.
    fn change(&self, change: impl FnOnce(&mut PoolState, &mut Deferred)) {
        if self.shared.is_inherited() {
            return;
        }
        let mut deferred = Deferred::default();
        let mut state = self.shared.lock_all();
        change(&mut state, &mut deferred);
        self.shared.publish_hints(&mut state);
        drop(state);
        perform(&self.shared, deferred);
    }
}

impl RunObserver for Worker {
    fn about_to_settle(&self) {
        if self.shared.begin_finishing() {
            self.finishing.store(true, Relaxed);
        }
    }

    fn user_code_follows(&self) {
        if self.stop_finishing() {
            // A task may have been enqueued for this worker.
            self.change(|state, deferred| state.wake_or_spawn(self.shared.finishing(), deferred));
        }
    }
}

impl WorkerContext for Worker {
    fn block(&self, waiter: &Arc<Waiter>, op: Op, task: usize) {
        let worker = rt::ident();
        self.change(|state, deferred| {
            state.blocked.push(Blocked { waiter: waiter.clone(), worker, op: op.on_behalf(), task });
            state.resolve_deadlock(deferred);
        });
    }

    fn unblock(&self, waiter: &Arc<Waiter>) {
        if self.shared.is_inherited() {
            return;
        }
        self.shared.state.lock().blocked.retain(|blocked| !Arc::ptr_eq(&blocked.waiter, waiter));
    }

    fn runs(&self, address: usize) -> bool {
        let is = |task: *const dyn Task| task.cast::<()>() as usize == address;
        let outer = self.current.lock().as_ref().is_some_and(|task| is(task.as_ptr()));
        outer || self.nested.lock().iter().any(|task| is(Arc::as_ptr(task)))
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl HeldToken for Worker {
    /// Called when the thread has terminated, or has called `exit` in a task and will never return to it.
    fn abandon(&self) {
        // In a thread that called `exit`, a frame that is never unwound holds the task, so the weak reference is valid.
        let current = self.current.lock().take();
        let outer = current.and_then(|task| task.upgrade());
        let nested = std::mem::take(&mut *self.nested.lock());
        for task in outer.into_iter().chain(nested) {
            run_unnested(|| guarded("a task that called exit", || task.abandon())); // the frames of the thread are never unwound
        }
        self.change(|state, deferred| {
            state.alive -= 1;
            let phase = self.phase.load(Relaxed);
            self.leave(state);
            if phase == STARTING {
                state.mark_broken(&"its initializer ended the thread".into(), deferred);
            }
            if phase != GONE {
                state.wake_or_spawn(self.shared.finishing(), deferred);
                state.resolve_deadlock(deferred);
            }
            state.release_finished(deferred);
        });
    }
}
