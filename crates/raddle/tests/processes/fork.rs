//! Forked children: the state of the parent's threads in them, and that no operation blocks.

use std::pin::pin;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use raddle::future::FutureError;
use raddle::queue::GetError;
use raddle::thread::{self, JoinError};
use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, JoinHandle, LifoQueue, Lock, Mutex, Promise, Queue, RLock,
    ReturnWhen, Semaphore, ShutdownMode, SimpleQueue, Thread, ThreadPoolExecutor, Timer, as_completed, trace,
    wait, watch,
};

use crate::child::{Scenario, Test, ended, find, test};

/// Longer than any child takes on a busy machine. After that a signal ends it.
const LIMIT: u32 = 40;

const HOUR: Duration = Duration::from_hours(1);

/// Programs that fork, and end with status 0 and no output.
const WORKS: &[(&str, fn())] = &[
    ("only_the_forking_thread_is_left", only_the_forking_thread_is_left),
    ("any_thread_becomes_the_main_thread", any_thread_becomes_the_main_thread),
    ("finished_results_can_be_joined", finished_results_can_be_joined),
    ("child_starts_threads_and_waits_for_them", child_starts_threads_and_waits_for_them),
    ("child_that_only_exits_does_not_block", child_that_only_exits_does_not_block),
    ("timers_are_reset", timers_are_reset),
    ("timer_function_forks", timer_function_forks),
    ("inherited_pool_refuses_tasks", inherited_pool_refuses_tasks),
    ("task_forks", task_forks),
    ("scopes_do_not_wait_for_the_parents_threads", scopes_do_not_wait_for_the_parents_threads),
    ("permits_go_to_threads_that_exist", permits_go_to_threads_that_exist),
    ("items_go_to_threads_that_exist", items_go_to_threads_that_exist),
    ("room_goes_to_threads_that_exist", room_goes_to_threads_that_exist),
    ("notifications_go_to_threads_that_exist", notifications_go_to_threads_that_exist),
    ("parties_of_the_parent_do_not_count", parties_of_the_parent_do_not_count),
    ("contended_locks_of_the_parent_can_be_acquired", contended_locks_of_the_parent_can_be_acquired),
    ("watch_reports_a_deadlock_in_the_child", watch_reports_a_deadlock_in_the_child),
    ("dump_lists_threads_that_exist", dump_lists_threads_that_exist),
    ("sigquit_is_not_lost", sigquit_is_not_lost),
    ("child_of_a_child", child_of_a_child),
    ("beside_starting_threads", beside_starting_threads),
    ("beside_everything_that_locks", beside_everything_that_locks),
];

pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    find(WORKS.iter().copied(), name)
}

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (name, _) in WORKS {
        for (suffix, watch) in [("", "0"), ("/watched", "1")] {
            tests.push(test(format!("{name}{suffix}"), move || {
                let ended = ended(name, Some(watch));
                assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{ended:?}");
            }));
        }
    }
    tests
}

/// Runs `child` in a forked process. Returns its status, or `None` if a signal ended it.
#[expect(unsafe_code, reason = "the standard library does not fork")]
fn status_of(child: impl FnOnce()) -> Option<i32> {
    // SAFETY: the C library's allocator can be used in the child.
    let id = unsafe { libc::fork() };
    if id == 0 {
        // SAFETY: no memory is touched. The signal ends a child that hangs.
        unsafe { libc::alarm(LIMIT) };
        child();
        exit(0);
    }
    status(id)
}

#[expect(unsafe_code, reason = "the standard library does not fork")]
fn status(id: libc::pid_t) -> Option<i32> {
    let mut status = 0;
    // SAFETY: the status lives for the whole call.
    assert_eq!(unsafe { libc::waitpid(id, &raw mut status, 0) }, id);
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

/// Runs `child` in a forked process, where it must succeed.
#[track_caller]
fn in_child(child: impl FnOnce()) {
    assert_eq!(status_of(child), Some(0));
}

/// Starts a daemon that blocks forever in `wait`. Returns once `waits` is true.
#[track_caller]
fn waiter(wait: impl FnOnce() + Send + 'static, waits: impl Fn() -> bool) -> JoinHandle<()> {
    let waiter = Thread::new(wait).name("waiter").daemon(true).start().unwrap();
    until(waits);
    waiter
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// Starts a daemon that blocks forever.
fn sleeper() -> JoinHandle<()> {
    let go = Arc::new(Event::new());
    let begun = Arc::new(Event::new());
    let thread = Thread::new({
        let begun = begun.clone();
        move || {
            begun.set();
            go.wait();
        }
    });
    let thread = thread.name("sleeper").daemon(true).start().unwrap();
    begun.wait();
    thread
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn only_the_forking_thread_is_left() {
    let (other, me) = (sleeper(), thread::current());
    assert_eq!(thread::active_count(), 2);
    in_child(|| {
        assert_eq!(thread::enumerate(), std::slice::from_ref(&me));
        assert_eq!((thread::current(), thread::main_thread()), (me.clone(), me.clone()));
        assert_eq!((me.name(), me.is_finished()), ("MainThread".to_owned(), false));
        if cfg!(target_os = "linux") {
            assert_eq!(me.native_id(), Some(std::process::id().into()));
        }
        assert!(other.is_finished() && other.wait().is_ok() && other.wait_timeout(HOUR));
        assert!(matches!(other.join(), Err(JoinError::Exited)));
    });
    assert_eq!(thread::active_count(), 2);
}

fn any_thread_becomes_the_main_thread() {
    let main = thread::main_thread();
    let becomes_main = |name: &'static str, main: thread::ThreadHandle| {
        in_child(|| {
            let me = thread::current();
            assert_eq!((me.name().as_str(), thread::main_thread()), (name, me.clone()));
            assert!(main.is_finished() && main.wait().is_ok());
            assert_eq!(thread::enumerate(), std::slice::from_ref(&me));
            if cfg!(target_os = "linux") {
                assert_eq!(me.native_id(), Some(std::process::id().into()));
            }
            let joined = Thread::spawn(move || me.wait_timeout(Duration::from_millis(1))).join().unwrap();
            assert!(!joined, "the main thread of the child has not ended");
        });
    };
    let forks = Thread::new({
        let main = main.clone();
        move || becomes_main("forks", main)
    });
    forks.name("forks").start().unwrap().join().unwrap();
    foreign({
        let main = main.clone();
        move || becomes_main("MainThread", main) // raddle does not know the thread yet
    });
    foreign(move || {
        thread::current();
        becomes_main("known", main);
    });
}

/// Runs `body` in a thread started without raddle.
#[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
fn foreign(body: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name("known".to_owned()).spawn(body).unwrap().join().unwrap();
}

fn finished_results_can_be_joined() {
    let (value, panic) = (Thread::spawn(|| 7), Thread::spawn(|| std::panic::resume_unwind(Box::new("text"))));
    until(|| value.is_finished() && panic.is_finished());
    let join = || {
        assert_eq!(value.join().unwrap(), 7);
        assert!(matches!(panic.join(), Err::<(), _>(JoinError::Panicked(_))));
    };
    match fork_and_return() {
        Some(child) => {
            assert_eq!(status(child), Some(0));
            join();
        }
        None => join(),
    }
}

fn child_starts_threads_and_waits_for_them() {
    let _sleeper = sleeper();
    // The thread ends the child with its own status, after the child's main thread has ended.
    let child = || {
        let main = thread::main_thread();
        drop(Thread::new(move || main.wait().map(|()| exit(3))).daemon(false).start().unwrap());
    };
    assert_eq!(status_of(child), Some(0)); // that of the first `exit`
    in_child(|| {
        let sum: i32 = (0..10).map(|n| Thread::spawn(move || n)).map(|thread| thread.join().unwrap()).sum();
        assert_eq!(sum, 45);
    });
}

fn child_that_only_exits_does_not_block() {
    let keeps = Arc::new(Event::new());
    // Keep-alive tokens of the parent: a thread, a timer, a pool.
    drop(
        Thread::new({
            let keeps = keeps.clone();
            move || keeps.wait()
        })
        .daemon(false)
        .start(),
    );
    let timer = Timer::builder().daemon(false).after(HOUR, || ()).unwrap();
    let pool = ThreadPoolExecutor::new(1);
    let task = pool.submit({
        let keeps = keeps.clone();
        move || keeps.wait()
    });
    in_child(|| ());
    let forks = Thread::spawn(|| in_child(|| ()));
    forks.join().unwrap();
    assert!(timer.cancel());
    keeps.set();
    task.result().unwrap();
}

fn timers_are_reset() {
    let ran = Arc::new(AtomicBool::new(false));
    Timer::after(Duration::ZERO, || ()).wait().unwrap(); // the service runs
    let pending = Timer::builder().daemon(true).after(HOUR, || ()).unwrap();
    let every = Timer::every(HOUR, || ());
    in_child(|| {
        assert_eq!(Timer::pending(), 0);
        for timer in [&pending, &every] {
            assert!(
                timer.is_finished() && timer.wait().is_ok() && timer.wait_timeout(HOUR) && !timer.cancel()
            );
        }
        let fired = Arc::new(Event::new());
        Timer::after(Duration::from_millis(1), {
            let fired = fired.clone();
            move || fired.set()
        });
        fired.wait();
        let later = Timer::after(HOUR, || ());
        assert_eq!((Timer::pending(), later.cancel()), (1, true));
        // The program waits for this one: it is not a daemon.
        let ran = ran.clone();
        Timer::after(Duration::from_millis(20), move || {
            ran.store(true, Relaxed);
            exit(0)
        });
    });
    assert!(pending.cancel() && every.cancel());
}

fn timer_function_forks() {
    let forked = Arc::new(Event::new());
    let timer = Timer::after(Duration::ZERO, {
        let forked = forked.clone();
        move || {
            let leaves = fork_and_return();
            if let Some(child) = leaves {
                assert_eq!(status(child), Some(0));
                forked.set();
            }
        }
    });
    timer.wait().unwrap();
    assert!(forked.is_set());
}

/// Returns the identifier of the child in the parent, and `None` in the child.
#[expect(unsafe_code, reason = "the standard library does not fork")]
fn fork_and_return() -> Option<libc::pid_t> {
    // SAFETY: the C library's allocator can be used in the child.
    let id = unsafe { libc::fork() };
    if id == 0 {
        // SAFETY: no memory is touched. The signal ends a child that hangs.
        unsafe { libc::alarm(LIMIT) };
    }
    (id != 0).then_some(id)
}

fn inherited_pool_refuses_tasks() {
    let pool = ThreadPoolExecutor::builder().max_workers(1).queue_limit(10).build().unwrap();
    let pool = &pool;
    let go = Arc::new(Event::new());
    let (runs, begun) = (go.clone(), Arc::new(Event::new()));
    let running = pool.submit({
        let begun = begun.clone();
        move || {
            begun.set();
            runs.wait();
        }
    });
    let waiting = pool.submit(|| ());
    let (running, waiting) = (&running, &waiting);
    let done = Promise::new();
    let settled = done.future();
    done.set_result(1).unwrap();
    begun.wait();
    in_child(|| {
        assert!(matches!(pool.submit(|| ()).result(), Err(FutureError::Broken(_))));
        assert!(pool.execute(|| ()).unwrap_err().to_string().contains("forked"));
        assert!(pool.try_submit(|| ()).is_err());
        assert_eq!((pool.workers(), pool.idle(), pool.pending()), (0, 0, 0));
        for future in [running, waiting] {
            assert!(matches!(future.result(), Err(FutureError::Abandoned)));
        }
        let (done, not_done) = wait([running, waiting], ReturnWhen::AllCompleted);
        assert_eq!((done.len(), not_done.len(), as_completed([running, waiting]).count()), (2, 0, 2));
        assert_eq!(settled.result().unwrap(), 1);
        assert!(pool.try_shutdown(ShutdownMode::Drain) && pool.shutdown(ShutdownMode::CancelPending).is_ok());
        assert!(format!("{pool:?}").contains("ThreadPoolExecutor"));
        let inherited = ThreadPoolExecutor::new(1);
        in_child(move || drop(inherited));
        let own = ThreadPoolExecutor::new(2);
        assert_eq!(own.submit(|| 6 * 7).result().unwrap(), 42);
    });
    // In either order.
    in_child(|| assert_eq!(wait([running, waiting], ReturnWhen::FirstCompleted).0.len(), 2));
    in_child(|| assert_eq!(as_completed([running, waiting]).count(), 2));
    in_child(|| assert!(running.exception().is_some() && waiting.result_timeout(HOUR).is_err()));
    in_child(|| assert!(!running.running() && running.done() && waiting.done()));
    in_child(|| assert!(matches!(waiting.try_result(), Err(FutureError::Abandoned))));
    in_child(|| {
        let polled =
            std::future::Future::poll(pin!(waiting.clone()), &mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(FutureError::Abandoned))), "{polled:?}");
    });
    in_child(|| {
        let (called, calls) = channel();
        running.add_done_callback(move |future| called.send(future.try_result()).unwrap());
        assert!(matches!(calls.try_recv(), Ok(Err(FutureError::Abandoned))));
    });
    go.set();
}

fn task_forks() {
    let pool = ThreadPoolExecutor::new(2);
    let other = pool.submit(|| ());
    // The child returns from the task, and the worker has nothing left to do.
    let child = pool.submit(fork_and_return).result().unwrap();
    assert_eq!(status(child.unwrap()), Some(0));
    let child = pool.submit(move || {
        in_child(|| {
            assert!(other.done());
            thread::yield_now();
        });
    });
    child.result().unwrap();
    pool.execute(|| assert!(fork_and_return().is_none_or(|child| status(child) == Some(0)))).unwrap();
}

fn scopes_do_not_wait_for_the_parents_threads() {
    let go = Event::new();
    let begun = Semaphore::new(0);
    thread::scope(|s| {
        let scoped = s.spawn(|| {
            begun.release();
            go.wait();
            7
        });
        begun.acquire().forget();
        in_child(|| {
            let inner = thread::scope(|s| s.spawn(|| 1).join().unwrap());
            assert_eq!(inner, 1);
            assert!(matches!(scoped.join(), Err(JoinError::Exited)));
        });
        // The child leaves the scope, in which it starts a thread, too.
        match fork_and_return() {
            Some(child) => assert_eq!(status(child), Some(0)),
            None => drop(s.spawn(|| ())),
        }
        go.set();
    });
}

fn permits_go_to_threads_that_exist() {
    let (one, bounded) = (leak(Semaphore::new(0)), leak(BoundedSemaphore::new(2)));
    waiter(|| one.acquire().forget(), || one.n_waiting() == 1);
    bounded.acquire_many(2).unwrap().forget();
    waiter(|| bounded.acquire_many(2).unwrap().forget(), || bounded.n_waiting() == 1);
    in_child(|| {
        assert_eq!((one.n_waiting(), bounded.n_waiting()), (0, 0));
        one.release();
        assert_eq!(one.available(), 1);
        assert!(one.try_acquire().map(raddle::Permit::forget).is_some());
        bounded.release().unwrap();
        assert!(bounded.try_acquire().map(raddle::Permit::forget).is_some());
        let taker = Thread::spawn(|| one.acquire().forget());
        one.release();
        taker.join().unwrap();
    });
    one.release();
    until(|| one.n_waiting() == 0);
}

fn items_go_to_threads_that_exist() {
    let (ring, split, lifo, simple) = (
        leak(Queue::bounded(2)),
        leak(Queue::unbounded()),
        leak(LifoQueue::unbounded()),
        leak(SimpleQueue::new()),
    );
    waiter(|| assert!(ring.get().is_err()), || ring.n_getters() == 1);
    waiter(|| assert!(split.get().is_err()), || split.n_getters() == 1);
    waiter(|| drop(lifo.get_many(5, HOUR)), || lifo.n_getters() == 1);
    waiter(|| assert_eq!(simple.get(), 0), || simple.n_getters() == 1);
    in_child(|| {
        assert_eq!((ring.n_getters(), split.n_getters(), lifo.n_getters(), simple.n_getters()), (0, 0, 0, 0));
        for n in 1..=2 {
            ring.put(n).unwrap();
            split.put(n).unwrap();
            lifo.put(n).unwrap();
            simple.put(n);
        }
        assert_eq!((ring.len(), split.len(), lifo.len(), simple.len()), (2, 2, 2, 2));
        assert_eq!((ring.get(), split.get(), lifo.get(), simple.get()), (Ok(1), Ok(1), Ok(2), 1));
        assert_eq!((ring.get(), ring.try_get()), (Ok(2), Err(GetError::Empty)));
        let getter = Thread::spawn(|| ring.get());
        ring.put(3).unwrap();
        assert_eq!(getter.join().unwrap(), Ok(3));
    });
    assert_eq!(ring.n_getters(), 1);
}

fn room_goes_to_threads_that_exist() {
    let (ring, large) = (leak(Queue::bounded(1)), leak(LifoQueue::bounded(1)));
    ring.put("stored".to_owned()).unwrap();
    large.put("stored".to_owned()).unwrap();
    waiter(|| drop(ring.put("waits".to_owned())), || ring.n_putters() == 1);
    waiter(|| drop(large.put("waits".to_owned())), || large.n_putters() == 1);
    waiter(|| ring.join(), || ring.n_joiners() == 1);
    in_child(|| {
        assert_eq!((ring.n_putters(), large.n_putters(), ring.n_joiners()), (0, 0, 0));
        assert_eq!((ring.get().unwrap(), large.get().unwrap()), ("stored".to_owned(), "stored".to_owned()));
        assert!(ring.is_empty() && large.is_empty());
        assert_eq!((ring.unfinished(), large.unfinished()), (1, 1));
        ring.try_put("new".to_owned()).unwrap();
        large.try_put("new".to_owned()).unwrap();
        assert_eq!(ring.get().unwrap(), "new");
        ring.tasks_done(2).unwrap();
        ring.join();
        ring.shutdown();
        assert!(ring.get().is_err());
    });
    assert_eq!(ring.n_putters(), 1);
}

fn notifications_go_to_threads_that_exist() {
    let (mutex, other, condition) = (leak(Mutex::new(0)), Mutex::new(0), leak(Condition::new()));
    let waits = leak(AtomicBool::new(false));
    waiter(
        || {
            let mut guard = mutex.lock();
            waits.store(true, Relaxed);
            condition.wait(&mut guard);
        },
        || waits.load(Relaxed) && mutex.try_lock().is_some(),
    );
    let event = leak(Event::new());
    let waiting = waiter(|| event.wait(), || true);
    in_child(|| {
        // Another lock than that of the parent's waiter, which does not exist in the child.
        assert_eq!(condition.notify(&other.lock(), 1), 0);
        let woken = Thread::spawn(|| {
            let mut guard = mutex.lock();
            condition.wait_for(&mut guard, |guard| *guard == 1);
        });
        *mutex.lock() = 1;
        until(|| {
            condition.notify_one(&mutex.lock());
            woken.is_finished()
        });
        event.set();
        event.wait();
        assert!(waiting.is_finished());
    });
    assert_eq!(condition.notify_all(&mutex.lock()), 1);
}

fn parties_of_the_parent_do_not_count() {
    let (barrier, acts) = (leak(Barrier::new(2)), leak((Event::new(), Event::new())));
    waiter(|| assert!(barrier.wait().is_err()), || barrier.n_waiting() == 1);
    let acting = leak(Barrier::new(1).action(|| {
        acts.0.set();
        acts.1.wait();
    }));
    waiter(|| assert_eq!(acting.wait(), Ok(0)), || acts.0.is_set());
    in_child(|| {
        assert_eq!(barrier.n_waiting(), 0);
        let other = Thread::spawn(|| barrier.wait().unwrap());
        let index = barrier.wait().unwrap();
        assert_eq!(index + other.join().unwrap(), 1);
        // The thread that runs the action does not exist in the child, so a new round begins.
        acts.1.set();
        assert_eq!(acting.wait(), Ok(0));
    });
    acts.1.set();
}

fn contended_locks_of_the_parent_can_be_acquired() {
    let (mutex, lock, rlock) = (leak(Mutex::new(0)), leak(Lock::new()), leak(RLock::new()));
    let guard = mutex.lock();
    lock.acquire();
    rlock.acquire();
    let waiting: [Box<dyn FnOnce() + Send>; 3] =
        [Box::new(|| *mutex.lock() += 1), Box::new(|| lock.acquire()), Box::new(|| rlock.acquire())];
    let threads = waiting.map(|wait| Thread::new(wait).daemon(true).start().unwrap());
    // Long enough for the lock to be handed over.
    thread::sleep(Duration::from_millis(20));
    in_child(|| {
        assert!(threads.iter().all(|thread| thread.is_finished()));
        drop(guard); // the forking thread's own
        for _ in 0..3 {
            assert!(mutex.try_lock().is_some());
            let other = Thread::spawn(|| *mutex.lock() += 1);
            other.join().unwrap();
        }
        assert_eq!(*mutex.lock(), 3);
        lock.release().unwrap();
        assert!(lock.try_acquire());
        assert!(rlock.is_mine());
        rlock.release().unwrap();
        Thread::spawn(|| rlock.acquire()).join().unwrap();
    });
}

fn watch_reports_a_deadlock_in_the_child() {
    if !watch::is_on() {
        return;
    }
    let mutex = leak(Mutex::new(0));
    let held = leak(Event::new());
    let holder = move || {
        let _guard = mutex.lock();
        held.set();
        leak(Event::new()).wait();
    };
    waiter(holder, || held.is_set());
    let is_reported = |finding: watch::Finding, wait: fn(&'static Mutex<i32>)| {
        in_child(move || {
            watch::set_hook(move |report| exit_now(i32::from(report.finding != finding)));
            wait(mutex);
        });
    };
    is_reported(watch::Finding::EveryThread, |mutex| drop(mutex.lock()));
    is_reported(watch::Finding::EveryThread, |_| Event::new().wait());
    is_reported(watch::Finding::OwnLock, |_| {
        drop(Thread::spawn(|| {
            loop {
                thread::yield_now();
            }
        }));
        let own = Mutex::new(0);
        let _held = own.lock();
        drop(own.lock());
    });
    // Not a deadlock: a thread of the child runs.
    in_child(|| {
        watch::set_hook(|report| panic!("{report}"));
        let event = leak(Event::new());
        let works = Thread::spawn(|| {
            thread::sleep(Duration::from_millis(200));
            event.set();
        });
        event.wait();
        works.join().unwrap();
    });
}

/// Ends the process without waiting for anything.
#[expect(unsafe_code, reason = "the standard library waits for all threads")]
fn exit_now(status: i32) {
    // SAFETY: nothing runs afterwards.
    unsafe { libc::_exit(status) }
}

fn dump_lists_threads_that_exist() {
    let _sleeper = sleeper();
    in_child(|| {
        let dump = watch::dump();
        assert_eq!(dump.threads.len(), 1, "{dump}");
        assert_eq!((&*dump.threads[0].name, dump.unknown.len()), ("MainThread", 0), "{dump}");
        let _own = sleeper();
        assert_eq!(watch::dump().threads.len(), 2);
    });
}

#[cfg(not(target_os = "linux"))]
fn sigquit_is_not_lost() {}

/// The thread that writes dumps exists in the parent only.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library sends no signals")]
fn sigquit_is_not_lost() {
    // SAFETY: there is a handler, or the signal ends the process.
    let quit = || unsafe { libc::raise(libc::SIGQUIT) };
    watch::dump_on_sigquit().unwrap();
    let child = || {
        // SAFETY: the limit is one of the process's own; a core would be of no use.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
        quit();
    };
    assert_eq!(status_of(child), None, "it ends the child, as if there were no handler");
    in_child(|| {
        watch::dump_on_sigquit().unwrap();
        let nowhere = std::fs::File::create("/dev/null").unwrap();
        // SAFETY: both descriptors are open.
        unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&nowhere), libc::STDERR_FILENO) };
        quit();
        assert_eq!(thread::active_count(), 1);
    });
}

fn child_of_a_child() {
    let _sleeper = sleeper();
    Timer::after(Duration::ZERO, || ()).wait().unwrap();
    in_child(|| {
        let other = sleeper();
        Timer::after(Duration::ZERO, || ()).wait().unwrap();
        let semaphore = leak(Semaphore::new(0));
        waiter(|| semaphore.acquire().forget(), || semaphore.n_waiting() == 1);
        in_child(|| {
            assert!(other.is_finished());
            assert_eq!((thread::active_count(), semaphore.n_waiting()), (1, 0));
            Timer::after(Duration::ZERO, || ()).wait().unwrap();
            semaphore.release();
            semaphore.acquire().forget();
            in_child(|| drop(sleeper()));
        });
    });
}

/// Runs `work` repeatedly in two daemons and forks meanwhile. Each child must complete `child`.
fn beside(forks: usize, work: fn(), child: fn()) {
    for _ in 0..2 {
        let works = move || loop {
            work();
        };
        drop(Thread::new(works).daemon(true).start().unwrap());
    }
    (0..forks).for_each(|_| in_child(child));
}

fn beside_starting_threads() {
    let work = || drop(Thread::new(|| ()).daemon(true).start().unwrap().join());
    beside(400, work, || {
        Thread::spawn(|| ()).join().unwrap();
        assert_eq!(thread::active_count(), 1);
    });
}

fn beside_everything_that_locks() {
    let work = || {
        let mutex = Mutex::new(0);
        *mutex.lock() += 1;
        trace::note("work", *mutex.lock());
        let recording = trace::Recording::start();
        Timer::after(Duration::ZERO, || drop(thread::current().name())).wait().unwrap();
        drop(recording.finish());
        drop(watch::dump());
        thread::set_excepthook(|_| ());
        watch::set_hook(|_| ());
        drop(thread::enumerate());
        // Refused once the program is ending.
        drop(ThreadPoolExecutor::new(1).submit(|| 1).result());
    };
    beside(200, work, || {
        let recording = trace::Recording::start();
        let mutex = leak(Mutex::new(0));
        Timer::after(Duration::ZERO, || *mutex.lock() += 1).wait().unwrap();
        drop((recording.finish(), watch::dump()));
        assert_eq!((*mutex.lock(), thread::enumerate().len()), (1, 1));
        thread::reset_excepthook();
        watch::reset_hook();
        assert_eq!(ThreadPoolExecutor::new(1).submit(|| 1).result().unwrap(), 1);
    });
}
