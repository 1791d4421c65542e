//! Which guards a condition can wait with.

use crate::lock::LockGuard;
use crate::mutex::MutexGuard;
use crate::reentrant::ReentrantMutexGuard;
use crate::rlock::RLockGuard;

/// A guard with which a [`Condition`](crate::Condition) can wait: that of a [`Mutex`](crate::Mutex), a [`Lock`](crate::Lock), an
/// [`RLock`](crate::RLock) or a [`ReentrantMutex`](crate::ReentrantMutex).
pub trait Held: sealed::Unlock {
    /// What [`Condition::wait_for`](crate::Condition::wait_for) shows to its predicate: the data of a mutex; otherwise the guard itself, which
    /// [derefs](std::ops::Deref) to the data if there is any.
    type Data: ?Sized;

    /// What the predicate is shown.
    fn data(&mut self) -> &mut Self::Data;
}

mod sealed {
    pub trait Unlock {
        /// Lets go of the lock while `f` runs, and takes it back.
        #[track_caller]
        fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R;

        /// Which lock this is: its address.
        fn key(&self) -> usize;

        /// Whether the lock is really held: some can be released by hand while their guard lives.
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

impl Held for LockGuard<'_> {
    type Data = Self;

    fn data(&mut self) -> &mut Self {
        self
    }
}

impl sealed::Unlock for LockGuard<'_> {
    #[track_caller]
    fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.lock().unlocked(f)
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self.lock()) as usize
    }

    fn is_held(&self) -> bool {
        self.lock().is_held()
    }
}

impl Held for RLockGuard<'_> {
    type Data = Self;

    fn data(&mut self) -> &mut Self {
        self
    }
}

impl sealed::Unlock for RLockGuard<'_> {
    #[track_caller]
    fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.lock().unlocked(f)
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self.lock()) as usize
    }

    fn is_held(&self) -> bool {
        self.lock().is_mine()
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
        self.rlock().unlocked(f)
    }

    fn key(&self) -> usize {
        std::ptr::from_ref(self.rlock()) as usize
    }

    fn is_held(&self) -> bool {
        self.rlock().is_mine()
    }
}
