//! `Mutex` and `ReentrantMutex`: locks that guard data.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use raddle::rt::Entered;
use raddle::{
    Barrier, Condition, Event, LockGuard, Mutex, MutexGuard, Permit, RLockGuard, ReentrantMutex,
    ReentrantMutexGuard, thread, time,
};

use crate::support::{repeat, within_limit};

const SHORT: Duration = Duration::from_millis(3);

/// Runs `body` in another thread and waits for it.
fn elsewhere<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|s| s.spawn(body).join().unwrap())
}

fn past() -> std::time::Instant {
    time::now().checked_sub(Duration::from_secs(1)).unwrap()
}

#[test]
fn no_update_is_lost() {
    repeat(20, || {
        let total = Mutex::new(0);
        let add = |n: usize| {
            for turn in 0..50 {
                match (n + turn) % 4 {
                    0 => *total.lock() += 1,
                    1 => loop {
                        if let Some(mut total) = total.try_lock() {
                            *total += 1;
                            break;
                        }
                        thread::yield_now();
                    },
                    2 => *total.lock_timeout(crate::support::LIMIT).unwrap() += 1,
                    _ => *total.lock_deadline(time::now() + crate::support::LIMIT).unwrap() += 1,
                }
            }
        };
        thread::scope(|s| (0..4).for_each(|n| drop(s.spawn(move || add(n)))));
        assert_eq!(total.into_inner(), 200);
    });
}

#[test]
fn held_mutex_is_not_acquired_before_the_timeout() {
    let mutex = Mutex::new(1);
    let held = mutex.lock();
    let start = time::now();
    assert!(mutex.is_locked() && mutex.try_lock().is_none());
    assert!(mutex.lock_timeout(Duration::ZERO).is_none() && mutex.lock_deadline(past()).is_none());
    assert!(mutex.lock_timeout(SHORT).is_none() && mutex.lock_deadline(time::now() + SHORT).is_none());
    assert!(time::now() - start >= SHORT * 2);
    assert!(elsewhere(|| mutex.lock_timeout(SHORT).is_none()));
    assert!(mutex.is_locked(), "a failed attempt has released what another one holds");
    drop(held);
    assert!(!mutex.is_locked());
    drop(mutex.lock_timeout(Duration::ZERO).unwrap());
    drop(mutex.lock_timeout(Duration::MAX).unwrap());
    drop(mutex.lock_deadline(past()).unwrap());
}

#[test]
fn mutex_released_before_the_timeout_is_acquired() {
    repeat(50, || {
        let mutex = Mutex::new(0);
        let held = mutex.lock();
        thread::scope(|s| {
            let one = s.spawn(|| mutex.lock_timeout(Duration::MAX).map(|mut n| *n += 1).is_some());
            let two = s.spawn(|| mutex.lock_timeout(crate::support::LIMIT).map(|mut n| *n += 1).is_some());
            drop(held);
            assert!(one.join().unwrap() && two.join().unwrap());
        });
        assert_eq!(*mutex.lock(), 2);
    });
}

#[test]
fn panic_releases_a_mutex_and_leaves_the_data() {
    let (mutex, reentrant) = (Mutex::new(1), ReentrantMutex::new(Cell::new(1)));
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let (mut held, outer, inner) = (mutex.lock(), reentrant.lock(), reentrant.lock());
        *held = 2;
        outer.set(2);
        inner.set(3);
        std::panic::resume_unwind(Box::new("held"));
    }));
    assert!(failed.is_err());
    assert_eq!(
        elsewhere(|| (mutex.try_lock().map(|n| *n), reentrant.try_lock().map(|n| n.get()))),
        (Some(2), Some(3))
    );
}

#[test]
fn data_can_be_replaced_and_extracted() {
    let mut mutex = Mutex::from("a".to_owned());
    mutex.get_mut().push('b');
    mutex.lock().push('c');
    assert_eq!(mutex.into_inner(), "abc");
    assert_eq!(*Mutex::<u8>::default().lock(), 0);
    let mut reentrant = ReentrantMutex::new(vec![1]);
    reentrant.get_mut().push(2);
    assert_eq!(reentrant.lock().len(), 2);
    assert_eq!(reentrant.into_inner(), [1, 2]);
    assert_eq!(*ReentrantMutex::<u8>::default().lock(), 0);
}

#[test]
fn unsized_data_can_be_guarded() {
    let bytes: Arc<Mutex<[u8]>> = Arc::new(Mutex::new([1, 2, 3]));
    bytes.lock()[0] = 9;
    assert_eq!(&*bytes.lock(), [9, 2, 3]);
    let shown: Arc<ReentrantMutex<dyn std::fmt::Debug + Send>> = Arc::new(ReentrantMutex::new(7));
    assert_eq!(format!("{:?}", &*shown.lock()), "7");
}

#[test]
fn data_is_dropped_once() {
    let data = Arc::new(());
    let mutex = Mutex::new(data.clone());
    drop(mutex.lock());
    assert_eq!(Arc::strong_count(&data), 2);
    drop(mutex);
    assert_eq!(Arc::strong_count(&data), 1);
    drop(Mutex::new(data.clone()).into_inner());
    drop(ReentrantMutex::new(data.clone()));
    assert_eq!(Arc::strong_count(&data), 1);
}

#[test]
fn debug_never_blocks() {
    let (mutex, reentrant) = (Mutex::new(1), ReentrantMutex::new(1));
    assert_eq!(format!("{mutex:?} {reentrant:?}"), "Mutex { value: 1 } ReentrantMutex { value: 1 }");
    let held = (mutex.lock(), reentrant.lock());
    assert_eq!(format!("{mutex:?} {:?} {}", held.0, held.0), "Mutex { value: <locked> } 1 1");
    assert_eq!(format!("{reentrant:?} {:?}", held.1), "ReentrantMutex { value: 1 } 1");
    assert!(elsewhere(|| format!("{reentrant:?}")).contains("<locked>"));
}

#[test]
fn mutex_can_be_a_static() {
    static TOTAL: Mutex<u64> = Mutex::new(0);
    static COUNT: ReentrantMutex<Cell<u64>> = ReentrantMutex::new(Cell::new(0));
    *TOTAL.lock() += 1;
    COUNT.lock().set(1);
    assert_eq!((*TOTAL.lock(), COUNT.lock().get()), (1, 1));
}

#[test]
fn reentrant_mutex_is_accessible_to_its_owner_only() {
    let mutex = ReentrantMutex::new(Cell::new(1));
    let outer = mutex.lock();
    let inner =
        (mutex.try_lock().unwrap(), mutex.lock_timeout(Duration::ZERO).unwrap(), mutex.lock_deadline(past()));
    outer.set(inner.0.get() + inner.1.get());
    assert!(elsewhere(|| {
        mutex.is_locked()
            && mutex.try_lock().is_none()
            && mutex.lock_timeout(SHORT).is_none()
            && mutex.lock_deadline(past()).is_none()
    }));
    drop(outer);
    assert!(elsewhere(|| mutex.try_lock().is_none()), "a level is missing");
    drop(inner);
    assert_eq!(elsewhere(|| mutex.try_lock().map(|n| n.get())), Some(2));
}

#[test]
fn no_update_of_a_cell_is_lost() {
    repeat(20, || {
        let total = ReentrantMutex::new(RefCell::new(0));
        let add = || {
            for _ in 0..50 {
                let outer = total.lock();
                let before = *outer.borrow();
                *total.lock().borrow_mut() = before + 1;
            }
        };
        thread::scope(|s| (0..4).for_each(|_| drop(s.spawn(add))));
        assert_eq!(total.into_inner().into_inner(), 200);
    });
}

#[test]
fn panicking_holder_releases_the_mutex_to_a_waiter() {
    repeat(20, || {
        let (mutex, inside) = (Mutex::new(0), Event::new());
        thread::scope(|s| {
            let holder = s.spawn(|| {
                let mut held = mutex.lock();
                inside.set();
                *held = 1;
                std::panic::resume_unwind(Box::new("while held"));
            });
            inside.wait();
            assert_eq!(*mutex.lock(), 1);
            assert!(holder.join().is_err());
        });
    });
}

/// Fails to compile if the type may go to another thread.
macro_rules! assert_stays {
    ($($type:ty),*) => {{
        trait Stays<A> {
            fn here() {}
        }
        impl<T: ?Sized> Stays<()> for T {}
        impl<T: ?Sized + Send> Stays<u8> for T {}
        $(<$type as Stays<_>>::here();)*
    }};
}

/// Fails to compile if the type cannot be shared.
fn assert_shared<T: ?Sized + Sync>() {}

#[test]
fn guards_are_not_send() {
    assert_stays!(MutexGuard<'_, u8>, RLockGuard<'_>, ReentrantMutexGuard<'_, u8>, Entered, Mutex<*const u8>);
    assert_shared::<MutexGuard<'_, u8>>();
    assert_shared::<(
        Mutex<Cell<u8>>,
        ReentrantMutex<Cell<u8>>,
        Condition,
        Barrier<'_>,
        LockGuard<'_>,
        Permit<'_>,
    )>();
    within_limit(|| ());
}
