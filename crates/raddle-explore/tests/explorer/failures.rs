//! Every kind of failure is found, and its report explains it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool as Flag, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::atomic::{AtomicBool, Ordering::SeqCst};
use raddle::{
    Condition, Event, Lock, Mutex, Promise, Shared, ShutdownMode, Thread, ThreadPoolExecutor, Timer, thread,
};
use raddle_explore::{Explorer, Outcome, Report, Strategy, check};

fn failure(
    explorer: Explorer,
    program: impl Fn() + Send + Sync + 'static,
) -> (&'static str, String, Box<Report>) {
    let report = explorer.run(program).expect_failure();
    (report.kind(), report.to_string(), report)
}

fn found(program: impl Fn() + Send + Sync + 'static) -> (&'static str, String) {
    let (kind, text, _) = failure(Explorer::new(), program);
    (kind, text)
}

#[test]
fn panic_is_reported_with_its_thread_and_line() {
    let (kind, text) = found(|| {
        let value = Arc::new(Shared::new(0));
        let other = {
            let value = value.clone();
            Thread::new(move || assert_eq!(value.get(), 0)).name("checker").start()
        };
        value.set(1);
        drop(other.unwrap());
    });
    assert_eq!(kind, "panic");
    assert!(text.starts_with("thread \"checker\" panicked, at ") && text.contains("failures.rs"), "{text}");
    assert!(text.contains("left: 1"), "{text}");
}

#[test]
fn panic_collected_by_join_can_be_allowed() {
    let program = || {
        let other = Thread::spawn(|| panic!("on purpose"));
        assert!(other.join().is_err());
    };
    assert_eq!(found(program).0, "panic");
    let outcome = Explorer::new().allow_panics(true).run(program);
    assert!(matches!(outcome, Outcome::Exhausted { .. }), "{outcome:?}");
}

fn take(first: &Mutex<i32>, second: &Mutex<i32>) {
    let first = first.lock();
    *second.lock() += *first;
}

#[test]
fn deadlock_is_reported_with_its_cycle() {
    let (kind, text) = found(|| {
        let accounts = Arc::new((Mutex::new(1), Mutex::new(2)));
        raddle::trace::name(&accounts.0, "alice");
        raddle::trace::name(&accounts.1, "bob");
        let other = accounts.clone();
        let transfer = Thread::new(move || take(&other.1, &other.0)).name("transfer").start().unwrap();
        take(&accounts.0, &accounts.1);
        transfer.join().unwrap();
    });
    assert_eq!(kind, "deadlock");
    let expected = ["cycle: ", "blocks on alice", "blocks on bob", "held by thread \"transfer\" at"];
    assert!(expected.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn lost_wakeup_is_named_in_the_title() {
    let (kind, text) = found(|| {
        let signal = Arc::new((Mutex::new(()), Condition::new()));
        let other = signal.clone();
        let waiter = Thread::spawn(move || other.1.wait(&mut other.0.lock()));
        signal.1.notify_one(&signal.0.lock());
        waiter.join().unwrap();
    });
    assert_eq!(kind, "deadlock");
    assert!(
        text.starts_with("deadlock: a wake-up was lost") && text.contains("began to wait afterwards"),
        "{text}"
    );
}

#[test]
fn threads_left_blocked_after_main_are_a_failure() {
    let (kind, text) = found(|| {
        let never = Arc::new(Event::new());
        drop(Thread::new(move || never.wait()).name("forgotten").start().unwrap());
    });
    assert_eq!(kind, "threads left");
    assert!(text.contains("thread \"forgotten\" waits for Event 1"), "{text}");
}

#[test]
fn daemons_do_not_keep_the_program_alive() {
    let program = || {
        let never = Arc::new(Event::new());
        drop(Thread::new(move || never.wait()).daemon(true).start().unwrap());
    };
    assert!(matches!(Explorer::new().run(program), Outcome::Exhausted { .. }));
}

#[test]
fn polling_for_an_event_that_never_happens_is_a_livelock() {
    let waits = |look: fn(&AtomicBool)| {
        move || {
            let stop = Arc::new(AtomicBool::new(false));
            let other = stop.clone();
            let waiter = Thread::spawn(move || look(&other));
            stop.store(false, SeqCst);
            waiter.join().unwrap();
        }
    };
    let spins = |stop: &AtomicBool| while !stop.load(SeqCst) {};
    let yields = |stop: &AtomicBool| {
        while !stop.load(SeqCst) {
            thread::yield_now();
        }
    };
    for look in [spins as fn(&AtomicBool), yields] {
        let (kind, text, _) = failure(Explorer::new().max_steps(500), waits(look));
        assert_eq!(kind, "livelock");
        assert!(text.contains("stopped after 500 steps") && text.contains("AtomicBool 1"), "{text}");
    }
}

#[test]
fn polling_loop_terminates_when_its_condition_becomes_true() {
    let program = || {
        let ready = Arc::new(AtomicBool::new(false));
        let other = ready.clone();
        let waiter = Thread::spawn(move || while !other.load(SeqCst) {});
        ready.store(true, SeqCst);
        waiter.join().unwrap();
    };
    for strategy in [Strategy::Dpor, Strategy::Surw, Strategy::Pos, Strategy::Pct, Strategy::Random] {
        let outcome = Explorer::new().strategy(strategy).max_executions(50).run(program);
        assert!(!matches!(outcome, Outcome::Failed(_)), "{strategy}: {outcome:?}");
    }
}

#[test]
fn mutual_backing_off_is_a_livelock() {
    let (kind, _, _) = failure(
        Explorer::new().strategy(Strategy::Dpor).max_steps(1_000).max_time(Duration::from_hours(1)),
        || {
            let locks = Arc::new((Lock::new(), Lock::new()));
            let take_both = |first: &Lock, second: &Lock| {
                loop {
                    let _first = first.lock();
                    if second.try_lock().is_some() {
                        return;
                    }
                }
            };
            let other = locks.clone();
            let thread = Thread::spawn(move || take_both(&other.0, &other.1));
            take_both(&locks.1, &locks.0);
            thread.join().unwrap();
        },
    );
    assert_eq!(kind, "livelock");
}

#[test]
fn harmless_data_race_is_reported_on_request() {
    let program = || {
        let seen = Arc::new(Shared::new(false));
        let other = seen.clone();
        let setter = Thread::spawn(move || other.set(true));
        seen.set(true);
        setter.join().unwrap();
        assert!(seen.get());
    };
    assert!(matches!(Explorer::new().run(program), Outcome::Exhausted { classes: 2, .. }));
    let (kind, text, _) = failure(Explorer::new().races(true), program);
    assert_eq!(kind, "data race");
    assert!(
        text.starts_with("data race on Shared 1") && text.matches("writes it, at").count() == 2,
        "{text}"
    );
}

#[test]
fn accesses_ordered_by_a_lock_do_not_race() {
    let outcome = Explorer::new().races(true).run(|| {
        let data = Arc::new((Lock::new(), Shared::new(0)));
        let add = |data: &(Lock, Shared<i32>)| {
            let _held = data.0.lock();
            data.1.set(data.1.get() + 1);
        };
        let other = data.clone();
        let thread = Thread::spawn(move || add(&other));
        add(&data);
        thread.join().unwrap();
        assert_eq!(data.1.get(), 2);
    });
    assert!(matches!(outcome, Outcome::Exhausted { classes: 2, .. }), "{outcome:?}");
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a thread that sleeps outside the toolkit is what is looked for"
)]
fn thread_that_is_stuck_outside_is_named() {
    // On a busy machine, the main thread may be stuck before the sleeper is: then the limit is longer.
    let text = (0..6)
        .find_map(|doublings| {
            let limit = Duration::from_millis(300 << doublings);
            let (kind, text, _) = failure(Explorer::new().stuck_after(limit), move || {
                let lock = Arc::new(Lock::new());
                lock.acquire();
                let sleep = move || std::thread::sleep(10 * limit);
                Thread::new(sleep).name("sleeper").start().unwrap().join().unwrap();
            });
            assert_eq!(kind, "blocked outside");
            (!text.starts_with("thread \"MainThread\"")).then_some(text)
        })
        .expect("the sleeper is stuck");
    assert!(text.starts_with("thread \"sleeper\" is blocked outside the toolkit"), "{text}");
    assert!(text.contains("has not reached its next step"), "{text}");
}

/// States when it is dropped.
struct Noting(Arc<Flag>);

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a thread that sleeps outside the toolkit is what is looked for"
)]
fn nothing_runs_after_a_thread_that_is_stuck_outside_was_reported() {
    // The next step of the sleeper, or its end, come after the report.
    for takes_a_step in [true, false] {
        let (slept, continued) = (Arc::new(Flag::new(false)), Arc::new(Flag::new(false)));
        // On a busy machine, the main thread may be stuck before the sleeper is: then the limit is longer.
        let reported = (0..6).any(|doublings| {
            let limit = Duration::from_millis(300 << doublings);
            let (slept, continued) = (slept.clone(), continued.clone());
            let (_, text, _) = failure(Explorer::new().stuck_after(limit), move || {
                let (lock, slept) = (Lock::new(), slept.clone());
                let (mine, mains) = (Noting(continued.clone()), Noting(continued.clone()));
                let sleep = move || {
                    std::thread::sleep(4 * limit);
                    slept.store(true, Relaxed);
                    if takes_a_step {
                        lock.acquire();
                        drop(mine);
                    } else {
                        std::mem::forget(mine);
                    }
                };
                Thread::new(sleep).name("sleeper").start().unwrap().join().unwrap();
                drop(mains);
            });
            text.starts_with("thread \"sleeper\" is blocked outside the toolkit")
        });
        assert!(reported, "the sleeper is stuck");
        while !slept.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(100)); // what is wrong is seen with high probability
        assert!(!continued.load(Relaxed), "the program runs after its report; takes a step: {takes_a_step}");
    }
}

#[test]
fn state_that_survives_an_execution_is_not_repeatable() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let (kind, text) = found(|| {
        let value = Arc::new(Shared::new(0));
        let other = value.clone();
        let thread = Thread::spawn(move || other.set(1));
        if RUNS.fetch_add(1, Relaxed).is_multiple_of(3) {
            value.get();
        }
        value.set(2);
        thread.join().unwrap();
    });
    assert_eq!(kind, "not repeatable");
    assert!(text.contains("something that the explorer does not control"), "{text}");
    assert!(
        text.contains("the first difference is step ") && text.contains("in another execution:"),
        "{text}"
    );
    assert!(text.contains(concat!("reads a Shared, at ", file!(), ":")), "{text}");
}

#[test]
fn thread_locals_are_fresh_in_every_execution() {
    thread_local!(static RUNS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    let outcome = Explorer::new().run(|| {
        let value = Arc::new(Shared::new(0));
        let other = value.clone();
        let thread = Thread::spawn(move || other.set(1));
        RUNS.set(RUNS.get() + 1);
        for _ in 0..RUNS.get() {
            value.get();
        }
        thread.join().unwrap();
    });
    assert!(matches!(outcome, Outcome::Exhausted { classes: 2, .. }), "{outcome:?}");
}

#[test]
fn report_without_shrinking_shows_the_schedule_as_found() {
    let program = || {
        let value = Arc::new(Shared::new(0));
        let other = value.clone();
        let thread = Thread::spawn(move || other.set(other.get() + 1));
        value.set(value.get() + 1);
        thread.join().unwrap();
        assert_eq!(value.get(), 2, "an update was lost");
    };
    let (kind, text, report) = failure(Explorer::new().shrink(false), program);
    assert_eq!(kind, "panic");
    assert!(text.contains("an update was lost") && text.contains("0 → 1"), "{text}");
    let outcome = Explorer::new().replay(&report.token(), program);
    assert_eq!(outcome.expect_failure().kind(), "panic");
}

#[test]
fn exceeding_the_thread_limit_is_a_failure_that_names_it() {
    let (kind, text) = found(|| {
        let threads: Vec<_> = (0..200).map(|_| Thread::new(|| ()).start()).collect();
        drop(threads);
    });
    assert_eq!(kind, "too many threads", "{text}");
    assert!(text.contains("128 threads"), "{text}");
}

#[test]
fn terminated_threads_do_not_count_towards_the_limit() {
    let value = Arc::new(Shared::new(0));
    let program = move || {
        value.set(0);
        for number in 0..300 {
            let mine = value.clone();
            Thread::spawn(move || mine.set(number)).join().unwrap();
        }
        // Two threads with high numbers race, so both orders have to be run.
        let mine = value.clone();
        let last = Thread::spawn(move || mine.set(300));
        value.get();
        last.join().unwrap();
        assert_eq!(value.get(), 300);
    };
    let outcome = Explorer::new().strategy(Strategy::Dpor).run(program);
    assert!(matches!(outcome, Outcome::Exhausted { classes: 2, .. }), "{outcome:?}");
}

#[test]
fn limits_make_an_exploration_inconclusive() {
    let program = || super_large(6);
    let few = Explorer::new().strategy(Strategy::Dpor).max_executions(10).run(program);
    assert!(matches!(few, Outcome::Inconclusive { executions: 10, .. }), "{few:?}");
    let short = Explorer::new().max_time(Duration::ZERO).run(program);
    assert!(matches!(short, Outcome::Inconclusive { executions: 0, .. }), "{short:?}");
}

fn super_large(threads: usize) {
    let value = Arc::new(Shared::new(0));
    let threads: Vec<_> = (0..threads)
        .map(|_| {
            let value = value.clone();
            Thread::spawn(move || (0..3).for_each(|_| value.set(value.get() + 1)))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn preemption_bound_that_excludes_schedules_is_inconclusive() {
    let lost = || {
        let value = Arc::new(Shared::new(0));
        let other = value.clone();
        let add = |value: &Shared<i32>| value.set(value.get() + 1);
        let thread = Thread::spawn(move || add(&other));
        add(&value);
        thread.join().unwrap();
        assert_eq!(value.get(), 2);
    };
    assert!(matches!(Explorer::new().preemption_bound(0).run(lost), Outcome::Inconclusive { .. }));
    assert_eq!(Explorer::new().preemption_bound(1).run(lost).expect_failure().preemptions(), 1);
}

#[test]
fn depth_first_search_and_partial_order_reduction_see_the_same_results() {
    let outcomes = |strategy| {
        let seen = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
        let results = seen.clone();
        let survey = Explorer::new().strategy(strategy).max_executions(200_000).survey(move || {
            let value = Arc::new(Shared::new(0));
            let threads = [1, 2].map(|number| {
                let value = value.clone();
                Thread::spawn(move || value.set(value.get() * 10 + number))
            });
            let early = value.get();
            for thread in threads {
                thread.join().unwrap();
            }
            results.lock().unwrap().insert((early, value.get()));
        });
        assert!(survey.exhausted, "{strategy}");
        (std::mem::take(&mut *seen.lock().unwrap()), survey.executions)
    };
    let ((all, many), (reduced, few)) = (outcomes(Strategy::Depth), outcomes(Strategy::Dpor));
    assert_eq!(all, reduced);
    assert!(few * 10 < many, "{few} instead of {many}");
}

#[test]
fn deadlock_of_a_main_thread_that_cannot_be_unwound_is_reported_with_its_steps() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Waits, when it is dropped, for an event that only another thread of the deadlock could set.
    struct Waits(Arc<Event>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.wait();
        }
    }
    let catches: fn() = || {
        let never = Event::new();
        loop {
            let _ = catch_unwind(AssertUnwindSafe(|| never.wait()));
        }
    };
    let waits: fn() = || {
        let done = Arc::new((Event::new(), Arc::new(Event::new())));
        let _waits = Waits(done.1.clone());
        let other = done.clone();
        let thread = Thread::spawn(move || {
            other.0.wait();
            other.1.set();
        });
        thread.join().unwrap();
    };
    for program in [catches, waits] {
        let (kind, text) = found(program);
        assert_eq!(kind, "deadlock", "{text}");
        assert!(text.contains("waits for Event 1") && text.contains("     1  "), "{text}");
    }
}

/// Programs whose panic, or rejected task, would reach the excepthook.
fn uncollected() -> [(&'static str, fn()); 7] {
    [
        ("timer", || Timer::after(Duration::from_millis(1), || panic!("uncollected")).wait().unwrap()),
        ("execute", || {
            let pool = ThreadPoolExecutor::new(1);
            pool.execute(|| panic!("uncollected")).unwrap();
            pool.shutdown(ShutdownMode::Drain).unwrap();
        }),
        ("a dropped future", || {
            let pool = ThreadPoolExecutor::new(1);
            drop(pool.submit(|| panic!("uncollected")));
            pool.shutdown(ShutdownMode::Drain).unwrap();
        }),
        ("a done-callback", || {
            let promise = Promise::<i32>::new();
            let future = promise.future();
            future.add_done_callback(|_| panic!("uncollected"));
            promise.set_result(1).unwrap();
            future.result().unwrap();
        }),
        ("results of a map", || {
            let pool = ThreadPoolExecutor::new(1);
            let mut results = pool.map([1, 2], |number| assert_ne!(number, 2, "uncollected"));
            results.next().unwrap().unwrap();
            pool.shutdown(ShutdownMode::Drain).unwrap();
            drop(results);
        }),
        ("a thread that is not joined", || drop(Thread::spawn(|| panic!("uncollected")))),
        ("a refused task", || {
            let pool = ThreadPoolExecutor::new(1);
            pool.shutdown(ShutdownMode::Drain).unwrap();
            drop(pool.submit(|| ()));
        }),
    ]
}

#[test]
fn uncollected_panic_is_a_failure() {
    for (name, program) in uncollected() {
        let (kind, text) = found(program);
        assert_eq!(kind, "panic", "{name}: {text}");
        if name != "a refused task" {
            assert!(
                text.contains("uncollected") && text.contains("tests/explorer/failures.rs:"),
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn uncollected_panics_can_be_allowed() {
    for (name, program) in uncollected() {
        let outcome = Explorer::new().allow_panics(true).run(program);
        assert!(matches!(outcome, Outcome::Exhausted { .. }), "{name}: {outcome:?}");
    }
}

#[test]
fn panic_collected_from_a_future_is_not_a_failure() {
    check(|| {
        let pool = ThreadPoolExecutor::new(1);
        let future = pool.submit(|| panic!("collected"));
        assert!(future.result().unwrap_err().to_string().contains("collected"));
    })
    .assert_exhausted();
}

#[test]
fn shrinking_takes_eighty_executions_at_most() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let report = Explorer::new().strategy(Strategy::Random).run(move || {
        counted.fetch_add(1, Relaxed);
        let value = Arc::new(Shared::new(0));
        let threads = [(); 4].map(|()| {
            let value = value.clone();
            Thread::spawn(move || (0..4).for_each(|_| value.set(value.get() + 1)))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(value.get(), 16);
    });
    let report = report.expect_failure();
    let shrinking = runs.load(Relaxed) - usize::try_from(report.execution()).unwrap();
    assert!((10..=80).contains(&shrinking), "{shrinking} executions after the failing one");
}
