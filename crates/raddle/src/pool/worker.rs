//! The workers: their start, their turn, their end, and what else is done when the pool's lock is let go.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use super::state::{After, Blocked, POOL, Shared, State, Step, Turn, break_up};
use super::task::{Floor, Job, Queue, Task};
use crate::future::{self, Crew, DEADLOCK, FutureError, afresh};
use crate::raw::{Guarded, Waiter};
use crate::rt::{self, HeldToken, Kind, Op, ThreadRecord};
use crate::sys::spin::SpinBudget;
use crate::thread::{self, guarded};
use crate::timer::{self, Retry};

/// Does what was decided under the lock; false: a worker could not be started.
#[inline]
pub(super) fn carry_out(shared: &Arc<Shared>, after: After) -> bool {
    if after.hire > 0 || after.over.is_some() || !after.steps.is_empty() {
        carry_out_steps(shared, after)
    } else {
        true
    }
}

fn carry_out_steps(shared: &Arc<Shared>, after: After) -> bool {
    for step in after.steps {
        match step {
            Step::Tell(waiter, DEADLOCK) => break_up(shared.home, &waiter),
            Step::Tell(waiter, verdict) => waiter.notify(verdict),
            Step::Refuse(task, error) => guarded("the end of a task", || task.refuse(error)),
            Step::Cancel(task) => guarded("the end of a task", || task.cancel()),
        }
    }
    drop(after.over); // after the user's destructors: the program may end now
    let mut hired = true;
    for _ in 0..after.hire {
        if let Err((error, tasks)) = hire(shared, None) {
            hired = false;
            refuse_all(tasks, &Arc::new(error));
        }
    }
    hired
}

/// Ends tasks that nobody is left to run.
pub(super) fn refuse_all(tasks: Vec<Job>, error: &Arc<io::Error>) {
    for task in tasks {
        guarded("the end of a task", || task.refuse(FutureError::NoThread(error.clone())));
    }
}

/// Starts a worker that the state counts already. On failure, the state is told so; returns the tasks that will not be
/// run, among them `own`, the address of the caller's, if there is no worker at all.
pub(super) fn hire(shared: &Arc<Shared>, own: Option<usize>) -> Result<(), (io::Error, Vec<Job>)> {
    let Err(error) = start(shared) else { return Ok(()) };
    let again = timer::start_service().is_ok();
    let mut after = After::default();
    let mut state = shared.gather();
    let known = state.short.is_some();
    let refused = state.not_hired(again, own, &mut after);
    let (short, alone) = (state.short.is_some(), state.workers == 0);
    shared.note(&mut state);
    drop(state);
    carry_out(shared, after);
    if short {
        let retry: Weak<Shared> = Arc::downgrade(shared);
        timer::retry_for(retry);
        if alone && !known {
            thread::report_shortage(&format!("pool \"{}\"", shared.prefix), &error);
        }
    }
    Err((error, refused))
}

impl Retry for Shared {
    fn retry(self: Arc<Self>) -> bool {
        let mut state = self.gather();
        let again = state.hires_again(self.finishing());
        self.note(&mut state);
        drop(state);
        if !again {
            return false;
        }
        let started = start(&self).is_ok();
        let mut after = After::default();
        let mut state = self.gather();
        if started {
            state.hired(self.finishing(), &mut after);
        } else {
            let refused = state.not_hired(true, None, &mut after);
            debug_assert!(refused.is_empty(), "tasks that wait are not refused while somebody tries again");
        }
        let short = state.short.is_some();
        self.note(&mut state);
        drop(state);
        carry_out(&self, after);
        short
    }
}

/// Starts a worker that the state counts already.
fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let name = format!("{}_{}", shared.prefix, shared.named.fetch_add(1, Relaxed));
    // A daemon, because the program waits for tasks, not for workers.
    let record = ThreadRecord::new(&name, true, false);
    record.daemon_heirs.store(shared.daemon_heirs, Relaxed);
    let seat = Arc::new(Seat {
        shared: shared.clone(),
        runs: Guarded::new(None),
        sits: AtomicBool::new(false),
        within: Guarded::new(Vec::new()),
        stage: AtomicU32::new(STARTING),
        finishing: AtomicBool::new(false),
    });
    record.set_token(seat.clone());
    thread::launch(&record, shared.stack_size, Box::new(move || seat.work()))
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
        && !shared.is_an_ancestors()
        && let Ok(seat) = crew.as_any().downcast::<Seat>()
    {
        seat.within.lock().push(task.clone());
        guarded("the end of a task", || task.clone().run(&Within));
        let done = seat.within.lock().pop();
        drop(done); // after the lock is let go
        future::note_dead(); // its lane still holds it
    }
}

impl Queue for Shared {
    fn has_room(self: Arc<Self>) {
        if self.is_an_ancestors() {
            return;
        }
        let mut after = After::default();
        let mut state = self.gather();
        if !state.door.is_empty() {
            state.sweep(&mut after);
            state.summon(self.finishing(), &mut after);
        }
        self.note(&mut state);
        drop(state);
        carry_out(&self, after);
    }
}

/// Stages of a worker.
pub(super) const STARTING: u32 = 0;
const WORKING: u32 = 1;
/// It has no task and is not counted among the busy.
const IDLE: u32 = 3;
/// It takes no more tasks, and the state does not count it among the workers.
pub(super) const LEFT: u32 = 2;

/// A worker's place in the pool.
pub(super) struct Seat {
    pub(super) shared: Arc<Shared>,
    /// What it runs, for the case that it calls `exit` in the middle. The reference is weak, so that it keeps no result
    /// alive.
    pub(super) runs: Guarded<Option<Weak<dyn Task>>>,
    /// There is something in `runs`. For the worker alone.
    sits: AtomicBool,
    /// What it runs inside that: a scope's own tasks.
    pub(super) within: Guarded<Vec<Arc<dyn Task>>>,
    /// Changed under the pool's lock.
    pub(super) stage: AtomicU32,
    /// It is counted as about to be free.
    pub(super) finishing: AtomicBool,
}

impl Seat {
    fn work(self: Arc<Self>) {
        let _enlisted = future::enlist(self.shared.home, self.clone());
        if !self.initialize() {
            return;
        }
        while let Some(job) = self.next() {
            // The last reference drops what the task returned, which can panic too.
            guarded("the end of a task", || job.run(&*self));
        }
    }

    /// Runs the pool's initializer; if it fails, the pool is broken.
    fn initialize(&self) -> bool {
        let Some(initializer) = &self.shared.initializer else { return true };
        let Err(payload) = catch_unwind(AssertUnwindSafe(initializer)) else { return true };
        let (name, message) = (rt::record().name(), thread::message(&*payload));
        self.give_up(&format!("its initializer panicked in thread \"{name}\": {message}"));
        thread::dispose(payload);
        false
    }

    fn give_up(&self, reason: &str) {
        self.change(|state, after| {
            self.leave(state);
            state.break_down(&reason.into(), after);
        });
    }

    /// The next task; `None`: the worker leaves.
    fn next(&self) -> Option<Job> {
        let shared = &self.shared;
        if shared.is_an_ancestors() {
            return None; // the last task has forked, and this is the child
        }
        let op = Op::new(&**shared, POOL, Kind::Get).with_verb("takes a task from");
        rt::point(op);
        let mut patience = SpinBudget::new();
        let mut state = shared.state.lock();
        self.arrive(&mut state);
        loop {
            let mut after = After::default();
            if !shared.finds_task(&mut state, &mut patience) {
                shared.close_inbox(&mut state);
            }
            let turn = state.turn(patience.has_rounds(), &mut after);
            state.summon(shared.finishing(), &mut after);
            match &turn {
                // What keeps the program alive is not given up while the next task may be about to come.
                Turn::Look => {}
                Turn::Leave => {
                    self.stage.store(LEFT, Relaxed);
                    state.conclude(&mut after);
                }
                _ => state.conclude(&mut after),
            }
            shared.note(&mut state);
            drop(state);
            carry_out(shared, after);
            self.sit_down(&turn);
            match turn {
                Turn::Run(job) => return Some(job),
                Turn::Leave => return None,
                Turn::Sleep(waiter) => {
                    self.stage.store(IDLE, Relaxed);
                    waiter.wait(op, None);
                    self.stage.store(WORKING, Relaxed);
                    state = shared.state.lock();
                    state.waking -= 1;
                }
                Turn::Look => {
                    shared.look_for_task(&mut patience);
                    state = shared.state.lock();
                    state.looking -= 1;
                }
            }
        }
    }

    /// Notes what the worker runs.
    fn sit_down(&self, turn: &Turn) {
        let task = if let Turn::Run(Job::Task(task)) = turn { Some(Arc::downgrade(task)) } else { None };
        if task.is_some() || self.sits.load(Relaxed) {
            self.sits.store(task.is_some(), Relaxed);
            let before = std::mem::replace(&mut *self.runs.lock(), task);
            drop(before); // after the lock is let go: this may free the task before
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
    pub(super) fn leave(&self, state: &mut State) {
        match self.stage.swap(LEFT, Relaxed) {
            STARTING => state.starting -= 1,
            WORKING => state.busy -= 1,
            // A scheduler threw it out of its sleep, as it does with all threads of a program that is over.
            IDLE => {}
            _ => return,
        }
        state.workers -= 1;
        self.stop_finishing();
    }

    pub(super) fn stop_finishing(&self) -> bool {
        let finishing = self.finishing.load(Relaxed);
        if finishing {
            self.finishing.store(false, Relaxed);
            self.shared.finished();
        }
        finishing
    }

    /// Changes the state and does what follows.
    pub(super) fn change(&self, change: impl FnOnce(&mut State, &mut After)) {
        if self.shared.is_an_ancestors() {
            return;
        }
        let mut after = After::default();
        let mut state = self.shared.gather();
        change(&mut state, &mut after);
        self.shared.note(&mut state);
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
        if self.shared.is_an_ancestors() {
            return;
        }
        self.shared.state.lock().blocked.retain(|blocked| !Arc::ptr_eq(&blocked.waiter, waiter));
    }

    fn runs(&self, address: usize) -> bool {
        let is = |task: *const dyn Task| task.cast::<()>() as usize == address;
        let outer = self.runs.lock().as_ref().is_some_and(|task| is(task.as_ptr()));
        outer || self.within.lock().iter().any(|task| is(Arc::as_ptr(task)))
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl HeldToken for Seat {
    /// The thread is over, or has called `exit` in the middle of a task and will not come back.
    fn abandon(&self) {
        // In a thread that called `exit`, a frame that is never left holds the task: the weak reference works.
        let runs = self.runs.lock().take();
        let outer = runs.and_then(|task| task.upgrade());
        let within = std::mem::take(&mut *self.within.lock());
        for task in outer.into_iter().chain(within) {
            afresh(|| guarded("a task that called exit", || task.abandon())); // its frames are never left
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
