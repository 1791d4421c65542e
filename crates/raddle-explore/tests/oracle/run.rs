//! Runs a program with the toolkit's types under the explorer, and collects its outcomes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use raddle::atomic::{AtomicI8, Ordering::SeqCst};
use raddle::queue::{GetError, PutError};
use raddle::thread::{JoinError, JoinTimeoutError, Scope, ScopedJoinHandle, ThreadHandle};
use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, Future, Held, JoinHandle, LifoQueue, Lock, LockGuard, Mutex,
    MutexGuard, PriorityQueue, Promise, Queue, RLock, RLockGuard, ReentrantMutex, ReentrantMutexGuard,
    ReturnWhen, Semaphore, Shared, SimpleQueue, Thread, ThreadPoolExecutor, Timer, as_completed, rt, thread,
    time, wait_timeout,
};
use raddle_explore::{Explorer, Grain, Strategy};

use super::program::{How, Instr, Op, Program, Role};

/// The results of operations without a value.
pub(crate) const OK: i16 = 1000;
pub(crate) const NO: i16 = 1001;
pub(crate) const ERROR: i16 = 1002;
pub(crate) const SHUT: i16 = 1003;
pub(crate) const PANIC: i16 = 1004;

/// The observations of every body, in the order of its operations, and how the execution ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Vec<i16>>,
    pub(crate) end: &'static str,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for body in &self.seen {
            f.write_str("[")?;
            for (place, value) in body.iter().enumerate() {
                f.write_str(if place > 0 { " " } else { "" })?;
                match *value {
                    OK => f.write_str("ok")?,
                    NO => f.write_str("no")?,
                    ERROR => f.write_str("error")?,
                    SHUT => f.write_str("shut-down")?,
                    PANIC => f.write_str("panic")?,
                    value => write!(f, "{value}")?,
                }
            }
            f.write_str("] ")?;
        }
        f.write_str(self.end)
    }
}

/// The result of a search over all schedules of a program.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) outcomes: BTreeSet<Outcome>,
    pub(crate) exhausted: bool,
    /// A bound of the explorer left schedules out.
    pub(crate) bounded: bool,
    pub(crate) executions: u64,
    pub(crate) classes: u64,
}

/// The observations of one execution so far, and its objects. They are dropped after the execution, so that their
/// destructors are not steps of the thread that drops them last.
struct Record(StdMutex<Vec<Vec<i16>>>, #[expect(dead_code, reason = "its end is what counts")] Arc<Objects>);

impl Record {
    fn add(&self, body: usize, value: i16) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[body].push(value);
    }
}

/// The outcomes of `program` that `strategy` finds within so many executions.
pub(crate) fn explore(program: &Program, strategy: Strategy, executions: u64) -> Found {
    explore_at(Grain::Operations, program, strategy, executions)
}

/// The same, at a grain.
pub(crate) fn explore_at(grain: Grain, program: &Program, strategy: Strategy, executions: u64) -> Found {
    let found = Arc::new(StdMutex::new(Found::default()));
    // Those of the last execution, and of earlier ones whose end was not reported.
    let records: Arc<StdMutex<Vec<Arc<Record>>>> = Arc::default();
    let (program, time, panics) = (Arc::new(program.clone()), program.time, program.panics);
    let explorer = Explorer::new()
        .strategy(strategy)
        .grain(grain)
        .time(time)
        .allow_panics(panics)
        .shrink(false)
        .max_executions(executions)
        .max_time(Duration::from_mins(10))
        .observe({
            let (found, records) = (found.clone(), records.clone());
            move |end| {
                let mut records =
                    std::mem::take(&mut *records.lock().unwrap_or_else(PoisonError::into_inner));
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.bounded |= end.bounded;
                if let Some(record) = records.pop().filter(|_| !end.redundant) {
                    let seen = std::mem::take(&mut *record.0.lock().unwrap_or_else(PoisonError::into_inner));
                    found.outcomes.insert(Outcome { seen, end: end.failure.unwrap_or("the end") });
                }
            }
        });
    let survey = explorer.survey(move || {
        let objects = Arc::new(Objects::new());
        let seen = StdMutex::new(vec![Vec::new(); program.bodies.len()]);
        let record = Arc::new(Record(seen, objects.clone()));
        records.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        main(&program, objects, &record);
    });
    let mut found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    (found.exhausted, found.executions, found.classes) =
        (survey.exhausted, survey.executions, survey.classes);
    if survey.first.is_some_and(|report| report.kind() == "not repeatable") {
        found.outcomes.insert(Outcome { seen: Vec::new(), end: "not repeatable" });
    }
    found
}

/// The number of objects of each kind.
pub(crate) const FEW: usize = 4;

/// The objects of an execution.
struct Objects {
    cells: [Shared<i8>; FEW],
    atomics: [AtomicI8; FEW],
    locks: [(Lock, Condition); FEW],
    mutexes: [(Mutex<i8>, Condition); FEW],
    rlocks: [(RLock, Condition); FEW],
    reentrants: [(ReentrantMutex<i8>, Condition); FEW],
    semaphore: Semaphore,
    bounded: BoundedSemaphore,
    events: [Event; FEW],
    barrier: Barrier<'static>,
    queues: Queues,
    promises: [StdMutex<Option<Promise<i8>>>; FEW],
    futures: [Future<i8>; FEW],
}

struct Queues {
    narrow: Queue<i8>,
    wide: Queue<i8>,
    stack: LifoQueue<i8>,
    heap: PriorityQueue<i8>,
    simple: SimpleQueue<i8>,
}

/// The number of queues.
pub(crate) const QUEUES: usize = 5;
/// The queue without bound, shutdown and task count.
pub(crate) const SIMPLE: usize = 4;
/// The bound of each queue; 0 for none.
pub(crate) const ROOM: [usize; QUEUES] = [1, 0, 1, 2, 0];
/// The initial permits of the semaphores; the second one is bounded.
pub(crate) const PERMITS: [usize; 2] = [1, 2];
/// The number of parties of the barrier.
pub(crate) const BARRIER: usize = 2;

impl Objects {
    fn new() -> Self {
        let promises: [Promise<i8>; FEW] = std::array::from_fn(|_| Promise::new());
        let futures = std::array::from_fn(|place| promises[place].future());
        Self {
            cells: Default::default(),
            atomics: Default::default(),
            locks: Default::default(),
            mutexes: Default::default(),
            rlocks: Default::default(),
            reentrants: Default::default(),
            semaphore: Semaphore::new(PERMITS[0]),
            bounded: BoundedSemaphore::new(PERMITS[1]),
            events: Default::default(),
            barrier: Barrier::new(BARRIER),
            queues: Queues {
                narrow: Queue::bounded(ROOM[0]),
                wide: Queue::unbounded(),
                stack: LifoQueue::bounded(ROOM[2]),
                heap: PriorityQueue::bounded(ROOM[3]),
                simple: SimpleQueue::new(),
            },
            promises: promises.map(|promise| StdMutex::new(Some(promise))),
            futures,
        }
    }
}

/// The context in which a body runs.
#[derive(Clone)]
struct Context {
    program: Arc<Program>,
    objects: Arc<Objects>,
    record: Arc<Record>,
    /// The time at the start of the execution.
    began: Instant,
    me: usize,
    /// The threads that were started before this one.
    threads: Vec<Option<ThreadHandle>>,
}

/// The values that only main has.
struct Main<'scope, 'env> {
    scope: Option<&'scope Scope<'scope, 'env>>,
    handles: Vec<Option<Handle<'scope>>>,
    timers: Vec<Option<Timer>>,
    tasks: Vec<Option<Future<()>>>,
    pool: Option<ThreadPoolExecutor>,
}

enum Handle<'scope> {
    Own(JoinHandle<()>),
    Scoped(ScopedJoinHandle<'scope, ()>),
}

fn main(program: &Arc<Program>, objects: Arc<Objects>, record: &Arc<Record>) {
    let context = Context {
        program: program.clone(),
        objects,
        record: record.clone(),
        began: rt::now(),
        me: 0,
        threads: vec![None; program.bodies.len()],
    };
    if program.has(Role::Scoped) {
        thread::scope(|scope| context.run_main(Some(scope)));
    } else {
        context.run_main(None);
    }
}

/// The innermost lock that a body holds.
trait Inner {
    fn wait(&mut self, timeout: Option<Duration>) -> bool;
    fn notify(&mut self, count: usize) -> usize;
    fn value(&mut self, change: i8) -> i8;
}

struct Within<'a, G>(&'a Condition, G);

macro_rules! inner {
    ($($guard:ty, |$it:ident, $change:ident| $value:expr;)*) => {
        $(impl Inner for Within<'_, $guard> {
            fn wait(&mut self, timeout: Option<Duration>) -> bool {
                wait(self.0, &mut self.1, timeout)
            }

            fn notify(&mut self, count: usize) -> usize {
                self.0.notify(&self.1, count)
            }

            fn value(&mut self, $change: i8) -> i8 {
                let $it = &mut self.1;
                $value
            }
        })*
    };
}

inner! {
    MutexGuard<'_, i8>, |it, change| { **it += change; **it };
    LockGuard<'_>, |_it, change| change;
    RLockGuard<'_>, |_it, change| change;
    ReentrantMutexGuard<'_, i8>, |it, change| **it + change;
}

fn wait<G: Held>(condition: &Condition, guard: &mut G, timeout: Option<Duration>) -> bool {
    if let Some(timeout) = timeout {
        return condition.wait_timeout(guard, timeout);
    }
    condition.wait(guard);
    true
}

fn yes(said: bool) -> i16 {
    if said { OK } else { NO }
}

fn ms(time: u8) -> Duration {
    Duration::from_millis(time.into())
}

/// Chooses one of three forms of an operation.
macro_rules! by {
    ($how:expr, $block:expr, $try:expr, |$timeout:ident| $timed:expr) => {
        match $how {
            How::Block => $block,
            How::Try => $try,
            How::Timeout(time) => {
                let $timeout = ms(time);
                $timed
            }
        }
    };
}

/// Calls an operation on the queue of that number.
macro_rules! queue {
    ($queues:expr, $number:expr, |$queue:ident| $then:expr) => {
        match $number {
            0 => {
                let $queue = &$queues.narrow;
                $then
            }
            1 => {
                let $queue = &$queues.wide;
                $then
            }
            2 => {
                let $queue = &$queues.stack;
                $then
            }
            _ => {
                let $queue = &$queues.heap;
                $then
            }
        }
    };
}

impl Context {
    fn run_main<'scope>(mut self, scope: Option<&'scope Scope<'scope, '_>>) {
        let count = self.program.bodies.len();
        let mut main = Main {
            scope,
            handles: std::iter::repeat_with(|| None).take(count).collect(),
            timers: std::iter::repeat_with(|| None).take(count).collect(),
            tasks: std::iter::repeat_with(|| None).take(count).collect(),
            pool: self.program.has(Role::Task).then(|| ThreadPoolExecutor::new(1)),
        };
        let program = self.program.clone();
        self.run(&program.bodies[0].code, None, &mut Some(&mut main));
    }

    fn run_other(mut self, body: usize) {
        self.me = body;
        let program = self.program.clone();
        self.run(&program.bodies[body].code, None, &mut None);
    }

    fn saw(&self, value: i16) {
        self.record.add(self.me, value);
    }

    fn run(
        &mut self,
        code: &[Instr],
        mut inner: Option<&mut dyn Inner>,
        main: &mut Option<&mut Main<'_, '_>>,
    ) {
        for instr in code {
            let objects = self.objects.clone();
            let seen = match instr.op {
                Op::Start | Op::Join | Op::Alive => self.threads(instr, main),
                Op::After | Op::Cancel | Op::Over | Op::Submit | Op::Result | Op::Withdraw | Op::IsDone => {
                    main.as_mut().and_then(|main| self.services(instr, main))
                }
                Op::WithLock | Op::WithMutex | Op::WithRLock | Op::WithReentrant => {
                    self.with(instr, &objects, main)
                }
                Op::Value => inner.as_mut().map(|inner| inner.value(0).into()),
                Op::Bump => inner.as_mut().map(|inner| inner.value(1).into()),
                Op::Wait => inner.as_mut().map(|inner| match instr.how {
                    How::Timeout(time) => yes(inner.wait(Some(ms(time)))),
                    _ => yes(inner.wait(None)),
                }),
                Op::Now => i16::try_from((time::now() - self.began).as_millis()).ok(),
                Op::Notify => inner.as_mut().map(|inner| to_i16(inner.notify(instr.object()))),
                _ => operate(instr, &objects),
            };
            if let Some(seen) = seen {
                self.saw(seen);
            }
            assert!(seen != Some(PANIC), "the program says so");
        }
    }

    fn with(
        &mut self,
        instr: &Instr,
        objects: &Objects,
        main: &mut Option<&mut Main<'_, '_>>,
    ) -> Option<i16> {
        macro_rules! guarded {
            ($of:ident) => {{
                let (lock, condition) = &objects.$of[instr.object()];
                match by!(instr.how, Some(lock.lock()), lock.try_lock(), |time| lock.lock_timeout(time)) {
                    Some(guard) => {
                        self.saw(OK);
                        let mut inner = Within(condition, guard);
                        self.run(&instr.body, Some(&mut inner), main);
                        None
                    }
                    None => Some(NO),
                }
            }};
        }
        match instr.op {
            Op::WithLock => guarded!(locks),
            Op::WithMutex => guarded!(mutexes),
            Op::WithRLock => guarded!(rlocks),
            _ => guarded!(reentrants),
        }
    }

    fn threads(&mut self, instr: &Instr, main: &mut Option<&mut Main<'_, '_>>) -> Option<i16> {
        let body = instr.object();
        if instr.op == Op::Start {
            let main = main.as_mut()?;
            self.start(body, main);
            return None;
        }
        let own = main.as_mut().filter(|_| instr.op == Op::Join).and_then(|main| main.handles[body].take());
        if let Some(handle) = own {
            return Some(join(handle, instr.how, main.as_mut().map(|main| &mut main.handles[body])));
        }
        let handle = self.threads[body].clone()?;
        if instr.op == Op::Alive {
            return Some(yes(!handle.is_finished()));
        }
        Some(by!(instr.how, handle.wait().map_or(ERROR, |()| OK), yes(handle.is_finished()), |time| yes(
            handle.wait_timeout(time)
        )))
    }

    fn start(&mut self, body: usize, main: &mut Main<'_, '_>) {
        let (context, role) = (self.clone(), self.program.bodies[body].role);
        let run = move || context.run_other(body);
        let handle = match (role, main.scope) {
            (Role::Scoped, Some(scope)) => Handle::Scoped(scope.spawn(run)),
            (Role::Daemon, _) => Handle::Own(Thread::new(run).daemon(true).start().expect("a thread")),
            _ => Handle::Own(Thread::spawn(run)),
        };
        self.threads[body] = Some(match &handle {
            Handle::Own(handle) => handle.thread().clone(),
            Handle::Scoped(handle) => handle.thread().clone(),
        });
        if role != Role::Detached {
            main.handles[body] = Some(handle);
        }
    }

    fn services(&mut self, instr: &Instr, main: &mut Main<'_, '_>) -> Option<i16> {
        let body = instr.object();
        let context = self.clone();
        match instr.op {
            Op::After => {
                let delay = ms(instr.numbers[1].unsigned_abs());
                main.timers[body] = Some(Timer::after(delay, move || context.run_other(body)));
                None
            }
            Op::Cancel => main.timers[body].as_ref().map(|timer| yes(timer.cancel())),
            Op::Over => main.timers[body].as_ref().map(|timer| {
                by!(instr.how, timer.wait().map_or(ERROR, |()| OK), yes(timer.is_finished()), |time| yes(
                    timer.wait_timeout(time)
                ))
            }),
            Op::Submit => {
                let future = main.pool.as_ref()?.submit(move || context.run_other(body));
                main.tasks[body] = Some(future);
                None
            }
            Op::Result => main.tasks[body].as_ref().map(|task| {
                let result =
                    by!(instr.how, task.result(), task.try_result(), |time| task.result_timeout(time));
                match result {
                    Ok(()) => OK,
                    Err(raddle::future::FutureError::TimedOut) => NO,
                    Err(_) => ERROR,
                }
            }),
            Op::Withdraw => main.tasks[body].as_ref().map(|task| yes(task.cancel())),
            Op::IsDone => main.tasks[body].as_ref().map(|task| yes(task.done())),
            _ => None,
        }
    }
}

fn join<'a>(handle: Handle<'a>, how: How, back: Option<&mut Option<Handle<'a>>>) -> i16 {
    let came_to = |joined: Result<(), JoinError>| if joined.is_ok() { OK } else { ERROR };
    match (handle, how) {
        (Handle::Own(handle), How::Block) => came_to(handle.join()),
        (Handle::Scoped(handle), How::Block) => came_to(handle.join()),
        (Handle::Own(handle), How::Timeout(time)) => match handle.join_timeout(ms(time)) {
            Ok(()) => OK,
            Err(JoinTimeoutError::TimedOut(handle)) => {
                if let Some(back) = back {
                    *back = Some(Handle::Own(handle));
                }
                NO
            }
            Err(_) => ERROR,
        },
        (handle, how) => {
            let thread = match &handle {
                Handle::Own(handle) => handle.thread().clone(),
                Handle::Scoped(handle) => handle.thread().clone(),
            };
            let over = match how {
                How::Timeout(time) => thread.wait_timeout(ms(time)),
                _ => thread.is_finished(),
            };
            if let Some(back) = back {
                *back = Some(handle);
            }
            yes(over)
        }
    }
}

fn to_i16(number: usize) -> i16 {
    i16::try_from(number).expect("few objects and items")
}

/// Runs an operation that needs the shared objects only.
fn operate(instr: &Instr, objects: &Objects) -> Option<i16> {
    let [_, second, third] = instr.numbers;
    let place = instr.object();
    let seen: i16 = match instr.op {
        Op::Get => objects.cells[place].get().into(),
        Op::Load => objects.atomics[place].load(SeqCst).into(),
        Op::Add => objects.atomics[place].fetch_add(second, SeqCst).into(),
        Op::Exchange => {
            let exchanged = objects.atomics[place].compare_exchange(second, third, SeqCst, SeqCst);
            exchanged.map_or_else(i16::from, |_| OK)
        }
        Op::Set => {
            objects.cells[place].set(second);
            return None;
        }
        Op::Store => {
            objects.atomics[place].store(second, SeqCst);
            return None;
        }
        Op::PanicIf if objects.cells[place].get() == second => PANIC,
        Op::PanicIf => OK,
        Op::Sleep => {
            thread::sleep(ms(instr.numbers[0].unsigned_abs()));
            return None;
        }
        Op::Yield => {
            thread::yield_now();
            return None;
        }
        Op::PutMany
        | Op::GetMany
        | Op::SetMax
        | Op::Put
        | Op::Pop
        | Op::Len
        | Op::Getters
        | Op::Done
        | Op::Drained
        | Op::Shut
        | Op::ShutNow => return on_queue(instr, &objects.queues),
        Op::WaitAny => wait_for_futures(instr.how, ReturnWhen::FirstCompleted, &objects.futures[..2]),
        Op::WaitAll => wait_for_futures(instr.how, ReturnWhen::AllCompleted, &objects.futures[..2]),
        Op::NextDone => {
            let first = as_completed(&objects.futures[..2]).next()?;
            yes(first == objects.futures[0])
        }
        Op::Fulfil => {
            let promise = objects.promises[place].lock().unwrap_or_else(PoisonError::into_inner).take();
            yes(promise?.set_result(second).is_ok())
        }
        Op::Future => {
            let future = &objects.futures[place];
            let result = match instr.how {
                How::Block => future.result().map_err(|_| ERROR),
                How::Try => future.with_result(|result| match result {
                    Ok(value) => Ok(*value),
                    Err(raddle::future::FutureError::NotDone) => Err(NO),
                    Err(_) => Err(ERROR),
                }),
                How::Timeout(time) => match future.exception_timeout(ms(time)) {
                    None => Ok(0),
                    Some(raddle::future::FutureError::TimedOut) => Err(NO),
                    Some(_) => Err(ERROR),
                },
            };
            result.map_or_else(|none| none, i16::from)
        }
        Op::Settled => yes(objects.futures[place].done()),
        Op::Refuse => yes(objects.futures[place].cancel()),
        _ => return synchronise(instr, objects),
    };
    Some(seen)
}

/// Waits, and returns the set of the futures that were done.
fn wait_for_futures(how: How, when: ReturnWhen, futures: &[Future<i8>]) -> i16 {
    let (done, pending) =
        by!(how, raddle::wait(futures, when), wait_timeout(futures, when, Duration::ZERO), |time| {
            wait_timeout(futures, when, time)
        });
    assert_eq!(done.len() + pending.len(), futures.len());
    futures.iter().zip([1, 2]).map(|(future, bit)| if done.contains(future) { bit } else { 0 }).sum()
}

fn synchronise(instr: &Instr, objects: &Objects) -> Option<i16> {
    let place = instr.object();
    let count = usize::try_from(instr.numbers[1]).unwrap_or(0);
    let lock = &objects.locks[place % FEW].0;
    let rlock = &objects.rlocks[place % FEW].0;
    let event = &objects.events[place % FEW];
    Some(match instr.op {
        Op::Acquire => by!(
            instr.how,
            {
                lock.acquire();
                OK
            },
            yes(lock.try_acquire()),
            |time| yes(lock.acquire_timeout(time))
        ),
        Op::Release => lock.release().map_or(ERROR, |()| OK),
        Op::Reacquire => by!(
            instr.how,
            {
                rlock.acquire();
                OK
            },
            yes(rlock.try_acquire()),
            |time| yes(rlock.acquire_timeout(time))
        ),
        Op::Rerelease => rlock.release().map_or(ERROR, |()| OK),
        Op::IsLocked => yes(lock.is_locked()),
        Op::IsSet => yes(event.is_set()),
        Op::Raise => {
            event.set();
            return None;
        }
        Op::Lower => {
            event.clear();
            return None;
        }
        Op::Await => by!(
            instr.how,
            {
                event.wait();
                OK
            },
            yes(event.is_set()),
            |time| yes(event.wait_timeout(time))
        ),
        Op::Meet => {
            let barrier = &objects.barrier;
            let met = by!(instr.how, barrier.wait(), barrier.wait(), |time| barrier.wait_timeout(time));
            met.map_or(ERROR, to_i16)
        }
        Op::Abort => {
            objects.barrier.abort();
            return None;
        }
        Op::Reset => {
            objects.barrier.reset();
            return None;
        }
        Op::IsBroken => yes(objects.barrier.is_broken()),
        Op::Met => to_i16(objects.barrier.n_waiting()),
        _ if place == 0 => {
            let semaphore = &objects.semaphore;
            match instr.op {
                Op::Take => by!(
                    instr.how,
                    {
                        semaphore.acquire_many(count).forget();
                        OK
                    },
                    yes(semaphore.try_acquire_many(count).map(raddle::Permit::forget).is_some()),
                    |time| yes(semaphore
                        .acquire_many_timeout(count, time)
                        .map(raddle::Permit::forget)
                        .is_some())
                ),
                Op::Give => semaphore.release_many(count).map_or(ERROR, |()| OK),
                Op::Free => to_i16(semaphore.available()),
                _ => to_i16(semaphore.n_waiting()),
            }
        }
        _ => {
            let semaphore = &objects.bounded;
            match instr.op {
                Op::Take => by!(
                    instr.how,
                    semaphore.acquire_many(count).map(raddle::Permit::forget).map_or(ERROR, |()| OK),
                    yes(semaphore.try_acquire_many(count).map(raddle::Permit::forget).is_some()),
                    |time| yes(semaphore
                        .acquire_many_timeout(count, time)
                        .map(raddle::Permit::forget)
                        .is_some())
                ),
                Op::Give => semaphore.release_many(count).map_or(ERROR, |()| OK),
                Op::Free => to_i16(semaphore.available()),
                _ => to_i16(semaphore.n_waiting()),
            }
        }
    })
}

fn on_queue(instr: &Instr, queues: &Queues) -> Option<i16> {
    let (place, item) = (instr.object(), instr.numbers[1]);
    if place == SIMPLE {
        let queue = &queues.simple;
        return Some(match instr.op {
            Op::Put => {
                queue.put(item);
                return None;
            }
            Op::Pop => by!(instr.how, Some(queue.get()), queue.try_get(), |time| queue.get_timeout(time))
                .map_or(NO, i16::from),
            Op::Len => to_i16(queue.len()),
            _ => to_i16(queue.n_getters()),
        });
    }
    Some(queue!(queues, place, |queue| match instr.op {
        Op::Put => {
            let put =
                by!(instr.how, queue.put(item).map_err(PutError::from), queue.try_put(item), |time| queue
                    .put_timeout(item, time));
            match put {
                Ok(()) => OK,
                Err(PutError::Full(_)) => NO,
                Err(_) => SHUT,
            }
        }
        Op::Pop => {
            let got = by!(instr.how, queue.get().map_err(GetError::from), queue.try_get(), |time| queue
                .get_timeout(time));
            match got {
                Ok(item) => item.into(),
                Err(GetError::Empty) => NO,
                Err(_) => SHUT,
            }
        }
        Op::PutMany => {
            let items = [item, item + 1];
            let put = by!(
                instr.how,
                queue.put_many(items).map_err(PutError::from),
                queue.try_put_many(items),
                |time| queue.put_many_timeout(items, time)
            );
            match put {
                Ok(()) => OK,
                Err(PutError::Full(left)) => to_i16(left.len()),
                Err(_) => SHUT,
            }
        }
        Op::GetMany => {
            let max = usize::try_from(item).expect("a batch is not empty") + 1;
            let got = by!(
                instr.how,
                Ok(queue.get_many(max, Duration::ZERO)),
                Ok(queue.try_get_many(max)),
                |time| queue.get_many_timeout(max, Duration::ZERO, time)
            );
            match got {
                Ok(items) if items.is_empty() => NO,
                Ok(items) => items.into_iter().fold(0, |all, item| 10 * all + i16::from(item)),
                Err(GetError::Empty) => NO,
                Err(_) => SHUT,
            }
        }
        Op::SetMax => {
            queue.set_maxsize(usize::try_from(item).expect("a limit is positive"));
            return None;
        }
        Op::Len => to_i16(queue.len()),
        Op::Getters => to_i16(queue.n_getters()),
        Op::Done => queue.task_done().map_or(ERROR, |()| OK),
        Op::Drained => by!(
            instr.how,
            {
                queue.join();
                OK
            },
            to_i16(queue.unfinished()),
            |time| yes(queue.join_timeout(time))
        ),
        Op::Shut => {
            queue.shutdown();
            return None;
        }
        _ => to_i16(queue.shutdown_now().len()),
    }))
}
