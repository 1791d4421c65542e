//! Programs in another language: reports name its lines, and what its frames hold is released when a thread is unwound.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::rt::{self, Abandoned, Place, Unwinding};
use raddle::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, Mutex, Queue, RLock, ReentrantMutex, Semaphore,
    Shared, Thread, time,
};
use raddle_explore::{Explorer, Outcome, Strategy};

fn line(number: u32, function: &str) -> Place {
    Place::intern("bank.py", number, Some(function))
}

#[test]
fn report_names_the_lines_of_another_language() {
    let report = Explorer::new()
        .run(|| {
            let balance = Arc::new(Shared::new(0));
            let deposit = {
                let balance = balance.clone();
                move || {
                    let before = rt::on_behalf_of(line(4, "deposit"), || balance.get());
                    rt::on_behalf_of(line(5, "deposit"), || balance.set(before + 1));
                }
            };
            let other = rt::on_behalf_of(line(8, "test"), || {
                Thread::new(deposit.clone()).name("other").start().unwrap()
            });
            deposit();
            rt::on_behalf_of(line(10, "test"), || other.join()).unwrap();
            let total = rt::on_behalf_of(line(11, "test"), || balance.get());
            // The exception of the other language becomes a panic, on behalf of the line that raised it.
            rt::on_behalf_of(line(12, "test"), || assert_eq!(total, 2, "an update was lost"));
        })
        .expect_failure();
    let text = report.to_string();
    assert!(text.starts_with("thread \"MainThread\" panicked, at bank.py:12, in test:"), "{text}");
    for place in
        ["bank.py:4, in deposit", "bank.py:5, in deposit", "bank.py:8, in test", "bank.py:11, in test"]
    {
        assert!(text.contains(place), "{place} is missing: {text}");
    }
    assert!(!text.contains("bindings.rs"), "{text}");
    let json = report.to_json();
    assert!(json.contains(r#""function":"deposit""#), "{json}");
}

#[test]
fn steps_of_the_clock_are_at_the_line() {
    let text = Explorer::new()
        .run(|| {
            rt::on_behalf_of(line(15, "poll"), || {
                let began = time::now();
                Event::new().wait_timeout(Duration::from_millis(2));
                time::sleep(Duration::from_millis(1));
                assert!(time::now() - began < Duration::from_millis(2), "the clock advanced");
            });
        })
        .expect_failure()
        .to_string();
    let deadlines: Vec<_> = text.lines().filter(|line| line.contains("computes a deadline")).collect();
    assert!(
        !deadlines.is_empty() && deadlines.iter().all(|line| line.ends_with("bank.py:15, in poll")),
        "{text}"
    );
    assert!(!text.contains("bindings.rs"), "{text}");
}

#[test]
fn deadlock_names_the_lines_of_another_language() {
    let text = Explorer::new()
        .run(|| {
            let locks = Arc::new((Lock::new(), Lock::new()));
            let other = {
                let locks = locks.clone();
                Thread::new(move || {
                    rt::on_behalf_of(line(21, "back"), || locks.1.acquire());
                    rt::on_behalf_of(line(22, "back"), || locks.0.acquire());
                    locks.0.release().unwrap();
                    locks.1.release().unwrap();
                })
                .name("other")
                .start()
                .unwrap()
            };
            rt::on_behalf_of(line(31, "forth"), || locks.0.acquire());
            rt::on_behalf_of(line(32, "forth"), || locks.1.acquire());
            locks.1.release().unwrap();
            locks.0.release().unwrap();
            other.join().unwrap();
        })
        .expect_failure()
        .to_string();
    for part in [
        "blocks on Lock 2, at bank.py:32, in forth",
        "held by thread \"other\" at bank.py:21, in back",
        "blocks on Lock 1, at bank.py:22, in back",
        "held by thread \"MainThread\" at bank.py:31, in forth",
    ] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

/// An exception of the other language, for a panic of the thread.
struct Exception;

/// A payload, and the statement that it is carried.
type Carried = (Box<dyn Any + Send>, Option<Unwinding>);

thread_local! {
    /// The panic that the calling thread carries through frames of the other language.
    static CARRIED: RefCell<Option<Carried>> = const { RefCell::new(None) };
}

/// How a binding carries a panic.
#[derive(Clone, Copy)]
enum Carrier {
    /// As an [`Unwinding`].
    Unwinding,
    /// Unknown to raddle.
    Unknown,
}

impl Carrier {
    /// Calls raddle from the other language.
    fn call<R>(self, operation: impl FnOnce() -> R) -> Result<R, Exception> {
        catch_unwind(AssertUnwindSafe(operation)).map_err(|payload| {
            let unwinding = matches!(self, Carrier::Unwinding).then(Unwinding::begin);
            CARRIED.set(Some((payload, unwinding)));
            Exception
        })
    }
}

/// Runs a function of the other language as that of a thread.
fn root(run: impl FnOnce() -> Result<(), Exception>) {
    if run().is_err() {
        let (payload, unwinding) = CARRIED.take().expect("an exception is a panic that is carried");
        drop(unwinding);
        resume_unwind(payload);
    }
}

/// Explores a program that is cut off, again and again, while a thread waits with a lock that outlives the executions: with a
/// context manager, whose `__exit__` releases the lock. Returns how many executions found the lock held.
fn executions_with_a_lock_left(carrier: Carrier) -> usize {
    let lock: &'static Lock = Box::leak(Box::new(Lock::new()));
    let held = Arc::new(AtomicUsize::new(0));
    let found = held.clone();
    let outcome = Explorer::new().strategy(Strategy::Random).max_executions(20).run(move || {
        found.fetch_add(usize::from(!lock.try_acquire()), Relaxed);
        let _ = lock.release();
        let daemon = Thread::new(move || {
            root(|| {
                carrier.call(|| lock.acquire())?;
                let body = carrier.call(|| Event::new().wait());
                // `__exit__` takes a step of its own before it releases.
                let exit = carrier.call(|| Event::new().set());
                exit.and_then(|()| carrier.call(|| lock.release().unwrap())).and(body)
            });
        });
        // The daemon is cut off when the program ends.
        drop(daemon.daemon(true).start().unwrap());
    });
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    held.load(Relaxed)
}

#[test]
fn lock_that_outlives_the_execution_is_free_in_the_next_one() {
    assert_eq!(executions_with_a_lock_left(Carrier::Unwinding), 0);
    assert!(executions_with_a_lock_left(Carrier::Unknown) > 0, "without the statement, the lock is left");
}

#[test]
fn carried_unwinding_waits_for_locks_of_other_threads() {
    // Both threads are cut off. One holds what the other needs to release what it holds.
    let locks: &'static (Lock, Lock) = Box::leak(Box::new((Lock::new(), Lock::new())));
    let outcome = Explorer::new().strategy(Strategy::Random).max_executions(50).run(move || {
        assert!(!locks.0.is_locked() && !locks.1.is_locked(), "left by an earlier execution");
        let carrier = Carrier::Unwinding;
        let cleans_up = move || {
            root(|| {
                carrier.call(|| locks.0.acquire())?;
                let body = carrier.call(|| Event::new().wait());
                let cleanup = carrier.call(|| {
                    locks.1.acquire();
                    locks.1.release().unwrap();
                    locks.0.release().unwrap();
                });
                body.and(cleanup)
            });
        };
        let holds = move || {
            root(|| {
                carrier.call(|| locks.1.acquire())?;
                let body = carrier.call(|| Event::new().wait());
                body.and(carrier.call(|| locks.1.release().unwrap()))
            });
        };
        drop(Thread::new(cleans_up).daemon(true).start().unwrap());
        drop(Thread::new(holds).daemon(true).start().unwrap());
        rt::yield_now();
    });
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}

#[test]
fn carried_unwinding_is_met_again_where_it_would_block_forever() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let outcome = Explorer::new().strategy(Strategy::Random).max_executions(5).run(move || {
        let count = count.clone();
        let daemon = Thread::new(move || {
            let carrier = Carrier::Unwinding;
            root(|| {
                let body = carrier.call(|| Event::new().wait());
                // `except BaseException: pass`, and then another wait, which no thread ends.
                assert!(body.is_err());
                let again = carrier.call(|| Event::new().wait());
                count.fetch_add(1, Relaxed);
                again
            });
        });
        drop(daemon.daemon(true).start().unwrap());
        rt::yield_now();
    });
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(ended.load(Relaxed) > 0, "the thread ended");
}

#[test]
fn caught_exception_does_not_keep_a_thread_running() {
    let outcome = Explorer::new().strategy(Strategy::Random).max_executions(3).run(|| {
        let daemon = Thread::new(|| {
            let carrier = Carrier::Unwinding;
            let flag = Event::new();
            root(|| {
                // `while True: try: flag.clear() except BaseException: caught += 1`
                let mut caught = 0;
                loop {
                    if let Err(exception) = carrier.call(|| flag.clear()) {
                        caught += 1;
                        if caught > 3 {
                            return Err(exception);
                        }
                    }
                }
            });
        });
        drop(daemon.daemon(true).start().unwrap());
    });
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}

#[test]
fn caught_panic_does_not_cut_the_report_of_a_later_failure() {
    let text = Explorer::new()
        .run(|| {
            let (lock, event) = (Lock::new(), Event::new());
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _held = lock.lock();
                resume_unwind(Box::new("caught"));
            }));
            assert!(caught.is_err());
            event.set();
            let _held = lock.lock();
            panic!("a later failure");
        })
        .expect_failure()
        .to_string();
    let set = text
        .find("sets Event 1")
        .unwrap_or_else(|| panic!("the step after the caught panic is missing: {text}"));
    assert!(text[set..].contains("acquires Lock 1"), "{text}");
    assert!(!text[set..].contains("releases Lock 1"), "a release of the unwinding: {text}");
}

#[test]
fn abandoned_thread_is_recognized() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let outcome = Explorer::new().max_executions(3).run(move || {
        let count = count.clone();
        let daemon = Thread::new(move || {
            let payload = catch_unwind(|| Event::new().wait()).unwrap_err();
            count.fetch_add(usize::from(payload.is::<Abandoned>()), Relaxed);
            resume_unwind(payload);
        });
        drop(daemon.daemon(true).start().unwrap());
        rt::yield_now();
    });
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(seen.load(Relaxed) > 0);
}

/// Objects that outlive the executions.
#[derive(Default)]
struct Outside {
    lock: Lock,
    rlock: RLock,
    mutex: Mutex<i32>,
    reentrant: ReentrantMutex<i32>,
    permits: Semaphore,
    bounded: BoundedSemaphore,
}

impl Outside {
    /// Returns the number of objects that are held.
    fn held(&self) -> usize {
        let free = [
            self.lock.try_lock().is_some(),
            self.rlock.try_lock().is_some(),
            self.mutex.try_lock().is_some(),
            self.reentrant.try_lock().is_some(),
            self.permits.try_acquire().is_some(),
            self.bounded.try_acquire().is_some(),
        ];
        free.iter().filter(|free| !**free).count()
    }

    fn use_each(&self) {
        drop(self.lock.lock());
        drop(self.rlock.lock());
        drop(self.mutex.lock());
        drop(self.reentrant.lock());
        drop(self.permits.acquire());
        drop(self.bounded.acquire());
    }
}

/// A program can end while a thread is about to release what it holds.
#[test]
fn release_takes_effect_although_its_step_is_unwound() {
    let outside: &'static Outside = Box::leak(Box::default());
    let held = Arc::new(AtomicUsize::new(0));
    let count = held.clone();
    let outcome = Explorer::new().strategy(Strategy::Random).max_executions(200).run(move || {
        count.fetch_add(outside.held(), Relaxed);
        drop(Thread::new(|| outside.use_each()).daemon(true).start().unwrap());
        // The thread is at one of its steps when the program ends.
        (0..6).for_each(|_| drop(Lock::new().lock()));
    });
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert_eq!(held.load(Relaxed), 0, "an execution found an object held");
}

/// A program can end while threads wait at objects that outlive it.
#[test]
fn unwound_thread_is_no_waiter_any_more() {
    struct Waits {
        mutex: Mutex<()>,
        condition: Condition,
        permits: Semaphore,
        barrier: Barrier<'static>,
        empty: Queue<i32>,
        full: Queue<i32>,
    }
    let waits: &'static Waits = Box::leak(Box::new(Waits {
        mutex: Mutex::new(()),
        condition: Condition::new(),
        permits: Semaphore::new(1),
        barrier: Barrier::new(2),
        empty: Queue::unbounded(),
        full: Queue::bounded(1),
    }));
    waits.full.put(1).unwrap();
    let cut_off: [fn(&Waits); 8] = [
        |waits| waits.condition.wait(&mut waits.mutex.lock()),
        |waits| waits.permits.acquire_many(2).forget(),
        |waits| _ = waits.barrier.wait(),
        |waits| _ = waits.empty.get(),
        |waits| _ = waits.empty.get_many(2, Duration::MAX),
        |waits| _ = waits.full.put(2),
        |waits| _ = waits.full.put_many([2, 3]),
        |waits| waits.full.join(),
    ];
    let left = move || {
        let condition = waits.condition.notify_all(&waits.mutex.lock());
        let queues = [&waits.empty, &waits.full]
            .map(|queue| queue.n_getters() + queue.n_putters() + queue.n_joiners());
        [condition, waits.permits.n_waiting(), waits.barrier.n_waiting(), queues[0], queues[1]]
    };
    let outcome = Explorer::new().strategy(Strategy::Random).max_executions(50).run(move || {
        assert_eq!(left(), [0; 5], "waiters of an earlier execution");
        assert_eq!((waits.permits.available(), waits.empty.len(), waits.full.len()), (1, 0, 1));
        for wait in cut_off {
            drop(Thread::new(move || wait(waits)).daemon(true).start().unwrap());
        }
        (0..30).for_each(|_| drop(Lock::new().lock()));
    });
    assert!(!matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
}
