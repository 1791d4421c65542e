//! A scheduler: real threads, one at a time, each handing a baton on before every step.

mod actor;
mod baton;
mod choice;
mod event;
mod failure;
mod foreign;
mod leaving;
mod log;
mod objects;
mod policy;
mod pulse;
mod rules;
mod seam;
mod state;

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use raddle::rt::{self, Abandoned, Entered, Program};

use crate::crew::{Crew, has_kept_nothing, native_id, note_locals};
use crate::hook::{self, range_of};

pub(crate) use actor::Actor;
pub(crate) use event::{Event, Pending, Threads, one};
pub(crate) use failure::{Failure, Place};
pub(crate) use foreign::{Foreign, listen};
pub(crate) use log::{Hold, Row, Waits};
pub(crate) use objects::{Access, CLOCK, Kin, Mode, Objects, PROGRAM};
pub(crate) use policy::{Policy, View};
pub(crate) use pulse::Pulse;
pub(crate) use rules::Rules;
pub use rules::{Grain, Time};
pub(crate) use state::State;

/// The actor that runs the program's closure: its main thread.
const ROOT: usize = 0;

/// No actor.
const NOBODY: usize = usize::MAX;

thread_local! {
    /// Which actor the calling thread is.
    static ME: Cell<usize> = const { Cell::new(0) };
    /// In which execution the calling thread was asked, as which actor, whether it is a daemon.
    static MET: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
    /// The calling thread evaluates a predicate, which is not a step.
    static ASKED: Cell<bool> = const { Cell::new(false) };
    /// The calling thread has run its function, and must not be unwound any more: it drops its locals, or ends.
    static DONE: Cell<bool> = const { Cell::new(false) };
}

/// One execution of a program.
pub(crate) struct Stage {
    rules: Rules,
    began: Instant,
    /// Which stage of this process it is.
    number: u64,
    /// The process that explores, which a forked child is not.
    process: u32,
    program: Arc<Program>,
    state: Mutex<State>,
    crew: Crew,
    root_keeps_locals: AtomicBool,
    /// Runs the search, and waits until the execution is over.
    searcher: Thread,
    /// An actor that is blocked outside the toolkit while others are unwound, if there is one: otherwise [`NOBODY`].
    blocked: AtomicUsize,
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
            process: pulse.process(),
            program,
            state: Mutex::new(state),
            crew: crew.clone(),
            root_keeps_locals: AtomicBool::new(false),
            searcher: std::thread::current(),
            blocked: AtomicUsize::new(NOBODY),
            pulse: pulse.clone(),
            itself: itself.clone(),
        })
    }

    /// Runs the program from its beginning to its end, on threads of the crew. What happened is in the state then.
    pub(crate) fn perform(self: &Arc<Self>, program: Arc<dyn Fn() + Send + Sync>) {
        let here = self.clone();
        let job = Box::new(move || here.begin(ROOT, Box::new(move || program())));
        let entrance = self.crew.ready(job, None).expect("a thread for the explored program");
        self.lock().actors.push(Actor::new("MainThread", None));
        self.pulse.shows(&self.itself);
        entrance.enter();
        self.await_the_end();
    }

    /// The same, but the program's main thread is played by the calling thread, which takes less time. Returns whether
    /// the execution came to its end: not if the main thread has left something in its locals, since these cannot be
    /// dropped here.
    pub(crate) fn perform_here(self: &Arc<Self>, program: &(dyn Fn() + Send + Sync)) -> bool {
        self.lock().actors.push(Actor::new("MainThread", None));
        self.pulse.shows(&self.itself);
        let entered = self.play(ROOT, program);
        let mut complete = true;
        if !has_kept_nothing() {
            self.root_keeps_locals.store(true, Relaxed);
            let mut state = self.lock();
            complete = state.ending;
            state.end();
        }
        drop(entered);
        self.finish(ROOT);
        self.await_the_end();
        complete
    }

    /// The program's main thread has left something in its thread-locals.
    pub(crate) fn root_keeps_locals(&self) -> bool {
        self.root_keeps_locals.load(Relaxed)
    }

    /// The calling thread plays `me`, whose part is `body`, until that has returned.
    fn play(self: &Arc<Self>, me: usize, body: impl FnOnce()) -> Entered {
        let mut state = self.lock();
        state.actors[me].player = Some(std::thread::current());
        state.actors[me].native_id = native_id();
        drop(state);
        ME.set(me);
        DONE.set(false);
        hook::enter();
        let entered = rt::enter(self.clone());
        note_locals(&own_locals());
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
        entered
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

    /// The execution cannot go on, and the process ends: the teller says why.
    pub(super) fn ends_the_process(&self, failure: Failure) {
        let mut state = self.lock();
        state.ending = false; // what goes wrong while all come to an end goes wrong, too
        state.failure = None;
        state.fail(failure);
        drop(state);
        self.pulse.tell(self);
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

/// Where the explorer keeps what it knows of the calling thread.
pub(crate) fn own_locals() -> [Range<usize>; 7] {
    let [a, b, c] = hook::locals();
    [ME.with(range_of), MET.with(range_of), ASKED.with(range_of), DONE.with(range_of), a, b, c]
}
