//! Explorations leave nothing behind, and do not disturb each other or ordinary threads.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use raddle::{
    Barrier, Condition, Event, Lock, Mutex, Promise, Queue, RLock, Semaphore, Shared, Thread,
    ThreadPoolExecutor, Timer, thread, time,
};
use raddle_explore::{Explorer, Grain, Outcome, Strategy};

fn lost_update() {
    let value = Arc::new(Shared::new(0));
    let other = value.clone();
    let add = |value: &Shared<i32>| value.set(value.get() + 1);
    let thread = Thread::spawn(move || add(&other));
    add(&value);
    thread.join().unwrap();
    assert_eq!(value.get(), 2);
}

fn deadlock() {
    let lock = Arc::new(Lock::new());
    lock.acquire();
    let other = lock.clone();
    drop(Thread::spawn(move || drop(other.lock())));
    lock.acquire();
}

#[test]
fn concurrent_explorations_have_the_same_outcomes_as_one_alone() {
    let alone = Explorer::new().strategy(Strategy::Dpor).survey(lost_update);
    let busy = Arc::new(AtomicBool::new(true));
    // Ordinary threads beside them, with the same types.
    let queue = Arc::new(Queue::bounded(4));
    let producer = {
        let (queue, busy) = (queue.clone(), busy.clone());
        Thread::spawn(move || {
            let mut sent = 0_u64;
            while busy.load(Relaxed) {
                queue.put(sent).unwrap();
                sent += 1;
            }
            queue.shutdown();
            sent
        })
    };
    let consumer = Thread::spawn(move || queue.iter().count() as u64);
    let explorers: Vec<_> = (0..4)
        .map(|_| {
            Thread::spawn(|| {
                (0..20)
                    .map(|_| Explorer::new().strategy(Strategy::Dpor).survey(lost_update))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    for explorer in explorers {
        for survey in explorer.join().unwrap() {
            let counts =
                |survey: &raddle_explore::Survey| (survey.classes, survey.executions, survey.failures);
            assert_eq!(counts(&survey), counts(&alone));
        }
    }
    busy.store(false, Relaxed);
    assert_eq!(producer.join().unwrap(), consumer.join().unwrap(), "every item came through");
    assert!(thread::enumerate().iter().all(|thread| !thread.name().starts_with("Thread-1 (add")));
}

#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Resident memory, in kilobytes.
#[cfg(target_os = "linux")]
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs the ignored test of that name in a process of its own; returns its status and what it wrote to standard error.
pub(crate) fn in_a_process(test: &str) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--ignored"]).output().unwrap();
    let started = String::from_utf8_lossy(&output.stdout).contains("running 1 test");
    assert!(started, "there is no ignored test {test}");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn explorations_leak_nothing() {
    let (status, text) = in_a_process("alone::leaks_nothing");
    assert_eq!(status, Some(0), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by another test, in a process of its own"]
fn leaks_nothing() {
    let explore = |times: usize| {
        for _ in 0..times {
            let outcome = Explorer::new().strategy(Strategy::Dpor).run(|| {
                let value = Arc::new(Shared::new(0));
                let other = value.clone();
                let thread = Thread::spawn(move || other.get());
                thread.join().unwrap();
            });
            assert!(matches!(outcome, Outcome::Exhausted { classes: 1, .. }));
        }
        for _ in 0..times / 100 {
            Explorer::new().run(lost_update).expect_failure();
            Explorer::new().run(deadlock).expect_failure();
        }
    };
    explore(1_000);
    let before = (threads(), memory());
    explore(20_000);
    let after = (threads(), memory());
    assert!(after.0 <= before.0 + 8, "threads: {} before, {} after", before.0, after.0);
    assert!(after.1 <= before.1 + 16 * 1024, "kilobytes: {} before, {} after", before.1, after.1);
}

#[test]
fn no_thread_is_left_behind() {
    let (status, text) = in_a_process("alone::leaves_no_thread_behind");
    assert_eq!(status, Some(0), "{text}");
}

/// Each uses another part of the toolkit, or ends in another way.
#[cfg(target_os = "linux")]
const KINDS: &[(&str, fn())] = &[
    ("nothing", || ()),
    ("cells", lost_update),
    ("deadlock", deadlock),
    ("locks", || {
        let (lock, rlock, mutex) = (Lock::new(), RLock::new(), Mutex::new(0));
        thread::scope(|s| {
            s.spawn(|| drop((lock.lock(), rlock.lock(), mutex.lock())));
            drop((lock.lock(), rlock.lock(), mutex.lock()));
        });
    }),
    ("a condition", || {
        let (ready, condition) = (Mutex::new(false), Condition::new());
        thread::scope(|s| {
            s.spawn(|| {
                *ready.lock() = true;
                condition.notify_one(&ready.lock());
            });
            condition.wait_for(&mut ready.lock(), |ready| *ready);
        });
    }),
    ("waits", || {
        let (event, semaphore, barrier) = (Event::new(), Semaphore::new(0), Barrier::new(2));
        thread::scope(|s| {
            s.spawn(|| {
                event.set();
                semaphore.release();
                barrier.wait().unwrap();
            });
            event.wait();
            semaphore.acquire().forget();
            barrier.wait().unwrap();
        });
    }),
    ("a queue", || {
        let queue = Queue::bounded(1);
        thread::scope(|s| {
            s.spawn(|| queue.put_many(0..3).unwrap());
            assert_eq!(queue.iter().take(3).count(), 3);
        });
    }),
    ("a promise", || {
        let promise = Promise::new();
        let future = promise.future();
        let setter = Thread::spawn(move || promise.set_result(1).unwrap());
        assert_eq!(future.result().unwrap(), 1);
        setter.join().unwrap();
    }),
    ("a pool", || assert_eq!(ThreadPoolExecutor::new(2).submit(|| 1).result().unwrap(), 1)),
    ("a timer", || Timer::after(Duration::from_millis(1), || ()).wait().unwrap()),
    ("timeouts", || {
        let daemon = Thread::new(|| Event::new().wait()).daemon(true).start().unwrap();
        assert!(!daemon.thread().wait_timeout(Duration::from_secs(1)) && time::now() > time::now());
    }),
    ("a daemon", || drop(Thread::new(|| Event::new().wait()).daemon(true).start().unwrap())),
    ("a thread that is left", || drop(Thread::spawn(|| Event::new().wait()))),
    ("a panic", || panic!("expected")),
    ("a panic of a thread", || drop(Thread::spawn(|| panic!("expected")).join())),
    ("a panic of a timer", || {
        let _ = Timer::after(Duration::from_millis(1), || panic!("expected")).wait();
    }),
    ("a panic of a task", || drop(ThreadPoolExecutor::new(1).submit(|| panic!("expected")))),
    ("a polling loop", || while !Shared::new(false).get() {}),
    ("a random number", || {
        let numbers = Shared::new(0);
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 1);
        (0..random % 64).for_each(|number| numbers.set(number));
    }),
    ("locals of the main task", || {
        HELD.with_borrow_mut(|held| held.push(Guard(Arc::new(Lock::new()))));
    }),
    ("locals of the main task in some schedules", || {
        let flag = Arc::new(Shared::new(false));
        let other = Thread::spawn({
            let flag = flag.clone();
            move || {
                thread::yield_now();
                flag.set(true);
            }
        });
        if flag.get() {
            HELD.with_borrow_mut(|held| held.push(Guard(Arc::new(Lock::new()))));
        }
        other.join().unwrap();
    }),
    ("locals of other threads", || {
        let threads = [(); 2]
            .map(|()| Thread::spawn(|| HELD.with_borrow_mut(|held| held.push(Guard(Arc::new(Lock::new()))))));
        for thread in threads {
            thread.join().unwrap();
        }
    }),
];

/// Uses the toolkit when it is dropped.
#[cfg(target_os = "linux")]
struct Guard(Arc<Lock>);

#[cfg(target_os = "linux")]
impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.lock());
        let event = Arc::new(Event::new());
        if let Ok(thread) = Thread::new({
            let event = event.clone();
            move || event.set()
        })
        .start()
        {
            thread.join().unwrap();
            event.wait();
        }
    }
}

#[cfg(target_os = "linux")]
thread_local!(static HELD: RefCell<Vec<Guard>> = const { RefCell::new(Vec::new()) });

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by another test, in a process of its own"]
#[expect(clippy::disallowed_methods, reason = "waits for threads of the operating system")]
fn leaves_no_thread_behind() {
    let before = threads();
    let strategies = [Strategy::Portfolio, Strategy::Dpor, Strategy::Depth, Strategy::Random];
    let explorers = [1, 2].map(|_| {
        std::thread::spawn(move || {
            for (_, program) in KINDS {
                for strategy in strategies {
                    let explorer = Explorer::new().strategy(strategy).max_executions(20).max_steps(300);
                    // The closure owns an object that the last handle drops.
                    let owned = Arc::new(Queue::unbounded());
                    owned.put(1).unwrap();
                    let run = move || {
                        assert!(!owned.is_empty());
                        program();
                    };
                    let outcome = explorer.clone().run(run.clone());
                    if let Outcome::Failed(report) = outcome
                        && report.kind() != "not repeatable"
                    {
                        let _ = explorer.clone().replay(&report.token(), run.clone());
                    }
                    let _ = explorer.clone().grain(Grain::Atoms).max_executions(3).run(run.clone());
                    let _ = explorer.allow_panics(true).survey(run);
                }
            }
        })
    });
    for explorer in explorers {
        explorer.join().unwrap();
    }
    // The last ones may still be about to terminate.
    let began = std::time::Instant::now();
    while threads() > before && began.elapsed() < Duration::from_mins(2) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(threads(), before, "threads are left behind");
}
