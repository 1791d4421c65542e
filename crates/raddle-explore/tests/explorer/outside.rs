//! Programs that use more than the toolkit: thread-locals, and waits that the toolkit does not control.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use raddle::{Event, Lock, Queue, Shared, ShutdownMode, Thread, ThreadPoolExecutor, thread};
use raddle_explore::{Explorer, Outcome, Strategy};

use crate::alone::in_a_process;

/// Runs its closure when it is dropped.
struct AtEnd(Box<dyn FnOnce()>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        std::mem::replace(&mut self.0, Box::new(|| ()))();
    }
}

thread_local! {
    static AT_END: RefCell<Vec<AtEnd>> = const { RefCell::new(Vec::new()) };
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

/// Calls `run` when the calling thread's thread-locals are dropped.
fn at_end(run: impl FnOnce() + 'static) {
    AT_END.with_borrow_mut(|all| all.push(AtEnd(Box::new(run))));
}

fn exhausted(program: impl Fn() + Send + Sync + Clone + 'static) {
    for strategy in [Strategy::Portfolio, Strategy::Dpor, Strategy::Depth] {
        let outcome = Explorer::new().strategy(strategy).run(program.clone());
        assert!(matches!(outcome, Outcome::Exhausted { .. }), "{strategy}: {outcome:?}");
    }
}

fn failure(program: impl Fn() + Send + Sync + Clone + 'static) -> (&'static str, String) {
    let report = Explorer::new().run(program.clone()).expect_failure();
    let again = Explorer::new().replay(&report.token(), program).expect_failure();
    assert_eq!(report.kind(), again.kind());
    (report.kind(), report.to_string())
}

/// The results of the program under every schedule.
fn results<T: Ord + Send + 'static>(
    strategy: Strategy,
    program: impl Fn() -> T + Send + Sync + 'static,
) -> BTreeSet<T> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let all = seen.clone();
    let outcome = Explorer::new().strategy(strategy).run(move || {
        let result = program();
        all.lock().unwrap().insert(result);
    });
    assert!(matches!(outcome, Outcome::Exhausted { .. }), "{strategy}: {outcome:?}");
    std::mem::take(&mut *seen.lock().unwrap())
}

#[test]
fn locals_are_dropped_before_a_join_returns() {
    exhausted(|| {
        let queue = Arc::new(Queue::unbounded());
        let reader = Thread::spawn({
            let queue = queue.clone();
            move || queue.iter().count()
        });
        let writer = Thread::spawn(move || {
            queue.put(1).unwrap();
            at_end(move || queue.shutdown());
        });
        writer.join().unwrap();
        assert_eq!(reader.join().unwrap(), 1);
    });
}

#[test]
fn destructor_of_a_thread_local_can_be_preempted() {
    let (kind, text) = failure(|| {
        let value = Arc::new(Shared::new(0));
        let mine = value.clone();
        let other = Thread::spawn(move || at_end(move || mine.set(mine.get() + 1)));
        value.set(value.get() + 1);
        other.join().unwrap();
        assert_eq!(value.get(), 2, "an update was lost");
    });
    assert_eq!(kind, "panic");
    assert!(text.contains("an update was lost"), "{text}");
}

#[test]
fn thread_that_drops_its_locals_has_not_terminated() {
    let program = || {
        let value = Arc::new(Shared::new(0));
        let mine = value.clone();
        let other = Thread::spawn(move || at_end(move || mine.set(1)));
        let finished = other.is_finished();
        let seen = value.get();
        other.join().unwrap();
        (finished, seen, value.get())
    };
    let all = BTreeSet::from([(false, 0, 1), (false, 1, 1), (true, 1, 1)]);
    assert_eq!(results(Strategy::Dpor, program), all);
    assert_eq!(results(Strategy::Depth, program), all);
}

#[test]
fn locals_are_fresh_in_every_thread() {
    exhausted(|| {
        let once = || {
            COUNT.set(COUNT.get() + 1);
            assert_eq!(COUNT.get(), 1, "a thread saw another one's local");
        };
        once();
        let value = Arc::new(Shared::new(0));
        for number in 0..2 {
            let mine = value.clone();
            let thread = Thread::spawn(move || {
                once();
                mine.set(number);
            });
            value.get();
            thread.join().unwrap();
        }
        let pool = ThreadPoolExecutor::new(1);
        pool.submit(once).result().unwrap();
    });
}

#[test]
fn heap_owned_by_a_thread_local_is_fresh() {
    thread_local!(static SEEN: RefCell<HashMap<u32, u32>> = RefCell::new(HashMap::new()));
    exhausted(|| {
        let value = Arc::new(Shared::new(0));
        let mine = value.clone();
        let other = Thread::spawn(move || {
            SEEN.with_borrow_mut(|seen| *seen.entry(1).or_default() += 1);
            assert_eq!(SEEN.with_borrow(|seen| seen[&1]), 1);
            mine.set(1);
        });
        value.get();
        other.join().unwrap();
    });
}

#[test]
fn locals_of_the_main_thread_are_dropped_as_steps() {
    exhausted(|| {
        let event = Arc::new(Event::new());
        let mine = event.clone();
        // Not a daemon, so the program waits for it after the closure has returned.
        drop(Thread::spawn(move || mine.wait()));
        at_end(move || event.set());
    });
    let (kind, text) = failure(|| {
        let event = Arc::new(Event::new());
        let mine = event.clone();
        drop(Thread::spawn(move || mine.wait()));
        at_end(move || event.clear());
    });
    assert_eq!(kind, "threads left", "{text}");
}

#[test]
fn locals_that_the_main_thread_uses_in_some_schedules_only_are_dropped_as_steps() {
    let program = |seen: Arc<Mutex<BTreeSet<(bool, bool)>>>| {
        move || {
            let (early, event) = (Arc::new(Shared::new(false)), Arc::new(Event::new()));
            let (mine, waits, seen) = (early.clone(), event.clone(), seen.clone());
            let late = Arc::new(Shared::new(false));
            let sets = late.clone();
            drop(Thread::spawn(move || {
                mine.set(true);
                waits.wait();
                let result = (mine.get(), sets.get());
                seen.lock().unwrap().insert(result);
            }));
            if early.get() {
                at_end(move || {
                    late.set(true);
                    event.set();
                });
            } else {
                event.set();
            }
        }
    };
    for strategy in [Strategy::Portfolio, Strategy::Dpor, Strategy::Depth] {
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let outcome = Explorer::new().strategy(strategy).run(program(seen.clone()));
        assert!(matches!(outcome, Outcome::Exhausted { .. }), "{strategy}: {outcome:?}");
        assert_eq!(*seen.lock().unwrap(), BTreeSet::from([(true, false), (true, true)]), "{strategy}");
    }
}

#[test]
fn locals_of_a_pools_workers_are_dropped_before_its_shutdown_returns() {
    let program = || {
        let value = Arc::new(Shared::new(0));
        let mine = value.clone();
        let pool = ThreadPoolExecutor::new(1);
        pool.submit(move || at_end(move || mine.set(mine.get() + 1))).result().unwrap();
        pool.shutdown(ShutdownMode::Drain).unwrap();
        value.get()
    };
    assert_eq!(results(Strategy::Dpor, program), BTreeSet::from([1]));
}

#[test]
fn destructor_that_blocks_forever_is_a_deadlock() {
    let (kind, text) = failure(|| {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        let mine = lock.clone();
        let other = Thread::new(move || at_end(move || mine.acquire())).name("blocked").start().unwrap();
        other.join().unwrap();
        lock.release().unwrap();
    });
    assert_eq!(kind, "deadlock");
    assert!(text.contains("blocked"), "{text}");
}

#[test]
fn thread_identity_is_available_in_destructors_of_thread_locals() {
    exhausted(|| {
        let seen = Arc::new(raddle::Mutex::new(None));
        let mine = seen.clone();
        let run = move || at_end(move || *mine.lock() = Some((thread::current().name(), thread::ident())));
        let other = Thread::new(run).name("named").start().unwrap();
        let ident = other.thread().ident();
        other.join().unwrap();
        assert_eq!(*seen.lock(), Some(("named".to_owned(), ident)));
    });
}

#[test]
fn thread_whose_only_step_is_its_termination_keeps_the_program_alive() {
    exhausted(|| {
        let event = Arc::new(Event::new());
        let mine = event.clone();
        drop(Thread::spawn(move || at_end(move || mine.set())));
        event.wait();
        drop(Thread::spawn(|| at_end(|| ())));
        COUNT.set(1);
    });
}

/// The report of a thread that is detected as blocked, not only as slow.
fn blocked(program: impl Fn() + Send + Sync + 'static) -> String {
    let report = Explorer::new().stuck_after(Duration::from_hours(1)).run(program).expect_failure();
    assert_eq!(report.kind(), "blocked outside", "{report}");
    report.to_string()
}

#[test]
fn std_lock_held_by_a_suspended_thread_is_reported_with_its_holder() {
    let text = blocked(|| {
        let (lock, value) = (Arc::new(Mutex::new(0)), Arc::new(Shared::new(0)));
        let run = |name: &str| {
            let (lock, value) = (lock.clone(), value.clone());
            Thread::new(move || {
                let mut held = lock.lock().unwrap();
                value.set(value.get() + 1);
                *held += 1;
            })
            .name(name)
            .start()
            .unwrap()
        };
        let idle = Event::new();
        let threads = [run("one"), run("two")];
        idle.is_set();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    let named =
        ["thread \"one\"", "thread \"two\""].map(|name| text.find(&format!("waits for {name}")).is_some());
    assert!(named[0] != named[1], "{text}");
}

#[test]
fn std_once_with_a_suspended_initializer_is_reported_with_its_thread() {
    let text = blocked(|| {
        let (once, value) = (Arc::new(OnceLock::new()), Arc::new(Shared::new(0)));
        let init = |once: &OnceLock<i32>, value: &Shared<i32>| *once.get_or_init(|| value.get());
        let mine = (once.clone(), value.clone());
        let other = Thread::new(move || init(&mine.0, &mine.1)).name("initializer").start().unwrap();
        init(&once, &value);
        other.join().unwrap();
    });
    assert!(
        text.contains("waits for thread \"initializer\"") || text.contains("waits for thread \"MainThread\""),
        "{text}"
    );
}

#[test]
fn slow_std_thread_is_awaited() {
    #[expect(clippy::disallowed_methods, reason = "what does not belong to the toolkit is what is looked at")]
    let outcome = Explorer::new().run(|| {
        let busy = std::thread::spawn(|| {
            let end = std::time::Instant::now() + Duration::from_millis(700);
            while std::time::Instant::now() < end {
                std::hint::black_box(0);
            }
        });
        busy.join().unwrap();
    });
    assert!(matches!(outcome, Outcome::Exhausted { .. }), "{outcome:?}");
}

#[test]
fn slow_ordinary_code_is_awaited() {
    #[expect(clippy::disallowed_methods, reason = "what does not belong to the toolkit is what is looked at")]
    let outcome = Explorer::new().run(|| {
        let end = std::time::Instant::now() + Duration::from_millis(600);
        while std::time::Instant::now() < end {
            std::hint::black_box(0);
        }
        std::thread::sleep(Duration::from_millis(600));
    });
    assert!(matches!(outcome, Outcome::Exhausted { .. }), "{outcome:?}");
}

#[test]
fn shrinking_respects_max_time() {
    let runs = Arc::new(AtomicUsize::new(0));
    let seen = runs.clone();
    let report =
        Explorer::new().strategy(Strategy::Random).max_time(Duration::from_millis(1)).run(move || {
            let value = Arc::new(Shared::new(0));
            let add = |value: &Shared<i32>| (0..3).for_each(|_| value.set(value.get() + 1));
            let mine = value.clone();
            let other = Thread::spawn(move || add(&mine));
            add(&value);
            other.join().unwrap();
            seen.fetch_add(1, Relaxed);
            #[expect(clippy::disallowed_methods, reason = "the time that the program takes is looked at")]
            std::thread::sleep(Duration::from_millis(2));
            panic!("always");
        });
    assert_eq!(report.expect_failure().kind(), "panic");
    assert!(runs.load(Relaxed) <= 2, "{} executions after the limit of time", runs.load(Relaxed));
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn exits_in_the_closure() {
    Explorer::new().run(|| std::process::exit(0)).assert_no_failure().assert_exhausted();
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn exits_in_another_thread_in_some_schedules() {
    let program = || {
        let value = Arc::new(Shared::new(0));
        let mine = value.clone();
        let other = Thread::new(move || {
            if mine.get() == 1 {
                std::process::exit(0)
            }
        });
        let other = other.name("leaver").start().unwrap();
        value.set(1);
        value.set(2);
        other.join().unwrap();
    };
    Explorer::new().run(program).assert_no_failure().assert_exhausted();
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn exits_in_a_foreign_thread() {
    let program = || {
        let value = Arc::new(Shared::new(0));
        let mine = value.clone();
        let other = Thread::spawn(move || mine.set(1));
        foreign(|| std::process::exit(0)).join().unwrap();
        value.set(2);
        other.join().unwrap();
    };
    Explorer::new().run(program).assert_exhausted();
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn exits_with_locals() {
    let program = || {
        at_end(|| ());
        let other = Thread::spawn(|| {
            at_end(|| ());
            std::process::exit(0)
        });
        other.join().unwrap();
    };
    Explorer::new().run(program).assert_no_failure().assert_exhausted();
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn panics_in_a_destructor_of_a_local() {
    let program = || {
        Thread::spawn(|| at_end(|| panic!("in a destructor"))).join().unwrap();
    };
    Explorer::new().run(program).assert_no_failure().assert_exhausted();
}

#[test]
fn exit_is_a_failure_with_its_line() {
    let tests = [
        ("exits_in_the_closure", "MainThread"),
        ("exits_in_another_thread_in_some_schedules", "leaver"),
        ("exits_with_locals", "Thread-1"),
        ("exits_in_a_foreign_thread", ""),
    ];
    for (test, thread) in tests {
        let (status, text) = in_a_process(&format!("outside::{test}"));
        assert_eq!(status, Some(101), "{text}");
        let subject = if thread.is_empty() {
            "a thread that raddle did not spawn".to_owned()
        } else {
            format!("thread \"{thread}")
        };
        assert!(text.contains(&subject) && text.contains("called exit"), "{text}");
        assert!(text.contains("tests/explorer/outside.rs:") && text.contains("RADDLE_REPLAY="), "{text}");
    }
}

#[test]
fn panic_in_a_destructor_of_a_thread_local_is_reported_with_its_line() {
    let (status, text) = in_a_process("outside::panics_in_a_destructor_of_a_local");
    assert_eq!(status, None, "the process is aborted: {text}");
    assert!(text.contains("in a destructor") && text.contains("RADDLE_REPLAY="), "{text}");
}

#[test]
fn threads_without_a_shared_object_are_not_exhausted() {
    let program = || {
        let count = Arc::new(AtomicUsize::new(0));
        let mine = count.clone();
        let add = |count: &AtomicUsize| count.store(count.load(Relaxed) + 1, Relaxed);
        let other = Thread::spawn(move || add(&mine));
        add(&count);
        other.join().unwrap();
    };
    let outcome = Explorer::new().run(program);
    assert!(matches!(outcome, Outcome::Exhausted { independent: true, .. }), "{outcome:?}");
    let refuses = std::panic::AssertUnwindSafe(|| outcome.assert_exhausted());
    assert!(std::panic::catch_unwind(refuses).is_err());
    Explorer::new().allow_independent(true).run(program).assert_exhausted();
    Explorer::new().run(|| ()).assert_exhausted();
}

/// Starts a thread without raddle.
#[expect(clippy::disallowed_methods, reason = "a thread that the explorer cannot see is what is looked for")]
fn foreign(run: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::spawn(run)
}

#[test]
fn std_thread_that_accesses_an_explored_object_is_a_failure() {
    let increments: [fn(); 3] = [
        || {
            let value = Arc::new(Shared::new(0));
            let other = value.clone();
            value.get();
            let thread = foreign(move || other.set(other.get() + 1));
            thread.join().unwrap();
            value.get();
        },
        || {
            // This thread is the first one to access the cell.
            let value = Arc::new(Shared::new(0));
            let other = value.clone();
            let thread = foreign(move || other.set(1));
            thread.join().unwrap();
            value.get();
        },
        || {
            let value = Arc::new(Shared::new(0));
            value.get();
            let other = value.clone();
            // Started by a thread that was started without raddle.
            let thread = foreign(move || foreign(move || other.set(1)).join().unwrap());
            thread.join().unwrap();
            value.get();
        },
    ];
    for increment in increments {
        let report = Explorer::new().run(increment).expect_failure();
        let text = report.to_string();
        assert_eq!(report.kind(), "foreign thread", "{text}");
        assert!(text.contains("that raddle did not spawn") && text.contains("Shared"), "{text}");
        assert!(text.contains("outside.rs:"), "{text}");
    }
}

#[test]
fn std_thread_with_objects_of_its_own_is_ignored() {
    let outcome = Explorer::new().run(|| {
        let value = Arc::new(Shared::new(0));
        let other = value.clone();
        let thread = Thread::spawn(move || other.set(1));
        let own = foreign(|| {
            let own = Shared::new(0);
            own.set(own.get() + 1);
        });
        own.join().unwrap();
        value.set(2);
        thread.join().unwrap();
    });
    assert!(matches!(outcome, Outcome::Exhausted { .. }), "{outcome:?}");
}

#[test]
fn deadlock_report_mentions_a_live_std_thread() {
    // The threads are alive until the report is there.
    let over = Arc::new((Mutex::new(false), Condvar::new()));
    let waits = over.clone();
    let report = Explorer::new().run(move || {
        let (event, waits) = (Arc::new(Event::new()), waits.clone());
        let other = event.clone();
        foreign(move || {
            drop(waits.1.wait_while(waits.0.lock().unwrap(), |over| !*over).unwrap());
            // What it would do for the thread that waits is unknown.
            drop(other);
        });
        event.wait();
    });
    let report = report.expect_failure();
    *over.0.lock().unwrap() = true;
    over.1.notify_all();
    let text = report.to_string();
    assert_eq!(report.kind(), "deadlock", "{text}");
    assert!(text.contains("raddle did not spawn is alive"), "{text}");
}
