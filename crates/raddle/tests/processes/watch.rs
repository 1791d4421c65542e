//! The watch detects deadlocked programs, reports the cause, and raises no false alarm.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use raddle::atomic::{AtomicU32, Ordering::Relaxed};
use raddle::rt::{self, Place};
use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, Mutex, Queue, RLock, ReentrantMutex, Semaphore,
    Shared, Thread, thread, time,
};

use crate::child::{Scenario, Test, command, ended, ended_within, find, test};

/// Longer than the watch needs to prove a wait.
const LONG: Duration = Duration::from_millis(300);

/// The name of a program that deadlocks, and the parts of its report. The lines that it prints must be in the report, too.
type Hang = (&'static str, fn(), &'static [&'static str]);

const HANGS: &[Hang] = &[
    ("mutex_twice", mutex_twice, &["a lock that it holds", "\"twice\" waits for Mutex", "held by itself"]),
    ("lock_twice", lock_twice, &["every thread", "\"MainThread\" waits for Lock", "held by itself"]),
    (
        "lock_of_a_terminated_thread",
        lock_of_a_terminated_thread,
        &["\"MainThread\" waits for Lock", "held by thread \"gone\""],
    ),
    (
        "abba",
        abba,
        &[
            "\"first\" waits for Lock",
            "held by thread \"second\"",
            "\"second\" waits for Lock",
            "held by thread \"first\"",
            "\"MainThread\" waits for thread \"first\"",
        ],
    ),
    (
        "abba_of_mutexes",
        abba_of_mutexes,
        &["in a cycle", "\"first\" waits for Mutex", "\"second\" waits for Mutex"],
    ),
    (
        "rlocks",
        rlocks,
        &["\"MainThread\" waits for RLock", "held by thread \"other\"", "\"other\" waits for Event"],
    ),
    ("event_that_is_never_set", event_that_is_never_set, &["\"MainThread\" waits for Event"]),
    (
        "each_joins_the_other",
        each_joins_the_other,
        &["\"MainThread\" waits for thread \"worker\"", "\"worker\" waits for thread \"MainThread\""],
    ),
    (
        "condition_that_is_never_notified",
        condition_that_is_never_notified,
        &["\"MainThread\" waits for Condition"],
    ),
    (
        "semaphores",
        semaphores,
        &["\"MainThread\" waits for Semaphore", "\"other\" waits for BoundedSemaphore"],
    ),
    (
        "lines_of_another_language",
        lines_of_another_language,
        &[
            "\"first\" waits for Lock",
            "at worker.py:4, in first",
            "held by thread \"second\", acquired at worker.py:7, in second",
            "at worker.py:8, in second",
            "held by thread \"first\", acquired at worker.py:3, in first",
            "\"MainThread\" waits for thread \"first\"",
            "at main.py:12",
        ],
    ),
    ("barrier", barrier, &["\"MainThread\" waits for Barrier"]),
    ("scope", scope, &["\"MainThread\" waits for thread scope", "waits for Event"]),
    (
        "foreign_thread_waits_too",
        foreign_thread_waits_too,
        &["\"MainThread\" waits for Event", "\"Dummy-1\" waits for Event"],
    ),
    (
        "daemons_wait_too",
        daemons_wait_too,
        &["\"MainThread\" waits for Event", "\"a daemon\" waits for Event"],
    ),
    (
        "after_main",
        after_main,
        &["\"left\" waits for Event", "\"the end of the program\" waits for non-daemon threads"],
    ),
];

/// Operations that come first in their program. Whether the watch is on is decided then: until it is, nothing is quick.
const FIRST: &[(&str, fn())] = &[
    ("first_is_of_an_atomic", || first(|| AtomicU32::new(0).store(1, Relaxed))),
    ("first_is_of_a_barrier", || first(|| assert!(Barrier::new(1).wait().is_ok()))),
    ("first_is_of_a_condition", || first(|| assert_eq!(Condition::new().notify_all(&Lock::new().lock()), 0))),
    ("first_is_of_an_event", || first(|| Event::new().set())),
    ("first_is_of_a_lock", || first(|| drop(Lock::new().lock()))),
    ("first_is_of_a_queue", || first(|| Queue::unbounded().put(1).unwrap())),
    ("first_is_of_a_semaphore", || first(|| drop(Semaphore::new(1).acquire()))),
    ("first_is_of_a_shared_cell", || first(|| Shared::new(1).set(2))),
    ("first_is_of_a_thread", || first(|| drop(Thread::spawn(|| ()).join()))),
    ("first_is_a_sleep", || first(|| time::sleep(Duration::ZERO))),
];

fn first(operation: fn()) {
    operation();
    assert!(!rt::is_observed());
}

/// Programs that do not deadlock, although their threads are all blocked for a while.
const WORKS: &[(&str, fn())] = &[
    ("foreign_thread_releases", foreign_thread_releases),
    ("sleeper_releases", sleeper_releases),
    ("wait_with_a_timeout_releases", wait_with_a_timeout_releases),
    ("timeout_expires", timeout_expires),
    ("main_is_joined", main_is_joined),
    ("a_thousand_wait_for_a_sleeper", a_thousand_wait_for_a_sleeper),
    ("lock_dropped_while_held", lock_dropped_while_held),
    ("forgotten_guard", forgotten_guard),
    ("busy", busy),
    ("short_waits_on_a_busy_machine", short_waits_on_a_busy_machine),
];

pub(crate) fn scenario(name: &str) -> Option<Scenario> {
    let hangs = HANGS.iter().map(|(name, run, _)| (*name, *run));
    let works = WORKS.iter().chain(FIRST).copied();
    let others = [("accepts", accepts as fn()), ("sleeps_forever", sleeps_forever)];
    find(hangs.chain(works).chain(others), name)
}

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for (name, _, parts) in HANGS {
        tests.push(test(*name, move || {
            let ended = ended(name, Some("1"));
            assert_eq!(ended.status, Some(101), "{ended:?}");
            for part in *parts {
                assert!(ended.err.contains(part), "{part} is missing: {ended:?}");
            }
            for line in ended.out.lines() {
                assert!(
                    ended.err.contains(&format!("watch.rs:{line}:")),
                    "line {line} is missing: {ended:?}"
                );
            }
            assert!(ended.err.contains("RADDLE_WATCH=0"), "{ended:?}");
        }));
    }
    for (name, _) in WORKS {
        tests.push(test(*name, move || {
            let ended = ended(name, Some("1"));
            assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        }));
    }
    for (name, _) in FIRST {
        tests.push(test(*name, move || {
            let ended = ended(name, Some("0"));
            assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        }));
    }
    tests.push(test("accepting_thread_may_release", accepting_thread_may_release));
    tests.push(test("sleeping_thread_may_release", || still_runs("sleeps_forever", Some("1"))));
    tests.push(test("off_on_request", || {
        for name in ["mutex_twice", "lock_twice"] {
            still_runs(name, Some("0"));
        }
    }));
    tests.push(test("on_in_debug_builds", on_in_debug_builds));
    tests
}

/// The scenario blocks forever, without a report.
fn still_runs(name: &str, watch: Option<&str>) {
    let (by_itself, ended) = ended_within(name, watch, Duration::from_millis(1500));
    assert!(!by_itself && ended.err.is_empty(), "{ended:?}");
}

fn on_in_debug_builds() {
    if cfg!(debug_assertions) {
        assert_eq!(ended("event_that_is_never_set", None).status, Some(101));
    } else {
        still_runs("event_that_is_never_set", None);
    }
}

/// Prints the line that the report must contain.
macro_rules! here {
    ($done:expr) => {{
        println!("{}", line!());
        $done
    }};
}

/// Starts a named thread.
fn named<T: Send + 'static>(name: &str, body: impl FnOnce() -> T + Send + 'static) -> raddle::JoinHandle<T> {
    Thread::new(body).name(name).start().unwrap()
}

/// Starts a thread without raddle.
#[expect(clippy::disallowed_methods, reason = "the thread must be unknown to raddle")]
fn foreign(body: impl FnOnce() + Send + 'static) {
    drop(std::thread::spawn(body));
}

/// Sleeps without raddle.
#[expect(clippy::disallowed_methods, reason = "the sleep must be unknown to raddle")]
fn foreign_sleep(time: Duration) {
    std::thread::sleep(time);
}

fn mutex_twice() {
    drop(named("runs on", || {
        loop {
            thread::yield_now();
        }
    }));
    let twice = named("twice", || {
        let mutex = Mutex::new(0);
        let _held = here!(mutex.lock());
        let _again = here!(mutex.lock());
    });
    loop {
        assert!(!twice.wait_timeout(LONG));
    }
}

fn lock_twice() {
    let lock = Lock::new();
    here!(lock.acquire());
    here!(lock.acquire());
}

fn lock_of_a_terminated_thread() {
    let lock = Arc::new(Lock::new());
    let gone = named("gone", {
        let lock = lock.clone();
        move || here!(lock.acquire())
    });
    gone.join().unwrap();
    here!(lock.acquire());
}

fn abba() {
    let (a, b, both) = (Arc::new(Lock::new()), Arc::new(Lock::new()), Arc::new(Barrier::new(2)));
    let first = named("first", {
        let (a, b, both) = (a.clone(), b.clone(), both.clone());
        move || {
            let _a = here!(a.lock());
            both.wait().unwrap();
            let _b = here!(b.lock());
        }
    });
    let second = named("second", move || {
        let _b = here!(b.lock());
        both.wait().unwrap();
        let _a = here!(a.lock());
    });
    here!(first.join()).unwrap();
    second.join().unwrap();
}

fn abba_of_mutexes() {
    let (a, b, both) = (Mutex::new(1), Mutex::new(2), Barrier::new(2));
    let (a, b, both): &'static _ = Box::leak(Box::new((a, b, both)));
    let first = named("first", || {
        let _a = here!(a.lock());
        both.wait().unwrap();
        let _b = here!(b.lock());
    });
    let second = named("second", || {
        let _b = here!(b.lock());
        both.wait().unwrap();
        let _a = here!(a.lock());
    });
    first.join().unwrap();
    second.join().unwrap();
}

/// A binding for another language names the lines of that language.
fn lines_of_another_language() {
    let at = |line, function, lock: &Lock| {
        rt::on_behalf_of(Place::intern("worker.py", line, Some(function)), || lock.acquire());
    };
    let (a, b, both): &'static _ = Box::leak(Box::new((Lock::new(), Lock::new(), Barrier::new(2))));
    let first = named("first", move || {
        at(3, "first", a);
        both.wait().unwrap();
        at(4, "first", b);
    });
    let second = named("second", move || {
        at(7, "second", b);
        both.wait().unwrap();
        at(8, "second", a);
    });
    rt::on_behalf_of(Place::intern("main.py", 12, None), || first.join()).unwrap();
    second.join().unwrap();
}

fn rlocks() {
    let (lock, taken) = (Arc::new((RLock::new(), ReentrantMutex::new(0))), Arc::new(Event::new()));
    let other = named("other", {
        let (lock, taken) = (lock.clone(), taken.clone());
        move || {
            let _held = here!(lock.0.lock());
            let _also = (lock.0.lock(), lock.1.lock());
            taken.set();
            here!(Event::new().wait());
        }
    });
    taken.wait();
    here!(lock.0.acquire());
    other.join().unwrap();
}

fn event_that_is_never_set() {
    here!(Event::new().wait());
}

fn each_joins_the_other() {
    let worker = named("worker", || here!(thread::main_thread().wait()).unwrap());
    here!(worker.join()).unwrap();
}

fn condition_that_is_never_notified() {
    let (mutex, condition) = (Mutex::new(0), Condition::new());
    here!(condition.wait_for(&mut mutex.lock(), |n| *n > 0));
}

fn semaphores() {
    drop(named("other", || here!(BoundedSemaphore::new(0).acquire().forget())));
    here!(Semaphore::new(2).acquire_many(3).forget());
}

fn barrier() {
    let _never = here!(Barrier::new(2).wait());
}

fn scope() {
    let event = Event::new();
    here!(thread::scope(|s| drop(s.spawn(|| here!(event.wait())))));
}

fn foreign_thread_waits_too() {
    foreign(|| here!(Event::new().wait()));
    here!(Event::new().wait());
}

fn daemons_wait_too() {
    let daemon = Thread::new(|| here!(Event::new().wait())).name("a daemon").daemon(true);
    drop(daemon.start().unwrap());
    here!(Event::new().wait());
}

fn after_main() {
    drop(named("left", || here!(Event::new().wait())));
}

fn foreign_thread_releases() {
    let lock = Arc::new(Lock::new());
    lock.acquire();
    foreign({
        let lock = lock.clone();
        move || {
            foreign_sleep(LONG);
            lock.release().unwrap();
        }
    });
    lock.acquire();
}

fn sleeper_releases() {
    let event = Arc::new(Event::new());
    let waits = Thread::spawn({
        let event = event.clone();
        move || event.wait()
    });
    drop(Thread::spawn(move || {
        thread::sleep(LONG);
        event.set();
    }));
    waits.join().unwrap();
}

fn wait_with_a_timeout_releases() {
    let (event, never) = (Arc::new(Event::new()), Event::new());
    drop(Thread::spawn({
        let event = event.clone();
        move || {
            assert!(!never.wait_timeout(LONG));
            event.set();
        }
    }));
    event.wait();
}

fn timeout_expires() {
    let lock = Lock::new();
    lock.acquire();
    assert!(!lock.acquire_timeout(LONG));
    assert!(!lock.acquire_timeout(Duration::from_millis(1200)));
}

fn main_is_joined() {
    drop(Thread::spawn(|| thread::main_thread().wait().unwrap()));
    foreign_sleep(LONG);
}

/// Sleeps for longer than the second slice of a wait, so that all waits are proven.
fn a_thousand_wait_for_a_sleeper() {
    let (event, lock, ready) = (Event::new(), Lock::new(), Semaphore::new(0));
    let (event, lock, ready): &'static _ = Box::leak(Box::new((event, lock, ready)));
    lock.acquire();
    let small = |body: fn(&'static Event, &'static Lock)| {
        let body = move || {
            ready.release();
            body(event, lock);
        };
        Thread::new(body).stack_size(64 << 10).start().unwrap()
    };
    let waiting: Vec<_> = (0..1_000)
        .map(|n| small(if n % 2 == 0 { |event, _| event.wait() } else { |_, lock| drop(lock.lock()) }))
        .collect();
    ready.acquire_many(1_000).forget();
    drop(Thread::spawn(|| {
        thread::sleep(Duration::from_millis(1300));
        event.set();
        lock.release().unwrap();
    }));
    for thread in waiting {
        thread.join().unwrap();
    }
}

/// A lock that is dropped while it is held leaves its entry behind, which is not that of a mutex at the same address.
fn lock_dropped_while_held() {
    for _ in 0..1_000 {
        let lock = Box::new(Lock::new());
        lock.acquire();
        let place = std::ptr::from_ref(&*lock) as usize;
        drop(lock);
        let mutex = Box::new(Mutex::new(()));
        if std::ptr::from_ref(&*mutex) as usize == place {
            drop(mutex.lock());
            let _held = mutex.lock();
            return;
        }
    }
    panic!("memory is never used again here");
}

/// The same with a mutex whose guard was forgotten. The next mutex there is held by another thread for a while.
fn forgotten_guard() {
    for _ in 0..1_000 {
        let mutex = Box::new(Mutex::new(()));
        std::mem::forget(mutex.lock());
        let place = std::ptr::from_ref(&*mutex) as usize;
        drop(mutex);
        let mutex = Box::new(Mutex::new(()));
        if std::ptr::from_ref(&*mutex) as usize == place {
            drop(mutex.lock());
            let taken = Event::new();
            thread::scope(|s| {
                s.spawn(|| {
                    let _held = mutex.lock();
                    taken.set();
                    thread::sleep(LONG);
                });
                taken.wait();
                drop(mutex.lock());
            });
            return;
        }
    }
    panic!("memory is never used again here");
}

/// Eight threads use locks, conditions and semaphores without a pause.
fn busy() {
    let (lock, mutex, ready) = (Lock::new(), Mutex::new(0), Condition::new());
    let (permits, rlock, round) = (Semaphore::new(2), RLock::new(), Barrier::new(8));
    let end = time::now() + Duration::from_millis(1500);
    thread::scope(|s| {
        for n in 0..8 {
            let (lock, mutex, ready) = (&lock, &mutex, &ready);
            let (permits, rlock, round) = (&permits, &rlock, &round);
            s.spawn(move || {
                loop {
                    let more = time::now() < end;
                    drop(lock.lock());
                    let permit = permits.acquire();
                    drop((rlock.lock(), rlock.lock()));
                    let mut number = mutex.lock();
                    *number += 1;
                    let mine = *number;
                    ready.notify_all(&number);
                    if n % 2 == 0 {
                        ready
                            .wait_for_timeout(&mut number, Duration::from_millis(1), |number| *number > mine);
                    }
                    drop(number);
                    drop(permit);
                    if !more {
                        break;
                    }
                }
                round.wait().unwrap();
            });
        }
    });
}

/// Waits that are about as long as the watch's first slice, so that proofs and wake-ups coincide.
fn short_waits_on_a_busy_machine() {
    let tokens: Vec<_> = (0..4).map(|_| (Semaphore::new(0), Event::new())).collect();
    let tokens: &'static [(Semaphore, Event)] = Box::leak(tokens.into_boxed_slice());
    let spin = |time: Duration| {
        let until = time::now() + time;
        while time::now() < until {
            std::hint::spin_loop();
        }
    };
    let threads: Vec<_> = (0..tokens.len())
        .map(|n| {
            Thread::spawn(move || {
                for _ in 0..5 {
                    tokens[n].0.acquire().forget();
                    spin(Duration::from_millis(50)); // while all others wait, their first slices run out
                    tokens[(n + 1) % tokens.len()].0.release();
                }
            })
        })
        .collect();
    tokens[0].0.release();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn accepts() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let event = Arc::new(Event::new());
    foreign({
        let event = event.clone();
        move || {
            let (mut peer, _) = listener.accept().unwrap();
            peer.read_exact(&mut [0]).unwrap();
            event.set();
        }
    });
    event.wait();
}

/// No thread of the process can run, but another process may connect.
fn accepting_thread_may_release() {
    let mut child = command("accepts", Some("1")).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let mut peer = TcpStream::connect((Ipv4Addr::LOCALHOST, port.trim().parse().unwrap())).unwrap();
    thread::sleep(LONG);
    assert_eq!(child.try_wait().unwrap(), None, "it did not wait for the network");
    peer.write_all(&[1]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

fn sleeps_forever() {
    let daemon = Thread::new(|| thread::sleep(Duration::MAX)).daemon(true);
    drop(daemon.start().unwrap());
    Event::new().wait();
}
