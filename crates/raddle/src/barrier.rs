//! A barrier: a fixed number of threads wait for each other, again and again.
//!
//! # State
//! Under a lock: the queue of the threads that have arrived in this round, whether the barrier is broken, a generation number, and,
//! while a thread runs the action of a complete round, an [`ActionRun`].
//!
//! # A round without an action
//! Each thread but the last enqueues itself with its index and parks. The last one dequeues and notifies all of them.
//!
//! # A round with an action
//! The last thread puts an [`ActionRun`] into the state, runs the action without the lock, takes the run out again, and notifies the
//! others. Meanwhile the waiters stay in the queue, where `abort` and `reset` find them, and threads that arrive for the next round
//! wait in the run's own queue until the action has returned. From the generation the last thread determines whether `abort` or
//! `reset` has ended its round in the meantime.
//!
//! The thread may never return from the action: it may call `exit`, or exist only in the parent of a forked process. For the first
//! case the run is registered with the thread, and [`HeldToken::abandon`] notifies all that wait for it. In both cases the next
//! thread that locks the state finds the run terminated and removes it.
//!
//! # Timeouts
//! A waiter whose deadline passes breaks the barrier if it is still in the queue and no action runs. Otherwise its round is complete,
//! and its notification is on the way.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::raw::{Guard, Guarded, WaitQueue, Waiter};
use crate::rt::{self, HeldToken, Kind, Op};
use crate::sys::spin::SpinBudget;

/// Blocks threads until a fixed number of them has arrived, then releases all of them, again and again.
///
/// Each thread of a round gets an index, in the order of arrival from 0. The last one runs the [action](Barrier::action), if there
/// is one, before any thread continues.
///
/// A barrier breaks when a wait times out, when the action panics or its thread calls [`exit`](std::process::exit), and on
/// [`abort`](Barrier::abort). Then each thread that waits, and each that arrives later, gets a [`BrokenBarrierError`], until
/// [`reset`](Barrier::reset).
///
/// A timeout limits the wait for the other threads. Once the last thread has arrived, the round is complete, and the threads wait for
/// the action to return regardless of their timeouts. So does a thread that arrives for the next round while the action runs.
///
/// # Memory ordering
/// The arrivals of a round happen before its action, and the action happens before the returns of the waits.
///
/// # Examples
/// ```
/// use raddle::{Barrier, thread};
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// let ready = AtomicU32::new(0);
/// let start = Barrier::new(3);
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
    timeout: Option<Duration>,
    state: Guarded<State>,
}

struct State {
    /// The threads that have arrived in this round. Each one's request is its index.
    waiters: WaitQueue,
    /// The run of the action of a complete round.
    action_run: Option<Arc<ActionRun>>,
    broken: bool,
    /// The number of times that a round was ended by breaking or resetting the barrier.
    generation: u64,
}

/// The outcome of a wait for a complete round, or for the end of an action.
const PASS: u32 = 0;
/// The outcome of a wait for a round that was ended by breaking or resetting the barrier.
const BROKEN: u32 = 1;

/// The next action of an arriving thread.
enum Arrival {
    /// It waits for the other threads.
    Wait(Arc<Waiter>),
    /// It waits for the end of the previous round's action, and arrives again.
    WaitForAction(Arc<Waiter>),
    /// It releases the other threads, because the round is complete.
    Release(VecDeque<Arc<Waiter>>),
    /// It runs the action, because the round is complete.
    RunAction(Arc<ActionRun>),
}

impl<'a> Barrier<'a> {
    /// Creates a barrier for `parties` threads.
    ///
    /// # Panics
    /// Panics if `parties` is 0.
    ///
    /// # Examples
    /// ```
    /// use raddle::Barrier;
    ///
    /// static START: Barrier = Barrier::new(1);
    /// assert_eq!(START.wait(), Ok(0));
    /// ```
    pub const fn new(parties: usize) -> Self {
        assert!(parties > 0, "cannot create a barrier for 0 threads: it needs at least one");
        let state = State { waiters: WaitQueue::new(), action_run: None, broken: false, generation: 0 };
        Self { parties, action: None, timeout: None, state: Guarded::new(state) }
    }

    /// Sets the action that the last thread of each round runs before any thread continues.
    ///
    /// A panic of the action breaks the barrier. The thread that runs the action gets the panic, the others a
    /// [`BrokenBarrierError`].
    ///
    /// # Examples
    /// ```
    /// use raddle::{Barrier, Mutex, thread};
    ///
    /// let (sums, total) = (Mutex::new(Vec::new()), Mutex::new(0));
    /// let round = Barrier::new(2).action(|| *total.lock() = sums.lock().iter().sum());
    /// thread::scope(|s| {
    ///     for n in [3, 4] {
    ///         let (sums, total, round) = (&sums, &total, &round);
    ///         s.spawn(move || {
    ///             sums.lock().push(n);
    ///             round.wait().unwrap();
    ///             assert_eq!(*total.lock(), 7);
    ///         });
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn action(mut self, action: impl Fn() + Send + Sync + 'a) -> Self {
        self.action = Some(Box::new(action));
        self
    }

    /// Sets the timeout of each [`wait`](Barrier::wait).
    ///
    /// # Examples
    /// ```
    /// use raddle::{Barrier, BrokenBarrierError};
    /// use std::time::Duration;
    ///
    /// let barrier = Barrier::new(2).timeout(Duration::from_millis(1));
    /// assert_eq!(barrier.wait(), Err(BrokenBarrierError));
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Blocks until all threads of the round have arrived. Returns the calling thread's index, from 0 to `parties` − 1.
    ///
    /// # Errors
    /// Returns [`BrokenBarrierError`] if the barrier is or becomes broken, or is reset. Also if the barrier's
    /// [timeout](Barrier::timeout) passes, which breaks it for all threads.
    ///
    /// # Panics
    /// Panics with the panic of the action, in the thread that runs it.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Barrier, thread};
    ///
    /// let barrier = Barrier::new(2);
    /// let indices = thread::scope(|s| {
    ///     let other = s.spawn(|| barrier.wait().unwrap());
    ///     barrier.wait().unwrap() + other.join().unwrap()
    /// });
    /// assert_eq!(indices, 1, "one thread got 0, the other 1");
    /// ```
    #[track_caller]
    pub fn wait(&self) -> Result<usize, BrokenBarrierError> {
        let deadline = match self.timeout {
            Some(timeout) => rt::deadline(timeout),
            None => None,
        };
        self.wait_until(deadline)
    }

    /// Blocks until all threads of the round have arrived, for at most `timeout`.
    ///
    /// A timeout breaks the barrier for all threads.
    ///
    /// # Errors
    /// As [`wait`](Barrier::wait).
    ///
    /// # Panics
    /// As [`wait`](Barrier::wait).
    ///
    /// # Examples
    /// ```
    /// use raddle::Barrier;
    /// use std::time::Duration;
    ///
    /// let barrier = Barrier::new(2);
    /// assert!(barrier.wait_timeout(Duration::from_millis(1)).is_err());
    /// assert!(barrier.is_broken());
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BrokenBarrierError> {
        self.wait_until(rt::deadline(timeout))
    }

    /// Blocks until all threads of the round have arrived, until `deadline` at most.
    ///
    /// A timeout breaks the barrier for all threads.
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

    /// Breaks the barrier until it is [reset](Barrier::reset). All threads that wait get a [`BrokenBarrierError`].
    ///
    /// # Examples
    /// ```
    /// use raddle::{Barrier, BrokenBarrierError};
    ///
    /// let barrier = Barrier::new(2);
    /// barrier.abort();
    /// assert_eq!(barrier.wait(), Err(BrokenBarrierError));
    /// ```
    #[track_caller]
    pub fn abort(&self) {
        rt::point(self.op(Kind::Write).with_verb("aborts"));
        let mut state = self.lock();
        let waiters = state.end_round(true);
        drop(state);
        notify_all(&waiters, BROKEN);
    }

    /// Resets the barrier to its initial state. All threads that wait get a [`BrokenBarrierError`].
    ///
    /// # Examples
    /// ```
    /// use raddle::Barrier;
    ///
    /// let barrier = Barrier::new(2);
    /// barrier.abort();
    /// barrier.reset();
    /// assert!(!barrier.is_broken());
    /// ```
    #[track_caller]
    pub fn reset(&self) {
        rt::point(self.op(Kind::Write).with_verb("resets"));
        let mut state = self.lock();
        let waiters = state.end_round(false);
        drop(state);
        notify_all(&waiters, BROKEN);
    }

    /// Returns the number of threads in a round.
    ///
    /// # Examples
    /// ```
    /// use raddle::Barrier;
    ///
    /// assert_eq!(Barrier::new(4).parties(), 4);
    /// ```
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// Returns the number of threads that wait for the round to be complete.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Barrier, thread};
    ///
    /// let barrier = Barrier::new(2);
    /// thread::scope(|s| {
    ///     s.spawn(|| barrier.wait());
    ///     while barrier.n_waiting() == 0 {
    ///         std::thread::yield_now();
    ///     }
    ///     barrier.wait()
    /// })?;
    /// # Ok::<(), raddle::BrokenBarrierError>(())
    /// ```
    #[track_caller]
    pub fn n_waiting(&self) -> usize {
        rt::point(self.op(Kind::Read));
        let state = self.lock();
        if state.action_run.is_some() { 0 } else { state.waiters.len() }
    }

    /// Returns whether the barrier is broken.
    ///
    /// # Examples
    /// ```
    /// use raddle::Barrier;
    ///
    /// let barrier = Barrier::new(2);
    /// assert!(!barrier.is_broken());
    /// barrier.abort();
    /// assert!(barrier.is_broken());
    /// ```
    #[track_caller]
    pub fn is_broken(&self) -> bool {
        rt::point(self.op(Kind::Read));
        self.lock().broken
    }

    #[track_caller]
    fn wait_until(&self, deadline: Option<Instant>) -> Result<usize, BrokenBarrierError> {
        let op = self.op(Kind::Wait).with_verb("waits at");
        loop {
            rt::point(op);
            match self.arrive()? {
                Arrival::Wait(waiter) => return self.wait_for_round(op, &waiter, deadline),
                Arrival::WaitForAction(waiter) => waiter.wait(op, None),
                Arrival::Release(waiters) => {
                    notify_all(&waiters, PASS);
                    return Ok(self.parties - 1);
                }
                Arrival::RunAction(run) => return self.run_action(&run),
            };
        }
    }

    fn arrive(&self) -> Result<Arrival, BrokenBarrierError> {
        let mut state = self.lock();
        if state.broken {
            return Err(BrokenBarrierError);
        }
        if let Some(run) = &state.action_run {
            // If its thread has just called `exit`, this thread arrives again and finds the barrier broken.
            return Ok(Arrival::WaitForAction(run.enqueue()));
        }
        let index = state.waiters.len();
        if index + 1 < self.parties {
            return Ok(Arrival::Wait(state.waiters.enqueue(index)));
        }
        if self.action.is_none() {
            return Ok(Arrival::Release(state.waiters.dequeue_many(usize::MAX)));
        }
        let run = Arc::new(ActionRun::new(state.generation));
        // The waiters stay in the queue, but only the run can notify them if its thread calls `exit`.
        run.state.lock().round.extend(state.waiters.iter().cloned());
        state.action_run = Some(run.clone());
        Ok(Arrival::RunAction(run))
    }

    /// Blocks until the last thread of the round has arrived and the action has returned.
    fn wait_for_round(
        &self,
        op: Op,
        waiter: &Arc<Waiter>,
        deadline: Option<Instant>,
    ) -> Result<usize, BrokenBarrierError> {
        let spin = SpinBudget::among(self.parties);
        let leave = || {
            let mut state = self.lock();
            if state.action_run.is_none() {
                state.waiters.remove(waiter);
            }
        };
        let outcome = rt::on_unwind(|| waiter.wait_spinning(spin, op, deadline), leave).or_else(|| {
            let mut state = self.lock();
            if state.action_run.is_none() && state.waiters.remove(waiter) {
                let others = state.end_round(true);
                drop(state);
                notify_all(&others, BROKEN);
                return Some(BROKEN);
            }
            drop(state);
            waiter.wait(op, None) // the round is complete, and the notification is on the way
        });
        if outcome == Some(PASS) { Ok(waiter.request) } else { Err(BrokenBarrierError) }
    }

    /// Runs the action of a complete round, then releases the threads of the round.
    fn run_action(&self, run: &Arc<ActionRun>) -> Result<usize, BrokenBarrierError> {
        let thread = rt::record();
        let token: Arc<dyn HeldToken> = run.clone();
        thread.add_token(token.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| self.action.as_ref().map(|action| action())));
        thread.remove_token(&token);
        let mut state = self.lock();
        state.action_run = None;
        let next_round = run.finish();
        let valid = state.generation == run.generation;
        let waiters = match (&outcome, valid) {
            (Ok(_), true) => state.waiters.dequeue_many(usize::MAX),
            (Err(_), true) => state.end_round(true),
            (_, false) => VecDeque::new(), // notified when the round was ended
        };
        drop(state);
        notify_all(&waiters, if outcome.is_ok() { PASS } else { BROKEN });
        notify_all(&next_round, PASS);
        match outcome {
            Err(panic) => resume_unwind(panic),
            Ok(_) if valid => Ok(self.parties - 1),
            Ok(_) => Err(BrokenBarrierError),
        }
    }

    /// Locks the state and removes an action run whose thread never returns from it.
    fn lock(&self) -> Guard<'_, State> {
        let mut state = self.state.lock();
        if let Some(run) = &state.action_run
            && let Some(gone) = run.thread_gone()
        {
            let valid = state.generation == run.generation;
            state.action_run = None;
            if valid && matches!(gone, Gone::Exited) {
                drop(state.end_round(true)); // `abandon` notifies the threads of the round
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
    /// Ends the round without completing it. Returns the threads to be notified.
    fn end_round(&mut self, broken: bool) -> VecDeque<Arc<Waiter>> {
        self.broken = broken;
        self.generation += 1;
        self.waiters.dequeue_many(usize::MAX)
    }
}

/// A run of the action, by a thread that may never return from it.
struct ActionRun {
    /// The generation of the round.
    generation: u64,
    /// The number of forks between the first process and the one in which the thread exists.
    process: u32,
    state: Guarded<RunState>,
}

struct RunState {
    /// The other threads of the round.
    round: VecDeque<Arc<Waiter>>,
    /// The threads that have arrived for the next round.
    next_round: WaitQueue,
    /// Whether the thread has called `exit`.
    exited: bool,
}

/// Why the thread that runs the action never returns from it.
enum Gone {
    Exited,
    /// The thread exists in the parent of this process only, as do the other threads of the round.
    Forked,
}

impl ActionRun {
    fn new(generation: u64) -> Self {
        let state = RunState { round: VecDeque::new(), next_round: WaitQueue::new(), exited: false };
        Self { generation, process: rt::forks(), state: Guarded::new(state) }
    }

    /// Enqueues the calling thread until the action has returned. If the thread of the action has called `exit`, the returned
    /// waiter has been notified.
    fn enqueue(&self) -> Arc<Waiter> {
        let mut state = self.state.lock();
        if state.exited {
            let waiter = Waiter::new(0);
            waiter.notify(PASS);
            return waiter;
        }
        state.next_round.enqueue(0)
    }

    /// Ends the run, because the action has returned. Returns the threads that have arrived for the next round.
    fn finish(&self) -> VecDeque<Arc<Waiter>> {
        let mut state = self.state.lock();
        state.round = VecDeque::new();
        state.next_round.dequeue_many(usize::MAX)
    }

    fn thread_gone(&self) -> Option<Gone> {
        if self.process != rt::forks() {
            return Some(Gone::Forked);
        }
        self.state.lock().exited.then_some(Gone::Exited)
    }
}

impl HeldToken for ActionRun {
    /// The thread has called `exit` in the action.
    fn abandon(&self) {
        let mut state = self.state.lock();
        state.exited = true;
        let round = std::mem::take(&mut state.round);
        let next_round = state.next_round.dequeue_many(usize::MAX);
        drop(state);
        for waiter in &round {
            waiter.try_notify(BROKEN); // `abort` or `reset` may have notified it
        }
        notify_all(&next_round, PASS); // they arrive again, and find the barrier broken
    }
}

fn notify_all(waiters: &VecDeque<Arc<Waiter>>, outcome: u32) {
    for waiter in waiters {
        waiter.notify(outcome);
    }
}

// A panic of the action breaks the barrier, and every other wait returns an error.
impl UnwindSafe for Barrier<'_> {}
impl RefUnwindSafe for Barrier<'_> {}

impl fmt::Debug for Barrier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rt::point(Op::new(self, "Barrier", Kind::Read));
        let state = self.lock();
        let (waiting, broken) = (state.waiters.len(), state.broken);
        drop(state);
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("waiting", &waiting)
            .field("broken", &broken)
            .finish_non_exhaustive()
    }
}

/// The error of a wait at a broken [`Barrier`].
///
/// A wait timed out, the action panicked or its thread called `exit`, or the barrier was aborted or reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenBarrierError;

impl fmt::Display for BrokenBarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier is broken: call `reset` after all threads have returned from their waits")
    }
}

impl std::error::Error for BrokenBarrierError {}
