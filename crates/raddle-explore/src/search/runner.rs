//! Runs the program once under a policy.
//!
//! The main task runs on the search thread if possible, which is faster. That ends as soon as the program leaves
//! something in the main task's thread-locals: the execution is repeated on a thread of its own up to the same point,
//! and continues there.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::data_races::first_race;
use crate::options::Rules;
use crate::runtime::{Execution, ExecutionState, Monitor, OsThreads, Policy, Trace, View, park_forever};

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
