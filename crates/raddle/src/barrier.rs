//! A place where a fixed number of threads meet, then all go on.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::raw::{Guard, Guarded, WaitQueue, Waiter};
use crate::rt::{self, HeldToken, Kind, Op};
use crate::sys::spin::SpinBudget;

/// Holds threads back until a fixed number of them has come, then lets all go, again and again.
///
/// Each party of a round gets its own index, 0 for the first to come. The last one runs the
/// [action](Barrier::action), if there is one, before anybody goes on.
///
/// A barrier breaks when a thread's wait times out, when the action panics or its thread calls
/// [`exit`](std::process::exit), or by [`abort`](Barrier::abort): then
/// everybody who waits, and everybody who comes later, gets [`BrokenBarrierError`], until [`reset`](Barrier::reset).
///
/// A time limit is one for the arrival of the others. Once the last party has arrived, the round is complete: the parties
/// wait for the action to return, whatever their limits. So does a thread that comes for the next round while the action
/// still runs.
///
/// # Memory ordering
/// What the parties of a round did before they came happens before the action, and the action before all go on.
///
/// ```
/// use raddle::{Barrier, thread};
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// let ready = AtomicU32::new(0);
/// let start = Barrier::new(3).action(|| println!("all here"));
/// thread::scope(|s| {
///     for _ in 0..3 {
///         s.spawn(|| {
///             ready.fetch_add(1, Relaxed);
///             start.wait().unwrap();
///             assert_eq!(ready.load(Relaxed), 3);
///         });
///     }
/// });
/// ```
pub struct Barrier<'a> {
    parties: usize,
    action: Option<Box<dyn Fn() + Send + Sync + 'a>>,
    limit: Option<Duration>,
    state: Guarded<State>,
}

struct State {
    /// The parties of this round that have come, each asking for its index.
    line: WaitQueue,
    /// The thread that runs the action of the complete round.
    acting: Option<Arc<Acting>>,
    broken: bool,
    /// Counts breaks and resets, so that the action's thread sees whether its round still stands.
    turns: u64,
}

const PASS: u32 = 0;
const BROKEN: u32 = 1;

/// What a thread that comes has to do.
enum Role {
    Wait(Arc<Waiter>),
    AtTheDoor(Arc<Waiter>),
    LetAllGo(VecDeque<Arc<Waiter>>),
    Act(Arc<Acting>),
}

impl<'a> Barrier<'a> {
    /// A barrier for `parties` threads.
    ///
    /// # Panics
    /// If `parties` is 0: nobody could ever come last.
    pub const fn new(parties: usize) -> Self {
        assert!(parties > 0, "a barrier needs at least one party");
        let state = State { line: WaitQueue::new(), acting: None, broken: false, turns: 0 };
        Self { parties, action: None, limit: None, state: Guarded::new(state) }
    }

    /// Has the last thread of each round run `action` before any goes on.
    ///
    /// If it panics the barrier breaks: that thread gets the panic, the others [`BrokenBarrierError`].
    #[must_use]
    pub fn action(mut self, action: impl Fn() + Send + Sync + 'a) -> Self {
        self.action = Some(Box::new(action));
        self
    }

    /// Limits every [`wait`](Barrier::wait) that names no limit of its own.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Waits for the others and returns this thread's index in the round, from 0 to `parties` − 1.
    ///
    /// # Errors
    /// [`BrokenBarrierError`] if the barrier is broken, breaks meanwhile, or is reset; also if the default
    /// [time limit](Barrier::timeout) passes, which breaks it for all.
    ///
    /// # Panics
    /// With the action's panic, in the thread that runs the action.
    #[track_caller]
    pub fn wait(&self) -> Result<usize, BrokenBarrierError> {
        self.wait_until(self.limit.and_then(rt::deadline))
    }

    /// Like [`wait`](Barrier::wait), at most for `timeout`, which breaks the barrier for all if it passes.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait).
    ///
    /// # Panics
    /// As [`wait`](Barrier::wait).
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BrokenBarrierError> {
        self.wait_until(rt::deadline(timeout))
    }

    /// Like [`wait_timeout`](Barrier::wait_timeout), until `deadline`.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait).
    ///
    /// # Panics
    /// As [`wait`](Barrier::wait).
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<usize, BrokenBarrierError> {
        self.wait_until(Some(deadline))
    }

    /// Breaks the barrier, until [`reset`](Barrier::reset), for those who wait and those who will come.
    #[track_caller]
    pub fn abort(&self) {
        rt::point(self.op(Kind::Write).with_verb("aborts"));
        let mut state = self.locked();
        let waiters = state.break_off(true);
        drop(state);
        tell(&waiters, BROKEN);
    }

    /// Makes the barrier new: unbroken and empty. Threads that wait get [`BrokenBarrierError`].
    #[track_caller]
    pub fn reset(&self) {
        rt::point(self.op(Kind::Write).with_verb("resets"));
        let mut state = self.locked();
        let waiters = state.break_off(false);
        drop(state);
        tell(&waiters, BROKEN);
    }

    /// How many threads make up a round.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many threads wait for the round to be complete.
    #[track_caller]
    pub fn n_waiting(&self) -> usize {
        rt::point(self.op(Kind::Read));
        let state = self.locked();
        if state.acting.is_some() { 0 } else { state.line.len() }
    }

    /// Whether the barrier is broken.
    #[track_caller]
    pub fn is_broken(&self) -> bool {
        rt::point(self.op(Kind::Read));
        self.locked().broken
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> Result<usize, BrokenBarrierError> {
        let op = self.op(Kind::Wait).with_verb("waits at");
        loop {
            rt::point(op);
            match self.come()? {
                Role::Wait(waiter) => return self.stand(op, &waiter, deadline),
                Role::AtTheDoor(waiter) => waiter.wait(op, None),
                Role::LetAllGo(waiters) => {
                    tell(&waiters, PASS);
                    return Ok(self.parties - 1);
                }
                Role::Act(acting) => return self.act(&acting),
            };
        }
    }

    fn come(&self) -> Result<Role, BrokenBarrierError> {
        let mut state = self.locked();
        if state.broken {
            return Err(BrokenBarrierError);
        }
        if let Some(acting) = &state.acting {
            // If its thread has just called `exit`, this one looks again, and finds the barrier broken.
            return Ok(Role::AtTheDoor(acting.wait()));
        }
        let index = state.line.len();
        if index + 1 < self.parties {
            return Ok(Role::Wait(state.line.enqueue(index)));
        }
        if self.action.is_none() {
            return Ok(Role::LetAllGo(state.line.dequeue_many(usize::MAX)));
        }
        let acting = Arc::new(Acting::new(state.turns));
        // They stay in line, where `abort` and `reset` find them; but nobody else tells them when the thread calls `exit`.
        acting.round.lock().parties.extend(state.line.iter().cloned());
        state.acting = Some(acting.clone());
        Ok(Role::Act(acting))
    }

    /// Waits for the last one to come.
    fn stand(
        &self,
        op: Op,
        waiter: &Arc<Waiter>,
        deadline: Option<Instant>,
    ) -> Result<usize, BrokenBarrierError> {
        let patience = SpinBudget::among(self.parties);
        let verdict = waiter.wait_spinning(patience, op, deadline).or_else(|| {
            let mut state = self.locked();
            if state.acting.is_none() && state.line.remove(waiter) {
                let others = state.break_off(true);
                drop(state);
                tell(&others, BROKEN);
                return Some(BROKEN);
            }
            drop(state);
            waiter.wait(op, None) // the round is complete: the verdict is on its way
        });
        if verdict == Some(PASS) { Ok(waiter.request) } else { Err(BrokenBarrierError) }
    }

    /// Runs the action for the round that is complete, then lets its parties go.
    fn act(&self, acting: &Arc<Acting>) -> Result<usize, BrokenBarrierError> {
        let me = rt::record();
        let duty: Arc<dyn HeldToken> = acting.clone();
        me.add_token(duty.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| self.action.as_ref().map(|action| action())));
        me.remove_token(&duty);
        let mut state = self.locked();
        state.acting = None;
        let door = acting.end();
        let stands = state.turns == acting.turn;
        let waiters = match (&outcome, stands) {
            (Ok(_), true) => state.line.dequeue_many(usize::MAX),
            (Err(_), true) => state.break_off(true),
            (_, false) => VecDeque::new(), // told when the round was broken off
        };
        drop(state);
        tell(&waiters, if outcome.is_ok() { PASS } else { BROKEN });
        tell(&door, PASS);
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(_) if stands => Ok(self.parties - 1),
            Ok(_) => Err(BrokenBarrierError),
        }
    }

    /// The state, in which a thread that runs the action exists.
    fn locked(&self) -> Guard<'_, State> {
        let mut state = self.state.lock();
        if let Some(acting) = &state.acting
            && let Some(end) = acting.has_ended()
        {
            // A reset of the barrier has ended the round before.
            let stands = state.turns == acting.turn;
            state.acting = None;
            if stands && matches!(end, End::Exited) {
                drop(state.break_off(true)); // its parties are told by who found out
            }
        }
        state
    }

    #[track_caller]
    fn op(&self, kind: Kind) -> Op {
        Op::new(&self.state, "Barrier", kind)
    }
}

impl State {
    /// Ends the round without its being complete; returns those to be told.
    fn break_off(&mut self, broken: bool) -> VecDeque<Arc<Waiter>> {
        self.broken = broken;
        self.turns += 1;
        self.line.dequeue_many(usize::MAX)
    }
}

/// A thread that runs the action. It may never come back.
struct Acting {
    /// The turn of the round.
    turn: u64,
    /// The process in which the thread exists, by its forks.
    process: u32,
    round: Guarded<Round>,
}

struct Round {
    /// Those who wait for the action to return.
    parties: VecDeque<Arc<Waiter>>,
    /// Those who came for the next round meanwhile.
    door: WaitQueue,
    /// The thread has called `exit`.
    exited: bool,
}

/// How a thread that runs the action is gone.
enum End {
    Exited,
    /// It exists in the parent of this process, and with it the parties of the round.
    Forked,
}

impl Acting {
    fn new(turn: u64) -> Self {
        let round = Round { parties: VecDeque::new(), door: WaitQueue::new(), exited: false };
        Self { turn, process: rt::forks(), round: Guarded::new(round) }
    }

    /// Lines up until the action is over. A waiter that comes too late for that has been told already.
    fn wait(&self) -> Arc<Waiter> {
        let mut round = self.round.lock();
        if round.exited {
            let waiter = Waiter::new(0);
            waiter.notify(PASS);
            return waiter;
        }
        round.door.enqueue(0)
    }

    /// The action has returned: those who came meanwhile may go on.
    fn end(&self) -> VecDeque<Arc<Waiter>> {
        let mut round = self.round.lock();
        round.parties = VecDeque::new();
        round.door.dequeue_many(usize::MAX)
    }

    fn has_ended(&self) -> Option<End> {
        if self.process != rt::forks() {
            return Some(End::Forked);
        }
        self.round.lock().exited.then_some(End::Exited)
    }
}

impl HeldToken for Acting {
    /// The thread has called `exit` in the action.
    fn abandon(&self) {
        let mut round = self.round.lock();
        round.exited = true;
        let parties = std::mem::take(&mut round.parties);
        let door = round.door.dequeue_many(usize::MAX);
        drop(round);
        try_notify(&parties, BROKEN);
        tell(&door, PASS); // to look again
    }
}

fn try_notify(waiters: &VecDeque<Arc<Waiter>>, verdict: u32) {
    for waiter in waiters {
        waiter.try_notify(verdict);
    }
}

fn tell(waiters: &VecDeque<Arc<Waiter>>, verdict: u32) {
    for waiter in waiters {
        waiter.notify(verdict);
    }
}

// A panic of the action breaks the barrier, which tells everyone who uses it.
impl UnwindSafe for Barrier<'_> {}
impl RefUnwindSafe for Barrier<'_> {}

impl fmt::Debug for Barrier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(self, "Barrier", Kind::Read));
        let state = self.locked();
        let (waiting, broken) = (state.line.len(), state.broken);
        drop(state);
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("waiting", &waiting)
            .field("broken", &broken)
            .finish_non_exhaustive()
    }
}

/// The barrier is broken: a party timed out, the action panicked or called `exit`, or somebody aborted or reset it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrierError;

impl fmt::Display for BrokenBarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken; `reset` makes it new once all parties know")
    }
}

impl std::error::Error for BrokenBarrierError {}
