//! How the stage takes the operating system's place: what each call at the seam means there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use raddle::host::{Op, Program, Scheduler, Wait};

use super::actor::Standing;
use super::actors::Fine;
use super::report::Entry;
use super::stage::{ASKED, ME, Stage, ask};

impl Scheduler for Stage {
    fn wait(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wait {
        assert!(!ASKED.get(), "a predicate waits");
        let address = word.as_ptr() as usize;
        self.touch(|who| Entry::Waits { who, word: address });
        if word.load(Ordering::SeqCst) != expected {
            return Wait::Changed;
        }
        let deadline = deadline.map(|deadline| self.since_beginning(deadline));
        if deadline.is_some_and(|deadline| deadline <= self.lock().actors.clock) {
            return Wait::TimedOut;
        }
        let limited = deadline.is_some();
        self.pass(Standing::Parked { word: address, deadline }, |who| Entry::Parks { who, limited }, None)
    }

    fn wake(&self, word: &AtomicU32, count: u32) {
        let word = word.as_ptr() as usize;
        if self.fine() {
            self.touch(|who| Entry::Wakes { who, word, count });
        }
        self.lock().actors.wake(word, count);
    }

    fn point(&self, op: &Op) {
        if !ASKED.get() {
            self.pass(Standing::Ready, |who| Entry::Step { who, op: *op }, None);
            let of_threads = matches!(op.object.what, "Thread" | "thread scope");
            let fine = self.rules.fine == Fine::Everywhere || !of_threads;
            self.lock().actors.all[ME.get()].fine = fine;
        }
    }

    fn point_until(&self, op: &Op, deadline: Option<Instant>, _: &AtomicU32, ready: &dyn Fn() -> bool) {
        let deadline = deadline.map(|deadline| self.since_beginning(deadline));
        let passed = deadline.is_some_and(|deadline| deadline <= self.lock().actors.clock);
        if self.fine() || passed || self.lock().actors.ending {
            return self.point(op);
        }
        let standing = Standing::Gated { open: ask(ready), deadline };
        self.pass(standing, |who| Entry::Step { who, op: *op }, Some(ready));
    }

    fn took(&self, op: &Op) {
        let (mut state, who) = (self.lock(), ME.get());
        state.actors.went_on(who, false);
        state.actors.note(Entry::Took { who, op: *op });
    }

    fn atom(&self, word: &AtomicU32) {
        if !ASKED.get() && self.lock().actors.all[ME.get()].fine {
            let word = word.as_ptr() as usize;
            self.touch(|who| Entry::Atom { who, word });
        }
    }

    fn fine(&self) -> bool {
        self.rules.fine != Fine::Nowhere
    }

    fn now(&self) -> Instant {
        self.began + self.lock().actors.clock
    }

    fn sleep_until(&self, until: Instant) {
        let until = self.since_beginning(until);
        if until > self.lock().actors.clock {
            self.pass(Standing::Sleeping(until), |who| Entry::Parks { who, limited: true }, None);
        }
    }

    fn yield_now(&self) {
        self.pass(Standing::Yielding, |who| Entry::Yields { who }, None);
    }

    fn spawn(&self, _: &str, _: Option<usize>, body: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
        let new = self.join(body);
        let (mut state, who) = (self.lock(), ME.get());
        state.actors.note(Entry::Spawns { who, new });
        state.actors.all[who].fresh = false;
        Ok(())
    }

    fn program(&self) -> &Arc<Program> {
        &self.program
    }
}
