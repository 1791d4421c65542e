//! What all references to a future share: a word that tells its phase, and under a lock what it came to.
//!
//! # Memory ordering
//! A future is settled under its lock by a release of the word; `done` and every wait acquire the word. So
//! what the task did happens before whatever is done with its result. Starting and cancelling compete for the
//! word by compare-and-swap from `PENDING`: exactly one of them wins, and nobody else leaves that phase.
//! Whoever changes the word otherwise holds the lock, `ASLEEP` included, and who settles a future is the one
//! who started it. So settling needs no compare-and-swap.

use std::mem::needs_drop;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::depth::shallow;
use super::error::FutureError;
use super::listen::{Listener, Listeners, Watch, tell};
use crate::raw::Guarded;
use crate::rt;
use crate::thread::{drop_guarded, guarded};

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
    fn publish(
        &self,
        mut inner: crate::raw::Guard<'_, Inner<T>>,
        phase: u32,
        failed: bool,
    ) -> Vec<Callback<T>> {
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
