//! `Semaphore` and `BoundedSemaphore`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use raddle::trace::Recording;
use raddle::{BoundedSemaphore, Mutex, NoPermitsError, Permit, PermitError, Semaphore, thread, time};

use crate::support::{repeat, until, within_limit};

const SHORT: Duration = Duration::from_millis(3);

fn past() -> std::time::Instant {
    time::now().checked_sub(Duration::from_secs(1)).unwrap()
}

#[test]
fn no_more_permits_are_acquired_than_exist() {
    repeat(10, || {
        let (semaphore, inside, most) = (Semaphore::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        let turns = |n: usize| {
            for turn in 0..40 {
                let permit = match (n + turn) % 5 {
                    0 => Some(semaphore.acquire()),
                    1 => semaphore.try_acquire(),
                    2 => semaphore.acquire_timeout(SHORT),
                    3 => semaphore.acquire_deadline(time::now() + SHORT),
                    _ => Some(semaphore.acquire_many(2)),
                };
                if let Some(permit) = permit {
                    let now = inside.fetch_add(permit.count(), Relaxed) + permit.count();
                    most.fetch_max(now, Relaxed);
                    inside.fetch_sub(permit.count(), Relaxed);
                }
            }
        };
        thread::scope(|s| (0..5).for_each(|n| drop(s.spawn(move || turns(n)))));
        assert!(most.into_inner() <= 3);
        assert_eq!((semaphore.available(), semaphore.n_waiting()), (3, 0));
    });
}

#[test]
fn release_can_precede_the_acquire_in_any_thread() {
    let semaphore = Semaphore::new(0);
    assert!(semaphore.try_acquire().is_none());
    thread::scope(|s| drop(s.spawn(|| semaphore.release())));
    semaphore.acquire().forget();
    assert_eq!(semaphore.release_many(5), Ok(()));
    assert_eq!(semaphore.available(), 5);
    assert!(format!("{semaphore:?}").contains("available: 5"), "{semaphore:?}");
}

#[test]
fn release_of_no_permits_is_an_error() {
    let (semaphore, bounded) = (Semaphore::new(1), BoundedSemaphore::new(1));
    assert_eq!(semaphore.release_many(0), Err(NoPermitsError));
    bounded.acquire().forget();
    assert_eq!(bounded.release_many(0), Err(PermitError::NoPermits));
    assert_eq!((semaphore.available(), bounded.available()), (1, 0));
    assert_eq!(NoPermitsError.to_string(), PermitError::NoPermits.to_string());
}

#[test]
fn surplus_release_changes_nothing() {
    let bounded = BoundedSemaphore::new(2);
    assert_eq!(bounded.release(), Err(PermitError::Surplus { bound: 2 }));
    bounded.acquire().forget();
    assert_eq!(bounded.release_many(2), Err(PermitError::Surplus { bound: 2 }));
    assert_eq!(bounded.release_many(usize::MAX), Err(PermitError::Surplus { bound: 2 }));
    assert_eq!(bounded.available(), 1, "the count stays as it was");
    assert_eq!((bounded.release(), bounded.release()), (Ok(()), Err(PermitError::Surplus { bound: 2 })));
    assert_eq!(bounded.available(), 2);
    assert!(PermitError::Surplus { bound: 2 }.to_string().contains("bound is 2"));
    assert!(format!("{bounded:?}").contains("bound: 2"), "{bounded:?}");
}

#[test]
fn surplus_release_is_an_error_while_a_thread_waits() {
    within_limit(|| {
        let bounded = BoundedSemaphore::new(2);
        bounded.acquire_many(2).unwrap().forget();
        thread::scope(|s| {
            s.spawn(|| bounded.acquire().forget());
            until(|| bounded.n_waiting() == 1);
            assert_eq!(bounded.release_many(3), Err(PermitError::Surplus { bound: 2 }));
            assert_eq!((bounded.n_waiting(), bounded.available()), (1, 0));
            assert_eq!(bounded.release_many(2), Ok(()));
        });
        assert_eq!(bounded.available(), 1);
    });
}

#[test]
fn count_cannot_overflow() {
    let semaphore = Semaphore::new(usize::MAX);
    let too_many = |run: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    too_many(&|| semaphore.release());
    too_many(&|| semaphore.release_many(usize::MAX).unwrap());
    assert_eq!(semaphore.available(), usize::MAX);
    drop(semaphore.acquire());
    assert_eq!(semaphore.available(), usize::MAX);
}

#[test]
fn request_beyond_the_bound_is_an_error() {
    let bounded = BoundedSemaphore::new(2);
    let error = PermitError::TooMany { requested: 3, bound: 2 };
    assert_eq!(bounded.acquire_many(3).unwrap_err(), error);
    assert!(error.to_string().contains("3 permits"));
    assert!(bounded.try_acquire_many(3).is_none());
    assert!(
        bounded.acquire_many_timeout(3, Duration::ZERO).is_none()
            && bounded.acquire_many_deadline(3, past()).is_none()
    );
    assert_eq!((bounded.available(), bounded.n_waiting()), (2, 0));
    // It returns at once, so it does not block the waiters behind it.
    assert!(bounded.acquire_many_timeout(3, Duration::MAX).is_none());
}

#[test]
fn acquired_permits_are_not_acquired_again_before_the_timeout() {
    let (semaphore, bounded) = (Semaphore::new(1), BoundedSemaphore::new(1));
    let (one, other) = (semaphore.acquire(), bounded.acquire());
    let start = time::now();
    assert!(semaphore.try_acquire().is_none() && bounded.try_acquire().is_none());
    assert!(
        semaphore.acquire_timeout(Duration::ZERO).is_none()
            && bounded.acquire_timeout(Duration::ZERO).is_none()
    );
    assert!(semaphore.acquire_deadline(past()).is_none() && bounded.acquire_deadline(past()).is_none());
    assert!(semaphore.acquire_timeout(SHORT).is_none() && bounded.acquire_timeout(SHORT).is_none());
    assert!(
        semaphore.acquire_many_timeout(2, SHORT).is_none()
            && semaphore.acquire_many_deadline(2, past()).is_none()
    );
    assert!(semaphore.try_acquire_many(2).is_none());
    assert!(bounded.acquire_many_deadline(1, past()).is_none());
    assert!(time::now() - start >= SHORT * 3);
    assert_eq!((semaphore.available(), bounded.available()), (0, 0), "a failed attempt has given back");
    assert_eq!((semaphore.n_waiting(), bounded.n_waiting()), (0, 0));
    drop((one, other));
    assert_eq!((semaphore.available(), bounded.available()), (1, 1));
}

#[test]
fn free_permits_are_acquired_with_a_zero_timeout() {
    let (semaphore, bounded) = (Semaphore::new(2), BoundedSemaphore::new(2));
    for limit in [Duration::ZERO, Duration::MAX] {
        assert!(
            semaphore.acquire_timeout(limit).map(Permit::forget).is_some()
                && bounded.acquire_timeout(limit).map(Permit::forget).is_some()
        );
        assert!(semaphore.acquire_timeout(limit).is_some() && bounded.acquire_timeout(limit).is_some());
        semaphore.release();
        bounded.release().unwrap();
        assert!(semaphore.acquire_many_timeout(2, limit).is_some());
        assert!(bounded.acquire_many_timeout(2, limit).is_some());
    }
    assert!(semaphore.acquire_many_deadline(2, past()).is_some_and(|permit| permit.count() == 2));
    assert!(bounded.try_acquire_many(2).is_some_and(|permit| format!("{permit:?}").contains("count: 2")));
    assert_eq!((semaphore.available(), bounded.available()), (2, 2));
}

#[test]
fn panic_releases_permits() {
    let (semaphore, bounded) = (Semaphore::new(3), BoundedSemaphore::new(2));
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let _permits = (semaphore.acquire_many(3), bounded.acquire());
        std::panic::resume_unwind(Box::new("held"));
    }));
    assert!(failed.is_err());
    assert_eq!((semaphore.available(), bounded.available()), (3, 2));
}

#[test]
fn permit_can_move_to_another_thread() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.acquire();
    thread::scope(|s| drop(s.spawn(move || drop(permit))));
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn waiters_are_served_in_fifo_order() {
    within_limit(|| {
        let (semaphore, order) = (Semaphore::new(0), Mutex::new(Vec::new()));
        thread::scope(|s| {
            for n in 0..6 {
                let (semaphore, order) = (&semaphore, &order);
                s.spawn(move || {
                    semaphore.acquire().forget();
                    order.lock().push(n);
                });
                until(|| semaphore.n_waiting() == n + 1);
            }
            for n in 0..6 {
                semaphore.release();
                until(|| order.lock().len() == n + 1);
            }
        });
        assert_eq!(order.into_inner(), [0, 1, 2, 3, 4, 5]);
    });
}

/// The front waiter requests three permits; permits are released one at a time, and no waiter overtakes it.
#[test]
fn small_request_does_not_overtake_a_large_one() {
    within_limit(|| {
        let (semaphore, order) = (Semaphore::new(0), Mutex::new(Vec::new()));
        thread::scope(|s| {
            for (place, count) in [3, 1, 2].into_iter().enumerate() {
                let (semaphore, order) = (&semaphore, &order);
                s.spawn(move || {
                    semaphore.acquire_many(count).forget();
                    order.lock().push(count);
                });
                until(|| semaphore.n_waiting() == place + 1);
            }
            for free in 1..=2 {
                semaphore.release();
                assert_eq!((semaphore.available(), semaphore.n_waiting()), (free, 3));
                assert!(
                    semaphore.try_acquire().is_none() && semaphore.acquire_timeout(Duration::ZERO).is_none()
                );
                assert!(order.lock().is_empty());
            }
            semaphore.release();
            until(|| *order.lock() == [3]);
            semaphore.release();
            until(|| *order.lock() == [3, 1]);
            semaphore.release_many(2).unwrap();
        });
        assert_eq!(order.into_inner(), [3, 1, 2]);
        assert_eq!(semaphore.available(), 0);
    });
}

#[test]
fn timed_out_request_leaves_the_queue_to_those_behind_it() {
    repeat(10, || {
        let semaphore = Semaphore::new(2);
        thread::scope(|s| {
            let big = s.spawn(|| semaphore.acquire_many_timeout(5, SHORT).map(Permit::forget).is_some());
            let small = s.spawn(|| semaphore.acquire_timeout(crate::support::LIMIT).is_some());
            assert_eq!((big.join().unwrap(), small.join().unwrap()), (false, true));
        });
        assert_eq!((semaphore.available(), semaphore.n_waiting()), (2, 0));
    });
}

#[test]
fn release_serves_as_many_waiters_as_possible() {
    within_limit(|| {
        let semaphore = Semaphore::new(0);
        thread::scope(|s| {
            for count in [1, 2, 1, 4] {
                let (semaphore, before) = (&semaphore, semaphore.n_waiting());
                s.spawn(move || semaphore.acquire_many(count).forget());
                until(|| semaphore.n_waiting() == before + 1);
            }
            semaphore.release_many(5).unwrap();
            until(|| semaphore.n_waiting() == 1);
            assert_eq!(semaphore.available(), 1);
            semaphore.release_many(3).unwrap();
        });
        assert_eq!(semaphore.available(), 0);
    });
}

/// If a grant and a timeout coincide, the permit is either acquired or left, never lost or doubled.
#[test]
fn timeout_neither_loses_nor_creates_a_permit() {
    repeat(300, || {
        let semaphore = Semaphore::new(0);
        let taken: usize = thread::scope(|s| {
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    s.spawn(|| {
                        usize::from(
                            semaphore
                                .acquire_timeout(Duration::from_micros(80))
                                .map(Permit::forget)
                                .is_some(),
                        )
                    })
                })
                .collect();
            s.spawn(|| semaphore.release_many(2).unwrap());
            waiters.into_iter().map(|waiter| waiter.join().unwrap()).sum()
        });
        assert_eq!((semaphore.available() + taken, semaphore.n_waiting()), (2, 0));
    });
}

/// The same under constant contention: a polling thread is queued for a moment only.
#[test]
fn polling_thread_keeps_each_permit() {
    within_limit(|| {
        let (semaphore, polls) = (Semaphore::new(0), AtomicUsize::new(2_000));
        let (taken, released) = thread::scope(|s| {
            let poll = s.spawn(|| {
                let mut taken = 0;
                while polls.fetch_sub(1, Relaxed) > 1 {
                    taken +=
                        usize::from(semaphore.acquire_timeout(Duration::ZERO).map(Permit::forget).is_some());
                }
                taken
            });
            let mut released = 0;
            while polls.load(Relaxed) > 0 {
                until(|| semaphore.n_waiting() == 1 || polls.load(Relaxed) == 0);
                semaphore.release();
                released += 1;
            }
            (poll.join().unwrap(), released)
        });
        assert_eq!(taken + semaphore.available(), released);
    });
}

#[test]
fn release_happens_before_the_acquire_that_it_enables() {
    repeat(200, || {
        let (semaphore, value) = (Semaphore::new(0), AtomicUsize::new(0));
        thread::scope(|s| {
            s.spawn(|| {
                value.store(1, Relaxed);
                semaphore.release();
            });
            semaphore.acquire().forget();
            assert_eq!(value.load(Relaxed), 1);
        });
    });
}

#[test]
fn timeout_beyond_the_clock_never_passes() {
    repeat(20, || {
        let semaphore = Semaphore::new(0);
        thread::scope(|s| {
            let taken = s.spawn(|| semaphore.acquire_timeout(Duration::MAX).map(Permit::forget).is_some());
            semaphore.release();
            assert!(taken.join().unwrap());
        });
    });
}

#[test]
fn zero_permits_can_be_acquired() {
    let (semaphore, bounded) = (Semaphore::new(0), BoundedSemaphore::new(0));
    drop((semaphore.acquire_many(0), bounded.acquire_many(0).unwrap()));
    assert!(
        semaphore.try_acquire_many(0).map(Permit::forget).is_some()
            && bounded.try_acquire_many(0).map(Permit::forget).is_some()
    );
    assert!(semaphore.try_acquire().is_none() && bounded.try_acquire().is_none());
    assert_eq!((semaphore.available(), bounded.available()), (0, 0));
}

/// A scheduler derives from the object which steps conflict, so a permit has to name its semaphore.
#[test]
fn steps_of_a_permit_name_its_semaphore() {
    let recording = Recording::start();
    let (semaphore, bounded) = (Semaphore::new(1), BoundedSemaphore::new(1));
    drop((semaphore.acquire(), bounded.acquire()));
    semaphore.acquire().forget();
    semaphore.release();
    bounded.acquire().forget();
    bounded.release().unwrap();
    let me = thread::current().name();
    let steps = recording.finish().into_iter().filter(|step| *step.thread == *me);
    let mut objects: Vec<_> =
        steps.map(|step| step.object).filter(|object| object.type_name.contains("Sem")).collect();
    assert_eq!(objects.len(), 8);
    objects.sort_unstable_by_key(|object| object.address);
    objects.dedup();
    assert_eq!(objects.len(), 2, "{objects:?}");
}

#[test]
fn default_is_one_permit() {
    let (semaphore, bounded) = (Semaphore::default(), BoundedSemaphore::default());
    assert!(
        semaphore.try_acquire().map(Permit::forget).is_some()
            && bounded.try_acquire().map(Permit::forget).is_some()
    );
    assert!(semaphore.try_acquire().is_none() && bounded.try_acquire().is_none());
}

#[test]
fn semaphore_can_be_a_static() {
    static JOBS: Semaphore = Semaphore::new(1);
    static CONNECTIONS: BoundedSemaphore = BoundedSemaphore::new(1);
    let _permits = (JOBS.acquire(), CONNECTIONS.acquire());
}
