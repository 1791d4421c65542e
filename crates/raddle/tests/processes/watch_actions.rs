//! The watch: deadlocks of some threads while others run, its actions, and suspected deadlocks.

use std::sync::Arc;
use std::time::Duration;

use raddle::future::FutureError;
use raddle::thread::JoinError;
use raddle::watch::{self, Action, Finding, Watch};
use raddle::{
    Barrier, Condition, Event, JoinHandle, Lock, Mutex, RLock, ReentrantMutex, Thread, ThreadPoolExecutor,
    Timer, thread,
};

use crate::child::{Ended, Scenario, Test, ended, ended_within, find, test};
use crate::threads::{
    LIMIT, LONG, TWO_SLICES, busy_thread, daemon, foreign, foreign_sleep, here, named, nothing_more, reports,
};

/// The name of a program that deadlocks, and the parts of its report.
type Hang = (&'static str, fn(), &'static [&'static str]);

/// Programs that end with status 101.
const ENDS: &[Hang] = &[
    (
        "cycle_of_mutexes",
        cycle_of_mutexes,
        &["in a cycle", "\"first\" waits for Mutex", "held by thread \"second\"", "ends with status 101"],
    ),
    ("cycle_of_rlocks", cycle_of_rlocks, &["in a cycle", "\"first\" waits for RLock"]),
    (
        "cycle_of_three_kinds",
        cycle_of_three_kinds,
        &["in a cycle", "\"one\" waits for RLock", "\"two\" waits for RLock", "\"three\" waits for Mutex"],
    ),
    (
        "joined_by_the_holder",
        joined_by_the_holder,
        &["in a cycle", "\"MainThread\" waits for thread \"needs\"", "\"needs\" waits for Mutex"],
    ),
    ("nothing_to_panic_for", nothing_to_panic_for, &["every thread", "\"MainThread\" waits for Event"]),
    (
        "exempt_handler_hides_no_deadlock",
        exempt_handler_hides_no_deadlock,
        &["every thread", "ends with status 101", "written before the end"],
    ),
];

/// Programs that contain their own assertions, and end with status 0 and no output.
const WORKS: &[(&str, fn())] = &[
    ("reported_once", reported_once),
    ("panic_breaks_the_cycle", panic_breaks_the_cycle),
    ("panic_where_every_thread_waits", panic_where_every_thread_waits),
    ("panic_in_the_thread_that_waits_for_itself", panic_in_the_thread_that_waits_for_itself),
    ("condition_reacquires_its_lock_without_a_panic", condition_reacquires_its_lock_without_a_panic),
    ("cycle_of_locks_is_suspected", cycle_of_locks_is_suspected),
    ("lock_acquired_twice_is_suspected", lock_acquired_twice_is_suspected),
    ("lock_of_a_terminated_holder_is_suspected", lock_of_a_terminated_holder_is_suspected),
    ("transferred_lock_is_not_suspected", transferred_lock_is_not_suspected),
    ("signal_handler_may_wake_a_waiter", signal_handler_may_wake_a_waiter),
    ("handlers_for_faults_and_dumps_do_not_count", handlers_for_faults_and_dumps_do_not_count),
    ("wait_for_a_handler_is_suspected_once", wait_for_a_handler_is_suspected_once),
    ("pool_that_waits_for_itself", pool_that_waits_for_itself),
    ("task_that_waits_for_itself", task_that_waits_for_itself),
    ("timeouts_and_timers_may_help", timeouts_and_timers_may_help),
    ("known_and_unknown_threads_may_help", known_and_unknown_threads_may_help),
    ("lock_can_be_acquired_again", lock_can_be_acquired_again),
    ("hook_may_use_locks", hook_may_use_locks),
];

/// Programs with tests of their own.
const OTHERS: &[(&str, fn())] = &[
    ("cycle_of_daemons", cycle_of_daemons),
    ("cycle_of_daemons_without_end", cycle_of_daemons_without_end),
    ("hook_panics", hook_panics),
    ("hangs", hangs),
    ("hangs_after_main", hangs_after_main),
    ("starts_the_watch", starts_the_watch),
    ("pools_that_wait_for_themselves", pools_that_wait_for_themselves),
];

pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    let ends = ENDS.iter().map(|(name, run, _)| (*name, *run));
    find(ends.chain(WORKS.iter().copied()).chain(OTHERS.iter().copied()), name)
}

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (name, _, parts) in ENDS {
        tests.push(test(*name, move || {
            let ended = ended(name, Some("1"));
            assert_eq!(ended.status, Some(101), "{ended:?}");
            let lines: Vec<_> = ended.out.lines().map(|line| format!("watch_actions.rs:{line}:")).collect();
            says(&ended, parts);
            says(&ended, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        }));
    }
    for (name, _) in WORKS {
        tests.push(test(*name, move || {
            let ended = ended(name, Some("1"));
            let err: Vec<_> = ended.err.lines().filter(|line| !is_of_a_panic(line)).collect();
            assert_eq!((ended.status, err), (Some(0), vec![]), "{ended:?}");
        }));
    }
    tests.push(test("environment_overrides_the_program", environment_overrides_the_program));
    tests.push(test("invalid_value_is_reported", invalid_value_is_reported));
    tests.push(test("panicking_hook_is_reported", panicking_hook_is_reported));
    tests.push(test("the_same_lines_are_said_once", the_same_lines_are_said_once));
    tests.push(test("hang_is_reported_once", hang_is_reported_once));
    tests
}

#[track_caller]
fn says(ended: &Ended, parts: &[&str]) {
    for part in parts {
        assert!(ended.err.contains(part), "{part} is missing: {ended:?}");
    }
}

/// The text of an expected panic: the report, with a line above it and perhaps one below.
fn is_of_a_panic(line: &str) -> bool {
    let begins = ["thread '", "raddle: deadlock", "note: run with"];
    line.is_empty() || line.starts_with("  ") || begins.iter().any(|begin| line.starts_with(begin))
}

/// Starts two threads that each acquire their own lock and, once both have, the other's.
fn circle<T: Send + Sync + 'static>(
    make: fn() -> T,
    take: fn(&T, &dyn Fn()),
) -> (JoinHandle<()>, JoinHandle<()>) {
    let objects: &'static _ = Box::leak(Box::new((make(), make(), Barrier::new(2))));
    let (a, b, both) = objects;
    let first = named("first", move || {
        take(a, &|| {
            both.wait().unwrap();
            take(b, &|| ());
        });
    });
    let second = named("second", move || {
        take(b, &|| {
            both.wait().unwrap();
            take(a, &|| ());
        });
    });
    (first, second)
}

fn mutexes() -> (JoinHandle<()>, JoinHandle<()>) {
    circle(
        || Mutex::new(0),
        |mutex, then| {
            let _held = mutex.lock();
            then();
        },
    )
}

fn locks() -> (JoinHandle<()>, JoinHandle<()>) {
    circle(Lock::new, |lock, then| {
        let _held = lock.lock();
        then();
    })
}

fn cycle_of_mutexes() {
    busy_thread();
    drop(mutexes());
}

fn cycle_of_rlocks() {
    busy_thread();
    drop(circle(RLock::new, |lock, then| {
        lock.acquire();
        let _twice = lock.lock();
        then();
    }));
}

fn cycle_of_three_kinds() {
    busy_thread();
    let all = (Mutex::new(1), RLock::new(), ReentrantMutex::new(2), Barrier::new(3));
    let (mutex, rlock, reentrant, ready): &'static _ = Box::leak(Box::new(all));
    drop(named("one", || {
        let _held = here!(mutex.lock());
        ready.wait().unwrap();
        here!(rlock.acquire());
    }));
    drop(named("two", || {
        here!(rlock.acquire());
        ready.wait().unwrap();
        let _never = here!(reentrant.lock());
    }));
    drop(named("three", || {
        let _held = here!(reentrant.lock());
        ready.wait().unwrap();
        let _never = here!(mutex.lock());
    }));
}

fn joined_by_the_holder() {
    busy_thread();
    let mutex: &'static _ = Box::leak(Box::new(Mutex::new(0)));
    let _held = here!(mutex.lock());
    let needs = named("needs", || drop(here!(mutex.lock())));
    here!(needs.join()).unwrap();
}

fn nothing_to_panic_for() {
    Watch::new().action(Action::Panic).start();
    here!(Event::new().wait());
}

fn reported_once() {
    Watch::new().action(Action::Report).start();
    let reports = reports();
    busy_thread();
    daemon("makes", || {
        let (first, _second) = mutexes_of_daemons();
        drop(first.join());
    });
    let report = reports.recv_timeout(LIMIT).unwrap();
    assert_eq!(report.finding, Finding::Cycle);
    let names: Vec<_> = report.threads.iter().map(|thread| &*thread.name).collect();
    assert!(names == ["first", "second"] || names == ["second", "first"], "{report}");
    for (thread, other) in [(0, 1), (1, 0)] {
        let (thread, other) = (&report.threads[thread], &report.threads[other]);
        let waits = thread.waits.as_ref().unwrap();
        assert!(waits.object.starts_with("Mutex") && waits.remaining.is_none(), "{report}");
        assert_eq!(waits.holder.as_ref().unwrap().ident, other.ident);
        assert!(waits.holder.as_ref().unwrap().at.file().ends_with("watch_actions.rs"));
        assert_eq!(thread.holds.len(), 1);
    }
    nothing_more(&reports);
}

/// Started by a daemon, so that they are daemons too.
fn mutexes_of_daemons() -> (JoinHandle<()>, JoinHandle<()>) {
    mutexes()
}

/// Asserts that one of the two panics with the report and the other one completes.
#[track_caller]
fn one_panicked((first, second): (JoinHandle<()>, JoinHandle<()>), says: &str) {
    match (first.join(), second.join()) {
        (Ok(()), Err(JoinError::Panicked(panic))) | (Err(JoinError::Panicked(panic)), Ok(())) => {
            assert!(panic.message().contains(says), "{panic}");
            assert!(panic.message().contains("\"first\" waits for"), "{panic}");
        }
        others => panic!("not one of them: {others:?}"),
    }
}

fn panic_breaks_the_cycle() {
    Watch::new().action(Action::Panic).start();
    busy_thread();
    one_panicked(mutexes(), "in a cycle");
}

fn panic_where_every_thread_waits() {
    Watch::new().action(Action::Panic).start();
    one_panicked(locks(), "every thread");
}

fn panic_in_the_thread_that_waits_for_itself() {
    Watch::new().action(Action::Panic).start();
    busy_thread();
    let twice = named("twice", || {
        let mutex = Mutex::new(0);
        let _held = mutex.lock();
        drop(mutex.lock());
    });
    assert!(twice.join().unwrap_err().to_string().contains("a lock that it holds"));
}

/// The wait of a condition must reacquire its lock, because its guard relies on that. So the other thread panics.
fn condition_reacquires_its_lock_without_a_panic() {
    Watch::new().action(Action::Panic).start();
    busy_thread();
    let all = (Mutex::new(false), Mutex::new(()), Condition::new(), Event::new());
    let (ready, other, condition, waits): &'static _ = Box::leak(Box::new(all));
    let firm = named("firm", || {
        let _other = other.lock();
        let mut ready = ready.lock();
        waits.set();
        condition.wait_for(&mut ready, |ready| *ready);
    });
    let loose = named("loose", || {
        waits.wait();
        let mut ready = ready.lock();
        *ready = true;
        condition.notify_all(&ready);
        drop(other.lock());
    });
    assert!(loose.join().unwrap_err().to_string().contains("in a cycle"));
    firm.join().unwrap();
}

fn cycle_of_locks_is_suspected() {
    Watch::new().suspect_after(LONG).start();
    let reports = reports();
    busy_thread();
    daemon("makes", || drop(locks()));
    let report = reports.recv_timeout(LIMIT).unwrap();
    assert_eq!((report.finding, report.threads.len()), (Finding::Suspicion, 2), "{report}");
    let patient = |thread: &watch::ThreadState| thread.waits.as_ref().unwrap().waited >= LONG;
    assert!(report.threads.iter().all(patient), "{report}");
    nothing_more(&reports);
}

fn lock_acquired_twice_is_suspected() {
    Watch::new().suspect_after(LONG).start();
    let reports = reports();
    busy_thread();
    daemon("twice", || {
        let lock = Lock::new();
        lock.acquire();
        lock.acquire();
    });
    let report = reports.recv_timeout(LIMIT).unwrap();
    assert_eq!(report.finding, Finding::Suspicion, "{report}");
    assert!(report.to_string().contains("that it acquired"), "{report}");
    nothing_more(&reports);
}

fn lock_of_a_terminated_holder_is_suspected() {
    Watch::new().suspect_after(LONG).start();
    let reports = reports();
    busy_thread();
    let mutex: &'static _ = Box::leak(Box::new(Mutex::new(0)));
    named("gone", || std::mem::forget(mutex.lock())).join().unwrap();
    daemon("waits", || drop(mutex.lock()));
    let report = reports.recv_timeout(LIMIT).unwrap();
    assert_eq!(report.finding, Finding::Suspicion, "{report}");
    assert!(
        report.to_string().contains("has terminated") && report.to_string().contains("\"gone\""),
        "{report}"
    );
    nothing_more(&reports);
}

/// Installs `handler` for `signal`.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library has no signal handlers")]
fn on_signal(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: the handlers of these tests are async-signal-safe.
    assert_ne!(unsafe { libc::signal(signal, handler as usize) }, libc::SIG_ERR);
}

/// Makes another process send `signal` to this one after a while, so that no thread of this process runs meanwhile.
#[cfg(target_os = "linux")]
fn signal_later(signal: libc::c_int) {
    let id = std::process::id();
    let command = format!("sleep 0.5; kill -{signal} {id}");
    drop(std::process::Command::new("sh").args(["-c", &command]).spawn().unwrap());
}

#[cfg(not(target_os = "linux"))]
fn signal_handler_may_wake_a_waiter() {}

#[cfg(not(target_os = "linux"))]
fn handlers_for_faults_and_dumps_do_not_count() {}

#[cfg(not(target_os = "linux"))]
fn wait_for_a_handler_is_suspected_once() {}

/// A handler must not use raddle. If it ends a wait nevertheless, the watch must not end the program.
#[cfg(target_os = "linux")]
fn signal_handler_may_wake_a_waiter() {
    static STOP: Event = Event::new();
    extern "C" fn stop(_: libc::c_int) {
        STOP.set();
    }
    on_signal(libc::SIGRTMIN(), stop);
    signal_later(libc::SIGRTMIN());
    STOP.wait();
}

/// The handlers of the runtime itself do not count.
#[cfg(target_os = "linux")]
fn handlers_for_faults_and_dumps_do_not_count() {
    extern "C" fn nothing(_: libc::c_int) {}
    watch::dump_on_sigquit().unwrap();
    on_signal(libc::SIGFPE, nothing);
    Watch::new().action(Action::Report).start();
    daemon("waits", || Event::new().wait());
    let told = Arc::new(Event::new());
    watch::set_hook({
        let told = told.clone();
        move |report| {
            assert_eq!(report.finding, Finding::EveryThread, "{report}");
            told.set();
        }
    });
    told.wait();
}

/// The handlers that a binding has exempted do not count, and its function runs before the end.
fn exempt_handler_hides_no_deadlock() {
    #[cfg(target_os = "linux")]
    {
        extern "C" fn nothing(_: libc::c_int) {}
        on_signal(libc::SIGINT, nothing);
        watch::exempt_signals(&[libc::SIGINT]);
    }
    Watch::new().action(Action::End).start();
    watch::before_end(|| eprintln!("written before the end"));
    Event::new().wait();
}

#[cfg(target_os = "linux")]
fn wait_for_a_handler_is_suspected_once() {
    static GO: Event = Event::new();
    extern "C" fn go(_: libc::c_int) {
        GO.set();
    }
    on_signal(libc::SIGUSR1, go);
    Watch::new().suspect_after(LONG).start();
    let (found, founds) = std::sync::mpsc::channel();
    watch::set_hook(move |report| found.send(report.clone()).unwrap());
    for _ in 0..2 {
        GO.clear();
        let command = format!("sleep 2.5; kill -USR1 {}", std::process::id());
        drop(std::process::Command::new("sh").args(["-c", &command]).spawn().unwrap());
        GO.wait();
    }
    let report = founds.try_recv().unwrap();
    assert_eq!((report.finding, report.threads.len()), (Finding::Suspicion, 1), "{report}");
    assert!(report.to_string().contains("a signal handler (SIGUSR1)"), "{report}");
    assert!(founds.try_recv().is_err());
}

/// A lock that other threads than its holder release is used to hand over turns, and waits for it may be long.
fn transferred_lock_is_not_suspected() {
    Watch::new().suspect_after(Duration::ZERO).start();
    let reports = reports();
    busy_thread();
    let turn: &'static _ = Box::leak(Box::new(Lock::new()));
    turn.acquire();
    named("releases", || turn.release().unwrap()).join().unwrap();
    turn.acquire();
    daemon("waits", || turn.acquire());
    daemon("takes and waits", || {
        let other = Lock::new();
        other.acquire();
        named("releases", || turn.release().unwrap()).join().unwrap();
        turn.acquire();
    });
    nothing_more(&reports);
}

fn pool_that_waits_for_itself() {
    let reports = reports();
    let pool = Arc::new(ThreadPoolExecutor::new(2));
    let outer: Vec<_> = (0..2)
        .map(|_| {
            let pool_of_inner = pool.clone();
            pool.submit(move || pool_of_inner.submit(|| ()).result())
        })
        .collect();
    let outcomes: Vec<_> = outer.into_iter().map(|future| future.result().unwrap()).collect();
    if outcomes.iter().any(|outcome| matches!(outcome, Err(FutureError::Deadlock))) {
        let report = reports.recv_timeout(LIMIT).unwrap();
        assert_eq!((report.finding, report.threads.len()), (Finding::Pool, 2), "{report}");
    }
    nothing_more(&reports);
}

fn task_that_waits_for_itself() {
    let reports = reports();
    let (pool, room) = (ThreadPoolExecutor::new(1), Arc::new(Mutex::new(None::<raddle::Future<bool>>)));
    let mut held = room.lock();
    let task = pool.submit({
        let room = room.clone();
        move || {
            let me = room.lock().take().unwrap();
            matches!(me.result(), Err(FutureError::Deadlock))
        }
    });
    *held = Some(task.clone());
    drop(held);
    assert!(task.result().unwrap());
    let report = reports.recv_timeout(LIMIT).unwrap();
    assert_eq!(report.finding, Finding::Pool);
    assert!(report.to_string().contains("its own result"), "{report}");
}

fn pools_that_wait_for_themselves() {
    for _ in 0..2 {
        let pool = Arc::new(ThreadPoolExecutor::new(1));
        for _ in 0..3 {
            let inner = pool.clone();
            let outcome = pool.submit(move || inner.submit(|| ()).result()).result().unwrap();
            assert!(matches!(outcome, Err(FutureError::Deadlock)));
        }
    }
}

fn the_same_lines_are_said_once() {
    let ended = ended("pools_that_wait_for_themselves", Some("1"));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(ended.err.matches("all workers of a pool").count(), 1, "{ended:?}");
    says(&ended, &["FutureError::Deadlock", "ThreadPoolExecutor", "waits for Future"]);
}

/// Cycles that a timeout ends, and conditions that a timer notifies.
fn timeouts_and_timers_may_help() {
    Watch::new().suspect_after(Duration::ZERO).start();
    let all = (Mutex::new(1), Mutex::new(2), Barrier::new(2));
    let (a, b, both): &'static _ = Box::leak(Box::new(all));
    let takes = |one: &'static Mutex<i32>, other: &'static Mutex<i32>| {
        Thread::spawn(move || {
            let _held = one.lock();
            both.wait().unwrap();
            drop(other.lock_timeout(LONG));
        })
    };
    let (first, second) = (takes(a, b), takes(b, a));
    first.join().unwrap();
    second.join().unwrap();

    let ready: &'static _ = Box::leak(Box::new((Mutex::new(false), Condition::new())));
    let _timer = Timer::after(TWO_SLICES, || {
        *ready.0.lock() = true;
        ready.1.notify_all(&ready.0.lock());
    });
    ready.1.wait_for(&mut ready.0.lock(), |ready| *ready);
}

/// A slow worker and a thread of the standard library release what others wait for.
fn known_and_unknown_threads_may_help() {
    let (mutex, lock): &'static _ = Box::leak(Box::new((Mutex::new(0), Lock::new())));
    let taken = Event::new();
    thread::scope(|s| {
        s.spawn(|| {
            let _held = mutex.lock();
            taken.set();
            foreign_sleep(TWO_SLICES);
        });
        taken.wait();
        drop(mutex.lock());
    });
    lock.acquire();
    foreign(|| {
        foreign_sleep(LONG);
        lock.release().unwrap();
    });
    lock.acquire();
}

fn lock_can_be_acquired_again() {
    let (lock, mutex) = (RLock::new(), Mutex::new(0));
    let _levels = (lock.lock(), lock.lock(), lock.try_lock().unwrap());
    let _held = mutex.lock();
    assert!(mutex.try_lock().is_none() && mutex.lock_timeout(LONG).is_none());
}

/// The waits of a hook are not watched, and the thread that runs it counts as running.
fn hook_may_use_locks() {
    let event: &'static _ = Box::leak(Box::new((Event::new(), Mutex::new(0))));
    Watch::new().action(Action::Report).start();
    watch::set_hook(|report| {
        assert_eq!(report.finding, Finding::EveryThread);
        *event.1.lock() += 1;
        foreign_sleep(LONG);
        event.0.set();
    });
    let other = Thread::spawn(|| event.0.wait());
    event.0.wait();
    other.join().unwrap();
    assert_eq!(*event.1.lock(), 1);
}

fn cycle_of_daemons() {
    Watch::new().action(Action::Report).start();
    busy_thread();
    daemon("makes", || drop(mutexes()));
    foreign_sleep(TWO_SLICES);
}

fn cycle_of_daemons_without_end() {
    cycle_of_daemons();
    foreign_sleep(LIMIT);
}

/// Runs a scenario that does not end by itself until it has written `words` to standard error, and for two slices.
#[track_caller]
fn until_it_says(scenario: &str, watch: &str, words: &str) -> Ended {
    for doublings in [0, 2, 4, 6] {
        // On a busy machine, the first attempts may be too short.
        let (by_itself, ended) = ended_within(scenario, Some(watch), TWO_SLICES * (1 << doublings));
        assert!(!by_itself, "{ended:?}");
        if ended.err.contains(words) {
            return ended;
        }
    }
    panic!("{scenario} does not say {words:?}");
}

fn environment_overrides_the_program() {
    let stopped = ended("cycle_of_daemons_without_end", Some("end"));
    assert_eq!(stopped.status, Some(101), "{stopped:?}");
    let reports = until_it_says("cycle_of_daemons_without_end", "report", "No action is taken");
    assert_eq!(reports.err.matches("in a cycle").count(), 1, "{reports:?}");
    let words = "panicked and its result was never retrieved";
    let panics = until_it_says("cycle_of_daemons_without_end", "panic", words);
    assert_eq!(panics.err.matches("in a cycle").count(), 2, "{panics:?}");
    let unwatched = ended("cycle_of_daemons", Some("0"));
    assert_eq!((unwatched.status, unwatched.err.as_str()), (Some(0), ""), "{unwatched:?}");
}

fn hangs() {
    let other = Thread::spawn(|| Event::new().wait());
    other.join().unwrap();
}

fn hangs_after_main() {
    drop(Thread::spawn(|| Event::new().wait()));
}

/// No action is taken, so it stays blocked.
fn hang_is_reported_once() {
    for name in ["hangs", "hangs_after_main"] {
        let ended = until_it_says(name, "report", "every thread");
        assert_eq!(ended.err.matches("every thread").count(), 1, "{ended:?}");
    }
}

fn starts_the_watch() {
    println!("{}", watch::is_on());
    Watch::new().start();
    println!("{}", watch::is_on());
}

fn invalid_value_is_reported() {
    let debug = cfg!(debug_assertions);
    for (value, expected) in [
        (Some("yes"), format!("{debug}\ntrue\n")),
        (Some(""), format!("{debug}\ntrue\n")),
        (None, format!("{debug}\ntrue\n")),
        (Some("0"), "false\nfalse\n".to_owned()),
        (Some("order"), "true\ntrue\n".to_owned()),
    ] {
        let ended = ended("starts_the_watch", value);
        assert_eq!((ended.status, &ended.out), (Some(0), &expected), "{value:?}: {ended:?}");
        let told = ended.err.matches("RADDLE_WATCH=\"yes\" is ignored").count();
        assert_eq!((told, ended.err.is_empty()), if value == Some("yes") { (1, false) } else { (0, true) });
    }
}

fn hook_panics() {
    watch::set_hook(|_| panic!("no paper"));
    Event::new().wait();
}

fn panicking_hook_is_reported() {
    let ended = ended("hook_panics", Some("1"));
    assert_eq!(ended.status, Some(101), "{ended:?}");
    says(&ended, &["no paper", "the watch hook panicked", "\"MainThread\" waits for Event"]);
}
