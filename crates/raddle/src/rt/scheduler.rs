//! What takes the operating system's place: the trait that an explorer implements.

use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::flags;
use super::op::{Memory, Object, Op};
use super::place::Place;
use super::program::Program;
use crate::sys::os::Wait;

/// A host of one's own: decides which thread goes on, and what time it is.
///
/// The toolkit calls it instead of the operating system in every thread that came under it by
/// [`enter`](super::enter) or by [`Scheduler::spawn`]; other threads of the process notice nothing.
pub trait Scheduler: Send + Sync {
    /// Parks the calling thread while `word` holds `expected`, until it is woken or the deadline has passed.
    fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait;

    /// Wakes up to `count` threads that are parked on `word`; which ones is the scheduler's choice.
    ///
    /// Returns how many threads return from [`wait`](Scheduler::wait) with [`Wait::Woken`] because of this call. A lock may be
    /// handed over to such a thread, so the number must not be too high; zero is always allowed.
    fn wake(&self, word: &AtomicU32, count: u32) -> u32;

    /// The calling thread is about to take the step `op`: the moment to let another one go first.
    fn point(&self, op: &Op);

    /// Like [`point`](Scheduler::point), and the step can succeed only while `ready` says yes or once
    /// the deadline has passed; until then the thread need not be scheduled. What `ready` says changes only
    /// with `word`, and only after an [`atom`](Scheduler::atom) or a [`signal`](Scheduler::signal) on it.
    /// Returning early is allowed: the primitive then waits on its word.
    fn point_until(&self, op: &Op, deadline: Option<Instant>, word: &AtomicU32, ready: &dyn Fn() -> bool) {
        let _ = (deadline, word, ready);
        self.point(op);
    }

    /// Says whether a primitive has to declare as a step of its own that a thread begins to wait. Where no thread ever
    /// looks at how many wait, it makes no difference when a thread began to, as long as it keeps no other from anything.
    fn enqueue_is_step(&self) -> bool {
        true
    }

    /// The calling thread looks at how many threads wait.
    fn reads_waiters(&self) {}

    /// The calling thread is about to let go of `give.object` for as long as the wait lasts that it is about to
    /// begin, and will take it back after that: the release belongs to the step that it is in.
    fn releasing_for_wait(&self, give: &Op) {
        self.point(give);
    }

    /// `op.object` is now held by the calling thread, since the line `op.at`.
    fn acquired(&self, op: &Op) {
        let _ = op;
    }

    /// One atomic access inside a primitive is about to happen; a step of its own at the fine grain.
    fn atom(&self, word: &AtomicU32) {
        let _ = word;
    }

    /// Like [`atom`](Scheduler::atom), on a word by which one waiting thread is told to go on: nothing but that
    /// thread's wait depends on it.
    fn signal(&self, word: &AtomicU32) {
        self.atom(word);
    }

    /// The step that the calling thread is in changes `object` in a way that commutes with every other such change, but
    /// not with a step on it: a thread joins or leaves the [registry](Program::registry).
    fn commutative_change(&self, object: &Object) {
        let _ = object;
    }

    /// The step that the calling thread is in is an atomic access or a fence, which orders this much.
    fn ordering(&self, memory: Memory) {
        let _ = memory;
    }

    /// The step `op`, or the note that it stands for, saw or stored `value`: for reports.
    fn value(&self, op: &Op, value: &dyn Fn() -> String) {
        let _ = (op, value);
    }

    /// The program calls `object` by this name from now on: for reports.
    fn named(&self, object: &Object, name: &str) {
        let _ = (object, name);
    }

    /// The object was made on this line: for reports of steps that the toolkit takes on it by itself.
    fn created(&self, object: &Object, at: Place) {
        let _ = (object, at);
    }

    /// The calling thread's function has panicked with `payload`, which its joiner will get.
    fn panicked(&self, payload: &(dyn Any + Send)) {
        let _ = payload;
    }

    /// Something has panicked with `payload`, or was refused, and nobody asks for its result: the sentence `text` says
    /// what. Outside a scheduler the excepthook hears of it.
    fn unhandled(&self, text: &str, payload: &(dyn Any + Send)) {
        let _ = (text, payload);
    }

    /// The calling thread has called `exit` while it was under the scheduler. If the answer is yes, the process ends at
    /// once, with status 101 and without any more handlers; otherwise as the program wants it.
    fn exit(&self) -> bool {
        false
    }

    /// Says whether it wants to hear of the atomics inside primitives.
    fn fine_grained(&self) -> bool {
        false
    }

    /// The clock.
    fn now(&self) -> Instant;

    /// The moment `timeout` from now; `None`, that is for ever, if it lies beyond what the clock can tell.
    fn deadline(&self, timeout: Duration) -> Option<Instant> {
        self.now().checked_add(timeout)
    }

    /// The moment `timeout` from now, for a wait of the toolkit's own housekeeping that nothing in the program depends
    /// on, such as that of an idle thread which is to end some day. `None`: it waits without a deadline. That is the
    /// right answer where a timeout may pass at any moment.
    fn idle_deadline(&self, timeout: Duration) -> Option<Instant> {
        self.deadline(timeout)
    }

    /// Returns when the clock shows `until`.
    fn sleep_until(&self, until: Instant);

    /// Lets others go first.
    fn yield_now(&self);

    /// Starts a thread which runs `body` with this scheduler [entered](super::enter).
    ///
    /// # Errors
    /// What the operating system said.
    fn spawn(&self, name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()>;

    /// The threads, timers and obligations of this host alone.
    fn program(&self) -> &Arc<Program>;
}

static DEFAULT_PROGRAM: Program = Program::new();

thread_local! {
    static SCHEDULER: RefCell<Option<Arc<dyn Scheduler>>> = const { RefCell::new(None) };
}

/// The scheduler that took the calling thread, if one did.
pub(crate) fn current() -> Option<Arc<dyn Scheduler>> {
    if !flags::exploring() {
        return None;
    }
    SCHEDULER.try_with(|scheduler| scheduler.borrow().clone()).ok().flatten()
}

pub(crate) fn replace(with: Option<Arc<dyn Scheduler>>) -> Option<Arc<dyn Scheduler>> {
    SCHEDULER.try_with(|scheduler| scheduler.replace(with)).ok().flatten()
}

/// Runs `f` with the program that the calling thread belongs to.
pub(crate) fn with_program<R>(f: impl FnOnce(&Program) -> R) -> R {
    match current() {
        Some(scheduler) => f(scheduler.program()),
        None => f(default_program()),
    }
}

/// The program that the calling thread belongs to; `None`: the ordinary one.
pub(crate) fn program() -> Option<Weak<Program>> {
    current().map(|scheduler| Arc::downgrade(scheduler.program()))
}

/// The program of all threads that no scheduler has taken.
pub(crate) fn default_program() -> &'static Program {
    DEFAULT_PROGRAM.survives_forks();
    &DEFAULT_PROGRAM
}

/// Where the scheduler of the calling thread is kept.
pub(crate) fn local() -> Range<usize> {
    SCHEDULER.with(|scheduler| {
        let start = std::ptr::from_ref(scheduler).addr();
        start..start + size_of_val(scheduler)
    })
}

/// The payload with which a [`Scheduler`](Scheduler) unwinds a thread whose execution is over.
///
/// It is no panic of the program's: nobody is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Abandoned;

/// How often a destructor of a payload may panic with another payload before that is leaked.
const MOST: usize = 8;

/// Drops what a panic carried. If its destructor panics, `told` is shown what that panic carries, which is dropped
/// likewise; after some rounds it is leaked, as its destructor may never come to an end.
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>, told: impl Fn(&(dyn Any + Send))) {
    let mut payload = payload;
    for _ in 0..MOST {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
        told(&*payload);
    }
    std::mem::forget(payload);
}
