//! Operations whose waits are interrupted at random moments: they either take effect or have none.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use raddle::queue::{GetError, PutError};
use raddle::rt::{self, Wait, WaitOutcome};
use raddle::{BoundedSemaphore, Lock, Queue, RLock, thread};

use crate::support::within_limit;

const THREADS: usize = 4;
const ROUNDS: usize = 2_000;

thread_local!(static RANDOM: Cell<u32> = const { Cell::new(1) });

/// Interrupts two waits of three, in an order that differs from thread to thread.
fn often() -> bool {
    RANDOM.with(|state| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        state.set(x);
        !x.is_multiple_of(3)
    })
}

/// Runs `body` in several threads, each with its number.
fn in_threads(body: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let body = &body;
            scope.spawn(move || {
                RANDOM.set(u32::try_from(number).unwrap() * 7919 + 1);
                body(number);
            });
        }
    });
}

#[test]
fn interrupted_acquire_of_a_lock_has_no_effect() {
    within_limit(|| {
        let (lock, reentrant, inside) = (Lock::new(), RLock::new(), AtomicU32::new(0));
        in_threads(|_| {
            for _ in 0..ROUNDS {
                while !rt::until_interrupted(often, |deadline| lock.acquire_deadline(deadline)) {}
                while !rt::until_interrupted(often, |deadline| reentrant.acquire_deadline(deadline)) {}
                assert_eq!(inside.fetch_add(1, SeqCst), 0);
                thread::yield_now();
                inside.fetch_sub(1, SeqCst);
                reentrant.release().unwrap();
                lock.release().unwrap();
            }
        });
        assert!(!lock.is_locked() && !reentrant.is_locked());
    });
}

#[test]
fn interrupted_acquire_of_a_semaphore_takes_no_permit() {
    within_limit(|| {
        let permits = BoundedSemaphore::new(2);
        in_threads(|_| {
            for _ in 0..ROUNDS {
                let held = loop {
                    let acquired =
                        rt::until_interrupted(often, |deadline| permits.acquire_deadline(deadline));
                    if let Some(held) = acquired {
                        break held;
                    }
                };
                thread::yield_now();
                drop(held);
            }
        });
        assert_eq!((permits.available(), permits.n_waiting()), (2, 0));
    });
}

#[test]
fn interrupted_operation_of_a_queue_loses_and_doubles_no_item() {
    within_limit(|| {
        for maxsize in [1, 3, 64] {
            let (queue, got) = (Queue::bounded(maxsize), AtomicUsize::new(0));
            in_threads(|number| {
                for round in 0..ROUNDS {
                    if number % 2 == 0 {
                        let mut item = round;
                        while let Err(PutError::Full(full)) =
                            rt::until_interrupted(often, |deadline| queue.put_deadline(item, deadline))
                        {
                            item = full;
                        }
                    } else {
                        let item = loop {
                            match rt::until_interrupted(often, |deadline| queue.get_deadline(deadline)) {
                                Ok(item) => break item,
                                Err(error) => assert_eq!(error, GetError::Empty),
                            }
                        };
                        got.fetch_add(item, SeqCst);
                    }
                }
            });
            assert!(queue.is_empty());
            assert_eq!(got.into_inner(), (0..ROUNDS).sum::<usize>() * THREADS / 2);
        }
    });
}

#[test]
fn operation_without_a_deadline_is_not_interrupted() {
    static CALLED: AtomicBool = AtomicBool::new(false);
    fn decides() -> bool {
        CALLED.store(true, SeqCst);
        true
    }
    within_limit(|| {
        let (word, ended) = (AtomicU32::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(SeqCst) {
                    rt::wake(&word, 1);
                    thread::yield_now();
                }
            });
            let outcome = rt::until_interrupted(decides, |_| rt::wait(&word, 0, &Wait::unreported()));
            ended.store(true, SeqCst);
            assert_eq!((outcome, CALLED.load(SeqCst)), (WaitOutcome::Woken, false));
        });
    });
}

#[test]
fn function_that_decides_can_perform_operations() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    fn decides() -> bool {
        // This wait has a deadline, and would call the function again if it could be interrupted.
        assert_eq!(CALLS.fetch_add(1, SeqCst), 0, "called again by its own wait");
        let wait = Wait::unreported().with_deadline(rt::deadline(Duration::from_millis(1)));
        while rt::wait(&AtomicU32::new(0), 0, &wait) != WaitOutcome::TimedOut {}
        true
    }
    within_limit(|| {
        let lock = Lock::new();
        lock.acquire();
        assert!(!rt::until_interrupted(decides, |deadline| lock.acquire_deadline(deadline)));
        assert_eq!(CALLS.load(SeqCst), 1);
    });
}
