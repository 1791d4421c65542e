//! The workers: their start, their turn, their end, and what else is done when the pool's lock is let go.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::after::{After, Step, break_up};
use super::shared::{POOL, Shared};
use super::state::{Blocked, Seated, State, Turn};
use super::task::{Floor, Queue, Task};
use crate::future::{self, Crew, DEADLOCK, FutureError, guarded};
use crate::host::{self, Duty, Kind, Op, Record};
use crate::raw::{Guarded, Waiter};
use crate::thread;

/// Does what was decided under the lock.
#[inline]
pub(super) fn carry_out(shared: &Arc<Shared>, after: After) {
    if after.hire > 0 || after.over.is_some() || !after.steps.is_empty() {
        carry_out_steps(shared, after);
    }
}

fn carry_out_steps(shared: &Arc<Shared>, after: After) {
    for step in after.steps {
        match step {
            Step::Tell(waiter, DEADLOCK) => break_up(shared.home, &waiter),
            Step::Tell(waiter, verdict) => waiter.tell(verdict),
            Step::Refuse(task, error) => guarded("the end of a task", || task.refuse(error)),
            Step::Cancel(task) => guarded("the end of a task", || task.cancel()),
        }
    }
    drop(after.over); // after the user's destructors: the program may end now
    for _ in 0..after.hire {
        if let Err(error) = hire(shared) {
            let error = Arc::new(error);
            for task in not_hired(shared) {
                task.refuse(FutureError::NoThread(error.clone()));
            }
        }
    }
}

/// Starts a worker that the state counts already.
pub(super) fn hire(shared: &Arc<Shared>) -> io::Result<()> {
    let name = format!("{}_{}", shared.prefix, shared.named.fetch_add(1, Relaxed));
    // A daemon, because the program waits for tasks, not for workers.
    let record = Record::new(&name, true, false);
    record.daemon_heirs.store(shared.daemon_heirs, Relaxed);
    let number = shared.state.lock().take_seat();
    let seat = Arc::new(Seat {
        shared: shared.clone(),
        number,
        within: Guarded::new(Vec::new()),
        stage: AtomicU32::new(STARTING),
        finishing: AtomicBool::new(false),
    });
    record.set_duty(seat.clone());
    let launched = thread::launch(&record, shared.stack_size, Box::new(move || seat.work()));
    if launched.is_err() {
        shared.state.lock().seats[number] = Seated::Nobody;
    }
    launched
}

/// Runs a task that waits in the calling thread, inside another one, if the thread is a worker of the pool.
pub(super) fn run_here(shared: &Shared, task: &Arc<dyn Task>) {
    /// The worker is as busy afterwards as before.
    struct Within;
    impl Floor for Within {
        fn nearly_over(&self) {}
        fn not_over_yet(&self) {}
    }
    if let Some(crew) = future::crew_of(shared.home)
        && let Ok(seat) = crew.as_any().downcast::<Seat>()
    {
        seat.within.lock().push(task.clone());
        guarded("the end of a task", || task.clone().run(&Within));
        let done = seat.within.lock().pop();
        drop(done); // after the lock is let go
        future::note_dead(); // its lane still holds it
    }
}

/// The worker did not start; returns the tasks that nobody is left to run.
pub(super) fn not_hired(shared: &Arc<Shared>) -> Vec<Arc<dyn Task>> {
    let mut after = After::default();
    let mut state = shared.state.lock();
    let orphans = state.not_hired(&mut after);
    shared.note_growth(&state);
    drop(state);
    carry_out(shared, after);
    orphans
}

impl Queue for Shared {
    fn has_room(self: Arc<Self>) {
        let mut after = After::default();
        let mut state = self.state.lock();
        if !state.door.is_empty() {
            state.sweep(&mut after);
            state.summon(self.finishing(), &mut after);
        }
        drop(state);
        carry_out(&self, after);
    }
}

/// Stages of a worker.
const STARTING: u32 = 0;
const WORKING: u32 = 1;
/// It takes no more tasks, and the state does not count it among the workers.
const LEFT: u32 = 2;

/// A worker's place in the pool.
struct Seat {
    shared: Arc<Shared>,
    /// Where the state says what it runs.
    number: usize,
    /// What it runs inside that: a scope's own tasks.
    within: Guarded<Vec<Arc<dyn Task>>>,
    /// Changed under the pool's lock.
    stage: AtomicU32,
    /// It is counted as about to be free.
    finishing: AtomicBool,
}

impl Seat {
    fn work(self: Arc<Self>) {
        let _enlisted = future::enlist(self.shared.home, self.clone());
        if !self.initialize() {
            return;
        }
        while let Some(task) = self.next() {
            // The last reference drops what the task returned, which can panic too.
            guarded("the end of a task", || task.run(&*self));
        }
    }

    /// Runs the pool's initializer; if it fails, the pool is broken.
    fn initialize(&self) -> bool {
        let Some(initializer) = &self.shared.initializer else { return true };
        let Err(payload) = catch_unwind(AssertUnwindSafe(initializer)) else { return true };
        let (name, message) = (host::record().name(), thread::message(&*payload));
        self.give_up(&format!("its initializer panicked in thread \"{name}\": {message}"));
        guarded("what an initializer panicked with", || drop(payload));
        false
    }

    fn give_up(&self, reason: &str) {
        self.change(|state, after| {
            self.leave(state);
            state.break_down(&reason.into(), after);
        });
    }

    /// The next task; `None`: the worker leaves.
    fn next(&self) -> Option<Arc<dyn Task>> {
        let shared = &self.shared;
        let op = Op::new(&**shared, POOL, Kind::Get);
        host::point(op);
        let mut state = shared.state.lock();
        self.arrive(&mut state);
        loop {
            let mut after = After::default();
            let turn = state.turn(&mut after);
            state.summon(shared.finishing(), &mut after);
            state.conclude(&mut after);
            match &turn {
                Turn::Run(task) => state.seats[self.number] = Seated::Runs(Arc::downgrade(task)),
                Turn::Leave => {
                    self.stage.store(LEFT, Relaxed);
                    state.seats[self.number] = Seated::Idle;
                }
                Turn::Sleep(_) => state.seats[self.number] = Seated::Idle,
            }
            shared.note_growth(&state);
            drop(state);
            carry_out(shared, after);
            match turn {
                Turn::Run(task) => return Some(task),
                Turn::Leave => return None,
                Turn::Sleep(waiter) => waiter.sleep(op, None),
            };
            state = shared.state.lock();
            state.waking -= 1;
        }
    }

    /// The worker comes for a task: the one before is over.
    fn arrive(&self, state: &mut State) {
        if self.stage.swap(WORKING, Relaxed) == STARTING {
            state.starting -= 1;
        } else {
            state.busy -= 1;
        }
        self.stop_finishing();
    }

    /// The worker is not counted any more.
    fn leave(&self, state: &mut State) {
        match self.stage.swap(LEFT, Relaxed) {
            STARTING => state.starting -= 1,
            WORKING => state.busy -= 1,
            _ => return,
        }
        state.workers -= 1;
        self.stop_finishing();
    }

    fn stop_finishing(&self) -> bool {
        let finishing = self.finishing.load(Relaxed);
        if finishing {
            self.finishing.store(false, Relaxed);
            self.shared.finished();
        }
        finishing
    }

    /// Changes the state and does what follows.
    fn change(&self, change: impl FnOnce(&mut State, &mut After)) {
        let mut after = After::default();
        let mut state = self.shared.state.lock();
        change(&mut state, &mut after);
        self.shared.note_growth(&state);
        drop(state);
        carry_out(&self.shared, after);
    }
}

impl Floor for Seat {
    fn nearly_over(&self) {
        if self.shared.begins_to_finish() {
            self.finishing.store(true, Relaxed);
        }
    }

    fn not_over_yet(&self) {
        if self.stop_finishing() {
            // A task may have come that counted on this worker.
            self.change(|state, after| state.summon(self.shared.finishing(), after));
        }
    }
}

impl Crew for Seat {
    fn block(&self, waiter: &Arc<Waiter>, task: usize) {
        self.change(|state, after| {
            state.blocked.push(Blocked { waiter: waiter.clone(), task });
            state.release_stuck(after);
        });
    }

    fn unblock(&self, waiter: &Arc<Waiter>) {
        self.shared.state.lock().blocked.retain(|blocked| !Arc::ptr_eq(&blocked.waiter, waiter));
    }

    fn runs(&self, address: usize) -> bool {
        let is = |task: *const dyn Task| task.cast::<()>() as usize == address;
        let state = self.shared.state.lock();
        let outer = matches!(&state.seats[self.number], Seated::Runs(task) if is(task.as_ptr()));
        drop(state);
        outer || self.within.lock().iter().any(|task| is(Arc::as_ptr(task)))
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl Duty for Seat {
    /// The thread is over, or has called `exit` in the middle of a task and will not come back.
    fn abandon(&self) {
        // In a thread that called `exit`, a frame that is never left holds the task: the weak reference works.
        let seated = std::mem::replace(&mut self.shared.state.lock().seats[self.number], Seated::Nobody);
        let outer = if let Seated::Runs(task) = seated { task.upgrade() } else { None };
        let within = std::mem::take(&mut *self.within.lock());
        for task in outer.into_iter().chain(within) {
            guarded("a task that called exit", || task.abandon());
        }
        self.change(|state, after| {
            state.alive -= 1;
            let stage = self.stage.load(Relaxed);
            self.leave(state);
            if stage == STARTING {
                state.break_down(&"its initializer ended the thread".into(), after);
            }
            if stage != LEFT {
                state.summon(self.shared.finishing(), after);
                state.release_stuck(after);
            }
            state.conclude(after);
        });
    }
}
