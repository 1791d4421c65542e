//! The timers of one program: the schedule and the crew under one lock, and the word on which the service sleeps.
//!
//! Every change of a timer's standing is made under the lock, so a cancel and the start of a function have one
//! order, and whoever comes first wins.

use std::ops::Deref;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use super::crew::{Crew, Orders, RETRY};
use super::due::Due;
use super::job::{Job, Settling};
use super::schedule::{Cancel, Claim, Schedule};
use super::slab::Key;
use crate::raw::{Guarded, Waiter};
use crate::rt::{self, ForkSafe, Kind, Op, Rank};
use crate::sys::os;
use crate::thread::guarded;

pub(super) struct Timers {
    state: Guarded<State>,
    /// Changes when the service must look at its timers earlier than it meant to.
    word: AtomicU32,
    /// Whether the service runs; its business alone.
    pub(super) service: AtomicU32,
    /// The process that has the threads for these, by its forks.
    process: u32,
}

/// The timers of a program: those of the ordinary one are there for good, which saves counting who uses them.
#[derive(Clone)]
pub(super) enum Shared {
    Ordinary(&'static Timers),
    Explored(Arc<Timers>),
}

/// The timers of the first process.
static FIRST: LazyLock<Timers> = LazyLock::new(Timers::new);

/// Those of this process, if it is a forked child. What an ancestor's service holds, and how, is unknown here, so each
/// process begins with new ones.
static FORKED: ForkSafe<Option<&'static Timers>> = ForkSafe::new(Rank::Leaf, None);

#[inline]
fn ordinary() -> &'static Timers {
    if rt::forks() == 0 { &FIRST } else { forked() }
}

#[cold]
fn forked() -> &'static Timers {
    let mut timers = FORKED.lock();
    match *timers {
        Some(timers) if !timers.are_an_ancestors() => timers,
        _ => timers.insert(Box::leak(Box::new(Timers::new()))),
    }
}

impl Shared {
    /// Those of the calling thread's program.
    pub(super) fn of_program() -> Self {
        if rt::explored() {
            Self::Explored(rt::with_program(|program| program.services().get(Timers::new)))
        } else {
            Self::Ordinary(ordinary())
        }
    }
}

impl Deref for Shared {
    type Target = Timers;

    fn deref(&self) -> &Timers {
        match self {
            Self::Ordinary(timers) => timers,
            Self::Explored(timers) => timers,
        }
    }
}

/// Something for which the system had no thread.
pub(crate) trait Retry: Send + Sync {
    /// Tries again to start the thread, if it is still needed; false: it is not, or the thread was started.
    fn retry(self: Arc<Self>) -> bool;
}

struct State {
    schedule: Schedule,
    crew: Crew,
    /// What is to be tried again, as soon as the clock shows `retry_at`.
    retries: Vec<Weak<dyn Retry>>,
    retry_at: Option<Instant>,
    /// Until when the service means to sleep; `None`: until it is woken.
    asleep: Option<Due>,
}

/// What the service is to do, and how long it may sleep then.
pub(super) struct Plan {
    pub(super) orders: Orders,
    until: Option<Due>,
    seen: u32,
}

/// Runners end after being idle for this long.
const IDLE: Duration = Duration::from_secs(3);
/// As many runners are started without waiting for one to become free where a timeout may pass at any moment. It does
/// not depend on the machine, and a program with fewer timers due at once never comes to the rule about slow
/// functions, which measures time.
const TIMELESS: usize = 64;
/// So many timers at most are put in line at one go, not to keep the lock for long.
const BATCH: usize = 256;
/// A moment that the clock cannot tell is centuries away; so late it is looked at again.
const FAR: Duration = Duration::from_secs(u32::MAX as u64);
/// The watch must not take the limit of a timer that was cancelled for a hope for longer than this.
const SLICE: Duration = Duration::from_secs(1);

impl Timers {
    fn new() -> Self {
        let timeless = rt::idle_deadline(IDLE).is_none();
        let crew = Crew::new(if timeless { TIMELESS } else { 2 * os::processors() });
        Self {
            state: Guarded::new(State {
                schedule: Schedule::default(),
                crew,
                retries: Vec::new(),
                retry_at: None,
                asleep: None,
            }),
            word: AtomicU32::new(0),
            service: AtomicU32::new(0),
            process: rt::forks(),
        }
    }

    /// Whether no thread of this process serves them: they were inherited by a fork.
    #[inline]
    pub(super) fn are_an_ancestors(&self) -> bool {
        self.process != rt::forks()
    }

    pub(super) fn pending(&self) -> usize {
        self.state.lock().schedule.pending()
    }

    pub(super) fn insert(&self, job: Arc<Job>, due: Due) -> Key {
        let mut state = self.state.lock();
        let key = state.schedule.insert(job, due);
        let sooner = self.sooner(&mut state, due);
        drop(state);
        self.rouse(sooner);
        key
    }

    /// Cancels a timer; true: its function will not start after this.
    pub(super) fn cancel(&self, key: Key) -> bool {
        let found = self.state.lock().schedule.cancel(key);
        match found {
            Cancel::Removed(job) => {
                let _settling = Settling(&job);
                guarded("the destructor of a cancelled timer's function", || job.call.discard());
                true
            }
            Cancel::Stopping => true,
            Cancel::TooLate => false,
        }
    }

    /// Takes the timer that is due and next in line, for the calling runner.
    pub(super) fn claim(&self) -> Option<Claim> {
        loop {
            let next = self.state.lock().schedule.next()?;
            rt::point(next.op(Kind::Write).does("runs"));
            let mut state = self.state.lock();
            if let Some(claim) = state.schedule.claim(&next) {
                state.crew.began();
                return Some(claim);
            }
        }
    }

    /// A run is over; true: the timer waits for `next`, false: it has left.
    pub(super) fn ran(&self, key: Key, next: Option<Due>) -> bool {
        let mut state = self.state.lock();
        let goes_on = state.schedule.ran(key, next);
        let sooner = goes_on && next.is_some_and(|due| self.sooner(&mut state, due));
        drop(state);
        self.rouse(sooner);
        goes_on
    }

    /// The thread that runs the timer will never come back from its function.
    pub(super) fn lost(&self, key: Key) {
        let mut state = self.state.lock();
        state.schedule.ran(key, None);
        state.crew.lost();
    }

    /// The calling runner has just been started.
    pub(super) fn arrived(&self) {
        self.state.lock().crew.arrived();
    }

    /// Has the calling runner wait for work; false: there was none for long enough, and it is off the crew.
    pub(super) fn rest(&self) -> bool {
        let waiter = Waiter::new(0);
        let mut state = self.state.lock();
        if state.schedule.unclaimed() > 0 {
            return true;
        }
        state.crew.rests(&waiter);
        drop(state);
        let called =
            waiter.wait(Op::new(self, "timers", Kind::Wait).does("waits for due"), rt::idle_deadline(IDLE));
        let mut state = self.state.lock();
        if called.is_none() && state.crew.leaves(&waiter) {
            return false;
        }
        state.crew.arrived();
        true
    }

    /// Puts what is due in line, and finds out what the service has to do.
    pub(super) fn plan(&self) -> Plan {
        let now = rt::now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.schedule.fire(now, BATCH);
        let orders = state.crew.staff(state.schedule.unclaimed(), now);
        let look_again = state.crew.look_again().map(Due::At);
        let retry_at = state.retry_at.map(Due::At);
        let until = [state.schedule.first(), look_again, retry_at].into_iter().flatten().min();
        state.asleep = until;
        // Under the lock, as every change of the word: what is inserted from now on changes it after this.
        Plan { orders, until, seen: self.word.load(Relaxed) }
    }

    /// A runner that was ordered could not be started. If that leaves due timers without any runner, returns the
    /// first of them, once until there is a runner again.
    pub(super) fn not_started(&self) -> Option<Arc<Job>> {
        let now = rt::now();
        let mut state = self.state.lock();
        if state.crew.not_started(now) { state.schedule.next() } else { None }
    }

    /// Has the service try again for `what`, every few milliseconds until that is not needed any more.
    pub(super) fn retry_for(&self, what: Weak<dyn Retry>) {
        let retry_at = rt::now() + RETRY;
        let mut state = self.state.lock();
        if !state.retries.iter().any(|known| known.ptr_eq(&what)) {
            state.retries.push(what);
        }
        let retry_at = *state.retry_at.get_or_insert(retry_at);
        let sooner = self.sooner(&mut state, Due::At(retry_at));
        drop(state);
        self.rouse(sooner);
    }

    /// Tries again what has to be tried now.
    pub(super) fn retry(&self) {
        let mut state = self.state.lock();
        if state.retry_at.is_none_or(|retry_at| retry_at > rt::now()) {
            return;
        }
        state.retry_at = None;
        let mut retries = std::mem::take(&mut state.retries);
        drop(state);
        retries.retain(|what| what.upgrade().is_some_and(Retry::retry));
        if !retries.is_empty() {
            let retry_at = rt::now() + RETRY;
            let mut state = self.state.lock();
            retries.retain(|what| !state.retries.iter().any(|known| known.ptr_eq(what)));
            state.retries.append(&mut retries);
            state.retry_at.get_or_insert(retry_at);
        }
    }

    /// Parks the service until something is due or it must look again.
    pub(super) fn sleep(&self, plan: &Plan) {
        let limit = plan.until.and_then(Self::limit);
        let op = Op::new(self, "timers", Kind::Wait).does("waits for due");
        rt::point_until(op, limit, &self.word, || self.word.load(Acquire) != plan.seen);
        rt::wait(&self.word, plan.seen, limit);
    }

    /// When the service is to wake by itself: for a timer that is due; for the watch, which must not take the service
    /// for a thread that waits without a deadline while timers are pending, every second.
    fn limit(until: Due) -> Option<Instant> {
        let moment = match until {
            Due::At(moment) => Some(moment),
            Due::Never => rt::idle_deadline(FAR),
        };
        if rt::watched() { moment.map(|moment| moment.min(rt::now() + SLICE)) } else { moment }
    }

    /// Whether the service must be woken for a timer that is due at `due`; at most one wake is under way.
    fn sooner(&self, state: &mut State, due: Due) -> bool {
        let sooner = state.asleep.is_none_or(|until| due < until);
        if sooner {
            state.asleep = Some(due);
            rt::atom(&self.word);
            self.word.fetch_add(1, Release);
        }
        sooner
    }

    /// Wakes the service after the lock is let go.
    fn rouse(&self, sooner: bool) {
        if sooner {
            rt::wake(&self.word, 1);
        }
    }
}
