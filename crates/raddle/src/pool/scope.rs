//! Scopes of a pool, whose tasks may borrow from the caller.
//!
//! # Safety argument
//! A task of a scope is a closure with its lifetime erased. Each closure is paired with a [`TaskToken`], which is dropped
//! after the closure, and [`scope`](ThreadPoolExecutor::scope) returns or unwinds only when every token has been dropped. So
//! no closure, and nothing that it borrows, is used after the scope. If a thread calls `exit` in a task, its frames are never
//! unwound, and the scope never returns.
//!
//! # Progress
//! If the thread of a scope is a worker of the pool, it runs tasks of the scope that no other worker has started, instead of
//! blocking a worker that they might need.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use super::error::Refusal;
use super::executor::{SubmitWait, ThreadPoolExecutor, enqueue, queue};
use super::state::{POOL, PoolInner, SUBMITS};
use super::task::{Task, TaskBody};
use super::task_queue::Priority;
use super::worker::run_inline;
use crate::erase::erase;
use crate::future::{self, Future, FutureCore, FutureError, NO_TASK, SETTLED};
use crate::raw::{Guard, Guarded, Waiter};
use crate::rt::{self, Kind, Object, Op};
use crate::thread::drop_guarded;

impl ThreadPoolExecutor {
    /// Calls `f` with a scope, in which it can submit tasks that borrow, and blocks until all of these tasks are done.
    ///
    /// In a worker of the pool, the calling thread itself runs tasks that no other worker has started, so scopes can be
    /// nested to any depth in a pool of any size.
    ///
    /// If a task calls [`std::process::exit`], this never returns, since the borrows of the task must remain valid until the
    /// process terminates.
    ///
    /// # Panics
    /// Panics with the panic of `f`, after the tasks are done. If `f` returns, panics with the payload of the first task, in
    /// the order of submission, that panicked and whose [`ScopedFuture`] was not observed. Panics of further tasks are
    /// reported to the [excepthook](crate::thread::set_excepthook). Also panics if a task was not run and its future was not
    /// observed.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2);
    /// let mut data = [1, 2, 3, 4];
    /// pool.scope(|s| {
    ///     for chunk in data.chunks_mut(2) {
    ///         s.submit(|| chunk.reverse());
    ///     }
    /// });
    /// assert_eq!(data, [2, 1, 4, 3]);
    /// ```
    #[track_caller]
    pub fn scope<'env, F, R>(&self, f: F) -> R
    where
        F: for<'scope> FnOnce(&'scope TaskScope<'scope, 'env>) -> R,
    {
        let op = Op::new(&*self.shared, POOL, Kind::Wait).with_verb("waits for the tasks of its scope in");
        let scope = TaskScope {
            shared: self.shared.clone(),
            counter: Arc::new(ScopeCounter::default()),
            is_worker: future::worker_of(self.shared.pool_id).is_some(),
            tasks: Guarded::new(ScopeTasks::default()),
            lives: PhantomData,
        };
        let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        // A scheduler may unwind the wait, but as long as a task runs it borrows from the caller.
        let mut unwound = Vec::new(); // dropped later, since a destructor may panic as well
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| scope.finish(op))) {
            unwound.push(payload);
        }
        match (result, unwound.pop()) {
            (Err(payload), _) => resume_unwind(payload),
            (Ok(value), Some(payload)) => {
                drop_guarded(RETURNED, value); // not while unwinding, where a panic of the destructor would abort
                resume_unwind(payload)
            }
            (Ok(value), None) => match scope.unobserved_failure(op) {
                None => value,
                Some(error) => {
                    drop_guarded(RETURNED, value);
                    match error {
                        FutureError::Panicked(panic) => panic.resume_unwind(),
                        error => panic!("a task of a scope failed: {error}"),
                    }
                }
            },
        }
    }
}

const RETURNED: &str = "the destructor of what a scope's function returned";

/// Submits tasks that borrow from outside of the scope; see [`ThreadPoolExecutor::scope`].
///
/// # Examples
/// A function that submits tasks of its caller's scope:
///
/// ```
/// use raddle::ThreadPoolExecutor;
/// use raddle::pool::TaskScope;
///
/// fn double_all<'scope>(s: &'scope TaskScope<'scope, '_>, numbers: &'scope mut [u32]) {
///     for number in numbers {
///         s.submit(|| *number *= 2);
///     }
/// }
///
/// let mut numbers = [1, 2, 3];
/// ThreadPoolExecutor::new(2).scope(|s| double_all(s, &mut numbers));
/// assert_eq!(numbers, [2, 4, 6]);
/// ```
pub struct TaskScope<'scope, 'env: 'scope> {
    shared: Arc<PoolInner>,
    counter: Arc<ScopeCounter>,
    /// Whether the thread of the scope is a worker of the pool, which runs tasks instead of waiting for them.
    is_worker: bool,
    tasks: Guarded<ScopeTasks>,
    /// Both lifetimes are invariant; otherwise the borrows of a task might not outlive the scope.
    lives: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
}

#[derive(Default)]
struct ScopeTasks {
    /// The futures whose failure may have to be reported.
    futures: Vec<Future<()>>,
    /// At this length, futures that succeeded are dropped.
    prune_at: usize,
    /// The tasks that the thread of the scope can run, if it is a worker.
    runnable: VecDeque<Arc<dyn Task>>,
}

impl<'scope> TaskScope<'scope, '_> {
    /// Submits a task and returns its future.
    ///
    /// The scope waits for the task even if the future is dropped. If the task queue is full, blocks until there is space;
    /// a worker of the pool runs the task at once instead.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// let (pool, text) = (ThreadPoolExecutor::new(2), String::from("one two"));
    /// let words = pool.scope(|s| {
    ///     let words = s.submit(|| text.split(' ').count()); // borrows `text`
    ///     words.result()
    /// });
    /// assert_eq!(words, Ok(2));
    /// ```
    #[track_caller]
    pub fn submit<F, T>(&'scope self, task: F) -> ScopedFuture<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let op = Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS);
        let value = SlotRef(Arc::new(ResultSlot(Guarded::new(Stored::NotYet))));
        let slot = SlotRef(value.0.clone());
        let run: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            let result = task();
            *slot.0.0.lock() = Stored::Value(result);
            drop(slot);
        });
        // SAFETY: the closure and all that it owns are dropped before the token is: a scoped task drops the closure, run
        // or not, before the token. `scope` does not return before every token has been dropped, and never if a thread
        // called `exit` in a closure, whose frame, and what it borrows, remains.
        #[expect(unsafe_code, reason = "the scope waits for the task")]
        let run = unsafe { erase(run) };
        let token = TaskToken::new(&self.counter);
        let lost = token.lost_task();
        let scoped_task = ScopedTask { run, token };
        let core = Arc::new(FutureCore::new(
            self.shared.pool_id,
            TaskBody::<_, false>::new(move || scoped_task.run(), queue(&self.shared)),
        ));
        rt::created(Object::of(&*core, "Future"), op.at);
        let done = Future::of(core.clone());
        done.add_done_callback(move |done| {
            if let Some(FutureError::Abandoned) = done.core().peek_failure() {
                lost.report();
            }
        });
        self.remember(&done, &core);
        self.enqueue(core.clone(), op);
        ScopedFuture { shared: self.shared.clone(), task: core, done, value, scope: PhantomData }
    }

    fn enqueue(&self, task: Arc<dyn Task>, op: Op) {
        let own = future::worker_of(self.shared.pool_id).is_some();
        let wait = if own { SubmitWait::Never } else { SubmitWait::Until(None) };
        match enqueue(&self.shared, task.clone(), Priority(0), wait, op) {
            Ok(()) => {}
            Err(Refusal::Full) => run_inline(&self.shared, &task),
            Err(refusal) => task.refuse(refusal.into()),
        }
    }

    fn remember(&self, done: &Future<()>, task: &Arc<impl Task + 'static>) {
        let mut tasks = self.tasks.lock();
        tasks.futures.push(done.clone());
        if self.is_worker {
            tasks.runnable.push_back(task.clone());
        }
        if tasks.futures.len() >= tasks.prune_at.max(1024) {
            let all = std::mem::take(&mut tasks.futures);
            drop(tasks);
            let unfinished: Vec<_> = all.into_iter().filter(|done| !succeeded(done)).collect();
            let mut tasks = self.tasks.lock();
            tasks.prune_at = 2 * unfinished.len();
            tasks.futures.extend(unfinished);
        }
        self.counter.notify_new_task();
    }

    /// Blocks until all tasks are done. A worker runs those that wait.
    fn finish(&self, op: Op) {
        rt::point(op);
        loop {
            let next = || self.tasks.lock().runnable.pop_front();
            while let Some(task) = next() {
                run_inline(&self.shared, &task);
            }
            if self.counter.wait(self.shared.pool_id, op) {
                return;
            }
        }
    }

    /// Returns the first failure that was not observed.
    fn unobserved_failure(&self, op: Op) -> Option<FutureError> {
        let futures = std::mem::take(&mut self.tasks.lock().futures);
        let mut failures = futures.iter().filter_map(|done| {
            // The closure has been dropped; the future is settled a moment later.
            let _settled = done.core().wait(op, None, future::settled);
            done.core().unseen_failure()
        });
        failures.next()
    }
}

fn succeeded(done: &Future<()>) -> bool {
    done.core().is(future::settled) && done.core().peek_failure().is_none()
}

// As `std::thread::Scope`.
impl RefUnwindSafe for TaskScope<'_, '_> {}

impl fmt::Debug for TaskScope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.counter, "pool scope", Kind::Read));
        f.debug_struct("TaskScope").field("unfinished", &self.counter.count()).finish_non_exhaustive()
    }
}

/// The closure of a scoped task and its token. The fields are dropped in this order.
struct ScopedTask {
    run: Box<dyn FnOnce() + Send>,
    token: TaskToken,
}

impl ScopedTask {
    fn run(self) {
        let Self { run, token } = self;
        run();
        drop(token); // last, on a panic as well
    }
}

/// The result of a task.
struct ResultSlot<T>(Guarded<Stored<T>>);

enum Stored<T> {
    NotYet,
    Value(T),
    Taken,
}

impl<T> Drop for ResultSlot<T> {
    fn drop(&mut self) {
        let stored = std::mem::replace(self.0.get_mut(), Stored::Taken);
        drop_guarded("the destructor of an unused result", stored);
    }
}

/// A reference to the result: that of the closure, or that of the future. The last one drops a result that was not
/// taken, so dropping it is a step.
struct SlotRef<T>(Arc<ResultSlot<T>>);

impl<T> Drop for SlotRef<T> {
    fn drop(&mut self) {
        if needs_drop::<T>() && !rt::quiet() && !matches!(*self.0.0.lock(), Stored::Taken) {
            rt::point(Op::new(&*self.0, "result", Kind::Write).with_verb("drops its reference to"));
        }
    }
}

/// The future of a task of a scope.
///
/// # Examples
/// ```
/// use raddle::ThreadPoolExecutor;
///
/// let (pool, words) = (ThreadPoolExecutor::new(2), ["a", "bb", "ccc"]);
/// let longest = pool.scope(|s| {
///     let lengths = words.each_ref().map(|word| s.submit(|| word.len()));
///     lengths.iter().map(|length| length.result().unwrap()).max()
/// });
/// assert_eq!(longest, Some(3));
/// ```
pub struct ScopedFuture<'scope, T> {
    shared: Arc<PoolInner>,
    task: Arc<dyn Task>,
    done: Future<()>,
    value: SlotRef<T>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedFuture<'_, T> {
    /// Blocks until the task is done and takes its result.
    ///
    /// The first call gets the result. A worker of the pool runs the task itself if no other worker has started it.
    ///
    /// # Errors
    /// As [`Future::result`].
    ///
    /// # Examples
    /// See [`TaskScope::submit`].
    #[track_caller]
    pub fn result(&self) -> Result<T, FutureError> {
        run_inline(&self.shared, &self.task);
        self.done.result()?;
        self.take()
    }

    /// Blocks for at most `timeout` until the task is done, and takes its result.
    ///
    /// # Errors
    /// As [`Future::result_timeout`].
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    /// use std::time::Duration;
    ///
    /// let answer = ThreadPoolExecutor::new(1).scope(|s| s.submit(|| 42).result_timeout(Duration::MAX));
    /// assert_eq!(answer, Ok(42));
    /// ```
    #[track_caller]
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, FutureError> {
        self.done.result_timeout(timeout)?;
        self.take()
    }

    /// Takes the result if the task is done. Never blocks.
    ///
    /// # Errors
    /// As [`Future::try_result`].
    ///
    /// # Examples
    /// ```
    /// use raddle::future::FutureError;
    /// use raddle::{Event, ThreadPoolExecutor};
    ///
    /// let done = Event::new();
    /// ThreadPoolExecutor::new(1).scope(|s| {
    ///     let waits = s.submit(|| done.wait());
    ///     assert_eq!(waits.try_result(), Err(FutureError::NotDone));
    ///     done.set();
    /// });
    /// ```
    #[track_caller]
    pub fn try_result(&self) -> Result<T, FutureError> {
        self.done.try_result()?;
        self.take()
    }

    /// Returns whether the task is done.
    ///
    /// # Examples
    /// ```
    /// use raddle::ThreadPoolExecutor;
    ///
    /// ThreadPoolExecutor::new(1).scope(|s| {
    ///     let task = s.submit(|| ());
    ///     task.result().unwrap();
    ///     assert!(task.done());
    /// });
    /// ```
    #[track_caller]
    pub fn done(&self) -> bool {
        self.done.done()
    }

    /// Cancels the task if it has not started. Returns whether it is cancelled.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Event, ThreadPoolExecutor};
    ///
    /// let done = Event::new();
    /// ThreadPoolExecutor::new(1).scope(|s| {
    ///     s.submit(|| done.wait()); // keeps the only worker busy
    ///     assert!(s.submit(|| unreachable!()).cancel());
    ///     done.set();
    /// });
    /// ```
    #[track_caller]
    pub fn cancel(&self) -> bool {
        let cancelled = self.done.cancel();
        if cancelled {
            let _observed = self.done.core().unseen_failure(); // so that the end of the scope does not panic
        }
        cancelled
    }

    fn take(&self) -> Result<T, FutureError> {
        let mut stored = self.value.0.0.lock();
        if !matches!(*stored, Stored::Value(_)) {
            return Err(FutureError::Taken);
        }
        match std::mem::replace(&mut *stored, Stored::Taken) {
            Stored::Value(value) => Ok(value),
            Stored::NotYet | Stored::Taken => unreachable!("it is a value"),
        }
    }
}

// A future is settled in one step.
impl<T> UnwindSafe for ScopedFuture<'_, T> {}
impl<T> RefUnwindSafe for ScopedFuture<'_, T> {}

impl<T> fmt::Debug for ScopedFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedFuture").field(&self.done).finish()
    }
}

/// Counts the closures of a scope that have not been dropped.
struct ScopeCounter(Guarded<ScopeCounts>);

#[derive(Default)]
struct ScopeCounts {
    /// The number of tokens.
    unfinished: usize,
    /// The process of the tokens, as a number of forks. A forked child does not have the threads that have the tokens.
    process: u32,
    /// A task was submitted, which the thread of the scope may run.
    task_added: bool,
    /// A thread called `exit` in a task, whose borrows must remain valid until the process terminates.
    lost: bool,
    /// The thread of the scope, if it waits.
    waiter: Option<Arc<Waiter>>,
}

impl Default for ScopeCounter {
    fn default() -> Self {
        Self(Guarded::new(ScopeCounts::default()))
    }
}

impl ScopeCounter {
    /// Acquires the lock; in a forked child, with empty counts.
    fn lock(&self) -> Guard<'_, ScopeCounts> {
        let mut counts = self.0.lock();
        if counts.process != rt::forks() {
            *counts = ScopeCounts { process: rt::forks(), ..ScopeCounts::default() };
        }
        counts
    }

    fn count(&self) -> usize {
        self.lock().unfinished
    }

    /// Blocks until every token has been dropped or a task is submitted. Returns whether every token has been dropped.
    ///
    /// Never returns once a task has called `exit`: its frames may lend their borrows to other threads.
    fn wait(&self, pool_id: u64, op: Op) -> bool {
        let mut counts = self.lock();
        if counts.lost {
            drop(counts);
            rt::block_forever();
        }
        if counts.unfinished == 0 || std::mem::take(&mut counts.task_added) {
            return counts.unfinished == 0;
        }
        let waiter = counts.waiter.insert(Waiter::new(0)).clone();
        drop(counts);
        let worker = future::worker_of(pool_id);
        if let Some(worker) = &worker {
            worker.block(&waiter, op, NO_TASK);
        }
        waiter.wait(op, None);
        if let Some(worker) = &worker {
            worker.unblock(&waiter);
        }
        let counts = self.lock();
        counts.unfinished == 0 && !counts.lost
    }

    /// Wakes the thread of the scope for a task that was submitted.
    fn notify_new_task(&self) {
        let mut counts = self.lock();
        counts.task_added = true;
        let waiter = counts.waiter.take();
        drop(counts);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }

    fn finish_one(&self) {
        let mut counts = self.lock();
        counts.unfinished -= 1;
        let waiter = if counts.unfinished == 0 { counts.waiter.take() } else { None };
        drop(counts);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }

    fn mark_lost(&self) {
        let mut counts = self.lock();
        counts.lost = true;
        let waiter = counts.waiter.take();
        drop(counts);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }
}

/// Represents a closure of a scope. Dropped after the closure.
struct TaskToken {
    counter: Arc<ScopeCounter>,
    process: u32,
    /// Whether the token has been dropped.
    done: Arc<AtomicBool>,
}

impl TaskToken {
    fn new(counter: &Arc<ScopeCounter>) -> Self {
        let mut counts = counter.lock();
        counts.unfinished += 1;
        Self { counter: counter.clone(), process: counts.process, done: Arc::default() }
    }

    /// Returns the handle that marks the task as lost if its thread calls `exit`.
    fn lost_task(&self) -> LostTask {
        LostTask { counter: self.counter.clone(), done: self.done.clone() }
    }
}

impl Drop for TaskToken {
    fn drop(&mut self) {
        self.done.store(true, Release);
        if self.process == rt::forks() {
            self.counter.finish_one();
        }
    }
}

/// Marks the task of a thread that called `exit` as lost.
struct LostTask {
    counter: Arc<ScopeCounter>,
    done: Arc<AtomicBool>,
}

impl LostTask {
    /// Marks the task as lost, unless its closure has been dropped.
    ///
    /// A scheduler may unwind a thread that called `exit`. Then nothing is borrowed any more.
    fn report(&self) {
        if !self.done.load(Acquire) {
            self.counter.mark_lost();
        }
    }
}
