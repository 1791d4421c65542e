//! How the stage takes the operating system's place: what each call at the seam means there.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use raddle::rt::{Abandoned, Kind, Memory, Object, Op, Program, Scheduler, Wait};

use super::actor::{Gate, Loan, Passed, Standing};
use super::baton::{Arrival, ask};
use super::objects::{Access, CLOCK, Mode};
use super::{ASKED, Failure, Hold, ME, Place, Stage, Time};
use crate::hook;

impl Scheduler for Stage {
    fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
        assert!(!ASKED.get(), "a predicate waits");
        if self.rules.fine() {
            self.touch(word);
        }
        let unchanged = || word.load(Ordering::SeqCst) == expected;
        if !unchanged() {
            return Wait::Changed;
        }
        let deadline = deadline.map(|deadline| self.since_beginning(deadline));
        if let Some(outcome) = self.already(deadline) {
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
        if ASKED.get() || op.kind == Kind::Sleep {
            if op.kind == Kind::Sleep {
                self.lock().actors[ME.get()].op = Some(*op);
            }
            return;
        }
        let mut state = self.lock();
        let vain = state.is_in_vain(ME.get(), Some(op));
        let standing = if vain { Standing::Yielding(state.events.len()) } else { Standing::Ready };
        let access = state.access(op);
        drop(state);
        self.arrive(Arrival { standing, op: Some(*op), access, ready: None });
    }

    fn point_until(&self, op: &Op, deadline: Option<Instant>, word: &AtomicU32, ready: &dyn Fn() -> bool) {
        if ASKED.get() {
            return;
        }
        if self.rules.fine() {
            return self.point(op);
        }
        if self.comes_back_late(op) {
            return;
        }
        let deadline = deadline.map(|deadline| self.since_beginning(deadline));
        let gate = Gate { word: word.as_ptr() as usize, open: ask(ready), deadline };
        let access = self.lock().access(op);
        let arrival = Arrival { standing: Standing::Gated(gate), op: Some(*op), access, ready: Some(ready) };
        self.arrive(arrival);
    }

    fn arrivals(&self) -> bool {
        // Where code takes no time, a thread has begun to wait before the clock advances.
        self.rules.arrivals || self.rules.fine() || self.rules.time == Time::Quiescent
    }

    fn sees_arrivals(&self) {
        self.lock().sees_arrivals = true;
    }

    fn lend(&self, give: &Op) {
        if self.rules.fine() {
            return self.point(give);
        }
        let mut state = self.lock();
        if state.ending {
            return;
        }
        let object = state.objects.declared(&give.object);
        state.holds.remove(&object);
        state.actors[ME.get()].loan = Some(Loan { object });
        state.touches(Access { object, mode: Mode::Write });
        if let Some(event) = state.events.last_mut() {
            event.gave = true;
        }
        if let Some(row) = state.rows.last_mut() {
            row.gives.push(object);
        }
    }

    fn took(&self, op: &Op) {
        if ASKED.get() {
            return;
        }
        let mut state = self.lock();
        let (me, object) = (ME.get(), op.object);
        let number = state.objects.declared(&object);
        state.holds.insert(number, Hold { by: me, since: op.at });
        state.actors[me].passed = Passed::Free;
        state.actors[me].looks.clear();
        state.actors[me].loan = None;
        if let Some(row) = state.rows.last_mut().filter(|row| row.thread == me) {
            row.takes.push(number);
        }
    }

    fn atom(&self, word: &AtomicU32) {
        if ASKED.get() {
            return;
        }
        if self.rules.fine() {
            return self.touch(word);
        }
        let mut state = self.lock();
        let address = word.as_ptr() as usize;
        // What is touched on an errand is part of no step, and is given no number: it may be gone before the next one.
        if state.errand.is_none() {
            let object = state.objects.word(address);
            let declared = state.events.last().and_then(|event| event.access);
            if declared.is_none_or(|access| state.objects.canonical(access.object) != object) {
                state.touches(Access { object, mode: Mode::Write });
            }
        }
        state.touches_word(address);
    }

    fn signal(&self, word: &AtomicU32) {
        if ASKED.get() {
            return;
        }
        if self.rules.fine() {
            return self.touch(word);
        }
        self.lock().touches_word(word.as_ptr() as usize);
    }

    fn tallied(&self, object: &Object) {
        let mut state = self.lock();
        let object = state.objects.declared(object);
        state.touches(Access { object, mode: Mode::Commute });
    }

    fn orders(&self, memory: Memory) {
        if self.rules.races && !ASKED.get() {
            let me = ME.get();
            let mut state = self.lock();
            if let Some(event) = state.events.last_mut().filter(|event| event.thread == me) {
                event.memory = Some(memory);
            }
        }
    }

    fn saw(&self, op: &Op, value: &dyn Fn() -> String) {
        if self.rules.record {
            let value = shown(value);
            let note = op.object.address == 0;
            let value = if note { format!("{} = {value}", op.object.what) } else { value };
            let mut state = self.lock();
            let me = ME.get();
            match state.rows.last_mut().filter(|row| row.thread == me) {
                Some(row) => row.values.push(value),
                None if note => state.actors[me].notes.push(value),
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

    fn made(&self, object: &Object, at: Place) {
        if self.rules.record && !ASKED.get() {
            self.lock().origins.insert((object.address, object.size), at);
        }
    }

    fn panicked(&self, payload: &(dyn Any + Send)) {
        if !payload.is::<Abandoned>() && !self.rules.panics_allowed {
            self.panicked_with(ME.get(), payload);
        }
    }

    fn unhandled(&self, text: &str, payload: &(dyn Any + Send)) {
        if !self.rules.panics_allowed {
            let (kind, title, message) = ("panic", text.to_owned(), String::new());
            let at = hook::place_of(payload);
            let thread = Some(ME.get());
            self.lock().note_failure(Failure::Other { kind, title, message, thread, at });
        }
    }

    fn exits(&self) -> bool {
        if std::process::id() != self.process {
            return false; // a forked child
        }
        let me = ME.get();
        let title = format!("thread \"{}\" called exit", self.lock().actors[me].name);
        self.ends_the_process(Failure::Other {
            kind: "exit",
            title,
            message: "that ends the whole process, with every other test in it".to_owned(),
            thread: Some(me),
            at: hook::place_of_exit(),
        });
        true
    }

    fn fine(&self) -> bool {
        true // to hear of the atomics, even where they are not steps
    }

    fn now(&self) -> Instant {
        let mut state = self.lock();
        state.touches(Access { object: CLOCK, mode: Mode::Read });
        self.began + state.clock
    }

    /// No look at the clock: what is told apart by it are limits, which may pass at any time.
    fn deadline(&self, timeout: Duration) -> Option<Instant> {
        (self.began + self.lock().clock).checked_add(timeout)
    }

    fn idle_deadline(&self, _: Duration) -> Option<Instant> {
        None
    }

    fn sleep_until(&self, until: Instant) {
        let until = self.since_beginning(until);
        let mut state = self.lock();
        let op = state.actors[ME.get()].op;
        let access = op.and_then(|op| state.access(&op));
        drop(state);
        self.arrive(Arrival { standing: Standing::Sleeping(until), op, access, ready: None });
    }

    fn yield_now(&self) {
        let mut state = self.lock();
        // A yield may return at once, like that of the operating system.
        let vain = state.is_in_vain(ME.get(), None);
        let standing = if vain { Standing::Yielding(state.events.len()) } else { Standing::Ready };
        drop(state);
        self.arrive(Arrival { standing, op: None, access: None, ready: None });
    }

    fn spawn(&self, name: &str, stack_size: Option<usize>, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        self.bring_in(name, stack_size, body)?;
        self.lock().actors[ME.get()].fresh = false; // what the caller does next is no part of the start
        Ok(())
    }

    fn program(&self) -> &Arc<Program> {
        &self.program
    }
}

/// The value as text. What the program's own `Debug` looks at meanwhile is no step: nobody asked for it but the report.
fn shown(value: &dyn Fn() -> String) -> String {
    let before = ASKED.replace(true);
    let text = catch_unwind(AssertUnwindSafe(value));
    ASKED.set(before);
    text.unwrap_or_else(|_| "<cannot be shown>".to_owned())
}

impl Stage {
    /// At the fine grain: the calling thread is about to touch a word. A step, unless it has just been chosen.
    fn touch(&self, word: &AtomicU32) {
        let me = ME.get();
        let mut state = self.lock();
        let access = Access { object: state.objects.word(word.as_ptr() as usize), mode: Mode::Write };
        if !std::mem::take(&mut state.actors[me].fresh) {
            let op = state.actors[me].op;
            drop(state);
            self.arrive(Arrival { standing: Standing::Ready, op, access: Some(access), ready: None });
            state = self.lock();
            state.actors[me].fresh = false;
        }
        state.touches(access);
    }

    /// What a wait ends with that the thread has come past already, on its way through a gate.
    fn already(&self, deadline: Option<Duration>) -> Option<Wait> {
        let mut state = self.lock();
        let passed = state.actors[ME.get()].passed;
        match passed {
            _ if state.ending => None,
            Passed::TimedOut if deadline.is_some() => Some(Wait::TimedOut),
            Passed::Open => {
                state.fail(Failure::SaidYes);
                None
            }
            _ => None,
        }
    }

    fn park(&self, word: &AtomicU32, deadline: Option<Duration>, changed: &dyn Fn() -> bool) -> Wait {
        let me = ME.get();
        let address = word.as_ptr() as usize;
        let mut state = self.lock();
        let op = state.actors[me].op;
        let access = Some(Access { object: state.objects.word(address), mode: Mode::Write });
        drop(state);
        let standing = Standing::Parked { word: address, deadline, wakes: Vec::new() };
        let passed = self.arrive(Arrival { standing, op, access, ready: Some(changed) });
        let mut state = self.lock();
        // What comes after it is a step of its own only at the fine grain, and there not the first.
        state.actors[me].passed = Passed::Free;
        if passed == Passed::TimedOut { Wait::TimedOut } else { Wait::Woken }
    }

    /// The thread's wait on a condition timed out, and the lock is free: that it takes it back is the same step.
    fn comes_back_late(&self, op: &Op) -> bool {
        let mut state = self.lock();
        let object = state.objects.declared(&op.object);
        let actor = &mut state.actors[ME.get()];
        let back = Some(Loan { object });
        let late = actor.passed == Passed::TimedOut && actor.loan == back && op.kind == Kind::Take;
        if late {
            actor.loan = None;
            state.touches(Access { object, mode: Mode::Write });
        }
        late && !state.ending
    }
}
