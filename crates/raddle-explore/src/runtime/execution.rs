//! One execution of a program, the runner that begins each of them, and the part of an exploration that is visible to other
//! threads.
//!
//! The main task runs on a thread of its own, or on the thread that runs the search, which saves two context switches per
//! execution. The latter is possible only while the program leaves nothing in the main task's thread-locals, since the
//! search thread cannot drop them. If an execution does, it is repeated on a thread of its own up to the same point, and continues
//! there.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use raddle::rt::{self, Abandoned, Entered};

use super::data_races::first_race;
use super::foreign::{ForeignListener, ForeignStep};
use super::os_threads::{
    BODY_DONE, CURRENT, OsThreads, locals_are_unchanged, native_id, park_forever, remember_locals,
};
use super::panic_hook;
use super::policy::{Policy, View};
use super::record::Failure;
use super::state::ExecutionState;
use super::task::{MAIN, NO_TASK, Task};
use super::trace::Trace;
use crate::options::Rules;

/// The closure under exploration.
pub(crate) type Program = Arc<dyn Fn() + Send + Sync>;

/// A program and the threads that run it.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) program: Program,
    pub(crate) os_threads: OsThreads,
    pub(crate) monitor: Arc<Monitor>,
    root: Arc<MainThread>,
}

/// Where the main task runs.
#[derive(Debug, Default)]
struct MainThread {
    /// It has left nothing in its thread-locals so far, so it may run on the search thread.
    reuses_search_thread: AtomicBool,
    /// It has left something in the thread-locals of the search thread.
    left_locals: AtomicBool,
    /// It could not be unwound, and the search thread was lost.
    cannot_unwind: AtomicBool,
}

impl Runner {
    pub(crate) fn new(program: Program) -> Self {
        Self {
            program,
            os_threads: OsThreads::new(),
            monitor: Arc::new(Monitor::new()),
            root: Arc::default(),
        }
    }

    /// The same, with the main task on a thread of its own in every execution.
    pub(crate) fn on_separate_threads(&self) -> Self {
        let runner = Self::new(self.program.clone());
        runner.root.cannot_unwind.store(true, Relaxed);
        runner
    }

    /// Runs the program once under `policy`, and returns the policy with the trace.
    pub(crate) fn run<P: Policy + 'static>(&self, rules: Rules, policy: P) -> (Trace, P) {
        if self.monitor.is_abandoned() {
            park_forever();
        }
        let mut policy = Recorder::new(policy);
        if self.root.reuses_search_thread.load(Relaxed) {
            let execution = Execution::new(rules, Box::new(policy), &self.os_threads, &self.monitor);
            let complete = execution.run_on_search_thread(&*self.program);
            if execution.main_keeps_locals() {
                self.root.reuses_search_thread.store(false, Relaxed);
                self.root.left_locals.store(true, Relaxed);
            }
            if complete {
                return Self::result(&execution);
            }
            // The choices so far are repeated, and the execution continues after them.
            policy = Recorder::take_back(&mut execution.lock());
            policy.at = 0;
        }
        let execution = Execution::new(rules, Box::new(policy), &self.os_threads, &self.monitor);
        execution.run(self.program.clone());
        let left_locals = self.root.left_locals.load(Relaxed) || self.root.cannot_unwind.load(Relaxed);
        self.root.reuses_search_thread.store(!left_locals && !execution.main_keeps_locals(), Relaxed);
        Self::result(&execution)
    }

    /// If the program has left something in the thread-locals of the search thread, returns an execution under which it
    /// can be [dropped](Execution::until_terminated).
    pub(crate) fn left_locals(&self) -> Option<Arc<Execution>> {
        let any = self.root.left_locals.load(Relaxed);
        any.then(|| Execution::ended(Box::new(NoPolicy), &self.os_threads, &self.monitor))
    }

    fn result<P: Policy + 'static>(execution: &Execution) -> (Trace, P) {
        let mut end = execution.lock();
        let policy = Recorder::take_back(&mut end).policy;
        let rules = end.rules;
        let mut trace = Trace::of(&mut end);
        if rules.races && trace.failure.is_none() {
            trace.failure = first_race(&trace);
            trace.failed_at = trace.events.len();
        }
        (trace, policy)
    }
}

/// Records the choices of a policy, so that an execution can be repeated up to the same point.
struct Recorder<P> {
    policy: P,
    chosen: Vec<usize>,
    at: usize,
}

impl<P: Policy + 'static> Recorder<P> {
    fn new(policy: P) -> Self {
        Self { policy, chosen: Vec::new(), at: 0 }
    }

    /// Takes the policy back from an execution that has ended.
    fn take_back(end: &mut ExecutionState) -> Self {
        let policy = std::mem::replace(&mut end.policy, Box::new(NoPolicy)).into_any();
        *policy.downcast().expect("the policy that was passed in")
    }
}

impl<P: Policy + 'static> Policy for Recorder<P> {
    fn pick(&mut self, view: &View<'_>) -> Option<usize> {
        let place = match self.chosen.get(self.at) {
            Some(&place) => place.min(view.options.len() - 1),
            None => self.policy.pick(view)?,
        };
        if self.at == self.chosen.len() {
            self.chosen.push(place);
        }
        self.at += 1;
        Some(place)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// Stands in for a policy that was taken back.
struct NoPolicy;

impl Policy for NoPolicy {
    fn pick(&mut self, _: &View<'_>) -> Option<usize> {
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// One execution of a program: the scheduler that its threads call.
pub(crate) struct Execution {
    pub(super) rules: Rules,
    pub(super) began: Instant,
    /// The number of this execution in the process.
    pub(super) number: u64,
    /// The process that explores; a forked child is another one.
    pub(super) process: u32,
    pub(super) program: Arc<rt::Program>,
    state: Mutex<ExecutionState>,
    pub(super) os_threads: OsThreads,
    pub(super) main_keeps_locals: AtomicBool,
    /// The thread that runs the search, and waits until the execution has finished.
    pub(super) search_thread: Thread,
    /// A task that is blocked outside the toolkit while others are unwound, or [`NO_TASK`].
    pub(super) blocked_outside: AtomicUsize,
    pub(super) monitor: Arc<Monitor>,
    pub(super) itself: Weak<Execution>,
}

/// The number of the next execution.
static NUMBER: AtomicU64 = AtomicU64::new(1);

impl Execution {
    pub(crate) fn new(
        rules: Rules,
        policy: Box<dyn Policy>,
        os_threads: &OsThreads,
        monitor: &Arc<Monitor>,
    ) -> Arc<Self> {
        #[expect(clippy::disallowed_methods, reason = "the start of the virtual clock")]
        let began = Instant::now();
        let program = Arc::new(rt::Program::new());
        let mut state = ExecutionState::new(rules, policy, program.clone());
        // Declared first, so that it has the same number in every execution. Most steps of a sleep-set entry do not
        // access it, and an object that is first accessed late might be any object.
        state.objects.declared(&program.registry());
        Arc::new_cyclic(|itself| Self {
            rules,
            began,
            number: NUMBER.fetch_add(1, Relaxed),
            process: monitor.process,
            program,
            state: Mutex::new(state),
            os_threads: os_threads.clone(),
            main_keeps_locals: AtomicBool::new(false),
            search_thread: std::thread::current(),
            blocked_outside: AtomicUsize::new(NO_TASK),
            monitor: monitor.clone(),
            itself: itself.clone(),
        })
    }

    /// An execution that has ended: its only task is the calling thread.
    fn ended(policy: Box<dyn Policy>, os_threads: &OsThreads, monitor: &Arc<Monitor>) -> Arc<Self> {
        let execution = Self::new(Rules::default(), policy, os_threads, monitor);
        let mut state = execution.lock();
        state.tasks.push(Task::new("MainThread", None));
        state.end();
        drop(state);
        execution
    }

    /// Keeps the calling thread under this execution, which has ended, until the thread terminates. Its thread-locals
    /// remain from an earlier execution, whose steps have been repeated on another thread. Their destructors take no
    /// steps here, and one that waits for an event of that execution parks the thread forever.
    pub(crate) fn until_terminated(self: Arc<Self>) {
        CURRENT.set(MAIN);
        BODY_DONE.set(true);
        rt::enter(self.clone()).until_terminated(move || drop(self));
    }

    /// Runs the program to its end. The state holds the result then.
    fn run(self: &Arc<Self>, program: Arc<dyn Fn() + Send + Sync>) {
        let here = self.clone();
        let job = Box::new(move || here.run_task(MAIN, Box::new(move || program())));
        let prepared = self.os_threads.prepare(job, None).expect("a thread for the main task");
        self.lock().tasks.push(Task::new("MainThread", None));
        self.monitor.watch(&self.itself);
        prepared.start();
        self.await_end();
    }

    /// Runs the program with its main task on the calling thread, which is faster.
    ///
    /// Returns whether the execution is complete. It is not if the main task has left something in its thread-locals,
    /// since the calling thread cannot drop them.
    fn run_on_search_thread(self: &Arc<Self>, program: &(dyn Fn() + Send + Sync)) -> bool {
        self.lock().tasks.push(Task::new("MainThread", None));
        self.monitor.watch(&self.itself);
        let entered = self.run_body(MAIN, program);
        let mut complete = true;
        if !locals_are_unchanged() {
            self.main_keeps_locals.store(true, Relaxed);
            let mut state = self.lock();
            complete = state.ending;
            state.end();
        }
        drop(entered);
        self.finish(MAIN);
        self.await_end();
        complete
    }

    /// Whether the main task has left something in its thread-locals.
    fn main_keeps_locals(&self) -> bool {
        self.main_keeps_locals.load(Relaxed)
    }

    /// Runs `body` as the task `me` on the calling thread.
    pub(super) fn run_body(self: &Arc<Self>, me: usize, body: impl FnOnce()) -> Entered {
        let mut state = self.lock_unless_reported();
        state.tasks[me].os_thread = Some(std::thread::current());
        state.tasks[me].native_id = native_id();
        drop(state);
        CURRENT.set(me);
        BODY_DONE.set(false);
        panic_hook::silence();
        let entered = rt::enter(self.clone());
        remember_locals();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if me == MAIN {
                // Assigns the identity of the main thread before the program can read it.
                let _ = raddle::thread::current();
            }
            body();
        }));
        BODY_DONE.set(true);
        if let Err(payload) = outcome
            && !payload.is::<Abandoned>()
        {
            self.panicked_with(me, &*payload);
            self.lock().end();
        }
        entered
    }

    pub(super) fn panicked_with(&self, me: usize, payload: &(dyn Any + Send)) {
        let (message, at) = panic_hook::last_panic(payload);
        let mut state = self.lock();
        let before = state.failure.is_some();
        state.note_failure(Failure::Panic { thread: me, message, at });
        if let (false, Some(then)) = (before, state.tasks[me].panicked_at) {
            state.failed_at = then; // before unwinding released anything
        }
    }

    /// Reports `failure` at once, since the process is about to end.
    pub(super) fn ends_the_process(&self, failure: Failure) {
        let mut state = self.lock();
        state.ending = false; // a failure counts even while the tasks are being unwound
        state.failure = None;
        state.fail(failure);
        drop(state);
        self.monitor.report(self);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ExecutionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn since_beginning(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.began)
    }
}

/// Writes the report of an execution that ends the process.
type Reporter = Box<dyn Fn(&Execution) + Send>;

/// The part of an exploration that is visible to other threads: its progress and its current execution.
pub(crate) struct Monitor {
    steps: AtomicU64,
    execution: Mutex<Weak<Execution>>,
    abandoned: AtomicBool,
    search_thread_lost: AtomicBool,
    foreign: Mutex<Vec<ForeignStep>>,
    /// The process that explores.
    process: u32,
    reporter: Mutex<Option<Reporter>>,
}

impl Monitor {
    pub(crate) fn new() -> Self {
        Self {
            steps: AtomicU64::new(0),
            execution: Mutex::default(),
            abandoned: AtomicBool::new(false),
            search_thread_lost: AtomicBool::new(false),
            foreign: Mutex::default(),
            process: std::process::id(),
            reporter: Mutex::default(),
        }
    }

    /// Sets the function that is called when an explored program ends the process.
    pub(crate) fn set_reporter(&self, reporter: impl Fn(&Execution) + Send + 'static) {
        *self.reporter.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(reporter));
    }

    fn report(&self, execution: &Execution) {
        let reporter = self.reporter.lock().unwrap_or_else(PoisonError::into_inner);
        reporter.iter().for_each(|reporter| reporter(execution));
    }

    /// Counts a task that has reached its next step.
    pub(super) fn count_step(&self) {
        self.steps.fetch_add(1, Relaxed);
    }

    /// The number of steps taken so far, over all executions.
    pub(crate) fn steps_taken(&self) -> u64 {
        self.steps.load(Relaxed)
    }

    /// The outcome of the search is no longer awaited.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Relaxed);
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Relaxed)
    }

    /// The search thread ran the main task, and cannot be unwound.
    pub(super) fn lose_search_thread(&self) {
        self.search_thread_lost.store(true, Relaxed);
    }

    pub(crate) fn has_lost_search_thread(&self) -> bool {
        self.search_thread_lost.load(Relaxed)
    }

    /// The steps of foreign threads since the current execution began.
    pub(crate) fn foreign(&self) -> MutexGuard<'_, Vec<ForeignStep>> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, execution: &Weak<Execution>) {
        self.foreign().clear();
        *self.execution.lock().unwrap_or_else(PoisonError::into_inner) = execution.clone();
    }

    /// The current execution.
    pub(crate) fn execution(&self) -> Option<Arc<Execution>> {
        self.execution.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

/// At most so many foreign steps are kept.
const MAX_FOREIGN_STEPS: usize = 1_000;

impl ForeignListener for Monitor {
    fn foreign_step(&self, step: ForeignStep) {
        if let Some(execution) = self.execution() {
            let mut state = execution.lock();
            match step.touches(&state.objects) {
                Some(object) if !state.finished => state.fail_by_foreign_step(&step, object),
                _ if state.foreign.len() < MAX_FOREIGN_STEPS => state.foreign.push(step.clone()),
                _ => {}
            }
        }
        let mut all = self.foreign();
        if all.len() < MAX_FOREIGN_STEPS {
            all.push(step);
        }
    }

    fn foreign_exit(&self, failure: Failure) -> bool {
        let execution = self.execution().filter(|_| std::process::id() == self.process);
        execution.is_some_and(|execution| {
            execution.ends_the_process(failure);
            true
        })
    }
}
