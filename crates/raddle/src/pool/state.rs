//! What a pool's lock guards: the tasks that wait, the workers, and who must be woken when.
//!
//! # No wake-up is lost
//! A worker without a task puts a [`Waiter`] into `idle`, under the lock, and sleeps on it. Whoever adds a task
//! calls [`State::summon`] under the lock: if nobody is on the way (`waking` is 0), it takes the worker that
//! went idle last out of `idle` and, after the lock is let go, tells it. A waiter is told once, by the one who took
//! it out, so a worker that is on the way arrives; it takes a task and summons the next one. Hence while a task
//! waits and a worker is idle, another worker is on the way. One wake at a time is enough and is the cheapest:
//! a worker that finds the next task itself need not be woken at all.
//!
//! # No thread to be had
//! If the system refuses a thread, the pool is `short`: nobody else tries to start a worker, and the timer service, which
//! runs before the first worker does, tries again every few milliseconds until there is a worker or none is needed. Who
//! submits a task to a pool without any worker tries once for itself, and gets the task back if that fails.
//! [`hired`](State::hired) and [`not_hired`](State::not_hired) are the ends of each attempt.

use std::collections::VecDeque;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::error::Refusal;
use super::task::Job;
use super::task_queue::{Inbox, Lanes, Priority};
use crate::future::{CAN_FAIL, DEADLOCK, FutureError, ROOM, SETTLED, dead};
use crate::raw::{Guard, Guarded, WaitQueue, Waiter};
use crate::rt::{self, KeepAlive};
use crate::sys::spin::SpinBudget;
use crate::thread::drop_guarded;
use crate::watch::{detect_pool_deadlock, report_pool_deadlock};

pub(super) const POOL: &str = "ThreadPoolExecutor";
/// What a submitter does, in words.
pub(super) const SUBMITS: &str = "submits a task to";

pub(super) type Initializer = Box<dyn Fn() + Send + Sync>;

/// What changes with each task is in cache lines of its own, apart from what every submitter reads.
pub(super) struct Shared {
    /// The pool's number, by which futures and workers know theirs.
    pub(super) home: u64,
    /// The process that has the workers, by its forks.
    process: u32,
    pub(super) prefix: String,
    /// How many handles of the pool there are; the last one shuts it down.
    pub(super) handles: AtomicUsize,
    /// There has been more than one handle.
    pub(super) cloned: AtomicBool,
    /// How many workers have been named.
    pub(super) named: AtomicU64,
    pub(super) initializer: Option<Initializer>,
    pub(super) stack_size: Option<usize>,
    /// Whether threads that tasks start are daemons, unless they say otherwise.
    pub(super) daemon_heirs: bool,
    pub(super) inbox: Inbox,
    pub(super) state: Apart<Guarded<State>>,
    hints: Apart<Hints>,
    /// Submitters may have to wait for room.
    limited: bool,
    /// There may be more workers; if not, nobody need know who is about to be free.
    growing: AtomicBool,
}

struct Hints {
    /// Workers that settle a future and will look for a task right after. Who waits for a result and then
    /// submits the next task thus finds the same worker free, though it may not have reached the lock.
    finishing: AtomicUsize,
    /// How many tasks wait in lanes, for workers that look for one.
    waiting: AtomicUsize,
}

/// In cache lines of its own.
#[repr(align(128))]
pub(super) struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Shared {
    pub(super) fn new(
        home: u64,
        prefix: String,
        initializer: Option<Initializer>,
        stack_size: Option<usize>,
        daemon_heirs: bool,
        state: State,
    ) -> Self {
        let limited = state.limit.is_some();
        Self {
            home,
            process: rt::forks(),
            prefix,
            handles: AtomicUsize::new(1),
            cloned: AtomicBool::new(false),
            named: AtomicU64::new(0),
            initializer,
            stack_size,
            daemon_heirs,
            inbox: Inbox::closed(),
            state: Apart(Guarded::new(state)),
            hints: Apart(Hints { finishing: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }),
            limited,
            growing: AtomicBool::new(true),
        }
    }

    /// Whether the pool was inherited by a fork. Its workers are in the parent, and so may be a holder of its locks, which
    /// therefore must not be acquired.
    #[inline]
    pub(super) fn is_an_ancestors(&self) -> bool {
        self.process != rt::forks()
    }

    /// The state, with the inbox closed and all its tasks in their lane until [`note`](Shared::note).
    pub(super) fn gather(&self) -> Guard<'_, State> {
        let mut state = self.state.lock();
        self.close_inbox(&mut state);
        state
    }

    /// From now on, all tasks are in their lanes.
    pub(super) fn close_inbox(&self, state: &mut State) {
        if mem::take(&mut state.inbox_open) {
            state.lanes.append(self.inbox.close());
        }
    }

    /// Whether the next task of a worker, which has none, is there or may be about to come, with the inbox open.
    pub(super) fn finds_task(&self, state: &mut State, patience: &mut SpinBudget) -> bool {
        if !state.inbox_open || !state.looks_after_inbox() {
            return false;
        }
        if state.lanes.usual_is_empty() && self.inbox.may_have_tasks() {
            state.lanes.refill(|lane| self.inbox.swap(lane));
        }
        !state.lanes.is_empty() || patience.has_rounds()
    }

    pub(super) fn finishing(&self) -> usize {
        self.hints.finishing.load(Relaxed)
    }

    /// The calling worker is about to be free, which counts until [`finished`](Shared::finished); false: no matter.
    pub(super) fn begins_to_finish(&self) -> bool {
        // Relaxed: settling the future, which follows, releases it to whoever sees the future done.
        self.growing.load(Relaxed) && {
            self.hints.finishing.fetch_add(1, Relaxed);
            true
        }
    }

    pub(super) fn finished(&self) {
        self.hints.finishing.fetch_sub(1, Relaxed);
    }

    /// Whether submitters may have to wait for room.
    pub(super) fn is_limited(&self) -> bool {
        self.limited
    }

    /// Waits actively until a task may be there; false: patience ran out before.
    pub(super) fn look_for_task(&self, patience: &mut SpinBudget) -> bool {
        patience.until(|| self.inbox.may_have_tasks() || self.hints.waiting.load(Relaxed) > 0)
    }

    /// Notes what others look at without the lock. To be called at the end of each hold of it.
    #[inline]
    pub(super) fn note(&self, state: &mut State) {
        let waiting = state.lanes.len();
        if self.hints.waiting.load(Relaxed) != waiting {
            self.hints.waiting.store(waiting, Relaxed);
        }
        self.note_growth(state);
        if !state.inbox_open && state.looks_after_inbox() {
            state.inbox_open = true;
            self.inbox.open();
        }
    }

    /// Notes whether there may be more workers, whenever that may have changed.
    fn note_growth(&self, state: &State) {
        let growing = state.workers < state.max;
        if self.growing.load(Relaxed) != growing {
            self.growing.store(growing, Relaxed);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Workers hold this until all is done; without any, nobody is left to run what waits.
        let mut left = Vec::new();
        left.extend(self.inbox.close());
        self.state.0.get_mut().lanes.clear(&mut left);
        for task in left {
            task.refuse(FutureError::Abandoned);
        }
        drop_guarded("the destructor of a pool's initializer", self.initializer.take());
    }
}

pub(super) enum Mode {
    Open,
    ShutDown,
    Broken(Arc<str>),
}

/// While the system has had no thread for less than this, workers that wait for their own pool may hope for one more.
const HOPE: Duration = Duration::from_secs(1);

pub(super) struct State {
    pub(super) mode: Mode,
    pub(super) lanes: Lanes,
    pub(super) door: VecDeque<Caller>,
    pub(super) limit: Option<usize>,
    pub(super) max: usize,
    /// Threads that will take a task sooner or later.
    pub(super) workers: usize,
    /// Threads that are not over, and those about to be started.
    pub(super) alive: usize,
    /// Those of the workers that have not come for their first task.
    pub(super) starting: usize,
    /// Those that were idle and are on the way.
    pub(super) waking: usize,
    /// Those that look for a task actively, before they go idle.
    pub(super) looking: usize,
    /// Those that have a task.
    pub(super) busy: usize,
    pub(super) idle: Vec<Arc<Waiter>>,
    /// Those that wait, without limit, for a task of this pool.
    pub(super) blocked: Vec<Blocked>,
    pub(super) joiners: WaitQueue,
    /// Unfinished tasks do not keep the program alive.
    pub(super) daemon: bool,
    /// Keeps the program alive while a task waits or runs.
    pub(super) keep_alive: Option<KeepAlive>,
    /// How many tasks had died in queues when the lanes were last swept.
    pub(super) swept_at: u64,
    /// Tasks may come in without the state's lock.
    pub(super) inbox_open: bool,
    /// Since when the system has had no thread for a worker; the timer service tries again.
    pub(super) short: Option<Instant>,
}

/// A worker that waits for its own pool.
pub(super) struct Blocked {
    pub(super) waiter: Arc<Waiter>,
    /// The address of the task that it waits for; or `NOTHING`, or `ROOM`.
    pub(super) task: usize,
}

/// What a worker does next.
pub(super) enum Turn {
    Run(Job),
    Sleep(Arc<Waiter>),
    /// Look for a task for a moment, and take another turn.
    Look,
    Leave,
}

impl State {
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match &self.mode {
            Mode::Open => None,
            Mode::ShutDown => Some(Refusal::ShutDown),
            Mode::Broken(reason) => Some(Refusal::Broken(reason.clone())),
        }
    }

    /// Whether one more task would have to wait beyond the limit; `here`: workers about to look for a task.
    pub(super) fn is_full(&self, here: usize) -> bool {
        let to_come = self.max.saturating_sub(self.workers) + self.starting;
        let free = here + to_come + self.idle.len() + self.waking + self.looking;
        self.limit.is_some_and(|limit| self.lanes.len() >= limit.saturating_add(free))
    }

    /// Whether a task would have to wait for room: nobody overtakes those at the door.
    pub(super) fn is_barred(&self) -> bool {
        matches!(self.mode, Mode::Open) && (!self.door.is_empty() || self.is_full(0))
    }

    /// Whether a task may come in unseen: a worker looks for it before it goes idle, there is room, nobody need be
    /// hired, and the program waits for it.
    pub(super) fn looks_after_inbox(&self) -> bool {
        matches!(self.mode, Mode::Open)
            && self.limit.is_none()
            && self.workers == self.max
            && (self.daemon || self.keep_alive.is_some())
            && (self.idle.is_empty() || self.waking + self.looking > 0)
    }

    /// Makes room by taking out what was cancelled, and lets in who waits for it.
    pub(super) fn sweep(&mut self, after: &mut After) {
        let dead = dead();
        if std::mem::replace(&mut self.swept_at, dead) != dead {
            self.drop_dead(after);
            self.admit(0, after);
        }
    }

    pub(super) fn push(&mut self, task: Job, priority: Priority) -> Result<(), Refusal> {
        if self.keep_alive.is_none() && !self.daemon {
            self.keep_alive = Some(rt::keep_alive().ok_or(Refusal::ShutDown)?);
        }
        self.lanes.push(task, priority);
        Ok(())
    }

    fn drop_dead(&mut self, after: &mut After) {
        let mut dead = Vec::new();
        self.lanes.sweep(&mut dead);
        // They are cancelled already: what remains is to let go of them.
        after.steps.extend(dead.into_iter().map(Step::Cancel));
    }

    /// Lets in those at the door for whom there is room, in their order.
    pub(super) fn admit(&mut self, here: usize, after: &mut After) {
        while !self.door.is_empty() && !self.is_full(here) {
            let Some(Caller { knock, task, priority }) = self.door.pop_front() else { return };
            let answer = if self.push(task, priority).is_ok() { LET_IN } else { REFUSED };
            after.answer(&knock, answer);
        }
    }

    /// Sees to it that a task that waits will be taken: by a worker that is free or about to be, or by a new one.
    pub(super) fn summon(&mut self, finishing: usize, after: &mut After) {
        if self.short.is_none() && self.lacks_workers(finishing) {
            self.count_new_worker();
            after.hire += 1;
        } else if self.waking + self.looking == 0
            && !self.lanes.is_empty()
            && let Some(worker) = self.idle.pop()
        {
            self.waking += 1;
            after.steps.push(Step::Tell(worker, SETTLED));
        }
    }

    /// More tasks wait than workers will soon come for, and there may be one more.
    fn lacks_workers(&self, finishing: usize) -> bool {
        let free = self.idle.len() + self.waking + self.looking + self.starting + finishing;
        self.lanes.len() > free && self.workers < self.max
    }

    fn count_new_worker(&mut self) {
        self.workers += 1;
        self.alive += 1;
        self.starting += 1;
    }

    /// Counts a worker that is to be started in another attempt; false: there is no need any more.
    pub(super) fn hires_again(&mut self, finishing: usize) -> bool {
        let again = self.short.is_some() && self.lacks_workers(finishing);
        if again {
            self.count_new_worker();
        } else {
            self.short = None;
        }
        again
    }

    /// A worker was started in another attempt: others may follow.
    pub(super) fn hired(&mut self, finishing: usize, after: &mut After) {
        self.short = None;
        self.summon(finishing, after);
    }

    /// Has up to `count` idle workers come and look what is to do.
    pub(super) fn rouse(&mut self, count: usize, after: &mut After) {
        let left = self.idle.len().saturating_sub(count);
        self.waking += self.idle.len() - left;
        after.steps.extend(self.idle.drain(left..).map(|worker| Step::Tell(worker, SETTLED)));
    }

    /// What the calling worker, which has no task, does next.
    pub(super) fn turn(&mut self, may_look: bool, after: &mut After) -> Turn {
        self.admit(1, after);
        if self.workers > self.max {
            return self.leave(after);
        }
        if let Some(task) = self.lanes.pop() {
            self.busy += 1;
            return Turn::Run(task); // or let go of, if it was cancelled
        }
        if !matches!(self.mode, Mode::Open) {
            return self.leave(after);
        }
        if may_look {
            self.looking += 1;
            return Turn::Look;
        }
        self.lanes.tidy();
        let waiter = Waiter::new(0);
        self.idle.push(waiter.clone());
        Turn::Sleep(waiter)
    }

    fn leave(&mut self, after: &mut After) -> Turn {
        self.workers -= 1;
        self.release_stuck(after);
        Turn::Leave
    }

    /// Lets the program end if nothing is left to do, and the joiners go if nobody is left.
    pub(super) fn conclude(&mut self, after: &mut After) {
        if self.busy == 0 && self.lanes.is_empty() {
            after.over = self.keep_alive.take();
        }
        if self.alive == 0 && !matches!(self.mode, Mode::Open) {
            let joiners = self.joiners.dequeue_many(usize::MAX).into_iter();
            after.steps.extend(joiners.map(|joiner| Step::Tell(joiner, SETTLED)));
        }
    }

    /// If all workers wait for tasks of this pool, ends one of the waits: the last one for a task that has not
    /// started, because who waits for that can cancel the task and do its work himself.
    ///
    /// A worker that has been told already is about to go on, so only waits that nobody has ended count. Each of
    /// them is for a task that waits or that one of the blocked workers runs: without a free worker, no
    /// task of the pool can ever go on.
    pub(super) fn release_stuck(&mut self, after: &mut After) {
        if self.blocked.is_empty() || !self.is_stuck() {
            return;
        }
        if self.workers < self.max {
            // Possible if the system had no thread to give before, or what waits is dead.
            self.drop_dead(after);
            self.summon(0, after);
            let may_grow = self.short.is_some_and(|since| rt::now() < since + HOPE) && !self.lanes.is_empty();
            if after.hire > 0 || may_grow {
                return;
            }
        }
        self.end_a_wait(after);
    }

    fn is_stuck(&self) -> bool {
        let untold = |blocked: &Blocked| blocked.waiter.outcome().is_none();
        self.blocked.len() >= self.workers && self.blocked.iter().all(untold)
    }

    fn end_a_wait(&self, after: &mut After) {
        let can_fail = || self.blocked.iter().rev().filter(|blocked| blocked.waiter.request == CAN_FAIL);
        let waits_for_a_start =
            |blocked: &&Blocked| blocked.task == ROOM || self.lanes.contains(blocked.task);
        if let Some(victim) = can_fail().find(waits_for_a_start).or_else(|| can_fail().next()) {
            after.steps.push(Step::Tell(victim.waiter.clone(), DEADLOCK));
        }
    }

    /// No more tasks: those at the door are refused, and the idle come to see whether they can leave.
    pub(super) fn close(&mut self, mode: Mode, after: &mut After) {
        self.mode = mode;
        self.turn_away(REFUSED, after);
        self.rouse(usize::MAX, after);
        self.conclude(after);
    }

    /// The initializer failed: nothing that waits will be run.
    pub(super) fn break_down(&mut self, reason: &Arc<str>, after: &mut After) {
        let mut waiting = Vec::new();
        self.lanes.clear(&mut waiting);
        let refuse = |task| Step::Refuse(task, FutureError::Broken(reason.clone()));
        after.steps.extend(waiting.into_iter().map(refuse));
        self.close(Mode::Broken(reason.clone()), after);
    }

    /// A worker that was counted could not be started. If nobody is left to run what waits, `own` comes out again, the
    /// address of the task of the thread that tried. `again`: the timer service will try again while tasks wait.
    /// Otherwise all that waits comes out.
    pub(super) fn not_hired(&mut self, again: bool, own: Option<usize>, after: &mut After) -> Vec<Job> {
        self.workers -= 1;
        self.alive -= 1;
        self.starting -= 1;
        let mut refused = Vec::new();
        if self.workers == 0 && !again {
            self.lanes.clear(&mut refused);
            self.turn_away(NO_WORKER, after);
        } else if self.workers == 0
            && let Some(own) = own
        {
            self.lanes.take_out(|job| job.is_at(own), &mut refused);
        }
        if again && self.lacks_workers(0) {
            self.short.get_or_insert_with(rt::now);
            self.release_stuck(after);
        } else if !self.blocked.is_empty() && self.is_stuck() {
            self.end_a_wait(after); // to try again would be in vain
        }
        self.conclude(after);
        refused
    }

    fn turn_away(&mut self, answer: u32, after: &mut After) {
        // Each caller keeps its task until it is told, so no task is dropped here, under the lock.
        self.door.drain(..).for_each(|caller| after.answer(&caller.knock, answer));
    }
}

pub(super) enum Step {
    Tell(Arc<Waiter>, u32),
    Refuse(Job, FutureError),
    Cancel(Job),
}

/// What remains to be done when the lock is let go.
#[derive(Default)]
pub(super) struct After {
    pub(super) steps: Vec<Step>,
    pub(super) over: Option<KeepAlive>,
    /// How many workers must be started, which are counted already.
    pub(super) hire: usize,
}

impl After {
    /// Has a caller told, who is out of the door now.
    pub(super) fn answer(&mut self, knock: &Arc<Knock>, answer: u32) {
        knock.answer.store(answer, Relaxed);
        self.steps.push(Step::Tell(knock.waiter.clone(), SETTLED));
    }
}

/// Somebody knocks at the door: waits with a task until there is room for it.
pub(super) struct Knock {
    pub(super) waiter: Arc<Waiter>,
    /// Changed under the pool's lock, once, when the caller is let in or turned away.
    pub(super) answer: AtomicU32,
}

/// Answers to a knock.
pub(super) const NONE_YET: u32 = 0;
pub(super) const LET_IN: u32 = 1;
pub(super) const REFUSED: u32 = 2;
pub(super) const NO_WORKER: u32 = 3;

/// Who knocks, and with what.
pub(super) struct Caller {
    pub(super) knock: Arc<Knock>,
    pub(super) task: Job,
    pub(super) priority: Priority,
}

/// Ends a wait of the pool for itself, unless that has ended by itself.
pub(super) fn break_up(pool: u64, waiter: &Waiter) {
    let report = detect_pool_deadlock(pool); // while all of them wait
    if waiter.try_notify(DEADLOCK)
        && let Some(report) = report
    {
        report_pool_deadlock(&report);
    }
}
