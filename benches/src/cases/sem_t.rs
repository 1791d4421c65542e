//! POSIX semaphores.

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;

/// A semaphore of the C library, for the threads of this process.
pub(super) struct SemT(Box<UnsafeCell<libc::sem_t>>);

// SAFETY: a `sem_t` may be used by several threads. It stays in its box, and all access is by the functions below.
unsafe impl Sync for SemT {}
// SAFETY: a `sem_t` belongs to no thread, and the box moves without it.
unsafe impl Send for SemT {}

impl SemT {
    pub(super) fn new(permits: u32) -> io::Result<Self> {
        let mut place = Box::new(MaybeUninit::<UnsafeCell<libc::sem_t>>::zeroed());
        // SAFETY: the pointer is to memory for a `sem_t`, which no other thread has access to.
        if unsafe { libc::sem_init(place.as_mut_ptr().cast(), 0, permits) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `sem_init` has initialised it.
        Ok(Self(unsafe { place.assume_init() }))
    }

    pub(super) fn acquire(&self) {
        // SAFETY: the semaphore is initialised as long as `self` lives. A signal may interrupt the wait.
        while unsafe { libc::sem_wait(self.0.get()) } != 0 {}
    }

    pub(super) fn release(&self) {
        // SAFETY: as for `acquire`.
        let status = unsafe { libc::sem_post(self.0.get()) };
        assert_eq!(status, 0, "too many permits");
    }
}

impl Drop for SemT {
    fn drop(&mut self) {
        // SAFETY: `&mut self` is the only reference, so no thread waits.
        unsafe { libc::sem_destroy(self.0.get()) };
    }
}
