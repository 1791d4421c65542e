//! A mutex written on `raddle::rt`, explored down to its atomic accesses.
//!
//! `cargo run -p raddle-explore --example rt_mutex` runs every interleaving of two threads that use it.
#![allow(unsafe_code, reason = "a mutex gives out its value")]

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use raddle::rt::{self, Kind, LockId, Op, Wait};
use raddle::thread;
use raddle_explore::{Explorer, Grain};

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2; // held, and a thread may be parked

struct Mutex<T> {
    word: AtomicU32,
    id: LockId,
    value: UnsafeCell<T>,
}

// SAFETY: only the thread that holds the lock accesses the value.
unsafe impl<T: Send> Sync for Mutex<T> {}

struct Guard<'a, T> {
    mutex: &'a Mutex<T>,
    acquire: Op,
}

impl<T> Mutex<T> {
    const fn new(value: T) -> Self {
        Self { word: AtomicU32::new(FREE), id: LockId::new(), value: UnsafeCell::new(value) }
    }

    #[track_caller]
    fn lock(&self) -> Guard<'_, T> {
        let acquire = Op::new(self, "Mutex", Kind::Acquire);
        rt::point_until(acquire, None, &self.word, || self.word.load(Relaxed) == FREE);
        rt::atom(&self.word);
        if self.word.compare_exchange(FREE, HELD, Acquire, Relaxed).is_err() {
            self.lock_contended(&acquire);
        }
        rt::acquired(acquire, None, &self.id);
        Guard { mutex: self, acquire }
    }

    #[cold]
    fn lock_contended(&self, acquire: &Op) {
        let wait = Wait::new(acquire).with_lock(&self.id);
        loop {
            rt::atom(&self.word);
            if self.word.swap(CONTENDED, Acquire) == FREE {
                return;
            }
            rt::wait(&self.word, CONTENDED, &wait);
        }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        rt::releasing(self.acquire.with_kind(Kind::Release), &self.mutex.id);
        rt::atom(&self.mutex.word);
        if self.mutex.word.swap(FREE, Release) == CONTENDED {
            rt::wake(&self.mutex.word, 1);
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this thread holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread holds the lock.
        unsafe { &mut *self.mutex.value.get() }
    }
}

fn main() {
    let outcome = Explorer::new().grain(Grain::Atoms).run(|| {
        let counter = Mutex::new(0);
        thread::scope(|scope| {
            scope.spawn(|| *counter.lock() += 1);
            *counter.lock() += 1;
        });
        assert_eq!(*counter.lock(), 2);
    });
    println!("{outcome}");
    outcome.assert_no_failure().assert_exhausted();
}
