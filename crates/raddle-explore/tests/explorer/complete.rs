//! An exhausted search covers timeouts at any moment, the end of the program, yields, and races behind the step that
//! enabled a thread; and it counts each class of schedules once.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use raddle::rt::{self, Kind, Op};
use raddle::time;
use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, Mutex, Promise, Queue, RLock, Semaphore, Shared,
    ShutdownMode, Thread, ThreadPoolExecutor, Timer, atomic, future, thread,
};
use raddle_explore::{Explorer, Grain, Outcome, Strategy, Survey, Time};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn reduced(time: Time, program: impl Fn() + Send + Sync + 'static) -> Survey {
    Explorer::new().strategy(Strategy::Dpor).time(time).survey(program)
}

/// Asserts that partial-order reduction and depth-first search both see the program fail and succeed.
#[track_caller]
fn assert_both(name: &str, program: impl Fn() + Clone + Send + Sync + 'static) {
    let survey = reduced(Time::Explored, program.clone());
    assert!(survey.exhausted, "{name}: {survey:?}");
    let failures = (1..survey.executions).contains(&survey.failures);
    assert!(failures, "{name}: {} of {} executions fail", survey.failures, survey.executions);
    let outcome = Explorer::new().strategy(Strategy::Depth).run(program);
    assert!(matches!(outcome, Outcome::Failed(_)), "{name}, depth first: {outcome:?}");
}

type Wait = fn(Duration) -> bool;

/// Each way to wait with a timeout for something that never happens; returns whether it timed out.
const WAITS: &[(&str, Wait)] = &[
    ("sleep", |timeout| {
        thread::sleep(timeout);
        true
    }),
    ("Lock", |timeout| {
        let lock = Lock::new();
        lock.acquire();
        !lock.acquire_timeout(timeout)
    }),
    ("Lock, deadline", |timeout| {
        let lock = Lock::new();
        let _held = lock.lock();
        lock.lock_deadline(time::now() + timeout).is_none()
    }),
    ("Mutex", |timeout| {
        let mutex = Mutex::new(());
        let _held = mutex.lock();
        mutex.lock_timeout(timeout).is_none()
    }),
    ("RLock", |timeout| {
        let lock = Arc::new((RLock::new(), Event::new(), Event::new()));
        let holder = Thread::spawn({
            let lock = lock.clone();
            move || {
                let _held = lock.0.lock();
                lock.1.set();
                lock.2.wait();
            }
        });
        lock.1.wait();
        let timed_out = !lock.0.acquire_timeout(timeout);
        lock.2.set();
        holder.join().unwrap();
        timed_out
    }),
    ("Condition", |timeout| {
        let (mutex, condition) = (Mutex::new(()), Condition::new());
        !condition.wait_timeout(&mut mutex.lock(), timeout)
    }),
    ("Condition, wait_for", |timeout| {
        let (mutex, condition) = (Mutex::new(false), Condition::new());
        !condition.wait_for_timeout(&mut mutex.lock(), timeout, |ready| *ready)
    }),
    ("Semaphore", |timeout| Semaphore::new(0).acquire_timeout(timeout).is_none()),
    ("Semaphore, many", |timeout| Semaphore::new(1).acquire_many_timeout(2, timeout).is_none()),
    ("BoundedSemaphore", |timeout| {
        let permits = BoundedSemaphore::new(1);
        let _permit = permits.acquire();
        permits.acquire_timeout(timeout).is_none()
    }),
    ("Event", |timeout| !Event::new().wait_timeout(timeout)),
    ("Barrier", |timeout| Barrier::new(2).wait_timeout(timeout).is_err()),
    ("Queue, get", |timeout| Queue::<u8>::unbounded().get_timeout(timeout).is_err()),
    ("Queue, get_many", |timeout| {
        Queue::<u8>::bounded(1).get_many_timeout(2, Duration::ZERO, timeout).is_err()
    }),
    ("Queue, put", |timeout| {
        let queue = Queue::bounded(1);
        queue.put(1).unwrap();
        queue.put_timeout(2, timeout).is_err()
    }),
    ("Queue, join", |timeout| {
        let queue = Queue::unbounded();
        queue.put(1).unwrap();
        !queue.join_timeout(timeout)
    }),
    ("join", |timeout| {
        let never = Arc::new(Event::new());
        let waiter = Thread::spawn({
            let never = never.clone();
            move || never.wait()
        });
        let timed_out = !waiter.wait_timeout(timeout);
        never.set();
        waiter.join().unwrap();
        timed_out
    }),
    ("Future", |timeout| {
        let promise = Promise::<u8>::new();
        let future = promise.future();
        let timed_out = future.result_timeout(timeout).is_err();
        drop((promise, future)); // which cancels it: no timer is pending any more
        timed_out
    }),
    ("futures", |timeout| {
        let promise = Promise::<u8>::new();
        let (done, _) = future::wait_timeout([promise.future()], future::ReturnWhen::AllCompleted, timeout);
        drop(promise);
        done.is_empty()
    }),
    ("pool, shutdown", |timeout| {
        let (pool, go) = (ThreadPoolExecutor::new(1), Arc::new(Event::new()));
        let task = pool.submit({
            let go = go.clone();
            move || go.wait()
        });
        let timed_out = !pool.shutdown_timeout(ShutdownMode::Drain, timeout).unwrap();
        go.set();
        task.result().unwrap();
        timed_out
    }),
];

#[test]
fn any_timeout_can_expire_before_an_earlier_deadline() {
    for &(name, wait) in WAITS {
        // The other thread's timeout is longer, and may expire first all the same, since it began to wait earlier.
        assert_both(name, move || {
            let queue = Arc::new(Queue::<u8>::bounded(1));
            let other = Thread::spawn({
                let queue = queue.clone();
                move || assert!(!wait(ms(20)) || queue.put(1).is_ok())
            });
            let got = queue.get_timeout(ms(10));
            other.join().unwrap();
            assert!(got.is_err());
        });
    }
}

#[test]
fn short_timeout_can_expire_after_a_long_one() {
    for &(name, wait) in WAITS {
        assert_both(name, move || {
            let late = Arc::new(Shared::new(false));
            let other = Thread::spawn({
                let late = late.clone();
                move || {
                    thread::sleep(ms(20));
                    late.set(true);
                }
            });
            wait(ms(10));
            assert!(!late.get());
            other.join().unwrap();
        });
    }
}

#[test]
fn quiescent_time_expires_deadlines_in_order() {
    for &(name, wait) in WAITS {
        let program = move || {
            let late = Arc::new(Shared::new(false));
            let other = Thread::spawn({
                let late = late.clone();
                move || {
                    thread::sleep(ms(20));
                    late.set(true);
                }
            });
            wait(ms(10));
            assert!(!late.get());
            other.join().unwrap();
        };
        let survey = reduced(Time::Quiescent, program);
        assert_eq!((survey.failures, survey.exhausted), (0, true), "{name}");
    }
}

#[test]
fn spurious_wakeup_does_not_advance_the_clock() {
    for strategy in [Strategy::Pct, Strategy::Pos, Strategy::Random] {
        for &(name, wait) in WAITS {
            let explorer = Explorer::new().time(Time::Quiescent).grain(Grain::Atoms).strategy(strategy);
            let survey = explorer.max_executions(30).survey(move || {
                let late = Arc::new(Shared::new(false));
                let other = Thread::spawn({
                    let late = late.clone();
                    move || {
                        wait(ms(20));
                        late.set(true);
                    }
                });
                thread::sleep(ms(10));
                assert!(!late.get());
                other.join().unwrap();
            });
            assert_eq!(survey.failures, 0, "{name}: {survey:?}");
        }
    }
}

#[test]
fn equal_deadlines_can_expire_in_either_order() {
    let survey = reduced(Time::Quiescent, || {
        let order = Arc::new(Shared::new(0));
        let other = Thread::spawn({
            let order = order.clone();
            move || {
                thread::sleep(ms(10));
                order.set(1);
            }
        });
        thread::sleep(ms(10));
        assert_eq!(order.get(), 0);
        other.join().unwrap();
    });
    assert_eq!((survey.classes, survey.failures, survey.exhausted), (2, 1, true));
}

type Cells = Arc<(Shared<i32>, Shared<i32>)>;

#[test]
fn clock_can_advance_between_two_reads() {
    let sleepers: [fn(); 4] = [
        || time::sleep(ms(2)),
        || time::sleep_until(time::now() + ms(2)),
        || assert!(!Event::new().wait_timeout(ms(2))),
        || drop(Semaphore::new(0).acquire_timeout(ms(2))),
    ];
    for (index, sleeper) in sleepers.into_iter().enumerate() {
        let program = move || {
            let expires = time::now() + ms(1);
            thread::scope(|s| {
                s.spawn(sleeper);
                if time::now() < expires {
                    assert!(time::now() < expires, "expired");
                }
            });
        };
        assert_both(&format!("sleeper {index}"), program);
    }
    let outcome = Explorer::new().strategy(Strategy::Depth).run(|| {
        thread::scope(|s| {
            s.spawn(|| time::sleep(ms(5)));
            let before = time::now();
            time::sleep(ms(1));
            assert!(time::now() - before >= ms(1));
        });
    });
    outcome.assert_exhausted();
}

#[test]
fn moment_at_which_a_deadline_is_computed_affects_the_outcome() {
    // How far the clock advances depends on whether the other sleep has ended before the second one begins.
    assert_both("sleeps", || {
        let cell = Shared::new(0);
        thread::scope(|s| {
            s.spawn(|| time::sleep(ms(5)));
            let before = time::now();
            cell.set(1);
            time::sleep(ms(1));
            assert!(time::now() - before < ms(6), "slept while the other thread had slept");
        });
    });
    // A thread can be delayed between a step and the call that computes the deadline from the timeout.
    for (name, wait) in WAITS {
        let survey = reduced(Time::Explored, move || {
            let (start, begun) = (time::now(), Event::new());
            thread::scope(|s| {
                let other = s.spawn(|| {
                    begun.set();
                    wait(ms(5));
                    time::now() - start
                });
                begun.wait();
                time::sleep(ms(3));
                // The other thread has not waited for five milliseconds yet, unless it came late.
                let in_time = time::now() - start == ms(3);
                let end = other.join().unwrap();
                assert!(!in_time || end <= ms(5), "waited until {end:?}");
            });
        });
        let failures = (1..survey.executions).contains(&survey.failures);
        assert!(survey.exhausted && failures, "{name}: {survey:?}");
    }
}

#[test]
fn polled_clock_advances_before_or_after_a_deadline_is_computed() {
    // Under `Quiescent`, code takes no time, except for a loop that polls the clock.
    let poll = |duration| {
        let end = time::now() + duration;
        while time::now() < end {}
    };
    let program = move || {
        let queue = Queue::bounded(1);
        thread::scope(|s| {
            let getter = s.spawn(|| queue.get_timeout(ms(5)));
            poll(ms(20));
            queue.put(1).unwrap();
            assert!(getter.join().unwrap().is_ok(), "timed out");
        });
    };
    let survey = reduced(Time::Quiescent, program);
    assert!(survey.exhausted && survey.failures > 0 && survey.failures < survey.executions, "{survey:?}");
    let sleeps = move || {
        let order = Mutex::new(Vec::new());
        thread::scope(|s| {
            s.spawn(|| {
                time::sleep(ms(15));
                order.lock().push(1);
            });
            poll(ms(10));
            time::sleep(ms(10));
            order.lock().push(2);
        });
        assert_eq!(*order.lock(), [1, 2]);
    };
    let survey = reduced(Time::Quiescent, sleeps);
    assert!(survey.exhausted && survey.failures > 0 && survey.failures < survey.executions, "{survey:?}");
}

#[test]
fn loop_that_ends_is_no_poll() {
    // Each iteration reads the same object on the same line, and no other thread takes a step.
    for changes in [false, true] {
        let survey = reduced(Time::Explored, move || {
            let event = Event::new();
            let queue = Queue::unbounded();
            thread::scope(|s| {
                s.spawn(|| event.set());
                for item in 0..20 {
                    if event.is_set() && changes {
                        queue.put(item).unwrap();
                    }
                }
            });
        });
        assert!(survey.exhausted, "{survey:?}");
        assert_eq!(survey.classes, 21);
    }
}

#[test]
fn loop_that_polls_the_clock_terminates() {
    let polls: [fn(Instant); 3] = [
        |end| while time::now() < end {},
        |end| {
            while time::now() < end {
                thread::yield_now();
            }
        },
        |end| {
            let lock = Lock::new();
            while time::now() < end {
                drop(lock.lock());
            }
        },
    ];
    for time in [Time::Explored, Time::Quiescent] {
        for poll in polls {
            let explorer = Explorer::new().time(time).strategy(Strategy::Dpor).max_executions(20);
            let outcome = explorer.clone().run(move || poll(time::now() + Duration::from_hours(1)));
            assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
            // The same holds for two of them whose steps alternate.
            let outcome = explorer.run(move || {
                let end = time::now() + Duration::from_hours(1);
                thread::scope(|s| {
                    s.spawn(move || poll(end));
                    poll(end);
                });
            });
            assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        }
    }
    let endless = Explorer::new().max_steps(500).run(|| {
        while time::now() >= rt::now() {} // forever
    });
    assert_eq!(endless.expect_failure().kind(), "livelock");
}

#[test]
fn daemon_can_take_any_of_its_steps_before_the_program_ends() {
    let daemons: [fn(Cells); 5] = [
        |cells| {
            let run = move || {
                cells.0.set(1);
                panic!("a bug in a repeating timer");
            };
            drop(Timer::builder().daemon(true).after(ms(1), run));
        },
        |cells| {
            let run = move || {
                thread::yield_now();
                cells.0.set(1);
                panic!("a bug behind a yield");
            };
            drop(Thread::new(run).daemon(true).start().unwrap());
        },
        |cells| {
            let run = move || {
                cells.0.set(1);
                cells.0.set(2);
                panic!("a bug in a daemon");
            };
            drop(Thread::new(run).daemon(true).start().unwrap());
        },
        |cells| {
            let inner = move || {
                cells.0.set(1);
                panic!("a bug in a daemon's daemon");
            };
            let outer = || drop(Thread::new(inner).start().unwrap());
            drop(Thread::new(outer).daemon(true).start().unwrap());
        },
        |cells| {
            // It outlives main because of another thread, whose termination is the end of the program.
            let other = cells.clone();
            drop(Thread::spawn(move || other.1.set(1)));
            let run = move || {
                cells.0.set(1);
                panic!("a bug in a daemon");
            };
            drop(Thread::new(run).daemon(true).start().unwrap());
        },
    ];
    for (number, start) in daemons.into_iter().enumerate() {
        let program = move || {
            let cells = Arc::new((Shared::new(0), Shared::new(0)));
            start(cells.clone());
            cells.1.get();
            cells.1.get();
        };
        for (strategy, time) in [Strategy::Dpor, Strategy::Depth, Strategy::Portfolio]
            .into_iter()
            .flat_map(|strategy| [(strategy, Time::Explored), (strategy, Time::Quiescent)])
        {
            if number == 0 && time == Time::Quiescent {
                continue; // the program ends before the clock advances
            }
            let outcome = Explorer::new().strategy(strategy).time(time).run(program);
            assert!(
                matches!(outcome, Outcome::Failed(_)),
                "daemon {number}, {strategy}, {time:?}: {outcome:?}"
            );
        }
    }
}

#[test]
fn yield_can_return_at_once() {
    let survey = reduced(Time::Explored, || {
        let flag = Arc::new(Shared::new(false));
        let setter = Thread::spawn({
            let flag = flag.clone();
            move || flag.set(true)
        });
        thread::yield_now();
        assert!(flag.get());
        setter.join().unwrap();
    });
    assert_eq!((survey.failures, survey.exhausted), (1, true));
}

#[test]
fn loop_that_yields_is_bounded_and_therefore_inconclusive() {
    let outcome = Explorer::new().strategy(Strategy::Dpor).run(|| {
        let flag = Arc::new(Shared::new(false));
        let setter = Thread::spawn({
            let flag = flag.clone();
            move || flag.set(true)
        });
        while !flag.get() {
            thread::yield_now();
        }
        setter.join().unwrap();
    });
    assert!(matches!(outcome, Outcome::Inconclusive { .. }), "{outcome:?}");
}

#[test]
fn endless_timeouts_are_bounded_and_therefore_inconclusive() {
    let outcome = Explorer::new().strategy(Strategy::Dpor).run(|| {
        let event = Arc::new(Event::new());
        let setter = Thread::spawn({
            let event = event.clone();
            move || event.set()
        });
        while !event.wait_timeout(ms(1)) {}
        setter.join().unwrap();
    });
    assert!(matches!(outcome, Outcome::Inconclusive { .. }), "{outcome:?}");
}

#[test]
fn step_that_enables_a_thread_does_not_hide_a_race() {
    // Each thread passes one token: the second one waits for the token that the first one puts back, but could have
    // been the first.
    let programs: [(&str, fn()); 4] = [
        ("queue", || pass(Queue::<u8>::unbounded(), |it| it.put(1).unwrap(), |it| assert!(it.get().is_ok()))),
        ("semaphore", || pass(Semaphore::new(0), Semaphore::release, |it| it.acquire().forget())),
        ("semaphore, many", || {
            pass(Semaphore::new(0), |it| it.release_many(2).unwrap(), |it| it.acquire_many(2).forget());
        }),
        ("lock", || {
            let release = |it: &Lock| assert!(!it.is_locked() || it.release().is_ok());
            pass(Lock::new(), release, Lock::acquire);
        }),
    ];
    for (name, program) in programs {
        assert_both(name, program);
    }
}

fn pass<T: Send + Sync + 'static>(token: T, put: fn(&T), get: fn(&T)) {
    put(&token);
    let shared = Arc::new((token, Shared::new(false)));
    let other = Thread::spawn({
        let shared = shared.clone();
        move || {
            get(&shared.0);
            shared.1.set(true);
            put(&shared.0);
        }
    });
    get(&shared.0);
    assert!(!shared.1.get());
    put(&shared.0);
    other.join().unwrap();
}

/// An event written on the public seam.
struct Flag {
    word: AtomicU32,
    name: &'static str,
    also: &'static str,
}

impl Flag {
    fn set(&self) {
        rt::point(Op::new(self, self.name, Kind::Write));
        rt::atom(&self.word);
        self.word.store(1, SeqCst);
    }

    fn is_set(&self) -> bool {
        rt::point(Op::new(self, self.also, Kind::Read));
        self.word.load(SeqCst) == 1
    }

    fn wait(&self, kind: Kind) {
        let set = || self.word.load(SeqCst) == 1;
        rt::point_until(Op::new(self, self.also, kind), None, &self.word, set);
    }
}

#[test]
fn names_of_objects_do_not_affect_the_search() {
    let run = |name: &'static str, also: &'static str, kind: Kind| {
        reduced(Time::Explored, move || {
            let flag = Arc::new(Flag { word: AtomicU32::new(0), name, also });
            let setter = Thread::spawn({
                let flag = flag.clone();
                move || flag.set()
            });
            let waiters = [0, 1].map(|_| {
                let flag = flag.clone();
                Thread::spawn(move || flag.wait(kind))
            });
            assert!(!flag.is_set());
            setter.join().unwrap();
            for waiter in waiters {
                waiter.join().unwrap();
            }
        })
    };
    for kind in [Kind::Await, Kind::Wait] {
        let expected = run("Event", "Event", kind);
        assert!(expected.failures > 0 && expected.exhausted);
        for (name, also) in [("Gate", "Gate"), ("Thread", "Thread"), ("Shared", "Lock"), ("here", "there")] {
            let survey = run(name, also, kind);
            let seen = (survey.classes, survey.failures, survey.exhausted);
            assert_eq!(seen, (expected.classes, expected.failures, true), "{name}, {also}");
        }
    }
    assert!(run("x", "x", Kind::Wait).classes > run("x", "x", Kind::Await).classes, "the kind decides");
}

fn readers(count: usize) {
    let word = Arc::new(atomic::AtomicU32::new(0));
    let readers: Vec<_> = (0..count)
        .map(|_| {
            let word = word.clone();
            Thread::spawn(move || word.load(SeqCst))
        })
        .collect();
    word.store(1, SeqCst);
    for reader in readers {
        reader.join().unwrap();
    }
}

fn scoped_readers(count: usize) {
    let word = atomic::AtomicU32::new(0);
    thread::scope(|s| {
        for _ in 0..count {
            s.spawn(|| word.load(SeqCst));
        }
        word.store(1, SeqCst);
    });
}

fn scoped_dining(count: usize) {
    let forks: Vec<_> = (0..count).map(|_| Mutex::new(())).collect();
    thread::scope(|s| {
        for left in 0..count {
            let forks = &forks;
            s.spawn(move || {
                let _left = forks[left].lock();
                let _right = forks[(left + 1) % count].lock();
            });
        }
    });
}

fn released() {
    let permits = Arc::new(Semaphore::new(0));
    let waiter = Thread::spawn({
        let permits = permits.clone();
        move || permits.acquire().forget()
    });
    permits.release();
    waiter.join().unwrap();
}

#[test]
fn each_class_is_counted_once() {
    let classes = |program: fn()| {
        let survey = reduced(Time::Explored, program);
        assert!(survey.exhausted);
        survey.classes
    };
    let counted: &[(fn(), u64)] = &[
        (|| readers(1), 2),
        (|| readers(2), 4),
        (|| readers(3), 8),
        (|| readers(5), 32),
        (|| scoped_readers(3), 8),
        (|| scoped_dining(3), 7),
        (|| scoped_dining(7), 127),
        (released, 1),
    ];
    for (number, &(program, expected)) in counted.iter().enumerate() {
        assert_eq!(classes(program), expected, "program {number}");
    }
}

#[test]
fn waiter_has_enqueued_before_quiescent_time_advances() {
    let survey = reduced(Time::Quiescent, || {
        let permits = Arc::new(Semaphore::new(1));
        let other = Thread::spawn({
            let permits = permits.clone();
            move || permits.acquire().forget()
        });
        if permits.acquire_many_timeout(2, ms(2)).map(raddle::Permit::forget).is_some() {
            return permits.release();
        }
        // The other thread has enqueued before, or has the permit.
        assert!(permits.acquire_timeout(ms(3)).is_none());
        permits.release();
        other.join().unwrap();
    });
    assert_eq!((survey.failures, survey.exhausted), (0, true));
}
