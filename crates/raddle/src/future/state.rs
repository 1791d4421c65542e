//! What all references to a future share: a word that tells its phase, and under a lock what it came to.
//!
//! # Memory ordering
//! A future is settled under its lock by a release of the word; `done` and every wait acquire the word. So
//! what the task did happens before whatever is done with its result. Starting and cancelling compete for the
//! word by compare-and-swap from `PENDING`: exactly one of them wins, and nobody else leaves that phase.
//! Whoever changes the word otherwise holds the lock, `ASLEEP` included, and who settles a future is the one
//! who started it. So settling needs no compare-and-swap.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::needs_drop;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Instant;

use super::callback::{Listener, Listeners, Watch, shallow, tell};
use super::error::FutureError;
use crate::raw::{Guard, Guarded, Waiter};
use crate::rt::{self, Op, Wait};
use crate::sys::spin::SpinBudget;
use crate::thread::{drop_guarded, guarded};
use crate::watch::report_own_task;

const PENDING: u32 = 0;
const RUNNING: u32 = 1;
/// Settled, but not to be taken just now: somebody looks at the value, or the callbacks have not all seen it.
const LENT: u32 = 2;
const DONE: u32 = 3;
const CANCELLED: u32 = 4;
const PHASE: u32 = 7;
/// Somebody may sleep on the word.
pub(super) const ASLEEP: u32 = 8;

/// What is to be run for a future, until it starts.
pub(crate) trait Work: Send + Sync {
    /// Drops it unrun: the future has been cancelled or refused. A panic of the destructor harms nobody.
    fn discard(&self);
}

impl Work for () {
    fn discard(&self) {}
}

/// The shared state. The work lies in the same allocation, and a [`Handle`] does not know its type.
pub(crate) struct Core<T, W: ?Sized = dyn Work> {
    pub(super) word: AtomicU32,
    /// The pool that runs it, for workers that wait for their own pool.
    pub(super) home: u64,
    pub(super) inner: Guarded<Inner<T>>,
    /// Runs what the future owes to the user's code. A pointer, because only whoever makes the future knows that `T`
    /// borrows nothing, so that this may be put off.
    pub(super) run: fn(Due<T>),
    work: W,
}

pub(crate) type Handle<T> = Arc<Core<T>>;
pub(super) type Callback<T> = Box<dyn FnOnce(&Handle<T>) + Send>;

/// What a future owes to the user's code.
pub(super) enum Due<T> {
    /// The callbacks of a future that has been settled, in their order.
    Callbacks(Handle<T>, Vec<Callback<T>>),
    /// A callback of a future that was settled before it came.
    Late(Handle<T>, Callback<T>),
    /// A value that nobody took is dropped.
    Value(T),
}

/// Runs the user's code, now or soon: see [`depth`](super::depth).
fn run<T: 'static>(due: Due<T>) {
    shallow(move || match due {
        Due::Callbacks(future, callbacks) => {
            for callback in callbacks {
                guarded("a done-callback", || callback(&future));
            }
            future.let_go(); // the value was kept for them
        }
        Due::Late(future, callback) => guarded("a done-callback", || callback(&future)),
        Due::Value(value) => guarded("the destructor of a result that nobody took", || drop(value)),
    });
}

/// Runs the callbacks in order, then lets the value be taken, which was kept for them.
pub(crate) fn call_back<T>(future: &Handle<T>, callbacks: Vec<Callback<T>>) {
    if !callbacks.is_empty() {
        (future.run)(Due::Callbacks(future.clone(), callbacks));
    }
}

pub(super) struct Inner<T> {
    pub(super) outcome: Outcome<T>,
    /// Somebody asked how it went.
    pub(super) looked: bool,
    /// Ident of the thread that runs the callbacks, for which the value is kept meanwhile; otherwise 0.
    pub(super) keeper: u64,
    pub(super) listeners: Listeners<Callback<T>>,
}

pub(super) enum Outcome<T> {
    None,
    Value(T),
    /// The value is in the hands of the thread with this ident, which will bring it back.
    Lent(u64),
    Taken,
    Failed(FutureError),
}

/// What [`Core::take`] found.
pub(super) enum Take<T> {
    Value(T),
    Failed(FutureError),
    NotDone,
    Lent(u64),
}

pub(crate) fn settled(word: u32) -> bool {
    word & PHASE >= LENT
}

pub(super) fn at_rest(word: u32) -> bool {
    word & PHASE >= DONE
}

/// Counts the tasks that were cancelled, or run by somebody else, while a queue held them: unchanged means that no
/// queue holds one that it did not hold before.
static DEAD: AtomicU64 = AtomicU64::new(0);

pub(crate) fn dead() -> u64 {
    DEAD.load(Relaxed)
}

pub(crate) fn note_dead() {
    DEAD.fetch_add(1, Relaxed);
}

impl<T: 'static, W> Core<T, W> {
    pub(crate) fn new(home: u64, work: W) -> Self {
        let inner = Inner { outcome: Outcome::None, looked: false, keeper: 0, listeners: Listeners::NONE };
        Self { word: AtomicU32::new(PENDING), home, inner: Guarded::new(inner), run, work }
    }
}

impl<T, W: ?Sized> Core<T, W> {
    pub(crate) fn home(&self) -> u64 {
        self.home
    }

    pub(crate) fn work(&self) -> &W {
        &self.work
    }

    pub(crate) fn is(&self, what: impl FnOnce(u32) -> bool) -> bool {
        what(self.word.load(Acquire))
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.is(|word| word & PHASE == PENDING)
    }

    pub(super) fn is_running(&self) -> bool {
        self.is(|word| word & PHASE == RUNNING)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.is(|word| word & PHASE == CANCELLED)
    }

    /// Leaves the phase `PENDING` for `phase`, unless somebody else did.
    fn leave_pending(&self, phase: u32) -> Result<u32, u32> {
        self.word.fetch_update(AcqRel, Acquire, |word| (word & PHASE == PENDING).then_some(word | phase))
    }

    /// The work begins; false: it was cancelled, or somebody else began it.
    pub(crate) fn start(&self) -> bool {
        rt::atom(&self.word);
        self.leave_pending(RUNNING).is_ok()
    }

    /// Stores what it came to, wakes who waits, and returns the callbacks; twice is an error.
    ///
    /// A value is kept for the callbacks until [`call_back`](super::after::call_back) has run them.
    pub(crate) fn settle(
        &self,
        result: Result<T, FutureError>,
    ) -> Result<Vec<Callback<T>>, Result<T, FutureError>> {
        let mut inner = self.inner.lock();
        if self.is(settled) {
            return Err(result);
        }
        let failed = result.is_err();
        inner.outcome = result.map_or_else(Outcome::Failed, Outcome::Value);
        if !failed && inner.listeners.all().iter().any(|listener| matches!(listener, Listener::Callback(_))) {
            inner.keeper = rt::ident();
        }
        let phase = inner.phase();
        Ok(self.publish(inner, phase, failed))
    }

    /// The callbacks have seen the value: now it can be taken.
    pub(crate) fn let_go(&self) {
        let mut inner = self.inner.lock();
        if std::mem::take(&mut inner.keeper) != 0 {
            let _none = self.publish(inner, DONE, false); // a settled future has no callbacks left
        }
    }

    /// The outcome is in place: out of the lock, and let everyone know.
    fn publish(&self, mut inner: Guard<'_, Inner<T>>, phase: u32, failed: bool) -> Vec<Callback<T>> {
        let listeners = inner.listeners.take();
        rt::atom(&self.word);
        let before = self.word.load(Relaxed);
        self.word.store(phase, Release);
        drop(inner);
        if before & ASLEEP != 0 {
            rt::wake(&self.word, u32::MAX);
        }
        listeners.map_or_else(Vec::new, |listeners| tell(listeners, failed))
    }

    /// Has `listener` told when the phase is `reached`; gives it back if it is already.
    pub(super) fn listen(
        &self,
        listener: Listener<Callback<T>>,
        reached: fn(u32) -> bool,
    ) -> Result<(), Listener<Callback<T>>> {
        let mut inner = self.inner.lock();
        if self.is(reached) {
            return Err(listener);
        }
        inner.listeners.push(listener);
        Ok(())
    }

    /// Lets a watcher go that was not told.
    pub(super) fn deafen(&self, gone: &Arc<dyn Watch>) {
        let same = |listener: &Listener<_>| match listener {
            Listener::Watch(watch, _) => Arc::ptr_eq(watch, gone),
            _ => false,
        };
        let mut inner = self.inner.lock();
        let listener = inner.listeners.remove(same);
        drop(inner);
        drop(listener); // after the lock is let go
    }

    /// Takes the value, if it is there to be taken; whoever asks has looked.
    pub(super) fn take(&self) -> Take<T> {
        self.inner.lock().take(Outcome::Taken)
    }

    /// Takes the value, which [`give_back`](Core::give_back) will return; until then the word says so.
    pub(super) fn borrow(&self) -> Take<T> {
        let mut inner = self.inner.lock();
        let found = inner.take(Outcome::Lent(rt::ident()));
        if matches!(found, Take::Value(_)) && inner.keeper == 0 {
            rt::atom(&self.word);
            self.word.fetch_sub(DONE - LENT, AcqRel);
        }
        found
    }

    pub(super) fn give_back(&self, value: T) {
        let mut inner = self.inner.lock();
        inner.outcome = Outcome::Value(value);
        let phase = inner.phase();
        // A settled future has no callbacks left, only those who wait for the value.
        let _none = self.publish(inner, phase, false);
    }
}

impl<T> Core<T> {
    /// Cancels it if it has not started; says whether it is cancelled now.
    pub(crate) fn cancel(self: &Arc<Self>) -> bool {
        let mut inner = self.inner.lock();
        rt::atom(&self.word);
        if let Err(word) = self.leave_pending(CANCELLED) {
            return word & PHASE == CANCELLED;
        }
        inner.outcome = Outcome::Failed(FutureError::Cancelled);
        note_dead();
        let callbacks = self.publish(inner, CANCELLED, false);
        self.work.discard();
        call_back(self, callbacks);
        true
    }
}

impl<T> Inner<T> {
    /// The phase of a settled future whose value nobody has in hands.
    fn phase(&self) -> u32 {
        if self.keeper == 0 { DONE } else { LENT }
    }

    fn take(&mut self, leaving: Outcome<T>) -> Take<T> {
        self.looked |= !matches!(self.outcome, Outcome::None);
        match &self.outcome {
            Outcome::Value(_) if self.keeper != 0 && self.keeper != rt::ident() => Take::Lent(self.keeper),
            Outcome::None => Take::NotDone,
            Outcome::Lent(by) => Take::Lent(*by),
            Outcome::Taken => Take::Failed(FutureError::Taken),
            Outcome::Failed(error) => Take::Failed(error.clone()),
            Outcome::Value(_) => match std::mem::replace(&mut self.outcome, leaving) {
                Outcome::Value(value) => Take::Value(value),
                _ => unreachable!("the outcome was a value"),
            },
        }
    }
}

impl<T, W: ?Sized> Drop for Core<T, W> {
    fn drop(&mut self) {
        let inner = self.inner.get_mut();
        if needs_drop::<T>()
            && let Outcome::Value(value) = std::mem::replace(&mut inner.outcome, Outcome::Taken)
        {
            (self.run)(Due::Value(value));
        } else if let Outcome::Failed(error) = &inner.outcome
            && !inner.looked
        {
            error.report_unseen();
        }
        if let Some(listeners) = inner.listeners.take() {
            drop_guarded("the destructor of a done-callback or waker", listeners);
        }
    }
}

impl<T, W: ?Sized> Core<T, W> {
    /// Why there is no value, if it failed; whoever asks has looked.
    pub(super) fn failure(&self) -> Option<FutureError> {
        let mut inner = self.inner.lock();
        inner.looked |= !matches!(inner.outcome, Outcome::None);
        match &inner.outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Why there is no value, if it failed; this is no look.
    pub(crate) fn peek_failure(&self) -> Option<FutureError> {
        match &self.inner.lock().outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// A failure that nobody has looked at, which now somebody has.
    pub(crate) fn unseen_failure(&self) -> Option<FutureError> {
        let mut inner = self.inner.lock();
        if std::mem::replace(&mut inner.looked, true) {
            return None;
        }
        match &inner.outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }
}

impl<T, W: ?Sized> Core<T, W> {
    /// Waits until the phase is `reached`.
    pub(crate) fn wait(
        self: &Arc<Self>,
        op: Op,
        deadline: Option<Instant>,
        reached: fn(u32) -> bool,
    ) -> Result<(), FutureError> {
        self.give_up_if_an_ancestors();
        if deadline.is_none()
            && !self.is(settled)
            && let Some(crew) = crew_of(self.home)
        {
            return self.wait_for_own_pool(&*crew, op);
        }
        rt::point_until(op, deadline, &self.word, || self.is(reached));
        if self.sleep(deadline, reached) { Ok(()) } else { Err(FutureError::TimedOut) }
    }

    /// Settles the future as abandoned if only a thread of an ancestor of this process would.
    pub(super) fn give_up_if_an_ancestors(self: &Arc<Self>) {
        let runs_here = || crew_of(self.home).is_some_and(|crew| crew.runs(self.address()));
        if is_an_ancestors(self.home)
            && !self.is(settled)
            && !runs_here()
            && let Ok(callbacks) = self.settle(Err(FutureError::Abandoned))
        {
            drop_guarded("the destructor of a done-callback", callbacks); // they belong to the ancestor as well
        }
    }

    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).cast::<()>() as usize
    }

    fn sleep(&self, deadline: Option<Instant>, reached: fn(u32) -> bool) -> bool {
        let mut spin = SpinBudget::new();
        loop {
            rt::atom(&self.word);
            let seen = self.word.load(Acquire);
            if reached(seen) {
                return true;
            }
            if spin.spin() {
                continue;
            }
            if seen & ASLEEP == 0 {
                self.will_sleep(reached);
                continue;
            }
            if rt::wait(&self.word, seen, deadline) == Wait::TimedOut {
                return self.is(reached);
            }
        }
    }

    /// Has whoever settles the future wake this thread. The word is settled by a plain store under this lock.
    fn will_sleep(&self, reached: fn(u32) -> bool) {
        let _settling = self.inner.lock();
        if !self.is(reached) {
            self.word.fetch_or(ASLEEP, Relaxed);
        }
    }

    /// Waits in a way that the pool can end, when it sees that no worker is left to bring the result.
    fn wait_for_own_pool(self: &Arc<Self>, crew: &dyn Crew, op: Op) -> Result<(), FutureError> {
        rt::point(op);
        if crew.runs(self.address()) {
            report_own_task();
            return Err(FutureError::Deadlock);
        }
        let waiter = Waiter::new(CAN_FAIL);
        let watch: Arc<dyn Watch> = waiter.clone();
        if self.listen(Listener::Watch(watch.clone(), 0), settled).is_err() {
            return Ok(());
        }
        crew.block(&waiter, self.address());
        waiter.wait(op, None);
        crew.unblock(&waiter);
        if self.is(settled) {
            return Ok(());
        }
        self.deafen(&watch);
        Err(FutureError::Deadlock)
    }
}

/// In [`Waiter::request`]: the wait can be ended by the verdict [`DEADLOCK`](super::listen::DEADLOCK).
pub(crate) const CAN_FAIL: usize = 1;

/// In place of a task's address: the wait is for several, or for what others do.
pub(crate) const NOTHING: usize = 0;
/// In place of a task's address: the wait is for room in the pool's queue.
pub(crate) const ROOM: usize = 1;

/// One worker of a pool, as those see it who wait in its thread.
pub(crate) trait Crew: Send + Sync {
    /// The worker is about to wait without limit for its own pool; the waiter is told if that would never end.
    /// `task` is the address of what it waits for, or one of the constants.
    fn block(&self, waiter: &Arc<Waiter>, task: usize);

    /// The wait is over.
    fn unblock(&self, waiter: &Arc<Waiter>);

    /// Whether the worker runs the task whose future lies at `address`.
    fn runs(&self, address: usize) -> bool;

    /// The worker as its pool knows it.
    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

thread_local! {
    static HOME: Cell<u64> = const { Cell::new(NOWHERE) };
    static CREW: RefCell<Option<Arc<dyn Crew>>> = const { RefCell::new(None) };
}

/// The home of futures that belong to no pool, and of threads that are no workers.
pub(crate) const NOWHERE: u64 = 0;

/// A number for a new pool, which says in its upper bits to which process the pool belongs.
pub(crate) fn new_home() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(NOWHERE + 1);
    u64::from(rt::forks()) << PROCESS | NEXT.fetch_add(1, Relaxed)
}

const PROCESS: u32 = 40;

/// Whether the pool `home` belongs to the process that this one was forked from, or to an earlier one. Then it has no
/// worker here but the one, if any, that called `fork`.
pub(crate) fn is_an_ancestors(home: u64) -> bool {
    home != NOWHERE && home >> PROCESS != u64::from(rt::forks())
}

/// The calling thread works for the pool `home` until the returned value is dropped. It remains one of its threads, which the
/// pool cannot wait for in that thread, until its thread-locals have been dropped.
pub(crate) fn enlist(home: u64, crew: Arc<dyn Crew>) -> Enlisted {
    HOME.set(home);
    rt::record().group.store(home, Relaxed); // for the watch
    CREW.set(Some(crew));
    Enlisted
}

pub(crate) struct Enlisted;

impl Drop for Enlisted {
    fn drop(&mut self) {
        let crew = CREW.try_with(RefCell::take);
        drop(crew);
    }
}

/// The pool that the calling thread works for, or has worked for.
pub(crate) fn home() -> u64 {
    HOME.get()
}

/// The calling thread as a worker of the pool `home`, if it is one.
pub(crate) fn crew_of(home: u64) -> Option<Arc<dyn Crew>> {
    if home == NOWHERE || home != HOME.get() {
        return None;
    }
    CREW.try_with(|crew| crew.borrow().clone()).ok().flatten()
}
