//! The service thread, which waits for all timers of a program, and the runner threads, which run their functions.
//!
//! # Runners
//! A due timer wakes an idle runner. If there is none, a new runner is started, as long as there are fewer than twice the
//! processors. Beyond that, a due timer waits in the ready queue until a runner is free. If for [`STUCK`] fewer functions
//! begin than there are runners, some function must be slow, and one more runner is started. Slow functions therefore
//! delay the others by a few milliseconds, while a hundred thousand short ones that are due at once need a few threads
//! only. [`Runners`] counts and decides under the lock; the service thread acts after it has released it.
//!
//! # Ordering
//! Every change of a timer's phase is made under the lock, so a cancel and the start of the function have one order, and
//! the first of them wins.

use std::any::Any;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use super::schedule::{CancelOutcome, ClaimedTimer, Schedule, TimerKey};
use super::task::{Due, FinishGuard, TimerTask};
use crate::raw::{Guarded, Waiter};
use crate::rt::{self, ForkSafe, HeldToken, Kind, Op, Rank, ThreadRecord, Wait};
use crate::sys::os;
use crate::thread;
use crate::thread::guarded;

/// The timers of one program.
pub(super) struct TimerService {
    state: Guarded<ServiceState>,
    /// The word on which the service thread parks. It changes when the service must look at its timers earlier than planned.
    word: AtomicU32,
    /// `NOT_STARTED`, `STARTING` or `STARTED`: the service thread.
    thread: AtomicU32,
    /// The process that has the service's threads, by its number of forks.
    process: u32,
}

const NOT_STARTED: u32 = 0;
const STARTING: u32 = 1;
const STARTED: u32 = 2;

struct ServiceState {
    schedule: Schedule,
    runners: Runners,
    /// Failed starts of threads, to be retried at `retry_at`.
    retries: Vec<Weak<dyn Retry>>,
    retry_at: Option<Instant>,
    /// The deadline with which the service thread parks, or `None` if it parks without one.
    parked_until: Option<Due>,
}

/// The next actions of the service thread, and how long it may park afterwards.
struct Plan {
    orders: RunnerOrders,
    until: Option<Due>,
    /// The value of `TimerService::word` to park on.
    seen: u32,
}

/// Another component's failed start of a thread, which the service retries.
pub(crate) trait Retry: Send + Sync {
    /// Retries the start, and returns whether it failed again. Returns `false` if the thread is no longer needed.
    fn retry(self: Arc<Self>) -> bool;
}

/// An idle runner terminates after this time.
const IDLE: Duration = Duration::from_secs(3);
/// The number of runners that are started without delay under a scheduler, where timeouts elapse at any moment. It does
/// not depend on the machine, and a program with fewer simultaneous timers never needs the rule about slow functions,
/// which measures time.
const SCHEDULED_RUNNERS: usize = 64;
/// The number of due timers that are made ready in one critical section.
const BATCH: usize = 256;
/// The deadline for a timer that is due beyond the range of the clock.
const FAR: Duration = Duration::from_secs(u32::MAX as u64);
/// The longest timeout with which the service thread parks while the watch is on. While a timeout is pending, the watch
/// expects progress. It must not do so for long once the timer has been cancelled.
const WATCH_SLICE: Duration = Duration::from_secs(1);
/// The time for which due timers may find every runner busy before it is checked whether a function is slow.
const STUCK: Duration = Duration::from_millis(1);
/// The time after which a failed start of a thread is retried.
const RETRY: Duration = Duration::from_millis(10);

impl TimerService {
    fn new() -> Self {
        let scheduled = rt::idle_deadline(IDLE).is_none();
        let runners = Runners::new(if scheduled { SCHEDULED_RUNNERS } else { 2 * os::processors() });
        Self {
            state: Guarded::new(ServiceState {
                schedule: Schedule::default(),
                runners,
                retries: Vec::new(),
                retry_at: None,
                parked_until: None,
            }),
            word: AtomicU32::new(0),
            thread: AtomicU32::new(NOT_STARTED),
            process: rt::forks(),
        }
    }

    /// Returns whether the service was inherited by a fork, so that no thread of this process serves it.
    #[inline]
    pub(super) fn is_inherited(&self) -> bool {
        self.process != rt::forks()
    }

    /// Returns the number of timers that have still to run.
    pub(super) fn pending(&self) -> usize {
        self.state.lock().schedule.pending()
    }

    /// Schedules a timer.
    pub(super) fn insert(&self, task: Arc<TimerTask>, due: Due) -> TimerKey {
        let mut state = self.state.lock();
        let key = state.schedule.insert(task, due);
        let earlier = self.is_earlier(&mut state, due);
        drop(state);
        self.wake_if(earlier);
        key
    }

    /// Cancels a timer, and returns whether that prevented a run of its function.
    pub(super) fn cancel(&self, key: TimerKey) -> bool {
        let outcome = self.state.lock().schedule.cancel(key);
        match outcome {
            CancelOutcome::Removed(task) => {
                let _finish = FinishGuard(&task);
                guarded("the destructor of a cancelled timer's function", || task.function.discard());
                true
            }
            CancelOutcome::LastRun => true,
            CancelOutcome::TooLate => false,
        }
    }

    /// Has the service retry `start` every few milliseconds until it succeeds or is no longer needed.
    fn retry_later(&self, start: Weak<dyn Retry>) {
        let retry_at = rt::now() + RETRY;
        let mut state = self.state.lock();
        if !state.retries.iter().any(|known| known.ptr_eq(&start)) {
            state.retries.push(start);
        }
        let retry_at = *state.retry_at.get_or_insert(retry_at);
        let earlier = self.is_earlier(&mut state, Due::At(retry_at));
        drop(state);
        self.wake_if(earlier);
    }

    /// Returns whether the service thread must be woken for a timer that is due at `due`. At most one wake is under way.
    fn is_earlier(&self, state: &mut ServiceState, due: Due) -> bool {
        let earlier = state.parked_until.is_none_or(|until| due < until);
        if earlier {
            state.parked_until = Some(due);
            rt::atom(&self.word);
            self.word.fetch_add(1, Release);
        }
        earlier
    }

    /// Wakes the service thread. Called after the lock has been released.
    fn wake_if(&self, earlier: bool) {
        if earlier {
            rt::wake(&self.word, 1);
        }
    }
}

/// A reference to the service of a program. That of the default program is never freed, which saves the reference count.
#[derive(Clone)]
pub(super) enum ServiceRef {
    Default(&'static TimerService),
    Explored(Arc<TimerService>),
}

/// The service of the first process.
static FIRST: LazyLock<TimerService> = LazyLock::new(TimerService::new);

/// The service of a forked child. The state of an inherited service is unknown, so each process begins with a new one.
static FORKED: ForkSafe<Option<&'static TimerService>> = ForkSafe::new(Rank::Leaf, None);

#[inline]
fn default_service() -> &'static TimerService {
    if rt::forks() == 0 { &FIRST } else { forked_service() }
}

#[cold]
fn forked_service() -> &'static TimerService {
    let mut service = FORKED.lock();
    match *service {
        Some(service) if !service.is_inherited() => service,
        _ => service.insert(Box::leak(Box::new(TimerService::new()))),
    }
}

impl ServiceRef {
    /// Returns the service of the calling thread's program.
    pub(super) fn of_program() -> Self {
        if rt::explored() {
            Self::Explored(rt::with_program(|program| program.services().get(TimerService::new)))
        } else {
            Self::Default(default_service())
        }
    }
}

impl Deref for ServiceRef {
    type Target = TimerService;

    fn deref(&self) -> &TimerService {
        match self {
            Self::Default(service) => service,
            Self::Explored(service) => service,
        }
    }
}

// The service thread.

/// Starts the service thread of the calling thread's program unless it runs.
pub(crate) fn start_service() -> io::Result<()> {
    ensure_started(&ServiceRef::of_program())
}

/// Has the service, which must have been started, retry `start` until it succeeds or is no longer needed.
pub(crate) fn retry_for(start: Weak<dyn Retry>) {
    ServiceRef::of_program().retry_later(start);
}

/// Starts the service thread unless it runs.
pub(super) fn ensure_started(service: &ServiceRef) -> io::Result<()> {
    loop {
        rt::atom(&service.thread);
        if service.thread.load(Acquire) == STARTED {
            return Ok(());
        }
        rt::atom(&service.thread);
        if service.thread.compare_exchange(NOT_STARTED, STARTING, Acquire, Acquire).is_ok() {
            let started = start_service_thread(service);
            rt::atom(&service.thread);
            service.thread.store(if started.is_ok() { STARTED } else { NOT_STARTED }, Release);
            rt::wake(&service.thread, u32::MAX);
            return started;
        }
        // Another thread is starting it. If that fails, this thread tries.
        rt::wait(&service.thread, STARTING, &Wait::unreported());
    }
}

fn start_service_thread(service: &ServiceRef) -> io::Result<()> {
    let record = ThreadRecord::new("timer service", true, true);
    let service = service.clone();
    thread::launch(&record, None, Box::new(move || serve(&service)))
}

fn serve(service: &ServiceRef) {
    // Wake-ups of this thread are as precise as the kernel allows. Runners get the default slack back.
    let default_slack = os::set_timer_slack(1);
    loop {
        service.retry();
        let plan = service.plan();
        if carry_out(service, &plan, default_slack) {
            service.park(&plan);
        }
    }
}

impl TimerService {
    /// Makes due timers ready and decides the actions for them.
    fn plan(&self) -> Plan {
        let now = rt::now();
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.schedule.make_ready(now, BATCH);
        let orders = state.runners.assign(state.schedule.ready(), now);
        let check_at = state.runners.check_at().map(Due::At);
        let retry_at = state.retry_at.map(Due::At);
        let until = [state.schedule.first(), check_at, retry_at].into_iter().flatten().min();
        state.parked_until = until;
        // The word only changes under the lock, so an insertion after this point changes it after this load.
        Plan { orders, until, seen: self.word.load(Relaxed) }
    }

    /// Parks the service thread until a timer is due or the plan has to be revised.
    fn park(&self, plan: &Plan) {
        let deadline = plan.until.and_then(Self::deadline);
        let op = Op::new(self, "timers", Kind::Wait).with_verb("waits for due");
        rt::point_until(op, deadline, &self.word, || self.word.load(Acquire) != plan.seen);
        rt::wait(&self.word, plan.seen, &Wait::new(&op).with_deadline(deadline));
    }

    /// Returns the deadline with which the service thread parks for a timer that is due at `until`.
    fn deadline(until: Due) -> Option<Instant> {
        let moment = match until {
            Due::At(moment) => Some(moment),
            Due::Never => rt::idle_deadline(FAR),
        };
        if rt::watched() { moment.map(|moment| moment.min(rt::now() + WATCH_SLICE)) } else { moment }
    }

    /// Retries the starts of threads that are due for it.
    fn retry(&self) {
        let mut state = self.state.lock();
        if state.retry_at.is_none_or(|retry_at| retry_at > rt::now()) {
            return;
        }
        state.retry_at = None;
        let mut retries = std::mem::take(&mut state.retries);
        drop(state);
        retries.retain(|start| start.upgrade().is_some_and(Retry::retry));
        if !retries.is_empty() {
            let retry_at = rt::now() + RETRY;
            let mut state = self.state.lock();
            retries.retain(|start| !state.retries.iter().any(|known| known.ptr_eq(start)));
            state.retries.append(&mut retries);
            state.retry_at.get_or_insert(retry_at);
        }
    }

    /// Notes that a runner could not be started.
    ///
    /// If due timers are left without any runner, returns the first of them, once until there is a runner again.
    fn start_failed(&self) -> Option<Arc<TimerTask>> {
        let now = rt::now();
        let mut state = self.state.lock();
        if state.runners.start_failed(now) { state.schedule.next() } else { None }
    }
}

/// Wakes and starts runners. Returns `false` if a thread could not be started, so that a new plan is needed.
fn carry_out(service: &ServiceRef, plan: &Plan, default_slack: Option<u64>) -> bool {
    plan.orders.wake.iter().for_each(|runner| runner.notify(0));
    let starts = (0..plan.orders.start).map(|_| start_runner(service, default_slack));
    let errors: Vec<_> = starts.filter_map(Result::err).collect();
    for error in &errors {
        if let Some(task) = service.start_failed() {
            thread::report_shortage(&format!("timer \"{}\"", task.name()), error);
        }
    }
    errors.is_empty()
}

// The runner threads.

/// Starts a runner, which `Runners` has counted already. `default_slack` is the timer slack of ordinary threads.
fn start_runner(service: &ServiceRef, default_slack: Option<u64>) -> io::Result<()> {
    let record = ThreadRecord::new("timer runner", true, true);
    let service = service.clone();
    thread::launch(
        &record,
        None,
        Box::new(move || {
            if let Some(slack) = default_slack {
                os::set_timer_slack(slack);
            }
            work(&service);
        }),
    )
}

/// Runs due timers one after the other, until the runner has been idle for [`IDLE`].
fn work(service: &ServiceRef) {
    let record = rt::record();
    service.state.lock().runners.arrived();
    loop {
        while let Some(claimed) = service.claim() {
            run(service, claimed, &record);
            if service.is_inherited() {
                return; // the function forked, and this is the child, in which there is nothing left to do
            }
        }
        if !service.rest() {
            return;
        }
    }
}

/// Runs a timer's function under the timer's name and daemon flag, as if it had a thread of its own.
fn run(service: &ServiceRef, claimed: ClaimedTimer, record: &ThreadRecord) {
    let ClaimedTimer { key, task, due } = claimed;
    impersonate(record, Some(&task.name()), task.daemon);
    record.set_token(Arc::new(RunToken { service: service.clone(), key, task: task.clone() }));
    task.begin(due);
    let outcome = catch_unwind(AssertUnwindSafe(|| task.function.call()));
    if service.is_inherited() {
        return report_panic(&task, outcome);
    }
    let next = if outcome.is_ok() { task.next(due) } else { None };
    report_panic(&task, outcome);
    rt::point(task.op(Kind::Terminate).with_verb("has run"));
    if !service.ran(key, next) {
        let _finish = FinishGuard(&task);
        report_panic(&task, catch_unwind(AssertUnwindSafe(|| task.function.discard())));
    }
    record.drop_tokens();
    impersonate(record, None, true);
}

/// Sets the name and the daemon flag of the calling runner, and the flag that its threads inherit.
fn impersonate(record: &ThreadRecord, name: Option<&str>, daemon: bool) {
    record.set_alias(name);
    record.daemon.store(daemon, Relaxed);
    record.daemon_default.store(daemon, Relaxed);
}

fn report_panic(task: &TimerTask, outcome: Result<(), Box<dyn Any + Send>>) {
    if let Err(payload) = outcome {
        thread::report_call(&format!("timer \"{}\"", task.name()), &*payload);
        thread::dispose(payload);
    }
}

/// A run of a timer's function. If the function calls `exit`, the run is abandoned and the timer finished.
struct RunToken {
    service: ServiceRef,
    key: TimerKey,
    task: Arc<TimerTask>,
}

impl HeldToken for RunToken {
    fn abandon(&self) {
        let mut state = self.service.state.lock();
        state.schedule.ran(self.key, None);
        state.runners.lost();
        drop(state);
        self.task.finish();
    }
}

impl TimerService {
    /// Takes the first ready timer for the calling runner.
    fn claim(&self) -> Option<ClaimedTimer> {
        loop {
            let next = self.state.lock().schedule.next()?;
            rt::point(next.op(Kind::Write).with_verb("runs"));
            let mut state = self.state.lock();
            if let Some(claimed) = state.schedule.claim(&next) {
                state.runners.began();
                return Some(claimed);
            }
        }
    }

    /// Ends a run, and returns whether the timer is scheduled again, for `next`.
    fn ran(&self, key: TimerKey, next: Option<Due>) -> bool {
        let mut state = self.state.lock();
        let again = state.schedule.ran(key, next);
        let earlier = again && next.is_some_and(|due| self.is_earlier(&mut state, due));
        drop(state);
        self.wake_if(earlier);
        again
    }

    /// Parks the calling runner until it gets work. Returns `false` if it was idle for [`IDLE`] and must terminate.
    fn rest(&self) -> bool {
        let waiter = Waiter::new(0);
        let mut state = self.state.lock();
        if state.schedule.ready() > 0 {
            return true;
        }
        state.runners.push_idle(&waiter);
        drop(state);
        let op = Op::new(self, "timers", Kind::Wait).with_verb("waits for due");
        let woken = waiter.wait(op, rt::idle_deadline(IDLE));
        let mut state = self.state.lock();
        if woken.is_none() && state.runners.remove_idle(&waiter) {
            return false;
        }
        state.runners.arrived();
        true
    }
}

/// The counts by which it is decided when to wake or to start a runner.
struct Runners {
    /// Idle runners. The last one to become idle is woken first.
    idle: Vec<Arc<Waiter>>,
    /// Runners that exist or are being started.
    total: usize,
    /// Runners that were woken or started and have not looked for work yet.
    coming: usize,
    /// Up to this number, runners are started without delay.
    ample: usize,
    /// The number of functions that have begun to run.
    begun: u64,
    /// The time since when due timers have found every runner busy, and the value of `begun` then.
    busy: Option<(Instant, u64)>,
    /// After a failed start of a thread: the time before which none is retried.
    retry_at: Option<Instant>,
    /// It has been reported that timers are due and there is no runner at all.
    reported: bool,
}

/// The runners to be woken and started once the lock has been released.
struct RunnerOrders {
    wake: Vec<Arc<Waiter>>,
    start: usize,
}

impl Runners {
    fn new(ample: usize) -> Self {
        Self {
            idle: Vec::new(),
            total: 0,
            coming: 0,
            ample,
            begun: 0,
            busy: None,
            retry_at: None,
            reported: false,
        }
    }

    /// Assigns a runner to each of the `ready` timers, as far as possible.
    fn assign(&mut self, ready: usize, now: Instant) -> RunnerOrders {
        let mut orders = RunnerOrders { wake: Vec::new(), start: 0 };
        while ready > self.coming {
            if let Some(runner) = self.idle.pop() {
                orders.wake.push(runner);
            } else if self.may_start(now) && (self.total < self.ample || self.is_stuck(now)) {
                orders.start += 1;
                self.total += 1;
                self.busy = None;
            } else {
                break;
            }
            self.coming += 1;
        }
        self.note_busy(ready, now);
        orders
    }

    /// Returns when to check again whether a function is slow.
    fn check_at(&self) -> Option<Instant> {
        let (since, _) = self.busy?;
        Some(self.retry_at.map_or(since + STUCK, |retry_at| retry_at.max(since + STUCK)))
    }

    /// A runner that was woken or started looks for work.
    fn arrived(&mut self) {
        self.coming -= 1;
        self.reported = false;
    }

    /// A runner could not be started. Returns whether it must be reported that there is none at all.
    fn start_failed(&mut self, now: Instant) -> bool {
        self.coming -= 1;
        self.total -= 1;
        self.retry_at = Some(now + RETRY);
        self.total == 0 && !std::mem::replace(&mut self.reported, true)
    }

    /// A function begins to run.
    fn began(&mut self) {
        self.begun += 1;
    }

    fn push_idle(&mut self, runner: &Arc<Waiter>) {
        self.idle.push(runner.clone());
    }

    /// Removes a runner that was idle for long. Returns `false` if it has been woken meanwhile.
    fn remove_idle(&mut self, runner: &Arc<Waiter>) -> bool {
        let index = self.idle.iter().position(|other| Arc::ptr_eq(other, runner));
        if let Some(index) = index {
            self.idle.remove(index);
            self.total -= 1;
        }
        index.is_some()
    }

    /// A runner will not return from the function that it runs.
    fn lost(&mut self) {
        self.total -= 1;
    }

    fn may_start(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|retry_at| retry_at <= now)
    }

    /// Returns whether for [`STUCK`] fewer functions have begun than there are runners.
    fn is_stuck(&self, now: Instant) -> bool {
        self.busy.is_some_and(|(since, begun)| {
            now.saturating_duration_since(since) >= STUCK && self.begun - begun < self.total as u64
        })
    }

    fn note_busy(&mut self, ready: usize, now: Instant) {
        if ready <= self.coming {
            self.busy = None;
            self.retry_at = None;
        } else if self.busy.is_none_or(|(since, _)| now.saturating_duration_since(since) >= STUCK) {
            self.busy = Some((now, self.begun));
        }
    }
}
