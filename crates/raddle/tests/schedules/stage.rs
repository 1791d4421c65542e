//! A scheduler: real threads, one at a time, each handing a baton on before every step.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::panicking;
use std::time::{Duration, Instant};

use raddle::host::{self, Program, Wait};

use super::actor::{Leaving, Standing};
use super::actors::{Actors, Rules};
use super::course::Course;
use super::crew::{Crew, Job};
use super::report::{Entry, Failure, Report};

/// More threads than any scenario has.
pub(crate) const MANY: usize = 12;
/// The actor that runs the scenario: the main thread of its program.
const ROOT: usize = 0;
/// More steps than any scenario that comes to an end takes.
const ENDLESS: usize = 5_000;

thread_local! {
    /// Which actor the calling thread is.
    pub(crate) static ME: Cell<usize> = const { Cell::new(0) };
    /// The calling thread evaluates a predicate, which is not a step.
    pub(crate) static ASKED: Cell<bool> = const { Cell::new(false) };
    /// The calling thread leaves the stage, and must not be unwound on the way.
    static LEAVING: Cell<bool> = const { Cell::new(false) };
}

/// What unwinds the threads of an execution that went wrong.
struct Abandoned;

pub(crate) struct Stage {
    pub(crate) rules: Rules,
    pub(crate) began: Instant,
    pub(crate) program: Arc<Program>,
    state: Mutex<State>,
    turns: [Condvar; MANY],
    over: Condvar,
    /// It belongs to the search, and must not end on one of its own threads.
    crew: Weak<Mutex<Crew>>,
    itself: Weak<Stage>,
}

pub(crate) struct State {
    pub(crate) actors: Actors,
    /// What those who have not begun yet will do.
    parts: Vec<Option<Job>>,
    /// Who runs.
    baton: usize,
    /// Who only wants to know what the predicate of the one with the baton says.
    asker: Option<usize>,
    steps: usize,
    over: bool,
}

pub(crate) type Predicate<'a> = Option<&'a dyn Fn() -> bool>;

/// Runs `scenario` once, on the course given, and gives the course back.
pub(crate) fn perform(
    crew: &Arc<Mutex<Crew>>,
    rules: Rules,
    course: Course,
    scenario: Box<dyn FnOnce() + Send>,
) -> (Course, Option<Report>) {
    let scene = Stage::new(crew, rules, course);
    let root = scene.join(scenario);
    let mut state = scene.hand_to(scene.lock(), Some(root));
    while !state.over {
        state = scene.over.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let actors = &mut state.actors;
    if actors.all_finished() {
        let left = format!("{:?}", scene.program);
        if left != format!("{:?}", Program::new()) {
            actors.failure.get_or_insert(Failure::Leftovers(left));
        }
    } else {
        locked(crew).abandon();
    }
    let course = std::mem::replace(&mut actors.course, Course::again(&[]));
    let (choices, log) = (course.choices(), std::mem::take(&mut actors.log));
    (course, actors.failure.take().map(|failure| Report { failure, choices, log }))
}

impl Stage {
    fn new(crew: &Arc<Mutex<Crew>>, rules: Rules, course: Course) -> Arc<Self> {
        let actors = Actors::new(course, rules);
        #[expect(clippy::disallowed_methods, reason = "where the virtual clock begins")]
        let began = Instant::now();
        Arc::new_cyclic(|itself| Self {
            rules,
            began,
            program: Arc::new(Program::new()),
            state: Mutex::new(State {
                actors,
                parts: Vec::new(),
                baton: ROOT,
                asker: None,
                steps: 0,
                over: false,
            }),
            turns: [const { Condvar::new() }; MANY],
            over: Condvar::new(),
            crew: Arc::downgrade(crew),
            itself: itself.clone(),
        })
    }

    /// Brings in a new actor, whose part is `body`; it begins when it is chosen for the first time.
    pub(crate) fn join(&self, body: Box<dyn FnOnce() + Send>) -> usize {
        let here = self.itself.upgrade().expect("whoever starts a thread runs on this stage");
        let mut state = self.lock();
        let me = state.actors.join();
        assert!(me < MANY, "a scenario has at most {MANY} threads");
        let job = move || {
            ME.set(me);
            LEAVING.set(false);
            let entered = host::enter(here.clone());
            let outcome = catch_unwind(AssertUnwindSafe(body));
            LEAVING.set(true);
            drop(entered);
            here.finish(me, outcome);
        };
        state.parts.push(Some(Box::new(job)));
        me
    }

    fn finish(&self, me: usize, outcome: std::thread::Result<()>) {
        let mut state = self.lock();
        state.actors.arrive(me, Standing::Finished, Entry::Finishes { who: me });
        if let Err(payload) = outcome
            && !payload.is::<Abandoned>()
        {
            state.actors.fail(Failure::Panic(text(&*payload)));
        }
        state = self.ask_the_others(state, me);
        let next = self.choose(&mut state, me);
        drop(self.hand_to(state, next));
    }

    /// Gives up the baton, and returns when the calling thread has it back.
    pub(crate) fn pass(
        &self,
        standing: Standing,
        entry: impl FnOnce(usize) -> Entry,
        ready: Predicate<'_>,
    ) -> Wait {
        let me = ME.get();
        let mut state = self.lock();
        state.actors.arrive(me, standing, entry(me));
        state = self.ask_the_others(state, me);
        let next = self.choose(&mut state, me);
        if next != Some(me) {
            state = self.await_baton(self.hand_to(state, next), me, ready);
        }
        if state.steps > ENDLESS && !state.actors.ending {
            state.actors.fail(Failure::Endless);
            state.actors.all[me].tell_to_leave();
        }
        let actor = &mut state.actors.all[me];
        actor.fresh = true;
        let (outcome, told) = (actor.outcome, actor.leaving == Leaving::Told);
        drop(state);
        if told && !panicking() && !LEAVING.get() {
            resume_unwind(Box::new(Abandoned));
        }
        outcome
    }

    /// The calling thread is about to touch what others may touch: a choice, unless it has just been chosen.
    pub(crate) fn touch(&self, entry: impl FnOnce(usize) -> Entry) {
        let me = ME.get();
        let mut state = self.lock();
        if state.actors.all[me].fresh {
            state.actors.note(entry(me));
        } else {
            drop(state);
            self.pass(Standing::Ready, entry, None);
            state = self.lock();
        }
        state.actors.all[me].fresh = false;
    }

    /// Chooses who goes next; nobody: the execution is over.
    fn choose(&self, state: &mut State, me: usize) -> Option<usize> {
        if state.actors.all[ROOT].is_finished() && self.program.may_end() {
            state.actors.ending = true; // as in production, where the end of the program abandons its daemons
        }
        state.steps += 1;
        let next = if state.steps > 3 * ENDLESS { None } else { state.actors.next(me) };
        state.over = next.is_none();
        next
    }

    /// Lets `next` go on. Wakes it without the lock, which it would only have to wait for.
    fn hand_to<'a>(&'a self, mut state: MutexGuard<'a, State>, next: Option<usize>) -> MutexGuard<'a, State> {
        state.baton = next.unwrap_or(state.baton);
        let part = next.and_then(|next| state.parts[next].take());
        drop(state);
        match (next, part) {
            (Some(next), Some(part)) => {
                let crew = self.crew.upgrade().expect("the search waits for every execution");
                locked(&crew).run(next, part);
            }
            (Some(next), None) => self.turns[next].notify_one(),
            (None, _) => self.over.notify_one(),
        }
        self.lock()
    }

    fn await_baton<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        me: usize,
        ready: Predicate<'_>,
    ) -> MutexGuard<'a, State> {
        loop {
            while state.baton != me {
                state = self.turns[me].wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let Some(asker) = state.asker.take() else { return state };
            drop(state);
            let answer = ready.is_some_and(ask);
            state = self.lock();
            if let Standing::Gated { open, .. } = &mut state.actors.all[me].standing {
                *open = answer;
            }
            state = self.hand_to(state, Some(asker));
        }
    }

    /// Has every other thread that stands at a gate look whether it is open now. The predicates borrow from
    /// their own threads, so nobody else can ask them.
    fn ask_the_others<'a>(&'a self, mut state: MutexGuard<'a, State>, me: usize) -> MutexGuard<'a, State> {
        for other in 0..state.actors.all.len() {
            if other != me && state.actors.all[other].is_gated() {
                state.asker = Some(me);
                state = self.hand_to(state, Some(other));
                while state.baton != me {
                    state = self.turns[me].wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        state
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    pub(crate) fn since_beginning(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.began)
    }
}

/// What the predicate says, without a step.
pub(crate) fn ask(ready: &dyn Fn() -> bool) -> bool {
    ASKED.set(true);
    let answer = ready();
    ASKED.set(false);
    answer
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}
