//! The guards that a condition can wait with, and locks without a guard.

use crate::lock::LockGuard;
use crate::lock::sealed::WithoutData;
use crate::mutex::MutexGuard;
use crate::reentrant::ReentrantMutexGuard;

/// The guard of a lock that a [`Condition`](crate::Condition) can wait with.
///
/// The guards of [`Mutex`](crate::Mutex), [`Lock`](crate::Lock), [`RLock`](crate::RLock) and
/// [`ReentrantMutex`](crate::ReentrantMutex) implement it, and [`Unguarded`] for a lock that is held without a guard. The trait
/// is sealed.
///
/// # Examples
/// ```
/// use raddle::{Condition, Held, Mutex};
/// use std::time::Duration;
///
/// fn wait_briefly<G: Held>(condition: &Condition, guard: &mut G) -> bool {
///     condition.wait_timeout(guard, Duration::from_millis(1))
/// }
///
/// let (mutex, condition) = (Mutex::new(0), Condition::new());
/// assert!(!wait_briefly(&condition, &mut mutex.lock()));
/// ```
pub trait Held: sealed::Unlock {
    /// The argument of the predicate of [`Condition::wait_for`](crate::Condition::wait_for): the data of a mutex, or the
    /// guard itself for other locks.
    type Data: ?Sized;

    /// Returns the argument of the predicate.
    ///
    /// # Examples
    /// ```
    /// use raddle::{Held, Mutex};
    ///
    /// let mutex = Mutex::new(1);
    /// *mutex.lock().data() += 1;
    /// assert_eq!(*mutex.lock(), 2);
    /// ```
    fn data(&mut self) -> &mut Self::Data;
}

mod sealed {
    pub trait Unlock {
        /// Releases the lock while `f` runs and reacquires it.
        #[track_caller]
        fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R;

        /// Returns the address of the lock, which identifies it.
        fn key(&self) -> usize;

        /// Returns whether the lock is held. Some locks can be released by hand while their guard lives.
        fn is_held(&self) -> bool;
    }
}

impl<T: ?Sized> Held for MutexGuard<'_, T> {
    type Data = T;

    fn data(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized> sealed::Unlock for MutexGuard<'_, T> {
    #[track_caller]
    fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        MutexGuard::unlocked(self, f)
    }

    fn key(&self) -> usize {
        MutexGuard::key(self)
    }

    fn is_held(&self) -> bool {
        true
    }
}

impl<L: WithoutData> Held for LockGuard<'_, L> {
    type Data = Self;

    fn data(&mut self) -> &mut Self {
        self
    }
}

impl<L: WithoutData> sealed::Unlock for LockGuard<'_, L> {
    #[track_caller]
    fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.lock().unlocked(f)
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self.lock()).addr()
    }

    fn is_held(&self) -> bool {
        self.lock().is_held_by_guard()
    }
}

/// A [`Lock`](crate::Lock) or [`RLock`](crate::RLock) that is held without a guard, for a [`Condition`](crate::Condition).
///
/// It is for code that pairs [`acquire`](crate::Lock::acquire) and [`release`](crate::Lock::release) by hand, such as a binding for
/// another language. An operation of the condition panics unless the lock is held: an `RLock` by the calling thread, a `Lock` by
/// any thread. Neither lock guards data, so a mistake cannot expose any.
///
/// # Examples
/// ```
/// use raddle::{Condition, RLock, Unguarded, thread};
///
/// let (lock, changed) = (RLock::new(), Condition::new());
/// thread::scope(|s| {
///     lock.acquire();
///     s.spawn(|| {
///         lock.acquire();
///         changed.notify_one(&Unguarded(&lock));
///         lock.release().unwrap();
///     });
///     changed.wait(&mut Unguarded(&lock)); // releases the lock meanwhile
///     lock.release().unwrap();
/// });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Unguarded<'a, L: WithoutData>(pub &'a L);

impl<L: WithoutData> Held for Unguarded<'_, L> {
    type Data = Self;

    fn data(&mut self) -> &mut Self {
        self
    }
}

impl<L: WithoutData> sealed::Unlock for Unguarded<'_, L> {
    #[track_caller]
    fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.0.unlocked(f)
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self.0).addr()
    }

    fn is_held(&self) -> bool {
        self.0.is_held_by_guard()
    }
}

impl<T: ?Sized> Held for ReentrantMutexGuard<'_, T> {
    type Data = Self;

    fn data(&mut self) -> &mut Self {
        self
    }
}

impl<T: ?Sized> sealed::Unlock for ReentrantMutexGuard<'_, T> {
    #[track_caller]
    fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.held_mut().unlocked(f)
    }

    fn key(&self) -> usize {
        self.held().key()
    }

    fn is_held(&self) -> bool {
        self.held().is_held()
    }
}
