//! The effect of each call of raddle's primitives under exploration: the implementation of [`Scheduler`].
//!
//! At the grain of operations, [`point`](Scheduler::point) and [`point_until`](Scheduler::point_until) are the steps.
//! `point_until` has an *enabling condition*: a predicate that depends on one word. The step is scheduled only while
//! the predicate holds or after the deadline, so an operation never parks inside a step. [`atom`](Scheduler::atom) and
//! [`signal`](Scheduler::signal) announce accesses of words, after which the conditions that depend on them are
//! evaluated again.
//!
//! At the grain of atoms, `atom`, `signal`, [`wait`](Scheduler::wait) and [`wake`](Scheduler::wake) are steps, and
//! tasks park on words.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use raddle::rt::{Abandoned, Effect, Kind, Memory, Object, Op, Place, Program, Scheduler, Wait, WaitOutcome};

use super::execution::Execution;
use super::objects::{Access, Mode};
use super::os_threads::{CURRENT, EVALUATING};
use super::panic_hook;
use super::record::{Failure, Hold};
use super::run_token::{Arrival, evaluate};
use super::task::{EnablingCondition, LentLock, ResumedBy, TaskStatus};
use crate::options::{Deadlines, Time};

impl Scheduler for Execution {
    fn wait(&self, word: &AtomicU32, expected: u32, wait: &Wait<'_>) -> WaitOutcome {
        assert!(!EVALUATING.get(), "the predicate of a primitive blocks");
        if self.rules.fine() {
            self.touch(word);
        }
        let unchanged = || word.load(Ordering::SeqCst) == expected;
        if !unchanged() {
            return WaitOutcome::Changed;
        }
        let deadline = wait.deadline().map(|deadline| self.since_beginning(deadline));
        if let Some(outcome) = self.passed_condition(deadline) {
            return outcome;
        }
        self.park(word, deadline, &|| !unchanged())
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> u32 {
        if self.rules.fine() {
            self.touch(word);
        }
        self.lock().wake(word.as_ptr() as usize, count)
    }

    fn point(&self, op: &Op) {
        if EVALUATING.get() || op.kind == Kind::Sleep {
            if op.kind == Kind::Sleep {
                self.lock().tasks[CURRENT.get()].op = Some(*op);
            }
            return;
        }
        let mut state = self.lock();
        let in_vain = state.polls_in_vain(CURRENT.get(), Some(op));
        let status = if in_vain { TaskStatus::Yielding(state.events.len()) } else { TaskStatus::Ready };
        let access = state.access(op);
        drop(state);
        self.arrive(Arrival { status, op: Some(*op), access, ready: None });
        if op.kind == Kind::Clock {
            let mut state = self.lock();
            if self.rules.time == Time::Explored {
                state.deadlines = Deadlines::Step;
            }
            state.polls_clock(CURRENT.get(), op);
        }
    }

    fn point_with(&self, op: &Op, others: &[(Object, Effect)]) {
        if !EVALUATING.get() {
            let mut state = self.lock();
            state.objects.declared(&op.object); // numbered first
            let others = others.iter().map(|(object, effect)| state.access_of(object, *effect)).collect();
            state.tasks[CURRENT.get()].others = others;
            drop(state);
            self.point(op);
        }
    }

    fn accesses(&self, object: &Object, effect: Effect) {
        if !EVALUATING.get() {
            let mut state = self.lock();
            let access = state.access_of(object, effect);
            state.touches(access);
        }
    }

    fn point_until(&self, op: &Op, deadline: Option<Instant>, word: &AtomicU32, ready: &dyn Fn() -> bool) {
        if EVALUATING.get() {
            return;
        }
        if self.rules.fine() {
            return self.point(op);
        }
        if self.times_out_with_free_lock(op) {
            return;
        }
        let deadline = deadline.map(|deadline| self.since_beginning(deadline));
        let condition =
            EnablingCondition { word: word.as_ptr() as usize, enabled: evaluate(ready), deadline };
        let access = self.lock().access(op);
        let arrival =
            Arrival { status: TaskStatus::Conditional(condition), op: Some(*op), access, ready: Some(ready) };
        self.arrive(arrival);
    }

    fn enqueue_is_step(&self) -> bool {
        // Under `Quiescent`, a thread has enqueued before the clock advances.
        self.rules.arrivals || self.rules.fine() || self.rules.time == Time::Quiescent
    }

    fn reads_waiters(&self) {
        self.lock().reads_waiters = true;
    }

    fn releasing_for_wait(&self, give: &Op) {
        if self.rules.fine() {
            return self.point(give);
        }
        let mut state = self.lock();
        if state.ending {
            return;
        }
        let object = state.objects.declared(&give.object);
        state.holds.remove(&object);
        state.tasks[CURRENT.get()].lent_lock = Some(LentLock { object });
        state.touches(Access { object, mode: Mode::Write });
        if let Some(event) = state.events.last_mut() {
            event.released = true;
        }
        if let Some(record) = state.records.last_mut() {
            record.releases.push(object);
        }
    }

    fn acquired(&self, op: &Op) {
        if EVALUATING.get() {
            return;
        }
        let mut state = self.lock();
        let (me, object) = (CURRENT.get(), op.object);
        let number = state.objects.declared(&object);
        state.holds.insert(number, Hold { by: me, since: op.at });
        state.tasks[me].resumed_by = ResumedBy::Choice;
        state.tasks[me].polls.clear();
        state.tasks[me].lent_lock = None;
        if let Some(record) = state.records.last_mut().filter(|record| record.thread == me) {
            record.acquires.push(number);
        }
    }

    fn tried(&self, _: &Op, acquired: bool) {
        if self.rules.record && !EVALUATING.get() {
            let me = CURRENT.get();
            if let Some(record) = self.lock().records.last_mut().filter(|record| record.thread == me) {
                record.acquired = Some(acquired);
            }
        }
    }

    fn atom(&self, word: &AtomicU32) {
        if EVALUATING.get() {
            return;
        }
        if self.rules.fine() {
            return self.touch(word);
        }
        let mut state = self.lock();
        let address = word.as_ptr() as usize;
        // An access during a poll round belongs to no step. It gets no number, since the word may be gone before the
        // next execution.
        if state.poll_round.is_none() {
            let object = state.objects.word(address);
            let declared = state.events.last().and_then(|event| event.access);
            if declared.is_none_or(|access| state.objects.canonical(access.object) != object) {
                state.touches(Access { object, mode: Mode::Write });
                // The word may belong to another one of the objects that were seen at this place.
                let others: Vec<u32> =
                    state.objects.around(address).filter(|other| *other != object).collect();
                for object in others {
                    state.touches(Access { object, mode: Mode::Write });
                }
            }
        }
        state.touches_word(address);
    }

    fn signal(&self, word: &AtomicU32) {
        if EVALUATING.get() {
            return;
        }
        if self.rules.fine() {
            return self.touch(word);
        }
        self.lock().touches_word(word.as_ptr() as usize);
    }

    fn commutative_change(&self, object: &Object) {
        let mut state = self.lock();
        let object = state.objects.declared(object);
        state.touches(Access { object, mode: Mode::Commute });
    }

    fn ordering(&self, memory: Memory) {
        if self.rules.races && !EVALUATING.get() {
            let me = CURRENT.get();
            let mut state = self.lock();
            if let Some(event) = state.events.last_mut().filter(|event| event.thread == me) {
                event.memory = Some(memory);
            }
        }
    }

    fn value(&self, op: &Op, value: &dyn Fn() -> String) {
        if self.rules.record {
            let value = shown(value);
            let note = op.object.address == 0;
            let value = if note { format!("{} = {value}", op.object.type_name) } else { value };
            let mut state = self.lock();
            let me = CURRENT.get();
            match state.records.last_mut().filter(|record| record.thread == me) {
                Some(record) => record.values.push(value),
                None if note => state.tasks[me].notes.push(value),
                None => {}
            }
        }
    }

    fn named(&self, object: &Object, name: &str) {
        if self.rules.record {
            let mut state = self.lock();
            state.labels.push((object.address, object.size, name.into()));
        }
    }

    fn created(&self, object: &Object, at: Place) {
        if self.rules.record && !EVALUATING.get() {
            self.lock().origins.insert((object.address, object.size), at);
        }
    }

    fn panicked(&self, payload: &(dyn Any + Send)) {
        if !payload.is::<Abandoned>() && !self.rules.panics_allowed {
            self.panicked_with(CURRENT.get(), payload);
        }
    }

    fn unhandled(&self, text: &str, payload: &(dyn Any + Send)) {
        if !self.rules.panics_allowed {
            let (kind, title, message) = ("panic", text.to_owned(), String::new());
            let at = panic_hook::position_of(payload);
            let thread = Some(CURRENT.get());
            self.lock().note_failure(Failure::Other { kind, title, message, thread, at });
        }
    }

    fn exit(&self) -> bool {
        if std::process::id() != self.process {
            return false; // a forked child
        }
        let me = CURRENT.get();
        let title = format!("thread \"{}\" called exit", self.lock().tasks[me].name);
        self.ends_the_process(Failure::Other {
            kind: "exit",
            title,
            message: "`exit` ends the whole process, with all other tests in it".to_owned(),
            thread: Some(me),
            at: panic_hook::position_of_exit(),
        });
        true
    }

    fn fine_grained(&self) -> bool {
        true // to receive the accesses of atomics, even where they are not steps
    }

    fn now(&self) -> Instant {
        let mut state = self.lock();
        if self.rules.time == Time::Explored {
            state.deadlines = state.deadlines.max(Deadlines::Read);
        }
        state.reads_time();
        self.began + state.clock
    }

    /// Under [`Time::Explored`], a deadline may expire at any time, so its value matters only in programs that read the
    /// clock: the time from which it was computed determines how far the clock advances. Under [`Time::Quiescent`], the
    /// clock advances only when every task waits for it, so no other order of steps computes another deadline, unless a
    /// task polls the clock.
    fn computes_deadline(&self, op: &Op) {
        if EVALUATING.get() || self.rules.deadlines != Deadlines::Step {
            return;
        }
        let access = self.lock().access(op);
        self.arrive(Arrival { status: TaskStatus::Ready, op: Some(*op), access, ready: None });
    }

    fn deadline(&self, timeout: Duration) -> Option<Instant> {
        let mut state = self.lock();
        if self.rules.deadlines == Deadlines::Read {
            state.reads_time();
        }
        (self.began + state.clock).checked_add(timeout)
    }

    fn idle_deadline(&self, _: Duration) -> Option<Instant> {
        None
    }

    fn sleep_until(&self, until: Instant) {
        let until = self.since_beginning(until);
        let mut state = self.lock();
        let op = state.tasks[CURRENT.get()].op;
        let access = op.and_then(|op| state.access(&op));
        drop(state);
        self.arrive(Arrival { status: TaskStatus::Sleeping(until), op, access, ready: None });
    }

    fn yield_now(&self) {
        let mut state = self.lock();
        // A yield may return at once, like that of the operating system.
        let in_vain = state.polls_in_vain(CURRENT.get(), None);
        let status = if in_vain { TaskStatus::Yielding(state.events.len()) } else { TaskStatus::Ready };
        drop(state);
        self.arrive(Arrival { status, op: None, access: None, ready: None });
    }

    fn spawn(&self, name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        self.spawn_task(name, stack_size, body)?;
        self.lock().tasks[CURRENT.get()].just_chosen = false; // the caller's next accesses are not part of the start
        Ok(())
    }

    fn program(&self) -> &Arc<Program> {
        &self.program
    }
}

/// The value as text. Accesses by the program's own `Debug` take no steps, since only the report needs them.
fn shown(value: &dyn Fn() -> String) -> String {
    let before = EVALUATING.replace(true);
    let text = catch_unwind(AssertUnwindSafe(value));
    EVALUATING.set(before);
    text.unwrap_or_else(|_| "<panicked in `Debug`>".to_owned())
}

impl Execution {
    /// An access of a word at the grain of atoms. It is a step, unless the task has just been chosen.
    fn touch(&self, word: &AtomicU32) {
        let me = CURRENT.get();
        let mut state = self.lock();
        let access = Access { object: state.objects.word(word.as_ptr() as usize), mode: Mode::Write };
        if !std::mem::take(&mut state.tasks[me].just_chosen) {
            let op = state.tasks[me].op;
            drop(state);
            self.arrive(Arrival { status: TaskStatus::Ready, op, access: Some(access), ready: None });
            state = self.lock();
            state.tasks[me].just_chosen = false;
        }
        state.touches(access);
    }

    /// The result of a wait whose condition the task has already passed.
    fn passed_condition(&self, deadline: Option<Duration>) -> Option<WaitOutcome> {
        let mut state = self.lock();
        let resumed_by = state.tasks[CURRENT.get()].resumed_by;
        match resumed_by {
            _ if state.ending => None,
            ResumedBy::TimedOut if deadline.is_some() => Some(WaitOutcome::TimedOut),
            ResumedBy::Condition => {
                state.fail(Failure::FalselyEnabled);
                None
            }
            _ => None,
        }
    }

    fn park(&self, word: &AtomicU32, deadline: Option<Duration>, changed: &dyn Fn() -> bool) -> WaitOutcome {
        let me = CURRENT.get();
        let address = word.as_ptr() as usize;
        let mut state = self.lock();
        let op = state.tasks[me].op;
        let access = Some(Access { object: state.objects.word(address), mode: Mode::Write });
        drop(state);
        let status = TaskStatus::Parked { word: address, deadline, wakes: Vec::new() };
        let resumed_by = self.arrive(Arrival { status, op, access, ready: Some(changed) });
        let mut state = self.lock();
        // The next access is a step of its own only at the grain of atoms, and the first one is not.
        state.tasks[me].resumed_by = ResumedBy::Choice;
        if resumed_by == ResumedBy::TimedOut { WaitOutcome::TimedOut } else { WaitOutcome::Woken }
    }

    /// Whether the task's wait on a condition timed out while the lock was free: reacquiring the lock is part of that
    /// step.
    fn times_out_with_free_lock(&self, op: &Op) -> bool {
        let mut state = self.lock();
        let object = state.objects.declared(&op.object);
        let task = &mut state.tasks[CURRENT.get()];
        let back = Some(LentLock { object });
        let late =
            task.resumed_by == ResumedBy::TimedOut && task.lent_lock == back && op.kind == Kind::Acquire;
        if late {
            task.lent_lock = None;
            state.touches(Access { object, mode: Mode::Write });
        }
        late && !state.ending
    }
}
