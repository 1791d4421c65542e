//! `Lock` and `RLock`: locks that guard no data.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use raddle::rt::WaitOutcome;
use raddle::thread;
use raddle::time;
use raddle::{Event, Lock, Mutex, NotHeldError, NotOwnerError, RLock, Thread};

use crate::scheduler::{Misbehavior, under};
use crate::support::{finish, repeat, until, within_limit};

const SHORT: Duration = Duration::from_millis(3);

/// Runs `body` in another thread and waits for it.
fn elsewhere<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|s| s.spawn(body).join().unwrap())
}

fn past() -> std::time::Instant {
    time::now().checked_sub(Duration::from_secs(1)).unwrap()
}

#[test]
fn lock_has_one_holder_at_a_time() {
    repeat(20, || {
        let (lock, inside) = (Lock::new(), AtomicUsize::new(0));
        let turns = |n: usize| {
            for turn in 0..50 {
                let held = match (n + turn) % 4 {
                    0 => Some(lock.lock()),
                    1 => lock.try_lock(),
                    2 => lock.lock_timeout(SHORT),
                    _ => lock.lock_deadline(time::now() + SHORT),
                };
                if held.is_some() {
                    assert_eq!(inside.fetch_add(1, Relaxed), 0);
                    inside.fetch_sub(1, Relaxed);
                }
            }
        };
        thread::scope(|s| (0..4).for_each(|n| drop(s.spawn(move || turns(n)))));
        assert!(!lock.is_locked());
    });
}

#[test]
fn lock_can_be_released_by_any_thread() {
    repeat(100, || {
        let lock = Arc::new(Lock::new());
        lock.acquire();
        let other = Thread::spawn({
            let lock = lock.clone();
            move || lock.release()
        });
        lock.acquire();
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(lock.release(), Ok(()));
    });
}

#[test]
fn release_of_a_free_lock_is_an_error() {
    let lock = Lock::new();
    assert_eq!(lock.release(), Err(NotHeldError));
    lock.acquire();
    assert_eq!((lock.release(), lock.release()), (Ok(()), Err(NotHeldError)));
    assert!(NotHeldError.to_string().contains("free"));
    assert!(lock.try_acquire());
    assert!(format!("{lock:?}").contains("locked: true"), "{lock:?}");
}

#[test]
fn held_lock_is_not_acquired_before_the_timeout() {
    let (lock, start) = (Lock::default(), time::now());
    let held = lock.lock();
    assert!(!lock.try_acquire() && lock.try_lock().is_none());
    assert!(!lock.acquire_timeout(Duration::ZERO) && !lock.acquire_deadline(past()));
    assert!(!lock.acquire_timeout(SHORT) && !lock.acquire_deadline(time::now() + SHORT));
    assert!(lock.lock_timeout(SHORT).is_none() && lock.lock_deadline(past()).is_none());
    assert!(time::now() - start >= SHORT * 3);
    assert!(lock.is_locked(), "a failed attempt has released what another one holds");
    drop(held);
    assert!(!lock.is_locked());
}

#[test]
fn free_lock_is_acquired_with_a_zero_timeout() {
    let lock = Lock::new();
    drop(lock.lock_timeout(Duration::ZERO).unwrap());
    drop(lock.lock_timeout(Duration::MAX).unwrap());
    drop(lock.lock_deadline(past()).unwrap());
    drop(lock.try_lock().unwrap());
    assert!(lock.acquire_timeout(Duration::MAX) && lock.release().is_ok());
    assert!(lock.acquire_deadline(past()) && lock.release().is_ok());
}

#[test]
fn timeout_beyond_the_clock_never_passes() {
    repeat(20, || {
        let (lock, rlock) = (Lock::new(), RLock::new());
        let (held, also) = (lock.lock(), rlock.lock());
        thread::scope(|s| {
            let taken = s
                .spawn(|| (lock.acquire_timeout(Duration::MAX), rlock.lock_timeout(Duration::MAX).is_some()));
            drop((held, also));
            assert_eq!(taken.join().unwrap(), (true, true));
        });
    });
}

#[test]
fn lock_released_before_the_timeout_is_acquired() {
    repeat(50, || {
        let lock = Lock::new();
        let held = lock.lock();
        thread::scope(|s| {
            let (one, two) = (
                s.spawn(|| lock.lock_timeout(crate::support::LIMIT).is_some()),
                s.spawn(|| drop(lock.lock())),
            );
            drop(held);
            assert!(one.join().unwrap());
            two.join().unwrap();
        });
    });
}

#[test]
fn panic_releases_a_lock() {
    let (lock, rlock) = (Lock::new(), RLock::new());
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let (_one, _two, _again) = (lock.lock(), rlock.lock(), rlock.lock());
        std::panic::resume_unwind(Box::new("held"));
    }));
    assert!(failed.is_err());
    assert!(!lock.is_locked() && !rlock.is_locked());
    assert!(elsewhere(|| rlock.try_acquire() && rlock.release().is_ok()));
}

#[test]
fn guard_of_a_lock_can_move_to_another_thread() {
    let lock = Lock::new();
    let guard = lock.lock();
    assert!(format!("{guard:?}").contains("locked: true"));
    elsewhere(move || drop(guard));
    assert!(!lock.is_locked());
}

#[test]
fn guard_ignores_a_release_by_hand() {
    let lock = Lock::new();
    let guard = lock.lock();
    elsewhere(|| lock.release().unwrap());
    drop(guard);
    assert!(!lock.is_locked());
}

#[test]
fn lock_can_be_a_static() {
    static LOCK: Lock = Lock::new();
    static RLOCK: RLock = RLock::new();
    let _guards = (LOCK.lock(), RLOCK.lock(), RLOCK.lock());
}

#[test]
fn rlock_is_free_once_released_as_often_as_acquired() {
    let lock = RLock::default();
    lock.acquire();
    assert!(lock.try_acquire() && lock.acquire_timeout(Duration::ZERO) && lock.acquire_deadline(past()));
    let guards = (lock.lock(), lock.try_lock().unwrap(), lock.lock_timeout(SHORT).unwrap());
    for _ in 0..4 {
        assert!(elsewhere(|| !lock.try_acquire() && lock.is_locked() && !lock.is_mine()));
        assert_eq!(lock.release(), Ok(()));
    }
    drop(guards.1);
    drop(guards.0);
    assert!(lock.is_locked() && lock.is_mine());
    drop(guards.2);
    assert!(!lock.is_locked() && !lock.is_mine());
    assert_eq!(lock.release(), Err(NotOwnerError));
    assert!(NotOwnerError.to_string().contains("does not hold"));
}

#[test]
fn rlock_is_released_by_its_owner_only() {
    let lock = RLock::new();
    let guard = lock.lock();
    assert_eq!(elsewhere(|| lock.release()), Err(NotOwnerError));
    assert!(lock.is_mine(), "a failed release has released");
    assert!(elsewhere(|| {
        !lock.acquire_timeout(SHORT)
            && !lock.acquire_timeout(Duration::ZERO)
            && !lock.acquire_deadline(past())
            && lock.lock_timeout(SHORT).is_none()
            && lock.lock_deadline(past()).is_none()
            && lock.try_lock().is_none()
    }));
    assert!(lock.is_mine(), "a failed attempt has released what another one holds");
    assert!(format!("{guard:?}").contains("mine: true"), "{guard:?}");
}

#[test]
fn rlock_has_one_owner_at_a_time() {
    repeat(20, || {
        let (lock, inside) = (RLock::new(), AtomicUsize::new(0));
        let turns = || {
            for _ in 0..50 {
                let _outer = lock.lock();
                let _inner = lock.try_lock().expect("it is mine");
                assert_eq!(inside.fetch_add(1, Relaxed), 0);
                let _innermost = lock.lock_timeout(SHORT).expect("it is mine");
                inside.fetch_sub(1, Relaxed);
            }
        };
        thread::scope(|s| (0..4).for_each(|_| drop(s.spawn(turns))));
        assert!(!lock.is_locked());
    });
}

#[test]
fn terminated_owner_makes_no_other_thread_the_owner() {
    let lock = RLock::new();
    elsewhere(|| lock.acquire());
    for _ in 0..100 {
        assert!(elsewhere(|| !lock.is_mine() && !lock.try_acquire() && lock.release() == Err(NotOwnerError)));
    }
    assert!(lock.is_locked());
}

#[test]
fn each_waiter_acquires_the_lock() {
    within_limit(|| {
        let (lock, got) = (Arc::new(Lock::new()), Arc::new(AtomicUsize::new(0)));
        lock.acquire();
        let threads: Vec<_> = (0..20)
            .map(|n| {
                let (lock, got) = (lock.clone(), got.clone());
                Thread::spawn(move || {
                    // Some waiters time out. The others must not lose their wake-ups by that.
                    while n % 2 == 0 && !lock.acquire_timeout(Duration::from_micros(100)) {}
                    if n % 2 == 1 {
                        lock.acquire();
                    }
                    got.fetch_add(1, Relaxed);
                    lock.release().unwrap();
                })
            })
            .collect();
        lock.release().unwrap();
        threads.into_iter().for_each(finish);
        assert_eq!(got.load(Relaxed), 20);
    });
}

/// Returns whether the thread sleeps in the kernel.
#[cfg(target_os = "linux")]
fn sleeps(thread: &thread::ThreadHandle) -> bool {
    let Some(id) = thread.native_id() else { return false };
    let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).expect("the thread is alive");
    stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S'))
}

#[cfg(target_os = "linux")]
#[test]
fn waiter_parked_longest_is_woken_first() {
    // With the watch on, waiters sleep in slices: the last test runs this one without it.
    if raddle::watch::is_on() {
        return;
    }
    repeat(50, || {
        let (lock, order) = (Arc::new(Lock::new()), Arc::new(Mutex::new(Vec::new())));
        lock.acquire();
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let (lock, order, begins) = (lock.clone(), order.clone(), Arc::new(Event::new()));
                let waiter = Thread::spawn({
                    let begins = begins.clone();
                    move || {
                        begins.set();
                        lock.acquire();
                        order.lock().push(n);
                        lock.release().unwrap();
                    }
                });
                begins.wait();
                until(|| sleeps(waiter.thread()));
                waiter
            })
            .collect();
        lock.release().unwrap();
        waiters.into_iter().for_each(finish);
        assert_eq!(*order.lock(), [0, 1, 2, 3]);
    });
}

#[test]
fn panicking_thread_releases_its_lock_to_a_waiter() {
    repeat(20, || {
        let (lock, inside) = (RLock::new(), Event::new());
        thread::scope(|s| {
            let holder = s.spawn(|| {
                let _held = lock.lock();
                inside.set();
                std::panic::resume_unwind(Box::new("while held"));
            });
            inside.wait();
            drop(lock.lock());
            assert!(holder.join().is_err());
        });
    });
}

/// A scheduler is safe code, so its results must not cause a lock to be acquired twice.
#[test]
fn wait_without_a_deadline_never_times_out() {
    let impatient = Misbehavior { wait: Some(Box::new(|_| WaitOutcome::TimedOut)), ..Misbehavior::default() };
    within_limit(|| {
        under(impatient, || {
            let (lock, inside) = (Lock::new(), AtomicUsize::new(0));
            let turns = || {
                for _ in 0..200 {
                    let _held = lock.lock();
                    assert_eq!(inside.fetch_add(1, Relaxed), 0);
                    thread::yield_now();
                    inside.fetch_sub(1, Relaxed);
                }
            };
            thread::scope(|s| (0..3).for_each(|_| drop(s.spawn(turns))));
            until(|| !lock.is_locked());
        });
    });
}

/// A thread that has left a scheduler gets an identity only when it needs one, possibly during its termination.
#[test]
fn terminating_thread_owns_no_free_lock() {
    static FREE: RLock = RLock::new();
    struct Last(mpsc::Sender<(bool, bool)>);
    impl Drop for Last {
        fn drop(&mut self) {
            let mine = FREE.is_mine();
            let taken = FREE.try_acquire() && FREE.is_mine() && FREE.release().is_ok() && !FREE.is_mine();
            let _ = self.0.send((mine, taken));
        }
    }
    thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });
    let (send, receive) = mpsc::channel();
    #[expect(
        clippy::disallowed_methods,
        reason = "the thread must not have met raddle when it makes its local"
    )]
    let thread = std::thread::spawn(|| {
        LAST.set(Some(Last(send))); // dropped after the locals of raddle
        under(Misbehavior::default(), || ());
    });
    thread.join().unwrap();
    assert_eq!(receive.recv().unwrap(), (false, true));
}
