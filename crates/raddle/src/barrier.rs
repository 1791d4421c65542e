//! A place where a fixed number of threads meet, then all go on.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::host::{self, Kind, Op, Spin};
use crate::raw::{Guarded, Line, Waiter};

/// Holds threads back until a fixed number of them has come, then lets all go, again and again.
///
/// Each party of a round gets its own index, 0 for the first to come. The last one runs the
/// [action](Barrier::action), if there is one, before anybody goes on.
///
/// A barrier breaks when a thread's wait times out, when the action panics, or by [`abort`](Barrier::abort): then
/// everybody who waits, and everybody who comes later, gets [`BrokenBarrier`], until [`reset`](Barrier::reset).
/// A thread that comes for the next round while the action still runs waits at the door, whatever its limit.
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
    line: Line,
    /// Those who came while the action of the round before runs.
    door: Line,
    acting: bool,
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
    Act(u64),
}

impl<'a> Barrier<'a> {
    /// A barrier for `parties` threads.
    ///
    /// # Panics
    /// If `parties` is 0: nobody could ever come last.
    pub const fn new(parties: usize) -> Self {
        assert!(parties > 0, "a barrier needs at least one party");
        let state = State { line: Line::new(), door: Line::new(), acting: false, broken: false, turns: 0 };
        Self { parties, action: None, limit: None, state: Guarded::new(state) }
    }

    /// Has the last thread of each round run `action` before any goes on.
    ///
    /// If it panics the barrier breaks: that thread gets the panic, the others [`BrokenBarrier`].
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
    /// [`BrokenBarrier`] if the barrier is broken, breaks meanwhile, or is reset; also if the default
    /// [time limit](Barrier::timeout) passes, which breaks it for all.
    ///
    /// # Panics
    /// With the action's panic, in the thread that runs the action.
    #[track_caller]
    pub fn wait(&self) -> Result<usize, BrokenBarrier> {
        self.wait_until(self.limit.and_then(host::deadline))
    }

    /// Like [`wait`](Barrier::wait), at most for `timeout`, which breaks the barrier for all if it passes.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait).
    ///
    /// # Panics
    /// As [`wait`](Barrier::wait).
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BrokenBarrier> {
        self.wait_until(host::deadline(timeout))
    }

    /// Like [`wait_timeout`](Barrier::wait_timeout), until `deadline`.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait).
    ///
    /// # Panics
    /// As [`wait`](Barrier::wait).
    #[track_caller]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<usize, BrokenBarrier> {
        self.wait_until(Some(deadline))
    }

    /// Breaks the barrier, until [`reset`](Barrier::reset), for those who wait and those who will come.
    #[track_caller]
    pub fn abort(&self) {
        host::point(self.op(Kind::Write));
        let mut state = self.state.lock();
        let waiters = state.break_off(true);
        drop(state);
        tell(&waiters, BROKEN);
    }

    /// Makes the barrier new: unbroken and empty. Threads that wait get [`BrokenBarrier`].
    #[track_caller]
    pub fn reset(&self) {
        host::point(self.op(Kind::Write));
        let mut state = self.state.lock();
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
        host::point(self.op(Kind::Read));
        let state = self.state.lock();
        if state.acting { 0 } else { state.line.len() }
    }

    /// Whether the barrier is broken.
    #[track_caller]
    pub fn is_broken(&self) -> bool {
        host::point(self.op(Kind::Read));
        self.state.lock().broken
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> Result<usize, BrokenBarrier> {
        let op = self.op(Kind::Wait);
        loop {
            host::point(op);
            match self.come()? {
                Role::Wait(waiter) => return self.stand(op, &waiter, deadline),
                Role::AtTheDoor(waiter) => waiter.sleep(op, None),
                Role::LetAllGo(waiters) => {
                    tell(&waiters, PASS);
                    return Ok(self.parties - 1);
                }
                Role::Act(turn) => return self.act(turn),
            };
        }
    }

    fn come(&self) -> Result<Role, BrokenBarrier> {
        let mut state = self.state.lock();
        if state.broken {
            return Err(BrokenBarrier);
        }
        if state.acting {
            return Ok(Role::AtTheDoor(state.door.join(0)));
        }
        let index = state.line.len();
        if index + 1 < self.parties {
            return Ok(Role::Wait(state.line.join(index)));
        }
        if self.action.is_none() {
            return Ok(Role::LetAllGo(state.line.take_first(usize::MAX)));
        }
        state.acting = true;
        Ok(Role::Act(state.turns))
    }

    /// Waits for the last one to come.
    fn stand(&self, op: Op, waiter: &Arc<Waiter>, deadline: Option<Instant>) -> Result<usize, BrokenBarrier> {
        let patience = Spin::among(self.parties);
        let verdict = waiter.sleep_with(patience, op, deadline).or_else(|| {
            let mut state = self.state.lock();
            if !state.acting && state.line.leave(waiter) {
                let others = state.break_off(true);
                drop(state);
                tell(&others, BROKEN);
                return Some(BROKEN);
            }
            drop(state);
            waiter.sleep(op, None) // the round is complete: the verdict is on its way
        });
        if verdict == Some(PASS) { Ok(waiter.asks) } else { Err(BrokenBarrier) }
    }

    /// Runs the action for the round that is complete, then lets its parties go.
    fn act(&self, turn: u64) -> Result<usize, BrokenBarrier> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.action.as_ref().map(|action| action())));
        let mut state = self.state.lock();
        state.acting = false;
        let door = state.door.take_first(usize::MAX);
        let stands = state.turns == turn;
        let waiters = match (&outcome, stands) {
            (Ok(_), true) => state.line.take_first(usize::MAX),
            (Err(_), true) => state.break_off(true),
            (_, false) => VecDeque::new(), // told when the round was broken off
        };
        drop(state);
        tell(&waiters, if outcome.is_ok() { PASS } else { BROKEN });
        tell(&door, PASS);
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(_) if stands => Ok(self.parties - 1),
            Ok(_) => Err(BrokenBarrier),
        }
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
        self.line.take_first(usize::MAX)
    }
}

fn tell(waiters: &VecDeque<Arc<Waiter>>, verdict: u32) {
    for waiter in waiters {
        waiter.tell(verdict);
    }
}

impl fmt::Debug for Barrier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        host::point(Op::new(self, "Barrier", Kind::Read));
        let state = self.state.lock();
        let (waiting, broken) = (state.line.len(), state.broken);
        drop(state);
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("waiting", &waiting)
            .field("broken", &broken)
            .finish_non_exhaustive()
    }
}

/// The barrier is broken: a party timed out, the action panicked, or somebody aborted or reset it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrier;

impl fmt::Display for BrokenBarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken; `reset` makes it new once all parties know")
    }
}

impl std::error::Error for BrokenBarrier {}
