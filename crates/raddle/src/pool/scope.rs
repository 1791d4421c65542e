//! Tasks that may borrow from the function that submits them.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use super::error::Refusal;
use super::executor::{Patience, ThreadPoolExecutor, enqueue, queue};
use super::state::{POOL, SUBMITS, Shared};
use super::task::{Slot, Task};
use super::task_queue::Priority;
use super::worker::run_here;
use crate::erase::erase;
use crate::future::{self, Core, Future, FutureError, NOTHING, SETTLED};
use crate::raw::{Guard, Guarded, Waiter};
use crate::rt::{self, Kind, Object, Op};
use crate::thread::drop_guarded;

impl ThreadPoolExecutor {
    /// Runs `f`, which can submit tasks that borrow from outside, and returns when all of them are over.
    ///
    /// Called in one of the pool's own workers, the caller runs tasks that no other worker has taken, so scopes can
    /// be nested to any depth in a pool of any size.
    ///
    /// If a task calls `std::process::exit`, this never returns: what the task borrowed must stay as long as the
    /// program does.
    ///
    /// # Panics
    /// With the panic of `f`, after the tasks are over. If `f` returned, with the panic of the first task, in the order of
    /// submission, that panicked and at whose [`ScopedFuture`] nobody looked; its payload is the task's own. Panics
    /// of further tasks are reported to the [excepthook](crate::thread::set_excepthook). A task that was not run, and
    /// at whose future nobody looked, is a panic that says why.
    ///
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
            tally: Arc::new(Tally::default()),
            helps: future::crew_of(self.shared.home).is_some(),
            tasks: Guarded::new(Tasks::default()),
            lives: PhantomData,
        };
        let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        // A scheduler may throw out of the wait, but as long as a task runs it borrows from the caller.
        let mut thrown = Vec::new(); // to be dropped later, which may throw, too
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| scope.finish(op))) {
            thrown.push(payload);
        }
        match (result, thrown.pop()) {
            (Err(payload), _) => resume_unwind(payload),
            (Ok(value), Some(payload)) => {
                drop_guarded(RETURNED, value); // not while it unwinds, where a panic of the destructor would abort
                resume_unwind(payload)
            }
            (Ok(value), None) => match scope.unseen_failure(op) {
                None => value,
                Some(error) => {
                    drop_guarded(RETURNED, value);
                    match error {
                        FutureError::Panicked(panic) => panic.resume_unwind(),
                        error => panic!("a scoped task failed: {error}"),
                    }
                }
            },
        }
    }
}

const RETURNED: &str = "the destructor of what a scope's function returned";

/// Where tasks that borrow are submitted; see [`ThreadPoolExecutor::scope`].
pub struct TaskScope<'scope, 'env: 'scope> {
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    /// The thread of the scope is a worker of the pool, and runs tasks instead of waiting for them.
    helps: bool,
    tasks: Guarded<Tasks>,
    /// Neither lifetime may shrink or grow: what a task borrows would not outlive the scope.
    lives: PhantomData<(&'scope mut &'scope (), &'env mut &'env ())>,
}

#[derive(Default)]
struct Tasks {
    /// All whose failure may have to be told.
    futures: Vec<Future<()>>,
    /// At this length, those that are over and well are dropped.
    prune_at: usize,
    /// What the thread of the scope can run, if it helps.
    to_do: VecDeque<Arc<dyn Task>>,
}

impl<'scope> TaskScope<'scope, '_> {
    /// Has `task` run by the pool. The future may be dropped: the scope waits for the task in any case.
    ///
    /// While as many tasks wait as the pool's queue limit allows, it waits, in line with others; a worker of
    /// the pool runs the task itself instead.
    #[track_caller]
    pub fn submit<F, T>(&'scope self, task: F) -> ScopedFuture<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let op = Op::new(&*self.shared, POOL, Kind::Put).with_verb(SUBMITS);
        let value = Arc::new(Room(Guarded::new(None)));
        let room = value.clone();
        let run: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || {
            let result = task();
            *room.0.lock() = Some(result);
        });
        // SAFETY: the closure and all that it owns are gone when the ticket is given up: the errand drops the
        // closure, run or not, before the ticket. `scope` does not return before every ticket has been given up,
        // and never if a thread called `exit` in a closure: that one's frame, and what it lent, stays.
        #[expect(unsafe_code, reason = "the scope waits for the task")]
        let run = unsafe { erase(run) };
        let ticket = Ticket::new(&self.tally);
        let lost = ticket.lost();
        let errand = Errand { run, ticket };
        let core = Arc::new(Core::new(
            self.shared.home,
            Slot::<_, false>::new(move || errand.run(), queue(&self.shared)),
        ));
        rt::created(Object::of(&*core, "Future"), op.at);
        let done = Future::of(core.clone());
        done.add_done_callback(move |done| {
            if let Some(FutureError::Abandoned) = done.core().peek_failure() {
                lost.tell();
            }
        });
        self.remember(&done, &core);
        self.enqueue(core.clone(), op);
        ScopedFuture { shared: self.shared.clone(), task: core, done, value, scope: PhantomData }
    }

    fn enqueue(&self, task: Arc<dyn Task>, op: Op) {
        let own = future::crew_of(self.shared.home).is_some();
        let patience = if own { Patience::No } else { Patience::Until(None) };
        match enqueue(&self.shared, task.clone(), Priority(0), patience, op) {
            Ok(()) => {}
            Err(Refusal::Full) => run_here(&self.shared, &task),
            Err(refusal) => task.refuse(refusal.into()),
        }
    }

    fn remember(&self, done: &Future<()>, task: &Arc<impl Task + 'static>) {
        let mut tasks = self.tasks.lock();
        tasks.futures.push(done.clone());
        if self.helps {
            tasks.to_do.push_back(task.clone());
        }
        if tasks.futures.len() >= tasks.prune_at.max(1024) {
            let all = std::mem::take(&mut tasks.futures);
            drop(tasks);
            let open: Vec<_> = all.into_iter().filter(|done| !is_over_and_well(done)).collect();
            let mut tasks = self.tasks.lock();
            tasks.prune_at = 2 * open.len();
            tasks.futures.extend(open);
        }
        self.tally.nudge();
    }

    /// Waits until all tasks are over, and runs those that wait if nobody else may be there to do it.
    fn finish(&self, op: Op) {
        rt::point(op);
        loop {
            let next = || self.tasks.lock().to_do.pop_front();
            while let Some(task) = next() {
                run_here(&self.shared, &task);
            }
            if self.tally.wait(self.shared.home, op) {
                return;
            }
        }
    }

    /// A failure that nobody looked at.
    fn unseen_failure(&self, op: Op) -> Option<FutureError> {
        let futures = std::mem::take(&mut self.tasks.lock().futures);
        let mut failures = futures.iter().filter_map(|done| {
            // What the task borrowed is gone; its future is settled a moment later.
            let _settled = done.core().wait(op, None, future::settled);
            done.core().unseen_failure()
        });
        failures.next()
    }
}

fn is_over_and_well(done: &Future<()>) -> bool {
    done.core().is(future::settled) && done.core().peek_failure().is_none()
}

// As a scope of threads.
impl RefUnwindSafe for TaskScope<'_, '_> {}

impl fmt::Debug for TaskScope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(&*self.tally, "pool scope", Kind::Read));
        f.debug_struct("TaskScope").field("unfinished", &self.tally.count()).finish_non_exhaustive()
    }
}

/// What a worker does for a scope; the fields are dropped in this order.
struct Errand {
    run: Box<dyn FnOnce() + Send>,
    ticket: Ticket,
}

impl Errand {
    fn run(self) {
        let Self { run, ticket } = self;
        run();
        drop(ticket); // on a panic, too, it goes last
    }
}

/// Where a task leaves its result.
struct Room<T>(Guarded<Option<T>>);

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        drop_guarded("the destructor of a result that nobody took", self.0.get_mut().take());
    }
}

/// The result of a scope's task.
pub struct ScopedFuture<'scope, T> {
    shared: Arc<Shared>,
    task: Arc<dyn Task>,
    done: Future<()>,
    value: Arc<Room<T>>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedFuture<'_, T> {
    /// Waits until the task is over and takes its result; the first who asks gets it. A worker of the pool runs the
    /// task itself if nobody has taken it.
    ///
    /// # Errors
    /// As for [`Future::result`].
    #[track_caller]
    pub fn result(&self) -> Result<T, FutureError> {
        run_here(&self.shared, &self.task);
        self.done.result()?;
        self.take()
    }

    /// Like [`result`](Self::result), waiting at most `timeout`.
    ///
    /// # Errors
    /// As for [`Future::result_timeout`].
    #[track_caller]
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, FutureError> {
        self.done.result_timeout(timeout)?;
        self.take()
    }

    /// Takes the result if the task is over, without waiting.
    ///
    /// # Errors
    /// As for [`Future::try_result`].
    #[track_caller]
    pub fn try_result(&self) -> Result<T, FutureError> {
        self.done.try_result()?;
        self.take()
    }

    /// Whether the task is over.
    #[track_caller]
    pub fn done(&self) -> bool {
        self.done.done()
    }

    /// Cancels the task if it has not started; says whether it is cancelled now.
    #[track_caller]
    pub fn cancel(&self) -> bool {
        let cancelled = self.done.cancel();
        if cancelled {
            let _seen = self.done.core().unseen_failure(); // it is no surprise at the scope's end
        }
        cancelled
    }

    fn take(&self) -> Result<T, FutureError> {
        self.value.0.lock().take().ok_or(FutureError::Taken)
    }
}

// It is settled in one step.
impl<T> UnwindSafe for ScopedFuture<'_, T> {}
impl<T> RefUnwindSafe for ScopedFuture<'_, T> {}

impl<T> fmt::Debug for ScopedFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedFuture").field(&self.done).finish()
    }
}

/// How many closures of a scope are not gone yet.
pub(super) struct Tally(Guarded<Open>);

#[derive(Default)]
struct Open {
    tickets: usize,
    /// The process whose tickets these are, by its forks: the threads that have those of a parent are not in its child.
    process: u32,
    /// There may be something new to do for the one who waits.
    nudged: bool,
    /// A thread called `exit` in a task: what that borrows must stay as long as the program does.
    lost: bool,
    waiter: Option<Arc<Waiter>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self(Guarded::new(Open::default()))
    }
}

impl Tally {
    fn open(&self) -> Guard<'_, Open> {
        let mut open = self.0.lock();
        if open.process != rt::forks() {
            *open = Open { process: rt::forks(), ..Open::default() };
        }
        open
    }

    pub(super) fn count(&self) -> usize {
        self.open().tickets
    }

    /// Waits until every ticket has been given up, or until nudged; says whether the former holds.
    ///
    /// It never returns once a task is lost in `exit`: the frame that it left may lend what it borrowed to threads
    /// of its own, which go on.
    pub(super) fn wait(&self, home: u64, op: Op) -> bool {
        let mut open = self.open();
        if open.lost {
            drop(open);
            rt::block_forever();
        }
        if open.tickets == 0 || std::mem::take(&mut open.nudged) {
            return open.tickets == 0;
        }
        let waiter = open.waiter.insert(Waiter::new(0)).clone();
        drop(open);
        let crew = future::crew_of(home);
        if let Some(crew) = &crew {
            crew.block(&waiter, NOTHING);
        }
        waiter.wait(op, None);
        if let Some(crew) = &crew {
            crew.unblock(&waiter);
        }
        let open = self.open();
        open.tickets == 0 && !open.lost
    }

    /// There may be something to do for the one who waits.
    pub(super) fn nudge(&self) {
        let mut open = self.open();
        open.nudged = true;
        let waiter = open.waiter.take();
        drop(open);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }

    fn give_up(&self) {
        let mut open = self.open();
        open.tickets -= 1;
        let waiter = if open.tickets == 0 { open.waiter.take() } else { None };
        drop(open);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }

    fn lose(&self) {
        let mut open = self.open();
        open.lost = true;
        let waiter = open.waiter.take();
        drop(open);
        if let Some(waiter) = waiter {
            waiter.notify(SETTLED);
        }
    }
}

/// A closure that is not gone yet. Dropping this gives it up.
pub(super) struct Ticket {
    tally: Arc<Tally>,
    process: u32,
    /// It has been given up.
    done: Arc<AtomicBool>,
}

impl Ticket {
    pub(super) fn new(tally: &Arc<Tally>) -> Self {
        let mut open = tally.open();
        open.tickets += 1;
        Self { tally: tally.clone(), process: open.process, done: Arc::default() }
    }

    /// For the case that the thread with the ticket never proceeds.
    pub(super) fn lost(&self) -> Lost {
        Lost { tally: self.tally.clone(), done: self.done.clone() }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.done.store(true, Release);
        if self.process == rt::forks() {
            self.tally.give_up();
        }
    }
}

/// Says that the holder of a ticket called `exit`.
pub(super) struct Lost {
    tally: Arc<Tally>,
    done: Arc<AtomicBool>,
}

impl Lost {
    /// The task will never be settled by its thread. If its closure is gone all the same, because a scheduler unwound the
    /// thread after that, nothing that it borrowed is still lent.
    pub(super) fn tell(&self) {
        if !self.done.load(Acquire) {
            self.tally.lose();
        }
    }
}
