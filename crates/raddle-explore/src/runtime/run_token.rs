//! The run token: how a task waits for the token, and passes it on.
//!
//! A task that reaches its next step declares it, evaluates which task is next, and passes the token to that one
//! ([`arrive`](Execution::arrive)). A choice is preceded by a *poll round* if the last step may have changed which
//! tasks are enabled: the token goes to each of the affected tasks, which evaluates its predicate, and to each new
//! task, which runs up to its first step. The last one of the round makes the choice.
//!
//! Termination: a poll round visits each task of `to_poll` once, and evaluating a predicate adds none.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};
use std::thread::panicking;

use raddle::rt::{self, Op};

use super::execution::Execution;
use super::objects::{Access, Mode, PROGRAM};
use super::os_threads::{ANNOUNCED, BODY_DONE, CURRENT, EVALUATING, locals_are_unchanged};
use super::panic_hook;
use super::record::Failure;
use super::state::ExecutionState;
use super::task::{MAIN, ResumedBy, Task, TaskStatus};
use super::task_set::{MAX_ALIVE, TaskSet};

pub(super) type Predicate<'a> = Option<&'a dyn Fn() -> bool>;

/// The next step of a task, as it is declared.
pub(super) struct Arrival<'a> {
    pub(super) status: TaskStatus,
    pub(super) op: Option<Op>,
    pub(super) access: Option<Access>,
    /// Evaluates the enabling condition.
    pub(super) ready: Predicate<'a>,
}

impl Execution {
    /// Declares the next step of the calling task. Returns once the task has been chosen to take it, or unwinds it.
    pub(super) fn arrive(&self, arrival: Arrival<'_>) -> ResumedBy {
        let me = CURRENT.get();
        self.park_if_abandoned(me);
        self.monitor.count_step();
        self.announce(me);
        let mut state = self.lock_unless_reported();
        if !state.ending {
            let events = state.events.len();
            let task = &mut state.tasks[me];
            // A panic that was caught meanwhile is none any more.
            task.panicked_at = rt::is_unwinding().then(|| task.panicked_at.unwrap_or(events));
            state.set_status(me, arrival.status, arrival.op, arrival.access);
            state = self.pass_on(state, me);
            state = self.await_turn(state, me, arrival.ready);
        }
        if state.ending {
            drop(state);
            self.unwind_task(me, arrival.ready);
            return ResumedBy::Choice;
        }
        state.tasks[me].resumed_by
    }

    /// Records, before its first step, whether the calling task is a daemon.
    fn announce(&self, me: usize) {
        let here = (self.number, me);
        if me != MAIN && ANNOUNCED.replace(here) != here {
            let daemon = raddle::thread::current().is_daemon();
            self.lock().tasks[me].daemon = daemon;
        }
    }

    /// Ends the program after its closure has returned. If there are other tasks, or were daemons, this is a step of
    /// its own, which is enabled once the program may end. It abandons daemons at any of their steps.
    fn end_program(&self) {
        let matters = |task: &Task| task.daemon || !task.has_terminated();
        let state = self.lock();
        if state.ending || !state.tasks[1..].iter().any(matters) {
            return;
        }
        drop(state);
        let access = Some(Access { object: PROGRAM, mode: Mode::Write });
        self.lock().tasks[MAIN].may_exit = self.program.may_exit();
        self.arrive(Arrival { status: TaskStatus::Returned, op: None, access, ready: None });
        let mut state = self.lock();
        if state.ending {
            return;
        }
        if let Some(record) = state.records.last_mut() {
            record.ends_program = true;
        }
        state.end();
    }

    /// Terminates the calling task.
    pub(super) fn finish(&self, me: usize) {
        panic_hook::restore();
        if me == MAIN {
            self.end_program();
        }
        let mut state = self.lock_unless_reported();
        let ends = !state.ending;
        if let Some(record) = state.records.last_mut().filter(|record| ends && record.thread == me) {
            record.ends = true;
        }
        state.set_status(me, TaskStatus::Terminated, None, None);
        state.stalled = 0;
        drop(self.pass_on(state, me));
    }

    /// Passes the token on: in a poll round to the tasks that have to be polled, then to the chosen task.
    fn pass_on<'a>(
        &'a self,
        mut state: MutexGuard<'a, ExecutionState>,
        me: usize,
    ) -> MutexGuard<'a, ExecutionState> {
        let after = state.poll_round.take().unwrap_or(me);
        while !state.ending {
            if let Some(other) = state.next_to_poll() {
                state.poll_round = Some(after);
                return self.pass_to(state, other);
            }
            if let Some(next) = state.choose(after) {
                return self.pass_to(state, next);
            }
            if !state.ending && !state.poll_everyone() {
                state.fail_or_end();
            }
        }
        state.to_poll = TaskSet::default();
        self.pass_to_unfinished(state, me)
    }

    pub(super) fn pass_to<'a>(
        &'a self,
        mut state: MutexGuard<'a, ExecutionState>,
        next: usize,
    ) -> MutexGuard<'a, ExecutionState> {
        if state.token_holder == next && state.tasks[next].prepared.is_none() {
            return state;
        }
        state.token_holder = next;
        let prepared = state.tasks[next].prepared.take();
        let os_thread = state.tasks[next].os_thread.clone();
        drop(state); // the task that is woken needs the lock
        match (prepared, os_thread) {
            (Some(prepared), _) => prepared.start(),
            (None, Some(os_thread)) => os_thread.unpark(),
            (None, None) => {}
        }
        self.lock()
    }

    /// Returns when the calling task has the token for its step, not only for a poll round.
    fn await_turn<'a>(
        &'a self,
        mut state: MutexGuard<'a, ExecutionState>,
        me: usize,
        ready: Predicate<'_>,
    ) -> MutexGuard<'a, ExecutionState> {
        loop {
            state = self.await_token(state, me);
            if state.ending || state.poll_round.is_none() {
                return state;
            }
            drop(state);
            let enabled = ready.is_some_and(evaluate);
            state = self.lock();
            if state.set_condition(me, enabled) {
                return state; // and runs up to its next step, as a part of the poll round
            }
            state = self.pass_on(state, me);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "below the seam")]
    pub(super) fn await_token<'a>(
        &'a self,
        mut state: MutexGuard<'a, ExecutionState>,
        me: usize,
    ) -> MutexGuard<'a, ExecutionState> {
        while state.token_holder != me {
            drop(state);
            std::thread::park();
            state = self.lock();
        }
        state
    }

    /// Creates a task that runs `body`. It runs up to its first step before the next choice is made.
    pub(super) fn spawn_task(
        &self,
        name: &str,
        stack_size: Option<usize>,
        body: Box<dyn FnOnce() + Send>,
    ) -> std::io::Result<()> {
        let here = self.itself.upgrade().expect("the execution of a running task");
        let me = CURRENT.get();
        let mut state = self.lock();
        if state.ending {
            return Err(std::io::Error::other("the execution has ended"));
        }
        let new = state.tasks.len();
        if state.tasks.iter().filter(|task| !task.has_terminated()).count() >= MAX_ALIVE {
            state.fail(Failure::TooManyTasks);
            let error =
                format!("at most {MAX_ALIVE} threads of an explored program can be alive at the same time");
            return Err(std::io::Error::other(error));
        }
        let job = move || here.run_task(new, body);
        let mut task = Task::new(name, Some(me));
        task.prepared = Some(self.os_threads.prepare(Box::new(job), stack_size)?);
        state.tasks.push(task);
        if let Some(record) = state.records.last_mut().filter(|record| record.thread == me) {
            record.starts.get_or_insert(new);
        }
        let by = state.events.len().checked_sub(1).and_then(|event| u32::try_from(event).ok());
        state.tasks[new].started_by = by;
        state.to_poll.insert(new);
        Ok(())
    }

    /// Runs the task `me` on the calling OS thread. Returns whether the thread can be reused; if not, it has to
    /// terminate.
    pub(super) fn run_task(self: Arc<Self>, me: usize, body: Box<dyn FnOnce() + Send>) -> bool {
        let entered = self.run_body(me, body);
        let reusable = locals_are_unchanged();
        if reusable {
            drop(entered);
            self.finish(me);
        } else {
            // The destructors of thread-locals take steps, so they belong to the task.
            self.main_keeps_locals.fetch_or(me == MAIN, Relaxed);
            self.announce(me); // while the thread still has its identity
            let here = self.clone();
            panic_hook::before_abort(move |message, at| {
                here.ends_the_process(Failure::Panic { thread: me, message, at });
            });
            entered.until_terminated(move || self.finish(me));
        }
        reusable
    }

    /// Waits, on the search thread, until the execution has finished.
    #[expect(clippy::disallowed_methods, reason = "below the seam")]
    pub(super) fn await_end(&self) {
        while !self.lock().finished {
            std::thread::park();
        }
    }

    /// Whether the calling thread cannot be unwound.
    pub(super) fn cannot_unwind() -> bool {
        panicking() || BODY_DONE.get()
    }
}

/// The value of the predicate; evaluating it takes no step.
pub(super) fn evaluate(ready: &dyn Fn() -> bool) -> bool {
    EVALUATING.set(true);
    let answer = ready();
    EVALUATING.set(false);
    answer
}
