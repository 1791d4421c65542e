//! The one thread that waits for the timers of a program, however many there are.

use std::any::Any;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use super::schedule::{Cancel, Claim, Key, Schedule};
use super::task::{Due, Job, Settling};
use crate::raw::{Guarded, Waiter};
use crate::rt::{self, ForkSafe, HeldToken, Kind, Op, Rank, ThreadRecord};
use crate::sys::os;
use crate::thread;
use crate::thread::guarded;

/// States of [`Timers::service`](Timers).
const NONE: u32 = 0;
const STARTING: u32 = 1;
const RUNS: u32 = 2;

/// Starts the service of the calling thread's program unless it runs.
pub(crate) fn start_service() -> io::Result<()> {
    ensure(&Shared::of_program())
}

/// Has the service, which must run, try again for `what`, for which the system had no thread.
pub(crate) fn retry_for(what: Weak<dyn Retry>) {
    Shared::of_program().retry_for(what);
}

/// Starts the service unless it runs.
pub(super) fn ensure(timers: &Shared) -> io::Result<()> {
    while look(&timers.service) != RUNS {
        rt::atom(&timers.service);
        if timers.service.compare_exchange(NONE, STARTING, Acquire, Acquire).is_ok() {
            let started = start(timers);
            rt::atom(&timers.service);
            timers.service.store(if started.is_ok() { RUNS } else { NONE }, Release);
            rt::wake(&timers.service, u32::MAX);
            return started;
        }
        // Another thread starts it; should that fail, this one tries.
        rt::wait(&timers.service, STARTING, None);
    }
    Ok(())
}

fn look(word: &AtomicU32) -> u32 {
    rt::atom(word);
    word.load(Acquire)
}

fn start(timers: &Shared) -> io::Result<()> {
    let record = ThreadRecord::new("timer service", true, true);
    let timers = timers.clone();
    thread::launch(&record, None, Box::new(move || serve(&timers)))
}

fn serve(timers: &Shared) {
    // As punctual as the kernel can be; runners go back to what is usual.
    let slack = os::set_timer_slack(1);
    loop {
        timers.retry();
        let plan = timers.plan();
        if carry_out(timers, &plan, slack) {
            timers.sleep(&plan);
        }
    }
}

/// Calls and starts runners; false: a thread could not be started, so that the plan has to be made again.
fn carry_out(timers: &Shared, plan: &Plan, slack: Option<u64>) -> bool {
    plan.orders.call.iter().for_each(|runner| runner.notify(0));
    let errors: Vec<_> = (0..plan.orders.start).filter_map(|_| start_runner(timers, slack).err()).collect();
    for error in &errors {
        if let Some(job) = timers.not_started() {
            thread::report_shortage(&format!("timer \"{}\"", job.name()), error);
        }
    }
    errors.is_empty()
}

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
            rt::point(next.op(Kind::Write).with_verb("runs"));
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
        let called = waiter
            .wait(Op::new(self, "timers", Kind::Wait).with_verb("waits for due"), rt::idle_deadline(IDLE));
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
        let op = Op::new(self, "timers", Kind::Wait).with_verb("waits for due");
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

/// How long due timers may find every runner busy before somebody looks whether one more is needed.
const PATIENCE: Duration = Duration::from_millis(1);
/// How soon it is tried again to start a thread after that has failed.
pub(super) const RETRY: Duration = Duration::from_millis(10);

pub(super) struct Crew {
    /// Runners without work; the last to become idle is the first to be called.
    idle: Vec<Arc<Waiter>>,
    /// Runners alive or being started.
    total: usize,
    /// Runners that were called or started and have not looked for work yet.
    coming: usize,
    /// As many runners are started without waiting for one to come free.
    ample: usize,
    /// How many functions were begun.
    begun: u64,
    /// Since when timers have waited while every runner was busy, and what `begun` was then.
    short: Option<(Instant, u64)>,
    /// No thread could be started: not to be tried again before this.
    retry: Option<Instant>,
    /// It has been reported that timers are due and there is no runner at all.
    reported: bool,
}

/// What is to be done once the lock is let go.
pub(super) struct Orders {
    pub(super) call: Vec<Arc<Waiter>>,
    pub(super) start: usize,
}

impl Crew {
    pub(super) fn new(ample: usize) -> Self {
        Self {
            idle: Vec::new(),
            total: 0,
            coming: 0,
            ample,
            begun: 0,
            short: None,
            retry: None,
            reported: false,
        }
    }

    /// Sees to it that somebody comes for each of the timers in line, if that is possible.
    pub(super) fn staff(&mut self, in_line: usize, now: Instant) -> Orders {
        let mut orders = Orders { call: Vec::new(), start: 0 };
        while in_line > self.coming {
            if let Some(runner) = self.idle.pop() {
                orders.call.push(runner);
            } else if self.may_start(now) && (self.total < self.ample || self.is_stuck(now)) {
                orders.start += 1;
                self.total += 1;
                self.short = None;
            } else {
                break;
            }
            self.coming += 1;
        }
        self.watch_the_line(in_line, now);
        orders
    }

    /// When to look again even if nothing happens.
    pub(super) fn look_again(&self) -> Option<Instant> {
        let (since, _) = self.short?;
        Some(self.retry.map_or(since + PATIENCE, |retry| retry.max(since + PATIENCE)))
    }

    /// A runner that was called or started is here.
    pub(super) fn arrived(&mut self) {
        self.coming -= 1;
        self.reported = false;
    }

    /// A runner that was to be started cannot be; says whether it is to be reported that there is none at all.
    pub(super) fn not_started(&mut self, now: Instant) -> bool {
        self.coming -= 1;
        self.total -= 1;
        self.retry = Some(now + RETRY);
        self.total == 0 && !std::mem::replace(&mut self.reported, true)
    }

    pub(super) fn began(&mut self) {
        self.begun += 1;
    }

    pub(super) fn rests(&mut self, runner: &Arc<Waiter>) {
        self.idle.push(runner.clone());
    }

    /// A runner has been idle for long enough; says whether it may end. If not, it has been called.
    pub(super) fn leaves(&mut self, runner: &Arc<Waiter>) -> bool {
        let place = self.idle.iter().position(|other| Arc::ptr_eq(other, runner));
        if let Some(place) = place {
            self.idle.remove(place);
            self.total -= 1;
        }
        place.is_some()
    }

    /// A runner will not come back from its function.
    pub(super) fn lost(&mut self) {
        self.total -= 1;
    }

    fn may_start(&self, now: Instant) -> bool {
        self.retry.is_none_or(|retry| retry <= now)
    }

    /// For a while now, fewer functions were begun than there are runners.
    fn is_stuck(&self, now: Instant) -> bool {
        self.short.is_some_and(|(since, begun)| {
            now.saturating_duration_since(since) >= PATIENCE && self.begun - begun < self.total as u64
        })
    }

    fn watch_the_line(&mut self, in_line: usize, now: Instant) {
        if in_line <= self.coming {
            self.short = None;
            self.retry = None;
        } else if self.short.is_none_or(|(since, _)| now.saturating_duration_since(since) >= PATIENCE) {
            self.short = Some((now, self.begun));
        }
    }
}

const NAME: &str = "timer runner";

/// Starts a runner, which the crew counts already. `slack`: how late its own timed waits may end.
fn start_runner(timers: &Shared, slack: Option<u64>) -> io::Result<()> {
    let record = ThreadRecord::new(NAME, true, true);
    let timers = timers.clone();
    thread::launch(
        &record,
        None,
        Box::new(move || {
            if let Some(slack) = slack {
                os::set_timer_slack(slack);
            }
            work(&timers);
        }),
    )
}

fn work(timers: &Shared) {
    let record = rt::record();
    timers.arrived();
    loop {
        while let Some(claim) = timers.claim() {
            run(timers, claim, &record);
            if timers.are_an_ancestors() {
                return; // the function has forked, and this is the child: its only thread has nothing left to do
            }
        }
        if !timers.rest() {
            return;
        }
    }
}

/// Runs the function as a thread of its own would: under the timer's name, with its daemon flag.
fn run(timers: &Shared, claim: Claim, record: &ThreadRecord) {
    let Claim { key, job, due } = claim;
    appear(record, Some(&job.name()), job.daemon);
    record.set_token(Arc::new(Shift { timers: timers.clone(), key, job: job.clone() }));
    job.begins(due);
    let outcome = catch_unwind(AssertUnwindSafe(|| job.call.call()));
    if timers.are_an_ancestors() {
        return report(&job, outcome);
    }
    let next = if outcome.is_ok() { job.next(due) } else { None };
    report(&job, outcome);
    rt::point(job.op(rt::Kind::Terminate).with_verb("has run"));
    if !timers.ran(key, next) {
        let _settling = Settling(&job);
        report(&job, catch_unwind(AssertUnwindSafe(|| job.call.discard())));
    }
    record.drop_tokens();
    appear(record, None, true);
}

/// What the calling runner is taken for, and what threads that are started from here on inherit.
fn appear(record: &ThreadRecord, name: Option<&str>, daemon: bool) {
    record.set_alias(name);
    record.daemon.store(daemon, Relaxed);
    record.daemon_default.store(daemon, Relaxed);
}

fn report(job: &Job, outcome: Result<(), Box<dyn Any + Send>>) {
    if let Err(payload) = outcome {
        thread::report_call(&format!("timer \"{}\"", job.name()), &*payload);
        thread::dispose(payload);
    }
}

/// One run of a timer's function, which never ends if the function calls `exit`.
struct Shift {
    timers: Shared,
    key: Key,
    job: Arc<Job>,
}

impl HeldToken for Shift {
    fn abandon(&self) {
        self.timers.lost(self.key);
        self.job.settle();
    }
}
