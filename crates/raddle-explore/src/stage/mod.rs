//! A scheduler: real threads, one at a time, each handing a baton on before every step.

mod actor;
mod baton;
mod choice;
mod event;
mod failure;
mod leaving;
mod log;
mod objects;
mod policy;
mod pulse;
mod rules;
mod seam;
mod state;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use raddle::host::{self, Abandoned, Program};

use crate::crew::Crew;
use crate::hook;

pub(crate) use actor::Actor;
pub(crate) use event::{Event, Pending, Threads, one};
pub(crate) use failure::{Failure, Place};
pub(crate) use log::{Hold, Row, Waits};
pub(crate) use objects::{Access, Kin, Mode, Objects};
pub(crate) use policy::{Policy, View};
pub(crate) use pulse::Pulse;
pub(crate) use rules::Rules;
pub use rules::{Grain, Time};
pub(crate) use state::State;

/// The actor that runs the program's closure: its main thread.
const ROOT: usize = 0;

thread_local! {
    /// Which actor the calling thread is.
    static ME: Cell<usize> = const { Cell::new(0) };
    /// The calling thread evaluates a predicate, which is not a step.
    static ASKED: Cell<bool> = const { Cell::new(false) };
    /// The calling thread has run its function, and must not be unwound any more.
    static DONE: Cell<bool> = const { Cell::new(false) };
}

/// One execution of a program.
pub(crate) struct Stage {
    rules: Rules,
    began: Instant,
    /// Which stage of this process it is.
    number: u64,
    program: Arc<Program>,
    state: Mutex<State>,
    crew: Crew,
    /// Goes up with every step, for whoever watches over it.
    pulse: Arc<Pulse>,
    itself: Weak<Stage>,
}

/// The number of the next stage.
static NUMBER: AtomicU64 = AtomicU64::new(1);

impl Stage {
    pub(crate) fn new(rules: Rules, policy: Box<dyn Policy>, crew: &Crew, pulse: &Arc<Pulse>) -> Arc<Self> {
        #[expect(clippy::disallowed_methods, reason = "where the virtual clock begins")]
        let began = Instant::now();
        let program = Arc::new(Program::new());
        let mut state = State::new(rules, policy, program.clone());
        // First of all, so that it has the same number in every execution: most steps of a sleeping thread do not
        // touch it, and an object that is met late might be any.
        state.objects.declared(&program.registry());
        Arc::new_cyclic(|itself| Self {
            rules,
            began,
            number: NUMBER.fetch_add(1, Relaxed),
            program,
            state: Mutex::new(state),
            crew: crew.clone(),
            pulse: pulse.clone(),
            itself: itself.clone(),
        })
    }

    /// Runs the program from its beginning to its end, on the calling thread and others. What happened is in the
    /// state then.
    pub(crate) fn perform(self: &Arc<Self>, scenario: &(dyn Fn() + Send + Sync)) {
        let mut root = Actor::new("MainThread", None);
        root.player = Some(std::thread::current());
        root.native_id = native_id();
        self.lock().actors.push(root);
        self.pulse.shows(&self.itself);
        self.play(ROOT, scenario);
        self.await_the_end();
    }

    /// The calling thread plays `me`, whose part is `body`.
    fn play(self: &Arc<Self>, me: usize, body: impl FnOnce()) {
        ME.set(me);
        DONE.set(false);
        hook::enter();
        let entered = host::enter(self.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if me == ROOT {
                // Takes on its identity before it does anything.
                let _ = raddle::thread::current();
            }
            body();
        }));
        DONE.set(true);
        if let Err(payload) = outcome
            && !payload.is::<Abandoned>()
        {
            self.panicked_with(me, &*payload);
            self.lock().end();
        }
        drop(entered);
        hook::leave();
        self.finish(me);
    }

    fn panicked_with(&self, me: usize, payload: &(dyn std::any::Any + Send)) {
        let (message, at) = hook::last_panic(payload);
        let mut state = self.lock();
        let before = state.failure.is_some();
        state.note_failure(Failure::Panic { thread: me, message, at });
        if let (false, Some(then)) = (before, state.actors[me].unwinds) {
            state.failed_at = then; // not when what it held had been let go of
        }
    }

    fn beat(&self) {
        self.pulse.beat();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_beginning(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.began)
    }
}

#[cfg(target_os = "linux")]
fn native_id() -> Option<u64> {
    u64::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}

#[cfg(not(target_os = "linux"))]
fn native_id() -> Option<u64> {
    None
}
