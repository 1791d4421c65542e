//! What takes the operating system's place: the trait that an explorer implements.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use super::op::{Op, Wait};
use super::program::Program;

/// A host of one's own: decides which thread goes on, and what time it is.
///
/// The toolkit calls it instead of the operating system in every thread that came under it by
/// [`enter`](super::enter) or by [`Scheduler::spawn`]; other threads of the process notice nothing.
pub trait Scheduler: Send + Sync {
    /// Parks the calling thread while `word` holds `expected`, until it is woken or the deadline has passed.
    fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait;

    /// Wakes up to `count` threads that are parked on `word`; which ones is the scheduler's choice.
    fn wake(&self, word: &AtomicU32, count: u32);

    /// The calling thread is about to take the step `op`: the moment to let another one go first.
    fn point(&self, op: &Op);

    /// Like [`point`](Scheduler::point), and the step can succeed only while `ready` says yes or once
    /// the deadline has passed; until then the thread need not be scheduled. Returning early is allowed:
    /// the primitive then waits on its word.
    fn point_until(&self, op: &Op, deadline: Option<Instant>, ready: &dyn Fn() -> bool) {
        let _ = (deadline, ready);
        self.point(op);
    }

    /// `op.object` is now held by the calling thread, since the line `op.at`.
    fn took(&self, op: &Op) {
        let _ = op;
    }

    /// One atomic access inside a primitive is about to happen; a step of its own at the fine grain.
    fn atom(&self, word: &AtomicU32) {
        let _ = word;
    }

    /// Says whether the atomics inside primitives are steps too.
    fn fine(&self) -> bool {
        false
    }

    /// The clock.
    fn now(&self) -> Instant;

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
