//! One execution, as the search keeps it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::data_races::first_race;
use crate::options::Rules;
use crate::runtime::{Execution, ExecutionState, Monitor, OsThreads, Policy, Trace, View, park_forever};

/// What is explored.
pub(crate) type Program = Arc<dyn Fn() + Send + Sync>;

/// Where a program is run again and again.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) program: Program,
    pub(crate) os_threads: OsThreads,
    pub(crate) monitor: Arc<Monitor>,
    root: Arc<MainThread>,
}

/// Where the program's main thread is played.
#[derive(Debug, Default)]
struct MainThread {
    /// It has left nothing in its thread-locals so far, so the thread that runs the search may play it.
    reuses_search_thread: AtomicBool,
    /// It did leave something, in the thread that runs the search.
    left_locals: AtomicBool,
    /// It could not be unwound, and the thread that ran the search is lost.
    cannot_unwind: AtomicBool,
}

impl Runner {
    pub(crate) fn new(program: Program) -> Self {
        Self {
            program,
            os_threads: OsThreads::acquire(),
            monitor: Arc::new(Monitor::new()),
            root: Arc::default(),
        }
    }

    /// The same, with the program's main thread on a thread of its own in every execution: it may be lost.
    pub(crate) fn on_separate_threads(&self) -> Self {
        let runner = Self::new(self.program.clone());
        runner.root.cannot_unwind.store(true, Relaxed);
        runner
    }

    /// Runs the program once, as `policy` decides, and gives the policy back.
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
            // What was chosen holds, but the execution goes on from there.
            policy = Recorder::take_back(&mut execution.lock());
            policy.at = 0;
        }
        let execution = Execution::new(rules, Box::new(policy), &self.os_threads, &self.monitor);
        execution.run(self.program.clone());
        let left_locals = self.root.left_locals.load(Relaxed) || self.root.cannot_unwind.load(Relaxed);
        self.root.reuses_search_thread.store(!left_locals && !execution.main_keeps_locals(), Relaxed);
        Self::result(&execution)
    }

    /// The program has left something in the locals of the thread that runs the search.
    pub(crate) fn has_left_locals(&self) -> bool {
        self.root.left_locals.load(Relaxed)
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

/// Keeps what a policy chose, so that an execution can be run once more up to the same point.
struct Recorder<P> {
    policy: P,
    chosen: Vec<usize>,
    at: usize,
}

impl<P: Policy + 'static> Recorder<P> {
    fn new(policy: P) -> Self {
        Self { policy, chosen: Vec::new(), at: 0 }
    }

    /// The policy of an execution that is over.
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

/// Stands in for a policy that was given back.
struct NoPolicy;

impl Policy for NoPolicy {
    fn pick(&mut self, _: &View<'_>) -> Option<usize> {
        None
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}
